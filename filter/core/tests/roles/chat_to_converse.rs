//! OpenAI's chat to Bedrock's Converse.

use serde_json::{Value, json};
use weir_core::config::SchemaName::AWSBedrock;
use weir_core::usage::record::UsageStatus;

use crate::answer::{Answer, CONVERSE_EVENTS, CONVERSED, exception};
use crate::gateway::Gateway;
use crate::outcome::Outcome;

const CHAT: &str = "/v1/chat/completions";
const HI: &str = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#;
const STREAM: &str = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hi"}]}"#;

fn gateway() -> Gateway {
    Gateway::new().backend("nova", AWSBedrock).model("us.amazon.nova-lite-v1:0")
}

fn chunks(outcome: &Outcome) -> Vec<Value> {
    let events = outcome.events();
    events.iter().filter_map(|event| serde_json::from_str(event).ok()).collect()
}

#[test]
fn a_whole_answer_is_a_completion() {
    let answer = Answer::json(200, CONVERSED).header("x-amzn-requestid", "r-77");
    let outcome = gateway().post(CHAT, HI).header("anthropic-version", "x").answered_by(answer).send();
    let sent = &outcome.sent[0];
    assert_eq!(sent.path(), "/model/us.amazon.nova-lite-v1:0/converse");
    assert_eq!(
        sent.json(),
        json!({"messages": [{"role": "user", "content": [{"text": "Hi"}]}], "inferenceConfig": {}})
    );
    assert!(sent.headers.get("authorization").unwrap().contains("/eu-central-1/bedrock/aws4_request"));
    assert_eq!(sent.headers.get("anthropic-version"), None);
    let answer = outcome.json();
    assert_eq!(answer["id"], "r-77");
    assert_eq!(answer["model"], "us.amazon.nova-lite-v1:0");
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello");
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["prompt_tokens"], 25);
    assert_eq!((outcome.record.usage.input(), outcome.record.usage.output()), (Some(25), Some(1)));
}

#[test]
fn a_model_is_one_segment_of_the_path() {
    let arn = "arn:aws:bedrock:us-east-1:1:inference-profile/x";
    let gateway = Gateway::new().backend("b", AWSBedrock).model(arn);
    let outcome = gateway.post(CHAT, STREAM).answered_by(Answer::named_frames(CONVERSE_EVENTS)).send();
    let path = "/model/arn:aws:bedrock:us-east-1:1:inference-profile%2Fx/converse-stream";
    assert_eq!((outcome.status, outcome.sent[0].path()), (200, path));
}

#[test]
fn a_stream_is_a_stream_of_chunks() {
    let outcome = gateway().post(CHAT, STREAM).answered_by(Answer::named_frames(CONVERSE_EVENTS)).send();
    assert_eq!(outcome.headers.media_type(), "text/event-stream");
    let chunks = chunks(&outcome);
    let text = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
    assert_eq!(text.collect::<String>(), "Grüß Gott");
    assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], 34);
    assert_eq!(outcome.events().last().map(String::as_str), Some("[DONE]"));
    assert_eq!((outcome.record.usage.input(), outcome.record.usage.output()), (Some(29), Some(5)));
}

/// "a stream may end without a metadata frame": usage is not known then, and the client's stream ends properly.
#[test]
fn a_stream_may_end_without_its_usage() {
    let events = &CONVERSE_EVENTS[..5];
    let outcome = gateway().post(CHAT, STREAM).answered_by(Answer::named_frames(events)).send();
    assert_eq!(outcome.events().last().map(String::as_str), Some("[DONE]"));
    assert_eq!(outcome.record.usage_status, UsageStatus::Estimated);
}

#[test]
fn a_stream_that_is_cut_ends_with_an_error() {
    for count in 1..5 {
        let events = &CONVERSE_EVENTS[..count];
        let outcome = gateway().post(CHAT, STREAM).answered_by(Answer::named_frames(events)).send();
        let told = if count == 1 { outcome.json() } else { chunks(&outcome).pop().unwrap() };
        assert!(told["error"]["message"].as_str().unwrap().contains("ended before"), "{told}");
    }
}

#[test]
fn an_exception_is_the_clients_error() {
    for (name, status, kind) in [
        ("throttlingException", 429, "throttlingException"),
        ("validationException", 400, "validationException"),
        ("modelStreamErrorException", 424, "modelStreamErrorException"),
        ("serviceUnavailableException", 503, "serviceUnavailableException"),
        ("internalServerException", 500, "internalServerException"),
    ] {
        let frame = exception(name, r#"{"message":"slow down"}"#);
        // Before anything was said, it is the answer's status.
        let first = Answer::named_frames(&CONVERSE_EVENTS[..1]).then(&frame);
        let outcome = gateway().post(CHAT, STREAM).answered_by(first).send();
        assert_eq!(outcome.status, status, "{name}");
        assert_eq!(outcome.json()["error"]["type"], kind);
        let later = Answer::named_frames(&CONVERSE_EVENTS[..3]).then(&frame);
        let outcome = gateway().post(CHAT, STREAM).answered_by(later).send();
        let last = chunks(&outcome).pop().unwrap();
        assert_eq!((outcome.status, &last["error"]["message"]), (200, &json!("slow down")), "{name}");
        assert_eq!(last["error"]["code"], status.to_string());
    }
}

#[test]
fn an_error_keeps_its_status_and_type() {
    for (status, kind) in
        [(429, "ThrottlingException"), (400, "ValidationException"), (424, "ModelErrorException")]
    {
        let header = format!("{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/");
        let answer = Answer::json(status, r#"{"message":"no"}"#).header("x-amzn-errortype", &header);
        let outcome = gateway().post(CHAT, HI).answered_by(answer).send();
        assert_eq!(outcome.status, status);
        let error = outcome.json();
        assert_eq!((&error["error"]["type"], &error["error"]["message"]), (&json!(kind), &json!("no")));
    }
}

#[test]
fn what_converse_cannot_do_is_on_the_record() {
    let body = r#"{"model":"m","seed":1,"messages":[{"role":"user","content":"Hi"}]}"#;
    let outcome = gateway().post(CHAT, body).answered_by(Answer::json(200, CONVERSED)).send();
    assert_eq!(outcome.record.losses, ["seed: not supported by Bedrock"]);
}

#[test]
fn a_conversation_is_counted() {
    for (model, path) in [
        ("us.amazon.nova-lite-v1:0", "/model/amazon.nova-lite-v1:0/count-tokens"),
        (
            "anthropic.claude-3-haiku-20240307-v1:0",
            "/model/anthropic.claude-3-haiku-20240307-v1:0/count-tokens",
        ),
    ] {
        let gateway = Gateway::new().backend("b", AWSBedrock).model(model);
        let body = r#"{"model":"m","messages":[{"role":"system","content":"S"},{"role":"user","content":"Hi"}],"temperature":0.5}"#;
        let outcome =
            gateway.post("/tokenize", body).answered_by(Answer::json(200, r#"{"inputTokens":7}"#)).send();
        assert_eq!(outcome.sent[0].path(), path);
        let asked =
            json!({"messages": [{"role": "user", "content": [{"text": "Hi"}]}], "system": [{"text": "S"}]});
        assert_eq!(outcome.sent[0].json(), json!({"input": {"converse": asked}}));
        assert_eq!((outcome.status, &outcome.json()["count"]), (200, &json!(7)));
        assert_eq!(outcome.record.usage.input(), Some(7));
    }
    let gateway = Gateway::new().backend("b", weir_core::config::SchemaName::Anthropic);
    let outcome = gateway
        .post("/tokenize", r#"{"model":"m","prompt":"x"}"#)
        .answered_by(Answer::json(200, "{}"))
        .send();
    assert_eq!((outcome.status, outcome.sent.len()), (422, 0), "it has no counter");
}
