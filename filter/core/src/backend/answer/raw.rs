//! Answers that pass as they are, whatever they are: nothing of them is held, and usage is counted where it is
//! recognised.

use super::Headers;
use crate::backend::Attempt;
use crate::backend::answer::Chunk;
use crate::codec::encoding::ContentDecoder;
use crate::codec::event_stream::{self, EventStreamDecoder, invoke_payload};
use crate::codec::sse::SseDecoder;
use crate::exchange::Answer;
use crate::headers::{HeaderEdits, Headers as HeaderMap};
use crate::usage::{Counter, Usage};
use crate::wire::usage::{END, Recognizer};

/// The largest document, or event, that is read, in bytes. A larger document is vectors or images, and only its end is
/// read.
const MAX_DOCUMENT: usize = 1 << 20;

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Watched {
    content: Option<ContentDecoder>,
    frames: Frames,
    known: Recognizer,
}

#[derive(Debug)]
enum Frames {
    /// Server-sent events.
    Sse(SseDecoder),
    /// AWS's binary frames.
    Aws(EventStreamDecoder),
    /// All of it is one document.
    Document { kept: Vec<u8>, is_cut: bool },
}

/// It cannot be read on.
struct Unreadable;

impl Watched {
    fn new(media_type: &str, content: Option<ContentDecoder>) -> Option<Watched> {
        let frames = match media_type {
            "text/event-stream" => Frames::Sse(SseDecoder::new(MAX_DOCUMENT)),
            event_stream::CONTENT_TYPE => Frames::Aws(EventStreamDecoder::new(MAX_DOCUMENT)),
            json if json.ends_with("json") => Frames::Document { kept: Vec::new(), is_cut: false },
            _ => return None,
        };
        Some(Watched { content, frames, known: Recognizer::default() })
    }

    /// So many bytes are held, though they have passed.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.frames {
            Frames::Sse(decoder) => decoder.held(),
            Frames::Aws(decoder) => decoder.held(),
            Frames::Document { kept, .. } => kept.len(),
        }
    }

    fn chunk(&mut self, chunk: &[u8], end: bool) -> Result<(), Unreadable> {
        let mut decoded = Vec::new();
        let plain = match &mut self.content {
            None => chunk,
            Some(content) => {
                content.decode(chunk, &mut decoded).map_err(|_| Unreadable)?;
                &decoded
            }
        };
        let known = &mut self.known;
        match &mut self.frames {
            Frames::Sse(decoder) => {
                let mut rest = plain;
                while let Some(event) = decoder.next(&mut rest).map_err(|_| Unreadable)? {
                    known.document(event.data);
                }
                if end && let Ok(Some(event)) = decoder.finish() {
                    known.document(event.data);
                }
            }
            Frames::Aws(decoder) => {
                decoder.push(plain);
                while let Some(frame) = decoder.next().map_err(|_| Unreadable)? {
                    match invoke_payload(frame.payload()) {
                        Some(event) => known.document(&event),
                        None => known.document(frame.payload()),
                    }
                }
            }
            Frames::Document { kept, is_cut } => {
                kept.extend_from_slice(plain);
                if kept.len() > MAX_DOCUMENT {
                    *is_cut = true;
                    kept.drain(..kept.len().saturating_sub(END));
                }
                match (end, *is_cut) {
                    (false, _) => {}
                    (true, false) => known.document(kept),
                    (true, true) => known.end_of_document(kept),
                }
            }
        }
        Ok(())
    }
}

impl Attempt {
    pub(super) fn raw_headers(&mut self, headers: &HeaderMap, end: bool, now_ms: u64) -> Headers {
        if self.answer.status >= 400 {
            // Whole, so that a credential that the backend repeats can be blanked in it.
            return if end { Headers::Pass(HeaderEdits::default()) } else { Headers::Whole };
        }
        let mut exchange = self.exchange.borrow_mut();
        // What is fetched was used, and counted, before: a stored answer, or the state of a batch.
        let is_counted = !end && exchange.client.headers.get(":method") == Some("POST");
        let progress = &mut exchange.attempt;
        progress.first_content_ms = Some(now_ms);
        let encoding = self.answer.encoding.as_deref().unwrap_or_default();
        let watched = ContentDecoder::new(encoding)
            .ok()
            .filter(|_| is_counted)
            .and_then(|content| Watched::new(&self.answer.media_type, content));
        let Some(watched) = watched else {
            progress.answer = Answer::Complete;
            return Headers::Pass(HeaderEdits::default());
        };
        progress.answer = Answer::Begun;
        // Where Bedrock's InvokeModel says it of every model.
        let count = |name: &str| headers.get(name).and_then(|count| count.parse().ok());
        let output = count("x-amzn-bedrock-output-token-count");
        let usage = Usage::of([(Counter::Input, self.answer.input_tokens), (Counter::Output, output)]);
        let usage = usage.with_total();
        progress.usage = usage;
        self.answer.watched = Some(Box::new(watched));
        Headers::Watch(HeaderEdits::default())
    }

    pub(super) fn raw_chunk(&mut self, chunk: &[u8], end: bool) -> Chunk {
        let progress = &mut self.exchange.borrow_mut().attempt;
        if let Some(mut watched) = self.answer.watched.take()
            && watched.chunk(chunk, end).is_ok()
        {
            let seen = watched.known.observed();
            progress.usage.merge(seen.usage);
            if let Some(model) = seen.model.filter(|_| progress.response_model.is_empty()) {
                progress.response_model = model;
            }
            self.answer.watched = Some(watched);
        }
        if end {
            progress.answer = Answer::Complete;
        }
        Chunk::Pass
    }
}
