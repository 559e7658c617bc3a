//! Resources for an ingress gateway of Istio: its own where they can say it, patches of its Envoy where they cannot.
//!
//! The filter comes by a patch and not by a WasmPlugin: that has no field for the flag without which a filter that
//! holds a request's headers never sees its body, and no patch reaches the configuration that Istio makes of one.
//!
//! A model with one place to go to needs nothing else in Envoy. One with several has a cluster that a patch makes, with
//! the filter in its upstream chain too, because only there is it known which backend an attempt goes to.

mod filter;
mod gateway;
mod places;
mod pod_identity;
mod routes;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use weir_core::config;

use super::kubernetes::{self, Manifests, Names, resource};
use super::{Error, Files, ServiceAddress, hosts};
use crate::check::retries::repeats_connections_only;
use crate::plan::{MatchedRule, Plan, Rule};
use crate::resources::Diagnostic;
use gateway::Named;
use places::Places;

pub use filter::Code;

/// The resources, relative to the folder.
pub const RESOURCES: &str = "istio.yaml";
/// Values of Istio's Helm chart for gateways, relative to the folder; not there when it takes none.
pub const VALUES: &str = "gateway-values.yaml";

/// What rendering needs besides the resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The namespace of the gateway's pods, in which everything goes.
    pub namespace: String,
    /// The labels of the gateway's pods.
    pub selector: BTreeMap<String, String>,
    /// Where the pods get the filter.
    pub code: Code,
    /// The ratelimit service. `None`: the filter keeps the budgets itself.
    pub rate_limit_service: Option<ServiceAddress>,
    /// Refuse requests while the ratelimit service is down, whatever the policies say.
    pub rate_limit_fail_closed: bool,
}

/// The files: [`RESOURCES`], and [`VALUES`] when the pods need something of their own. Beside them there are notes:
/// what else must be there for them to work.
///
/// # Errors
///
/// What the resources can say and Istio or the ratelimit service cannot do; see [`Error`].
pub fn istio(plan: &Plan, options: &Options) -> Result<(Files, Vec<String>), Error> {
    let gateway = Gateway::new(plan, options)?;
    let mut manifests = Manifests::default();
    let mut add = |resource| manifests.add(RESOURCES, resource);
    gateway.listeners.iter().for_each(|listener| add(gateway::gateway(listener, options)));
    gateway.places.resources(plan, options).into_iter().for_each(&mut add);
    gateway
        .listeners
        .iter()
        .flat_map(|listener| routes::virtual_services(&gateway, listener))
        .for_each(&mut add);
    add(patches(options, "weir", gateway::patches(&gateway)?));
    for (name, patches) in [("weir-clusters", gateway.clusters()), ("weir-routes", routes::patches(&gateway))]
    {
        if !patches.is_empty() {
            add(self::patches(options, name, patches));
        }
    }
    if options.rate_limit_service.is_some() {
        add(gateway::rate_limit_configuration(&gateway)?);
    }
    if pod_identity::is_wanted(plan) {
        add(pod_identity::configuration(options));
    }
    let mut notes = filter::notes(plan, options);
    if let Some(values) = values(plan) {
        manifests.add(VALUES, values);
        notes.push(format!("the gateway's pods must be as {VALUES} says"));
    }
    Ok((manifests.into_files()?, notes))
}

/// An EnvoyFilter for the gateway's pods.
fn patches(options: &Options, name: &str, patches: Vec<Value>) -> Value {
    let spec = json!({"workloadSelector": {"labels": options.selector}, "configPatches": patches});
    resource("networking.istio.io/v1alpha3", "EnvoyFilter", &options.namespace, name, spec)
}

/// Values for Istio's Helm chart for gateways. `None` when the pods need nothing of their own.
fn values(plan: &Plan) -> Option<Value> {
    let mut values = serde_json::Map::new();
    let variables = filter::environment(plan);
    if !variables.is_empty() {
        values.insert("envVarFrom".to_owned(), variables.into());
    }
    if pod_identity::is_wanted(plan) {
        values.extend(pod_identity::values());
    }
    (!values.is_empty()).then(|| values.into())
}

/// What is rendered, and the decisions that several resources depend on.
struct Gateway<'a> {
    plan: &'a Plan,
    options: &'a Options,
    /// The models that go a direct way.
    direct: BTreeMap<&'a str, &'a Rule>,
    /// With the names of what is made of them.
    listeners: Vec<Named<'a>>,
    places: Places,
}

impl<'a> Gateway<'a> {
    fn new(plan: &'a Plan, options: &'a Options) -> Result<Gateway<'a>, Error> {
        refuse(plan, options)?;
        let mut direct = kubernetes::direct_models(plan);
        // What an attempt made of the request is in the next one: only connections may be tried again.
        direct.retain(|_, rule| rule.retry.as_ref().is_none_or(repeats_connections_only));
        let mut names = Names::default();
        let listeners = plan.listeners.iter().map(|listener| Named::new(listener, &mut names)).collect();
        let mut gateway = Gateway { plan, options, direct, listeners, places: Places::default() };
        let (plain, with_role) = (gateway.clusters_of(|way| !way), gateway.clusters_of(|way| way));
        gateway.places = Places::new(plan, &plain, &with_role, &mut names);
        Ok(gateway)
    }

    fn rules(&self) -> impl Iterator<Item = &'a MatchedRule> {
        self.plan.listeners.iter().flat_map(|listener| &listener.virtual_hosts).flat_map(|host| &host.rules)
    }

    /// The rule's direct way, if what it matches has one.
    fn direct_model<'m>(&self, matched: &'m MatchedRule) -> Option<&'m str> {
        super::routes::model(&matched.matches).filter(|model| self.direct.contains_key(model))
    }

    /// Whether the filter stands in the upstream chain of what a rule sends.
    fn has_role(&self, matched: &MatchedRule) -> bool {
        matched.rule.ai && self.direct_model(matched).is_none()
    }

    fn clusters_of(&self, wanted: impl Fn(bool) -> bool) -> BTreeSet<usize> {
        let rules = self.rules().filter(|matched| wanted(self.has_role(matched)));
        rules.filter_map(|matched| matched.rule.cluster).collect()
    }

    fn needs_role(&self) -> bool {
        self.rules().any(|matched| self.has_role(matched))
    }

    /// What the filter must know of direct ways.
    fn direct_ways(&self) -> BTreeMap<String, config::Direct> {
        let entry = |(model, rule): (&&str, &&Rule)| {
            let cluster = self.plan.clusters.get(rule.cluster?)?;
            let place = self.places.plain(rule.cluster?)?;
            let target = format!("0/0/{}", cluster.members.first()?.backend);
            let way = config::Direct { route: rule.name.clone(), target, cluster: place.name(), only: true };
            Some(((*model).to_owned(), way))
        };
        self.direct.iter().filter_map(entry).collect()
    }

    /// The clusters that Istio does not make.
    fn clusters(&self) -> Vec<Value> {
        let mut patches = self.places.patches(self.plan);
        patches.extend(self.options.rate_limit_service.as_ref().map(gateway::rate_limit_cluster));
        patches.extend(pod_identity::is_wanted(self.plan).then(pod_identity::cluster));
        let sources = self.plan.filter.credentials.values();
        let hosts = hosts::clusters(sources, Path::new(places::SYSTEM_CA));
        patches.extend(hosts.iter().map(places::add_cluster));
        patches
    }
}

/// What the platform cannot do.
fn refuse(plan: &Plan, options: &Options) -> Result<(), Error> {
    let mut refused = kubernetes::ambiguous_secrets(&plan.filter);
    let mut refuse = |resource: &str, field: &str, message: &str| {
        let (file, message) = (String::new(), message.to_owned());
        refused.push(Diagnostic { file, resource: resource.to_owned(), field: field.to_owned(), message });
    };
    if let [first, others @ ..] = plan.listeners.as_slice() {
        let of_connections = |listener: &crate::plan::Listener| {
            (
                listener.buffer_limit,
                listener.request_received_timeout,
                listener.idle_timeout,
                listener.stream_idle_timeout,
            )
        };
        for other in others {
            if of_connections(other) != of_connections(first) {
                refuse(
                    &format!("listener {}", other.name),
                    "",
                    &format!(
                        "has other limits than listener {}, and a patch of Istio reaches all listeners of the gateway's pods; give \
                         both the same ClientTrafficPolicy, or render them for different gateways",
                        first.name
                    ),
                );
            }
            if options.rate_limit_service.is_some() {
                refuse(
                    &format!("listener {}", other.name),
                    "",
                    &format!(
                        "would count in the domain of listener {}, because a patch of Istio reaches all listeners of the \
                         gateway's pods; keep one of the two, or render without --rate-limit-service",
                        first.name
                    ),
                );
            }
        }
    }
    for (policy, message) in kubernetes::without_files(plan) {
        refuse(&format!("BackendSecurityPolicy {policy}"), "spec", &message);
    }
    for member in plan.clusters.iter().flat_map(|cluster| &cluster.members) {
        if member.tls.as_ref().is_some_and(|tls| tls.ca_pem.as_deref() == Some("")) {
            refuse(
                &format!("backend {}", member.backend),
                "caCertificateRefs",
                "of its BackendTLSPolicy names what is not in these files, and the certificates go into Envoy's configuration; \
                 add it",
            );
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(Error::Platform(refused)) }
}
