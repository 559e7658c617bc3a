//! The places credentials come from. Each knows what to ask for and how to read the answer; when to ask is
//! [`Renewal`](super::Renewal)'s business.

mod aws_environment;
mod aws_file;
mod container;
mod secret_header;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(super) use aws_environment::from_environment;
pub(super) use container::{call as container_call, parse as parse_container};
pub use secret_header::{SECRET_HEADER_PREFIX, decode_secret_header, secret_header};

use super::{AwsCredentials, Credential, Secret};

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

/// The endpoint that EKS Pod Identity and ECS give to a container. Its authorization token is a file that rotates.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerEndpoint {
    /// The proxy's cluster for it.
    pub cluster: String,
    /// Host and port, for `:authority`.
    pub authority: String,
    /// Path and query of AWS_CONTAINER_CREDENTIALS_FULL_URI.
    pub path: String,
    /// The filter adds the token to the call, from where AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or
    /// AWS_CONTAINER_AUTHORIZATION_TOKEN in the proxy's environment say. Otherwise the cluster does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub token_from_environment: bool,
}

impl Source {
    /// Reads the value of the Secret that this source names.
    pub(super) fn read_secret(&self, value: &Secret) -> Result<Credential, SourceError> {
        match self {
            Source::AwsFile(profile) => {
                aws_file::parse(value.expose(), &profile.profile).map(Credential::Aws)
            }
            Source::Secret { .. } | Source::AwsDefault { .. } => {
                let key = Secret::new(value.expose().trim());
                if key.expose().is_empty() {
                    Err(SourceError::EmptySecret)
                } else if key.is_header_value() {
                    Ok(Credential::ApiKey(key))
                } else {
                    Err(SourceError::UnusableValue("the secret"))
                }
            }
        }
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

/// Names the source for a person, and apart from all others.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Secret { name, key } => write!(f, "key {key} of Secret {name}"),
            Source::AwsFile(AwsProfile { name, key, profile }) => {
                write!(f, "profile {profile} in key {key} of Secret {name}")
            }
            Source::AwsDefault { container: None } => f.write_str("the AWS environment"),
            Source::AwsDefault { container: Some(container) } => {
                write!(f, "the AWS environment or http://{}{}", container.authority, container.path)
            }
        }
    }
}

/// What is wrong with what a source gave. It names keys, lines and lengths, never a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceError {
    /// The secret is there and has nothing in it.
    EmptySecret,
    /// The secret is larger than this many bytes.
    TooLarge(usize),
    /// The secret did not arrive as base64.
    NotBase64,
    /// The secret is not text.
    NotText,
    /// The named value has a character that can be in no credential.
    UnusableValue(&'static str),
    /// A line of the credentials file, counted from one, is neither a profile nor a setting.
    BadLine(usize),
    /// The credentials file has no such profile; these it has.
    NoSuchProfile(String, Vec<String>),
    /// The profile lacks a setting.
    MissingSetting(String, &'static str),
    /// The profile leads to credentials by a way that only the SDKs go.
    IndirectProfile(String, &'static str),
    /// One half of the key pair is in the environment, the named one is not.
    HalfInEnvironment(&'static str),
    /// Nothing where the AWS SDKs look by default.
    NothingByDefault,
    /// The endpoint answered with this status, and said why, if it did.
    Refused(u16, String),
    /// The endpoint's answer cannot be read, for this reason.
    BadAnswer(&'static str),
    /// The endpoint's answer lacks a member.
    MissingMember(&'static str),
    /// The endpoint gave credentials that had expired before they came.
    AlreadyExpired,
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceError::EmptySecret => f.write_str("the secret is empty"),
            SourceError::TooLarge(limit) => write!(f, "the secret is larger than {limit} bytes"),
            SourceError::NotBase64 => f.write_str("the secret did not arrive as base64"),
            SourceError::NotText => f.write_str("the secret is not UTF-8 text"),
            SourceError::UnusableValue(what) => {
                write!(f, "{what} has a space, a line break or another character that no credential has")
            }
            SourceError::BadLine(line) => {
                write!(f, "line {line} of the credentials file is neither [profile] nor name = value within one")
            }
            SourceError::NoSuchProfile(profile, known) if known.is_empty() => {
                write!(f, "the credentials file has no profile {profile}, nor any other")
            }
            SourceError::NoSuchProfile(profile, known) => {
                write!(f, "the credentials file has no profile {profile}, only {}", known.join(", "))
            }
            SourceError::MissingSetting(profile, setting) => {
                write!(f, "profile {profile} of the credentials file has no {setting}")
            }
            SourceError::IndirectProfile(profile, setting) => write!(
                f,
                "profile {profile} of the credentials file has no keys; {setting} is not supported there"
            ),
            SourceError::HalfInEnvironment(missing) => {
                write!(f, "the environment has one half of the AWS key pair; {missing} is not set")
            }
            SourceError::NothingByDefault => f.write_str(
                "no AWS credentials: looked for AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, \
                 then for AWS_CONTAINER_CREDENTIALS_FULL_URI (EKS Pod Identity, ECS)",
            ),
            SourceError::Refused(status, why) if why.is_empty() => {
                write!(f, "the credentials endpoint answered {status}")
            }
            SourceError::Refused(status, why) => write!(f, "the credentials endpoint answered {status}: {why}"),
            SourceError::BadAnswer(why) => write!(f, "the answer of the credentials endpoint {why}"),
            SourceError::MissingMember(member) => {
                write!(f, "the answer of the credentials endpoint has no {member}")
            }
            SourceError::AlreadyExpired => {
                f.write_str("the credentials endpoint gave credentials that have expired")
            }
        }
    }
}

impl std::error::Error for SourceError {}

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
        for bad in [
            r#"{"type":"secret","name":"n"}"#,
            r#"{"type":"secret","name":"n","key":"k","value":"v"}"#,
            r#"{"type":"aws_file","name":"n","Profile":"p"}"#,
            r#"{"type":"aws_default","cluster":"c"}"#,
            r#"{"type":"imds"}"#,
        ] {
            assert!(serde_json::from_str::<Source>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_api_key_is_trimmed_and_must_fit_a_header() {
        let source = Source::Secret { name: "a/b".to_owned(), key: "apiKey".to_owned() };
        let read = |value: &str| source.read_secret(&Secret::new(value));
        assert_eq!(read(" sk-1\n"), Ok(Credential::ApiKey(Secret::new("sk-1"))));
        assert_eq!(read("\n"), Err(SourceError::EmptySecret));
        for bad in ["sk-1\r\nx-evil: 1", "sk 1", "sk\u{0}", "schlüssel"] {
            let error = read(bad).unwrap_err();
            assert_eq!(error, SourceError::UnusableValue("the secret"));
            assert!(!error.to_string().contains("sk"), "{error}");
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
            let _ = parse_container(&answer).map_err(|error| assert!(error.to_string().len() < 2_000));
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

    #[test]
    fn sources_are_told_apart_by_their_names() {
        let file = |profile: &str| {
            Source::AwsFile(AwsProfile { name: "n".into(), key: "k".into(), profile: profile.into() })
        };
        let container = |authority: &str| {
            let (cluster, path) = ("c".to_owned(), "/p".to_owned());
            Source::AwsDefault {
                container: Some(ContainerEndpoint {
                    cluster,
                    authority: authority.into(),
                    path,
                    token_from_environment: false,
                }),
            }
        };
        let mut names: Vec<String> = [
            Source::Secret { name: "n".into(), key: "k".into() },
            Source::Secret { name: "n".into(), key: "l".into() },
            file("a"),
            file("b"),
            Source::AwsDefault { container: None },
            container("a"),
            container("b"),
        ]
        .iter()
        .map(ToString::to_string)
        .collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
