//! What is passed on as it is.

use serde_json::Value;

use super::{BACKENDS, FILTER, Group, OTHER, PATCHES, ROUTES, Renderer, full_name_of, group_of};
use crate::render::kubernetes::{kind_of, namespace_of, targets};

impl Renderer<'_> {
    /// Passes on what needs no change and was not written elsewhere.
    pub(super) fn pass_on(&mut self) {
        for document in &self.input.documents {
            let file = match (group_of(document), kind_of(document)) {
                (Group::Weirs, _) => continue,
                // Other parts of this renderer write them, changed or not.
                (Group::Platform, "Gateway" | "GatewayClass" | "EnvoyProxy") => continue,
                (Group::Platform, "BackendTrafficPolicy" | "ClientTrafficPolicy") => continue,
                (Group::Platform, "Backend" | "BackendTLSPolicy") => BACKENDS,
                (Group::Platform, "HTTPRoute" | "HTTPRouteFilter" | "GRPCRoute" | "ReferenceGrant") => ROUTES,
                (Group::Platform, "EnvoyExtensionPolicy") => FILTER,
                (Group::Platform, "EnvoyPatchPolicy") => PATCHES,
                (_, "Secret") => continue,
                _ => OTHER,
            };
            self.check_targets(document);
            self.manifests.add(file, document.clone());
        }
    }

    /// A policy for the HTTPRoute that Envoy AI Gateway makes of an AIGatewayRoute would silently be for nothing. Nor
    /// can it be for those that are made here: filters such as that of a SecurityPolicy come before Weir's, when the
    /// model is not known and another route is chosen.
    fn check_targets(&mut self, policy: &Value) {
        let namespace = namespace_of(policy);
        for target in targets(policy) {
            let text = |field: &str| target.get(field).and_then(Value::as_str);
            let (kind, name) = (text("kind").unwrap_or_default(), text("name").unwrap_or_default());
            let namespace = text("namespace").unwrap_or(namespace);
            let mut routes = self.input.set.ai_gateway_routes.iter();
            let is_ai = ["AIGatewayRoute", "HTTPRoute"].contains(&kind)
                && routes.any(|route| route.id.namespace == namespace && route.id.name == name);
            if is_ai {
                let message = format!(
                    "is for {kind} {namespace}/{name}, of which an HTTPRoute is made for each rule, and these are chosen by the model, \
                     which a {} comes too early to know; make it one for the Gateway",
                    kind_of(policy)
                );
                self.refuse(kind_of(policy), &full_name_of(policy), "spec.targetRefs", message);
            }
        }
    }
}
