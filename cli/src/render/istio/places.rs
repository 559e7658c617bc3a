//! Where requests go in Istio's words: a service that it knows, one that is declared for a backend outside of the
//! cluster, or a cluster of Envoy that only a patch can make.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::{Options, filter};
use crate::check::routes::CONNECT_TIMEOUT;
use crate::plan::{Cluster, Endpoint, Plan, Tls, Traffic};
use crate::render::address::Addresses;
use crate::render::clusters::{self, Upstream};
use crate::render::kubernetes::{Names, resource, slug};
use crate::render::proto;

/// The domain of declared hosts. `.internal` is for private use, and none of these names is ever looked up.
const DOMAIN: &str = "weir.internal";
/// The port of declared hosts; that of the endpoint is another matter.
const PORT: u16 = 80;
/// Where Debian has the CAs, and with it Istio's proxy.
pub(super) const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The end of a way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The host in Istio's registry.
    host: String,
    /// Its port.
    port: u16,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// A Service: Istio balances between its pods, and mutual TLS with them is Istio's business.
    Service,
    /// A ServiceEntry with a DestinationRule, both of this name.
    Entry(String),
    /// A cluster that a patch makes, with the filter in its upstream chain or without.
    Patch {
        /// Whether the filter stands there.
        role: bool,
    },
}

impl Place {
    /// `VirtualService.spec.http[].route[].destination`
    pub(super) fn destination(&self) -> Value {
        json!({"host": self.host, "port": {"number": self.port}})
    }

    /// A name by which routes tell places apart. Two backends that are the same Service have the same one.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn resources(&self, cluster: &Cluster, options: &Options) -> Vec<Value> {
        let (Kind::Entry(name), Some(member)) = (&self.kind, cluster.members.first()) else {
            return Vec::new();
        };
        let Some(endpoint) = member.endpoints.first() else { return Vec::new() };
        let object = |kind, spec| resource("networking.istio.io/v1", kind, &options.namespace, name, spec);
        vec![
            object("ServiceEntry", self.service_entry(endpoint)),
            object("DestinationRule", self.destination_rule(cluster, member.tls.as_ref())),
        ]
    }

    fn service_entry(&self, endpoint: &Endpoint) -> Value {
        let is_address = endpoint.host.parse::<IpAddr>().is_ok();
        json!({
            "hosts": [self.host],
            // Sidecars need not know of it.
            "exportTo": ["."],
            "location": "MESH_EXTERNAL",
            "resolution": if is_address { "STATIC" } else { "DNS" },
            "ports": [{"number": self.port, "name": "http", "protocol": "HTTP", "targetPort": endpoint.port}],
            "endpoints": [{"address": endpoint.host}],
        })
    }

    fn destination_rule(&self, cluster: &Cluster, tls: Option<&Tls>) -> Value {
        let tls = match tls {
            None => json!({"mode": "DISABLE"}),
            Some(Tls { hostname, .. }) => {
                json!({"mode": "SIMPLE", "sni": hostname, "subjectAltNames": [hostname]})
            }
        };
        json!({
            "host": self.host,
            "exportTo": ["."],
            "trafficPolicy": {
                "connectionPool": {"tcp": {
                    "connectTimeout": proto::duration(cluster.connect_timeout),
                    // A long answer may be silent for minutes; address translators on the way forget such connections.
                    "tcpKeepalive": {"time": "60s", "interval": "15s", "probes": 4},
                }},
                "tls": tls,
            },
        })
    }

    fn patch(&self, cluster: &Cluster) -> Option<Value> {
        let Kind::Patch { role } = self.kind else { return None };
        // As Istio names the clusters of its own hosts: the VirtualService's destination leads here.
        let name = format!("outbound|{}||{}", self.port, self.host);
        let role = role.then(|| filter::discovered(filter::BACKEND));
        // Secrets are the proxy's environment here, and stay what they are while it runs.
        let addresses = Addresses::default();
        let system_ca = Path::new(SYSTEM_CA);
        let upstream = Upstream { role, system_ca, addresses: &addresses, is_http_1: false };
        Some(add_cluster(&clusters::backends(&Cluster { name, ..cluster.clone() }, &upstream)))
    }
}

/// Adds a cluster to the gateway's Envoy.
pub(super) fn add_cluster(cluster: &Value) -> Value {
    json!({
        "applyTo": "CLUSTER",
        "match": {"context": "GATEWAY"},
        "patch": {"operation": "ADD", "value": cluster},
    })
}

/// The places of a plan, by the index of their cluster.
#[derive(Debug, Default)]
pub(super) struct Places {
    plain: BTreeMap<usize, Place>,
    with_role: BTreeMap<usize, Place>,
}

impl Places {
    pub(super) fn new(
        plan: &Plan,
        plain: &BTreeSet<usize>,
        with_role: &BTreeSet<usize>,
        names: &mut Names,
    ) -> Places {
        let host = |names: &mut Names, cluster: &Cluster, end: &str| {
            // `namespace/backend`, `namespace/backend+1-1a2b3c4d`
            let (namespace, name) = cluster.name.split_once('/').unwrap_or(("default", &cluster.name));
            let domain = format!("{}.{end}{DOMAIN}", slug(namespace));
            format!("{}.{domain}", names.unique("host", &domain, &slug(name)))
        };
        let clusters = |indices: &BTreeSet<usize>| {
            let of = |index: &usize| Some((*index, plan.clusters.get(*index)?));
            indices.iter().filter_map(of).collect::<Vec<_>>()
        };
        let plain = clusters(plain).into_iter().map(|(index, cluster)| {
            let place = service(cluster).unwrap_or_else(|| {
                let host = host(names, cluster, "");
                let kind = if is_simple(cluster) {
                    Kind::Entry(names.unique("ServiceEntry", "", &slug(host.trim_end_matches(DOMAIN))))
                } else {
                    Kind::Patch { role: false }
                };
                Place { host, port: PORT, kind }
            });
            (index, place)
        });
        let plain = plain.collect();
        let with_role = clusters(with_role).into_iter().map(|(index, cluster)| {
            let kind = Kind::Patch { role: true };
            (index, Place { host: host(names, cluster, "backends."), port: PORT, kind })
        });
        Places { plain, with_role: with_role.collect() }
    }

    /// Where a cluster's requests go when the filter in the listener's chain has done all there is to do.
    pub(super) fn plain(&self, cluster: usize) -> Option<&Place> {
        self.plain.get(&cluster)
    }

    /// Where they go when the filter stands in the upstream chain, too.
    pub(super) fn with_role(&self, cluster: usize) -> Option<&Place> {
        self.with_role.get(&cluster)
    }

    /// What declares the places to Istio.
    pub(super) fn resources(&self, plan: &Plan, options: &Options) -> Vec<Value> {
        self.all(plan).flat_map(|(place, cluster)| place.resources(cluster, options)).collect()
    }

    /// What makes the clusters that Istio does not.
    pub(super) fn patches(&self, plan: &Plan) -> Vec<Value> {
        self.all(plan).filter_map(|(place, cluster)| place.patch(cluster)).collect()
    }

    fn all<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (&'a Place, &'a Cluster)> {
        let all = self.plain.iter().chain(&self.with_role);
        all.filter_map(|(index, place)| Some((place, plan.clusters.get(*index)?)))
    }
}

/// The one address of a cluster, and TLS to it. `None` where a policy says how it is balanced, checked or loaded: that
/// is said in Envoy's words.
fn only_endpoint(cluster: &Cluster) -> Option<(&Endpoint, Option<&Tls>)> {
    if cluster.traffic != Traffic::default() {
        return None;
    }
    let [member] = cluster.members.as_slice() else { return None };
    let [endpoint] = member.endpoints.as_slice() else { return None };
    Some((endpoint, member.tls.as_ref()))
}

/// The Service that is all of a cluster. `None` with a connect timeout of its own: it would take a DestinationRule, and
/// that of a Service is not ours to write.
fn service(cluster: &Cluster) -> Option<Place> {
    let (Endpoint { host, port }, None) = only_endpoint(cluster)? else { return None };
    let name = host.strip_suffix(".svc.cluster.local")?;
    let is_usual = cluster.connect_timeout == CONNECT_TIMEOUT;
    (is_usual && name.matches('.').count() == 1).then(|| Place {
        host: host.clone(),
        port: *port,
        kind: Kind::Service,
    })
}

/// Whether a ServiceEntry and a DestinationRule can say it. They cannot where there are several addresses to choose
/// from; a CA of one's own would have to be a Secret or a file in the pod; and an address is not among the names that
/// Istio looks for in a certificate.
fn is_simple(cluster: &Cluster) -> bool {
    only_endpoint(cluster).is_some_and(|(_, tls)| {
        tls.is_none_or(|tls| tls.ca_pem.is_none() && tls.hostname.parse::<IpAddr>().is_err())
    })
}
