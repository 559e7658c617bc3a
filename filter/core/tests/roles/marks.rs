//! Marks for prompt caches that the gateway sets where a backend is configured to have them.

use serde_json::{Value, json};
use weir_core::config::SchemaName::{self, AWSAnthropic, AWSBedrock, Anthropic, GCPVertexAI, OpenAI};

use crate::answer::Answer;
use crate::gateway::Gateway;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/anthropic/v1/messages";

/// What a backend with the annotation is sent.
fn sent(schema: SchemaName, model: &str, path: &str, body: &Value) -> (String, Vec<String>) {
    let mut gateway = Gateway::new().backend("b", schema).model(model);
    gateway.backend_mut("b").cache_marks = true;
    let outcome = gateway.post(path, body.to_string()).answered_by(Answer::headers_only(500)).send();
    (outcome.sent[0].text().to_owned(), outcome.record.losses.clone())
}

fn asked() -> Value {
    json!({
        "model": "m",
        "max_tokens": 10,
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}, {"role": "user", "content": "Hu"}],
    })
}

#[test]
fn each_way_to_a_model_that_wants_marks_has_them() {
    for (schema, model, path, mark) in [
        (Anthropic, "claude-sonnet-4-5", CHAT, "cache_control"),
        (Anthropic, "claude-sonnet-4-5", MESSAGES, "cache_control"),
        (AWSAnthropic, "anthropic.claude-sonnet-4-5-20250929-v1:0", CHAT, "cache_control"),
        (AWSAnthropic, "anthropic.claude-sonnet-4-5-20250929-v1:0", MESSAGES, "cache_control"),
        (AWSBedrock, "anthropic.claude-sonnet-4-5-20250929-v1:0", MESSAGES, "cachePoint"),
        (AWSBedrock, "amazon.nova-pro-v1:0", CHAT, "cachePoint"),
        (OpenAI, "anthropic/claude-sonnet-4.5", MESSAGES, "cache_control"),
    ] {
        let (body, losses) = sent(schema, model, path, &asked());
        assert_eq!(body.matches(mark).count(), 1, "{schema:?} {path}: {body}");
        assert!(body.rfind(mark) > body.find("Ho"), "the last turn: {body}");
        assert_eq!(losses, Vec::<String>::new(), "{schema:?} {path}");
    }
}

#[test]
fn others_have_none_and_lose_nothing() {
    for (schema, model, path) in [
        (OpenAI, "gpt-5.1", MESSAGES),
        (OpenAI, "gpt-5.1", CHAT),
        (GCPVertexAI, "gemini-2.5-pro", CHAT),
        (AWSBedrock, "us.meta.llama4-scout-17b-instruct-v1:0", CHAT),
        (AWSBedrock, "us.amazon.nova-2-lite-v1:0", CHAT),
    ] {
        let (body, losses) = sent(schema, model, path, &asked());
        assert!(!body.contains("cache_control") && !body.contains("cachePoint"), "{schema:?}: {body}");
        assert!(losses.iter().all(|loss| !loss.contains("cache")), "{schema:?}: {losses:?}");
    }
}

#[test]
fn a_client_that_marks_has_the_say() {
    let mut body = asked();
    body["messages"][0]["content"] =
        json!([{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]);
    for path in [MESSAGES, CHAT] {
        let (body, _) = sent(Anthropic, "m", path, &body);
        assert_eq!(body.matches("cache_control").count(), 1, "{path}: {body}");
        assert!(body.find("cache_control") < body.find("Ho"), "{path}: {body}");
    }
}

#[test]
fn a_body_is_changed_once_whatever_else_is_done_to_it() {
    let mut gateway = Gateway::new().backend("b", Anthropic).model("claude-3-7-sonnet");
    gateway.backend_mut("b").cache_marks = true;
    let body = r#"{"model":"m", "max_tokens":1,"messages":[{"role":"user","content":"Hi"}] ,"x":1.0}"#;
    let outcome = gateway.post(MESSAGES, body).answered_by(Answer::headers_only(500)).send();
    assert_eq!(
        outcome.sent[0].text(),
        r#"{"model":"claude-3-7-sonnet", "max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":"Hi","cache_control":{"type":"ephemeral"}}]}] ,"x":1.0}"#
    );
}
