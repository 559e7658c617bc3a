//! Where resources will be at work, and what is done there without Weir.

use super::kinds::Kind;

/// Where the resources will be at work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Platform {
    /// On this machine: Weir does everything, and all that the resources name must be in the files.
    #[default]
    Here,
    /// In Kubernetes with Envoy Gateway, which takes the resources of Gateway API and its own as they are.
    EnvoyGateway,
    /// In Kubernetes with Istio, which knows none of the resources: all of them are compiled.
    Istio,
}

/// Fields of those resources that Weir would have to understand all the same: they say which policy applies to a route.
const UNDERSTOOD: &[(Kind, &str)] = &[
    (Kind::Gateway, "spec.allowedListeners"),
    (Kind::Gateway, "spec.defaultScope"),
    (Kind::HTTPRoute, "spec.useDefaultGateways"),
    (Kind::BackendTrafficPolicy, "spec.targetSelectors"),
    (Kind::BackendTrafficPolicy, "spec.mergeType"),
    (Kind::ClientTrafficPolicy, "spec.targetSelectors"),
];

impl Platform {
    /// Whether Secrets, ConfigMaps and Services may be in a cluster and not in the files, and the environment is that
    /// of a pod.
    #[must_use]
    pub fn is_cluster(self) -> bool {
        self != Platform::Here
    }

    /// Whether the platform counts what policies limit, with selectors and in ways that Weir has not.
    #[must_use]
    pub fn does_limits(self) -> bool {
        self == Platform::EnvoyGateway
    }

    /// Whether a field that Weir itself cannot do is done by the platform.
    #[must_use]
    pub fn does(self, kind: Kind, path: &str) -> bool {
        let passes = matches!(
            kind,
            Kind::Gateway
                | Kind::HTTPRoute
                | Kind::BackendTLSPolicy
                | Kind::BackendTrafficPolicy
                | Kind::ClientTrafficPolicy
        );
        self == Platform::EnvoyGateway && passes && !UNDERSTOOD.contains(&(kind, path))
    }
}
