//! Clients that speak Anthropic's API, at Anthropic and at Bedrock.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use weir_core::config::Betas;
use weir_core::config::SchemaName::{AWSAnthropic, Anthropic, Cohere, GCPAnthropic, GCPVertexAI, OpenAI};
use weir_core::usage::Counter;

use crate::answer::{Answer, MESSAGE, MESSAGE_EVENTS, named_sse};
use crate::gateway::Gateway;

const MESSAGES: &str = "/anthropic/v1/messages";

#[test]
fn at_anthropic_everything_passes() {
    let gateway = Gateway::new().backend("claude", Anthropic).model("claude-x");
    let outcome = gateway
        .post(MESSAGES, r#"{"max_tokens":5,"model":"alias","stream":false}"#)
        .header("anthropic-beta", "files-api-2025-04-14")
        .answered_by(Answer::json(200, MESSAGE))
        .send();
    let sent = &outcome.sent[0];
    assert_eq!(
        (sent.path(), sent.text()),
        ("/v1/messages", r#"{"max_tokens":5,"model":"claude-x","stream":false}"#)
    );
    assert_eq!(sent.headers.get("anthropic-version"), Some("2023-06-01"));
    assert_eq!(sent.headers.get("anthropic-beta"), Some("files-api-2025-04-14"));
    assert_eq!(outcome.text(), MESSAGE);
    assert_eq!((outcome.record.usage.input(), outcome.record.usage.output()), (Some(25), Some(1)));

    let stream = named_sse(MESSAGE_EVENTS);
    let outcome = gateway
        .post(MESSAGES, r#"{"model":"claude-x","stream":true}"#)
        .header("anthropic-version", "2099-01-01")
        .answered_by(Answer::sse(&stream))
        .send();
    assert_eq!(outcome.sent[0].headers.get("anthropic-version"), Some("2099-01-01"));
    assert_eq!(outcome.text(), stream);
    assert_eq!((outcome.record.usage.input(), outcome.record.usage.output()), (Some(29), Some(5)));

    let counted = r#"{"input_tokens":17}"#;
    let outcome = gateway
        .post("/anthropic/v1/messages/count_tokens", r#"{"model":"claude-x","messages":[]}"#)
        .answered_by(Answer::json(200, counted))
        .send();
    assert_eq!((outcome.sent[0].path(), outcome.text()), ("/v1/messages/count_tokens", counted));
}

#[test]
fn at_bedrock_model_and_stream_are_in_the_path_and_the_rest_stays() {
    let gateway = Gateway::new().backend("bedrock", AWSAnthropic).model("arn:aws:bedrock:x/y");
    let outcome = gateway
        .post(MESSAGES, r#"{"model":"m", "max_tokens":50,"messages":[{"role":"user","content":"é"}]}"#)
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "context-1m-2025-08-07, files-api-2025-04-14")
        .another("anthropic-beta", "advanced-tool-use-2025-11-20")
        .header("accept", "text/event-stream")
        .answered_by(Answer::json(200, MESSAGE))
        .send();
    let sent = &outcome.sent[0];
    assert_eq!(sent.path(), "/model/arn:aws:bedrock:x%2Fy/invoke");
    assert_eq!(
        sent.json(),
        json!({
            "max_tokens": 50,
            "messages": [{"role": "user", "content": "é"}],
            "anthropic_version": "bedrock-2023-05-31",
            "anthropic_beta": ["context-1m-2025-08-07", "tool-search-tool-2025-10-19"],
        })
    );
    assert_eq!(sent.headers.get("anthropic-version"), None);
    assert_eq!(sent.headers.get("anthropic-beta"), None);
    assert_eq!(sent.headers.get("accept"), Some("application/json"));
    assert_eq!(outcome.text(), MESSAGE);
    assert_eq!(
        (outcome.record.usage.input(), outcome.record.usage.get(Counter::CachedInput)),
        (Some(25), Some(20))
    );
    assert_eq!(outcome.record.losses, ["anthropic-beta.files-api-2025-04-14: not known to AWS Bedrock"]);
}

#[test]
fn beta_features_of_body_and_header_are_one_list_at_bedrock() {
    let gateway = Gateway::new().backend("bedrock", AWSAnthropic);
    let ask = |own: &str| {
        let body = format!(r#"{{"model":"m","anthropic_beta":{own},"max_tokens":5,"messages":[]}}"#);
        let post =
            gateway.post(MESSAGES, &body).header("anthropic-beta", "context-1m-2025-08-07,pdfs-2024-09-25");
        post.answered_by(Answer::json(200, MESSAGE)).send()
    };
    for (own, all) in [
        (
            r#"["new-2027-01-01","pdfs-2024-09-25"]"#,
            json!(["new-2027-01-01", "pdfs-2024-09-25", "context-1m-2025-08-07"]),
        ),
        ("[]", json!(["context-1m-2025-08-07", "pdfs-2024-09-25"])),
        ("null", json!(["context-1m-2025-08-07", "pdfs-2024-09-25"])),
    ] {
        assert_eq!(ask(own).sent[0].json()["anthropic_beta"], all);
    }
    let refused = ask("3");
    assert_eq!((refused.status, refused.sent.len()), (400, 0));
    assert!(refused.error().contains("anthropic_beta"));
}

#[test]
fn a_backend_is_asked_for_those_beta_features_alone_that_it_may_be() {
    let only = |features: &[&str]| Betas::Only(features.iter().map(|name| (*name).to_owned()).collect());
    let except = |features: &[&str]| Betas::Except(features.iter().map(|name| (*name).to_owned()).collect());
    let (one, other) = ("context-1m-2025-08-07", "mcp-client-2025-04-04");
    for (betas, kept) in [
        (only(&[one]), vec![one]),
        (except(&[one]), vec![other]),
        (only(&["else"]), vec![]),
        (except(&["else"]), vec![one, other]),
    ] {
        for (schema, path) in [
            (AWSAnthropic, MESSAGES),
            (AWSAnthropic, "/v1/chat/completions"),
            (GCPAnthropic, MESSAGES),
            (GCPAnthropic, "/v1/chat/completions"),
        ] {
            let mut gateway = Gateway::new().backend("claude", schema);
            gateway.backend_mut("claude").betas = Some(betas.clone());
            let body = r#"{"model":"claude","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}"#;
            let outcome = gateway
                .post(path, body)
                .header("anthropic-beta", &format!("{one}, {other}"))
                .answered_by(Answer::json(200, MESSAGE))
                .send();
            let sent = &outcome.sent[0];
            let asked = if schema == AWSAnthropic {
                sent.json()["anthropic_beta"].as_array().cloned().unwrap_or_default()
            } else {
                let header = sent.headers.get("anthropic-beta").unwrap_or_default();
                header.split(',').filter(|name| !name.is_empty()).map(|name| json!(name.trim())).collect()
            };
            assert_eq!(asked, kept, "{betas:?} {schema:?} {path}");
            assert_eq!(outcome.record.losses.len(), 2 - kept.len(), "{:?}", outcome.record.losses);
        }
    }
}

#[test]
fn strict_refuses_a_beta_feature_that_bedrock_does_not_know() {
    let mut gateway = Gateway::new().backend("bedrock", AWSAnthropic);
    gateway.route.strict = true;
    let outcome = gateway
        .post(MESSAGES, r#"{"model":"claude","max_tokens":5,"messages":[]}"#)
        .header("anthropic-beta", "files-api-2025-04-14")
        .answered_by(Answer::json(200, MESSAGE))
        .send();
    assert_eq!((outcome.status, outcome.sent.len()), (400, 0));
    assert!(outcome.error().contains("files-api-2025-04-14"), "{}", outcome.error());
}

#[test]
fn frames_become_the_events_that_anthropic_would_send() {
    let gateway = Gateway::new().backend("bedrock", AWSAnthropic);
    let outcome = gateway
        .post(MESSAGES, r#"{"model":"claude","stream":true,"messages":[]}"#)
        .answered_by(Answer::frames(MESSAGE_EVENTS))
        .send();
    let sent = &outcome.sent[0];
    assert_eq!(sent.path(), "/model/claude/invoke-with-response-stream");
    assert_eq!(sent.json(), json!({"messages": [], "anthropic_version": "bedrock-2023-05-31"}));
    assert_eq!(outcome.text(), named_sse(MESSAGE_EVENTS));
    assert_eq!(outcome.headers.media_type(), "text/event-stream");
    assert_eq!((outcome.record.usage.input(), outcome.record.usage.output()), (Some(29), Some(5)));
    assert_eq!(outcome.record.response_model, "claude-x");
}

#[test]
fn the_backends_schema_says_which_version_of_the_envelope() {
    let mut gateway = Gateway::new().backend("bedrock", AWSAnthropic);
    gateway.backend_mut("bedrock").schema.version = Some("v9".to_owned());
    let outcome =
        gateway.post(MESSAGES, r#"{"model":"claude"}"#).answered_by(Answer::json(200, MESSAGE)).send();
    assert_eq!(outcome.sent[0].json()["anthropic_version"], "v9");
}

/// By `count_tokens` and by vLLM's `tokenize`, at each cloud's own counter.
#[test]
fn a_conversation_is_counted_where_it_would_be_answered() {
    let body = r#"{"model":"m","system":"S","thinking":{"type":"enabled","budget_tokens":2000},"temperature":1,
        "messages":[{"role":"user","content":"Hi"}],"tools":[{"name":"f","input_schema":{"type":"object"}}]}"#;
    let chat = r#"{"model":"m","messages":[{"role":"system","content":"S"},{"role":"user","content":"Hi"}]}"#;
    for (schema, model, path, answer) in [
        (
            AWSAnthropic,
            "eu.anthropic.claude-x",
            "/model/anthropic.claude-x/count-tokens",
            r#"{"inputTokens":7}"#,
        ),
        (
            GCPAnthropic,
            "claude-x@default",
            "/v1/projects/project/locations/eu-central-1/publishers/anthropic/models/count-tokens:rawPredict",
            r#"{"input_tokens":7}"#,
        ),
        (
            GCPVertexAI,
            "gemini-x",
            "/v1/projects/project/locations/eu-central-1/publishers/google/models/gemini-x:countTokens",
            r#"{"totalTokens":7}"#,
        ),
    ] {
        let gateway = Gateway::new().backend("b", schema).model(model);
        for (asked, body, told) in [
            ("/v1/messages/count_tokens", body, json!({"input_tokens": 7})),
            ("/tokenize", chat, json!({"count": 7, "max_model_len": 0, "tokens": [], "token_strs": null})),
        ] {
            let outcome = gateway.post(asked, body).answered_by(Answer::json(200, answer)).send();
            let sent = &outcome.sent[0];
            assert_eq!((sent.path(), outcome.json()), (path, told), "{schema:?} {asked}");
            assert_eq!(outcome.record.usage.input(), Some(7));
            assert!(outcome.record.losses.is_empty(), "{:?}", outcome.record.losses);
            let counted = match sent.json()["input"]["invokeModel"]["body"].as_str() {
                None => sent.json(),
                Some(body) => serde_json::from_slice(&STANDARD.decode(body).unwrap()).unwrap(),
            };
            let said = counted.to_string();
            assert!(said.contains("Hi") && said.contains("\"S\""), "{said}");
            assert_eq!(counted.get("max_tokens").is_some(), schema == AWSAnthropic, "{said}");
            assert_eq!(counted.get("model").is_some(), schema == GCPAnthropic, "{said}");
        }
        let wrong = gateway.post("/tokenize", chat).answered_by(Answer::json(200, "{}")).send();
        assert_eq!(wrong.status, 502, "{schema:?}");
    }
}

#[test]
fn a_pair_without_a_way_is_a_422_in_the_clients_shape() {
    for schema in [OpenAI, Cohere] {
        let gateway = Gateway::new().backend("b", schema);
        let outcome = gateway
            .post("/anthropic/v1/messages/count_tokens", r#"{"model":"m"}"#)
            .answered_by(Answer::json(200, "{}"))
            .send();
        assert_eq!((outcome.status, outcome.sent.len()), (422, 0));
        assert!(outcome.error().contains("count_tokens"));
    }
}

#[test]
fn a_conversation_that_began_at_another_provider_goes_on_at_claude() {
    let body = r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"gemini:AbC="},{"type":"text","text":"Hello"}]},{"role":"user","content":"And?"}]}"#;
    let own = body.replace("gemini:AbC=", "EqoB");
    for (schema, is_same) in [(Anthropic, true), (AWSAnthropic, false)] {
        let gateway = Gateway::new().backend("claude", schema).model("m");
        for path in [MESSAGES, "/v1/messages"] {
            let outcome = gateway.post(path, body).answered_by(Answer::json(200, MESSAGE)).send();
            let sent = outcome.sent[0].json();
            assert_eq!(
                sent["messages"][1]["content"],
                json!([{"type": "text", "text": "Hello"}]),
                "{schema:?}"
            );
            let lost = "messages[1].content[0]: Anthropic takes no thought without its signature";
            assert_eq!(outcome.record.losses, [lost]);

            let outcome = gateway.post(path, &own).answered_by(Answer::json(200, MESSAGE)).send();
            let sent = &outcome.sent[0];
            assert_eq!(sent.json()["messages"][1]["content"].as_array().unwrap().len(), 2, "{schema:?}");
            assert_eq!(sent.text() == own, is_same, "what is Claude's own passes");
            assert!(outcome.record.losses.is_empty());
        }
    }
}
