//! Cohere Embed on Bedrock: <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html>.

use super::titan::wanted_length;
use crate::chat::Losses;
use crate::error::Result;
use crate::job::Answer;
use crate::job::embeddings::{Cut, Request, Vector};
use crate::usage::Counter;
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

/// How long the vectors of the third version are, English and multilingual ones.
const LENGTH_OF_3: u64 = 1024;

pub(super) fn encode(request: &Request, version: Version, losses: &mut Losses) -> Result<Vec<u8>> {
    let (cuts, length) = match version {
        Version::Three => (CUTS, Some(LENGTH_OF_3)),
        Version::Four => (CUTS_OF_4, None),
    };
    let mut body = Body::of(request, cuts, losses)?;
    body.output_dimension = wanted_length(request, length)?;
    Ok(to_json(&body))
}

pub(super) fn decode<'a>(seen: &Seen<'_>, body: &'a [u8]) -> Result<Answer<Vec<Vector<'a>>>> {
    let answer = read(body)?;
    let usage = answer.usage.with([(Counter::Input, answer.usage.input().or(seen.input_tokens))]);
    Ok(Answer { usage, ..answer })
}
