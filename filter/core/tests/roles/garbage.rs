//! Whatever a backend answers, nothing panics, and what the client gets is whole in itself.

use proptest::prelude::*;
use proptest::sample::select;
use weir_core::config::SchemaName::{
    self, AWSAnthropic, AWSBedrock, Anthropic, Cohere, GCPVertexAI, OpenAI, OpenAIChat,
};
use weir_core::endpoint::Endpoint;

use crate::answer::{
    Answer, Bytes, CHAT_CHUNKS, COHERE_EVENTS, CONVERSE_EVENTS, GEMINI_EVENTS, MESSAGE_EVENTS, chat_sse,
    frame, named_frame,
};
use crate::gateway::Gateway;
use crate::host::ends_by_itself;
use crate::outcome::{Outcome, message_of};

const PAIRS: &[(&str, SchemaName)] = &[
    ("/v1/chat/completions", OpenAI),
    ("/v1/chat/completions", Anthropic),
    ("/v1/chat/completions", AWSAnthropic),
    ("/v1/chat/completions", AWSBedrock),
    ("/v1/completions", OpenAI),
    ("/v1/embeddings", OpenAI),
    ("/v1/responses", OpenAI),
    ("/v1/responses", OpenAIChat),
    ("/v1/responses", Anthropic),
    ("/v1/responses", AWSBedrock),
    ("/anthropic/v1/messages", Anthropic),
    ("/anthropic/v1/messages", AWSAnthropic),
    ("/v1/messages", OpenAI),
    ("/v1/chat/completions", Cohere),
    ("/anthropic/v1/messages", Cohere),
    ("/v1/messages", AWSBedrock),
    ("/cohere/v2/rerank", Cohere),
    ("/v2/rerank", OpenAI),
    ("/v1/embeddings", Cohere),
    ("/v1/embeddings", GCPVertexAI),
    ("/v1/embeddings", AWSBedrock),
    ("/v1beta/models/m:generateContent", OpenAI),
    ("/v1beta/models/m:generateContent", GCPVertexAI),
    ("/v1beta/models/m:streamGenerateContent?alt=sse", Anthropic),
    ("/v1beta/models/m:streamGenerateContent?alt=sse", GCPVertexAI),
    ("/v1beta/models/m:streamGenerateContent", AWSBedrock),
    ("/v1beta/models/m:streamGenerateContent", GCPVertexAI),
    ("/v1beta/models/m:countTokens", AWSBedrock),
    ("/cohere/v2/chat", Cohere),
    ("/v1/completions", Anthropic),
    ("/v1/completions", GCPVertexAI),
    ("/cohere/v2/chat", Anthropic),
    ("/cohere/v2/chat", AWSBedrock),
];

const MEDIA_TYPES: &[&str] = &[
    "application/json",
    "text/event-stream",
    "application/vnd.amazon.eventstream",
    "text/html",
    "",
    "application/problem+json; charset=utf-8",
];

/// What a request has besides its model.
fn asked(path: &str) -> &'static str {
    match Endpoint::of_path(path) {
        Some(Endpoint::Embeddings | Endpoint::Responses) => r#""input":"Hi""#,
        Some(Endpoint::GenerateContent | Endpoint::StreamGenerateContent | Endpoint::GeminiCountTokens) => {
            r#""contents":[{"parts":[{"text":"Hi"}]}]"#
        }
        Some(Endpoint::Completions) => r#""prompt":"Hi""#,
        Some(Endpoint::Rerank) => r#""query":"Hi","documents":["a"]"#,
        _ => r#""messages":[{"role":"user","content":"Hi"}]"#,
    }
}

fn gateway(path: &str, schema: SchemaName) -> Gateway {
    let gateway = Gateway::new().backend("b", schema);
    let is_by_model = schema == AWSBedrock && path == "/v1/embeddings";
    if is_by_model { gateway.model("amazon.titan-embed-text-v2:0") } else { gateway }
}

/// Pieces of answers, and anything else.
fn bytes() -> impl Strategy<Value = Bytes> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..20),
        select(CHAT_CHUNKS).prop_map(|chunk| chat_sse(&[chunk]).into_bytes()),
        select(MESSAGE_EVENTS).prop_map(|event| format!("data: {event}\n\n").into_bytes()),
        select(COHERE_EVENTS).prop_map(|event| format!("data: {event}\n\n").into_bytes()),
        select(GEMINI_EVENTS).prop_map(|event| format!("data: {event}\n\n").into_bytes()),
        select(MESSAGE_EVENTS).prop_map(frame),
        select(CONVERSE_EVENTS).prop_map(named_frame),
        select(
            &[
                r#"{"embedding":[1,"#,
                r#"-2.5e1],"inputTextTokenCount":3}"#,
                r#"{"embeddings":{"float":[[1],["#,
                r#"{"predictions":[{"embeddings":{"values":[0.5]}}]}"#,
                r#"{"results":[{"index":0,"relevance_score":0.5}]}"#,
            ][..]
        )
        .prop_map(|text| text.as_bytes().to_vec()),
        select(&["data: {", "}\n\n", "\n\n", "data: [DONE]\n\n", "{\"error\":", "\"x\"}", "[", ": c\n"][..])
            .prop_map(|text| text.as_bytes().to_vec()),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| Bytes(pieces.concat()))
}

/// An error is one of the client's API; a stream consists of whole events, and its end is told.
fn check(outcome: &Outcome, is_same_api: bool) {
    if outcome.status >= 400 {
        let json: serde_json::Value = serde_json::from_slice(&outcome.body).expect("an error is JSON");
        // A provider of the same API words its errors itself.
        if !is_same_api {
            message_of(&json, outcome.api);
        }
        return;
    }
    assert!((200..300).contains(&outcome.status), "{}", outcome.status);
    if outcome.headers.media_type() != "text/event-stream" {
        serde_json::from_slice::<serde_json::Value>(&outcome.body).expect("a whole answer is JSON");
        return;
    }
    let mut decoder = weir_core::codec::sse::SseDecoder::new(usize::MAX >> 1);
    let mut rest = outcome.body.as_slice();
    let endpoint = Endpoint::of_path(outcome.sent[0].headers.get("x-client-path").unwrap());
    let mut is_ended = !ends_by_itself(endpoint);
    while let Some(event) = decoder.next(&mut rest).unwrap() {
        if !event.data.is_empty() {
            let data = event.data.trim_ascii();
            assert!(data == b"[DONE]" || data.starts_with(b"{") && data.ends_with(b"}"), "{data:?}");
            let text = String::from_utf8_lossy(data);
            is_ended |= [
                "[DONE]",
                "error",
                "message_stop",
                "message-end",
                "response.",
                "finishReason",
                "blockReason",
            ]
            .iter()
            .any(|word| text.contains(word));
        }
    }
    let rest = decoder.finish().unwrap();
    assert!(rest.is_none_or(|rest| rest.data.is_empty()), "the stream ends within an event");
    assert!(is_ended, "the end is not told");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_answer_becomes_something_whole(
        (path, schema) in select(PAIRS),
        media_type in select(MEDIA_TYPES),
        status in prop_oneof![8 => Just(200_u16), 1 => 0..1000_u16],
        encoding in prop_oneof![8 => Just(None), 1 => Just(Some("gzip")), 1 => Just(Some("deflate"))],
        Bytes(body) in bytes(),
        chunk in 1..50_usize,
        stream: bool,
        is_headers_only in prop::bool::weighted(0.05),
    ) {
        let chunks: Vec<Vec<u8>> = body.chunks(chunk).map(<[u8]>::to_vec).chain([Vec::new()]).collect();
        let mut answer = Answer::new(status, media_type, "").in_chunks(chunks, true);
        answer.headers_only = is_headers_only;
        if is_headers_only {
            answer.chunks = vec![Vec::new()];
        }
        if let Some(encoding) = encoding {
            answer = answer.header("content-encoding", encoding);
        }
        let gateway = gateway(path, schema);
        let request = format!(r#"{{"model":"m","stream":{stream},{}}}"#, asked(path));
        let outcome = gateway.post(path, request).header("x-client-path", path).answered_by(answer).send();
        let is_same_api = matches!(
            (outcome.api, schema),
            (weir_core::endpoint::ClientApi::OpenAi, OpenAI)
                | (weir_core::endpoint::ClientApi::Anthropic, Anthropic)
                | (weir_core::endpoint::ClientApi::Cohere, Cohere)
        );
        check(&outcome, is_same_api);
    }

    #[test]
    fn any_request_is_answered_or_sent(
        (path, schema) in select(PAIRS),
        Bytes(body) in bytes(),
        model in ".{0,8}",
    ) {
        let gateway = gateway(path, schema);
        let named = format!(r#"{{"model":{},{}}}"#, serde_json::json!(model), asked(path));
        for body in [body, named.into_bytes()] {
            let outcome = gateway.post(path, body).answered_by(Answer::headers_only(500)).send();
            prop_assert!(outcome.status >= 400);
            outcome.error();
        }
    }
}
