//! The backend role's callbacks.

use std::rc::Rc;
use std::sync::Arc;

use weir_core::backend::{AnswerHeaders, Attempt, Begin, Chunk, HeldHeaders, Identity, Outgoing, Place};
use weir_core::config::Config;
use weir_core::edge::Reply;
use weir_core::endpoint::ClientApi;
use weir_core::error::{Error, Kind};
use weir_core::headers::{HeaderEdits, Headers};
use weir_core::wire::usage::END;

use crate::held::Held;
use crate::host::{Beat, Flow, Host, Map};
use crate::worker;

/// The backend role of one attempt, driven by the callbacks of a filter in a cluster's upstream chain.
#[derive(Debug)]
pub struct BackendFilter {
    config: Arc<Config>,
    /// In an upstream chain, where the proxy may try another backend.
    may_be_retried: bool,
    attempt: Option<Box<Attempt>>,
    request: Request,
    answer: Answer,
    /// The answer's headers have come.
    has_answer: bool,
    /// So many bytes of a whole answer are there.
    answer_size: usize,
    /// In how many milliseconds [`BackendFilter::beat`] is to be called, until the host has been told.
    due: Option<u64>,
    held: Held,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    /// It waits for its body.
    Incomplete,
    /// It waits for its credential.
    NoCredential,
    /// It is on its way, or refused.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Pass,
    Whole,
    /// Its headers have gone ahead.
    WholeBody,
    Stream,
    /// Another has been given in its place.
    Discarded,
}

/// What an attempt made of the client's request.
#[derive(Debug)]
pub(crate) enum Made {
    /// Nothing: there is no attempt.
    AsItIs,
    /// Nothing yet: its credential is not there.
    NotYet,
    /// The backend's request.
    Request(Outgoing),
    /// An answer.
    Refused(Reply),
}

impl Made {
    pub(crate) fn carry_out(self, host: &mut impl Host) -> Flow {
        match self {
            Made::AsItIs => Flow::Continue,
            Made::NotYet => Flow::Hold,
            Made::Request(outgoing) => {
                host.edit(Map::Request, &outgoing.headers);
                if let Some(body) = outgoing.body {
                    host.replace_body(Map::Request, body);
                }
                Flow::Continue
            }
            Made::Refused(reply) => reply.into(),
        }
    }
}

impl BackendFilter {
    /// The filter of an attempt that is about to begin.
    #[must_use]
    pub fn new(config: Arc<Config>) -> BackendFilter {
        BackendFilter {
            config,
            may_be_retried: true,
            attempt: None,
            request: Request::Done,
            answer: Answer::Pass,
            has_answer: false,
            answer_size: 0,
            due: None,
            held: Held::default(),
        }
    }

    /// The filter of an attempt that the edge's filter makes itself.
    pub(crate) fn direct(config: Arc<Config>, attempt: Box<Attempt>) -> BackendFilter {
        BackendFilter { attempt: Some(attempt), may_be_retried: false, ..BackendFilter::new(config) }
    }

    /// The request's headers have come; `end` says that it has no body.
    pub fn request_headers(&mut self, host: &mut impl Host, end: bool) -> Flow {
        let now_ms = host.now_ms();
        let Some(exchange) = host.exchange().and_then(worker::find) else {
            // As it is, it would carry the client's credentials; or those of the one backend that a direct way goes to.
            let message = "the edge role of the gateway has not seen this request";
            return Reply::of_error(&Error::new(Kind::Internal, message), ClientApi::default()).into();
        };
        if self.config.late_proofs {
            exchange.borrow_mut().learn_identity(&self.config, &host.headers(Map::Request));
        }
        let (route, target) = (host.route_name(), host.target());
        let place = Place { route: &route, target: &target };
        let attempt = match Attempt::begin(&self.config, &exchange, place, host.store(), now_ms) {
            Begin::Attempt(attempt) => self.attempt.insert(attempt),
            Begin::Reply(reply) => return reply.into(),
        };
        // Without a body come only requests that are made without one. Should another come all the same, it must not
        // pass as it is, with the client's credentials.
        if end || !attempt.reads_body() {
            return self.send(host, now_ms);
        }
        self.request = Request::Incomplete;
        Flow::Hold
    }

    /// Whether the request becomes a WebSocket.
    pub(crate) fn opens_socket(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.opens_socket())
    }

    /// More of the request's body has come.
    pub fn request_body(&mut self, host: &mut impl Host, end: bool) -> Flow {
        if let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.opens_socket()) {
            if self.request != Request::Done {
                // Behind the headers Envoy brings a piece with nothing in it.
                if host.look_at_body(Map::Request, <[u8]>::is_empty) {
                    return Flow::Hold;
                }
                // What is held would go on unread.
                let message = "a WebSocket's client speaks once the request is answered";
                return Reply::of_error(&Error::bad_request(message), ClientApi::default()).into();
            }
            let mut step = host.look_at_body(Map::Request, |chunk| attempt.client_chunk(chunk));
            if !self.held.set(attempt.stream_held(), self.config.most_held()) {
                step = attempt.end_client_for_room(step);
            }
            if let Chunk::Replace(body) = step {
                host.replace_body(Map::Request, body);
            }
            return Flow::Continue;
        }
        match self.request {
            Request::Done => Flow::Continue,
            Request::Incomplete if end => self.send(host, host.now_ms()),
            Request::Incomplete | Request::NoCredential => Flow::Hold,
        }
    }

    /// The request ends with trailers.
    pub fn request_trailers(&mut self, host: &mut impl Host) -> Flow {
        self.request_body(host, true)
    }

    /// True while the attempt waits for its credential: the host is to call [`BackendFilter::retry`] now and then.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.request == Request::NoCredential
    }

    /// Tries again to send a request that waits for its credential. [`Flow::Hold`]: it is not there yet.
    pub fn retry(&mut self, host: &mut impl Host) -> Flow {
        if self.waits() { self.send(host, host.now_ms()) } else { Flow::Hold }
    }

    fn send(&mut self, host: &mut impl Host, now_ms: u64) -> Flow {
        let made = if self.attempt.as_ref().is_some_and(|attempt| attempt.reads_body()) {
            host.look_at_body(Map::Request, |body| self.make(host, body, now_ms))
        } else {
            self.make(host, b"", now_ms)
        };
        made.carry_out(host)
    }

    /// Makes the request, of the client's whole body where the attempt reads that.
    pub(crate) fn make(&mut self, host: &impl Host, body: &[u8], now_ms: u64) -> Made {
        self.request = Request::Done;
        let Some(attempt) = &mut self.attempt else { return Made::AsItIs };
        let now = now_ms / 1000;
        let brought = match attempt.brought(|namespace: &str, path: &[String]| host.metadata(namespace, path))
        {
            Ok(brought) => brought.map(Rc::new),
            Err(reply) => return Made::Refused(reply),
        };
        let credential = match attempt.credential() {
            None => None,
            Some(_) if brought.is_some() => brought,
            Some(name) => {
                match worker::with_credentials(|credentials| {
                    credentials.get(name, &self.config, now, host.store())
                }) {
                    Ok(credential) => Some(credential),
                    Err(reason) => {
                        if let Some(reply) = attempt.credential_overdue(&reason, now_ms) {
                            return Made::Refused(reply);
                        }
                        self.request = Request::NoCredential;
                        return Made::NotYet;
                    }
                }
            }
        };
        let now = attempt.time_there(now, host.store());
        let made = worker::with_signing_keys(|keys| {
            attempt.request(body, Identity { credential: credential.as_deref(), keys, now })
        });
        match made {
            Ok(outgoing) => {
                self.due = attempt.patience(now_ms);
                Made::Request(outgoing)
            }
            Err(reply) => Made::Refused(reply),
        }
    }

    /// The answer's headers have come; `end` says that it has no body.
    pub fn response_headers(&mut self, host: &mut impl Host, end: bool) -> Flow {
        if self.attempt.is_none() {
            return Flow::Continue;
        }
        let headers = host.headers(Map::Response);
        self.answer_headers(host, status(&headers), &headers, end)
    }

    /// As [`BackendFilter::response_headers`], of headers that were looked at already.
    pub(crate) fn answer_headers(
        &mut self,
        host: &mut impl Host,
        status: u16,
        headers: &Headers,
        end: bool,
    ) -> Flow {
        let Some(attempt) = &mut self.attempt else { return Flow::Continue };
        self.has_answer = true;
        let unwanted = attempt.unwanted_headers(status, headers);
        if !unwanted.is_empty() {
            host.edit(Map::Response, &unwanted);
        }
        if let Some(ahead) = attempt.learn_time(status, headers, || host.now_ms() / 1000, host.store()) {
            log::warn!(
                "the clock of a backend is {ahead} s ahead of this machine's: requests are signed by it"
            );
        }
        if self.may_be_retried && attempt.may_await_content() && !host.retries_held_answers() {
            attempt.let_go_at_first_event();
        }
        match attempt.answer_headers(status, headers, end, host.now_ms()) {
            AnswerHeaders::Pass(edits) => {
                host.edit(Map::Response, &edits);
                return Flow::Continue;
            }
            AnswerHeaders::Watch(edits) => {
                host.edit(Map::Response, &edits);
                self.answer = Answer::Stream;
                return Flow::Continue;
            }
            AnswerHeaders::Whole if status >= 400 && self.may_be_retried && !host.retries_held_answers() => {
                host.edit(Map::Response, &attempt.headers_ahead());
                self.answer = Answer::WholeBody;
                return Flow::Continue;
            }
            AnswerHeaders::Whole => self.answer = Answer::Whole,
            AnswerHeaders::Stream => {
                self.answer = Answer::Stream;
                self.due = wait_of(&attempt.answer_beat(host.now_ms()));
            }
        }
        Flow::Hold
    }

    /// In how many milliseconds the host is to call [`BackendFilter::beat`], if at all. It is said once.
    pub fn due(&mut self) -> Option<u64> {
        self.due.take()
    }

    /// Whether the answer's headers have come.
    pub(crate) fn has_answer(&self) -> bool {
        self.has_answer
    }

    /// Time has passed. The answer's headers may have been held, or waited for, for long enough.
    pub fn beat(&mut self, host: &mut impl Host) -> Beat {
        let Some(attempt) = &mut self.attempt else { return Beat::Rest };
        if !self.has_answer {
            let patience = attempt.patience(host.now_ms());
            self.due = patience.filter(|patience| *patience > 0);
            return if patience == Some(0) { Beat::Reply(Box::new(attempt.overdue())) } else { Beat::Rest };
        }
        let held = attempt.answer_beat(host.now_ms());
        self.due = wait_of(&held);
        let HeldHeaders::Release(edits) = held else { return Beat::Rest };
        host.edit(Map::Response, &edits);
        Beat::LetGo
    }

    /// More of the answer's body has come, `size` bytes in all where it is held.
    pub fn response_body(&mut self, host: &mut impl Host, size: usize, end: bool) -> Flow {
        self.answer_size = size;
        let Some(attempt) = &mut self.attempt else { return Flow::Continue };
        match self.answer {
            Answer::Pass => Flow::Continue,
            Answer::Discarded => {
                host.replace_body(Map::Response, Vec::new());
                Flow::Continue
            }
            Answer::Whole | Answer::WholeBody if !end => {
                let fits = self.held.set(size, self.config.most_held());
                // Where the headers have gone ahead it is an error already.
                if fits || self.answer == Answer::WholeBody {
                    return Flow::Hold;
                }
                self.answer = Answer::Discarded;
                let whole = attempt.whole_without_room();
                self.release(&whole.headers, whole.body.unwrap_or_default(), host)
            }
            Answer::Whole | Answer::WholeBody => self.finish_answer(host),
            Answer::Stream => {
                let now_ms = host.now_ms();
                let mut step =
                    host.look_at_body(Map::Response, |chunk| attempt.answer_chunk(chunk, end, now_ms));
                if !self.held.set(attempt.stream_held(), self.config.most_held()) {
                    step = attempt.end_stream_for_room(step, now_ms);
                }
                self.carry_out(step, host)
            }
        }
    }

    /// The answer ends with trailers: the last of its body did not know that it was.
    pub fn response_trailers(&mut self, host: &mut impl Host) -> Flow {
        match (self.answer, &mut self.attempt) {
            (Answer::Whole | Answer::WholeBody, _) => self.finish_answer(host),
            (Answer::Stream, Some(attempt)) => {
                self.answer = Answer::Pass;
                let step = attempt.answer_chunk(b"", true, host.now_ms());
                // A host takes no more body here once the headers are gone: an end that is to be added is lost then,
                // but not what was used.
                match self.carry_out(step, host) {
                    reply @ Flow::Reply(_) => reply,
                    Flow::Continue | Flow::Hold => Flow::Continue,
                }
            }
            _ => Flow::Continue,
        }
    }

    fn finish_answer(&mut self, host: &mut impl Host) -> Flow {
        self.held = Held::default();
        let has_headers = std::mem::replace(&mut self.answer, Answer::Pass) == Answer::Whole;
        let Some(attempt) = &mut self.attempt else { return Flow::Continue };
        if attempt.reads_ends(self.answer_size) {
            let size = self.answer_size;
            let head = host.body_part(Map::Response, 0..END);
            let tail = host.body_part(Map::Response, size.saturating_sub(END)..size);
            if attempt.answer_ends(&head, &tail, host.now_ms()) {
                return Flow::Continue;
            }
        }
        let now_ms = host.now_ms();
        let whole = host.look_at_body(Map::Response, |body| attempt.whole_answer(body, now_ms));
        match whole.body {
            Some(body) if has_headers => return self.release(&whole.headers, body, host),
            Some(body) => host.replace_body(Map::Response, body),
            None if has_headers => host.edit(Map::Response, &whole.headers),
            None => {}
        }
        Flow::Continue
    }

    /// Does with a chunk what the core said.
    fn carry_out(&self, step: Chunk, host: &mut impl Host) -> Flow {
        match step {
            Chunk::Hold => {
                host.replace_body(Map::Response, Vec::new());
                return Flow::Hold;
            }
            Chunk::Release(edits, body) => return self.release(&edits, body, host),
            Chunk::Replace(body) => host.replace_body(Map::Response, body),
            Chunk::Pass => {}
        }
        Flow::Continue
    }

    /// Lets headers go that were held, and a body.
    fn release(&self, edits: &HeaderEdits, body: Vec<u8>, host: &mut impl Host) -> Flow {
        if let Some(attempt) = &self.attempt
            && let Some(status) = edits.get(":status").flatten().and_then(|status| status.parse().ok())
            && self.may_be_retried
            && !host.retries_held_answers()
        {
            return attempt.reply(status, body).into();
        }
        host.edit(Map::Response, edits);
        host.replace_body(Map::Response, body);
        Flow::Continue
    }
}

fn wait_of(held: &HeldHeaders) -> Option<u64> {
    if let HeldHeaders::Wait(wait) = held { Some(*wait) } else { None }
}

/// `:status` of an answer's headers; 0 when there is none.
pub(crate) fn status(headers: &Headers) -> u16 {
    headers.get(":status").and_then(|status| status.parse().ok()).unwrap_or(0)
}
