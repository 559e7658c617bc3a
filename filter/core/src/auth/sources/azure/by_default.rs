//! The identity of a pod, which is not known before there is a pod: what AKS has put into its environment
//! (<https://azure.github.io/azure-workload-identity>), else the identity of its node.

use serde::{Deserialize, Serialize};

use super::{AzureApp, AzureManaged, AzureProof, ManagedServer};
use crate::auth::FetchError;
use crate::auth::credentials::{Fresh, Io};
use crate::auth::sources::hosts::Hosts;

/// Where a pod's identity may be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AzureDefault {
    /// Where Entra ID is, such as `https://login.microsoftonline.com`.
    pub entra: String,
    /// The metadata service of virtual machines, such as `http://169.254.169.254`.
    pub imds: String,
    /// Which identity, where it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// What the tokens are for, such as `https://cognitiveservices.azure.com`.
    pub resource: String,
    /// How all of them are called.
    pub hosts: Hosts,
}

impl AzureDefault {
    pub(in crate::auth::sources) async fn fetch(&self, io: &Io) -> Result<Fresh, FetchError> {
        let client_id = self.client_id.clone().or_else(|| io.variable("AZURE_CLIENT_ID"));
        let (resource, hosts) = (self.resource.clone(), self.hosts.clone());
        let federated = (io.variable("AZURE_FEDERATED_TOKEN_FILE"), io.variable("AZURE_TENANT_ID"));
        if let ((Some(path), Some(tenant)), Some(client_id)) = (federated, &client_id) {
            let entra = io.variable("AZURE_AUTHORITY_HOST").unwrap_or_else(|| self.entra.clone());
            let token_url = format!("{}/{tenant}/oauth2/v2.0/token", entra.trim_end_matches('/'));
            let (client_id, proof) = (client_id.clone(), AzureProof::File(path));
            return AzureApp { token_url, client_id, resource, proof, hosts }.fetch(io).await;
        }
        let server = ManagedServer::Imds(self.imds.clone());
        AzureManaged { server, client_id, resource, hosts }.fetch(io).await
    }
}
