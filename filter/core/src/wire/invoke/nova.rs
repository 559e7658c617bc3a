//! Nova Multimodal Embeddings: <https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html>.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::usage;
use crate::chat::Losses;
use crate::error::Result;
use crate::job::Answer;
use crate::job::embeddings::{Aim, Kept, Request, Vector};
use crate::wire::cohere::embed::CUTS;
use crate::wire::job::{Rule, Seen, lose, parse};
use crate::wire::to_json;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    task_type: &'static str,
    single_embedding_params: Params<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Params<'a> {
    embedding_purpose: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding_dimension: Option<u64>,
    text: Text<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Text<'a> {
    truncation_mode: &'static str,
    value: &'a str,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    embeddings: Vec<Embedding<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Embedding<'a> {
    #[serde(borrow)]
    embedding: Vector<'a>,
    /// How much of the text was read, where that is not all of it.
    #[serde(borrow)]
    truncated_char_length: Option<&'a RawValue>,
}

pub(super) fn encode(request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
    let purpose = request.one_purpose()?;
    let (embedding_purpose, rule) = embedding_purpose(purpose.map(|purpose| purpose.aim));
    if let (Some(rule), Some(purpose)) = (rule, purpose) {
        losses.add(request.place_of_purpose(0, purpose), rule);
    }
    request.lose_titles(losses, Rule::Word.reason());
    lose(losses, "user", request.user.as_ref(), Rule::Word);
    // It must be told. Where the client does not say, what is too long is an error, as it is at OpenAI.
    let truncation_mode = request.truncate.map_or("NONE", |truncate| CUTS(truncate.cut));
    Ok(to_json(&Body {
        task_type: "SINGLE_EMBEDDING",
        single_embedding_params: Params {
            embedding_purpose,
            embedding_dimension: request.dimensions,
            text: Text { truncation_mode, value: request.text()? },
        },
    }))
}

/// It must be told this as well. What searches is a text, and so is all that it can find here.
fn embedding_purpose(aim: Option<Aim>) -> (&'static str, Option<Rule>) {
    match aim {
        None | Some(Aim::Document) => ("GENERIC_INDEX", None),
        Some(Aim::Query) => ("TEXT_RETRIEVAL", None),
        Some(Aim::Classification) => ("CLASSIFICATION", None),
        Some(Aim::Clustering) => ("CLUSTERING", None),
        Some(Aim::CodeQuery | Aim::Question | Aim::Fact) => ("TEXT_RETRIEVAL", Some(Rule::NovaQuery)),
        Some(Aim::Similarity) => ("GENERIC_INDEX", Some(Rule::NovaDocument)),
    }
}

pub(super) fn decode<'a>(
    seen: &Seen<'_>,
    kept: &Kept,
    body: &'a [u8],
    losses: &mut Losses,
) -> Result<Answer<Vec<Vector<'a>>>> {
    let said: Said<'_> = parse(body)?;
    for (index, _) in
        said.embeddings.iter().enumerate().filter(|(_, one)| one.truncated_char_length.is_some())
    {
        losses.add(kept.place(index), Rule::WasCut);
    }
    let content = said.embeddings.into_iter().map(|one| one.embedding).collect();
    Ok(Answer { usage: usage(None, seen), ..Answer::of(content) })
}
