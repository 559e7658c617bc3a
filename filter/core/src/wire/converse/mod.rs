//! Bedrock's Converse and ConverseStream, by which every model of Bedrock can be asked, but for those that no
//! conversation is with ([`crate::wire::invoke`]).
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>; what a request may hold is in
//! botocore's service model of `bedrock-runtime`. Converse refuses what Claude refuses of a conversation (blank
//! texts, results without calls, an assistant that speaks first), whichever model is asked, so a request takes the
//! same way as to Claude, through [`crate::wire::anthropic`], and is put into Converse's words at its end.

mod cited;
mod content;
mod events;
mod fields;
mod format;
mod media;
mod models;
mod open;
#[cfg(test)]
mod properties;
mod reply;
mod request;
mod rules;
mod tools;
mod types;
pub(in crate::wire) mod usage;

pub(super) use cited::citation;
pub(super) use media::media;
pub(super) use types::Media;

use super::anthropic::StandIns;
use super::counting::Counter;
use super::invoke;
use super::job::BackendJob;
use crate::chat::{Losses, Reply, Request};
use crate::config::AuthKind;
use crate::error::Result;
use crate::headers::BETA_HEADER;
use crate::job::embeddings::Embeddings;
use crate::job::rerank::Rerank;
use crate::wire::Asked;
use crate::wire::marks::Marks;
use crate::wire::schema::{ApiHeader, BackendCodec, EventReader, Fits, Framing, Native, Schema, To};
use events::Reader;
use format::Format;
use models::{Caches, Model};

/// Bedrock's Converse.
pub(crate) static SCHEMA: Converse = Converse;

#[derive(Debug)]
pub(crate) struct Converse;

impl Schema for Converse {
    fn provider(&self) -> &'static str {
        "aws.bedrock"
    }

    fn natives(&self) -> &'static [Native] {
        &[]
    }

    fn codec(&self) -> Option<&'static dyn BackendCodec> {
        Some(&SCHEMA)
    }

    fn counter(&self) -> Option<&'static dyn BackendCodec> {
        Some(&COUNTER)
    }

    fn embedder(&self) -> Option<&'static dyn BackendJob<Embeddings>> {
        Some(&invoke::EMBEDDER)
    }

    fn reranker(&self) -> Option<&'static dyn BackendJob<Rerank>> {
        Some(&invoke::RERANKER)
    }

    fn path(&self, to: &To<'_>) -> String {
        if to.counts() {
            return count_path(to);
        }
        let verb = if to.stream { "converse-stream" } else { "converse" };
        format!("/model/{}/{verb}", to.model_segment())
    }

    /// The framing of an answer follows from the path, and what Anthropic's clients say in headers is in the body.
    fn headers(&self) -> &'static [ApiHeader] {
        &[
            ApiHeader::Remove("anthropic-version"),
            ApiHeader::Remove(BETA_HEADER),
            ApiHeader::Set("accept", "*/*"),
        ]
    }

    fn framing(&self) -> Framing {
        Framing::AwsNamed
    }

    fn type_of_foreign_errors(&self) -> &'static str {
        "AWSBedrockBackendError"
    }

    fn fits(&self) -> &'static Fits {
        &Fits {
            // Bedrock also takes API keys as bearer tokens.
            auth: &[AuthKind::AwsSigv4, AuthKind::Bearer],
            unusual: &[],
            without_auth: Some("AWS will refuse its requests"),
            prefix: false,
            version: false,
            filtered: false,
            marked: true,
        }
    }
}

/// What stands before a model's name where any region of a group may serve it. Tokens are counted by the model itself:
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html>.
const REGIONS: &[&str] = &["us-gov.", "us.", "eu.", "apac.", "uk.", "au.", "jp.", "global."];

/// The path of Bedrock's CountTokens.
pub(super) fn count_path(to: &To<'_>) -> String {
    let of_region = REGIONS.iter().find_map(|region| to.model.strip_prefix(region));
    format!("/model/{}/count-tokens", To { model: of_region.unwrap_or(to.model), ..*to }.model_segment())
}

/// What has the count in an answer of CountTokens.
pub(super) const COUNT: &str = "inputTokens";

/// Bedrock's CountTokens, of what Converse would be asked.
static COUNTER: Counter = Counter { encode: request::encode_counted, member: COUNT, schema: &SCHEMA };

impl BackendCodec for Converse {
    fn marks(&self, to: &To<'_>) -> Marks {
        match Model::of(to.model).caches() {
            Caches::Nothing => Marks::default(),
            Caches::System => Marks { system: true, ..Marks::default() },
            Caches::NoTools => Marks { system: true, turn: true, ..Marks::default() },
            Caches::Everything => Marks::ALL,
        }
    }

    fn encode(&self, to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
        request::encode_request(to, request, losses)
    }

    fn reply(&self, asked: &Asked, body: &[u8], losses: &mut Losses) -> Result<Reply> {
        let model = Model::of(&asked.model);
        let format = Format::of(&model, &asked.request, &mut Losses::default());
        let mut reply = reply::decode_reply(&model, &format, body, losses)?;
        StandIns::of(&asked.request.tools, model.envelope()).resolve_in(&mut reply);
        Ok(reply)
    }

    fn events(&self, asked: &Asked) -> Box<dyn EventReader> {
        let model = Model::of(&asked.model);
        let format = Format::of(&model, &asked.request, &mut Losses::default());
        let stand_ins = StandIns::of(&asked.request.tools, model.envelope());
        Box::new(Reader::new(&model, &format, stand_ins))
    }
}
