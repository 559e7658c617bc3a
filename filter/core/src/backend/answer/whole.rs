//! Answers that are handled when they are whole: JSON, errors, and whatever else came in their place.

use serde::de::IgnoredAny;

use super::{Question, Whole};
use crate::backend::Attempt;
use crate::codec::json;
use crate::edge::Reply;
use crate::error::{Error, Kind, Result};
use crate::exchange::{Answer, Exchange};
use crate::headers::HeaderEdits;
use crate::limit::Standing;
use crate::usage::Usage;
use crate::wire::job::{Answered, Seen, Translation};
use crate::wire::openai::responses::kept;
use crate::wire::usage::Tokens;
use crate::wire::{self, Reach};

impl Attempt {
    /// The answer is whole.
    pub fn whole_answer(&mut self, body: &[u8], now_ms: u64) -> Whole {
        let decoded = self.decode_content(body);
        let read = decoded.and_then(|decoded| {
            let plain = decoded.as_deref().unwrap_or(body);
            self.read_whole(plain, now_ms)
        });
        let limit = self.config.answer_limit;
        let is_too_large = |whole: &Whole| whole.body.as_ref().is_some_and(|body| body.len() > limit);
        let read =
            read.and_then(|whole| if is_too_large(&whole) { Err(too_large(limit)) } else { Ok(whole) });
        let whole = read.unwrap_or_else(|error| self.failed(&error));
        if whole.body.is_none() {
            self.lets_pass(&whole.headers);
        }
        whole
    }

    /// The answer without its content encoding; `None` when it has none.
    fn decode_content(&self, body: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(mut decoder) = self.content_decoder()? else { return Ok(None) };
        let unreadable =
            |error| Error::bad_answer(format!("the backend's answer cannot be decoded: {error}"));
        let mut plain = Vec::new();
        for chunk in body.chunks(64 << 10) {
            decoder.decode(chunk, &mut plain).map_err(unreadable)?;
            if plain.len() > self.config.answer_limit {
                return Err(too_large(self.config.answer_limit));
            }
        }
        decoder.finish().map_err(unreadable)?;
        Ok(Some(plain))
    }

    pub(super) fn read_whole(&mut self, body: &[u8], now_ms: u64) -> Result<Whole> {
        if self.reach == Reach::Raw {
            let blanked = self.answer.secrets.blanked(body);
            return Ok(blanked.map_or_else(|| self.unchanged(body), |body| replaced(&body)));
        }
        if (400..600).contains(&self.answer.status) {
            return self.read_error(body);
        }
        if !self.is_success(self.answer.status) {
            let status = self.answer.status;
            return Err(Error::bad_answer(format!(
                "the backend answered with status {status}, which its API does not have"
            )));
        }
        if body.is_empty() {
            return Err(Error::bad_answer("the backend answered without a body"));
        }
        match self.reach {
            Reach::Translate => self.translate_whole(body, now_ms),
            Reach::Same | Reach::Envelope | Reach::Raw => self.watch_whole(body, now_ms),
        }
    }

    /// An error of the backend's, with a body that the client may not be able to read.
    fn read_error(&self, body: &[u8]) -> Result<Whole> {
        // The cloud's own errors are of another shape, but what Claude says there is Anthropic's.
        let same_api = match self.reach {
            Reach::Same | Reach::Raw => true,
            Reach::Envelope | Reach::Translate => wire::is_error_of(self.exchange.borrow().client.api, body),
        };
        let blanked = self.answer.secrets.blanked(body);
        let body = blanked.as_deref().unwrap_or(body);
        let error = self.schema.error(&wire::ErrorAnswer {
            status: self.answer.status,
            content_type: Some(&self.answer.media_type),
            error_type: self.answer.aws_error_type.as_deref(),
            body,
        });
        if same_api && json::scan_answer(body, []).is_ok() {
            self.exchange.borrow_mut().note(&error);
            return Ok(if blanked.is_some() { replaced(body) } else { self.unchanged(body) });
        }
        Err(error)
    }

    fn translate_whole(&mut self, body: &[u8], now_ms: u64) -> Result<Whole> {
        let mut exchange = self.exchange.borrow_mut();
        let (Answered { body, model, usage }, content) = match &self.answer.question {
            Some(Question::Job(question)) => {
                let id = self.answer_id(&exchange);
                let exchange = &mut *exchange;
                let model = &exchange.attempts.request_model;
                let seen = Seen { id: &id, model, input_tokens: self.answer.input_tokens };
                let answered = question.answered(&seen, body, &mut exchange.attempt.losses);
                (answered.map_err(|error| self.error_of(body, error))?, 0)
            }
            Some(Question::Conversation(_)) | None => self.converse(&mut exchange, body, now_ms)?,
        };
        let progress = &mut exchange.attempt;
        progress.usage.merge(usage);
        progress.seen_output_bytes = content;
        if let Some(model) = model {
            progress.response_model = model;
        }
        progress.answer = Answer::Complete;
        progress.first_content_ms = Some(now_ms);
        let mut headers = HeaderEdits::default();
        headers.set("content-type", "application/json");
        headers.set("content-length", body.len().to_string());
        headers.remove("content-encoding");
        Ok(Whole { headers, body: Some(body) })
    }

    /// An answer in a conversation, and how many bytes of content it has.
    fn converse(&self, exchange: &mut Exchange, body: &[u8], now_ms: u64) -> Result<(Answered, u64)> {
        let Translation::Conversation(client, backend) = self.translation()? else {
            return Err(Error::new(Kind::Internal, "there is no conversation with this backend"));
        };
        let asked = self.asked(exchange, now_ms);
        let losses = &mut exchange.attempt.losses;
        let reply = backend.reply(&asked, body, losses).map_err(|error| self.error_of(body, error))?;
        let body = client.reply(&asked, &reply, losses);
        let content = reply.content();
        Ok((Answered { body, model: reply.model, usage: reply.usage }, content))
    }

    /// What to say of an answer that a codec could not read.
    fn error_of(&self, body: &[u8], error: Error) -> Error {
        if serde_json::from_slice::<IgnoredAny>(body).is_err() { self.wrong_body() } else { error }
    }

    /// The bytes pass; they are only looked at.
    fn watch_whole(&mut self, body: &[u8], now_ms: u64) -> Result<Whole> {
        let seen = wire::usage::observe_body(self.endpoint, body).map_err(|_| self.wrong_body())?;
        if let Some(error) = seen.error {
            // The members that only the provider knows go with it, as they do with a status of failure.
            let api = self.exchange.borrow().client.api;
            if !wire::is_error_of(api, body) {
                return Err(error);
            }
            let blanked = self.answer.secrets.blanked(body);
            let mut whole = replaced(blanked.as_deref().unwrap_or(body));
            whole.headers = whole.headers.with(self.failed_headers(&error));
            return Ok(whole);
        }
        let naming = self.naming(&self.exchange.borrow());
        let named = naming.and_then(|naming| kept::whole(body, &naming));
        let whole = named.map_or_else(|| self.unchanged(body), |named| replaced(&named));
        let is_measured = self.is_measured(&seen.usage);
        let bytes = if is_measured { wire::usage::content_of_body(self.endpoint, body) } else { 0 };
        self.seen(wire::usage::Observed { error: None, ..seen }, bytes, now_ms);
        Ok(whole)
    }

    /// Whether the content of a whole answer is needed for the books: only where its output is not reported.
    fn is_measured(&self, usage: &Usage) -> bool {
        let has_output = self.endpoint.watch().tokens == Tokens::InputAndOutput;
        has_output && usage.output().is_none_or(|output| output == 0)
    }

    /// Enters what an answer with so many bytes of content used.
    fn seen(&self, seen: wire::usage::Observed, content: u64, now_ms: u64) {
        let progress = &mut self.exchange.borrow_mut().attempt;
        progress.usage.merge(seen.usage);
        if let Some(model) = seen.model {
            progress.response_model = model;
        }
        progress.seen_output_bytes = content;
        progress.answer = Answer::Complete;
        progress.first_content_ms = Some(now_ms);
    }

    /// Whether the two ends of a whole answer of `size` bytes are all that matters of it, see [`Attempt::answer_ends`].
    #[must_use]
    pub fn reads_ends(&self, size: usize) -> bool {
        size > wire::usage::MAX_READ
            && self.reach == Reach::Same
            && !self.names_kept()
            && self.answer.encoding.is_none()
            && self.answer.status < 300
            && self.answer.media_type.ends_with("json")
    }

    /// The answer is whole, and large. That it is JSON in its middle as well is not checked. `head` and `tail` are
    /// [`wire::usage::END`] bytes of it. False: all of it is needed after all, so [`Attempt::whole_answer`] is to be
    /// called. It passes as it is otherwise.
    #[must_use]
    pub fn answer_ends(&mut self, head: &[u8], tail: &[u8], now_ms: u64) -> bool {
        let seen = wire::usage::observe_ends(self.endpoint, head, tail);
        let Some(seen) = seen else { return false };
        if self.is_measured(&seen.usage) {
            return false;
        }
        self.seen(seen, 0, now_ms);
        self.lets_pass(&HeaderEdits::default());
        true
    }

    /// The backend's own bytes, or what they decode to: a client that did not ask for an encoding may not know it.
    fn unchanged(&self, plain: &[u8]) -> Whole {
        if self.answer.encoding.is_none() {
            return Whole::default();
        }
        replaced(plain)
    }

    fn wrong_body(&self) -> Error {
        if self.answer.media_type.ends_with("json") {
            return Error::bad_answer("the backend's answer is not valid JSON");
        }
        self.wrong_media_type()
    }

    /// An error in place of the answer.
    pub(super) fn failed(&self, error: &Error) -> Whole {
        let mut headers = self.failed_headers(error);
        let error = self.answer.secrets.blanked_error(error);
        let mut error = as_failure(&error, self.answer.status);
        if self.answer.headers_are_gone && error.status() != self.answer.status {
            error = Error::provider(self.answer.status, None, error.message());
        }
        let body = error.body(self.exchange.borrow().client.api);
        headers.set("content-type", "application/json");
        headers.set("content-length", body.len().to_string());
        headers.remove("content-encoding");
        Whole { headers, body: Some(body) }
    }

    /// Lets the headers of an error go ahead of its body, which is to be given to [`Attempt::whole_answer`] all the
    /// same.
    #[must_use]
    pub fn headers_ahead(&mut self) -> HeaderEdits {
        self.answer.headers_are_gone = true;
        let mut headers = HeaderEdits::default();
        if self.reach != Reach::Raw {
            headers.set("content-type", "application/json");
        }
        headers.remove("content-length");
        headers.remove("content-encoding");
        headers
    }

    /// The error with this status and body as an answer of the gateway's own, where the proxy must not try the next
    /// backend.
    #[must_use]
    pub fn reply(&self, status: u16, body: Vec<u8>) -> Reply {
        let mut exchange = self.exchange.borrow_mut();
        exchange.answered_here = true;
        let standing = exchange.books.standing.iter().flat_map(Standing::headers);
        let headers = std::iter::once(("content-type", "application/json".to_owned())).chain(standing);
        Reply { status, headers: headers.map(|(name, value)| (name.to_owned(), value)).collect(), body }
    }

    /// The headers of an answer that turned out to be an error, but for those that describe a body.
    pub(super) fn failed_headers(&self, error: &Error) -> HeaderEdits {
        {
            let mut exchange = self.exchange.borrow_mut();
            exchange.attempt.has_failed = true;
            exchange.note(&self.answer.secrets.blanked_error(error));
        }
        let status = as_failure(error, self.answer.status).status();
        let mut headers = HeaderEdits::default();
        self.ends_attempts(&mut headers);
        if status != self.answer.status {
            headers.set(":status", status.to_string());
            // Of a redirect, which is not the client's to follow.
            headers.remove("location");
        }
        headers
    }
}

/// A plain body in the place of the backend's.
fn replaced(plain: &[u8]) -> Whole {
    let mut headers = HeaderEdits::default();
    headers.remove("content-encoding");
    headers.set("content-length", plain.len().to_string());
    Whole { headers, body: Some(plain.to_vec()) }
}

pub(super) fn too_large(limit: usize) -> Error {
    Error::bad_answer(format!("the backend's answer is over the limit of {limit} bytes"))
}

/// An error that came with a status of success gets one of failure, so that the client sees it and Envoy can still try
/// the next backend.
pub(super) fn as_failure(error: &Error, status: u16) -> Error {
    match error.kind() {
        Kind::Provider(200..=399) if status < 400 => Error::bad_answer(error.message().to_owned()),
        _ => error.clone(),
    }
}
