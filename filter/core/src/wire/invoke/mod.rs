//! Bedrock's InvokeModel, for the models that no conversation is with: each family has a body of its own.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html>. For documents that are to be
//! ranked Bedrock has an API besides, Rerank of its agents' runtime. That is another host, with another permission;
//! InvokeModel is where the backend is anyway, and what it says is what Cohere's clients expect.

mod cohere;
mod nova;
mod rerank;
mod titan;

use crate::chat::Losses;
use crate::error::{Error, Result};
use crate::job::Answer;
use crate::job::embeddings::{Embeddings, Kept, Request, Vector};
use crate::usage::{Counter, Usage};
use crate::wire::job::{BackendJob, Seen};
use crate::wire::schema::To;

pub(super) use rerank::RERANKER;

/// Models that make vectors.
pub(super) static EMBEDDER: Embedder = Embedder;

#[derive(Debug)]
pub(super) struct Embedder;

/// Whose body a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// Titan, whose vectors have one length.
    Titan1,
    /// Titan, which has several.
    Titan2,
    Nova,
    /// Cohere's, whose vectors have one length.
    Cohere3,
    /// Cohere's, which have several.
    Cohere4,
}

/// How the families stand in names such as `us.cohere.embed-v4:0`, and in ARNs of the models themselves.
///
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/models-supported.html>
const FAMILIES: &[(&str, Family)] = &[
    ("amazon.titan-embed-text-v1", Family::Titan1),
    ("amazon.titan-embed-g1-text", Family::Titan1),
    ("amazon.titan-embed-text-v2", Family::Titan2),
    ("amazon.nova-2-multimodal-embeddings", Family::Nova),
    ("cohere.embed-english-v3", Family::Cohere3),
    ("cohere.embed-multilingual-v3", Family::Cohere3),
    ("cohere.embed-v4", Family::Cohere4),
];

impl Family {
    fn of(model: &str) -> Result<Family> {
        let lower = model.to_ascii_lowercase();
        let found = FAMILIES.iter().find(|(mark, _)| lower.contains(mark));
        found.map(|(_, family)| *family).ok_or_else(|| {
            Error::unprocessable(format!(
                "the name {model} is that of no model on Bedrock whose embeddings this gateway knows: \
                 Titan Text Embeddings, Nova Multimodal Embeddings, Cohere Embed"
            ))
        })
    }
}

/// The path of a model.
fn path(to: &To<'_>) -> String {
    format!("/model/{}/invoke", to.model_segment())
}

/// What was used: what the answer says, else what its headers do.
fn usage(said: Option<u64>, seen: &Seen<'_>) -> Usage {
    Usage::of([(Counter::Input, said.or(seen.input_tokens))])
}

impl BackendJob<Embeddings> for Embedder {
    fn path(&self, to: &To<'_>) -> String {
        path(to)
    }

    fn encode(&self, to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
        match Family::of(to.model)? {
            Family::Titan1 => titan::encode(request, Some(titan::LENGTH_OF_1), losses),
            Family::Titan2 => titan::encode(request, None, losses),
            Family::Nova => nova::encode(request, losses),
            Family::Cohere3 => cohere::encode(request, cohere::Version::Three, losses),
            Family::Cohere4 => cohere::encode(request, cohere::Version::Four, losses),
        }
    }

    fn answer<'a>(
        &self,
        seen: &Seen<'_>,
        kept: &Kept,
        body: &'a [u8],
        losses: &mut Losses,
    ) -> Result<Answer<Vec<Vector<'a>>>> {
        match Family::of(seen.model)? {
            Family::Titan1 | Family::Titan2 => titan::decode(seen, body),
            Family::Nova => nova::decode(seen, kept, body, losses),
            Family::Cohere3 | Family::Cohere4 => cohere::decode(seen, body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_stands_in_the_name_of_a_model() {
        for (model, family) in [
            ("amazon.titan-embed-text-v1", Family::Titan1),
            ("amazon.titan-embed-text-v2:0", Family::Titan2),
            ("us.cohere.embed-v4:0", Family::Cohere4),
            ("cohere.embed-multilingual-v3", Family::Cohere3),
            (
                "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-2-multimodal-embeddings-v1:0",
                Family::Nova,
            ),
        ] {
            assert_eq!(Family::of(model).unwrap(), family, "{model}");
        }
        for model in
            ["amazon.titan-text-lite-v1", "arn:aws:bedrock:us-east-1:1:application-inference-profile/x"]
        {
            assert_eq!(Family::of(model).unwrap_err().status(), 422, "{model}");
        }
    }
}
