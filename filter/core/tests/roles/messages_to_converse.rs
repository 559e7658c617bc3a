//! Anthropic's messages to Bedrock's Converse.

use serde_json::{Value, json};
use weir_core::config::SchemaName::AWSBedrock;

use crate::answer::{Answer, CONVERSE_EVENTS, CONVERSED, exception};
use crate::gateway::Gateway;

const PATHS: [&str; 2] = ["/anthropic/v1/messages", "/v1/messages"];
const HI: &str = r#"{"model":"m","max_tokens":50,"messages":[{"role":"user","content":"Hi"}]}"#;
const STREAM: &str =
    r#"{"model":"m","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;

fn claude() -> Gateway {
    Gateway::new().backend("claude", AWSBedrock).model("us.anthropic.claude-sonnet-4-5-20250929-v1:0")
}

fn nova() -> Gateway {
    Gateway::new().backend("nova", AWSBedrock).model("us.amazon.nova-lite-v1:0")
}

/// The data of each event of a stream.
fn told(events: Vec<String>) -> Vec<Value> {
    events.iter().map(|event| serde_json::from_str(event).unwrap()).collect()
}

#[test]
fn a_whole_answer_is_a_message() {
    let gateway = nova();
    for path in PATHS {
        let answer = Answer::json(200, CONVERSED).header("x-amzn-requestid", "r-77");
        let outcome = gateway.post(path, HI).header("anthropic-version", "x").answered_by(answer).send();
        let sent = &outcome.sent[0];
        assert_eq!(sent.path(), "/model/us.amazon.nova-lite-v1:0/converse");
        let asked = json!({"messages": [{"role": "user", "content": [{"text": "Hi"}]}],
            "inferenceConfig": {"maxTokens": 50}});
        assert_eq!(sent.json(), asked);
        assert_eq!(sent.headers.get("anthropic-version"), None);
        let message = outcome.json();
        assert_eq!((&message["type"], &message["id"]), (&json!("message"), &json!("r-77")));
        assert_eq!(message["content"], json!([{"type": "text", "text": "Hello"}]));
        assert_eq!(message["stop_reason"], "max_tokens");
        let usage = &message["usage"];
        assert_eq!((&usage["input_tokens"], &usage["cache_read_input_tokens"]), (&json!(5), &json!(20)));
        assert_eq!((outcome.record.usage.input(), outcome.record.usage.output()), (Some(25), Some(1)));
    }
}

#[test]
fn a_stream_is_a_stream_of_events() {
    let gateway = nova();
    for path in PATHS {
        let outcome = gateway.post(path, STREAM).answered_by(Answer::named_frames(CONVERSE_EVENTS)).send();
        assert_eq!(outcome.sent[0].path(), "/model/us.amazon.nova-lite-v1:0/converse-stream");
        let events = told(outcome.events());
        let text = events.iter().filter_map(|event| event["delta"]["text"].as_str());
        assert_eq!(text.collect::<String>(), "Grüß Gott");
        let [.., stop, end] = &events[..] else { panic!("{events:?}") };
        // What Converse tells behind its last word.
        assert_eq!((&stop["type"], &stop["usage"]["output_tokens"]), (&json!("message_delta"), &json!(5)));
        assert_eq!(end["type"], "message_stop");
        assert_eq!((outcome.record.usage.input(), outcome.record.usage.output()), (Some(29), Some(5)));
    }
}

#[test]
fn the_betas_of_the_header_are_claudes_fields() {
    let betas = "context-1m-2025-08-07, files-api-2025-04-14";
    let ask = |gateway: Gateway| {
        let call = gateway.post(PATHS[0], HI).header("anthropic-beta", betas);
        let outcome = call.answered_by(Answer::json(200, CONVERSED)).send();
        assert_eq!(outcome.sent[0].headers.get("anthropic-beta"), None);
        (outcome.sent[0].json()["additionalModelRequestFields"].clone(), outcome.record.losses)
    };
    let (fields, losses) = ask(claude());
    assert_eq!(fields, json!({"anthropic_beta": ["context-1m-2025-08-07"]}));
    assert_eq!(losses, ["anthropic-beta.files-api-2025-04-14: not known to AWS Bedrock"]);
    let (fields, losses) = ask(nova());
    assert_eq!((fields, losses.len()), (Value::Null, 2));
    assert_eq!(losses[0], "anthropic-beta.context-1m-2025-08-07: only Claude has features by this name");
}

#[test]
fn what_claude_alone_knows_is_among_its_fields() {
    let body = r#"{"model":"m","max_tokens":50,"messages":[{"role":"user","content":"Hi"}],
        "context_management":{"edits":[{}]},"container":"c","new":"c","speed":"fast","anthropic_beta":["pdfs-2024-09-25"],
        "output_config":{"new":1},"additionalModelRequestFields":{"new":"d"},"metadata":{"new":1}}"#;
    let betas = "pdfs-2024-09-25,context-1m-2025-08-07";
    let gateway = claude();
    let call = gateway.post(PATHS[0], body).header("anthropic-beta", betas);
    let outcome = call.answered_by(Answer::json(200, CONVERSED)).send();
    let sent = outcome.sent[0].json();
    let fields = json!({"anthropic_beta": ["pdfs-2024-09-25", "context-1m-2025-08-07"], "new": "d",
        "context_management": {"edits": [{}]}, "output_config": {"new": 1}});
    assert_eq!(sent["additionalModelRequestFields"], fields);
    let mut lost: Vec<_> = outcome.record.losses.iter().filter_map(|loss| loss.split(':').next()).collect();
    lost.sort_unstable();
    assert_eq!(lost, ["container", "metadata.new", "new", "speed"]);
}

#[test]
fn an_error_is_one_of_anthropics() {
    let gateway = nova();
    let header = "ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/";
    let answer = Answer::json(429, r#"{"message":"slow down"}"#).header("x-amzn-errortype", header);
    let outcome = gateway.post(PATHS[0], HI).answered_by(answer).send();
    let error = json!({"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}});
    assert_eq!((outcome.status, outcome.json()), (429, error.clone()));

    let frame = exception("throttlingException", r#"{"message":"slow down"}"#);
    let answer = Answer::named_frames(&CONVERSE_EVENTS[..3]).then(&frame);
    let outcome = gateway.post(PATHS[0], STREAM).answered_by(answer).send();
    assert_eq!((outcome.status, told(outcome.events()).pop().unwrap()), (200, error));

    let long = r#"{"message":"Input is too long for requested model."}"#;
    let outcome = gateway.post(PATHS[0], HI).answered_by(Answer::json(400, long)).send();
    let message = outcome.json()["error"]["message"].take();
    assert_eq!(message, "prompt is too long: Input is too long for requested model.");
}

#[test]
fn a_conversation_is_counted() {
    let gateway = nova();
    let body = r#"{"model":"m","system":"S","messages":[{"role":"user","content":"Hi"}],
        "tools":[{"name":"f","input_schema":{"type":"object"}}]}"#;
    for path in PATHS {
        let path = format!("{path}/count_tokens");
        let answer = Answer::json(200, r#"{"inputTokens":7}"#);
        let outcome = gateway.post(&path, body).answered_by(answer).send();
        assert_eq!(outcome.sent[0].path(), "/model/amazon.nova-lite-v1:0/count-tokens");
        let asked = json!({
            "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
            "system": [{"text": "S"}],
            "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]},
        });
        assert_eq!(outcome.sent[0].json(), json!({"input": {"converse": asked}}));
        assert_eq!((outcome.status, outcome.text()), (200, r#"{"input_tokens":7}"#));
        assert_eq!(outcome.record.usage.input(), Some(7));
    }
    let call = gateway.post("/v1/messages/count_tokens", body);
    let outcome = call.answered_by(Answer::json(400, r#"{"message":"no counts for this model"}"#)).send();
    assert_eq!(outcome.json()["error"]["type"], "invalid_request_error");
}
