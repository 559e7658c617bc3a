//! What each conversation becomes on the wire: one fixture per case, one snapshot per schema.
//!
//! The snapshots lie beside the fixtures in `tests/fixtures/<api>/snapshots`. After a wanted change:
//! `INSTA_UPDATE=always cargo test -p weir-core --test golden`, then read the diff.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
#[macro_use]
extern crate weir_test_platform;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use weir_core::chat::{Event, Losses, Request, ResponseFormat};
use weir_core::config::Schema;
use weir_core::endpoint::Endpoint;
use weir_core::headers::Headers;
use weir_core::wire::{Asked, BackendCodec, ClientCodec, Framing, SchemaName, To, Translated, translate};

#[path = "golden/jobs.rs"]
mod jobs;

/// What Anthropic's clients rely on in a stream.
#[path = "../src/wire/anthropic/client/grammar.rs"]
mod grammar;

/// The same of Responses' clients.
#[path = "../src/wire/openai/responses/grammar.rs"]
mod grammar_of_responses;

/// The same of Gemini's.
#[path = "../src/wire/gemini/client/grammar.rs"]
mod grammar_of_gemini;

/// The same of Cohere's.
#[path = "../src/wire/cohere/client/grammar.rs"]
mod grammar_of_cohere;

#[test]
fn openai_chat_requests_to_anthropic() {
    requests(CHAT, "openai_chat", "anthropic", SchemaName::Anthropic);
}

#[test]
fn openai_chat_requests_to_bedrock() {
    requests(CHAT, "openai_chat", "bedrock", SchemaName::AWSAnthropic);
}

#[test]
fn openai_chat_requests_to_converse() {
    requests(CHAT, "openai_chat", "converse", SchemaName::AWSBedrock);
}

/// What only some of Bedrock's models take.
#[test]
fn openai_chat_requests_to_the_models_of_converse() {
    requests(CHAT, "converse/requests", "converse", SchemaName::AWSBedrock);
}

#[test]
fn openai_chat_requests_to_claude_on_vertex() {
    requests(CHAT, "openai_chat", "vertex", SchemaName::GCPAnthropic);
}

#[test]
fn openai_chat_requests_to_gemini() {
    requests(CHAT, "openai_chat", "gemini", SchemaName::GCPVertexAI);
}

#[test]
fn openai_chat_requests_to_openai() {
    requests(CHAT, "openai_chat", "openai", SchemaName::OpenAI);
}

#[test]
fn openai_chat_requests_to_cohere() {
    requests(CHAT, "openai_chat", "cohere", SchemaName::Cohere);
}

/// Such requests pass as they are. What the conversation makes of them, every other schema gets.
#[test]
fn anthropic_requests_to_anthropic() {
    requests(Endpoint::Messages, "anthropic_messages", "anthropic", SchemaName::Anthropic);
}

#[test]
fn anthropic_requests_to_openai() {
    requests(Endpoint::Messages, "anthropic_messages", "openai", SchemaName::OpenAI);
}

#[test]
fn anthropic_requests_to_cohere() {
    requests(Endpoint::Messages, "anthropic_messages", "cohere", SchemaName::Cohere);
}

#[test]
fn anthropic_requests_to_converse() {
    requests(Endpoint::Messages, "anthropic_messages", "converse", SchemaName::AWSBedrock);
}

/// The same of models that are not Claude.
#[test]
fn anthropic_requests_to_the_models_of_converse() {
    requests(Endpoint::Messages, "converse/messages", "converse", SchemaName::AWSBedrock);
}

#[test]
fn anthropic_requests_to_gemini() {
    requests(Endpoint::Messages, "anthropic_messages", "gemini", SchemaName::GCPVertexAI);
}

#[test]
fn responses_requests_to_anthropic() {
    requests(Endpoint::Responses, "openai_responses", "anthropic", SchemaName::Anthropic);
}

/// To OpenAI such requests pass as they are. This is for servers that have no Responses.
#[test]
fn responses_requests_to_openai() {
    requests(Endpoint::Responses, "openai_responses", "openai", SchemaName::OpenAIChat);
}

#[test]
fn responses_requests_to_cohere() {
    requests(Endpoint::Responses, "openai_responses", "cohere", SchemaName::Cohere);
}

#[test]
fn responses_requests_to_converse() {
    requests(Endpoint::Responses, "openai_responses", "converse", SchemaName::AWSBedrock);
}

#[test]
fn responses_requests_to_gemini() {
    requests(Endpoint::Responses, "openai_responses", "gemini", SchemaName::GCPVertexAI);
}

#[test]
fn gemini_requests_to_openai() {
    requests(Endpoint::GenerateContent, "gemini_contents", "openai", SchemaName::OpenAI);
}

#[test]
fn gemini_requests_to_anthropic() {
    requests(Endpoint::GenerateContent, "gemini_contents", "anthropic", SchemaName::Anthropic);
}

#[test]
fn gemini_requests_to_converse() {
    requests(Endpoint::GenerateContent, "gemini_contents", "converse", SchemaName::AWSBedrock);
}

#[test]
fn gemini_requests_to_cohere() {
    requests(Endpoint::GenerateContent, "gemini_contents", "cohere", SchemaName::Cohere);
}

#[test]
fn completions_requests_to_anthropic() {
    requests(Endpoint::Completions, "openai_completions", "anthropic", SchemaName::Anthropic);
}

#[test]
fn completions_requests_to_converse() {
    requests(Endpoint::Completions, "openai_completions", "converse", SchemaName::AWSBedrock);
}

#[test]
fn completions_requests_to_gemini() {
    requests(Endpoint::Completions, "openai_completions", "gemini", SchemaName::GCPVertexAI);
}

#[test]
fn completions_requests_to_cohere() {
    requests(Endpoint::Completions, "openai_completions", "cohere", SchemaName::Cohere);
}

/// Such servers have completions, but for those of Bedrock.
#[test]
fn completions_requests_to_openai() {
    requests(Endpoint::Completions, "openai_completions", "openai", SchemaName::AWSOpenAI);
}

#[test]
fn cohere_requests_to_openai() {
    requests(Endpoint::CohereChat, "cohere_chat", "openai", SchemaName::OpenAI);
}

#[test]
fn cohere_requests_to_anthropic() {
    requests(Endpoint::CohereChat, "cohere_chat", "anthropic", SchemaName::Anthropic);
}

#[test]
fn cohere_requests_to_converse() {
    requests(Endpoint::CohereChat, "cohere_chat", "converse", SchemaName::AWSBedrock);
}

#[test]
fn cohere_requests_to_gemini() {
    requests(Endpoint::CohereChat, "cohere_chat", "gemini", SchemaName::GCPVertexAI);
}

/// Such requests keep every byte but what Vertex AI does not know.
#[test]
fn gemini_requests_in_the_envelope_of_vertex_ai() {
    envelopes(Endpoint::GenerateContent, "gemini_contents", SchemaName::GCPVertexAI);
}

/// Such requests keep every byte but what the envelope is, and what Vertex AI does not know.
#[test]
fn anthropic_requests_in_the_envelope_of_vertex_ai() {
    envelopes(Endpoint::Messages, "anthropic_messages", SchemaName::GCPAnthropic);
}

fn envelopes(endpoint: Endpoint, api: &str, schema: SchemaName) {
    for case in cases(api, "json") {
        let body = read(&case);
        let enveloped: weir_core::Result<_> = with_to(endpoint, schema, &body, |to| {
            let mut losses = Losses::default();
            let enveloped = to.schema.name.schema().envelope(to, &body, &mut losses)?;
            Ok((String::from_utf8(enveloped).unwrap(), losses.lines().join("\n")))
        });
        let shown = match enveloped {
            Ok((body, losses)) => format!("{body}\n---\n{losses}"),
            Err(error) => format!("{} {}", error.status(), error.message()),
        };
        snapshot(api, &name(&case, "vertex"), &shown);
    }
}

#[test]
fn answers_to_openai_chat() {
    for (api, schema) in ANSWERING {
        answers(api, schema, CHAT, "openai_chat");
    }
}

#[test]
fn answers_to_anthropic() {
    for (api, schema) in ANSWERING {
        answers(api, schema, Endpoint::Messages, "anthropic_messages");
    }
}

#[test]
fn answers_to_responses() {
    for (api, schema) in ANSWERING {
        answers(api, schema, Endpoint::Responses, "openai_responses");
    }
}

#[test]
fn answers_to_gemini() {
    for (api, schema) in ANSWERING {
        answers(api, schema, Endpoint::GenerateContent, "gemini_contents");
    }
}

#[test]
fn answers_to_completions() {
    for (api, schema) in ANSWERING {
        answers(api, schema, Endpoint::Completions, "openai_completions");
    }
}

/// What Cohere itself answers passes as it is. What the conversation makes of it, it is again.
#[test]
fn answers_to_cohere() {
    for (api, schema) in ANSWERING {
        answers(api, schema, Endpoint::CohereChat, "cohere_chat");
    }
}

/// The folders of answers, by the schemas that give them.
const ANSWERING: [(&str, SchemaName); 5] = [
    ("anthropic", SchemaName::Anthropic),
    ("openai", SchemaName::OpenAI),
    ("converse", SchemaName::AWSBedrock),
    ("gemini", SchemaName::GCPVertexAI),
    ("cohere", SchemaName::Cohere),
];

fn answers(api: &str, schema: SchemaName, endpoint: Endpoint, name_of_client: &str) {
    for case in cases(api, "json") {
        let (mut losses, asked) = (Losses::default(), asked(&case));
        let mut answer = match backend(schema).reply(&asked, &read(&case), &mut losses) {
            Ok(reply) => pretty(&client(endpoint).reply(&asked, &reply, &mut losses)),
            Err(error) => {
                format!("{}\n{}", error.status(), pretty(&error.body(endpoint.client_api())))
            }
        };
        answer.extend(lost(&losses).map(|line| format!("\n{line}")));
        snapshot(api, &name(&case, name_of_client), &answer);
    }
}

#[test]
fn streams_to_openai_chat() {
    for (api, schema) in ANSWERING {
        streams(api, schema, CHAT, "openai_chat");
    }
}

#[test]
fn streams_to_anthropic() {
    for (api, schema) in ANSWERING {
        for out in streams(api, schema, Endpoint::Messages, "anthropic_messages") {
            let _ = grammar::message_of(out.as_bytes());
        }
    }
}

#[test]
fn streams_to_responses() {
    for (api, schema) in ANSWERING {
        for out in streams(api, schema, Endpoint::Responses, "openai_responses") {
            let _ = grammar_of_responses::response_of(out.as_bytes());
        }
    }
}

#[test]
fn streams_to_gemini() {
    for (api, schema) in ANSWERING {
        for out in streams(api, schema, Endpoint::StreamGenerateContent, "gemini_contents") {
            let _ = grammar_of_gemini::answer_of(out.as_bytes());
        }
    }
}

#[test]
fn streams_to_completions() {
    for (api, schema) in ANSWERING {
        streams(api, schema, Endpoint::Completions, "openai_completions");
    }
}

#[test]
fn streams_to_cohere() {
    for (api, schema) in ANSWERING {
        for out in streams(api, schema, Endpoint::CohereChat, "cohere_chat") {
            let _ = grammar_of_cohere::answer_of(out.as_bytes());
        }
    }
}

fn streams(api: &str, schema: SchemaName, endpoint: Endpoint, name_of_client: &str) -> Vec<String> {
    let mut told = Vec::new();
    let framing = schema.schema().framing();
    for case in cases(api, if framing == Framing::AwsNamed { "frames" } else { "sse" }) {
        let text = String::from_utf8(read(&case)).unwrap();
        let (mut losses, asked) = (Losses::default(), asked(&case));
        let mut reader = backend(schema).events(&asked);
        let mut writer = client(endpoint).events(&asked);
        let mut events: Vec<Event> = Vec::new();
        for line in text.lines() {
            let (name, data) = match framing {
                Framing::AwsNamed => {
                    let (name, data) = line.split_once(' ').unwrap_or((line, ""));
                    (Some(name), Some(data))
                }
                Framing::Sse | Framing::AwsWrapped => (None, line.strip_prefix("data: ")),
            };
            if let Some(data) = data {
                reader.event(name, data.as_bytes(), &mut losses, &mut events);
            }
        }
        reader.finish(&mut events);
        let mut out = Vec::new();
        for event in &events {
            writer.event(event, &mut losses, &mut out);
        }
        assert!(writer.is_closed(), "{case:?} has no end");
        let out = String::from_utf8(out).unwrap();
        let lines: String = lost(&losses).map(|line| format!("{line}\n")).collect();
        snapshot(api, &name(&case, name_of_client), &format!("{out}{lines}"));
        told.push(out);
    }
    told
}

/// The losses of an answer, behind it. The end-to-end tests hand answers of snapshots to SDKs, without these lines.
fn lost(losses: &Losses) -> impl Iterator<Item = String> {
    losses.lines().into_iter().map(|line| format!("lost: {line}"))
}

const CHAT: Endpoint = Endpoint::ChatCompletions;

fn requests(endpoint: Endpoint, api: &str, name_of_schema: &str, schema: SchemaName) {
    for case in cases(api, "json") {
        let outcome = match sent(endpoint, schema, &read(&case)) {
            Ok(Translated { body, losses, .. }) => json!({
                "body": serde_json::from_slice::<Value>(&body).unwrap(),
                "losses": losses.iter().map(|loss| format!("{}: {}", loss.path, loss.reason)).collect::<Vec<_>>(),
            }),
            Err(error) => json!({ "status": error.status(), "error": error.message() }),
        };
        snapshot(api, &name(&case, name_of_schema), &serde_json::to_string_pretty(&outcome).unwrap());
    }
}

fn sent(endpoint: Endpoint, schema: SchemaName, body: &[u8]) -> weir_core::Result<Translated> {
    with_to(endpoint, schema, body, |to| translate(client(endpoint), backend(schema), to, body))
}

/// What `make` makes for a backend of `schema`, to which `body` goes.
fn with_to<T>(endpoint: Endpoint, schema: SchemaName, body: &[u8], make: impl FnOnce(&To<'_>) -> T) -> T {
    // What the edge reads of a body, also where the rest of it is wrong.
    let path = (":path", "/v1beta/models/asked-model:generateContent");
    let model = (endpoint.operation().glance)(&Headers::from([path]), body).map(|seen| seen.model);
    let model = model.unwrap_or_default();
    let is_geminis = schema == SchemaName::GCPVertexAI && !model.starts_with("gemini");
    let model = if is_geminis { "gemini-3.1-pro-preview" } else { &model };
    make(&To {
        endpoint,
        schema: &Schema { name: schema, prefix: None, version: None },
        model,
        stream: false,
        default_max_tokens: 4096,
        headers: &Headers::default(),
        auth: None,
        cache_marks: false,
    })
}

fn client(endpoint: Endpoint) -> &'static dyn ClientCodec {
    endpoint.operation().conversation().unwrap()
}

fn backend(schema: SchemaName) -> &'static dyn BackendCodec {
    schema.schema().codec().unwrap()
}

/// The name of a case says which model of Bedrock was asked, and that it was asked for JSON that it gives by a tool.
fn asked(case: &Path) -> Asked {
    let name = case.file_name().unwrap().to_string_lossy();
    let mut request = Request { include_usage: true, ..Request::default() };
    if name.contains("by_tool") {
        let schema = r#"{"type":"object"}"#.to_owned();
        let format = ResponseFormat::JsonSchema { name: Some("city".to_owned()), schema, strict: None };
        request.response_format = Some(format);
    }
    let model = match () {
        () if name.starts_with("nova") => "amazon.nova-pro-v1:0",
        () if name.starts_with("gpt") => "us.openai.gpt-6-sol",
        () if name.contains("by_tool") => "anthropic.claude-3-7-sonnet-20250219-v1:0",
        () => "asked-model",
    };
    Asked {
        request: request.into(),
        id: "chatcmpl-own".to_owned(),
        model: model.to_owned(),
        created: 1_790_000_000,
    }
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
