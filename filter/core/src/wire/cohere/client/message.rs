//! One message of a client's request, from Cohere's words.

use crate::chat::{Content, Family, Losses, Message, Origin, Part, Role, Seal};
use crate::error::Result;
use crate::wire::fields::{Fields, Path};
use crate::wire::json::Json;
use crate::wire::openai_chat::{FUNCTION, decode_image, decode_tool_call, says_error};

use super::document::text_of;

/// The types of blocks that a message of each role may have.
const SYSTEM: &[&str] = &["text"];
const USER: &[&str] = &["text", "image_url"];
const ASSISTANT: &[&str] = &["text", "thinking"];
const TOOL: &[&str] = &["text", "document"];

/// Where a message that is a text has it.
const CONTENT: Origin = Origin { member: "content", index: None };

/// Where an assistant's message has its plan to call tools.
const PLAN: Origin = Origin { member: "tool_plan", index: None };

/// Reads one element of `messages`.
pub(in crate::wire::cohere) fn decode_message(
    path: &Path<'_>,
    message: Json<'_>,
    losses: &mut Losses,
) -> Result<Message> {
    let mut fields = Fields::new(path, message)?;
    let role = fields.required_text("role")?;
    let mut message = match &*role {
        "system" => Message::new(Role::System, required_content(&mut fields, SYSTEM, losses)?),
        "user" => Message::new(Role::User, required_content(&mut fields, USER, losses)?),
        "assistant" => Message::new(Role::Assistant, assistant(&mut fields, losses)?),
        "tool" => Message::new(Role::User, vec![result(&mut fields, losses)?]),
        other => {
            return Err(fields.path("role").unprocessable(format_args!("role {other:?} is not supported")));
        }
    };
    message.extra = fields.extra(Family::Cohere);
    Ok(message)
}

/// What an assistant says in the order in which models say it: thoughts, text, the plan to call tools, and the calls.
fn assistant(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Vec<Part>> {
    let mut said = content(fields, ASSISTANT, losses)?.unwrap_or_default();
    let plan = fields.string("tool_plan")?.filter(|plan| !plan.is_empty());
    said.extend(plan.map(|plan| Part { origin: PLAN, ..Part::thinking(plan, None) }));
    let calls = fields.list("tool_calls")?;
    let list = fields.path("tool_calls");
    for (index, call) in calls.into_iter().enumerate() {
        let call = decode_tool_call(&Path::Index(&list, index), call, &[FUNCTION], losses)?;
        said.push(Part { origin: Origin::new("tool_calls", index), ..call });
    }
    if !fields.list("citations")?.is_empty() {
        losses.add(fields.path("citations"), "the text goes without its sources");
    }
    Ok(said)
}

fn result(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Part> {
    let call_id = fields.required_text("tool_call_id")?;
    let call_id = Seal::of_id(&call_id).0.to_owned();
    let content = required_content(fields, TOOL, losses)?;
    let is_error = says_error(&content).then_some(true);
    // It is the message: what is inside of it has the message's own members.
    Ok(Part::new(Content::ToolResult { call_id, content, is_error }))
}

fn required_content(fields: &mut Fields<'_>, kinds: &[&str], losses: &mut Losses) -> Result<Vec<Part>> {
    content(fields, kinds, losses)?.ok_or_else(|| fields.missing("content"))
}

/// A message's `content`, a text or a list of blocks of these types.
fn content(fields: &mut Fields<'_>, kinds: &[&str], losses: &mut Losses) -> Result<Option<Vec<Part>>> {
    let content = fields.take("content");
    let path = fields.path("content");
    match content {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(vec![Part { origin: CONTENT, ..Part::text(text) }])),
        Some(Json::Array(blocks)) => {
            let blocks = blocks.into_iter().enumerate().map(|(index, block)| {
                let part = decode_block(&Path::Index(&path, index), block, kinds, losses)?;
                Ok(Part { origin: Origin::new(CONTENT.member, index), ..part })
            });
            blocks.collect::<Result<_>>().map(Some)
        }
        Some(_) => Err(path.malformed("expected a string or a list of blocks")),
    }
}

fn decode_block(path: &Path<'_>, block: Json<'_>, kinds: &[&str], losses: &mut Losses) -> Result<Part> {
    let mut fields = Fields::new(path, block)?;
    let kind = fields.required_text("type")?;
    let content = match kinds.iter().find(|known| **known == kind).copied() {
        Some("text") => Content::text(fields.required_string("text")?),
        Some("thinking") => Content::Thinking { text: fields.required_string("thinking")? },
        Some("image_url") => decode_image(&mut fields, losses)?,
        Some("document") => {
            let document = fields.take("document").ok_or_else(|| fields.missing("document"))?;
            Content::text(text_of(&fields.path("document"), document, losses)?)
        }
        _ => {
            let path = fields.path("type");
            return Err(path.unprocessable(format_args!("content of type {kind:?} is not supported here")));
        }
    };
    Ok(Part { extra: fields.extra(Family::Cohere), ..Part::new(content) })
}
