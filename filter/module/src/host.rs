//! Envoy, as the filters of both roles want it.

use std::borrow::Cow;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use weir_core::headers::{HeaderEdits, Headers as Snapshot};
use weir_core::metrics::Metrics;
use weir_core::store::Store;
use weir_shell::{Host, Map};

use crate::abi::{Headers, Metadata, Stream};
use crate::store::STORE;

/// The dynamic metadata that costs are published in, as Envoy AI Gateway does, so that policies carry over.
const METADATA_NAMESPACE: &str = "io.envoy.ai_gateway";

/// Filter state by which the upstream filters of a request find its exchange.
const EXCHANGE_STATE: &str = "weir.exchange";

/// Filter state with the access log line.
const RECORD_STATE: &str = "weir.record";

/// The stream whose hook is running.
pub(crate) struct Native<'a, 'b>(pub(crate) &'a mut Stream<'b>);

impl Host for Native<'_, '_> {
    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn headers(&self, map: Map) -> Snapshot {
        snapshot(self.0, header_map(map))
    }

    fn status(&self) -> u16 {
        let status = self.0.header(Headers::Response, ":status");
        status.and_then(|status| std::str::from_utf8(status).ok()?.parse().ok()).unwrap_or(0)
    }

    fn edit(&mut self, map: Map, edits: &HeaderEdits) {
        let map = header_map(map);
        for (name, value) in edits.iter() {
            let done = match value {
                Some(value) => self.0.set_header(map, name, value.as_bytes()),
                None => {
                    // False says that there was none.
                    self.0.remove_header(map, name);
                    true
                }
            };
            if !done {
                // What stands there may be another backend's.
                self.0.remove_header(map, name);
                log::error!("the header {name} could not be changed");
            }
        }
    }

    fn look_at_body<T>(&self, map: Map, look: impl FnOnce(&[u8]) -> T) -> T {
        match map {
            Map::Request => self.0.look_at_request_body(look),
            Map::Response => self.0.look_at_response_body(look),
        }
    }

    fn body_part(&self, map: Map, part: Range<usize>) -> Cow<'_, [u8]> {
        match map {
            Map::Request => self.0.request_part(part),
            Map::Response => self.0.response_part(part),
        }
    }

    fn replace_body(&mut self, map: Map, body: Vec<u8>) {
        match map {
            Map::Request => self.0.replace_request_body(body),
            Map::Response => self.0.replace_response_body(body),
        }
    }

    fn sees_answers_it_added_to(&self) -> bool {
        // Seen with Envoy 1.39 and 1.40: after `send_response_data` the hooks for the answer are not called any more.
        false
    }

    fn choose_route_anew(&mut self) {
        self.0.clear_route_cache();
    }

    fn set_exchange(&mut self, id: u64) {
        if !self.0.set_filter_state(EXCHANGE_STATE, &id.to_le_bytes()) {
            log::error!("the filter state {EXCHANGE_STATE} could not be set");
        }
    }

    fn exchange(&self) -> Option<u64> {
        self.0.filter_state(EXCHANGE_STATE)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn local_reply_details(&self) -> Option<String> {
        self.0.local_reply().map(text)
    }

    fn final_status(&self) -> u16 {
        self.0.response_code().and_then(|code| u16::try_from(code).ok()).unwrap_or(0)
    }

    fn attempts(&self) -> Option<u32> {
        self.0.attempts().and_then(|attempts| u32::try_from(attempts).ok())
    }

    fn route_name(&self) -> String {
        self.0.route_name().map(text).unwrap_or_default()
    }

    fn target(&self) -> String {
        let target = self.0.metadata(Metadata::Host, "weir", "target").unwrap_or_default();
        String::from_utf8(target).unwrap_or_default()
    }

    fn metadata(&self, namespace: &str, path: &[String]) -> Option<Vec<u8>> {
        match path {
            [key] => self.0.metadata(Metadata::Dynamic, namespace, key),
            // Envoy shows modules nothing inside of a struct. No configuration that asks for it is taken.
            _ => None,
        }
    }

    fn set_cost(&mut self, key: &str, value: u64) {
        // Numbers in metadata are floating point: exact up to 2^53 tokens.
        #[allow(clippy::cast_precision_loss, reason = "no request uses that many")]
        self.0.set_metadata_number(METADATA_NAMESPACE, key, value as f64);
    }

    fn set_record(&mut self, line: &str) {
        if !self.0.set_filter_state(RECORD_STATE, line.as_bytes()) {
            log::error!("the filter state {RECORD_STATE} could not be set");
        }
    }

    fn metrics(&self) -> Metrics {
        weir_shell::metrics()
    }

    fn store(&self) -> &dyn Store {
        &STORE
    }
}

fn header_map(map: Map) -> Headers {
    match map {
        Map::Request => Headers::Request,
        Map::Response => Headers::Response,
    }
}

/// A snapshot of a header map.
pub(crate) fn snapshot(stream: &Stream<'_>, map: Headers) -> Snapshot {
    stream.headers(map).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
}
