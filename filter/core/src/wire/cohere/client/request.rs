//! A client's request, from Cohere's words.

use serde_json::json;

use super::document::documents;
use super::message::decode_message;
use crate::chat::{
    Family, Losses, Origin, Request, ResponseFormat, Role, Thinking, ThinkingMode, Tool, ToolChoice,
};
use crate::error::Result;
use crate::wire::fields::{Fields, Path, parse, readable};
use crate::wire::json::{Json, Shape};
use crate::wire::openai_chat::decode_function;

/// Schemas stay text, since a backend reads them and nobody here; so do documents, which only a model reads.
static TEXTS: Shape = Shape::Members(&[
    ("tools", Shape::Elements(&Shape::Members(&[("function", FUNCTION)]))),
    ("response_format", Shape::Members(&[("json_schema", Shape::Text)])),
    ("documents", Shape::Elements(&DOCUMENT)),
    ("messages", Shape::Elements(&Shape::Members(&[("content", Shape::Elements(&BLOCK))]))),
]);
const FUNCTION: Shape = Shape::Members(&[("parameters", Shape::Text)]);
const BLOCK: Shape = Shape::Members(&[("document", DOCUMENT)]);
const DOCUMENT: Shape = Shape::Members(&[("data", Shape::Text)]);

/// Reads the body of `POST /v2/chat`. What Cohere alone knows is kept, to be told apart from what was lost.
///
/// # Errors
///
/// 400 for what is not JSON or has a wrong type, 422 for a value that no backend this is translated to can serve;
/// both name the field. 413 for a body of more JSON values than any conversation has.
pub(super) fn decode(body: &[u8], losses: &mut Losses) -> Result<Request> {
    let body = readable(body, losses);
    let root = Path::Root;
    let mut fields = Fields::new(&root, parse("/v2/chat", &TEXTS, &body)?)?;

    // Its streams always tell what was used.
    let mut request =
        Request { model: fields.required_string("model")?, include_usage: true, ..Request::default() };
    let list = Path::Key(&root, "messages");
    for (index, message) in fields.required_list("messages")?.into_iter().enumerate() {
        let mut message = decode_message(&Path::Index(&list, index), message, losses)?;
        message.origin = Origin::new("messages", index);
        request.messages.push(message);
    }
    // They go behind the instructions: a result of a tool has to follow its call, wherever that is.
    let told = documents(&Path::Key(&root, "documents"), fields.list("documents")?, losses)?;
    let first = request.messages.iter().position(|message| message.role != Role::System);
    let first = first.unwrap_or(request.messages.len());
    request.messages.splice(first..first, told);

    request.tools = tools(&mut fields, losses)?;
    request.tool_choice = match fields.text("tool_choice")?.as_deref() {
        None => None,
        Some("REQUIRED") => Some(ToolChoice::Required),
        Some("NONE") => Some(ToolChoice::None),
        Some(other) => {
            let path = fields.path("tool_choice");
            return Err(path.unprocessable(format_args!("tool choice {other:?} is not supported")));
        }
    };
    if let Some(format) = fields.take("response_format") {
        request.response_format = response_format(&fields.path("response_format"), format, losses)?;
    }
    if let Some(asked) = fields.take("thinking") {
        request.thinking = thinking(&fields.path("thinking"), asked, losses)?;
    }
    request.max_tokens = fields.u64("max_tokens")?;
    for (index, stop) in fields.list("stop_sequences")?.into_iter().enumerate() {
        request.stop.push(Path::Index(&fields.path("stop_sequences"), index).string(stop)?);
    }
    request.temperature = fields.f64("temperature")?;
    request.top_p = fields.f64("p")?;
    // 0 is any number of them.
    request.top_k = fields.u64("k")?.filter(|k| *k > 0);
    request.frequency_penalty = fields.f64("frequency_penalty")?;
    request.presence_penalty = fields.f64("presence_penalty")?;
    request.seed = fields.i64("seed")?;
    request.logprobs = fields.bool("logprobs")?.unwrap_or(false);
    request.stream = fields.bool("stream")?.unwrap_or(false);
    // That is where everybody stands.
    fields.take_if("priority", |priority| *priority == json!(0));
    request.extra = fields.extra(Family::Cohere);
    Ok(request)
}

fn tools(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Vec<Tool>> {
    let are_strict = fields.bool("strict_tools")?;
    let list = fields.list("tools")?;
    let path = fields.path("tools");
    let mut tools = Vec::with_capacity(list.len());
    for (index, tool) in list.into_iter().enumerate() {
        let path = Path::Index(&path, index);
        let mut tool = Fields::new(&path, tool)?;
        if let Some(kind) = tool.text("type")?.filter(|kind| kind != "function") {
            let path = tool.path("type");
            return Err(path.unprocessable(format_args!("tools of type {kind:?} are not supported")));
        }
        let mut function = decode_function(tool, losses)?;
        function.strict = function.strict.or(are_strict.filter(|strict| *strict));
        tools.push(Tool::Function(function));
    }
    Ok(tools)
}

/// A schema is always followed exactly here, which other APIs promise of fewer schemas: they are not told to.
fn response_format(path: &Path<'_>, format: Json<'_>, losses: &mut Losses) -> Result<Option<ResponseFormat>> {
    let mut fields = Fields::new(path, format)?;
    let format = match &*fields.required_text("type")? {
        "text" => None,
        "json_object" => Some(match fields.object_text("json_schema")? {
            Some(schema) => ResponseFormat::JsonSchema { name: None, schema, strict: None },
            None => ResponseFormat::JsonObject,
        }),
        other => {
            let path = fields.path("type");
            return Err(path.unprocessable(format_args!("response format {other:?} is not supported")));
        }
    };
    fields.finish(losses);
    Ok(format)
}

/// <https://docs.cohere.com/docs/reasoning>
fn thinking(path: &Path<'_>, asked: Json<'_>, losses: &mut Losses) -> Result<Thinking> {
    let mut fields = Fields::new(path, asked)?;
    let mode = match &*fields.required_text("type")? {
        "enabled" => ThinkingMode::Enabled,
        "disabled" => ThinkingMode::Disabled,
        other => {
            let path = fields.path("type");
            return Err(path.unprocessable(format_args!("thinking of type {other:?} is not supported")));
        }
    };
    let budget_tokens = fields.u64("token_budget")?;
    fields.finish(losses);
    Ok(Thinking { mode: Some(mode), budget_tokens, ..Thinking::default() })
}
