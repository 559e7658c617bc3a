//! The backend role's callbacks.

use std::sync::Arc;

use weir_core::backend::{AnswerHeaders, Attempt, Begin, Chunk, Identity, Place};
use weir_core::config::Config;
use weir_core::edge::Reply;
use weir_core::endpoint::ClientApi;
use weir_core::error::{Error, Kind};
use weir_core::wire::usage::END;

use crate::host::{Flow, Host, Map};
use crate::worker;

/// The backend role of one attempt, driven by the callbacks of a filter in a cluster's upstream chain.
#[derive(Debug)]
pub struct BackendFilter {
    config: Arc<Config>,
    attempt: Option<Box<Attempt>>,
    request: Request,
    answer: Answer,
    /// So many bytes of a whole answer are there.
    answer_size: usize,
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
    Stream,
}

impl BackendFilter {
    /// The filter of an attempt that is about to begin.
    #[must_use]
    pub fn new(config: Arc<Config>) -> BackendFilter {
        BackendFilter { config, attempt: None, request: Request::Done, answer: Answer::Pass, answer_size: 0 }
    }

    /// The request's headers have come; `end` says that it has no body.
    pub fn request_headers(&mut self, host: &mut impl Host, end: bool) -> Flow {
        let now_ms = host.now_ms();
        let attempt = match self.begin(host, now_ms) {
            Some(Begin::Attempt(attempt)) => self.attempt.insert(attempt),
            Some(Begin::Reply(reply)) => return reply.into(),
            // As it is, it would carry the client's credentials.
            None => {
                let message = "the edge role of the gateway has not seen this request";
                return Reply::of_error(&Error::new(Kind::Internal, message), ClientApi::OpenAi).into();
            }
        };
        // The edge role lets no request without a body come here. Should one come all the same, it must not pass as it
        // is, with the client's credentials.
        if end || !attempt.reads_body() {
            return self.send(host, now_ms);
        }
        self.request = Request::Incomplete;
        Flow::Hold
    }

    fn begin(&self, host: &impl Host, now_ms: u64) -> Option<Begin> {
        let exchange = worker::find(host.exchange()?)?;
        let (route, target) = (host.route_name(), host.target());
        let place = Place { route: &route, target: &target };
        Some(Attempt::begin(&self.config, &exchange, place, host.store(), now_ms))
    }

    /// More of the request's body has come.
    pub fn request_body(&mut self, host: &mut impl Host, end: bool) -> Flow {
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
        self.request = Request::Done;
        let Some(attempt) = &mut self.attempt else { return Flow::Continue };
        let now = now_ms / 1000;
        let credential = match attempt.credential() {
            None => None,
            Some(name) => {
                match worker::with_credentials(|credentials| {
                    credentials.get(name, &self.config, now, host.store())
                }) {
                    Ok(credential) => Some(credential),
                    Err(reason) => {
                        if let Some(reply) = attempt.credential_overdue(&reason, now_ms) {
                            return reply.into();
                        }
                        self.request = Request::NoCredential;
                        return Flow::Hold;
                    }
                }
            }
        };
        let reads_body = attempt.reads_body();
        let mut make = |body: &[u8]| {
            worker::with_signing_keys(|keys| {
                attempt.request(body, Identity { credential: credential.as_deref(), keys, now })
            })
        };
        let made = if reads_body { host.look_at_body(Map::Request, make) } else { make(b"") };
        match made {
            Ok(outgoing) => {
                host.edit(Map::Request, &outgoing.headers);
                if let Some(body) = outgoing.body {
                    host.replace_body(Map::Request, body);
                }
                Flow::Continue
            }
            Err(reply) => reply.into(),
        }
    }

    /// The answer's headers have come; `end` says that it has no body.
    pub fn response_headers(&mut self, host: &mut impl Host, end: bool) -> Flow {
        let Some(attempt) = &mut self.attempt else { return Flow::Continue };
        let headers = host.headers(Map::Response);
        let status = headers.get(":status").and_then(|status| status.parse().ok()).unwrap_or(0);
        match attempt.answer_headers(status, &headers, end, host.now_ms()) {
            AnswerHeaders::Pass(edits) => {
                host.edit(Map::Response, &edits);
                return Flow::Continue;
            }
            AnswerHeaders::Whole => self.answer = Answer::Whole,
            AnswerHeaders::Stream => self.answer = Answer::Stream,
        }
        Flow::Hold
    }

    /// More of the answer's body has come, `size` bytes in all where it is held.
    pub fn response_body(&mut self, host: &mut impl Host, size: usize, end: bool) -> Flow {
        self.answer_size = size;
        let Some(attempt) = &mut self.attempt else { return Flow::Continue };
        match self.answer {
            Answer::Pass => Flow::Continue,
            Answer::Whole if !end => Flow::Hold,
            Answer::Whole => {
                self.finish_answer(host);
                Flow::Continue
            }
            Answer::Stream => {
                let now_ms = host.now_ms();
                let step = host.look_at_body(Map::Response, |chunk| attempt.answer_chunk(chunk, end, now_ms));
                carry_out(step, host)
            }
        }
    }

    /// The answer ends with trailers: the last of its body did not know that it was.
    pub fn response_trailers(&mut self, host: &mut impl Host) -> Flow {
        match (self.answer, &mut self.attempt) {
            (Answer::Whole, _) => self.finish_answer(host),
            (Answer::Stream, Some(attempt)) => {
                self.answer = Answer::Pass;
                let step = attempt.answer_chunk(b"", true, host.now_ms());
                // A host takes no more body here once the headers are gone: an end that is to be added is lost then, but
                // not what was used.
                carry_out(step, host);
            }
            _ => {}
        }
        Flow::Continue
    }

    fn finish_answer(&mut self, host: &mut impl Host) {
        self.answer = Answer::Pass;
        let Some(attempt) = &mut self.attempt else { return };
        if attempt.reads_ends(self.answer_size) {
            let size = self.answer_size;
            let head = host.body_part(Map::Response, 0..END);
            let tail = host.body_part(Map::Response, size.saturating_sub(END)..size);
            if attempt.answer_ends(&head, &tail, size, host.now_ms()) {
                return;
            }
        }
        let now_ms = host.now_ms();
        let whole = host.look_at_body(Map::Response, |body| attempt.whole_answer(body, now_ms));
        host.edit(Map::Response, &whole.headers);
        if let Some(body) = whole.body {
            host.replace_body(Map::Response, body);
        }
    }
}

/// Does with a chunk what the core said.
fn carry_out(step: Chunk, host: &mut impl Host) -> Flow {
    match step {
        Chunk::Hold => {
            host.replace_body(Map::Response, Vec::new());
            return Flow::Hold;
        }
        Chunk::Release(edits, body) => {
            host.edit(Map::Response, &edits);
            host.replace_body(Map::Response, body);
        }
        Chunk::Replace(body) => host.replace_body(Map::Response, body),
        Chunk::Pass => {}
    }
    Flow::Continue
}
