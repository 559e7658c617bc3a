//! A client's request, from Responses' words.

use super::input::decode_input;
use super::tools::{decode_tool, decode_tool_choice};
use crate::chat::{
    Family, Losses, Message, Origin, Part, Request, ResponseFormat, Role, Thinking, ThinkingMode,
};
use crate::error::Result;
use crate::wire::fields::{Fields, Path, parse_as_written, readable};
use crate::wire::json::{Json, Shape};
use crate::wire::openai_chat::first_of;
use crate::wire::tree::Written;

/// Schemas stay text, since a backend reads them and nobody here.
static SCHEMAS: Shape = Shape::Members(&[
    ("tools", Shape::Elements(&Shape::Members(&[("parameters", Shape::Text)]))),
    ("text", Shape::Members(&[("format", Shape::Members(&[("schema", Shape::Text)]))])),
]);

/// What an answer repeats of its question, as far as it holds where the question was translated, and what it says where
/// the client said nothing.
pub(super) const REPEATED: &[(&str, &str)] = &[
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("prompt_cache_key", "null"),
    ("prompt_cache_retention", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "null"),
    ("top_p", "null"),
    ("user", "null"),
];

/// What refers to something that OpenAI keeps, and what to do instead.
const KEPT_ELSEWHERE: &[(&str, &str)] = &[
    ("previous_response_id", "nothing is kept of what this model answers: send the conversation in input"),
    ("conversation", "nothing is kept of conversations with this model: send all of it in input"),
    ("prompt", "only OpenAI knows the prompts that were saved there: send it in instructions and input"),
];

/// Reads the body of `POST /v1/responses`. Fields that are not known are recorded in `losses`.
///
/// # Errors
///
/// 400 for what is not JSON or has a wrong type, or refers to what is kept at OpenAI; 422 for a value that no backend
/// this is translated to can serve; both name the field. 413 for a body of more JSON values than any conversation has.
pub(super) fn decode_request(body: &[u8], losses: &mut Losses) -> Result<Request> {
    let body = readable(body, losses);
    let root = Path::Root;
    let (body, written) = parse_as_written("/v1/responses", &SCHEMAS, &body)?;
    let mut fields = Fields::new(&root, body)?;
    for (name, instead) in KEPT_ELSEWHERE {
        if fields.take(name).is_some() {
            return Err(fields.path(name).refused(instead));
        }
    }
    if fields.bool("background")? == Some(true) {
        return Err(fields.path("background").refused("this model answers at once, or not at all"));
    }
    if fields.bool("store")? == Some(true) {
        losses.add(fields.path("store"), "nothing is kept of what this model answers");
    }

    // Its streams always tell what was used.
    let mut request =
        Request { model: fields.required_string("model")?, include_usage: true, ..Request::default() };
    request.repeated = repeated(&written);
    if let Some(instructions) = fields.string("instructions")? {
        let origin = Origin { member: "instructions", index: None };
        let message = Message::new(Role::System, vec![Part::text(instructions)]);
        request.messages.push(Message { origin, ..message });
    }
    let input = fields.take("input").ok_or_else(|| fields.missing("input"))?;
    let before = std::mem::take(&mut request.messages);
    request.messages = decode_input(&fields.path("input"), input, before, losses)?;

    for (index, tool) in fields.list("tools")?.into_iter().enumerate() {
        let list = fields.path("tools");
        request.tools.push(decode_tool(&Path::Index(&list, index), tool, losses)?);
    }
    if let Some(choice) = fields.take("tool_choice") {
        request.tool_choice = decode_tool_choice(&fields.path("tool_choice"), choice, losses)?;
    }
    request.parallel_tool_calls = fields.bool("parallel_tool_calls")?;
    request.max_tokens = fields.u64("max_output_tokens")?;
    request.temperature = fields.f64("temperature")?;
    request.top_p = fields.f64("top_p")?;
    if let Some(text) = fields.take("text") {
        let path = fields.path("text");
        let mut text = Fields::new(&path, text)?;
        request.verbosity = text.string("verbosity")?;
        if let Some(format) = text.take("format") {
            request.response_format = decode_format(&text.path("format"), format, losses)?;
        }
        text.finish(losses);
    }
    if let Some(reasoning) = fields.take("reasoning") {
        request.thinking = decode_reasoning(&fields.path("reasoning"), reasoning, losses)?;
    }

    // `safety_identifier` is the newer name.
    request.user = first_of(&mut fields, ["safety_identifier", "user"], losses)?;
    request.metadata = fields.map("metadata")?.unwrap_or_default();
    request.service_tier = fields.string("service_tier")?;
    request.cache.key = fields.string("prompt_cache_key")?;
    request.cache.retention = fields.string("prompt_cache_retention")?;
    decode_include(&mut fields, &mut request, losses)?;
    request.stream = fields.bool("stream")?.unwrap_or(false);
    if let Some(options) = fields.take("stream_options") {
        let path = fields.path("stream_options");
        let mut options = Fields::new(&path, options)?;
        // Padding against eavesdroppers who read lengths. What is written here has none.
        options.take("include_obfuscation");
        options.finish(losses);
    }
    if fields.string("truncation")?.is_some_and(|truncation| truncation != "disabled") {
        losses.add(fields.path("truncation"), "a conversation that is too long is refused, not shortened");
    }
    request.extra = fields.extra(Family::OpenAi);
    Ok(request)
}

/// What is to be told besides the answer.
fn decode_include(fields: &mut Fields<'_>, request: &mut Request, losses: &mut Losses) -> Result<()> {
    request.top_logprobs = fields.u64("top_logprobs")?.filter(|most| *most > 0);
    request.logprobs = request.top_logprobs.is_some();
    for (index, included) in fields.list("include")?.into_iter().enumerate() {
        let list = fields.path("include");
        let path = Path::Index(&list, index);
        match &*path.text(included)? {
            "message.output_text.logprobs" => request.logprobs = true,
            // It always is: nothing else keeps it.
            "reasoning.encrypted_content" => {}
            _ => losses.add(path, "only its own provider can tell it"),
        }
    }
    Ok(())
}

fn decode_format(path: &Path<'_>, format: Json<'_>, losses: &mut Losses) -> Result<Option<ResponseFormat>> {
    let mut fields = Fields::new(path, format)?;
    let format = match &*fields.required_text("type")? {
        "text" => None,
        "json_object" => Some(ResponseFormat::JsonObject),
        "json_schema" => Some(ResponseFormat::JsonSchema {
            name: fields.string("name")?,
            strict: fields.bool("strict")?,
            schema: fields.object_text("schema")?.ok_or_else(|| fields.missing("schema"))?,
        }),
        other => {
            let path = fields.path("type");
            return Err(path.unprocessable(format_args!("format {other:?} is not supported")));
        }
    };
    fields.finish(losses);
    Ok(format)
}

/// <https://platform.openai.com/docs/guides/reasoning>. Who asks for a summary of the thoughts asks for thoughts, which
/// some models have to be told.
fn decode_reasoning(path: &Path<'_>, reasoning: Json<'_>, losses: &mut Losses) -> Result<Thinking> {
    let mut fields = Fields::new(path, reasoning)?;
    let effort = fields.string("effort")?;
    // `generate_summary` is the older name.
    let summary = first_of(&mut fields, ["summary", "generate_summary"], losses)?;
    let is_shown = summary.is_some() && effort.as_deref() != Some("none");
    if summary.is_some_and(|summary| summary != "auto") {
        losses.add(fields.path("summary"), "how long a summary is, the model decides");
    }
    fields.finish(losses);
    Ok(Thinking {
        effort,
        mode: is_shown.then_some(ThinkingMode::Adaptive),
        display: is_shown.then(|| "summarized".to_owned()),
        ..Thinking::default()
    })
}

fn repeated(written: &[Written<'_>]) -> Vec<(&'static str, String)> {
    let said = |name: &'static str| {
        // The last of a name counts.
        let said = written.iter().rev().find(|member| member.name == name)?;
        (!said.is_null()).then(|| (name, said.compact()))
    };
    REPEATED.iter().filter_map(|(name, _)| said(name)).collect()
}
