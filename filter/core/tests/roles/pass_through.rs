//! Client and backend speak the same API: what need not change does not.

use serde_json::json;
use weir_core::config::SchemaName::{Cohere, OpenAI};
use weir_core::usage::record::UsageStatus;

use crate::answer::{Answer, CHAT_CHUNKS, COMPLETION, chat_sse};
use crate::gateway::Gateway;

const CHAT: &str = "/v1/chat/completions";

fn gateway() -> Gateway {
    Gateway::new().backend("gpt", OpenAI)
}

#[test]
fn a_body_without_an_override_is_the_clients_to_the_byte() {
    let body = "{ \"messages\" : [ ],\n\t\"model\":\"qwen3\" , \"unknown\":1.0e0, \"Stream\": 1 }\n";
    let gateway = gateway();
    let outcome = gateway.post(CHAT, body).answered_by(Answer::json(200, COMPLETION)).send();
    assert_eq!(outcome.sent[0].text(), body);
    assert_eq!(outcome.sent[0].path(), CHAT);
    assert_eq!(outcome.text(), COMPLETION);
    assert_eq!(outcome.headers.get("content-length"), Some(COMPLETION.len().to_string().as_str()));
}

#[test]
fn the_query_passes_but_for_credentials() {
    let gateway = gateway();
    for (query, sent) in
        [("?api-version=1", "?api-version=1"), ("?api-key=k&api-version=1", "?api-version=1"), ("?key=k", "")]
    {
        let call = gateway.post(&format!("{CHAT}{query}"), r#"{"model":"m"}"#);
        let outcome = call.answered_by(Answer::json(200, COMPLETION)).send();
        assert_eq!(outcome.sent[0].path(), format!("{CHAT}{sent}"));
    }
}

#[test]
fn a_byte_order_mark_reaches_no_backend() {
    let body = "{\"model\":\"qwen3\", \"n\":1e1}";
    let gateway = gateway();
    let outcome =
        gateway.post(CHAT, format!("\u{feff}{body}")).answered_by(Answer::json(200, COMPLETION)).send();
    assert_eq!(outcome.sent[0].text(), body);
}

#[test]
fn an_override_changes_the_models_name_and_nothing_else() {
    let body = r#"{"a":[1, 2],"model" : "qu\u0069te","n":1e1}"#;
    let gateway = gateway().model("org/quite-\"8b\"");
    let outcome = gateway.post(CHAT, body).answered_by(Answer::json(200, COMPLETION)).send();
    assert_eq!(outcome.sent[0].text(), r#"{"a":[1, 2],"model" : "org/quite-\"8b\"","n":1e1}"#);
    let record = &outcome.record;
    assert_eq!(
        (record.original_model.as_str(), record.request_model.as_str()),
        ("quite", "org/quite-\"8b\"")
    );
    assert_eq!(record.response_model, "qwen3-8b");
}

#[test]
fn usage_is_asked_for_and_kept_from_a_client_that_did_not_ask() {
    let gateway = gateway();
    let stream = chat_sse(CHAT_CHUNKS);
    for (options, asked) in [
        ("", ""),
        (r#","stream_options":null"#, ""),
        (r#","stream_options":{"include_usage":false,"x":1}"#, r#""x":1"#),
    ] {
        let body = format!(r#"{{"model":"m","stream":true{options}}}"#);
        let outcome = gateway.post(CHAT, &body).answered_by(Answer::sse(&stream)).send();
        assert_eq!(outcome.sent[0].json()["stream_options"]["include_usage"], true);
        assert!(outcome.sent[0].text().contains(asked));
        assert_eq!(outcome.text(), chat_sse(&CHAT_CHUNKS[..4]), "the usage chunk is not for the client");
        assert_eq!(outcome.record.usage.total(), Some(13));
    }
    let body = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#;
    let outcome = gateway.post(CHAT, body).answered_by(Answer::sse(&stream)).send();
    assert_eq!(outcome.sent[0].text(), body);
    assert_eq!(outcome.text(), stream);
}

/// Some servers refuse what they do not know.
#[test]
fn a_backend_that_may_not_be_asked_for_usage_is_not() {
    let gateway = gateway().target(|target| target.body.remove.push("stream_options".to_owned()));
    for options in ["", r#","stream_options":{"include_usage":true}"#] {
        let body = format!(r#"{{"model":"m","stream":true{options}}}"#);
        let outcome = gateway.post(CHAT, &body).answered_by(Answer::sse(&chat_sse(&CHAT_CHUNKS[..4]))).send();
        assert_eq!(outcome.sent[0].text(), r#"{"model":"m","stream":true}"#);
        assert_eq!(outcome.record.usage_status, UsageStatus::Estimated);
        assert!(outcome.record.usage.output() > Some(0));
    }
}

#[test]
fn a_last_event_with_choices_is_never_hidden() {
    let last = r#"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
    let stream = chat_sse(&[last]);
    let gateway = gateway();
    let outcome = gateway
        .post(CHAT, r#"{"model":"m","stream":true}"#)
        .answered_by(Answer::sse(&stream).header("content-length", &stream.len().to_string()))
        .send();
    assert_eq!(outcome.text(), stream);
    assert_eq!((outcome.record.usage.input(), outcome.record.usage.output()), (Some(1), Some(1)));
}

#[test]
fn comments_and_line_ends_of_a_stream_stay() {
    let stream = ": hello\r\n\r\ndata:{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n: ping\n\ndata: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\nid: 7\ndata: [DONE]\n\n";
    let gateway = gateway();
    let outcome = gateway
        .post(CHAT, r#"{"model":"m","stream":true}"#)
        .answered_by(Answer::sse(stream).header("content-type", "text/event-stream; charset=utf-8"))
        .send();
    assert_eq!(outcome.text(), stream);
    assert_eq!(outcome.status, 200);
}

#[test]
fn every_endpoint_reaches_its_path_with_the_query_and_the_prefix() {
    let mut gateway = gateway();
    gateway.backend_mut("gpt").schema.prefix = Some("/api/v3".to_owned());
    for (client, upstream) in [
        ("/v1/chat/completions?a=b", "/api/v3/chat/completions?a=b"),
        ("/v1/completions", "/api/v3/completions"),
        ("/v1/embeddings", "/api/v3/embeddings"),
        ("/v1/responses", "/api/v3/responses"),
        ("/v1/responses/input_tokens", "/api/v3/responses/input_tokens"),
        ("/v1/images/generations", "/api/v3/images/generations"),
        ("/v1/audio/speech", "/api/v3/audio/speech"),
        ("/tokenize", "/tokenize"),
    ] {
        let outcome = gateway.post(client, r#"{"model":"m"}"#).answered_by(Answer::json(200, "{}")).send();
        assert_eq!(outcome.sent[0].path(), upstream);
        assert_eq!(outcome.text(), "{}", "{client}");
    }
    let gateway = Gateway::new().backend("cohere", Cohere);
    let answer = r#"{"results":[],"meta":{"billed_units":{"search_units":1},"tokens":{"input_tokens":3}}}"#;
    let outcome =
        gateway.post("/cohere/v2/rerank", r#"{"model":"r"}"#).answered_by(Answer::json(200, answer)).send();
    assert_eq!((outcome.sent[0].path(), outcome.text()), ("/v2/rerank", answer));
}

#[test]
fn a_form_passes_whole_but_for_the_models_part() {
    let form = |model: &str| {
        format!(
            "--XX\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n\u{1}RIFF\r\n--XX\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--XX--\r\n"
        )
    };
    let media = "multipart/form-data; boundary=XX";
    let path = "/v1/audio/transcriptions";
    let gateway = gateway().model("large-v3");
    let outcome = gateway
        .post(path, form("whisper-1"))
        .header("content-type", media)
        .answered_by(Answer::new(200, "text/plain", "words"))
        .send();
    assert_eq!(outcome.sent[0].text(), form("large-v3"));
    assert_eq!(outcome.sent[0].headers.get("content-type"), Some(media));
    assert_eq!((outcome.text(), outcome.record.request_model.as_str()), ("words", "large-v3"));
}

#[test]
fn sound_passes_as_it_comes() {
    let sound = b"\xff\xfb\x90\x00\x00";
    let gateway = gateway();
    let outcome = gateway
        .post("/v1/audio/speech", r#"{"model":"m","input":"a"}"#)
        .answered_by(Answer::new(200, "audio/mpeg", sound))
        .send();
    assert_eq!(outcome.body, sound);
    assert_eq!(outcome.headers.get("content-type"), Some("audio/mpeg"));
    assert!(outcome.record.ttft_ms.is_some());
}

#[test]
fn body_mutations_come_last() {
    let gateway = gateway().model("other").target(|target| {
        target.body.set = vec![("temperature".to_owned(), json!(0)), ("model".to_owned(), json!("third"))];
        target.body.remove = vec!["user".to_owned()];
    });
    let outcome = gateway
        .post(CHAT, r#"{"model":"m","user":"ann","x":1}"#)
        .answered_by(Answer::json(200, COMPLETION))
        .send();
    assert_eq!(outcome.sent[0].text(), r#"{"model":"third","x":1,"temperature":0}"#);
}

#[test]
fn gzip_is_undone_and_said_to_be() {
    let gateway = gateway();
    for answer in [Answer::sse(&chat_sse(&CHAT_CHUNKS[..4])), Answer::json(200, COMPLETION)] {
        let plain = answer.body();
        let outcome = gateway
            .post(CHAT, r#"{"model":"m","stream":true}"#)
            .header("accept-encoding", "br, gzip;q=0.5")
            .answered_by(answer.gzipped())
            .send();
        assert_eq!(outcome.sent[0].headers.get("accept-encoding"), Some("gzip"));
        assert_eq!(outcome.body, plain);
        assert_eq!(outcome.headers.get("content-encoding"), None);
    }
    for refusing in ["br", "gzip;q=0", "identity, gzip; q=0.0"] {
        let outcome = gateway
            .post(CHAT, r#"{"model":"m"}"#)
            .header("accept-encoding", refusing)
            .answered_by(Answer::json(200, COMPLETION))
            .send();
        assert_eq!(outcome.sent[0].headers.get("accept-encoding"), None, "{refusing}");
    }
}

/// What a client gets of a stream under a content type that may be wrong.
#[test]
fn a_stream_is_known_by_its_first_bytes() {
    let stream = chat_sse(CHAT_CHUNKS);
    let gateway = gateway();
    let body = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#;
    for media_type in ["text/plain", "application/json", "", "application/octet-stream", "text/html"] {
        for cut in [1, 3, 5, 6, 40, stream.len() - 1] {
            let (first, rest) = stream.split_at(cut);
            let outcome =
                gateway.post(CHAT, body).answered_by(Answer::new(200, media_type, first).then(rest)).send();
            assert_eq!((outcome.status, outcome.text()), (200, stream.as_str()), "{media_type} {cut}");
            assert_eq!(outcome.headers.get("content-type"), Some("text/event-stream"), "{media_type} {cut}");
            assert_eq!(outcome.record.usage.total(), Some(13));
        }
    }
    // It goes on event by event.
    let outcome =
        gateway.post(CHAT, body).answered_by(Answer::new(200, "text/plain", &stream[..200]).breaks()).send();
    assert!(outcome.text().starts_with("data: "), "{}", outcome.text());
}

#[test]
fn a_whole_answer_is_known_by_its_first_bytes_too() {
    let gateway = gateway();
    for media_type in ["text/event-stream", "text/plain", "application/json"] {
        let asked = r#"{"model":"m","stream":true}"#;
        let (first, rest) = COMPLETION.split_at(9);
        let outcome =
            gateway.post(CHAT, asked).answered_by(Answer::new(200, media_type, first).then(rest)).send();
        assert_eq!((outcome.status, outcome.text()), (200, COMPLETION), "{media_type}");
        assert_eq!(outcome.record.usage.total(), Some(13), "{media_type}");
        let error = r#"{"error":{"message":"slow down","code":429}}"#;
        let outcome = gateway.post(CHAT, asked).answered_by(Answer::new(200, media_type, error)).send();
        assert_eq!((outcome.status, outcome.error()), (429, "slow down".to_owned()), "{media_type}");
    }
    let outcome = gateway
        .post(CHAT, r#"{"model":"m"}"#)
        .answered_by(Answer::new(200, "text/event-stream", COMPLETION))
        .send();
    assert_eq!(outcome.headers.get("content-type"), Some("application/json"));
}

#[test]
fn numbers_that_json_does_not_have_pass_whole_and_streamed() {
    let gateway = gateway();
    let body = r#"{"model":"x","choices":[{"message":{"content":"a"},"logprobs":[NaN,-Infinity,Infinity]}],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#;
    let outcome = gateway.post(CHAT, r#"{"model":"m"}"#).answered_by(Answer::json(200, body)).send();
    assert_eq!((outcome.status, outcome.text(), outcome.record.usage.total()), (200, body, Some(7)));
    let stream = chat_sse(&[&body.replace("\"message\"", "\"finish_reason\":\"stop\",\"delta\"")]);
    let outcome =
        gateway.post(CHAT, r#"{"model":"m","stream":true}"#).answered_by(Answer::sse(&stream)).send();
    assert_eq!(
        (outcome.status, outcome.text(), outcome.record.usage.total()),
        (200, stream.as_str(), Some(7))
    );
}
