//! What is charged, and how far the record says it can be trusted.

use weir_core::cel::Expression;
use weir_core::config::SchemaName::{AWSAnthropic, Anthropic, Cohere, OpenAI};
use weir_core::config::{Cost, CostType};
use weir_core::usage::record::UsageStatus;

use crate::answer::{Answer, CHAT_CHUNKS, COMPLETION, MESSAGE, MESSAGE_EVENTS, chat_sse, named_sse};
use crate::gateway::Gateway;
use crate::outcome::Outcome;

const CHAT: &str = "/v1/chat/completions";
const STREAM: &str = r#"{"model":"m","stream":true}"#;

fn tokens(outcome: &Outcome) -> (UsageStatus, Option<u64>, Option<u64>, Option<u64>) {
    let record = &outcome.record;
    assert_eq!(outcome.cost("llm_input_token"), record.usage.input().filter(|_| !outcome.costs.is_empty()));
    (record.usage_status, record.usage.input(), record.usage.output(), record.usage.total())
}

#[test]
fn every_endpoint_that_reports_is_read() {
    use UsageStatus::{Complete, None as Nothing};
    let gateway = Gateway::new().backend("gpt", OpenAI);
    let responses_stream = named_sse(&[
        r#"{"type":"response.created","response":{"model":"o9","usage":null}}"#,
        r#"{"type":"response.output_text.delta","delta":"a"}"#,
        r#"{"type":"response.completed","response":{"model":"o9","usage":{"input_tokens":3,"output_tokens":4,"total_tokens":7}}}"#,
    ]);
    for (path, answer, expected) in [
        (CHAT, Answer::json(200, COMPLETION), (Complete, Some(11), Some(2), Some(13))),
        (CHAT, Answer::sse(&chat_sse(CHAT_CHUNKS)), (Complete, Some(11), Some(2), Some(13))),
        ("/v1/completions", Answer::json(200, COMPLETION), (Complete, Some(11), Some(2), Some(13))),
        (
            "/v1/embeddings",
            Answer::json(200, r#"{"data":[],"usage":{"prompt_tokens":8,"total_tokens":8}}"#),
            (Complete, Some(8), None, Some(8)),
        ),
        (
            "/v1/responses",
            Answer::json(200, r#"{"usage":{"input_tokens":3,"output_tokens":4,"total_tokens":7}}"#),
            (Complete, Some(3), Some(4), Some(7)),
        ),
        ("/v1/responses", Answer::sse(&responses_stream), (Complete, Some(3), Some(4), Some(7))),
        (
            "/v1/responses/input_tokens",
            Answer::json(200, r#"{"object":"response.input_tokens","input_tokens":5}"#),
            (Complete, Some(5), None, Some(5)),
        ),
        (
            "/v1/images/generations",
            Answer::json(200, r#"{"data":[],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}"#),
            (Complete, Some(1), Some(2), Some(3)),
        ),
        ("/v1/images/generations", Answer::json(200, r#"{"data":[]}"#), (Nothing, None, None, None)),
        ("/v1/audio/speech", Answer::new(200, "audio/mpeg", "x"), (Nothing, None, None, None)),
        ("/tokenize", Answer::json(200, r#"{"count":2,"tokens":[1,2]}"#), (Complete, Some(2), None, Some(2))),
    ] {
        let outcome = gateway.post(path, STREAM).answered_by(answer).send();
        assert_eq!(outcome.status, 200);
        assert_eq!(tokens(&outcome), expected, "{path}");
        assert_eq!(outcome.cost("llm_total_token"), expected.3, "{path}");
    }
    let gateway = Gateway::new().backend("cohere", Cohere);
    let answer =
        Answer::json(200, r#"{"results":[],"meta":{"tokens":{"input_tokens":3,"output_tokens":1}}}"#);
    let outcome = gateway.post("/cohere/v2/rerank", STREAM).answered_by(answer).send();
    assert_eq!(tokens(&outcome), (Complete, Some(3), Some(1), Some(4)));
}

#[test]
fn a_client_that_leaves_is_charged_what_was_seen() {
    let gateway = Gateway::new().backend("claude", Anthropic);
    let seen = named_sse(&MESSAGE_EVENTS[..5]);
    let outcome =
        gateway.post("/anthropic/v1/messages", STREAM).answered_by(Answer::sse(&seen).breaks()).send();
    assert_eq!(tokens(&outcome), (UsageStatus::Partial, Some(29), Some(3), Some(32)));
    assert_eq!(outcome.cost("llm_total_token"), Some(32));
    assert_eq!(outcome.text(), seen);

    let gateway = Gateway::new().backend("gpt", OpenAI);
    let seen = chat_sse(&CHAT_CHUNKS[..3]).replace("data: [DONE]\n\n", "");
    let outcome = gateway.post(CHAT, STREAM).answered_by(Answer::sse(&seen).breaks()).send();
    assert_eq!(tokens(&outcome), (UsageStatus::Partial, Some(7), Some(1), Some(8)));

    let outcome = gateway.post(CHAT, STREAM).answered_by(Answer::json(200, COMPLETION).breaks()).send();
    assert_eq!(tokens(&outcome), (UsageStatus::None, None, None, None), "nothing had come");
}

#[test]
fn what_no_provider_reports_is_estimated() {
    let gateway = Gateway::new().backend("gpt", OpenAI);
    let silent = Answer::json(200, r#"{"choices":[{"message":{"content":"x"}}]}"#);
    let outcome = gateway.post(CHAT, r#"{"model":"m"}"#).answered_by(silent).send();
    assert_eq!(tokens(&outcome), (UsageStatus::Estimated, Some(4), Some(1), Some(5)));

    let stream = chat_sse(&CHAT_CHUNKS[..4]);
    let outcome = gateway.post(CHAT, STREAM).answered_by(Answer::sse(&stream)).send();
    assert_eq!(tokens(&outcome), (UsageStatus::Estimated, Some(7), Some(1), Some(8)));

    let vectors = format!(r#"{{"data":[{{"embedding":[{}]}}]}}"#, ["0.123456"; 300].join(","));
    let outcome =
        gateway.post("/v1/embeddings", r#"{"model":"m"}"#).answered_by(Answer::json(200, &vectors)).send();
    assert_eq!(tokens(&outcome), (UsageStatus::Estimated, Some(4), None, Some(4)));
}

const ASKED: &str =
    r#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;

#[test]
fn one_long_piece_is_charged_by_its_bytes() {
    let text = "a".repeat(4_000);
    let start = r#"{"type":"message_start","message":{"usage":{"input_tokens":9}}}"#;
    let delta = format!(
        r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}}}"#
    );
    let events = named_sse(&[start, &delta]);
    for (backend, path) in
        [(OpenAI, CHAT), (Anthropic, CHAT), (Anthropic, "/anthropic/v1/messages"), (AWSAnthropic, CHAT)]
    {
        let gateway = Gateway::new().backend("b", backend);
        let answer = match backend {
            OpenAI => Answer::sse(&format!(
                "data: {{\"choices\": [{{\"delta\": {{\"content\": \"{text}\"}}}}]}}\n\n"
            )),
            AWSAnthropic => Answer::frames(&[start, &delta]),
            _ => Answer::sse(&events),
        };
        let outcome = gateway.post(path, ASKED).answered_by(answer.breaks()).send();
        assert_eq!(
            (tokens(&outcome).0, tokens(&outcome).2),
            (UsageStatus::Partial, Some(1_000)),
            "{backend:?} {path}"
        );
    }
    let message = format!(r#"{{"content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn"}}"#);
    let gateway = Gateway::new().backend("b", Anthropic);
    let outcome =
        gateway.post(CHAT, ASKED.replace("true", "false")).answered_by(Answer::json(200, &message)).send();
    assert_eq!(tokens(&outcome).2, Some(1_000), "whole and translated");
}

#[test]
fn pieces_are_added_before_they_are_rounded() {
    let gateway = Gateway::new().backend("claude", Anthropic);
    let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#;
    let events = named_sse(&[&[start][..], &[delta; 1_000]].concat());
    let outcome = gateway.post(CHAT, ASKED).answered_by(Answer::sse(&events).breaks()).send();
    assert_eq!(tokens(&outcome).2, Some(250));
}

#[test]
fn a_zero_is_no_report_and_the_larger_total_counts() {
    let gateway = Gateway::new().backend("gpt", OpenAI);
    for (usage, expected) in [
        (
            r#"{"prompt_tokens":5,"completion_tokens":5,"total_tokens":0}"#,
            (UsageStatus::Complete, Some(5), Some(5), Some(10)),
        ),
        (
            r#"{"prompt_tokens":5,"completion_tokens":0,"total_tokens":5}"#,
            (UsageStatus::Estimated, Some(5), Some(1), Some(6)),
        ),
        (r#"{"prompt_tokens":5,"total_tokens":12}"#, (UsageStatus::Complete, Some(5), Some(7), Some(12))),
    ] {
        let body = format!(r#"{{"choices":[{{"message":{{"content":"x"}}}}],"usage":{usage}}}"#);
        let outcome = gateway.post(CHAT, r#"{"model":"m"}"#).answered_by(Answer::json(200, &body)).send();
        assert_eq!(tokens(&outcome), expected, "{usage}");
        assert_eq!(outcome.cost("llm_total_token"), expected.3, "{usage}");
        let events = format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"x\"}},\"finish_reason\":\"stop\"}}]}}\n\ndata: {{\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]\n\n"
        );
        let outcome = gateway.post(CHAT, STREAM).answered_by(Answer::sse(&events)).send();
        assert_eq!(tokens(&outcome), expected, "streamed: {usage}");
    }
}

#[test]
fn a_truncated_stream_is_partial_and_ends_with_an_error() {
    let gateway = Gateway::new().backend("gpt", OpenAI);
    let chunk = |index: u32, reason: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":{index},\"delta\":{{\"content\":\"a\"}},\"finish_reason\":{reason}}}]}}\n\n"
        )
    };
    let two = r#"{"model":"m","stream":true,"n":2}"#;
    for (request, stream) in [
        (STREAM, chunk(0, "\"\"")),
        (STREAM, chunk(0, "null")),
        (STREAM, chunk(0, "false")),
        (two, chunk(0, "\"stop\"")),
        (two, chunk(0, "null") + &chunk(1, "null") + &chunk(1, "\"stop\"")),
    ] {
        let outcome = gateway.post(CHAT, request).answered_by(Answer::sse(&stream)).send();
        assert_eq!(tokens(&outcome).0, UsageStatus::Partial, "{stream}");
        assert!(
            outcome.text().contains("\"error\"") && !outcome.text().contains("[DONE]"),
            "{}",
            outcome.text()
        );
    }
}

#[test]
fn half_a_report_is_made_up_for() {
    let gateway = Gateway::new().backend("claude", Anthropic);
    let events: Vec<&str> =
        MESSAGE_EVENTS.iter().copied().filter(|event| !event.contains("message_delta")).collect();
    let outcome =
        gateway.post("/anthropic/v1/messages", STREAM).answered_by(Answer::sse(&named_sse(&events))).send();
    assert_eq!(tokens(&outcome), (UsageStatus::Estimated, Some(29), Some(3), Some(32)));
}

#[test]
fn a_failed_attempt_is_not_charged() {
    let gateway = Gateway::new().backend("bedrock", AWSAnthropic).backend("claude", Anthropic);
    let error_in_200 =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"x"},"usage":{"input_tokens":1000}}"#;
    for failure in [
        Answer::json(200, error_in_200),
        Answer::json(503, r#"{"message":"x","usage":{"input_tokens":1000}}"#),
        Answer::frames(&[error_in_200]),
        Answer::new(200, "application/vnd.amazon.eventstream", [0; 40]),
    ] {
        let outcome = gateway
            .post("/anthropic/v1/messages", r#"{"model":"m"}"#)
            .answered_by(failure)
            .answered_by(Answer::json(200, MESSAGE))
            .send();
        assert_eq!(outcome.sent.len(), 2);
        assert_eq!(tokens(&outcome), (UsageStatus::Complete, Some(25), Some(1), Some(26)));
        assert_eq!(outcome.record.backend, "default/claude");
    }
}

#[test]
fn what_a_failed_attempt_reported_is_forgotten() {
    let gateway = Gateway::new().backend("bedrock", AWSAnthropic).backend("gpt", OpenAI);
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#;
    let outcome = gateway
        .post(
            CHAT,
            r#"{"model":"m","stream":true,"logit_bias":{"1":2},"messages":[{"role":"user","content":"Hi"}]}"#,
        )
        .answered_by(Answer::frames(&[MESSAGE_EVENTS[0], error]))
        .answered_by(Answer::sse("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n"))
        .send();
    assert_eq!(outcome.sent.len(), 2);
    assert_eq!(tokens(&outcome), (UsageStatus::Estimated, Some(23), Some(1), Some(24)));
    assert_eq!((outcome.record.response_model.as_str(), outcome.record.losses.len()), ("", 0));
}

#[test]
fn a_record_is_one_line_that_says_it_all() {
    let gateway = Gateway::new().backend("gpt", OpenAI).model("qwen3-8b");
    let outcome = gateway
        .post(CHAT, "{\"model\":\"qwen\\\"3\"}")
        .header("x-user-id", "a\"nn")
        .answered_by(Answer::json(200, COMPLETION))
        .send();
    let line = outcome.record.to_line();
    assert!(!line.contains('\n'));
    insta::assert_snapshot!(line, @r#"{"time":"2026-09-21T14:13:20.000Z","request_id":"req-1","user":"a\"nn","endpoint":"chat","original_model":"qwen\"3","request_model":"qwen3-8b","response_model":"qwen3-8b","backend":"default/gpt","provider":"openai","route":"default/models/rule/0","stream":false,"attempts":1,"status":200,"input_tokens":11,"cached_input_tokens":null,"cache_creation_input_tokens":null,"output_tokens":2,"reasoning_tokens":1,"total_tokens":13,"usage_status":"complete","abandoned":[],"losses":[],"ttft_ms":0,"duration_ms":0}"#);
}

#[test]
fn the_users_name_is_what_the_routes_headers_say() {
    let mut gateway = Gateway::new().backend("gpt", OpenAI);
    gateway.route.user_headers = vec!["x-team".to_owned(), "x-app".to_owned()];
    let outcome = gateway
        .post(CHAT, r#"{"model":"m"}"#)
        .header("x-app", "b")
        .header("x-team", "a")
        .answered_by(Answer::json(200, COMPLETION))
        .send();
    assert_eq!(outcome.record.user, "a,b");
}

#[test]
fn a_user_who_is_known_by_a_key_is_told_apart_without_it() {
    let mut gateway = Gateway::new().backend("gpt", OpenAI);
    gateway.route.user_headers = vec!["authorization".to_owned(), "x-team".to_owned()];
    let user = |key: &str| {
        let call =
            gateway.post(CHAT, r#"{"model":"m"}"#).header("authorization", key).header("x-team", "red");
        call.answered_by(Answer::json(200, COMPLETION)).send().record.user
    };
    let one = user("Bearer one");
    assert_eq!(one, user("Bearer one"));
    assert_ne!(one, user("Bearer two"));
    assert!(one.starts_with("sha256:") && one.ends_with(",red") && !one.contains("Bearer"), "{one}");
}

#[test]
fn a_cost_may_be_an_expression() {
    let mut gateway = Gateway::new().backend("gpt", OpenAI).model("gpt-there");
    for (key, text) in [
        ("priced", "model == 'gpt-there' ? input_tokens + output_tokens * 4u : 0u"),
        ("placed", "backend == 'gpt.default' ? 7u : 0u"),
        ("faulty", "total_tokens == 0u ? 0u : 1u - total_tokens"),
    ] {
        let kind = CostType::Cel(Expression::new(text).unwrap());
        gateway.route.costs.push(Cost { key: key.to_owned(), kind });
    }
    let outcome = gateway.post(CHAT, r#"{"model":"m"}"#).answered_by(Answer::json(200, COMPLETION)).send();
    let cost = |key| outcome.cost(key).unwrap();
    // What has no value is all tokens.
    assert_eq!((cost("priced"), cost("placed"), cost("faulty")), (11 + 2 * 4, 7, 13));
}
