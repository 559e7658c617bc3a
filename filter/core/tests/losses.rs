//! What each client API loses on its way to each schema, as the table in `docs/losses.md`.
//!
//! What is asked lies in `tests/fixtures/features`: the name of each thing that a client may say, and the members of
//! the body that say it, in the place of those of a request that says `Hi`. After a wanted change: `UPDATE_DOCS=1 cargo
//! test -p weir-core --test losses`, then read the diff.

#![cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use weir_core::chat::Losses;
use weir_core::config::Schema;
use weir_core::endpoint::Endpoint;
use weir_core::headers::Headers;
use weir_core::wire::job::Translation;
use weir_core::wire::{Reach, SchemaName, To, reach, translate, translation};

/// A column: a schema, and a model where what is carried over depends on it.
struct Target {
    title: &'static str,
    schema: SchemaName,
    model: &'static str,
}

/// The columns of a schema.
fn targets(endpoint: Endpoint, schema: SchemaName) -> Vec<Target> {
    match endpoint {
        Endpoint::Embeddings => of_embeddings(schema),
        Endpoint::Rerank => of_rerank(schema),
        _ => of_conversations(schema),
    }
}

const fn target(title: &'static str, schema: SchemaName, model: &'static str) -> Target {
    Target { title, schema, model }
}

fn of_conversations(schema: SchemaName) -> Vec<Target> {
    let target = |title, model| target(title, schema, model);
    match schema {
        SchemaName::OpenAI => {
            vec![target("OpenAI-compatible", "Qwen/Qwen3-1.7B"), target("OpenAI", "gpt-5.1")]
        }
        SchemaName::OpenAIChat => vec![target("chat completions only", "Qwen/Qwen3-1.7B")],
        // What they get is what OpenAI's models get.
        SchemaName::AzureOpenAI | SchemaName::AWSOpenAI => vec![],
        SchemaName::Anthropic => vec![target("Claude", "claude-sonnet-4-5")],
        SchemaName::AWSAnthropic => {
            vec![target("Claude on Bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0")]
        }
        SchemaName::AWSBedrock => vec![
            target("Claude through Converse", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
            target("Nova through Converse", "amazon.nova-pro-v1:0"),
            target("Llama through Converse", "us.meta.llama4-scout-17b-instruct-v1:0"),
        ],
        SchemaName::GCPAnthropic => vec![target("Claude on Vertex AI", "claude-sonnet-4-5@20250929")],
        SchemaName::GCPVertexAI => vec![target("Gemini", "gemini-2.5-flash")],
        SchemaName::Cohere => vec![target("Cohere", "command-a-03-2025")],
    }
}

fn of_embeddings(schema: SchemaName) -> Vec<Target> {
    let target = |title, model| target(title, schema, model);
    match schema {
        SchemaName::AWSBedrock => vec![
            target("Titan 1", "amazon.titan-embed-text-v1"),
            target("Titan 2", "amazon.titan-embed-text-v2:0"),
            target("Nova", "amazon.nova-2-multimodal-embeddings-v1:0"),
            target("Cohere 3 on Bedrock", "cohere.embed-english-v3"),
            target("Cohere 4 on Bedrock", "cohere.embed-v4:0"),
        ],
        SchemaName::GCPVertexAI => vec![
            target("gemini-embedding-001", "gemini-embedding-001"),
            target("gemini-embedding-2", "gemini-embedding-2"),
        ],
        SchemaName::Cohere => vec![target("Cohere", "embed-v4.0")],
        SchemaName::OpenAI
        | SchemaName::OpenAIChat
        | SchemaName::AzureOpenAI
        | SchemaName::AWSOpenAI
        | SchemaName::Anthropic
        | SchemaName::AWSAnthropic
        | SchemaName::GCPAnthropic => vec![],
    }
}

fn of_rerank(schema: SchemaName) -> Vec<Target> {
    let target = |title, model| target(title, schema, model);
    match schema {
        SchemaName::OpenAI => vec![target("OpenAI-compatible", "BAAI/bge-reranker-v2-m3")],
        SchemaName::AWSBedrock => vec![
            target("Cohere on Bedrock", "cohere.rerank-v3-5:0"),
            target("Amazon on Bedrock", "amazon.rerank-v1:0"),
        ],
        SchemaName::GCPVertexAI => vec![target("Google's ranking", "semantic-ranker-default@latest")],
        SchemaName::OpenAIChat
        | SchemaName::AzureOpenAI
        | SchemaName::AWSOpenAI
        | SchemaName::Anthropic
        | SchemaName::AWSAnthropic
        | SchemaName::GCPAnthropic
        | SchemaName::Cohere => vec![],
    }
}

#[test]
fn the_table_in_the_docs_is_true() {
    let mut text = HEAD.to_owned();
    let mut reasons = Vec::new();
    for (title, endpoint, file) in [
        ("OpenAI's chat completions", Endpoint::ChatCompletions, "openai_chat"),
        ("OpenAI's responses", Endpoint::Responses, "openai_responses"),
        ("OpenAI's completions", Endpoint::Completions, "openai_completions"),
        ("Anthropic's messages", Endpoint::Messages, "anthropic_messages"),
        ("Gemini's contents", Endpoint::GenerateContent, "gemini_contents"),
        ("Cohere's chat", Endpoint::CohereChat, "cohere_chat"),
        ("OpenAI's embeddings", Endpoint::Embeddings, "openai_embeddings"),
        ("Cohere's rerank", Endpoint::Rerank, "cohere_rerank"),
    ] {
        let file = path(&format!("tests/fixtures/features/{file}.json"));
        let features: Map<String, Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let targets: Vec<Target> = SchemaName::ALL
            .iter()
            .flat_map(|schema| targets(endpoint, *schema))
            .filter(|target| matches!(reach(endpoint, target.schema), Ok(Reach::Translate)))
            // What they get is what others get that are compatible, but where these speak the client's API.
            .filter(|target| {
                target.schema != SchemaName::OpenAIChat
                    || matches!(reach(endpoint, SchemaName::OpenAI), Ok(Reach::Same))
            })
            .collect();
        let titles: Vec<&str> = targets.iter().map(|target| target.title).collect();
        write!(text, "\n## {title}\n\n| | {} |\n|---|{}\n", titles.join(" | "), "---|".repeat(titles.len()))
            .unwrap();
        for (feature, members) in &features {
            let cells: Vec<String> =
                targets.iter().map(|target| cell(endpoint, target, members, &mut reasons)).collect();
            writeln!(text, "| {} | {} |", feature, cells.join(" | ")).unwrap();
        }
    }
    text.push_str("\n## Why\n\n");
    for (index, reason) in reasons.iter().enumerate() {
        writeln!(text, "{}. {reason}", index + 1).unwrap();
    }
    let file = path("docs/losses.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&file).unwrap_or_default(), "UPDATE_DOCS=1 writes it anew");
}

fn path(of_the_project: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(of_the_project)
}

const HEAD: &str = "# What is lost on the way

From each client API to each schema that speaks another: what of a request is carried over. Where both sides speak the same API, the bytes pass as they are, and nothing is lost.
This page is written by `UPDATE_DOCS=1 cargo test -p weir-core --test losses`, from what the gateway does; a test holds it to that.

*yes*: it is carried over. *lost*: it is left out or changed, which the access log says, and `x-weir-losses` where a client [asks for it](configuration.md#losses). *400*, *422*: the request is refused. The numbers are those of the reasons below.
";

/// What becomes of these members at `target`.
fn cell(endpoint: Endpoint, target: &Target, members: &Value, reasons: &mut Vec<String>) -> String {
    let mut number = |reason: String| {
        let index = reasons.iter().position(|known| *known == reason).unwrap_or_else(|| {
            reasons.push(reason);
            reasons.len() - 1
        });
        index + 1
    };
    let mut body = match endpoint {
        Endpoint::Embeddings => json!({"input": "Hi"}),
        Endpoint::Rerank => json!({"query": "Hi", "documents": ["Hi"]}),
        Endpoint::Messages => json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4096}),
        Endpoint::Responses => json!({"input": "Hi"}),
        Endpoint::Completions => json!({"prompt": "Hi"}),
        Endpoint::GenerateContent => json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}),
        _ => json!({"messages": [{"role": "user", "content": "Hi"}]}),
    };
    if endpoint != Endpoint::GenerateContent {
        body.as_object_mut().unwrap().insert("model".to_owned(), target.model.into());
    }
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let to = To {
        endpoint,
        schema: &Schema { name: target.schema, prefix: None, version: None },
        model: target.model,
        stream: false,
        default_max_tokens: 4096,
        headers: &Headers::default(),
        auth: None,
        cache_marks: false,
    };
    match lost(&to, body.to_string().as_bytes()) {
        Err(error) => format!("{} ({})", error.status(), number(error.message().to_owned())),
        Ok(losses) if losses.is_empty() => "yes".to_owned(),
        Ok(losses) => {
            let numbers: Vec<String> = losses
                .iter()
                .map(|loss| number(format!("`{}`: {}", loss.path, loss.reason)).to_string())
                .collect();
            format!("lost ({})", numbers.join(", "))
        }
    }
}

fn lost(to: &To<'_>, body: &[u8]) -> weir_core::Result<Losses> {
    match translation(to.endpoint, to.schema.name.schema()).expect("there is a translation") {
        Translation::Conversation(client, backend) => Ok(translate(client, backend, to, body)?.losses),
        Translation::Job(sides) => {
            let mut losses = Losses::default();
            sides.ask(to, body, &mut losses)?;
            Ok(losses)
        }
    }
}
