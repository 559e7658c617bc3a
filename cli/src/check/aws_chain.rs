//! What AWS's default chain of credentials finds on this machine, in botocore's order, and where AWS is asked.

use weir_core::auth::{AwsNeeds, Sts, Url};

use super::environment::Environment;
use crate::plan::{AwsContainer, ContainerToken, SecretValue};

/// What the default chain comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultChain {
    /// A credentials file, also where the environment holds the keys: it is written in that form.
    File {
        /// Its text.
        text: SecretValue,
        /// The profile to take.
        profile: String,
        /// What the profile needs besides.
        needs: AwsNeeds,
    },
    /// The token of a service account (IRSA), and the role that it is for.
    WebIdentity {
        /// `AWS_WEB_IDENTITY_TOKEN_FILE`
        token_file: String,
        /// `AWS_ROLE_ARN`
        role: String,
        /// `AWS_ROLE_SESSION_NAME`
        session: Option<String>,
    },
    /// The endpoint of EKS Pod Identity or ECS.
    Container(AwsContainer),
    /// Nothing but the metadata of an EC2 instance, if the machine is one.
    Instance,
    /// Something is there that cannot be used; what it is.
    Unusable(String),
    /// Nothing is there.
    Nothing,
}

/// Goes through the chain.
#[must_use]
pub fn of(environment: &Environment) -> DefaultChain {
    let variable = |name| environment.variable(name);
    match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => return keys(id, secret, variable("AWS_SESSION_TOKEN")),
        (Some(_), None) => {
            return DefaultChain::Unusable(
                "AWS_ACCESS_KEY_ID is set without AWS_SECRET_ACCESS_KEY".to_owned(),
            );
        }
        (None, Some(_)) => {
            return DefaultChain::Unusable(
                "AWS_SECRET_ACCESS_KEY is set without AWS_ACCESS_KEY_ID".to_owned(),
            );
        }
        (None, None) => {}
    }
    let profile = variable("AWS_PROFILE").unwrap_or("default").to_owned();
    let text = environment.aws_files();
    let needs = AwsNeeds::are_said(&text.0, &profile).then(|| AwsNeeds::of(&text.0, &profile));
    let has_token = variable("AWS_WEB_IDENTITY_TOKEN_FILE").is_some();
    match needs {
        Some(Ok(needs)) if needs.has_role || !has_token => DefaultChain::File { text, profile, needs },
        Some(Err(error)) if !has_token => DefaultChain::Unusable(error.to_string()),
        Some(_) | None => after_files(environment),
    }
}

/// What comes after files. The token of a service account comes before a profile's own keys.
fn after_files(environment: &Environment) -> DefaultChain {
    let variable = |name| environment.variable(name);
    if let Some(file) = variable("AWS_WEB_IDENTITY_TOKEN_FILE") {
        return match variable("AWS_ROLE_ARN") {
            Some(role) => DefaultChain::WebIdentity {
                token_file: file.to_owned(),
                role: role.to_owned(),
                session: variable("AWS_ROLE_SESSION_NAME").map(str::to_owned),
            },
            None => {
                DefaultChain::Unusable("AWS_WEB_IDENTITY_TOKEN_FILE is set without AWS_ROLE_ARN".to_owned())
            }
        };
    }
    let is_disabled = variable("AWS_EC2_METADATA_DISABLED").is_some_and(is_true);
    match container(environment) {
        DefaultChain::Nothing if !is_disabled => DefaultChain::Instance,
        found => found,
    }
}

fn is_true(value: &str) -> bool {
    value.trim().eq_ignore_ascii_case("true")
}

fn keys(id: &str, secret: &str, token: Option<&str>) -> DefaultChain {
    let mut text = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    if let Some(token) = token {
        text.push_str(&format!("aws_session_token = {token}\n"));
    }
    let needs = AwsNeeds::default();
    DefaultChain::File { text: SecretValue(text), profile: "default".to_owned(), needs }
}

/// The endpoint of a container, if the environment names one.
#[must_use]
pub fn container(environment: &Environment) -> DefaultChain {
    /// The host that relative URIs are for, see ECS's task roles.
    const ECS_HOST: &str = "http://169.254.170.2";
    let variable = |name| environment.variable(name);
    let uri = match (
        variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    ) {
        (Some(relative), _) => format!("{ECS_HOST}{relative}"),
        (None, Some(full)) => full.to_owned(),
        (None, None) => return DefaultChain::Nothing,
    };
    let file = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    let value = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    let token = match (file, value) {
        (Some(file), _) => Some(ContainerToken::File(file.to_owned())),
        (None, Some(value)) => Some(ContainerToken::Value(SecretValue(value.to_owned()))),
        (None, None) => None,
    };
    match Url::parse(&uri) {
        Some(Url { host, port, is_tls, path, .. }) => {
            DefaultChain::Container(AwsContainer { host, port, tls: is_tls, path, token })
        }
        None => DefaultChain::Unusable(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI is not a URI such as http://169.254.170.23/v1/credentials"
                .to_owned(),
        ),
    }
}

/// Where the metadata of an EC2 instance is.
#[must_use]
pub fn instance(environment: &Environment) -> String {
    let mode = environment.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    let usual = if mode.is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6")) {
        "http://[fd00:ec2::254]"
    } else {
        "http://169.254.169.254"
    };
    let own = environment.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    own.unwrap_or(usual).trim_end_matches('/').to_owned()
}

/// The ends of AWS's host names by the beginnings of its regions, as botocore's `partitions.json` has them.
const DOMAINS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("us-iso-", "c2s.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
];

/// The regions whose STS was the one of all regions before each had its own.
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-sts-regionalized-endpoints.html>
const LEGACY: [&str; 16] = [
    "ap-northeast-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "aws-global",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// The STS to ask for a policy of `region`: that of the region in the environment, else of the policy's.
#[must_use]
pub fn sts(environment: &Environment, region: &str) -> Sts {
    let variable = |name| environment.variable(name);
    let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).unwrap_or(region);
    let is_ignored = variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(is_true);
    let own = variable("AWS_ENDPOINT_URL_STS").or_else(|| variable("AWS_ENDPOINT_URL"));
    let is_legacy = variable("AWS_STS_REGIONAL_ENDPOINTS").is_some_and(|value| value == "legacy");
    let (url, region) = match own.filter(|_| !is_ignored) {
        Some(url) => (url.to_owned(), region),
        None if is_legacy && LEGACY.contains(&region) => {
            ("https://sts.amazonaws.com".to_owned(), "us-east-1")
        }
        None => {
            let domain = DOMAINS.iter().find(|(start, _)| region.starts_with(start));
            let domain = domain.map_or("amazonaws.com", |(_, domain)| domain);
            (format!("https://sts.{region}.{domain}"), region)
        }
    };
    Sts { url, region: region.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)], file: Option<&str>) -> Environment {
        Environment {
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            aws_credentials_file: file.map(|text| SecretValue(text.to_owned())),
            ..Environment::default()
        }
    }

    fn chain(variables: &[(&str, &str)], file: Option<&str>) -> DefaultChain {
        of(&environment(variables, file))
    }

    const URI: (&str, &str) = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials");
    const TOKEN: (&str, &str) = ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t");
    const ROLE: (&str, &str) = ("AWS_ROLE_ARN", "arn:r");

    #[test]
    fn the_first_of_the_chain_wins() {
        let file = "[default]\naws_access_key_id=F\naws_secret_access_key=G\n\
                    [role]\nrole_arn=arn:r\nsource_profile=default\n[sso]\nsso_session=s\n";
        let keys =
            [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "B"), ("AWS_SESSION_TOKEN", "C"), URI];
        let DefaultChain::File { text, profile, .. } = chain(&keys, Some(file)) else { panic!() };
        assert_eq!(profile, "default");
        assert!(text.0.contains("= A\n") && text.0.contains("= B\n") && text.0.contains("= C\n"));
        let role = [("AWS_PROFILE", "role"), TOKEN, ROLE, URI];
        let DefaultChain::File { needs, .. } = chain(&role, Some(file)) else { panic!() };
        assert!(needs.has_role && needs.sts);
        assert!(matches!(chain(&[TOKEN, ROLE, URI], Some(file)), DefaultChain::WebIdentity { .. }));
        assert!(matches!(chain(&[URI], Some(file)), DefaultChain::File { .. }));
        assert!(matches!(chain(&[URI, ("AWS_PROFILE", "other")], Some(file)), DefaultChain::Container(_)));
        assert_eq!(chain(&[], None), DefaultChain::Instance);
        assert_eq!(chain(&[("AWS_EC2_METADATA_DISABLED", "TRUE")], None), DefaultChain::Nothing);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let sso = "[default]\nsso_session=s\n";
        for (variables, file, why) in [
            (&[("AWS_ACCESS_KEY_ID", "A"), URI][..], None, "without AWS_SECRET_ACCESS_KEY"),
            (&[TOKEN], None, "without AWS_ROLE_ARN"),
            (&[URI], Some(sso), "profile default of the credentials file has no keys; sso_session is not"),
            (&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "ftp://x")], None, "is not a URI"),
        ] {
            let found = chain(variables, file);
            assert!(matches!(&found, DefaultChain::Unusable(reason) if reason.contains(why)), "{found:?}");
        }
    }

    #[test]
    fn the_files_of_profiles_are_one() {
        let environment = Environment {
            aws_config_file: Some(SecretValue("[profile a]\nrole_arn=arn:r\nsource_profile=b".to_owned())),
            ..environment(&[("AWS_PROFILE", "a")], Some("[b]\naws_access_key_id=A\naws_secret_access_key=B"))
        };
        assert!(matches!(of(&environment), DefaultChain::File { needs, .. } if needs.has_role));
    }

    #[test]
    fn a_container_has_a_token_or_none() {
        let of = |variables: &[(&str, &str)]| match container(&environment(variables, None)) {
            DefaultChain::Container(found) => (found.host, found.port, found.path, found.token),
            found => panic!("{found:?}"),
        };
        let file = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/f");
        let pod = of(&[URI, file, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "t")]);
        let token = Some(ContainerToken::File("/f".to_owned()));
        assert_eq!(pod, ("169.254.170.23".to_owned(), 80, "/v1/credentials".to_owned(), token));
        let ecs = of(&[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x")]);
        assert_eq!(ecs, ("169.254.170.2".to_owned(), 80, "/v2/x".to_owned(), None));
    }

    #[test]
    fn sts_is_that_of_the_region() {
        for (variables, region, url, signed_for) in [
            (&[][..], "eu-central-1", "https://sts.eu-central-1.amazonaws.com", "eu-central-1"),
            (&[], "cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            (&[], "us-gov-west-1", "https://sts.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
            (&[], "us-isob-east-1", "https://sts.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
            (&[("AWS_REGION", "eu-west-1")], "us-east-1", "https://sts.eu-west-1.amazonaws.com", "eu-west-1"),
            (
                &[("AWS_STS_REGIONAL_ENDPOINTS", "legacy")],
                "eu-west-1",
                "https://sts.amazonaws.com",
                "us-east-1",
            ),
            (
                &[("AWS_STS_REGIONAL_ENDPOINTS", "legacy")],
                "eu-south-1",
                "https://sts.eu-south-1.amazonaws.com",
                "eu-south-1",
            ),
            (&[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")], "eu-west-1", "http://127.0.0.1:1", "eu-west-1"),
            (
                &[
                    ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
                    ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
                ],
                "eu-west-1",
                "https://sts.eu-west-1.amazonaws.com",
                "eu-west-1",
            ),
        ] {
            let sts = sts(&environment(variables, None), region);
            assert_eq!((sts.url.as_str(), sts.region.as_str()), (url, signed_for), "{variables:?} {region}");
        }
    }

    #[test]
    fn the_metadata_may_be_elsewhere() {
        let of = |variables: &[(&str, &str)]| instance(&environment(variables, None));
        assert_eq!(of(&[]), "http://169.254.169.254");
        let mode = ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6");
        assert_eq!(of(&[mode]), "http://[fd00:ec2::254]");
        let own = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1338/");
        assert_eq!(of(&[mode, own]), "http://127.0.0.1:1338");
    }

    #[test]
    fn nothing_secret_is_shown() {
        let environment =
            environment(&[("AWS_SECRET_ACCESS_KEY", "hush"), ("AWS_ACCESS_KEY_ID", "A")], Some("hush"));
        assert!(!format!("{environment:?} {:?}", of(&environment)).contains("hush"));
    }
}
