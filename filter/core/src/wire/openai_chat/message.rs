//! One message of a client's request, from OpenAI's words.

use serde_json::Value;

use super::content::{Allowed, cache_control, decode_content, prefer};
use super::thoughts::{put_together, take_thoughts};
use crate::chat::{Content, Losses, Message, Part, Role};
use crate::error::Result;
use crate::wire::fields::{Fields, Path};

/// Reads one element of `messages`.
pub(super) fn decode_message(path: &Path<'_>, message: Value, losses: &mut Losses) -> Result<Message> {
    let mut fields = Fields::new(path, message)?;
    let role = fields.required_string("role")?;
    let message = match role.as_str() {
        "system" => decode_plain(&mut fields, Role::System, Allowed::Text, losses)?,
        "developer" => decode_plain(&mut fields, Role::Developer, Allowed::Text, losses)?,
        "user" => decode_plain(&mut fields, Role::User, Allowed::User, losses)?,
        "assistant" => decode_assistant(&mut fields, losses)?,
        "tool" => decode_tool_result(&mut fields, losses)?,
        other => {
            return Err(fields.path("role").unprocessable(format_args!("role {other:?} is not supported")));
        }
    };
    fields.finish(losses);
    Ok(message)
}

fn decode_plain(
    fields: &mut Fields<'_>,
    role: Role,
    allowed: Allowed,
    losses: &mut Losses,
) -> Result<Message> {
    let Some(content) = fields.take("content") else { return Err(fields.missing("content")) };
    let mut content = decode_content(&fields.path("content"), content, allowed, losses)?;
    mark_last(fields, &mut content, losses)?;
    Ok(Message { role, content, name: fields.string("name")? })
}

fn decode_assistant(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Message> {
    let thoughts = take_thoughts(fields, losses)?;
    let mut content = Vec::new();
    if let Some(text) = fields.take("content") {
        content.extend(decode_content(&fields.path("content"), text, Allowed::Assistant, losses)?);
    }
    content.extend(fields.string("refusal")?.map(|text| Part::new(Content::Refusal(text))));
    let mut calls = Vec::new();
    for (index, call) in fields.list("tool_calls")?.into_iter().enumerate() {
        let list = fields.path("tool_calls");
        calls.push(decode_tool_call(&Path::Index(&list, index), call, losses)?);
    }
    let mut content = put_together(thoughts, content, calls);
    mark_last(fields, &mut content, losses)?;
    Ok(Message { role: Role::Assistant, content, name: fields.string("name")? })
}

fn decode_tool_call(path: &Path<'_>, call: Value, losses: &mut Losses) -> Result<Part> {
    let mut fields = Fields::new(path, call)?;
    if let Some(kind) = fields.string("type")?
        && kind != "function"
    {
        let path = fields.path("type");
        return Err(path.unprocessable(format_args!("tool calls of type {kind:?} are not supported")));
    }
    let Some(id) = fields.string("id")? else {
        return Err(fields.path("id").unprocessable("field is required"));
    };
    let cache_control = cache_control(&mut fields, losses)?;
    let function = fields.take("function").ok_or_else(|| fields.missing("function"))?;
    let function_path = fields.path("function");
    let mut function = Fields::new(&function_path, function)?;
    let name = function.required_string("name")?;
    let arguments = function.string("arguments")?.unwrap_or_default();
    function.finish(losses);
    // Streaming clients that echo what they received leave the chunk's index in.
    fields.take("index");
    fields.finish(losses);
    Ok(Part { content: Content::ToolCall { id, name, arguments }, cache_control })
}

fn decode_tool_result(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Message> {
    let call_id = fields.required_string("tool_call_id")?;
    let Some(content) = fields.take("content") else { return Err(fields.missing("content")) };
    let mut content = decode_content(&fields.path("content"), content, Allowed::Text, losses)?;
    // A mark on its last part is one on the result. One further in stays there: what comes behind it may change.
    let last = content.last_mut().and_then(|part| part.cache_control.take());
    let mark = cache_control(fields, losses)?;
    let cache_control = prefer(mark, last, MESSAGES_OWN, &fields.path("content"), losses);
    let result = Content::ToolResult { call_id, content, is_error: None };
    // Older clients name the tool, which the call does already.
    fields.take("name");
    Ok(Message { role: Role::User, content: vec![Part { content: result, cache_control }], name: None })
}

/// Whose cache mark counts beside that of a message's last part.
const MESSAGES_OWN: &str = "the message's own cache_control";

/// A mark on a message is one on its last part.
fn mark_last(fields: &mut Fields<'_>, content: &mut [Part], losses: &mut Losses) -> Result<()> {
    let mark = cache_control(fields, losses)?;
    match (mark, content.last_mut()) {
        (None, _) => {}
        (Some(mark), Some(part)) => {
            part.cache_control =
                prefer(Some(mark), part.cache_control.take(), MESSAGES_OWN, &fields.path("content"), losses);
        }
        (Some(_), None) => {
            losses.add(fields.path("cache_control"), "there is nothing to cache in the message")
        }
    }
    Ok(())
}
