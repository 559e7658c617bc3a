//! Which kinds Weir reads, which it knows but cannot do yet, and which are none of its business.

use super::diagnostic::closest;
use super::platform::Platform;

/// What is done with a resource of some kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treatment {
    /// It is decoded as this kind.
    Read(Kind),
    /// It asks for nothing that Weir would have to do.
    Harmless(&'static str),
    /// It is a mistake; the message says which.
    Refused(String),
    /// Its group is not one that Weir reads.
    Foreign,
}

/// The kinds that are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the resources' own names")]
pub enum Kind {
    GatewayClass,
    Gateway,
    HTTPRoute,
    BackendTLSPolicy,
    ReferenceGrant,
    AIGatewayRoute,
    AIServiceBackend,
    BackendSecurityPolicy,
    Backend,
    BackendTrafficPolicy,
    ClientTrafficPolicy,
    SecurityPolicy,
    EnvoyProxy,
    Secret,
    ConfigMap,
    Service,
}

impl Kind {
    /// As in the field `kind`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::GatewayClass => "GatewayClass",
            Kind::Gateway => "Gateway",
            Kind::HTTPRoute => "HTTPRoute",
            Kind::BackendTLSPolicy => "BackendTLSPolicy",
            Kind::ReferenceGrant => "ReferenceGrant",
            Kind::AIGatewayRoute => "AIGatewayRoute",
            Kind::AIServiceBackend => "AIServiceBackend",
            Kind::BackendSecurityPolicy => "BackendSecurityPolicy",
            Kind::Backend => "Backend",
            Kind::BackendTrafficPolicy => "BackendTrafficPolicy",
            Kind::ClientTrafficPolicy => "ClientTrafficPolicy",
            Kind::SecurityPolicy => "SecurityPolicy",
            Kind::EnvoyProxy => "EnvoyProxy",
            Kind::Secret => "Secret",
            Kind::ConfigMap => "ConfigMap",
            Kind::Service => "Service",
        }
    }

    /// Whether it lives in no namespace.
    #[must_use]
    pub fn is_cluster_scoped(self) -> bool {
        self == Kind::GatewayClass
    }
}

/// Group of Gateway API.
pub const GATEWAY_API: &str = "gateway.networking.k8s.io";
/// Group of Envoy Gateway.
pub const ENVOY_GATEWAY: &str = "gateway.envoyproxy.io";
/// Group of Envoy AI Gateway.
pub const AI_GATEWAY: &str = "aigateway.envoyproxy.io";

/// Group, kind and the versions that are understood, newest first.
const READ: &[(&str, Kind, &[&str])] = &[
    (GATEWAY_API, Kind::GatewayClass, &["v1", "v1beta1"]),
    (GATEWAY_API, Kind::Gateway, &["v1", "v1beta1"]),
    (GATEWAY_API, Kind::HTTPRoute, &["v1", "v1beta1"]),
    (GATEWAY_API, Kind::BackendTLSPolicy, &["v1", "v1alpha3"]),
    (GATEWAY_API, Kind::ReferenceGrant, &["v1", "v1beta1"]),
    (AI_GATEWAY, Kind::AIGatewayRoute, &["v1beta1", "v1alpha1"]),
    (AI_GATEWAY, Kind::AIServiceBackend, &["v1beta1", "v1alpha1"]),
    (AI_GATEWAY, Kind::BackendSecurityPolicy, &["v1beta1", "v1alpha1"]),
    (ENVOY_GATEWAY, Kind::Backend, &["v1alpha1"]),
    (ENVOY_GATEWAY, Kind::BackendTrafficPolicy, &["v1alpha1"]),
    (ENVOY_GATEWAY, Kind::ClientTrafficPolicy, &["v1alpha1"]),
    (ENVOY_GATEWAY, Kind::SecurityPolicy, &["v1alpha1"]),
    (ENVOY_GATEWAY, Kind::EnvoyProxy, &["v1alpha1"]),
    ("", Kind::Secret, &["v1"]),
    ("", Kind::ConfigMap, &["v1"]),
    ("", Kind::Service, &["v1"]),
];

/// Group and kind of what is known and refused, since running without it would not be what was asked for.
const NOT_YET: &[(&str, &str)] = &[
    (GATEWAY_API, "GRPCRoute"),
    (GATEWAY_API, "TLSRoute"),
    (GATEWAY_API, "TCPRoute"),
    (GATEWAY_API, "UDPRoute"),
    (GATEWAY_API, "ListenerSet"),
    (AI_GATEWAY, "MCPRoute"),
    (AI_GATEWAY, "QuotaPolicy"),
    (AI_GATEWAY, "GatewayConfig"),
    (ENVOY_GATEWAY, "EnvoyExtensionPolicy"),
    (ENVOY_GATEWAY, "EnvoyPatchPolicy"),
    (ENVOY_GATEWAY, "HTTPRouteFilter"),
    (ENVOY_GATEWAY, "EnvoyGateway"),
];

/// The group of a kind that is read; empty for the core group.
#[must_use]
pub fn group_of(kind: &str) -> &'static str {
    READ.iter().find(|(_, known, _)| known.name() == kind).map_or("", |(group, ..)| group)
}

/// What is done on Envoy Gateway with what is its own.
const PASSED_ON: &str = "it is Envoy Gateway's own and passed on as it is";

/// Sorts a resource by its `apiVersion` and `kind`.
#[must_use]
pub fn treatment(api_version: &str, kind: &str, platform: Platform) -> Treatment {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    if (group, kind) == (ENVOY_GATEWAY, Kind::SecurityPolicy.name()) {
        match platform {
            Platform::Here => {}
            Platform::EnvoyGateway => return Treatment::Harmless(PASSED_ON),
            Platform::Istio => {
                let message = "SecurityPolicy is not supported on Istio; use its RequestAuthentication and \
                               AuthorizationPolicy";
                return Treatment::Refused(message.to_owned());
            }
        }
    }
    if let Some((_, known, versions)) = READ.iter().find(|(g, k, _)| *g == group && k.name() == kind) {
        if versions.contains(&version) {
            return Treatment::Read(*known);
        }
        return Treatment::Refused(format!(
            "version `{version}` of {kind} is not known, use {}",
            versions
                .iter()
                .map(|version| {
                    if group.is_empty() { format!("`{version}`") } else { format!("`{group}/{version}`") }
                })
                .collect::<Vec<_>>()
                .join(" or ")
        ));
    }
    if platform == Platform::EnvoyGateway && NOT_YET.contains(&(group, kind)) && group != AI_GATEWAY {
        return Treatment::Harmless(PASSED_ON);
    }
    if NOT_YET.contains(&(group, kind)) {
        return Treatment::Refused(format!("{kind} is not supported yet; take it out of these files"));
    }
    if ![GATEWAY_API, AI_GATEWAY, ENVOY_GATEWAY].contains(&group) {
        return Treatment::Foreign;
    }
    let elsewhere = READ.iter().find(|(g, k, _)| *g != group && k.name() == kind);
    if let Some((group, _, [version, ..])) = elsewhere {
        let right = if group.is_empty() { (*version).to_owned() } else { format!("{group}/{version}") };
        return Treatment::Refused(format!("{kind} is of another group, write `apiVersion: {right}`"));
    }
    let known: Vec<&str> = READ
        .iter()
        .filter(|(g, ..)| *g == group)
        .map(|(_, kind, _)| kind.name())
        .chain(NOT_YET.iter().filter(|(g, _)| *g == group).map(|(_, kind)| *kind))
        .collect();
    let advice = closest(kind, &known)
        .map_or_else(|| format!("known are {}", known.join(", ")), |best| format!("did you mean `{best}`?"));
    Treatment::Refused(format!("there is no kind `{kind}` in {group}, {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        assert_eq!(
            treatment("aigateway.envoyproxy.io/v1alpha1", "AIGatewayRoute", Platform::Here),
            Treatment::Read(Kind::AIGatewayRoute)
        );
        assert_eq!(treatment("v1", "Secret", Platform::Here), Treatment::Read(Kind::Secret));
        assert_eq!(treatment("v1", "ServiceAccount", Platform::Here), Treatment::Foreign);
        assert_eq!(treatment("apps/v1", "Deployment", Platform::Here), Treatment::Foreign);
        assert_eq!(treatment("networking.istio.io/v1", "Gateway", Platform::Here), Treatment::Foreign);
        let refusals = [
            ("aigateway.envoyproxy.io/v1beta1", "AIGatwayRoute", "did you mean `AIGatewayRoute`?"),
            ("aigateway.envoyproxy.io/v2", "AIGatewayRoute", "version `v2` of AIGatewayRoute is not known"),
            (
                "gateway.envoyproxy.io/v1alpha1",
                "AIServiceBackend",
                "write `apiVersion: aigateway.envoyproxy.io/v1beta1`",
            ),
            ("aigateway.envoyproxy.io/v1beta1", "MCPRoute", "not supported yet"),
            ("gateway.networking.k8s.io/v1", "Teapot", "known are GatewayClass, Gateway"),
        ];
        for (api_version, kind, part) in refusals {
            let Treatment::Refused(message) = treatment(api_version, kind, Platform::Here) else {
                panic!("{kind}")
            };
            assert!(message.contains(part), "{message}");
        }
    }
}
