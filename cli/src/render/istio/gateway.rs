//! The listeners: a Gateway for each, and what their chains need besides.

use serde_json::{Value, json};

use super::{Gateway, Options, filter, places};
use crate::plan::Listener;
use crate::render::clusters::{self, Http};
use crate::render::kubernetes::{Names, resource, slug};
use crate::render::{Error, Files, ServiceAddress, bootstrap, listener, local_limits, proto, ratelimit};

const CONNECTION_MANAGER: &str = "envoy.filters.network.http_connection_manager";
const ROUTER: &str = "envoy.filters.http.router";
/// The ConfigMap of the ratelimit service.
const RATE_LIMIT_CONFIGURATION: &str = "weir-ratelimit";

/// A listener, and the names of what is made of it.
pub(super) struct Named<'a> {
    pub(super) listener: &'a Listener,
    /// Its Gateway.
    pub(super) gateway: String,
    /// A VirtualService for each of its sets of host names.
    pub(super) virtual_services: Vec<String>,
}

impl<'a> Named<'a> {
    pub(super) fn new(listener: &'a Listener, names: &mut Names) -> Named<'a> {
        let gateway = names.unique("Gateway", "", &slug(&listener.name));
        let mut virtual_service = |index: usize| {
            let wanted = if index == 0 { gateway.clone() } else { format!("{gateway}-{index}") };
            names.unique("VirtualService", "", &wanted)
        };
        let virtual_services = (0..listener.virtual_hosts.len()).map(&mut virtual_service).collect();
        Named { listener, gateway, virtual_services }
    }
}

/// The Gateway of a listener.
pub(super) fn gateway(Named { listener, gateway, .. }: &Named<'_>, options: &Options) -> Value {
    let server = json!({
        "port": {"number": listener.port, "name": "http", "protocol": "HTTP"},
        "hosts": ["*"],
    });
    let spec = json!({"selector": options.selector, "servers": [server]});
    resource("networking.istio.io/v1", "Gateway", &options.namespace, gateway, spec)
}

/// What puts the filter into the listeners' chains. They name no port: pods may listen on another one than the Gateway
/// says.
pub(super) fn patches(gateway: &Gateway<'_>) -> Result<Vec<Value>, Error> {
    let mut patches = filter::configurations(gateway)?;
    // Limits see the model, which the filter sets, and their 429 passes the filter, which gives it the client's shape.
    patches.push(before_router(&filter::discovered(filter::EDGE)));
    if gateway.rules().any(|matched| !matched.rule.local_limits.is_empty()) {
        patches.push(before_router(&local_limits::http_filter(gateway.plan)));
    }
    if let Some(listener) = gateway.plan.listeners.first() {
        if gateway.options.rate_limit_service.is_some() {
            for (name, fail_closed) in
                [(listener::RATE_LIMIT_OPEN, false), (listener::RATE_LIMIT_CLOSED, true)]
            {
                patches.push(before_router(&listener::rate_limit(listener, name, fail_closed)));
            }
        }
        patches.push(patch("NETWORK_FILTER", &in_chain(None), "MERGE", &connection_manager(listener)));
        let limit = json!({"per_connection_buffer_limit_bytes": listener.buffer_limit});
        patches.push(patch("LISTENER", &json!({"context": "GATEWAY"}), "MERGE", &limit));
    }
    // No `x-envoy-*` towards a backend or a client.
    let router = proto::extension(
        ROUTER,
        "envoy.extensions.filters.http.router.v3.Router",
        json!({"suppress_envoy_headers": true}),
    );
    patches.push(patch("HTTP_FILTER", &in_chain(Some(ROUTER)), "MERGE", &router));
    // What Envoy says about the client is for the gateway's own use.
    let removed = json!({
        "request_headers_to_remove": ["x-envoy-external-address", "x-envoy-internal"],
        "ignore_port_in_host_matching": true,
    });
    patches.push(patch("ROUTE_CONFIGURATION", &json!({"context": "GATEWAY"}), "MERGE", &removed));
    Ok(patches)
}

pub(super) fn patch(apply_to: &str, matches: &Value, operation: &str, value: &Value) -> Value {
    json!({"applyTo": apply_to, "match": matches, "patch": {"operation": operation, "value": value}})
}

/// The HTTP connection managers, or the filter `http_filter` in their chains.
fn in_chain(http_filter: Option<&str>) -> Value {
    let mut filter = json!({"name": CONNECTION_MANAGER});
    if let (Some(name), Value::Object(fields)) = (http_filter, &mut filter) {
        fields.insert("subFilter".to_owned(), json!({"name": name}));
    }
    json!({"context": "GATEWAY", "listener": {"filterChain": {"filter": filter}}})
}

/// Authentication and authorization stand before: they see the client's request.
fn before_router(http_filter: &Value) -> Value {
    patch("HTTP_FILTER", &in_chain(Some(ROUTER)), "INSERT_BEFORE", http_filter)
}

/// The answers of Envoy itself, and how long a client or an answer may be silent.
fn connection_manager(listener: &Listener) -> Value {
    let silence = listener.stream_idle_timeout.unwrap_or(listener::DEFAULT_STREAM_IDLE_TIMEOUT);
    let mut fields = json!({
        "local_reply_config": listener::local_replies(false, false),
        "request_headers_timeout": proto::duration(listener::HEADERS_TIMEOUT),
        "stream_idle_timeout": proto::duration(silence),
        "http_protocol_options": listener::http_1(),
    });
    if let Value::Object(fields) = &mut fields {
        if let Some(timeout) = listener.request_received_timeout {
            fields.insert("request_timeout".to_owned(), proto::duration(timeout).into());
        }
        if let Some(timeout) = listener.idle_timeout {
            let options = json!({"idle_timeout": proto::duration(timeout)});
            fields.insert("common_http_protocol_options".to_owned(), options);
        }
    }
    proto::extension(
        CONNECTION_MANAGER,
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        fields,
    )
}

/// The cluster of the ratelimit service.
pub(super) fn rate_limit_cluster(service: &ServiceAddress) -> Value {
    let kind = match service {
        ServiceAddress::Unix(_) => "STATIC",
        ServiceAddress::Tcp { host, .. } => proto::discovery_type([host.as_str()].into_iter()),
    };
    let address = proto::address(service);
    places::add_cluster(&clusters::service(bootstrap::RATE_LIMIT_CLUSTER, &address, kind, Http::Two))
}

/// The ratelimit service's own configuration, as a ConfigMap to mount there.
pub(super) fn rate_limit_configuration(gateway: &Gateway<'_>) -> Result<Value, Error> {
    let mut files = Files::default();
    ratelimit::service_configuration(gateway.plan, &mut files)?;
    let data: serde_json::Map<String, Value> = files
        .iter()
        .map(|(path, file)| (path.rsplit('/').next().unwrap_or(path).to_owned(), file.content.clone().into()))
        .collect();
    Ok(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": RATE_LIMIT_CONFIGURATION, "namespace": gateway.options.namespace},
        "data": data,
    }))
}
