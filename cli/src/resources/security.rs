//! SecurityPolicy, as far as Weir does what it asks for. The rest of its fields is in [`super::unsupported`]. Source:
//! the CRDs of Envoy Gateway v1.9.

use serde::Deserialize;

use super::envoy::Targets;
use super::gateway::{HttpBackendRef, HttpPathMatch, Method, ObjectRef, TargetRef};
use super::values::GatewayDuration;

/// SecurityPolicy
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecurityPolicySpec {
    target_ref: Option<TargetRef>,
    #[serde(default)]
    target_refs: Vec<TargetRef>,
    /// Clients have keys.
    pub api_key_auth: Option<ApiKeyAuthSpec>,
    /// Clients have a name and a password.
    pub basic_auth: Option<BasicAuthSpec>,
    /// Clients have tokens that somebody has signed.
    pub jwt: Option<JwtSpec>,
    /// A service is asked about each request.
    pub ext_auth: Option<ExtAuthSpec>,
    /// Who may do what.
    pub authorization: Option<AuthorizationSpec>,
    /// Which pages may have a browser send requests.
    pub cors: Option<CorsSpec>,
}

impl SecurityPolicySpec {
    /// What it applies to.
    #[must_use]
    pub fn targets(&self) -> Targets<'_> {
        Targets::new(self.target_ref.as_ref(), &self.target_refs)
    }
}

/// Clients have keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKeyAuthSpec {
    /// Secrets with a key for each client, under its name.
    pub credential_refs: Vec<ObjectRef>,
    /// Where requests have their key: the first place that has one counts.
    pub extract_from: Vec<ExtractFrom>,
    /// The header that says which client it is.
    #[serde(rename = "forwardClientIDHeader")]
    pub forward_client_id_header: Option<String>,
    /// Whether the key goes no further.
    #[serde(default)]
    pub sanitize: bool,
}

/// Where requests have their key: one of the three.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtractFrom {
    /// In one of these headers.
    #[serde(default)]
    pub headers: Vec<String>,
    /// In one of these parameters of the query.
    #[serde(default)]
    pub params: Vec<String>,
    /// In one of these cookies.
    #[serde(default)]
    pub cookies: Vec<String>,
}

/// Clients have a name and a password.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicAuthSpec {
    /// The Secret whose `.htpasswd` has them.
    pub users: ObjectRef,
    /// The header that says which user it is.
    pub forward_username_header: Option<String>,
}

/// Clients have tokens that somebody has signed.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtSpec {
    /// Requests without a token pass.
    #[serde(default)]
    pub optional: bool,
    /// Requests without a token, or with a bad one, pass.
    #[serde(default)]
    pub fail_open: bool,
    /// Whose tokens are taken.
    pub providers: Vec<JwtProviderSpec>,
}

/// Whose tokens are taken.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtProviderSpec {
    /// Unique in the policy.
    pub name: String,
    /// `iss` of its tokens; anything when absent.
    pub issuer: Option<String>,
    /// One of these must be in `aud`; anything when empty.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Where its keys are.
    #[serde(rename = "remoteJWKS")]
    pub remote_jwks: Option<RemoteJwks>,
    /// Its keys.
    #[serde(rename = "localJWKS")]
    pub local_jwks: Option<LocalJwks>,
    /// What of a token becomes a header.
    #[serde(default)]
    pub claim_to_headers: Vec<ClaimToHeader>,
    /// The route is chosen anew once these headers are there.
    #[serde(default)]
    pub recompute_route: bool,
    /// Where requests have their token; `Authorization: Bearer` or the parameter `access_token` when absent.
    pub extract_from: Option<JwtExtractor>,
}

/// Where the keys of a provider are.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoteJwks {
    /// Who is asked instead of the host of `uri`.
    #[serde(default)]
    pub backend_refs: Vec<HttpBackendRef>,
    /// `https://...` or `http://...`
    pub uri: String,
    /// How long they are used; 5 minutes by default.
    pub cache_duration: Option<GatewayDuration>,
    /// The pause after a failure; 1 s by default.
    pub failed_refetch_duration: Option<GatewayDuration>,
}

/// The keys of a provider.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalJwks {
    /// Which of the two.
    #[serde(default, rename = "type")]
    pub kind: LocalJwksKind,
    /// Here.
    pub inline: Option<String>,
    /// In a ConfigMap, under `jwks` or whatever comes first.
    pub value_ref: Option<ObjectRef>,
}

/// Where the keys of a provider are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the resource's own words")]
pub enum LocalJwksKind {
    #[default]
    Inline,
    ValueRef,
}

/// What of a token becomes a header.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimToHeader {
    /// Its name.
    pub header: String,
    /// The claim, with dots between the names on the way to it.
    pub claim: String,
}

/// Where requests have their token.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtExtractor {
    /// In one of these headers.
    #[serde(default)]
    pub headers: Vec<JwtHeader>,
    /// In one of these cookies.
    #[serde(default)]
    pub cookies: Vec<String>,
    /// In one of these parameters of the query.
    #[serde(default)]
    pub params: Vec<String>,
}

/// A header that has a token.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtHeader {
    /// Its name.
    pub name: String,
    /// What stands before the token.
    #[serde(default)]
    pub value_prefix: String,
}

/// A service is asked about each request.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtAuthSpec {
    /// It speaks Envoy's protocol.
    pub grpc: Option<ExtAuthService>,
    /// It speaks HTTP: 200 lets a request pass.
    pub http: Option<HttpExtAuthService>,
    /// What it gets of the client's headers.
    #[serde(default)]
    pub headers_to_ext_auth: Vec<String>,
    /// It gets the body.
    pub body_to_ext_auth: Option<BodyToExtAuth>,
    /// How long it may take; 10 s by default.
    pub timeout: Option<GatewayDuration>,
    /// Requests pass when it cannot be asked.
    #[serde(default)]
    pub fail_open: bool,
    /// The route is chosen anew once it has answered.
    #[serde(default)]
    pub recompute_route: bool,
    /// When it cannot be asked; 403 by default.
    pub status_on_error: Option<u16>,
}

/// Where a service is that speaks Envoy's protocol.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtAuthService {
    /// The older of the two.
    pub backend_ref: Option<HttpBackendRef>,
    /// Where it is.
    #[serde(default)]
    pub backend_refs: Vec<HttpBackendRef>,
}

/// Where a service is that speaks HTTP.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpExtAuthService {
    /// The older of the two.
    pub backend_ref: Option<HttpBackendRef>,
    /// Where it is.
    #[serde(default)]
    pub backend_refs: Vec<HttpBackendRef>,
    /// What stands before the path of the request.
    pub path: Option<String>,
    /// Headers of its answer that the request gets.
    #[serde(default)]
    pub headers_to_backend: Vec<String>,
}

/// It gets the body.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BodyToExtAuth {
    /// A larger one is a 413.
    pub max_request_bytes: u32,
}

/// Who may do what.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthorizationSpec {
    /// The first that matches decides.
    #[serde(default)]
    pub rules: Vec<AuthorizationRule>,
    /// When none does; `Deny` by default.
    pub default_action: Option<Action>,
}

/// What is done with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the resource's own words")]
pub enum Action {
    Allow,
    Deny,
}

/// Who may do something, or may not.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthorizationRule {
    /// For people.
    pub name: Option<String>,
    /// What is done.
    pub action: Action,
    /// With which requests; all when absent.
    pub operation: Option<Operation>,
    /// Of whom.
    pub principal: Option<Principal>,
}

/// Which requests.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation {
    /// With one of these methods; any when empty.
    #[serde(default)]
    pub methods: Vec<Method>,
    /// With this path.
    pub path: Option<HttpPathMatch>,
}

/// Whose requests: all that is said must be so.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Principal {
    /// From one of these networks.
    #[serde(default, rename = "clientCIDRs")]
    pub client_cidrs: Vec<String>,
    /// With a token that says this.
    pub jwt: Option<JwtPrincipal>,
    /// With all of these headers.
    #[serde(default)]
    pub headers: Vec<HeaderValues>,
}

/// What a token must say.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtPrincipal {
    /// Whose token.
    pub provider: String,
    /// All of these.
    #[serde(default)]
    pub claims: Vec<JwtClaim>,
    /// All of these, in `scope` or `scp`.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// What a claim must be.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtClaim {
    /// With dots between the names on the way to it.
    pub name: String,
    /// What it is.
    #[serde(default)]
    pub value_type: ClaimType,
    /// One of these.
    pub values: Vec<String>,
}

/// What a claim is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the resource's own words")]
pub enum ClaimType {
    #[default]
    String,
    StringArray,
}

/// What a header must be.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderValues {
    /// Its name.
    pub name: String,
    /// One of these.
    pub values: Vec<String>,
}

/// Which pages may have a browser send requests.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CorsSpec {
    /// `*`, or origins with or without a `*`.
    #[serde(default)]
    pub allow_origins: Vec<String>,
    /// With these methods.
    #[serde(default)]
    pub allow_methods: Vec<String>,
    /// With these headers.
    #[serde(default)]
    pub allow_headers: Vec<String>,
    /// Headers of answers that a page may read.
    #[serde(default)]
    pub expose_headers: Vec<String>,
    /// How long a browser need not ask again.
    pub max_age: Option<GatewayDuration>,
    /// With cookies and the like.
    #[serde(default)]
    pub allow_credentials: bool,
}
