//! Anthropic's own API: messages and token counting.

mod batches;
mod check;
mod message;

use serde_json::{Value, json};

pub(crate) use check::{Rules, check};
pub(crate) use message::{Message, input_tokens};

use crate::answer::{self, Answer};
use crate::server::Ask;

/// The API version that the SDKs ask for from 2.0 on.
pub(crate) const LATEST: &str = "2026-10-21";

/// A stand-in for `api.anthropic.com`.
#[derive(Debug)]
pub(crate) struct Provider {
    /// The key it demands, if any.
    pub(crate) key: Option<String>,
}

/// Which API carries the message: they differ in what the body may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// `api.anthropic.com`: `model` and `stream` stand in the body.
    Native,
    /// Bedrock's InvokeModel: they stand in the path; the body names `anthropic_version`.
    Bedrock,
    /// Vertex AI: the model stands in the path, or in the body where tokens are counted; the body names
    /// `anthropic_version`.
    Vertex,
}

impl Provider {
    /// Answers a request.
    pub(crate) fn answer(&self, ask: &Ask<'_>) -> Answer {
        let request_id = format!("req_{}_{}", ask.name, ask.id);
        match self.try_answer(ask) {
            Ok(answer) => answer,
            Err((status, kind, message)) => Answer::json(
                status,
                &json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}),
            ),
        }
        .header("request-id", &request_id)
    }

    fn try_answer(&self, ask: &Ask<'_>) -> Result<Answer, (u16, &'static str, String)> {
        let invalid = |message: String| (400, "invalid_request_error", message);
        let batches = batches::Asked::of(ask);
        let is_messages =
            ask.method == "POST" && matches!(ask.path, "/v1/messages" | "/v1/messages/count_tokens");
        if batches.is_none() && !is_messages {
            return Err((404, "not_found_error", "Not Found".to_owned()));
        }
        // A key goes into either header; the SDKs from 2.0 on use the second.
        let bearer = ask.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        match (&self.key, ask.header("x-api-key").or(bearer)) {
            (Some(_), None) => {
                return Err((401, "authentication_error", "x-api-key header is required".to_owned()));
            }
            (Some(key), Some(given)) if given != key => {
                return Err((401, "authentication_error", "invalid x-api-key".to_owned()));
            }
            _ => {}
        }
        let latest = match ask.header("anthropic-version") {
            Some(LATEST) => true,
            Some("2023-06-01") => false,
            None => return Err(invalid("anthropic-version: header is required".to_owned())),
            Some(other) => {
                return Err(invalid(format!("anthropic-version: {other:?} is not a valid version")));
            }
        };
        if let Some(batches) = batches {
            return batches.answer(ask).map_err(invalid);
        }
        let body: Value = serde_json::from_slice(ask.body)
            .map_err(|error| invalid(format!("The request body is not valid JSON: {error}")))?;
        let count = ask.path.ends_with("count_tokens");
        let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
        check(&body, Rules { model, carrier: Carrier::Native, latest, count }).map_err(invalid)?;
        if count {
            return Ok(Answer::json(200, &json!({"input_tokens": input_tokens(&body)})));
        }
        let message = Message::new(ask, model, &body);
        if body.get("stream").and_then(Value::as_bool) == Some(true) {
            let events = message.events().iter().map(named).collect();
            Ok(Answer::events(events, ask.pace))
        } else {
            Ok(Answer::json(200, &message.whole()))
        }
    }
}

/// Anthropic names each server-sent event after the `type` of its data.
pub(crate) fn named(data: &Value) -> String {
    answer::event(data.get("type").and_then(Value::as_str), data)
}
