//! HTTPRoutes: one for each rule of an AIGatewayRoute, and for each way that its requests go.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use weir_core::headers::{CLUSTER_HEADER, MODEL_HEADER};

use super::backends::BackendNames;
use super::rules::RuleOf;
use super::{ENVOY_GATEWAY_V1, Filter, GATEWAY_API_V1, ROUTES, Renderer, halves};
use crate::render::direct::own_headers;
use crate::render::kubernetes::{duration, resource, slug};
use crate::resources::ai::AiMatch;
use crate::resources::gateway::{NameMatchType, ParentRef};
use crate::resources::kinds::ENVOY_GATEWAY;

/// Gateway API takes so many matches in a rule.
const MATCHES: usize = 64;
/// Gateway API takes so many backends in a rule.
const BACKENDS: usize = 16;
/// ... and header conditions in a match, of which one is [`UNPATCHED`].
const HEADERS: usize = 15;

/// A header that no request has, since its value cannot be. A patch takes the condition away; so a route to a cluster
/// that needs a patch, and was given none, takes no request. Without the filter in that cluster a backend would get
/// what the client sent, the client's credentials among it.
pub(super) const UNPATCHED: &str = "x-weir-unpatched";
/// A regular expression that no text matches, to Go as to Envoy.
const NOTHING: &str = r"[^\s\S]";

/// Where EKS Pod Identity gives credentials to pods.
/// <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html>
pub(super) const POD_IDENTITY: &str = "169.254.170.23";

/// An HTTPRoute of a rule. It has one rule itself.
#[derive(Debug)]
pub(super) struct HttpRoute {
    /// The rule it is of: its place in the list of all.
    pub(super) rule: usize,
    pub(super) namespace: String,
    pub(super) name: String,
    /// The models that go a direct way here; none where the filter stands in the cluster's chain.
    pub(super) direct: Vec<String>,
}

impl HttpRoute {
    /// What Envoy Gateway calls the cluster, and how it begins to call the routes.
    pub(super) fn envoy_name(&self) -> String {
        format!("httproute/{}/{}/rule/0", self.namespace, self.name)
    }
}

/// What a request on a direct way says of itself: the backend that it was made for. Only routes of that backend take
/// it, so that while a change is under way no other gets its credential.
pub(super) fn made_for(rule: &RuleOf<'_>) -> String {
    rule.members().next().map(|(_, member)| member.backend.clone()).unwrap_or_default()
}

impl Renderer<'_> {
    /// The HTTPRoutes of all rules.
    pub(super) fn routes(&mut self, rules: &[RuleOf<'_>], backends: &BackendNames) -> Vec<HttpRoute> {
        let mut routes = Vec::new();
        for (position, rule) in rules.iter().enumerate() {
            let too_many = rule.other.iter().any(|spec| spec.headers.len() > HEADERS);
            if too_many {
                let message =
                    format!("has a match of more than {HEADERS} headers, which Gateway API refuses");
                self.report.error(rule.id(), rule.field("matches"), message);
            }
            let count = rule.members().count();
            if count > BACKENDS {
                let message = format!("has {count} backends; Gateway API takes {BACKENDS} in a rule");
                self.report.error(rule.id(), rule.field("backendRefs"), message);
            }
            for models in rule.direct.chunks(MATCHES) {
                let spec = self.spec(rule, backends, direct_matches(rule, models), true);
                let route = self.route(position, rule, spec, models);
                routes.push(route);
            }
            if !rule.has_other {
                continue;
            }
            let mut matches: Vec<Value> = rule.other.iter().map(|spec| conditions(spec)).collect();
            if matches.is_empty() {
                matches.push(conditions(&AiMatch::default()));
            }
            for part in matches.chunks(MATCHES) {
                let spec = self.spec(rule, backends, part.to_vec(), false);
                let route = self.route(position, rule, spec, &[]);
                routes.push(route);
            }
        }
        routes
    }

    fn route(&mut self, position: usize, rule: &RuleOf<'_>, spec: Value, direct: &[&str]) -> HttpRoute {
        let namespace = &rule.id().namespace;
        let model =
            || rule.spec.matches.iter().flat_map(|spec| &spec.headers).map(|header| &*header.value).next();
        let label = rule.spec.name.as_deref().or_else(model).map(slug).filter(|label| !label.is_empty());
        let label = label.unwrap_or_else(|| rule.index.to_string());
        let name = self.names.unique("HTTPRoute", namespace, &format!("{}-{label}", rule.id().name));
        self.manifests.add(ROUTES, resource(GATEWAY_API_V1, "HTTPRoute", namespace, &name, spec));
        let direct = direct.iter().map(|model| (*model).to_owned()).collect();
        HttpRoute { rule: position, namespace: namespace.clone(), name, direct }
    }

    fn spec(
        &self,
        rule: &RuleOf<'_>,
        backends: &BackendNames,
        matches: Vec<Value>,
        is_direct: bool,
    ) -> Value {
        let references: Vec<Value> = rule
            .members()
            .filter_map(|(_, member)| {
                let name = backends.of(member, rule.is_fallback(member))?;
                let (namespace, name) = halves(name);
                let mut reference = json!({"group": ENVOY_GATEWAY, "kind": "Backend", "name": name});
                if let Value::Object(fields) = &mut reference {
                    if namespace != rule.id().namespace {
                        fields.insert("namespace".to_owned(), namespace.into());
                    }
                    if member.weight != 1 {
                        fields.insert("weight".to_owned(), member.weight.into());
                    }
                }
                Some(reference)
            })
            .collect();
        let mut http = Map::new();
        http.insert("name".to_owned(), WHOLE.into());
        http.insert("matches".to_owned(), matches.into());
        if is_direct {
            let remove = json!({"remove": own_headers(&self.input.plan)});
            let filter = json!({"type": "RequestHeaderModifier", "requestHeaderModifier": remove});
            http.insert("filters".to_owned(), json!([filter]));
        }
        http.insert("backendRefs".to_owned(), references.into());
        // Without one Envoy's default of 15 s would cut streams.
        let whole = duration(rule.rule.request_timeout.unwrap_or_default());
        http.insert("timeouts".to_owned(), json!({"request": whole}));
        let spec = &rule.route.spec;
        let parents: Vec<Value> = spec.parent_refs.iter().map(parent).collect();
        let mut route = Map::new();
        route.insert("parentRefs".to_owned(), parents.into());
        if !spec.hostnames.is_empty() {
            route.insert("hostnames".to_owned(), json!(spec.hostnames));
        }
        route.insert("rules".to_owned(), json!([http]));
        route.into()
    }

    /// A route that no request takes, so that Envoy has a cluster for the endpoint of EKS Pod Identity: the name of the
    /// cluster.
    pub(super) fn credentials_route(&mut self, rules: &[RuleOf<'_>]) -> Option<String> {
        use weir_core::auth::Source;
        let credentials = &self.input.plan.filter.credentials;
        let asks = |rule: &&RuleOf<'_>| {
            rule.members().any(|(_, member)| {
                let backend = self.input.plan.filter.backends.get(&member.backend);
                let auth = backend.and_then(|backend| backend.auth.as_ref());
                let source = auth.and_then(|auth| credentials.get(auth.credential()));
                matches!(source, Some(Source::AwsDefault(_)))
            })
        };
        let asking: Vec<&RuleOf<'_>> = rules.iter().filter(asks).collect();
        let rule = *asking.first()?;
        if let Filter::Wasm(..) = self.options.filter {
            asking.iter().for_each(|rule| self.check_environment(rule));
            return None;
        }
        let namespace = rule.id().namespace.clone();
        let name = self.names.unique("HTTPRoute", &namespace, "weir-aws-credentials");
        let backend = self.names.unique("Backend", &namespace, "weir-aws-credentials");
        let endpoint = json!({"ip": {"address": POD_IDENTITY, "port": 80}});
        let spec = json!({"endpoints": [endpoint]});
        self.manifests
            .add(super::BACKENDS, resource(ENVOY_GATEWAY_V1, "Backend", &namespace, &backend, spec));
        let spec = json!({
            "parentRefs": parents(&asking),
            "rules": [{
                // Every path begins with a slash, so this is none.
                "matches": [{"path": {"type": "RegularExpression", "value": "never"}}],
                "backendRefs": [{"group": ENVOY_GATEWAY, "kind": "Backend", "name": backend}],
            }],
        });
        self.manifests.add(ROUTES, resource(GATEWAY_API_V1, "HTTPRoute", &namespace, &name, spec));
        Some(format!("httproute/{namespace}/{name}/rule/0"))
    }
}

impl Renderer<'_> {
    /// A wasm filter cannot read the file with the token of the pod's identity, and knows AWS keys by variables alone.
    fn check_environment(&mut self, rule: &RuleOf<'_>) {
        let has_keys = |gateway: &String| {
            let proxy = self.proxy_of(gateway).and_then(|name| self.document("EnvoyProxy", &name));
            proxy.is_some_and(|proxy| proxy.to_string().contains("AWS_ACCESS_KEY_ID"))
        };
        if !self.gateways_of(rule).iter().all(has_keys) {
            let message = "has a backend whose AWSCredentials name no `credentialsFile`: a wasm filter cannot read the token of EKS \
                           Pod Identity. Use --filter module, name a Secret in `credentialsFile`, or put AWS_ACCESS_KEY_ID and \
                           AWS_SECRET_ACCESS_KEY into `container.env` of its Gateway's EnvoyProxy";
            self.report.error(rule.id(), rule.field("backendRefs"), message);
        }
    }

    /// `namespace/name` of the Gateways that have a rule.
    fn gateways_of(&self, rule: &RuleOf<'_>) -> BTreeSet<String> {
        let with_it = self.input.plan.listeners.iter().filter(|listener| {
            let mut rules = listener.virtual_hosts.iter().flat_map(|host| &host.rules);
            rules.any(|matched| matched.rule.origin == rule.rule.origin)
        });
        with_it.filter_map(|listener| Some(listener.name.rsplit_once('/')?.0.to_owned())).collect()
    }
}

/// The name of the one rule of an HTTPRoute.
const WHOLE: &str = "models";

/// Matches of what the filter has made for the rule's backend.
fn direct_matches(rule: &RuleOf<'_>, models: &[&str]) -> Vec<Value> {
    let backend = made_for(rule);
    let one = |model: &&str| {
        json!({"headers": [
            {"type": "Exact", "name": MODEL_HEADER, "value": model},
            {"type": "Exact", "name": CLUSTER_HEADER, "value": backend},
        ]})
    };
    models.iter().map(one).collect()
}

/// A match of the input, once its route is patched.
fn conditions(spec: &AiMatch) -> Value {
    let header = |header: &crate::resources::gateway::NameMatch| {
        let kind = match header.kind {
            NameMatchType::Exact => "Exact",
            NameMatchType::RegularExpression => "RegularExpression",
        };
        json!({"type": kind, "name": header.name, "value": header.value})
    };
    let unpatched = json!({"type": "RegularExpression", "name": UNPATCHED, "value": NOTHING});
    json!({"headers": spec.headers.iter().map(header).chain([unpatched]).collect::<Vec<_>>()})
}

/// The parents of rules, for a route that the proxies of all of them need.
pub(super) fn parents(rules: &[&RuleOf<'_>]) -> Vec<Value> {
    let mut parents: Vec<Value> = Vec::new();
    for rule in rules {
        for reference in &rule.route.spec.parent_refs {
            let namespace = reference.namespace.clone().unwrap_or_else(|| rule.id().namespace.clone());
            let parent = parent(&ParentRef { namespace: Some(namespace), ..reference.clone() });
            if !parents.contains(&parent) {
                parents.push(parent);
            }
        }
    }
    parents
}

/// A parent as it was written.
pub(super) fn parent(reference: &ParentRef) -> Value {
    let mut fields = Map::new();
    let texts = [
        ("group", reference.group.as_ref()),
        ("kind", reference.kind.as_ref()),
        ("namespace", reference.namespace.as_ref()),
        ("name", Some(&reference.name)),
        ("sectionName", reference.section_name.as_ref()),
    ];
    for (field, text) in texts {
        if let Some(text) = text {
            fields.insert(field.to_owned(), text.clone().into());
        }
    }
    if let Some(port) = reference.port {
        fields.insert("port".to_owned(), port.into());
    }
    Value::Object(fields)
}
