//! Backends asked how many tokens a conversation has, and not to answer it.

use serde_json::Value;

use super::Asked;
use super::schema::{BackendCodec, EventReader, To};
use crate::chat::{Losses, Reply, Request};
use crate::error::{Error, Result};
use crate::usage::{self, Usage};

/// What counts for a schema.
#[derive(Debug)]
pub(super) struct Counter {
    /// Writes the body.
    pub(super) encode: fn(&To<'_>, &Request, &mut Losses) -> Result<Vec<u8>>,
    /// What has the count in an answer.
    pub(super) member: &'static str,
    /// What answers conversations there. A count has no streams; should one come, it is read as any other.
    pub(super) schema: &'static dyn BackendCodec,
}

impl BackendCodec for Counter {
    fn encode(&self, to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
        (self.encode)(to, request, losses)
    }

    fn reply(&self, _: &Asked, body: &[u8], _: &mut Losses) -> Result<Reply> {
        decode(body, self.member)
    }

    fn events(&self, asked: &Asked) -> Box<dyn EventReader> {
        self.schema.events(asked)
    }
}

/// Reads an answer that has the count under `member`.
///
/// # Errors
///
/// 502 for a body that is not one.
fn decode(body: &[u8], member: &str) -> Result<Reply> {
    let wrong = |what: &str| Error::bad_answer(format!("the backend's answer is no count of tokens: {what}"));
    let answer: Value = serde_json::from_slice(body).map_err(|error| wrong(&error.to_string()))?;
    let count =
        answer.get(member).and_then(Value::as_u64).ok_or_else(|| wrong(&format!("it has no {member}")))?;
    Ok(Reply { usage: Usage::of([(usage::Counter::Input, Some(count))]), ..Reply::default() })
}
