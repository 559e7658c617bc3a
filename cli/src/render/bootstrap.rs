//! Envoy's bootstrap: who it is, its listeners, and where everything else comes from.

use serde_json::{Value, json};

use super::{Error, Files, Options, clusters, listener, overload, proto};
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
        "overload_manager": overload::manager(&overload::ANYWHERE),
    }))
}

/// Lets Envoy take no more than `room`, as only whoever starts it knows what there is.
pub fn bound(files: &mut Files, room: &overload::Room) {
    let bootstrap = files.get(super::BOOTSTRAP).and_then(|file| serde_json::from_str(&file.content).ok());
    if let Some(Value::Object(mut bootstrap)) = bootstrap {
        bootstrap.insert("overload_manager".to_owned(), overload::manager(room));
        files.insert(super::BOOTSTRAP, &bootstrap.into());
    }
}
