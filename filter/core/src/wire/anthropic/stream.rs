//! A streamed answer, from Anthropic's words.
//!
//! <https://docs.anthropic.com/en/api/messages-streaming>. The `type` inside an event decides what it is, not the name
//! beside it: Bedrock sends none.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::reply::{Block, annotation, finish_reason, foreign, openai_tier, own_extra, seal};
use super::sse::event_type;
use super::usage::{Counters, Totals};
use crate::chat::{BlockStart, Delta, Event, Family, Foreign, Losses};
use crate::codec::splice::{self, Edit};
use crate::error::Error;
use crate::wire::EventReader;
use crate::wire::error::event_error;
use crate::wire::names::StandIns;
use crate::wire::raw::compact;

/// Blocks that may be open at once. Anthropic opens one after the other.
const MAX_OPEN: usize = 64;

/// Reads the events of one answer.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    is_started: bool,
    is_closed: bool,
    open: Vec<OpenBlock>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    totals: Totals,
    stand_ins: StandIns,
}

#[derive(Debug, Clone)]
struct OpenBlock {
    index: u32,
    kind: BlockKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum BlockKind {
    /// Text or a thought.
    Plain,
    ToolCall,
    /// What only Anthropic's clients understand, until it is whole: what it began with, and its input so far.
    Own {
        begun: Foreign,
        input: String,
    },
}

/// The longest input of a tool that Anthropic runs itself, in bytes.
const MAX_INPUT: usize = 1 << 20;

/// An event of any type: which members it has depends on `kind`.
#[derive(Deserialize)]
struct WireEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    message: Option<MessageStart>,
    index: Option<u32>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<WireDelta<'a>>,
    usage: Option<Counters>,
    #[serde(borrow)]
    context_management: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct MessageStart {
    id: Option<String>,
    model: Option<String>,
    usage: Option<Counters>,
}

/// A delta of a block or, with a stop reason, of the message.
#[derive(Default, Deserialize)]
struct WireDelta<'a> {
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    partial_json: Option<String>,
    #[serde(borrow)]
    citation: Option<&'a RawValue>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    #[serde(borrow)]
    stop_details: Option<&'a RawValue>,
    #[serde(borrow)]
    container: Option<&'a RawValue>,
}

/// The types that an answer may consist of. Others may come any day and are skipped, whatever is in them.
const KNOWN_TYPES: &[&str] = &[
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "ping",
];

impl StreamDecoder {
    /// For an answer to a request whose tools were called by these names.
    #[must_use]
    pub fn with_stand_ins(mut self, stand_ins: StandIns) -> Self {
        self.stand_ins = stand_ins;
        self
    }
}

impl EventReader for StreamDecoder {
    /// The data says what the event is, and its name the same. After a broken one nothing more is read.
    fn event(&mut self, _: Option<&str>, data: &[u8], _: &mut Losses, out: &mut Vec<Event>) {
        if self.is_closed || data.trim_ascii().is_empty() {
            return;
        }
        if let Some(error) = event_error(data) {
            return self.fail(error, out);
        }
        match serde_json::from_slice(data) {
            Ok(event) => self.known(event, out),
            Err(_) if is_of_unknown_type(data) => {}
            Err(error) => self.fail(not_anthropics(&error), out),
        }
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        if !self.is_closed {
            self.fail(Error::bad_answer("the backend's stream ended before its answer was complete"), out);
        }
    }
}

impl StreamDecoder {
    fn known(&mut self, event: WireEvent<'_>, out: &mut Vec<Event>) {
        match event.kind.as_ref() {
            "message_start" => self.message_start(event.message, out),
            "content_block_start" => self.block_start(event.index, event.content_block, out),
            "content_block_delta" => self.block_delta(event.index, event.delta.unwrap_or_default(), out),
            "content_block_stop" => {
                if let Some(position) = self.position(event.index) {
                    let block = self.open.remove(position);
                    stop(block, out);
                }
            }
            "message_delta" => {
                self.start_if_not_started(out);
                let delta = event.delta.unwrap_or_default();
                self.stop_reason = delta.stop_reason.or(self.stop_reason.take());
                self.stop_sequence = delta.stop_sequence.or(self.stop_sequence.take());
                let own = own_extra([
                    ("stop_details", delta.stop_details),
                    ("container", delta.container),
                    ("context_management", event.context_management),
                ]);
                out.extend(own.map(|extra| Event::Extra { choice: 0, extra: *extra }));
                if let Some(usage) = event.usage {
                    self.totals.delta(&usage);
                    out.push(Event::Usage(self.totals.usage()));
                }
            }
            "message_stop" => self.message_stop(out),
            "ping" if self.is_started => out.push(Event::Ping),
            _ => {}
        }
    }

    fn message_start(&mut self, message: Option<MessageStart>, out: &mut Vec<Event>) {
        let (id, model, usage) = match message {
            Some(message) => (message.id, message.model, message.usage),
            None => (None, None, None),
        };
        if !self.is_started {
            self.is_started = true;
            let named = |name: &String| !name.is_empty();
            out.push(Event::Start { id: id.filter(named), model: model.filter(named) });
        }
        if let Some(usage) = usage {
            let tier = usage.service_tier.as_deref().and_then(openai_tier);
            out.extend(tier.map(|tier| Event::ServiceTier(tier.to_owned())));
            self.totals.start(&usage);
            out.push(Event::Usage(self.totals.usage()));
        }
    }

    fn block_start(&mut self, index: Option<u32>, block: Option<&RawValue>, out: &mut Vec<Event>) {
        let Some(raw) = block else {
            return self.fail(Error::bad_answer("the backend started a block without saying which"), out);
        };
        let block: Block<'_> = match serde_json::from_str(raw.get()) {
            Ok(block) => block,
            Err(error) => return self.fail(not_anthropics(&error), out),
        };
        let index =
            index.unwrap_or_else(|| self.open.last().map_or(0, |block| block.index.saturating_add(1)));
        let mut kind = BlockKind::Plain;
        let (start, first) = match block.kind.as_str() {
            "text" => (BlockStart::Text, block.text.map(Delta::Text)),
            "thinking" => (BlockStart::Thinking, block.thinking.map(Delta::Thinking)),
            "redacted_thinking" => (BlockStart::RedactedThinking(seal(block.data.unwrap_or_default())), None),
            "tool_use" => {
                let name = self.stand_ins.resolve(block.name.unwrap_or_default());
                let id = block.id.unwrap_or_default();
                kind = BlockKind::ToolCall;
                // `{}` announces that the input follows in deltas; anything else is the whole of it.
                let input = block.input.map(compact).filter(|input| input != "{}");
                (BlockStart::ToolCall { id, name }, input.map(Delta::Arguments))
            }
            _ => {
                let kind = BlockKind::Own { begun: foreign(block.kind, raw), input: String::new() };
                return self.open(OpenBlock { index, kind }, None, out);
            }
        };
        let is_plain = kind == BlockKind::Plain;
        self.open(OpenBlock { index, kind }, Some(start), out);
        self.delta(index, first, out);
        if is_plain {
            for citation in block.citations.unwrap_or_default() {
                self.delta(index, Some(Delta::Annotation(Box::new(annotation(citation)))), out);
            }
            self.delta(index, block.signature.map(signature), out);
        }
    }

    fn block_delta(&mut self, index: Option<u32>, delta: WireDelta<'_>, out: &mut Vec<Event>) {
        const UNCALLED: &str = "the backend sent input of a tool it had not called";
        let position = match self.position(index) {
            Some(position) => position,
            None if delta.partial_json.is_some() => return self.fail(Error::bad_answer(UNCALLED), out),
            // A text that was not announced is still a text.
            None => {
                let start = match (&delta.text, &delta.thinking, &delta.signature) {
                    (Some(_), _, _) => BlockStart::Text,
                    (None, None, None) => return,
                    (None, _, _) => BlockStart::Thinking,
                };
                let block = OpenBlock { index: index.unwrap_or(0), kind: BlockKind::Plain };
                self.open(block, Some(start), out);
                self.open.len().saturating_sub(1)
            }
        };
        let Some(block) = self.open.get_mut(position) else { return };
        let index = block.index;
        match &mut block.kind {
            BlockKind::Own { input, .. } => {
                input.push_str(&delta.partial_json.unwrap_or_default());
                if input.len() > MAX_INPUT {
                    self.fail(Error::bad_answer("the backend's input of a tool of its own is too long"), out);
                }
            }
            BlockKind::ToolCall => self.delta(index, delta.partial_json.map(Delta::Arguments), out),
            BlockKind::Plain if delta.partial_json.is_some() => self.fail(Error::bad_answer(UNCALLED), out),
            BlockKind::Plain => {
                self.delta(index, delta.text.map(Delta::Text), out);
                self.delta(index, delta.thinking.map(Delta::Thinking), out);
                self.delta(index, delta.signature.map(signature), out);
                let cited = delta.citation.map(|citation| Box::new(annotation(citation)));
                self.delta(index, cited.map(Delta::Annotation), out);
            }
        }
    }

    fn message_stop(&mut self, out: &mut Vec<Event>) {
        self.start_if_not_started(out);
        for block in self.open.drain(..) {
            stop(block, out);
        }
        let reason = finish_reason(self.stop_reason.take(), self.stop_sequence.take());
        out.extend([Event::Finish { choice: 0, reason }, Event::End]);
        self.is_closed = true;
    }

    fn open(&mut self, block: OpenBlock, start: Option<BlockStart>, out: &mut Vec<Event>) {
        self.start_if_not_started(out);
        // The index is taken again without a stop: the provider forgot it.
        if let Some(position) = self.open.iter().position(|open| open.index == block.index) {
            stop(self.open.remove(position), out);
        }
        if self.open.len() >= MAX_OPEN {
            return self.fail(Error::bad_answer("the backend has too many blocks open at once"), out);
        }
        let index = block.index;
        self.open.push(block);
        out.extend(start.map(|block| Event::BlockStart { index, choice: 0, id: None, block }));
    }

    fn delta(&mut self, index: u32, delta: Option<Delta>, out: &mut Vec<Event>) {
        let Some(delta) = delta else { return };
        let is_empty = match &delta {
            Delta::Text(text) | Delta::Thinking(text) | Delta::Seal(_, text) | Delta::Arguments(text) => {
                text.is_empty()
            }
            Delta::Annotation(_) => false,
        };
        if !is_empty && !self.is_closed {
            out.push(Event::BlockDelta { index, delta });
        }
    }

    fn start_if_not_started(&mut self, out: &mut Vec<Event>) {
        if !self.is_started {
            self.message_start(None, out);
        }
    }

    fn fail(&mut self, error: Error, out: &mut Vec<Event>) {
        self.is_closed = true;
        out.push(Event::Error(error));
    }

    /// An event without an index belongs to the block that was opened last.
    fn position(&self, index: Option<u32>) -> Option<usize> {
        match index {
            Some(index) => self.open.iter().rposition(|block| block.index == index),
            None => self.open.len().checked_sub(1),
        }
    }
}

fn signature(piece: String) -> Delta {
    Delta::Seal(Family::Anthropic, piece)
}

/// What came in pieces is whole.
fn stop(block: OpenBlock, out: &mut Vec<Event>) {
    let index = block.index;
    if let BlockKind::Own { mut begun, input } = block.kind {
        let input = Some(input).filter(|input| serde_json::from_str::<&RawValue>(input).is_ok());
        let edit = input.map(|input| Edit::Set("input", Cow::Owned(input.into_bytes())));
        let whole = edit.and_then(|edit| splice::edit(begun.json.as_bytes(), &[edit]).ok());
        if let Some(whole) = whole.and_then(|whole| String::from_utf8(whole).ok()) {
            begun.json = whole;
        }
        out.push(Event::BlockStart { index, choice: 0, id: None, block: BlockStart::Foreign(begun) });
    }
    out.push(Event::BlockStop { index });
}

fn not_anthropics(error: &serde_json::Error) -> Error {
    Error::bad_answer(format!("the backend sent an event that is not Anthropic's: {error}"))
}

fn is_of_unknown_type(data: &[u8]) -> bool {
    event_type(data).is_some_and(|kind| !KNOWN_TYPES.contains(&kind.as_ref()))
}
