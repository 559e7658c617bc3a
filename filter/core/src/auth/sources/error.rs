//! What may be wrong with a source.

use std::fmt;

use super::Url;

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
    /// The server did not answer, or could not be reached.
    NoAnswer,
    /// What should be the URL of a server is none.
    NoUrl,
    /// The proxy has no cluster for the server at this origin.
    UnknownHost(String),
    /// A discovery document names a token endpoint at this origin, which is not the issuer's.
    EndpointElsewhere(String),
    /// What is wrong with the credentials file of Google's.
    BadFile(&'static str),
    /// The credentials file of Google's lacks a member.
    MissingInFile(&'static str),
    /// The credentials file of Google's asks for this, which is not supported.
    Unsupported(String),
    /// The profile says twice where the credentials are that assume its role.
    TwoSources(String),
    /// The profile assumes its role with that role.
    RoleLoop(String),
    /// This has to be called, and the configuration does not say where.
    NoCall(&'static str),
    /// The profile takes its credentials from the environment, which has none.
    NothingInEnvironment,
    /// There is a token in a file, and no word of the role that it is for.
    NoRoleInEnvironment,
    /// The metadata service of EC2 does not answer.
    NoMetadata,
    /// The instance has no role.
    NoRole,
    /// One of those above, of the server at this origin.
    Of(String, Box<SourceError>),
}

impl SourceError {
    /// The same, of the server of `url`.
    pub(super) fn of(self, url: &str) -> Self {
        Self::Of(Url::parse(url).map(|url| url.origin).unwrap_or_default(), Box::new(self))
    }
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
                "no AWS credentials: looked for AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, for a \
                 profile, for AWS_WEB_IDENTITY_TOKEN_FILE (IRSA) and for AWS_CONTAINER_CREDENTIALS_FULL_URI (EKS Pod \
                 Identity, ECS)",
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
            SourceError::NoAnswer => f.write_str("no answer"),
            SourceError::NoUrl => f.write_str("what should be a URL is none"),
            SourceError::UnknownHost(origin) => {
                write!(f, "{origin} is to be called, which the resources do not name")
            }
            SourceError::EndpointElsewhere(origin) => write!(
                f,
                "the discovery document has its token endpoint at {origin} and not at the issuer's: name it in \
                 `provider.tokenEndpoint`"
            ),
            SourceError::BadFile(what) => write!(f, "the Google credentials file {what}"),
            SourceError::MissingInFile(member) => {
                write!(f, "the Google credentials file has no `{member}`")
            }
            SourceError::Unsupported(what) => {
                write!(f, "{what} of a Google credentials file is not supported")
            }
            SourceError::TwoSources(profile) => write!(
                f,
                "profile {profile} of the credentials file has both source_profile and credential_source"
            ),
            SourceError::RoleLoop(profile) => {
                write!(f, "profile {profile} of the credentials file assumes a role by way of itself")
            }
            SourceError::NoCall(what) => {
                write!(f, "{what} is to be asked, which the configuration does not name")
            }
            SourceError::NothingInEnvironment => {
                f.write_str("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not in the environment")
            }
            SourceError::NoRoleInEnvironment => {
                f.write_str("AWS_WEB_IDENTITY_TOKEN_FILE is set without AWS_ROLE_ARN")
            }
            SourceError::NoMetadata => f.write_str(
                "no answer from the metadata service of EC2; to reach it from a container, the instance's hop limit \
                 must be 2",
            ),
            SourceError::NoRole => f.write_str("the EC2 instance has no role"),
            SourceError::Of(origin, error) => write!(f, "{origin}: {error}"),
        }
    }
}

impl std::error::Error for SourceError {}
