//! Clients of other APIs to Cohere's chat, and Cohere's own clients to it and to others.

use serde_json::{Value, json};
use weir_core::config::SchemaName::{AWSBedrock, Anthropic, Cohere, GCPVertexAI, OpenAI};
use weir_core::usage::Counter;
use weir_core::usage::record::UsageStatus;

use crate::answer::{
    Answer, CHAT_CHUNKS, COHERE_EVENTS, CONVERSE_EVENTS, GEMINI_EVENTS, MESSAGE_EVENTS, chat_sse, named_sse,
    plain_sse,
};
use crate::gateway::{Gateway, key_of};
use crate::outcome::Outcome;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const OWN: &str = "/cohere/v2/chat";
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
        assert_eq!((record.usage.input(), record.usage.output()), (Some(29), Some(5)));
        assert_eq!(record.usage.get(Counter::CachedInput), Some(20));
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
        assert_eq!((outcome.record.usage.input(), outcome.record.usage.output()), (Some(29), Some(5)));
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
        assert_eq!((outcome.record.usage.input(), outcome.record.usage.output()), (Some(29), Some(7)));
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

/// The text that the events of a stream make, and the last of them.
fn told(outcome: &Outcome) -> (String, Value) {
    let events = outcome.events();
    let events: Vec<Value> = events.iter().filter_map(|event| serde_json::from_str(event).ok()).collect();
    let pieces = events.iter().filter_map(|event| event["delta"]["message"]["content"]["text"].as_str());
    (pieces.collect(), events.last().unwrap().clone())
}

#[test]
fn coheres_own_clients_reach_it_to_the_byte() {
    let body = r#"{ "model":"m", "safety_mode":"OFF", "messages":[{"role":"user","content":"Hi"}] }"#;
    let outcome = gateway().post(OWN, body).answered_by(Answer::json(200, ANSWER)).send();
    let sent = &outcome.sent[0];
    assert_eq!(
        (sent.path(), sent.text()),
        ("/v2/chat", body.replace("\"m\"", "\"command-a-03-2025\"").as_str())
    );
    assert_eq!(sent.headers.get("authorization"), Some(format!("Bearer {}", key_of("cohere")).as_str()));
    assert_eq!(outcome.text(), ANSWER);
    let record = &outcome.record;
    assert_eq!(
        (record.usage.input(), record.usage.output(), record.usage.get(Counter::CachedInput)),
        (Some(29), Some(5), Some(20))
    );
    assert_eq!(record.usage_status, UsageStatus::Complete);

    let events = named_sse(COHERE_EVENTS);
    let outcome = gateway().post(OWN, self::body(true)).answered_by(Answer::sse(&events)).send();
    assert_eq!(outcome.text(), events);
    assert_eq!((outcome.record.usage.input(), outcome.record.usage.output()), (Some(29), Some(5)));
    assert_eq!(outcome.record.usage_status, UsageStatus::Complete);
}

#[test]
fn what_another_model_said_before_goes_to_cohere_as_it_takes_it() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let said =
        json!({"role": "assistant", "content": [{"type": "text", "text": "I look."}], "tool_calls": [call]});
    let result = json!({"role": "tool", "tool_call_id": "c", "content": "rain"});
    let body =
        json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}, said, result]}).to_string();
    let outcome = gateway().post(OWN, body).answered_by(Answer::json(200, ANSWER)).send();
    let planned = json!({"role": "assistant", "tool_plan": "I look.", "tool_calls": [call]});
    assert_eq!(outcome.sent[0].json()["messages"][1], planned);
    assert_eq!(
        outcome.record.losses,
        [
            "messages[1].content[0]: Cohere takes no text beside calls of tools: it is sent as the plan to call them"
        ]
    );
}

#[test]
fn coheres_clients_reach_every_other_api() {
    for (schema, answer, text, usage) in [
        (OpenAI, Answer::sse(&chat_sse(CHAT_CHUNKS)), "Hello", None),
        (Anthropic, Answer::sse(&named_sse(MESSAGE_EVENTS)), "Grüß Gott", None),
        (GCPVertexAI, Answer::sse(&plain_sse(GEMINI_EVENTS)), "Grüß Gott", Some((9, 7))),
        (AWSBedrock, Answer::named_frames(CONVERSE_EVENTS), "Grüß Gott", None),
    ] {
        let gateway = Gateway::new().backend("b", schema).model("gemini-2.5-pro");
        let outcome = gateway.post(OWN, body(true)).answered_by(answer).send();
        assert_eq!(outcome.headers.media_type(), "text/event-stream");
        assert!(outcome.text().ends_with("data: [DONE]\n\n"), "{}", outcome.text());
        let (said, end) = told(&outcome);
        assert_eq!((said.is_empty(), &end["type"]), (false, &json!("message-end")), "{schema:?} {text}");
        let tokens = &end["delta"]["usage"]["tokens"];
        let record = &outcome.record;
        assert_eq!(tokens["input_tokens"].as_u64(), record.usage.input());
        assert_eq!(tokens["output_tokens"].as_u64(), record.usage.output());
        assert!(
            usage
                .is_none_or(|usage| usage == (record.usage.input().unwrap(), record.usage.output().unwrap()))
        );
        assert_eq!(record.usage_status, UsageStatus::Complete);
    }
}

#[test]
fn a_stream_that_breaks_ends_as_coheres_own_do() {
    let cut = named_sse(&COHERE_EVENTS[..4]);
    let outcome = gateway().post(OWN, body(true)).answered_by(Answer::sse(&cut)).send();
    let (said, end) = told(&outcome);
    assert_eq!((said.as_str(), &end["delta"]["finish_reason"]), ("Grüß Gott", &json!("ERROR")));
    assert!(end["delta"]["error"].as_str().unwrap().contains("ended before"), "{end}");
    assert_eq!(outcome.record.usage_status, UsageStatus::Partial);

    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let events = [&MESSAGE_EVENTS[..4], &[overloaded]].concat();
    let gateway = Gateway::new().backend("claude", Anthropic);
    let outcome = gateway.post(OWN, body(true)).answered_by(Answer::sse(&named_sse(&events))).send();
    assert_eq!(told(&outcome).1["delta"], json!({"finish_reason": "ERROR", "error": "Overloaded"}));
}

#[test]
fn errors_are_told_to_coheres_clients_in_its_words() {
    let refused = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#;
    let gateway = Gateway::new().backend("claude", Anthropic);
    for stream in [false, true] {
        let outcome = gateway.post(OWN, body(stream)).answered_by(Answer::json(429, refused)).send();
        assert_eq!((outcome.status, outcome.json()), (429, json!({"message": "slow down"})));
    }
    let own = r#"{"id":"e-1","message":"invalid api token"}"#;
    let outcome = self::gateway().post(OWN, body(false)).answered_by(Answer::json(401, own)).send();
    assert_eq!((outcome.status, outcome.text()), (401, own));
    let outcome = gateway.get(OWN).send();
    assert_eq!((outcome.status, outcome.json()["message"].is_string()), (405, true));
}
