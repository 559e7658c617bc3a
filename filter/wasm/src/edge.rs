//! The edge role's callbacks.

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, BufferType, MapType};
use weir_core::config::Config;
use weir_core::edge::{Edge, Request, Response};
use weir_core::exchange::Exchange;

use crate::store::SharedData;
use crate::{host, worker};

/// Filter state by which the upstream filters of a request find its exchange.
pub(crate) const EXCHANGE_STATE: &str = "weir.exchange";

/// Filter state with the access log line.
const RECORD_STATE: &str = "weir.record";

pub(crate) struct EdgeFilter {
    config: Rc<Config>,
    /// From the request's headers on.
    edge: Option<Edge>,
    id: u64,
    /// The request is held until its body is whole; so many bytes are there.
    held: Option<usize>,
    /// The new body of an answer that is held.
    replacement: Option<Vec<u8>>,
    closed: bool,
}

impl EdgeFilter {
    pub(crate) fn new(config: Rc<Config>) -> EdgeFilter {
        EdgeFilter { config, edge: None, id: 0, held: None, replacement: None, closed: false }
    }

    fn finish_request(&mut self, size: usize) -> Action {
        self.held = None;
        let Some(edge) = &mut self.edge else { return Action::Continue };
        let body = host::body(BufferType::HttpRequestBody, size);
        match edge.request_body(&body) {
            Request::Pass(edits) | Request::Hold(edits) => {
                host::apply(MapType::HttpRequestHeaders, &edits);
                // Envoy below 1.40 does not pick the route anew by itself when a body callback sets a header.
                let _ = hostcalls::call_foreign_function("clear_route_cache", None);
                Action::Continue
            }
            Request::Reply(reply) => {
                host::reply(&reply);
                Action::Pause
            }
        }
    }

    /// Once, whichever callback comes first: `on_log` is there for every request, `on_done` comes before the rate limit
    /// charges.
    fn close(&mut self) {
        let Some(edge) = &mut self.edge else { return };
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let status =
            host::number(&["response", "code"]).and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
        let closing = edge.close(status, host::now_ms(), &SharedData);
        for (key, value) in &closing.costs {
            host::set_state(key, &value.to_string());
        }
        host::set_state(RECORD_STATE, &closing.record.to_line());
        if closing.books_failed {
            log::error!("usage of request {} could not be entered in the books", closing.record.request_id);
        }
        worker::forget(self.id);
    }
}

impl Context for EdgeFilter {
    fn on_done(&mut self) -> bool {
        self.close();
        true
    }
}

impl HttpContext for EdgeFilter {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        let headers = host::headers(MapType::HttpRequestHeaders);
        let exchange = Rc::new(RefCell::new(Exchange::new(headers, host::now_ms())));
        self.id = worker::register(&exchange);
        host::set_state(EXCHANGE_STATE, &self.id.to_string());
        let edge = self.edge.insert(Edge::new(Rc::clone(&self.config), exchange));
        match edge.request_headers(end) {
            Request::Pass(edits) => {
                host::apply(MapType::HttpRequestHeaders, &edits);
                Action::Continue
            }
            Request::Hold(edits) => {
                host::apply(MapType::HttpRequestHeaders, &edits);
                self.held = Some(0);
                Action::Pause
            }
            Request::Reply(reply) => {
                host::reply(&reply);
                Action::Pause
            }
        }
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        let Some(held) = &mut self.held else { return Action::Continue };
        *held = size;
        if end {
            return self.finish_request(size);
        }
        if let Some(reply) = self.edge.as_mut().and_then(|edge| edge.request_body_progress(size)) {
            self.held = None;
            host::reply(&reply);
        }
        Action::Pause
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        match self.held {
            Some(size) => self.finish_request(size),
            None => Action::Continue,
        }
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        let Some(edge) = &mut self.edge else { return Action::Continue };
        host::apply(MapType::HttpRequestHeaders, &edge.restored_request_headers());
        let status = host::header(MapType::HttpResponseHeaders, ":status");
        let status = status.and_then(|status| status.parse().ok()).unwrap_or(0);
        // The details and the other headers matter for errors only.
        let (headers, details) = if status >= 400 {
            let details =
                host::property(&["response", "code_details"]).filter(|details| details != "via_upstream");
            (host::headers(MapType::HttpResponseHeaders), details)
        } else {
            Default::default()
        };
        match edge.response_headers(status, &headers, details.as_deref(), end) {
            Response::Pass(edits) => {
                host::apply(MapType::HttpResponseHeaders, &edits);
                Action::Continue
            }
            Response::Replace(edits, body) => {
                host::apply(MapType::HttpResponseHeaders, &edits);
                self.replacement = Some(body);
                Action::Continue
            }
            Response::Reply(reply) => {
                host::reply(&reply);
                Action::Pause
            }
        }
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if self.replacement.is_none() {
            return Action::Continue;
        }
        if !end {
            return Action::Pause;
        }
        if let Some(body) = self.replacement.take() {
            host::set_body(BufferType::HttpResponseBody, size, &body);
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        self.close();
    }
}
