//! A backend: its API, its addresses and how to authenticate.

use std::fmt;

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
    /// Stands for where it is: its endpoints, and who must be there by TLS. The endpoints' metadata says the same,
    /// after an `@` behind the backend's name, and an attempt whose endpoint says another is refused: the proxy takes
    /// over endpoints and this configuration one after the other, and a credential is for one address alone. Several
    /// addresses of a backend stand side by side under keys of [`super::Config::backends`] that end in `@<address>`.
    /// `None`: the metadata says nothing of it either.
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
    /// Requests whose client gave no marks for a prompt cache get some ([`crate::wire::marks`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cache_marks: bool,
}

/// A credential that comes with the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialOverride {
    /// Where it is.
    pub from: CredentialPlace,
    /// Where it is not there, the configured credential is used. Otherwise it is a 401.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub falls_back: bool,
}

/// Where a request has a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CredentialPlace {
    /// In this header, in lower case; in three that begin with it where requests are signed.
    Header(String),
    /// In the request's dynamic metadata, which other filters set: a text, or a struct of three where requests are
    /// signed.
    Metadata {
        /// The namespace, mostly the name of the filter that set it.
        namespace: String,
        /// The key in it.
        key: String,
    },
}

/// Where a request has one of the values that a credential consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValuePlace {
    /// A header, in lower case.
    Header(String),
    /// A text in the request's dynamic metadata.
    Metadata {
        /// The namespace.
        namespace: String,
        /// The key in it, and in the struct that is found there.
        path: Vec<String>,
    },
}

impl fmt::Display for ValuePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValuePlace::Header(name) => write!(f, "the header {name}"),
            ValuePlace::Metadata { namespace, path } => {
                write!(f, "the metadata {} of {namespace}", path.join("."))
            }
        }
    }
}

impl CredentialOverride {
    /// The places that are read for `auth`.
    #[must_use]
    pub fn places(&self, auth: &Auth) -> Vec<ValuePlace> {
        match auth {
            Auth::AwsSigv4 { .. } => self.aws_places().into(),
            Auth::Bearer { .. } | Auth::AnthropicKey { .. } | Auth::AzureKey { .. } | Auth::Gcp { .. } => {
                vec![self.key_place()]
            }
        }
    }

    /// That of a key, or a token.
    pub(crate) fn key_place(&self) -> ValuePlace {
        match &self.from {
            CredentialPlace::Header(name) => ValuePlace::Header(name.clone()),
            CredentialPlace::Metadata { namespace, key } => {
                ValuePlace::Metadata { namespace: namespace.clone(), path: vec![key.clone()] }
            }
        }
    }

    /// Those of a key's id, its secret and a session's token.
    pub(crate) fn aws_places(&self) -> [ValuePlace; 3] {
        match &self.from {
            CredentialPlace::Header(prefix) => {
                let prefix = prefix.trim_end_matches('-');
                ["access-key-id", "secret-access-key", "session-token"]
                    .map(|name| ValuePlace::Header(format!("{prefix}-{name}")))
            }
            CredentialPlace::Metadata { namespace, key } => {
                ["accessKeyId", "secretAccessKey", "sessionToken"].map(|member| ValuePlace::Metadata {
                    namespace: namespace.clone(),
                    path: vec![key.clone(), member.to_owned()],
                })
            }
        }
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
