//! OpenAI's API at Azure: deployments in the path and a dated version, or `/openai/v1`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::object::with;
use crate::openai;
use crate::server::Ask;

/// A stand-in for `RESOURCE.openai.azure.com`, in which every deployment is there but `missing`.
#[derive(Debug)]
pub(crate) struct Provider {
    /// What it demands in `api-key`, if anything.
    pub(crate) key: Option<String>,
    /// The token that it takes in its place.
    pub(crate) token: Option<String>,
}

/// An error in Azure's shape, which has no type.
struct Refusal(u16, &'static str, String);

/// What has the deployment in its path: `_deployments_endpoints` in `lib/azure.py` of OpenAI's SDK.
const OF_DEPLOYMENTS: &[&str] =
    &["chat/completions", "completions", "embeddings", "audio/speech", "images/generations"];

impl Provider {
    /// Answers a request.
    pub(crate) fn answer(&self, ask: &Ask<'_>) -> Answer {
        let answer = self.try_answer(ask).unwrap_or_else(|Refusal(status, code, message)| {
            Answer::json(status, &json!({"error": {"code": code, "message": message}}))
        });
        answer.header("apim-request-id", &format!("azure-{}", ask.id)).header("x-ms-region", "West Europe")
    }

    fn try_answer(&self, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        self.authenticate(ask)?;
        let missing = || Refusal(404, "404", "Resource not found".to_owned());
        let operation =
            ask.path.strip_prefix("/openai/").filter(|_| ask.method == "POST").ok_or_else(missing)?;
        let versions: Vec<&str> = ask
            .query
            .into_iter()
            .flat_map(|query| query.split('&'))
            .filter_map(|parameter| parameter.strip_prefix("api-version="))
            .collect();
        if let Some(operation) = operation.strip_prefix("v1/") {
            if !versions.iter().all(|version| matches!(*version, "v1" | "preview")) {
                return Err(Refusal(400, "BadRequest", "API version not supported".to_owned()));
            }
            return Ok(Self::serve(ask, operation, None));
        }
        // One version, and only one, as a day.
        let [version] = versions.as_slice() else { return Err(missing()) };
        if !is_dated(version) {
            return Err(missing());
        }
        if matches!(operation, "responses" | "responses/input_tokens") {
            return Ok(Self::serve(ask, operation, None));
        }
        let (deployment, operation) = operation
            .strip_prefix("deployments/")
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(missing)?;
        if !OF_DEPLOYMENTS.contains(&operation) {
            return Err(missing());
        }
        let deployment = percent_decode_str(deployment).decode_utf8_lossy();
        if deployment == "missing" {
            let message = "The API deployment for this resource does not exist.";
            return Err(Refusal(404, "DeploymentNotFound", message.to_owned()));
        }
        Ok(Self::serve(ask, operation, Some(deployment)))
    }

    fn authenticate(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        let token = ask.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let (key, Some(expected)) = (ask.header("api-key"), &self.key) else { return Ok(()) };
        let is_known = match (key, token) {
            (Some(key), None) => key == expected,
            // Its newer API takes the key as a token, too.
            (None, Some(token)) => self.token.as_deref() == Some(token) || token == expected,
            _ => false,
        };
        if is_known {
            return Ok(());
        }
        let message = "Access denied due to invalid subscription key or wrong API endpoint.";
        Err(Refusal(401, "401", message.to_owned()))
    }

    /// A deployment answers whatever model the body names.
    fn serve(ask: &Ask<'_>, operation: &str, deployment: Option<Cow<'_, str>>) -> Answer {
        let answer = openai::json_of(ask).and_then(|body| {
            let body = match deployment {
                Some(deployment) => with(body, json!({"model": deployment})),
                None => body,
            };
            openai::post(ask, &format!("/v1/{operation}"), &body, true)
        });
        answer.map_or_else(|refusal| refusal.answer(), |answer| filtered(answer, operation))
    }
}

/// Azure says what its filters found, of the prompt in a chunk of its own that names nothing.
fn filtered(mut answer: Answer, operation: &str) -> Answer {
    if operation != "chat/completions" {
        return answer;
    }
    let safe = json!({"hate": {"filtered": false, "severity": "safe"}});
    let of_prompt = json!([{"prompt_index": 0, "content_filter_results": safe}]);
    let is_stream =
        answer.headers.iter().any(|(name, value)| name == "content-type" && value.contains("event-stream"));
    if is_stream {
        let first = json!({
            "choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": of_prompt,
        });
        answer.steps.insert(0, crate::answer::Step::Data(crate::answer::event(None, &first).into()));
        return answer;
    }
    for step in &mut answer.steps {
        if let crate::answer::Step::Data(data) = step
            && let Ok(mut body) = serde_json::from_slice::<Value>(data)
        {
            if let Some(choice) = body.pointer_mut("/choices/0") {
                *choice = with(choice.take(), json!({"content_filter_results": safe}));
            }
            *data = with(body, json!({"prompt_filter_results": of_prompt})).to_string().into();
        }
    }
    answer
}

/// `2024-10-21`, `2025-04-01-preview`
fn is_dated(version: &str) -> bool {
    let day = version.strip_suffix("-preview").unwrap_or(version);
    chrono::NaiveDate::parse_from_str(day, "%Y-%m-%d").is_ok()
}
