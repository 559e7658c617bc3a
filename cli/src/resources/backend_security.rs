//! Envoy AI Gateway's BackendSecurityPolicy, as far as Weir does what it asks for. The rest of its fields is in
//! [`super::unsupported`]. Source: that project's API reference, v1beta1 and v1alpha1.

use serde::Deserialize;
use weir_core::config::AuthKind;

use super::gateway::{ObjectRef, TargetRef};

/// BackendSecurityPolicy
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendSecurityPolicySpec {
    /// AIServiceBackends.
    #[serde(default)]
    pub target_refs: Vec<TargetRef>,
    /// How to authenticate.
    #[serde(rename = "type")]
    pub kind: SecurityKind,
    /// For `APIKey`.
    pub api_key: Option<SecretKeySpec>,
    /// For `AnthropicAPIKey`.
    #[serde(rename = "anthropicAPIKey")]
    pub anthropic_api_key: Option<SecretKeySpec>,
    /// For `AWSCredentials`.
    pub aws_credentials: Option<AwsCredentialsSpec>,
    /// For `AzureAPIKey`.
    #[serde(rename = "azureAPIKey")]
    pub azure_api_key: Option<SecretKeySpec>,
    /// For `AzureCredentials`.
    pub azure_credentials: Option<AzureCredentialsSpec>,
    /// For `GCPCredentials`.
    pub gcp_credentials: Option<GcpCredentialsSpec>,
    /// Where requests have a credential of their own.
    pub credential_override: Option<CredentialOverrideSpec>,
}

/// Where requests have a credential of their own.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialOverrideSpec {
    /// In headers.
    pub from_request_headers: Option<FromRequestHeaders>,
    /// In what other filters have set.
    pub from_dynamic_metadata: Option<FromDynamicMetadata>,
}

/// The metadata that has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FromDynamicMetadata {
    /// The namespace: mostly the name of the filter that sets it.
    pub namespace: String,
    /// The key there.
    pub key: Option<String>,
    /// Where it is not there, the policy's own credential is used.
    #[serde(default = "yes")]
    pub fallback_to_configured: bool,
}

/// The headers that have it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FromRequestHeaders {
    /// Its name; what three begin with, where requests are signed for AWS.
    pub header: Option<String>,
    /// Where it is not there, the policy's own credential is used.
    #[serde(default = "yes")]
    pub fallback_to_configured: bool,
}

fn yes() -> bool {
    true
}

/// How to authenticate to a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the resource's own words")]
pub enum SecurityKind {
    APIKey,
    AWSCredentials,
    AzureAPIKey,
    AzureCredentials,
    GCPCredentials,
    AnthropicAPIKey,
}

impl SecurityKind {
    /// The resource's word for a way to authenticate.
    #[must_use]
    pub fn word(kind: AuthKind) -> &'static str {
        match kind {
            AuthKind::Bearer => "APIKey",
            AuthKind::AnthropicKey => "AnthropicAPIKey",
            AuthKind::AwsSigv4 => "AWSCredentials",
            AuthKind::AzureKey => "AzureAPIKey",
            AuthKind::Gcp => "GCPCredentials",
        }
    }
}

/// A key in a Secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeySpec {
    /// The Secret.
    pub secret_ref: ObjectRef,
}

/// AWS credentials.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AwsCredentialsSpec {
    /// Where requests are signed for.
    pub region: String,
    /// A credentials file.
    pub credentials_file: Option<AwsCredentialsFile>,
    /// A role for the token of another provider. Without either: AWS's default chain.
    pub oidc_exchange_token: Option<AwsOidcExchangeTokenSpec>,
}

/// A token to be had from an OpenID Connect provider, and the role of AWS that it is for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AwsOidcExchangeTokenSpec {
    /// The provider, and its client.
    pub oidc: OidcSpec,
    /// Without effect, as with Envoy AI Gateway.
    pub grant_type: Option<String>,
    /// Without effect, as with Envoy AI Gateway.
    pub aud: Option<String>,
    /// The role.
    pub aws_role_arn: String,
}

impl AwsOidcExchangeTokenSpec {
    /// What it has in common with those of other clouds.
    #[must_use]
    pub fn exchange(&self) -> OidcExchangeTokenSpec {
        OidcExchangeTokenSpec {
            oidc: self.oidc.clone(),
            grant_type: self.grant_type.clone(),
            aud: self.aud.clone(),
        }
    }
}

/// Google Cloud credentials.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GcpCredentialsSpec {
    /// The project that pays.
    pub project_name: String,
    /// Where the models are.
    pub region: String,
    /// A key of a service account, or a token.
    pub credentials_file: Option<SecretKeySpec>,
    /// A token of another provider. Without either: Application Default Credentials.
    pub workload_identity_federation_config: Option<WorkloadIdentityFederationSpec>,
}

/// A token of another provider, to be exchanged for one of Google Cloud.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadIdentityFederationSpec {
    /// The number or the name of the pool's project.
    #[serde(rename = "projectID")]
    pub project_id: String,
    /// The provider in the pool.
    pub workload_identity_provider_name: String,
    /// The pool.
    pub workload_identity_pool_name: String,
    /// What is exchanged.
    pub oidc_exchange_token: OidcExchangeTokenSpec,
    /// As whom to act.
    pub service_account_impersonation: Option<ServiceAccountImpersonationSpec>,
}

/// A service account to act as.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAccountImpersonationSpec {
    /// What stands before the `@`.
    pub service_account_name: String,
}

/// A credentials file in a Secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AwsCredentialsFile {
    /// The Secret.
    pub secret_ref: ObjectRef,
    /// The profile; `default` by default.
    #[serde(default = "default_profile")]
    pub profile: String,
}

/// An application of Entra ID, and what proves who it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AzureCredentialsSpec {
    /// The application.
    #[serde(rename = "clientID")]
    pub client_id: Option<String>,
    /// The directory that it is in.
    #[serde(rename = "tenantID")]
    pub tenant_id: Option<String>,
    /// A secret of the application.
    pub client_secret_ref: Option<ObjectRef>,
    /// A token of another provider.
    pub oidc_exchange_token: Option<OidcExchangeTokenSpec>,
    /// The identity of what runs in Azure.
    pub managed_identity: Option<ManagedIdentitySpec>,
}

/// An identity that Azure gives to what runs in it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManagedIdentitySpec {
    /// Which one, where a user has assigned it.
    #[serde(rename = "clientID")]
    pub client_id: Option<String>,
}

/// A token of an OpenID Connect provider, to be exchanged for a cloud's.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OidcExchangeTokenSpec {
    /// The provider, and its client.
    pub oidc: OidcSpec,
    /// Without effect, as with Envoy AI Gateway.
    pub grant_type: Option<String>,
    /// Without effect, as with Envoy AI Gateway.
    pub aud: Option<String>,
}

/// An OpenID Connect provider and a client of it, as far as Envoy Gateway's `OIDC` is about getting a token.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OidcSpec {
    /// The provider.
    pub provider: OidcProviderSpec,
    /// The client.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// The Secret with the client's secret.
    pub client_secret: ObjectRef,
    /// What is asked for.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// An OpenID Connect provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OidcProviderSpec {
    /// Its name, a URL below which its discovery document is.
    pub issuer: String,
    /// Where its tokens are; the discovery document tells it, too.
    pub token_endpoint: Option<String>,
}

fn default_profile() -> String {
    "default".to_owned()
}
