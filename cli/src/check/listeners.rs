//! Gateways as listeners that routes attach to.

use std::collections::HashMap;
use std::time::Duration;

use super::client_traffic::{self, ClientPolicies};
use super::names::{common_hostnames, hostname_mistake};
use super::security::SecurityPolicies;
use super::tls;
use crate::plan::{self, MatchedRule};
use crate::resources::decode::MISSING;
use crate::resources::diagnostic::hint;
use crate::resources::gateway::{FromNamespaces, GatewayListener, GatewaySpec, ParentRef};
use crate::resources::kinds::GATEWAY_API;
use crate::resources::set::{Found, Resource};
use crate::resources::{Platform, Report, ResourceId, Set};

/// How long a request may take to come where nothing else says it: 32 MiB over a line of a megabit per second.
pub(crate) const REQUEST_RECEIVED_TIMEOUT: Duration = Duration::from_secs(300);

/// A listener while routes are attached to it.
#[derive(Debug)]
pub struct Listener<'a> {
    /// Its Gateway.
    pub gateway: &'a ResourceId,
    spec: &'a GatewayListener,
    /// All but its virtual hosts.
    pub plan: plan::Listener,
    /// What was attached, in the order of the files.
    pub entries: Vec<Entry>,
}

/// A match of a rule at a listener.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The route.
    pub route: ResourceId,
    /// Where in it the match is written.
    pub field: String,
    /// The host names it is for.
    pub domains: std::rc::Rc<[String]>,
    /// What it does.
    pub rule: MatchedRule,
}

impl Listener<'_> {
    /// Its name in the Gateway.
    #[must_use]
    pub fn section(&self) -> &str {
        &self.spec.name
    }
}

/// The listeners of all Gateways.
pub fn listeners<'a>(
    set: &'a Set,
    security: &SecurityPolicies,
    now: Option<Duration>,
    report: &mut Report,
) -> Vec<Listener<'a>> {
    if set.gateways.is_empty() && !set.incomplete {
        report.file_error("", "there is no Gateway; add one that says on which port to listen");
    }
    let policies = ClientPolicies::new(set, report);
    let mut ports = Ports::default();
    let mut listeners = Vec::new();
    for class in set.gateway_classes.iter() {
        check_parameters(set, &class.id, class.spec.parameters_ref.as_ref(), report);
    }
    for gateway in set.gateways.iter() {
        let class = &gateway.spec.gateway_class_name;
        if !set.platform.is_cluster()
            && let Found::Nothing(others) = set.gateway_classes.find("", class)
        {
            let message = format!("GatewayClass {class} is not in these files, {others}");
            report.warning(&gateway.id, "spec.gatewayClassName", message);
        }
        if gateway.spec.listeners.is_empty() && !report.has_error(&gateway.id, "spec.listeners") {
            report.error(
                &gateway.id,
                "spec.listeners",
                "is empty; add one with a name, a port and `protocol: HTTP`",
            );
        }
        for (i, listener) in gateway.spec.listeners.iter().enumerate() {
            let field = format!("spec.listeners[{i}]");
            if set.platform == Platform::EnvoyGateway && ["TLS", "TCP", "UDP"].contains(&&*listener.protocol)
            {
                continue;
            }
            check_listener(gateway, i, listener, &field, set.platform, report);
            let name = format!("{}/{}", gateway.id.full_name(), listener.name);
            if report.has_error(&gateway.id, &format!("{field}.port")) {
                continue;
            }
            if let Some(message) = ports.taken(listener, &name, set.platform) {
                report.error(&gateway.id, format!("{field}.port"), message);
                continue;
            }
            let policy = policies.of(&gateway.id, &listener.name);
            let tls = tls::of_listener(&gateway.id, listener, &field, policy, now, set, report);
            let plan = plan::Listener {
                security: security.to_listener(&gateway.id, &listener.name),
                ..client_traffic::listener(name, listener, policy.map(|policy| &policy.spec), tls)
            };
            listeners.push(Listener { gateway: &gateway.id, spec: listener, plan, entries: Vec::new() });
        }
    }
    listeners
}

/// Listeners by their port.
#[derive(Default)]
struct Ports<'a>(HashMap<u16, Vec<(String, &'a GatewayListener)>>);

impl<'a> Ports<'a> {
    /// Why a listener cannot have its port beside those that have it already.
    fn taken(&mut self, listener: &'a GatewayListener, name: &str, platform: Platform) -> Option<String> {
        let others = self.0.entry(listener.port).or_default();
        let is_here = platform != Platform::EnvoyGateway;
        let mistake = others.iter().filter(|_| is_here).find_map(|(first, other)| {
            let port = listener.port;
            if listener.protocol != "HTTPS" || other.protocol != "HTTPS" {
                Some(format!(
                    "{port} is the port of listener {first}, too, and only HTTPS listeners can share one; keep one of \
                     the two and tell the routes apart by `hostnames`"
                ))
            } else if listener.hostname == other.hostname {
                Some(format!("listener {first} has the same port and `hostname`; give this one another"))
            } else {
                None
            }
        });
        if mistake.is_none() {
            others.push((name.to_owned(), listener));
        }
        mistake
    }
}

fn check_parameters(
    set: &Set,
    class: &ResourceId,
    reference: Option<&crate::resources::gateway::ObjectRef>,
    report: &mut Report,
) {
    let Some(reference) = reference.filter(|reference| reference.kind.as_deref() == Some("EnvoyProxy"))
    else {
        return;
    };
    let namespace = reference.namespace.as_deref().unwrap_or("default");
    if let Found::Nothing(others) = set.envoy_proxies.find(namespace, &reference.name) {
        let message = format!("EnvoyProxy {namespace}/{} does not exist, {others}", reference.name);
        report.error(class, "spec.parametersRef.name", message);
    }
}

fn check_listener(
    gateway: &Resource<GatewaySpec>,
    i: usize,
    listener: &GatewayListener,
    field: &str,
    platform: Platform,
    report: &mut Report,
) {
    let id = &gateway.id;
    let known = match platform {
        Platform::Here | Platform::EnvoyGateway => &["HTTP", "HTTPS", MISSING][..],
        Platform::Istio => &["HTTP", MISSING],
    };
    if !known.contains(&listener.protocol.as_str()) && !report.has_error(id, &format!("{field}.protocol")) {
        let message = format!("`{}` is not a protocol; write `HTTP` or `HTTPS`", listener.protocol);
        report.error(id, format!("{field}.protocol"), message);
    }
    if listener.port == 0 && !report.has_error(id, &format!("{field}.port")) {
        report.error(id, format!("{field}.port"), "must be from 1 to 65535");
    }
    if let Some(mistake) = listener.hostname.as_deref().and_then(hostname_mistake) {
        report.error(id, format!("{field}.hostname"), mistake);
    }
    if gateway.spec.listeners.iter().take(i).any(|other| other.name == listener.name) {
        let message = format!("another listener is called `{}`; give this one its own name", listener.name);
        report.error(id, format!("{field}.name"), message);
    }
}

/// Whether something is wrong already with what a policy says it applies to.
#[must_use]
pub fn targets_reported(id: &ResourceId, report: &Report) -> bool {
    ["spec.targetRef", "spec.targetRefs", "spec.targetSelectors"]
        .iter()
        .any(|field| report.has_error(id, field))
}

/// Two policies of a kind on one target, of which only one could count.
#[must_use]
pub fn conflict(target: &str, section: Option<&str>, first: &ResourceId) -> String {
    let part = section.map(|section| format!(", section `{section}`")).unwrap_or_default();
    format!("{target}{part} has a policy already, {first} in {}; merge the two or remove one", first.file)
}

/// Reports a Gateway or listener that is not there.
pub fn gateway_exists(
    id: &ResourceId,
    field: &str,
    name: &str,
    section: Option<&str>,
    set: &Set,
    report: &mut Report,
) -> bool {
    match set.gateways.find(&id.namespace, name) {
        Found::Broken => false,
        Found::Nothing(others) => {
            let message = format!("Gateway {}/{name} does not exist, {others}", id.namespace);
            report.error(id, format!("{field}.name"), message);
            false
        }
        Found::One(gateway) => {
            section.is_none_or(|section| has_listener(id, field, gateway, section, report))
        }
    }
}

fn has_listener(
    id: &ResourceId,
    field: &str,
    gateway: &Resource<GatewaySpec>,
    section: &str,
    report: &mut Report,
) -> bool {
    let names = || gateway.spec.listeners.iter().map(|listener| listener.name.as_str());
    if names().any(|name| name == section) {
        return true;
    }
    let message = format!("{} has no listener `{section}`, {}", gateway.id, hint(section, names()));
    report.error(id, format!("{field}.sectionName"), message);
    false
}

/// Where a route attaches: the positions of listeners, and its host names at each.
pub fn attach(
    route: &ResourceId,
    parents: &[ParentRef],
    hostnames: &[String],
    listeners: &[Listener<'_>],
    set: &Set,
    report: &mut Report,
) -> Vec<(usize, Vec<String>)> {
    for (i, name) in hostnames.iter().enumerate() {
        if let Some(mistake) = hostname_mistake(name) {
            report.error(route, format!("spec.hostnames[{i}]"), mistake);
        }
    }
    if parents.is_empty() && !report.has_error(route, "spec.parentRefs") {
        report.error(
            route,
            "spec.parentRefs",
            "is empty; name the Gateway, or no request will reach the route",
        );
    }
    let mut attached: Vec<(usize, Vec<String>)> = Vec::new();
    for (i, parent) in parents.iter().enumerate() {
        let field = format!("spec.parentRefs[{i}]");
        let is_gateway = parent.kind.as_deref().is_none_or(|kind| kind == "Gateway")
            && parent.group.as_deref().is_none_or(|group| group == GATEWAY_API);
        if !is_gateway {
            report.error(route, field, format!("must be `kind: Gateway` with `group: {GATEWAY_API}`"));
            continue;
        }
        let namespace = parent.namespace.as_deref().unwrap_or(&route.namespace);
        let gateway = match set.gateways.find(namespace, &parent.name) {
            Found::Broken => continue,
            Found::Nothing(others) => {
                let message = format!("Gateway {namespace}/{} does not exist, {others}", parent.name);
                report.error(route, format!("{field}.name"), message);
                continue;
            }
            Found::One(gateway) => gateway,
        };
        if let Some(section) = &parent.section_name
            && !has_listener(route, &field, gateway, section, report)
        {
            continue;
        }
        let chosen: Vec<usize> = (0..)
            .zip(listeners)
            .filter(|(_, listener)| *listener.gateway == gateway.id)
            .filter(|(_, listener)| parent.section_name.as_ref().is_none_or(|s| *s == listener.spec.name))
            .filter(|(_, listener)| parent.port.is_none_or(|port| port == listener.spec.port))
            .map(|(position, _)| position)
            .collect();
        if let (Some(port), true) = (parent.port, chosen.is_empty()) {
            let message = format!("{} has no listener on port {port}", gateway.id);
            report.error(route, format!("{field}.port"), message);
        }
        let admitted: Vec<usize> = chosen
            .iter()
            .copied()
            .filter(|position| listeners.get(*position).is_some_and(|l| l.admits(route)))
            .collect();
        if admitted.is_empty() && !chosen.is_empty() {
            let message = format!(
                "{} admits no {} of namespace {}; see `allowedRoutes` of its listeners",
                gateway.id, route.kind, route.namespace
            );
            report.error(route, &field, message);
            continue;
        }
        let mut reached = false;
        for position in &admitted {
            let listener_name =
                listeners.get(*position).and_then(|listener| listener.spec.hostname.as_deref());
            let domains = common_hostnames(listener_name, hostnames);
            if domains.is_empty() {
                continue;
            }
            reached = true;
            if !attached.iter().any(|(known, _)| known == position) {
                attached.push((*position, domains));
            }
        }
        if !reached && !admitted.is_empty() {
            let message = format!("none of these is covered by the hostname of a listener of {}", gateway.id);
            report.error(route, "spec.hostnames", message);
        }
    }
    attached
}

impl Listener<'_> {
    fn admits(&self, route: &ResourceId) -> bool {
        let allowed = &self.spec.allowed_routes;
        let namespace = match allowed.namespaces.from {
            // Labels of namespaces are not known here, which was reported.
            FromNamespaces::All | FromNamespaces::Selector => true,
            FromNamespaces::Same => self.gateway.namespace == route.namespace,
        };
        // To Envoy Gateway an AIGatewayRoute is an HTTPRoute.
        let kind = allowed.kinds.as_ref().is_none_or(|kinds| {
            kinds.iter().any(|kind| kind.kind == "HTTPRoute" || kind.kind == *route.kind)
        });
        namespace && kind
    }
}
