//! Gemini's API: its endpoints, and the schema of Gemini on Vertex AI, `generateContent` and `streamGenerateContent`.
//!
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference>. Its seals are `thoughtSignature`s
//! (<https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thought-signatures>); that of a call is in the call's
//! name, where every client API has a place for it.

mod answer;
mod api;
mod client;
mod contents;
mod differences;
mod embeddings;
mod events;
mod extras;
mod format;
mod model;
mod part;
mod passing;
mod rank;
mod reply;
mod request;
mod rules;
mod schema;
mod sources;
#[cfg(test)]
mod tests;
mod thinking;
mod tools;
mod types;
pub(in crate::wire) mod usage;

pub(crate) use api::{API, COUNT_TOKENS, GENERATE_CONTENT, MODELS, STREAM_GENERATE_CONTENT};

use crate::chat::{Losses, Reply, Request};
use crate::config::AuthKind;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::headers::BETA_HEADER;
use crate::job::embeddings::Embeddings;
use crate::job::rerank::Rerank;
use crate::wire::Asked;
use crate::wire::counting::Counter;
use crate::wire::job::BackendJob;
use crate::wire::names::StandIns;
use crate::wire::schema::{ApiHeader, BackendCodec, EventReader, Fits, Native, Schema, To, WITHOUT_GCP};

/// Gemini, and what else Google publishes.
pub(crate) static SCHEMA: Gemini = Gemini;

#[derive(Debug)]
pub(crate) struct Gemini;

impl Schema for Gemini {
    fn provider(&self) -> &'static str {
        "gcp.vertex_ai"
    }

    fn natives(&self) -> &'static [Native] {
        const NATIVES: &[Native] = &[
            Native::envelope(Endpoint::GenerateContent, "generateContent"),
            Native::envelope(Endpoint::StreamGenerateContent, "streamGenerateContent"),
            Native::envelope(Endpoint::GeminiCountTokens, "countTokens"),
        ];
        NATIVES
    }

    fn codec(&self) -> Option<&'static dyn BackendCodec> {
        Some(&SCHEMA)
    }

    fn counter(&self) -> Option<&'static dyn BackendCodec> {
        Some(&COUNTER)
    }

    fn embedder(&self) -> Option<&'static dyn BackendJob<Embeddings>> {
        Some(&embeddings::BACKEND)
    }

    fn reranker(&self) -> Option<&'static dyn BackendJob<Rerank>> {
        Some(&rank::BACKEND)
    }

    fn path(&self, to: &To<'_>) -> String {
        let method = match (to.counts(), to.stream) {
            (true, _) => "countTokens",
            (false, true) => "streamGenerateContent?alt=sse",
            (false, false) => "generateContent",
        };
        to.path_at_google("google", to.model, method)
    }

    fn envelope(&self, to: &To<'_>, body: &[u8], losses: &mut Losses) -> Result<Vec<u8>> {
        passing::envelope(to, body, losses)
    }

    /// Clients of Anthropic's API say which version of that they speak.
    fn headers(&self) -> &'static [ApiHeader] {
        &[ApiHeader::Remove("anthropic-version"), ApiHeader::Remove(BETA_HEADER)]
    }

    fn type_of_foreign_errors(&self) -> &'static str {
        "GCPVertexAIBackendError"
    }

    fn fits(&self) -> &'static Fits {
        &Fits {
            auth: &[AuthKind::Gcp],
            unusual: &[],
            without_auth: Some(WITHOUT_GCP),
            prefix: false,
            version: false,
            filtered: false,
            marked: false,
        }
    }
}

impl BackendCodec for Gemini {
    fn encode(&self, to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
        request::encode(to.model, request, losses)
    }

    /// A call comes back with the client's name of its tool.
    fn reply(&self, asked: &Asked, body: &[u8], _: &mut Losses) -> Result<Reply> {
        let mut reply = reply::decode(asked, body)?;
        StandIns::by(&asked.request.tools, rules::tool_name).resolve_in(&mut reply);
        Ok(reply)
    }

    fn events(&self, asked: &Asked) -> Box<dyn EventReader> {
        Box::new(events::Reader::new(asked))
    }
}

/// <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/count-tokens>
static COUNTER: Counter = Counter { encode: request::encode_counted, member: "totalTokens", schema: &SCHEMA };
