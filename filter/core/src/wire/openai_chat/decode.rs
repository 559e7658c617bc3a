//! A client's request, from OpenAI's words.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::content::{cache_control, first_of, prefer};
use super::message::decode_message;
use crate::chat::{
    Family, Foreign, Function, Losses, Origin, Request, ResponseFormat, Thinking, Tool, ToolChoice,
};
use crate::error::Result;
use crate::wire::fields::{Fields, Path, parse, readable};
use crate::wire::json::{Json, Shape};
use crate::wire::names::camel;
use crate::wire::openai::custom;

/// Schemas stay text, since a backend reads them and nobody here.
static SCHEMAS: Shape = Shape::Members(&[
    (
        "tools",
        Shape::Elements(&Shape::Members(&[("function", Shape::Members(&[("parameters", Shape::Text)]))])),
    ),
    ("response_format", Shape::Members(&[("json_schema", Shape::Members(&[("schema", Shape::Text)]))])),
]);

/// Reads the body of `POST /v1/chat/completions`. Fields that are not known are recorded in `losses`.
///
/// # Errors
///
/// 400 for what is not JSON or has a wrong type, 422 for a value that no backend this is translated to can serve;
/// both name the field. 413 for a body of more JSON values than any conversation has.
pub fn decode_request(body: &[u8], losses: &mut Losses) -> Result<Request> {
    let body = readable(body, losses);
    let root = Path::Root;
    let mut fields = Fields::new(&root, parse("/v1/chat/completions", &SCHEMAS, &body)?)?;

    let mut request = Request { model: fields.required_string("model")?, ..Request::default() };
    let messages = fields.required_list("messages")?;
    request.messages = Vec::with_capacity(messages.len());
    for (index, message) in messages.into_iter().enumerate() {
        let list = fields.path("messages");
        let mut message = decode_message(&Path::Index(&list, index), message, losses)?;
        message.origin = Origin::new("messages", index);
        request.messages.push(message);
    }

    for (index, tool) in fields.list("tools")?.into_iter().enumerate() {
        let list = fields.path("tools");
        request.tools.push(decode_tool(&Path::Index(&list, index), tool, losses)?);
    }
    if let Some(choice) = fields.take("tool_choice") {
        request.tool_choice = Some(decode_tool_choice(&fields.path("tool_choice"), choice, losses)?);
    }
    request.parallel_tool_calls = fields.bool("parallel_tool_calls")?;

    // `max_tokens` is the older name.
    let (newer, older) = (fields.u64("max_completion_tokens")?, fields.u64("max_tokens")?);
    request.max_tokens = prefer(newer, older, "max_completion_tokens", &fields.path("max_tokens"), losses);
    decode_sampling(&mut fields, &mut request)?;
    request.top_k = fields.u64("top_k")?;
    if let Some(format) = fields.take("response_format") {
        request.response_format = decode_response_format(&fields.path("response_format"), format, losses)?;
    }
    let effort = fields.string("reasoning_effort")?;
    if let Some(thinking) = fields.take("thinking") {
        request.thinking = decode_thinking(&fields.path("thinking"), thinking, losses)?;
    }
    request.thinking.effort = effort;

    // `safety_identifier` is the newer name.
    request.user = first_of(&mut fields, ["safety_identifier", "user"], losses)?;
    request.metadata = fields.map("metadata")?.unwrap_or_default();
    decode_stream(&mut fields, &mut request, losses)?;
    request.service_tier = fields.string("service_tier")?;
    request.logprobs = fields.bool("logprobs")?.unwrap_or(false);
    request.top_logprobs = fields.u64("top_logprobs")?;

    request.verbosity = fields.string("verbosity")?;
    request.cache.key = fields.string("prompt_cache_key")?;
    request.cache.retention = fields.string("prompt_cache_retention")?;

    take_defaults(&mut fields);
    request.extra = fields.extra(Family::OpenAi);
    Ok(request)
}

/// How answers are found, and how many: the same in completions.
pub(super) fn decode_sampling(fields: &mut Fields<'_>, request: &mut Request) -> Result<()> {
    request.temperature = fields.f64("temperature")?;
    request.top_p = fields.f64("top_p")?;
    if let Some(stop) = fields.take("stop") {
        request.stop = decode_stop(&fields.path("stop"), stop)?;
    }
    request.seed = fields.i64("seed")?;
    request.n = fields.u64("n")?;
    request.presence_penalty = fields.f64("presence_penalty")?;
    request.frequency_penalty = fields.f64("frequency_penalty")?;
    request.logit_bias = fields.map("logit_bias")?.unwrap_or_default();
    Ok(())
}

/// Whether the answer is streamed, and what is told with it: the same in completions.
pub(super) fn decode_stream(
    fields: &mut Fields<'_>,
    request: &mut Request,
    losses: &mut Losses,
) -> Result<()> {
    request.stream = fields.bool("stream")?.unwrap_or(false);
    if let Some(options) = fields.take("stream_options") {
        let path = fields.path("stream_options");
        let mut options = Fields::new(&path, options)?;
        request.include_usage = options.bool("include_usage")?.unwrap_or(false);
        // Padding against eavesdroppers who read lengths. What is written here has none.
        options.take("include_obfuscation");
        options.finish(losses);
    }
    Ok(())
}

/// What SDKs and frameworks send to say what holds anyway is no loss.
fn take_defaults(fields: &mut Fields<'_>) {
    fields.take_if("store", |store| *store == json!(false));
    fields.take_if("modalities", |modalities| *modalities == json!(["text"]));
}

fn decode_stop(path: &Path<'_>, stop: Json<'_>) -> Result<Vec<String>> {
    match stop {
        Json::Array(list) => {
            list.into_iter().enumerate().map(|(index, stop)| Path::Index(path, index).string(stop)).collect()
        }
        stop => Ok(vec![path.string(stop)?]),
    }
}

/// Tools that Google runs, as clients of this API name them and as Google does: those of Envoy AI Gateway, and the
/// others alike.
const GOOGLES: &[(&str, &str)] = &[
    ("code_execution", "codeExecution"),
    ("enterprise_search", "enterpriseWebSearch"),
    ("google_maps", "googleMaps"),
    ("google_search", "googleSearch"),
    ("google_search_retrieval", "googleSearchRetrieval"),
    ("url_context", "urlContext"),
];

/// The types of tools that run at the client. What a tool is, is in the member that is called as its type.
pub(in crate::wire) const FUNCTION: &str = "function";
pub(super) const CUSTOM: &str = "custom";

fn decode_tool(path: &Path<'_>, tool: Json<'_>, losses: &mut Losses) -> Result<Tool> {
    let mut fields = Fields::new(path, tool)?;
    let kind = fields.text("type")?.unwrap_or(Cow::Borrowed(FUNCTION));
    match &*kind {
        FUNCTION => return decode_function(fields, losses).map(Tool::Function),
        CUSTOM => return tool_below(CUSTOM, fields, decode_custom, losses).map(Tool::Function),
        _ => {}
    }
    let Some(tool) = googles_tool(&kind, &mut fields)? else {
        let path = fields.path("type");
        return Err(path.unprocessable(format_args!("tools of type {kind:?} are not supported")));
    };
    fields.finish(losses);
    Ok(tool)
}

/// The tool of type `kind`, if it is one that Google runs.
pub(in crate::wire) fn googles_tool(kind: &str, fields: &mut Fields<'_>) -> Result<Option<Tool>> {
    let Some((_, name)) = GOOGLES.iter().find(|(known, _)| *known == kind) else { return Ok(None) };
    let settings = fields.map(kind)?.unwrap_or_default();
    let json = json!({ *name: in_camel_case(Value::Object(settings)) }).to_string();
    Ok(Some(Tool::Hosted(Foreign { family: Family::Google, kind: (*name).to_owned(), json })))
}

/// The names of members as Google writes them, at all depths. The tree is no deeper than the parser allows.
fn in_camel_case(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (camel(&name), in_camel_case(value))).collect()
        }
        Value::Array(list) => list.into_iter().map(in_camel_case).collect(),
        other => other,
    }
}

/// The function that is a tool, without the tool's type.
pub(in crate::wire) fn decode_function(fields: Fields<'_>, losses: &mut Losses) -> Result<Function> {
    let read = |function: &mut Fields<'_>, _: &mut Losses| {
        Ok(Function {
            name: function.required_string("name")?,
            description: function.string("description")?,
            parameters: function.verbatim_object("parameters")?,
            strict: function.bool("strict")?,
            ..Function::default()
        })
    };
    tool_below(FUNCTION, fields, read, losses)
}

fn decode_custom(custom: &mut Fields<'_>, losses: &mut Losses) -> Result<Function> {
    custom::function(custom, Some("grammar"), losses)
}

/// The tool that `read` finds in this member.
fn tool_below(
    member: &str,
    mut fields: Fields<'_>,
    read: impl Fn(&mut Fields<'_>, &mut Losses) -> Result<Function>,
    losses: &mut Losses,
) -> Result<Function> {
    let Some(tool) = fields.take(member) else {
        return Err(fields.path(member).unprocessable("field is required"));
    };
    let path = fields.path(member);
    let mut tool = Fields::new(&path, tool)?;
    let function = read(&mut tool, losses)?;
    let inner = cache_control(&mut tool, losses)?;
    let extra = tool.extra(Family::OpenAi);
    let mark = cache_control(&mut fields, losses)?;
    let path = fields.path(member);
    let path = Path::Key(&path, "cache_control");
    let cache_control = prefer(mark, inner, "the tool's own", &path, losses);
    fields.finish(losses);
    Ok(Function { cache_control, extra, ..function })
}

fn decode_tool_choice(path: &Path<'_>, choice: Json<'_>, losses: &mut Losses) -> Result<ToolChoice> {
    if let Json::String(choice) = &choice {
        return match &**choice {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" | "any" => Ok(ToolChoice::Required),
            other => Err(path.unprocessable(format_args!("tool choice {other:?} is not supported"))),
        };
    }
    let mut fields = Fields::new(path, choice)?;
    let kind = fields.required_text("type")?;
    let choice = match &*kind {
        FUNCTION | CUSTOM => ToolChoice::Tool(decode_name(&kind, &mut fields, losses)?),
        "allowed_tools" => decode_allowed_tools(&mut fields, losses)?,
        _ => {
            let path = fields.path("type");
            return Err(path.unprocessable(format_args!("tool choice of type {kind:?} is not supported")));
        }
    };
    fields.finish(losses);
    Ok(choice)
}

/// `function: {name}` of the type `function`, and as well of the other.
fn decode_name(kind: &str, fields: &mut Fields<'_>, losses: &mut Losses) -> Result<String> {
    let tool = fields.take(kind).ok_or_else(|| fields.missing(kind))?;
    let path = fields.path(kind);
    let mut tool = Fields::new(&path, tool)?;
    let name = tool.required_string("name")?;
    tool.finish(losses);
    Ok(name)
}

fn decode_allowed_tools(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<ToolChoice> {
    let allowed = fields.take("allowed_tools").ok_or_else(|| fields.missing("allowed_tools"))?;
    let path = fields.path("allowed_tools");
    let mut allowed = Fields::new(&path, allowed)?;
    let required = match &*allowed.required_text("mode")? {
        "auto" => false,
        "required" => true,
        other => {
            let path = allowed.path("mode");
            return Err(path.unprocessable(format_args!("mode {other:?} is not supported")));
        }
    };
    let mut names = Vec::new();
    for (index, tool) in allowed.required_list("tools")?.into_iter().enumerate() {
        let list = allowed.path("tools");
        let path = Path::Index(&list, index);
        let mut tool = Fields::new(&path, tool)?;
        let kind = tool.text("type")?.unwrap_or(Cow::Borrowed(FUNCTION));
        if !matches!(&*kind, FUNCTION | CUSTOM) {
            let path = tool.path("type");
            return Err(path.unprocessable(format_args!("tools of type {kind:?} are not supported here")));
        }
        names.push(decode_name(&kind, &mut tool, losses)?);
        tool.finish(losses);
    }
    allowed.finish(losses);
    Ok(ToolChoice::Among { names, required })
}

fn decode_response_format(
    path: &Path<'_>,
    format: Json<'_>,
    losses: &mut Losses,
) -> Result<Option<ResponseFormat>> {
    let mut fields = Fields::new(path, format)?;
    let format = match &*fields.required_text("type")? {
        "text" => None,
        "json_object" => Some(ResponseFormat::JsonObject),
        "json_schema" => {
            let schema = fields.take("json_schema").ok_or_else(|| fields.missing("json_schema"))?;
            let path = fields.path("json_schema");
            let mut schema = Fields::new(&path, schema)?;
            let format = ResponseFormat::JsonSchema {
                name: schema.string("name")?,
                strict: schema.bool("strict")?,
                schema: schema.object_text("schema")?.ok_or_else(|| schema.missing("schema"))?,
            };
            schema.finish(losses);
            Some(format)
        }
        other => {
            let path = fields.path("type");
            return Err(path.unprocessable(format_args!("response format {other:?} is not supported")));
        }
    };
    fields.finish(losses);
    Ok(format)
}

fn decode_thinking(path: &Path<'_>, thinking: Json<'_>, losses: &mut Losses) -> Result<Thinking> {
    let mut fields = Fields::new(path, thinking)?;
    let kind = fields.required_text("type")?;
    let thinking = Thinking::of_kind(&kind).ok_or_else(|| {
        fields.path("type").unprocessable(format_args!("thinking of type {kind:?} is not supported"))
    })?;
    let thinking = Thinking {
        budget_tokens: fields.u64("budget_tokens")?,
        display: fields.string("display")?,
        include_thoughts: fields.bool("includeThoughts")?,
        ..thinking
    };
    fields.finish(losses);
    Ok(thinking)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of two words for one thing the newer, or the outer, counts; the other is a loss where it says something else.
    #[test]
    fn what_is_said_twice_goes_with_a_loss() {
        let mark = |ttl: &str| json!({"type": "ephemeral", "ttl": ttl});
        let text = json!({"type": "text", "text": "t", "cache_control": mark("5m")});
        let message = |role: &str, ttl: &str| json!({"messages": [{"role": role, "content": [text], "tool_call_id": "c", "cache_control": mark(ttl)}]});
        let tool = |ttl: &str| json!({"tools": [{"cache_control": mark(ttl), "function": {"name": "f", "cache_control": mark("5m")}}]});
        let block = |text: &str, data: &str| {
            json!({"messages": [{"role": "assistant", "content": "x", "thinking_blocks": [
                {"type": "thinking", "thinking": "a", "text": text, "signature": "claude:s"},
                {"type": "redacted_thinking", "data": "claude:d", "redactedContent": data}]}]})
        };
        let part = |text: &str, data: &str| {
            json!({"messages": [{"role": "assistant", "content": [
                {"type": "thinking", "thinking": "a", "text": text, "signature": "claude:s"},
                {"type": "redacted_thinking", "data": "claude:d", "redactedContent": data}]}]})
        };
        for (same, other, lost) in [
            (
                json!({"max_completion_tokens": 5, "max_tokens": 5}),
                json!({"max_completion_tokens": 5, "max_tokens": 6}),
                vec!["max_tokens"],
            ),
            (
                json!({"safety_identifier": "a", "user": "a"}),
                json!({"safety_identifier": "a", "user": "b"}),
                vec!["user"],
            ),
            (message("user", "5m"), message("user", "1h"), vec!["messages[0].content"]),
            (message("tool", "5m"), message("tool", "1h"), vec!["messages[0].content"]),
            (tool("5m"), tool("1h"), vec!["tools[0].function.cache_control"]),
            (
                block("a", "claude:d"),
                block("b", "claude:e"),
                vec!["messages[0].thinking_blocks[0].text", "messages[0].thinking_blocks[1].redactedContent"],
            ),
            (
                part("a", "claude:d"),
                part("b", "claude:e"),
                vec!["messages[0].content[0].text", "messages[0].content[1].redactedContent"],
            ),
        ] {
            for (mut asked, lost) in [(same, vec![]), (other, lost)] {
                asked["model"] = json!("m");
                asked.as_object_mut().unwrap().entry("messages").or_insert(json!([]));
                let is_tool = asked["messages"][0]["role"] == "tool";
                if !is_tool && let Some(message) = asked["messages"].get_mut(0) {
                    message.as_object_mut().unwrap().remove("tool_call_id");
                }
                let mut losses = Losses::default();
                decode_request(asked.to_string().as_bytes(), &mut losses).unwrap();
                let paths: Vec<&str> = losses.iter().map(|loss| loss.path.as_str()).collect();
                assert_eq!(paths, lost, "{asked}");
            }
        }
    }
}
