//! Envoy's messages in JSON: the few shapes that many files need.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Options, ServiceAddress};

/// A `google.protobuf.Any`: the message with its type in front. `fields` that are no object count as none.
pub(super) fn any(message: &str, fields: Value) -> Value {
    let mut any = Map::new();
    any.insert("@type".to_owned(), format!("type.googleapis.com/{message}").into());
    if let Value::Object(fields) = fields {
        any.extend(fields);
    }
    Value::Object(any)
}

/// A named extension: `{name, typed_config}`.
pub(super) fn extension(name: &str, message: &str, fields: Value) -> Value {
    json!({"name": name, "typed_config": any(message, fields)})
}

/// A `google.protobuf.Duration`.
pub(super) fn duration(duration: Duration) -> String {
    let nanos = duration.subsec_nanos();
    let seconds = duration.as_secs();
    if nanos == 0 {
        return format!("{seconds}s");
    }
    format!("{seconds}.{}s", format!("{nanos:09}").trim_end_matches('0'))
}

/// An xDS file of the folder that is rendered.
pub(super) fn config_source(options: &Options, path: &str) -> Value {
    watched_file(&options.dir.join(path))
}

/// An xDS file whose folder Envoy watches for moves.
pub(super) fn watched_file(path: &Path) -> Value {
    let folder = path.parent().unwrap_or(Path::new("/"));
    json!({
        "path_config_source": {"path": path, "watched_directory": {"path": folder}},
        "resource_api_version": "V3",
    })
}

/// A Unix socket that only its owner may open.
pub(super) fn pipe(path: &Path) -> Value {
    json!({"pipe": {"path": path, "mode": 0o600}})
}

/// TCP.
pub(super) fn socket(host: &str, port: u16) -> Value {
    json!({"socket_address": {"address": host, "port_value": port}})
}

/// The address of a service to call.
pub(super) fn address(address: &ServiceAddress) -> Value {
    match address {
        ServiceAddress::Unix(path) => json!({"pipe": {"path": path}}),
        ServiceAddress::Tcp { host, port } => socket(host, *port),
    }
}

/// `STATIC` when all hosts are IP addresses, else `STRICT_DNS`, which takes both.
pub(super) fn discovery_type<'a>(mut hosts: impl Iterator<Item = &'a str>) -> &'static str {
    if hosts.all(|host| host.parse::<std::net::IpAddr>().is_ok()) { "STATIC" } else { "STRICT_DNS" }
}
