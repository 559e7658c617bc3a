//! Envoy's bootstrap: who it is, its listeners, and where everything else comes from.

use serde_json::{Value, json};

use super::{Error, Options, clusters, listener, proto};
use crate::plan::Plan;

/// The cluster of Envoy's own admin.
pub(super) const ADMIN_CLUSTER: &str = "weir_envoy_admin";
/// The cluster of the ratelimit service.
pub(super) const RATE_LIMIT_CLUSTER: &str = "weir_ratelimit";

pub(super) fn bootstrap(plan: &Plan, options: &Options) -> Result<Value, Error> {
    let mut listeners = listener::listeners(plan, options)?;
    listeners.push(listener::admin(options));
    listeners.extend(listener::secrets(options));

    let admin_socket = proto::pipe(&options.dir.join(super::ADMIN_SOCKET));
    let mut static_clusters =
        vec![clusters::service(ADMIN_CLUSTER, &admin_socket, "STATIC", clusters::Http::One)];
    if let Some(service) = &options.rate_limit_service {
        let kind = match service {
            super::ServiceAddress::Unix(_) => "STATIC",
            super::ServiceAddress::Tcp { host, .. } => proto::discovery_type([host.as_str()].into_iter()),
        };
        let address = proto::address(service);
        static_clusters.push(clusters::service(RATE_LIMIT_CLUSTER, &address, kind, clusters::Http::Two));
    }

    Ok(json!({
        // SDS from files needs both.
        "node": {"id": "weir", "cluster": "weir"},
        "admin": {"address": admin_socket},
        "static_resources": {"listeners": listeners, "clusters": static_clusters},
        "dynamic_resources": {"cds_config": proto::config_source(options, super::CDS)},
        "overload_manager": {
            "resource_monitors": [proto::extension(
                "envoy.resource_monitors.global_downstream_max_connections",
                "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                // Far above what file descriptors allow on most machines: a bound so that there is one.
                json!({"max_active_downstream_connections": 1_000_000}),
            )],
        },
    }))
}
