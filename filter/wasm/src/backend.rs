//! The backend role's callbacks.

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, BufferType, MapType};
use weir_core::backend::{AnswerHeaders, Attempt, Begin, Chunk, Identity, Place};
use weir_core::config::Config;
use weir_core::edge::Reply;
use weir_core::endpoint::ClientApi;
use weir_core::error::{Error, Kind};

use crate::edge::EXCHANGE_STATE;
use crate::store::SharedData;
use crate::{host, worker};

/// An attempt that other callbacks than its own may have to carry on.
type SharedAttempt = Rc<RefCell<Attempt>>;

/// An attempt whose request is whole, but whose credential is not there yet.
pub(crate) struct Waiting {
    attempt: SharedAttempt,
    body_size: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Pass,
    Whole(usize),
    Stream,
}

pub(crate) struct Backend {
    id: u32,
    config: Rc<Config>,
    attempt: Option<SharedAttempt>,
    /// So many bytes of the request are there, while it is held.
    held: Option<usize>,
    answer: Answer,
}

impl Backend {
    pub(crate) fn new(id: u32, config: Rc<Config>) -> Backend {
        Backend { id, config, attempt: None, held: None, answer: Answer::Pass }
    }

    fn begin(&self) -> Option<Begin> {
        let id = host::property(&[EXCHANGE_STATE])?.parse().ok()?;
        let exchange = worker::find(id)?;
        let route = host::property(&["xds", "route_name"]).unwrap_or_default();
        let target = host::property(&["xds", "upstream_host_metadata", "filter_metadata", "weir", "target"])
            .unwrap_or_default();
        let attempt = host::number(&["upstream", "request_attempt_count"]).unwrap_or(1);
        let place =
            Place { route: &route, target: &target, attempt: u32::try_from(attempt).unwrap_or(u32::MAX) };
        Some(Attempt::begin(&self.config, &exchange, place, &SharedData, host::now_ms()))
    }

    fn finish_request(&mut self, size: usize) -> Action {
        self.held = None;
        let Some(attempt) = &self.attempt else { return Action::Continue };
        match send(attempt, size) {
            Sent::Yes => Action::Continue,
            Sent::Refused => Action::Pause,
            Sent::NotYet => {
                worker::wait(self.id, Waiting { attempt: Rc::clone(attempt), body_size: size });
                Action::Pause
            }
        }
    }

    fn finish_answer(&mut self, size: usize) {
        let Some(attempt) = &self.attempt else { return };
        self.answer = Answer::Pass;
        let body = host::body(BufferType::HttpResponseBody, size);
        let whole = attempt.borrow_mut().whole_answer(&body, host::now_ms());
        host::apply(MapType::HttpResponseHeaders, &whole.headers);
        if let Some(body) = whole.body {
            host::set_body(BufferType::HttpResponseBody, size, &body);
        }
    }
}

impl Context for Backend {
    fn on_done(&mut self) -> bool {
        worker::stop_waiting(self.id);
        true
    }
}

impl HttpContext for Backend {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        match self.begin() {
            Some(Begin::Attempt(attempt)) => {
                self.attempt = Some(Rc::new(RefCell::new(*attempt)));
                self.held = Some(0);
                // The edge role lets no request without a body come here. Should one come all the same, it must not
                // pass as it is, with the client's credentials.
                if end { self.finish_request(0) } else { Action::Pause }
            }
            Some(Begin::Reply(reply)) => {
                host::reply(&reply);
                Action::Pause
            }
            // As it is, it would carry the client's credentials.
            None => {
                let message = "the edge role of the gateway has not seen this request";
                host::reply(&Reply::of_error(&Error::new(Kind::Internal, message), ClientApi::OpenAi));
                Action::Pause
            }
        }
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        let Some(held) = &mut self.held else { return Action::Continue };
        *held = size;
        if end { self.finish_request(size) } else { Action::Pause }
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        match self.held {
            Some(size) => self.finish_request(size),
            None => Action::Continue,
        }
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        let Some(attempt) = &self.attempt else { return Action::Continue };
        let headers = host::headers(MapType::HttpResponseHeaders);
        let status = headers.get(":status").and_then(|status| status.parse().ok()).unwrap_or(0);
        match attempt.borrow_mut().answer_headers(status, &headers, end, host::now_ms()) {
            AnswerHeaders::Pass(edits) => {
                host::apply(MapType::HttpResponseHeaders, &edits);
                Action::Continue
            }
            AnswerHeaders::Whole => {
                self.answer = Answer::Whole(0);
                Action::Pause
            }
            AnswerHeaders::Stream => {
                self.answer = Answer::Stream;
                Action::Pause
            }
        }
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        let Some(attempt) = &self.attempt else { return Action::Continue };
        match &mut self.answer {
            Answer::Pass => Action::Continue,
            Answer::Whole(held) => {
                *held = size;
                if !end {
                    return Action::Pause;
                }
                self.finish_answer(size);
                Action::Continue
            }
            Answer::Stream => {
                let chunk = host::body(BufferType::HttpResponseBody, size);
                let step = attempt.borrow_mut().answer_chunk(&chunk, end, host::now_ms());
                carry_out(step, size)
            }
        }
    }

    /// With trailers, the last of the body did not know that it was.
    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        match (self.answer, &self.attempt) {
            (Answer::Whole(size), _) => self.finish_answer(size),
            (Answer::Stream, Some(attempt)) => {
                self.answer = Answer::Pass;
                let step = attempt.borrow_mut().answer_chunk(b"", true, host::now_ms());
                // The host takes no more body here once the headers are gone: an end that is to be added is lost then,
                // but not what was used.
                carry_out(step, 0);
            }
            _ => {}
        }
        Action::Continue
    }
}

/// Does with the `size` bytes of a chunk what the core said.
fn carry_out(step: Chunk, size: usize) -> Action {
    match step {
        Chunk::Hold => {
            host::set_body(BufferType::HttpResponseBody, size, b"");
            return Action::Pause;
        }
        Chunk::Release(edits, body) => {
            host::apply(MapType::HttpResponseHeaders, &edits);
            host::set_body(BufferType::HttpResponseBody, size, &body);
        }
        Chunk::Replace(body) => host::set_body(BufferType::HttpResponseBody, size, &body),
        Chunk::Pass => {}
    }
    Action::Continue
}

enum Sent {
    Yes,
    Refused,
    /// The credential is missing still.
    NotYet,
}

/// Makes the request of `attempt`, whose context is the effective one.
fn send(attempt: &SharedAttempt, body_size: usize) -> Sent {
    let mut attempt = attempt.borrow_mut();
    let now_ms = host::now_ms();
    let now = now_ms / 1000;
    let credential = match attempt.credential() {
        None => None,
        Some(name) => match worker::with_credentials(|credentials| credentials.get(name, now)) {
            Ok(credential) => Some(credential),
            Err(reason) => {
                let Some(reply) = attempt.credential_overdue(&reason, now_ms) else { return Sent::NotYet };
                host::reply(&reply);
                return Sent::Refused;
            }
        },
    };
    let body = host::body(BufferType::HttpRequestBody, body_size);
    let made = worker::with_signing_keys(|keys| {
        attempt.request(&body, Identity { credential: credential.as_deref(), keys, now })
    });
    match made {
        Ok(outgoing) => {
            host::apply(MapType::HttpRequestHeaders, &outgoing.headers);
            if let Some(body) = outgoing.body {
                host::set_body(BufferType::HttpRequestBody, body_size, &body);
            }
            Sent::Yes
        }
        Err(reply) => {
            host::reply(&reply);
            Sent::Refused
        }
    }
}

/// Tries again to send the requests that wait for a credential. The host does not call their body callbacks again, so
/// this is done from the tick.
pub(crate) fn retry_waiting() {
    for id in worker::waiting() {
        let Some(waiting) = worker::stop_waiting(id) else { continue };
        if hostcalls::set_effective_context(id).is_err() {
            continue;
        }
        match send(&waiting.attempt, waiting.body_size) {
            Sent::Yes => {
                if let Err(status) = hostcalls::resume_http_request() {
                    log::error!("a request that waited for its credential could not be resumed: {status:?}");
                }
            }
            Sent::Refused => {}
            Sent::NotYet => worker::wait(id, waiting),
        }
    }
}
