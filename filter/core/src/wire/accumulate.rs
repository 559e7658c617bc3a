//! What clients make of answers of OpenAI's chat, as a test sees it.

use serde_json::{Value, json};

pub(in crate::wire) fn sse_data(stream: &str) -> Vec<&str> {
    assert!(stream.ends_with("\n\n"));
    stream.trim_end().split("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect()
}

/// What an SDK makes of the chunks of choice 0: content, reasoning, tool calls, finish reason, usage.
pub(in crate::wire) fn accumulate(stream: &str) -> Value {
    let (mut content, mut reasoning) = (String::new(), String::new());
    let mut calls: Vec<(Value, Value, String)> = Vec::new();
    let mut thoughts: Vec<Value> = Vec::new();
    let (mut finish, mut usage) = (Value::Null, Value::Null);
    let mut roles = 0;
    let data = sse_data(stream);
    let (last, chunks) = data.split_last().unwrap();
    assert_eq!(*last, "[DONE]");
    for chunk in chunks {
        let chunk: Value = serde_json::from_str(chunk).unwrap();
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["id"], "msg_1");
        if !chunk["usage"].is_null() {
            assert_eq!(chunk["choices"], json!([]));
            usage = chunk["usage"].clone();
            continue;
        }
        assert_eq!(finish, Value::Null, "nothing comes after the finish reason");
        let choice = &chunk["choices"][0];
        finish = choice["finish_reason"].clone();
        let delta = &choice["delta"];
        let said = delta.as_object().is_some_and(|delta| !delta.is_empty());
        roles += i32::from(delta.get("role").is_some());
        assert!(!said || roles == 1, "the role comes once, with the first content");
        content += delta["content"].as_str().unwrap_or_default();
        reasoning += delta["reasoning_content"].as_str().unwrap_or_default();
        for thought in delta["thinking_blocks"].as_array().into_iter().flatten() {
            let mut thought = thought.clone();
            let index = thought.as_object_mut().and_then(|thought| thought.remove("index"));
            assert_eq!(
                index,
                Some(json!(thoughts.len())),
                "each comes whole, and they are numbered without gaps"
            );
            thoughts.push(thought);
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if let Some(id) = call.get("id") {
                assert_eq!(index, calls.len(), "calls are numbered without gaps");
                calls.push((id.clone(), call["function"]["name"].clone(), String::new()));
            }
            calls[index].2 += call["function"]["arguments"].as_str().unwrap();
        }
    }
    let calls: Vec<Value> = calls
        .into_iter()
        .map(|(id, name, arguments)| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}))
        .collect();
    json!({
        "content": content, "reasoning": reasoning, "thoughts": thoughts, "calls": calls, "finish": finish, "usage": usage,
    })
}

/// The same of a whole answer.
pub(in crate::wire) fn flatten(completion: &[u8]) -> Value {
    let completion: Value = serde_json::from_slice(completion).unwrap();
    let message = &completion["choices"][0]["message"];
    json!({
        "content": message["content"].as_str().unwrap_or_default(),
        "reasoning": message["reasoning_content"].as_str().unwrap_or_default(),
        "thoughts": message.get("thinking_blocks").cloned().unwrap_or_else(|| json!([])),
        "calls": message.get("tool_calls").cloned().unwrap_or_else(|| json!([])),
        "finish": completion["choices"][0]["finish_reason"],
        "usage": completion["usage"],
    })
}
