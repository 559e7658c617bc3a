//! Cohere's chat, embed and rerank, version 2: <https://docs.cohere.com/reference/about>.

mod chat;
mod check;
mod retrieval;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::server::Ask;

/// A stand-in for `api.cohere.com`, which refuses what Cohere itself refuses.
#[derive(Debug)]
pub(crate) struct Provider {
    /// The key it demands as a bearer token, if any.
    pub(crate) key: Option<String>,
}

/// An error, with its status.
type Refusal = (u16, String);

impl Provider {
    /// Answers a request.
    pub(crate) fn answer(&self, ask: &Ask<'_>) -> Answer {
        self.try_answer(ask).unwrap_or_else(|(status, message)| {
            Answer::json(status, &json!({"id": format!("error-{}-{}", ask.name, ask.id), "message": message}))
        })
    }

    fn try_answer(&self, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        let given = ask.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        match (&self.key, given) {
            (Some(_), None) => return Err((401, "no api key supplied".to_owned())),
            (Some(key), Some(given)) if given != key => return Err((401, "invalid api token".to_owned())),
            _ => {}
        }
        if ask.method != "POST" || !matches!(ask.path, "/v2/chat" | "/v2/embed" | "/v2/rerank") {
            return Err((404, format!("page not found: {} {}", ask.method, ask.path)));
        }
        let body: Value = serde_json::from_slice(ask.body)
            .map_err(|error| (400, format!("invalid request: the body is not valid JSON: {error}")))?;
        match ask.path {
            "/v2/embed" => retrieval::embed(ask, &body),
            "/v2/rerank" => retrieval::rerank(ask, &body),
            _ => {
                check::chat(&body)?;
                Ok(chat::answer(ask, &body))
            }
        }
    }
}

/// Whether the model thinks before it answers.
fn thinks(body: &Value) -> bool {
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
    let is_off = body.pointer("/thinking/type").is_some_and(|kind| kind == "disabled");
    model.contains("reasoning") && !is_off
}

/// A list that may be left out.
fn list<'a>(body: &'a Value, name: &str) -> &'a [Value] {
    body.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
