//! What each conversation becomes on the wire: one fixture per case, one snapshot per schema.
//!
//! The snapshots lie beside the fixtures in `tests/fixtures/<api>/snapshots`. After a wanted change:
//! `INSTA_UPDATE=always cargo test -p weir-core --test golden`, then read the diff.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
#[macro_use]
extern crate weir_test_platform;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use weir_core::chat::{Event, Losses, Request};
use weir_core::endpoint::ClientApi;
use weir_core::wire::anthropic::{BEDROCK_VERSION, DEFAULT_MAX_TOKENS, Envelope, Params};
use weir_core::wire::{
    AnswerDefaults, BackendFormat, ClientFormat, StreamDecoder, StreamEncoder, decode_reply, decode_request,
    encode_reply, encode_request,
};

#[test]
fn openai_chat_requests_to_anthropic() {
    requests("anthropic", Envelope::Native);
}

#[test]
fn openai_chat_requests_to_bedrock() {
    requests("bedrock", Envelope::Bedrock { version: BEDROCK_VERSION });
}

#[test]
fn anthropic_answers_to_openai_chat() {
    for case in cases("anthropic", "json") {
        let answer = match decode_reply(anthropic("claude-x", Envelope::Native), &read(&case)) {
            Ok(reply) => pretty(&encode_reply(ClientFormat::OpenAiChat, &reply, &defaults())),
            Err(error) => {
                format!("{}\n{}", error.status(), pretty(&error.body(ClientApi::OpenAi)))
            }
        };
        snapshot("anthropic", &name(&case, "openai_chat"), &answer);
    }
}

#[test]
fn anthropic_streams_to_openai_chat() {
    for case in cases("anthropic", "sse") {
        let text = String::from_utf8(read(&case)).unwrap();
        let mut decoder = StreamDecoder::new(anthropic("claude-x", Envelope::Native));
        let request = Request { include_usage: true, ..Request::default() };
        let mut encoder = StreamEncoder::new(ClientFormat::OpenAiChat, &request, defaults());
        let mut events: Vec<Event> = Vec::new();
        for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
            decoder.event(data.as_bytes(), &mut events);
        }
        decoder.finish(&mut events);
        let mut out = Vec::new();
        for event in &events {
            encoder.event(event, &mut out);
        }
        assert!(encoder.is_closed(), "{case:?} has no end");
        snapshot("anthropic", &name(&case, "openai_chat"), &String::from_utf8(out).unwrap());
    }
}

fn requests(schema: &str, envelope: Envelope<'_>) {
    for case in cases("openai_chat", "json") {
        let mut losses = Losses::default();
        let body = decode_request(ClientFormat::OpenAiChat, &read(&case), &mut losses)
            .and_then(|request| encode_request(anthropic(&request.model, envelope), &request, &mut losses));
        let outcome = match body {
            Ok(body) => json!({
                "body": serde_json::from_slice::<Value>(&body).unwrap(),
                "losses": losses.iter().map(|loss| format!("{}: {}", loss.path, loss.reason)).collect::<Vec<_>>(),
            }),
            Err(error) => json!({ "status": error.status(), "error": error.message() }),
        };
        snapshot("openai_chat", &name(&case, schema), &serde_json::to_string_pretty(&outcome).unwrap());
    }
}

fn anthropic<'a>(model: &'a str, envelope: Envelope<'a>) -> BackendFormat<'a> {
    BackendFormat::Anthropic(Params { envelope, model, default_max_tokens: DEFAULT_MAX_TOKENS })
}

fn defaults() -> AnswerDefaults {
    AnswerDefaults { id: "chatcmpl-own".to_owned(), model: "asked-model".to_owned(), created: 1_790_000_000 }
}

fn pretty(json: &[u8]) -> String {
    serde_json::to_string_pretty(&serde_json::from_slice::<Value>(json).unwrap()).unwrap()
}

fn fixtures(api: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(api)
}

fn read(case: &Path) -> Vec<u8> {
    weir_test_platform::read(case).unwrap()
}

fn cases(api: &str, extension: &str) -> Vec<PathBuf> {
    let mut cases = weir_test_platform::list(&fixtures(api)).unwrap();
    cases.retain(|path| path.extension().is_some_and(|found| found == extension));
    assert!(!cases.is_empty());
    cases
}

/// `text.sse` and `bedrock` make `text.sse.bedrock`.
fn name(case: &Path, schema: &str) -> String {
    let file = case.file_name().unwrap().to_string_lossy();
    format!("{}.{schema}", file.trim_end_matches(".json"))
}

#[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
fn snapshot(api: &str, name: &str, content: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(fixtures(api).join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, content));
}

/// insta keeps snapshots by the standard library, which has no disk here. A snapshot is what follows its second `---`.
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
fn snapshot(api: &str, name: &str, content: &str) {
    let file = fixtures(api).join("snapshots").join(format!("{name}.snap"));
    let text = String::from_utf8(read(&file)).unwrap();
    let kept = text.splitn(3, "---\n").nth(2).unwrap();
    assert_eq!(content.trim(), kept.trim(), "{name}");
}
