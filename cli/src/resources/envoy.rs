//! Kinds of Envoy Gateway, as far as Weir does what they ask for. The rest of their fields is in
//! [`super::unsupported`]; BackendTrafficPolicy is in [`super::traffic`]. Source: the CRDs of Envoy Gateway v1.9.

use serde::Deserialize;

use super::gateway::TargetRef;
use super::values::{Bytes, GatewayDuration};

/// Backend
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendSpec {
    /// `Endpoints`; the other one is not supported.
    #[serde(default, rename = "type")]
    pub kind: BackendKind,
    /// Its addresses.
    #[serde(default)]
    pub endpoints: Vec<BackendEndpoint>,
    /// Whether it only steps in for others, in HTTPRoutes.
    #[serde(default)]
    pub fallback: bool,
}

/// How a Backend names its addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum BackendKind {
    /// By a list.
    #[default]
    Endpoints,
    /// By the host of each request; not supported.
    DynamicResolver,
}

/// An address: one of the two.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendEndpoint {
    /// A host name.
    pub fqdn: Option<FqdnEndpoint>,
    /// An IP address.
    pub ip: Option<IpEndpoint>,
}

/// A host name and port.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FqdnEndpoint {
    /// The name.
    pub hostname: String,
    /// TCP port.
    pub port: u16,
}

/// An IP address and port.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IpEndpoint {
    /// Version 4 or 6.
    pub address: String,
    /// TCP port.
    pub port: u16,
}

/// What a policy applies to: one or several.
#[derive(Debug, Clone)]
pub struct Targets<'a> {
    /// Field and target.
    pub refs: Vec<(String, &'a TargetRef)>,
}

impl<'a> Targets<'a> {
    pub(super) fn new(one: Option<&'a TargetRef>, many: &'a [TargetRef]) -> Self {
        let one = one.map(|target| ("spec.targetRef".to_owned(), target));
        let many = many.iter().enumerate().map(|(i, target)| (format!("spec.targetRefs[{i}]"), target));
        Targets { refs: one.into_iter().chain(many).collect() }
    }
}

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
