//! A streamed answer, in Anthropic's words.
//!
//! <https://platform.claude.com/docs/en/build-with-claude/streaming>: one block after the other, numbered from 0,
//! between the start and the end of the message.

use std::collections::VecDeque;

use super::super::citations::citation;
use super::reply::{lose_citations, lose_input, lose_signature};
use super::seals::{id_of_call, to_client};
use super::types::{
    Block, Delta, Event, Message, Own, Said, Stop, Usage, is_own, own_block, service_tier, stop_reason,
};
use crate::chat::{self, BlockStart, Extra, FinishReason, Losses, Seal};
use crate::error::Error;
use crate::usage::{self, Counter};
use crate::wire::anthropic::API;
use crate::wire::api::{Api as _, hold};
use crate::wire::{Asked, EventWriter};

/// Blocks that may be open at once. A provider that goes beyond does not follow its API.
const MAX_OPEN: usize = 256;

/// Writes `message_start`, the blocks, `message_delta` and `message_stop` as server-sent events.
///
/// Each event gives its own at once, but for what must wait: for another block to be complete, or for a signature to be
/// whole. The stream always ends in one of two ways: `message_stop`, or an error.
#[derive(Debug)]
pub struct StreamEncoder {
    asked: Asked,
    is_started: bool,
    is_closed: bool,
    /// Blocks of the answer that are not complete. The first one is being written, the others wait for it.
    open: VecDeque<Open>,
    /// The number of the next block.
    next: u32,
    /// Bytes that are held in `open`.
    held: usize,
    said: Said,
    finish_reason: FinishReason,
    usage: usage::Usage,
    service_tier: Option<String>,
    /// What Anthropic itself said of the answer.
    own: Vec<Extra>,
}

/// A block that is not complete.
#[derive(Debug)]
struct Open {
    index: u32,
    kind: Kind,
    /// The client knows of it, by this number.
    number: Option<u32>,
    seal: Option<Seal>,
    /// What waits for its turn.
    waiting: Vec<chat::Delta>,
    is_stopped: bool,
}

#[derive(Debug)]
enum Kind {
    Text,
    Thinking,
    RedactedThinking(Seal),
    ToolCall { id: String, name: String, arguments: Arguments },
    Own(chat::Foreign),
}

/// Clients parse the pieces of arguments as they come, and some stop at what is no object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arguments {
    None,
    Object,
    Other,
}

impl EventWriter for StreamEncoder {
    fn event(&mut self, event: &chat::Event, losses: &mut Losses, out: &mut Vec<u8>) {
        if self.is_closed {
            return;
        }
        if let Err(error) = self.tell(event, losses, out) {
            self.fail(&error, out);
        }
    }

    fn is_closed(&self) -> bool {
        self.is_closed
    }
}

impl StreamEncoder {
    /// An encoder for one answer.
    #[must_use]
    pub fn new(asked: &Asked) -> Self {
        Self {
            asked: asked.clone(),
            is_started: false,
            is_closed: false,
            open: VecDeque::new(),
            next: 0,
            held: 0,
            said: Said::default(),
            finish_reason: FinishReason::Stop,
            usage: usage::Usage::default(),
            service_tier: None,
            own: Vec::new(),
        }
    }

    fn tell(&mut self, event: &chat::Event, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Error> {
        match event {
            chat::Event::Start { id, model } => {
                if let Some(id) = id {
                    self.asked.id.clone_from(id);
                }
                if let Some(model) = model {
                    self.asked.model.clone_from(model);
                }
            }
            chat::Event::BlockStart { choice: 0, index, block, .. } => {
                self.start(losses, out);
                self.block_start(*index, block, losses, out)?;
            }
            chat::Event::BlockStart { choice, .. } => {
                losses.add(format_args!("answer.choices[{choice}]"), "Anthropic's clients get one answer");
            }
            chat::Event::BlockDelta { index, delta } => self.block_delta(*index, delta, losses, out)?,
            chat::Event::BlockStop { index } => self.block_stop(*index, losses, out)?,
            chat::Event::Usage(usage) => self.usage.merge(*usage),
            chat::Event::Finish { choice: 0, reason } => self.finish_reason = reason.clone(),
            chat::Event::Finish { .. } => {}
            chat::Event::Logprobs { .. } => {
                losses.add("answer.logprobs", "Anthropic tells no log probabilities");
            }
            chat::Event::ServiceTier(tier) if self.is_started => {
                if self.service_tier.as_ref() != Some(tier) {
                    losses.add("answer.service_tier", "Anthropic's streams tell it at their beginning");
                }
            }
            chat::Event::ServiceTier(tier) => self.service_tier = Some(tier.clone()),
            chat::Event::Extra { extra, .. } => {
                if is_own(extra, losses) {
                    self.own.push(extra.clone());
                    hold(&mut self.held, extra.size())?;
                }
            }
            chat::Event::Ping => {
                self.start(losses, out);
                out.extend_from_slice(API.sign_of_life());
            }
            chat::Event::Error(error) => self.fail(error, out),
            chat::Event::End => self.end(losses, out)?,
        }
        Ok(())
    }

    fn start(&mut self, losses: &mut Losses, out: &mut Vec<u8>) {
        if self.is_started {
            return;
        }
        self.is_started = true;
        let mut usage = Usage::from(self.usage.with([(Counter::Output, None), (Counter::Reasoning, None)]));
        usage.service_tier = self.service_tier.as_deref().and_then(|tier| service_tier(tier, losses));
        let message = Message {
            id: &self.asked.id,
            kind: "message",
            role: "assistant",
            model: &self.asked.model,
            content: Vec::new(),
            stop_reason: None,
            stop_sequence: None,
            usage,
            own: Own::default(),
        };
        Event::MessageStart { message }.write(out);
    }

    fn block_start(
        &mut self,
        index: u32,
        block: &BlockStart,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let position = usize::try_from(index).unwrap_or(usize::MAX);
        let kind = match block {
            BlockStart::Text => Kind::Text,
            BlockStart::Refusal => {
                self.said.refused = true;
                Kind::Text
            }
            BlockStart::Thinking => Kind::Thinking,
            BlockStart::RedactedThinking(seal) => Kind::RedactedThinking(seal.clone()),
            BlockStart::ToolCall { id, name } => {
                self.said.called = true;
                Kind::ToolCall { id: id.clone(), name: name.clone(), arguments: Arguments::None }
            }
            BlockStart::Media { .. } => {
                losses
                    .add(format_args!("answer.content[{index}]"), "Anthropic's models answer with text only");
                return Ok(());
            }
            BlockStart::Foreign(foreign) => {
                if own_block(position, foreign, losses).is_none() {
                    return Ok(());
                }
                Kind::Own(foreign.clone())
            }
        };
        if self.open.len() >= MAX_OPEN {
            return Err(Error::bad_answer("the backend has too many blocks open at once"));
        }
        // A text that is still open is complete as far as it came; what comes later is another one.
        let parked = match self.open.front_mut() {
            Some(front) if matches!(front.kind, Kind::Text | Kind::Thinking) => {
                front.close(losses, out);
                self.open.pop_front()
            }
            _ => None,
        };
        self.open.push_back(Open {
            index,
            kind,
            number: None,
            seal: None,
            waiting: Vec::new(),
            is_stopped: false,
        });
        self.open.extend(parked);
        self.advance(losses, out)
    }

    fn block_delta(
        &mut self,
        index: u32,
        delta: &chat::Delta,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let is_open = |block: &Open| block.index == index && !block.is_stopped;
        let Some(position) = self.open.iter().rposition(is_open) else { return Ok(()) };
        if position > 0 || matches!(delta, chat::Delta::Seal(..)) {
            hold(&mut self.held, size(delta))?;
        }
        let Some(block) = self.open.get_mut(position) else { return Ok(()) };
        if position == 0 {
            block.write(delta, &self.asked, &mut self.next, losses, out);
        } else {
            block.waiting.push(delta.clone());
        }
        Ok(())
    }

    fn block_stop(&mut self, index: u32, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Error> {
        let is_open = |block: &Open| block.index == index && !block.is_stopped;
        if let Some(block) = self.open.iter_mut().rfind(|block| is_open(block)) {
            block.is_stopped = true;
        }
        self.advance(losses, out)
    }

    /// Writes what need not wait any longer.
    fn advance(&mut self, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Error> {
        while let Some(front) = self.open.front_mut() {
            for delta in std::mem::take(&mut front.waiting) {
                front.write(&delta, &self.asked, &mut self.next, losses, out);
            }
            if !front.is_stopped {
                break;
            }
            front.complete(&self.asked, &mut self.next, losses, out);
            self.open.pop_front();
        }
        self.held = 0;
        let held = self.open.iter().map(Open::size).chain(self.own.iter().map(Extra::size));
        hold(&mut self.held, held.fold(0, usize::saturating_add))
    }

    fn end(&mut self, losses: &mut Losses, out: &mut Vec<u8>) -> Result<(), Error> {
        self.start(losses, out);
        for block in &mut self.open {
            block.is_stopped = true;
        }
        self.advance(losses, out)?;
        let (stop_reason, stop_sequence) = stop_reason(&self.finish_reason, self.said, losses);
        let is_of_delta = |name: &str| matches!(name, "stop_details" | "container");
        let delta = Stop { stop_reason, stop_sequence, own: Own::of(&self.own, is_of_delta) };
        let own = Own::of(&self.own, |name| !is_of_delta(name));
        let mut usage = Usage::from(self.usage);
        usage.cache_creation = None;
        Event::MessageDelta { delta, usage, own }.write(out);
        Event::MessageStop.write(out);
        self.is_closed = true;
        Ok(())
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        out.extend(API.error_event(error));
        self.is_closed = true;
    }
}

/// About how many bytes it takes to keep it.
fn size(delta: &chat::Delta) -> usize {
    let content = match delta {
        chat::Delta::Text(text) | chat::Delta::Thinking(text) | chat::Delta::Arguments(text) => text.len(),
        chat::Delta::Seal(_, data) => data.len(),
        chat::Delta::Annotation(annotation) => annotation.size(),
    };
    size_of::<chat::Delta>().saturating_add(content)
}

impl Open {
    /// Bytes of it that are held.
    fn size(&self) -> usize {
        let own = match &self.kind {
            Kind::RedactedThinking(seal) => seal.data.len(),
            Kind::Own(foreign) => foreign.json.len(),
            Kind::Text | Kind::Thinking | Kind::ToolCall { .. } => 0,
        };
        let seal = self.seal.as_ref().map_or(0, |seal| seal.data.len());
        self.waiting.iter().map(size).fold(own.saturating_add(seal), usize::saturating_add)
    }

    /// Writes a piece. The block begins with the first one that says something: Anthropic has no empty texts.
    fn write(
        &mut self,
        delta: &chat::Delta,
        asked: &Asked,
        next: &mut u32,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) {
        let written = match (delta, &mut self.kind) {
            (chat::Delta::Text(text), Kind::Text) if !text.is_empty() => Delta::Text { text },
            (chat::Delta::Thinking(thinking), Kind::Thinking) if !thinking.is_empty() => {
                Delta::Thinking { thinking }
            }
            (chat::Delta::Arguments(partial_json), Kind::ToolCall { arguments, .. }) => {
                if *arguments == Arguments::None {
                    *arguments = match partial_json.trim_start().chars().next() {
                        None => return,
                        Some('{') => Arguments::Object,
                        Some(_) => Arguments::Other,
                    };
                }
                if *arguments == Arguments::Other {
                    return;
                }
                Delta::InputJson { partial_json }
            }
            (chat::Delta::Annotation(annotation), Kind::Text) => {
                let told = citation(annotation);
                if told.is_none() || annotation.span.is_some() {
                    lose_citations(usize::try_from(self.index).unwrap_or(usize::MAX), losses);
                }
                // One that comes before its text has nothing to stand on.
                match told.filter(|_| self.number.is_some()) {
                    Some(citation) => Delta::Citations { citation },
                    None => return,
                }
            }
            (chat::Delta::Seal(by, data), _) => {
                let seal = self.seal.get_or_insert_with(|| Seal { by: *by, data: String::new() });
                seal.data.push_str(data);
                return;
            }
            _ => return,
        };
        let index = self.begin(asked, next, out);
        Event::ContentBlockDelta { index, delta: written }.write(out);
    }

    /// The number that the client knows the block by, which is announced to it if it was not.
    fn begin(&mut self, asked: &Asked, next: &mut u32, out: &mut Vec<u8>) -> u32 {
        if let Some(number) = self.number {
            return number;
        }
        let number = *next;
        *next = next.saturating_add(1);
        let content_block = match &self.kind {
            Kind::Text => Block::Text { text: "", citations: Vec::new() },
            Kind::Thinking => Block::Thinking { thinking: "", signature: "".into() },
            Kind::RedactedThinking(seal) => Block::RedactedThinking { data: to_client(seal) },
            Kind::ToolCall { id, name, .. } => {
                let position = usize::try_from(number).unwrap_or(usize::MAX);
                let (id, is_sealed) = id_of_call(id, self.seal.as_ref(), asked, position);
                if is_sealed {
                    self.seal = None;
                }
                let input = serde_json::from_str("{}").unwrap_or(serde_json::value::RawValue::NULL);
                Block::ToolUse { id, name, input }
            }
            Kind::Own(foreign) => {
                Block::Own(serde_json::from_str(&foreign.json).unwrap_or(serde_json::value::RawValue::NULL))
            }
        };
        Event::ContentBlockStart { index: number, content_block }.write(out);
        self.number = Some(number);
        number
    }

    /// The block is complete.
    fn complete(&mut self, asked: &Asked, next: &mut u32, losses: &mut Losses, out: &mut Vec<u8>) {
        let has_content = match &self.kind {
            Kind::Text => false,
            Kind::Thinking => self.seal.is_some(),
            Kind::RedactedThinking(_) | Kind::ToolCall { .. } | Kind::Own(_) => true,
        };
        if has_content {
            self.begin(asked, next, out);
        }
        let position = usize::try_from(self.index).unwrap_or(usize::MAX);
        if matches!(self.kind, Kind::ToolCall { arguments: Arguments::Other, .. }) {
            lose_input(position, losses);
        }
        self.close(losses, out);
    }

    /// Ends what the client knows of the block.
    fn close(&mut self, losses: &mut Losses, out: &mut Vec<u8>) {
        let seal = self.seal.take();
        let number = self.number.take();
        match (&self.kind, number, &seal) {
            (Kind::Thinking, Some(index), Some(seal)) => {
                let delta = Delta::Signature { signature: &to_client(seal) };
                Event::ContentBlockDelta { index, delta }.write(out);
            }
            (Kind::Text | Kind::ToolCall { .. }, _, Some(_)) => {
                lose_signature(usize::try_from(self.index).unwrap_or(usize::MAX), losses);
            }
            _ => {}
        }
        if let Some(index) = number {
            Event::ContentBlockStop { index }.write(out);
        }
    }
}
