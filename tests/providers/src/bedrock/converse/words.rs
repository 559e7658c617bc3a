//! Converse's words in Anthropic's and back, as Bedrock itself puts them for Claude.

use serde_json::{Map, Value, json};

use crate::object::with;

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A request in Anthropic's words.
pub(super) fn request(body: &Value) -> Value {
    let mut asked = json!({
        "max_tokens": body.pointer("/inferenceConfig/maxTokens").cloned().unwrap_or(json!(4096)),
        "messages": list(body, "/messages").iter().map(message).collect::<Vec<_>>(),
    });
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            asked = with(asked.take(), json!({ name: value }));
        }
    };
    let config = |name: &str| body.pointer(&format!("/inferenceConfig/{name}")).cloned();
    set("temperature", config("temperature"));
    set("top_p", config("topP"));
    set("stop_sequences", config("stopSequences"));
    set(
        "system",
        body.get("system").map(|system| marked(system.as_array().map_or(&[], Vec::as_slice), block)),
    );
    let tools = list(body, "/toolConfig/tools");
    set("tools", (!tools.is_empty()).then(|| marked(tools, tool)));
    set("tool_choice", body.pointer("/toolConfig/toolChoice").map(tool_choice));
    let fields = body.get("additionalModelRequestFields").and_then(Value::as_object);
    for (name, value) in fields.into_iter().flatten() {
        match name.as_str() {
            "thinking" | "top_k" | "output_config" => set(name, Some(value.clone())),
            "reasoningConfig" if value.get("type") == Some(&json!("enabled")) => {
                set("thinking", Some(json!({"type": "adaptive"})));
            }
            _ => {}
        }
    }
    let schema = body.pointer("/outputConfig/textFormat/structure/jsonSchema/schema").and_then(Value::as_str);
    if let Some(schema) = schema.and_then(|schema| serde_json::from_str::<Value>(schema).ok()) {
        set("output_config", Some(json!({"format": {"type": "json_schema", "schema": schema}})));
    }
    asked
}

fn message(message: &Value) -> Value {
    json!({"role": message.get("role"), "content": marked(list(message, "/content"), block)})
}

/// A cache point is a mark on what stands before it.
fn marked(blocks: &[Value], one: fn(&Value) -> Value) -> Value {
    let mut out: Vec<Value> = Vec::new();
    for block in blocks {
        if block.get("cachePoint").is_none() {
            out.push(one(block));
        } else if let Some(last) = out.last_mut() {
            *last = with(last.take(), json!({"cache_control": {"type": "ephemeral"}}));
        }
    }
    Value::Array(out)
}

fn block(block: &Value) -> Value {
    let Some((kind, inner)) = block.as_object().and_then(|block| block.iter().next()) else {
        return Value::Null;
    };
    let at = |pointer: &str| inner.pointer(pointer).cloned().unwrap_or_default();
    match kind.as_str() {
        "text" => json!({"type": "text", "text": inner}),
        "toolUse" => {
            json!({"type": "tool_use", "id": at("/toolUseId"), "name": at("/name"), "input": at("/input")})
        }
        "toolResult" => json!({
            "type": "tool_result",
            "tool_use_id": at("/toolUseId"),
            "is_error": at("/status") == json!("error"),
            "content": marked(list(inner, "/content"), self::block),
        }),
        "reasoningContent" => match inner.get("redactedContent") {
            Some(data) => json!({"type": "redacted_thinking", "data": data}),
            None => json!({
                "type": "thinking",
                "thinking": at("/reasoningText/text"),
                "signature": at("/reasoningText/signature"),
            }),
        },
        "image" => json!({"type": "image", "source": {
            "type": "base64", "media_type": format!("image/{}", at("/format").as_str().unwrap_or_default()),
            "data": at("/source/bytes"),
        }}),
        "citationsContent" => json!({"type": "text", "text": at("/content/0/text")}),
        "searchResult" => json!({
            "type": "search_result", "source": at("/source"), "title": at("/title"), "content": texts(inner),
        }),
        _ => match inner.get("source") {
            Some(source) if source.get("content").is_some() => {
                json!({"type": "document", "source": {"type": "content", "content": texts(source)}})
            }
            _ => json!({"type": "document", "source": {
                "type": "base64", "media_type": "application/pdf", "data": at("/source/bytes"),
            }}),
        },
    }
}

/// The blocks of text in `content`.
fn texts(inner: &Value) -> Vec<Value> {
    list(inner, "/content").iter().map(|piece| json!({"type": "text", "text": piece.get("text")})).collect()
}

fn tool(tool: &Value) -> Value {
    let at = |pointer: &str| tool.pointer(pointer).cloned().unwrap_or_default();
    json!({"name": at("/toolSpec/name"), "input_schema": at("/toolSpec/inputSchema/json")})
}

fn tool_choice(choice: &Value) -> Value {
    match choice.pointer("/tool/name") {
        Some(name) => json!({"type": "tool", "name": name}),
        None if choice.get("any").is_some() => json!({"type": "any"}),
        None => json!({"type": "auto"}),
    }
}

fn usage(usage: &Value) -> Value {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (input, output) = (count("input_tokens"), count("output_tokens"));
    let (read, write) = (count("cache_read_input_tokens"), count("cache_creation_input_tokens"));
    json!({
        "inputTokens": input,
        "outputTokens": output,
        "totalTokens": input + output + read + write,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": write,
    })
}

/// What comes beside the usage of an answer to `body`.
fn metadata(counters: &Value, body: &Value) -> Value {
    let metadata = json!({"usage": usage(counters), "metrics": {"latencyMs": 12}});
    let mut own = Map::new();
    for name in ["serviceTier", "performanceConfig"] {
        own.extend(body.get(name).map(|value| (name.to_owned(), value.clone())));
    }
    with(metadata, Value::Object(own))
}

/// What the client asked to be told of the model's own fields.
fn told(fields: &Value, body: &Value) -> Value {
    let mut out = json!({});
    for path in list(body, "/additionalModelResponseFieldPaths").iter().filter_map(Value::as_str) {
        let value = fields.pointer(path).filter(|value| !value.is_null());
        if let Some(value) = value {
            let names: Vec<&str> = path.trim_start_matches('/').split('/').collect();
            let nested = names.iter().rev().fold(value.clone(), |inner, name| json!({ *name: inner }));
            out = with(out, nested);
        }
    }
    if out == json!({}) { json!({}) } else { json!({"additionalModelResponseFields": out}) }
}

/// A whole message in Converse's words.
pub(super) fn whole(message: &Value, body: &Value) -> Value {
    let content: Vec<Value> = list(message, "/content").iter().map(said).collect();
    let answer = json!({
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": message.get("stop_reason"),
    });
    let answer = with(answer, metadata(message.get("usage").unwrap_or(&Value::Null), body));
    with(answer, told(message, body))
}

fn said(block: &Value) -> Value {
    let at = |name: &str| block.get(name).cloned().unwrap_or_default();
    match block.get("type").and_then(Value::as_str) {
        Some("thinking") => {
            json!({"reasoningContent": {"reasoningText": {"text": at("thinking"), "signature": at("signature")}}})
        }
        Some("redacted_thinking") => json!({"reasoningContent": {"redactedContent": at("data")}}),
        Some("tool_use") => {
            json!({"toolUse": {"toolUseId": at("id"), "name": at("name"), "input": at("input")}})
        }
        _ => json!({"text": at("text")}),
    }
}

/// The events of a stream in Converse's words, each with its name. Texts and thoughts begin without a word.
pub(super) fn events(events: &[Value], body: &Value) -> Vec<(&'static str, Value)> {
    let mut out = Vec::new();
    let mut counters = json!({});
    for event in events {
        let at = |pointer: &str| event.pointer(pointer).cloned().unwrap_or_default();
        let index = at("/index");
        let delta = |delta: Value| ("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta}));
        match event.get("type").and_then(Value::as_str).unwrap_or_default() {
            "message_start" => {
                counters = at("/message/usage");
                out.push(("messageStart", json!({"role": "assistant"})));
            }
            "content_block_start" => match event.pointer("/content_block/type").and_then(Value::as_str) {
                Some("tool_use") => {
                    let start = json!({"toolUse": {"toolUseId": at("/content_block/id"), "name": at("/content_block/name")}});
                    out.push(("contentBlockStart", json!({"contentBlockIndex": index, "start": start})));
                }
                Some("redacted_thinking") => {
                    out.push(delta(
                        json!({"reasoningContent": {"redactedContent": at("/content_block/data")}}),
                    ));
                }
                _ => {}
            },
            "content_block_delta" => {
                let inner = event.get("delta").and_then(Value::as_object);
                let of = |name: &str| inner.and_then(|inner| inner.get(name)).cloned();
                let pieces = [
                    of("text").map(|text| json!({ "text": text })),
                    of("partial_json").map(|input| json!({"toolUse": {"input": input}})),
                    of("thinking").map(|text| json!({"reasoningContent": {"text": text}})),
                    of("signature").map(|signature| json!({"reasoningContent": {"signature": signature}})),
                ];
                out.extend(pieces.into_iter().flatten().map(delta));
            }
            "content_block_stop" => out.push(("contentBlockStop", json!({"contentBlockIndex": index}))),
            "message_delta" => {
                counters = with(counters, at("/usage"));
                let stop = json!({"stopReason": at("/delta/stop_reason")});
                out.push(("messageStop", with(stop, told(event, body))));
            }
            "message_stop" => out.push(("metadata", metadata(&counters, body))),
            _ => {}
        }
    }
    out
}
