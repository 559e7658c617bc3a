//! OpenAI's API, and what model servers that speak it add: vLLM's `/tokenize` and Cohere's rerank.

mod chat;
mod check;
mod completions;
mod files;
mod media;
mod responses;
mod retrieval;
mod stored;

pub(crate) use files::Files;
use serde_json::{Value, json};
pub(crate) use stored::Responses;

use crate::answer::{self, Answer};
use crate::object::with;
use crate::server::Ask;

/// A stand-in for `api.openai.com` or a model server such as vLLM.
#[derive(Debug)]
pub(crate) struct Provider {
    /// The key it demands as a bearer token, if any.
    pub(crate) key: Option<String>,
    /// It refuses what OpenAI itself refuses. Servers that are compatible with it take almost anything.
    pub(crate) strict: bool,
    /// The responses that it keeps.
    pub(crate) responses: Responses,
    /// What was uploaded to it.
    pub(crate) files: Files,
}

/// An error in OpenAI's shape.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: u16,
    message: String,
    param: Option<String>,
    code: Option<&'static str>,
}

impl Refusal {
    fn invalid(message: impl Into<String>) -> Self {
        Self { status: 400, message: message.into(), param: None, code: None }
    }

    fn missing(param: &'static str) -> Self {
        Self {
            status: 400,
            message: format!("Missing required parameter: '{param}'."),
            param: Some(param.to_owned()),
            code: Some("missing_required_parameter"),
        }
    }

    /// The answer that says so.
    pub(crate) fn answer(&self) -> Answer {
        let error = json!({
            "message": self.message,
            "type": "invalid_request_error",
            "param": self.param,
            "code": self.code,
        });
        Answer::json(self.status, &json!({"error": error}))
    }
}

impl Provider {
    /// Answers a request.
    pub(crate) async fn answer(&self, ask: &Ask<'_>) -> Answer {
        self.try_answer(ask)
            .await
            .unwrap_or_else(|refusal| refusal.answer())
            .header("x-request-id", &format!("req_{}_{}", ask.name, ask.id))
    }

    async fn try_answer(&self, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        self.authorize(ask)?;
        if Files::have(ask.path) {
            return self.files.answer(ask).await;
        }
        match (ask.method.as_str(), ask.path) {
            ("GET", "/v1/models") => Ok(retrieval::models(ask)),
            ("POST", "/v1/audio/transcriptions") => media::transcription(ask, true).await,
            ("POST", "/v1/audio/translations") => media::transcription(ask, false).await,
            ("POST", "/v1/images/edits") => media::edit(ask, true).await,
            ("POST", "/v1/images/variations") => media::edit(ask, false).await,
            ("POST", "/v1/responses") => self.responses.create(ask, &body_with_model(ask)?),
            ("POST", "/v1/responses/compact") => self.responses.compact(ask, &body_with_model(ask)?),
            (_, path) if is_about_a_response(path) => {
                self.responses.about(ask, path.strip_prefix("/v1/responses/").unwrap_or_default())
            }
            ("POST", path) => {
                let body = json_of(ask)?;
                post(ask, path, &body, self.strict)
            }
            _ => Err(unknown(ask)),
        }
    }

    fn authorize(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        let Some(key) = &self.key else { return Ok(()) };
        let refuse = |message: &str, code| {
            Err(Refusal { status: 401, message: message.to_owned(), param: None, code })
        };
        match ask.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) {
            None => refuse("You didn't provide an API key.", None),
            Some(given) if given != key => refuse("Incorrect API key provided.", Some("invalid_api_key")),
            Some(_) => Ok(()),
        }
    }
}

/// Whether a path is below that of a response.
fn is_about_a_response(path: &str) -> bool {
    path.strip_prefix("/v1/responses/").is_some_and(|rest| rest != "input_tokens")
}

fn body_with_model(ask: &Ask<'_>) -> Result<Value, Refusal> {
    let body = json_of(ask)?;
    if model(&body).is_empty() { Err(Refusal::missing("model")) } else { Ok(body) }
}

/// The body of a request.
pub(crate) fn json_of(ask: &Ask<'_>) -> Result<Value, Refusal> {
    let refuse = |_| Refusal::invalid("We could not parse the JSON body of your request.".to_owned());
    serde_json::from_slice(ask.body).map_err(refuse)
}

/// Answers a request with a JSON body at `path`, which is OpenAI's whatever that of the request is.
pub(crate) fn post(ask: &Ask<'_>, path: &str, body: &Value, strict: bool) -> Result<Answer, Refusal> {
    let answer = match path {
        "/v1/chat/completions" => chat::answer,
        "/v1/completions" => completions::answer,
        "/v1/responses" => responses::answer,
        "/v1/responses/input_tokens" => responses::input_tokens,
        "/v1/embeddings" => retrieval::embeddings,
        "/v1/images/generations" => media::images,
        "/v1/audio/speech" => media::speech,
        "/tokenize" => retrieval::tokenize,
        "/v1/moderations" => return retrieval::moderations(ask, body),
        "/v1/rerank" | "/rerank" => retrieval::vllm_rerank,
        "/v2/rerank" => retrieval::rerank,
        _ => return Err(unknown(ask)),
    };
    if body.get("model").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(Refusal::missing("model"));
    }
    if strict && path == "/v1/chat/completions" {
        check::chat(body)?;
    }
    answer(ask, body)
}

fn unknown(ask: &Ask<'_>) -> Refusal {
    let message = format!("Invalid URL ({} {})", ask.method, ask.path);
    Refusal { status: 404, message, param: None, code: None }
}

/// The request's model, which was checked to be there.
fn model(body: &Value) -> &str {
    body.get("model").and_then(Value::as_str).unwrap_or_default()
}

/// Whether the request asks for a stream.
fn streams(body: &Value) -> bool {
    body.get("stream").and_then(Value::as_bool) == Some(true)
}

/// `stop` is one text or a list.
fn stops(body: &Value) -> Vec<String> {
    match body.get("stop") {
        Some(Value::String(stop)) => vec![stop.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// Usage as chat completions and legacy completions report it.
fn usage(prompt: u64, completion: u64) -> Value {
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

/// Turns chunks into the events of a completion stream. With `stream_options.include_usage` every chunk has a `usage`
/// field, null but for a last chunk without choices.
fn completion_stream(ask: &Ask<'_>, body: &Value, chunks: Vec<Value>, last: Value, usage: &Value) -> Answer {
    let wanted = body.pointer("/stream_options/include_usage").and_then(Value::as_bool) == Some(true);
    let mut events: Vec<String> = chunks
        .into_iter()
        .map(|chunk| if wanted { with(chunk, json!({"usage": null})) } else { chunk })
        .map(|chunk| answer::event(None, &chunk))
        .collect();
    if wanted {
        events.push(answer::event(None, &with(last, json!({"choices": [], "usage": usage}))));
    }
    events.push("data: [DONE]\n\n".to_owned());
    Answer::events(events, ask.pace)
}
