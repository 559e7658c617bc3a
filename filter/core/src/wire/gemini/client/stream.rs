//! A streamed answer, in Gemini's words: each event is a whole `GenerateContentResponse` with the next parts.
//!
//! What there is of a text or a thought goes out at once. A call goes when it is whole: its arguments are an object.
//! The last response has the reason of every candidate's end, and the usage.

use std::borrow::Cow;

use super::super::answer::{MAX_CANDIDATES, reason_of};
use super::super::api::API;
use super::super::types::{KnownPart, Part};
use super::super::usage::UsageMetadata;
use super::reply::{call, citation, medium, own_part, sealed, thought};
use super::types::{Beside, Candidate, Citation, Own, Response};
use crate::chat::{Annotation, BlockStart, Delta, Event, Extra, FinishReason, Losses, Seal, TokenLogprob};
use crate::error::{Error, Result};
use crate::usage::Usage;
use crate::wire::api::{Api as _, hold};
use crate::wire::{Asked, EventWriter, write_json};

/// Blocks that may be open at once. A provider that goes beyond does not follow its API.
const MAX_OPEN: usize = 256;

/// Writes one answer as server-sent events.
#[derive(Debug)]
pub(super) struct Writer {
    asked: Asked,
    is_closed: bool,
    open: Vec<Open>,
    choices: Vec<State>,
    /// Bytes that are held.
    held: usize,
    usage: Usage,
    service_tier: Option<String>,
}

/// A block that is not complete.
#[derive(Debug)]
struct Open {
    index: u32,
    choice: usize,
    kind: Kind,
    seal: Option<Seal>,
}

#[derive(Debug)]
enum Kind {
    Text,
    Thinking,
    ToolCall {
        id: String,
        name: String,
        arguments: String,
    },
    /// It has gone.
    Told,
}

/// What is told at the end of a choice.
#[derive(Debug, Default)]
struct State {
    reason: FinishReason,
    is_begun: bool,
    is_refused: bool,
    extras: Vec<Extra>,
    /// With the block that each is of.
    annotations: Vec<(u32, Annotation)>,
    /// Of the text that comes next.
    logprobs: Vec<TokenLogprob>,
}

impl EventWriter for Writer {
    fn event(&mut self, event: &Event, losses: &mut Losses, out: &mut Vec<u8>) {
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

impl Writer {
    pub(super) fn new(asked: &Asked) -> Self {
        Self {
            asked: asked.clone(),
            is_closed: false,
            open: Vec::new(),
            choices: Vec::new(),
            held: 0,
            usage: Usage::default(),
            service_tier: None,
        }
    }

    fn tell(&mut self, event: &Event, losses: &mut Losses, out: &mut Vec<u8>) -> Result<()> {
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
                self.block_start(*index, *choice, block, losses, out)?;
            }
            Event::BlockDelta { index, delta } => self.block_delta(*index, delta, out)?,
            Event::BlockStop { index } => {
                if let Some(position) = self.open.iter().rposition(|open| open.index == *index) {
                    let open = self.open.remove(position);
                    self.complete(&open, losses, out);
                }
            }
            Event::Usage(usage) => self.usage.merge(*usage),
            Event::Finish { choice, reason } => self.choice(*choice)?.reason = reason.clone(),
            Event::Logprobs { choice, tokens } => {
                self.choice(*choice)?.logprobs.extend(tokens.iter().cloned());
                hold(&mut self.held, TokenLogprob::sizes(tokens))?;
            }
            Event::ServiceTier(tier) => self.service_tier = Some(tier.clone()),
            Event::Extra { choice, extra } => {
                self.choice(*choice)?.extras.push(extra.clone());
                hold(&mut self.held, extra.size())?;
            }
            Event::Ping => out.extend_from_slice(API.sign_of_life()),
            Event::Error(error) => self.fail(error, out),
            Event::End => self.end(losses, out),
        }
        Ok(())
    }

    /// What is known of the choice `index`.
    fn choice(&mut self, index: u32) -> Result<&mut State> {
        let too_many = || Error::bad_answer("the backend has too many candidates");
        let position = usize::try_from(index).ok().filter(|_| index < MAX_CANDIDATES).ok_or_else(too_many)?;
        if self.choices.len() <= position {
            self.choices.resize_with(position.saturating_add(1), State::default);
        }
        self.choices.get_mut(position).ok_or_else(too_many)
    }

    fn block_start(
        &mut self,
        index: u32,
        choice: u32,
        block: &BlockStart,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let state = self.choice(choice)?;
        state.is_begun = true;
        state.is_refused |= matches!(block, BlockStart::Refusal);
        if self.open.len() >= MAX_OPEN {
            return Err(Error::bad_answer("the backend has too many blocks open at once"));
        }
        let choice = usize::try_from(choice).unwrap_or_default();
        let position = usize::try_from(index).unwrap_or(usize::MAX);
        let kind = match block {
            BlockStart::Text | BlockStart::Refusal => Kind::Text,
            BlockStart::Thinking => Kind::Thinking,
            BlockStart::ToolCall { id, name } => {
                Kind::ToolCall { id: id.clone(), name: name.clone(), arguments: String::new() }
            }
            BlockStart::RedactedThinking(seal) => {
                self.write(choice, vec![sealed(thought(None), Some(seal))], &[], out);
                Kind::Told
            }
            BlockStart::Media { kind, source } => {
                if let Some(known) = medium(position, *kind, source, None, losses) {
                    self.write(choice, vec![known.into()], &[], out);
                }
                Kind::Told
            }
            BlockStart::Foreign(foreign) => {
                if let Some(part) = own_part(position, foreign, losses) {
                    self.write(choice, vec![part], &[], out);
                }
                Kind::Told
            }
        };
        self.open.push(Open { index, choice, kind, seal: None });
        Ok(())
    }

    fn block_delta(&mut self, index: u32, delta: &Delta, out: &mut Vec<u8>) -> Result<()> {
        let Some(block) = self.open.iter_mut().rfind(|open| open.index == index) else { return Ok(()) };
        let choice = block.choice;
        match (delta, &mut block.kind) {
            (Delta::Text(text), Kind::Text) if !text.is_empty() => {
                let logprobs = self.choices.get_mut(choice).map(|state| std::mem::take(&mut state.logprobs));
                let logprobs = logprobs.unwrap_or_default();
                self.held = self.held.saturating_sub(TokenLogprob::sizes(&logprobs));
                self.write(choice, vec![Part::text(text.as_str())], &logprobs, out);
            }
            (Delta::Thinking(text), Kind::Thinking) if !text.is_empty() => {
                self.write(choice, vec![thought(Some(text)).into()], &[], out);
            }
            (Delta::Arguments(piece), Kind::ToolCall { arguments, .. }) => {
                arguments.push_str(piece);
                hold(&mut self.held, piece.len())?;
            }
            (Delta::Seal(by, data), _) => {
                let seal = block.seal.get_or_insert_with(|| Seal { by: *by, data: String::new() });
                seal.data.push_str(data);
                hold(&mut self.held, data.len())?;
            }
            (Delta::Annotation(annotation), Kind::Text) => {
                if let Some(state) = self.choices.get_mut(choice) {
                    state.annotations.push((index, (**annotation).clone()));
                }
                hold(&mut self.held, annotation.size())?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Writes what waited for the end of a block.
    fn complete(&mut self, open: &Open, losses: &mut Losses, out: &mut Vec<u8>) {
        let seal = open.seal.as_ref();
        let freed = seal.map_or(0, |seal| seal.data.len());
        let (part, freed) = match &open.kind {
            Kind::Text => {
                let empty = || KnownPart { text: Some(Cow::Borrowed("")), ..KnownPart::default() };
                (seal.map(|seal| sealed(empty(), Some(seal))), freed)
            }
            Kind::Thinking => (seal.map(|seal| sealed(thought(Some("")), Some(seal))), freed),
            Kind::ToolCall { id, name, arguments } => {
                let position = usize::try_from(open.index).unwrap_or(usize::MAX);
                let part = call(position, id, name, arguments, seal, losses);
                (Some(part), freed.saturating_add(arguments.len()))
            }
            Kind::Told => (None, freed),
        };
        self.held = self.held.saturating_sub(freed);
        if let Some(part) = part {
            self.write(open.choice, vec![part], &[], out);
        }
    }

    fn write(&self, choice: usize, parts: Vec<Part<'_>>, logprobs: &[TokenLogprob], out: &mut Vec<u8>) {
        let beside = Beside { logprobs, ..Beside::default() };
        self.write_response(vec![Candidate::new(choice, parts, beside)], None, None, out);
    }

    fn write_response(
        &self,
        candidates: Vec<Candidate<'_>>,
        prompt_feedback: Option<&serde_json::value::RawValue>,
        usage_metadata: Option<UsageMetadata>,
        out: &mut Vec<u8>,
    ) {
        let response = Response {
            candidates,
            prompt_feedback,
            usage_metadata,
            model_version: &self.asked.model,
            response_id: &self.asked.id,
        };
        out.extend_from_slice(b"data: ");
        write_json(out, &response);
        out.extend_from_slice(b"\n\n");
    }

    fn end(&mut self, losses: &mut Losses, out: &mut Vec<u8>) {
        for open in std::mem::take(&mut self.open) {
            self.complete(&open, losses, out);
        }
        if self.choices.is_empty() {
            self.choices.push(State::default());
        }
        let mut prompt_feedback = None;
        let mut candidates = Vec::with_capacity(self.choices.len());
        for (index, state) in self.choices.iter().enumerate() {
            let mut own = Own::default();
            for extra in &state.extras {
                own.extend(Own::of(Some(extra), losses));
            }
            let (own, feedback) = own.split();
            prompt_feedback = prompt_feedback.or(feedback);
            if feedback.is_some() && !state.is_begun {
                continue;
            }
            let finish = Some(reason_of(&state.reason, state.is_refused));
            let beside =
                Beside { finish, citations: citations(state, losses), logprobs: &state.logprobs, own };
            candidates.push(Candidate::new(index, Vec::new(), beside));
        }
        let usage = UsageMetadata::of(&self.usage, self.service_tier.as_deref());
        self.write_response(candidates, prompt_feedback, Some(usage), out);
        self.is_closed = true;
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        out.extend(API.error_event(error));
        self.is_closed = true;
    }
}

/// The sources. The text that they are of has gone, and with it how many bytes their places are.
fn citations<'a>(state: &'a State, losses: &mut Losses) -> Vec<Citation<'a>> {
    let mut citations = Vec::new();
    for (index, annotation) in &state.annotations {
        let position = usize::try_from(*index).unwrap_or(usize::MAX);
        let told = citation(position, annotation, None, losses);
        if matches!(told, Some(Citation::Known { .. })) && annotation.span.is_some() {
            let path = format_args!("answer.content[{position}].citations.startIndex");
            losses.add(path, "in a stream sources come without their place in the text");
        }
        citations.extend(told);
    }
    citations
}
