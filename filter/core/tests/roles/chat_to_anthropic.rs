//! OpenAI's chat to Claude, at Anthropic and at Bedrock.

use serde_json::{Value, json};
use weir_core::config::SchemaName::{self, AWSAnthropic, Anthropic};

use crate::answer::{Answer, MESSAGE, MESSAGE_EVENTS, named_sse};
use crate::gateway::Gateway;
use crate::outcome::Outcome;

const CHAT: &str = "/v1/chat/completions";

fn both() -> [(SchemaName, Gateway); 2] {
    [Anthropic, AWSAnthropic]
        .map(|schema| (schema, Gateway::new().backend("claude", schema).model("claude-x")))
}

/// The same events in the framing of either backend.
fn stream_of(schema: SchemaName, events: &[&str]) -> Answer {
    if schema == AWSAnthropic { Answer::frames(events) } else { Answer::sse(&named_sse(events)) }
}

fn content(outcome: &Outcome) -> String {
    let chunks = outcome.events();
    let (done, chunks) = chunks.split_last().unwrap();
    assert_eq!(done, "[DONE]");
    let delta = |chunk: &String| {
        let chunk: Value = serde_json::from_str(chunk).unwrap();
        chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
    };
    chunks.iter().map(delta).collect()
}

#[test]
fn a_whole_answer_is_a_completion() {
    for (schema, gateway) in both() {
        let outcome = gateway
            .post(CHAT, r#"{"model":"m","messages":[{"role":"system","content":"S"},{"role":"user","content":"Hi"}]}"#)
            .answered_by(Answer::json(200, MESSAGE))
            .send();
        let sent = outcome.sent[0].json();
        assert_eq!(sent["messages"][0]["role"], "user");
        assert_eq!(sent["max_tokens"], 4096, "Anthropic demands one");
        if schema == Anthropic {
            assert_eq!(outcome.sent[0].path(), "/v1/messages");
            assert_eq!(sent["model"], "claude-x");
            assert_eq!(outcome.sent[0].headers.get("anthropic-version"), Some("2023-06-01"));
        } else {
            assert_eq!(outcome.sent[0].path(), "/model/claude-x/invoke");
            assert_eq!(
                (&sent["model"], &sent["anthropic_version"]),
                (&Value::Null, &json!("bedrock-2023-05-31"))
            );
        }
        let answer = outcome.json();
        assert_eq!(answer["choices"][0]["message"]["content"], "Hello");
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
        assert_eq!(answer["usage"]["prompt_tokens"], 25);
        assert_eq!(outcome.headers.get("content-type"), Some("application/json"));
        assert_eq!((outcome.record.usage.input(), outcome.record.usage.output()), (Some(25), Some(1)));
        assert_eq!(outcome.record.response_model, "claude-x");
    }
}

#[test]
fn a_stream_is_a_stream_of_chunks() {
    for (schema, gateway) in both() {
        let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
        let outcome = gateway.post(CHAT, body).answered_by(stream_of(schema, MESSAGE_EVENTS)).send();
        assert_eq!(outcome.headers.media_type(), "text/event-stream");
        assert_eq!(content(&outcome), "Grüß Gott");
        assert!(!outcome.text().contains("\"usage\""), "the client did not ask for it");
        assert_eq!((outcome.record.usage.input(), outcome.record.usage.output()), (Some(29), Some(5)));

        let body = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hi"}]}"#;
        let outcome = gateway.post(CHAT, body).answered_by(stream_of(schema, MESSAGE_EVENTS)).send();
        let events = outcome.events();
        let usage: Value = serde_json::from_str(&events[events.len() - 2]).unwrap();
        assert_eq!(usage["usage"]["total_tokens"], 34);
    }
}

#[test]
fn an_error_in_mid_stream_is_told_in_the_clients_words() {
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    for (schema, gateway) in both() {
        let events = [&MESSAGE_EVENTS[..5], &[overloaded]].concat();
        let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
        let outcome = gateway.post(CHAT, body).answered_by(stream_of(schema, &events)).send();
        let events = outcome.events();
        let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
        assert_eq!((outcome.status, &last["error"]["message"]), (200, &json!("Overloaded")));
        assert!(outcome.record.usage.output() > Some(0));
    }
}

#[test]
fn what_claude_cannot_do_is_on_the_record_or_refused() {
    let body = r#"{"model":"m","logit_bias":{"1":2},"messages":[{"role":"user","content":"Hi"}]}"#;
    let (_, mut gateway) = both().into_iter().next().unwrap();
    let outcome = gateway.post(CHAT, body).answered_by(Answer::json(200, MESSAGE)).send();
    assert!(
        outcome.record.losses.iter().any(|loss| loss.starts_with("logit_bias: ")),
        "{:?}",
        outcome.record
    );
    gateway.route.strict = true;
    let outcome = gateway.post(CHAT, body).answered_by(Answer::json(200, MESSAGE)).send();
    assert_eq!((outcome.status, outcome.sent.len()), (400, 0));
    assert!(outcome.error().contains("logit_bias"));
}

#[test]
fn the_beta_features_of_a_header_reach_claude_or_are_a_loss() {
    let betas = "context-1m-2025-08-07, files-api-2025-04-14";
    let body = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#;
    for (schema, gateway) in both() {
        let outcome = gateway
            .post(CHAT, body)
            .header("anthropic-beta", betas)
            .answered_by(Answer::json(200, MESSAGE))
            .send();
        let sent = &outcome.sent[0];
        if schema == AWSAnthropic {
            assert_eq!(sent.json()["anthropic_beta"], json!(["context-1m-2025-08-07"]));
            assert_eq!(sent.headers.get("anthropic-beta"), None);
            let lost = "anthropic-beta.files-api-2025-04-14: not known to AWS Bedrock";
            assert_eq!(outcome.record.losses, [lost]);
        } else {
            assert_eq!(sent.json().get("anthropic_beta"), None);
            assert_eq!(sent.headers.get("anthropic-beta"), Some(betas));
            assert!(outcome.record.losses.is_empty());
        }
    }
}

#[test]
fn strict_names_every_loss_and_the_record_counts_those_it_does_not_keep() {
    let (_, mut gateway) = both().into_iter().next().unwrap();
    let fields: String = (0..40).map(|number| format!(r#""x{number:02}":1,"#)).collect();
    let body = format!(r#"{{{fields}"model":"m","messages":[{{"role":"user","content":"Hi"}}]}}"#);
    let outcome = gateway.post(CHAT, &body).answered_by(Answer::json(200, MESSAGE)).send();
    assert_eq!(outcome.record.losses.len(), 33);
    assert_eq!(outcome.record.losses[32], "and 8 more");

    gateway.route.strict = true;
    let outcome = gateway.post(CHAT, &body).answered_by(Answer::json(200, MESSAGE)).send();
    let named = (0..40).filter(|number| outcome.error().contains(&format!("x{number:02}: "))).count();
    assert_eq!((outcome.status, named), (400, 40), "{}", outcome.error());
    let body = r#"{"model":"m","seed":1,"n":2,"messages":[{"role":"user","content":"Hi"}]}"#;
    let outcome = gateway.post(CHAT, body).answered_by(Answer::json(200, MESSAGE)).send();
    assert_eq!((outcome.status, outcome.sent.len()), (400, 0));
    assert!(outcome.error().contains("n: ") && outcome.error().contains("seed: "), "{}", outcome.error());
}

#[test]
fn a_client_may_ask_to_lose_nothing() {
    let body = r#"{"model":"m","seed":1,"messages":[{"role":"user","content":"Hi"}]}"#;
    for (_, gateway) in both() {
        let ask = |name, value| {
            let request = gateway.post(CHAT, body).header(name, value);
            request.answered_by(Answer::json(200, MESSAGE)).send()
        };
        let refused = ask("x-weir-strict", "true");
        assert_eq!((refused.status, refused.sent.len()), (400, 0));
        assert!(refused.error().contains("seed: "), "{}", refused.error());
        let lost = ask("x-weir-strict", "false");
        assert_eq!((lost.status, lost.sent.len()), (200, 1));
        assert_eq!(lost.sent[0].headers.get("x-weir-strict"), None);
        for name in ["x-weir-strict", "x-weir-report-losses"] {
            let unclear = ask(name, "yes");
            assert_eq!((unclear.status, unclear.sent.len()), (400, 0));
            assert!(unclear.error().contains(name), "{}", unclear.error());
        }
    }
}

#[test]
fn a_client_that_asks_is_told_in_the_headers_what_was_lost() {
    let blocks = r#"[{"type":"text","text":"A"},{"type":"hologram","shape":"cube"}]"#;
    let whole = format!(r#"{{"id":"m","model":"claude-x","content":{blocks},"stop_reason":"end_turn"}}"#);
    let body = r#"{"model":"m","seed":1,"messages":[{"role":"user","content":"Hi"}]}"#;
    for (_, gateway) in both() {
        let ask = |asks: &str| {
            let request = gateway.post(CHAT, body).header("x-weir-report-losses", asks);
            request.answered_by(Answer::json(200, &whole)).send()
        };
        let told = ask("true");
        assert_eq!(told.headers.get("x-weir-losses"), Some(told.record.losses.join("; ").as_str()));
        assert_eq!(
            told.record.losses.len(),
            2,
            "of the request, and of the answer: {:?}",
            told.record.losses
        );
        assert_eq!(ask("false").headers.get("x-weir-losses"), None);
    }
    let nothing = Gateway::new().backend("qwen", SchemaName::OpenAI);
    let request = nothing.post(CHAT, body).header("x-weir-report-losses", "true");
    let told = request.answered_by(Answer::json(200, r#"{"object":"chat.completion","choices":[]}"#)).send();
    assert_eq!(told.headers.get("x-weir-losses"), None);
}

#[test]
fn what_an_answer_says_beyond_openais_api_is_on_the_record() {
    let blocks =
        r#"[{"type":"text","text":"A","citations":[{"cited_text":"x"}]},{"type":"hologram","shape":"cube"}]"#;
    let whole = format!(r#"{{"id":"m","model":"claude-x","content":{blocks},"stop_reason":"pause_turn"}}"#);
    let events = [
        r#"{"type":"message_start","message":{"id":"m","model":"claude-x"}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"A"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":{"cited_text":"x"}}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"hologram"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"pause_turn"},"usage":{"output_tokens":1}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    for (schema, gateway) in both() {
        for stream in [false, true] {
            let body =
                format!(r#"{{"model":"m","stream":{stream},"messages":[{{"role":"user","content":"Hi"}}]}}"#);
            let answer = if stream { stream_of(schema, &events) } else { Answer::json(200, &whole) };
            let outcome = gateway.post(CHAT, &body).answered_by(answer).send();
            let lost: Vec<_> =
                outcome.record.losses.iter().filter_map(|loss| loss.split(": ").next()).collect();
            let expected = [
                "answer.content[0].citations",
                "answer.content[1].hologram",
                "answer.stop_reason.pause_turn",
            ];
            assert_eq!(lost, expected, "streamed: {stream}");
        }
    }
}
