//! Models that rank documents: Cohere's, in its own words, and Amazon's, in the same.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/rerank-supported.html>,
//! <https://docs.cohere.com/docs/amazon-bedrock>.

use super::path;
use crate::chat::Losses;
use crate::error::{Error, Result};
use crate::job::Answer;
use crate::job::rerank::{Kept, Ranked, Request, Rerank};
use crate::usage::Counter;
use crate::wire::cohere::rerank::{Body, read};
use crate::wire::job::{BackendJob, Rule, Seen, lose};
use crate::wire::schema::To;
use crate::wire::to_json;

/// Models that rank documents.
pub(in crate::wire) static RERANKER: Reranker = Reranker;

#[derive(Debug)]
pub(in crate::wire) struct Reranker;

/// The version of its own API that Cohere's model must be told.
const VERSION: u8 = 2;

impl BackendJob<Rerank> for Reranker {
    fn path(&self, to: &To<'_>) -> String {
        path(to)
    }

    fn encode(&self, to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
        let lower = to.model.to_ascii_lowercase();
        let mut body = Body::of(request, losses);
        if lower.contains("cohere.rerank") {
            body.api_version = Some(VERSION);
            body.max_tokens_per_doc = request.tokens_per_document;
            return Ok(to_json(&body));
        }
        if lower.contains("amazon.rerank") {
            lose(losses, "max_tokens_per_doc", request.tokens_per_document, Rule::Word);
            return Ok(to_json(&body));
        }
        Err(Error::unprocessable(format!(
            "the name {} is that of no model on Bedrock that ranks documents as this gateway knows it: \
             Cohere Rerank, Amazon Rerank",
            to.model
        )))
    }

    fn answer<'a>(
        &self,
        seen: &Seen<'_>,
        _: &Kept,
        body: &'a [u8],
        _: &mut Losses,
    ) -> Result<Answer<Vec<Ranked<'a>>>> {
        let answer = read(body)?;
        let input = answer.usage.input().or(seen.input_tokens);
        Ok(Answer { usage: answer.usage.with([(Counter::Input, input)]), ..answer })
    }
}
