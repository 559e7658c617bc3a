//! Embeddings by `:predict` and `:embedContent`, and the ranking API of Discovery Engine.
//!
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api>, `EmbedContentRequest`
//! of `google.cloud.aiplatform.v1`, `RankRequest` of `google.cloud.discoveryengine.v1`.

use serde_json::{Value, json};

use super::Refusal;
use super::check::shape::{Kind, Shape, shape};
use crate::answer::Answer;
use crate::retrieval::{rank, vector};
use crate::text;

const TASK_TYPES: &[&str] = &[
    "RETRIEVAL_QUERY",
    "RETRIEVAL_DOCUMENT",
    "SEMANTIC_SIMILARITY",
    "CLASSIFICATION",
    "CLUSTERING",
    "QUESTION_ANSWERING",
    "FACT_VERIFICATION",
    "CODE_RETRIEVAL_QUERY",
];
const PREDICT: Shape = &[
    (
        "instances",
        Kind::ListOf(&[
            ("content", Kind::Text),
            ("task_type", Kind::Word(TASK_TYPES)),
            ("title", Kind::Text),
        ]),
    ),
    ("parameters", Kind::Of(&[("autoTruncate", Kind::Bool), ("outputDimensionality", Kind::Number)])),
];
const EMBED_CONTENT: Shape = &[
    ("content", Kind::Of(&[("role", Kind::Text), ("parts", Kind::ListOf(&[("text", Kind::Text)]))])),
    (
        "embedContentConfig",
        Kind::Of(&[
            ("taskType", Kind::Word(TASK_TYPES)),
            ("title", Kind::Text),
            ("outputDimensionality", Kind::Number),
            ("autoTruncate", Kind::Bool),
            ("documentOcr", Kind::Bool),
            ("audioTrackExtraction", Kind::Bool),
        ]),
    ),
];
const RANK: Shape = &[
    ("model", Kind::Text),
    ("topN", Kind::Number),
    ("query", Kind::Text),
    ("records", Kind::ListOf(&[("id", Kind::Text), ("title", Kind::Text), ("content", Kind::Text)])),
    ("ignoreRecordDetailsInResponse", Kind::Bool),
    ("userLabels", Kind::Labels),
];

/// The most documents that are ranked at once.
const MAX_RECORDS: usize = 200;

fn list<'a>(body: &'a Value, pointer: &str) -> &'a [Value] {
    body.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn dimensions(body: &Value, pointer: &str) -> u64 {
    body.pointer(pointer).and_then(Value::as_u64).unwrap_or(768)
}

/// Whether a model's embeddings are those of `:embedContent`.
fn takes_content(model: &str) -> bool {
    model.contains("gemini") && model != "gemini-embedding-001"
}

/// `:predict`
pub(super) fn predict(model: &str, body: &Value) -> Result<Answer, Refusal> {
    if takes_content(model) {
        return Err(Refusal::invalid(format!("Model {model} does not support the predict method.")));
    }
    shape("", body, PREDICT)?;
    let instances = list(body, "/instances");
    if instances.is_empty() || instances.len() > 250 {
        return Err(Refusal::invalid("The number of instances must be between 1 and 250."));
    }
    let dimensions = dimensions(body, "/parameters/outputDimensionality");
    let predictions = instances.iter().map(|instance| {
        if instance.get("title").is_some() && instance.get("task_type") != Some(&json!("RETRIEVAL_DOCUMENT"))
        {
            return Err(Refusal::invalid("A title is for the task type RETRIEVAL_DOCUMENT only."));
        }
        let words = instance.get("content").map_or(0, text::content_words);
        let statistics = json!({"token_count": words, "truncated": false});
        Ok(json!({"embeddings": {"values": vector(words, dimensions), "statistics": statistics}}))
    });
    let predictions: Vec<_> = predictions.collect::<Result<_, _>>()?;
    Ok(Answer::json(200, &json!({"predictions": predictions, "metadata": {"billableCharacterCount": 1}})))
}

/// `:embedContent`
pub(super) fn embed_content(model: &str, body: &Value) -> Result<Answer, Refusal> {
    if !takes_content(model) {
        return Err(Refusal::invalid(format!("Model {model} does not support the embedContent method.")));
    }
    shape("", body, EMBED_CONTENT)?;
    let words: u64 = list(body, "/content/parts").iter().map(text::content_words).sum();
    if words == 0 {
        return Err(Refusal::invalid("The content is empty."));
    }
    let vector = vector(words, dimensions(body, "/embedContentConfig/outputDimensionality"));
    let usage = json!({"promptTokenCount": words, "totalTokenCount": words});
    Ok(Answer::json(
        200,
        &json!({"embedding": {"values": vector}, "usageMetadata": usage, "truncated": false}),
    ))
}

/// `:rank`
pub(super) fn ranked(body: &Value) -> Result<Answer, Refusal> {
    shape("", body, RANK)?;
    let records = list(body, "/records");
    if records.is_empty() || records.len() > MAX_RECORDS {
        return Err(Refusal::invalid("The number of records must be between 1 and 200."));
    }
    let query = body.get("query").and_then(Value::as_str).unwrap_or_default();
    let (ranked, _) = rank(query, records, body.get("topN").and_then(Value::as_u64));
    let id = |index: usize| records.get(index).and_then(|record| record.get("id"));
    let records: Vec<_> =
        ranked.iter().map(|(index, score)| json!({"id": id(*index), "score": score})).collect();
    Ok(Answer::json(200, &json!({ "records": records })))
}
