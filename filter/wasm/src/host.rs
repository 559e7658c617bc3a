//! The host, made safe: no call here panics on what a peer sent.
//!
//! The SDK's own conveniences unwrap, and take header values for UTF-8, which HTTP does not promise.

use std::time::UNIX_EPOCH;

use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, MapType};
use weir_core::edge::Reply;
use weir_core::headers::{HeaderEdits, Headers};

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = hostcalls::get_current_time().ok().and_then(|now| now.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

/// A snapshot of a header map. Bytes that are not UTF-8 are replaced.
pub(crate) fn headers(map: MapType) -> Headers {
    let pairs = hostcalls::get_map_bytes(map).unwrap_or_default();
    pairs.into_iter().map(|(name, value)| (name, text(value))).collect()
}

/// One header.
pub(crate) fn header(map: MapType, name: &str) -> Option<String> {
    hostcalls::get_map_value_bytes(map, name).ok().flatten().map(text)
}

pub(crate) fn apply(map: MapType, edits: &HeaderEdits) {
    for (name, value) in edits.iter() {
        let done = match value {
            Some(value) => hostcalls::set_map_value_bytes(map, name, Some(value.as_bytes())),
            None => hostcalls::remove_map_value(map, name),
        };
        if let Err(status) = done {
            log::error!("the header {name} could not be changed: {status:?}");
        }
    }
}

/// A property as text.
pub(crate) fn property(path: &[&str]) -> Option<String> {
    hostcalls::get_property(path.to_vec()).ok().flatten().map(text)
}

/// A property as a number; the host gives numbers as eight bytes.
pub(crate) fn number(path: &[&str]) -> Option<u64> {
    let bytes = hostcalls::get_property(path.to_vec()).ok().flatten()?;
    bytes.try_into().ok().map(u64::from_le_bytes)
}

/// Sets filter state that other filters and the access log see as `wasm.<key>`.
pub(crate) fn set_state(key: &str, value: &str) {
    if let Err(status) = hostcalls::set_property(vec![key], Some(value.as_bytes())) {
        log::error!("the filter state {key} could not be set: {status:?}");
    }
}

pub(crate) fn body(kind: BufferType, size: usize) -> Vec<u8> {
    hostcalls::get_buffer(kind, 0, size).ok().flatten().unwrap_or_default()
}

pub(crate) fn set_body(kind: BufferType, old_size: usize, new: &[u8]) {
    if let Err(status) = hostcalls::set_buffer(kind, 0, old_size, new) {
        log::error!("a body could not be replaced: {status:?}");
    }
}

pub(crate) fn reply(reply: &Reply) {
    let headers = reply.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    if let Err(status) = hostcalls::send_http_response(u32::from(reply.status), headers, Some(&reply.body)) {
        log::error!("a reply could not be sent: {status:?}");
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
