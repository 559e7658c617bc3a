//! Responses that are stored: <https://platform.openai.com/docs/api-reference/responses>.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::http::Method;
use serde_json::{Value, json};

use super::{Refusal, responses};
use crate::answer::Answer;
use crate::object::with;
use crate::server::Ask;

/// So many are kept.
const MOST: usize = 1_000;

/// What there is of a response.
#[derive(Debug, Clone)]
struct Stored {
    response: Value,
    input: Value,
    is_background: bool,
}

/// The responses of one provider, by their id.
#[derive(Debug, Default)]
pub(crate) struct Responses(Mutex<BTreeMap<String, Stored>>);

impl Responses {
    /// Answers `POST /v1/responses`, and keeps the answer unless it is asked not to.
    pub(crate) fn create(&self, ask: &Ask<'_>, body: &Value) -> Result<Answer, Refusal> {
        self.check(ask, body)?;
        let is_background = flag(body, "background");
        let mut response = responses::finished(ask, body)?;
        if is_background {
            response = with(response, json!({"status": "queued", "output": [], "usage": null}));
        }
        if body.get("store") != Some(&json!(false)) {
            let id = response.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            let input = body.get("input").cloned().unwrap_or_default();
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() >= MOST {
                all.pop_first();
            }
            all.insert(id, Stored { response: response.clone(), input, is_background });
        }
        if is_background { Ok(Answer::json(200, &response)) } else { responses::answer(ask, body) }
    }

    /// Answers `POST /v1/responses/compact`.
    pub(crate) fn compact(&self, ask: &Ask<'_>, body: &Value) -> Result<Answer, Refusal> {
        self.check(ask, body)?;
        let made = responses::finished(ask, body)?;
        let item = json!({"id": format!("cmp_{}", ask.id), "type": "compaction",
                          "encrypted_content": format!("{}compacted", responses::encrypted(ask))});
        Ok(Answer::json(
            200,
            &json!({"id": made.get("id"), "object": "response.compaction", "created_at": ask.now(), "output": [item],
                    "usage": made.get("usage")}),
        ))
    }

    /// Whether what a request refers to is there, and its thoughts are of this provider.
    fn check(&self, ask: &Ask<'_>, body: &Value) -> Result<(), Refusal> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = |message: String, param: &str, code| {
            Err(Refusal { status: 400, message, param: Some(param.to_owned()), code })
        };
        if let Some(previous) = body.get("previous_response_id").and_then(Value::as_str)
            && !all.contains_key(previous)
        {
            let message = format!("Previous response with id '{previous}' not found.");
            return refused(message, "previous_response_id", Some("previous_response_not_found"));
        }
        let items = body.get("input").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for item in items {
            let text = |name: &str| item.get(name).and_then(Value::as_str);
            if text("type") == Some("item_reference") {
                let has = |stored: &Stored| {
                    let output = stored.response.get("output").and_then(Value::as_array);
                    output.is_some_and(|output| output.iter().any(|known| known.get("id") == item.get("id")))
                };
                if !all.values().any(has) {
                    let id = text("id").unwrap_or_default();
                    return refused(format!("Item with id '{id}' not found."), "input", None);
                }
            }
            let sealed = text("encrypted_content").unwrap_or_default();
            let is_own = sealed.is_empty() || sealed.starts_with(&responses::encrypted(ask));
            if !is_own {
                let message = format!("The encrypted content {sealed} could not be verified.");
                return refused(message, "input", Some("invalid_encrypted_content"));
            }
        }
        Ok(())
    }

    /// Answers a request about a response, whose path is `/v1/responses/` and `rest`.
    pub(crate) fn about(&self, ask: &Ask<'_>, rest: &str) -> Result<Answer, Refusal> {
        let (id, what) = rest.split_once('/').unwrap_or((rest, ""));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = || Refusal {
            status: 404,
            message: format!("Response with id '{id}' not found."),
            param: None,
            code: None,
        };
        let stored = all.get_mut(id).ok_or_else(missing)?;
        match (ask.method, what) {
            (&Method::GET, "") => Ok(Answer::json(200, &stored.response)),
            (&Method::GET, "input_items") => Ok(Answer::json(200, &items(&stored.input))),
            (&Method::POST, "cancel") if !stored.is_background => {
                Err(Refusal::invalid("Cannot cancel a synchronous response."))
            }
            (&Method::POST, "cancel") => {
                stored.response = with(stored.response.take(), json!({"status": "cancelled"}));
                Ok(Answer::json(200, &stored.response))
            }
            (&Method::DELETE, "") => {
                all.remove(id);
                Ok(Answer::json(200, &json!({"id": id, "object": "response", "deleted": true})))
            }
            _ => Err(super::unknown(ask)),
        }
    }
}

fn flag(body: &Value, name: &str) -> bool {
    body.get(name).and_then(Value::as_bool) == Some(true)
}

/// The list of what was said to get a response.
fn items(input: &Value) -> Value {
    let item = |(index, item): (usize, &Value)| {
        let content = match item {
            Value::String(text) => json!([{"type": "input_text", "text": text}]),
            item => item.get("content").cloned().unwrap_or_default(),
        };
        json!({"id": format!("msg_{index}"), "type": "message", "role": "user", "status": "completed",
               "content": content})
    };
    let list = std::slice::from_ref(input);
    let data: Vec<Value> =
        input.as_array().map_or(list, Vec::as_slice).iter().enumerate().map(item).collect();
    let id = |item: Option<&Value>| item.and_then(|item| item.get("id")).cloned();
    json!({"object": "list", "first_id": id(data.first()), "last_id": id(data.last()), "has_more": false,
           "data": data})
}
