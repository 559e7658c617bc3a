//! What an answer is, told from its first bytes where its content type may be wrong.
//!
//! Some servers send events as `text/plain`, as JSON, or as nothing at all, and some proxies send one JSON object,
//! usually an error, as a stream of events. The content type is believed where the bytes say neither.

use super::stream::Due;
use super::whole::too_large;
use super::{Chunk, HeldHeaders};
use crate::backend::Attempt;
use crate::codec::event_stream;
use crate::error::Error;
use crate::wire::Framing;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a line of a stream of events may begin with.
const FIELDS: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];

/// The beginning of an answer.
#[derive(Debug, Default)]
pub(super) struct Opening {
    bytes: Vec<u8>,
    is_whole: bool,
    /// The client has got an error in its place.
    is_given_up: bool,
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Events,
    /// AWS's binary frames.
    Frames,
    Json,
    Other,
}

impl Opening {
    /// So many bytes of it are held.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl Form {
    /// `None` until there are enough bytes to tell.
    fn of(bytes: &[u8], framing: Framing) -> Option<Form> {
        if framing != Framing::Sse && bytes.first() == Some(&0) {
            return event_stream::begins_with_frame(bytes)
                .map(|is| if is { Form::Frames } else { Form::Other });
        }
        if bytes.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(bytes) {
            return None;
        }
        let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes).trim_ascii_start();
        match text.first()? {
            b'{' => Some(Form::Json),
            _ if FIELDS.iter().any(|field| text.starts_with(field)) => Some(Form::Events),
            _ if FIELDS.iter().any(|field| field.starts_with(text)) => None,
            _ => Some(Form::Other),
        }
    }
}

impl Attempt {
    /// More has come of an answer of which it is not known, or not yet, that it is a stream.
    pub(super) fn open(&mut self, mut opening: Opening, chunk: &[u8], end: bool, now_ms: u64) -> Chunk {
        if opening.is_given_up {
            self.answer.opening = Some(opening);
            return Chunk::Replace(Vec::new());
        }
        // Usually the first chunk tells, and need not be kept.
        if !opening.bytes.is_empty() || opening.is_whole {
            opening.bytes.extend_from_slice(chunk);
        }
        let bytes = if opening.bytes.is_empty() { chunk } else { opening.bytes.as_slice() };
        if !opening.is_whole {
            let is_typed = self.is_typed_as_stream();
            match Form::of(bytes, self.schema.framing()) {
                None if !end => {
                    if opening.bytes.is_empty() {
                        opening.bytes = chunk.to_vec();
                    }
                    self.answer.opening = Some(opening);
                    return Chunk::Hold;
                }
                Some(form @ (Form::Events | Form::Frames)) => return self.open_as(form, bytes, end, now_ms),
                None | Some(Form::Other) if is_typed => return self.open_typed(bytes, end, now_ms),
                _ => opening.is_whole = true,
            }
        }
        if opening.bytes.is_empty() {
            opening.bytes = chunk.to_vec();
        }
        let limit = self.config.answer_limit;
        if opening.bytes.len() > limit {
            return self.give_up(&too_large(limit));
        }
        if !end {
            self.answer.opening = Some(opening);
            return Chunk::Hold;
        }
        let mut whole = self.whole_answer(&opening.bytes, now_ms);
        if self.is_typed_as_stream() {
            whole.headers.set("content-type", "application/json");
        }
        Chunk::Release(whole.headers, whole.body.unwrap_or(opening.bytes))
    }

    /// Nothing tells what the answer is, at `now_ms`. Once its headers have been held for long enough, it is what its
    /// content type says: `None` if that is a stream. Else what is due of the headers.
    pub(super) fn open_in_silence(&mut self, opening: Opening, now_ms: u64) -> Option<HeldHeaders> {
        let hold = self.hold(&self.exchange.borrow(), self.answer.headers_ms);
        let may_be_stream = !opening.is_whole && !opening.is_given_up;
        let is_stream = self.is_typed_as_stream() && may_be_stream;
        let due = hold.due(now_ms);
        if is_stream
            && due == Due::Now
            && let Ok(stream) = self.open_stream(now_ms)
        {
            self.answer.stream = Some(Box::new(stream));
            // The beginning of a line, at the most, of which no event is made yet.
            let _held = self.stream_chunk(&opening.bytes, false, now_ms);
            return None;
        }
        self.answer.opening = Some(opening);
        match due {
            Due::In(wait) if is_stream || may_be_stream && hold.content.is_some() => {
                Some(HeldHeaders::Wait(wait))
            }
            Due::In(_) | Due::Never | Due::Now => Some(HeldHeaders::Over),
        }
    }

    fn is_typed_as_stream(&self) -> bool {
        matches!(self.answer.media_type.as_str(), "text/event-stream" | event_stream::CONTENT_TYPE)
    }

    fn open_as(&mut self, form: Form, bytes: &[u8], end: bool, now_ms: u64) -> Chunk {
        let media_type = if form == Form::Frames { event_stream::CONTENT_TYPE } else { "text/event-stream" };
        if self.answer.media_type != media_type {
            self.answer.retyped = true;
            media_type.clone_into(&mut self.answer.media_type);
        }
        self.open_typed(bytes, end, now_ms)
    }

    fn open_typed(&mut self, bytes: &[u8], end: bool, now_ms: u64) -> Chunk {
        match self.open_stream(now_ms) {
            Ok(stream) => {
                self.answer.stream = Some(Box::new(stream));
                self.stream_chunk(bytes, end, now_ms)
            }
            Err(error) => self.give_up(&error),
        }
    }

    pub(super) fn give_up(&mut self, error: &Error) -> Chunk {
        self.answer.opening = Some(Opening { is_given_up: true, ..Opening::default() });
        let failed = self.failed(error);
        Chunk::Release(failed.headers, failed.body.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        for (bytes, form) in [
            (&b"data: {}"[..], Some(Form::Events)),
            (b"event: ping\n", Some(Form::Events)),
            (b": comment", Some(Form::Events)),
            (b"\xef\xbb\xbfdata:{}", Some(Form::Events)),
            (b"\n\nid: 1", Some(Form::Events)),
            (b" {\"a\"", Some(Form::Json)),
            (b"\xef\xbb\xbf{", Some(Form::Json)),
            (b"<html>", Some(Form::Other)),
            (b"database", Some(Form::Other)),
            (b"[1]", Some(Form::Other)),
            (b"", None),
            (b"\n", None),
            (b"dat", None),
            (b"\xef\xbb", None),
        ] {
            assert_eq!(Form::of(bytes, Framing::Sse), form, "{bytes:?}");
        }
        let frame = event_stream::encode(&[], b"{}");
        assert_eq!(Form::of(&frame, Framing::AwsWrapped), Some(Form::Frames));
        assert_eq!(Form::of(&frame, Framing::Sse), Some(Form::Other));
        assert_eq!(Form::of(&frame[..11], Framing::AwsWrapped), None);
        assert_eq!(Form::of(&[0; 12], Framing::AwsWrapped), Some(Form::Other));
    }
}
