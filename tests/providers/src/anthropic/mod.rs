//! Anthropic's own API: messages and token counting.

mod check;
mod message;

use serde_json::{Value, json};

pub(crate) use check::check;
pub(crate) use message::{Message, input_tokens};

use crate::answer::{self, Answer};
use crate::server::Ask;

/// A stand-in for `api.anthropic.com`.
#[derive(Debug)]
pub(crate) struct Provider {
    /// The key it demands in `x-api-key`, if any.
    pub(crate) key: Option<String>,
}

/// Which API carries the message: they differ in what the body may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// `api.anthropic.com`: `model` and `stream` stand in the body.
    Native,
    /// Bedrock's InvokeModel: they stand in the path; the body names `anthropic_version`.
    Bedrock,
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
        if ask.method != "POST" || !matches!(ask.path, "/v1/messages" | "/v1/messages/count_tokens") {
            return Err((404, "not_found_error", "Not Found".to_owned()));
        }
        match (&self.key, ask.header("x-api-key")) {
            (Some(_), None) => {
                return Err((401, "authentication_error", "x-api-key header is required".to_owned()));
            }
            (Some(key), Some(given)) if given != key => {
                return Err((401, "authentication_error", "invalid x-api-key".to_owned()));
            }
            _ => {}
        }
        if ask.header("anthropic-version").is_none() {
            return Err(invalid("anthropic-version: header is required".to_owned()));
        }
        let body: Value = serde_json::from_slice(ask.body)
            .map_err(|error| invalid(format!("The request body is not valid JSON: {error}")))?;
        let count = ask.path.ends_with("count_tokens");
        check(&body, Carrier::Native, count).map_err(invalid)?;
        if count {
            return Ok(Answer::json(200, &json!({"input_tokens": input_tokens(&body)})));
        }
        let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
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
fn named(data: &Value) -> String {
    answer::event(data.get("type").and_then(Value::as_str), data)
}
