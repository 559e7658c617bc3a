//! The conversation as turns of two, with each call's result behind it.
//!
//! Gemini pairs calls and results by their order and wants as many results as there were calls, in the turn behind
//! them. Clients leave other histories behind: an interrupted tool, a user who typed meanwhile, a history cut to fit.
//!
//! * A result that comes later is moved behind its call.
//! * A call that has none gets one that says so, as an error. Where nothing follows the call, its tool was forgotten:
//!   that is the client's to hear.
//! * A result that no call waits for is left out. As a user's text it would be more than it was.

use std::borrow::Cow;
use std::collections::HashMap;

use super::model::Model;
use super::part::{self, own_seal};
use super::rules::{self, NO_SIGNATURE, Rule};
use super::types::{Content, FunctionCall, FunctionResponse, KnownPart, Outcome, Part, SystemInstruction};
use crate::chat::{self, Losses, Message, Role, Seal};
use crate::error::{Error, Result};
use crate::wire::fields::Path;
use crate::wire::raw::{self, Changed};

/// Stands where a user said nothing.
const NOTHING_SAID: &str = "(no message)";

/// What a call without a result gets.
const NO_RESULT: &str = "(no result)";

/// The system prompt, which Gemini keeps apart, and the rest of the conversation.
///
/// # Errors
///
/// 422 for a conversation that says nothing or ends with a call, and for a file that only another provider has.
pub(super) fn encode<'a>(
    messages: &'a [Message],
    model: Model,
    losses: &mut Losses,
) -> Result<(Option<SystemInstruction<'a>>, Vec<Content<'a>>)> {
    let mut system = Vec::new();
    let mut turns = Turns { model, turns: Vec::new(), calls: Vec::new(), waiting: HashMap::new() };
    for (index, message) in messages.iter().enumerate() {
        let path = Path::At(&Path::Root, message.origin);
        if message.name.is_some() {
            losses.add(Path::Key(&path, "name"), "speakers have no names at Gemini");
        }
        match message.role {
            Role::System | Role::Developer => {
                let before = system.len();
                instructions(&path, message, &mut system, losses);
                if !turns.turns.is_empty() && system.len() > before {
                    losses.add(path, Rule::InstructionsMoved);
                }
            }
            Role::User => turns.user(&path, message, losses)?,
            Role::Assistant => turns.model(&path, index, message, losses)?,
        }
    }
    let mut contents = turns.finish(messages, losses)?;
    if contents.is_empty() {
        if system.is_empty() {
            return Err(Error::unprocessable(
                "invalid request body: messages: there is nothing in them to answer",
            ));
        }
        losses.add("messages", Rule::NoMessage);
        contents.push(Content { role: USER, parts: std::mem::take(&mut system) });
    }
    Ok(((!system.is_empty()).then_some(SystemInstruction { parts: system }), contents))
}

const USER: &str = "user";
const MODEL: &str = "model";

fn instructions<'a>(path: &Path<'_>, message: &'a Message, system: &mut Vec<Part<'a>>, losses: &mut Losses) {
    for part in &message.content {
        match &part.content {
            chat::Content::Text { text, .. } if text.is_empty() => {}
            chat::Content::Text { text, .. } => system.push(Part::text(text.as_str())),
            _ => losses.add(Path::At(path, part.origin), "Gemini takes texts only for its instructions"),
        }
    }
}

/// The conversation while it is put together.
struct Turns<'a> {
    model: Model,
    turns: Vec<Turn<'a>>,
    calls: Vec<Call<'a>>,
    /// The calls that wait for a result, by name; the one to be answered next is the last.
    waiting: HashMap<&'a str, Vec<usize>>,
}

/// What one of the two says. A user's begins with the results of the calls before it.
struct Turn<'a> {
    role: &'static str,
    results: Vec<Option<Vec<Part<'a>>>>,
    parts: Vec<Part<'a>>,
}

struct Call<'a> {
    id: &'a str,
    name: &'a str,
    /// The turn that its result is in, and where in it.
    turn: usize,
    slot: usize,
    is_answered: bool,
    /// The message and the part of it that it is.
    message: usize,
    part: chat::Origin,
}

impl<'a> Turns<'a> {
    /// The turn of `role` that goes on, or a new one.
    fn turn(&mut self, role: &'static str) -> Option<&mut Turn<'a>> {
        if self.turns.last().is_none_or(|turn| turn.role != role) {
            self.turns.push(Turn { role, results: Vec::new(), parts: Vec::new() });
        }
        self.turns.last_mut()
    }

    fn user(&mut self, path: &Path<'_>, message: &'a Message, losses: &mut Losses) -> Result<()> {
        let mut is_empty = true;
        for part in &message.content {
            let at = Path::At(path, part.origin);
            if let chat::Content::ToolResult { call_id, content, is_error } = &part.content {
                self.result(&at, call_id, content, *is_error, losses)?;
                is_empty = false;
            } else if let Some(part) = part::encode(&at, part, self.model, losses)? {
                is_empty = false;
                if let Some(turn) = self.turn(USER) {
                    turn.parts.push(part);
                }
            }
        }
        if is_empty {
            losses.add(path, "an empty message");
        }
        Ok(())
    }

    fn model(
        &mut self,
        path: &Path<'_>,
        index: usize,
        message: &'a Message,
        losses: &mut Losses,
    ) -> Result<()> {
        let mut parts = Vec::with_capacity(message.content.len());
        let first = self.calls.len();
        for part in &message.content {
            let at = Path::At(path, part.origin);
            if let chat::Content::ToolCall { id, name, arguments } = &part.content {
                let seal = own_seal(&at, part, losses);
                parts.push(self.call(&at, id, name, arguments, seal, losses));
                let (id, _) = Seal::of_id(id);
                let slot = self.calls.len().saturating_sub(first);
                let call =
                    Call { id, name, turn: 0, slot, is_answered: false, message: index, part: part.origin };
                self.calls.push(call);
            } else {
                parts.extend(part::encode(&at, part, self.model, losses)?);
            }
        }
        if parts.is_empty() {
            losses.add(path, "an empty message");
            return Ok(());
        }
        if let Some(turn) = self.turn(MODEL) {
            turn.parts.extend(parts);
        }
        let count = self.calls.len().saturating_sub(first);
        if count > 0 {
            let results = (0..count).map(|_| None).collect();
            let turn = self.turns.len();
            self.turns.push(Turn { role: USER, results, parts: Vec::new() });
            for (call, known) in self.calls.iter_mut().enumerate().skip(first).rev() {
                known.turn = turn;
                self.waiting.entry(known.id).or_default().push(call);
            }
        }
        Ok(())
    }

    fn call(
        &self,
        path: &Path<'_>,
        id: &'a str,
        name: &'a str,
        arguments: &'a str,
        seal: Option<&'a str>,
        losses: &mut Losses,
    ) -> Part<'a> {
        let (args, changed) = raw::arguments(arguments);
        let rule = changed.map(|changed| match changed {
            Changed::NoObject => Rule::Arguments,
            Changed::HalfCharacter => Rule::HalfCharacter,
        });
        if let Some(rule) = rule {
            losses.add(Path::Key(path, "arguments"), rule);
        }
        let (id, _) = Seal::of_id(id);
        let id = Some(id).filter(|id| self.model.is_newest() && !id.is_empty());
        let call = FunctionCall { id, name: rules::tool_name(name), args };
        let thought_signature = seal.map(Cow::Borrowed);
        KnownPart { function_call: Some(call), thought_signature, ..KnownPart::default() }.into()
    }

    fn result(
        &mut self,
        path: &Path<'_>,
        call_id: &'a str,
        content: &'a [chat::Part],
        is_error: Option<bool>,
        losses: &mut Losses,
    ) -> Result<()> {
        let (id, _) = Seal::of_id(call_id);
        let index = self.waiting.get_mut(id).and_then(Vec::pop);
        let Some((index, call)) = index.and_then(|index| Some((index, self.calls.get(index)?))) else {
            losses.add(path, Rule::ResultUnasked);
            return Ok(());
        };
        let (name, turn, slot) = (call.name, call.turn, call.slot);
        if self.turns.len() > turn.saturating_add(1) {
            losses.add(path, Rule::ResultMoved);
        }
        let parts = self.response(path, id, name, content, is_error, losses)?;
        let place = self.turns.get_mut(turn).and_then(|turn| turn.results.get_mut(slot));
        if let Some(place) = place {
            *place = Some(parts);
        }
        if let Some(call) = self.calls.get_mut(index) {
            call.is_answered = true;
        }
        Ok(())
    }

    /// The result, and beside it what a result of this model has no place for.
    fn response(
        &self,
        path: &Path<'_>,
        id: &'a str,
        name: &'a str,
        content: &'a [chat::Part],
        is_error: Option<bool>,
        losses: &mut Losses,
    ) -> Result<Vec<Part<'a>>> {
        let mut text = Cow::Borrowed("");
        let (mut inside, mut beside) = (Vec::new(), Vec::new());
        for part in content {
            let at = Path::At(path, part.origin);
            match &part.content {
                chat::Content::Text { text: more, .. } | chat::Content::Refusal(more) => {
                    append(&mut text, Cow::Borrowed(more));
                }
                chat::Content::Media { source: chat::Source::Text(more), name, .. } => {
                    append(&mut text, chat::Source::titled(name.as_deref(), more));
                }
                chat::Content::Media { kind, .. } => {
                    let is_seen = matches!(kind, chat::MediaKind::Image | chat::MediaKind::Document);
                    let list = if self.model.is_newest() && is_seen { &mut inside } else { &mut beside };
                    list.extend(part::encode(&at, part, self.model, losses)?);
                }
                chat::Content::Foreign(foreign) => {
                    losses.add(at, format!("only its own provider understands {}", foreign.kind));
                }
                _ => losses.add(at, "not known in a result"),
            }
        }
        let response = if is_error == Some(true) { Outcome::Error(text) } else { Outcome::Output(text) };
        let mut parts = vec![self.function_response(id, name, response, inside)];
        parts.append(&mut beside);
        Ok(parts)
    }

    fn function_response(
        &self,
        id: &'a str,
        name: &'a str,
        response: Outcome<'a>,
        parts: Vec<Part<'a>>,
    ) -> Part<'a> {
        let id = Some(id).filter(|id| self.model.is_newest() && !id.is_empty());
        let response = FunctionResponse { id, name: rules::tool_name(name), response, parts };
        KnownPart { function_response: Some(response), ..KnownPart::default() }.into()
    }

    fn finish(mut self, messages: &[Message], losses: &mut Losses) -> Result<Vec<Content<'a>>> {
        for call in self.calls.iter().filter(|call| !call.is_answered) {
            let origin = messages.get(call.message).map(|message| message.origin).unwrap_or_default();
            let path = Path::At(&Path::Root, origin);
            let path = Path::At(&path, call.part);
            if call.message.saturating_add(1) == messages.len() {
                return Err(path.unprocessable("there is no result of this call, and Gemini wants one"));
            }
            losses.add(path, Rule::ResultMissing);
            let response = Outcome::Error(Cow::Borrowed(NO_RESULT));
            let part = self.function_response(call.id, call.name, response, Vec::new());
            let place = self.turns.get_mut(call.turn).and_then(|turn| turn.results.get_mut(call.slot));
            if let Some(place) = place {
                *place = Some(vec![part]);
            }
        }
        let mut contents: Vec<Content<'a>> = Vec::with_capacity(self.turns.len().saturating_add(1));
        for turn in self.turns {
            let (results, mut beside): (Vec<_>, Vec<_>) =
                turn.results.into_iter().flatten().flatten().partition(is_result);
            let mut parts = results;
            parts.append(&mut beside);
            parts.extend(turn.parts);
            contents.push(Content { role: turn.role, parts });
        }
        for content in contents.iter_mut().filter(|content| content.role == MODEL) {
            if self.model.is_newest() {
                sign_first_call(&mut content.parts);
            }
        }
        let begins_with_call = |content: &Content<'_>| content.parts.iter().any(is_call);
        if contents.first().is_some_and(|first| first.role == MODEL && begins_with_call(first)) {
            losses.add("messages", Rule::CallFirst);
            contents.insert(0, Content { role: USER, parts: vec![Part::text(NOTHING_SAID)] });
        }
        Ok(contents)
    }
}

/// Texts are lines of one.
fn append<'a>(text: &mut Cow<'a, str>, more: Cow<'a, str>) {
    if text.is_empty() {
        *text = more;
    } else {
        let text = text.to_mut();
        text.push('\n');
        text.push_str(&more);
    }
}

fn is_call(part: &Part<'_>) -> bool {
    matches!(part, Part::Known(part) if part.function_call.is_some())
}

fn is_result(part: &Part<'_>) -> bool {
    matches!(part, Part::Known(part) if part.function_response.is_some())
}

/// The first call of a step has the signature, and must have one:
/// <https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thought-signatures>.
fn sign_first_call(parts: &mut [Part<'_>]) {
    let calls = parts.iter_mut().filter_map(|part| match part {
        Part::Known(part) if part.function_call.is_some() => Some(part),
        _ => None,
    });
    if let Some(first) = calls.into_iter().next() {
        first.thought_signature.get_or_insert(Cow::Borrowed(NO_SIGNATURE));
    }
}
