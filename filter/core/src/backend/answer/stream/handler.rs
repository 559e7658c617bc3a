//! What becomes of each event.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::value::RawValue;

use super::out::Out;
use super::{DONE, Hold, Mode};
use crate::backend::answer::event;
use crate::backend::secrets::Secrets;
use crate::chat;
use crate::codec::event_stream::{Frame, MessageType, invoke_payload};
use crate::codec::json;
use crate::codec::sse::{self, SseEvent};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::exchange::{Answer, Progress};
use crate::kept::Naming;
use crate::wire;
use crate::wire::openai::responses::kept;
use crate::wire::usage::{self, End};

/// Whether an event is for the client.
#[derive(Debug, PartialEq, Eq)]
enum Watched {
    Pass,
    /// It passes, but for the secrets in it.
    Error,
    Hide,
}

/// Handles the events of one chunk. An `Err` ends the answer there.
pub(super) struct Handler<'a, 'c> {
    pub(super) endpoint: Endpoint,
    pub(super) mode: &'a mut Mode,
    pub(super) secrets: &'a Secrets,
    pub(super) hide_usage: bool,
    pub(super) is_array: bool,
    pub(super) naming: Option<&'a Naming>,
    pub(super) hold: &'a mut Hold,
    pub(super) begun: &'a mut bool,
    pub(super) released: bool,
    pub(super) ended: &'a mut bool,
    pub(super) done: &'a mut bool,
    pub(super) words: &'a mut Option<Vec<u8>>,
    pub(super) out: &'a mut Out<'c>,
    pub(super) progress: &'a mut Progress,
    pub(super) now_ms: u64,
}

impl Handler<'_, '_> {
    fn nothing_sent(&self) -> bool {
        !self.released && !*self.begun
    }

    /// Whether a comment is for the client. Before the first event it says that the backend lives, and keeps the
    /// headers only where another backend could be tried.
    fn passes_comment(&mut self) -> bool {
        self.hold.is_alive = true;
        self.released
            || *self.begun
            || self.hold.has_told()
            || self.hold.is_last
            || self.now_ms >= self.hold.until_ms
    }

    /// An event came, and `is_told`: it says something to the client.
    fn came(&mut self, is_told: bool) {
        match &mut self.hold.content {
            Some(content) => {
                content.has_event = true;
                content.has_told |= is_told;
                self.progress.is_held_back = true;
            }
            None => *self.begun |= is_told,
        }
    }

    /// Content came: what was held back is the client's.
    fn content_came(&mut self) {
        *self.begun |= self.hold.content.take().is_some_and(|content| content.has_told);
    }

    /// An event with the bytes it is made of, and where in the chunk they stand, if they do.
    #[inline]
    pub(super) fn sse(&mut self, data: &[u8], raw: &[u8], part: Option<Range<usize>>) -> Result<()> {
        if let Mode::Translate(_) = self.mode {
            if sse::has_comment(raw) && self.passes_comment() {
                self.comment(raw);
            }
            return if data.is_empty() { Ok(()) } else { self.translate(None, data) };
        }
        let watched = match () {
            () if !data.is_empty() => self.watch(data)?,
            () if self.passes_comment() => Watched::Pass,
            () => Watched::Hide,
        };
        let is_hidden = watched == Watched::Hide;
        // An error that is all there is begins no answer.
        let is_error = *self.ended && self.progress.answer == Answer::None;
        if !data.is_empty() && !is_hidden && !is_error {
            self.came(true);
        }
        if !is_hidden
            && let Some(naming) = self.naming
            && let Some(named) = kept::event(data, naming)
        {
            let blanked = if watched == Watched::Error { self.secrets.blanked(&named) } else { None };
            if sse::has_comment(raw) {
                self.comment(raw);
            }
            let name = event::name(&named);
            sse::write_event(self.out.bytes(), name.as_deref(), blanked.as_deref().unwrap_or(&named));
            return Ok(());
        }
        if watched == Watched::Error
            && let Some(blanked) = self.secrets.blanked(raw)
        {
            self.out.bytes().extend_from_slice(&blanked);
            return Ok(());
        }
        if !is_hidden && !self.endpoint.api().takes_comments() && sse::has_comment(raw) {
            self.comment(raw);
            if !data.is_empty() {
                sse::write_event(self.out.bytes(), None, data);
            }
            return Ok(());
        }
        match part {
            _ if is_hidden => {}
            Some(part) => self.out.pass(part),
            None => self.out.bytes().extend_from_slice(raw),
        }
        Ok(())
    }

    /// Lets the comments of a block go on, or what the client's API has in their place.
    fn comment(&mut self, raw: &[u8]) {
        let (api, out) = (self.endpoint.api(), self.out.bytes());
        if api.takes_comments() {
            sse::write_comments(out, raw);
        } else {
            out.extend_from_slice(api.sign_of_life());
        }
    }

    /// What stands at the end without an empty line behind it: half an event, or a whole one
    /// whose sender was sparing.
    pub(super) fn rest(&mut self, rest: &SseEvent<'_>) -> Result<()> {
        if rest.data.is_empty() {
            return Ok(());
        }
        let whole = rest.data.trim_ascii() == DONE || json::scan_answer(rest.data, []).is_ok();
        if !whole {
            return Err(Error::bad_answer("the backend's stream ended within an event"));
        }
        self.sse(rest.data, &[rest.raw.trim_ascii_end(), b"\n\n"].concat(), None)
    }

    pub(super) fn frame(&mut self, frame: &Frame, is_wrapped: bool) -> Result<()> {
        match frame.message_type() {
            MessageType::Event => {}
            MessageType::Other => return Ok(()),
            MessageType::Exception | MessageType::Error => {
                let name = frame.exception_type().or_else(|| frame.error_code()).unwrap_or("exception");
                return Err(wire::decode_exception(name, frame.payload()));
            }
        }
        let (name, data) = if is_wrapped {
            let Some(data) = invoke_payload(frame.payload()) else { return Ok(()) };
            (None, Cow::Owned(data))
        } else {
            (frame.event_type(), Cow::Borrowed(frame.payload()))
        };
        if let Mode::Translate(_) = self.mode {
            return self.translate(name, &data);
        }
        let watched = self.watch(&data)?;
        self.came(true);
        let blanked = if watched == Watched::Error { self.secrets.blanked(&data) } else { None };
        let data = blanked.as_deref().unwrap_or(&data);
        let own = event::name(data);
        sse::write_event(self.out.bytes(), name.or(own.as_deref()), data);
        Ok(())
    }

    /// The event is looked at. Usually it passes.
    fn watch(&mut self, data: &[u8]) -> Result<Watched> {
        // What is wrong within an array makes all of it unreadable.
        let is_element = || serde_json::from_slice::<&RawValue>(data).is_ok();
        if !event::may_be_json(data) || self.is_array && !is_element() {
            if data.trim_ascii() != DONE {
                return Err(Error::bad_answer("the backend's stream has an event that is no JSON object"));
            }
            *self.done = true;
        }
        let nothing_sent = self.nothing_sent();
        let Mode::Watch(observer) = self.mode else { return Ok(Watched::Pass) };
        observer.event(data);
        self.progress.seen_output_bytes = observer.content();
        let glance = observer.last();
        let seen = observer.observed();
        let is_error = seen.error.is_some();
        if let Some(error) = &seen.error {
            if nothing_sent {
                *self.words = wire::is_error_of(self.endpoint.client_api(), data).then(|| data.to_vec());
                return Err(error.clone());
            }
            // The provider tells the client itself.
            *self.ended = true;
        }
        // An attempt before this one may have left other counters.
        if glance.is_parsed || nothing_sent {
            self.progress.usage = seen.usage;
            if let Some(model) = &seen.model
                && self.progress.response_model.is_empty()
            {
                self.progress.response_model.clone_from(model);
            }
        }
        let is_complete = observer.is_complete();
        if self.hold.content.is_some() && !usage::is_preamble(self.endpoint.watch().shape, data) {
            self.content_came();
        }
        if is_complete {
            self.complete();
        }
        if glance.has_content {
            self.progress.first_content_ms.get_or_insert(self.now_ms);
        }
        let is_hidden = self.hide_usage && glance.is_usage_only;
        Ok(match () {
            () if is_hidden => Watched::Hide,
            () if is_error => Watched::Error,
            () => Watched::Pass,
        })
    }

    fn translate(&mut self, name: Option<&str>, data: &[u8]) -> Result<()> {
        let Mode::Translate(translation) = self.mode else { return Ok(()) };
        let mut said = std::mem::take(&mut translation.said);
        translation.reader.event(name, data, &mut self.progress.losses, &mut said);
        let told = self.tell(&said);
        if let Mode::Translate(translation) = self.mode {
            said.clear();
            translation.said = said;
        }
        told
    }

    fn tell(&mut self, events: &[chat::Event]) -> Result<()> {
        for event in events {
            match event {
                chat::Event::Usage(usage) => self.progress.usage.merge(*usage),
                chat::Event::Start { model: Some(model), .. } => {
                    model.clone_into(&mut self.progress.response_model)
                }
                chat::Event::BlockDelta { delta, .. } => self.content(delta.content()),
                chat::Event::Error(error) => return Err(error.clone()),
                chat::Event::End => self.complete(),
                _ => {}
            }
            if !event.is_preamble() {
                self.content_came();
            }
            if let Mode::Translate(translation) = self.mode {
                let out = self.out.bytes();
                let before = out.len();
                translation.writer.event(event, &mut self.progress.losses, out);
                let is_told = out.len() > before;
                self.came(is_told);
            }
        }
        Ok(())
    }

    /// The backend's bytes have ended: so must the client's stream, properly.
    pub(super) fn finish(&mut self) -> Result<()> {
        if let Mode::Translate(translation) = self.mode {
            let mut events = Vec::new();
            translation.reader.finish(&mut events);
            return self.tell(&events);
        }
        let end = self.endpoint.watch().shape.end();
        if end == End::Connection {
            // Endpoints without a word for the end have none to miss.
            self.progress.answer = Answer::Complete;
            return Ok(());
        }
        if !*self.ended {
            return Err(Error::bad_answer("the backend's stream ended before the answer was complete"));
        }
        // Some servers leave it at the finish reason; clients wait for more.
        if end == End::Done && self.progress.answer == Answer::Complete && !*self.done {
            sse::write_event(self.out.bytes(), None, DONE);
        }
        Ok(())
    }

    fn content(&mut self, bytes: usize) {
        let seen = &mut self.progress.seen_output_bytes;
        *seen = seen.saturating_add(bytes as u64);
        self.progress.first_content_ms.get_or_insert(self.now_ms);
    }

    fn complete(&mut self) {
        *self.ended = true;
        self.progress.answer = Answer::Complete;
    }
}
