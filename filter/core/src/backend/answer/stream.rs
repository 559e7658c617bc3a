//! Answers that are handled event by event.
//!
//! Every chunk is taken apart into whole events, wherever its boundaries are. What comes out depends on the events
//! alone.

mod attempt;
mod handler;
mod hold;
mod out;

use std::fmt::Display;

use super::{Chunk, MAX_EVENT};
use crate::backend::secrets::Secrets;
use crate::chat::{self, Losses};
use crate::codec::encoding::ContentDecoder;
use crate::codec::event_stream::EventStreamDecoder;
use crate::codec::json_array::JsonArray;
use crate::codec::sse::SseDecoder;
use crate::endpoint::{ClientApi, Endpoint};
use crate::error::{Error, Result};
use crate::exchange::Progress;
use crate::headers::HeaderEdits;
use crate::kept::Naming;
use crate::pulse::Pulse;
use crate::wire::usage::StreamObserver;
use crate::wire::{EventReader, EventWriter, Framing};
use handler::Handler;
use hold::MOST_KEPT_BACK;
use out::{Out, Passed};

pub(super) use hold::{Due, ForContent, Hold};

/// What ends a stream in OpenAI's older APIs.
const DONE: &[u8] = b"[DONE]";

/// What a stream is made of.
pub(super) struct Params {
    pub(super) endpoint: Endpoint,
    pub(super) api: ClientApi,
    /// Of the content encoding.
    pub(super) decoder: Option<ContentDecoder>,
    /// What no error may show.
    pub(super) secrets: Secrets,
    /// The backend's.
    pub(super) framing: Framing,
    /// `None`: the events pass, in the client's framing.
    pub(super) translation: Option<Translation>,
    /// The client did not ask for the usage chunk that the backend sends.
    pub(super) hide_usage: bool,
    /// How many choices it asked for.
    pub(super) choices: u32,
    /// The backend calls it something else.
    pub(super) retyped: bool,
    /// The client has it as an array.
    pub(super) is_array: bool,
    /// How its names become the client's, where they do.
    pub(super) naming: Option<Naming>,
    pub(super) hold: Hold,
}

/// From the backend's API to the client's.
#[derive(Debug)]
pub(super) struct Translation {
    pub(super) reader: Box<dyn EventReader>,
    pub(super) writer: Box<dyn EventWriter>,
    /// What an event of the backend's says, kept for the room it takes.
    pub(super) said: Vec<chat::Event>,
}

#[derive(Debug)]
enum Frames {
    Sse(SseDecoder),
    /// `is_wrapped`: what a frame carries is an event of another API.
    Aws {
        decoder: EventStreamDecoder,
        is_wrapped: bool,
    },
}

#[derive(Debug)]
enum Mode {
    /// The backend's events are the client's.
    Watch(Box<StreamObserver>),
    Translate(Box<Translation>),
}

/// A stream on its way.
#[derive(Debug)]
pub(super) struct Stream {
    endpoint: Endpoint,
    api: ClientApi,
    content: Option<ContentDecoder>,
    secrets: Secrets,
    frames: Frames,
    mode: Mode,
    hide_usage: bool,
    hold: Hold,
    /// What waits with the headers, or for the first byte behind them: whole events without content.
    kept_back: Vec<u8>,
    /// The client has an event, or is about to get one.
    begun: bool,
    retyped: bool,
    is_array: bool,
    naming: Option<Box<Naming>>,
    /// The headers are gone, and with them the chance of another backend.
    released: bool,
    /// The answer has ended properly, or with an error the client was told.
    ended: bool,
    /// The backend's last word in OpenAI's older APIs has come: `[DONE]`.
    done: bool,
    /// Nothing of what still comes is for the client: the stream broke.
    broken: bool,
    /// The error that is all there is of it, where it is one of the client's API: it may have members that only the
    /// provider knows.
    words: Option<Vec<u8>>,
}

impl Stream {
    pub(super) fn new(params: Params) -> Stream {
        let frames = match params.framing {
            Framing::Sse => Frames::Sse(SseDecoder::new(MAX_EVENT)),
            Framing::AwsWrapped | Framing::AwsNamed => Frames::Aws {
                decoder: EventStreamDecoder::new(MAX_EVENT),
                is_wrapped: params.framing == Framing::AwsWrapped,
            },
        };
        let mode = match params.translation {
            Some(translation) => Mode::Translate(Box::new(translation)),
            None => Mode::Watch(Box::new(StreamObserver::new(params.endpoint, params.choices))),
        };
        Stream {
            endpoint: params.endpoint,
            api: params.api,
            content: params.decoder,
            secrets: params.secrets,
            frames,
            mode,
            hide_usage: params.hide_usage,
            hold: params.hold,
            kept_back: Vec::new(),
            begun: false,
            retyped: params.retyped,
            is_array: params.is_array,
            naming: params.naming.map(Box::new),
            released: false,
            ended: false,
            done: false,
            broken: false,
            words: None,
        }
    }

    /// Takes a chunk. `Err` is an answer that failed before the client saw any of it.
    ///
    /// The client gets whole events only, so that an error can follow at any time.
    fn chunk(&mut self, chunk: &[u8], end: bool, progress: &mut Progress, now_ms: u64) -> Result<Chunk> {
        let mut plain = Vec::new();
        let is_plain = self.content.is_none();
        let decoded = match &mut self.content {
            Some(content) if !self.broken => {
                content.decode(chunk, &mut plain).map_err(|error| unreadable(&error))
            }
            _ => Ok(()),
        };
        let bytes = if is_plain { chunk } else { plain.as_slice() };
        self.hold.hears(chunk, now_ms);
        let mut out = Out::new(bytes);
        // What came out before the encoding broke was good.
        let taken = self.take(bytes, &mut out, progress, now_ms).and(decoded);
        let taken = taken.and_then(|()| if end { self.finish(&mut out, progress, now_ms) } else { Ok(()) });
        if let Err(error) = taken {
            if !self.released && !self.begun {
                return Err(error);
            }
            progress.note(&self.secrets.blanked_error(&error));
            self.break_off(&error, &mut out);
        }
        let is_empty = out.is_empty() && self.kept_back.is_empty();
        let mut passed = out.end();
        if self.hold.lasts(now_ms) && !end {
            passed.add_to(bytes, &mut self.kept_back);
            if self.kept_back.len() <= MOST_KEPT_BACK {
                return Ok(Chunk::Hold);
            }
            passed = Passed::Part(0..0);
        }
        if !is_empty {
            self.let_go(progress);
        }
        let passed = match passed.behind(std::mem::take(&mut self.kept_back), bytes) {
            passed if is_empty && !self.released => passed,
            passed => self.framed(passed, bytes, end, &mut progress.array),
        };
        if self.released && is_plain && passed == Passed::Whole {
            // Usually a chunk is a number of whole events: then it need not be handed back to Envoy.
            return Ok(Chunk::Pass);
        }
        let out = match passed {
            Passed::Made(made) => made,
            Passed::Part(part) if is_plain => chunk.get(part).unwrap_or_default().to_vec(),
            Passed::Part(part) => {
                plain.truncate(part.end);
                plain.drain(..part.start);
                plain
            }
            Passed::Whole if is_plain => chunk.to_vec(),
            Passed::Whole => plain,
        };
        if self.released {
            return Ok(Chunk::Replace(out));
        }
        if is_empty {
            if end {
                return Err(Error::bad_answer("the backend's stream ended before its first event"));
            }
            return Ok(Chunk::Hold);
        }
        self.released = true;
        Ok(Chunk::Release(self.headers(), out))
    }

    /// What the client gets of a chunk of these `bytes`, whole events, where it has them as an array.
    fn framed(&self, passed: Passed, bytes: &[u8], end: bool, array: &mut JsonArray) -> Passed {
        if !self.is_array {
            return passed;
        }
        let events = match &passed {
            Passed::Made(made) => made,
            Passed::Part(part) => bytes.get(part.clone()).unwrap_or_default(),
            Passed::Whole => bytes,
        };
        let mut framed = Vec::with_capacity(events.len());
        array.events(events, &mut framed);
        if end || self.is_over() {
            array.close(&mut framed);
        }
        Passed::Made(framed)
    }

    fn headers(&self) -> HeaderEdits {
        let mut headers = HeaderEdits::default();
        if self.is_array {
            headers.set("content-type", "application/json");
        } else if self.retyped || matches!(self.frames, Frames::Aws { .. }) {
            headers.set("content-type", "text/event-stream");
        }
        headers.remove("content-length");
        headers.remove("content-encoding");
        headers
    }

    fn handler<'a, 'c>(
        &'a mut self,
        out: &'a mut Out<'c>,
        progress: &'a mut Progress,
        now_ms: u64,
    ) -> (&'a mut Frames, Handler<'a, 'c>) {
        let handler = Handler {
            endpoint: self.endpoint,
            mode: &mut self.mode,
            secrets: &self.secrets,
            hide_usage: self.hide_usage,
            is_array: self.is_array,
            naming: self.naming.as_deref(),
            hold: &mut self.hold,
            begun: &mut self.begun,
            released: self.released,
            ended: &mut self.ended,
            done: &mut self.done,
            words: &mut self.words,
            out,
            progress,
            now_ms,
        };
        (&mut self.frames, handler)
    }

    fn take(&mut self, bytes: &[u8], out: &mut Out<'_>, progress: &mut Progress, now_ms: u64) -> Result<()> {
        if self.broken {
            return Ok(());
        }
        let (frames, mut handler) = self.handler(out, progress, now_ms);
        match frames {
            Frames::Sse(decoder) => {
                let mut rest = bytes;
                loop {
                    let start = bytes.len() - rest.len();
                    let Some(event) = decoder.next(&mut rest).map_err(|error| unreadable(&error))? else {
                        return Ok(());
                    };
                    // A block that began in an earlier chunk is longer than what was taken off this one.
                    let end = bytes.len() - rest.len();
                    let part = (end - start == event.raw.len()).then_some(start..end);
                    handler.sse(event.data, event.raw, part)?;
                }
            }
            Frames::Aws { decoder, is_wrapped } => {
                decoder.push(bytes);
                while let Some(frame) = decoder.next().map_err(|error| unreadable(&error))? {
                    handler.frame(&frame, *is_wrapped)?;
                }
                Ok(())
            }
        }
    }

    /// The backend's bytes have ended.
    fn finish(&mut self, out: &mut Out<'_>, progress: &mut Progress, now_ms: u64) -> Result<()> {
        if self.broken {
            return Ok(());
        }
        let (frames, mut handler) = self.handler(out, progress, now_ms);
        match frames {
            Frames::Sse(decoder) => {
                if let Some(rest) = decoder.finish().map_err(|error| unreadable(&error))? {
                    handler.rest(&rest)?;
                }
            }
            Frames::Aws { decoder, .. } => decoder.finish().map_err(|error| unreadable(&error))?,
        }
        handler.finish()?;
        self.content.take().map_or(Ok(()), ContentDecoder::finish).map_err(|error| unreadable(&error))
    }

    /// Keeps the pulse of a stream that goes to the client.
    fn note(&self, chunk: &Chunk, end: bool, progress: &mut Progress, now_ms: u64) {
        let is_over = self.is_over();
        if is_over && let Some(error) = self.passed_error() {
            progress.note(&error);
        }
        if end || !self.released || self.ended && !is_over {
            progress.pulse = None;
            return;
        }
        let pulse = progress.pulse.get_or_insert(Pulse::new(now_ms));
        pulse.number = self.next_number();
        if is_over {
            pulse.over_ms.get_or_insert(now_ms);
        }
        pulse.heard_ms = now_ms;
        if !matches!(chunk, Chunk::Replace(made) if made.is_empty()) {
            pulse.told_ms = now_ms;
        }
    }

    /// That of the client's next event, if they are numbered.
    fn next_number(&self) -> Option<u64> {
        let next = match &self.mode {
            Mode::Watch(observer) => observer.next_number(),
            Mode::Translate(translation) => translation.writer.next_number(),
        };
        // The client has none of what is kept back.
        if self.kept_back.is_empty() { next } else { next.map(|_| 0) }
    }

    /// Whether the client waits for nothing more: the API's last word has gone to it, or an error.
    fn is_over(&self) -> bool {
        self.broken
            || match &self.mode {
                Mode::Watch(observer) => observer.is_over() || observer.observed().error.is_some(),
                Mode::Translate(translation) => translation.writer.is_closed(),
            }
    }

    /// The error of the backend's that passed in it.
    fn passed_error(&self) -> Option<Error> {
        match &self.mode {
            Mode::Watch(observer) => {
                observer.observed().error.as_ref().map(|error| self.secrets.blanked_error(error))
            }
            Mode::Translate(_) => None,
        }
    }

    fn held_bytes(&self) -> usize {
        let unfinished = match &self.frames {
            Frames::Sse(decoder) => decoder.held(),
            Frames::Aws { decoder, .. } => decoder.held(),
        };
        unfinished.saturating_add(self.kept_back.len())
    }

    /// Ends the client's stream with an error of its own API.
    fn break_off(&mut self, error: &Error, out: &mut Out<'_>) {
        self.broken = true;
        if !std::mem::replace(&mut self.ended, true) {
            let error = self.secrets.blanked_error(error);
            let number = self.next_number();
            let out = out.bytes();
            match &mut self.mode {
                Mode::Watch(_) => out.extend_from_slice(&self.api.api().next_error_event(&error, number)),
                // It knows what was said before.
                Mode::Translate(translation) => {
                    translation.writer.event(&chat::Event::Error(error), &mut Losses::default(), out);
                }
            }
        }
    }
}

fn unreadable(error: &dyn Display) -> Error {
    Error::bad_answer(format!("the backend's stream cannot be read: {error}"))
}

#[cfg(test)]
mod tests;
