//! Kinds of Envoy Gateway, as far as Weir does what they ask for. The rest of their fields is in
//! [`super::unsupported`]; BackendTrafficPolicy is in [`super::traffic`], ClientTrafficPolicy in
//! [`super::client_traffic`]. Source: the CRDs of Envoy Gateway v1.9.

use serde::Deserialize;

use super::gateway::TargetRef;

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
