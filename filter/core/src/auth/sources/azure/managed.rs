//! Managed identities: what runs in Azure asks a server beside it.
//! <https://learn.microsoft.com/en-us/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>,
//! <https://learn.microsoft.com/en-us/azure/app-service/overview-managed-identity#rest-endpoint-reference>

use serde::{Deserialize, Serialize};

use crate::auth::credentials::{Fresh, Io};
use crate::auth::sources::hosts::Hosts;
use crate::auth::sources::oauth;
use crate::auth::{FetchError, Secret, SourceError};

/// A managed identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AzureManaged {
    /// Who gives its tokens.
    pub server: ManagedServer,
    /// Which one, if there are several, or it was assigned by a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// What the tokens are for, such as `https://cognitiveservices.azure.com`.
    pub resource: String,
    /// How the server is called.
    pub hosts: Hosts,
}

/// Who gives the tokens of managed identities.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ManagedServer {
    /// The metadata service of virtual machines, such as `http://169.254.169.254`.
    Imds(String),
    /// The endpoint that App Service, Functions and Container Apps give to a process.
    AppService {
        /// `IDENTITY_ENDPOINT`.
        endpoint: String,
        /// The Secret with `IDENTITY_HEADER`, as `namespace/name`.
        name: String,
        /// The key in it.
        key: String,
    },
}

impl AzureManaged {
    pub(in crate::auth::sources) async fn fetch(&self, io: &Io) -> Result<Fresh, FetchError> {
        let (endpoint, version, header, value) = match &self.server {
            ManagedServer::Imds(server) => {
                let endpoint = format!("{server}/metadata/identity/oauth2/token");
                (endpoint, "2018-02-01", "metadata", Secret::new("true"))
            }
            ManagedServer::AppService { endpoint, name, key } => {
                let value = Secret::new(io.secret(name, key).await?.expose().trim());
                (endpoint.clone(), "2019-08-01", "x-identity-header", value)
            }
        };
        if !value.is_header_value() {
            return Err(SourceError::UnusableValue("IDENTITY_HEADER").into());
        }
        let mut fields = vec![("api-version", version), ("resource", &self.resource)];
        fields.extend(self.client_id.as_deref().map(|id| ("client_id", id)));
        let mark = if endpoint.contains('?') { '&' } else { '?' };
        let mut call = self.hosts.call("GET", &format!("{endpoint}{mark}{}", oauth::form(&fields)))?;
        call.headers.push((header.into(), value.expose().to_owned()));
        Ok(oauth::fetch(call, &endpoint, &[&value], io).await?.into())
    }
}
