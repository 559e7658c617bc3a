//! Kinds of Gateway API, as far as Weir does what they ask for. The rest of their fields is in
//! [`super::unsupported`]. Source: the CRDs of Gateway API v1.5.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::values::GatewayDuration;

/// GatewayClass
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayClassSpec {
    /// Whose class it is; Weir takes every one.
    pub controller_name: String,
    /// An EnvoyProxy.
    pub parameters_ref: Option<ObjectRef>,
    /// For people.
    #[serde(rename = "description")]
    _description: Option<String>,
}

/// A reference to an object of any kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectRef {
    /// Empty for the core group.
    pub group: Option<String>,
    /// What the default is depends on the field.
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
    /// That of the referring resource by default.
    pub namespace: Option<String>,
}

/// Gateway
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewaySpec {
    /// A GatewayClass.
    pub gateway_class_name: String,
    /// Where it listens.
    pub listeners: Vec<GatewayListener>,
    /// How the pods of the proxy look, which is nothing to a process that runs already.
    #[serde(rename = "infrastructure")]
    _infrastructure: Option<IgnoredAny>,
}

/// A listener of a Gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayListener {
    /// Unique in the Gateway.
    pub name: String,
    /// The host names it takes; all when absent.
    pub hostname: Option<String>,
    /// TCP port.
    pub port: u16,
    /// `HTTP` or `HTTPS`; the others are not supported.
    pub protocol: String,
    /// How TLS ends here, of `HTTPS`.
    pub tls: Option<ListenerTls>,
    /// Which routes may attach.
    #[serde(default)]
    pub allowed_routes: AllowedRoutes,
}

/// How TLS ends at a listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerTls {
    /// `Terminate` by default; the other one is not supported.
    pub mode: Option<String>,
    /// Secrets of type `kubernetes.io/tls`.
    #[serde(default)]
    pub certificate_refs: Vec<ObjectRef>,
}

/// Which routes may attach to a listener.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedRoutes {
    /// Those of these namespaces.
    #[serde(default)]
    pub namespaces: RouteNamespaces,
    /// Those of these kinds; all when absent.
    pub kinds: Option<Vec<RouteKind>>,
}

/// Namespaces that routes may come from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteNamespaces {
    /// `Same` by default.
    #[serde(default)]
    pub from: FromNamespaces,
}

/// Which namespaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum FromNamespaces {
    /// Every one.
    All,
    /// The Gateway's own.
    #[default]
    Same,
    /// Those with certain labels; not supported.
    Selector,
}

/// A kind of route.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteKind {
    /// Gateway API's by default.
    #[serde(rename = "group")]
    _group: Option<String>,
    /// `HTTPRoute`; AIGatewayRoutes count as such.
    pub kind: String,
}

/// What a route attaches to.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParentRef {
    /// Gateway API's by default.
    pub group: Option<String>,
    /// `Gateway` by default.
    pub kind: Option<String>,
    /// The Gateway.
    pub name: String,
    /// The route's own by default.
    pub namespace: Option<String>,
    /// One listener; all when absent.
    pub section_name: Option<String>,
    /// The listeners of one port; all when absent.
    pub port: Option<u16>,
}

/// HTTPRoute
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRouteSpec {
    /// The Gateways it attaches to.
    #[serde(default)]
    pub parent_refs: Vec<ParentRef>,
    /// The host names it is for; all when empty.
    #[serde(default)]
    pub hostnames: Vec<String>,
    /// Its rules.
    #[serde(default)]
    pub rules: Vec<HttpRule>,
}

/// A rule of an HTTPRoute.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRule {
    /// For `sectionName` of policies.
    pub name: Option<String>,
    /// One of these must match; all requests when empty.
    #[serde(default)]
    pub matches: Vec<HttpMatch>,
    /// Where requests go.
    #[serde(default)]
    pub backend_refs: Vec<HttpBackendRef>,
    /// How long it may take.
    #[serde(default)]
    pub timeouts: Timeouts,
}

/// What a request must have.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpMatch {
    /// On the path; the prefix `/` by default.
    #[serde(default)]
    pub path: HttpPathMatch,
    /// All of them.
    #[serde(default)]
    pub headers: Vec<NameMatch>,
    /// All of them.
    #[serde(default)]
    pub query_params: Vec<NameMatch>,
    /// On the method.
    pub method: Option<Method>,
}

/// A condition on the path.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpPathMatch {
    /// How to compare.
    #[serde(default, rename = "type")]
    pub kind: PathMatchType,
    /// With what.
    #[serde(default = "root_path")]
    pub value: String,
}

impl Default for HttpPathMatch {
    fn default() -> Self {
        HttpPathMatch { kind: PathMatchType::PathPrefix, value: root_path() }
    }
}

fn root_path() -> String {
    "/".to_owned()
}

/// How paths are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum PathMatchType {
    /// The whole path.
    Exact,
    /// Leading segments.
    #[default]
    PathPrefix,
    /// RE2, the whole path.
    RegularExpression,
}

/// A condition on a header or a query parameter.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NameMatch {
    /// How to compare.
    #[serde(default, rename = "type")]
    pub kind: NameMatchType,
    /// Of the header or parameter.
    pub name: String,
    /// With what.
    pub value: String,
}

/// How values are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum NameMatchType {
    /// Equal.
    #[default]
    Exact,
    /// RE2, the whole value.
    RegularExpression,
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "their own names")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}

impl Method {
    /// As on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
        }
    }
}

/// A backend of an HTTPRoute's rule: a Service or a Backend.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpBackendRef {
    /// The core group by default.
    pub group: Option<String>,
    /// `Service` by default.
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
    /// The route's own by default.
    pub namespace: Option<String>,
    /// Needed for a Service.
    pub port: Option<u16>,
    /// Its share of the requests.
    #[serde(default = "one")]
    pub weight: u32,
}

pub(super) fn one() -> u32 {
    1
}

/// Timeouts of a rule.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timeouts {
    /// The whole request, with all its attempts and the whole answer.
    pub request: Option<GatewayDuration>,
    /// One attempt.
    pub backend_request: Option<GatewayDuration>,
}

/// BackendTLSPolicy
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendTlsPolicySpec {
    /// Backends or Services.
    pub target_refs: Vec<TargetRef>,
    /// What their certificates must be.
    pub validation: TlsValidation,
}

/// What a policy applies to.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetRef {
    /// Its group.
    pub group: String,
    /// Its kind.
    pub kind: String,
    /// Its name, in the policy's namespace.
    pub name: String,
    /// A part of it.
    pub section_name: Option<String>,
}

/// How a certificate is verified.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsValidation {
    /// ConfigMaps with the key `ca.crt`.
    #[serde(default)]
    pub ca_certificate_refs: Vec<ObjectRef>,
    /// `System`
    #[serde(rename = "wellKnownCACertificates")]
    pub well_known_ca_certificates: Option<String>,
    /// SNI, and the name in the certificate.
    pub hostname: String,
}

/// ReferenceGrant
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReferenceGrantSpec {
    /// Who may refer.
    pub from: Vec<GrantFrom>,
    /// To what of the grant's namespace.
    pub to: Vec<GrantTo>,
}

/// Who may refer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantFrom {
    /// Its group.
    pub group: String,
    /// Its kind.
    pub kind: String,
    /// Where it is.
    pub namespace: String,
}

/// What may be referred to.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantTo {
    /// Its group; empty for the core group.
    pub group: String,
    /// Its kind.
    pub kind: String,
    /// Its name; all when absent.
    pub name: Option<String>,
}
