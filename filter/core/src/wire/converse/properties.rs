//! What must hold for every answer and every request, not only for the ones that fixtures show.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::chat::{Content, Event, FinishReason};
use crate::config;
use crate::endpoint::Endpoint;
use crate::headers::Headers;
use crate::wire::anthropic::client::{CLIENT as MESSAGES, message_of};
use crate::wire::api::EventWriter as _;
use crate::wire::openai_chat::{StreamEncoder, encode_reply};
use crate::wire::{ClientCodec, SchemaName};

/// One block of an answer, with the pieces it is streamed in.
#[derive(Debug, Clone)]
enum Block {
    Text(Vec<String>),
    Thinking(Vec<String>, Vec<String>),
    Redacted(Vec<Vec<u8>>),
    ToolUse(String, Vec<String>),
}

fn pieces() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec("\\PC{1,8}", 1..4)
}

fn block() -> impl Strategy<Value = Block> {
    prop_oneof![
        3 => pieces().prop_map(Block::Text),
        1 => (pieces(), proptest::collection::vec("[a-zA-Z0-9+/]{1,6}", 0..3))
            .prop_map(|(text, signature)| Block::Thinking(text, signature)),
        1 => proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..5), 1..4).prop_map(Block::Redacted),
        2 => ("[a-z_]{1,6}", proptest::collection::vec("\\PC{0,5}", 0..4)).prop_map(|(name, text)| {
            let input = json!({ "x": text.concat() }).to_string();
            let (first, second) = input.split_at(input.floor_char_boundary(input.len() / 2));
            Block::ToolUse(name, vec![String::new(), first.to_owned(), second.to_owned()])
        }),
    ]
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The same answer whole and as events.
fn answer(blocks: &[Block], usage: &Value, reason: &str) -> (Value, Vec<(&'static str, Value)>) {
    let mut content = Vec::new();
    let mut events = vec![("messageStart", json!({"role": "assistant"}))];
    for (index, block) in blocks.iter().enumerate() {
        let mut delta = |delta: Value| {
            events.push(("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta})))
        };
        match block {
            Block::Text(pieces) => {
                content.push(json!({"text": pieces.concat()}));
                pieces.iter().for_each(|piece| delta(json!({"text": piece})));
            }
            Block::Thinking(pieces, signature) => {
                let mut thought = json!({"text": pieces.concat()});
                if !signature.is_empty() {
                    thought["signature"] = json!(signature.concat());
                }
                content.push(json!({"reasoningContent": {"reasoningText": thought}}));
                pieces.iter().for_each(|piece| delta(json!({"reasoningContent": {"text": piece}})));
                signature.iter().for_each(|piece| delta(json!({"reasoningContent": {"signature": piece}})));
            }
            Block::Redacted(pieces) => {
                content.push(json!({"reasoningContent": {"redactedContent": base64(&pieces.concat())}}));
                pieces
                    .iter()
                    .for_each(|piece| delta(json!({"reasoningContent": {"redactedContent": base64(piece)}})));
            }
            Block::ToolUse(name, pieces) => {
                let id = format!("t{index}");
                let input: Value = serde_json::from_str(&pieces.concat()).unwrap();
                content.push(json!({"toolUse": {"toolUseId": id, "name": name, "input": input}}));
                let start = json!({"toolUse": {"toolUseId": id, "name": name}});
                events.push(("contentBlockStart", json!({"contentBlockIndex": index, "start": start})));
                for piece in pieces {
                    let delta = json!({"toolUse": {"input": piece}});
                    events.push(("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta})));
                }
            }
        }
        events.push(("contentBlockStop", json!({"contentBlockIndex": index})));
    }
    events.push(("messageStop", json!({"stopReason": reason})));
    events.push(("metadata", json!({"usage": usage, "metrics": {"latencyMs": 1}})));
    let whole = json!({"output": {"message": {"role": "assistant", "content": content}}, "stopReason": reason,
        "usage": usage, "metrics": {"latencyMs": 1}});
    (whole, events)
}

fn asked(model: &str) -> Asked {
    let request = Request { include_usage: true, ..Request::default() }.into();
    Asked { request, id: "own".to_owned(), model: model.to_owned(), created: 1 }
}

fn read(asked: &Asked, events: &[(&str, String)]) -> Vec<Event> {
    let mut reader = SCHEMA.events(asked);
    let mut out = Vec::new();
    for (name, data) in events {
        reader.event(Some(name), data.as_bytes(), &mut Losses::default(), &mut out);
    }
    reader.finish(&mut out);
    out
}

/// What a whole answer's message is of the chunks of a streamed one.
fn gathered(asked: &Asked, events: &[Event]) -> Value {
    let mut writer = StreamEncoder::new(asked);
    let mut out = Vec::new();
    for event in events {
        writer.event(event, &mut Losses::default(), &mut out);
    }
    assert!(writer.is_closed());
    let text = String::from_utf8(out).unwrap();
    let mut message =
        json!({"content": "", "reasoning": "", "thoughts": [], "calls": [], "finish": null, "usage": null});
    for chunk in text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")) {
        let Ok(chunk) = serde_json::from_str::<Value>(chunk) else { continue };
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        for (from, to) in [("content", "content"), ("reasoning_content", "reasoning")] {
            let more = delta[from].as_str().unwrap_or_default();
            message[to] = json!(format!("{}{more}", message[to].as_str().unwrap()));
        }
        for thought in delta["thinking_blocks"].as_array().into_iter().flatten() {
            let mut thought = thought.clone();
            thought.as_object_mut().unwrap().remove("index");
            message["thoughts"].as_array_mut().unwrap().push(thought);
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let calls = message["calls"].as_array_mut().unwrap();
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if index == calls.len() {
                let mut call = call.clone();
                call.as_object_mut().unwrap().remove("index");
                calls.push(call);
            } else {
                let more = call["function"]["arguments"].as_str().unwrap();
                let before = calls[index]["function"]["arguments"].as_str().unwrap();
                calls[index]["function"]["arguments"] = json!(format!("{before}{more}"));
            }
        }
        for (from, to) in [(&choice["finish_reason"], "finish"), (&chunk["usage"], "usage")] {
            if !from.is_null() {
                message[to] = from.clone();
            }
        }
    }
    message
}

fn flattened(asked: &Asked, reply: &Reply) -> Value {
    let whole: Value = serde_json::from_slice(&encode_reply(asked, reply, &mut Losses::default())).unwrap();
    let message = &whole["choices"][0]["message"];
    json!({
        "content": message["content"].as_str().unwrap_or_default(),
        "reasoning": message["reasoning_content"].as_str().unwrap_or_default(),
        "thoughts": message.get("thinking_blocks").cloned().unwrap_or(json!([])),
        "calls": message.get("tool_calls").cloned().unwrap_or(json!([])),
        "finish": whole["choices"][0]["finish_reason"],
        "usage": whole["usage"],
    })
}

const MODELS: &[&str] = &[
    "us.anthropic.claude-3-7-sonnet-20250219-v1:0",
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "amazon.nova-lite-v1:0",
    "us.amazon.nova-2-lite-v1:0",
    "us.meta.llama4-scout-17b-instruct-v1:0",
    "us.openai.gpt-6-sol",
    "openai.gpt-oss-20b-1:0",
    "qwen.qwen3-32b-v1:0",
    "arn:aws:bedrock:us-east-1:1:application-inference-profile/x",
];

/// The message that Anthropic's clients make of a stream, or its error.
fn message_streamed(asked: &Asked, events: &[Event]) -> std::result::Result<Value, Value> {
    let mut writer = MESSAGES.events(asked);
    let mut out = Vec::new();
    events.iter().for_each(|event| writer.event(event, &mut Losses::default(), &mut out));
    message_of(&out)
}

fn codec(endpoint: Endpoint) -> &'static dyn ClientCodec {
    endpoint.operation().conversation().unwrap()
}

fn to_json_body(endpoint: Endpoint, model: &str, asked: &Value) -> Result<Value> {
    let schema = config::Schema { name: SchemaName::AWSBedrock, prefix: None, version: None };
    let headers = Headers::default();
    let mut losses = Losses::default();
    let mut request = codec(endpoint).decode(asked.to_string().as_bytes(), &mut losses)?;
    model.clone_into(&mut request.model);
    let to = To {
        endpoint,
        schema: &schema,
        model,
        stream: false,
        default_max_tokens: 4096,
        headers: &headers,
        auth: None,
        cache_marks: false,
    };
    let body = SCHEMA.encode(&to, &request, &mut losses)?;
    Ok(serde_json::from_slice(&body).unwrap())
}

proptest! {
    /// A stream says what the whole answer says, and counts the same.
    #[test]
    fn streamed_is_whole(
        blocks in proptest::collection::vec(block(), 0..5),
        model in proptest::sample::select(MODELS),
        reason in proptest::sample::select(vec!["end_turn", "tool_use", "max_tokens", "content_filtered", "new"]),
        (input, output, read_tokens) in (0..999_u64, 1..999_u64, 0..999_u64),
    ) {
        let usage = json!({"inputTokens": input, "outputTokens": output, "totalTokens": input + output,
            "cacheReadInputTokens": read_tokens});
        let (whole, events) = answer(&blocks, &usage, reason);
        let asked = asked(model);
        let reply = SCHEMA.reply(&asked, whole.to_string().as_bytes(), &mut Losses::default()).unwrap();
        let events: Vec<_> = events.iter().map(|(name, data)| (*name, data.to_string())).collect();
        let streamed = read(&asked, &events);
        prop_assert_eq!(streamed.last(), Some(&Event::End));
        prop_assert_eq!(gathered(&asked, &streamed), flattened(&asked, &reply));
        let message = MESSAGES.reply(&asked, &reply, &mut Losses::default());
        let message: Value = serde_json::from_slice(&message).unwrap();
        prop_assert_eq!(message_streamed(&asked, &streamed), Ok(message));
        let counted = streamed.iter().filter_map(|event| match event {
            Event::Usage(usage) => Some(*usage),
            _ => None,
        });
        prop_assert_eq!(counted.collect::<Vec<_>>(), vec![reply.usage]);
    }

    /// What a client has of an answer goes back to the same model as it was, thoughts and seals included.
    #[test]
    fn what_was_handed_out_can_be_sent_back(
        thoughts in proptest::collection::vec(block().prop_filter("a thought", |block|
            matches!(block, Block::Redacted(_)) || matches!(block, Block::Thinking(_, signature) if !signature.is_empty())), 0..3),
        text in "[a-z]{1,9}",
        model in proptest::sample::select(MODELS),
    ) {
        let blocks: Vec<_> = thoughts.into_iter().chain([Block::Text(vec![text])]).collect();
        let (whole, _) = answer(&blocks, &json!({}), "end_turn");
        let asked = asked(model);
        let reply = SCHEMA.reply(&asked, whole.to_string().as_bytes(), &mut Losses::default()).unwrap();
        let user = json!({"role": "user", "content": "x"});
        for (endpoint, message) in [
            (Endpoint::ChatCompletions, "/choices/0/message"),
            // A message of Anthropic's is the one that is sent back, with members that are the answer's.
            (Endpoint::Messages, ""),
        ] {
            let answered = codec(endpoint).reply(&asked, &reply, &mut Losses::default());
            let answered: Value = serde_json::from_slice(&answered).unwrap();
            let message = answered.pointer(message).unwrap();
            let asked = json!({"model": "m", "max_tokens": 9, "messages": [user, message, user]});
            let sent = to_json_body(endpoint, model, &asked).unwrap();
            prop_assert_eq!(&sent["messages"][1]["content"], &whole["output"]["message"]["content"]);
        }
    }

    /// However a backend breaks its stream, events are in order and the end comes once.
    #[test]
    fn a_broken_stream_ends_properly(
        events in proptest::collection::vec((
            proptest::sample::select(vec!["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop",
                "messageStop", "metadata", "new", ""]),
            prop_oneof![
                8 => proptest::sample::select(vec![
                    r#"{"role":"assistant"}"#,
                    r#"{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"t","name":"n"}}}"#,
                    r#"{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"u","name":"answer"}}}"#,
                    r#"{"contentBlockIndex":1,"start":{"image":{"format":"png"}}}"#,
                    r#"{"contentBlockIndex":0,"delta":{"text":"x"}}"#,
                    r#"{"delta":{"toolUse":{"input":"{}"}}}"#,
                    r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{}"}}}"#,
                    r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"x"}}}"#,
                    r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"redactedContent":"AA=="}}}"#,
                    r#"{"contentBlockIndex":2,"delta":{"reasoningContent":{"redactedContent":"?"}}}"#,
                    r#"{"contentBlockIndex":1,"delta":{"image":{"source":{"bytes":"AA=="}}}}"#,
                    r#"{"contentBlockIndex":0,"delta":{"citation":{"title":"t"}}}"#,
                    r#"{"contentBlockIndex":0}"#,
                    r#"{"stopReason":"tool_use"}"#,
                    r#"{"usage":{"inputTokens":1,"outputTokens":2}}"#,
                    r#"{"contentBlockIndex":4294967295,"delta":{"text":"x"}}"#,
                    r#"{"contentBlockIndex":-1}"#,
                ]).prop_map(str::to_owned),
                1 => "\\PC{0,20}",
            ]), 0..30),
        by_tool: bool,
    ) {
        let mut asked = asked("amazon.nova-lite-v1:0");
        if by_tool {
            let format = Some(crate::chat::ResponseFormat::JsonSchema {
                name: None, schema: r#"{"type":"object"}"#.to_owned(), strict: None });
            asked.request = Request { response_format: format, ..Request::default() }.into();
        }
        let read = read(&asked, &events);
        let mut open = Vec::new();
        for (position, event) in read.iter().enumerate() {
            match event {
                Event::Start { .. } => prop_assert_eq!(position, 0),
                Event::BlockStart { index, .. } => {
                    prop_assert!(!open.contains(index));
                    open.push(*index);
                }
                Event::BlockDelta { index, .. } => prop_assert!(open.contains(index)),
                Event::BlockStop { index } => open.retain(|known| known != index),
                Event::End | Event::Error(_) => prop_assert_eq!(position + 1, read.len()),
                _ => {}
            }
        }
        prop_assert!(matches!(read.last(), Some(Event::End | Event::Error(_))));
        let finished = read.iter().filter(|event| matches!(event, Event::Finish { .. })).count();
        prop_assert!(finished <= 1);
        gathered(&asked, &read);
        let _ = message_streamed(&asked, &read);
    }

    /// Whatever is asked, in whatever order people speak: speakers take turns, the user begins, calls and results
    /// match, and tools are there where they are needed.
    #[test]
    fn a_conversation_has_the_form_that_bedrock_takes(
        speakers in proptest::collection::vec(0..6_u8, 1..9),
        model in proptest::sample::select(MODELS),
        (has_tools, has_format) in any::<(bool, bool)>(),
    ) {
        let call = |id: usize| json!({"id": format!("c{id}"), "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let messages: Vec<Value> = speakers.iter().enumerate().map(|(at, who)| match who {
            0 => json!({"role": "system", "content": "s"}),
            1 => json!({"role": "user", "content": "u"}),
            2 => json!({"role": "user", "content": [{"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}}]}),
            3 => json!({"role": "assistant", "content": "a"}),
            4 => json!({"role": "assistant", "content": "a", "tool_calls": [call(at)]}),
            _ => json!({"role": "tool", "tool_call_id": format!("c{}", at.saturating_sub(1)), "content": "r"}),
        }).collect();
        let mut asked = json!({"model": "m", "messages": messages});
        if has_tools {
            asked["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
        }
        if has_format {
            asked["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}});
        }
        let body = match to_json_body(Endpoint::ChatCompletions, model, &asked) {
            Ok(body) => body,
            Err(error) => {
                prop_assert_eq!(error.status(), 422);
                return Ok(());
            }
        };
        let messages = body["messages"].as_array().unwrap();
        prop_assert_eq!(&messages[0]["role"], "user");
        let mut names = Vec::new();
        let mut has_calls = false;
        for pair in messages.windows(2) {
            prop_assert_ne!(&pair[0]["role"], &pair[1]["role"]);
            let ids = |message: &Value, kind: &str| -> Vec<Value> {
                let blocks = message["content"].as_array().unwrap();
                blocks.iter().filter_map(|block| block.get(kind).map(|block| block["toolUseId"].clone())).collect()
            };
            has_calls |= !ids(&pair[0], "toolUse").is_empty();
            prop_assert_eq!(ids(&pair[0], "toolUse"), ids(&pair[1], "toolResult"));
        }
        for message in messages {
            let blocks = message["content"].as_array().unwrap();
            prop_assert!(!blocks.is_empty());
            let documents = blocks.iter().filter_map(|block| block.get("document"));
            let before = names.len();
            names.extend(documents.map(|document| document["name"].clone()));
            let has_text = blocks.iter().any(|block| block.get("text").is_some());
            prop_assert!(names.len() == before || has_text);
        }
        let mut unique = names.clone();
        unique.sort_by_key(Value::to_string);
        unique.dedup();
        prop_assert_eq!(unique.len(), names.len());
        prop_assert!(!has_calls || body["toolConfig"]["tools"].is_array());
    }

    /// Bytes that are nothing at all are refused, not worse.
    #[test]
    fn garbage_never_panics(data in proptest::collection::vec(any::<u8>(), 0..60), name in "\\PC{0,8}") {
        let asked = asked("m");
        prop_assert!(SCHEMA.reply(&asked, &data, &mut Losses::default()).is_err());
        let mut reader = SCHEMA.events(&asked);
        let mut out = Vec::new();
        for name in [None, Some(name.as_str()), Some("contentBlockDelta"), Some("messageStop"), Some("metadata")] {
            reader.event(name, &data, &mut Losses::default(), &mut out);
        }
        reader.finish(&mut out);
        prop_assert!(matches!(out.last(), Some(Event::Error(_) | Event::End)));
    }
}

/// A gateway's memory is not the backend's to fill.
#[test]
fn what_is_held_has_a_bound() {
    let asked = asked("m");
    let piece = base64(&vec![0; 1 << 20]);
    let event = json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"redactedContent": piece}}})
        .to_string();
    let events: Vec<_> = (0..40).map(|_| ("contentBlockDelta", event.clone())).collect();
    assert!(matches!(read(&asked, &events).last(), Some(Event::Error(_))));
    let open: Vec<_> = (0..100)
        .map(|index| {
            ("contentBlockDelta", json!({"contentBlockIndex": index, "delta": {"text": "x"}}).to_string())
        })
        .collect();
    assert!(matches!(read(&asked, &open).last(), Some(Event::Error(_))));
}

#[test]
fn a_call_beside_an_answer_by_tool_stays_a_call() {
    let schema = r#"{"type":"object"}"#.to_owned();
    let format = Some(crate::chat::ResponseFormat::JsonSchema { name: None, schema, strict: None });
    let request = Request { response_format: format, ..Request::default() };
    let asked = Asked { request: request.into(), ..asked("amazon.nova-lite-v1:0") };
    let body = json!({"output": {"message": {"content": [
        {"toolUse": {"toolUseId": "a", "name": "look", "input": {}}},
        {"toolUse": {"toolUseId": "b", "name": "answer", "input": {"x": 1}}}]}}, "stopReason": "tool_use"});
    let reply = SCHEMA.reply(&asked, body.to_string().as_bytes(), &mut Losses::default()).unwrap();
    let [call, text] = &reply.choices[0].content[..] else { panic!("two parts") };
    assert!(matches!(&call.content, Content::ToolCall { name, .. } if name == "look"));
    assert_eq!(text.content, Content::text(r#"{"x":1}"#));
    assert_eq!(reply.choices[0].finish_reason, FinishReason::ToolCalls);
}
