//! Titan Text Embeddings:
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html>.

use serde::{Deserialize, Serialize};

use super::usage;
use crate::chat::Losses;
use crate::error::{Error, Result};
use crate::job::Answer;
use crate::job::embeddings::{Cut, Request, Vector};
use crate::wire::job::{Rule, Seen, lose, parse};
use crate::wire::to_json;
use crate::wire::usage::Count;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    input_text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said<'a> {
    #[serde(borrow)]
    embedding: Vector<'a>,
    #[serde(default)]
    input_text_token_count: Count,
}

/// How long the vectors of the first version are.
pub(super) const LENGTH_OF_1: u64 = 1536;

/// `length` is how long the model's vectors are, where they have one length.
pub(super) fn encode(request: &Request, length: Option<u64>, losses: &mut Losses) -> Result<Vec<u8>> {
    let dimensions = wanted_length(request, length)?;
    let purpose = request.inputs.first().and_then(|input| request.purpose_of(input));
    if let Some(purpose) = purpose {
        losses.add(request.place_of_purpose(0, purpose), Rule::TitanPurpose);
    }
    if let Some(truncate) = request.truncate.filter(|truncate| truncate.cut != Cut::Nothing) {
        losses.add(truncate.member, Rule::TitanCut);
    }
    request.lose_titles(losses, Rule::Word.reason());
    lose(losses, "user", request.user.as_ref(), Rule::Word);
    Ok(to_json(&Body { input_text: request.text()?, dimensions }))
}

/// The length that a model must be told, whose vectors have the one `length`, if any.
///
/// # Errors
///
/// 422 for another one: vectors of that length would be of no use to who asked for some.
pub(super) fn wanted_length(request: &Request, length: Option<u64>) -> Result<Option<u64>> {
    match (request.dimensions, length) {
        (Some(wanted), Some(length)) if wanted != length => {
            let reason = format_args!(": {}", Rule::OneLength.reason());
            Err(Error::unprocessable_at("dimensions".to_owned(), reason))
        }
        (_, Some(_)) => Ok(None),
        (wanted, None) => Ok(wanted),
    }
}

pub(super) fn decode<'a>(seen: &Seen<'_>, body: &'a [u8]) -> Result<Answer<Vec<Vector<'a>>>> {
    let said: Said<'_> = parse(body)?;
    let usage = usage(said.input_text_token_count.get(), seen);
    Ok(Answer { usage, ..Answer::of(vec![said.embedding]) })
}
