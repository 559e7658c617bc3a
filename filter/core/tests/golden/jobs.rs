//! The same of jobs that are no conversation: one snapshot per model that takes another body.

use super::*;
use weir_core::config::Auth;
use weir_core::wire::job::{Seen, Translation};
use weir_core::wire::{path, translation};

/// A column: what its snapshots and answers are called, and who is asked.
struct Column {
    name: &'static str,
    schema: SchemaName,
    model: &'static str,
}

const fn column(name: &'static str, schema: SchemaName, model: &'static str) -> Column {
    Column { name, schema, model }
}

const EMBEDDERS: &[Column] = &[
    column("titan_1", SchemaName::AWSBedrock, "amazon.titan-embed-text-v1"),
    column("titan_2", SchemaName::AWSBedrock, "amazon.titan-embed-text-v2:0"),
    column("nova", SchemaName::AWSBedrock, "amazon.nova-2-multimodal-embeddings-v1:0"),
    column("bedrock_cohere_3", SchemaName::AWSBedrock, "cohere.embed-english-v3"),
    column("bedrock_cohere_4", SchemaName::AWSBedrock, "us.cohere.embed-v4:0"),
    column("cohere", SchemaName::Cohere, "embed-v4.0"),
    column("predict", SchemaName::GCPVertexAI, "gemini-embedding-001"),
    column("embed_content", SchemaName::GCPVertexAI, "gemini-embedding-2"),
];

const RANKERS: &[Column] = &[
    column("bedrock_cohere", SchemaName::AWSBedrock, "cohere.rerank-v3-5:0"),
    column("bedrock_amazon", SchemaName::AWSBedrock, "amazon.rerank-v1:0"),
    column("openai", SchemaName::OpenAI, "BAAI/bge-reranker-v2-m3"),
    column("google", SchemaName::GCPVertexAI, "semantic-ranker-default@latest"),
];

#[test]
fn embeddings_to_each_model() {
    asked_of(Endpoint::Embeddings, "openai_embeddings", EMBEDDERS);
}

#[test]
fn ranks_to_each_model() {
    asked_of(Endpoint::Rerank, "cohere_rerank", RANKERS);
}

fn asked_of(endpoint: Endpoint, folder: &str, columns: &[Column]) {
    for case in cases(folder, "json") {
        for column in columns {
            let shown = with_column(endpoint, column, |to| {
                let mut losses = Losses::default();
                match sides(endpoint, column).ask(to, &read(&case), &mut losses) {
                    Ok(sent) => {
                        let lines: String = lost(&losses).map(|line| format!("\n{line}")).collect();
                        format!("POST {}\n{}{lines}", path(to), String::from_utf8(sent.body).unwrap())
                    }
                    Err(error) => format!("{} {}", error.status(), error.message()),
                }
            });
            snapshot(folder, &name(&case, column.name), &shown);
        }
    }
}

/// An answer is for the column whose name its own begins with.
#[test]
fn answers_with_embeddings() {
    let count = |case: &Path| if case.to_string_lossy().contains("two") { 2 } else { 1 };
    for case in cases("embeddings", "json") {
        let column = column_of(&case, EMBEDDERS);
        let input = vec!["text"; count(&case)];
        for encoding in ["float", "base64"] {
            let asked = json!({"model": "m", "input": input, "encoding_format": encoding});
            let shown = answered(Endpoint::Embeddings, column, &asked, &case);
            snapshot("embeddings", &name(&case, encoding), &shown);
        }
    }
}

#[test]
fn answers_with_ranks() {
    for case in cases("ranks", "json") {
        let asked = json!({"model": "m", "query": "q", "documents": ["a", "b", "c"]});
        let shown = answered(Endpoint::Rerank, column_of(&case, RANKERS), &asked, &case);
        snapshot("ranks", &name(&case, "cohere_rerank"), &shown);
    }
}

fn answered(endpoint: Endpoint, column: &Column, asked: &Value, case: &Path) -> String {
    let sent = with_column(endpoint, column, |to| {
        sides(endpoint, column).ask(to, asked.to_string().as_bytes(), &mut Losses::default()).unwrap()
    });
    let mut losses = Losses::default();
    let seen = Seen { id: "own", model: column.model, input_tokens: Some(99) };
    match sent.question.answered(&seen, &read(case), &mut losses) {
        Ok(answered) => {
            let lines: String = lost(&losses).map(|line| format!("\n{line}")).collect();
            let (input, total) = (answered.usage.input(), answered.usage.total());
            format!("{}\nused: {input:?} of {total:?}{lines}", String::from_utf8(answered.body).unwrap())
        }
        Err(error) => format!("{} {}", error.status(), error.message()),
    }
}

fn sides(endpoint: Endpoint, column: &Column) -> Box<dyn weir_core::wire::job::Sides> {
    match translation(endpoint, column.schema.schema()) {
        Some(Translation::Job(sides)) => sides,
        other => panic!("{other:?}"),
    }
}

fn with_column<T>(endpoint: Endpoint, column: &Column, then: impl FnOnce(&To<'_>) -> T) -> T {
    let auth = Auth::Gcp {
        credential: String::new(),
        project: "our-project".to_owned(),
        region: "us-central1".to_owned(),
    };
    then(&To {
        endpoint,
        schema: &Schema { name: column.schema, prefix: None, version: None },
        model: column.model,
        stream: false,
        default_max_tokens: 4096,
        headers: &Headers::default(),
        auth: (column.schema == SchemaName::GCPVertexAI).then_some(&auth),
        cache_marks: false,
    })
}

fn column_of<'a>(case: &Path, columns: &'a [Column]) -> &'a Column {
    let name = case.file_name().unwrap().to_string_lossy();
    columns.iter().find(|column| name.starts_with(column.name)).unwrap()
}
