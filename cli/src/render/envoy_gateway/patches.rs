//! What only patches of Envoy's configuration can say: the filter in a cluster's chain, and what wasm needs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};
use weir_core::config::Config;

use super::extension::{Extensions, variables};
use super::routes::{HttpRoute, UNPATCHED};
use super::rules::RuleOf;
use super::{ENVOY_GATEWAY_V1, Filter, PATCHES, Renderer, WEIR, full_name_of, halves};
use crate::plan::{Endpoint, Listener, Member};
use crate::render::kubernetes::resource;
use crate::render::{Error, Form, form, proto};
use crate::resources::kinds::GATEWAY_API;

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";
const ENDPOINTS: &str = "envoy.config.endpoint.v3.ClusterLoadAssignment";
const LISTENER: &str = "envoy.config.listener.v3.Listener";
const ROUTES: &str = "envoy.config.route.v3.RouteConfiguration";

const HTTP_PROTOCOL_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

impl Renderer<'_> {
    /// The patches of each Gateway that needs some.
    pub(super) fn patches(
        &mut self,
        rules: &[RuleOf<'_>],
        routes: &[HttpRoute],
        config: &Config,
        extensions: &Extensions,
        has_credentials_route: bool,
    ) -> Result<(), Error> {
        let code = json!({"local": {"filename": self.options.filter.path()}});
        let filter = self.in_chain(&code, config)?;
        let mut patches: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let mut with_two_roles = BTreeSet::new();
        for route in routes {
            let Some(rule) = rules.get(route.rule) else { continue };
            let has_two_roles = route.direct.is_empty();
            let has_idle_timeout = self.options.release.has_idle_timeout();
            if has_two_roles {
                self.check_two_roles(rule);
            } else if has_idle_timeout {
                continue;
            }
            let name = route.envoy_name();
            for (gateway, listeners) in self.listeners_of(rule) {
                let mut made = Vec::new();
                if has_two_roles {
                    self.check_file(rule, &gateway);
                    let has_options = self.has_protocol_options(rule, &gateway, &listeners);
                    made = in_cluster(rule, &name, &filter, has_options);
                    made.extend(listeners.iter().map(|listener| opened(listener, &name)));
                    with_two_roles.insert(gateway.clone());
                }
                for listener in listeners.iter().filter(|_| !has_idle_timeout) {
                    let silence = self.allowed_silence_at(rule, listener);
                    made.extend(silence.map(|silence| idle(listener, &name, silence)));
                }
                patches.entry(gateway).or_default().extend(made);
            }
        }
        if routes.iter().any(|route| route.direct.is_empty()) || has_credentials_route {
            self.check_merging();
        }
        if let Filter::Wasm(..) = self.options.filter {
            let vm = form::vm(&code, &variables(config));
            for listener in &self.input.plan.listeners {
                let Some((gateway, _)) = listener.name.rsplit_once('/') else { continue };
                if let Some(extension) = extensions.get(gateway) {
                    let vm = with_two_roles.contains(gateway).then_some(&vm);
                    let made = for_wasm(&listener.name, extension, vm, self.charged(listener));
                    patches.entry(gateway.to_owned()).or_default().extend(made);
                }
            }
        }
        if !patches.is_empty() {
            self.check_merged_gateways();
        }
        for (gateway, patches) in patches {
            let (namespace, gateway) = halves(&gateway);
            let name = self.names.unique("EnvoyPatchPolicy", namespace, &format!("{WEIR}-{gateway}"));
            let spec = json!({
                "targetRef": {"group": GATEWAY_API, "kind": "Gateway", "name": gateway},
                "type": "JSONPatch",
                "jsonPatches": patches,
            });
            self.manifests
                .add(PATCHES, resource(ENVOY_GATEWAY_V1, "EnvoyPatchPolicy", namespace, &name, spec));
        }
        Ok(())
    }

    /// Clusters must have the names that patches and the filter's configuration say.
    fn check_merging(&mut self) {
        for document in self.documents("EnvoyProxy") {
            if document.pointer("/spec/mergeBackends").is_some() {
                let message = "gives clusters other names than those of their routes, by which patches and AWS credentials find \
                               them; leave it out";
                self.refuse("EnvoyProxy", &full_name_of(document), "spec.mergeBackends", message);
            }
        }
    }

    /// Where Gateways are merged, Envoy Gateway takes patches for their class only, and what they are for has other
    /// names.
    fn check_merged_gateways(&mut self) {
        for document in self.documents("EnvoyProxy") {
            if document.pointer("/spec/mergeGateways") == Some(&Value::Bool(true)) {
                let message = "keeps EnvoyPatchPolicies of a Gateway from their work, and these resources need one; leave it out";
                self.refuse("EnvoyProxy", &full_name_of(document), "spec.mergeGateways", message);
            }
        }
    }

    /// The keys of the costs that limits charge at a listener.
    fn charged(&self, listener: &Listener) -> BTreeSet<&str> {
        let rules = listener.virtual_hosts.iter().flat_map(|host| &host.rules);
        let limits = rules.flat_map(|matched| &matched.rule.limits);
        let budgets = limits.filter_map(|limit| self.input.plan.filter.budgets.get(limit.budget));
        budgets.filter_map(|budget| budget.response_cost.as_deref()).collect()
    }

    /// The Gateways of a rule, each with the listeners that have it.
    fn listeners_of(&mut self, rule: &RuleOf<'_>) -> BTreeMap<String, Vec<String>> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut ports: BTreeMap<(&str, u16), &str> = BTreeMap::new();
        for listener in &self.input.plan.listeners {
            let mut rules = listener.virtual_hosts.iter().flat_map(|host| &host.rules);
            let Some((gateway, _)) = listener.name.rsplit_once('/') else { continue };
            let first = *ports.entry((gateway, listener.port)).or_insert(&listener.name);
            if !rules.any(|matched| matched.rule.origin == rule.rule.origin) {
                continue;
            }
            // Those of HTTPS have a chain each, with routes of its own.
            if first != listener.name && listener.tls.is_none() {
                let message = format!(
                    "needs a patch of the routes of {}, which Envoy Gateway joins with those of {first} on the same port; give the \
                     listeners ports of their own",
                    listener.name
                );
                self.report.error(rule.id(), rule.field("backendRefs"), message);
            }
            found.entry(gateway.to_owned()).or_default().push(listener.name.clone());
        }
        found
    }

    /// What stands in the way of a filter in the cluster's chain.
    fn check_two_roles(&mut self, rule: &RuleOf<'_>) {
        let policy = rule.rule.policy.as_deref();
        let policy = policy.and_then(|name| self.document("BackendTrafficPolicy", name));
        let field = |path: &str| policy.and_then(|policy| policy.pointer(path)).is_some();
        let name = rule.rule.policy.clone().unwrap_or_default();
        if field("/spec/admissionControl") {
            let message = format!(
                "{} needs the filter in its cluster's chain, where Envoy Gateway puts that of admission control: leave it out",
                rule.id()
            );
            self.refuse("BackendTrafficPolicy", &name, "spec.admissionControl", message);
        }
        for setting in ["preferLocal", "weightedZones"] {
            if field(&format!("/spec/loadBalancer/zoneAware/{setting}")) {
                let message = format!(
                    "{} needs the filter in its cluster's chain, and with it Envoy Gateway makes a cluster of each backend: leave it out",
                    rule.id()
                );
                self.refuse(
                    "BackendTrafficPolicy",
                    &name,
                    &format!("spec.loadBalancer.zoneAware.{setting}"),
                    message,
                );
            }
        }
    }

    /// A cluster's chain takes the filter from a file. Where the listener's wasm filter is downloaded as well they
    /// would not share a VM.
    fn check_file(&mut self, rule: &RuleOf<'_>, gateway: &str) {
        if matches!(self.options.filter, Filter::Wasm(..)) && !self.has_file(gateway) {
            let message = format!(
                "{}, so the filter must stand in the cluster's chain, and there Envoy takes a wasm filter from a file in its pod: name \
                 the image by --wasm-image and add --wasm-volume, or name an image of Envoy with {} by --envoy-image; or take \
                 --filter module",
                reason(rule),
                self.options.filter.path()
            );
            self.report.error(rule.id(), rule.field("backendRefs"), message);
        } else if self.options.filter.in_pod().is_none() {
            let note = format!(
                "the proxies, which are processes of a host, read the filter from {}",
                self.options.filter.path()
            );
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// The filter for the chains of clusters.
    fn in_chain(&self, code: &Value, config: &Config) -> Result<Value, Error> {
        let text = serde_json::to_string(config).map_err(|error| Error::Filter(error.to_string()))?;
        let (name, role, form) = ("weir.backend", "backend", self.options.filter.form());
        let fields = match form {
            Form::Wasm => form::wasm(name, role, code, &variables(config), &text),
            Form::Module => form::module("module", code, role, &text),
        };
        Ok(json!({"name": name, "typed_config": proto::any(form.message(), fields)}))
    }
}

/// The filter in the chain of the cluster `name`, and what tells it which backend an attempt goes to.
fn in_cluster(rule: &RuleOf<'_>, name: &str, filter: &Value, has_options: bool) -> Vec<Value> {
    let filters = json!([
        filter,
        proto::extension(
            "envoy.filters.http.upstream_codec",
            "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
            json!({}),
        ),
    ]);
    let options = format!("/typed_extension_protocol_options/{HTTP_PROTOCOL_OPTIONS}");
    let chain = if has_options {
        json!({"op": "add", "path": format!("{options}/http_filters"), "value": filters})
    } else {
        let value = json!({"explicit_http_config": {"http_protocol_options": {}}, "http_filters": filters});
        json!({"op": "add", "path": options, "value": proto::any(HTTP_PROTOCOL_OPTIONS, value)})
    };
    let mut patches = vec![patch(CLUSTER, name, chain)];
    for (place, (target, member)) in rule.members().enumerate() {
        for (number, endpoint) in member.endpoints.iter().enumerate() {
            let mark = json!({"target": format!("{target}/{number}/{}", member.backend)});
            patches.push(marked(name, place, member, endpoint, mark));
        }
    }
    patches
}

/// Why a rule's requests cannot go a direct way.
fn reason(rule: &RuleOf<'_>) -> &'static str {
    if rule.members().count() > 1 {
        "there are several backends"
    } else if rule.members().any(|(_, member)| member.endpoints.len() > 1) {
        "its Backend has several endpoints"
    } else if rule.cluster.members.len() > 1 {
        "there is a second backendRef, though one has the weight 0"
    } else {
        "more than the model decides where its requests go: other conditions, host names, plain HTTPRoutes beside it, or a limit by \
         path, by query or by a header that the backend's credential or mutations change"
    }
}

/// Lets requests come to a route whose cluster has the filter. See [`UNPATCHED`]. Each patch is applied for itself, so
/// this one looks for the cluster that the others are for: where Envoy Gateway splits it, because a backend is invalid
/// for instance, the route stays closed.
fn opened(listener: &str, route: &str) -> Value {
    let begins = literal(route);
    let routes = format!("$..routes[?(@.name =~ '^{begins}/' && @.route.cluster == '{route}')]");
    let operation =
        json!({"op": "remove", "jsonPath": format!("{routes}.match.headers[?(@.name == '{UNPATCHED}')]")});
    patch(ROUTES, listener, operation)
}

/// Bounds the silence in requests of a route.
fn idle(listener: &str, route: &str, silence: Duration) -> Value {
    let routes = format!("$..routes[?(@.name =~ '^{}/')].route", literal(route));
    let value = proto::duration(silence);
    patch(ROUTES, listener, json!({"op": "add", "jsonPath": routes, "path": "idle_timeout", "value": value}))
}

/// A name of Kubernetes as a regular expression that nothing else matches.
fn literal(name: &str) -> String {
    name.replace('.', "[.]")
}

fn patch(kind: &str, name: &str, operation: Value) -> Value {
    json!({"type": format!("type.googleapis.com/{kind}"), "name": name, "operation": operation})
}

/// A mark on one endpoint of the backend at `place` of a route. Envoy Gateway makes a locality of each backend, and has
/// endpoints with host names in the cluster itself.
fn marked(cluster: &str, place: usize, member: &Member, endpoint: &Endpoint, mark: Value) -> Value {
    let is_address = endpoint.host.parse::<IpAddr>().is_ok();
    let (kind, root) = if is_address { (ENDPOINTS, "$") } else { (CLUSTER, "$.load_assignment") };
    let locality = format!("@.locality.region == '{cluster}/backend/{place}'");
    let address = "@.endpoint.address.socket_address";
    let which = if member.endpoints.len() > 1 {
        format!("?({address}.address == '{}' && {address}.port_value == {})", endpoint.host, endpoint.port)
    } else {
        "*".to_owned()
    };
    let operation = json!({
        "op": "add",
        "jsonPath": format!("{root}.endpoints[?({locality})].lb_endpoints[{which}]"),
        "path": "metadata/filter_metadata/weir",
        "value": mark,
    });
    patch(kind, cluster, operation)
}

/// What a listener's wasm filter needs, that of the policy `extension`, and its routes where they charge costs;
/// `shared` is the VM that it has together with filters of clusters.
fn for_wasm(listener: &str, extension: &str, shared: Option<&Value>, costs: BTreeSet<&str>) -> Vec<Value> {
    // Before the policy's name stands its kind, or nothing where the resources come from files.
    let begins = format!("^envoy[.]filters[.]http[.]wasm/[a-z]*/{}/wasm/", literal(extension));
    let filters = format!("$..http_filters[?(@.name =~ '{begins}')].typed_config.config");
    let setting = |name: &str, value: Value| {
        let operation = json!({"op": "add", "jsonPath": filters, "path": name, "value": value});
        patch(LISTENER, listener, operation)
    };
    let mut patches = vec![
        // Without it a filter that waits for the body is never given one.
        setting("allow_on_headers_stop_iteration", true.into()),
        // Otherwise all requests are refused for good once a VM has failed.
        setting("failure_policy", "FAIL_RELOAD".into()),
    ];
    patches.extend(shared.map(|vm| setting("vm_config", vm.clone())));
    for key in costs {
        let metadata = Form::Module.cost(key);
        let operation = json!({
            "op": "replace",
            "jsonPath": format!("$..rate_limits[?(@.hits_addend.format == '{metadata}')].hits_addend.format"),
            "value": Form::Wasm.cost(key),
        });
        patches.push(patch(ROUTES, listener, operation));
    }
    patches
}
