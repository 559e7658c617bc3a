//! The Backends behind the AIServiceBackends, and copies of them where priorities need some.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::{Value, json};

use super::rules::RuleOf;
use super::{BACKENDS, GATEWAY_API_V1, ROUTES, Renderer, halves};
use crate::plan::Member;
use crate::render::kubernetes::{name_of, namespace_of, resource, targets};
use crate::resources::kinds::{ENVOY_GATEWAY, GATEWAY_API};
use crate::resources::set::Found;

/// The Backends to name in HTTPRoutes: `namespace/name` by that of the AIServiceBackend, and whether it is to step in
/// for others.
#[derive(Debug, Default)]
pub(super) struct BackendNames(BTreeMap<(String, bool), String>);

impl BackendNames {
    /// The Backend of a rule's backend.
    pub(super) fn of(&self, member: &Member, is_fallback: bool) -> Option<&str> {
        self.0.get(&(member.backend.clone(), is_fallback)).map(String::as_str)
    }
}

impl Renderer<'_> {
    /// Checks what each rule sends to, and makes the copies.
    pub(super) fn backends(&mut self, rules: &[RuleOf<'_>]) -> BackendNames {
        let mut names = BackendNames::default();
        // By Backend, and whether the copy steps in for others.
        let mut copies: BTreeMap<(String, bool), String> = BTreeMap::new();
        let mut granted = BTreeSet::new();
        for rule in rules {
            self.check_members(rule);
            for (_, member) in rule.members() {
                let is_fallback = rule.is_fallback(member);
                let Some(backend) = self.backend_of(&member.backend) else { continue };
                let name = match self.document("Backend", &backend) {
                    Some(document) if falls_back(document) != is_fallback => {
                        let key = (backend.clone(), is_fallback);
                        let made = copies.get(&key).cloned();
                        let name = made.unwrap_or_else(|| self.copy(document, is_fallback));
                        copies.insert(key, name.clone());
                        name
                    }
                    _ => backend,
                };
                let (from, to) = (&rule.id().namespace, halves(&name).0.to_owned());
                if *from != to && granted.insert((from.clone(), to.clone())) {
                    self.grant(from, &to);
                }
                names.0.insert((member.backend.clone(), is_fallback), name);
            }
        }
        names
    }

    fn check_members(&mut self, rule: &RuleOf<'_>) {
        let priorities: BTreeSet<u32> = rule.members().map(|(_, member)| member.priority).collect();
        let field = rule.field("backendRefs");
        if priorities.len() > 2 {
            let message = format!(
                "have {} priorities; a Backend of Envoy Gateway knows two, its own and `fallback`",
                priorities.len()
            );
            self.report.error(rule.id(), &field, message);
        }
        let is_address =
            |member: &Member| member.endpoints.iter().any(|endpoint| endpoint.host.parse::<IpAddr>().is_ok());
        let with_address = rule.members().find(|(_, member)| is_address(member));
        let with_name = rule.members().find(|(_, member)| !is_address(member));
        if let (Some((_, address)), Some((_, name))) = (with_address, with_name) {
            let message = format!(
                "{} has an IP address and {} a host name: Envoy Gateway makes a cluster of each, and retries stay in \
                 the one they began in; give all of them IP addresses, or all of them host names",
                address.backend, name.backend
            );
            self.report.error(rule.id(), &field, message);
        }
    }

    /// `namespace/name` of the Backend of an AIServiceBackend.
    fn backend_of(&self, ai_service_backend: &str) -> Option<String> {
        let (namespace, name) = halves(ai_service_backend);
        let Found::One(found) = self.input.set.ai_service_backends.find(namespace, name) else { return None };
        let reference = &found.spec.backend_ref;
        Some(format!("{}/{}", reference.namespace.as_deref().unwrap_or(namespace), reference.name))
    }

    /// A Backend that is the same but for its `fallback`, with TLS as that has it.
    fn copy(&mut self, document: &Value, is_fallback: bool) -> String {
        let (namespace, name) = (namespace_of(document), name_of(document));
        let wanted = format!("{name}-{}", if is_fallback { "fallback" } else { "first" });
        let copy = self.names.unique("Backend", namespace, &wanted);
        let mut spec = document.get("spec").cloned().unwrap_or_default();
        if let Value::Object(fields) = &mut spec {
            fields.insert("fallback".to_owned(), is_fallback.into());
        }
        let api_version = document.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        self.manifests.add(BACKENDS, resource(api_version, "Backend", namespace, &copy, spec));
        let is_for = |policy: &&Value| {
            let is_it = |target: &Value| {
                target.get("kind").and_then(Value::as_str) == Some("Backend")
                    && target.get("name").and_then(Value::as_str) == Some(name)
            };
            namespace_of(policy) == namespace && targets(policy).any(is_it)
        };
        if let Some(policy) = self.documents("BackendTLSPolicy").find(is_for) {
            let mut spec = policy.get("spec").cloned().unwrap_or_default();
            if let Value::Object(fields) = &mut spec {
                let target = json!([{"group": ENVOY_GATEWAY, "kind": "Backend", "name": copy}]);
                fields.insert("targetRefs".to_owned(), target);
            }
            let api_version = policy.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
            let policy = self.names.unique("BackendTLSPolicy", namespace, &copy);
            self.manifests.add(BACKENDS, resource(api_version, "BackendTLSPolicy", namespace, &policy, spec));
        }
        format!("{namespace}/{copy}")
    }

    /// Lets HTTPRoutes of one namespace send to Backends of another, as the AIGatewayRoute does.
    fn grant(&mut self, from: &str, to: &str) {
        let name = self.names.unique("ReferenceGrant", to, &format!("weir-{from}"));
        let spec = json!({
            "from": [{"group": GATEWAY_API, "kind": "HTTPRoute", "namespace": from}],
            "to": [{"group": ENVOY_GATEWAY, "kind": "Backend"}],
        });
        // Its only version that all releases of Gateway API have.
        let api_version = GATEWAY_API_V1.replace("/v1", "/v1beta1");
        self.manifests.add(ROUTES, resource(&api_version, "ReferenceGrant", to, &name, spec));
    }
}

fn falls_back(backend: &Value) -> bool {
    backend.pointer("/spec/fallback").and_then(Value::as_bool).unwrap_or(false)
}
