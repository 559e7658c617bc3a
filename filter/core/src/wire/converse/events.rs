//! A streamed answer, from Converse's words.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html>. A frame's name says
//! what its event is. Blocks of text and thoughts are not announced: their first delta tells what they are.
//! `metadata` comes after `messageStop`, and not from every server.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::cited::Citation;
use super::format::Format;
use super::models::Model;
use super::open::{Kind, Open, Piece};
use super::reply::{MediumSource, Tier, finish_reason, is_stop, is_usual, lose_beside, lose_block};
use super::usage::Counters;
use crate::chat::{BlockStart, Delta, Event, Extra, Family, FinishReason, Losses, MediaKind, Seal, Source};
use crate::error::Error;
use crate::wire::EventReader;
use crate::wire::anthropic::StandIns;
use crate::wire::raw::with_rest;

/// Blocks that may be open at once. Bedrock opens one after the other.
const MAX_OPEN: usize = 64;

/// Types of deltas, and members of events, that are told of though they are not known.
const MAX_LOST: usize = 16;

/// Reads the events of one answer.
#[derive(Debug)]
pub(super) struct Reader {
    family: Family,
    seal_prefix: &'static str,
    stand_ins: StandIns,
    /// The tool whose arguments are the text of the answer.
    answer_tool: Option<String>,
    is_started: bool,
    is_closed: bool,
    /// `messageStop` came: only `metadata` is still to come.
    is_stopped: bool,
    has_metadata: bool,
    open: Vec<Open>,
    /// The next block's index. Bedrock's own may stand for two blocks.
    next: u32,
    has_calls: bool,
    has_answer: bool,
    /// The text beside a tool that stands for the answer: it is the answer if that is not called.
    held: String,
    /// Those that came.
    lost: BTreeSet<String>,
}

with_rest! {
    /// Any event: which members it has depends on its name. `p` is padding against eavesdroppers who read lengths, and
    /// `metrics` are how long the answer took.
    struct WireEvent<'a> {
        "contentBlockIndex" => content_block_index: u32,
        "start" => start: Start,
        "delta" => delta: WireDelta<'a>,
        "stopReason" => stop_reason: String,
        "additionalModelResponseFields" => additional_model_response_fields: &'a RawValue,
        "usage" => usage: Counters,
        "serviceTier" => service_tier: Tier,
    }
    &["p", "role", "metrics"]
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Start {
    tool_use: Option<ToolUse>,
    image: Option<ImageStart>,
    tool_result: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse {
    tool_use_id: Option<String>,
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct ImageStart {
    format: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireDelta<'a> {
    text: Option<String>,
    tool_use: Option<Input>,
    reasoning_content: Option<Reasoning>,
    citation: Option<Citation>,
    image: Option<Image>,
    #[serde(borrow)]
    tool_result: Option<&'a RawValue>,
}

impl WireDelta<'_> {
    /// Nothing that is known is in it.
    fn is_empty(&self) -> bool {
        matches!(
            self,
            WireDelta {
                text: None,
                tool_use: None,
                reasoning_content: None,
                citation: None,
                image: None,
                tool_result: None
            }
        )
    }
}

#[derive(Deserialize)]
struct Input {
    input: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reasoning {
    text: Option<String>,
    signature: Option<String>,
    redacted_content: Option<String>,
}

#[derive(Deserialize)]
struct Image {
    source: Option<MediumSource>,
}

impl EventReader for Reader {
    /// A frame without a name, of an unknown one or with something else than JSON in it is skipped: so do Bedrock's
    /// SDKs, and servers that are compatible with it send such frames.
    fn event(&mut self, name: Option<&str>, data: &[u8], losses: &mut Losses, out: &mut Vec<Event>) {
        let is_known = matches!(
            name,
            Some(
                "messageStart"
                    | "contentBlockStart"
                    | "contentBlockDelta"
                    | "contentBlockStop"
                    | "messageStop"
                    | "metadata"
            )
        );
        let (true, false, Some(name)) = (is_known, self.is_closed, name) else { return };
        match serde_json::from_slice(data) {
            Ok(event) => {
                self.lose_unknown_delta(&event, data, losses);
                self.known(name, event, losses, out);
            }
            Err(error) if error.is_data() => {
                let message = format!("the backend sent a {name} that is not Converse's: {error}");
                self.fail(Error::bad_answer(message), out);
            }
            Err(_) => {}
        }
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        if self.is_closed {
            return;
        }
        if self.is_stopped {
            self.is_closed = true;
            out.push(Event::End);
        } else {
            self.fail(Error::bad_answer("the backend's stream ended before its answer was complete"), out);
        }
    }
}

impl Reader {
    pub(super) fn new(model: &Model<'_>, format: &Format<'_>, stand_ins: StandIns) -> Self {
        Self {
            family: model.family(),
            seal_prefix: model.seal_prefix(),
            stand_ins,
            answer_tool: format.tool().map(str::to_owned),
            is_started: false,
            is_closed: false,
            is_stopped: false,
            has_metadata: false,
            open: Vec::new(),
            next: 0,
            has_calls: false,
            has_answer: false,
            held: String::new(),
            lost: BTreeSet::new(),
        }
    }

    fn known(&mut self, name: &str, mut event: WireEvent<'_>, losses: &mut Losses, out: &mut Vec<Event>) {
        if !self.is_started {
            self.is_started = true;
            out.push(Event::Start { id: None, model: None });
        }
        self.tell_rest(&mut event, out);
        let index = event.content_block_index;
        match name {
            "contentBlockStart" if !self.is_stopped => self.block_start(index, event.start, losses, out),
            "contentBlockDelta" if !self.is_stopped => self.block_delta(index, event.delta, losses, out),
            "contentBlockStop" => {
                if let Some(position) = self.position(index) {
                    self.close(position, out);
                }
            }
            "messageStop" if !self.is_stopped => self.message_stop(&event, out),
            "metadata" => self.metadata(event, losses, out),
            _ => {}
        }
        if self.is_stopped && self.has_metadata && !self.is_closed {
            self.is_closed = true;
            out.push(Event::End);
        }
    }

    /// A delta of a type that is not known is a loss, once: there may be thousands.
    fn lose_unknown_delta(&mut self, event: &WireEvent<'_>, data: &[u8], losses: &mut Losses) {
        #[derive(Deserialize)]
        struct Members {
            delta: BTreeMap<String, Option<IgnoredAny>>,
        }
        if !event.delta.as_ref().is_some_and(WireDelta::is_empty) {
            return;
        }
        let Ok(Members { delta }) = serde_json::from_slice(data) else { return };
        for (kind, value) in delta {
            if value.is_some() && self.lost.len() < MAX_LOST && self.lost.insert(kind.clone()) {
                let index = event.content_block_index.unwrap_or_else(|| self.last_index());
                lose_block(index, &kind, losses);
            }
        }
    }

    /// What an event has beyond that is for the client's codec to tell, and to lose. Once for each name, as above.
    fn tell_rest(&mut self, event: &mut WireEvent<'_>, out: &mut Vec<Event>) {
        for (name, json) in std::mem::take(&mut event.rest) {
            if !is_usual(&name, json) && self.lost.len() < MAX_LOST && self.lost.insert(name.clone()) {
                self.extra(&name, Some(json), out);
            }
        }
    }

    fn block_start(
        &mut self,
        index: Option<u32>,
        start: Option<Start>,
        losses: &mut Losses,
        out: &mut Vec<Event>,
    ) {
        let wire_index = index.unwrap_or_else(|| self.last_index());
        match start {
            Some(Start { tool_use: Some(call), .. }) => self.call_start(wire_index, call, losses, out),
            Some(Start { image: Some(image), .. }) => {
                let format = image.format.unwrap_or_default();
                self.open(wire_index, Kind::Image { format, bytes: Vec::new() }, None, out);
            }
            Some(Start { tool_result: Some(_), .. }) => {
                lose_block(wire_index, "toolResult", losses);
                self.open(wire_index, Kind::Skipped, None, out);
            }
            // The first delta tells what it is.
            _ => {}
        }
    }

    fn call_start(&mut self, wire_index: u32, call: ToolUse, losses: &mut Losses, out: &mut Vec<Event>) {
        let name = call.name.unwrap_or_default();
        if call.kind.is_some() {
            // Bedrock has called its own tool.
            lose_block(wire_index, "toolUse", losses);
            self.open(wire_index, Kind::Skipped, None, out);
        } else if self.answer_tool.as_ref() == Some(&name) {
            if !self.held.trim().is_empty() {
                lose_beside(losses);
            }
            self.held = String::new();
            if std::mem::replace(&mut self.has_answer, true) {
                self.open(wire_index, Kind::Skipped, None, out);
            } else {
                self.open(wire_index, Kind::Answer { is_empty: true }, Some(BlockStart::Text), out);
            }
        } else {
            self.let_go(out);
            self.has_calls = true;
            let (id, name) = (call.tool_use_id.unwrap_or_default(), self.stand_ins.resolve(name));
            self.open(wire_index, Kind::ToolCall, Some(BlockStart::ToolCall { id, name }), out);
        }
    }

    fn block_delta(
        &mut self,
        index: Option<u32>,
        delta: Option<WireDelta<'_>>,
        losses: &mut Losses,
        out: &mut Vec<Event>,
    ) {
        let Some(delta) = delta else { return };
        let thought = delta.reasoning_content;
        let (text, signature, redacted) = match thought {
            Some(thought) => (thought.text, thought.signature, thought.redacted_content),
            None => (None, None, None),
        };
        let pieces = [
            delta.text.map(Piece::Text),
            delta.citation.map(Piece::Annotation),
            text.map(Piece::Thinking),
            signature.map(Piece::Signature),
            redacted.map(Piece::Redacted),
            delta.tool_use.and_then(|call| call.input).map(Piece::Arguments),
            delta.image.and_then(|image| image.source?.bytes).map(Piece::Image),
            delta.tool_result.map(|_| Piece::Skipped),
        ];
        for piece in pieces.into_iter().flatten() {
            self.piece(index, piece, losses, out);
        }
    }

    fn piece(&mut self, index: Option<u32>, piece: Piece, losses: &mut Losses, out: &mut Vec<Event>) {
        if self.is_closed {
            return;
        }
        let wire_index = index.unwrap_or_else(|| self.last_index());
        let position = self.position(index);
        let takes = position.and_then(|position| self.open.get(position)).map(|open| open.kind.takes(&piece));
        if takes != Some(true) {
            // What a block is may change within it.
            if matches!(piece, Piece::Arguments(_)) {
                let message = "the backend sent input of a tool it had not called";
                return self.fail(Error::bad_answer(message), out);
            }
            if let Some(position) = position {
                self.close(position, out);
            }
            let holds = self.answer_tool.is_some() && !self.has_calls;
            let (kind, start) = match &piece {
                Piece::Text(_) | Piece::Annotation(_) if self.has_answer => {
                    lose_beside(losses);
                    (Kind::Skipped, None)
                }
                Piece::Text(_) | Piece::Annotation(_) if holds => (Kind::Held, None),
                Piece::Text(_) | Piece::Annotation(_) => (Kind::Text, Some(BlockStart::Text)),
                Piece::Thinking(_) | Piece::Signature(_) => {
                    (Kind::Thinking { is_sealed: false }, Some(BlockStart::Thinking))
                }
                Piece::Redacted(_) => (Kind::Redacted(Vec::new()), None),
                Piece::Image(_) => (Kind::Image { format: String::new(), bytes: Vec::new() }, None),
                Piece::Skipped | Piece::Arguments(_) => {
                    lose_block(wire_index, "toolResult", losses);
                    (Kind::Skipped, None)
                }
            };
            self.open(wire_index, kind, start, out);
        }
        if let Some(open) = self.open.iter_mut().rfind(|open| open.wire_index == wire_index) {
            let seal = (self.family, self.seal_prefix);
            let grown = open.grow(piece, seal, &mut self.held, out);
            if let Err(error) = grown {
                self.fail(error, out);
            }
        }
    }

    fn message_stop(&mut self, event: &WireEvent<'_>, out: &mut Vec<Event>) {
        while !self.open.is_empty() {
            self.close(0, out);
        }
        self.let_go(out);
        let fields = event.additional_model_response_fields;
        let mut reason = finish_reason(event.stop_reason.clone(), fields);
        if reason == FinishReason::ToolCalls && self.has_answer && !self.has_calls {
            reason = FinishReason::Stop;
        }
        self.extra("additionalModelResponseFields", fields.filter(|fields| !is_stop(fields)), out);
        out.push(Event::Finish { choice: 0, reason });
        self.is_stopped = true;
    }

    fn metadata(&mut self, event: WireEvent<'_>, losses: &mut Losses, out: &mut Vec<Event>) {
        self.has_metadata = true;
        if let Some(counters) = event.usage {
            out.push(Event::Usage(counters.usage()));
        }
        out.extend(event.service_tier.and_then(|tier| tier.openai(losses)).map(Event::ServiceTier));
    }

    fn extra(&self, name: &str, json: Option<&RawValue>, out: &mut Vec<Event>) {
        if let Some(json) = json {
            let members = vec![(name.to_owned(), json.get().to_owned())];
            out.push(Event::Extra { choice: 0, extra: Extra { family: Family::Amazon, members } });
        }
    }

    /// The text that was held is the client's after all.
    fn let_go(&mut self, out: &mut Vec<Event>) {
        if self.held.is_empty() {
            return;
        }
        let index = self.take_index();
        let text = std::mem::take(&mut self.held);
        out.extend([
            Event::BlockStart { index, choice: 0, id: None, block: BlockStart::Text },
            Event::BlockDelta { index, delta: Delta::Text(text) },
            Event::BlockStop { index },
        ]);
    }

    fn open(&mut self, wire_index: u32, kind: Kind, start: Option<BlockStart>, out: &mut Vec<Event>) {
        // The index is taken again without a stop: the provider forgot it.
        if let Some(position) = self.open.iter().position(|open| open.wire_index == wire_index) {
            self.close(position, out);
        }
        if self.open.len() >= MAX_OPEN {
            return self.fail(Error::bad_answer("the backend has too many blocks open at once"), out);
        }
        let index = self.take_index();
        self.open.push(Open { wire_index, index, kind });
        out.extend(start.map(|block| Event::BlockStart { index, choice: 0, id: None, block }));
    }

    fn close(&mut self, position: usize, out: &mut Vec<Event>) {
        if position >= self.open.len() {
            return;
        }
        let Open { index, kind, .. } = self.open.remove(position);
        let whole = |block| Event::BlockStart { index, choice: 0, id: None, block };
        match kind {
            Kind::Text | Kind::Thinking { .. } | Kind::ToolCall | Kind::Answer { is_empty: false } => {}
            // A call without arguments has none.
            Kind::Answer { is_empty: true } => {
                out.push(Event::BlockDelta { index, delta: Delta::Text("{}".to_owned()) });
            }
            Kind::Redacted(bytes) => {
                let data = format!("{}{}", self.seal_prefix, STANDARD.encode(bytes));
                out.push(whole(BlockStart::RedactedThinking(Seal { by: self.family, data })));
            }
            Kind::Image { format, bytes } => {
                let media_type = format!("image/{}", if format.is_empty() { "png" } else { &format });
                let source = Source::Base64 { media_type, data: STANDARD.encode(bytes) };
                out.push(whole(BlockStart::Media { kind: MediaKind::Image, source }));
            }
            Kind::Held | Kind::Skipped => return,
        }
        out.push(Event::BlockStop { index });
    }

    fn take_index(&mut self) -> u32 {
        let index = self.next;
        self.next = index.saturating_add(1);
        index
    }

    fn fail(&mut self, error: Error, out: &mut Vec<Event>) {
        self.is_closed = true;
        out.push(Event::Error(error));
    }

    /// An event without an index belongs to the block that was opened last.
    fn position(&self, index: Option<u32>) -> Option<usize> {
        match index {
            Some(index) => self.open.iter().rposition(|open| open.wire_index == index),
            None => self.open.len().checked_sub(1),
        }
    }

    fn last_index(&self) -> u32 {
        self.open.last().map_or(0, |open| open.wire_index)
    }
}
