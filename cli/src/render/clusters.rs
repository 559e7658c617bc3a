//! CDS: one cluster per set of backends, in it one locality per backend.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::address::Addresses;
use super::direct::Direct;
use super::{Options, filter, hosts, kept, proto, secrets, security, sockets, traffic};
use crate::plan::{Cluster, Member, Plan, Tls};

pub(super) const HTTP_PROTOCOL_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The protocol of a service that Weir brings itself.
#[derive(Clone, Copy)]
pub(super) enum Http {
    One,
    Two,
}

/// What a cluster of backends needs besides itself.
pub(super) struct Upstream<'a> {
    /// The place of the backend role in its chain, if it is to stand there.
    pub(super) role: Option<Value>,
    /// PEM file of the CAs that backends without CAs of their own are verified with.
    pub(super) system_ca: &'a Path,
    /// What endpoints say of where they are.
    pub(super) addresses: &'a Addresses,
    /// It speaks HTTP/1.1, whatever else its backends would.
    pub(super) is_http_1: bool,
}

/// All clusters that can change while Envoy runs.
pub(super) fn clusters(plan: &Plan, direct: &Direct<'_>, options: &Options) -> Vec<Value> {
    let addresses = Addresses::of(plan);
    let system_ca = &options.system_ca;
    let upstream = |role| Upstream { role, system_ca, addresses: &addresses, is_http_1: false };
    let of_one_backend = kept::clusters(plan, options);
    let of_two_roles = plan.clusters.iter().chain(&of_one_backend).map(|cluster| {
        let role = cluster.ai.then(|| filter::discovered(options, "backend"));
        backends(cluster, &upstream(role))
    });
    let of_direct_ways = direct.clusters(plan).into_iter().map(|(cluster, shown)| {
        let mut fields = backends(&cluster, &upstream(None));
        if let Value::Object(fields) = &mut fields {
            fields.insert("alt_stat_name".to_owned(), shown.into());
        }
        fields
    });
    let of_sockets = sockets::clusters(plan).map(|cluster| {
        let role = Some(filter::discovered(options, "backend"));
        backends(&cluster, &Upstream { is_http_1: true, ..upstream(role) })
    });
    let backends = of_two_roles.chain(of_direct_ways).chain(of_sockets);
    let container = plan.aws_container.iter().map(|it| {
        let sds = options.dir.join(secrets::container_sds_path());
        secrets::container_cluster(it, &sds, &options.system_ca)
    });
    backends
        .chain(security::services(plan, options))
        .chain(secrets::cluster(plan, options))
        .chain(container)
        .chain(hosts::clusters(plan.filter.credentials.values(), system_ca))
        .map(|cluster| proto::any("envoy.config.cluster.v3.Cluster", cluster))
        .collect()
}

/// A cluster of a service that Envoy itself calls.
pub(super) fn called(cluster: &Cluster, is_grpc: bool, options: &Options) -> Value {
    let upstream = Upstream {
        role: None,
        system_ca: &options.system_ca,
        addresses: &Addresses::default(),
        is_http_1: true,
    };
    let mut fields = backends(cluster, &upstream);
    if is_grpc {
        let protocol = json!({"explicit_http_config": {"http2_protocol_options": {}}});
        let options = json!({HTTP_PROTOCOL_OPTIONS: proto::any(HTTP_PROTOCOL_OPTIONS, protocol)});
        fields
            .as_object_mut()
            .map(|fields| fields.insert("typed_extension_protocol_options".to_owned(), options));
    }
    fields
}

/// A cluster of one address, without anything special.
pub(super) fn service(name: &str, address: &Value, kind: &str, http: Http) -> Value {
    let protocol = match http {
        Http::One => json!({"http_protocol_options": {}}),
        // A service that is alive answers a ping however much it has to do. One that does not is gone, whatever its
        // connections look like: then requests fail at once instead of waiting as long as they may.
        Http::Two => json!({"http2_protocol_options": {
            "connection_keepalive": {"interval": "5s", "timeout": "10s"},
        }}),
    };
    single(name, address, kind, json!({"explicit_http_config": protocol}))
}

/// A cluster of one address whose requests get headers from `injectors`.
pub(super) fn injecting(name: &str, address: &Value, kind: &str, mut injectors: Vec<Value>) -> Value {
    injectors.push(upstream_codec());
    let protocol = json!({"explicit_http_config": {"http_protocol_options": {}}, "http_filters": injectors});
    single(name, address, kind, protocol)
}

fn single(name: &str, address: &Value, kind: &str, protocol: Value) -> Value {
    json!({
        "name": name,
        "type": kind,
        "connect_timeout": "2s",
        // What goes there belongs to requests that the listener has let in: there is nothing left to bound.
        "circuit_breakers": traffic::no_bounds(),
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "typed_extension_protocol_options": {
            HTTP_PROTOCOL_OPTIONS: proto::any(HTTP_PROTOCOL_OPTIONS, protocol),
        },
    })
}

/// A set of backends.
pub(super) fn backends(cluster: &Cluster, upstream: &Upstream<'_>) -> Value {
    let mut fields = json!({
        "name": cluster.name,
        "connect_timeout": proto::duration(cluster.connect_timeout),
        "load_assignment": {"cluster_name": cluster.name, "endpoints": localities(cluster, upstream.addresses)},
        // A long answer may be silent for minutes; address translators on the way forget such connections.
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 60, "keepalive_interval": 15, "keepalive_probes": 4},
        },
        "typed_extension_protocol_options": {
            HTTP_PROTOCOL_OPTIONS: proto::any(HTTP_PROTOCOL_OPTIONS, protocol(cluster, upstream)),
        },
    });
    if let Value::Object(fields) = &mut fields {
        let (key, value) = discovery_type(cluster);
        fields.insert(key.to_owned(), value);
        fields.extend(traffic::fields(cluster));
        fields.extend(transport_sockets(cluster, upstream.system_ca));
    }
    fields
}

/// Addresses are taken as they are, names looked up again when their time to live is over.
fn discovery_type(cluster: &Cluster) -> (&'static str, Value) {
    let mut hosts = cluster.members.iter().flat_map(|member| &member.endpoints);
    if hosts.all(|endpoint| endpoint.host.parse::<IpAddr>().is_ok()) {
        return ("type", "STATIC".into());
    }
    let dns = proto::extension(
        "envoy.clusters.dns",
        "envoy.extensions.clusters.dns.v3.DnsCluster",
        json!({"dns_lookup_family": "V4_PREFERRED", "respect_dns_ttl": true}),
    );
    ("cluster_type", dns)
}

/// One locality per backendRef that takes traffic. Its index stays that of the plan: the filter finds its configuration
/// by it.
fn localities(cluster: &Cluster, addresses: &Addresses) -> Vec<Value> {
    let taking = || cluster.members.iter().enumerate().filter(|(_, member)| member.weight > 0);
    // Envoy wants priorities 0, 1, 2 without a gap.
    let priorities: BTreeSet<u32> = taking().map(|(_, member)| member.priority).collect();
    taking()
        .map(|(index, member)| {
            let priority = priorities.iter().position(|p| *p == member.priority).unwrap_or_default();
            json!({
                "locality": {"region": index.to_string()},
                "priority": priority,
                "load_balancing_weight": member.weight,
                "lb_endpoints": endpoints(cluster, index, member, addresses),
            })
        })
        .collect()
}

fn endpoints(cluster: &Cluster, index: usize, member: &Member, addresses: &Addresses) -> Vec<Value> {
    let endpoint = |(number, endpoint): (usize, &crate::plan::Endpoint)| {
        // The backend's name and address let the filter notice, while a reload is under way, that its configuration and
        // this cluster are not of the same time: a credential must not reach another place for even that moment.
        let mut metadata =
            json!({"weir": {"target": format!("{index}/{number}/{}", addresses.marked(&member.backend))}});
        if member.tls.is_some()
            && let Value::Object(namespaces) = &mut metadata
        {
            namespaces.insert("envoy.transport_socket_match".to_owned(), json!({"weir": index.to_string()}));
        }
        let mut place = json!({"address": proto::socket(&endpoint.host, endpoint.port)});
        if let (Some(check), Value::Object(fields)) =
            (traffic::endpoint_check(cluster, member, endpoint), &mut place)
        {
            fields.insert("health_check_config".to_owned(), check);
        }
        json!({
            "endpoint": place,
            "metadata": {"filter_metadata": metadata},
        })
    };
    member.endpoints.iter().enumerate().map(endpoint).collect()
}

fn protocol(cluster: &Cluster, upstream: &Upstream<'_>) -> Value {
    let mut protocol = if all_tls(cluster) && !upstream.is_http_1 {
        // HTTP/2 where the backend offers it: thousands of streams need no thousands of TLS connections.
        json!({"auto_config": {
            "http_protocol_options": {},
            "http2_protocol_options": {
                "connection_keepalive": {"interval": "30s", "timeout": "10s", "connection_idle_interval": "60s"},
            },
        }})
    } else {
        json!({"explicit_http_config": {"http_protocol_options": {}}})
    };
    let most =
        cluster.traffic.circuit_breaker.as_ref().and_then(|breaker| breaker.max_requests_per_connection);
    if let (Some(requests), Value::Object(fields)) = (most, &mut protocol) {
        let common = json!({"max_requests_per_connection": requests});
        fields.insert("common_http_protocol_options".to_owned(), common);
    }
    if let Some(role) = &upstream.role
        && let Value::Object(fields) = &mut protocol
    {
        fields.insert("http_filters".to_owned(), json!([role, upstream_codec()]));
    }
    protocol
}

/// `auto_config` needs ALPN on every connection, so it is for clusters that have nothing but TLS.
pub(super) fn all_tls(cluster: &Cluster) -> bool {
    cluster.members.iter().all(|member| member.tls.is_some())
}

fn transport_sockets(cluster: &Cluster, system_ca: &Path) -> Map<String, Value> {
    let mut fields = Map::new();
    let sockets: Vec<(usize, Value)> = cluster
        .members
        .iter()
        .enumerate()
        .filter_map(|(index, member)| Some((index, tls(member.tls.as_ref()?, system_ca))))
        .collect();
    // Without a match Envoy takes this one; for `auto_config` it must be able to do ALPN.
    if all_tls(cluster)
        && let Some((_, socket)) = sockets.first()
    {
        fields.insert("transport_socket".to_owned(), socket.clone());
    }
    if !sockets.is_empty() {
        let matches: Vec<Value> = sockets
            .into_iter()
            .map(|(index, socket)| {
                let index = index.to_string();
                json!({"name": index, "match": {"weir": index}, "transport_socket": socket})
            })
            .collect();
        fields.insert("transport_socket_matches".to_owned(), matches.into());
    }
    fields
}

pub(super) fn tls(tls: &Tls, system_ca: &Path) -> Value {
    let is_address = tls.hostname.parse::<IpAddr>().is_ok();
    let ca = match &tls.ca_pem {
        Some(pem) => json!({"inline_string": pem}),
        None => json!({"filename": system_ca}),
    };
    let mut context = json!({
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "validation_context": {
                "trusted_ca": ca,
                "match_typed_subject_alt_names": [{
                    "san_type": if is_address { "IP_ADDRESS" } else { "DNS" },
                    "matcher": {"exact": tls.hostname},
                }],
            },
        },
    });
    // SNI holds names only (RFC 6066, section 3).
    if !is_address && let Value::Object(fields) = &mut context {
        fields.insert("sni".to_owned(), tls.hostname.clone().into());
    }
    proto::extension(
        "envoy.transport_sockets.tls",
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        context,
    )
}

fn upstream_codec() -> Value {
    proto::extension(
        "envoy.filters.http.upstream_codec",
        "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
        json!({}),
    )
}
