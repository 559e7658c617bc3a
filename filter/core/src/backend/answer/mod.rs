//! The answer of one attempt, on its way to the client.
//!
//! Three ways: an answer passes as it comes, seen or unseen, it is held until it is whole, or it is handled event by
//! event. In the latter two its headers are held back as well, until it is known what they must say.

mod event;
mod opening;
mod raw;
mod stream;
mod unwanted;
mod whole;

use std::rc::Rc;
use std::time::Duration;

use super::Attempt;
use super::secrets::Secrets;
use crate::chat::Request;
use crate::codec::encoding::ContentDecoder;
use crate::codec::event_stream;
use crate::error::{Error, Result};
use crate::exchange::{Answer, Exchange};
use crate::headers::{HeaderEdits, Headers as HeaderMap};
use crate::kept::{Items, Naming};
use crate::pulse::HOLD_MS;
use crate::wire::job::{self, Translation};
use crate::wire::{Asked, Framing, Reach};

use opening::Opening;
use raw::Watched;
use stream::{ForContent, Hold, Stream};
use whole::as_failure;

/// The largest event of a stream, in bytes; an image may come in one.
pub(super) const MAX_EVENT: usize = 32 << 20;

/// The status of a WebSocket.
const SWITCHING_PROTOCOLS: u16 = 101;

/// What to do after an answer's headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Headers {
    /// Let headers and body pass, unseen.
    Pass(HeaderEdits),
    /// Hold headers and body until the answer is whole, then call [`Attempt::whole_answer`].
    Whole,
    /// Hold the headers, and give each chunk to [`Attempt::answer_chunk`].
    Stream,
    /// Let the headers pass with these changes, and give each chunk to [`Attempt::answer_chunk`].
    Watch(HeaderEdits),
}

/// What to do with a whole answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whole {
    /// Changes to its headers; `:status` among them when it turned out to be an error.
    pub headers: HeaderEdits,
    /// The new body; `None` leaves the backend's.
    pub body: Option<Vec<u8>>,
}

/// What to do with a chunk of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Keep the headers back still; the chunk is taken.
    Hold,
    /// Let the headers go with these changes, and this as the body so far.
    Release(HeaderEdits, Vec<u8>),
    /// The headers are gone already. Let the chunk pass as it is.
    Pass,
    /// The headers are gone already. Put this in the chunk's place.
    Replace(Vec<u8>),
}

/// What is due of an answer whose headers are held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldHeaders {
    /// Nothing: they are not held any more.
    Over,
    /// Nothing for so many milliseconds.
    Wait(u64),
    /// Let them go with these changes, without a body so far.
    Release(HeaderEdits),
}

/// What an attempt knows of its answer.
#[derive(Debug, Default)]
pub(super) struct State {
    /// What the backend was asked, when it was translated.
    pub(super) question: Option<Question>,
    /// What the request showed the backend.
    pub(super) secrets: Secrets,
    /// When the headers came, in milliseconds since 1970.
    headers_ms: u64,
    status: u16,
    media_type: String,
    encoding: Option<String>,
    /// `x-amzn-errortype`
    aws_error_type: Option<String>,
    /// `x-amzn-requestid` or `request-id`: a name for answers that have none.
    id: Option<String>,
    /// `x-amzn-bedrock-input-token-count`: the only place where InvokeModel says it of some models.
    input_tokens: Option<u64>,
    /// Until it is known what the answer is.
    opening: Option<Opening>,
    /// It is a stream, whatever its content type says.
    retyped: bool,
    stream: Option<Box<Stream>>,
    /// Of an answer of which nothing is known.
    watched: Option<Box<Watched>>,
    /// Its status and its other headers cannot be changed any more.
    headers_are_gone: bool,
    /// A stream waits for its first event only, whatever the route says.
    event_suffices: bool,
}

/// What a backend was asked, as far as its answer depends on it.
#[derive(Debug)]
pub(super) enum Question {
    Conversation(Rc<Request>),
    Job(Box<dyn job::Question>),
}

impl Question {
    pub(super) fn conversation(request: Request) -> Question {
        Question::Conversation(Asked::remembered(request))
    }
}

impl Attempt {
    /// The answer's headers have come; `end` says that it has no body.
    pub fn answer_headers(&mut self, status: u16, headers: &HeaderMap, end: bool, now_ms: u64) -> Headers {
        let decision = self.read_headers(status, headers, end, now_ms);
        if let Headers::Pass(edits) | Headers::Watch(edits) = &decision {
            self.lets_pass(edits);
        }
        decision
    }

    /// The answer goes on, with these changes to its headers.
    fn lets_pass(&self, edits: &HeaderEdits) {
        let is_success = self.is_success(self.answer.status) && edits.get(":status").is_none();
        self.exchange.borrow_mut().attempt.passing = is_success.then_some(self.answer.status);
    }

    /// Whether a status says that the request is answered as its client means it.
    fn is_success(&self, status: u16) -> bool {
        if self.endpoint.opens_socket() {
            status == SWITCHING_PROTOCOLS
        } else {
            (200..300).contains(&status)
        }
    }

    fn read_headers(&mut self, status: u16, headers: &HeaderMap, end: bool, now_ms: u64) -> Headers {
        self.exchange.borrow_mut().attempt.has_failed = !self.is_success(status);
        let state = &mut self.answer;
        state.headers_ms = now_ms;
        state.status = status;
        state.media_type = headers.media_type();
        state.encoding = headers.get("content-encoding").map(str::to_owned);
        state.aws_error_type = headers.get("x-amzn-errortype").map(str::to_owned);
        state.id = headers.get("x-amzn-requestid").or_else(|| headers.get("request-id")).map(str::to_owned);
        state.input_tokens =
            headers.get("x-amzn-bedrock-input-token-count").and_then(|count| count.parse().ok());

        if self.reach == Reach::Raw {
            return self.raw_headers(headers, end, now_ms);
        }
        if end {
            // A status of failure sends Envoy to the next backend; when there is none, the edge role adds a body.
            return match self.read_whole(b"", now_ms) {
                Ok(_) => Headers::Pass(HeaderEdits::default()),
                Err(error) => {
                    let edits = self.failed_headers(&error);
                    self.exchange.borrow_mut().attempt.headers_only = Some(as_failure(&error, status));
                    Headers::Pass(edits)
                }
            };
        }
        if !self.is_success(status) {
            return Headers::Whole;
        }
        if self.endpoint.opens_socket() {
            self.exchange.borrow_mut().attempt.answer = Answer::Complete;
            return Headers::Watch(HeaderEdits::default());
        }
        let streams = self.answer.media_type == "text/event-stream"
            || self.answer.media_type == event_stream::CONTENT_TYPE;
        let is_plain = self.answer.encoding.is_none();
        if streams && is_plain {
            self.answer.opening = Some(Opening::default());
            return Headers::Stream;
        }
        if streams {
            return match self.open_stream(now_ms) {
                Ok(stream) => {
                    self.answer.stream = Some(Box::new(stream));
                    Headers::Stream
                }
                // Held whole, it becomes the error that it is.
                Err(_) => Headers::Whole,
            };
        }
        // Sound, and transcripts as plain text or subtitles: nothing in them is for the gateway. A page of HTML is none
        // of these, but what a proxy on the way says.
        let json = self.answer.media_type.ends_with("json");
        if self.endpoint.watch().is_opaque && !json && self.answer.media_type != "text/html" {
            let progress = &mut self.exchange.borrow_mut().attempt;
            progress.answer = Answer::Complete;
            progress.first_content_ms = Some(now_ms);
            return Headers::Pass(HeaderEdits::default());
        }
        // Some servers call their streams something else, or nothing.
        if is_plain && (!json || self.exchange.borrow().client.stream) {
            self.answer.opening = Some(Opening::default());
            return Headers::Stream;
        }
        Headers::Whole
    }

    fn open_stream(&self, now_ms: u64) -> Result<Stream> {
        let decoder = self.content_decoder()?;
        let exchange = self.exchange.borrow();
        let framing = self.schema.framing();
        let is_aws = self.answer.media_type == event_stream::CONTENT_TYPE;
        if is_aws == (framing == Framing::Sse) {
            return Err(self.wrong_media_type());
        }
        let translation = match self.reach {
            Reach::Same | Reach::Envelope | Reach::Raw => None,
            Reach::Translate => match self.translation()? {
                Translation::Conversation(client, backend) => {
                    let asked = self.asked(&exchange, now_ms);
                    Some(stream::Translation {
                        reader: backend.events(&asked),
                        writer: client.events(&asked),
                        said: Vec::new(),
                    })
                }
                Translation::Job(_) => return Err(self.wrong_media_type()),
            },
        };
        Ok(Stream::new(stream::Params {
            endpoint: self.endpoint,
            api: exchange.client.api,
            decoder,
            secrets: self.answer.secrets.clone(),
            framing,
            translation,
            hide_usage: self.endpoint.watch().shape.tells_usage_if_asked() && !exchange.client.usage_asked,
            hold: self.hold(&exchange, self.answer.headers_ms),
            choices: exchange.client.choices,
            retyped: self.answer.retyped,
            is_array: exchange.client.is_array,
            naming: self.naming(&exchange),
        }))
    }

    /// A stream is not to be held until its first content: the proxy could not try another backend after that.
    pub fn let_go_at_first_event(&mut self) {
        self.answer.event_suffices = true;
    }

    /// Whether a stream may be held until its first content.
    #[must_use]
    pub fn may_await_content(&self) -> bool {
        self.route.repeat_until_content
    }

    /// Whether names in the answer are the client's only once they say where the named is.
    fn names_kept(&self) -> bool {
        self.config.kept_key.is_some()
            && self.reach == Reach::Same
            && self.endpoint.operation().refers.is_some()
    }

    fn naming(&self, exchange: &Exchange) -> Option<Naming> {
        if !self.names_kept() {
            return None;
        }
        let key = self.config.kept_key.clone()?;
        let backend = exchange.attempts.backend.clone();
        let is_alone = self.route.targets.iter().all(|target| target.backend == self.target.backend);
        let items = match is_alone {
            true => Items::None,
            false if exchange.client.unstored => Items::Sealed,
            false => Items::All,
        };
        Some(Naming::new(key, backend, exchange.client.model.clone(), items))
    }

    fn hold(&self, exchange: &Exchange, now_ms: u64) -> Hold {
        let is_last = exchange.is_last(&self.route);
        let until_ms = if is_last {
            now_ms.saturating_add(HOLD_MS)
        } else {
            self.started_ms.saturating_add(self.route.longest_hold_ms())
        };
        let content = (self.route.repeat_until_content && !is_last && !self.answer.event_suffices)
            .then(|| ForContent::new(now_ms, self.config.keepalive_ms, self.route.longest_hold_ms()).into());
        Hold { is_last, until_ms, is_alive: false, content }
    }

    /// Decodes what `content-encoding` says.
    fn content_decoder(&self) -> Result<Option<ContentDecoder>> {
        ContentDecoder::new(self.answer.encoding.as_deref().unwrap_or_default())
            .map_err(|error| Error::bad_answer(format!("the backend's answer cannot be read: {error}")))
    }

    fn wrong_media_type(&self) -> Error {
        let got = if self.answer.media_type.is_empty() { "none" } else { &self.answer.media_type };
        Error::bad_answer(format!(
            "the backend answered with the content type {got}, which its API does not have"
        ))
    }

    /// What the codecs of the answer need of the question.
    fn asked(&self, exchange: &Exchange, now_ms: u64) -> Asked {
        let request = match &self.answer.question {
            Some(Question::Conversation(request)) => Rc::clone(request),
            Some(Question::Job(_)) | None => Rc::default(),
        };
        Asked {
            request,
            id: self.answer_id(exchange),
            model: exchange.attempts.request_model.clone(),
            created: Duration::from_millis(now_ms).as_secs(),
        }
    }

    /// A name for the answer, where it has none.
    fn answer_id(&self, exchange: &Exchange) -> String {
        let own = || {
            exchange.client.api.api().answer_id(exchange.client.headers.get("x-request-id").unwrap_or("0"))
        };
        self.answer.id.clone().unwrap_or_else(own)
    }
}
