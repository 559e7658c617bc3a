//! The places credentials come from, a file each: what the configuration says of it, and a function `fetch` that asks
//! [`Io`] for one thing after the other and reads the answers. When to fetch is [`Renewal`](super::Renewal)'s business.

mod aws_default;
mod aws_environment;
mod aws_file;
mod azure;
mod container;
mod error;
mod google;
mod hosts;
mod key;
mod oauth;
mod oidc;
#[cfg(test)]
mod script;
mod secret_header;

use serde::{Deserialize, Serialize};

pub use azure::{AzureApp, AzureDefault, AzureManaged, AzureProof, ManagedServer};
pub use container::ContainerEndpoint;
pub use error::SourceError;
pub use google::{GoogleFederation, GoogleFile, GoogleFileNeeds, GoogleMetadata};
pub use hosts::{Hosts, Url};
pub use oidc::Oidc;
pub use secret_header::{SECRET_HEADER_PREFIX, decode_secret_header, secret_header};

use super::credentials::{Fresh, Io};
use super::{AwsCredentials, FetchError, Secret};

/// Where a credential is to be had. It names secrets and holds none, so it may be part of a configuration that
/// anybody can read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A key of a Secret, whose value is an API key.
    Secret {
        /// The Secret, as `namespace/name`.
        name: String,
        /// The key in it, such as `apiKey`.
        key: String,
    },
    /// A key of a Secret, whose value is an AWS credentials file.
    AwsFile(AwsProfile),
    /// Where the AWS SDKs look when they are told nothing: the environment, then the container's endpoint.
    AwsDefault {
        /// The endpoint of AWS_CONTAINER_CREDENTIALS_FULL_URI, if that is set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        container: Option<ContainerEndpoint>,
    },
    /// A credentials file of Google's, in a key of a Secret.
    GoogleFile(GoogleFile),
    /// The token of another provider, exchanged for one of Google Cloud.
    GoogleFederation(GoogleFederation),
    /// Google's metadata server.
    GoogleMetadata(GoogleMetadata),
    /// An application of Entra ID.
    AzureApp(AzureApp),
    /// A managed identity of Azure.
    AzureManaged(AzureManaged),
    /// The identity of a pod in Azure.
    AzureDefault(AzureDefault),
}

/// A profile of an AWS credentials file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsProfile {
    /// The Secret, as `namespace/name`.
    pub name: String,
    /// The key in it.
    #[serde(default = "credentials_key")]
    pub key: String,
    /// The profile in the file.
    #[serde(default = "default_profile")]
    pub profile: String,
}

fn credentials_key() -> String {
    "credentials".to_owned()
}

fn default_profile() -> String {
    "default".to_owned()
}

/// The hosts in a source, shared or to be changed as the source is.
macro_rules! hosts_of {
    ($source:expr) => {
        match $source {
            Source::Secret { .. } | Source::AwsFile(_) | Source::AwsDefault { .. } => None,
            Source::GoogleFile(GoogleFile { hosts, .. })
            | Source::GoogleFederation(GoogleFederation { hosts, .. })
            | Source::GoogleMetadata(GoogleMetadata { hosts, .. })
            | Source::AzureApp(AzureApp { hosts, .. })
            | Source::AzureManaged(AzureManaged { hosts, .. })
            | Source::AzureDefault(AzureDefault { hosts, .. }) => Some(hosts),
        }
    };
}

impl Source {
    /// Gets the credential: each source in its own file.
    pub(super) async fn fetch(&self, io: &Io) -> Result<Fresh, FetchError> {
        match self {
            Source::Secret { name, key } => key::fetch(name, key, io).await,
            Source::AwsFile(profile) => aws_file::fetch(profile, io).await,
            Source::AwsDefault { container } => aws_default::fetch(container.as_ref(), io).await,
            Source::GoogleFile(file) => file.fetch(io).await,
            Source::GoogleFederation(federation) => federation.fetch(io).await,
            Source::GoogleMetadata(server) => server.fetch(io).await,
            Source::AzureApp(app) => app.fetch(io).await,
            Source::AzureManaged(identity) => identity.fetch(io).await,
            Source::AzureDefault(pod) => pod.fetch(io).await,
        }
    }

    /// The Secret that it reads, as `namespace/name`, and the key in it.
    #[must_use]
    pub fn secret(&self) -> Option<(&str, &str)> {
        let (name, key) = match self {
            Source::Secret { name, key }
            | Source::AwsFile(AwsProfile { name, key, .. })
            | Source::GoogleFile(GoogleFile { name, key, .. })
            | Source::GoogleFederation(GoogleFederation { oidc: Oidc { name, key, .. }, .. })
            | Source::AzureApp(AzureApp {
                proof: AzureProof::Secret { name, key } | AzureProof::Oidc(Oidc { name, key, .. }),
                ..
            })
            | Source::AzureManaged(AzureManaged {
                server: ManagedServer::AppService { name, key, .. },
                ..
            }) => (name, key),
            Source::AwsDefault { .. }
            | Source::GoogleMetadata(_)
            | Source::AzureApp(AzureApp { proof: AzureProof::File(_), .. })
            | Source::AzureManaged(AzureManaged { server: ManagedServer::Imds(_), .. })
            | Source::AzureDefault(_) => return None,
        };
        Some((name, key))
    }

    /// The servers that it calls, where the configuration names their clusters.
    #[must_use]
    pub fn hosts(&self) -> Option<&Hosts> {
        hosts_of!(self)
    }

    /// The same servers, for a proxy that calls their clusters otherwise.
    pub fn hosts_mut(&mut self) -> Option<&mut Hosts> {
        hosts_of!(self)
    }
}

impl AwsCredentials {
    /// Sees to it that every part can be in a header. `names` is what the source calls the parts.
    pub(super) fn check(self, names: [&'static str; 3]) -> Result<Self, SourceError> {
        let [id, secret, token] = names;
        if !Secret::new(self.access_key_id.as_str()).is_header_value() {
            Err(SourceError::UnusableValue(id))
        } else if !self.secret_access_key.is_header_value() {
            Err(SourceError::UnusableValue(secret))
        } else if !self.session_token.as_ref().is_none_or(Secret::is_header_value) {
            Err(SourceError::UnusableValue(token))
        } else {
            Ok(self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_written_as_in_the_configuration() {
        let parse = |json: &str| serde_json::from_str::<Source>(json).unwrap();
        assert_eq!(
            parse(r#"{"type":"secret","name":"default/openai-key","key":"apiKey"}"#),
            Source::Secret { name: "default/openai-key".to_owned(), key: "apiKey".to_owned() }
        );
        assert_eq!(
            parse(r#"{"type":"aws_file","name":"default/aws"}"#),
            Source::AwsFile(AwsProfile {
                name: "default/aws".to_owned(),
                key: "credentials".to_owned(),
                profile: "default".to_owned(),
            })
        );
        assert_eq!(parse(r#"{"type":"aws_default"}"#), Source::AwsDefault { container: None });
        let container = r#"{"type":"aws_default","container":{"cluster":"c","authority":"169.254.170.23","path":"/v1/credentials"}}"#;
        assert_eq!(serde_json::to_string(&parse(container)).unwrap(), container);
        for written in [
            r#"{"type":"google_file","name":"n","key":"k","hosts":{"https://a.b":"c"}}"#,
            r#"{"type":"google_metadata","server":"http://a.b","hosts":{}}"#,
            r#"{"type":"azure_app","token_url":"u","client_id":"i","resource":"r","proof":{"file":"/f"},"hosts":{}}"#,
            r#"{"type":"azure_managed","server":{"imds":"http://a.b"},"resource":"r","hosts":{}}"#,
            r#"{"type":"azure_default","entra":"e","imds":"i","resource":"r","hosts":{}}"#,
        ] {
            assert_eq!(serde_json::to_string(&parse(written)).unwrap(), written);
        }
        for bad in [
            r#"{"type":"google_metadata","server":"http://a.b"}"#,
            r#"{"type":"azure_app","token_url":"u","client_id":"i","resource":"r","proof":{"x":"/f"},"hosts":{}}"#,
            r#"{"type":"azure_default","entra":"e","imds":"i","resource":"r","hosts":{},"secret":"s"}"#,
            r#"{"type":"secret","name":"n"}"#,
            r#"{"type":"secret","name":"n","key":"k","value":"v"}"#,
            r#"{"type":"aws_file","name":"n","Profile":"p"}"#,
            r#"{"type":"aws_default","cluster":"c"}"#,
            r#"{"type":"imds"}"#,
        ] {
            assert!(serde_json::from_str::<Source>(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused_and_errors_are_short(
            text in "(\\[|\\]|=|\n|[ -~]|\\PC){0,200}",
            status: u16,
        ) {
            let _ = decode_secret_header(&text);
            let _ = aws_file::parse(&text, "default").map_err(|error| assert!(error.to_string().len() < 10_000));
            let answer = crate::auth::HttpAnswer { status, body: text.into_bytes() };
            let _ = container::parse(&answer).map_err(|error| assert!(error.to_string().len() < 2_000));
        }

        #[test]
        fn a_written_profile_is_read_back(
            id in "[A-Z0-9]{1,20}",
            secret in "[A-Za-z0-9/+=]{1,60}",
            token in proptest::option::of("[A-Za-z0-9/+=]{1,100}"),
            profile in "[A-Za-z0-9_.-]{1,20}",
            section in proptest::sample::select(vec!["[N]", "[profile N]", " [ profile \"N\" ] # x"]),
            end in proptest::sample::select(vec!["\n", "\r\n", "  \n", " # comment\n"]),
        ) {
            let section = section.replace('N', &profile);
            let mut text = format!(
                "[a b]\naws_access_key_id=other\n{section}\n\
                 aws_access_key_id = {id}{end}aws_secret_access_key={secret}{end}"
            );
            if let Some(token) = &token {
                text.push_str(&format!("aws_session_token =\t{token}{end}"));
            }
            let read = aws_file::parse(&text, &profile);
            let written = AwsCredentials {
                access_key_id: id,
                secret_access_key: Secret::new(secret),
                session_token: token.map(Secret::new),
            };
            proptest::prop_assert_eq!(read, Ok(written));
        }
    }
}
