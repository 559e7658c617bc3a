//! The servers that credentials are asked for, as routes that no request takes: Envoy has a cluster for each rule.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use weir_core::auth::{Source, Url};

use super::rules::RuleOf;
use super::{BACKENDS, ENVOY_GATEWAY_V1, GATEWAY_API_V1, ROUTES, Renderer};
use crate::render::hosts;
use crate::render::kubernetes::{resource, slug};
use crate::resources::kinds::ENVOY_GATEWAY;

/// What the resources are called.
const NAME: &str = "weir-credentials";

impl Renderer<'_> {
    /// The clusters of the servers, by origin.
    pub(super) fn hosts_route(&mut self, rules: &[RuleOf<'_>]) -> BTreeMap<String, String> {
        let plan = &self.input.plan;
        let sources = |rule: &RuleOf<'_>| {
            let of = |(_, member): (usize, &crate::plan::Member)| -> Option<&Source> {
                let auth = plan.filter.backends.get(&member.backend)?.auth.as_ref()?;
                plan.filter.credentials.get(auth.credential())
            };
            rule.members().filter_map(of).collect::<Vec<_>>()
        };
        // A credentials file that holds keys calls nobody, and a route needs a rule.
        let calls = |rule: &&RuleOf<'_>| !hosts::of(sources(rule).into_iter()).is_empty();
        let calling: Vec<&RuleOf<'_>> = rules.iter().filter(calls).collect();
        let Some(first) = calling.first() else { return BTreeMap::new() };
        let namespace = first.id().namespace.clone();
        let name = self.names.unique("HTTPRoute", &namespace, NAME);
        let origins = hosts::of(calling.iter().flat_map(|rule| sources(rule)));
        let servers: Vec<(&str, Url)> =
            origins.into_keys().filter_map(|origin| Some((origin, Url::parse(origin)?))).collect();
        let mut clusters = BTreeMap::new();
        let mut routes = Vec::new();
        for (i, (origin, url)) in servers.into_iter().enumerate() {
            let backend = self.server(&namespace, &url);
            routes.push(json!({
                // Every path begins with a slash, so this is none.
                "matches": [{"path": {"type": "RegularExpression", "value": format!("never-{i}")}}],
                "backendRefs": [{"group": ENVOY_GATEWAY, "kind": "Backend", "name": backend}],
            }));
            clusters.insert(origin.to_owned(), format!("httproute/{namespace}/{name}/rule/{i}"));
        }
        let spec = json!({"parentRefs": super::routes::parents(&calling), "rules": routes});
        self.manifests.add(ROUTES, resource(GATEWAY_API_V1, "HTTPRoute", &namespace, &name, spec));
        clusters
    }

    /// The Backend of a server: its name.
    fn server(&mut self, namespace: &str, url: &Url) -> String {
        let name = self.names.unique("Backend", namespace, &format!("{NAME}-{}", slug(&url.host)));
        let endpoint = match url.host.parse::<std::net::IpAddr>() {
            Ok(_) => json!({"ip": {"address": url.host, "port": url.port}}),
            Err(_) => json!({"fqdn": {"hostname": url.host, "port": url.port}}),
        };
        let spec = json!({"endpoints": [endpoint]});
        self.manifests.add(BACKENDS, resource(ENVOY_GATEWAY_V1, "Backend", namespace, &name, spec));
        if url.is_tls {
            let policy = self.names.unique("BackendTLSPolicy", namespace, &name);
            let spec = json!({
                "targetRefs": [{"group": ENVOY_GATEWAY, "kind": "Backend", "name": name}],
                "validation": {"hostname": url.host, "wellKnownCACertificates": "System"},
            });
            let policy: Value = resource(GATEWAY_API_V1, "BackendTLSPolicy", namespace, &policy, spec);
            self.manifests.add(BACKENDS, policy);
        }
        name
    }
}
