//! Embeddings, rerank, tokens and the list of models.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Refusal, model};
use crate::answer::Answer;
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
            // Powers of two, so that they are the same as f32 and as JSON numbers.
            let vector: Vec<f32> =
                (0..dimensions).map(|place| if (place + size) % 2 == 0 { 0.5 } else { -0.25 }).collect();
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
    let query = body.get("query").and_then(Value::as_str).ok_or_else(|| Refusal::missing("query"))?;
    let documents =
        body.get("documents").and_then(Value::as_array).ok_or_else(|| Refusal::missing("documents"))?;
    let mut ranked: Vec<_> = documents.iter().map(text::content_words).enumerate().collect();
    let tokens = text::words(query) + ranked.iter().map(|(_, words)| words).sum::<u64>();
    ranked.sort_by_key(|(index, words)| (std::cmp::Reverse(*words), *index));
    let longest = ranked.first().map_or(1, |(_, words)| (*words).max(1));
    let wanted = body.get("top_n").and_then(Value::as_u64).and_then(|wanted| usize::try_from(wanted).ok());
    let results: Vec<_> = ranked
        .iter()
        .take(wanted.unwrap_or(usize::MAX))
        .map(|(index, words)| json!({"index": index, "relevance_score": *words as f64 / longest as f64}))
        .collect();
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
