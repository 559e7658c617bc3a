use serde_json::{Value, json};

use super::*;

const NOVA: &str = "amazon.nova-lite-v1:0";
const CLAUDE: &str = "us.anthropic.claude-3-7-sonnet-20250219-v1:0";
const LLAMA: &str = "us.meta.llama4-scout-17b-instruct-v1:0";

fn refused_with(model: &str, body: &Value) -> Option<String> {
    checked(model, body).err().map(|refusal| refusal.message)
}

fn user(content: Value) -> Value {
    json!({"role": "user", "content": content})
}

fn assistant(content: Value) -> Value {
    json!({"role": "assistant", "content": content})
}

fn body(messages: &[Value]) -> Value {
    json!({"messages": messages, "inferenceConfig": {}})
}

#[test]
fn what_bedrock_takes_is_taken() {
    let call = json!({"toolUse": {"toolUseId": "a-b_c", "name": "f", "input": {}}});
    let result = json!({"toolResult": {"toolUseId": "a-b_c", "content": [{"text": "x"}], "status": "error"}});
    let mut asked = body(&[
        user(json!([{"text": "Hi"}])),
        assistant(json!([call])),
        user(json!([result, {"text": "y"}])),
    ]);
    asked["toolConfig"] =
        json!({"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]});
    asked["system"] = json!([{"text": "S"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]);
    for model in [NOVA, CLAUDE] {
        assert_eq!(refused_with(model, &asked), None);
    }
}

#[test]
fn what_bedrock_refuses_is_refused() {
    let hi = || user(json!([{"text": "Hi"}]));
    let call = json!({"toolUse": {"toolUseId": "c", "name": "f", "input": {}}});
    let result = json!({"toolResult": {"toolUseId": "c", "content": [{"text": "x"}]}});
    let document =
        |name: &str| json!({"document": {"format": "pdf", "name": name, "source": {"bytes": "AAAA"}}});
    let with_tools = |mut body: Value| {
        body["toolConfig"] =
            json!({"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]});
        body
    };
    let and = |mut body: Value, name: &str, value: Value| {
        body[name] = value;
        body
    };
    for (model, asked, words) in [
        (NOVA, body(&[]), "must start with a user message"),
        (NOVA, body(&[assistant(json!([{"text": "x"}]))]), "must start with a user message"),
        (NOVA, body(&[hi(), hi()]), "must alternate"),
        (NOVA, body(&[user(json!([]))]), "is empty"),
        (NOVA, body(&[user(json!([{"text": " "}]))]), "is blank"),
        (NOVA, body(&[user(json!([{"text": "a", "image": {}}]))]), "exactly one member"),
        (NOVA, body(&[user(json!([{"image": {"format": "bmp", "source": {"bytes": "AAAA"}}}]))]), "enum"),
        (NOVA, body(&[user(json!([{"text": "a"}, {"toolChoice": {}}]))]), "extraneous key [toolChoice]"),
        (NOVA, body(&[user(json!([document("a")]))]), "A text block must be included"),
        (NOVA, body(&[user(json!([document("a.pdf"), {"text": "x"}]))]), "document file name"),
        (
            NOVA,
            body(&[user(json!([document("a"), document("a"), {"text": "x"}]))]),
            "duplicate document names",
        ),
        (
            NOVA,
            body(&[hi(), assistant(json!([call])), user(json!([result]))]),
            "toolConfig field must be defined",
        ),
        (NOVA, with_tools(body(&[hi(), assistant(json!([call])), hi()])), "Expected toolResult blocks"),
        (NOVA, with_tools(body(&[user(json!([result]))])), "exceeds the number of toolUse"),
        (LLAMA, body(&[hi(), assistant(json!([{"text": "x"}]))]), "last turn in the conversation"),
        (
            LLAMA,
            with_tools(body(&[hi(), assistant(json!([call])), user(json!([result, {"text": "x"}]))])),
            "cannot be provided in the same turn",
        ),
        (NOVA, and(body(&[hi()]), "inferenceConfig", json!({"temperature": 1.5})), "/inferenceConfig"),
        (NOVA, and(body(&[hi()]), "inferenceConfig", json!({"maxTokens": 0})), "maxTokens"),
        (NOVA, and(body(&[hi()]), "requestMetadata", json!({"a": "ü"})), "pattern"),
        (NOVA, and(body(&[hi()]), "additionalModelRequestFields", json!({"thinking": {}})), "[thinking]"),
        (LLAMA, body(&[user(json!([{"text": "a"}, {"cachePoint": {"type": "default"}}]))]), "prompt caching"),
        (
            CLAUDE,
            and(
                body(&[hi()]),
                "additionalModelRequestFields",
                json!({"thinking": {"type": "enabled", "budget_tokens": 1}}),
            ),
            "budget_tokens",
        ),
        (
            CLAUDE,
            body(&[
                hi(),
                assistant(
                    json!([{"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}}, {"text": "x"}]),
                ),
                hi(),
            ]),
            "Invalid `signature`",
        ),
        (NOVA, json!({"messages": [], "model": "x"}), "extraneous key [model]"),
    ] {
        let refusal = refused_with(model, &asked);
        let words = words.trim_start_matches('/');
        assert!(refusal.as_deref().is_some_and(|refusal| refusal.contains(words)), "{words}: {refusal:?}");
    }
}

#[test]
fn a_stream_says_what_a_whole_answer_says() {
    let message = json!({"content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}],
        "stop_reason": "stop_sequence", "stop_sequence": "END", "usage": {"input_tokens": 3, "output_tokens": 2}});
    let asked =
        json!({"additionalModelResponseFieldPaths": ["/stop_sequence"], "serviceTier": {"type": "flex"}});
    let whole = words::whole(&message, &asked);
    assert_eq!(
        whole["output"]["message"]["content"][2],
        json!({"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}})
    );
    assert_eq!(whole["additionalModelResponseFields"], json!({"stop_sequence": "END"}));
    assert_eq!((&whole["usage"]["totalTokens"], &whole["serviceTier"]["type"]), (&json!(5), &json!("flex")));

    let events = [
        json!({"type": "message_start", "message": {"usage": {"input_tokens": 3}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ];
    let asked = json!({"additionalModelResponseFieldPaths": ["/delta/stop_sequence"]});
    let events = words::events(&events, &asked);
    let names: Vec<&str> = events.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["messageStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"]);
    assert_eq!(events[3].1["additionalModelResponseFields"], json!({"delta": {"stop_sequence": "END"}}));
    assert_eq!(events[4].1["usage"]["outputTokens"], 2);
}
