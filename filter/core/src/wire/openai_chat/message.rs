//! One message of a client's request, from OpenAI's words.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::content::{Allowed, cache_control, decode_content, prefer};
use super::decode::{CUSTOM, FUNCTION};
use super::thoughts::{put_together, take_thoughts};
use crate::chat::{Content, Family, Losses, Message, Origin, Part, Role, Seal};
use crate::error::Result;
use crate::wire::fields::{Fields, Path};
use crate::wire::json::Json;
use crate::wire::openai::custom;
use crate::wire::to_json;

/// Reads one element of `messages`.
pub(super) fn decode_message(path: &Path<'_>, message: Json<'_>, losses: &mut Losses) -> Result<Message> {
    let mut fields = Fields::new(path, message)?;
    let role = fields.required_text("role")?;
    let mut message = match &*role {
        "system" => decode_plain(&mut fields, Role::System, Allowed::Text, losses)?,
        "developer" => decode_plain(&mut fields, Role::Developer, Allowed::Text, losses)?,
        "user" => decode_plain(&mut fields, Role::User, Allowed::User, losses)?,
        "assistant" => decode_assistant(&mut fields, losses)?,
        "tool" => decode_tool_result(&mut fields, losses)?,
        other => {
            return Err(fields.path("role").unprocessable(format_args!("role {other:?} is not supported")));
        }
    };
    message.extra = fields.extra(Family::OpenAi);
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
    Ok(Message { name: fields.string("name")?, ..Message::new(role, content) })
}

fn decode_assistant(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Message> {
    let thoughts = take_thoughts(fields, losses)?;
    let mut content = match fields.take("content") {
        Some(text) => decode_content(&fields.path("content"), text, Allowed::Assistant, losses)?,
        None => Vec::new(),
    };
    let refusal = fields.string("refusal")?;
    content.extend(refusal.map(|text| Part { origin: REFUSAL, ..Part::new(Content::Refusal(text)) }));
    let list = fields.list("tool_calls")?;
    let mut calls = Vec::with_capacity(list.len());
    for (index, call) in list.into_iter().enumerate() {
        let list = fields.path("tool_calls");
        let call = decode_tool_call(&Path::Index(&list, index), call, &[FUNCTION, CUSTOM], losses)?;
        calls.push(Part { origin: Origin::new("tool_calls", index), ..call });
    }
    // Clients that echo an answer send back what Google said of it; no model is told that.
    for echoed in ["safety_ratings", "grounding_metadata"] {
        fields.take(echoed);
    }
    let mut content = put_together(thoughts, content, calls);
    mark_last(fields, &mut content, losses)?;
    Ok(Message { name: fields.string("name")?, ..Message::new(Role::Assistant, content) })
}

/// Where an assistant's message has the words of its refusal.
const REFUSAL: Origin = Origin { member: "refusal", index: None };

/// Reads one element of `tool_calls`, of one of these types of tools.
pub(in crate::wire) fn decode_tool_call(
    path: &Path<'_>,
    call: Json<'_>,
    kinds: &[&str],
    losses: &mut Losses,
) -> Result<Part> {
    let mut fields = Fields::new(path, call)?;
    let kind = fields.text("type")?.unwrap_or(Cow::Borrowed(FUNCTION));
    if !kinds.contains(&&*kind) {
        let path = fields.path("type");
        return Err(path.unprocessable(format_args!("tool calls of type {kind:?} are not supported")));
    }
    let Some(id) = fields.text("id")? else {
        return Err(fields.path("id").unprocessable("field is required"));
    };
    let cache_control = cache_control(&mut fields, losses)?;
    let tool = fields.take(&kind).ok_or_else(|| fields.missing(&kind))?;
    let tool_path = fields.path(&kind);
    let mut tool = Fields::new(&tool_path, tool)?;
    let name = tool.required_string("name")?;
    let arguments = match &*kind {
        CUSTOM => custom::arguments(&tool.required_string("input")?),
        _ => tool.string("arguments")?.unwrap_or_default(),
    };
    tool.finish(losses);
    // Streaming clients that echo what they received leave the chunk's index in.
    fields.take("index");
    let told = signature(&mut fields, losses)?;
    fields.finish(losses);
    // Most clients know of no member for it, and send the name back that it is in.
    let (name_of_call, in_id) = Seal::of_id(&id);
    let seal = told.or(in_id);
    let call = Content::ToolCall { id: name_of_call.to_owned(), name, arguments };
    Ok(Part { cache_control, seal, ..Part::new(call) })
}

/// The signature of a call where Google's own clients have it, `extra_content.google.thought_signature`:
/// <https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thought-signatures>.
fn signature(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Option<Seal>> {
    let Some(extra) = fields.take("extra_content") else { return Ok(None) };
    let path = fields.path("extra_content");
    let mut extra = Fields::new(&path, extra)?;
    let mut seal = None;
    if let Some(google) = extra.take("google") {
        let path = extra.path("google");
        let mut google = Fields::new(&path, google)?;
        let data = google.string("thought_signature")?.filter(|data| !data.is_empty());
        seal = data.map(|data| Seal { by: Family::Google, data });
        google.finish(losses);
    }
    extra.finish(losses);
    Ok(seal)
}

fn decode_tool_result(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Message> {
    let call_id = fields.required_text("tool_call_id")?;
    let call_id = Seal::of_id(&call_id).0.to_owned();
    let Some(content) = fields.take("content") else { return Err(fields.missing("content")) };
    let mut content = decode_content(&fields.path("content"), content, Allowed::Text, losses)?;
    // A mark on its last part is one on the result. One further in stays there: what comes behind it may change.
    let last = content.last_mut().and_then(|part| part.cache_control.take());
    let mark = cache_control(fields, losses)?;
    let cache_control = prefer(mark, last, MESSAGES_OWN, &fields.path("content"), losses);
    let is_error = says_error(&content).then_some(true);
    let result = Content::ToolResult { call_id, content, is_error };
    // Older clients name the tool, which the call does already.
    fields.take("name");
    // It is the message: what is inside of it has the message's own members.
    let result = Part { cache_control, ..Part::new(result) };
    Ok(Message::new(Role::User, vec![result]))
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

/// A tool's result as far as it says whether the tool failed.
#[derive(Deserialize)]
struct ToolOutcome<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// This API cannot say that a tool failed. A result that is a JSON object says so itself if its `error` is `true`, a
/// text or an object with something in it; `null`, `false`, `""`, `{}`, lists and numbers are what tools write where
/// all went well, or nobody knows.
pub(in crate::wire) fn says_error(content: &[Part]) -> bool {
    let [Part { content: Content::Text { text, .. }, .. }] = content else { return false };
    if !text.trim_start().starts_with('{') {
        return false;
    }
    let outcome = serde_json::from_str::<ToolOutcome<'_>>(text);
    let Some(error) = outcome.ok().and_then(|outcome| outcome.error) else { return false };
    let within = |open, close| error.get().strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    let inside = within('"', '"').or_else(|| within('{', '}'));
    error.get() == "true" || inside.is_some_and(|inside| !inside.trim().is_empty())
}

/// The text of a failed tool's result where there is nothing but the text to say so: [`says_error`] of it is true.
pub(in crate::wire) fn saying_error(text: Cow<'_, str>) -> Cow<'_, str> {
    if says_error(&[Part::text(&*text)]) {
        return text;
    }
    let said = if text.is_empty() { serde_json::json!(true) } else { serde_json::json!(text) };
    let json = to_json(&serde_json::json!({ "error": said }));
    Cow::Owned(String::from_utf8_lossy(&json).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fields::parse;
    use crate::wire::json::Shape;

    #[test]
    fn what_google_said_of_an_answer_is_no_part_of_the_conversation() {
        let echoed = br#"{"role": "assistant", "content": "Hi", "safety_ratings": [], "grounding_metadata": {}, "odd": 1}"#;
        let echoed = parse("", &Shape::Tree, echoed).unwrap();
        let mut losses = Losses::default();
        let message = decode_message(&Path::Root, echoed, &mut losses).unwrap();
        let extra = message.extra.unwrap();
        assert_eq!(extra.members.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["odd"]);
        assert!(losses.iter().next().is_none());
    }

    #[test]
    fn a_result_is_an_error_only_if_it_says_what_went_wrong() {
        let says = |text: &str| says_error(&[Part::text(text)]);
        for error in
            [r#"{"error": "no such city"}"#, r#"{"data": 1, "error": {"code": 3}}"#, r#" {"error":true}"#]
        {
            assert!(says(error), "{error}");
        }
        for fine in [
            r#"{"error": null, "data": "hello"}"#,
            r#"{"error": "", "data": "hello"}"#,
            r#"{"error": " "}"#,
            r#"{"error": false}"#,
            r#"{"error": {}}"#,
            r#"{"error": { }}"#,
            r#"{"error": []}"#,
            r#"{"error": 0}"#,
            r#"{"errors": "x"}"#,
            r#"{"data": {"error": "x"}}"#,
            r#"{"error": "x""#,
            r#""error""#,
            "error",
            "",
        ] {
            assert!(!says(fine), "{fine}");
        }
        assert!(!says_error(&[Part::text(r#"{"error": "x"}"#), Part::text("")]));
    }
}
