//! Cohere's embed and rerank, version 2: `v2/raw_client.py` of its SDK.

use serde_json::{Value, json};

use super::Refusal;
use crate::answer::Answer;
use crate::retrieval::{rank, texts, vector};
use crate::server::Ask;
use crate::text;

const EMBED: &[&str] = &[
    "model",
    "input_type",
    "texts",
    "images",
    "inputs",
    "max_tokens",
    "output_dimension",
    "embedding_types",
    "truncate",
    "priority",
];
const RERANK: &[&str] =
    &["model", "query", "documents", "top_n", "max_tokens_per_doc", "relevant_spans", "priority"];
const INPUT_TYPES: &[&str] = &["search_document", "search_query", "classification", "clustering", "image"];

/// The most texts at once.
const MAX_TEXTS: usize = 96;

fn checked(body: &Value, members: &[&str]) -> Result<(), Refusal> {
    let unknown =
        body.as_object().and_then(|body| body.keys().find(|name| !members.contains(&name.as_str())));
    if let Some(unknown) = unknown {
        return Err((422, format!("unknown field: parameter '{unknown}' is not a valid field")));
    }
    if body.get("model").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err((400, "model is required".to_owned()));
    }
    Ok(())
}

fn words<'a>(body: &'a Value, member: &str, known: &[&str]) -> Result<Option<&'a str>, Refusal> {
    let Some(value) = body.get(member) else { return Ok(None) };
    match value.as_str().filter(|word| known.contains(word)) {
        Some(word) => Ok(Some(word)),
        None => Err((400, format!("invalid request: {member} cannot be {value}"))),
    }
}

/// `/v2/embed`
pub(super) fn embed(ask: &Ask<'_>, body: &Value) -> Result<Answer, Refusal> {
    checked(body, EMBED)?;
    if words(body, "input_type", INPUT_TYPES)?.is_none() {
        return Err((400, "valid input_type must be provided with the provided model".to_owned()));
    }
    words(body, "truncate", &["NONE", "START", "END"])?;
    if body.get("embedding_types").is_some_and(|types| *types != json!(["float"])) {
        return Err((400, "this stand-in has float embeddings only".to_owned()));
    }
    let texts = texts(body.get("texts")).filter(|texts| texts.len() <= MAX_TEXTS);
    let texts = texts.ok_or_else(|| (400, "invalid request: texts must be 1 to 96 texts".to_owned()))?;
    let dimensions = body.get("output_dimension").and_then(Value::as_u64).unwrap_or(1536);
    if ![256, 512, 1024, 1536].contains(&dimensions) {
        return Err((400, format!("invalid request: output_dimension cannot be {dimensions}")));
    }
    let vectors: Vec<_> = texts.iter().map(|text| vector(text::content_words(text), dimensions)).collect();
    let tokens: u64 = texts.iter().map(text::content_words).sum();
    Ok(Answer::json(
        200,
        &json!({
            "id": format!("embed-{}-{}", ask.name, ask.id),
            "embeddings": {"float": vectors},
            "texts": texts,
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": tokens}},
            "response_type": "embeddings_by_type",
        }),
    ))
}

/// `/v2/rerank`
pub(super) fn rerank(ask: &Ask<'_>, body: &Value) -> Result<Answer, Refusal> {
    checked(body, RERANK)?;
    let query = body.get("query").and_then(Value::as_str).filter(|query| !query.is_empty());
    let query = query.ok_or_else(|| (400, "invalid request: query must not be empty".to_owned()))?;
    let documents = texts(body.get("documents"));
    let documents = documents.ok_or_else(|| (400, "invalid request: documents must be texts".to_owned()))?;
    let (ranked, _) = rank(query, documents, body.get("top_n").and_then(Value::as_u64));
    let results: Vec<_> =
        ranked.iter().map(|(index, score)| json!({"index": index, "relevance_score": score})).collect();
    Ok(Answer::json(
        200,
        &json!({
            "id": format!("rerank-{}-{}", ask.name, ask.id),
            "results": results,
            "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
        }),
    ))
}
