//! `/v1/responses`: a response and the sequence of events it is streamed as.

use serde_json::{Value, json};

use super::{Refusal, model, streams};
use crate::answer::{self, Answer};
use crate::object::with;
use crate::server::Ask;
use crate::text::{self, End};

/// Pieces a tool's arguments are streamed in.
const ARGUMENT_PIECES: usize = 3;

/// A message, or a call of the tool that the request forces.
pub(crate) fn answer(ask: &Ask<'_>, body: &Value) -> Result<Answer, Refusal> {
    let input =
        body.get("input").filter(|input| !input.is_null()).ok_or_else(|| Refusal::missing("input"))?;
    let prompt = prompt_tokens(input, body);
    let mut turn = match forced_tool(body) {
        Some(tool) => Turn::call(ask, body, tool),
        None => Turn::say(ask, body),
    };
    let response = head(ask, body);
    if !streams(body) {
        return Ok(Answer::json(200, &turn.finish(response, prompt)));
    }
    let mut events = Vec::new();
    let mut push = |name: &str, fields: Value| {
        let event = with(json!({"type": name, "sequence_number": events.len()}), fields);
        events.push(answer::event(Some(name), &event));
    };
    push("response.created", json!({"response": response}));
    push("response.in_progress", json!({"response": response}));
    for (index, thought) in turn.thoughts.iter().enumerate() {
        push("response.output_item.added", json!({"output_index": index, "item": thought}));
        push("response.output_item.done", json!({"output_index": index, "item": thought}));
    }
    let index = turn.thoughts.len();
    push("response.output_item.added", json!({"output_index": index, "item": turn.opened}));
    for (name, fields) in std::mem::take(&mut turn.events) {
        push(name, with(json!({"item_id": turn.id, "output_index": index}), fields));
    }
    push("response.output_item.done", json!({"output_index": index, "item": turn.item}));
    let response = turn.finish(response, prompt);
    let last = if turn.cut { "response.incomplete" } else { "response.completed" };
    push(last, json!({"response": response}));
    Ok(Answer::events(events, ask.pace))
}

/// The whole response, however the request wants it.
pub(crate) fn finished(ask: &Ask<'_>, body: &Value) -> Result<Value, Refusal> {
    let input =
        body.get("input").filter(|input| !input.is_null()).ok_or_else(|| Refusal::missing("input"))?;
    let turn = match forced_tool(body) {
        Some(tool) => Turn::call(ask, body, tool),
        None => Turn::say(ask, body),
    };
    Ok(turn.finish(head(ask, body), prompt_tokens(input, body)))
}

/// `/v1/responses/input_tokens`.
pub(crate) fn input_tokens(_: &Ask<'_>, body: &Value) -> Result<Answer, Refusal> {
    let input = body.get("input").ok_or_else(|| Refusal::missing("input"))?;
    let count = prompt_tokens(input, body);
    Ok(Answer::json(200, &json!({"object": "response.input_tokens", "input_tokens": count})))
}

/// What the thoughts of a provider begin with that nobody else can read.
pub(super) fn encrypted(ask: &Ask<'_>) -> String {
    format!("gAAAA-{}-", ask.name)
}

/// The output of a response: one item, and before it a thought where its encrypted form is asked for.
struct Turn {
    thoughts: Vec<Value>,
    id: Value,
    /// The item as it is added, still empty.
    opened: Value,
    /// The events between adding and finishing it.
    events: Vec<(&'static str, Value)>,
    /// The item when it is done.
    item: Value,
    tokens: u64,
    cut: bool,
}

impl Turn {
    fn say(ask: &Ask<'_>, body: &Value) -> Self {
        let limit = body.get("max_output_tokens").and_then(Value::as_u64);
        let wanted = match body.pointer("/text/format/schema") {
            Some(schema) => text::sample(schema).to_string(),
            None => text::sentence(ask.name, ask.words),
        };
        let said = text::say(&wanted, limit, &[]);
        let cut = said.end == End::Limit;
        let id = json!(format!("msg_{}_{}", ask.name, ask.id));
        let part =
            |text: &str| json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text});
        let item = |status: &str, content: Value| json!({"id": id, "type": "message", "status": status, "content": content, "role": "assistant"});
        let mut events = vec![("response.content_part.added", json!({"content_index": 0, "part": part("")}))];
        events.extend(said.pieces.iter().map(|piece| {
            ("response.output_text.delta", json!({"content_index": 0, "delta": piece, "logprobs": []}))
        }));
        let text = said.text();
        events.push(("response.output_text.done", json!({"content_index": 0, "text": text, "logprobs": []})));
        events.push(("response.content_part.done", json!({"content_index": 0, "part": part(&text)})));
        Self {
            thoughts: thoughts(ask, body),
            opened: item("in_progress", json!([])),
            events,
            item: item(if cut { "incomplete" } else { "completed" }, json!([part(&text)])),
            tokens: said.tokens() as u64,
            cut,
            id: id.clone(),
        }
    }

    fn call(ask: &Ask<'_>, body: &Value, tool: &Value) -> Self {
        let arguments = text::sample(tool.get("parameters").unwrap_or(&Value::Null)).to_string();
        let id = json!(format!("fc_{}_{}", ask.name, ask.id));
        let call_id = format!("call_{}_{}", ask.name, ask.id);
        let name = tool.get("name").unwrap_or(&Value::Null);
        let item = |status: &str, arguments: &str| {
            json!({"id": id, "type": "function_call", "status": status, "call_id": call_id, "name": name,
                   "arguments": arguments})
        };
        let mut events: Vec<_> = text::split(&arguments, ARGUMENT_PIECES)
            .into_iter()
            .map(|piece| ("response.function_call_arguments.delta", json!({"delta": piece})))
            .collect();
        events.push(("response.function_call_arguments.done", json!({"name": name, "arguments": arguments})));
        Self {
            thoughts: thoughts(ask, body),
            opened: item("in_progress", ""),
            events,
            item: item("completed", &arguments),
            tokens: text::words(&arguments),
            cut: false,
            id: id.clone(),
        }
    }

    fn finish(&self, response: Value, prompt: u64) -> Value {
        let end = json!({
            "status": if self.cut { "incomplete" } else { "completed" },
            "incomplete_details": self.cut.then(|| json!({"reason": "max_output_tokens"})),
            "output": self.thoughts.iter().chain([&self.item]).collect::<Vec<_>>(),
            "usage": {
                "input_tokens": prompt,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": self.tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": prompt + self.tokens,
            },
        });
        with(response, end)
    }
}

fn thoughts(ask: &Ask<'_>, body: &Value) -> Vec<Value> {
    let included = body.get("include").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let thought = |_: &Value| {
        json!({"id": format!("rs_{}_{}", ask.name, ask.id), "type": "reasoning", "summary": [],
               "encrypted_content": format!("{}{}", encrypted(ask), ask.id)})
    };
    included.iter().filter(|included| *included == "reasoning.encrypted_content").map(thought).collect()
}

fn head(ask: &Ask<'_>, body: &Value) -> Value {
    let or = |key: &str, default: Value| body.get(key).cloned().unwrap_or(default);
    json!({
        "id": format!("resp_{}_{}", ask.name, ask.id),
        "object": "response",
        "created_at": ask.now(),
        "status": "in_progress",
        "error": null,
        "incomplete_details": null,
        "instructions": or("instructions", Value::Null),
        "max_output_tokens": or("max_output_tokens", Value::Null),
        "model": model(body),
        "output": [],
        "parallel_tool_calls": or("parallel_tool_calls", json!(true)),
        "previous_response_id": or("previous_response_id", Value::Null),
        "reasoning": {"effort": null, "summary": null},
        "store": or("store", json!(true)),
        "temperature": or("temperature", json!(1.0)),
        "text": or("text", json!({"format": {"type": "text"}})),
        "tool_choice": or("tool_choice", json!("auto")),
        "tools": or("tools", json!([])),
        "top_p": or("top_p", json!(1.0)),
        "truncation": "disabled",
        "usage": null,
        "user": null,
        "metadata": or("metadata", json!({})),
    })
}

fn prompt_tokens(input: &Value, body: &Value) -> u64 {
    text::content_words(input) + body.get("instructions").map_or(0, text::content_words)
}

fn forced_tool(body: &Value) -> Option<&Value> {
    let mut functions = body
        .get("tools")?
        .as_array()?
        .iter()
        .filter(|tool| tool.get("type").and_then(Value::as_str) == Some("function"));
    match body.get("tool_choice")? {
        Value::String(choice) if choice == "required" => functions.next(),
        choice => {
            let name = choice.get("name")?;
            functions.find(|function| function.get("name") == Some(name))
        }
    }
}
