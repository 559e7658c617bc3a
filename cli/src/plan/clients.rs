//! What listeners do with their clients: TLS, and who a client is.

use super::SecretValue;

/// How TLS ends at a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// The client is shown the first one that it can verify.
    pub certificates: Vec<Certificate>,
    /// What is negotiated.
    pub parameters: TlsParameters,
    /// What clients must show of themselves. `None`: nothing, and they are not asked.
    pub clients: Option<ClientCertificates>,
}

/// A certificate that a listener shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// `namespace/name` of its Secret.
    pub secret: String,
    /// PEM of the certificate and of those between it and its CA.
    pub chain: String,
    /// PEM.
    pub key: SecretValue,
}

/// What is negotiated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsParameters {
    /// The lowest version, by Envoy's name. `None`: Envoy's choice.
    pub min_version: Option<&'static str>,
    /// The highest version, by Envoy's name. `None`: Envoy's choice.
    pub max_version: Option<&'static str>,
    /// Of TLS up to 1.2; Envoy's when empty.
    pub ciphers: Vec<String>,
    /// Envoy's when empty.
    pub curves: Vec<String>,
    /// Envoy's when empty.
    pub signature_algorithms: Vec<String>,
    /// Versions of HTTP, the dearest first. Empty: that is not negotiated.
    pub alpn: Vec<&'static str>,
    /// Whether a client takes up a session by a ticket that it keeps.
    pub tickets: bool,
    /// Whether a client takes up a session that Envoy keeps.
    pub session_ids: bool,
}

/// Those of Envoy Gateway.
impl Default for TlsParameters {
    fn default() -> Self {
        TlsParameters {
            min_version: Some("TLSv1_2"),
            max_version: Some("TLSv1_3"),
            ciphers: Vec::new(),
            curves: Vec::new(),
            signature_algorithms: Vec::new(),
            alpn: vec!["h2", "http/1.1"],
            tickets: false,
            session_ids: false,
        }
    }
}

/// What clients must show of themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientCertificates {
    /// `namespace/name` of the policy that says it.
    pub policy: String,
    /// Whether a client without a certificate is refused.
    pub required: bool,
    /// Whether one is taken that none of the CAs has made.
    pub accept_untrusted: bool,
    /// Whether one is taken that is out of date.
    pub accept_expired: bool,
    /// PEM of the CAs; empty for none.
    pub ca_pem: String,
    /// PEM of the lists of what is called back; empty for none.
    pub crl_pem: String,
    /// Whether those have nothing about the CAs in between.
    pub crl_of_leaf_only: bool,
    /// SHA-256 of public keys in base64, one of them; any when empty.
    pub key_hashes: Vec<String>,
    /// SHA-256 of certificates in hexadecimal, one of them; any when empty.
    pub hashes: Vec<String>,
    /// One of them holds; any name when empty.
    pub names: Vec<NameCondition>,
}

/// A condition on the names in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameCondition {
    /// Envoy's word for the kind of name.
    pub kind: &'static str,
    /// Envoy's word for how it is compared.
    pub comparison: &'static str,
    /// With what.
    pub value: String,
}

/// What becomes of the headers of requests before anything reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientHeaders {
    /// What becomes of `x-forwarded-client-cert`. `None`: it is taken out.
    pub certificate: Option<ForwardedCertificate>,
    /// In this order.
    pub changes: Vec<HeaderChange>,
}

/// What becomes of `x-forwarded-client-cert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardedCertificate {
    /// Envoy's word for whose it is.
    pub mode: &'static str,
    /// Envoy's words for what it says beside the hash.
    pub details: Vec<&'static str>,
}

/// A change of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderChange {
    /// It is taken out.
    Remove(String),
    /// It is written.
    Write {
        /// Its name.
        name: String,
        /// Its value, in which Envoy's command operators count.
        value: String,
        /// Envoy's word for what becomes of those that are there.
        action: &'static str,
    },
}
