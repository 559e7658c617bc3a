//! Embeddings, rerank, moderations, tokens and the list of models.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Refusal, model};
use crate::answer::Answer;
use crate::object::with;
use crate::retrieval::{rank, vector};
use crate::server::Ask;
use crate::text;

/// Length of an embedding unless the request says otherwise.
const DIMENSIONS: u64 = 8;

/// `/v1/embeddings`: one vector per input, as numbers or as little-endian floats in Base64.
pub(crate) fn embeddings(_: &Ask<'_>, body: &Value) -> Result<Answer, Refusal> {
    let inputs = match body.get("input") {
        None | Some(Value::Null) => return Err(Refusal::missing("input")),
        Some(Value::Array(list)) if !list.iter().all(Value::is_number) => list.iter().collect(),
        Some(one) => vec![one],
    };
    let dimensions = body.get("dimensions").and_then(Value::as_u64).unwrap_or(DIMENSIONS).clamp(1, 4096);
    let packed = body.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let mut tokens = 0;
    let data: Vec<_> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let size =
                input.as_array().map_or_else(|| text::content_words(input), |tokens| tokens.len() as u64);
            tokens += size;
            let vector = vector(size, dimensions);
            let embedding = if packed {
                json!(
                    STANDARD.encode(vector.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
                )
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    Ok(Answer::json(
        200,
        &json!({
            "object": "list",
            "data": data,
            "model": model(body),
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }),
    ))
}

/// Cohere's `/v2/rerank`: the longer a document, the more relevant.
pub(crate) fn rerank(ask: &Ask<'_>, body: &Value) -> Result<Answer, Refusal> {
    let (results, tokens) = ranked(body)?;
    Ok(Answer::json(
        200,
        &json!({
            "id": format!("rerank-{}-{}", ask.name, ask.id),
            "results": results,
            "meta": {
                "api_version": {"version": "2"},
                "billed_units": {"search_units": 1},
                "tokens": {"input_tokens": tokens, "output_tokens": 0},
            },
        }),
    ))
}

/// The same as vLLM answers it, at `/v1/rerank` and `/rerank`.
pub(crate) fn vllm_rerank(ask: &Ask<'_>, body: &Value) -> Result<Answer, Refusal> {
    let (mut results, tokens) = ranked(body)?;
    let documents = body.get("documents").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for result in &mut results {
        let index = result.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
        let document = index.and_then(|index| documents.get(index)).cloned().unwrap_or_default();
        *result = with(result.take(), json!({"document": {"text": document}}));
    }
    Ok(Answer::json(
        200,
        &json!({
            "id": format!("rerank-{}-{}", ask.name, ask.id),
            "model": model(body),
            "usage": {"total_tokens": tokens},
            "results": results,
        }),
    ))
}

fn ranked(body: &Value) -> Result<(Vec<Value>, u64), Refusal> {
    let query = body.get("query").and_then(Value::as_str).ok_or_else(|| Refusal::missing("query"))?;
    let documents =
        body.get("documents").and_then(Value::as_array).ok_or_else(|| Refusal::missing("documents"))?;
    let (ranked, tokens) = rank(query, documents, body.get("top_n").and_then(Value::as_u64));
    let results = ranked.iter().map(|(index, score)| json!({"index": index, "relevance_score": score}));
    Ok((results.collect(), tokens))
}

/// What moderations tell apart: `moderation.py` of OpenAI's SDK.
const CATEGORIES: [&str; 13] = [
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

/// `/v1/moderations`: nothing is wrong with anything.
pub(crate) fn moderations(ask: &Ask<'_>, body: &Value) -> Result<Answer, Refusal> {
    let count = match body.get("input") {
        None | Some(Value::Null) => return Err(Refusal::missing("input")),
        Some(Value::Array(list)) => list.len(),
        Some(_) => 1,
    };
    let each = |value: Value| -> Map<String, Value> {
        CATEGORIES.iter().map(|category| ((*category).to_owned(), value.clone())).collect()
    };
    let result = json!({
        "flagged": false,
        "categories": each(json!(false)),
        "category_scores": each(json!(0.0)),
        "category_applied_input_types": each(json!(["text"])),
    });
    let model = Some(model(body)).filter(|model| !model.is_empty()).unwrap_or("omni-moderation-latest");
    let id = format!("modr-{}-{}", ask.name, ask.id);
    Ok(Answer::json(200, &json!({"id": id, "model": model, "results": vec![result; count]})))
}

/// vLLM's `/tokenize`.
pub(crate) fn tokenize(_: &Ask<'_>, body: &Value) -> Result<Answer, Refusal> {
    let count = match (body.get("prompt"), body.get("messages").and_then(Value::as_array)) {
        (Some(prompt), None) => text::content_words(prompt),
        (None, Some(messages)) => messages.iter().map(text::content_words).sum(),
        _ => return Err(Refusal::invalid("Either 'prompt' or 'messages' is required.")),
    };
    let tokens: Vec<_> = (1..=count).collect();
    Ok(Answer::json(
        200,
        &json!({"count": count, "max_model_len": 32768, "tokens": tokens, "token_strs": null}),
    ))
}

/// `/v1/models`: the one model a model server serves.
pub(crate) fn models(ask: &Ask<'_>) -> Answer {
    let model =
        json!({"id": ask.name, "object": "model", "created": ask.now(), "owned_by": "weir-providers"});
    Answer::json(200, &json!({"object": "list", "data": [model]}))
}
