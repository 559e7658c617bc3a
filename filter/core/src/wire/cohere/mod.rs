//! Cohere's API, version 2: chat and rerank, for clients and as a backend, and embed as a backend of other clients.
//!
//! <https://docs.cohere.com/reference/about>

mod answer;
mod client;
pub(in crate::wire) mod embed;
mod events;
mod message;
mod passing;
#[cfg(test)]
mod properties;
mod reply;
mod request;
pub(in crate::wire) mod rerank;
mod results;
mod rules;
#[cfg(test)]
mod tests;
mod tools;
mod types;

use serde_json::{Value, json};

use super::Asked;
use super::api::Api;
use super::glance;
use super::job::{Asks, BackendJob};
use super::schema::{BackendCodec, EventReader, Fits, Mend, Native, Schema, To, native};
use super::usage::{Counters, Shape, Tokens, Watch};
use crate::chat::{Losses, Reply, Request};
use crate::config::AuthKind;
use crate::endpoint::{Body, ClientApi, Endpoint, Operation, Path};
use crate::error::{Error, Result};
use crate::job::embeddings::Embeddings;

pub(in crate::wire) use answer::error_of_event;

pub(crate) static CHAT: Operation = Operation {
    name: "chat",
    path: Path::Any(&["/cohere/v2/chat", "/v2/chat"]),
    api: ClientApi::Cohere,
    body: Body::Json,
    glance: glance::json,
    watch: Watch {
        shape: Shape::Cohere,
        counters: Counters::Cohere,
        tokens: Tokens::InputAndOutput,
        ..Watch::NOTHING
    },
    asks: Some(Asks::Conversation(&client::CLIENT)),
    refers: None,
};

pub(crate) static RERANK: Operation = Operation {
    name: "rerank",
    path: Path::Any(&["/cohere/v2/rerank", "/v2/rerank", "/v1/rerank", "/rerank"]),
    api: ClientApi::Cohere,
    body: Body::Json,
    glance: glance::json,
    watch: Watch { counters: Counters::Cohere, ..Watch::NOTHING },
    asks: Some(Asks::Rerank(&rerank::CLIENT)),
    refers: None,
};

/// What its clients expect.
pub(crate) static API: CohereApi = CohereApi;

#[derive(Debug)]
pub(crate) struct CohereApi;

impl Api for CohereApi {
    fn prefixes(&self) -> &'static [&'static str] {
        &["/cohere/", "/v2/", "/v1/rerank", "/rerank"]
    }

    fn error(&self, error: &Error) -> Value {
        json!({ "message": error.message() })
    }

    /// An answer of Cohere's own that fails ends like this: its SDKs know of no other event for it.
    fn error_event(&self, error: &Error) -> Vec<u8> {
        let delta = json!({ "finish_reason": "ERROR", "error": error.message() });
        let end = json!({ "type": "message-end", "delta": delta });
        format!("event: message-end\ndata: {end}\n\n").into_bytes()
    }

    fn is_error(&self, body: &Value) -> bool {
        body.get("message").is_some_and(Value::is_string)
    }
}

/// Cohere.
pub(crate) static SCHEMA: Cohere = Cohere;

#[derive(Debug)]
pub(crate) struct Cohere;

impl Schema for Cohere {
    fn provider(&self) -> &'static str {
        "cohere"
    }

    fn natives(&self) -> &'static [Native] {
        const NATIVES: &[Native] =
            &[Native::same(Endpoint::CohereChat, CHAT_PATH), Native::same(Endpoint::Rerank, "rerank")];
        NATIVES
    }

    fn codec(&self) -> Option<&'static dyn BackendCodec> {
        Some(&Chat)
    }

    fn embedder(&self) -> Option<&'static dyn BackendJob<Embeddings>> {
        Some(&embed::BACKEND)
    }

    fn path(&self, to: &To<'_>) -> String {
        let version = to.schema.version.as_deref().unwrap_or("v2");
        let operation = native(self, to.endpoint).map_or(CHAT_PATH, |native| native.path);
        format!("/{version}/{operation}")
    }

    fn mend(&self, to: &To<'_>) -> Option<Mend> {
        let is_2 = to.schema.version.as_deref().is_none_or(|version| version == "v2");
        let of_rerank: Option<Mend> =
            (to.endpoint == Endpoint::Rerank && is_2).then_some(rerank::edits_for_2);
        of_rerank.or_else(|| passing::mend(to))
    }

    fn type_of_foreign_errors(&self) -> &'static str {
        "CohereBackendError"
    }

    fn fits(&self) -> &'static Fits {
        &Fits {
            auth: &[AuthKind::Bearer],
            unusual: &[],
            without_auth: None,
            prefix: false,
            version: true,
            filtered: false,
            marked: false,
        }
    }
}

const CHAT_PATH: &str = "chat";

/// <https://docs.cohere.com/reference/chat>
#[derive(Debug)]
struct Chat;

impl BackendCodec for Chat {
    fn encode(&self, to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
        request::encode(to, request, losses)
    }

    fn reply(&self, asked: &Asked, body: &[u8], losses: &mut Losses) -> Result<Reply> {
        reply::decode(asked, body, losses)
    }

    fn events(&self, asked: &Asked) -> Box<dyn EventReader> {
        Box::new(events::Reader::new(asked))
    }
}
