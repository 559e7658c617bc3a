//! A client's request, from Anthropic's words.

use super::content::{Place, decode_content};
use super::tools::{decode_tool, decode_tool_choice};
use crate::chat::{Extra, Family, Losses, Message, Origin, Request, ResponseFormat, Role, Thinking};
use crate::error::Result;
use crate::wire::fields::{Fields, Path, parse, readable};
use crate::wire::json::{Json, Shape};
use crate::wire::openai_chat::cache_control;

/// What a model or a backend reads and nobody here stays text.
static TEXTS: Shape = Shape::Members(&[
    (
        "messages",
        Shape::Elements(&Shape::Members(&[(
            "content",
            Shape::Elements(&Shape::Members(&[("input", Shape::Text)])),
        )])),
    ),
    ("tools", Shape::Elements(&Shape::Members(&[("input_schema", Shape::Text)]))),
    ("output_config", Shape::Members(&[("format", Shape::Members(&[("schema", Shape::Text)]))])),
    ("output_format", Shape::Members(&[("schema", Shape::Text)])),
]);

/// Reads the body of `POST /v1/messages`. What Anthropic alone knows is kept for its own models.
///
/// # Errors
///
/// 400 for what is not JSON or has a wrong type, 422 for a value that no backend this is translated to can serve;
/// both name the field. 413 for a body of more JSON values than any conversation has.
pub fn decode_request(body: &[u8], losses: &mut Losses) -> Result<Request> {
    let body = readable(body, losses);
    let root = Path::Root;
    let mut fields = Fields::new(&root, parse("/v1/messages", &TEXTS, &body)?)?;
    // Its streams always tell what was used.
    let mut request =
        Request { model: fields.required_string("model")?, include_usage: true, ..Request::default() };

    if let Some(system) = fields.take("system") {
        let content = decode_content(&fields.path("system"), system, Place::System, losses)?;
        if !content.is_empty() {
            let origin = Origin { member: "system", index: None };
            request.messages.push(Message { origin, ..Message::new(Role::System, content) });
        }
    }
    for (index, message) in fields.required_list("messages")?.into_iter().enumerate() {
        let list = fields.path("messages");
        let message = decode_message(&Path::Index(&list, index), message, losses)?;
        request.messages.push(Message { origin: Origin::new("messages", index), ..message });
    }
    for (index, tool) in fields.list("tools")?.into_iter().enumerate() {
        let list = fields.path("tools");
        request.tools.push(decode_tool(&Path::Index(&list, index), tool, losses)?);
    }
    if let Some(choice) = fields.take("tool_choice") {
        let (choice, parallel) = decode_tool_choice(&fields.path("tool_choice"), choice, losses)?;
        request.tool_choice = Some(choice);
        request.parallel_tool_calls = parallel;
    }

    request.max_tokens = fields.u64("max_tokens")?;
    request.temperature = fields.f64("temperature")?;
    request.top_p = fields.f64("top_p")?;
    request.top_k = fields.u64("top_k")?;
    for (index, stop) in fields.list("stop_sequences")?.into_iter().enumerate() {
        request.stop.push(Path::Index(&fields.path("stop_sequences"), index).string(stop)?);
    }
    request.stream = fields.bool("stream")?.unwrap_or(false);
    request.service_tier = fields.string("service_tier")?.map(|tier| match tier.as_str() {
        "standard_only" => "default".to_owned(),
        _ => tier,
    });
    request.cache.automatic = cache_control(&mut fields, losses)?;

    let mut own = Vec::new();
    if let Some(thinking) = fields.take("thinking") {
        request.thinking = decode_thinking(&fields.path("thinking"), thinking, &mut own)?;
    }
    if let Some(metadata) = fields.take("metadata") {
        let path = fields.path("metadata");
        let mut metadata = Fields::new(&path, metadata)?;
        request.user = metadata.string("user_id")?;
        keep("metadata", metadata, &mut own);
    }
    // The older name of `output_config.format`.
    let older = fields.take("output_format");
    if let Some(config) = fields.take("output_config") {
        let path = fields.path("output_config");
        let mut config = Fields::new(&path, config)?;
        request.thinking.effort = config.string("effort")?;
        if let Some(format) = config.take("format") {
            request.response_format = Some(decode_format(&config.path("format"), format, losses)?);
        }
        keep("output_config", config, &mut own);
    }
    if let Some(format) = older {
        let path = fields.path("output_format");
        let format = decode_format(&path, format, losses)?;
        match &request.response_format {
            Some(newer) if *newer != format => {
                losses.add(path, "output_config says something else, which counts")
            }
            _ => request.response_format = Some(format),
        }
    }

    own.extend(fields.extra(Family::Anthropic).into_iter().flat_map(|extra| extra.members));
    request.extra = (!own.is_empty()).then(|| Box::new(Extra { family: Family::Anthropic, members: own }));
    Ok(request)
}

/// Keeps what was not taken of the member `name`, under names as `name.member`.
fn keep(name: &str, fields: Fields<'_>, own: &mut Vec<(String, String)>) {
    let members = fields.extra(Family::Anthropic).into_iter().flat_map(|extra| extra.members);
    own.extend(members.map(|(member, json)| (format!("{name}.{member}"), json)));
}

fn decode_message(path: &Path<'_>, message: Json<'_>, losses: &mut Losses) -> Result<Message> {
    let mut fields = Fields::new(path, message)?;
    let role = match &*fields.required_text("role")? {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        other => {
            return Err(fields.path("role").unprocessable(format_args!("role {other:?} is not supported")));
        }
    };
    let content = fields.take("content").ok_or_else(|| fields.missing("content"))?;
    let content = decode_content(&fields.path("content"), content, Place::Message, losses)?;
    Ok(Message { extra: fields.extra(Family::Anthropic), ..Message::new(role, content) })
}

/// <https://platform.claude.com/docs/en/build-with-claude/thinking>
fn decode_thinking(path: &Path<'_>, thinking: Json<'_>, own: &mut Vec<(String, String)>) -> Result<Thinking> {
    let mut fields = Fields::new(path, thinking)?;
    let kind = fields.required_text("type")?;
    let thinking = Thinking::of_kind(&kind).ok_or_else(|| {
        fields.path("type").unprocessable(format_args!("thinking of type {kind:?} is not supported"))
    })?;
    let thinking = Thinking {
        budget_tokens: fields.u64("budget_tokens")?,
        display: fields.string("display")?,
        ..thinking
    };
    keep("thinking", fields, own);
    Ok(thinking)
}

/// <https://platform.claude.com/docs/en/build-with-claude/structured-outputs>
fn decode_format(path: &Path<'_>, format: Json<'_>, losses: &mut Losses) -> Result<ResponseFormat> {
    let mut fields = Fields::new(path, format)?;
    let kind = fields.required_text("type")?;
    if kind != "json_schema" {
        let path = fields.path("type");
        return Err(path.unprocessable(format_args!("output format {kind:?} is not supported")));
    }
    let schema = fields.object_text("schema")?.ok_or_else(|| fields.missing("schema"))?;
    fields.finish(losses);
    // Anthropic's are always followed exactly.
    Ok(ResponseFormat::JsonSchema { name: None, schema, strict: Some(true) })
}
