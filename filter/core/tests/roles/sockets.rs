//! WebSockets: the request that opens one, and what its answer is to the books.

use weir_core::codec::websocket::{self, Opcode};
use weir_core::config::SchemaName::{Anthropic, AzureOpenAI, OpenAI, OpenAIChat};
use weir_core::exchange;
use weir_core::usage::Counter;
use weir_core::usage::record::UsageStatus;

use crate::answer::Answer;
use crate::gateway::Gateway;
use crate::host::Call;

const REALTIME: &str = "/v1/realtime?model=voice";

/// A request for a WebSocket.
fn open<'g>(gateway: &'g Gateway, path: &str) -> Call<'g> {
    let call = gateway.get(path).without("x-ai-eg-model").without("content-type");
    call.header("upgrade", "websocket").header("sec-websocket-extensions", "permessage-deflate")
}

/// A WebSocket through which `events` come.
fn socket(events: &[&str]) -> Answer {
    let mut frames = Vec::new();
    for event in events {
        websocket::write(Opcode::Text, None, event.as_bytes(), &mut frames);
    }
    let answer = Answer { headers: Vec::new(), ..Answer::new(101, "", frames) };
    answer.header("upgrade", "websocket").header("set-cookie", "a=b")
}

const DONE: &str = r#"{"type":"response.done","response":{"usage":{"input_tokens":3,"output_tokens":4,
    "total_tokens":7,"input_token_details":{"cached_tokens":2}}}}"#;

#[test]
fn the_backend_is_asked_in_its_own_words() {
    let gateway = Gateway::new().backend("gpt", OpenAI).model("gpt-realtime");
    let call = open(&gateway, "/v1/realtime?a=1&model=voice&api-key=k")
        .header("sec-websocket-protocol", "realtime, openai-insecure-api-key.clients-own-credential");
    let outcome = call.answered_by(socket(&[DONE, DONE])).send();
    assert_eq!((outcome.status, outcome.headers.get("set-cookie")), (101, None));
    assert_eq!(outcome.headers.get("upgrade"), Some("websocket"));
    let sent = &outcome.sent[0];
    assert_eq!(sent.path(), "/v1/realtime?a=1&model=gpt-realtime");
    assert_eq!(sent.headers.get("upgrade"), Some("websocket"));
    assert_eq!(sent.headers.get("sec-websocket-protocol"), Some("realtime"));
    for name in ["sec-websocket-extensions", "content-type"] {
        assert_eq!(sent.headers.get(name), None);
    }
    let record = &outcome.record;
    assert_eq!((record.endpoint, record.original_model.as_str()), ("realtime", "voice"));
    assert_eq!((record.request_model.as_str(), record.status), ("gpt-realtime", 101));
    assert_eq!((record.usage.total(), record.usage.get(Counter::CachedInput)), (Some(14), Some(4)));
    assert_eq!(record.usage_status, UsageStatus::Complete);
    assert_eq!(outcome.cost("llm_total_token"), Some(14));
}

#[test]
fn azure_is_asked_by_its_own_paths() {
    let mut gateway = Gateway::new().backend("azure", AzureOpenAI);
    let path =
        |gateway: &Gateway| open(gateway, REALTIME).answered_by(socket(&[])).send().sent[0].path().to_owned();
    assert_eq!(path(&gateway), "/openai/v1/realtime?model=voice");
    gateway.backend_mut("azure").schema.version = Some("2025-04-01-preview".to_owned());
    assert_eq!(path(&gateway), "/openai/realtime?api-version=2025-04-01-preview&deployment=voice");
}

#[test]
fn a_socket_without_answers_used_nothing_and_one_that_broke_off_is_partial() {
    let gateway = Gateway::new().backend("gpt", OpenAI);
    let created = r#"{"type":"response.created"}"#;
    let delta = r#"{"type":"response.output_text.delta","delta":"Hello you"}"#;
    for (events, status, charged) in [
        (&[][..], UsageStatus::None, None),
        (&[r#"{"type":"session.created"}"#][..], UsageStatus::None, None),
        (&[created][..], UsageStatus::Partial, Some(0)),
        // By its nine bytes of text.
        (&[created, delta][..], UsageStatus::Partial, Some(3)),
        (&[DONE, created][..], UsageStatus::Partial, Some(7)),
        (&[DONE, created, delta][..], UsageStatus::Partial, Some(10)),
        (&[created, delta, DONE][..], UsageStatus::Complete, Some(7)),
    ] {
        let outcome = open(&gateway, REALTIME).answered_by(socket(events).breaks()).send();
        assert_eq!(outcome.record.usage_status, status, "{events:?}");
        assert_eq!(outcome.cost("llm_total_token"), charged, "{events:?}");
    }
}

#[test]
fn an_answer_that_is_no_socket_is_a_failure() {
    let gateway = Gateway::new().backend("gpt", OpenAI).backend("spare", OpenAI);
    let call = open(&gateway, REALTIME).answered_by(Answer::json(200, "{}"));
    let outcome = call.answered_by(socket(&[DONE])).send();
    assert_eq!((outcome.status, outcome.record.attempts), (101, 2));
    assert_eq!(outcome.answer, exchange::Answer::Complete);

    let refused = Answer::json(401, r#"{"error":{"message":"no","type":"t"}}"#);
    let outcome = open(&gateway, REALTIME).answered_by(refused).send();
    assert_eq!((outcome.status, outcome.error().as_str()), (401, "no"));
    assert_eq!(outcome.record.usage_status, UsageStatus::None);
}

#[test]
fn an_error_in_a_socket_does_not_show_the_credential() {
    let gateway = Gateway::new().backend("b", OpenAI);
    let error = |key: &str| {
        format!(r#"{{"type":"error","error":{{"message":"Incorrect API key provided: {key}"}}}}"#)
    };
    let outcome = open(&gateway, REALTIME).answered_by(socket(&[&error("key-of-b.")])).send();
    assert_eq!(outcome.body[2..], *(error("***") + "      ").as_bytes());
}

#[test]
fn what_cannot_be_a_socket_is_refused_before_it_is_sent() {
    let gateway = Gateway::new().backend("claude", Anthropic);
    let chat_only = Gateway::new().backend("qwen", OpenAIChat);
    let plain = gateway.get(REALTIME);
    for (call, status, word) in [
        (plain, 400, "must ask for an upgrade"),
        (open(&gateway, "/v1/realtime"), 400, "x-ai-eg-model"),
        (open(&gateway, "/v1/realtime?model=a&model=b"), 400, "twice"),
        (open(&gateway, REALTIME).header(":method", "POST"), 405, "GET"),
        (open(&gateway, "/v1/chat/completions"), 400, "not for a WebSocket"),
        (open(&gateway, "/v1/models"), 400, "not for a WebSocket"),
        (open(&gateway, REALTIME), 422, "realtime"),
        (open(&chat_only, "/v1/responses?model=m"), 422, "responses_socket"),
    ] {
        let outcome = call.answered_by(socket(&[])).send();
        assert_eq!((outcome.status, outcome.sent.len()), (status, 0), "{word}");
        assert!(outcome.error().contains(word), "{}", outcome.error());
    }
}
