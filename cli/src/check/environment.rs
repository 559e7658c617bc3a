//! What AWS's default chain of credentials finds on this machine.
//!
//! It is read once and passed in, so that checking depends on nothing but its arguments.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::plan::{AwsContainer, ContainerToken, SecretValue};
use crate::resources::Platform;

/// The part of the process's surroundings that resources may refer to.
#[derive(Clone, Default)]
pub struct Environment {
    /// Whose surroundings they are.
    pub platform: Platform,
    /// Environment variables; only those of [`VARIABLES`] are looked at.
    pub variables: BTreeMap<String, String>,
    /// The text of the user's credentials file (`AWS_SHARED_CREDENTIALS_FILE`, else `~/.aws/credentials`).
    pub aws_credentials_file: Option<SecretValue>,
    /// The text of Google's Application Default Credentials (`GOOGLE_APPLICATION_CREDENTIALS`, else those of gcloud).
    pub google_credentials_file: Option<SecretValue>,
    /// Whether the machine is one of Google's, which have a metadata server.
    pub is_on_google: bool,
}

/// The variables that are looked at.
pub const VARIABLES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "AZURE_TENANT_ID",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_STS",
    "GCE_METADATA_HOST",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
];

/// What the default chain comes to, in its order: environment, credentials file, container endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultChain {
    /// A credentials file, also where the environment holds the keys: it is written in that form.
    File {
        /// Its text.
        text: SecretValue,
        /// The profile to take.
        profile: String,
    },
    /// The endpoint of EKS Pod Identity or ECS.
    Container(AwsContainer),
    /// Something is there that cannot be used; what it is.
    Unusable(String),
    /// Nothing is there.
    Nothing,
}

impl Environment {
    /// What is known of a pod's surroundings before there is a pod: nothing.
    #[must_use]
    pub fn of_platform(platform: Platform) -> Environment {
        Environment { platform, ..Environment::default() }
    }

    /// What this process has.
    #[must_use]
    pub fn of_process() -> Environment {
        let variables = VARIABLES
            .iter()
            .filter_map(|name| std::env::var(name).ok().map(|value| ((*name).to_owned(), value)))
            .collect();
        let read = |path: Option<PathBuf>| std::fs::read_to_string(path?).ok().map(SecretValue);
        Environment {
            variables,
            aws_credentials_file: read(Environment::aws_credentials_path()),
            google_credentials_file: read(Environment::google_credentials_path()),
            // As Google's own libraries tell.
            is_on_google: std::fs::read_to_string("/sys/class/dmi/id/product_name")
                .is_ok_and(|name| name.starts_with("Google")),
            ..Environment::default()
        }
    }

    /// Where the user's credentials file is to be.
    #[must_use]
    pub fn aws_credentials_path() -> Option<PathBuf> {
        std::env::var_os("AWS_SHARED_CREDENTIALS_FILE")
            .map(PathBuf::from)
            .or_else(|| std::env::home_dir().map(|home| home.join(".aws").join("credentials")))
    }

    /// Where Google's Application Default Credentials are to be.
    #[must_use]
    pub fn google_credentials_path() -> Option<PathBuf> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let of_gcloud =
            || set("CLOUDSDK_CONFIG").or_else(|| Some(std::env::home_dir()?.join(".config").join("gcloud")));
        set("GOOGLE_APPLICATION_CREDENTIALS")
            .or_else(|| Some(of_gcloud()?.join("application_default_credentials.json")))
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Goes through AWS's default chain.
    #[must_use]
    pub fn aws_default_chain(&self) -> DefaultChain {
        let keys = (self.variable("AWS_ACCESS_KEY_ID"), self.variable("AWS_SECRET_ACCESS_KEY"));
        match keys {
            (Some(id), Some(secret)) => return self.keys_of_environment(id, secret),
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
        let profile = self.variable("AWS_PROFILE").unwrap_or("default").to_owned();
        if let Some(text) = &self.aws_credentials_file
            && profiles(&text.0).iter().any(|found| found.name == profile && found.is_complete())
        {
            return DefaultChain::File { text: text.clone(), profile };
        }
        let container = self.container();
        if container == DefaultChain::Nothing && self.variable("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() {
            return DefaultChain::Unusable(
                "AWS_WEB_IDENTITY_TOKEN_FILE is set, and roles for service accounts (IRSA) are not supported yet: \
                 use EKS Pod Identity"
                    .to_owned(),
            );
        }
        container
    }

    fn keys_of_environment(&self, id: &str, secret: &str) -> DefaultChain {
        let mut text = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        if let Some(token) = self.variable("AWS_SESSION_TOKEN") {
            text.push_str(&format!("aws_session_token = {token}\n"));
        }
        DefaultChain::File { text: SecretValue(text), profile: "default".to_owned() }
    }

    fn container(&self) -> DefaultChain {
        /// The host that relative URIs are for, see ECS's task roles.
        const ECS_HOST: &str = "http://169.254.170.2";
        let uri = match (
            self.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
            self.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        ) {
            (Some(relative), _) => format!("{ECS_HOST}{relative}"),
            (None, Some(full)) => full.to_owned(),
            (None, None) => return DefaultChain::Nothing,
        };
        let file = self.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        let value = self.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
        let token = match (file, value) {
            (Some(file), _) => Some(ContainerToken::File(file.to_owned())),
            (None, Some(value)) => Some(ContainerToken::Value(SecretValue(value.to_owned()))),
            (None, None) => None,
        };
        match container_endpoint(&uri) {
            Some(endpoint) => DefaultChain::Container(AwsContainer { token, ..endpoint }),
            None => DefaultChain::Unusable(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI is not a URI such as http://169.254.170.23/v1/credentials"
                    .to_owned(),
            ),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The names only: some of the values are secrets.
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys().collect::<Vec<_>>())
            .field("aws_credentials_file", &self.aws_credentials_file)
            .field("google_credentials_file", &self.google_credentials_file)
            .finish()
    }
}

fn container_endpoint(uri: &str) -> Option<AwsContainer> {
    let (tls, rest) = match uri.strip_prefix("http://") {
        Some(rest) => (false, rest),
        None => (true, uri.strip_prefix("https://")?),
    };
    let split = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(split)?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok()?,
        None if tls => 443,
        None => 80,
    };
    let path = if path.is_empty() { "/" } else { path };
    (!host.is_empty()).then(|| AwsContainer {
        host: host.to_owned(),
        port,
        tls,
        path: path.to_owned(),
        token: None,
    })
}

/// A profile of an AWS credentials file, without its values.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    has_key_id: bool,
    has_secret: bool,
}

impl Profile {
    /// Whether both halves of the key are there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.has_key_id && self.has_secret
    }
}

/// The profiles of an AWS credentials file.
#[must_use]
pub fn profiles(file: &str) -> Vec<Profile> {
    let mut found: Vec<Profile> = Vec::new();
    for line in file.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            found.push(Profile { name: name.trim().to_owned(), ..Profile::default() });
        } else if let (Some(profile), Some((key, value))) = (found.last_mut(), line.split_once('=')) {
            let given = !value.trim().is_empty();
            match key.trim() {
                "aws_access_key_id" => profile.has_key_id |= given,
                "aws_secret_access_key" => profile.has_secret |= given,
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(variables: &[(&str, &str)], file: Option<&str>) -> DefaultChain {
        Environment {
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            aws_credentials_file: file.map(|text| SecretValue(text.to_owned())),
            ..Environment::default()
        }
        .aws_default_chain()
    }

    #[test]
    fn the_first_of_the_chain_wins() {
        let file = "[default]\naws_access_key_id=F\naws_secret_access_key=G\n";
        let uri = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials");
        let keys =
            [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "B"), ("AWS_SESSION_TOKEN", "C"), uri];
        let DefaultChain::File { text, profile } = chain(&keys, Some(file)) else { panic!() };
        assert_eq!(profile, "default");
        assert!(text.0.contains("= A\n") && text.0.contains("= B\n") && text.0.contains("= C\n"));
        assert!(matches!(chain(&[uri], Some(file)), DefaultChain::File { .. }));
        assert!(matches!(chain(&[uri, ("AWS_PROFILE", "other")], Some(file)), DefaultChain::Container(_)));
        assert!(matches!(chain(&[("AWS_ACCESS_KEY_ID", "A"), uri], None), DefaultChain::Unusable(_)));
        assert!(matches!(chain(&[("AWS_WEB_IDENTITY_TOKEN_FILE", "/t")], None), DefaultChain::Unusable(_)));
        assert_eq!(chain(&[], None), DefaultChain::Nothing);
    }

    #[test]
    fn container_endpoints() {
        let cases = [
            ("http://169.254.170.23/v1/credentials", Some(("169.254.170.23", 80, false, "/v1/credentials"))),
            ("http://[fd00:ec2::23]/v1/credentials", Some(("fd00:ec2::23", 80, false, "/v1/credentials"))),
            ("http://localhost:1234/x?y=z", Some(("localhost", 1234, false, "/x?y=z"))),
            ("https://host", Some(("host", 443, true, "/"))),
            ("ftp://host/", None),
            ("http:///x", None),
            ("http://host:port/", None),
        ];
        for (uri, expected) in cases {
            let found = container_endpoint(uri);
            let parts = found.as_ref().map(|e| (e.host.as_str(), e.port, e.tls, e.path.as_str()));
            assert_eq!(parts, expected, "{uri}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let environment = Environment {
            variables: [("AWS_SECRET_ACCESS_KEY".to_owned(), "hush".to_owned())].into(),
            aws_credentials_file: Some(SecretValue("hush".to_owned())),
            google_credentials_file: Some(SecretValue("hush".to_owned())),
            ..Environment::default()
        };
        assert!(!format!("{environment:?} {:?}", environment.aws_default_chain()).contains("hush"));
    }
}
