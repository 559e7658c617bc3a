//! The conversation of a client's request, from Responses' words: one item after the other, where others have messages.

use std::borrow::Cow;

use super::content::{decode_content, foreign, kind_of};
use super::seals;
use crate::chat::{Content, Extra, Family, Losses, Message, Origin, Part, Role, Seal};
use crate::error::Result;
use crate::wire::fields::{Fields, Path};
use crate::wire::json::Json;
use crate::wire::openai::custom;
use crate::wire::openai_chat::says_error;

/// Reads `input`, a string or a list of items, which stands behind `messages`.
pub(super) fn decode_input(
    path: &Path<'_>,
    input: Json<'_>,
    messages: Vec<Message>,
    losses: &mut Losses,
) -> Result<Vec<Message>> {
    let mut said = Said { messages, has_text: false, has_call: false };
    match input {
        Json::String(text) => {
            let part = Part { origin: Origin::default(), ..Part::text(text) };
            said.push(Message { origin: INPUT, ..Message::new(Role::User, vec![part]) });
        }
        Json::Array(items) => {
            for (index, item) in items.into_iter().enumerate() {
                decode_item(&Path::Index(path, index), index, item, &mut said, losses)?;
            }
        }
        _ => return Err(path.malformed("expected a string or a list of items")),
    }
    Ok(said.messages)
}

/// The conversation while it is read.
struct Said {
    messages: Vec<Message>,
    /// What the assistant's last message has, if it is the last one: a long one is not looked through for each item.
    has_text: bool,
    has_call: bool,
}

/// Where what is said is, without a place of its own.
const INPUT: Origin = Origin { member: "input", index: None };

fn decode_item(
    path: &Path<'_>,
    index: usize,
    item: Json<'_>,
    said: &mut Said,
    losses: &mut Losses,
) -> Result<()> {
    let kind = match kind_of(path, &item)? {
        Some(kind) => kind,
        None if item.get("role").is_some() => Cow::Borrowed("message"),
        None if item.get("id").is_some() => Cow::Borrowed("item_reference"),
        None => return Err(Path::Key(path, "type").malformed("field is required")),
    };
    let part = match &*kind {
        "message" => return decode_message(path, index, item, said, losses),
        "function_call" => Some((Role::Assistant, decode_call(path, item, "arguments")?)),
        "custom_tool_call" => Some((Role::Assistant, decode_call(path, item, "input")?)),
        "function_call_output" | "custom_tool_call_output" => {
            Some((Role::User, decode_output(path, item, losses)?))
        }
        "reasoning" => decode_reasoning(path, item, losses)?.map(|thought| (Role::Assistant, thought)),
        "item_reference" => {
            return Err(path.refused(
                "nothing is kept of what this model says: send the item itself, as clients do with store false",
            ));
        }
        "compaction" | "compaction_trigger" => {
            return Err(path.refused("only its own provider makes and reads what stands for a conversation"));
        }
        _ => {
            let by_client = kind.ends_with("_output") || kind == "mcp_approval_response";
            let role = if by_client { Role::User } else { Role::Assistant };
            Some((role, Part::new(Content::Foreign(foreign(&kind, &item)))))
        }
    };
    match part {
        Some((Role::Assistant, part)) => said.by_assistant(index, vec![part], false),
        Some((role, part)) => {
            let origin = Origin::new(INPUT.member, index);
            said.push(Message { origin, ..Message::new(role, vec![part]) });
        }
        None => {}
    }
    Ok(())
}

impl Said {
    fn push(&mut self, message: Message) {
        (self.has_text, self.has_call) = (false, false);
        self.messages.push(message);
    }

    /// What the assistant said from one item to the next is one message: others want its calls together, and its
    /// thoughts with them. Two messages of its own, which may be of two turns, stay two.
    fn by_assistant(&mut self, index: usize, parts: Vec<Part>, is_message: bool) {
        let goes_on = self.messages.last().is_some_and(|last| last.role == Role::Assistant)
            && !(is_message && self.has_text && !self.has_call);
        if !goes_on {
            let last = self.messages.last_mut().filter(|last| last.role == Role::Assistant);
            let thoughts = last.map(thoughts_of_next).unwrap_or_default();
            self.push(Message { origin: INPUT, ..Message::new(Role::Assistant, thoughts) });
        }
        for part in &parts {
            self.has_text |= matches!(part.content, Content::Text { .. } | Content::Refusal(_));
            self.has_call |= matches!(part.content, Content::ToolCall { .. });
        }
        let origin = Origin { member: "", index: Some(index) };
        if let Some(last) = self.messages.last_mut() {
            last.content.extend(parts.into_iter().map(|part| Part { origin, ..part }));
        }
    }
}

/// The thoughts at the end of a message behind which another one begins: they are of that one.
fn thoughts_of_next(message: &mut Message) -> Vec<Part> {
    let is_thought = |part: &Part| match &part.content {
        // The seal of a text stands behind it as a thought that says nothing; only Google seals texts.
        Content::Thinking { text } if text.is_empty() => {
            part.seal.as_ref().is_some_and(|seal| seal.by != Family::Google)
        }
        Content::Thinking { .. } | Content::RedactedThinking => true,
        _ => false,
    };
    let last = message.content.iter().rposition(|part| !is_thought(part));
    message.content.split_off(last.map_or(0, |last| last.saturating_add(1)))
}

fn decode_message(
    path: &Path<'_>,
    index: usize,
    message: Json<'_>,
    said: &mut Said,
    losses: &mut Losses,
) -> Result<()> {
    let mut fields = item(path, message)?;
    let role = match &*fields.required_text("role")? {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        "developer" => Role::Developer,
        other => {
            return Err(fields.path("role").unprocessable(format_args!("role {other:?} is not supported")));
        }
    };
    let content = fields.take("content").ok_or_else(|| fields.missing("content"))?;
    let mut parts = decode_content(&fields.path("content"), content, "content", losses)?;
    let id = fields.string("id")?;
    if role != Role::Assistant {
        let origin = Origin::new(INPUT.member, index);
        said.push(Message { origin, extra: fields.extra(Family::OpenAi), ..Message::new(role, parts) });
        return Ok(());
    }
    if let Some(first) = parts.first_mut() {
        first.id = id;
        // Such as its phase.
        let members = fields.extra(Family::OpenAi).into_iter().flat_map(|extra| extra.members);
        first.extra = with_members(first.extra.take(), members);
    }
    said.by_assistant(index, parts, true);
    Ok(())
}

fn with_members(
    extra: Option<Box<Extra>>,
    members: impl Iterator<Item = (String, String)>,
) -> Option<Box<Extra>> {
    let mut members = members.peekable();
    if members.peek().is_none() {
        return extra;
    }
    let mut extra = extra.unwrap_or_else(|| Box::new(Extra { family: Family::OpenAi, members: Vec::new() }));
    extra.members.extend(members);
    Some(extra)
}

/// An item without what every item may have: how far its answer had come is nothing to a model.
fn item<'p>(path: &'p Path<'p>, item: Json<'p>) -> Result<Fields<'p>> {
    let mut fields = Fields::new(path, item)?;
    fields.take("type");
    fields.take("status");
    Ok(fields)
}

fn decode_call(path: &Path<'_>, call: Json<'_>, said_in: &str) -> Result<Part> {
    let mut fields = item(path, call)?;
    let call_id = fields.required_text("call_id")?;
    let name = fields.required_string("name")?;
    let said = fields.required_string(said_in)?;
    let arguments = if said_in == "input" { custom::arguments(&said) } else { said };
    let id = fields.string("id")?;
    let (name_of_call, seal) = Seal::of_id(&call_id);
    let call = Content::ToolCall { id: name_of_call.to_owned(), name, arguments };
    Ok(Part { id, seal, extra: fields.extra(Family::OpenAi), ..Part::new(call) })
}

fn decode_output(path: &Path<'_>, output: Json<'_>, losses: &mut Losses) -> Result<Part> {
    let mut fields = item(path, output)?;
    let call_id = fields.required_text("call_id")?;
    let call_id = Seal::of_id(&call_id).0.to_owned();
    let output = fields.take("output").ok_or_else(|| fields.missing("output"))?;
    let content = decode_content(&fields.path("output"), output, "output", losses)?;
    let is_error = says_error(&content).then_some(true);
    let id = fields.string("id")?;
    // The call says it already.
    fields.take("name");
    let result = Content::ToolResult { call_id, content, is_error };
    Ok(Part { id, extra: fields.extra(Family::OpenAi), ..Part::new(result) })
}

/// A thought: its summary, or what was thought itself.
fn decode_reasoning(path: &Path<'_>, reasoning: Json<'_>, losses: &mut Losses) -> Result<Option<Part>> {
    let mut fields = item(path, reasoning)?;
    let id = fields.string("id")?;
    let (summary, content) = (texts(&mut fields, "summary")?, texts(&mut fields, "content")?);
    let text = if summary.is_empty() {
        content.concat()
    } else {
        if !content.is_empty() {
            losses.add(fields.path("content"), "the summary says it");
        }
        summary.join("\n\n")
    };
    let encrypted = fields.string("encrypted_content")?;
    let thought = seals::of_client(&fields.path("encrypted_content"), text, encrypted, losses);
    fields.finish(losses);
    Ok(thought.map(|thought| Part { id, ..thought }))
}

fn texts(fields: &mut Fields<'_>, member: &str) -> Result<Vec<String>> {
    let list = fields.list(member)?;
    let path = fields.path(member);
    list.into_iter()
        .enumerate()
        .map(|(index, part)| Fields::new(&Path::Index(&path, index), part)?.required_string("text"))
        .collect()
}
