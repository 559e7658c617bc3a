//! An attempt whose answer is a stream: what becomes of each chunk, and of what is held.

use super::Frames;
use super::out::{Out, Passed};
use crate::backend::Attempt;
use crate::backend::answer::opening::Opening;
use crate::backend::answer::{Chunk, HeldHeaders, MAX_EVENT, Whole};
use crate::codec::sse::SseDecoder;
use crate::error::{Error, no_room};
use crate::headers::HeaderEdits;
use crate::pulse::Pulse;
use crate::wire::Reach;

impl Attempt {
    /// A chunk of a stream has come; `end` says that it is the last.
    pub fn answer_chunk(&mut self, chunk: &[u8], end: bool, now_ms: u64) -> Chunk {
        if self.reach == Reach::Raw {
            return self.raw_chunk(chunk, end);
        }
        if let Some(socket) = &mut self.socket {
            let progress = &mut self.exchange.borrow_mut().attempt;
            return socket.servers(chunk, &self.answer.secrets, progress, now_ms);
        }
        if let Some(opening) = self.answer.opening.take() {
            return self.open(opening, chunk, end, now_ms);
        }
        self.stream_chunk(chunk, end, now_ms)
    }

    pub(in crate::backend::answer) fn stream_chunk(&mut self, chunk: &[u8], end: bool, now_ms: u64) -> Chunk {
        let Some(stream) = &mut self.answer.stream else { return Chunk::Pass };
        let taken = {
            let progress = &mut self.exchange.borrow_mut().attempt;
            let taken = stream.chunk(chunk, end, progress, now_ms);
            if let Ok(taken) = &taken {
                stream.note(taken, end, progress, now_ms);
            }
            taken
        };
        taken.unwrap_or_else(|error| self.stream_failed(&error))
    }

    /// The stream failed before the client saw any of it.
    fn stream_failed(&mut self, error: &Error) -> Chunk {
        let mut words = None;
        if let Some(stream) = &mut self.answer.stream {
            stream.released = true;
            stream.broken = true;
            stream.ended = true;
            // An error in its place is none.
            stream.is_array = false;
            stream.kept_back = Vec::new();
            words = stream.words.take();
        }
        let mut failed = self.failed(error);
        if let Some(words) = words {
            let words = self.answer.secrets.blanked(&words).unwrap_or(words);
            failed.headers.set("content-length", words.len().to_string());
            failed.body = Some(words);
        }
        Chunk::Release(failed.headers, failed.body.unwrap_or_default())
    }

    /// There is no room for an answer that is held until it is whole: what to say in its place.
    pub fn whole_without_room(&mut self) -> Whole {
        let mut whole = self.failed(&no_room());
        ask_again(&mut whole.headers);
        whole
    }

    /// So many bytes of a stream are held, of an event that is not whole, or of the messages of a WebSocket.
    #[must_use]
    pub fn stream_held(&self) -> usize {
        if let Some(socket) = &self.socket {
            return socket.held_bytes();
        }
        let opening = self.answer.opening.as_ref().map_or(0, Opening::held_bytes);
        let watched = self.answer.watched.as_ref().map_or(opening, |watched| watched.held_bytes());
        self.answer.stream.as_ref().map_or(watched, |stream| stream.held_bytes())
    }

    /// There is no room for what is held of a stream: it ends with an error, behind what `step` says. What is only held
    /// back goes.
    pub fn end_stream_for_room(&mut self, step: Chunk, now_ms: u64) -> Chunk {
        let error = no_room();
        if self.answer.opening.is_some() {
            return asked_again(self.give_up(&error));
        }
        // These pass all the same.
        self.answer.watched = None;
        if let Some(socket) = &mut self.socket {
            socket.forget_message();
        }
        let Some(stream) = &mut self.answer.stream else { return step };
        if !stream.released && !stream.kept_back.is_empty() {
            let progress = &mut self.exchange.borrow_mut().attempt;
            return stream.without_holding_back(progress, now_ms);
        }
        // What is held goes.
        stream.frames = Frames::Sse(SseDecoder::new(MAX_EVENT));
        if !stream.released {
            return asked_again(self.stream_failed(&error));
        }
        let mut out = Out::new(b"");
        self.exchange.borrow_mut().note(&error);
        stream.break_off(&error, &mut out);
        let ended = stream.framed(out.end(), b"", true, &mut self.exchange.borrow_mut().attempt.array);
        let Passed::Made(end) = ended else { return step };
        match step {
            Chunk::Release(headers, body) => Chunk::Release(headers, [body, end].concat()),
            Chunk::Replace(body) => Chunk::Replace([body, end].concat()),
            Chunk::Hold | Chunk::Pass => Chunk::Replace(end),
        }
    }

    /// What is due, at `now_ms`, of a stream whose headers are held.
    pub fn answer_beat(&mut self, now_ms: u64) -> HeldHeaders {
        if let Some(opening) = self.answer.opening.take() {
            let wait = self.open_in_silence(opening, now_ms);
            if let Some(wait) = wait {
                return wait;
            }
        }
        let Some(stream) = &mut self.answer.stream else { return HeldHeaders::Over };
        let progress = &mut self.exchange.borrow_mut().attempt;
        let held = stream.held(progress, now_ms);
        if matches!(held, HeldHeaders::Release(_)) {
            progress.pulse = Some(Pulse { number: stream.next_number(), ..Pulse::new(now_ms) });
        }
        held
    }
}

/// Says that it may be tried again soon, as to a request that there is no room for.
fn ask_again(headers: &mut HeaderEdits) {
    headers.set("retry-after", "1");
}

fn asked_again(mut step: Chunk) -> Chunk {
    if let Chunk::Release(headers, _) = &mut step {
        ask_again(headers);
    }
    step
}
