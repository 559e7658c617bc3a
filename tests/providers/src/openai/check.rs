//! What OpenAI refuses of a request for a chat completion, by the types of its SDK and its error messages.

use serde_json::{Map, Value};

use super::Refusal;

/// The members of a request: `completion_create_params.py`.
const MEMBERS: &[&str] = &[
    "messages",
    "model",
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

/// The members of a message of each role: `chat_completion_ROLE_message_param.py`.
const MESSAGES: &[(&str, &[&str])] = &[
    ("system", &["role", "content", "name"]),
    ("developer", &["role", "content", "name"]),
    ("user", &["role", "content", "name"]),
    ("assistant", &["role", "content", "name", "audio", "function_call", "refusal", "tool_calls"]),
    ("tool", &["role", "content", "tool_call_id"]),
];

const MAX_CALL_ID: usize = 40;
const MAX_NAME: usize = 64;
const MAX_USER: usize = 64;
const MAX_STOPS: usize = 4;

/// Checks a request.
///
/// # Errors
/// The refusal that OpenAI answers with.
pub(super) fn chat(body: &Value) -> Result<(), Refusal> {
    let body = object("body", body)?;
    for name in body.keys() {
        if !MEMBERS.contains(&name.as_str()) {
            return Err(Refusal::invalid(format!("Unrecognized request argument supplied: {name}")));
        }
    }
    let tools = list("tools", body.get("tools"))?;
    if body.contains_key("tools") && tools.is_empty() {
        return Err(Refusal::invalid(
            "Invalid 'tools': empty array. Expected an array with minimum length 1.",
        ));
    }
    let mut names = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        let at = format!("tools[{index}]");
        members(&at, object(&at, tool)?, &["type", "function"])?;
        expect(&format!("{at}.type"), tool.get("type").is_some_and(|kind| kind == "function"))?;
        let at = format!("{at}.function");
        let function = object(&at, tool.get("function").unwrap_or(&Value::Null))?;
        members(&at, function, &["name", "description", "parameters", "strict"])?;
        let name = text(&format!("{at}.name"), function.get("name"))?;
        expect(&format!("{at}.name"), is_name(name))?;
        names.push(name);
    }
    for needs_tools in ["tool_choice", "parallel_tool_calls"] {
        if body.contains_key(needs_tools) && tools.is_empty() {
            let message = format!(
                "Invalid value for '{needs_tools}': '{needs_tools}' is only allowed when 'tools' are specified."
            );
            return Err(Refusal::invalid(message));
        }
    }
    choice(body.get("tool_choice"), &names)?;
    if body.contains_key("max_tokens") && body.contains_key("max_completion_tokens") {
        return Err(Refusal::invalid(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
        ));
    }
    let is_stream = body.get("stream").is_some_and(|stream| stream == true);
    expect("stream_options", is_stream || !body.contains_key("stream_options"))?;
    for name in ["user", "safety_identifier"] {
        if let Some(user) = body.get(name) {
            expect(name, text(name, Some(user))?.chars().count() <= MAX_USER)?;
        }
    }
    if let Some(Value::Array(stops)) = body.get("stop") {
        expect("stop", stops.len() <= MAX_STOPS)?;
    }
    if let Some(schema) = body.get("response_format").and_then(|format| format.get("json_schema")) {
        let at = "response_format.json_schema";
        members(at, object(at, schema)?, &["name", "description", "schema", "strict"])?;
        expect(at, is_name(text(at, schema.get("name"))?))?;
    }
    messages(list("messages", body.get("messages"))?)
}

fn choice(choice: Option<&Value>, names: &[&str]) -> Result<(), Refusal> {
    let at = "tool_choice";
    let is_known = |function: &Value| {
        function.pointer("/function/name").and_then(Value::as_str).is_some_and(|name| names.contains(&name))
    };
    match choice {
        None => Ok(()),
        Some(Value::String(word)) => expect(at, matches!(word.as_str(), "auto" | "none" | "required")),
        Some(choice) => match choice.get("type").and_then(Value::as_str) {
            Some("function") => expect("tool_choice.function.name", is_known(choice)),
            Some("allowed_tools") => {
                let tools = choice.pointer("/allowed_tools/tools").and_then(Value::as_array);
                expect("tool_choice.allowed_tools", tools.is_some_and(|tools| tools.iter().all(is_known)))
            }
            _ => expect(at, false),
        },
    }
}

/// Each call is answered directly behind the message that has it.
fn messages(messages: &[Value]) -> Result<(), Refusal> {
    let mut waiting: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let at = format!("messages[{index}]");
        let message = object(&at, message)?;
        let role = text(&format!("{at}.role"), message.get("role"))?;
        let known = MESSAGES.iter().find(|(known, _)| *known == role);
        let (_, allowed) = known.ok_or_else(|| invalid(&format!("{at}.role")))?;
        members(&at, message, allowed)?;
        if role == "tool" {
            let id = text(&format!("{at}.tool_call_id"), message.get("tool_call_id"))?;
            let Some(position) = waiting.iter().position(|call| *call == id) else {
                let message = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.";
                return Err(Refusal::invalid(message));
            };
            waiting.remove(position);
        } else if !waiting.is_empty() {
            return Err(unanswered(&waiting));
        }
        let calls = list(&format!("{at}.tool_calls"), message.get("tool_calls"))?;
        content(&at, role, message, !calls.is_empty())?;
        for (number, call) in calls.iter().enumerate() {
            let at = format!("{at}.tool_calls[{number}]");
            members(&at, object(&at, call)?, &["id", "type", "function"])?;
            let id = text(&format!("{at}.id"), call.get("id"))?;
            if id.len() > MAX_CALL_ID {
                let message = format!(
                    "Invalid '{at}.id': string too long. Expected a string with maximum length {MAX_CALL_ID}, but got a string with length {} instead.",
                    id.len()
                );
                return Err(Refusal {
                    param: Some(at),
                    code: Some("string_above_max_length"),
                    ..Refusal::invalid(message)
                });
            }
            expect(
                &format!("{at}.function.name"),
                call.pointer("/function/name").and_then(Value::as_str).is_some_and(is_name),
            )?;
            expect(
                &format!("{at}.function.arguments"),
                call.pointer("/function/arguments").is_some_and(Value::is_string),
            )?;
            waiting.push(id);
        }
    }
    if waiting.is_empty() { Ok(()) } else { Err(unanswered(&waiting)) }
}

fn unanswered(waiting: &[&str]) -> Refusal {
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {}",
        waiting.join(", ")
    );
    Refusal::invalid(message)
}

fn content(at: &str, role: &str, message: &Map<String, Value>, has_calls: bool) -> Result<(), Refusal> {
    let at = format!("{at}.content");
    match message.get("content") {
        Some(Value::String(_)) => Ok(()),
        None | Some(Value::Null) => {
            let may_be_empty = role == "assistant" && (has_calls || message.contains_key("refusal"));
            expect(&at, may_be_empty)
        }
        Some(Value::Array(parts)) => parts.iter().enumerate().try_for_each(|(index, part)| {
            let at = format!("{at}[{index}]");
            let kind = text(&format!("{at}.type"), part.get("type"))?;
            let allowed: &[&str] = match (kind, role) {
                ("text", _) => &["type", "text", "prompt_cache_breakpoint"],
                ("refusal", "assistant") => &["type", "refusal"],
                ("image_url", "user") => &["type", "image_url", "prompt_cache_breakpoint"],
                ("input_audio", "user") => &["type", "input_audio", "prompt_cache_breakpoint"],
                ("file", "user") => &["type", "file", "prompt_cache_breakpoint"],
                _ => return Err(invalid(&format!("{at}.type"))),
            };
            members(&at, object(&at, part)?, allowed)
        }),
        Some(_) => Err(invalid(&at)),
    }
}

fn is_name(name: &str) -> bool {
    let is_allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(is_allowed)
}

fn members(at: &str, object: &Map<String, Value>, allowed: &[&str]) -> Result<(), Refusal> {
    let unknown = object.keys().find(|name| !allowed.contains(&name.as_str()));
    unknown.map_or(Ok(()), |name| Err(Refusal::invalid(format!("Unknown parameter: '{at}.{name}'."))))
}

fn object<'a>(at: &str, value: &'a Value) -> Result<&'a Map<String, Value>, Refusal> {
    value.as_object().ok_or_else(|| invalid(at))
}

fn list<'a>(at: &str, value: Option<&'a Value>) -> Result<&'a [Value], Refusal> {
    match value {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(invalid(at)),
    }
}

fn text<'a>(at: &str, value: Option<&'a Value>) -> Result<&'a str, Refusal> {
    value.and_then(Value::as_str).ok_or_else(|| invalid(at))
}

fn expect(at: &str, holds: bool) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(invalid(at)) }
}

fn invalid(at: &str) -> Refusal {
    let message = format!("Invalid value for '{at}'.");
    Refusal { param: Some(at.to_owned()), code: Some("invalid_value"), ..Refusal::invalid(message) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_openai_takes_is_taken() {
        let body = json!({
            "model": "m", "stream": true, "stream_options": {"include_usage": true}, "user": "u",
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}], "tool_choice": "auto",
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "u"}}]},
                {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "c", "content": "r"},
            ],
        });
        assert!(chat(&body).is_ok());
    }

    #[test]
    fn what_openai_refuses_is_refused() {
        let call = json!({"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
        let long = json!({"role": "assistant", "tool_calls": [{"id": "c".repeat(41), "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
        let result = json!({"role": "tool", "tool_call_id": "c", "content": "r"});
        let user = json!({"role": "user", "content": "u"});
        for (member, value) in [
            ("top_k", json!(1)),
            ("thinking", json!({})),
            ("tools", json!([])),
            ("tool_choice", json!("auto")),
            ("stream_options", json!({})),
            ("stop", json!(["a", "b", "c", "d", "e"])),
            ("user", json!("u".repeat(65))),
            ("messages", json!([call])),
            ("messages", json!([call, user, result])),
            ("messages", json!([result])),
            ("messages", json!([long])),
            ("messages", json!([{"role": "user", "content": null}])),
            ("messages", json!([{"role": "assistant", "content": "a", "reasoning_content": "x"}])),
            ("messages", json!([{"role": "system", "content": [{"type": "image_url", "image_url": {}}]}])),
            (
                "messages",
                json!([{"role": "user", "content": [{"type": "text", "text": "t", "cache_control": {}}]}]),
            ),
        ] {
            let mut body = json!({"model": "m", "messages": [user]});
            body[member] = value;
            assert!(chat(&body).is_err(), "{body}");
        }
    }
}
