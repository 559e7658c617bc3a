//! Paths below a prefix pass to a backend as they are: any method, with its credentials, and on the books.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use weir_core::auth::sigv4;
use weir_core::config::SchemaName::{self, AWSBedrock, Anthropic, AzureOpenAI, OpenAI};
use weir_core::config::{Betas, PassThrough};
use weir_core::edge::{Edge, Request};
use weir_core::exchange::{self, Exchange};
use weir_core::usage::record::UsageStatus;

use crate::answer::{Answer, COMPLETION};
use crate::gateway::{Gateway, REGION};

fn passing(prefix: &str, name: &str, schema: SchemaName, path: &str) -> Gateway {
    let mut gateway = Gateway::new().backend(name, schema);
    gateway.route.pass_through =
        Some(PassThrough { prefix: prefix.to_owned(), path: path.to_owned(), models: vec![] });
    gateway
}

#[test]
fn method_path_query_and_body_pass_and_the_prefix_goes() {
    let gateway = passing("/azure", "azure", AzureOpenAI, "");
    let body = "not JSON \u{0}";
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let call = gateway.post("/azure/openai/files/f%2F1?api-version=1&api-key=k&b=%20", body);
        let call = call.header(":method", method).header("content-type", "text/x").header("accept", "a/b");
        let outcome = call.answered_by(Answer::new(201, "text/y", "odd \u{1}")).send();
        let sent = &outcome.sent[0];
        assert_eq!(sent.path(), "/openai/files/f%2F1?api-version=1&b=%20");
        assert_eq!((sent.headers.get(":method"), sent.text()), (Some(method), body));
        assert_eq!(sent.headers.get("content-type"), Some("text/x"));
        assert_eq!(sent.headers.get("accept"), Some("a/b"));
        assert_eq!(sent.headers.get("api-key"), Some("key-of-azure."));
        assert_eq!((outcome.status, outcome.text()), (201, "odd \u{1}"));
        assert_eq!(outcome.headers.get("content-type"), Some("text/y"));
        let record = &outcome.record;
        assert_eq!((record.endpoint, record.backend.as_str()), ("pass_through", "default/azure"));
        assert_eq!((record.usage_status, record.usage.total()), (UsageStatus::None, None));
        assert_eq!((record.user.as_str(), record.status, record.attempts), ("ann", 201, 1));
    }
}

#[test]
fn what_has_no_body_passes_without_one() {
    let gateway = passing("/v1/files", "gpt", OpenAI, "/v1/files");
    let call = gateway.get("/v1/files/f_1/content").without("content-type").without("content-length");
    let outcome = call.answered_by(Answer::new(200, "application/octet-stream", b"\x00\xff")).send();
    let sent = &outcome.sent[0];
    assert_eq!((sent.path(), sent.headers.get(":method")), ("/v1/files/f_1/content", Some("GET")));
    assert_eq!((sent.headers.get("content-type"), sent.headers.get("content-length")), (None, None));
    assert_eq!(outcome.body, b"\x00\xff");

    let outcome = gateway.get("/v1/files").header(":method", "DELETE");
    let outcome = outcome.answered_by(Answer::headers_only(204)).send();
    assert_eq!((outcome.status, outcome.answer), (204, exchange::Answer::Complete));
}

#[test]
fn the_prefix_of_the_api_stands_for_v1() {
    let mut gateway = passing("/gemini", "gemini", OpenAI, "");
    gateway.backend_mut("gemini").schema.prefix = Some("v1beta/openai".to_owned());
    let outcome = gateway.get("/gemini/v1/files?limit=2").answered_by(Answer::json(200, "{}")).send();
    assert_eq!(outcome.sent[0].path(), "/v1beta/openai/files?limit=2");
}

#[test]
fn a_signature_is_over_what_is_sent() {
    let gateway = passing("/aws", "bedrock", AWSBedrock, "");
    let body = r#"{"messages": []}"#;
    for (method, path, body) in [
        ("POST", "/model/anthropic.claude-v1%3A0/converse", body),
        ("GET", "/model/a/x?b=2&a=1", ""),
        ("DELETE", "/model/a", ""),
    ] {
        let call = gateway.post(&format!("/aws{path}"), body).header(":method", method);
        // As boto3 signs it for the gateway.
        let call = call
            .header("x-amz-date", "20260101T000000Z")
            .header("x-amz-security-token", "clients-own-credential");
        let outcome = call.answered_by(Answer::json(200, "{}")).send();
        let sent = &outcome.sent[0];
        assert_eq!(sent.path(), path);
        let weir_core::auth::Credential::Aws(credentials) = crate::gateway::credential("bedrock", AWSBedrock)
        else {
            panic!()
        };
        let signing = sigv4::Signing {
            method,
            target: path,
            host: "bedrock.example",
            headers: &[("content-type", "application/json")],
            body: body.as_bytes(),
            credentials: &credentials,
            region: REGION,
            service: "bedrock",
            now: gateway.now_ms.get() / 1000,
        };
        for (name, value) in sigv4::sign(&signing, &mut sigv4::SigningKeys::default()).iter() {
            assert_eq!(sent.headers.get(name), Some(value), "{method} {name}");
        }
    }
}

#[test]
fn usage_is_counted_where_it_is_recognised() {
    let gateway = passing("/openai", "gpt", OpenAI, "");
    let body = r#"{"model":"qwen3","messages":[]}"#;
    let post = || gateway.post("/openai/v1/chat/completions", body);
    let answers = [
        Answer::json(200, COMPLETION),
        Answer::json(200, COMPLETION).gzipped(),
        Answer::json(200, COMPLETION).in_chunks(COMPLETION.bytes().map(|byte| vec![byte]).collect(), false),
    ];
    for answer in answers {
        let outcome = post().header("accept-encoding", "gzip").answered_by(answer.clone()).send();
        assert_eq!(outcome.body, answer.body());
        assert_eq!(outcome.sent[0].text(), body);
        let record = &outcome.record;
        assert_eq!((record.usage_status, record.usage.total()), (UsageStatus::Complete, Some(13)));
        assert_eq!((record.original_model.as_str(), record.response_model.as_str()), ("qwen3", "qwen3-8b"));
        assert!(outcome.costs.contains(&("llm_total_token".to_owned(), 13)), "{:?}", outcome.costs);
    }
    // What is fetched was counted when it was made.
    let outcome =
        gateway.get("/openai/v1/chat/completions/c_1").answered_by(Answer::json(200, COMPLETION)).send();
    assert_eq!((outcome.record.usage_status, outcome.costs.len()), (UsageStatus::None, 0));
}

const MESSAGE: [&str; 3] = [
    r#"{"type":"message_start","message":{"model":"claude","usage":{"input_tokens":3,"cache_read_input_tokens":4,"output_tokens":1}}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#,
];

#[test]
fn streams_pass_to_the_byte_and_are_counted() {
    let gateway = passing("/claude", "claude", Anthropic, "");
    let sse: String = MESSAGE.iter().map(|data| format!("event: x\ndata: {data}\n\n: comment\n\n")).collect();
    let outcome =
        gateway.post("/claude/v1/messages", r#"{"stream":true}"#).answered_by(Answer::sse(&sse)).send();
    assert_eq!(outcome.text(), sse);
    assert_eq!(outcome.sent[0].headers.get("anthropic-version"), Some("2023-06-01"));
    let record = &outcome.record;
    assert_eq!(
        (record.usage.input(), record.usage.output(), record.usage.total()),
        (Some(7), Some(2), Some(9))
    );
    assert_eq!((record.usage_status, record.response_model.as_str()), (UsageStatus::Complete, "claude"));

    // However it is cut into chunks.
    let cases = [
        (&gateway, "/claude/v1/messages", Answer::sse(&sse)),
        (&passing("/aws", "bedrock", AWSBedrock, ""), "/aws/model/m/invoke", Answer::frames(&MESSAGE)),
    ];
    for (gateway, path, answer) in cases {
        for size in [1, 2, 7, 100] {
            let chunks: Vec<Vec<u8>> = answer.body().chunks(size).map(<[u8]>::to_vec).collect();
            for end_with_chunk in [true, false] {
                let mut chunks = chunks.clone();
                if !end_with_chunk {
                    chunks.push(Vec::new());
                }
                let outcome =
                    gateway.post(path, "{}").answered_by(answer.clone().in_chunks(chunks, true)).send();
                assert_eq!(outcome.body, answer.body());
                assert_eq!(
                    (outcome.record.usage.total(), outcome.record.usage_status),
                    (Some(9), UsageStatus::Complete)
                );
            }
        }
    }

    // The client leaves in the midst of it.
    let begun = Answer::sse(&format!("data: {}\n\n", MESSAGE[0])).breaks();
    let outcome = gateway.post("/claude/v1/messages", "{}").answered_by(begun).send();
    assert_eq!((outcome.record.usage_status, outcome.record.usage.input()), (UsageStatus::Partial, Some(7)));

    let gateway = passing("/aws", "bedrock", AWSBedrock, "");
    let path = "/aws/model/claude/invoke-with-response-stream";
    let outcome = gateway.post(path, "{}").answered_by(Answer::frames(&MESSAGE)).send();
    assert_eq!(outcome.record.usage.total(), Some(9));
    assert_eq!(outcome.record.original_model, "claude");
    let events = [
        r#"metadata {"usage":{"inputTokens":7,"outputTokens":2,"totalTokens":9},"metrics":{"latencyMs":1}}"#,
    ];
    let outcome =
        gateway.post("/aws/model/m/converse-stream", "{}").answered_by(Answer::named_frames(&events)).send();
    assert_eq!(outcome.record.usage.total(), Some(9));
}

#[test]
fn an_answer_that_cannot_be_read_passes_all_the_same() {
    let gateway = passing("/openai", "gpt", OpenAI, "");
    for answer in [
        Answer::json(200, "{"),
        Answer::json(200, COMPLETION).header("content-encoding", "gzip"),
        Answer::json(200, COMPLETION).header("content-encoding", "unheard-of"),
        Answer::new(200, "application/vnd.amazon.eventstream", "no frame, and long enough to tell"),
        Answer::new(302, "text/html", "elsewhere").header("location", "https://elsewhere.example"),
        Answer::headers_only(304),
    ] {
        let outcome = gateway.post("/openai/v1/x", "{}").answered_by(answer.clone()).send();
        assert_eq!((outcome.status, &outcome.body), (answer.status, &answer.body()));
        assert_eq!(outcome.record.usage_status, UsageStatus::None);
        assert_eq!(outcome.answer, exchange::Answer::Complete, "{answer:?}");
    }
}

#[test]
fn errors_are_the_backends_own_without_its_credential() {
    let gateway = passing("/openai", "gpt", OpenAI, "");
    let error = r#"{"odd":"Bearer key-of-gpt. is wrong"}"#;
    let outcome = gateway.post("/openai/v1/x", "{}").answered_by(Answer::json(401, error)).send();
    assert_eq!(outcome.status, 401);
    assert!(outcome.text().starts_with(r#"{"odd":"Bearer "#), "{}", outcome.text());
    assert!(!outcome.text().contains("key-of-gpt"), "{}", outcome.text());
    let page = Answer::new(413, "text/html", "<p>too large</p>");
    let outcome = gateway.post("/openai/v1/x", "").answered_by(page).send();
    assert_eq!((outcome.status, outcome.text()), (413, "<p>too large</p>"));
    assert_eq!(outcome.headers.get("content-type"), Some("text/html"));
    let outcome = gateway.post("/openai/v1/x", "{}").answered_by(Answer::headers_only(404)).send();
    assert_eq!((outcome.status, outcome.text()), (404, ""));
}

#[test]
fn other_paths_stay_what_they_are() {
    let gateway = passing("/openai", "gpt", OpenAI, "");
    for (path, status) in
        [("/openaix/v1/x", 404), ("/v1/x", 404), ("/openai/a%2F..%2Fb", 400), ("/v1/models", 200)]
    {
        let outcome = gateway.get(path).send();
        assert_eq!(outcome.status, status, "{path}");
        assert!(outcome.sent.is_empty());
    }
    // An endpoint's request cannot come to such a route, nor a passing one to another.
    let outcome =
        gateway.post("/v1/chat/completions", r#"{"model":"m"}"#).answered_by(Answer::json(200, "{}")).send();
    assert_eq!((outcome.status, outcome.sent.len()), (404, 0));
}

#[test]
fn the_operators_headers_hold() {
    let mut gateway = passing("/claude", "claude", Anthropic, "").target(|target| {
        target.headers.set.push(("X-Team".to_owned(), "a".to_owned()));
        target.headers.remove.push("X-Secret".to_owned());
    });
    gateway.backend_mut("claude").betas = Some(Betas::Only(vec!["files-api-2025-04-14".to_owned()]));
    let call = gateway.post("/claude/v1/files", "{}").header("x-secret", "s");
    let call = call.header("anthropic-beta", "files-api-2025-04-14, context-1m-2025-08-07");
    let outcome = call.header("anthropic-version", "2024-01-01").answered_by(Answer::json(200, "{}")).send();
    let headers = &outcome.sent[0].headers;
    assert_eq!((headers.get("x-team"), headers.get("x-secret")), (Some("a"), None));
    assert_eq!(headers.get("anthropic-beta"), Some("files-api-2025-04-14"));
    assert_eq!(headers.get("anthropic-version"), Some("2024-01-01"));
}

#[test]
fn what_is_too_large_to_be_read_passes_unread() {
    let gateway = passing("/openai", "gpt", OpenAI, "");
    let body = format!(r#"{{"model":"m","file":"{}"}}"#, "x".repeat(gateway.config.body_limit));
    let outcome = gateway.post("/openai/v1/files", &body).answered_by(Answer::json(200, "{}")).send();
    assert_eq!((outcome.status, outcome.sent[0].body.len()), (200, body.len()));
    assert_eq!(outcome.record.original_model, "");
}

#[test]
fn where_a_prefix_has_several_backends_the_model_is_shown_to_routes() {
    // As of the second backend of `/v1/batches`.
    let mut gateway = passing("/v1/batches", "azure", OpenAI, "/openai/v1/batches");
    gateway.route.pass_through.as_mut().unwrap().models = vec!["gpt-5".to_owned()];
    let shown = |body: &str, header: &str| {
        let mut config = gateway.config.clone();
        config.routes.insert("r".to_owned(), gateway.route.clone().into());
        let headers: Vec<(&str, &str)> = vec![
            (":method", "POST"),
            (":path", "/v1/batches"),
            ("content-type", "application/json"),
            ("content-length", "20"),
            ("x-ai-eg-model", header),
        ];
        let exchange = Exchange::new(headers.into_iter().collect(), 0);
        let mut edge = Edge::new(Arc::new(config), Rc::new(RefCell::new(exchange)));
        let Request::Hold(edits) = edge.request_headers(false) else { panic!() };
        let early = edits.get("x-ai-eg-model").flatten().map(str::to_owned);
        let Request::Pass(edits) = edge.request_body(body.as_bytes()) else { panic!() };
        let late = edits.get("x-ai-eg-model").flatten().map(str::to_owned);
        let exchange = edge.exchange().borrow();
        let limited_by = exchange.header("x-ai-eg-model").map(|model| model.into_owned());
        assert_eq!(early.clone().or(late.clone()), limited_by, "limits see what routes see");
        (early, late, exchange.client.model.clone())
    };
    let gpt = || Some("gpt-5".to_owned());
    assert_eq!(shown(r#"{"model":"gpt-5"}"#, "forged"), (None, gpt(), "gpt-5".to_owned()));
    assert_eq!(shown(r#"{"model":"other"}"#, "gpt-5"), (gpt(), None, "gpt-5".to_owned()));
    assert_eq!(shown(r#"{"model":"other"}"#, "forged"), (None, None, "other".to_owned()));
    assert_eq!(shown("{}", "forged"), (None, None, String::new()));
}
