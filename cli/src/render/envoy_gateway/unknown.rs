//! The routes that take what no rule takes: with none Envoy would answer before the filter has seen the request.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use weir_core::endpoint::ClientApi;
use weir_core::error::{Error as ClientError, Kind};

use super::{ENVOY_GATEWAY_V1, GATEWAY_API_V1, ROUTES, Renderer, halves};
use crate::plan::{Match, PathMatch, VirtualHost};
use crate::render::kubernetes::resource;
use crate::resources::kinds::{ENVOY_GATEWAY, GATEWAY_API};

/// Gateway API takes so many host names in a route.
const HOSTNAMES: usize = 16;

impl Renderer<'_> {
    /// A 404 for models that no rule has, which the filter puts into the client's words.
    pub(super) fn unknown_models(&mut self) {
        // By Gateway: the listeners that have the same host names without a rule that takes all.
        let mut open: BTreeMap<&str, BTreeMap<Vec<&str>, Vec<&str>>> = BTreeMap::new();
        for listener in &self.input.plan.listeners {
            let Some((gateway, section)) = listener.name.rsplit_once('/') else { continue };
            let domains: Vec<&str> = listener
                .virtual_hosts
                .iter()
                .filter(|host| is_open(host))
                .flat_map(|host| host.domains.iter().map(String::as_str))
                .collect();
            if !domains.is_empty() {
                open.entry(gateway).or_default().entry(domains).or_default().push(section);
            }
        }
        // What the filter takes for no request of an API gets these words.
        let error = ClientError::new(Kind::UnknownPath, "unknown path or model: no route takes it");
        let body = String::from_utf8_lossy(&error.body(ClientApi::default())).into_owned();
        for (gateway, listeners) in open {
            let (namespace, gateway) = halves(gateway);
            let filter = self.names.unique("HTTPRouteFilter", namespace, &format!("{gateway}-unknown-model"));
            let spec = json!({"directResponse": {
                "statusCode": error.status(),
                "contentType": "application/json",
                "body": {"type": "Inline", "inline": body},
            }});
            self.manifests
                .add(ROUTES, resource(ENVOY_GATEWAY_V1, "HTTPRouteFilter", namespace, &filter, spec));
            for (domains, sections) in listeners {
                let (all, names): (Vec<&str>, Vec<&str>) = domains.iter().partition(|name| **name == "*");
                if !all.is_empty() {
                    self.unknown_models_of(namespace, gateway, &sections, &[], &filter);
                }
                for names in names.chunks(HOSTNAMES) {
                    self.unknown_models_of(namespace, gateway, &sections, names, &filter);
                }
            }
        }
    }

    fn unknown_models_of(
        &mut self,
        namespace: &str,
        gateway: &str,
        sections: &[&str],
        names: &[&str],
        filter: &str,
    ) {
        let parent = |section: &&str| json!({"group": GATEWAY_API, "kind": "Gateway", "name": gateway, "sectionName": section});
        let parents: Vec<Value> = sections.iter().map(parent).collect();
        let reference = json!({"group": ENVOY_GATEWAY, "kind": "HTTPRouteFilter", "name": filter});
        let mut spec = json!({
            "parentRefs": parents,
            "rules": [{"filters": [{"type": "ExtensionRef", "extensionRef": reference}]}],
        });
        if let (Value::Object(fields), false) = (&mut spec, names.is_empty()) {
            fields.insert("hostnames".to_owned(), json!(names));
        }
        let name = self.names.unique("HTTPRoute", namespace, &format!("{gateway}-unknown-model"));
        self.manifests.add(ROUTES, resource(GATEWAY_API_V1, "HTTPRoute", namespace, &name, spec));
    }
}

/// Whether there are models here, and requests that no rule takes.
fn is_open(host: &VirtualHost) -> bool {
    let takes_all = |matches: &Match| {
        let any_path = match &matches.path {
            None => true,
            Some(PathMatch::Prefix(prefix)) => prefix.trim_end_matches('/').is_empty(),
            Some(_) => false,
        };
        any_path && matches.method.is_none() && matches.headers.is_empty() && matches.query.is_empty()
    };
    host.rules.iter().any(|rule| rule.rule.ai) && !host.rules.iter().any(|rule| takes_all(&rule.matches))
}
