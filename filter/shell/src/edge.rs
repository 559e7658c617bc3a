//! The edge role's callbacks, and the backend role's where a request has but one place to go to.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use weir_core::backend::{Attempt, Begin};
use weir_core::config::Config;
use weir_core::edge::{Edge, Reply, Request, Response};
use weir_core::exchange::Exchange;
use weir_core::pulse;

use crate::backend::{self, BackendFilter, Made};
use crate::held::Held;
use crate::host::{Beat, Flow, Host, Map};
use crate::{metrics, worker};

/// The edge role of one request, driven by the callbacks of a filter in the listener's chain. Where the request has one
/// place to go to, it plays the backend role as well, between the edge role and the router.
#[derive(Debug)]
pub struct EdgeFilter {
    config: Arc<Config>,
    /// From the request's headers on.
    edge: Option<Edge>,
    /// By which the upstream filters of the request find its exchange. Nobody looks for one that goes a direct way.
    id: Option<u64>,
    /// The request is held until its body is whole.
    holds: bool,
    /// So many bytes of it.
    held: Held,
    /// The backend role of a request that goes a direct way.
    direct: Option<Box<BackendFilter>>,
    /// The backend role holds the answer's headers, which the edge role has not seen.
    holds_answer: bool,
    /// The new body of an answer that is held.
    replacement: Option<Vec<u8>>,
    /// The status of the latest answer, be it a backend's, the proxy's or the filter's own.
    status: Option<u16>,
    closed: bool,
    /// The client has had the last word of its stream. A host that cannot end a stream may still bring more of its
    /// backend's.
    has_ended: bool,
    /// In how many milliseconds [`EdgeFilter::beat`] is to be called, until the host has been told.
    due: Option<u64>,
    /// When it is called next, in milliseconds since 1970, and how often it is called in all.
    beat_at: Option<u64>,
    beats_awaited: u32,
}

/// A call that comes so much before another is one that was asked for before, in milliseconds.
const TOO_EARLY_MS: u64 = 200;

impl EdgeFilter {
    /// The filter of a request that is about to come.
    #[must_use]
    pub fn new(config: Arc<Config>) -> EdgeFilter {
        EdgeFilter {
            config,
            edge: None,
            id: None,
            holds: false,
            held: Held::default(),
            direct: None,
            holds_answer: false,
            replacement: None,
            status: None,
            closed: false,
            has_ended: false,
            due: None,
            beat_at: None,
            beats_awaited: 0,
        }
    }

    /// The request's headers have come; `end` says that it has no body.
    pub fn request_headers(&mut self, host: &mut impl Host, end: bool) -> Flow {
        let exchange = Exchange::new(host.headers(Map::Request), host.now_ms());
        let edge = Edge::new(Arc::clone(&self.config), Rc::new(RefCell::new(exchange)));
        match self.edge.insert(edge).request_headers(end) {
            Request::Pass(edits) => {
                host.edit(Map::Request, &edits);
                if self.edge.as_ref().is_some_and(Edge::opens_socket) {
                    let direct =
                        self.edge.as_ref().and_then(|edge| make_direct(&self.config, edge, host, b""));
                    return self.send_on(host, direct);
                }
                if self.edge.as_ref().is_some_and(Edge::passes_through) {
                    host.choose_route_anew();
                }
                self.show_exchange(host);
                Flow::Continue
            }
            Request::Hold(edits) => {
                host.edit(Map::Request, &edits);
                self.holds = true;
                if end { self.finish_request(host) } else { Flow::Hold }
            }
            Request::Reply(reply) => self.reply(reply),
        }
    }

    /// More of the request's body has come, `size` bytes in all.
    pub fn request_body(&mut self, host: &mut impl Host, size: usize, end: bool) -> Flow {
        if !self.holds {
            // Of a request that goes a direct way and has become a WebSocket.
            let direct = self.direct.as_mut().filter(|direct| direct.opens_socket());
            return direct.map_or(Flow::Continue, |direct| direct.request_body(host, end));
        }
        if end {
            return self.finish_request(host);
        }
        let fits = self.held.set(size, self.config.most_held());
        let refused = self.edge.as_mut().and_then(|edge| match edge.request_body_progress(size) {
            None if !fits => Some(edge.refuse_for_room()),
            refused => refused,
        });
        match refused {
            None => Flow::Hold,
            Some(reply) => {
                self.holds = false;
                self.held = Held::default();
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
        // From here on it is the router's; one that waits for its credential does so for seconds.
        self.held = Held::default();
        let Some(edge) = &mut self.edge else { return Flow::Continue };
        let (request, direct) = host.look_at_body(Map::Request, |body| {
            let request = edge.request_body(body);
            let direct =
                matches!(request, Request::Pass(_)).then(|| make_direct(&self.config, edge, host, body));
            (request, direct.flatten())
        });
        match request {
            Request::Pass(edits) | Request::Hold(edits) => host.edit(Map::Request, &edits),
            Request::Reply(reply) => return self.reply(reply),
        }
        self.send_on(host, direct)
    }

    /// The request is known, and so is what is made of it if it goes a direct way.
    fn send_on(&mut self, host: &mut impl Host, direct: Option<(Option<Box<BackendFilter>>, Made)>) -> Flow {
        let flow = match direct {
            None => {
                self.show_exchange(host);
                Flow::Continue
            }
            Some((filter, made)) => {
                self.direct = filter;
                let due = self.direct.as_mut().and_then(|direct| direct.due());
                self.wait(due, || host.now_ms());
                made.carry_out(host)
            }
        };
        self.go_on(host, flow)
    }

    fn show_exchange(&mut self, host: &mut impl Host) {
        if let Some(edge) = &self.edge {
            let id = worker::register(edge.exchange());
            host.set_exchange(id);
            self.id = Some(id);
        }
    }

    /// True while the request waits for its credential: the host is to call [`EdgeFilter::retry`] now and then.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.direct.as_ref().is_some_and(|direct| direct.waits())
    }

    /// Tries again to send a request that waits for its credential. [`Flow::Hold`]: it is not there yet.
    pub fn retry(&mut self, host: &mut impl Host) -> Flow {
        let Some(direct) = &mut self.direct else { return Flow::Hold };
        let flow = direct.retry(host);
        let due = direct.due();
        self.wait(due, || host.now_ms());
        self.go_on(host, flow)
    }

    /// The request is ready for the router, or not.
    fn go_on(&mut self, host: &mut impl Host, flow: Flow) -> Flow {
        match flow {
            Flow::Continue => host.choose_route_anew(),
            Flow::Hold => {}
            Flow::Reply(reply) => return self.reply(*reply),
        }
        flow
    }

    /// The answer's headers have come; `end` says that it has no body.
    pub fn response_headers(&mut self, host: &mut impl Host, end: bool) -> Flow {
        if let (Some(direct), Some(edge)) = (&mut self.direct, &self.edge) {
            let headers = host.headers(Map::Response);
            let status = backend::status(&headers);
            // What Envoy or the gateway answers is not for the backend role: in an upstream chain it would not see it.
            if edge.answered_here() || status >= 400 && host.local_reply_details().is_some() {
                self.direct = None;
            } else {
                if let Some(restored) = edge.restored_path().filter(|_| host.has_request_headers()) {
                    host.edit(Map::Request, &restored);
                }
                let flow = direct.answer_headers(host, status, &headers, end);
                self.holds_answer = matches!(flow, Flow::Hold);
                let due = direct.due();
                self.wait(due, || host.now_ms());
                if !matches!(flow, Flow::Continue) {
                    return flow;
                }
            }
        }
        self.finish_headers(host, end)
    }

    /// The edge's part of [`EdgeFilter::response_headers`].
    fn finish_headers(&mut self, host: &mut impl Host, end: bool) -> Flow {
        let Some(edge) = &mut self.edge else { return Flow::Continue };
        let restored = edge.restored_request_headers();
        if !restored.is_empty() {
            if host.has_request_headers() {
                host.edit(Map::Request, &restored);
            } else {
                log::warn!("limits by model are not charged for a request that waited for its credential");
            }
        }
        let due = if edge.has_pulse() { wait_of(&edge.beat(host.now_ms())) } else { None };
        self.wait(due, || host.now_ms());
        let Some(edge) = &mut self.edge else { return Flow::Continue };
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

    /// More of the answer's body has come, `size` bytes in all where it is held.
    pub fn response_body(&mut self, host: &mut impl Host, size: usize, end: bool) -> Flow {
        if self.has_ended {
            host.replace_body(Map::Response, Vec::new());
            return Flow::Hold;
        }
        if let Some(direct) = &mut self.direct {
            let flow = direct.response_body(host, size, end);
            self.let_go(host);
            return self.release_answer(host, flow);
        }
        self.let_go(host);
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

    /// The answer ends with trailers.
    pub fn response_trailers(&mut self, host: &mut impl Host) -> Flow {
        let Some(direct) = &mut self.direct else { return Flow::Continue };
        let flow = direct.response_trailers(host);
        self.release_answer(host, flow)
    }

    /// When the backend role lets the answer's headers go, it is the edge role's turn.
    fn release_answer(&mut self, host: &mut impl Host, flow: Flow) -> Flow {
        if self.holds_answer && matches!(flow, Flow::Continue) {
            self.holds_answer = false;
            return self.finish_headers(host, false);
        }
        flow
    }

    /// Whether a stream of events is on its way to the client, so that it may be written to.
    #[must_use]
    pub fn has_pulse(&self) -> bool {
        !self.holds_answer && self.edge.as_ref().is_some_and(Edge::has_pulse)
    }

    /// In how many milliseconds the host is to call [`EdgeFilter::beat`], if at all. It is said once.
    pub fn due(&mut self) -> Option<u64> {
        let due = self.due.take();
        self.beats_awaited = self.beats_awaited.saturating_add(due.is_some().into());
        due
    }

    /// Has [`EdgeFilter::beat`] called in so many milliseconds, unless it is called before that: it will be asked again
    /// then.
    fn wait(&mut self, in_ms: Option<u64>, now_ms: impl FnOnce() -> u64) {
        let Some(in_ms) = in_ms else { return };
        let at = now_ms().saturating_add(in_ms);
        if self.beat_at.is_none_or(|awaited| at < awaited) {
            self.beat_at = Some(at);
            self.due = Some(in_ms);
        }
    }

    /// Time has passed. What it asks to be written must not be shown to [`EdgeFilter::response_body`].
    pub fn beat(&mut self, host: &mut impl Host) -> Beat {
        let now_ms = host.now_ms();
        self.beats_awaited = self.beats_awaited.saturating_sub(1);
        let is_early = self.beat_at.is_some_and(|at| now_ms.saturating_add(TOO_EARLY_MS) < at);
        let is_stopping = worker::is_stopping();
        if self.closed || is_early && self.beats_awaited > 0 && !is_stopping {
            return Beat::Rest;
        }
        self.beat_at = None;
        if let Some(direct) = &mut self.direct
            && (self.holds_answer || !direct.has_answer())
        {
            let beat = direct.beat(host);
            let due = direct.due();
            self.wait(due, || now_ms);
            if let Beat::Reply(reply) = &beat {
                self.status = Some(reply.status);
            }
            if beat == Beat::LetGo {
                self.holds_answer = false;
                // Nothing but changes to the headers comes of a success.
                self.finish_headers(host, false);
            }
            return beat;
        }
        let Some(edge) = &mut self.edge else { return Beat::Rest };
        let beat = if is_stopping { edge.stop() } else { edge.beat(now_ms) };
        let (due, beat) = match beat {
            pulse::Beat::Over | pulse::Beat::Wait(_) => (wait_of(&beat), Beat::Rest),
            // What the backend role would not see any more it could not translate, nor count.
            pulse::Beat::Write(_) if self.direct.is_some() && !host.sees_answers_it_added_to() => {
                (wait_of(&edge.beat(now_ms)), Beat::Rest)
            }
            pulse::Beat::Write(bytes) => (wait_of(&edge.beat(now_ms)), Beat::Write(bytes)),
            pulse::Beat::End(bytes) => {
                self.has_ended = !bytes.is_empty();
                (None, Beat::End(bytes))
            }
        };
        self.wait(due, || now_ms);
        beat
    }

    /// The client is let go where the backend does not end an answer that has said all.
    fn let_go(&mut self, host: &impl Host) {
        if let Some(edge) = &mut self.edge
            && edge.is_over()
        {
            let due = wait_of(&edge.beat(host.now_ms()));
            self.wait(due, || host.now_ms());
        }
    }

    /// The stream is over. Only the first call counts, so that a host may call this wherever the end of a stream shows.
    pub fn close(&mut self, host: &mut impl Host) {
        let Some(edge) = &mut self.edge else { return };
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let status = self.status.unwrap_or_else(|| host.final_status());
        edge.count_attempts(|| host.attempts());
        let closing = edge.close(status, host.now_ms(), host.store());
        for (key, value) in &closing.costs {
            host.set_cost(key, *value);
        }
        if self.config.metrics {
            metrics::add(&closing.record, &closing.costs);
        }
        if self.config.access_log {
            host.set_record(&closing.record.to_line());
        }
        for (key, fault) in &closing.faults {
            let id = &closing.record.request_id;
            log::warn!(
                "the cost {key} of request {id} is all its tokens, since its expression comes to {fault}"
            );
        }
        if closing.books_failed {
            log::error!("usage of request {} could not be entered in the books", closing.record.request_id);
        }
        self.forget();
    }

    fn forget(&mut self) {
        if let Some(id) = self.id.take() {
            worker::forget(id);
        }
    }

    fn reply(&mut self, reply: Reply) -> Flow {
        self.status = Some(reply.status);
        reply.into()
    }
}

fn wait_of(beat: &pulse::Beat) -> Option<u64> {
    if let pulse::Beat::Wait(wait) = beat { Some(*wait) } else { None }
}

/// Begins the attempt of a request that goes a direct way, and makes what is sent. `None`: it does not go one.
fn make_direct(
    config: &Arc<Config>,
    edge: &Edge,
    host: &impl Host,
    body: &[u8],
) -> Option<(Option<Box<BackendFilter>>, Made)> {
    let place = edge.direct()?;
    let now_ms = host.now_ms();
    match Attempt::begin(config, edge.exchange(), place, host.store(), now_ms) {
        Begin::Attempt(attempt) => {
            let mut filter = Box::new(BackendFilter::direct(Arc::clone(config), attempt));
            let made = filter.make(host, body, now_ms);
            Some((Some(filter), made))
        }
        Begin::Reply(reply) => Some((None, Made::Refused(reply))),
    }
}

/// A host may drop a stream without a word of its end.
impl Drop for EdgeFilter {
    fn drop(&mut self) {
        self.forget();
    }
}
