//! An answer, in Responses' words: as a stream, or whole, which is what its stream would end with.

use super::events::{OfError, OfResponse};
use super::ids::Id;
use super::output::{AROUND, Block, Kind, Output, lose_signature, lose_source};
use super::types::{IncompleteDetails, Repeated, Response, incomplete_details, service_tier};
use crate::chat::{BlockStart, Delta, Event, FinishReason, Losses, Reply, Seal, TokenLogprob};
use crate::error::{Error, Result};
use crate::usage::Usage;
use crate::wire::api::Api as _;
use crate::wire::openai::API;
use crate::wire::openai_chat::lose_extra;
use crate::wire::{Asked, EventWriter, to_json};

/// Blocks that may be open at once. A provider that goes beyond does not follow its API.
const MAX_OPEN: usize = 256;

/// The most bytes of an answer: all of it is told once more at its end.
const MAX_HELD: usize = 32 << 20;

/// Writes a `response`. What `reply` leaves out comes from `asked`: strict SDKs reject an answer with holes.
#[must_use]
pub(super) fn encode_reply(asked: &Asked, reply: &Reply, losses: &mut Losses) -> Vec<u8> {
    let mut encoder = StreamEncoder::new(asked);
    encoder.output.events.is_mute = true;
    lose_extra("answer", reply.extra.as_deref(), losses);
    let mut tell = |event| encoder.event(&event, losses, &mut Vec::new());
    tell(Event::Start { id: reply.id.clone(), model: reply.model.clone() });
    reply.service_tier.clone().map(Event::ServiceTier).map(&mut tell);
    tell(Event::Usage(reply.usage));
    reply.events(tell);
    let incomplete = incomplete_details(&encoder.finish_reason, &mut Losses::default());
    let failure = encoder.failure();
    let status = if failure.is_some() { "failed" } else { ended(incomplete) };
    to_json(&encoder.response(status, incomplete, failure.as_ref(), losses))
}

/// Writes the events of one answer, each as soon as the gateway knows it.
///
/// The stream always ends in one of three ways: `response.completed`, `response.incomplete`, or `error` and
/// `response.failed`.
#[derive(Debug)]
pub(super) struct StreamEncoder {
    asked: Asked,
    output: Output,
    is_started: bool,
    is_closed: bool,
    /// Blocks that have not ended.
    blocks: Vec<Block>,
    finish_reason: FinishReason,
    usage: Usage,
    service_tier: Option<String>,
    /// Bytes of content so far.
    held: usize,
}

impl EventWriter for StreamEncoder {
    fn event(&mut self, event: &Event, losses: &mut Losses, out: &mut Vec<u8>) {
        if self.is_closed {
            return;
        }
        if let Err(error) = self.tell(event, losses, out) {
            self.fail(&error, losses, out);
        }
    }

    fn is_closed(&self) -> bool {
        self.is_closed
    }

    fn next_number(&self) -> Option<u64> {
        Some(self.output.events.next())
    }
}

/// How an answer ended.
fn ended(incomplete: Option<IncompleteDetails>) -> &'static str {
    if incomplete.is_some() { "incomplete" } else { "completed" }
}

impl StreamEncoder {
    /// An encoder for one answer.
    #[must_use]
    pub(super) fn new(asked: &Asked) -> Self {
        Self {
            asked: asked.clone(),
            output: Output::new(Id::new(asked, None), asked.request.clone()),
            is_started: false,
            is_closed: false,
            blocks: Vec::new(),
            finish_reason: FinishReason::Stop,
            usage: Usage::default(),
            service_tier: None,
            held: 0,
        }
    }

    fn tell(&mut self, event: &Event, losses: &mut Losses, out: &mut Vec<u8>) -> Result<()> {
        match event {
            Event::Start { id, model } => {
                if !self.is_started {
                    self.output.id = Id::new(&self.asked, id.as_deref());
                }
                if let Some(model) = model {
                    self.asked.model.clone_from(model);
                }
            }
            Event::BlockStart { choice: 0, index, block, .. } => {
                self.start(losses, out);
                self.block_start(*index, block, losses, out)?;
            }
            Event::BlockStart { choice, .. } => {
                losses.add(format_args!("answer.choices[{choice}]"), "clients of Responses get one answer");
            }
            Event::BlockDelta { index, delta } => self.block_delta(*index, delta, losses, out)?,
            Event::BlockStop { index } => {
                if let Some(position) = self.blocks.iter().rposition(|block| block.index == *index) {
                    let block = self.blocks.remove(position);
                    self.output.stop(block, losses, out);
                }
            }
            Event::Usage(usage) => self.usage.merge(*usage),
            Event::Finish { choice: 0, reason } => self.finish_reason = reason.clone(),
            Event::Finish { .. } => {}
            Event::Logprobs { choice: 0, tokens } => {
                self.output.told(tokens);
                self.hold(TokenLogprob::sizes(tokens))?;
            }
            Event::Logprobs { .. } => {}
            Event::ServiceTier(tier) => self.service_tier = Some(tier.clone()),
            Event::Extra { extra, .. } => lose_extra("answer", Some(extra), losses),
            Event::Ping => {
                self.start(losses, out);
                out.extend_from_slice(API.sign_of_life());
            }
            Event::Error(error) => self.fail(error, losses, out),
            Event::End => self.end(losses, out),
        }
        Ok(())
    }

    fn start(&mut self, losses: &mut Losses, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.is_started, true) || self.output.events.is_mute {
            return;
        }
        for kind in ["response.created", "response.in_progress"] {
            self.tell_response(kind, "in_progress", None, None, losses, out);
        }
    }

    fn block_start(
        &mut self,
        index: u32,
        block: &BlockStart,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let mut seal = None;
        let kind = match block {
            BlockStart::Text => Kind::Text,
            BlockStart::Refusal => Kind::Refusal,
            BlockStart::Thinking => Kind::Thinking,
            BlockStart::RedactedThinking(data) => {
                seal = Some(data.clone());
                Kind::Redacted
            }
            BlockStart::ToolCall { id, name } => Kind::Call { id: id.clone(), name: name.clone() },
            BlockStart::Media { .. } => {
                losses.add(format_args!("answer.content[{index}]"), "answers are text here");
                return Ok(());
            }
            BlockStart::Foreign(foreign) => {
                let path = format_args!("answer.content[{index}].{}", foreign.kind);
                losses.add(path, "blocks of this type are not known to OpenAI's clients");
                return Ok(());
            }
        };
        if self.blocks.len() >= MAX_OPEN {
            return Err(Error::bad_answer("the backend has too many blocks open at once"));
        }
        let is_redacted = matches!(kind, Kind::Redacted);
        let mut block = Block { index, kind, seal, item: None };
        if is_redacted {
            self.output.begin(&mut block, losses, out);
        }
        self.blocks.push(block);
        self.hold(AROUND)
    }

    fn block_delta(
        &mut self,
        index: u32,
        delta: &Delta,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let Some(position) = self.blocks.iter().rposition(|block| block.index == index) else {
            return Ok(());
        };
        // It goes back behind the others, of which only the index matters.
        let mut block = self.blocks.swap_remove(position);
        let held = match (delta, &block.kind) {
            (Delta::Text(text), Kind::Text | Kind::Refusal) => {
                self.output.text(&mut block, text, losses, out)
            }
            (Delta::Thinking(text), Kind::Thinking) => {
                self.output.thinking(&mut block, text, losses, out);
                text.len()
            }
            (Delta::Arguments(arguments), Kind::Call { .. }) => {
                self.output.arguments(&mut block, arguments, losses, out);
                arguments.len()
            }
            (Delta::Seal(by, data), kind) => {
                // The client has the id of the call already, and the seal is not in it.
                if matches!(kind, Kind::Call { .. }) && block.item.is_some() && block.seal.is_none() {
                    lose_signature(block.index, losses);
                }
                let seal = block.seal.get_or_insert_with(|| Seal { by: *by, data: String::new() });
                seal.data.push_str(data);
                data.len()
            }
            (Delta::Annotation(annotation), Kind::Text) => {
                self.output.annotation(&mut block, annotation, losses, out)
            }
            (Delta::Annotation(_), _) => {
                lose_source(block.index, losses);
                0
            }
            (Delta::Text(_) | Delta::Thinking(_) | Delta::Arguments(_), _) => 0,
        };
        self.blocks.push(block);
        self.hold(held)
    }

    fn end(&mut self, losses: &mut Losses, out: &mut Vec<u8>) {
        self.start(losses, out);
        self.blocks.sort_by_key(|block| block.index);
        for block in std::mem::take(&mut self.blocks) {
            self.output.stop(block, losses, out);
        }
        self.output.end(losses, out);
        if let Some(error) = self.failure() {
            self.output.complete("completed", out);
            return self.fail(&error, losses, out);
        }
        let incomplete = incomplete_details(&self.finish_reason, losses);
        let status = ended(incomplete);
        self.output.complete(status, out);
        self.is_closed = true;
        let kind = if incomplete.is_some() { "response.incomplete" } else { "response.completed" };
        self.tell_response(kind, status, incomplete, None, losses, out);
    }

    /// Why there is no answer, although the model has ended.
    fn failure(&self) -> Option<Error> {
        let is_nothing = self.finish_reason == FinishReason::Malformed && !self.output.is_said;
        is_nothing.then(|| Error::bad_answer("the model's provider could not read what the model said"))
    }

    fn fail(&mut self, error: &Error, losses: &mut Losses, out: &mut Vec<u8>) {
        self.start(losses, out);
        self.output.events.write("error", &OfError::from(error), out);
        self.tell_response("response.failed", "failed", None, Some(error), losses, out);
        self.is_closed = true;
    }

    fn tell_response(
        &mut self,
        kind: &str,
        status: &'static str,
        incomplete: Option<IncompleteDetails>,
        error: Option<&Error>,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) {
        if self.output.events.is_mute {
            return;
        }
        // It borrows what it tells of.
        let mut events = std::mem::take(&mut self.output.events);
        let response = self.response(status, incomplete, error, losses);
        events.write(kind, &OfResponse { response }, out);
        self.output.events = events;
    }

    fn response<'a>(
        &'a self,
        status: &'static str,
        incomplete_details: Option<IncompleteDetails>,
        error: Option<&'a Error>,
        losses: &mut Losses,
    ) -> Response<'a> {
        let is_over = status != "in_progress";
        // What is lost of it is lost once.
        let mut unheard = Losses::default();
        let losses = if is_over { losses } else { &mut unheard };
        Response {
            id: self.output.id.of_response(),
            object: "response",
            created_at: self.asked.created,
            status,
            background: false,
            error: error.map(Into::into),
            incomplete_details,
            model: &self.asked.model,
            output: self.output.complete_items(),
            previous_response_id: (),
            service_tier: self.service_tier.as_deref().and_then(|tier| service_tier(tier, losses)),
            store: false,
            truncation: "disabled",
            usage: is_over.then(|| self.usage.into()),
            repeated: Repeated(&self.asked.request.repeated),
        }
    }

    /// So many more bytes are held.
    fn hold(&mut self, bytes: usize) -> Result<()> {
        self.held = self.held.saturating_add(bytes);
        if self.held > MAX_HELD && !self.output.events.is_mute {
            return Err(Error::bad_answer("the backend's answer is longer than this gateway holds"));
        }
        Ok(())
    }
}
