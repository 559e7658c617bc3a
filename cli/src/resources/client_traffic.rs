//! ClientTrafficPolicy, as far as Weir does what it asks for. The rest of its fields is in [`super::unsupported`].
//! Source: the CRD of Envoy Gateway v1.9.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::envoy::Targets;
use super::gateway::{ObjectRef, TargetRef};
use super::values::{Bytes, GatewayDuration};

/// ClientTrafficPolicy
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientTrafficPolicySpec {
    target_ref: Option<TargetRef>,
    #[serde(default)]
    target_refs: Vec<TargetRef>,
    /// Of client connections.
    #[serde(default)]
    pub connection: ClientConnection,
    /// How long things may take.
    #[serde(default)]
    pub timeout: ClientTimeout,
    /// Of listeners with `protocol: HTTPS`.
    pub tls: Option<ClientTls>,
    /// Of requests.
    #[serde(default)]
    pub headers: ClientHeaders,
}

impl ClientTrafficPolicySpec {
    /// What it applies to.
    #[must_use]
    pub fn targets(&self) -> Targets<'_> {
        Targets::new(self.target_ref.as_ref(), &self.target_refs)
    }
}

/// Of client connections.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientConnection {
    /// Bytes that are held of one request or answer.
    pub buffer_limit: Option<Bytes>,
}

/// How long things may take on the side of the client.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientTimeout {
    /// Of requests.
    #[serde(default)]
    pub http: ClientHttpTimeout,
}

/// Of requests.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientHttpTimeout {
    /// Until the request is complete.
    pub request_received_timeout: Option<GatewayDuration>,
    /// Of a connection without requests.
    pub idle_timeout: Option<GatewayDuration>,
    /// Of a request or answer without bytes.
    pub stream_idle_timeout: Option<GatewayDuration>,
}

/// TLS with clients.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientTls {
    /// 1.2 by default.
    pub min_version: Option<TlsVersion>,
    /// 1.3 by default.
    pub max_version: Option<TlsVersion>,
    /// Of TLS up to 1.2, by BoringSSL's names.
    #[serde(default)]
    pub ciphers: Vec<String>,
    /// For the exchange of keys, by BoringSSL's names.
    #[serde(default)]
    pub ecdh_curves: Vec<String>,
    /// By BoringSSL's names.
    #[serde(default)]
    pub signature_algorithms: Vec<String>,
    /// HTTP/2 and HTTP/1.1 by default; none when empty.
    pub alpn_protocols: Option<Vec<Alpn>>,
    /// How a client takes up a session.
    #[serde(default)]
    pub session: TlsSession,
    /// Which certificates clients show.
    pub client_validation: Option<ClientValidation>,
}

/// A version of TLS, the older the less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum TlsVersion {
    /// Whatever Envoy thinks best.
    Auto,
    /// 1.0
    #[serde(rename = "1.0")]
    V1_0,
    /// 1.1
    #[serde(rename = "1.1")]
    V1_1,
    /// 1.2
    #[serde(rename = "1.2")]
    V1_2,
    /// 1.3
    #[serde(rename = "1.3")]
    V1_3,
}

/// A version of HTTP, as TLS negotiates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Alpn {
    /// HTTP/1.0
    #[serde(rename = "http/1.0")]
    Http10,
    /// HTTP/1.1
    #[serde(rename = "http/1.1")]
    Http11,
    /// HTTP/2
    #[serde(rename = "h2")]
    Http2,
}

impl Alpn {
    /// As on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Alpn::Http10 => "http/1.0",
            Alpn::Http11 => "http/1.1",
            Alpn::Http2 => "h2",
        }
    }
}

/// How a client takes up a session.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsSession {
    /// Not at all by default.
    #[serde(default)]
    pub resumption: TlsResumption,
}

/// Ways to take up a session. Each is an empty object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsResumption {
    /// By a ticket that the client keeps.
    pub stateless: Option<IgnoredAny>,
    /// By an id that Envoy keeps.
    pub stateful: Option<IgnoredAny>,
}

/// Which certificates clients show.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientValidation {
    /// Whether a client may have none; `mode` says it, too.
    #[serde(default)]
    pub optional: bool,
    /// `RequireAndVerify` by default.
    pub mode: Option<ValidationMode>,
    /// ConfigMaps or Secrets with the key `ca.crt`.
    #[serde(default)]
    pub ca_certificate_refs: Vec<ObjectRef>,
    /// SHA-256 of public keys, in base64; one of them.
    #[serde(default)]
    pub spki_hashes: Vec<String>,
    /// SHA-256 of certificates, in hexadecimal; one of them.
    #[serde(default)]
    pub certificate_hashes: Vec<String>,
    /// One of them.
    #[serde(default)]
    pub subject_alt_names: SubjectAltNames,
    /// Certificates that are called back.
    pub crl: Option<Crl>,
    /// Whether one may be out of date.
    #[serde(default)]
    pub allow_expired_certificate: bool,
}

/// What a client must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum ValidationMode {
    /// Nothing, and whatever it shows is taken.
    Request,
    /// Some certificate, whoever made it.
    RequireAny,
    /// Nothing, or one of the CAs.
    VerifyIfGiven,
    /// One of the CAs.
    RequireAndVerify,
}

/// Conditions on the names in a certificate, of which one must hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubjectAltNames {
    /// On host names.
    #[serde(default)]
    pub dns_names: Vec<StringMatch>,
    /// On addresses of mail.
    #[serde(default)]
    pub email_addresses: Vec<StringMatch>,
    /// On IP addresses.
    #[serde(default)]
    pub ip_addresses: Vec<StringMatch>,
    /// On URIs, such as SPIFFE IDs.
    #[serde(default)]
    pub uris: Vec<StringMatch>,
}

/// A condition on a text.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StringMatch {
    /// How to compare.
    #[serde(default, rename = "type")]
    pub kind: StringMatchType,
    /// With what.
    pub value: String,
}

/// How texts are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum StringMatchType {
    /// Equal.
    #[default]
    Exact,
    /// The beginning.
    Prefix,
    /// The end.
    Suffix,
    /// RE2, the whole text.
    RegularExpression,
}

/// Certificates that are called back.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Crl {
    /// ConfigMaps or Secrets with the key `ca.crl`.
    pub refs: Vec<ObjectRef>,
    /// Whether the CAs in between are not looked up.
    #[serde(default)]
    pub only_verify_leaf_certificate: bool,
}

/// What becomes of the headers of requests.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientHeaders {
    /// What says who the client is, by its certificate.
    pub x_forwarded_client_cert: Option<ForwardedCertificate>,
    /// Changes before anything reads them.
    pub early_request_headers: Option<EarlyHeaders>,
}

/// What becomes of `x-forwarded-client-cert`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForwardedCertificate {
    /// `Sanitize` by default.
    #[serde(default)]
    pub mode: ForwardMode,
    /// What it says of the certificate beside its hash.
    #[serde(default)]
    pub cert_details_to_add: Vec<CertificateDetail>,
}

/// Whose `x-forwarded-client-cert` a request has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum ForwardMode {
    /// None.
    #[default]
    Sanitize,
    /// The client's, if it has shown a certificate.
    ForwardOnly,
    /// The client's with the gateway's behind it, if it has shown a certificate.
    AppendForward,
    /// The gateway's.
    SanitizeSet,
    /// The client's.
    AlwaysForwardOnly,
}

/// A part of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "their own names")]
pub enum CertificateDetail {
    Subject,
    Cert,
    Chain,
    #[serde(rename = "DNS")]
    Dns,
    #[serde(rename = "URI")]
    Uri,
}

/// Changes of headers; values may have Envoy's command operators.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EarlyHeaders {
    /// In place of what is there.
    #[serde(default)]
    pub set: Vec<HeaderValue>,
    /// Beside what is there.
    #[serde(default)]
    pub add: Vec<HeaderValue>,
    /// Where there is none.
    #[serde(default)]
    pub add_if_absent: Vec<HeaderValue>,
    /// By name.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// A header.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderValue {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}
