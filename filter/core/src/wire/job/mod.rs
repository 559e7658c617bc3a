//! Jobs that are answered whole ([`crate::job`]): the two sides of their translation, and what both are together.
//!
//! A side is a [`ClientJob`] or a [`BackendJob`] of one kind of job. Which kind it is, only [`Asks`] knows: the rest of
//! the gateway has [`Sides`], makes a request with them, and keeps the [`Question`] until its answer comes.

mod rules;
#[cfg(test)]
mod tests;

use std::fmt;

use super::api::ClientCodec;
use super::error::event_error;
use super::schema::{BackendCodec, Schema, To};
use crate::chat::Losses;
use crate::error::{Error, Result};
use crate::job::embeddings::Embeddings;
use crate::job::rerank::Rerank;
use crate::job::{Answer, Job};
use crate::usage::Usage;

pub(super) use rules::Rule;

/// What the requests of an endpoint ask for, with the client's side of its translation.
#[derive(Debug, Clone, Copy)]
pub enum Asks {
    /// What comes next in a conversation, or how many tokens it has.
    Conversation(&'static dyn ClientCodec),
    /// Vectors of texts.
    Embeddings(&'static dyn ClientJob<Embeddings>),
    /// Documents by how relevant they are.
    Rerank(&'static dyn ClientJob<Rerank>),
}

/// Both sides of a translation.
#[derive(Debug)]
pub enum Translation {
    /// Of a conversation.
    Conversation(&'static dyn ClientCodec, &'static dyn BackendCodec),
    /// Of a job that is answered whole.
    Job(Box<dyn Sides>),
}

impl Asks {
    /// The translation for backends of `schema`, where there is one.
    pub(super) fn translation(self, schema: &dyn Schema) -> Option<Translation> {
        match self {
            Asks::Conversation(client) => {
                let backend = if client.counts() { schema.counter() } else { schema.codec() };
                Some(Translation::Conversation(client, backend?))
            }
            Asks::Embeddings(client) => Some(pair(client, schema.embedder()?)),
            Asks::Rerank(client) => Some(pair(client, schema.reranker()?)),
        }
    }

    /// The client's side of a conversation, if this is one.
    #[must_use]
    pub fn conversation(self) -> Option<&'static dyn ClientCodec> {
        match self {
            Asks::Conversation(client) => Some(client),
            Asks::Embeddings(_) | Asks::Rerank(_) => None,
        }
    }
}

/// The client's side of a job.
pub trait ClientJob<J: Job>: fmt::Debug + Sync {
    /// Reads a request. What the neutral form cannot hold is recorded in `losses`.
    ///
    /// # Errors
    ///
    /// 400 for a body that is not the API's, 422 for a value that cannot be served; both name the field.
    fn decode(&self, body: &[u8], losses: &mut Losses) -> Result<J::Request>;

    /// Writes an answer.
    fn answer(&self, seen: &Seen<'_>, kept: &J::Kept, answer: &Answer<J::Content<'_>>) -> Vec<u8>;
}

/// The backend's side of a job.
pub trait BackendJob<J: Job>: fmt::Debug + Sync {
    /// The `:path` of the request.
    fn path(&self, to: &To<'_>) -> String;

    /// Writes a request. What the API cannot express is recorded in `losses`.
    ///
    /// # Errors
    ///
    /// 422 for what the backend is known to reject, or would answer with something else than was asked for.
    fn encode(&self, to: &To<'_>, request: &J::Request, losses: &mut Losses) -> Result<Vec<u8>>;

    /// Reads an answer. What it says that was done to the request is recorded in `losses`.
    ///
    /// # Errors
    ///
    /// 502 for a body that is not the API's.
    fn answer<'a>(
        &self,
        seen: &Seen<'_>,
        kept: &J::Kept,
        body: &'a [u8],
        losses: &mut Losses,
    ) -> Result<Answer<J::Content<'a>>>;
}

/// What else is known of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// What it is called when its provider does not say; unique among the gateway's answers.
    pub id: &'a str,
    /// The model that was asked, after any override.
    pub model: &'a str,
    /// How many tokens the request had, where the answer's headers say so.
    pub input_tokens: Option<u64>,
}

/// Both sides of a job, whichever it is.
pub trait Sides: fmt::Debug {
    /// The `:path` of the request.
    fn path(&self, to: &To<'_>) -> String;

    /// Translates the body of a request.
    ///
    /// # Errors
    ///
    /// Those of [`ClientJob::decode`] and [`BackendJob::encode`].
    fn ask(&self, to: &To<'_>, body: &[u8], losses: &mut Losses) -> Result<Sent>;
}

/// A request in the backend's words.
#[derive(Debug)]
pub struct Sent {
    /// The body to send.
    pub body: Vec<u8>,
    /// What reads the answer.
    pub question: Box<dyn Question>,
}

/// A request that was made, and waits for its answer.
pub trait Question: fmt::Debug {
    /// Translates the body of the answer.
    ///
    /// # Errors
    ///
    /// 502 for a body that is no answer to it; the provider's own error if the body is one, whatever its status said.
    fn answered(&self, seen: &Seen<'_>, body: &[u8], losses: &mut Losses) -> Result<Answered>;
}

/// An answer in the client's words.
#[derive(Debug)]
pub struct Answered {
    /// The body.
    pub body: Vec<u8>,
    /// The model that the backend says gave it.
    pub model: Option<String>,
    /// What the backend reports to have used.
    pub usage: Usage,
}

#[derive(Debug)]
struct Pair<J: Job> {
    client: &'static dyn ClientJob<J>,
    backend: &'static dyn BackendJob<J>,
}

fn pair<J: Job>(client: &'static dyn ClientJob<J>, backend: &'static dyn BackendJob<J>) -> Translation {
    Translation::Job(Box::new(Pair { client, backend }))
}

impl<J: Job> Sides for Pair<J> {
    fn path(&self, to: &To<'_>) -> String {
        self.backend.path(to)
    }

    fn ask(&self, to: &To<'_>, body: &[u8], losses: &mut Losses) -> Result<Sent> {
        let request = self.client.decode(body, losses)?;
        let body = self.backend.encode(to, &request, losses)?;
        let question = Waiting::<J> { client: self.client, backend: self.backend, kept: J::keep(request) };
        Ok(Sent { body, question: Box::new(question) })
    }
}

#[derive(Debug)]
struct Waiting<J: Job> {
    client: &'static dyn ClientJob<J>,
    backend: &'static dyn BackendJob<J>,
    kept: J::Kept,
}

impl<J: Job> Question for Waiting<J> {
    fn answered(&self, seen: &Seen<'_>, body: &[u8], losses: &mut Losses) -> Result<Answered> {
        let mut answer = self
            .backend
            .answer(seen, &self.kept, body, losses)
            .map_err(|error| event_error(body).unwrap_or(error))?;
        J::settle(&self.kept, &mut answer.content)?;
        let body = self.client.answer(seen, &self.kept, &answer);
        Ok(Answered { body, model: answer.model, usage: answer.usage.with_total() })
    }
}

/// The answer `body` as JSON of the API's own.
///
/// # Errors
///
/// 502 for any other.
pub(super) fn parse<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T> {
    serde_json::from_slice(body)
        .map_err(|error| Error::bad_answer(format!("the backend's answer is not its API's: {error}")))
}

/// Records what the client said under `member`, if it did, for this reason.
pub(super) fn lose<T>(losses: &mut Losses, member: &str, said: Option<T>, rule: Rule) {
    if said.is_some() {
        losses.add(member, rule);
    }
}
