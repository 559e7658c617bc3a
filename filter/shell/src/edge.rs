//! The edge role's callbacks.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use weir_core::config::Config;
use weir_core::edge::{Edge, Reply, Request, Response};
use weir_core::exchange::Exchange;

use crate::host::{Flow, Host, Map};
use crate::worker;

/// The edge role of one request, driven by the callbacks of a filter in the listener's chain.
#[derive(Debug)]
pub struct EdgeFilter {
    config: Arc<Config>,
    /// From the request's headers on.
    edge: Option<Edge>,
    id: u64,
    /// The request is held until its body is whole.
    holds: bool,
    /// The new body of an answer that is held.
    replacement: Option<Vec<u8>>,
    /// The status of the latest answer, be it a backend's, the proxy's or the filter's own.
    status: Option<u16>,
    closed: bool,
}

impl EdgeFilter {
    /// The filter of a request that is about to come.
    #[must_use]
    pub fn new(config: Arc<Config>) -> EdgeFilter {
        EdgeFilter { config, edge: None, id: 0, holds: false, replacement: None, status: None, closed: false }
    }

    /// The request's headers have come; `end` says that it has no body.
    pub fn request_headers(&mut self, host: &mut impl Host, end: bool) -> Flow {
        let exchange = Exchange::new(host.headers(Map::Request), host.now_ms());
        let exchange = Rc::new(RefCell::new(exchange));
        self.id = worker::register(&exchange);
        host.set_exchange(self.id);
        let edge = self.edge.insert(Edge::new(Arc::clone(&self.config), exchange));
        match edge.request_headers(end) {
            Request::Pass(edits) => {
                host.edit(Map::Request, &edits);
                Flow::Continue
            }
            Request::Hold(edits) => {
                host.edit(Map::Request, &edits);
                self.holds = true;
                Flow::Hold
            }
            Request::Reply(reply) => self.reply(reply),
        }
    }

    /// More of the request's body has come, `size` bytes in all.
    pub fn request_body(&mut self, host: &mut impl Host, size: usize, end: bool) -> Flow {
        if !self.holds {
            return Flow::Continue;
        }
        if end {
            return self.finish_request(host);
        }
        match self.edge.as_mut().and_then(|edge| edge.request_body_progress(size)) {
            None => Flow::Hold,
            Some(reply) => {
                self.holds = false;
                self.reply(reply)
            }
        }
    }

    /// The request ends with trailers.
    pub fn request_trailers(&mut self, host: &mut impl Host) -> Flow {
        if self.holds { self.finish_request(host) } else { Flow::Continue }
    }

    fn finish_request(&mut self, host: &mut impl Host) -> Flow {
        self.holds = false;
        let Some(edge) = &mut self.edge else { return Flow::Continue };
        let request = host.look_at_body(Map::Request, |body| edge.request_body(body));
        match request {
            Request::Pass(edits) | Request::Hold(edits) => {
                host.edit(Map::Request, &edits);
                host.choose_route_anew();
                Flow::Continue
            }
            Request::Reply(reply) => self.reply(reply),
        }
    }

    /// The answer's headers have come; `end` says that it has no body.
    pub fn response_headers(&mut self, host: &mut impl Host, end: bool) -> Flow {
        let Some(edge) = &mut self.edge else { return Flow::Continue };
        host.edit(Map::Request, &edge.restored_request_headers());
        let status = edge.passing().unwrap_or_else(|| host.status());
        self.status = Some(status);
        // The details and the other headers matter for errors only.
        let (headers, details) = if status >= 400 {
            (host.headers(Map::Response), host.local_reply_details())
        } else {
            Default::default()
        };
        match edge.response_headers(status, &headers, details.as_deref(), end) {
            Response::Pass(edits) => self.edit_answer(host, &edits),
            Response::Replace(edits, body) => {
                self.replacement = Some(body);
                self.edit_answer(host, &edits)
            }
            Response::Reply(reply) => self.reply(reply),
        }
    }

    fn edit_answer(&mut self, host: &mut impl Host, edits: &weir_core::headers::HeaderEdits) -> Flow {
        if let Some(status) = edits.get(":status").flatten().and_then(|status| status.parse().ok()) {
            self.status = Some(status);
        }
        host.edit(Map::Response, edits);
        Flow::Continue
    }

    /// More of the answer's body has come.
    pub fn response_body(&mut self, host: &mut impl Host, end: bool) -> Flow {
        if self.replacement.is_none() {
            return Flow::Continue;
        }
        if !end {
            return Flow::Hold;
        }
        if let Some(body) = self.replacement.take() {
            host.replace_body(Map::Response, body);
        }
        Flow::Continue
    }

    /// The stream is over. Only the first call counts, so that a host may call this wherever the end of a stream shows.
    pub fn close(&mut self, host: &mut impl Host) {
        let Some(edge) = &mut self.edge else { return };
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let status = self.status.unwrap_or_else(|| host.final_status());
        let closing = edge.close(status, host.now_ms(), host.store());
        for (key, value) in &closing.costs {
            host.set_cost(key, *value);
        }
        if self.config.access_log {
            host.set_record(&closing.record.to_line());
        }
        if closing.books_failed {
            log::error!("usage of request {} could not be entered in the books", closing.record.request_id);
        }
        worker::forget(self.id);
    }

    fn reply(&mut self, reply: Reply) -> Flow {
        self.status = Some(reply.status);
        reply.into()
    }
}

/// A host may drop a stream without a word of its end.
impl Drop for EdgeFilter {
    fn drop(&mut self) {
        if self.edge.is_some() {
            worker::forget(self.id);
        }
    }
}
