//! The filter in the listeners' chain, and its configuration.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use weir_core::auth::{ContainerEndpoint, Source};
use weir_core::config::{Config, Direct};

use super::routes::{HttpRoute, POD_IDENTITY, made_for};
use super::rules::RuleOf;
use super::{Code, ENVOY_GATEWAY_V1, FILTER, Filter, Group, Renderer, WEIR, full_name_of, group_of, halves};
use crate::render::Error;
use crate::render::form::ENVIRONMENT;
use crate::render::kubernetes::{
    Route, SecretKey, configuration, kind_of, namespace_of, resource, secret_keys, targets,
};
use crate::resources::kinds::GATEWAY_API;

/// The filter state that has the record of a request; a telemetry setting that names it wants records written.
const RECORD: &str = "weir.record";

/// `namespace/name` of the policies that put the filter into the chains of Gateways, by that of the Gateway.
pub(super) type Extensions = BTreeMap<String, String>;

impl Renderer<'_> {
    /// The filter's configuration.
    pub(super) fn configuration(
        &self,
        rules: &[RuleOf<'_>],
        routes: &[HttpRoute],
        container: Option<&str>,
        hosts: &BTreeMap<String, String>,
    ) -> Config {
        let named = routes.iter().filter_map(|route| {
            Some(Route { name: route.envoy_name(), rule: &rules.get(route.rule)?.rule.name })
        });
        let mut direct = BTreeMap::new();
        for route in routes {
            let Some(rule) = rules.get(route.rule) else { continue };
            let Some((target, member)) = rule.members().next() else { continue };
            for model in &route.direct {
                let way = Direct {
                    route: route.envoy_name(),
                    target: format!("{target}/0/{}", member.backend),
                    cluster: made_for(rule),
                    only: true,
                };
                direct.insert(model.clone(), way);
            }
        }
        let mut config = configuration(&self.input.plan, named, direct);
        config.access_log = self.documents("EnvoyProxy").any(|proxy| proxy.to_string().contains(RECORD));
        match self.options.filter {
            Filter::Module(_) => {
                let file = |key: SecretKey<'_>| (key.credential.to_owned(), key.path());
                config.secret_files = secret_keys(&config).map(file).collect();
            }
            Filter::Wasm(..) => {
                let variable = |key: SecretKey<'_>| (key.credential.to_owned(), key.variable());
                config.secret_env = secret_keys(&config).map(variable).collect();
            }
        }
        if let Some(cluster) = container {
            let endpoint = ContainerEndpoint {
                cluster: cluster.to_owned(),
                authority: POD_IDENTITY.to_owned(),
                path: "/v1/credentials".to_owned(),
                // What EKS puts into the pod when it starts.
                token_from_environment: true,
                if_announced: true,
            };
            for source in config.credentials.values_mut() {
                if let Source::AwsDefault(calls) = source {
                    calls.container = Some(endpoint.clone());
                }
            }
        }
        for called in config.credentials.values_mut().filter_map(Source::hosts_mut) {
            for (origin, cluster) in &mut called.0 {
                if let Some(ours) = hosts.get(origin) {
                    cluster.clone_from(ours);
                }
            }
        }
        config
    }

    /// The policies that put the filter into the chains of the Gateways.
    pub(super) fn extension(&mut self, config: &Config) -> Result<Extensions, Error> {
        self.check_extensions();
        let variables = variables(config);
        let config = serde_json::to_value(config).map_err(|error| Error::Filter(error.to_string()))?;
        let (field, filter) = match &self.options.filter {
            Filter::Module(_) => {
                ("dynamicModule", json!({"name": WEIR, "filterName": "edge", "config": config}))
            }
            Filter::Wasm(code, _) => {
                let env = json!({"hostKeys": variables});
                let code = source(code);
                ("wasm", json!({"name": WEIR, "rootID": "edge", "code": code, "config": config, "env": env}))
            }
        };
        let mut by_namespace: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (namespace, name) in self.gateways().into_iter().map(halves) {
            by_namespace.entry(namespace).or_default().push(name);
        }
        let mut extensions = Extensions::new();
        for (namespace, gateways) in by_namespace {
            let target = |name: &&str| json!({"group": GATEWAY_API, "kind": "Gateway", "name": name});
            let targets: Vec<Value> = gateways.iter().map(target).collect();
            let name = self.names.unique("EnvoyExtensionPolicy", namespace, WEIR);
            let spec = json!({"targetRefs": targets, field: [filter]});
            let policy = resource(ENVOY_GATEWAY_V1, "EnvoyExtensionPolicy", namespace, &name, spec);
            self.manifests.add(FILTER, policy);
            let full_name = format!("{namespace}/{name}");
            extensions
                .extend(gateways.iter().map(|gateway| (format!("{namespace}/{gateway}"), full_name.clone())));
        }
        Ok(extensions)
    }

    /// Envoy Gateway takes one policy for a Gateway, and that of a route in place of it.
    fn check_extensions(&mut self) {
        for document in self.documents("EnvoyExtensionPolicy") {
            let full_name = full_name_of(document);
            if document.pointer("/spec/targetSelectors").is_some() {
                let message = "may choose routes or Gateways on which the filter's own policy must be; name them in `targetRefs`";
                self.refuse("EnvoyExtensionPolicy", &full_name, "spec.targetSelectors", message);
            }
            for target in targets(document) {
                let text = |field: &str| target.get(field).and_then(Value::as_str).unwrap_or_default();
                let (kind, name) = (text("kind"), format!("{}/{}", namespace_of(document), text("name")));
                let message = if kind == "Gateway" && self.gateways().contains(&*name) {
                    format!(
                        "is for Gateway {name}, whose AIGatewayRoutes take the filter's own policy: Envoy Gateway takes one for a \
                         Gateway; give what this one is for a Gateway of its own"
                    )
                } else if let Some(gateway) = self.gateway_with_models(kind, &name) {
                    format!(
                        "is for {kind} {name} on Gateway {gateway}, which has AIGatewayRoutes: it would take the place of the \
                         filter's own policy, and requests for models that first come to this route would pass the filter by; give \
                         the route a Gateway of its own"
                    )
                } else {
                    continue;
                };
                self.refuse("EnvoyExtensionPolicy", &full_name, "spec.targetRefs", message);
            }
        }
    }

    /// The Gateway with AIGatewayRoutes to which a plain route is attached, too.
    fn gateway_with_models(&self, kind: &str, full_name: &str) -> Option<&str> {
        let documents = self.input.documents.iter();
        let mut routes = documents.filter(|route| kind_of(route) == kind && full_name_of(route) == full_name);
        let route = routes.find(|route| group_of(route) == Group::Platform)?;
        let parents = route.pointer("/spec/parentRefs")?.as_array()?;
        let gateways = self.gateways();
        parents.iter().find_map(|parent| {
            let text = |field: &str| parent.get(field).and_then(Value::as_str);
            let namespace = text("namespace").unwrap_or(namespace_of(route));
            gateways.get(&*format!("{namespace}/{}", text("name")?)).copied()
        })
    }
}

/// What a wasm filter reads of the proxy's environment.
pub(super) fn variables(config: &Config) -> Vec<&str> {
    config.secret_env.values().map(String::as_str).chain(ENVIRONMENT).collect()
}

fn source(code: &Code) -> Value {
    let (kind, field, url) = match &code.source {
        super::Source::Image(image) => ("Image", "image", image),
        super::Source::Url(url) => ("HTTP", "http", url),
    };
    let mut source = json!({"url": url});
    if let (Value::Object(fields), Some(digest)) = (&mut source, &code.sha256) {
        fields.insert("sha256".to_owned(), digest.clone().into());
    }
    json!({"type": kind, field: source})
}
