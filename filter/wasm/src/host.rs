//! The host, made safe: no call here panics on what a peer sent.
//!
//! The SDK's own conveniences unwrap, and take header values for UTF-8, which HTTP does not promise.

use std::borrow::Cow;
use std::ops::Range;
use std::time::UNIX_EPOCH;

use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, MapType};
use weir_core::edge::Reply;
use weir_core::headers::{HeaderEdits, Headers};
use weir_core::metrics::Metrics;
use weir_core::store::Store;
use weir_shell::{Host, Map, publish_metrics};

use crate::store::SharedData;

/// Filter state by which the upstream filters of a request find its exchange.
const EXCHANGE_STATE: &str = "weir.exchange";

/// Filter state with the access log line.
const RECORD_STATE: &str = "weir.record";

/// More than any buffer holds: the host gives what is there, and replaces all of it.
const ALL: usize = usize::MAX >> 1;

/// The stream whose callback is running.
pub(crate) struct Stream;

impl Host for Stream {
    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn headers(&self, map: Map) -> Headers {
        headers(header_map(map))
    }

    fn status(&self) -> u16 {
        let status = hostcalls::get_map_value_bytes(MapType::HttpResponseHeaders, ":status").ok().flatten();
        status.map(text).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    fn edit(&mut self, map: Map, edits: &HeaderEdits) {
        let map = header_map(map);
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

    fn has_request_headers(&self) -> bool {
        // Envoy forgets them when a request is resumed, and the SDK panics over what is then refused.
        property(&["request", "method"]).is_some()
    }

    fn look_at_body<T>(&self, map: Map, look: impl FnOnce(&[u8]) -> T) -> T {
        look(&body(buffer(map)))
    }

    fn body_part(&self, map: Map, part: Range<usize>) -> Cow<'_, [u8]> {
        let bytes = hostcalls::get_buffer(buffer(map), part.start, part.len());
        Cow::Owned(bytes.ok().flatten().unwrap_or_default())
    }

    fn replace_body(&mut self, map: Map, body: Vec<u8>) {
        if let Err(status) = hostcalls::set_buffer(buffer(map), 0, ALL, &body) {
            log::error!("a body could not be replaced: {status:?}");
        }
    }

    fn retries_held_answers(&self) -> bool {
        // Before 1.37 Envoy crashes when it does: it carries on with the body of an attempt that it has just given up.
        let minor = number(&["xds", "node", "user_agent_build_version", "version", "minor_number"]);
        minor.is_some_and(|minor| minor >= 37)
    }

    fn sees_answers_it_added_to(&self) -> bool {
        true
    }

    fn choose_route_anew(&mut self) {
        // Envoy below 1.40 does not do it by itself when a body callback sets a header.
        let _ = hostcalls::call_foreign_function("clear_route_cache", None);
    }

    fn set_exchange(&mut self, id: u64) {
        set_state(EXCHANGE_STATE, &id.to_le_bytes());
    }

    fn exchange(&self) -> Option<u64> {
        number(&[EXCHANGE_STATE])
    }

    fn local_reply_details(&self) -> Option<String> {
        property(&["response", "code_details"]).filter(|details| details != "via_upstream")
    }

    fn final_status(&self) -> u16 {
        number(&["response", "code"]).and_then(|code| u16::try_from(code).ok()).unwrap_or(0)
    }

    fn attempts(&self) -> Option<u32> {
        number(&["upstream", "request_attempt_count"]).and_then(|attempts| u32::try_from(attempts).ok())
    }

    fn route_name(&self) -> String {
        property(&["xds", "route_name"]).unwrap_or_default()
    }

    fn target(&self) -> String {
        property(&["xds", "upstream_host_metadata", "filter_metadata", "weir", "target"]).unwrap_or_default()
    }

    fn metadata(&self, namespace: &str, path: &[String]) -> Option<Vec<u8>> {
        let begin = ["metadata", "filter_metadata", namespace];
        let path = begin.into_iter().chain(path.iter().map(String::as_str)).collect();
        hostcalls::get_property(path).ok().flatten()
    }

    fn set_cost(&mut self, key: &str, value: u64) {
        set_state(key, value.to_string().as_bytes());
    }

    fn set_record(&mut self, line: &str) {
        set_state(RECORD_STATE, line.as_bytes());
    }

    fn metrics(&self) -> Metrics {
        publish_metrics(&SharedData);
        Metrics::published(&SharedData)
    }

    fn store(&self) -> &dyn Store {
        &SharedData
    }
}

fn header_map(map: Map) -> MapType {
    match map {
        Map::Request => MapType::HttpRequestHeaders,
        Map::Response => MapType::HttpResponseHeaders,
    }
}

fn buffer(map: Map) -> BufferType {
    match map {
        Map::Request => BufferType::HttpRequestBody,
        Map::Response => BufferType::HttpResponseBody,
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = hostcalls::get_current_time().ok().and_then(|now| now.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

/// A snapshot of a header map.
pub(crate) fn headers(map: MapType) -> Headers {
    hostcalls::get_map_bytes(map).unwrap_or_default().into_iter().collect()
}

/// A property as text.
pub(crate) fn property(path: &[&str]) -> Option<String> {
    hostcalls::get_property(path.to_vec()).ok().flatten().map(text)
}

/// A property as a number; the host gives numbers as eight bytes.
fn number(path: &[&str]) -> Option<u64> {
    let bytes = hostcalls::get_property(path.to_vec()).ok().flatten()?;
    bytes.try_into().ok().map(u64::from_le_bytes)
}

/// Sets filter state that other filters and the access log see as `wasm.<key>`.
fn set_state(key: &str, value: &[u8]) {
    if let Err(status) = hostcalls::set_property(vec![key], Some(value)) {
        log::error!("the filter state {key} could not be set: {status:?}");
    }
}

pub(crate) fn body(kind: BufferType) -> Vec<u8> {
    hostcalls::get_buffer(kind, 0, ALL).ok().flatten().unwrap_or_default()
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
