//! What Cohere refuses of a request for a chat, by the types of its SDK, its reference and its error messages.

use serde_json::{Map, Value};

use super::{Refusal, list, thinks};

/// The members of a request: `chat` in `v2/client.py`.
const MEMBERS: &[&str] = &[
    "citation_options",
    "documents",
    "frequency_penalty",
    "k",
    "logprobs",
    "max_tokens",
    "messages",
    "model",
    "p",
    "presence_penalty",
    "priority",
    "response_format",
    "safety_mode",
    "seed",
    "stop_sequences",
    "stream",
    "strict_tools",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
];

/// The members of a message of each role: `chat_message_v2.py`.
const MESSAGES: &[(&str, &[&str])] = &[
    ("system", &["role", "content"]),
    ("user", &["role", "content"]),
    ("assistant", &["role", "content", "tool_calls", "tool_plan", "citations"]),
    ("tool", &["role", "content", "tool_call_id"]),
];

/// The blocks of a message's content of each role, and their members.
const BLOCKS: &[(&str, &str, &[&str])] = &[
    ("system", "text", &["type", "text"]),
    ("user", "text", &["type", "text"]),
    ("user", "image_url", &["type", "image_url"]),
    ("assistant", "text", &["type", "text"]),
    ("assistant", "thinking", &["type", "thinking"]),
    ("tool", "text", &["type", "text"]),
    ("tool", "document", &["type", "document"]),
];

/// The numbers of a request and their ranges; `p` is taken beyond its reference.
const RANGES: &[(&str, f64, f64)] = &[
    ("temperature", 0.0, 1.0),
    ("p", 0.0, 1.0),
    ("k", 0.0, 500.0),
    ("frequency_penalty", 0.0, 1.0),
    ("presence_penalty", 0.0, 1.0),
    ("max_tokens", 0.0, f64::MAX),
    ("seed", f64::MIN, f64::MAX),
    ("priority", 0.0, 999.0),
];

const MAX_STOPS: usize = 5;

/// <https://github.com/vercel/ai/issues/5794>
const TEXT_AND_CALLS: &str = "text content is not allowed when tool_calls are provided. If you wish to pass a tool plan, either pass thinking content (with thinking enabled) or use 'tool_plan'";

/// Checks a request.
///
/// # Errors
/// The refusal that Cohere answers with.
pub(super) fn chat(body: &Value) -> Result<(), Refusal> {
    members(object("body", Some(body))?, MEMBERS)?;
    if text("model", body.get("model"))?.is_empty() {
        return Err(invalid("model is required"));
    }
    for (name, least, most) in RANGES {
        if let Some(value) = body.get(*name) {
            let value = value.as_f64().ok_or_else(|| invalid(&format!("{name} must be a number")))?;
            expect(
                (*least..=*most).contains(&value),
                &format!("{name} must be between {least} and {most} inclusive."),
            )?;
        }
    }
    let is_set = |name| body.get(name).and_then(Value::as_f64).is_some_and(|value| value != 0.0);
    expect(
        !(is_set("frequency_penalty") && is_set("presence_penalty")),
        "cannot specify both frequency_penalty and presence_penalty.",
    )?;
    for name in ["stream", "strict_tools", "logprobs"] {
        expect(body.get(name).is_none_or(Value::is_boolean), &format!("{name} must be a boolean"))?;
    }
    let stops = list(body, "stop_sequences");
    expect(
        stops.len() <= MAX_STOPS && stops.iter().all(Value::is_string),
        "stop_sequences must be up to 5 strings",
    )?;
    tools(body)?;
    format(body)?;
    if let Some(thinking) = body.get("thinking") {
        members(object("thinking", Some(thinking))?, &["type", "token_budget"])?;
        expect(is_one_of(thinking.get("type"), &["enabled", "disabled"]), "thinking.type is not valid")?;
        let budget = thinking.get("token_budget");
        expect(
            budget.is_none_or(|budget| budget.as_u64().is_some_and(|budget| budget > 0)),
            "thinking.token_budget must be a positive integer",
        )?;
    }
    let messages = list(body, "messages");
    expect(!messages.is_empty(), "messages must not be empty")?;
    messages
        .iter()
        .enumerate()
        .try_for_each(|(index, message)| self::message(index, message, thinks(body)))?;
    results(messages)
}

/// Each call is answered directly behind the message that has it:
/// <https://github.com/oracle/langchain-oracle/issues/10>.
fn results(messages: &[Value]) -> Result<(), Refusal> {
    let mut waiting: Vec<&Value> = Vec::new();
    for message in messages.iter().chain([&Value::Null]) {
        match message.get("tool_call_id") {
            Some(id) => waiting.retain(|call| *call != id),
            None if waiting.is_empty() => {}
            None => {
                let message = format!(
                    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {waiting:?}"
                );
                return Err(invalid(&message));
            }
        }
        waiting.extend(list(message, "tool_calls").iter().filter_map(|call| call.get("id")));
    }
    Ok(())
}

fn tools(body: &Value) -> Result<(), Refusal> {
    let tools = list(body, "tools");
    let is_strict = body.get("strict_tools").is_some_and(|strict| strict == true);
    for tool in tools {
        members(object("tool", Some(tool))?, &["type", "function"])?;
        expect(is_one_of(tool.get("type"), &["function"]), "a tool's type must be function")?;
        let function = object("function", tool.get("function"))?;
        members(function, &["name", "description", "parameters"])?;
        expect(!text("name", function.get("name"))?.is_empty(), "a tool must have a name")?;
        let parameters = object("parameters", function.get("parameters"))?;
        let has_some = |name: &str| match parameters.get(name) {
            Some(Value::Object(members)) => !members.is_empty(),
            Some(Value::Array(list)) => !list.is_empty(),
            _ => false,
        };
        expect(
            !is_strict || !has_some("properties") || has_some("required"),
            "tools with optional parameters only are not supported with strict_tools",
        )?;
    }
    match body.get("tool_choice") {
        None => Ok(()),
        Some(choice) => expect(
            choice == "NONE" || choice == "REQUIRED" && !tools.is_empty(),
            "tool_choice must be REQUIRED or NONE, and there must be tools",
        ),
    }
}

fn format(body: &Value) -> Result<(), Refusal> {
    let Some(format) = body.get("response_format") else { return Ok(()) };
    members(object("response_format", Some(format))?, &["type", "json_schema"])?;
    expect(is_one_of(format.get("type"), &["text", "json_object"]), "response_format.type is not valid")?;
    if let Some(schema) = format.get("json_schema") {
        object("json_schema", Some(schema))?;
    }
    let is_alone = list(body, "tools").is_empty() && list(body, "documents").is_empty();
    expect(is_alone, "response_format is not supported with RAG.")
}

fn message(index: usize, message: &Value, thinks: bool) -> Result<(), Refusal> {
    let at = format!("messages[{index}]");
    let members_of = object(&at, Some(message))?;
    let role = text(&format!("{at}.role"), message.get("role"))?;
    let Some((_, allowed)) = MESSAGES.iter().find(|(known, _)| *known == role) else {
        return Err(invalid(&format!("{at}: {role} is no role")));
    };
    members(members_of, allowed)?;
    if role == "tool" {
        text(&format!("{at}.tool_call_id"), message.get("tool_call_id"))?;
    }
    let calls = list(message, "tool_calls");
    for call in calls {
        members(object(&at, Some(call))?, &["id", "type", "function"])?;
        text(&format!("{at}.tool_calls.id"), call.get("id"))?;
        let function = object(&at, call.get("function"))?;
        members(function, &["name", "arguments"])?;
        text(&at, function.get("name"))?;
        text(&at, function.get("arguments"))?;
    }
    let is_empty = |content: &Value| match content {
        Value::String(text) => text.is_empty(),
        Value::Array(blocks) => blocks.is_empty(),
        _ => true,
    };
    match message.get("content") {
        None if !calls.is_empty() => return Ok(()),
        None => return Err((400, "message must not be empty in a turn".to_owned())),
        Some(content) if is_empty(content) => {
            return Err((400, "message must not be empty in a turn".to_owned()));
        }
        Some(Value::String(_)) => expect(calls.is_empty(), TEXT_AND_CALLS)?,
        Some(_) => {}
    }
    for (number, block) in list(message, "content").iter().enumerate() {
        let at = format!("{at}.content[{number}]");
        let kind = text(&format!("{at}.type"), block.get("type"))?;
        let known = BLOCKS.iter().find(|(of, known, _)| *of == role && *known == kind);
        let Some((_, _, allowed)) = known else {
            return Err(invalid(&format!("{at}: {kind} is not allowed in a message of role {role}")));
        };
        members(object(&at, Some(block))?, allowed)?;
        match kind {
            "image_url" => {
                let image = object(&at, block.get("image_url"))?;
                members(image, &["url", "detail"])?;
                text(&at, image.get("url"))?;
                let detail = image.get("detail");
                expect(
                    detail.is_none() || is_one_of(detail, &["auto", "low", "high"]),
                    "detail is not valid",
                )?;
            }
            "document" => {}
            kind => expect(!text(&at, block.get(kind))?.is_empty(), "message must not be empty in a turn")?,
        }
        expect(calls.is_empty() || kind == "thinking", TEXT_AND_CALLS)?;
        expect(thinks || kind != "thinking", "thinking content is not allowed: thinking is not enabled")?;
    }
    Ok(())
}

fn members(object: &Map<String, Value>, allowed: &[&str]) -> Result<(), Refusal> {
    let unknown = object.keys().find(|name| !allowed.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| {
        let message = format!(
            "unknown field: parameter '{name}' is not a valid field. For proper usage, please refer to https://docs.cohere.com/reference/chat"
        );
        Err((422, message))
    })
}

fn object<'a>(at: &str, value: Option<&'a Value>) -> Result<&'a Map<String, Value>, Refusal> {
    value.and_then(Value::as_object).ok_or_else(|| invalid(&format!("{at} must be an object")))
}

fn text<'a>(at: &str, value: Option<&'a Value>) -> Result<&'a str, Refusal> {
    value.and_then(Value::as_str).ok_or_else(|| invalid(&format!("{at} must be a string")))
}

fn is_one_of(value: Option<&Value>, words: &[&str]) -> bool {
    value.and_then(Value::as_str).is_some_and(|value| words.contains(&value))
}

fn expect(holds: bool, message: &str) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(invalid(message)) }
}

fn invalid(message: &str) -> Refusal {
    (400, format!("invalid request: {message}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(member: &str, value: Value) -> Value {
        let mut body = json!({"model": "command-a-03-2025", "messages": [{"role": "user", "content": "u"}]});
        body[member] = value;
        body
    }

    #[test]
    fn what_cohere_takes_is_taken() {
        let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let body = json!({
            "model": "command-a-reasoning-08-2025", "stream": true, "temperature": 0.5, "p": 1, "k": 500, "seed": 7,
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            "strict_tools": true, "tool_choice": "REQUIRED", "thinking": {"type": "enabled", "token_budget": 1},
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": [
                    {"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "u", "detail": "low"}}]},
                {"role": "assistant", "tool_plan": "p", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": "r"},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "t"}], "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": [{"type": "document", "document": {"data": {}}}]},
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "x"}]},
            ],
        });
        assert_eq!(chat(&body), Ok(()));
    }

    #[test]
    fn what_cohere_refuses_is_refused() {
        let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let tool = |function: Value| json!([{"type": "function", "function": function}]);
        let optional = json!({"type": "object", "properties": {"x": {}}});
        let format = json!({"type": "json_object"});
        for (status, body) in [
            (422, asked("top_p", json!(1))),
            (422, asked("user", json!("u"))),
            (422, asked("tools", tool(json!({"name": "f", "strict": true, "parameters": {}})))),
            (422, asked("messages", json!([{"role": "user", "content": "u", "name": "n"}]))),
            (400, asked("model", json!(""))),
            (400, asked("messages", json!([]))),
            (400, asked("tools", tool(json!({"name": "f"})))),
            (400, asked("tool_choice", json!("REQUIRED"))),
            (400, asked("tool_choice", json!("auto"))),
            (400, asked("temperature", json!(1.5))),
            (400, asked("k", json!(501))),
            (400, asked("presence_penalty", json!(-1))),
            (400, asked("stop_sequences", json!(["1", "2", "3", "4", "5", "6"]))),
            (400, asked("thinking", json!({"type": "enabled", "token_budget": 0}))),
            (400, asked("messages", json!([{"role": "developer", "content": "d"}]))),
            (400, asked("messages", json!([{"role": "user", "content": ""}]))),
            (400, asked("messages", json!([{"role": "user", "content": [{"type": "file"}]}]))),
            (400, asked("messages", json!([{"role": "assistant", "content": "x", "tool_calls": [call]}]))),
            (400, asked("messages", json!([{"role": "assistant", "tool_calls": [call]}]))),
            (
                400,
                asked(
                    "messages",
                    json!([{"role": "assistant", "tool_calls": [call]}, {"role": "user", "content": "u"}]),
                ),
            ),
            (
                400,
                asked(
                    "messages",
                    json!([{"role": "assistant", "content": [{"type": "thinking", "thinking": "t"}]}]),
                ),
            ),
            (400, {
                let mut body = asked("response_format", format);
                body["documents"] = json!(["d"]);
                body
            }),
            (400, {
                let mut body = asked("tools", tool(json!({"name": "f", "parameters": optional})));
                body["strict_tools"] = json!(true);
                body
            }),
            (400, {
                let mut body = asked("presence_penalty", json!(0.5));
                body["frequency_penalty"] = json!(0.5);
                body
            }),
        ] {
            assert_eq!(chat(&body).map_err(|(status, _)| status), Err(status), "{body}");
        }
    }
}
