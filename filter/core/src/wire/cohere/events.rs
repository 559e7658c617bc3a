//! A streamed answer, from Cohere's words: <https://docs.cohere.com/docs/streaming>.
//!
//! The `type` inside an event decides what it is. Blocks of content come one after the other; so do calls of tools, of
//! which each piece says by its index which it is of.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{Block, Call, Cited, Function, Logprob, citation, finish_reason};
use super::reply::{NAMELESS, NOT_OF_TEXT};
use crate::chat::{BlockStart, Delta, Event, Losses};
use crate::error::{Error, Result};
use crate::wire::error::event_error;
use crate::wire::openai::chat::call_id;
use crate::wire::usage::cohere_usage;
use crate::wire::{Asked, EventReader};

/// Calls that may be open at once. Cohere opens one after the other.
const MAX_OPEN: usize = 64;

/// Why a block is not told.
const UNKNOWN: &str = "blocks of this type are not known to this gateway";

/// Reads the events of one answer.
#[derive(Debug)]
pub(super) struct Reader {
    /// What the answer is called, where its calls have no names.
    answer: String,
    is_started: bool,
    is_closed: bool,
    /// Blocks so far.
    blocks: u32,
    /// Calls so far, those that name no tool included.
    calls: usize,
    /// One of them names its tool.
    has_calls: bool,
    /// The text or thought that grows.
    open: Option<(u32, Kind)>,
    /// The calls that do, by the provider's index and their block; those that name no tool have none.
    open_calls: Vec<(u64, Option<u32>)>,
    /// Citations so far.
    citations: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    /// The plan to call tools, which is a thought.
    Plan,
}

/// An event of any type: which members it has depends on `kind`.
#[derive(Deserialize)]
struct WireEvent<'a> {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<WireDelta<'a>>,
    #[serde(default)]
    logprobs: Option<Logprob>,
    /// Of an error, which is no event of theirs.
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireDelta<'a> {
    /// Which members it has depends on the event's type.
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    finish_reason: Option<String>,
    error: Option<String>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContentDelta {
    content: Option<Block>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PlanDelta {
    tool_plan: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CallDelta {
    tool_calls: Option<Call>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CitationDelta<'a> {
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
}

impl EventReader for Reader {
    fn event(&mut self, _: Option<&str>, data: &[u8], losses: &mut Losses, out: &mut Vec<Event>) {
        let data = data.trim_ascii();
        if self.is_closed || data.is_empty() || data == b"[DONE]" {
            return;
        }
        if let Err(error) = self.read(data, losses, out) {
            self.fail(error, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        if !self.is_closed {
            self.fail(Error::bad_answer("the backend's stream ended before its answer was complete"), out);
        }
    }
}

impl Reader {
    pub(super) fn new(asked: &Asked) -> Self {
        Self {
            answer: asked.id.clone(),
            is_started: false,
            is_closed: false,
            blocks: 0,
            calls: 0,
            has_calls: false,
            open: None,
            open_calls: Vec::new(),
            citations: 0,
        }
    }

    fn read(&mut self, data: &[u8], losses: &mut Losses, out: &mut Vec<Event>) -> Result<()> {
        if let Some(error) = event_error(data) {
            return Err(error);
        }
        let event: WireEvent<'_> = serde_json::from_slice(data).map_err(not_coheres)?;
        let Some(kind) = event.kind else {
            let message =
                event.message.and_then(|message| serde_json::from_str::<String>(message.get()).ok());
            return Err(match message {
                Some(message) => Error::provider(500, None, message),
                None => Error::bad_answer("the backend sent an event that does not say what it is"),
            });
        };
        let delta = event.delta.unwrap_or_default();
        match kind.as_str() {
            "message-start" => self.start(event.id, out),
            "content-start" => {
                let block = member::<ContentDelta>(delta.message)?.content.unwrap_or_default();
                self.stop(out);
                match block.kind.as_deref() {
                    None | Some("text" | "thinking") => self.grow(block, true, out),
                    Some(kind) => losses.add(format_args!("answer.content.{kind}"), UNKNOWN),
                }
            }
            "content-delta" => {
                let block = member::<ContentDelta>(delta.message)?.content.unwrap_or_default();
                let token = event.logprobs.filter(|_| block.text.is_some()).and_then(Logprob::token);
                out.extend(token.map(|token| Event::Logprobs { choice: 0, tokens: vec![token] }));
                self.grow(block, false, out);
            }
            // Citations of a text may follow.
            "content-end" if self.open.is_none_or(|(_, kind)| kind == Kind::Text) => {}
            "content-end" => self.stop(out),
            "tool-plan-delta" => {
                let plan = member::<PlanDelta>(delta.message)?.tool_plan.unwrap_or_default();
                if !plan.is_empty() {
                    let index = self.open(Kind::Plan, out);
                    out.push(Event::BlockDelta { index, delta: Delta::Thinking(plan) });
                }
            }
            "tool-call-start" => {
                let call = member::<CallDelta>(delta.message)?.tool_calls.unwrap_or_default();
                self.call_start(event.index.unwrap_or(0), call, losses, out)?;
            }
            "tool-call-delta" => {
                let call = member::<CallDelta>(delta.message)?.tool_calls.unwrap_or_default();
                self.call_delta(event.index.unwrap_or(0), call.function, out)?;
            }
            "tool-call-end" => self.call_end(event.index.unwrap_or(0), out),
            "citation-start" => {
                if let Some(raw) = member::<CitationDelta<'_>>(delta.message)?.citations {
                    self.cite(raw, losses, out);
                }
            }
            "message-end" => self.end(delta, out)?,
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, id: Option<String>, out: &mut Vec<Event>) {
        if !self.is_started {
            self.is_started = true;
            out.push(Event::Start { id: id.filter(|id| !id.is_empty()), model: None });
        }
    }

    /// A block of content, or a piece of one.
    fn grow(&mut self, block: Block, is_start: bool, out: &mut Vec<Event>) {
        let is_thought = block.kind.as_deref() == Some("thinking") || block.thinking.is_some();
        let kind = if is_thought { Kind::Thinking } else { Kind::Text };
        let piece = if is_thought { block.thinking } else { block.text };
        let piece = piece.filter(|piece| !piece.is_empty());
        if !is_start && piece.is_none() {
            return;
        }
        let index = self.open(kind, out);
        let delta = piece.map(if is_thought { Delta::Thinking } else { Delta::Text });
        out.extend(delta.map(|delta| Event::BlockDelta { index, delta }));
    }

    /// The block of this kind that grows, which is a new one if something else did.
    fn open(&mut self, kind: Kind, out: &mut Vec<Event>) -> u32 {
        if let Some((index, open)) = self.open
            && open == kind
        {
            return index;
        }
        self.close(out);
        let block = match kind {
            Kind::Text => BlockStart::Text,
            Kind::Thinking | Kind::Plan => BlockStart::Thinking,
        };
        let index = self.block(block, out);
        self.open = Some((index, kind));
        index
    }

    fn block(&mut self, block: BlockStart, out: &mut Vec<Event>) -> u32 {
        self.start(None, out);
        let index = self.blocks;
        self.blocks = index.saturating_add(1);
        out.push(Event::BlockStart { index, choice: 0, id: None, block });
        index
    }

    fn call_start(&mut self, wire: u64, call: Call, losses: &mut Losses, out: &mut Vec<Event>) -> Result<()> {
        let Function { name, arguments } = call.function.unwrap_or_default();
        self.stop(out);
        // The index is taken again without an end: the provider forgot it.
        self.call_end(wire, out);
        if self.open_calls.len() >= MAX_OPEN {
            return Err(Error::bad_answer("the backend has too many calls open at once"));
        }
        let number = self.calls;
        self.calls = number.saturating_add(1);
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            losses.add(format_args!("answer.tool_calls[{number}]"), NAMELESS);
            self.open_calls.push((wire, None));
            return Ok(());
        };
        self.has_calls = true;
        let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| call_id(&self.answer, number));
        let index = self.block(BlockStart::ToolCall { id, name }, out);
        self.open_calls.push((wire, Some(index)));
        let arguments = arguments.filter(|arguments| !arguments.is_empty());
        out.extend(
            arguments.map(|arguments| Event::BlockDelta { index, delta: Delta::Arguments(arguments) }),
        );
        Ok(())
    }

    fn call_delta(&mut self, wire: u64, function: Option<Function>, out: &mut Vec<Event>) -> Result<()> {
        let arguments = function.unwrap_or_default().arguments.unwrap_or_default();
        if arguments.is_empty() {
            return Ok(());
        }
        let Some((_, index)) = self.open_calls.iter().find(|(open, _)| *open == wire) else {
            return Err(Error::bad_answer("the backend sent arguments of a call that is not open"));
        };
        let delta = Delta::Arguments(arguments);
        out.extend(index.map(|index| Event::BlockDelta { index, delta }));
        Ok(())
    }

    fn call_end(&mut self, wire: u64, out: &mut Vec<Event>) {
        if let Some(position) = self.open_calls.iter().position(|(open, _)| *open == wire) {
            let (_, index) = self.open_calls.remove(position);
            out.extend(index.map(|index| Event::BlockStop { index }));
        }
    }

    fn cite(&mut self, raw: &RawValue, losses: &mut Losses, out: &mut Vec<Event>) {
        let number = self.citations;
        self.citations = number.saturating_add(1);
        match (citation(raw), self.open) {
            (Cited::Text(_, annotation), Some((index, Kind::Text))) => {
                out.push(Event::BlockDelta { index, delta: Delta::Annotation(annotation) });
            }
            _ => losses.add(format_args!("answer.citations[{number}]"), NOT_OF_TEXT),
        }
    }

    /// The provider's last word.
    fn end(&mut self, delta: WireDelta<'_>, out: &mut Vec<Event>) -> Result<()> {
        self.start(None, out);
        let usage = delta.usage.map(|usage| cohere_usage(usage.get().as_bytes()));
        out.extend(usage.filter(|usage| !usage.is_empty()).map(Event::Usage));
        let reason = finish_reason(delta.finish_reason, delta.error, self.has_calls)?;
        self.close(out);
        out.extend([Event::Finish { choice: 0, reason }, Event::End]);
        self.is_closed = true;
        Ok(())
    }

    /// Ends the text or thought that grows.
    fn stop(&mut self, out: &mut Vec<Event>) {
        out.extend(self.open.take().map(|(index, _)| Event::BlockStop { index }));
    }

    /// Ends whatever grows.
    fn close(&mut self, out: &mut Vec<Event>) {
        self.stop(out);
        let open = self.open_calls.drain(..).filter_map(|(_, index)| index);
        out.extend(open.map(|index| Event::BlockStop { index }));
    }

    fn fail(&mut self, error: Error, out: &mut Vec<Event>) {
        self.is_closed = true;
        out.push(Event::Error(error));
    }
}

fn member<'a, T: Default + Deserialize<'a>>(message: Option<&'a RawValue>) -> Result<T> {
    message.map_or_else(|| Ok(T::default()), |json| serde_json::from_str(json.get()).map_err(not_coheres))
}

fn not_coheres(error: serde_json::Error) -> Error {
    Error::bad_answer(format!("the backend sent an event that is not Cohere's: {error}"))
}
