//! `/v1/completions`, the legacy API.

use serde_json::{Value, json};

use super::{Refusal, completion_stream, model, stops, streams, usage};
use crate::answer::Answer;
use crate::object::with;
use crate::server::Ask;
use crate::text::{self, End};

/// The documented default of `max_tokens`.
const DEFAULT_LIMIT: u64 = 16;

/// A text of at most `max_tokens` tokens.
pub(crate) fn answer(ask: &Ask<'_>, body: &Value) -> Result<Answer, Refusal> {
    let prompt = match body.get("prompt") {
        None | Some(Value::Null) => return Err(Refusal::missing("prompt")),
        // A list may hold texts or tokens.
        Some(Value::Array(list)) if list.iter().all(Value::is_number) => list.len() as u64,
        Some(prompt) => text::content_words(prompt),
    };
    let limit = body.get("max_tokens").and_then(Value::as_u64).unwrap_or(DEFAULT_LIMIT);
    let said = text::say(&text::sentence(ask.name, ask.words), Some(limit), &stops(body));
    let finish = if said.end == End::Limit { "length" } else { "stop" };
    let usage = usage(prompt, said.tokens() as u64);
    let head = json!({
        "id": format!("cmpl-{}-{}", ask.name, ask.id),
        "object": "text_completion",
        "created": ask.now(),
        "model": model(body),
    });
    let said_so_far = |text: &str, finish: Option<&str>| {
        let choice = json!({"text": text, "index": 0, "logprobs": null, "finish_reason": finish});
        with(head.clone(), json!({"choices": [choice]}))
    };
    if streams(body) {
        let mut chunks: Vec<_> = said.pieces.iter().map(|piece| said_so_far(piece, None)).collect();
        chunks.push(said_so_far("", Some(finish)));
        Ok(completion_stream(ask, body, chunks, head.clone(), &usage))
    } else {
        let answer = with(said_so_far(&said.text(), Some(finish)), json!({"usage": usage}));
        Ok(Answer::json(200, &answer))
    }
}
