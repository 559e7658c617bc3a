//! `contents`: the turns of a conversation, from Gemini's words.
//!
//! Clients that keep a stream as it came have a turn in as many pieces: they become one again, and so do its texts and
//! thoughts. What is lost of such a turn is told as of its first piece.
//!
//! Calls may have no names. Each gets one, and a result without one answers the first call of its tool that waits.

use std::collections::{HashMap, VecDeque};

use super::names::fields;
use super::part::{Decoded, decode_part};
use crate::chat::{Content, Extra, Family, Losses, Message, Origin, Part, Role};
use crate::error::Result;
use crate::wire::fields::Path;
use crate::wire::json::Json;

/// `systemInstruction`, which is a content of its own.
pub(super) fn instructions(
    path: &Path<'_>,
    content: Json<'_>,
    losses: &mut Losses,
) -> Result<Option<Message>> {
    // Google takes a mere text as well.
    if let Json::String(text) = content {
        let origin = Origin { member: "systemInstruction", index: None };
        let part = Part { origin: Origin { member: "", index: None }, ..Part::text(text) };
        return Ok(Some(Message { origin, ..Message::new(Role::System, vec![part]) }));
    }
    let mut content = fields(path, content)?;
    content.take("role");
    let parts = parts(path, content.list("parts")?, losses)?;
    let extra = content.extra(Family::Google);
    let parts: Vec<Part> = parts.into_iter().map(|decoded| decoded.part).filter(says_something).collect();
    if parts.is_empty() {
        return Ok(None);
    }
    let origin = Origin { member: "systemInstruction", index: None };
    Ok(Some(Message { origin, extra, ..Message::new(Role::System, parts) }))
}

fn parts(path: &Path<'_>, list: Vec<Json<'_>>, losses: &mut Losses) -> Result<Vec<Decoded>> {
    let place = Path::Key(path, "parts");
    let mut parts = Vec::with_capacity(list.len());
    for (index, part) in list.into_iter().enumerate() {
        let mut decoded = decode_part(&Path::Index(&place, index), part, losses)?;
        decoded.part.origin = Origin::new("parts", index);
        parts.push(decoded);
    }
    Ok(parts)
}

/// An empty text says nothing, unless what stands beside it does.
fn says_something(part: &Part) -> bool {
    match &part.content {
        Content::Text { text, .. } | Content::Thinking { text } => {
            !text.is_empty() || part.seal.is_some() || part.extra.is_some()
        }
        _ => true,
    }
}

/// The conversation while it is read.
#[derive(Default)]
pub(super) struct Turns {
    messages: Vec<Message>,
    waiting: Waiting,
}

/// The calls that wait for a result, found by name and by tool without a look at the others.
#[derive(Default)]
struct Waiting {
    /// What the conversation calls each of them; `None`: it has its result.
    calls: Vec<Option<String>>,
    /// Where those of a name, or of a tool, are in `calls`; of some the result is there.
    by_id: HashMap<String, VecDeque<usize>>,
    by_tool: HashMap<String, VecDeque<usize>>,
}

impl Waiting {
    fn call(&mut self, id: &str, tool: &str) {
        let position = self.calls.len();
        self.calls.push(Some(id.to_owned()));
        self.by_id.entry(id.to_owned()).or_default().push_back(position);
        self.by_tool.entry(tool.to_owned()).or_default().push_back(position);
    }

    /// The call that this is the result of: the first of that name, or else of that tool.
    fn answered(&mut self, id: &str, tool: &str) -> Option<String> {
        let first = |queue: Option<&mut VecDeque<usize>>, calls: &mut Vec<Option<String>>| {
            let queue = queue?;
            while let Some(position) = queue.pop_front() {
                let waiting = calls.get_mut(position).and_then(Option::take);
                if waiting.is_some() {
                    return waiting;
                }
            }
            None
        };
        let named = first(self.by_id.get_mut(id), &mut self.calls);
        named.or_else(|| first(self.by_tool.get_mut(tool), &mut self.calls))
    }
}

impl Turns {
    /// Adds `contents[index]`.
    pub(super) fn content(
        &mut self,
        path: &Path<'_>,
        index: usize,
        content: Json<'_>,
        losses: &mut Losses,
    ) -> Result<()> {
        let mut content = fields(path, content)?;
        let role = match content.string("role")?.as_deref() {
            None | Some("" | "user" | "function" | "tool") => Role::User,
            Some("model") => Role::Assistant,
            Some("system") => Role::System,
            Some(other) => {
                return Err(content
                    .path("role")
                    .unprocessable(format_args!("role {other:?} is not supported")));
            }
        };
        let list = content.list("parts")?;
        let extra = content.extra(Family::Google);
        let mut said = Vec::with_capacity(list.len());
        for decoded in parts(path, list, losses)? {
            said.push(self.named(index, decoded));
        }
        self.say(role, index, said, extra);
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<Message> {
        self.messages
    }

    /// The part with a name for the call that it is or answers.
    fn named(&mut self, content: usize, decoded: Decoded) -> Part {
        let Decoded { mut part, answers } = decoded;
        match &mut part.content {
            Content::ToolCall { id, name, .. } => {
                if id.is_empty() {
                    *id = unnamed(content, part.origin);
                }
                self.waiting.call(id, name);
            }
            Content::ToolResult { call_id, .. } => {
                if let Some(id) = self.waiting.answered(call_id, &answers) {
                    *call_id = id;
                } else if call_id.is_empty() {
                    *call_id = unnamed(content, part.origin);
                }
            }
            _ => {}
        }
        part
    }

    /// Adds what one side says: behind what the model said before, if it goes on.
    fn say(&mut self, role: Role, index: usize, said: Vec<Part>, extra: Option<Box<Extra>>) {
        let goes_on = role == Role::Assistant && extra.is_none();
        let turn = self.messages.last_mut().filter(|turn| goes_on && turn.role == role);
        let mut message = match turn {
            Some(_) => self.messages.pop(),
            None => None,
        }
        .unwrap_or_else(|| Message {
            origin: Origin::new("contents", index),
            ..Message::new(role, Vec::new())
        });
        for part in said.into_iter().filter(says_something) {
            if role != Role::Assistant {
                message.content.push(part);
            } else if let Some(part) = joined(message.content.last_mut(), part) {
                message.content.push(part);
            }
        }
        message.extra = message.extra.or(extra);
        if !message.content.is_empty() {
            self.messages.push(message);
        }
    }
}

/// What a call without a name is called, by where it stands.
fn unnamed(content: usize, part: Origin) -> String {
    format!("call_{content}_{}", part.index.unwrap_or_default())
}

/// Puts a text behind the text before it and a thought behind the thought, unless a signature says that this one was
/// whole, or something else is said of one of them. `None`: it is there now.
fn joined(before: Option<&mut Part>, part: Part) -> Option<Part> {
    let goes_on =
        |before: &&mut Part| before.seal.is_none() && before.extra.is_none() && part.extra.is_none();
    let Some(before) = before.filter(goes_on) else { return Some(part) };
    match (&mut before.content, &part.content) {
        (Content::Text { text, .. }, Content::Text { text: more, .. })
        | (Content::Thinking { text }, Content::Thinking { text: more }) => text.push_str(more),
        _ => return Some(part),
    }
    before.seal = part.seal;
    None
}
