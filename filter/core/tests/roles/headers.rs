//! Which headers reach which backend. What holds for every request is checked by the host itself.

use weir_core::config::SchemaName::{AWSAnthropic, Anthropic, OpenAI};

use crate::answer::{Answer, COMPLETION, MESSAGE};
use crate::gateway::Gateway;

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#;

#[test]
fn failover_across_providers_begins_anew_each_time() {
    let gateway = Gateway::new()
        .backend("bedrock", AWSAnthropic)
        .target(|target| {
            target.headers.set =
                vec![("X-Team".to_owned(), "blue".to_owned()), ("x-only".to_owned(), "1".to_owned())];
            target.headers.remove = vec!["User-Agent".to_owned()];
        })
        .backend("gpt", OpenAI)
        .model("qwen3-8b")
        .backend("claude", Anthropic);
    let outcome = gateway
        .post(CHAT, BODY)
        .header("x-team", "red")
        .header("user-agent", "sdk/1")
        .header("accept-encoding", "gzip")
        .header("accept", "application/json")
        .answered_by(Answer::json(503, r#"{"message":"busy"}"#))
        .answered_by(Answer::json(429, r#"{"error":{"message":"slow down"}}"#))
        .answered_by(Answer::json(200, MESSAGE))
        .send();
    let [bedrock, gpt, claude] = outcome.sent.as_slice() else { panic!("{outcome:?}") };

    assert_eq!(bedrock.path(), "/model/m/invoke");
    assert_eq!(bedrock.headers.get("x-team"), Some("blue"));
    assert_eq!(bedrock.headers.get("user-agent"), None);
    assert!(bedrock.headers.get("x-amz-security-token").is_some());

    assert_eq!(
        (gpt.path(), gpt.text()),
        (CHAT, r#"{"model":"qwen3-8b","messages":[{"role":"user","content":"Hi"}]}"#)
    );
    assert_eq!(gpt.headers.get("authorization"), Some("Bearer key-of-gpt."));
    for (name, value) in [
        ("x-team", Some("red")),
        ("x-only", None),
        ("user-agent", Some("sdk/1")),
        ("accept", Some("application/json")),
        ("accept-encoding", Some("gzip")),
        ("x-amz-date", None),
        ("x-amz-security-token", None),
    ] {
        assert_eq!(gpt.headers.get(name), value, "{name}");
    }

    assert_eq!(claude.path(), "/v1/messages");
    assert_eq!(claude.headers.get("x-api-key"), Some("key-of-claude."));
    assert_eq!(claude.headers.get("authorization"), None);
    assert_eq!(claude.headers.get("accept-encoding"), None);
    assert_eq!((outcome.status, outcome.record.attempts), (200, 3));
    assert_eq!(outcome.record.backend, "default/claude");
}

#[test]
fn a_header_with_several_values_keeps_them_for_the_next_backend() {
    let gateway = Gateway::new().backend("bedrock", AWSAnthropic).backend("claude", Anthropic);
    let outcome = gateway
        .post("/anthropic/v1/messages", r#"{"model":"m"}"#)
        .header("anthropic-beta", "a-1")
        .another("anthropic-beta", "b-2")
        .answered_by(Answer::headers_only(500))
        .answered_by(Answer::json(200, MESSAGE))
        .send();
    assert_eq!(outcome.sent[0].headers.get("anthropic-beta"), None);
    assert_eq!(outcome.sent[1].headers.get("anthropic-beta"), Some("a-1, b-2"));
}

#[test]
fn a_client_that_sends_a_credential_twice_gives_neither_away() {
    let gateway = Gateway::new().backend("gpt", OpenAI);
    let outcome = gateway
        .post(CHAT, BODY)
        .another("authorization", "Bearer clients-own-credential-2")
        .another("x-ai-eg-model", "forged-2")
        .answered_by(Answer::json(200, COMPLETION))
        .send();
    let all: Vec<&str> = outcome.sent[0].headers.all("authorization").collect();
    assert_eq!(all, ["Bearer key-of-gpt."]);
}

#[test]
fn a_client_cannot_have_a_request_tried_more_often() {
    let gateway = Gateway::new().backend("gpt", OpenAI);
    let outcome = gateway
        .post(CHAT, BODY)
        .header("x-envoy-max-retries", "99")
        .header("x-envoy-hedge-on-per-try-timeout", "true")
        .header("x-envoy-external-address", "192.0.2.1")
        .answered_by(Answer::json(200, COMPLETION))
        .send();
    let sent = &outcome.sent[0].headers;
    assert_eq!(sent.get("x-envoy-max-retries"), None);
    assert_eq!(sent.get("x-envoy-hedge-on-per-try-timeout"), None);
    assert_eq!(sent.get("x-envoy-external-address"), Some("192.0.2.1"));
}

#[test]
fn a_backend_without_a_policy_gets_no_credential_at_all() {
    let mut gateway = Gateway::new().backend("local", OpenAI);
    gateway.backend_mut("local").auth = None;
    let outcome = gateway.post(CHAT, BODY).answered_by(Answer::json(200, COMPLETION)).send();
    for name in ["authorization", "x-api-key", "api-key"] {
        assert_eq!(outcome.sent[0].headers.get(name), None);
    }
}

#[test]
fn a_client_neither_shows_a_key_nor_steers_the_account() {
    let mut gateway = Gateway::new().backend("gpt", OpenAI);
    for has_policy in [true, false] {
        if !has_policy {
            gateway.backend_mut("gpt").auth = None;
        }
        let names = [
            "openai-organization",
            "openai-project",
            "x-goog-user-project",
            "ocp-apim-subscription-key",
            "x-auth-token",
            "x-litellm-api-key",
        ];
        let call = gateway.post(&format!("{CHAT}?api-key=clients-own-credential&a=b"), BODY);
        let call = names.iter().fold(call, |call, name| call.header(name, "clients-own-credential"));
        let outcome = call.answered_by(Answer::json(200, COMPLETION)).send();
        for name in names {
            assert_eq!(outcome.sent[0].headers.get(name), None, "{name}");
        }
        assert_eq!(outcome.sent[0].path(), "/v1/chat/completions?a=b");
    }
    // The operator may set what a client may not.
    let gateway = Gateway::new()
        .backend("gpt", OpenAI)
        .target(|target| target.headers.set = vec![("OpenAI-Project".to_owned(), "proj_1".to_owned())]);
    let call = gateway.post(CHAT, BODY).header("openai-project", "proj_2");
    let outcome = call.answered_by(Answer::json(200, COMPLETION)).send();
    assert_eq!(outcome.sent[0].headers.all("openai-project").collect::<Vec<_>>(), ["proj_1"]);
}

#[test]
fn a_mutation_cannot_lend_the_credential_of_the_gateway_to_the_next_backend() {
    let gateway = Gateway::new()
        .backend("first", OpenAI)
        .target(|target| target.headers.set = vec![("x-extra-key".to_owned(), "key-of-first.".to_owned())])
        .backend("second", OpenAI);
    let outcome = gateway
        .post(CHAT, BODY)
        .answered_by(Answer::headers_only(502))
        .answered_by(Answer::json(200, COMPLETION))
        .send();
    assert_eq!(outcome.sent[0].headers.get("x-extra-key"), Some("key-of-first."));
    assert_eq!(outcome.sent[1].headers.get("x-extra-key"), None);
}

#[test]
fn a_body_that_came_in_chunks_has_a_length_only_if_it_is_ours() {
    let gateway = Gateway::new().backend("bedrock", AWSAnthropic).backend("gpt", OpenAI);
    let outcome = gateway
        .post(CHAT, BODY)
        .without("content-length")
        .without("content-type")
        .answered_by(Answer::headers_only(500))
        .answered_by(Answer::json(200, COMPLETION))
        .send();
    assert!(outcome.sent[0].headers.get("content-length").is_some());
    assert_eq!(outcome.sent[1].headers.get("content-length"), None);
    assert_eq!(outcome.sent[1].headers.get("content-type"), Some("application/json"));
}
