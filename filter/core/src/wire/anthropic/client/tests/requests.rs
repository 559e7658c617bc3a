//! Requests there and back, case by case.

use super::*;
use crate::chat::Verbatim;

/// A request of Anthropic's own client, through the conversation to Anthropic.
fn translated(asked: &Value) -> Result<Translated> {
    let schema = Schema { name: SchemaName::Anthropic, prefix: None, version: None };
    let headers = Headers::default();
    let to = To {
        endpoint: Endpoint::Messages,
        schema: &schema,
        model: "claude-opus-4-6",
        stream: asked["stream"] == true,
        default_max_tokens: 4096,
        headers: &headers,
        auth: None,
        cache_marks: false,
    };
    let client = Endpoint::Messages.operation().conversation().unwrap();
    translate(client, schema.name.schema().codec().unwrap(), &to, asked.to_string().as_bytes())
}

/// What Anthropic gets, and what is lost.
pub(super) fn sent(asked: &Value) -> Result<(Value, Vec<String>)> {
    let Translated { body, losses, .. } = translated(asked)?;
    Ok((serde_json::from_slice(&body).unwrap(), losses.lines()))
}

/// A request with one way to say each thing: what is left is what it asks for.
fn plain(mut request: Value) -> Value {
    let in_blocks = |value: &mut Value| {
        if let Some(text) = value.as_str() {
            *value = json!([{"type": "text", "text": text}]);
        }
    };
    if let Some(system) = request.get_mut("system") {
        in_blocks(system);
    }
    let mut messages: Vec<Value> = Vec::new();
    for mut message in request["messages"].as_array().unwrap().clone() {
        in_blocks(&mut message["content"]);
        for block in message["content"].as_array_mut().unwrap() {
            if block["type"] == "tool_result" {
                in_blocks(&mut block["content"]);
                block.as_object_mut().unwrap().retain(|key, value| key != "is_error" || value == true);
            }
        }
        match messages.last_mut() {
            Some(last) if last["role"] == message["role"] => {
                let more = message["content"].as_array().unwrap().clone();
                last["content"].as_array_mut().unwrap().extend(more);
            }
            _ => messages.push(message),
        }
    }
    request["messages"] = json!(messages);
    for tool in request.get_mut("tools").and_then(Value::as_array_mut).into_iter().flatten() {
        let tool = tool.as_object_mut().unwrap();
        if tool.get("type").is_none_or(|kind| kind == "custom") {
            tool.remove("type");
            tool.entry("description").or_insert(json!(""));
            tool.retain(|key, value| key != "strict" || value == true);
        }
    }
    if let Some(choice) = request.get_mut("tool_choice")
        && choice["type"] != "none"
    {
        choice.as_object_mut().unwrap().entry("disable_parallel_tool_use").or_insert(json!(false));
    }
    request
        .as_object_mut()
        .unwrap()
        .retain(|key, value| (key.as_str(), &*value) != ("stream", &json!(false)));
    request
}

/// Everything that there is in a request, of which `plain` leaves all.
pub(super) fn full() -> Value {
    let mark = json!({"type": "ephemeral", "ttl": "1h"});
    json!({
        "model": "claude-opus-4-6", "max_tokens": 4096, "stream": true,
        "system": [{"type": "text", "text": "S", "cache_control": mark}, {"type": "text", "text": "T"}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "Hi"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
                    "transformations": {"resize": "off"}},
                {"type": "image", "source": {"type": "url", "url": "https://a"}},
                {"type": "image", "source": {"type": "file", "file_id": "f"}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                    "title": "T", "context": "C", "citations": {"enabled": true}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "D"}},
                {"type": "document", "source": {"type": "url", "url": "https://a.pdf"}},
                {"type": "document", "source": {"type": "file", "file_id": "g"}},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "one"}]}, "title": "U"},
                {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "f"}],
                    "citations": {"enabled": true}, "cache_control": mark},
                {"type": "container_upload", "file_id": "h"},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "EqoB"},
                {"type": "redacted_thinking", "data": "Er8C"},
                {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x", "n": 1.5}},
                {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
                {"type": "text", "text": "It is.", "citations": [{"type": "char_location", "cited_text": "c",
                    "document_index": 0, "document_title": null, "start_char_index": 0, "end_char_index": 1}]},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1.0, "b"]}, "caller": {"type": "direct"}},
                {"type": "tool_use", "id": "t2", "name": "f", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "cache_control": mark, "toolset_name": "x", "content": [
                    {"type": "text", "text": "r"},
                    {"type": "image", "source": {"type": "url", "url": "https://b"}},
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "D"}},
                    {"type": "tool_reference", "tool_name": "g"},
                ]},
                {"type": "tool_result", "tool_use_id": "t2", "content": "no", "is_error": true},
                {"type": "text", "text": "So?"},
            ]},
        ],
        "tools": [
            {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {"a": {"minimum": 0.5}}},
                "strict": true, "eager_input_streaming": true, "input_examples": [{"a": 1}], "allowed_callers": ["direct"]},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
            {"type": "mcp_toolset", "mcp_server_name": "m"},
        ],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "thinking": {"type": "enabled", "budget_tokens": 2048, "display": "summarized"},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}, "task_budget": {"total": 5}},
        "stop_sequences": ["END"], "metadata": {"user_id": "u"}, "service_tier": "standard_only",
        "cache_control": {"type": "ephemeral"}, "context_management": {"edits": []}, "container": "c",
        "mcp_servers": [{"type": "url", "name": "m", "url": "https://m"}], "inference_geo": "us",
    })
}

#[test]
fn nothing_of_a_request_is_lost_on_the_way_back_to_anthropic() {
    let (body, losses) = sent(&full()).unwrap();
    assert_eq!(losses, [""; 0]);
    let expected = plain(full());
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(plain(body.clone())[name], *value, "{name}");
    }
    let more: Vec<_> =
        plain(body).as_object().unwrap().keys().filter(|key| expected.get(key).is_none()).cloned().collect();
    assert_eq!(more, [""; 0]);
}

#[test]
fn arguments_and_schemas_keep_every_digit() {
    let asked = r#"{"model":"m","max_tokens":1,"tools":[{"name":"f","input_schema":{"type":"object","x":18446744073709551616}}],
        "messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{"n": 1.50}}]}]}"#;
    let request = decode_request(asked.as_bytes(), &mut Losses::default()).unwrap();
    assert!(matches!(&request.tools[..], [Tool::Function(function)]
        if function.parameters.as_ref().map(Verbatim::get) == Some(r#"{"type":"object","x":18446744073709551616}"#)));
    assert!(matches!(&request.messages[0].content[0].content, Content::ToolCall { arguments, .. }
        if arguments == r#"{"n": 1.50}"#));
}

/// What only Anthropic knows reaches nobody else, and each of it is named with the client's own path.
#[test]
fn what_others_do_not_know_is_named_in_the_clients_words() {
    use crate::wire::fields::{Taken, lose_extra};
    let request = decode_request(full().to_string().as_bytes(), &mut Losses::default()).unwrap();
    let mut losses = Losses::default();
    lose_extra(&request, &Taken::default(), &mut losses);
    let paths: Vec<&str> = losses.iter().map(|loss| loss.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "messages[0].content[1].transformations",
            "messages[0].content[4].context",
            "messages[0].content[4].citations",
            "messages[0].content[8].source",
            "messages[0].content[9].search_result",
            "messages[0].content[9].citations",
            "messages[1].content[5].caller",
            "messages[2].content[0].toolset_name",
            "tools[0].eager_input_streaming",
            "tools[0].input_examples",
            "tools[0].allowed_callers",
            "output_config.task_budget",
            "context_management",
            "container",
            "mcp_servers",
            "inference_geo",
        ]
    );
}

#[test]
fn errors_and_losses_of_a_backend_name_what_the_client_wrote() {
    let user = |content: Value| json!({"role": "user", "content": content});
    let tool = |schema: Value| json!({"name": "f", "input_schema": schema});
    let call = json!({"role": "assistant", "content": [{"type": "text", "text": "x"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {}}]});
    let bitmap =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": "Qk0A"}});
    for (asked, place) in [
        (
            json!({"model": "m", "messages": [user(json!("Hi"))], "output_config": {"effort": "x"}}),
            "output_config.effort",
        ),
        (
            json!({"model": "m", "messages": [user(json!([{"type": "text", "text": "a"}, bitmap]))]}),
            "messages[0].content[1]",
        ),
        (
            json!({"model": "m", "messages": [user(json!("Hi")), call, user(json!([{"type": "tool_result", "tool_use_id": "t",
                "content": [{"type": "text", "text": "r"}, bitmap]}]))]}),
            "messages[2].content[0].content[1]",
        ),
        (json!({"model": "m", "messages": [user(json!("Hi")), call]}), "messages[1].content[1]"),
        (
            json!({"model": "m", "messages": [user(json!("Hi"))], "tools": [tool(json!({})), tool(json!({"a": 1}))]}),
            "tools[1].name",
        ),
    ] {
        let error = translated(&asked).unwrap_err();
        assert_eq!(error.status(), 422);
        assert!(
            error.message().starts_with(&format!("invalid request body: {place}: ")),
            "{}",
            error.message()
        );
    }
    for (asked, paths) in [
        (
            json!({"model": "m", "stop_sequences": [" "], "metadata": {"user_id": "a@b.c"}, "messages": [user(json!("Hi"))],
                "tools": [tool(json!({"type": "array"}))]}),
            vec!["tools[0].input_schema.type", "stop_sequences[0]", "metadata.user_id"],
        ),
        (
            json!({"model": "m", "system": [{"type": "text", "text": "s"}, bitmap], "messages": [user(json!([
                {"type": "text", "text": "x"}, {"type": "tool_result", "tool_use_id": "t", "content": "r"}]))]}),
            vec!["system[1]", "messages[0].content[1]"],
        ),
        (
            json!({"model": "m", "messages": [user(json!("Hi")), {"role": "assistant", "content": [
                {"type": "text", "text": "x"}, {"type": "thinking", "thinking": "t", "signature": "s"}]}, user(json!("Hi"))]}),
            vec!["messages[1].content[1]"],
        ),
    ] {
        let told = translated(&asked).unwrap();
        let lost: Vec<&str> = told.losses.iter().map(|loss| loss.path.as_str()).collect();
        assert_eq!(lost, paths);
    }
}

#[test]
fn a_signature_is_claudes_unless_it_says_whose_it_is() {
    let blocks = json!([
        {"type": "thinking", "thinking": "a", "signature": "EqoB"},
        {"type": "thinking", "thinking": "b", "signature": "openai:gAA"},
        {"type": "thinking", "thinking": "c", "signature": ""},
        {"type": "redacted_thinking", "data": "Er8C"},
        {"type": "text", "text": "d"},
    ]);
    let asked =
        json!({"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": blocks}]});
    let request = decode_request(asked.to_string().as_bytes(), &mut Losses::default()).unwrap();
    let seals: Vec<_> = request.messages[0].content.iter().map(|part| part.seal.clone()).collect();
    let seal = |by, data: &str| Some(Seal { by, data: data.to_owned() });
    assert_eq!(
        seals,
        [
            seal(Family::Anthropic, "EqoB"),
            seal(Family::OpenAi, "gAA"),
            None,
            seal(Family::Anthropic, "Er8C"),
            None
        ]
    );
    // They go out as they came in.
    let content = request.messages[0].content.clone();
    assert_eq!(told(content, FinishReason::Stop).0["content"], blocks);
}
