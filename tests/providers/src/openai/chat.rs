//! `/v1/chat/completions`.

use serde_json::{Value, json};

use super::{Refusal, completion_stream, model, stops, streams, usage};
use crate::answer::Answer;
use crate::object::with;
use crate::server::Ask;
use crate::text::{self, End};

/// Pieces a tool's arguments are streamed in.
const ARGUMENT_PIECES: usize = 3;

/// A text, or a call of the tool that the request forces.
pub(crate) fn answer(ask: &Ask<'_>, body: &Value) -> Result<Answer, Refusal> {
    let messages =
        body.get("messages").and_then(Value::as_array).ok_or_else(|| Refusal::missing("messages"))?;
    if messages.is_empty() {
        return Err(Refusal::invalid("Invalid 'messages': empty array. Expected at least one message."));
    }
    for (index, message) in messages.iter().enumerate() {
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        if !matches!(role, "system" | "developer" | "user" | "assistant" | "tool" | "function") {
            return Err(Refusal::invalid(format!("Invalid value for 'messages[{index}].role': '{role}'.")));
        }
    }
    let prompt = messages.iter().map(text::content_words).sum();
    match forced_tool(body) {
        Some(function) => Ok(call(ask, body, function, prompt)),
        None => Ok(say(ask, body, prompt)),
    }
}

fn say(ask: &Ask<'_>, body: &Value, prompt: u64) -> Answer {
    let limit =
        body.get("max_completion_tokens").filter(|limit| !limit.is_null()).or_else(|| body.get("max_tokens"));
    let wanted = match body.pointer("/response_format/type").and_then(Value::as_str) {
        Some("json_schema") => {
            text::sample(body.pointer("/response_format/json_schema/schema").unwrap_or(&Value::Null))
                .to_string()
        }
        Some("json_object") => json!({"answer": text::sentence(ask.name, ask.words)}).to_string(),
        _ => text::sentence(ask.name, ask.words),
    };
    let said = text::say(&wanted, limit.and_then(Value::as_u64), &stops(body));
    let finish = if said.end == End::Limit { "length" } else { "stop" };
    let usage = usage(prompt, said.tokens() as u64);
    if streams(body) {
        let deltas = said.pieces.iter().map(|piece| json!({"content": piece})).collect();
        let first = json!({"role": "assistant", "content": "", "refusal": null});
        stream(ask, body, first, deltas, finish, &usage)
    } else {
        let message =
            json!({"role": "assistant", "content": said.text(), "refusal": null, "annotations": []});
        whole(ask, body, message, finish, &usage)
    }
}

fn call(ask: &Ask<'_>, body: &Value, function: &Value, prompt: u64) -> Answer {
    let arguments = text::sample(function.get("parameters").unwrap_or(&Value::Null)).to_string();
    let usage = usage(prompt, text::words(&arguments));
    let name = function.get("name").unwrap_or(&Value::Null);
    let id = format!("call_{}_{}", ask.name, ask.id);
    if streams(body) {
        let first = json!({
            "role": "assistant",
            "content": null,
            "tool_calls": [
                {"index": 0, "id": id, "type": "function", "function": {"name": name, "arguments": ""}},
            ],
            "refusal": null,
        });
        let deltas = text::split(&arguments, ARGUMENT_PIECES)
            .into_iter()
            .map(|piece| json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}))
            .collect();
        stream(ask, body, first, deltas, "tool_calls", &usage)
    } else {
        let message = json!({
            "role": "assistant",
            "content": null,
            "tool_calls": [{"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}],
            "refusal": null,
            "annotations": [],
        });
        whole(ask, body, message, "tool_calls", &usage)
    }
}

fn whole(ask: &Ask<'_>, body: &Value, message: Value, finish: &str, usage: &Value) -> Answer {
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish});
    let answer = with(head(ask, body, "chat.completion"), json!({"choices": [choice], "usage": usage}));
    Answer::json(200, &answer)
}

fn stream(
    ask: &Ask<'_>,
    body: &Value,
    first: Value,
    deltas: Vec<Value>,
    finish: &str,
    usage: &Value,
) -> Answer {
    let head = head(ask, body, "chat.completion.chunk");
    let chunk = |delta: Value, finish: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        with(head.clone(), json!({"choices": [choice]}))
    };
    let mut chunks = vec![chunk(first, None)];
    chunks.extend(deltas.into_iter().map(|delta| chunk(delta, None)));
    chunks.push(chunk(json!({}), Some(finish)));
    completion_stream(ask, body, chunks, head.clone(), usage)
}

fn head(ask: &Ask<'_>, body: &Value, object: &str) -> Value {
    json!({
        "id": format!("chatcmpl-{}-{}", ask.name, ask.id),
        "object": object,
        "created": ask.now(),
        "model": model(body),
        "service_tier": "default",
        "system_fingerprint": null,
    })
}

/// The function the request forces with `tool_choice`, if it does.
fn forced_tool(body: &Value) -> Option<&Value> {
    let tools = body.get("tools")?.as_array()?;
    let mut functions = tools.iter().filter_map(|tool| tool.get("function"));
    match body.get("tool_choice")? {
        Value::String(choice) if choice == "required" => functions.next(),
        choice => {
            let name = choice.pointer("/function/name")?;
            functions.find(|function| function.get("name") == Some(name))
        }
    }
}
