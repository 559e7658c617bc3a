//! The places credentials come from, a file each: what the configuration says of it, and a function `fetch` that asks
//! [`Io`] for one thing after the other and reads the answers. When to fetch is [`Renewal`](super::Renewal)'s business.

mod aws;
mod azure;
mod error;
mod google;
mod hosts;
mod key;
mod oauth;
mod oidc;
#[cfg(test)]
mod script;
mod secret_header;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chrono::DateTime;
use serde::{Deserialize, Serialize};

pub use aws::{AwsCalls, AwsNeeds, AwsProfile, AwsWebIdentity, ContainerEndpoint, Sts, WebToken};
pub use azure::{AzureApp, AzureDefault, AzureManaged, AzureProof, ManagedServer};
pub use error::SourceError;
pub use google::{GoogleFederation, GoogleFile, GoogleFileNeeds, GoogleMetadata};
pub use hosts::{Hosts, Url};
pub use oidc::Oidc;
pub use secret_header::{SECRET_HEADER_PREFIX, decode_secret_header, secret_header};

use super::credentials::{Fresh, Io};
use super::{FetchError, Secret};

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
    /// Where the AWS SDKs look when they are told nothing.
    AwsDefault(AwsCalls),
    /// A role of AWS for a token of another provider.
    AwsWebIdentity(AwsWebIdentity),
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

/// The hosts in a source, shared or to be changed as the source is.
macro_rules! hosts_of {
    ($source:expr) => {
        match $source {
            Source::Secret { .. } => None,
            Source::AwsFile(AwsProfile { calls: AwsCalls { hosts, .. }, .. })
            | Source::AwsDefault(AwsCalls { hosts, .. })
            | Source::AwsWebIdentity(AwsWebIdentity { hosts, .. })
            | Source::GoogleFile(GoogleFile { hosts, .. })
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
            Source::AwsFile(profile) => profile.fetch(io).await,
            Source::AwsDefault(calls) => calls.fetch(io).await,
            Source::AwsWebIdentity(identity) => identity.fetch(io).await,
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
            | Source::AwsWebIdentity(AwsWebIdentity {
                token: WebToken::Oidc(Oidc { name, key, .. }), ..
            })
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
            Source::AwsDefault(_)
            | Source::AwsWebIdentity(AwsWebIdentity { token: WebToken::File(_), .. })
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

/// How much of an error's text is kept, in characters.
const MAX_REASON: usize = 300;

/// What a server says of an error, on one line and without the secrets that it was sent. It may repeat them as they
/// were sent: as they are, in a form, or either of these in Base64.
fn hidden(text: &str, sent: &[&Secret]) -> String {
    let line = |text: &str| text.chars().filter(|character| !character.is_control()).collect::<String>();
    let secrets = sent.iter().map(|secret| line(secret.expose())).filter(|secret| !secret.is_empty());
    let plain = secrets.flat_map(|secret| [oauth::encoded(&secret), secret]);
    let forms = plain.flat_map(|form| in_base64(&form).into_iter().chain([form]).collect::<Vec<_>>());
    let text = forms.fold(line(text), |text, form| text.replace(&form, "***"));
    text.chars().take(MAX_REASON).collect()
}

/// What Base64 has of a text, wherever that begins within what is encoded: the letters in which nothing else is.
fn in_base64(text: &str) -> Vec<String> {
    let from = |before: usize| {
        let encoded = STANDARD_NO_PAD.encode([&vec![0; before], text.as_bytes()].concat());
        let letters = (before * 8).div_ceil(6)..(before + text.len()) * 8 / 6;
        encoded.get(letters).unwrap_or_default().to_owned()
    };
    (0..3).map(from).filter(|part| !part.is_empty()).collect()
}

/// A time as RFC 3339 has it, in seconds of Unix time.
fn time(text: &str) -> Option<u64> {
    DateTime::parse_from_rfc3339(text).ok().and_then(|time| u64::try_from(time.timestamp()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_in_no_error_whatever_form_it_has_there() {
        let secret = Secret::new("Kx8Q~hidden+az/ure==");
        let form = oauth::encoded(secret.expose());
        for id in ["a", "ab", "abc", "a-client-id"] {
            for sent in [secret.expose(), &form] {
                let basic = STANDARD_NO_PAD.encode(format!("{id}:{sent}"));
                let text = format!("bad {sent} in Basic {basic} and\r\nKx8Q~hid\nden+az/ure==");
                let shown = hidden(&text, &[&secret]);
                assert!(shown.starts_with("bad *** in Basic ") && shown.contains("***"), "{shown}");
                assert!(!shown.contains("hid"), "{shown}");
                let rest = shown.split(' ').nth(4).unwrap_or_default();
                assert!(rest.len() < basic.len() / 2 + 8, "{rest} of {basic}");
            }
        }
        assert_eq!(hidden("a\nb", &[&Secret::new("")]), "ab");
    }

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
                calls: AwsCalls::default(),
            })
        );
        assert_eq!(parse(r#"{"type":"aws_default"}"#), Source::AwsDefault(AwsCalls::default()));
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
}
