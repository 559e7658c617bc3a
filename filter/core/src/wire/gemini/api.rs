//! The endpoints of Gemini's API, and what their clients expect: <https://ai.google.dev/api>.

use serde_json::{Value, json};

use super::client;
use crate::codec::json;
use crate::config::Model;
use crate::endpoint::{Body, ClientApi, Operation, Path};
use crate::error::{Error, Kind};
use crate::headers::Headers;
use crate::wire::api::{Api, ModelsList};
use crate::wire::error::is_prompt_too_long;
use crate::wire::glance::{self, Glance};
use crate::wire::job::Asks;
use crate::wire::usage::{Counters, Shape, Tokens, Watch};

/// Where the models are, each with what can be asked of it behind a colon. Google's SDKs ask for either version, by
/// their age.
const MODELS_OF: [&str; 2] = ["/v1beta/models", "/v1/models"];

/// What its endpoints have in common.
const POST: Operation = Operation {
    name: "generate_content",
    path: Path::Method(MODELS_OF, "generateContent"),
    api: ClientApi::Gemini,
    body: Body::Json,
    glance: glance_at,
    watch: Watch {
        shape: Shape::Gemini,
        counters: Counters::Gemini,
        tokens: Tokens::InputAndOutput,
        ..Watch::NOTHING
    },
    asks: Some(Asks::Conversation(&client::WHOLE)),
    refers: None,
};

pub(crate) static GENERATE_CONTENT: Operation = POST;

pub(crate) static STREAM_GENERATE_CONTENT: Operation = Operation {
    path: Path::Method(MODELS_OF, "streamGenerateContent"),
    glance: glance_at_stream,
    asks: Some(Asks::Conversation(&client::STREAMED)),
    ..POST
};

pub(crate) static COUNT_TOKENS: Operation = Operation {
    name: "count_tokens",
    path: Path::Method(MODELS_OF, "countTokens"),
    watch: Watch { counters: Counters::TotalTokens, ..Watch::NOTHING },
    asks: Some(Asks::Conversation(&client::COUNT)),
    ..POST
};

pub(crate) static MODELS: Operation = Operation {
    name: "models",
    path: Path::Lists(MODELS_OF),
    body: Body::None,
    glance: glance::json,
    watch: Watch::NOTHING,
    asks: None,
    ..POST
};

/// The model is in the path.
fn glance_at(headers: &Headers, body: &[u8]) -> Result<Glance, String> {
    let (path, _) = headers.path_and_query();
    let model = glance::model_of_path(path)?;
    let explain = |error: json::ScanError| error.to_string();
    let [camel, snake] =
        json::scan(body, ["generationConfig", "generation_config"]).map_err(explain)?.members;
    let config = camel.or(snake).filter(|config| !config.is_null(body));
    let choices = config.and_then(|config| {
        let raw = config.raw(body);
        let [camel, snake] = json::scan(raw, ["candidateCount", "candidate_count"]).ok()?.members;
        serde_json::from_slice(camel.or(snake)?.raw(raw)).ok()
    });
    Ok(Glance {
        model,
        stream: false,
        is_array: false,
        usage_asked: true,
        choices: choices.unwrap_or(1),
        unstored: false,
    })
}

fn glance_at_stream(headers: &Headers, body: &[u8]) -> Result<Glance, String> {
    // An array is what Google has by default: <https://cloud.google.com/apis/docs/system-parameters>.
    let (_, query) = headers.path_and_query();
    let mut parameters = query.unwrap_or_default().split('&');
    let is_events = parameters.any(|parameter| matches!(parameter, "alt=sse" | "$alt=sse" | "%24alt=sse"));
    Ok(Glance { stream: true, is_array: !is_events, ..glance_at(headers, body)? })
}

/// <https://ai.google.dev/api/models>
static MODELS_LIST: ModelsList = ModelsList {
    path: "/v1beta/models",
    one: |Model { id, .. }| {
        json!({
            "name": format!("models/{id}"),
            "version": "",
            "displayName": id,
            "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
        })
    },
    all: |models| json!({ "models": models }),
};

/// How Gemini's error of a prompt that is too long reads: agents look for it
/// (<https://github.com/google-gemini/gemini-cli/issues/6678>).
const TOO_LONG: &str = "exceeds the maximum number of tokens allowed";

/// What Gemini's clients expect.
pub(crate) static API: GeminiApi = GeminiApi;

#[derive(Debug)]
pub(crate) struct GeminiApi;

impl Api for GeminiApi {
    fn prefixes(&self) -> &'static [&'static str] {
        &["/v1beta/"]
    }

    fn marks(&self) -> &'static [&'static str] {
        &[":generateContent", ":streamGenerateContent", ":countTokens"]
    }

    /// <https://cloud.google.com/apis/design/errors>. What another provider calls its error is a detail.
    fn error(&self, error: &Error) -> Value {
        let message = error.message();
        let message = if is_prompt_too_long(error) && !message.contains(TOO_LONG) {
            format!("The input token count {TOO_LONG}: {message}")
        } else {
            message.to_owned()
        };
        let told = error.provider_type().filter(|told| !told.is_empty());
        let own = told.filter(|told| STATUSES.contains(told));
        let details: Vec<Value> = told
            .filter(|_| own.is_none())
            .map(|reason| {
                json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "weir" })
            })
            .into_iter()
            .collect();
        json!({
            "error": {
                "code": error.status(),
                "message": message,
                "status": own.unwrap_or_else(|| status(error)),
                "details": details,
            },
        })
    }

    fn is_error(&self, body: &Value) -> bool {
        let is = |pointer, check: fn(&Value) -> bool| body.pointer(pointer).is_some_and(check);
        is("/error/code", Value::is_number)
            && is("/error/message", Value::is_string)
            && is("/error/status", Value::is_string)
    }

    /// Python's SDK takes a comment for JSON that is broken: `HttpResponse._iter_response_stream` of
    /// <https://github.com/googleapis/python-genai/blob/main/google/genai/_api_client.py>. It passes over empty lines.
    fn takes_comments(&self) -> bool {
        false
    }

    fn sign_of_life(&self) -> &'static [u8] {
        b"\n\n"
    }

    fn models(&self) -> Option<&'static ModelsList> {
        Some(&MODELS_LIST)
    }
}

/// <https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>
const STATUSES: &[&str] = &[
    "ABORTED",
    "ALREADY_EXISTS",
    "CANCELLED",
    "DATA_LOSS",
    "DEADLINE_EXCEEDED",
    "FAILED_PRECONDITION",
    "INTERNAL",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "OUT_OF_RANGE",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
    "UNIMPLEMENTED",
    "UNKNOWN",
];

/// Google's word for a status of HTTP, by the same source.
fn status(error: &Error) -> &'static str {
    match (error.kind(), error.status()) {
        (Kind::Unsupported | Kind::MethodNotAllowed, _) => "UNIMPLEMENTED",
        (_, 401) => "UNAUTHENTICATED",
        (_, 408 | 504) => "DEADLINE_EXCEEDED",
        (_, 403) => "PERMISSION_DENIED",
        (_, 404) => "NOT_FOUND",
        (_, 409) => "ABORTED",
        (_, 429) => "RESOURCE_EXHAUSTED",
        (_, 499) => "CANCELLED",
        (_, 400..=498) => "INVALID_ARGUMENT",
        (_, 501) => "UNIMPLEMENTED",
        (_, 502 | 503 | 529) => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}
