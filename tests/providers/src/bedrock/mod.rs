//! Bedrock's runtime: InvokeModel and InvokeModelWithResponseStream for Anthropic models, Converse and ConverseStream
//! for these and others, CountTokens for both; InvokeModel for models that make vectors or rank documents.

mod converse;
pub(crate) mod frame;
mod retrieval;
mod signature;

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

pub(crate) use signature::Key;

use crate::answer::Answer;
use crate::anthropic::{self, Carrier, Message, Rules};
use crate::object::with;
use crate::openai;
use crate::server::Ask;

/// A stand-in for `bedrock-runtime.<region>.amazonaws.com`.
#[derive(Debug)]
pub(crate) struct Provider {
    /// The region its signatures must be scoped to.
    pub(crate) region: String,
    /// The keys it accepts; tests replace them to revoke one.
    keys: Mutex<Vec<Key>>,
    /// The API key that it takes in the place of a signature.
    api_key: Option<String>,
}

/// An error as Bedrock reports it: its name goes into a header, its text into the body.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: u16,
    name: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: u16, name: &'static str, message: impl Into<String>) -> Self {
        Self { status, name, message: message.into() }
    }
}

impl Provider {
    /// A provider that accepts these keys.
    pub(crate) fn new(region: String, keys: Vec<Key>, api_key: Option<String>) -> Self {
        Self { region, keys: Mutex::new(keys), api_key }
    }

    /// Replaces the accepted keys: a list of `{access_key_id, secret_access_key, session_token?}`.
    ///
    /// # Errors
    /// A value of another form.
    pub(crate) fn set_keys(&self, value: Value) -> Result<(), String> {
        let keys = serde_json::from_value(value).map_err(|error| error.to_string())?;
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// Answers a request.
    pub(crate) fn answer(&self, ask: &Ask<'_>) -> Answer {
        let request_id = format!("{:08x}-0000-4000-8000-{:012x}", ask.name.len(), ask.id);
        match self.try_answer(ask) {
            Ok(answer) => answer,
            Err(refusal) => Answer::json(refusal.status, &json!({"message": refusal.message}))
                .header("x-amzn-errortype", refusal.name),
        }
        .header("x-amzn-requestid", &request_id)
    }

    /// By a signature, or by an API key.
    fn authenticate(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        if let Some(given) = ask.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) {
            if self.api_key.as_deref() == Some(given) {
                return Ok(());
            }
            let message = "Authentication failed: Please make sure your API Key is valid.";
            return Err(Refusal::new(403, "AccessDeniedException", message));
        }
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        signature::verify(ask, &self.region, &keys, chrono::Utc::now())
    }

    fn try_answer(&self, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        let started = Instant::now();
        self.authenticate(ask)?;
        if let Some(operation) = ask.path.strip_prefix("/openai") {
            return Ok(openai(ask, operation));
        }
        let unknown = || Refusal::new(404, "UnknownOperationException", "");
        let (model, operation) = ask
            .path
            .strip_prefix("/model/")
            .and_then(|rest| rest.split_once('/'))
            .filter(|_| ask.method == "POST")
            .ok_or_else(unknown)?;
        let model = percent_decode_str(model).decode_utf8_lossy();
        if model.is_empty() {
            return Err(Refusal::new(
                400,
                "ValidationException",
                "The provided model identifier is invalid.",
            ));
        }
        let body: Value = serde_json::from_slice(ask.body).map_err(|error| {
            Refusal::new(
                400,
                "ValidationException",
                format!("Malformed input request: {error}, please reformat."),
            )
        })?;
        let checked = |body: &Value| {
            let latest = version(body, &model)?;
            anthropic::check(body, Rules { model: &model, carrier: Carrier::Bedrock, latest, count: false })
                .map_err(|message| Refusal::new(400, "ValidationException", message))
        };
        if let Some(answer) = retrieval::answer(&model, &body).filter(|_| operation == "invoke") {
            return answer;
        }
        match operation {
            "invoke" => {
                checked(&body)?;
                let message = Message::new(ask, &model, &body);
                Ok(Answer::json(200, &message.whole())
                    .header("x-amzn-bedrock-input-token-count", &message.input().to_string())
                    .header("x-amzn-bedrock-output-token-count", &message.output().to_string())
                    .header("x-amzn-bedrock-invocation-latency", &started.elapsed().as_millis().to_string()))
            }
            "invoke-with-response-stream" => {
                checked(&body)?;
                let message = Message::new(ask, &model, &body);
                let mut events = message.events();
                // Bedrock adds its own counts to the last event.
                let counts = json!({
                    "inputTokenCount": message.input(),
                    "outputTokenCount": message.output(),
                    "invocationLatency": 1,
                    "firstByteLatency": 1,
                });
                let last =
                    events.pop().map(|last| with(last, json!({"amazon-bedrock-invocationMetrics": counts})));
                events.extend(last);
                let frames: Result<Vec<_>, _> = events.iter().map(frame::chunk).collect();
                let frames = frames.map_err(|error| Refusal::new(500, "InternalServerException", error))?;
                let frames = frames.into_iter().map(Into::into).collect();
                Ok(Answer::stream("application/vnd.amazon.eventstream", frames, ask.pace)
                    .header("x-amzn-bedrock-content-type", "application/json"))
            }
            "converse" => converse::answer(ask, &model, &body, false),
            "converse-stream" => converse::answer(ask, &model, &body, true),
            "count-tokens" if body.pointer("/input/converse").is_some() => {
                converse::count(&model, body.pointer("/input/converse").unwrap_or(&Value::Null))
            }
            "count-tokens" => {
                let inner = body
                    .pointer("/input/invokeModel/body")
                    .and_then(Value::as_str)
                    .and_then(|text| STANDARD.decode(text).ok())
                    .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
                    .ok_or_else(|| {
                        Refusal::new(400, "ValidationException", "input.invokeModel.body: not a JSON blob")
                    })?;
                checked(&inner)?;
                Ok(Answer::json(200, &json!({"inputTokens": anthropic::input_tokens(&inner)})))
            }
            _ => Err(unknown()),
        }
    }
}

/// Whether the body asks for the latest version of Anthropic's API. Bedrock has it for Claude 4.7 and later; all models
/// have its own version.
fn version(body: &Value, model: &str) -> Result<bool, Refusal> {
    match body.get("anthropic_version").and_then(Value::as_str) {
        Some("bedrock-2023-05-31") => Ok(false),
        Some(anthropic::LATEST) if since_4_7(model) => Ok(true),
        _ => Err(Refusal::new(
            400,
            "ValidationException",
            "anthropic_version: Input should be 'bedrock-2023-05-31'",
        )),
    }
}

/// Reads the version from a name such as `us.anthropic.claude-opus-4-7`, `anthropic.claude-sonnet-4-20250514-v1:0` or
/// `claude-opus-4-7@default`.
pub(crate) fn since_4_7(model: &str) -> bool {
    let name = model.split_once("claude-").map_or("", |(_, name)| name);
    // A date is not a minor version.
    let mut numbers = name
        .split(['-', ':', '@'])
        .filter_map(|part| part.parse::<u32>().ok())
        .filter(|number| *number < 100);
    match (numbers.next(), numbers.next()) {
        (Some(4), minor) => minor.is_some_and(|minor| minor >= 7),
        (major, _) => major.is_some_and(|major| major > 4),
    }
}

/// The endpoints that are compatible with OpenAI's, of which there are two.
fn openai(ask: &Ask<'_>, operation: &str) -> Answer {
    let is_known = ask.method == "POST" && matches!(operation, "/v1/chat/completions" | "/v1/responses");
    let answer = openai::json_of(ask).and_then(|body| {
        let path = if is_known { operation } else { "" };
        openai::post(ask, path, &body, true)
    });
    answer.unwrap_or_else(|refusal| refusal.answer())
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_model_stands_in_its_name() {
        for (model, latest) in [
            ("anthropic.claude-3-haiku-20240307-v1:0", false),
            ("anthropic.claude-sonnet-4-20250514-v1:0", false),
            ("us.anthropic.claude-opus-4-6", false),
            ("us.anthropic.claude-opus-4-7", true),
            ("anthropic.claude-sonnet-5", true),
            ("anthropic.other", false),
        ] {
            assert_eq!(since_4_7(model), latest, "{model}");
        }
    }
}
