//! An application of Entra ID that proves who it is by a secret, or by the token of a provider that Entra trusts.
//! <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow>

use serde::{Deserialize, Serialize};

use crate::auth::credentials::{Fresh, Io};
use crate::auth::sources::hosts::Hosts;
use crate::auth::sources::oauth;
use crate::auth::sources::oidc::Oidc;
use crate::auth::{FetchError, Secret, SourceError};

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AzureApp {
    /// Where its tokens are, such as `https://login.microsoftonline.com/TENANT/oauth2/v2.0/token`.
    pub token_url: String,
    /// The application's ID.
    pub client_id: String,
    /// What the tokens are for, such as `https://cognitiveservices.azure.com`.
    pub resource: String,
    /// What proves who it is.
    pub proof: AzureProof,
    /// How all of them are called.
    pub hosts: Hosts,
}

/// What proves to Entra ID who an application is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AzureProof {
    /// A secret, in a key of a Secret.
    Secret {
        /// The Secret, as `namespace/name`.
        name: String,
        /// The key in it.
        key: String,
    },
    /// A token of an OpenID Connect provider.
    Oidc(Oidc),
    /// A token in a file, which is replaced from time to time: workload identity.
    File(String),
}

impl AzureApp {
    pub(in crate::auth::sources) async fn fetch(&self, io: &Io) -> Result<Fresh, FetchError> {
        let (field, proof) = match &self.proof {
            AzureProof::Secret { name, key } => ("client_secret", trimmed(&io.secret(name, key).await?)?),
            AzureProof::Oidc(oidc) => ("client_assertion", oidc.token(&self.hosts, io).await?.value),
            AzureProof::File(path) => ("client_assertion", trimmed(&io.file(path).await?)?),
        };
        let scope = format!("{}/.default", self.resource);
        let mut fields = vec![
            ("grant_type", "client_credentials"),
            ("client_id", &self.client_id),
            ("scope", &scope),
            (field, proof.expose()),
        ];
        if field == "client_assertion" {
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            fields.push(("client_assertion_type", kind));
        }
        let call = oauth::post(self.hosts.call("POST", &self.token_url)?, &fields);
        Ok(oauth::fetch(call, &self.token_url, &[&proof], io).await?.into())
    }
}

fn trimmed(secret: &Secret) -> Result<Secret, SourceError> {
    let trimmed = secret.expose().trim();
    if trimmed.is_empty() { Err(SourceError::EmptySecret) } else { Ok(Secret::new(trimmed)) }
}
