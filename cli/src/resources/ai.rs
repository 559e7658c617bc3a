//! Kinds of Envoy AI Gateway, as far as Weir does what they ask for. The rest of their fields is in
//! [`super::unsupported`]. Source: that project's API reference, v1beta1 and v1alpha1.

use serde::Deserialize;
use serde::de::{Deserializer, IntoDeserializer as _};
use weir_core::config::{AuthKind, SchemaName};

use super::gateway::{NameMatch, ObjectRef, ParentRef, TargetRef, Timeouts, one};
use super::kinds::Kind;
use super::unsupported;
use super::values::GatewayDuration;

/// AIGatewayRoute
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AiGatewayRouteSpec {
    /// The Gateways it attaches to.
    #[serde(default)]
    pub parent_refs: Vec<ParentRef>,
    /// The host names it is for; all when empty.
    #[serde(default)]
    pub hostnames: Vec<String>,
    /// Its rules.
    pub rules: Vec<AiRule>,
    /// What to compute for rate limits and logs.
    #[serde(default, rename = "llmRequestCosts")]
    pub llm_request_costs: Vec<LlmRequestCost>,
}

/// A rule of an AIGatewayRoute.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AiRule {
    /// For `sectionName` of policies.
    pub name: Option<String>,
    /// One of these must match; all requests when empty.
    #[serde(default)]
    pub matches: Vec<AiMatch>,
    /// Where requests go.
    #[serde(default)]
    pub backend_refs: Vec<AiBackendRef>,
    /// How long it may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// How long an attempt may be silent.
    pub stream_idle_timeout: Option<GatewayDuration>,
    /// For the models list.
    pub models_owned_by: Option<String>,
    /// For the models list, RFC 3339.
    pub models_created_at: Option<String>,
    /// Its models are not in the list.
    #[serde(default)]
    pub exclude_from_models_endpoint: bool,
}

/// What a request must have.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AiMatch {
    /// All of them; `x-ai-eg-model` is the model of the request's body.
    #[serde(default)]
    pub headers: Vec<NameMatch>,
}

/// A backend of a rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AiBackendRef {
    /// That of AIServiceBackend by default.
    pub group: Option<String>,
    /// `AIServiceBackend` by default.
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
    /// The route's own by default.
    pub namespace: Option<String>,
    /// The model's name there.
    pub model_name_override: Option<String>,
    /// Header changes, over those of the AIServiceBackend.
    pub header_mutation: Option<HeaderMutationSpec>,
    /// Body changes, over those of the AIServiceBackend.
    pub body_mutation: Option<BodyMutationSpec>,
    /// Its share among those of its priority.
    #[serde(default = "one")]
    pub weight: u32,
    /// 0 is tried first.
    #[serde(default)]
    pub priority: u32,
}

/// Header changes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderMutationSpec {
    /// Headers to set.
    #[serde(default)]
    pub set: Vec<HeaderValue>,
    /// Headers to remove.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// A header.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderValue {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Changes to the members of a JSON body.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BodyMutationSpec {
    /// Members to set.
    #[serde(default)]
    pub set: Vec<BodyField>,
    /// Members to remove.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// A member of a JSON body.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BodyField {
    /// Its name, at the top level.
    pub path: String,
    /// Its value, as JSON in a string.
    pub value: String,
}

/// A cost of a request.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LlmRequestCost {
    /// The name policies use.
    pub metadata_key: String,
    /// Which number it is.
    #[serde(rename = "type")]
    pub kind: CostKind,
    /// The expression of a [`CostKind::Cel`].
    pub cel: Option<String>,
}

/// Which number a cost is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the resource's own words")]
pub enum CostKind {
    InputToken,
    CachedInputToken,
    CacheCreationInputToken,
    OutputToken,
    ReasoningToken,
    TotalToken,
    /// The value of an expression.
    #[serde(rename = "CEL")]
    Cel,
}

/// AIServiceBackend
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AiServiceBackendSpec {
    /// The API it speaks.
    pub schema: SchemaSpec,
    /// A Backend.
    pub backend_ref: BackendObjectRef,
    /// Header changes.
    pub header_mutation: Option<HeaderMutationSpec>,
    /// Body changes.
    pub body_mutation: Option<BodyMutationSpec>,
    /// Values of headers that are left out.
    #[serde(default)]
    pub header_value_filters: Vec<HeaderValueFilter>,
}

/// Which values of a header reach the backend.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderValueFilter {
    /// The header, which is a list with commas.
    pub name: String,
    /// What the values are.
    #[serde(default)]
    pub mode: FilterMode,
    /// As they are in the list.
    #[serde(default)]
    pub values: Vec<String>,
}

/// What the values of a [`HeaderValueFilter`] are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum FilterMode {
    /// Those that do not reach it.
    #[default]
    Denylist,
    /// Those that do.
    Allowlist,
}

/// A reference to a Backend.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendObjectRef {
    /// That of Envoy Gateway.
    pub group: Option<String>,
    /// `Backend`
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
    /// The AIServiceBackend's own by default.
    pub namespace: Option<String>,
    /// Means nothing for a Backend, whose endpoints have ports.
    #[serde(rename = "port")]
    _port: Option<u16>,
}

/// The API a backend speaks.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SchemaSpec {
    /// Which one.
    pub name: SchemaKind,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// The first segments of its paths.
    pub prefix: Option<String>,
}

/// The APIs that the resource knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaKind {
    /// The filter can talk to it.
    Known(SchemaName),
    /// It cannot yet, which is reported by the table of what is not supported.
    Unsupported,
}

impl SchemaKind {
    /// The one that the filter can talk to.
    #[must_use]
    pub fn known(self) -> Option<SchemaName> {
        match self {
            SchemaKind::Known(name) => Some(name),
            SchemaKind::Unsupported => None,
        }
    }
}

impl<'de> Deserialize<'de> for SchemaKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if unsupported::is_refused(Kind::AIServiceBackend, "spec.schema.name", &name) {
            return Ok(SchemaKind::Unsupported);
        }
        let known = SchemaName::deserialize(name.clone().into_deserializer())?;
        // An annotation of weir's makes it from OpenAI. The resource has no such word.
        if known == SchemaName::OpenAIChat {
            let message =
                format!("unknown schema `{name}`: it is OpenAI with the annotation weir.dev/chat-only");
            return Err(serde::de::Error::custom(message));
        }
        Ok(SchemaKind::Known(known))
    }
}

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
