//! A request as agents send it: instructions, tools with their schemas, and what was said, called and answered so far.

use serde_json::{Value, json};
use weir_core::endpoint::Endpoint;

use crate::sample::{CODE, PROSE};

/// A short question, a conversation, and one with whole files in it. In bytes.
pub(crate) const SIZES: [usize; 3] = [2_000, 100_000, 1_000_000];

/// How a client API writes the parts of a request.
struct Words {
    tool: fn(name: String) -> Value,
    turn: fn(id: String, answer: &str) -> Vec<Value>,
    whole: fn(system: String, messages: Vec<Value>, tools: Vec<Value>) -> Value,
}

/// A request of about `size` bytes, `size` of 2,000 or more. The smallest has two tools, the others twenty.
pub(crate) fn request(endpoint: Endpoint, size: usize) -> Vec<u8> {
    let (text, code) = (unescaped(PROSE), unescaped(CODE));
    let words = match endpoint {
        Endpoint::Messages => MESSAGES,
        Endpoint::Responses => RESPONSES,
        _ => CHAT,
    };
    let is_small = size < 20_000;
    let tools: Vec<Value> =
        (0..if is_small { 2 } else { 20 }).map(|number| (words.tool)(format!("tool_{number}"))).collect();
    let system = text.repeat(if is_small { 1 } else { 10 });
    let whole = |messages| (words.whole)(system.clone(), messages, tools.clone()).to_string().into_bytes();
    // Files of 2 kB, and the last one fills up.
    let mut messages: Vec<Value> = Vec::new();
    let mut left = size.saturating_sub(whole(Vec::new()).len());
    while left > 0 {
        let answer: String = code.chars().cycle().take(left.saturating_sub(900).clamp(50, 2_000)).collect();
        let turn = (words.turn)(format!("call_{}", messages.len()), &answer);
        left = left.saturating_sub(turn.iter().map(|message| message.to_string().len() + 1).sum());
        messages.extend(turn);
    }
    messages.truncate(messages.len() - 1);
    whole(messages)
}

fn unescaped(text: &str) -> String {
    serde_json::from_str(&format!("\"{text}\"")).unwrap()
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "The file, from the root of the repository. No links are followed."},
            "offset": {"type": "integer", "minimum": 0, "description": "The first line that is wanted."},
            "limit": {"type": "integer", "minimum": 1, "maximum": 2000, "default": 200},
            "mode": {"type": "string", "enum": ["text", "binary", "lines"]},
        },
        "required": ["path"],
        "additionalProperties": false,
    })
}

const ASKED: &str = "Why does the second test fail? Look at what it reads before you change anything.";
const SAID: &str = "I look at the file that the test reads, and then at the one that writes it.\n";
const ABOUT: &str = "Reads a file of the repository and gives back its lines, each with its number.";
const ARGUMENTS: &str = r#"{"path":"src/codec/json.rs","offset":120,"limit":200,"mode":"lines"}"#;

const CHAT: Words = Words {
    tool: |name| json!({"type": "function", "function": {"name": name, "description": ABOUT, "parameters": schema()}}),
    turn: |id, answer| {
        let call =
            json!({"id": id, "type": "function", "function": {"name": "tool_1", "arguments": ARGUMENTS}});
        vec![
            json!({"role": "user", "content": ASKED}),
            json!({"role": "assistant", "content": SAID, "tool_calls": [call]}),
            json!({"role": "tool", "tool_call_id": id, "content": answer}),
            json!({"role": "assistant", "content": SAID}),
        ]
    },
    whole: |system, mut messages, tools| {
        messages.insert(0, json!({"role": "system", "content": system}));
        json!({"model": "m", "messages": messages, "tools": tools, "tool_choice": "auto", "stream": true,
            "stream_options": {"include_usage": true}, "max_completion_tokens": 8192})
    },
};

const MESSAGES: Words = Words {
    tool: |name| json!({"name": name, "description": ABOUT, "input_schema": schema()}),
    turn: |id, answer| {
        let arguments: Value = serde_json::from_str(ARGUMENTS).unwrap();
        let text = |text| json!({"type": "text", "text": text});
        let call = json!({"type": "tool_use", "id": id, "name": "tool_1", "input": arguments});
        let result = json!({"type": "tool_result", "tool_use_id": id, "content": [text(answer)]});
        vec![
            json!({"role": "user", "content": [text(ASKED)]}),
            json!({"role": "assistant", "content": [text(SAID), call]}),
            json!({"role": "user", "content": [result]}),
            json!({"role": "assistant", "content": [text(SAID)]}),
        ]
    },
    whole: |system, messages, tools| {
        let system = json!([{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]);
        json!({"model": "m", "system": system, "messages": messages, "tools": tools, "stream": true, "max_tokens": 8192})
    },
};

const RESPONSES: Words = Words {
    tool: |name| json!({"type": "function", "name": name, "description": ABOUT, "parameters": schema(), "strict": false}),
    turn: |id, answer| {
        let said = |kind, text| json!([{"type": kind, "text": text}]);
        vec![
            json!({"role": "user", "content": said("input_text", ASKED)}),
            json!({"type": "message", "role": "assistant", "content": said("output_text", SAID)}),
            json!({"type": "function_call", "call_id": id, "name": "tool_1", "arguments": ARGUMENTS}),
            json!({"type": "function_call_output", "call_id": id, "output": answer}),
            json!({"type": "message", "role": "assistant", "content": said("output_text", SAID)}),
        ]
    },
    whole: |system, messages, tools| {
        json!({"model": "m", "instructions": system, "input": messages, "tools": tools, "tool_choice": "auto",
            "stream": true, "store": false, "max_output_tokens": 8192})
    },
};
