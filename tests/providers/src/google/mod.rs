//! Vertex AI: Gemini's `generateContent`, Claude through `rawPredict`, embeddings; and Google's ranking of documents.

mod check;
mod gemini;
mod retrieval;
mod spelling;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::answer::{self, Answer};
use crate::anthropic::{self, Carrier, Message, Rules};
use crate::bedrock;
use crate::server::Ask;

/// A stand-in for `<region>-aiplatform.googleapis.com`.
#[derive(Debug)]
pub(crate) struct Provider {
    /// The access token it demands, if any.
    pub(crate) token: Option<String>,
    /// The project whose requests it takes.
    pub(crate) project: String,
    /// Where it is.
    pub(crate) region: String,
}

/// An error as Google reports it.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: u16,
    status: &'static str,
    message: String,
}

impl Refusal {
    fn new(code: u16, status: &'static str, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into() }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", message)
    }

    fn answer(&self) -> Answer {
        let error = json!({"code": self.code, "message": self.message, "status": self.status});
        Answer::json(self.code, &json!({ "error": error }))
    }
}

/// Beta features of Claude's that Vertex AI does not have.
const UNKNOWN_BETAS: [&str; 4] = [
    "adaptive-thinking-2026-01-28",
    "effort-2025-11-24",
    "prompt-caching-scope-2026-01-05",
    "structured-outputs-2025-11-13",
];

impl Provider {
    /// Answers a request.
    pub(crate) fn answer(&self, ask: &Ask<'_>) -> Answer {
        self.try_answer(ask).unwrap_or_else(|refusal| refusal.answer())
    }

    fn try_answer(&self, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        let bearer = ask.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if self.token.is_some() && self.token.as_deref() != bearer {
            let message = "Request had invalid authentication credentials. Expected OAuth 2 access token.";
            return Err(Refusal::new(401, "UNAUTHENTICATED", message));
        }
        let unknown =
            || Refusal::new(404, "NOT_FOUND", format!("{} was not found on this server.", ask.path));
        let path =
            ask.path.strip_prefix("/v1/projects/").filter(|_| ask.method == "POST").ok_or_else(unknown)?;
        let (project, path) = path.split_once("/locations/").ok_or_else(unknown)?;
        // Of another host, which this one stands in for as well.
        if project == self.project && path == "global/rankingConfigs/default_ranking_config:rank" {
            return retrieval::ranked(&parsed(ask)?);
        }
        let (region, path) = path.split_once("/publishers/").ok_or_else(unknown)?;
        if project != self.project || region != self.region {
            let message = format!("Permission denied on resource project {project} in {region}.");
            return Err(Refusal::new(403, "PERMISSION_DENIED", message));
        }
        let (publisher, path) = path.split_once("/models/").ok_or_else(unknown)?;
        let (model, method) = path.rsplit_once(':').ok_or_else(unknown)?;
        if model.contains('/') {
            return Err(unknown());
        }
        let model = percent_decode_str(model).decode_utf8_lossy();
        let body = parsed(ask)?;
        // The instances of `predict` are the model's own, and no messages that may be spelled either way.
        let is_message = publisher == "google" && method != "predict";
        let body = if is_message { spelling::in_camel_case(body) } else { body };
        match (publisher, method) {
            ("google", "generateContent") => {
                check::check(&body, &model)?;
                Ok(Answer::json(200, &gemini::Reply::new(ask, &model, &body).whole()))
            }
            ("google", "streamGenerateContent") => {
                check::check(&body, &model)?;
                let chunks = gemini::Reply::new(ask, &model, &body).chunks();
                if ask.query != Some("alt=sse") {
                    return Ok(Answer::json(200, &Value::Array(chunks)));
                }
                let events = chunks.iter().map(|chunk| answer::event(None, chunk)).collect();
                Ok(Answer::events(events, ask.pace))
            }
            ("google", "predict") => retrieval::predict(&model, &body),
            ("google", "embedContent") => retrieval::embed_content(&model, &body),
            ("google", "countTokens") => {
                check::check_counted(&body, &model)?;
                Ok(Answer::json(200, &gemini::counted(&body)))
            }
            ("anthropic", "rawPredict" | "streamRawPredict") => {
                Ok(claude(ask, &model, method == "streamRawPredict", &body).unwrap_or_else(|message| {
                    let error = json!({"type": "invalid_request_error", "message": message});
                    let id = format!("req_vrtx_{}", ask.id);
                    Answer::json(400, &json!({"type": "error", "error": error, "request_id": id}))
                }))
            }
            _ => Err(unknown()),
        }
    }
}

fn parsed(ask: &Ask<'_>) -> Result<Value, Refusal> {
    serde_json::from_slice(ask.body)
        .map_err(|error| Refusal::invalid(format!("Invalid JSON payload received. {error}")))
}

fn claude(ask: &Ask<'_>, model: &str, stream: bool, body: &Value) -> Result<Answer, String> {
    let count = model == "count-tokens";
    let betas = ask.header("anthropic-beta").unwrap_or_default().split(',').map(str::trim);
    let refused: Vec<String> = betas
        .filter(|beta| !beta.is_empty() && (count || UNKNOWN_BETAS.contains(beta)))
        .map(|beta| format!("`{beta}`"))
        .collect();
    if !refused.is_empty() {
        return Err(format!("Unexpected value(s) {} for the `anthropic-beta` header.", refused.join(", ")));
    }
    let asked = if count { body.get("model").and_then(Value::as_str).unwrap_or_default() } else { model };
    // Anthropic's SDK asks for the latest version of its API here as it does on Bedrock.
    let latest = match body.get("anthropic_version").and_then(Value::as_str) {
        Some("vertex-2023-10-16") => false,
        Some(anthropic::LATEST) if bedrock::since_4_7(asked) => true,
        _ => return Err("anthropic_version: Input should be 'vertex-2023-10-16'".to_owned()),
    };
    anthropic::check(body, Rules { model: asked, carrier: Carrier::Vertex, latest, count })?;
    if count {
        return Ok(Answer::json(200, &json!({"input_tokens": anthropic::input_tokens(body)})));
    }
    if stream != (body.get("stream").and_then(Value::as_bool) == Some(true)) {
        return Err("stream: the body says something else than the path".to_owned());
    }
    let message = Message::new(ask, model, body);
    if !stream {
        return Ok(Answer::json(200, &message.whole()));
    }
    let events = message.events().iter().map(anthropic::named).collect();
    Ok(Answer::events(events, ask.pace))
}
