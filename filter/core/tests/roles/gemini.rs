//! Clients of Gemini's API.

use serde_json::{Value, json};
use weir_core::config::Model;
use weir_core::config::SchemaName::{AWSBedrock, Anthropic, Cohere, GCPVertexAI, OpenAI};
use weir_core::usage::Counter;
use weir_core::usage::record::UsageStatus;

use crate::answer::{
    Answer, CHAT_CHUNKS, COMPLETION, CONVERSE_EVENTS, GEMINI_EVENTS, MESSAGE_EVENTS, chat_sse, named_sse,
    plain_sse,
};
use crate::gateway::{Gateway, REGION, key_of};
use crate::outcome::Outcome;

const WHOLE: &str = "/v1beta/models/m:generateContent";
const EVENTS: &str = "/v1beta/models/m:streamGenerateContent?alt=sse";
const ARRAY: &str = "/v1beta/models/m:streamGenerateContent?key=clients-own-credential";
const COUNT: &str = "/v1beta/models/m:countTokens";
const BODY: &str = r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}"#;

fn vertex(method: &str) -> String {
    format!("/v1/projects/project/locations/{REGION}/publishers/google/models/gemini-2.5-pro:{method}")
}

fn gemini() -> Gateway {
    Gateway::new().backend("vertex", GCPVertexAI).model("gemini-2.5-pro")
}

/// The text of all pieces.
fn text_of(pieces: &[Value]) -> String {
    let parts = pieces
        .iter()
        .flat_map(|piece| piece["candidates"][0]["content"]["parts"].as_array().unwrap().clone());
    parts.filter_map(|part| Some(part["text"].as_str()?.to_owned())).collect()
}

fn pieces(outcome: &Outcome) -> Vec<Value> {
    outcome.events().iter().map(|event| serde_json::from_str(event).unwrap()).collect()
}

#[test]
fn the_model_is_in_the_path_and_becomes_the_backends() {
    for path in
        [WHOLE, "/v1/models/m:generateContent", "/v1beta/models/m:generateContent?key=clients-own-credential"]
    {
        let gateway = Gateway::new().backend("gpt", OpenAI).model("qwen3-8b");
        let outcome = gateway.post(path, BODY).answered_by(Answer::json(200, COMPLETION)).send();
        assert_eq!(outcome.status, 200, "{}", outcome.text());
        let sent = &outcome.sent[0];
        assert_eq!(sent.path(), "/v1/chat/completions");
        assert_eq!(
            sent.json(),
            json!({"model": "qwen3-8b", "messages": [{"role": "user", "content": "Hi"}]})
        );
        assert_eq!(outcome.record.original_model, "m");
        assert_eq!(outcome.record.request_model, "qwen3-8b");
        assert_eq!(outcome.json()["candidates"][0]["finishReason"], "STOP");
        assert_eq!(
            outcome.json()["usageMetadata"]["promptTokenCount"],
            outcome.record.usage.input().unwrap()
        );
    }
}

#[test]
fn a_clients_key_stays_here() {
    let call = |gateway: &Gateway, path: &str| {
        let call = gateway.post(path, BODY).header("x-goog-api-key", "clients-own-credential");
        call.answered_by(Answer::json(200, GEMINI_EVENTS[1])).send()
    };
    let outcome = call(&gemini(), &format!("{WHOLE}?key=clients-own-credential"));
    let sent = &outcome.sent[0];
    assert_eq!(sent.path(), vertex("generateContent"));
    assert_eq!(sent.headers.get("x-goog-api-key"), None);
    assert_eq!(sent.headers.get("authorization"), Some(format!("Bearer {}", key_of("vertex")).as_str()));
}

#[test]
fn what_gemini_itself_says_passes() {
    let outcome = gemini().post(WHOLE, BODY).answered_by(Answer::json(200, GEMINI_EVENTS[1])).send();
    assert_eq!((outcome.sent[0].text(), outcome.text()), (BODY, GEMINI_EVENTS[1]));
    let record = &outcome.record;
    assert_eq!(
        (record.usage.input(), record.usage.output(), record.usage.get(Counter::Reasoning)),
        (Some(9), Some(7), Some(2))
    );
    assert_eq!(record.response_model, "gemini-2.5-pro");
    assert_eq!(record.usage_status, UsageStatus::Complete);

    let told = plain_sse(GEMINI_EVENTS);
    let outcome = gemini().post(EVENTS, BODY).answered_by(Answer::sse(&told)).send();
    assert_eq!(outcome.sent[0].path(), format!("{}?alt=sse", vertex("streamGenerateContent")));
    assert_eq!((outcome.text(), outcome.headers.media_type().as_str()), (told.as_str(), "text/event-stream"));
    let record = &outcome.record;
    assert_eq!((record.usage.input(), record.usage.output()), (Some(9), Some(7)));
    assert_eq!(record.usage_status, UsageStatus::Complete);

    let outcome = gemini()
        .post(COUNT, BODY)
        .answered_by(Answer::json(200, r#"{"totalTokens":7,"totalBillableCharacters":2}"#))
        .send();
    assert_eq!(outcome.sent[0].path(), vertex("countTokens"));
    assert_eq!((outcome.record.usage.input(), outcome.record.usage.output()), (Some(7), None));
}

#[test]
fn a_stream_is_an_array_unless_events_are_asked_for() {
    let backends = [
        (gemini(), Answer::sse(&plain_sse(GEMINI_EVENTS))),
        (Gateway::new().backend("gpt", OpenAI), Answer::sse(&chat_sse(CHAT_CHUNKS))),
        (Gateway::new().backend("claude", Anthropic), Answer::sse(&named_sse(MESSAGE_EVENTS))),
        (Gateway::new().backend("nova", AWSBedrock), Answer::named_frames(CONVERSE_EVENTS)),
    ];
    for (gateway, answer) in backends {
        let events = gateway.post(EVENTS, BODY).answered_by(answer.clone()).send();
        assert_eq!(events.headers.media_type(), "text/event-stream");
        let expected = pieces(&events);
        for size in [1, 7, 100_000] {
            let chunks = answer.body().chunks(size).map(<[u8]>::to_vec).collect();
            let answer = answer.clone().in_chunks(chunks, size > 1);
            let array = gateway.post(ARRAY, BODY).answered_by(answer).send();
            assert_eq!((array.status, array.headers.media_type().as_str()), (200, "application/json"));
            assert_eq!(array.headers.get("content-length"), None);
            assert_eq!(array.json(), json!(expected), "{}", array.text());
            assert!(array.text().contains("},\r\n{"), "{}", array.text());
            assert_eq!(array.record.usage.output(), events.record.usage.output());
            assert_eq!(array.record.usage_status, UsageStatus::Complete);
        }
        assert!(!text_of(&expected).is_empty());
    }
}

/// Python's SDK cannot read a stream with comments.
#[test]
fn no_comment_comes_to_a_client() {
    let own = format!(": a\n\ndata: {}\n\n: b\n\n: c\ndata: {}\n\n", GEMINI_EVENTS[0], GEMINI_EVENTS[1]);
    let chats = chat_sse(CHAT_CHUNKS).replace("data: [DONE]", ": a\n\ndata: [DONE]");
    for (gateway, told) in [(gemini(), own), (Gateway::new().backend("gpt", OpenAI), chats)] {
        let outcome = gateway.post(EVENTS, BODY).answered_by(Answer::sse(&told)).send();
        let lines: Vec<&str> = outcome.text().lines().filter(|line| !line.is_empty()).collect();
        assert!(lines.iter().all(|line| line.starts_with("data: {")), "{}", outcome.text());
        assert!(text_of(&pieces(&outcome)).len() > 2);
        let array = gateway.post(ARRAY, BODY).answered_by(Answer::sse(&told)).send();
        assert_eq!(array.json(), json!(pieces(&outcome)));
    }
}

#[test]
fn a_stream_that_breaks_ends_with_an_error_in_either_form() {
    let cut = plain_sse(&GEMINI_EVENTS[..1]);
    for (path, is_array) in [(EVENTS, false), (ARRAY, true)] {
        let outcome = gemini().post(path, BODY).answered_by(Answer::sse(&cut)).send();
        let told = if is_array { outcome.json().as_array().unwrap().clone() } else { pieces(&outcome) };
        assert_eq!(told.len(), 2, "{}", outcome.text());
        assert_eq!(told[1]["error"]["code"], 502);
        assert_eq!(outcome.record.usage_status, UsageStatus::Partial);

        let gateway = Gateway::new().backend("claude", Anthropic);
        let events = [
            &MESSAGE_EVENTS[..4],
            &[r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#],
        ]
        .concat();
        let outcome = gateway.post(path, BODY).answered_by(Answer::sse(&named_sse(&events))).send();
        let told = if is_array { outcome.json().as_array().unwrap().clone() } else { pieces(&outcome) };
        let error = &told.last().unwrap()["error"];
        assert_eq!((&error["message"], &error["status"]), (&json!("Overloaded"), &json!("UNAVAILABLE")));
        assert_eq!(error["details"][0]["reason"], "overloaded_error");
    }
}

#[test]
fn a_backends_error_is_told_in_googles_words() {
    let own =
        r#"{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"x"}]}}"#;
    let outcome = gemini().post(WHOLE, BODY).answered_by(Answer::json(429, own)).send();
    assert_eq!((outcome.status, outcome.text()), (429, own));
    let list = format!("[{own}]");
    let outcome = gemini().post(EVENTS, BODY).answered_by(Answer::json(429, &list)).send();
    assert!(outcome.error().contains("quota"));

    let error = r#"{"type":"error","error":{"type":"authentication_error","message":"no"}}"#;
    let gateway = Gateway::new().backend("claude", Anthropic);
    let outcome = gateway.post(WHOLE, BODY).answered_by(Answer::json(401, error)).send();
    assert_eq!((outcome.status, outcome.error()), (401, "no".to_owned()));
    assert_eq!(outcome.json()["error"]["status"], "UNAUTHENTICATED");
}

#[test]
fn a_count_is_for_those_who_can() {
    let gateway = Gateway::new().backend("nova", AWSBedrock).model("amazon.nova-pro-v1:0");
    let outcome = gateway.post(COUNT, BODY).answered_by(Answer::json(200, r#"{"inputTokens":7}"#)).send();
    assert_eq!((outcome.status, outcome.text()), (200, r#"{"totalTokens":7}"#));
    assert_eq!(outcome.record.usage.input(), Some(7));
    let outcome = Gateway::new()
        .backend("cohere", Cohere)
        .post(COUNT, BODY)
        .answered_by(Answer::headers_only(500))
        .send();
    assert_eq!(outcome.status, 422);
    assert_eq!(outcome.json()["error"]["status"], "UNIMPLEMENTED");
}

#[test]
fn models_are_listed_as_google_does() {
    let mut gateway = Gateway::new();
    let model = |id: &str| Model { id: id.to_owned(), owned_by: "t".to_owned(), ..Model::default() };
    gateway.config.models = vec![model("m"), model("org/name")];
    let all = gateway.get("/v1beta/models?pageSize=50").send();
    let names: Vec<_> =
        all.json()["models"].as_array().unwrap().iter().map(|model| model["name"].clone()).collect();
    assert_eq!(names, ["models/m", "models/org/name"]);
    for path in ["/v1beta/models/org/name", "/v1beta/models/org%2Fname"] {
        assert_eq!(gateway.get(path).send().json()["displayName"], "org/name");
    }
    // Google's SDKs of today ask below /v1, where OpenAI's list is.
    let sdk = |path: &str| gateway.get(path).header("x-goog-api-client", "google-genai-sdk/3.6.1").send();
    assert_eq!(sdk("/v1/models").json(), all.json());
    assert_eq!(sdk("/v1/models/org/name").json()["displayName"], "org/name");
    assert_eq!(sdk("/v1/models/none").json()["error"]["status"], "NOT_FOUND");
    assert_eq!(gateway.get("/v1/models").send().json()["object"], "list");
    let none = gateway.get("/v1beta/models/none").send();
    assert_eq!((none.status, &none.json()["error"]["status"]), (404, &json!("NOT_FOUND")));
    let wrong = gateway.get(WHOLE).send();
    assert_eq!((wrong.status, wrong.headers.get("allow")), (405, Some("POST")));
}
