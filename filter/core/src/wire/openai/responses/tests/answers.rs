//! What a client gets.

use super::*;
use crate::chat::{Annotation, BlockStart, Delta, Extra, Family, Foreign, MediaKind, Source, TokenLogprob};
use crate::error::Error;
use crate::usage::{Counter, Usage};

#[test]
fn an_answer_is_whole_whatever_its_provider_leaves_out() {
    let (response, losses) = told(&asked(), &Reply::default());
    assert_eq!(losses, [""; 0]);
    assert_eq!(
        response,
        json!({
            "id": "resp_own", "object": "response", "created_at": 1, "status": "completed", "background": false, "error": null,
            "incomplete_details": null, "model": "asked", "output": [], "previous_response_id": null, "store": false,
            "truncation": "disabled", "instructions": null, "max_output_tokens": null, "metadata": {}, "parallel_tool_calls": true,
            "prompt_cache_key": null, "prompt_cache_retention": null, "reasoning": {"effort": null, "summary": null},
            "safety_identifier": null, "temperature": null, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
            "top_logprobs": null, "top_p": null, "user": null,
            "usage": {"input_tokens": 0, "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0}, "output_tokens": 0,
                "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 0},
        })
    );
}

#[test]
fn an_answer_repeats_what_was_asked() {
    let text = r#"{"model": "m", "input": "Hi", "instructions": "I\nJ", "tools": [{"type": "function", "name": "f",
        "parameters": {"type": "object", "x": 18446744073709551616}}], "tool_choice": "required", "temperature": 0.50,
        "text": null, "metadata": {"a": "b"}, "truncation": "auto"}"#;
    let request = decode_request(text.as_bytes(), &mut Losses::default()).unwrap();
    let asked = Asked { request: Asked::remembered(request), ..asked() };
    let mut losses = Losses::default();
    let body = String::from_utf8(encode_reply(&asked, &Reply::default(), &mut losses)).unwrap();
    for repeated in [
        r#""instructions":"I\nJ""#,
        r#""tools":[{"type":"function","name":"f","parameters":{"type":"object","x":18446744073709551616}}]"#,
        r#""tool_choice":"required""#,
        r#""temperature":0.50"#,
        r#""text":{"format":{"type":"text"}}"#,
        r#""metadata":{"a":"b"}"#,
        r#""truncation":"disabled""#,
    ] {
        assert!(body.contains(repeated), "{repeated} is not in {body}");
    }
    told(&asked, &Reply::default());
}

#[test]
fn items_say_what_the_parts_say() {
    let reply = reply_of(
        vec![
            sealed(Family::Anthropic, Part::thinking("Hm.", None)),
            Part::thinking("So.", None),
            sealed(Family::OpenAi, Part::thinking("", None)),
            sealed(Family::Anthropic, Part::new(Content::RedactedThinking)),
            Part::text(""),
            Part::text("Hello"),
            Part::text(", you"),
            Part::new(Content::Refusal("No.".to_owned())),
            sealed(Family::Google, call("c1", r#"{"a": 1}"#)),
            call("", ""),
            sealed(Family::Google, Part::text("Bye")),
        ],
        FinishReason::Stop,
    );
    let (response, losses) = told(&asked(), &reply);
    assert_eq!(losses, [""; 0]);
    let summary = |text: &str| json!([{"type": "summary_text", "text": text}]);
    let text = |text: &str| json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
    let output = json!([
        {"type": "reasoning", "id": "rs_translated_own_0", "summary": summary("Hm."), "encrypted_content": "claude:QUJD"},
        {"type": "reasoning", "id": "rs_translated_own_1", "summary": summary("So.")},
        {"type": "reasoning", "id": "rs_translated_own_2", "summary": [], "encrypted_content": "QUJD"},
        {"type": "reasoning", "id": "rs_translated_own_3", "summary": [], "encrypted_content": "redacted:claude:QUJD"},
        {"type": "message", "id": "msg_own_4", "status": "completed", "role": "assistant",
            "content": [text("Hello"), text(", you"), {"type": "refusal", "refusal": "No."}]},
        {"type": "function_call", "id": "fc_own_5", "status": "completed", "call_id": "c1__sealed_gemini_QUJD", "name": "f", "arguments": "{\"a\": 1}"},
        {"type": "function_call", "id": "fc_own_6", "status": "completed", "call_id": "call_own_6", "name": "f", "arguments": "{}"},
        {"type": "message", "id": "msg_own_7", "status": "completed", "role": "assistant", "content": [text("Bye")]},
        {"type": "reasoning", "id": "rs_translated_own_8", "summary": [], "encrypted_content": "gemini:QUJD"},
    ]);
    assert_eq!(response["output"], output);
}

#[test]
fn a_custom_tool_is_given_its_text() {
    let tools = json!([{"type": "custom", "name": "f"}]);
    let (request, _) = decoded(&json!({"model": "m", "input": "Hi", "tools": tools}));
    let asked = Asked { request: Asked::remembered(request), ..asked() };
    let reply =
        reply_of(vec![call("c1", r#"{"input":"a\nb"}"#), call("c2", "no object")], FinishReason::ToolCalls);
    let (response, losses) = told(&asked, &reply);
    assert_eq!(losses, [""; 0]);
    assert_eq!(
        response["output"],
        json!([
            {"type": "custom_tool_call", "id": "ctc_own_0", "call_id": "c1", "name": "f", "input": "a\nb"},
            {"type": "custom_tool_call", "id": "ctc_own_1", "call_id": "c2", "name": "f", "input": "no object"},
        ])
    );
}

#[test]
fn every_reason_to_stop_has_a_word() {
    let other = FinishReason::Other("tired".to_owned());
    for (reason, status, details, is_lost) in [
        (FinishReason::Stop, "completed", Value::Null, false),
        (FinishReason::ToolCalls, "completed", Value::Null, false),
        (FinishReason::StopSequence(None), "completed", Value::Null, false),
        (FinishReason::Length, "incomplete", json!({"reason": "max_output_tokens"}), false),
        (FinishReason::ContextWindow, "incomplete", json!({"reason": "max_output_tokens"}), false),
        (FinishReason::ContentFilter, "incomplete", json!({"reason": "content_filter"}), false),
        (FinishReason::Pause, "completed", Value::Null, true),
        (FinishReason::Malformed, "completed", Value::Null, true),
        (other, "completed", Value::Null, true),
    ] {
        let reply = reply_of(vec![call("c", "{}"), Part::text("x")], reason.clone());
        let (response, losses) = told(&asked(), &reply);
        assert_eq!(
            (&response["status"], &response["incomplete_details"]),
            (&json!(status), &details),
            "{reason:?}"
        );
        assert_eq!(response["output"][0]["status"], "completed");
        assert_eq!(response["output"][1]["status"], status);
        assert_eq!(!losses.is_empty(), is_lost, "{reason:?}");
    }
}

#[test]
fn usage_has_its_details() {
    let usage = Usage::of([
        (Counter::Input, Some(100)),
        (Counter::CachedInput, Some(60)),
        (Counter::CacheCreationInput, Some(30)),
        (Counter::Output, Some(7)),
        (Counter::Reasoning, Some(3)),
    ]);
    let reply = Reply {
        usage,
        id: Some("msg_1".to_owned()),
        model: Some("m".to_owned()),
        ..reply_of(vec![], FinishReason::Stop)
    };
    let (response, _) = told(&asked(), &reply);
    assert_eq!((&response["id"], &response["model"]), (&json!("resp_msg_1"), &json!("m")));
    let expected = json!({"input_tokens": 100, "input_tokens_details": {"cache_write_tokens": 30, "cached_tokens": 60},
        "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 107});
    assert_eq!(response["usage"], expected);
}

#[test]
fn ids_are_of_a_form_and_a_length_that_openai_takes() {
    for (given, expected) in [
        ("resp_1", "resp_1"),
        ("chatcmpl-1", "resp_1"),
        ("01234567-89ab-cdef-0123-456789abcdef", "resp_01234567-89ab-cdef-0123-456789abcdef"),
    ] {
        let reply = Reply { id: Some(given.to_owned()), ..Reply::default() };
        assert_eq!(told(&asked(), &reply).0["id"], expected);
    }
    let content = vec![Part::text("x")];
    let reply = Reply { id: Some("é/".repeat(80)), ..reply_of(content, FinishReason::Stop) };
    let id = told(&asked(), &reply).0["output"][0]["id"].as_str().unwrap().to_owned();
    assert!(
        id.len() <= 64 && id.chars().all(|char| char.is_ascii_alphanumeric() || "_-".contains(char)),
        "{id}"
    );
}

#[test]
fn sources_and_probabilities_are_told() {
    let annotation = |url: Option<&str>, span| {
        let url = url.map(str::to_owned);
        Annotation { url, span, ..Annotation::default() }
    };
    let text = Content::Text {
        text: "füx".to_owned(),
        annotations: vec![
            annotation(Some("https://a"), Some((1, 2))),
            annotation(Some("https://b"), None),
            annotation(None, None),
        ],
    };
    let mut reply = reply_of(vec![Part::new(text)], FinishReason::Stop);
    reply.choices[0].logprobs =
        vec![TokenLogprob { token: "f".to_owned(), logprob: -0.5, top: vec![("f".to_owned(), -0.5)] }];
    let (response, losses) = whole(&asked(), &reply);
    assert_eq!(losses, ["answer.content[0].citations: the text comes without this source"]);
    let part = &response["output"][0]["content"][0];
    assert_eq!(
        part["annotations"],
        json!([{"type": "url_citation", "start_index": 1, "end_index": 2, "url": "https://a", "title": "https://a"},
            {"type": "url_citation", "start_index": 0, "end_index": 3, "url": "https://b", "title": "https://b"}])
    );
    let token = json!({"token": "f", "logprob": -0.5, "bytes": [102]});
    assert_eq!(part["logprobs"][0]["top_logprobs"], json!([token]));
    // Servers tell the probabilities before the text or beside it; of those behind it the client has no text left.
    let mut events = events_of(&reply);
    let at = events.iter().position(|event| matches!(event, Event::Logprobs { .. })).unwrap();
    let told = events.remove(at);
    for (to, is_told) in [(at, true), (at + 2, true), (at + 6, false)] {
        let mut events = events.clone();
        events.insert(to, told.clone());
        let (stream, losses) = streamed(&asked(), &events);
        let found = &stream.unwrap()["output"][0]["content"][0];
        assert_eq!((found == part, losses.len()), (is_told, if is_told { 1 } else { 2 }), "{to}");
    }
}

#[test]
fn what_an_answer_cannot_say_here_is_a_loss() {
    let source = Source::Base64 { media_type: "image/png".to_owned(), data: "AA==".to_owned() };
    let image = Content::Media { kind: MediaKind::Image, source, detail: None, name: None };
    let foreign =
        Foreign { family: Family::Anthropic, kind: "server_tool_use".to_owned(), json: "{}".to_owned() };
    let odd = Seal { by: Family::Google, data: "no base 64".to_owned() };
    let content = vec![
        Part::new(image),
        Part::new(Content::Foreign(foreign)),
        Part { seal: Some(odd), ..call("c", "{}") },
    ];
    let mut reply = reply_of(content, FinishReason::Stop);
    let extra =
        Extra { family: Family::Google, members: vec![("safetyRatings".to_owned(), "[]".to_owned())] };
    reply.choices[0].extra = Some(Box::new(extra));
    reply.choices.push(reply.choices[0].clone());
    reply.choices[1].content.truncate(1);
    reply.service_tier = Some("reserved".to_owned());
    let (response, losses) = whole(&asked(), &reply);
    let lost: Vec<_> = losses.iter().filter_map(|loss| loss.split(": ").next()).collect();
    assert_eq!(
        lost,
        [
            "answer.content[0]",
            "answer.content[1].server_tool_use",
            "answer.content[2].signature",
            "answer.safetyRatings",
            "answer.choices[1]",
            "answer.safetyRatings",
            "answer.service_tier.reserved"
        ]
    );
    assert_eq!(response["output"].as_array().unwrap().len(), 1);
}

#[test]
fn blocks_that_are_open_at_once_have_items_of_their_own() {
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
        start(3, BlockStart::Text),
        delta(3, text("c")),
        Event::BlockStop { index: 1 },
        delta(0, text("d")),
        Event::End,
    ];
    let response = streamed(&asked(), &events).0.unwrap();
    let said: Vec<String> = response["output"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| match item["content"].as_array() {
            Some(parts) => {
                parts.iter().map(|part| part["text"].as_str().unwrap()).collect::<Vec<_>>().join("|")
            }
            None => item["arguments"].as_str().unwrap().to_owned(),
        })
        .collect();
    assert_eq!(said, ["a", "{\"x\":1}", "{}", "b|c|d"]);
}

#[test]
fn an_error_ends_the_stream_and_what_was_said_is_in_it() {
    let reply = reply_of(vec![call("c", "{}"), Part::text("x")], FinishReason::Stop);
    let mut events = events_of(&reply);
    events.truncate(6);
    events.extend([Event::Error(Error::provider(429, Some("slow".to_owned()), "slow down")), Event::End]);
    let error = streamed(&asked(), &events).0.unwrap_err();
    let inner = json!({"type": "slow", "code": "429", "message": "slow down", "param": null});
    assert_eq!(
        (&error["error"], &error["message"], &error["code"]),
        (&inner, &json!("slow down"), &json!("429"))
    );
    // Also one that comes before all else.
    assert!(streamed(&asked(), &[Event::Error(Error::bad_answer("x"))]).0.is_err());
}

#[test]
fn what_is_held_is_bounded() {
    let mut writer = StreamEncoder::new(&asked());
    let (mut losses, mut out) = (Losses::default(), Vec::new());
    writer.event(
        &Event::BlockStart { index: 0, choice: 0, id: None, block: BlockStart::Text },
        &mut losses,
        &mut out,
    );
    let piece = Event::BlockDelta { index: 0, delta: Delta::Text("x".repeat(1 << 20)) };
    for _ in 0..33 {
        writer.event(&piece, &mut losses, &mut out);
    }
    assert!(writer.is_closed());
    assert!(response_of(&out).is_err());
}

/// What stands beside the text of a block counts as well.
#[test]
fn what_is_held_beside_texts_is_bounded() {
    let start = |index| Event::BlockStart { index, choice: 0, id: None, block: BlockStart::Text };
    let text = |index| Event::BlockDelta { index, delta: Delta::Text("x".to_owned()) };
    let long = "x".repeat(1 << 20);
    let source = Annotation { url: Some(long.clone()), ..Annotation::default() };
    let source = Event::BlockDelta { index: 0, delta: Delta::Annotation(Box::new(source)) };
    let tokens = vec![TokenLogprob { token: long, ..TokenLogprob::default() }];
    let logprobs = Event::Logprobs { choice: 0, tokens };
    // Each text that comes between those of another block is a part of its own.
    let parts: Vec<Event> = (0..150_000).map(|piece| text(piece % 2)).collect();
    for more in [vec![source; 33], vec![logprobs; 33], parts] {
        let events = [start(0), start(1), text(0)].into_iter().chain(more);
        let (mut writer, mut losses) = (StreamEncoder::new(&asked()), Losses::default());
        for event in events {
            writer.event(&event, &mut losses, &mut Vec::new());
        }
        assert!(writer.is_closed());
    }
}

#[test]
fn log_probabilities_come_with_their_text() {
    let token = |token: &str| TokenLogprob { token: token.to_owned(), ..TokenLogprob::default() };
    let told = |text: &str| Event::Logprobs { choice: 0, tokens: vec![token(text)] };
    let text = |text: &str| Event::BlockDelta { index: 0, delta: Delta::Text(text.to_owned()) };
    let events = [
        Event::BlockStart { index: 0, choice: 0, id: None, block: BlockStart::Text },
        told("a"),
        text("a"),
        told("b"),
        text("b"),
        told("end"),
        Event::End,
    ];
    let (mut writer, mut out) = (StreamEncoder::new(&asked()), Vec::new());
    let tokens: Vec<Vec<String>> = events
        .iter()
        .map(|event| {
            let before = out.len();
            writer.event(event, &mut Losses::default(), &mut out);
            let written = String::from_utf8(out[before..].to_vec()).unwrap();
            let data = written.lines().filter_map(|line| line.strip_prefix("data: "));
            let events: Vec<Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
            let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
            let tokens = deltas.flat_map(|event| event["logprobs"].as_array().unwrap());
            tokens.map(|token| token["token"].as_str().unwrap().to_owned()).collect()
        })
        .collect();
    assert_eq!(tokens, [vec![], vec![], vec!["a"], vec![], vec!["b"], vec![], vec![]]);
    let response = response_of(&out).unwrap();
    assert_eq!(response["output"][0]["content"][0]["logprobs"].as_array().unwrap().len(), 3);
}

#[test]
fn an_answer_that_its_provider_could_not_read_has_failed() {
    let thought = Part::thinking("t", None);
    for content in [vec![], vec![thought]] {
        let reply = reply_of(content.clone(), FinishReason::Malformed);
        let (response, losses) = whole(&asked(), &reply);
        assert_eq!(
            (&response["status"], &response["error"]["code"]),
            (&json!("failed"), &json!("server_error"))
        );
        assert_eq!((response["output"].as_array().unwrap().len(), losses.len()), (content.len(), 0));
        assert!(streamed(&asked(), &events_of(&reply)).0.is_err());
    }
    let said = reply_of(vec![Part::text("x")], FinishReason::Malformed);
    assert_eq!(told(&asked(), &said).0["status"], "completed");
}

#[test]
fn a_failure_says_whose_it_is() {
    for (error, code) in [
        (Error::provider(400, None, "x"), "invalid_prompt"),
        (Error::unprocessable("x"), "invalid_prompt"),
        (Error::provider(429, None, "x"), "rate_limit_exceeded"),
        (Error::provider(529, None, "x"), "server_error"),
        (Error::bad_answer("x"), "server_error"),
    ] {
        let mut out = Vec::new();
        StreamEncoder::new(&asked()).event(&Event::Error(error), &mut Losses::default(), &mut out);
        assert!(
            String::from_utf8(out).unwrap().contains(&format!("\"error\":{{\"code\":\"{code}\"")),
            "{code}"
        );
    }
}
