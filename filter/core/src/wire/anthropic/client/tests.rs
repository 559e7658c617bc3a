//! Requests there and back, answers and streams, case by case.

mod properties;

use serde_json::{Value, json};

use super::grammar::message_of;
use super::{StreamEncoder, decode_request, encode_reply};
use crate::chat::{
    Annotation, BlockStart, Choice, Content, Delta, Event, Extra, Family, FinishReason, Foreign, Losses,
    MediaKind, Part, Reply, Request, Seal, Source, TokenLogprob, Tool,
};
use crate::config::Schema;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::headers::Headers;
use crate::usage::Usage;
use crate::wire::{Asked, ClientApi, EventWriter as _, SchemaName, To, Translated, translate};

fn asked() -> Asked {
    let request = Request::default().into();
    Asked { request, id: "msg_own".to_owned(), model: "asked".to_owned(), created: 1 }
}

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
    };
    let client = Endpoint::Messages.operation().codec.unwrap();
    translate(client, schema.name.schema().codec().unwrap(), &to, asked.to_string().as_bytes())
}

/// What Anthropic gets, and what is lost.
fn sent(asked: &Value) -> Result<(Value, Vec<String>)> {
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
fn full() -> Value {
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
        if function.parameters.as_deref() == Some(r#"{"type":"object","x":18446744073709551616}"#)));
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

fn told(content: Vec<Part>, finish_reason: FinishReason) -> (Value, Vec<String>) {
    let choice = Choice { content, finish_reason, logprobs: Vec::new(), extra: None };
    let mut losses = Losses::default();
    let body = encode_reply(&asked(), &Reply { choices: vec![choice], ..Reply::default() }, &mut losses);
    (serde_json::from_slice(&body).unwrap(), losses.lines())
}

fn call(id: &str, arguments: &str) -> Part {
    Part::new(Content::ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: arguments.to_owned() })
}

/// The events that say the same as a whole answer.
fn events_of(content: &[Part], finish_reason: FinishReason) -> Vec<Event> {
    let mut events = vec![Event::Start { id: None, model: None }];
    for (index, part) in (0..).zip(content) {
        let (block, delta) = match &part.content {
            Content::Text { text, .. } => (BlockStart::Text, Some(Delta::Text(text.clone()))),
            Content::Refusal(text) => (BlockStart::Refusal, Some(Delta::Text(text.clone()))),
            Content::Thinking { text } => (BlockStart::Thinking, Some(Delta::Thinking(text.clone()))),
            Content::RedactedThinking => (BlockStart::RedactedThinking(part.seal.clone().unwrap()), None),
            Content::ToolCall { id, name, arguments } => {
                let block = BlockStart::ToolCall { id: id.clone(), name: name.clone() };
                (block, Some(Delta::Arguments(arguments.clone())))
            }
            Content::Foreign(foreign) => (BlockStart::Foreign(foreign.clone()), None),
            Content::Media { kind, source, .. } => {
                (BlockStart::Media { kind: *kind, source: source.clone() }, None)
            }
            Content::ToolResult { .. } => continue,
        };
        let is_whole = matches!(block, BlockStart::RedactedThinking(_));
        events.push(Event::BlockStart { index, choice: 0, id: None, block });
        // Where the provider has the seal of a call before its arguments, that of a thought is behind it.
        let seal = part.seal.clone().filter(|_| !is_whole).map(|seal| Delta::Seal(seal.by, seal.data));
        let mut deltas: Vec<Delta> = delta.into_iter().collect();
        match part.content {
            Content::ToolCall { .. } => deltas.splice(0..0, seal).for_each(drop),
            _ => deltas.extend(seal),
        }
        if let Content::Text { annotations, .. } = &part.content {
            deltas.extend(annotations.iter().cloned().map(Box::new).map(Delta::Annotation));
        }
        events.extend(deltas.into_iter().map(|delta| Event::BlockDelta { index, delta }));
        events.push(Event::BlockStop { index });
    }
    events.extend([Event::Finish { choice: 0, reason: finish_reason }, Event::End]);
    events
}

fn streamed(events: &[Event]) -> (std::result::Result<Value, Value>, Vec<String>) {
    let mut writer = StreamEncoder::new(&asked());
    let mut losses = Losses::default();
    let mut out = Vec::new();
    for event in events {
        writer.event(event, &mut losses, &mut out);
    }
    assert!(writer.is_closed());
    (message_of(&out), losses.lines())
}

#[test]
fn answers_are_whole_and_in_anthropics_words_streamed_or_not() {
    let seal = |by, data: &str| Some(Seal { by, data: data.to_owned() });
    let content = || {
        vec![
            Part::thinking("Hm.", seal(Family::Anthropic, "EqoB")),
            Part::thinking("So.", None),
            Part { seal: seal(Family::OpenAi, "gAA"), ..Part::new(Content::RedactedThinking) },
            Part::text(""),
            Part::text("Hello"),
            Part::new(Content::Refusal("No.".to_owned())),
            Part::new(Content::Text {
                text: "It is so.".to_owned(),
                annotations: vec![Annotation { url: Some("https://a".to_owned()), ..Annotation::default() }],
            }),
            Part { seal: seal(Family::Google, "DeF+"), ..call("c1", r#"{"a": 1}"#) },
            call("c:2", ""),
            call("", "{}"),
            Part::new(Content::Foreign(Foreign {
                family: Family::Anthropic,
                kind: "server_tool_use".to_owned(),
                json: r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{"q":1}}"#.to_owned(),
            })),
        ]
    };
    let expected = json!([
        {"type": "thinking", "thinking": "Hm.", "signature": "EqoB"},
        {"type": "thinking", "thinking": "So.", "signature": ""},
        {"type": "redacted_thinking", "data": "openai:gAA"},
        {"type": "text", "text": "Hello"},
        {"type": "text", "text": "No."},
        {"type": "text", "text": "It is so.", "citations": [{"type": "web_search_result_location", "url": "https://a",
            "title": null, "cited_text": "", "encrypted_index": ""}]},
        {"type": "tool_use", "id": "c1__sealed_gemini_DeF-", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "c2_5f5428bd37791546", "name": "f", "input": {}},
        {"type": "tool_use", "id": "toolu_msg_own_9", "name": "f", "input": {}},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": 1}},
    ]);
    let (whole, losses) = told(content(), FinishReason::ToolCalls);
    assert_eq!(losses, [""; 0]);
    assert_eq!(whole["content"], expected);
    for (member, value) in [
        ("id", "msg_own"),
        ("type", "message"),
        ("role", "assistant"),
        ("model", "asked"),
        ("stop_reason", "tool_use"),
    ] {
        assert_eq!(whole[member], value, "{member}");
    }
    assert_eq!(whole["stop_sequence"], Value::Null);
    let zero = json!({"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0});
    assert_eq!(whole["usage"], zero);
    let (stream, losses) = streamed(&events_of(&content(), FinishReason::ToolCalls));
    let (mut stream, mut whole) = (stream.unwrap(), whole);
    assert_eq!(losses, [""; 0]);
    // The number of a nameless call is that of its block.
    for message in [&mut stream, &mut whole] {
        message["content"][8]["id"] = Value::Null;
    }
    assert_eq!(stream, whole);

    // What a client sends back of it is what it was.
    let asked =
        json!({"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": expected}]});
    let request = decode_request(asked.to_string().as_bytes(), &mut Losses::default()).unwrap();
    let seals: Vec<_> = request.messages[0].content.iter().filter_map(|part| part.seal.clone()).collect();
    let before: Vec<_> = content().into_iter().filter_map(|part| part.seal).collect();
    assert_eq!(seals, before);
    let sealed = request.messages[0].content.iter().find(|part| part.seal == seal(Family::Google, "DeF+"));
    assert!(matches!(&sealed.unwrap().content, Content::ToolCall { id, .. } if id == "c1"));
}

#[test]
fn every_reason_to_stop_has_a_word() {
    let text = || vec![Part::text("x")];
    let other = FinishReason::Other("tired".to_owned());
    for (content, reason, word, is_lost) in [
        (text(), FinishReason::Stop, "end_turn", false),
        (text(), FinishReason::ToolCalls, "end_turn", false),
        (vec![call("c", "{}")], FinishReason::Stop, "tool_use", false),
        (vec![call("c", "{}")], FinishReason::ToolCalls, "tool_use", false),
        (vec![call("c", "{}")], FinishReason::Length, "max_tokens", false),
        (text(), FinishReason::StopSequence(Some("END".to_owned())), "stop_sequence", false),
        (text(), FinishReason::Length, "max_tokens", false),
        (text(), FinishReason::ContextWindow, "model_context_window_exceeded", false),
        (text(), FinishReason::ContentFilter, "refusal", false),
        (vec![Part::new(Content::Refusal("No.".to_owned()))], FinishReason::Stop, "refusal", false),
        (text(), FinishReason::Pause, "pause_turn", false),
        (text(), FinishReason::Malformed, "end_turn", true),
        (text(), other, "end_turn", true),
    ] {
        let stream = streamed(&events_of(&content, reason.clone()));
        let whole = told(content, reason.clone());
        for (message, losses) in [whole, (stream.0.unwrap(), stream.1)] {
            assert_eq!(message["stop_reason"], word, "{reason:?}");
            assert_eq!(!losses.is_empty(), is_lost, "{reason:?} {losses:?}");
            let is_sequence = matches!(reason, FinishReason::StopSequence(_));
            assert_eq!(message["stop_sequence"], if is_sequence { json!("END") } else { Value::Null });
        }
    }
}

#[test]
fn usage_has_the_cache_beside_the_input() {
    let usage = Usage {
        input: Some(100),
        cached_input: Some(60),
        cache_creation_input: Some(30),
        output: Some(7),
        reasoning: Some(3),
        total: Some(107),
    };
    let expected = json!({"input_tokens": 10, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 60,
        "output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3}});
    let reply = Reply { usage, service_tier: Some("priority".to_owned()), ..Reply::default() };
    let whole: Value =
        serde_json::from_slice(&encode_reply(&asked(), &reply, &mut Losses::default())).unwrap();
    let mut with_tier = expected.clone();
    with_tier["service_tier"] = json!("priority");
    assert_eq!(whole["usage"], with_tier);
    // Claude tells its input at the beginning, OpenAI's servers all of it at the end.
    for at in [1, 4] {
        let mut events = events_of(&[Part::text("x")], FinishReason::Stop);
        events.insert(at, Event::Usage(usage));
        assert_eq!(streamed(&events).0.unwrap()["usage"], expected, "{at}");
    }
}

#[test]
fn what_anthropic_said_of_an_answer_is_told_and_what_others_said_is_a_loss() {
    let extra = |family, name: &str| Extra {
        family,
        members: vec![(name.to_owned(), r#"{"type":"refusal","category":null}"#.to_owned())],
    };
    let own = extra(Family::Anthropic, "stop_details");
    let other = extra(Family::Google, "safety_ratings");
    let mut events = events_of(&[Part::text("x")], FinishReason::ContentFilter);
    events.insert(4, Event::Extra { choice: 0, extra: own.clone() });
    events.insert(4, Event::Extra { choice: 0, extra: other.clone() });
    let choice = Choice {
        content: vec![Part::text("x")],
        finish_reason: FinishReason::ContentFilter,
        logprobs: vec![TokenLogprob::default()],
        extra: Some(Box::new(other)),
    };
    let reply =
        Reply { choices: vec![choice.clone(), choice], extra: Some(Box::new(own)), ..Reply::default() };
    let mut losses = Losses::default();
    let whole: Value = serde_json::from_slice(&encode_reply(&asked(), &reply, &mut losses)).unwrap();
    let paths: Vec<&str> = losses.iter().map(|loss| loss.path.as_str()).collect();
    assert_eq!(paths, ["answer.choices[1]", "answer.logprobs", "answer.safety_ratings"]);
    let (stream, losses) = streamed(&events);
    assert_eq!(losses, ["answer.safety_ratings: not known to this gateway"]);
    for message in [whole, stream.unwrap()] {
        assert_eq!(message["stop_details"]["type"], "refusal");
    }
}

#[test]
fn what_an_answer_cannot_say_here_is_a_loss() {
    let image = Content::Media {
        kind: MediaKind::Image,
        source: Source::Base64 { media_type: "image/png".to_owned(), data: "AA==".to_owned() },
        detail: None,
        name: None,
    };
    let foreign = Content::Foreign(Foreign {
        family: Family::OpenAi,
        kind: "web_search_call".to_owned(),
        json: "{}".to_owned(),
    });
    let cited = Content::Text {
        text: "x".to_owned(),
        annotations: vec![Annotation { title: Some("t".to_owned()), ..Annotation::default() }],
    };
    // Anthropic's texts have no signatures.
    let seal = Seal { by: Family::Google, data: "AbC=".to_owned() };
    let sealed = Part { seal: Some(seal), ..Part::text("y") };
    let content = [image, foreign, cited]
        .map(Part::new)
        .into_iter()
        .chain([call("c", "no object"), sealed])
        .collect::<Vec<_>>();
    let paths = [
        "answer.content[0]",
        "answer.content[1].web_search_call",
        "answer.content[2].citations",
        "answer.content[3].input",
        "answer.content[4].signature",
    ];
    let stream = streamed(&events_of(&content, FinishReason::Stop));
    for (message, losses) in [told(content, FinishReason::Stop), (stream.0.unwrap(), stream.1)] {
        let lost: Vec<_> = losses.iter().filter_map(|loss| loss.split(": ").next()).collect();
        assert_eq!(lost, paths);
        assert_eq!(message["content"][1]["input"], json!({}));
    }
}

#[test]
fn blocks_that_are_open_at_once_follow_each_other() {
    let start = |index, block| Event::BlockStart { index, choice: 0, id: None, block };
    let delta = |index, delta| Event::BlockDelta { index, delta };
    let tool = |id: &str| BlockStart::ToolCall { id: id.to_owned(), name: "f".to_owned() };
    let text = |text: &str| Delta::Text(text.to_owned());
    let arguments = |piece: &str| Delta::Arguments(piece.to_owned());
    let events = [
        start(0, BlockStart::Text),
        delta(0, text("a")),
        start(1, tool("t1")),
        delta(1, arguments("{\"x\":")),
        start(2, tool("t2")),
        delta(2, arguments("{}")),
        delta(0, text("b")),
        delta(1, arguments("1}")),
        Event::Ping,
        Event::BlockStop { index: 2 },
        Event::BlockStop { index: 1 },
        Event::BlockStop { index: 0 },
        Event::End,
    ];
    let content = streamed(&events).0.unwrap()["content"].take();
    assert_eq!(
        content,
        json!([
            {"type": "text", "text": "a"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1}},
            {"type": "text", "text": "b"},
            {"type": "tool_use", "id": "t2", "name": "f", "input": {}},
        ])
    );
}

#[test]
fn what_waits_is_bounded() {
    let mut writer = StreamEncoder::new(&asked());
    let (mut losses, mut out) = (Losses::default(), Vec::new());
    for index in 0..2 {
        let block = BlockStart::ToolCall { id: format!("t{index}"), name: "f".to_owned() };
        writer.event(&Event::BlockStart { index, choice: 0, id: None, block }, &mut losses, &mut out);
    }
    let piece = Event::BlockDelta { index: 1, delta: Delta::Arguments("{".repeat(1 << 16)) };
    for _ in 0..80 {
        writer.event(&piece, &mut losses, &mut out);
    }
    assert!(writer.is_closed());
    assert_eq!(message_of(&out).unwrap_err()["error"]["type"], "api_error");
    // A long answer with many signatures does not wait for anything.
    let thoughts: Vec<Part> = (0..600)
        .map(|_| Part::thinking("t", Some(Seal { by: Family::Anthropic, data: "s".repeat(10_000) })))
        .collect();
    assert_eq!(
        streamed(&events_of(&thoughts, FinishReason::Stop)).0.unwrap()["content"].as_array().unwrap().len(),
        600
    );
}

#[test]
fn an_error_ends_the_stream_in_anthropics_words() {
    let mut events = events_of(&[Part::text("x")], FinishReason::Stop);
    events.truncate(3);
    events.extend([
        Event::Error(Error::provider(529, Some("overloaded_error".to_owned()), "Overloaded")),
        Event::End,
    ]);
    let error = streamed(&events).0.unwrap_err();
    assert_eq!(error["error"], json!({"type": "overloaded_error", "message": "Overloaded"}));
}

#[test]
fn messages_are_at_either_path_and_count_tokens_is_for_those_who_can() {
    for path in ["/anthropic/v1/messages", "/v1/messages", "/v1/messages?beta=true"] {
        assert_eq!(Endpoint::of_path(path), Some(Endpoint::Messages), "{path}");
        assert_eq!(ClientApi::of_path(path), ClientApi::Anthropic, "{path}");
    }
    assert_eq!(Endpoint::of_path("/v1/messages/count_tokens"), Some(Endpoint::CountTokens));
    for schema in SchemaName::ALL {
        let reached = crate::wire::reach(Endpoint::CountTokens, *schema);
        assert!(reached.is_ok() || reached.unwrap_err().status() == 422, "{schema:?}");
    }
}
