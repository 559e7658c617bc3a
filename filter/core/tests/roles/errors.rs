//! Whatever goes wrong, the client reads it in the shape of its own API.

mod broken_streams;
mod turned_away;

use serde_json::json;
use weir_core::config::SchemaName::{AWSAnthropic, Anthropic, Cohere, OpenAI};
use weir_core::exchange::Answer as AnswerState;

use crate::answer::{
    Answer, CHAT_CHUNKS, COMPLETION, MESSAGE, MESSAGE_EVENTS, chat_sse, exception, gzip, named_sse,
};
use crate::gateway::Gateway;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/anthropic/v1/messages";
const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#;
const STREAM: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;

fn openai() -> Gateway {
    Gateway::new().backend("gpt", OpenAI)
}

#[test]
fn a_providers_error_keeps_its_status_and_words() {
    let aws = r#"{"message":"slow \"down\""}"#;
    for (schema, path, answer, message) in [
        (OpenAI, CHAT, Answer::json(400, r#"{"error":{"message":"bad","type":"t","code":null}}"#), "bad"),
        (OpenAI, CHAT, Answer::json(400, r#"{"error":{"message":"bad","type":"t"}}"#).gzipped(), "bad"),
        (OpenAI, CHAT, Answer::new(502, "text/html", "<h1>no</h1>"), "<h1>no</h1>"),
        (OpenAI, CHAT, Answer::new(503, "", ""), "empty body"),
        (OpenAI, CHAT, Answer::json(502, "<h1>no</h1>"), "<h1>no</h1>"),
        (OpenAI, CHAT, Answer::new(500, "text/plain", b"\xff\xfe"), "\u{fffd}\u{fffd}"),
        (Anthropic, MESSAGES, Answer::new(503, "text/plain", "overload"), "overload"),
        (
            Anthropic,
            CHAT,
            Answer::json(529, r#"{"type":"error","error":{"type":"overloaded_error","message":"o"}}"#),
            "o",
        ),
        (
            AWSAnthropic,
            MESSAGES,
            Answer::json(429, aws).header("x-amzn-errortype", "ThrottlingException"),
            "slow \"down\"",
        ),
        (
            AWSAnthropic,
            CHAT,
            Answer::json(429, aws).header("x-amzn-errortype", "ThrottlingException:"),
            "slow \"down\"",
        ),
        (Cohere, "/cohere/v2/rerank", Answer::json(400, r#"{"message":"bad"}"#), "bad"),
        (Cohere, "/cohere/v2/rerank", Answer::new(500, "text/plain", "down"), "down"),
    ] {
        let gateway = Gateway::new().backend("b", schema);
        let (status, headers) = (answer.status, answer.header("retry-after", "7"));
        let outcome = gateway.post(path, STREAM).answered_by(headers).send();
        assert_eq!(outcome.status, status, "{path}");
        assert!(outcome.error().contains(message), "{path}: {}", outcome.text());
        assert_eq!(outcome.headers.get("retry-after"), Some("7"));
        assert_eq!(outcome.headers.get("content-encoding"), None);
        assert!(outcome.costs.is_empty());
        assert_eq!((outcome.record.status, outcome.answer), (status, AnswerState::None));
    }
}

#[test]
fn an_error_of_the_same_api_passes_to_the_byte() {
    let body = "{ \"error\" : {\"message\":\"bad\",\"type\":\"t\",\"extra\":[1]} }\n";
    let outcome = openai().post(CHAT, BODY).answered_by(Answer::json(400, body)).send();
    assert_eq!(outcome.text(), body);
}

#[test]
fn an_error_that_shows_the_gateways_key_does_not_give_it_away() {
    let key = "key-of-b.";
    let openai = |message: &str| format!(r#"{{"error":{{"message":"{message}","type":"t","code":null}}}}"#);
    let echo = openai(&format!("headers: authorization: Bearer {key} host: a"));
    let escaped = openai(r"\u006bey-of\u002db.");
    let of_claude = format!(r#"{{"type":"error","error":{{"type":"t","message":"x-api-key {key}"}}}}"#);
    let begun = format!("data: {}\n\n", CHAT_CHUNKS[1]);
    let last = format!("data: {echo}\n\n");
    for (schema, path, body, answer) in [
        (OpenAI, CHAT, BODY, Answer::json(401, &echo)),
        (OpenAI, CHAT, BODY, Answer::json(401, &echo).gzipped()),
        (OpenAI, CHAT, BODY, Answer::json(401, &escaped)),
        (OpenAI, CHAT, BODY, Answer::new(500, "text/plain", format!("Authorization: Bearer {key}"))),
        (OpenAI, CHAT, BODY, Answer::json(200, &echo)),
        (OpenAI, CHAT, STREAM, Answer::sse(&last)),
        (OpenAI, CHAT, STREAM, Answer::sse(&(begun.clone() + &last))),
        (OpenAI, CHAT, STREAM, Answer::sse(&begun).then(&last[..20]).then(&last[20..])),
        (Anthropic, CHAT, BODY, Answer::json(400, &of_claude)),
        (Anthropic, CHAT, STREAM, Answer::sse(&named_sse(&[&of_claude]))),
        (Anthropic, MESSAGES, STREAM, Answer::sse(&named_sse(&[MESSAGE_EVENTS[0], &of_claude]))),
    ] {
        let gateway = Gateway::new().backend("b", schema);
        let answer = answer.header("x-debug", &format!("key={key}"));
        let outcome = gateway.post(path, body).answered_by(answer).send();
        assert!(outcome.text().contains("***"), "{}", outcome.text());
        assert!(!outcome.text().contains("ey-of"), "{}", outcome.text());
        assert_eq!(outcome.headers.get("x-debug"), Some("key=***"));
    }
    // An answer is the model's own: what is in it is for the client.
    let answer = COMPLETION.replace("Hi", key);
    let gateway = Gateway::new().backend("b", OpenAI);
    let outcome = gateway.post(CHAT, BODY).answered_by(Answer::json(200, &answer)).send();
    assert_eq!(outcome.text(), answer);
}

#[test]
fn the_proof_that_aws_got_is_no_clients() {
    let gateway = Gateway::new().backend("b", AWSAnthropic);
    let sent = gateway.post(MESSAGES, BODY).answered_by(Answer::json(200, MESSAGE)).send().sent.remove(0);
    let token = sent.headers.get("x-amz-security-token").unwrap();
    let (_, signature) = sent.headers.get("authorization").unwrap().split_once("Signature=").unwrap();
    let body =
        format!(r#"{{"message":"The canonical string: x-amz-security-token:{token}, not {signature}"}}"#);
    let outcome = gateway.post(MESSAGES, BODY).answered_by(Answer::json(403, &body)).send();
    assert_eq!(outcome.error(), "The canonical string: x-amz-security-token:***, not ***");
}

#[test]
fn an_answer_does_not_speak_for_the_gateway() {
    let gateway = openai();
    for (status, body) in [(200, COMPLETION), (400, r#"{"error":{"message":"m","type":"t"}}"#)] {
        let answer = ["x-weir-cluster", "x-ai-eg-model", "x-envoy-ratelimited", "set-cookie", "alt-svc"]
            .iter()
            .fold(Answer::json(status, body), |answer, name| answer.header(name, "a"));
        let outcome = gateway.post(CHAT, BODY).answered_by(answer.header("x-request-id", "r")).send();
        let names: Vec<&str> = outcome.headers.iter().map(|(name, _)| name).collect();
        assert_eq!(outcome.status, status);
        assert!(!names.iter().any(|name| name.starts_with("x-weir-") || name.starts_with("x-ai-eg-")));
        for name in ["x-envoy-ratelimited", "set-cookie", "alt-svc"] {
            assert!(!names.contains(&name), "{name}");
        }
        assert_eq!(outcome.headers.get("x-request-id"), Some("r"));
    }
    let answer = Answer::sse(&chat_sse(CHAT_CHUNKS)).header("x-weir-cluster", "a");
    assert_eq!(gateway.post(CHAT, STREAM).answered_by(answer).send().headers.get("x-weir-cluster"), None);
}

#[test]
fn a_status_that_http_does_not_have_is_a_502() {
    for status in [99, 100, 199, 304, 600, 999] {
        for answer in [Answer::json(status, COMPLETION), Answer::headers_only(status)] {
            let outcome = openai().post(CHAT, BODY).answered_by(answer).send();
            assert_eq!((outcome.status, outcome.record.status), (502, 502), "{status}");
            assert!(outcome.error().contains(&status.to_string()), "{}", outcome.error());
        }
    }
    // Whole all the same.
    assert_eq!(openai().post(CHAT, BODY).answered_by(Answer::json(206, COMPLETION)).send().status, 206);
}

#[test]
fn what_claude_says_on_bedrock_passes_as_it_is() {
    let body =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"o","more":1},"request_id":"r"}"#;
    for (schema, status) in [(AWSAnthropic, 529), (AWSAnthropic, 400), (Anthropic, 529)] {
        let gateway = Gateway::new().backend("b", schema);
        let outcome = gateway.post(MESSAGES, BODY).answered_by(Answer::json(status, body)).send();
        assert_eq!((outcome.status, outcome.text()), (status, body));
        let gzip = gateway.post(MESSAGES, BODY).answered_by(Answer::json(status, body).gzipped()).send();
        assert_eq!((gzip.status, gzip.text()), (status, body));
        // Of an error that calls itself a success, all but that passes.
        let outcome = gateway.post(MESSAGES, BODY).answered_by(Answer::json(200, body)).send();
        assert_eq!((outcome.status, outcome.text(), outcome.answer), (529, body, AnswerState::None));
        // Another API has the place for the type only.
        let chat = gateway.post(CHAT, BODY).answered_by(Answer::json(status, body)).send();
        assert_eq!((chat.status, &chat.json()["error"]["type"]), (status, &json!("overloaded_error")));
    }
    let gateway = Gateway::new().backend("b", AWSAnthropic);
    let answer = Answer::json(403, r#"{"message":"no"}"#).header("x-amzn-errortype", "AccessDeniedException");
    let outcome = gateway.post(MESSAGES, BODY).answered_by(answer).send();
    assert_eq!(
        outcome.json(),
        json!({"type": "error", "error": {"type": "permission_error", "message": "no"}})
    );
}

#[test]
fn an_error_that_is_all_of_a_stream_keeps_what_only_the_provider_knows() {
    let claudes =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"o","more":1},"request_id":"r"}"#;
    let openais = r#"{"error":{"type":"rate_limit_error","message":"o","more":NaN},"request_id":"r"}"#;
    let events = Answer::sse(&named_sse(&[claudes]));
    for (schema, path, answer, status, body) in [
        (Anthropic, MESSAGES, events, 529, claudes),
        (AWSAnthropic, MESSAGES, Answer::frames(&[claudes]), 529, claudes),
        (OpenAI, CHAT, Answer::sse(&format!("data: {openais}\n\n")), 429, openais),
    ] {
        let gateway = Gateway::new().backend("b", schema);
        let outcome = gateway.post(path, STREAM).answered_by(answer).send();
        assert_eq!((outcome.status, outcome.text(), outcome.answer), (status, body, AnswerState::None));
        assert_eq!(outcome.headers.get("content-type"), Some("application/json"));
        assert_eq!(outcome.headers.get("content-length"), Some(body.len().to_string().as_str()));
    }
}

#[test]
fn an_answer_without_a_body_gets_one() {
    for (schema, path) in [(OpenAI, CHAT), (AWSAnthropic, CHAT), (Anthropic, MESSAGES)] {
        let gateway = Gateway::new().backend("b", schema);
        for (status, told) in [(401, 401), (500, 500), (200, 502), (204, 502), (307, 502)] {
            let answer = Answer::headers_only(status).header("location", "https://elsewhere.example/");
            let outcome = gateway.post(path, STREAM).answered_by(answer).send();
            assert_eq!((outcome.status, outcome.record.status), (told, told));
            assert!(!outcome.error().contains("502"), "what the backend really said: {}", outcome.error());
            assert_eq!(outcome.headers.get("location"), None);
        }
    }
    let odd = Answer::headers_only(429).header("x-ratelimit-reset", "1s");
    let outcome = openai().post(CHAT, BODY).answered_by(odd).send();
    assert_eq!(
        (outcome.headers.get("x-ratelimit-reset"), outcome.headers.get("retry-after")),
        (Some("1s"), None)
    );
    let throttled = Answer::headers_only(429).header("x-amzn-errortype", "ThrottlingException");
    let gateway = Gateway::new().backend("b", AWSAnthropic);
    let outcome = gateway.post(CHAT, BODY).answered_by(throttled.header("retry-after", "3")).send();
    assert_eq!((outcome.status, outcome.headers.get("retry-after")), (429, Some("3")));
}

#[test]
fn what_no_api_answers_is_a_502() {
    for (schema, path, valid) in
        [(OpenAI, CHAT, COMPLETION), (AWSAnthropic, CHAT, MESSAGE), (AWSAnthropic, MESSAGES, MESSAGE)]
    {
        let gateway = Gateway::new().backend("b", schema);
        let half = &valid[..valid.len() / 2];
        let mut cut_gzip = gzip(valid.as_bytes());
        cut_gzip.truncate(cut_gzip.len() - 9);
        for answer in [
            Answer::new(200, "application/json", ""),
            Answer::new(200, "text/html", "<html>log in</html>"),
            Answer::new(200, "application/json", half),
            Answer::new(200, "application/json", [valid, valid].concat()),
            Answer::new(200, "application/json", b"\x00\xff"),
            Answer::new(200, "", "ok"),
            Answer::new(307, "text/html", "moved").header("location", "https://elsewhere.example/"),
            Answer::json(200, valid).header("content-encoding", "br"),
            Answer::new(200, "application/json", valid).header("content-encoding", "gzip"),
            Answer::new(200, "application/json", cut_gzip).header("content-encoding", "gzip"),
        ] {
            let outcome = gateway.post(path, BODY).answered_by(answer).send();
            assert_eq!((outcome.status, outcome.answer), (502, AnswerState::None), "{}", outcome.text());
            assert_eq!(outcome.headers.get("location"), None);
            outcome.error();
        }
    }
    let page = Answer::new(200, "text/html", "<html>log in</html>");
    let outcome = openai().post("/v1/audio/speech", BODY).answered_by(page).send();
    assert_eq!(outcome.status, 502);
}

#[test]
fn the_framing_of_another_api_is_refused() {
    for (schema, answer) in
        [(OpenAI, Answer::frames(MESSAGE_EVENTS)), (AWSAnthropic, Answer::sse(&named_sse(MESSAGE_EVENTS)))]
    {
        let outcome = Gateway::new().backend("b", schema).post(CHAT, STREAM).answered_by(answer).send();
        assert_eq!(outcome.status, 502);
        assert!(outcome.error().contains("content type"), "{}", outcome.error());
    }
}

#[test]
fn an_error_inside_a_200_is_an_error_before_anything_is_released() {
    let openai_error = r#"{"error":{"message":"out of memory","type":"server_error","code":500}}"#;
    let claude_error = r#"{"type":"error","error":{"type":"overloaded_error","message":"out of memory"}}"#;
    for (schema, path, answer, status) in [
        (OpenAI, CHAT, Answer::json(200, openai_error), 500),
        (OpenAI, CHAT, Answer::sse(&format!(": hi\n\ndata: {openai_error}\n\ndata: [DONE]\n\n")), 500),
        (Anthropic, MESSAGES, Answer::sse(&named_sse(&[claude_error])), 529),
        (Anthropic, CHAT, Answer::sse(&named_sse(&[claude_error])), 529),
        (AWSAnthropic, MESSAGES, Answer::frames(&[claude_error]), 529),
        (AWSAnthropic, CHAT, Answer::frames(&[claude_error]), 529),
        (
            AWSAnthropic,
            MESSAGES,
            Answer::new(
                200,
                "application/vnd.amazon.eventstream",
                exception("throttlingException", r#"{"message":"out of memory"}"#),
            ),
            429,
        ),
    ] {
        let gateway = Gateway::new().backend("b", schema);
        let outcome = gateway.post(path, STREAM).answered_by(answer.clone()).send();
        assert_eq!((outcome.status, outcome.answer), (status, AnswerState::None), "{}", outcome.text());
        assert_eq!(outcome.error(), "out of memory");
        // Another backend may be asked still.
        let gateway = gateway.backend("second", OpenAI);
        if path == CHAT {
            let outcome = gateway
                .post(path, STREAM)
                .answered_by(answer)
                .answered_by(Answer::sse(&chat_sse(CHAT_CHUNKS)))
                .send();
            assert_eq!((outcome.status, outcome.sent.len()), (200, 2));
        }
    }
}
