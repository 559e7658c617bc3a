//! Cohere Embed on Bedrock: <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html>.

use super::titan::one_length;
use super::usage;
use crate::chat::Losses;
use crate::error::Result;
use crate::job::Answer;
use crate::job::embeddings::{Cut, Request, Vector};
use crate::wire::cohere::embed::{Body, CUTS, Cuts, read};
use crate::wire::job::Seen;
use crate::wire::to_json;

/// Which of its models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Three,
    Four,
}

/// <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v4.html>
const CUTS_OF_4: Cuts = |cut| match cut {
    Cut::Nothing => "NONE",
    Cut::Start => "LEFT",
    Cut::End => "RIGHT",
};

pub(super) fn encode(request: &Request, version: Version, losses: &mut Losses) -> Result<Vec<u8>> {
    let cuts = match version {
        Version::Three if request.dimensions.is_some() => return Err(one_length()),
        Version::Three => CUTS,
        Version::Four => CUTS_OF_4,
    };
    let mut body = Body::of(request, cuts, losses)?;
    body.output_dimension = request.dimensions;
    Ok(to_json(&body))
}

pub(super) fn decode<'a>(seen: &Seen<'_>, body: &'a [u8]) -> Result<Answer<Vec<Vector<'a>>>> {
    let answer = read(body)?;
    Ok(Answer { usage: usage(answer.usage.input, seen), ..answer })
}
