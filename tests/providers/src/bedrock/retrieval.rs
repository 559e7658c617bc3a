//! Models that make vectors or rank documents, which InvokeModel takes with bodies of their own. AWS's service model
//! does not have them; each follows the page of AWS's documentation that is named with it.

use serde_json::{Value, json};

use super::Refusal;
use crate::answer::Answer;
use crate::retrieval::{rank, texts, vector};
use crate::text;

/// What a member may be.
type Check = fn(&Value) -> bool;

/// The members of a body, whether they must be there, and what they may be.
type Shape = &'static [(&'static str, bool, Check)];

/// A model by the mark in its name, its body, and what it answers.
struct Model {
    mark: &'static str,
    shape: Shape,
    answer: fn(&Value) -> Answer,
}

const MODELS: &[Model] = &[
    Model { mark: "amazon.titan-embed-text-v1", shape: TITAN_1, answer: titan },
    Model { mark: "amazon.titan-embed-text-v2", shape: TITAN_2, answer: titan },
    Model { mark: "amazon.nova-2-multimodal-embeddings", shape: NOVA, answer: nova },
    Model { mark: "cohere.embed-english-v3", shape: COHERE_3, answer: cohere },
    Model { mark: "cohere.embed-multilingual-v3", shape: COHERE_3, answer: cohere },
    Model { mark: "cohere.embed-v4", shape: COHERE_4, answer: cohere },
    Model { mark: "cohere.rerank", shape: COHERE_RERANK, answer: ranked },
    Model { mark: "amazon.rerank", shape: AMAZON_RERANK, answer: ranked },
];

/// The answer of `model`, if it is one of these.
pub(super) fn answer(model: &str, body: &Value) -> Option<Result<Answer, Refusal>> {
    let model = MODELS.iter().find(|known| model.contains(known.mark))?;
    Some(check(body, model.shape).map(|()| (model.answer)(body)))
}

fn check(body: &Value, shape: Shape) -> Result<(), Refusal> {
    let refused = |what: String| {
        let message = format!("Malformed input request: {what}, please reformat your input and try again.");
        Err(Refusal::new(400, "ValidationException", message))
    };
    let Some(members) = body.as_object() else { return refused("#: expected type: JSONObject".to_owned()) };
    if let Some(unknown) = members.keys().find(|name| !shape.iter().any(|(known, ..)| known == name)) {
        return refused(format!("#: extraneous key [{unknown}] is not permitted"));
    }
    for (name, is_required, is_right) in shape {
        match members.get(*name) {
            None if *is_required => return refused(format!("#: required key [{name}] not found")),
            Some(value) if !is_right(value) => return refused(format!("#/{name}: {value} is not valid")),
            _ => {}
        }
    }
    Ok(())
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

fn is_one_of(value: &Value, words: &[&str]) -> bool {
    value.as_str().is_some_and(|word| words.contains(&word))
}

fn is_size(value: &Value, sizes: &[u64]) -> bool {
    value.as_u64().is_some_and(|size| sizes.contains(&size))
}

fn is_list_of(value: &Value, words: &[&str]) -> bool {
    value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(|value| is_one_of(value, words)))
}

fn is_count(value: &Value) -> bool {
    value.as_u64().is_some_and(|count| count > 0)
}

/// <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html>
const TITAN_1: Shape = &[("inputText", true, is_text)];
const TITAN_2: Shape = &[
    ("inputText", true, is_text),
    ("dimensions", false, |value| is_size(value, &[256, 512, 1024])),
    ("normalize", false, Value::is_boolean),
    ("embeddingTypes", false, |value| is_list_of(value, &["float", "binary"])),
];

fn titan(body: &Value) -> Answer {
    let words = body.get("inputText").map_or(0, text::content_words);
    let vector = vector(words, body.get("dimensions").and_then(Value::as_u64).unwrap_or(1024));
    let answer =
        json!({"embedding": vector, "embeddingsByType": {"float": vector}, "inputTextTokenCount": words});
    Answer::json(200, &answer).header("x-amzn-bedrock-input-token-count", &words.to_string())
}

/// <https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html>
const NOVA: Shape = &[
    ("schemaVersion", false, |value| value == "nova-multimodal-embed-v1"),
    ("taskType", true, |value| value == "SINGLE_EMBEDDING"),
    ("singleEmbeddingParams", true, |value| check(value, NOVA_PARAMS).is_ok()),
];
const NOVA_PARAMS: Shape = &[
    ("embeddingPurpose", true, |value| is_one_of(value, NOVA_PURPOSES)),
    ("embeddingDimension", false, |value| is_size(value, &[256, 384, 1024, 3072])),
    ("text", true, |value| check(value, NOVA_TEXT).is_ok()),
];
const NOVA_TEXT: Shape = &[
    ("truncationMode", true, |value| is_one_of(value, &["START", "END", "NONE"])),
    ("value", true, is_text),
];
const NOVA_PURPOSES: &[&str] = &[
    "GENERIC_INDEX",
    "GENERIC_RETRIEVAL",
    "TEXT_RETRIEVAL",
    "IMAGE_RETRIEVAL",
    "VIDEO_RETRIEVAL",
    "DOCUMENT_RETRIEVAL",
    "AUDIO_RETRIEVAL",
    "CLASSIFICATION",
    "CLUSTERING",
];

fn nova(body: &Value) -> Answer {
    let at = |pointer| body.pointer(pointer);
    let words = at("/singleEmbeddingParams/text/value").map_or(0, text::content_words);
    let dimensions = at("/singleEmbeddingParams/embeddingDimension").and_then(Value::as_u64).unwrap_or(3072);
    let embedding = json!({"embeddingType": "TEXT", "embedding": vector(words, dimensions)});
    Answer::json(200, &json!({"embeddings": [embedding]}))
        .header("x-amzn-bedrock-input-token-count", &words.to_string())
}

const INPUT_TYPES: &[&str] = &["search_document", "search_query", "classification", "clustering"];
const EMBEDDING_TYPES: &[&str] = &["float", "int8", "uint8", "binary", "ubinary"];

fn is_batch(value: &Value) -> bool {
    texts(Some(value)).is_some_and(|texts| texts.len() <= 96)
}

/// <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v3.html>
const COHERE_3: Shape = &[
    ("texts", true, is_batch),
    ("input_type", true, |value| is_one_of(value, INPUT_TYPES)),
    ("truncate", false, |value| is_one_of(value, &["NONE", "START", "END"])),
    ("embedding_types", false, |value| is_list_of(value, EMBEDDING_TYPES)),
];

/// <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v4.html>
const COHERE_4: Shape = &[
    ("texts", true, is_batch),
    ("input_type", true, |value| is_one_of(value, INPUT_TYPES)),
    ("truncate", false, |value| is_one_of(value, &["NONE", "LEFT", "RIGHT"])),
    ("embedding_types", false, |value| is_list_of(value, EMBEDDING_TYPES)),
    ("output_dimension", false, |value| is_size(value, &[256, 512, 1024, 1536])),
    ("max_tokens", false, is_count),
];

fn cohere(body: &Value) -> Answer {
    let texts = texts(body.get("texts")).unwrap_or_default();
    let dimensions = body.get("output_dimension").and_then(Value::as_u64).unwrap_or(1024);
    let vectors: Vec<_> = texts.iter().map(|text| vector(text::content_words(text), dimensions)).collect();
    let id = "00000000-0000-4000-8000-000000000000";
    Answer::json(
        200,
        &match body.get("embedding_types") {
            Some(_) => {
                json!({"id": id, "texts": texts, "embeddings": {"float": vectors}, "response_type": "embeddings_by_type"})
            }
            None => {
                json!({"id": id, "texts": texts, "embeddings": vectors, "response_type": "embeddings_floats"})
            }
        },
    )
}

fn are_documents(value: &Value) -> bool {
    texts(Some(value)).is_some_and(|texts| texts.len() <= 1000)
}

/// <https://docs.cohere.com/docs/amazon-bedrock>, <https://docs.cohere.com/reference/rerank>
const COHERE_RERANK: Shape = &[
    ("query", true, is_text),
    ("documents", true, are_documents),
    ("top_n", false, is_count),
    ("api_version", true, |value| is_size(value, &[2])),
    ("max_tokens_per_doc", false, is_count),
];

/// <https://docs.aws.amazon.com/bedrock/latest/userguide/rerank-supported.html>
const AMAZON_RERANK: Shape =
    &[("query", true, is_text), ("documents", true, are_documents), ("top_n", false, is_count)];

fn ranked(body: &Value) -> Answer {
    let query = body.get("query").and_then(Value::as_str).unwrap_or_default();
    let documents = texts(body.get("documents")).unwrap_or_default();
    let (ranked, _) = rank(query, documents, body.get("top_n").and_then(Value::as_u64));
    let results = ranked.iter().map(|(index, score)| json!({"index": index, "relevance_score": score}));
    Answer::json(200, &json!({"results": results.collect::<Vec<_>>()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_another_model_is_refused() {
        let nova = json!({"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams":
            {"embeddingPurpose": "GENERIC_INDEX", "text": {"truncationMode": "NONE", "value": "a"}}});
        let cohere = json!({"texts": ["a"], "input_type": "clustering"});
        let rerank = json!({"query": "q", "documents": ["a"]});
        for (model, body, is_taken) in [
            ("amazon.titan-embed-text-v1", json!({"inputText": "a"}), true),
            ("amazon.titan-embed-text-v1", json!({"inputText": "a", "dimensions": 256}), false),
            ("amazon.titan-embed-text-v2:0", json!({"inputText": "a", "dimensions": 256}), true),
            ("amazon.titan-embed-text-v2:0", json!({"inputText": "a", "dimensions": 7}), false),
            ("amazon.titan-embed-text-v2:0", json!({"inputText": ["a"]}), false),
            ("amazon.titan-embed-text-v2:0", nova.clone(), false),
            ("amazon.nova-2-multimodal-embeddings-v1:0", nova, true),
            ("us.cohere.embed-v4:0", cohere.clone(), true),
            ("cohere.embed-english-v3", json!({"texts": ["a"]}), false),
            ("cohere.embed-english-v3", json!({"texts": [], "input_type": "clustering"}), false),
            ("cohere.rerank-v3-5:0", rerank.clone(), false),
            ("amazon.rerank-v1:0", rerank, true),
        ] {
            assert_eq!(answer(model, &body).unwrap().is_ok(), is_taken, "{model} {body}");
        }
        assert!(answer("anthropic.claude-3-haiku-20240307-v1:0", &cohere).is_none());
    }
}
