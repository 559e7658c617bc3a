//! Anthropic's endpoints, and what their clients expect.

use serde_json::{Value, json};

use super::client;
use crate::config::Model;
use crate::endpoint::{Body, ClientApi, Operation, Path};
use crate::error::Error;
use crate::wire::api::{Api, ModelsList};
use crate::wire::error::{NO_ROOM, anthropics_word, has_type_and_message, is_prompt_too_long};
use crate::wire::glance;
use crate::wire::job::Asks;
use crate::wire::usage::{Counters, Shape, Tokens, Watch};

pub(crate) static MESSAGES: Operation = Operation {
    name: "messages",
    path: Path::Any(&["/anthropic/v1/messages", "/v1/messages"]),
    api: ClientApi::Anthropic,
    body: Body::Json,
    glance: glance::json,
    watch: Watch {
        shape: Shape::Messages,
        counters: Counters::Anthropic,
        tokens: Tokens::InputAndOutput,
        ..Watch::NOTHING
    },
    asks: Some(Asks::Conversation(&client::CLIENT)),
    refers: None,
};

pub(crate) static COUNT_TOKENS: Operation = Operation {
    name: "count_tokens",
    path: Path::Any(&["/anthropic/v1/messages/count_tokens", "/v1/messages/count_tokens"]),
    api: ClientApi::Anthropic,
    body: Body::Json,
    glance: glance::json,
    watch: Watch { counters: Counters::InputTokens, ..Watch::NOTHING },
    asks: Some(Asks::Conversation(&client::COUNT)),
    refers: None,
};

pub(crate) static MODELS: Operation = Operation {
    name: "models",
    path: Path::List(MODELS_LIST.path),
    api: ClientApi::Anthropic,
    body: Body::None,
    glance: glance::json,
    watch: Watch::NOTHING,
    asks: None,
    refers: None,
};

/// <https://docs.anthropic.com/en/api/models>
static MODELS_LIST: ModelsList = ModelsList {
    path: "/anthropic/v1/models",
    one: |Model { id, created, .. }| {
        let created_at = chrono::DateTime::from_timestamp(*created, 0)
            .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
        json!({
            "type": "model",
            "id": id,
            "display_name": id,
            "created_at": created_at.unwrap_or_default(),
            "lifecycle": "active",
        })
    },
    all: |models| {
        let id_of =
            |entry: Option<&Value>| entry.and_then(|entry| entry.get("id")).cloned().unwrap_or_default();
        let (first, last) = (id_of(models.first()), id_of(models.last()));
        json!({ "data": models, "has_more": false, "first_id": first, "last_id": last })
    },
};

/// How Anthropic's error of a prompt that is too long begins: clients look for it.
const TOO_LONG: &str = "prompt is too long";

/// What Anthropic's clients expect.
pub(crate) static API: AnthropicApi = AnthropicApi;

#[derive(Debug)]
pub(crate) struct AnthropicApi;

impl Api for AnthropicApi {
    fn prefixes(&self) -> &'static [&'static str] {
        &["/anthropic/", "/v1/messages"]
    }

    fn error(&self, error: &Error) -> Value {
        let message = error.message();
        // The other words are Anthropic's own as well: agents ask for a shorter answer where they read them,
        // <https://github.com/charmbracelet/crush/blob/71c728fe/internal/llm/provider/anthropic.go>.
        let is_told = message.starts_with(TOO_LONG) || message.contains(NO_ROOM);
        let message = if is_prompt_too_long(error) && !is_told {
            format!("{TOO_LONG}: {message}")
        } else {
            message.to_owned()
        };
        json!({ "type": "error", "error": { "type": own_type(error), "message": message } })
    }

    fn error_event(&self, error: &Error) -> Vec<u8> {
        format!("event: error\ndata: {}\n\n", self.error(error)).into_bytes()
    }

    /// <https://docs.anthropic.com/en/api/errors#error-shapes>
    fn is_error(&self, body: &Value) -> bool {
        has_type_and_message(body) && body.get("type").is_some_and(|kind| kind == "error")
    }

    /// <https://docs.claude.com/en/docs/build-with-claude/streaming#ping-events>
    fn sign_of_life(&self) -> &'static [u8] {
        b"event: ping\ndata: {\"type\": \"ping\"}\n\n"
    }

    fn answer_id(&self, unique: &str) -> String {
        format!("msg_{unique}")
    }

    fn models(&self) -> Option<&'static ModelsList> {
        Some(&MODELS_LIST)
    }
}

/// The types of this API, here and below by <https://platform.claude.com/docs/en/api/errors>.
const TYPES: &[&str] = &[
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "conflict_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "timeout_error",
    "overloaded_error",
];

/// The provider's own type, if it is one of this API's or has a word in it. Those of other APIs and of proxies say
/// nothing to its clients.
fn own_type(error: &Error) -> &'static str {
    let own = error.provider_type();
    let known = own.and_then(|own| TYPES.iter().find(|known| **known == own).copied());
    known.or_else(|| own.and_then(anthropics_word)).unwrap_or_else(|| error_type(error.status()))
}

/// Anthropic's error type of an HTTP status. 503 is not in its documentation: proxies say it.
fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        504 => "timeout_error",
        503 => "service_unavailable_error",
        529 => "overloaded_error",
        _ => "api_error",
    }
}
