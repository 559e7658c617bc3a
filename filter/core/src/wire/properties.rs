//! What must hold for every answer, not only for the ones that fixtures show.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::accumulate::{accumulate, flatten, sse_data};
use super::anthropic::{self, decode_reply, encode_request};
use super::openai_chat::{StreamEncoder, decode_request, encode_reply};
use super::*;
use crate::chat::{Event, Losses, Reply, Request};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::usage::{Counter, Usage};
use crate::wire::usage::{StreamObserver, observe_body};

const BACKEND: anthropic::Params<'_> = anthropic::Params {
    envelope: anthropic::Envelope::Native,
    model: "claude-x",
    default_max_tokens: anthropic::DEFAULT_MAX_TOKENS,
};

/// One content block of an Anthropic answer, with the pieces it is streamed in.
#[derive(Debug, Clone)]
enum Block {
    Text(Vec<String>),
    Thinking(Vec<String>, String),
    Redacted(String),
    ToolUse(String, Vec<String>),
}

fn block() -> impl Strategy<Value = Block> {
    let pieces = || prop::collection::vec(".{0,8}", 0..5);
    prop_oneof![
        pieces().prop_map(Block::Text),
        (pieces(), "[a-z]{1,8}").prop_map(|(pieces, signature)| Block::Thinking(pieces, signature)),
        "[a-z]{1,8}".prop_map(Block::Redacted),
        ("[a-z]{1,8}", prop::option::of(".{0,12}"), 1..4_usize).prop_map(|(name, value, size)| {
            let input = value.map_or_else(|| json!({}), |value| json!({ "key": value })).to_string();
            let characters: Vec<char> = input.chars().collect();
            let pieces = characters.chunks(size).map(|piece| piece.iter().collect()).collect();
            Block::ToolUse(name, pieces)
        }),
    ]
}

/// Two answers that say the same: a whole one, and the events of a stream.
fn answer(blocks: &[Block], counters: &Value, stop_reason: &str, pings: bool) -> (Value, Vec<Value>) {
    let mut content = Vec::new();
    let mut events = vec![
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude-x", "content": [], "usage": counters}}),
    ];
    for (index, block) in blocks.iter().enumerate() {
        let (whole, start, deltas): (Value, Value, Vec<Value>) = match block {
            Block::Text(pieces) => (
                json!({"type": "text", "text": pieces.concat()}),
                json!({"type": "text", "text": ""}),
                pieces.iter().map(|piece| json!({"type": "text_delta", "text": piece})).collect(),
            ),
            Block::Thinking(pieces, signature) => (
                json!({"type": "thinking", "thinking": pieces.concat(), "signature": signature}),
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                pieces
                    .iter()
                    .map(|piece| json!({"type": "thinking_delta", "thinking": piece}))
                    .chain([json!({"type": "signature_delta", "signature": signature})])
                    .collect(),
            ),
            Block::Redacted(data) => {
                let block = json!({"type": "redacted_thinking", "data": data});
                (block.clone(), block, Vec::new())
            }
            Block::ToolUse(name, pieces) => {
                let id = format!("toolu_{index}");
                let input: Value = serde_json::from_str(&pieces.concat()).unwrap();
                (
                    json!({"type": "tool_use", "id": id, "name": name, "input": input}),
                    json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
                    pieces
                        .iter()
                        .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}))
                        .collect(),
                )
            }
        };
        content.push(whole);
        events.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        for delta in deltas {
            events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
            if pings {
                events.push(json!({"type": "ping"}));
            }
        }
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": counters}));
    events.push(json!({"type": "message_stop"}));
    let whole = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
        "content": content, "stop_reason": stop_reason, "usage": counters,
    });
    (whole, events)
}

fn asked(include_usage: bool) -> Asked {
    let request = Request { include_usage, ..Request::default() }.into();
    Asked { request, id: "own".to_owned(), model: "asked".to_owned(), created: 1 }
}

fn reply_of(body: &[u8]) -> Result<Reply> {
    decode_reply(body)
}

/// The client's stream, and the usage that is charged for it.
fn translate<'a>(events: impl IntoIterator<Item = &'a [u8]>, include_usage: bool) -> (String, Usage) {
    let mut decoder = anthropic::StreamDecoder::default();
    let mut encoder = StreamEncoder::new(&asked(include_usage));
    let mut losses = Losses::default();
    let mut neutral: Vec<Event> = Vec::new();
    for data in events {
        decoder.event(None, data, &mut losses, &mut neutral);
    }
    decoder.finish(&mut neutral);
    let mut out = Vec::new();
    let mut charged = Usage::default();
    for event in &neutral {
        if let Event::Usage(usage) = event {
            charged.merge(*usage);
        }
        encoder.event(event, &mut losses, &mut out);
    }
    assert!(encoder.is_closed());
    (String::from_utf8(out).unwrap(), charged)
}

/// Blocks as Claude takes them: no blank texts, no thoughts at the end, and texts that follow each other are one.
fn as_sent_back(blocks: Option<&Vec<Value>>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for block in blocks.into_iter().flatten() {
        let text = block["text"].as_str().unwrap_or_default();
        match kept.last_mut() {
            _ if block["type"] == "text" && text.is_empty() => {}
            Some(last) if block["type"] == "text" && last["type"] == "text" => {
                last["text"] = json!(format!("{}{text}", last["text"].as_str().unwrap_or_default()));
            }
            _ => kept.push(block.clone()),
        }
    }
    kept.retain(|block| {
        block["type"] != "text" || !block["text"].as_str().unwrap_or_default().trim().is_empty()
    });
    while kept
        .last()
        .is_some_and(|block| block["type"].as_str().is_some_and(|kind| kind.contains("thinking")))
    {
        kept.pop();
    }
    kept
}

proptest! {
    /// A stream says what the whole answer says, and every way to count its tokens gives what the provider reported.
    #[test]
    fn streamed_is_whole_and_charged_is_reported(
        blocks in prop::collection::vec(block(), 0..5),
        (input, read, write, output, thinking) in (1..999_u64, 0..999_u64, 0..999_u64, 1..999_u64, 0..999_u64),
        stop_reason in prop::sample::select(vec!["end_turn", "max_tokens", "tool_use", "refusal", "new_one"]),
        pings: bool,
    ) {
        let counters = json!({
            "input_tokens": input, "cache_read_input_tokens": read, "cache_creation_input_tokens": write,
            "output_tokens": output, "output_tokens_details": {"thinking_tokens": thinking},
        });
        let reported = Usage::of([(Counter::Input, Some(input + read + write)), (Counter::CachedInput, Some(read)), (Counter::CacheCreationInput, Some(write)), (Counter::Output, Some(output)), (Counter::Reasoning, Some(thinking)), (Counter::Total, Some(input + read + write + output))]);
        let (whole, events) = answer(&blocks, &counters, stop_reason, pings);
        let (whole, events): (String, Vec<String>) =
            (whole.to_string(), events.iter().map(Value::to_string).collect());

        let reply = reply_of(whole.as_bytes()).unwrap();
        let completion = encode_reply(&asked(true), &reply, &mut Losses::default());
        let (stream, charged) = translate(events.iter().map(String::as_bytes), true);
        prop_assert_eq!(accumulate(&stream), flatten(&completion));
        prop_assert_eq!(reply.usage, reported);
        prop_assert_eq!(charged, reported);

        prop_assert_eq!(observe_body(Endpoint::Messages, whole.as_bytes()).unwrap().usage, reported);
        let mut observer = StreamObserver::new(Endpoint::Messages, 1);
        events.iter().for_each(|event| observer.event(event.as_bytes()));
        prop_assert_eq!(observer.observed().usage, reported);
        prop_assert!(observer.is_complete());

        // What the client is told is what is charged; a write of 0 is not told.
        let told = reported.with([(Counter::CacheCreationInput, Some(write).filter(|write| *write > 0))]);
        prop_assert_eq!(observe_body(Endpoint::ChatCompletions, &completion).unwrap().usage, told);
        let mut observer = StreamObserver::new(Endpoint::ChatCompletions, 1);
        sse_data(&stream).iter().for_each(|event| observer.event(event.as_bytes()));
        prop_assert_eq!(observer.observed().usage, told);
        prop_assert_eq!(observer.observed().model.as_deref(), Some("claude-x"));

        // The client that did not ask for usage gets the same stream without it.
        let (quiet, _) = translate(events.iter().map(String::as_bytes), false);
        let loud: Vec<&str> = sse_data(&stream)
            .into_iter()
            .filter(|data| !crate::wire::usage::is_usage_only_chunk(data.as_bytes()))
            .collect();
        prop_assert_eq!(sse_data(&quiet), loud);
    }

    /// A client of Anthropic's own API gets what Claude said, all of it, streamed or not.
    #[test]
    fn nothing_of_an_answer_is_lost_on_the_way_to_anthropics_clients(
        blocks in prop::collection::vec(block(), 0..5),
        stop_reason in prop::sample::select(vec![
            "end_turn", "max_tokens", "refusal", "pause_turn", "model_context_window_exceeded",
        ]),
        (read, write) in (0..999_u64, 0..999_u64),
    ) {
        let counters = json!({
            "input_tokens": 5, "cache_read_input_tokens": read, "cache_creation_input_tokens": write,
            "output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3},
        });
        let (whole, events) = answer(&blocks, &counters, stop_reason, false);
        let mut expected = whole.clone();
        expected["stop_sequence"] = Value::Null;
        // Anthropic takes no empty texts back, so none are given.
        let is_text = |block: &Value| block["type"] == "text" && block["text"] == "";
        expected["content"].as_array_mut().unwrap().retain(|block| !is_text(block));
        if stop_reason == "end_turn" && blocks.iter().any(|block| matches!(block, Block::ToolUse(..))) {
            expected["stop_reason"] = json!("tool_use");
        }
        let mut losses = Losses::default();
        let reply = reply_of(whole.to_string().as_bytes()).unwrap();
        let told: Value =
            serde_json::from_slice(&anthropic::client::encode_reply(&asked(true), &reply, &mut losses)).unwrap();
        prop_assert_eq!(&told, &expected);

        let mut reader = anthropic::StreamDecoder::default();
        let mut writer = anthropic::client::StreamEncoder::new(&asked(true));
        let (mut read, mut out) = (Vec::new(), Vec::new());
        for event in &events {
            reader.event(None, event.to_string().as_bytes(), &mut losses, &mut read);
        }
        read.iter().for_each(|event| writer.event(event, &mut losses, &mut out));
        prop_assert_eq!(anthropic::client::message_of(&out).unwrap(), expected);
        prop_assert!(losses.is_empty());
    }

    /// What a client has of an answer, streamed or whole, is what Claude gets back: every thought as it was, in its
    /// place.
    #[test]
    fn what_was_handed_out_can_be_sent_back(
        blocks in prop::collection::vec(block(), 0..6), keeps_index in any::<bool>(),
    ) {
        // A message has its calls after its text.
        let (calls, said): (Vec<Block>, Vec<Block>) =
            blocks.into_iter().partition(|block| matches!(block, Block::ToolUse(..)));
        let blocks: Vec<Block> = said.into_iter().chain(calls).collect();
        let (whole, events) = answer(&blocks, &json!({}), "end_turn", false);
        let reply = reply_of(whole.to_string().as_bytes()).unwrap();
        let completion: Value =
            serde_json::from_slice(&encode_reply(&asked(true), &reply, &mut Losses::default())).unwrap();
        let events: Vec<String> = events.iter().map(Value::to_string).collect();
        let (stream, _) = translate(events.iter().map(String::as_bytes), false);
        let gathered = accumulate(&stream);
        let mut thoughts = gathered["thoughts"].clone();
        for (index, thought) in thoughts.as_array_mut().unwrap().iter_mut().enumerate() {
            if keeps_index {
                thought["index"] = json!(index);
            }
        }
        let streamed = json!({
            "role": "assistant", "content": gathered["content"], "reasoning_content": gathered["reasoning"],
            "thinking_blocks": thoughts, "tool_calls": gathered["calls"],
        });
        for message in [completion["choices"][0]["message"].clone(), streamed] {
            // The last message of all is another matter: Claude would go on with it.
            let user = json!({"role": "user", "content": "x"});
            let asked = json!({"model": "m", "messages": [user, message, user]}).to_string();
            let mut losses = Losses::default();
            let request = decode_request(asked.as_bytes(), &mut losses).unwrap();
            let body = encode_request(&BACKEND, &request, &mut losses).unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            let sent = Some(&body["messages"][1]).filter(|message| message["role"] == "assistant");
            let sent = sent.and_then(|message| message["content"].as_array());
            prop_assert_eq!(as_sent_back(sent), as_sent_back(whole["content"].as_array()));
        }
    }

    /// However a backend breaks its stream, the client's ends once, with `[DONE]` or with an error.
    #[test]
    fn a_broken_stream_ends_properly(
        events in prop::collection::vec(
            prop_oneof![
                8 => prop::sample::select(vec![
                    r#"{"type":"message_start","message":{"id":"m"}}"#,
                    r#"{"type":"message_start"}"#,
                    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}"#,
                    r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"n","input":{}}}"#,
                    r#"{"type":"content_block_start","index":1,"content_block":{"type":"new"}}"#,
                    r#"{"type":"content_block_start"}"#,
                    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}"#,
                    r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"x"}}"#,
                    r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
                    r#"{"type":"content_block_stop","index":0}"#,
                    r#"{"type":"content_block_stop"}"#,
                    r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":4}}"#,
                    r#"{"type":"ping"}"#,
                    r#"{"type":"new","delta":[1]}"#,
                ]).prop_map(str::to_owned),
                1 => Just(r#"{"type":"message_stop"}"#.to_owned()),
                1 => Just(r#"{"type":"error","error":{"type":"api_error","message":"m"}}"#.to_owned()),
                1 => "\\PC{0,20}",
            ],
            0..30,
        ),
    ) {
        let (stream, _) = translate(events.iter().map(String::as_bytes), true);
        let data = sse_data(&stream);
        let (last, chunks) = data.split_last().unwrap();
        prop_assert!(*last == "[DONE]" || serde_json::from_str::<Value>(last).unwrap()["error"].is_object());
        let mut calls = 0;
        for chunk in chunks {
            let chunk: Value = serde_json::from_str(chunk).unwrap();
            prop_assert!(chunk["choices"].is_array());
            for call in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
                calls += u64::from(call.get("id").is_some());
                prop_assert!(call["index"].as_u64().unwrap() < calls, "arguments of a call that was not announced");
            }
        }
    }

    /// Any value anywhere in a request is taken or refused with a reason, and what is taken can be sent.
    #[test]
    fn a_request_is_understood_or_refused(
        pointer in prop::sample::select(POINTERS.to_vec()),
        value in prop_oneof![
            Just(Value::Null), Just(json!(true)), Just(json!(-1)), Just(json!(0.5)), Just(json!("")),
            Just(json!("data:")), Just(json!("data:image/png;base64,")), Just(json!("{}")), Just(json!([])),
            Just(json!({})), Just(json!([[]])), Just(json!({"type": "text"})), "\\PC{0,6}".prop_map(Value::from),
        ],
    ) {
        let mut request: Value = serde_json::from_str(REQUEST).unwrap();
        *request.pointer_mut(pointer).unwrap() = value;
        let mut losses = Losses::default();
        let body = decode_request(request.to_string().as_bytes(), &mut losses)
            .and_then(|request| encode_request(&BACKEND, &request, &mut losses));
        match body {
            Ok(body) => prop_assert!(serde_json::from_slice::<Value>(&body).unwrap()["messages"].is_array()),
            Err(error) => {
                prop_assert!(matches!(error.status(), 400 | 422));
                let field = pointer.split('/').nth(1).unwrap_or_default();
                prop_assert!(error.message().contains(field), "{} does not name {field}", error.message());
            }
        }
    }

    /// Bytes that are nothing at all are refused, not worse.
    #[test]
    fn garbage_never_panics(data in prop::collection::vec(any::<u8>(), 0..40)) {
        prop_assert!(reply_of(&data).is_err());
        let _ = decode_request(&data, &mut Losses::default());
        let _ = observe_body(Endpoint::Messages, &data);
        let answer = ErrorAnswer { status: 500, content_type: None, error_type: None, body: &data };
        prop_assert_eq!(decode_error("AWSBedrockBackendError", &answer).status(), 500);
    }
}

/// A request that uses every field.
const REQUEST: &str = r#"{
    "model": "claude-opus-4-6", "stream": true, "stream_options": {"include_usage": true}, "stop": ["a"],
    "temperature": 0.5, "max_tokens": 5, "user": "u", "reasoning_effort": "low", "tool_choice": "auto",
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
            {"type": "file", "file": {"filename": "a.txt", "file_data": "aGk="}}]},
        {"role": "assistant", "content": "c", "thinking_blocks": [{"type": "thinking", "thinking": "t", "signature": "s"}],
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "r"}
    ]
}"#;

const POINTERS: &[&str] = &[
    "/model",
    "/stream",
    "/stream_options",
    "/stream_options/include_usage",
    "/stop",
    "/stop/0",
    "/temperature",
    "/max_tokens",
    "/user",
    "/reasoning_effort",
    "/tool_choice",
    "/response_format",
    "/response_format/json_schema",
    "/response_format/json_schema/schema",
    "/thinking",
    "/thinking/budget_tokens",
    "/tools",
    "/tools/0",
    "/tools/0/function",
    "/tools/0/function/parameters",
    "/messages",
    "/messages/0",
    "/messages/0/role",
    "/messages/0/content",
    "/messages/1/content",
    "/messages/1/content/0/cache_control",
    "/messages/1/content/1/image_url",
    "/messages/1/content/1/image_url/url",
    "/messages/1/content/1/image_url/detail",
    "/messages/1/content/2/file",
    "/messages/1/content/2/file/file_data",
    "/messages/2/content",
    "/messages/2/thinking_blocks/0",
    "/messages/2/tool_calls/0",
    "/messages/2/tool_calls/0/function/arguments",
    "/messages/3/tool_call_id",
    "/messages/3/content",
];
