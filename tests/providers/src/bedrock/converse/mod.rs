//! Bedrock's Converse, ConverseStream and CountTokens of it, for Claude and for other models.
//!
//! A request is checked by the shapes of the service model, then by what Bedrock refuses of a conversation, then, in
//! Anthropic's words, by what Claude refuses. The answer is the message that Claude's stand-in would give.

mod rules;
mod shape;
mod words;

use serde_json::{Value, json};

use super::{Refusal, frame};
use crate::answer::Answer;
use crate::anthropic::{self, Carrier, Message, Rules};
use crate::server::Ask;

/// Answers a request of `model` that is signed.
pub(super) fn answer(ask: &Ask<'_>, model: &str, body: &Value, stream: bool) -> Result<Answer, Refusal> {
    let asked = checked(model, body)?;
    let message = Message::new(ask, model, &asked);
    if !stream {
        let whole = words::whole(&message.whole(), body);
        return Ok(Answer::json(200, &whole));
    }
    let frames: Result<Vec<_>, _> = words::events(&message.events(), body)
        .iter()
        .map(|(name, payload)| frame::event(name, payload).map(Into::into))
        .collect();
    let frames = frames.map_err(|error| Refusal::new(500, "InternalServerException", error))?;
    Ok(Answer::stream("application/vnd.amazon.eventstream", frames, ask.pace))
}

/// Counts the tokens of what Converse would be asked.
pub(super) fn count(model: &str, body: &Value) -> Result<Answer, Refusal> {
    shape::check(&shape::COUNTED, body).map_err(refused)?;
    rules::check(model, body).map_err(refused)?;
    Ok(Answer::json(200, &json!({"inputTokens": anthropic::input_tokens(&words::request(body))})))
}

/// The request in Anthropic's words.
fn checked(model: &str, body: &Value) -> Result<Value, Refusal> {
    shape::check(&shape::REQUEST, body).map_err(refused)?;
    rules::check(model, body).map_err(refused)?;
    let asked = words::request(body);
    // What is not Claude's own goes by the same rules: only a model's name brings more.
    let latest = rules::is_claude(model) && super::since_4_7(model);
    let rules = Rules { model, carrier: Carrier::Bedrock, latest, count: false };
    anthropic::check(&asked, rules)
        .map_err(|message| refused(format!("The model returned the following errors: {message}")))?;
    Ok(asked)
}

fn refused(message: String) -> Refusal {
    Refusal::new(400, "ValidationException", message)
}

#[cfg(test)]
mod tests;
