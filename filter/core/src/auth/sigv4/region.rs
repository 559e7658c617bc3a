//! The service and the region that a Bedrock host stands for.

/// The service of hosts that say none.
const BEDROCK: &str = "bedrock";

/// The first label of a host, and the service that it signs for.
const SERVICES: &[(&str, &str)] = &[
    ("bedrock-runtime", BEDROCK),
    ("bedrock-runtime-fips", BEDROCK),
    // <https://docs.aws.amazon.com/bedrock/latest/userguide/endpoints.html>
    ("bedrock-mantle", "bedrock-mantle"),
];

/// What follows the region: the suffixes of AWS's partitions, as botocore's `partitions.json` has them.
const DOMAINS: &[&str] = &[
    "amazonaws.com",
    "api.aws",
    "amazonaws.com.cn",
    "api.amazonwebservices.com.cn",
    "amazonaws.eu",
    "api.amazonwebservices.eu",
    "c2s.ic.gov",
    "api.aws.ic.gov",
    "sc2s.sgov.gov",
    "api.aws.scloud",
    "cloud.adc-e.uk",
    "api.cloud-aws.adc-e.uk",
    "csp.hci.ic.gov",
    "api.aws.hci.ic.gov",
];

/// The region that a host name of Bedrock says, which wins over the policy's. `None` for any other host; a port does
/// not count.
///
/// `bedrock-runtime[-fips].REGION.(amazonaws.com|api.aws|vpce.amazonaws.com)`, before which an interface endpoint
/// has its own name: <https://docs.aws.amazon.com/general/latest/gr/bedrock.html>.
#[must_use]
pub fn region_of_host(host: &str) -> Option<&str> {
    parts(host).map(|(_, region)| region)
}

/// The service that requests to a host are signed for: `bedrock` for all that do not say another.
#[must_use]
pub fn service_of_host(host: &str) -> &'static str {
    parts(host).map_or(BEDROCK, |(service, _)| service)
}

fn parts(host: &str) -> Option<(&'static str, &str)> {
    let host = host.split_once(':').map_or(host, |(host, _port)| host);
    let (first, rest) = host.split_once('.')?;
    let endpoint_name = starts_with(first, "vpce-");
    let (label, rest) = if endpoint_name { rest.split_once('.')? } else { (first, rest) };
    let (_, service) = SERVICES.iter().find(|(name, _)| label.eq_ignore_ascii_case(name))?;
    let (region, domain) = rest.split_once('.')?;
    let inside = strip_prefix(domain, "vpce.");
    let domain = inside.unwrap_or(domain);
    let known = (inside.is_some() || !endpoint_name)
        && DOMAINS.iter().any(|known| domain.eq_ignore_ascii_case(known));
    // Upper case is left to the policy: a region is signed as it is written, and always in lower case.
    let is_region = !region.is_empty()
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    (known && is_region).then_some((*service, region))
}

fn starts_with(text: &str, prefix: &str) -> bool {
    strip_prefix(text, prefix).is_some()
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let start = text.get(..prefix.len())?;
    if start.eq_ignore_ascii_case(prefix) { text.get(prefix.len()..) } else { None }
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
            ("bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("bedrock-runtime.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
            ("bedrock-mantle.us-east-2.api.aws", "us-east-2"),
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

    #[test]
    fn a_host_says_the_service_that_it_signs_for() {
        for (host, service) in [
            ("bedrock-mantle.us-east-2.api.aws:443", "bedrock-mantle"),
            ("bedrock-runtime.us-east-2.amazonaws.com", "bedrock"),
            ("127.0.0.1:8080", "bedrock"),
            ("bedrock-mantle.example.com", "bedrock"),
        ] {
            assert_eq!(service_of_host(host), service, "{host}");
        }
    }
}
