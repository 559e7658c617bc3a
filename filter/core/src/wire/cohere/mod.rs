//! Cohere's API, version 2: <https://docs.cohere.com/reference/about>.

use serde_json::{Value, json};

use super::api::Api;
use super::glance;
use super::schema::{BackendCodec, Fits, Native, Schema, To};
use super::usage::{Counters, Watch};
use crate::config::AuthKind;
use crate::endpoint::{Body, ClientApi, Endpoint, Operation, Path};
use crate::error::Error;

pub(crate) static RERANK: Operation = Operation {
    name: "rerank",
    path: Path::Exact("/cohere/v2/rerank"),
    api: ClientApi::Cohere,
    body: Body::Json,
    glance: glance::json,
    watch: Watch { counters: Counters::Cohere, ..Watch::NOTHING },
    codec: None,
};

/// What its clients expect.
pub(crate) static API: CohereApi = CohereApi;

#[derive(Debug)]
pub(crate) struct CohereApi;

impl Api for CohereApi {
    fn prefixes(&self) -> &'static [&'static str] {
        &["/cohere/"]
    }

    fn error(&self, error: &Error) -> Value {
        json!({ "message": error.message() })
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
    fn natives(&self) -> &'static [Native] {
        const NATIVES: &[Native] = &[Native::same(Endpoint::Rerank, "rerank")];
        NATIVES
    }

    fn codec(&self) -> Option<&'static dyn BackendCodec> {
        None
    }

    fn path(&self, to: &To<'_>) -> String {
        format!("/{}/rerank", to.schema.version.as_deref().unwrap_or("v2"))
    }

    fn type_of_foreign_errors(&self) -> &'static str {
        "CohereBackendError"
    }

    fn fits(&self) -> &'static Fits {
        &Fits { auth: &[AuthKind::Bearer], unusual: &[], without_auth: None, prefix: false, version: true }
    }
}
