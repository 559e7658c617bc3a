//! A streamed answer, from the words of chat completions.

use super::answer::{Answer, Call, Choice, Message, annotations, filtered, finish_reason, images, logprobs};
use super::calls::{Calls, Numbers};
use super::reply::{NAMELESS, picture};
use super::servers::tool_name;
use crate::chat::{BlockStart, Delta, Event, FinishReason, Losses, MediaKind};
use crate::error::{Error, Result};
use crate::wire::error::event_error;
use crate::wire::names::StandIns;
use crate::wire::usage::openai_usage;
use crate::wire::{Asked, EventReader};

/// Choices of one answer, as many as OpenAI gives.
const MAX_CHOICES: u64 = 128;

/// Reads the chunks of one answer.
#[derive(Debug)]
pub(super) struct Reader {
    stand_ins: StandIns,
    /// How many choices were asked for.
    asked_choices: usize,
    numbers: Numbers,
    /// In the order in which they came.
    choices: Vec<OpenChoice>,
    service_tier: Option<String>,
    is_started: bool,
    is_closed: bool,
    /// The client was told that it gets no sound.
    has_lost_sound: bool,
}

#[derive(Debug)]
struct OpenChoice {
    index: u32,
    /// The block that grows, unless it is a call.
    block: Option<(u32, Kind)>,
    calls: Calls,
    finish_reason: Option<FinishReason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Refusal,
}

impl EventReader for Reader {
    fn event(&mut self, _: Option<&str>, data: &[u8], losses: &mut Losses, out: &mut Vec<Event>) {
        let data = data.trim_ascii();
        if self.is_closed || data.is_empty() {
            return;
        }
        let read = match data {
            b"[DONE]" => self.done(out),
            data => self.chunk(data, losses, out),
        };
        for call in self.numbers.nameless.drain(..) {
            losses.add(format_args!("answer.tool_calls[{call}]"), NAMELESS);
        }
        if let Err(error) = read {
            self.fail(error, out);
        }
    }

    /// Servers that are not OpenAI's may leave out `[DONE]`; when each choice has said why it ended, that says as much.
    fn finish(&mut self, out: &mut Vec<Event>) {
        if self.is_closed {
            return;
        }
        let finished = self.choices.iter().filter(|choice| choice.finish_reason.is_some()).count();
        let ended = if finished == self.choices.len() && finished >= self.asked_choices {
            self.done(out)
        } else {
            Err(Error::bad_answer("the backend's stream ended before its answer was complete"))
        };
        if let Err(error) = ended {
            self.fail(error, out);
        }
    }
}

impl Reader {
    pub(super) fn new(asked: &Asked) -> Self {
        Self {
            stand_ins: StandIns::by(&asked.request.tools, tool_name),
            asked_choices: usize::try_from(asked.request.n.unwrap_or(1)).unwrap_or(usize::MAX).max(1),
            numbers: Numbers::new(&asked.id),
            choices: Vec::new(),
            service_tier: None,
            is_started: false,
            is_closed: false,
            has_lost_sound: false,
        }
    }

    fn chunk(&mut self, data: &[u8], losses: &mut Losses, out: &mut Vec<Event>) -> Result<()> {
        if let Some(error) = event_error(data) {
            return Err(error);
        }
        let chunk: Answer<'_> = serde_json::from_slice(data).map_err(|error| {
            Error::bad_answer(format!(
                "the backend sent an event that is no chunk of a chat completion: {error}"
            ))
        })?;
        let choices = chunk.choices.unwrap_or_default();
        let usage = chunk.usage.map(|usage| openai_usage(usage.get().as_bytes()));
        let usage = usage.filter(|usage| !usage.is_empty());
        // Azure begins with what its filters say of the prompt, in a chunk that names nothing.
        let says_something =
            chunk.id.is_said() || chunk.service_tier.is_said() || usage.is_some() || !choices.is_empty();
        if !self.is_started && says_something {
            self.is_started = true;
            out.push(Event::Start { id: chunk.id.said(), model: chunk.model.said() });
        }
        if self.service_tier.as_deref() != Some(chunk.service_tier.as_str())
            && let Some(tier) = chunk.service_tier.said()
        {
            out.push(Event::ServiceTier(tier.clone()));
            self.service_tier = Some(tier);
        }
        for choice in choices {
            self.choice(choice, losses, out)?;
        }
        out.extend(usage.map(Event::Usage));
        Ok(())
    }

    fn choice(&mut self, wire: Choice<'_>, losses: &mut Losses, out: &mut Vec<Event>) -> Result<()> {
        let index = wire.index.get().unwrap_or(0);
        let index = u32::try_from(index).ok().filter(|_| index < MAX_CHOICES);
        let index =
            index.ok_or_else(|| Error::bad_answer("the backend gives more answers than there can be"))?;
        let position = self.choices.iter().position(|choice| choice.index == index).unwrap_or_else(|| {
            self.choices.push(OpenChoice {
                index,
                block: None,
                calls: Calls::default(),
                finish_reason: None,
            });
            self.choices.len().saturating_sub(1)
        });
        let Some(choice) = self.choices.get_mut(position) else { return Ok(()) };
        let numbers = &mut self.numbers;
        let tokens = logprobs(wire.logprobs);
        if !tokens.is_empty() {
            out.push(Event::Logprobs { choice: index, tokens });
        }
        if let Some(message) = wire.delta.or(wire.message) {
            let has_sound = choice.delta(message, numbers, &self.stand_ins, out)?;
            if has_sound && !std::mem::replace(&mut self.has_lost_sound, true) {
                losses.add("answer.audio", "the sound comes as its text");
            }
        }
        out.extend(filtered(wire.content_filter_results).map(|extra| Event::Extra { choice: index, extra }));
        let has_calls = !choice.calls.is_empty();
        if let Some(reason) = finish_reason(wire.finish_reason, wire.stop_reason, has_calls) {
            choice.close(numbers, out);
            choice.finish_reason.get_or_insert(reason);
        }
        Ok(())
    }

    /// The server's last word.
    fn done(&mut self, out: &mut Vec<Event>) -> Result<()> {
        if !self.is_started {
            return Err(Error::bad_answer("the backend's stream ended before its answer began"));
        }
        for mut choice in std::mem::take(&mut self.choices) {
            choice.close(&mut self.numbers, out);
            let usual = if choice.calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolCalls };
            let reason = choice.finish_reason.unwrap_or(usual);
            out.push(Event::Finish { choice: choice.index, reason });
        }
        self.is_closed = true;
        out.push(Event::End);
        Ok(())
    }

    fn fail(&mut self, error: Error, out: &mut Vec<Event>) {
        self.is_closed = true;
        out.push(Event::Error(error));
    }
}

impl OpenChoice {
    /// Takes what a chunk adds, in the order in which models say it. True if there is sound in it.
    fn delta(
        &mut self,
        mut message: Message<'_>,
        numbers: &mut Numbers,
        stand_ins: &StandIns,
        out: &mut Vec<Event>,
    ) -> Result<bool> {
        self.grow(Kind::Thinking, message.thoughts(), numbers, out);
        self.grow(Kind::Text, message.content.text, numbers, out);
        let mut has_sound = false;
        if let Some(audio) = message.audio {
            self.grow(Kind::Text, audio.transcript.said().unwrap_or_default(), numbers, out);
            has_sound = audio.data.said().is_some();
        }
        self.grow(Kind::Refusal, message.refusal.said().unwrap_or_default(), numbers, out);
        for annotation in annotations(message.annotations) {
            let index = self.open(Kind::Text, numbers, out);
            out.push(Event::BlockDelta { index, delta: Delta::Annotation(Box::new(annotation)) });
        }
        for url in images(message.images) {
            self.close(numbers, out);
            let index = numbers.block();
            let block = BlockStart::Media { kind: MediaKind::Image, source: picture(&url) };
            out.push(Event::BlockStart { index, choice: self.index, id: None, block });
            out.push(Event::BlockStop { index });
        }
        let older =
            message.function_call.map(|function| Call { function: Some(function), ..Call::default() });
        for call in message.tool_calls.unwrap_or_default().into_iter().chain(older) {
            self.stop(out);
            self.calls.piece(self.index, call, numbers, |name| stand_ins.resolve(name), out)?;
        }
        Ok(has_sound)
    }

    fn grow(&mut self, kind: Kind, text: String, numbers: &mut Numbers, out: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        let index = self.open(kind, numbers, out);
        let delta = if kind == Kind::Thinking { Delta::Thinking(text) } else { Delta::Text(text) };
        out.push(Event::BlockDelta { index, delta });
    }

    /// The block of this kind that grows, which is a new one if something else did.
    fn open(&mut self, kind: Kind, numbers: &mut Numbers, out: &mut Vec<Event>) -> u32 {
        if let Some((index, open)) = self.block
            && open == kind
        {
            return index;
        }
        self.close(numbers, out);
        let index = numbers.block();
        let block = match kind {
            Kind::Text => BlockStart::Text,
            Kind::Thinking => BlockStart::Thinking,
            Kind::Refusal => BlockStart::Refusal,
        };
        out.push(Event::BlockStart { index, choice: self.index, id: None, block });
        self.block = Some((index, kind));
        index
    }

    fn stop(&mut self, out: &mut Vec<Event>) {
        out.extend(self.block.take().map(|(index, _)| Event::BlockStop { index }));
    }

    /// Ends whatever grows.
    fn close(&mut self, numbers: &mut Numbers, out: &mut Vec<Event>) {
        self.stop(out);
        self.calls.finish(self.index, numbers, out);
    }
}
