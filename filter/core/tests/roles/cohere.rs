//! Clients of both APIs to Cohere's chat.

use serde_json::{Value, json};
use weir_core::config::SchemaName::Cohere;

use crate::answer::{Answer, COHERE_EVENTS, named_sse};
use crate::gateway::{Gateway, key_of};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const ANSWER: &str = r#"{"id":"c-1","finish_reason":"TOOL_CALL","message":{"role":"assistant","tool_plan":"I look.","tool_calls":[{"id":"look_1","type":"function","function":{"name":"look","arguments":"{\"x\":1}"}}]},"usage":{"billed_units":{"input_tokens":3,"output_tokens":2},"tokens":{"input_tokens":29.0,"output_tokens":5.0},"cached_tokens":20.0}}"#;

fn gateway() -> Gateway {
    Gateway::new().backend("cohere", Cohere).model("command-a-03-2025")
}

fn body(stream: bool) -> String {
    json!({"model": "m", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]})
        .to_string()
}

#[test]
fn a_whole_answer_is_the_clients() {
    for path in [CHAT, MESSAGES] {
        let outcome = gateway().post(path, body(false)).answered_by(Answer::json(200, ANSWER)).send();
        let sent = &outcome.sent[0];
        assert_eq!(sent.path(), "/v2/chat");
        assert_eq!(sent.headers.get("authorization"), Some(format!("Bearer {}", key_of("cohere")).as_str()));
        assert_eq!(sent.headers.get("content-type"), Some("application/json"));
        assert_eq!(
            sent.json(),
            json!({"model": "command-a-03-2025", "max_tokens": 9, "stream": false,
                "messages": [{"role": "user", "content": "Hi"}]})
        );
        let answer = outcome.json();
        if path == CHAT {
            let message = &answer["choices"][0]["message"];
            assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{\"x\":1}");
            assert_eq!(message["reasoning_content"], "I look.");
            assert_eq!(
                (&answer["model"], &answer["usage"]["prompt_tokens"]),
                (&json!("command-a-03-2025"), &json!(29))
            );
        } else {
            assert_eq!(answer["content"][1]["input"], json!({"x": 1}));
            assert_eq!(
                (&answer["stop_reason"], &answer["usage"]["input_tokens"]),
                (&json!("tool_use"), &json!(9))
            );
        }
        let record = &outcome.record;
        assert_eq!((record.input_tokens, record.output_tokens), (Some(29), Some(5)));
        assert_eq!(record.cached_input_tokens, Some(20));
    }
}

#[test]
fn a_version_is_the_beginning_of_the_path() {
    let mut gateway = gateway();
    gateway.backend_mut("cohere").schema.version = Some("v3".to_owned());
    let outcome = gateway.post(CHAT, body(false)).answered_by(Answer::json(200, ANSWER)).send();
    assert_eq!(outcome.sent[0].path(), "/v3/chat");
}

#[test]
fn a_stream_is_the_clients() {
    for path in [CHAT, MESSAGES] {
        let events = named_sse(COHERE_EVENTS);
        let outcome = gateway().post(path, body(true)).answered_by(Answer::sse(&events)).send();
        assert_eq!(outcome.sent[0].json()["stream"], true);
        let told = outcome.events();
        assert!(told.iter().any(|event| event.contains("Grüß")), "{told:?}");
        assert!(told.last().unwrap().contains(if path == CHAT { "[DONE]" } else { "message_stop" }));
        assert_eq!((outcome.record.input_tokens, outcome.record.output_tokens), (Some(29), Some(5)));
        assert_eq!(outcome.cost("llm_total_token"), Some(34));
    }
}

#[test]
fn an_error_is_told_in_the_clients_words() {
    let refused = r#"{"id":"e-1","message":"too many tokens: size limit exceeded by 11326 tokens."}"#;
    for path in [CHAT, MESSAGES] {
        let outcome = gateway().post(path, body(true)).answered_by(Answer::json(429, refused)).send();
        assert_eq!(outcome.status, 429);
        assert_eq!(outcome.json()["error"]["type"], "rate_limit_error");
        assert!(outcome.error().starts_with("too many tokens"), "{}", outcome.text());

        let end = r#"{"type":"message-end","delta":{"finish_reason":"ERROR","error":"out of memory","usage":{"tokens":{"input_tokens":29,"output_tokens":7}}}}"#;
        let events = [&COHERE_EVENTS[..4], &[end]].concat();
        let outcome = gateway().post(path, body(true)).answered_by(Answer::sse(&named_sse(&events))).send();
        let last: Value = serde_json::from_str(outcome.events().last().unwrap()).unwrap();
        assert_eq!((outcome.status, &last["error"]["message"]), (200, &json!("out of memory")));
        assert_eq!((outcome.record.input_tokens, outcome.record.output_tokens), (Some(29), Some(7)));
    }
}

#[test]
fn what_cohere_cannot_do_is_on_the_record_or_refused() {
    let asked = r#"{"model":"m","logit_bias":{"1":2},"messages":[{"role":"user","content":"Hi"}]}"#;
    let mut gateway = gateway();
    let outcome = gateway.post(CHAT, asked).answered_by(Answer::json(200, ANSWER)).send();
    assert_eq!(outcome.record.losses, ["logit_bias: Cohere takes no bias"]);
    gateway.route.strict = true;
    let outcome = gateway.post(CHAT, asked).answered_by(Answer::json(200, ANSWER)).send();
    assert_eq!((outcome.status, outcome.sent.len()), (400, 0));
    assert!(outcome.error().contains("logit_bias"));
}
