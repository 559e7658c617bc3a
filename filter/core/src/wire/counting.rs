//! Answers of those that count the tokens of a conversation and do not answer it.

use serde_json::Value;

use crate::chat::Reply;
use crate::error::{Error, Result};
use crate::usage::Usage;

/// Reads an answer that has the count under `member`.
///
/// # Errors
///
/// 502 for a body that is not one.
pub(super) fn decode(body: &[u8], member: &str) -> Result<Reply> {
    let wrong = |what: &str| Error::bad_answer(format!("the backend's answer is no count of tokens: {what}"));
    let answer: Value = serde_json::from_slice(body).map_err(|error| wrong(&error.to_string()))?;
    let count =
        answer.get(member).and_then(Value::as_u64).ok_or_else(|| wrong(&format!("it has no {member}")))?;
    Ok(Reply { usage: Usage { input: Some(count), ..Usage::default() }, ..Reply::default() })
}
