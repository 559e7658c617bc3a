//! Envoy's overload manager: what it does before a machine has no memory or no file descriptor left.

use serde_json::{Value, json};

use super::proto;

/// What Envoy may take of the machine it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Connections of clients at a time.
    pub connections: u32,
    /// Bytes of memory. `None`: nobody knows how much there is.
    pub memory: Option<u64>,
}

/// Where nothing is known of the machine: a bound, so that there is one.
pub(super) const ANYWHERE: Room = Room { connections: 1_000_000, memory: None };

const MEMORY: &str = "envoy.resource_monitors.fixed_heap";

/// What is done, and from which share of the memory on. A request that is refused costs little and may come again, so
/// that comes first; streams that hold the most are ended only when that did not help.
const ACTIONS: &[(&str, f64)] = &[
    ("envoy.overload_actions.shrink_heap", 0.85),
    ("envoy.overload_actions.stop_accepting_requests", 0.9),
    ("envoy.overload_actions.reject_incoming_connections", 0.97),
];

/// `overload_manager` of the bootstrap.
pub(super) fn manager(room: &Room) -> Value {
    let connections = proto::extension(
        "envoy.resource_monitors.global_downstream_max_connections",
        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        json!({"max_active_downstream_connections": room.connections}),
    );
    let Some(memory) = room.memory else {
        return json!({"resource_monitors": [connections]});
    };
    let heap = proto::extension(
        MEMORY,
        "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
        json!({"max_heap_size_bytes": memory}),
    );
    let action = |(name, share): &(&str, f64)| json!({"name": name, "triggers": [{"name": MEMORY, "threshold": {"value": share}}]});
    let mut actions: Vec<Value> = ACTIONS.iter().map(action).collect();
    actions.push(json!({
        "name": "envoy.overload_actions.reset_high_memory_stream",
        "triggers": [{
            "name": MEMORY,
            "scaled": {"scaling_threshold": 0.93, "saturation_threshold": 0.99},
        }],
    }));
    json!({
        // Bodies come in faster than the default of a second notices.
        "refresh_interval": "0.1s",
        "resource_monitors": [connections, heap],
        "actions": actions,
        // Streams that hold a mebibyte or more are those that may be ended.
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": 20},
    })
}
