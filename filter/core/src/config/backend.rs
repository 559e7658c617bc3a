//! A backend: its API, its addresses and how to authenticate.

use serde::{Deserialize, Serialize};

use super::SchemaName;

/// A model server: its API, its addresses and how to authenticate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// The API it speaks.
    pub schema: Schema,
    /// `:authority` per endpoint, `host` or `host:port`; SigV4 signs this and not the header it finds.
    pub hosts: Vec<String>,
    /// Stands for where it is: its endpoints, and who must be there by TLS. The endpoints' metadata says the same, after an `@`
    /// behind the backend's name, and an attempt whose endpoint says another is refused: the proxy takes over endpoints and this
    /// configuration one after the other, and a credential is for one address alone. Several addresses of a backend stand side by side
    /// under keys of [`super::Config::backends`] that end in `@<address>`. `None`: the metadata says nothing of it either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How requests are authenticated. `None`: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// The beta features of Claude that it may be asked for; all that its API takes, where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub betas: Option<Betas>,
    /// Where a request may have a credential of its own for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_override: Option<CredentialOverride>,
}

/// A credential that comes with the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialOverride {
    /// The header that has it, in lower case; what three begin with where requests are signed.
    pub header: String,
    /// Where it is not there, the configured credential is used. Otherwise it is a 401.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub falls_back: bool,
}

impl CredentialOverride {
    /// The headers that are read for `auth`, in lower case.
    #[must_use]
    pub fn headers(&self, auth: &Auth) -> Vec<String> {
        match auth {
            Auth::AwsSigv4 { .. } => self.aws_headers().into(),
            Auth::Bearer { .. } | Auth::AnthropicKey { .. } | Auth::AzureKey { .. } | Auth::Gcp { .. } => {
                vec![self.header.clone()]
            }
        }
    }

    /// Those of a key's id, its secret and a session's token.
    pub(crate) fn aws_headers(&self) -> [String; 3] {
        let prefix = self.header.trim_end_matches('-');
        ["access-key-id", "secret-access-key", "session-token"].map(|name| format!("{prefix}-{name}"))
    }
}

/// Some values of the header `anthropic-beta`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Betas {
    /// All others.
    Except(Vec<String>),
    /// These alone.
    Only(Vec<String>),
}

impl Betas {
    /// Whether `feature` is one of them.
    #[must_use]
    pub fn have(&self, feature: &str) -> bool {
        match self {
            Betas::Except(list) => !list.iter().any(|listed| listed == feature),
            Betas::Only(list) => list.iter().any(|listed| listed == feature),
        }
    }
}

/// The API a backend speaks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// Which API.
    pub name: SchemaName,
    /// The first path segments, `v1` by default; for schemas that have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The API's version, for schemas that have one: `bedrock-2023-05-31`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// How requests to a backend are authenticated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// `authorization: Bearer <key>`
    Bearer {
        /// Key into [`super::Config::credentials`].
        credential: String,
    },
    /// `x-api-key: <key>`
    AnthropicKey {
        /// Key into [`super::Config::credentials`].
        credential: String,
    },
    /// `api-key: <key>`
    AzureKey {
        /// Key into [`super::Config::credentials`].
        credential: String,
    },
    /// Signature version 4, for the service that the host is of: `bedrock`, or `bedrock-mantle`.
    AwsSigv4 {
        /// Key into [`super::Config::credentials`].
        credential: String,
        /// Used unless the host names another.
        region: String,
    },
    /// `authorization: Bearer <access token>`, and where in Google Cloud the model is, for the path.
    Gcp {
        /// Key into [`super::Config::credentials`].
        credential: String,
        /// The project's name.
        project: String,
        /// The location, such as `us-central1` or `global`.
        region: String,
    },
}

/// A way to authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthKind {
    /// [`Auth::Bearer`]
    Bearer,
    /// [`Auth::AnthropicKey`]
    AnthropicKey,
    /// [`Auth::AzureKey`]
    AzureKey,
    /// [`Auth::AwsSigv4`]
    AwsSigv4,
    /// [`Auth::Gcp`]
    Gcp,
}

impl Auth {
    /// Which way it is.
    #[must_use]
    pub fn kind(&self) -> AuthKind {
        match self {
            Auth::Bearer { .. } => AuthKind::Bearer,
            Auth::AnthropicKey { .. } => AuthKind::AnthropicKey,
            Auth::AzureKey { .. } => AuthKind::AzureKey,
            Auth::AwsSigv4 { .. } => AuthKind::AwsSigv4,
            Auth::Gcp { .. } => AuthKind::Gcp,
        }
    }

    /// The credential it needs: a key into [`super::Config::credentials`].
    #[must_use]
    pub fn credential(&self) -> &str {
        match self {
            Auth::Bearer { credential }
            | Auth::AnthropicKey { credential }
            | Auth::AzureKey { credential }
            | Auth::AwsSigv4 { credential, .. }
            | Auth::Gcp { credential, .. } => credential,
        }
    }

    /// The same, to give it another name.
    pub fn credential_mut(&mut self) -> &mut String {
        match self {
            Auth::Bearer { credential }
            | Auth::AnthropicKey { credential }
            | Auth::AzureKey { credential }
            | Auth::AwsSigv4 { credential, .. }
            | Auth::Gcp { credential, .. } => credential,
        }
    }
}
