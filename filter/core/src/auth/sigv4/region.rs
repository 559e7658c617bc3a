//! The region a Bedrock host stands in.

/// The region that a host name of the Bedrock runtime says, which wins over the policy's. `None` for any other
/// host; a port does not count.
///
/// `bedrock-runtime[-fips].REGION.(amazonaws.com|api.aws|vpce.amazonaws.com)`, before which an interface endpoint
/// has its own name: <https://docs.aws.amazon.com/general/latest/gr/bedrock.html>.
#[must_use]
pub fn region_of_host(host: &str) -> Option<&str> {
    let host = host.split_once(':').map_or(host, |(host, _port)| host);
    let (first, rest) = host.split_once('.')?;
    let endpoint_name = starts_with(first, "vpce-");
    let (service, rest) = if endpoint_name { rest.split_once('.')? } else { (first, rest) };
    if !["bedrock-runtime", "bedrock-runtime-fips"].iter().any(|name| service.eq_ignore_ascii_case(name)) {
        return None;
    }
    let (region, domain) = rest.split_once('.')?;
    let known = domain.eq_ignore_ascii_case("vpce.amazonaws.com")
        || (!endpoint_name
            && (domain.eq_ignore_ascii_case("amazonaws.com") || domain.eq_ignore_ascii_case("api.aws")));
    // Upper case is left to the policy: a region is signed as it is written, and always in lower case.
    let is_region = !region.is_empty()
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    (known && is_region).then_some(region)
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bedrock_hosts_say_their_region() {
        for (host, region) in [
            ("bedrock-runtime.us-west-2.amazonaws.com", "us-west-2"),
            ("bedrock-runtime.us-west-2.amazonaws.com:443", "us-west-2"),
            ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
            ("bedrock-runtime.eu-central-1.api.aws", "eu-central-1"),
            ("bedrock-runtime.eu-central-1.vpce.amazonaws.com", "eu-central-1"),
            ("vpce-0a1b-2c3d.bedrock-runtime.eu-central-1.vpce.amazonaws.com", "eu-central-1"),
            ("Bedrock-Runtime.us-east-1.AmazonAWS.com", "us-east-1"),
        ] {
            assert_eq!(region_of_host(host), Some(region), "{host}");
        }
    }

    #[test]
    fn other_hosts_say_nothing() {
        for host in [
            "",
            "localhost",
            "127.0.0.1:8080",
            "bedrock-runtime",
            "bedrock-runtime.us-east-1",
            "bedrock-runtime.amazonaws.com",
            "bedrock-runtime..amazonaws.com",
            "bedrock.us-east-1.amazonaws.com",
            "bedrock-runtime.us-east-1.amazonaws.com.example.com",
            "example.com.bedrock-runtime.us-east-1.amazonaws.com",
            "vpce-1.bedrock-runtime.us-east-1.amazonaws.com",
            "bedrock-runtime.US-EAST-1.amazonaws.com",
            "bedrock-runtime.a.b.amazonaws.com",
        ] {
            assert_eq!(region_of_host(host), None, "{host}");
        }
    }
}
