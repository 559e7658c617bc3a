//! Whatever goes wrong, the client reads it in the shape of its own API.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::json;
use weir_core::backend::{AnswerHeaders, Attempt, Begin, Chunk, Place};
use weir_core::config::SchemaName::{AWSAnthropic, Anthropic, Cohere, OpenAI};
use weir_core::config::{Backend, Config, Route, Schema, Target};
use weir_core::edge::{Edge, Request, Response};
use weir_core::endpoint::ClientApi;
use weir_core::exchange::{Answer as AnswerState, Exchange};
use weir_core::headers::Headers;

use crate::answer::{
    Answer, CHAT_CHUNKS, COMPLETION, MESSAGE, MESSAGE_EVENTS, chat_sse, exception, frame, gzip, named_sse,
};
use crate::gateway::{Gateway, Memory};
use crate::host::{envoys_own, message_of};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/anthropic/v1/messages";
const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#;
const STREAM: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;

fn openai() -> Gateway {
    Gateway::new().backend("gpt", OpenAI)
}

#[test]
fn an_unknown_path_is_a_404_in_the_shape_of_its_api() {
    let gateway = openai();
    for (path, api) in [
        ("/v1/nope?key=1", ClientApi::OpenAi),
        ("/", ClientApi::OpenAi),
        ("/v1/chat/completions/", ClientApi::OpenAi),
        ("/anthropic/v1/nope", ClientApi::Anthropic),
        ("/cohere/v1/rerank", ClientApi::Cohere),
    ] {
        let outcome = gateway.post(path, BODY).send();
        assert_eq!((outcome.status, outcome.api), (404, api));
        assert!(outcome.error().contains(path.split('?').next().unwrap()));
        assert!(!outcome.text().contains("key=1"));
    }
}

#[test]
fn a_wrong_method_names_the_right_one() {
    let outcome = openai().get(CHAT).send();
    assert_eq!((outcome.status, outcome.headers.get("allow")), (405, Some("POST")));
    assert_eq!(outcome.error(), "/v1/chat/completions takes POST, not GET");
}

#[test]
fn a_model_that_cannot_be_routed_by_is_a_400_that_says_why() {
    let gateway = openai();
    let long = format!(r#"{{"model":"{}"}}"#, "m".repeat(513));
    for (body, why) in [
        ("{}", "model is missing"),
        (r#"{"Model":"m"}"#, "model is missing"),
        (r#"{"model":""}"#, "model is empty"),
        (r#"{"model":7}"#, "must be a string"),
        (r#"{"model":null}"#, "must be a string"),
        (r#"{"model":"\ud800"}"#, "must be a string"),
        (r#"{"model":" m"}"#, "spaces around"),
        (r#"{"model":"m\r\nx-evil: 1"}"#, "control characters"),
        (r#"{"model":"m\u0000"}"#, "control characters"),
        (r#"{"model":"m\u0085n"}"#, "control characters"),
        (r#"{"model":".."}"#, "cannot be"),
        (r#"{"model":"\u002e"}"#, "cannot be"),
        (long.as_str(), "longer than 512"),
        (r#"{"model":"a","model":"b"}"#, "appears again"),
        (r#"{"model":"a","MODEL":"b"}"#, "appears again"),
        (r#"{"model":"a","mod\u0065l":"b"}"#, "appears again"),
        (r#"{"MODEL":"a","x":{"model":"c"},"model":"b"}"#, "appears again"),
        (r#"{"model":"m","stream_options":7}"#, "stream_options"),
        ("", "body"),
        (" ", "ends too early"),
        (r#"{"model":"m""#, "JSON"),
        (r#"{"model":"m"} {}"#, "JSON"),
        (r#"["model"]"#, "object"),
        ("{\"model\":\"\u{fffd}\"\u{0}}", "JSON"),
    ] {
        let outcome = gateway.post(CHAT, body).send();
        assert_eq!((outcome.status, outcome.sent.len()), (400, 0), "{body}");
        assert!(outcome.error().contains(why), "{body}: {}", outcome.error());
        assert!(outcome.error().contains(CHAT), "{}", outcome.error());
        let outcome = gateway.post(MESSAGES, body).send();
        assert_eq!(outcome.json()["error"]["type"], "invalid_request_error");
    }
    let outcome = gateway.post(CHAT, b"{\"model\":\"\xff\"}").send();
    assert!(outcome.error().contains("UTF-8"));
}

#[test]
fn a_form_without_what_it_needs_is_a_400() {
    let gateway = openai();
    let path = "/v1/audio/translations";
    let part = |name: &str, value: &str| {
        format!("--X\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    for (body, why) in [
        (part("file", "x"), "no part named model"),
        (part("model", "m"), "no part named file"),
        (part("model", "m") + &part("model", "n") + &part("file", "x"), "model"),
        ("x".to_owned(), "malformed"),
    ] {
        let outcome = gateway
            .post(path, body + "--X--\r\n")
            .header("content-type", "multipart/form-data; boundary=X")
            .send();
        assert_eq!(outcome.status, 400);
        assert!(outcome.error().contains(why), "{}", outcome.error());
    }
}

#[test]
fn a_model_that_servers_may_find_elsewhere_is_a_400() {
    let gateway = openai();
    let path = "/v1/audio/transcriptions";
    let form = |model: &str| {
        format!(
            "--X\r\ncontent-disposition: form-data; name={model}\r\n--X\r\n\
             content-disposition: form-data; name=file; filename=a\r\n\r\nx\r\n--X--\r\n"
        )
    };
    let plain = form("model\r\n\r\nm");
    let content_type = "multipart/form-data; boundary=X";
    let post = |path: &str, body: &str, content_type: &str| {
        gateway.post(path, body).header("content-type", content_type)
    };
    let taken = || post(path, &plain, content_type).answered_by(Answer::json(200, r#"{"text":"a"}"#)).send();
    assert_eq!(taken().status, 200);
    for (call, why) in [
        (post(path, &plain, "multipart/form-data; boundary=X; boundary*=UTF-8''Y"), "a * in its name"),
        (post(path, &plain, content_type).another("content-type", content_type), "two content-type"),
        (post(&format!("{path}?a=b&mod%65l=other"), &plain, content_type), "the query has"),
        (post(&format!("{path}?Model[]=other"), &plain, content_type), "the query has"),
        (post(path, &form("model; name*0=file\r\n\r\nm"), content_type), "a * in its name"),
        (post(path, &form("model; filename=a\r\n\r\nm"), content_type), "is a file"),
        (post(path, &form("model\r\n\r\nm "), content_type), "spaces around"),
    ] {
        let outcome = call.send();
        assert_eq!((outcome.status, outcome.sent.len()), (400, 0));
        assert!(outcome.error().contains(why), "{}", outcome.error());
    }
}

#[test]
fn a_body_over_the_limit_is_refused_as_soon_as_that_is_known() {
    let mut gateway = openai();
    gateway.config.body_limit = BODY.len();
    let outcome = gateway.post(CHAT, BODY).answered_by(Answer::json(200, COMPLETION)).send();
    assert_eq!(outcome.status, 200);
    gateway.config.body_limit = BODY.len() - 1;
    let announced = |length: &str| gateway.post(CHAT, BODY).header("content-length", length);
    for call in [
        gateway.post(CHAT, BODY),
        gateway.post(CHAT, BODY).without("content-length"),
        announced("4294967296"),
        announced("4294967297"),
        announced("18446744073709551616"),
    ] {
        let outcome = call.send();
        assert_eq!((outcome.status, outcome.sent.len()), (413, 0));
        assert!(outcome.error().contains("limit"));
    }
    gateway.config.body_limit = BODY.len();
    for length in ["4294967296", "18446744073709551616"] {
        // As soon as the headers are there.
        let call = gateway.post(CHAT, BODY).header("content-length", length);
        assert_eq!(call.send().status, 413, "{length}");
    }
}

#[test]
fn a_refusal_that_envoy_was_quicker_with_is_the_gateways_all_the_same() {
    for (path, api) in [(CHAT, ClientApi::OpenAi), (MESSAGES, ClientApi::Anthropic)] {
        let exchange = Exchange::new(Headers::from([(":method", "POST"), (":path", path)]), 0);
        let config = Config { body_limit: 100, ..Config::default() };
        let mut edge = Edge::new(Arc::new(config), Rc::new(RefCell::new(exchange)));
        assert!(matches!(edge.request_headers(false), Request::Hold(_)));
        let headers = Headers::from([("content-type", "application/json"), ("content-length", "88")]);
        // The listener's own limit may be the smaller one.
        let Response::Replace(_, body) = edge.response_headers(413, &headers, None, false) else {
            panic!("Envoy's own words")
        };
        message_of(&serde_json::from_slice(&body).unwrap(), api);
        let refused = edge.request_body_progress(101).unwrap();
        let Response::Replace(edits, body) = edge.response_headers(413, &headers, None, false) else {
            panic!("Envoy's own words")
        };
        assert_eq!((&body, edits.get("content-length")), (&refused.body, Some(None)));
        assert!(message_of(&serde_json::from_slice(&body).unwrap(), api).contains("100 bytes"));
    }
}

#[test]
fn an_encoded_request_is_a_415() {
    let gateway = openai();
    let outcome = gateway.post(CHAT, BODY).header("content-encoding", "gzip").send();
    assert_eq!(outcome.status, 415);
    assert!(outcome.error().contains("gzip"));
    let call = gateway.post(CHAT, BODY).header("content-encoding", "Identity");
    assert_eq!(call.answered_by(Answer::json(200, COMPLETION)).send().status, 200);
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
fn a_stream_that_finds_no_room_ends_by_status_or_by_event() {
    let config = {
        let mut gateway = openai();
        gateway.config.routes = [("r".to_owned(), Arc::new(gateway.route))].into();
        Arc::new(gateway.config)
    };
    let begin = |path: &str| {
        let exchange = Rc::new(RefCell::new(Exchange::new(Headers::from([(":path", path)]), 0)));
        let place = Place { route: "r", target: "0/0/default/gpt" };
        let Begin::Attempt(attempt) = Attempt::begin(&config, &exchange, place, &Memory::default(), 0) else {
            panic!("refused")
        };
        (attempt, exchange)
    };
    let sse = Answer::sse("").header_map();
    let event = format!("data: {}\n\n", CHAT_CHUNKS[0]);

    let (mut attempt, exchange) = begin(CHAT);
    assert_eq!(attempt.answer_headers(200, &sse, false, 0), AnswerHeaders::Stream);
    let Chunk::Release(_, first) = attempt.answer_chunk(event.as_bytes(), false, 0) else { panic!("held") };
    assert_eq!(first, event.as_bytes());
    let step = attempt.answer_chunk(b"data: {\"half", false, 0);
    assert!(attempt.stream_held() > 0);
    let Chunk::Replace(end) = attempt.end_stream_for_room(step) else { panic!("nothing said") };
    let end = String::from_utf8(end).unwrap();
    assert!(end.starts_with("data: {") && end.contains("service_unavailable_error"), "{end}");
    assert_eq!(attempt.stream_held(), 0);
    let rest = attempt.answer_chunk(format!("an event\"}}\n\n{event}").as_bytes(), true, 0);
    assert_eq!(rest, Chunk::Replace(Vec::new()), "all was said");
    assert_eq!(exchange.borrow().attempt.answer, AnswerState::Begun);

    for opening in ["", "\n", "data: {\"half"] {
        let (mut attempt, _) = begin(CHAT);
        assert_eq!(attempt.answer_headers(200, &sse, false, 0), AnswerHeaders::Stream);
        let step = attempt.answer_chunk(opening.as_bytes(), false, 0);
        let Chunk::Release(headers, _) = attempt.end_stream_for_room(step) else { panic!("held") };
        assert_eq!(headers.get(":status"), Some(Some("503")));
        assert_eq!(headers.get("retry-after"), Some(Some("1")));
    }
    let (mut attempt, _) = begin(CHAT);
    let json = Answer::json(200, "").header_map();
    assert_eq!(attempt.answer_headers(200, &json, false, 0), AnswerHeaders::Whole);
    let whole = attempt.whole_without_room();
    assert_eq!(whole.headers.get(":status"), Some(Some("503")));
    assert_eq!(whole.headers.get("retry-after"), Some(Some("1")));
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

/// What a client that speaks `api` reads at the end of a stream that broke.
fn last_event(outcome: &crate::host::Outcome) -> String {
    let last = outcome.events().pop().unwrap();
    message_of(&serde_json::from_str(&last).unwrap(), outcome.api)
}

#[test]
fn a_stream_that_breaks_ends_with_an_error_event() {
    let sse = |events: &[&str]| Answer::sse(&named_sse(events));
    let chat = |rest: &str| Answer::sse(&(format!("data: {}\n\n", CHAT_CHUNKS[1]) + rest));
    let start = &MESSAGE_EVENTS[..4];
    let mut bad = frame(MESSAGE_EVENTS[4]);
    *bad.last_mut().unwrap() ^= 1;
    let good = frame(MESSAGE_EVENTS[4]);
    let text = exception("modelStreamErrorException", r#"{"message":"the model broke"}"#);
    for (schema, path, answer, message) in [
        (OpenAI, CHAT, chat(""), "before the answer was complete"),
        (OpenAI, CHAT, chat("data: {\"choices\":[{\"delta\":{\"cont"), "within an event"),
        (OpenAI, CHAT, chat("data: {\"choices\":[{\"delta\":{\"cont\n\n"), "no JSON object"),
        (OpenAI, CHAT, chat("data: Internal Server Error\n\n"), "no JSON object"),
        (
            OpenAI,
            CHAT,
            chat("data: {\"error\":{\"message\":\"gone\",\"type\":\"server_error\"}}\n\n"),
            "gone",
        ),
        (
            OpenAI,
            "/v1/completions",
            Answer::sse("data: {\"choices\":[{\"text\":\"a\"}]}\n\n"),
            "before the answer was complete",
        ),
        (Anthropic, MESSAGES, sse(start), "before the answer was complete"),
        (Anthropic, MESSAGES, sse(start).then("event: message_stop\ndata: {\"type\":"), "within an event"),
        (Anthropic, CHAT, sse(start), "before its answer was complete"),
        (AWSAnthropic, MESSAGES, Answer::frames(start), "before the answer was complete"),
        (AWSAnthropic, MESSAGES, Answer::frames(start).then(&bad), "malformed"),
        (AWSAnthropic, MESSAGES, Answer::frames(start).then(&good[..20]), "within a frame"),
        (AWSAnthropic, MESSAGES, Answer::frames(start).then(&text), "the model broke"),
        (AWSAnthropic, CHAT, Answer::frames(start).then(&text), "the model broke"),
        (AWSAnthropic, CHAT, Answer::frames(start).then(&bad), "malformed"),
        (AWSAnthropic, CHAT, Answer::frames(start).then(&good[..5]), "within a frame"),
    ] {
        let gateway = Gateway::new().backend("b", schema);
        let outcome = gateway.post(path, STREAM).answered_by(answer.then("")).send();
        assert_eq!((outcome.status, outcome.answer), (200, AnswerState::Begun), "{}", outcome.text());
        assert!(last_event(&outcome).contains(message), "{}", outcome.text());
        assert!(!outcome.text().contains("[DONE]"), "{}", outcome.text());
        assert!(outcome.record.output_tokens > Some(0));
    }
}

#[test]
fn what_follows_a_break_is_not_for_the_client() {
    let mut bad = frame(MESSAGE_EVENTS[4]);
    *bad.last_mut().unwrap() ^= 1;
    let gateway = Gateway::new().backend("b", AWSAnthropic);
    let answer = Answer::frames(&MESSAGE_EVENTS[..4]).then(bad).then(frame(MESSAGE_EVENTS[7])).then("more");
    let outcome = gateway.post(MESSAGES, STREAM).answered_by(answer).send();
    assert_eq!(outcome.events().len(), 5);
    assert!(last_event(&outcome).contains("malformed"));
}

#[test]
fn the_end_of_a_stream_is_told_once() {
    let whole = named_sse(MESSAGE_EVENTS);
    let gateway = Gateway::new().backend("b", AWSAnthropic);
    for rest in [frame("{}")[..7].to_vec(), exception("internalServerException", "{}"), vec![0; 30]] {
        let answer = Answer::frames(MESSAGE_EVENTS).then(rest);
        let outcome = gateway.post(MESSAGES, STREAM).answered_by(answer).send();
        assert_eq!((outcome.text(), outcome.answer), (whole.as_str(), AnswerState::Complete));
    }
    let error = r#"{"type":"error","error":{"type":"api_error","message":"gone"}}"#;
    let events = [&MESSAGE_EVENTS[..4], &[error]].concat();
    let outcome = gateway.post(MESSAGES, STREAM).answered_by(Answer::frames(&events)).send();
    assert_eq!((outcome.text(), outcome.answer), (named_sse(&events).as_str(), AnswerState::Begun));
}

#[test]
fn a_stream_that_says_it_is_done_may_just_end() {
    let gateway = openai();
    let whole = chat_sse(&CHAT_CHUNKS[..4]);
    for cut in ["data: [DONE]\n\n", "\n", "\n\n"] {
        let answer = Answer::sse(whole.strip_suffix(cut).unwrap());
        let outcome = gateway.post(CHAT, STREAM).answered_by(answer.then("")).send();
        assert_eq!((outcome.text(), outcome.answer), (whole.as_str(), AnswerState::Complete));
    }
    let whole = named_sse(MESSAGE_EVENTS);
    let gateway = Gateway::new().backend("b", Anthropic);
    let outcome = gateway.post(MESSAGES, STREAM).answered_by(Answer::sse(whole.trim_end())).send();
    assert_eq!((outcome.text(), outcome.answer), (whole.as_str(), AnswerState::Complete));
}

#[test]
fn a_gzip_stream_that_is_cut_gives_what_came_and_an_error() {
    let gateway = openai();
    let mut body = gzip(chat_sse(&CHAT_CHUNKS[..3]).replace("data: [DONE]\n\n", "").as_bytes());
    body.truncate(body.len() - 4);
    let answer = Answer::new(200, "text/event-stream", body).header("content-encoding", "gzip");
    let outcome = gateway.post(CHAT, STREAM).answered_by(answer).send();
    assert_eq!(outcome.events().len(), 4);
    last_event(&outcome);
    let nothing = Answer::sse("not gzip").header("content-encoding", "gzip");
    assert_eq!(gateway.post(CHAT, STREAM).answered_by(nothing).send().status, 502);
}

#[test]
fn envoys_own_replies_are_told_in_the_clients_words() {
    for body in ["", "no healthy upstream"] {
        let (status, _, json) = envoys_own(CHAT, "gpt-9", (404, "route_not_found"), body);
        assert_eq!((status, &json["error"]["code"]), (404, &json!("model_not_found")));
        assert!(json["error"]["message"].as_str().unwrap().contains("gpt-9"));
        let (status, headers, json) = envoys_own(MESSAGES, "m", (429, "request_rate_limited"), body);
        assert_eq!((status, headers.get("retry-after")), (429, Some("40")));
        assert_eq!(json["error"]["type"], "rate_limit_error");
        let (status, _, json) = envoys_own(MESSAGES, "m", (503, "no_healthy_upstream"), body);
        assert_eq!((status, &json["error"]["type"]), (503, &json!("service_unavailable_error")));
        for (details, status) in [("upstream_per_try_timeout", 504), ("request_overall_timeout", 408)] {
            assert_eq!(envoys_own("/cohere/v2/rerank", "m", (status, details), body).0, status);
        }
        let (status, _, json) = envoys_own("/anthropic/nope", "", (404, "route_not_found"), body);
        assert_eq!((status, &json["error"]["type"]), (404, &json!("not_found_error")));
    }
}

#[test]
fn a_mistake_in_the_configuration_is_a_500_that_names_it() {
    let mut gateway = openai();
    gateway.config.backends.clear();
    gateway.config.backends.insert(
        "default/gpt".to_owned(),
        Backend {
            schema: Schema { name: OpenAI, prefix: None, version: None },
            hosts: Vec::new(),
            address: None,
            betas: None,
            credential_override: None,
            auth: None,
        }
        .into(),
    );
    let outcome = gateway.post(CHAT, BODY).answered_by(Answer::json(200, COMPLETION)).send();
    assert_eq!(outcome.status, 500);
    assert!(outcome.error().ends_with("has no host 0 of the backend default/gpt"), "{}", outcome.error());
    gateway.route.targets = vec![Target { backend: "default/gone".to_owned(), ..Target::default() }.into()];
    let outcome = gateway.post(CHAT, BODY).answered_by(Answer::json(200, COMPLETION));
    assert_eq!(outcome.send().status, 500);
}

#[test]
fn plain_routes_are_left_alone() {
    let mut gateway = openai();
    gateway.route = Route::default();
    gateway.config.plain_routes = true;
    for (call, answer) in [
        (gateway.get("/index.html"), Answer::new(200, "text/html", "<p>")),
        (gateway.get("/index.html").header(":method", "HEAD"), Answer::headers_only(404)),
        (gateway.post("/form", "a=b"), Answer::new(500, "text/plain", "no")),
        (gateway.post(CHAT, BODY), Answer::headers_only(403)),
        (gateway.post(CHAT, BODY), Answer::headers_only(304)),
    ] {
        let outcome = call.answered_by(answer.clone()).send();
        assert_eq!((outcome.status, outcome.body), (answer.status, answer.body()));
        assert_eq!(outcome.headers, answer.headers.into_iter().collect());
        assert!(outcome.costs.is_empty());
        let sent = &outcome.sent[0].headers;
        for name in ["x-aigw-api-key", "x-weir-secret-0"] {
            assert_eq!(sent.get(name), None, "what is the gateway's own is no client's to say");
        }
        assert_ne!(sent.get("x-ai-eg-model"), Some("forged"));
        assert!(sent.get("authorization").is_some(), "everything else is");
    }
}

#[test]
fn a_path_that_is_no_endpoint_passes_no_route_for_models() {
    let mut gateway = openai();
    gateway.config.plain_routes = true;
    for call in [gateway.get("/v1/files"), gateway.post("/anthropic/v1/files", "{}")] {
        let outcome = call.answered_by(Answer::json(200, "{}")).send();
        assert_eq!((outcome.status, outcome.sent.len()), (404, 0));
        assert!(outcome.error().starts_with("unknown path"));
    }
}

#[test]
fn a_route_that_the_configuration_does_not_know_is_refused() {
    let headers = Headers::from([(":path", CHAT), ("authorization", "Bearer of-an-earlier-backend")]);
    let exchange = Rc::new(RefCell::new(Exchange::new(headers, 0)));
    let place = Place { route: "default/gone/rule/0", target: "0/0/default/gpt" };
    let begun = Attempt::begin(&Arc::default(), &exchange, place, &Memory::default(), 0);
    let Begin::Reply(reply) = begun else { panic!("{begun:?}") };
    assert_eq!(reply.status, 503);
}
