//! A streamed answer, in OpenAI's words.

use serde::Serialize;

use super::encode::lose_source;
use super::types::{
    Called, ChunkDelta, CompletionUsage, Custom, ExtraContent, Function, Logprobs, Marked, OwnWords, Place,
    ThinkingBlock, Thought, ToolCall, UrlCitation, finish_reason,
};
use crate::chat::{BlockStart, Delta, Event, FinishReason, Losses, Seal};
use crate::usage::Usage;
use crate::wire::api::{Api as _, hold};
use crate::wire::openai::{API, custom};
use crate::wire::{Asked, EventWriter, write_json};

/// Blocks that may be open at once, and choices of one answer. A provider that goes beyond does not follow its API,
/// and what goes beyond is left out.
const MAX_OPEN: usize = 256;

/// Writes `chat.completion.chunk`s as server-sent events.
///
/// Each event gives at most a few chunks, so the client sees a token as soon as the gateway does. The stream always
/// ends in one of two ways: finish reason, usage if the client asked for it, `[DONE]`; or an error.
#[derive(Debug)]
pub struct StreamEncoder {
    asked: Asked,
    /// Everything of a chunk up to its first choice; the same for the whole stream.
    head: Option<Vec<u8>>,
    blocks: Vec<OpenBlock>,
    /// Bytes that are held until their block ends.
    held: usize,
    choices: Vec<Choice>,
    usage: Usage,
    service_tier: Option<String>,
    is_closed: bool,
}

#[derive(Debug)]
struct OpenBlock {
    index: u32,
    choice: u32,
    kind: BlockKind,
}

#[derive(Debug)]
enum BlockKind {
    /// Text, how many characters of it are before this, and its signature, for which this API has no place but that of
    /// a thought.
    Message {
        before: usize,
        seal: Option<Seal>,
    },
    /// A thought that was told whole.
    Redacted,
    Refusal,
    /// A thought, kept until it is whole: clients see its text at once as `reasoning_content`, but what they send back
    /// is one block with its signature, however they put lists of deltas together.
    Thinking {
        text: String,
        seal: Option<Seal>,
        place: Place,
    },
    ToolCall {
        index: u32,
        has_arguments: bool,
        /// The arguments so far of a custom tool: its text is within them, and told once they are whole.
        custom: Option<String>,
    },
}

impl BlockKind {
    /// Bytes of it that are held until it ends.
    fn held(&self) -> usize {
        let of_seal = |seal: &Option<Seal>| seal.as_ref().map_or(0, |seal| seal.data.len());
        match self {
            BlockKind::Message { seal, .. } => of_seal(seal),
            BlockKind::Thinking { text, seal, .. } => text.len().saturating_add(of_seal(seal)),
            BlockKind::ToolCall { custom, .. } => custom.as_ref().map_or(0, String::len),
            BlockKind::Redacted | BlockKind::Refusal => 0,
        }
    }
}

/// What is known of one element of `choices`.
#[derive(Debug, Default)]
struct Choice {
    has_role: bool,
    /// Bytes of text so far.
    text: usize,
    /// The same in characters.
    characters: usize,
    thinking_blocks: u32,
    tool_calls: u32,
    finish_reason: FinishReason,
}

impl EventWriter for StreamEncoder {
    fn event(&mut self, event: &Event, losses: &mut Losses, out: &mut Vec<u8>) {
        self.tell(event, losses, out);
        if let Err(error) = hold(&mut self.held, 0) {
            self.tell(&Event::Error(error), losses, out);
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
            head: None,
            blocks: Vec::new(),
            held: 0,
            choices: Vec::new(),
            usage: Usage::default(),
            service_tier: None,
            is_closed: false,
        }
    }

    fn tell(&mut self, event: &Event, losses: &mut Losses, out: &mut Vec<u8>) {
        if self.is_closed {
            return;
        }
        match event {
            Event::Start { id, model } => {
                if let Some(id) = id {
                    self.asked.id.clone_from(id);
                }
                if let Some(model) = model {
                    self.asked.model.clone_from(model);
                }
            }
            Event::BlockStart { index, choice, block, .. } => {
                self.block_start(*index, *choice, block, losses, out);
            }
            Event::BlockDelta { index, delta } => self.block_delta(*index, delta, losses, out),
            Event::BlockStop { index } => self.block_stop(*index, out),
            Event::Usage(usage) => self.usage.merge(*usage),
            Event::Finish { choice, reason } => {
                if let Some(choice) = self.choice(*choice) {
                    choice.finish_reason = reason.clone();
                }
            }
            Event::Logprobs { choice, tokens } => {
                if let Some(logprobs) = Logprobs::of(tokens) {
                    self.said(*choice, ChunkDelta::default(), Some(&logprobs), out);
                }
            }
            Event::ServiceTier(tier) => {
                self.service_tier = Some(tier.clone());
                self.head = None;
            }
            Event::Extra { choice, extra } => {
                let own = OwnWords::of("answer", Some(extra), losses);
                if own.says_something() {
                    self.chunk(*choice, &own, None, None, out);
                }
            }
            // Whatever comes first says whose answer it is: clients take the role from the first chunk.
            Event::Ping => self.content(0, ChunkDelta { content: Some(""), ..ChunkDelta::default() }, out),
            Event::Error(error) => {
                out.extend(API.error_event(error));
                self.is_closed = true;
            }
            Event::End => self.end(losses, out),
        }
    }

    fn block_start(
        &mut self,
        index: u32,
        choice_index: u32,
        block: &BlockStart,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) {
        if self.blocks.len() >= MAX_OPEN {
            return;
        }
        let request = self.asked.request.clone();
        let Some(choice) = self.choice(choice_index) else { return };
        let mut delta = ChunkDelta::default();
        let kind = match block {
            BlockStart::Text => BlockKind::Message { before: choice.characters, seal: None },
            BlockStart::Thinking => {
                BlockKind::Thinking { text: String::new(), seal: None, place: choice.place() }
            }
            BlockStart::Refusal => BlockKind::Refusal,
            BlockStart::RedactedThinking(seal) => {
                let place = choice.place();
                delta.thinking_blocks =
                    Some([choice.thinking_block(Thought::RedactedThinking { data: Marked(seal) }, place)]);
                BlockKind::Redacted
            }
            BlockStart::Media { .. } => {
                losses.add(format_args!("answer.content[{index}]"), "this API answers with text only");
                return;
            }
            BlockStart::Foreign(foreign) => {
                losses.add(
                    format_args!("answer.content[{index}].{}", foreign.kind),
                    "blocks of this type are not known to this gateway",
                );
                return;
            }
            BlockStart::ToolCall { id, name } => {
                let index = choice.tool_calls;
                choice.tool_calls = index.saturating_add(1);
                let is_custom = custom::is_custom(&request.tools, name);
                let called = Called::nothing(is_custom, Some(name));
                delta.tool_calls = Some([ToolCall {
                    index: Some(index),
                    id: Some(id),
                    kind: Some(called.kind()),
                    called,
                    extra_content: None,
                }]);
                BlockKind::ToolCall { index, has_arguments: false, custom: is_custom.then(String::new) }
            }
        };
        self.blocks.push(OpenBlock { index, choice: choice_index, kind });
        if delta.thinking_blocks.is_some() || delta.tool_calls.is_some() {
            self.content(choice_index, delta, out);
        }
    }

    fn block_delta(&mut self, index: u32, delta: &Delta, losses: &mut Losses, out: &mut Vec<u8>) {
        let Some(block) = self.blocks.iter_mut().rfind(|block| block.index == index) else { return };
        let choice = block.choice;
        let delta = match (delta, &mut block.kind) {
            (Delta::Text(text), BlockKind::Refusal) => {
                ChunkDelta { refusal: Some(text), ..ChunkDelta::default() }
            }
            (Delta::Text(text), _) => {
                if let Some(choice) = self.choice(choice) {
                    choice.text = choice.text.saturating_add(text.len());
                    choice.characters = choice.characters.saturating_add(text.chars().count());
                }
                ChunkDelta { content: Some(text), ..ChunkDelta::default() }
            }
            (Delta::Thinking(text), kind) => {
                if let BlockKind::Thinking { text: whole, .. } = kind {
                    whole.push_str(text);
                    self.held = self.held.saturating_add(text.len());
                }
                ChunkDelta { reasoning_content: Some(text), ..ChunkDelta::default() }
            }
            (Delta::Seal(by, more), BlockKind::Thinking { seal, .. } | BlockKind::Message { seal, .. }) => {
                let seal = seal.get_or_insert_with(|| Seal { by: *by, data: String::new() });
                seal.data.push_str(more);
                self.held = self.held.saturating_add(more.len());
                return;
            }
            (Delta::Seal(by, data), BlockKind::ToolCall { index, custom, .. }) => {
                let seal = Seal { by: *by, data: data.clone() };
                let Some(extra_content) = ExtraContent::of(&seal) else { return };
                let (index, called) = (*index, Called::nothing(custom.is_some(), None));
                return self.content(choice, call_delta(index, called, Some(extra_content)), out);
            }
            (Delta::Seal(..), _) => return,
            (Delta::Annotation(annotation), BlockKind::Message { before, .. }) => {
                let before = *before;
                let characters = self.choice(choice).map_or(0, |choice| choice.characters);
                let Some(citation) = UrlCitation::of(annotation, before, characters.saturating_sub(before))
                else {
                    return lose_source(index, losses);
                };
                ChunkDelta { annotations: Some([citation]), ..ChunkDelta::default() }
            }
            (Delta::Annotation(_), _) => return lose_source(index, losses),
            (Delta::Arguments(more), BlockKind::ToolCall { custom: Some(arguments), .. }) => {
                arguments.push_str(more);
                self.held = self.held.saturating_add(more.len());
                return;
            }
            (Delta::Arguments(arguments), BlockKind::ToolCall { index, has_arguments, .. }) => {
                *has_arguments = true;
                arguments_delta(*index, arguments)
            }
            (Delta::Arguments(_), _) => return,
        };
        self.content(choice, delta, out);
    }

    fn block_stop(&mut self, index: u32, out: &mut Vec<u8>) {
        let Some(position) = self.blocks.iter().rposition(|block| block.index == index) else { return };
        let block = self.blocks.remove(position);
        self.held = self.held.saturating_sub(block.kind.held());
        match block.kind {
            BlockKind::ToolCall { index, custom: Some(arguments), .. } => {
                let called = Called::Custom(Custom { name: None, input: custom::input(&arguments) });
                self.content(block.choice, call_delta(index, called, None), out);
            }
            // Clients parse the arguments of a finished call, and nothing is not JSON.
            BlockKind::ToolCall { index, has_arguments: false, .. } => {
                self.content(block.choice, arguments_delta(index, "{}"), out);
            }
            BlockKind::Thinking { text, seal, place } => {
                let Some(choice) = self.choice(block.choice) else { return };
                let signature = seal.as_ref().filter(|seal| !seal.data.is_empty()).map(Marked);
                let thought = choice.thinking_block(Thought::Thinking { thinking: &text, signature }, place);
                let delta = ChunkDelta { thinking_blocks: Some([thought]), ..ChunkDelta::default() };
                self.content(block.choice, delta, out);
            }
            BlockKind::Message { seal: Some(seal), .. } => {
                let Some(choice) = self.choice(block.choice) else { return };
                let place = choice.place();
                let signature = Some(Marked(&seal));
                let thought = choice.thinking_block(Thought::Thinking { thinking: "", signature }, place);
                let delta = ChunkDelta { thinking_blocks: Some([thought]), ..ChunkDelta::default() };
                self.content(block.choice, delta, out);
            }
            BlockKind::Message { .. }
            | BlockKind::Redacted
            | BlockKind::Refusal
            | BlockKind::ToolCall { .. } => {}
        }
    }

    fn end(&mut self, losses: &mut Losses, out: &mut Vec<u8>) {
        self.choice(0);
        for (index, choice) in std::mem::take(&mut self.choices).iter().enumerate() {
            let delta = if choice.has_role {
                ChunkDelta::default()
            } else {
                ChunkDelta { role: Some("assistant"), content: Some(""), ..ChunkDelta::default() }
            };
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let reason = finish_reason(&choice.finish_reason, losses);
            self.chunk(index, &delta, None, Some(reason), out);
        }
        if self.asked.request.include_usage {
            let usage = CompletionUsage::from(self.usage);
            out.extend_from_slice(self.head());
            out.extend_from_slice(b"],\"usage\":");
            write_json(out, &usage);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.is_closed = true;
    }

    /// A chunk that carries content; the first one of a choice also says whose it is.
    fn content(&mut self, choice: u32, delta: ChunkDelta<'_>, out: &mut Vec<u8>) {
        self.said(choice, delta, None, out);
    }

    /// The same, with the log probabilities of what comes next.
    fn said(
        &mut self,
        choice: u32,
        mut delta: ChunkDelta<'_>,
        logprobs: Option<&Logprobs<'_>>,
        out: &mut Vec<u8>,
    ) {
        if let Some(choice) = self.choice(choice)
            && !choice.has_role
        {
            choice.has_role = true;
            delta.role = Some("assistant");
        }
        self.chunk(choice, &delta, logprobs, None, out);
    }

    fn chunk(
        &mut self,
        choice: u32,
        delta: &impl Serialize,
        logprobs: Option<&Logprobs<'_>>,
        finish_reason: Option<&'static str>,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(self.head());
        out.extend_from_slice(b"{\"index\":");
        write_json(out, &choice);
        out.extend_from_slice(b",\"delta\":");
        write_json(out, delta);
        match logprobs {
            None => out.extend_from_slice(b",\"logprobs\":null"),
            Some(logprobs) => {
                out.extend_from_slice(b",\"logprobs\":");
                write_json(out, logprobs);
            }
        }
        out.extend_from_slice(b",\"finish_reason\":");
        write_json(out, &finish_reason);
        out.extend_from_slice(b"}]}\n\n");
    }

    fn head(&mut self) -> &[u8] {
        let Asked { id, model, created, .. } = &self.asked;
        self.head.get_or_insert_with(|| {
            let mut head = b"data: {\"id\":".to_vec();
            write_json(&mut head, id);
            head.extend_from_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
            write_json(&mut head, created);
            head.extend_from_slice(b",\"model\":");
            write_json(&mut head, model);
            if let Some(tier) = &self.service_tier {
                head.extend_from_slice(b",\"service_tier\":");
                write_json(&mut head, tier);
            }
            head.extend_from_slice(b",\"choices\":[");
            head
        })
    }

    fn choice(&mut self, index: u32) -> Option<&mut Choice> {
        let index = usize::try_from(index).ok().filter(|index| *index < MAX_OPEN)?;
        if self.choices.len() <= index {
            self.choices.resize_with(index.saturating_add(1), Choice::default);
        }
        self.choices.get_mut(index)
    }
}

impl Choice {
    /// Where a thought that begins now is.
    fn place(&self) -> Place {
        Place { after_text: self.text, after_calls: self.tool_calls }
    }

    fn thinking_block<'a>(&mut self, thought: Thought<'a>, place: Place) -> ThinkingBlock<'a> {
        let index = self.thinking_blocks;
        self.thinking_blocks = index.saturating_add(1);
        ThinkingBlock { index: Some(index), thought, place }
    }
}

fn arguments_delta(index: u32, arguments: &str) -> ChunkDelta<'_> {
    call_delta(index, Called::Function(Function { name: None, arguments }), None)
}

/// What is new of a call.
fn call_delta<'a>(index: u32, called: Called<'a>, extra_content: Option<ExtraContent<'a>>) -> ChunkDelta<'a> {
    let call = ToolCall { index: Some(index), id: None, kind: None, called, extra_content };
    ChunkDelta { tool_calls: Some([call]), ..ChunkDelta::default() }
}
