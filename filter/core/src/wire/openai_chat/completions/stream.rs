//! A streamed completion: each chunk is a completion with the next piece of the text.

use super::super::encode::lose_source;
use super::answer::{Choice, Completion, Logprobs, finish_reason, lose_block, lose_signature, lose_thought};
use crate::chat::{BlockStart, Delta, Event, FinishReason, Losses};
use crate::usage::Usage;
use crate::wire::api::Api as _;
use crate::wire::openai::API;
use crate::wire::openai_chat::{lose_extra, lose_tier};
use crate::wire::{Asked, EventWriter, write_json};

/// Blocks that may be open at once, and choices of one answer. A provider that goes beyond does not follow its API,
/// and what goes beyond is left out.
const MAX_OPEN: usize = 256;

/// Writes one answer as server-sent events. It always ends in one of two ways: the reasons, usage if the client asked
/// for it, `[DONE]`; or an error.
#[derive(Debug)]
pub(super) struct Writer {
    asked: Asked,
    /// The texts that grow: the block, and the choice that it is of.
    texts: Vec<(u32, usize)>,
    choices: Vec<State>,
    usage: Usage,
    is_closed: bool,
}

/// What is known of one element of `choices`.
#[derive(Debug, Default)]
struct State {
    /// Characters of the tokens that were told.
    offset: usize,
    reason: FinishReason,
}

impl EventWriter for Writer {
    fn event(&mut self, event: &Event, losses: &mut Losses, out: &mut Vec<u8>) {
        if !self.is_closed {
            self.tell(event, losses, out);
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
            texts: Vec::new(),
            choices: Vec::new(),
            usage: Usage::default(),
            is_closed: false,
        }
    }

    fn tell(&mut self, event: &Event, losses: &mut Losses, out: &mut Vec<u8>) {
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
                self.block_start(*index, *choice, block, losses);
            }
            Event::BlockDelta { index, delta } => self.block_delta(*index, delta, losses, out),
            Event::BlockStop { index } => self.texts.retain(|(open, _)| open != index),
            Event::Usage(usage) => self.usage.merge(*usage),
            Event::Finish { choice, reason } => {
                if let Some((_, state)) = self.choice(*choice) {
                    state.reason = reason.clone();
                }
            }
            Event::Logprobs { choice, tokens } => {
                if let Some((index, state)) = self.choice(*choice)
                    && let Some(logprobs) = Logprobs::of(tokens, &mut state.offset)
                {
                    self.write(
                        Choice { index, text: "", logprobs: Some(logprobs), finish_reason: None },
                        out,
                    );
                }
            }
            Event::ServiceTier(tier) => lose_tier(tier, losses),
            Event::Extra { extra, .. } => lose_extra("answer", Some(extra), losses),
            Event::Ping => out.extend_from_slice(API.sign_of_life()),
            Event::Error(error) => {
                out.extend(API.error_event(error));
                self.is_closed = true;
            }
            Event::End => self.end(losses, out),
        }
    }

    fn block_start(&mut self, index: u32, choice: u32, block: &BlockStart, losses: &mut Losses) {
        let Some((choice, _)) = self.choice(choice) else { return };
        match block {
            BlockStart::Text | BlockStart::Refusal if self.texts.len() < MAX_OPEN => {
                self.texts.push((index, choice));
            }
            BlockStart::Text | BlockStart::Refusal => {}
            BlockStart::Thinking | BlockStart::RedactedThinking(_) => lose_thought(index, losses),
            BlockStart::ToolCall { .. } | BlockStart::Media { .. } | BlockStart::Foreign(_) => {
                lose_block(index, losses);
            }
        }
    }

    fn block_delta(&mut self, index: u32, delta: &Delta, losses: &mut Losses, out: &mut Vec<u8>) {
        let Some((_, choice)) = self.texts.iter().rfind(|(open, _)| *open == index) else { return };
        match delta {
            Delta::Text(text) if !text.is_empty() => {
                self.write(Choice { index: *choice, text, logprobs: None, finish_reason: None }, out);
            }
            Delta::Annotation(_) => lose_source(index, losses),
            Delta::Seal(..) => lose_signature(index, losses),
            Delta::Text(_) | Delta::Thinking(_) | Delta::Arguments(_) => {}
        }
    }

    fn end(&mut self, losses: &mut Losses, out: &mut Vec<u8>) {
        self.choice(0);
        for (index, state) in std::mem::take(&mut self.choices).iter().enumerate() {
            let reason = Some(finish_reason(&state.reason, losses));
            self.write(Choice { index, text: "", logprobs: None, finish_reason: reason }, out);
        }
        if self.asked.request.include_usage {
            let completion = self.completion(Vec::new());
            write(&Completion { usage: Some(self.usage.into()), ..completion }, out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.is_closed = true;
    }

    fn write(&self, choice: Choice<'_>, out: &mut Vec<u8>) {
        write(&self.completion(vec![choice]), out);
    }

    fn completion<'a>(&'a self, choices: Vec<Choice<'a>>) -> Completion<'a> {
        Completion::new(&self.asked.id, &self.asked.model, self.asked.created, choices)
    }

    /// The choice `index`, and what is known of it.
    fn choice(&mut self, index: u32) -> Option<(usize, &mut State)> {
        let index = usize::try_from(index).ok().filter(|index| *index < MAX_OPEN)?;
        if self.choices.len() <= index {
            self.choices.resize_with(index.saturating_add(1), State::default);
        }
        Some((index, self.choices.get_mut(index)?))
    }
}

fn write(completion: &Completion<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    write_json(out, completion);
    out.extend_from_slice(b"\n\n");
}
