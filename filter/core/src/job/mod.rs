//! Jobs that are no conversation, in no provider's words: what a client wants, and what comes back, all at once.
//!
//! They go the way of a conversation ([`crate::chat`]): a client API decodes into a job's request and encodes from its
//! answer, a backend's schema does the reverse, and what a target cannot express is a loss. The two sides are in
//! [`crate::wire`].

pub mod embeddings;
pub mod rerank;

use std::fmt;

use crate::error::Result;
use crate::usage::Usage;

/// A kind of job.
pub trait Job: fmt::Debug + 'static {
    /// What a client wants.
    type Request;

    /// What is remembered of it until the answer comes: what the answer depends on, and not its data, which may be
    /// large.
    type Kept: fmt::Debug + 'static;

    /// What comes back. It may point into the backend's own bytes.
    type Content<'a>;

    /// What to remember of a request.
    fn keep(request: Self::Request) -> Self::Kept;

    /// Puts an answer in order, once it is known to be one to what was asked.
    ///
    /// # Errors
    ///
    /// 502 for one to something else.
    fn settle(kept: &Self::Kept, content: &mut Self::Content<'_>) -> Result<()>;
}

/// An answer.
#[derive(Debug)]
pub struct Answer<T> {
    /// What was wanted.
    pub content: T,
    /// The provider's name for it.
    pub id: Option<String>,
    /// The model that it says gave it.
    pub model: Option<String>,
    /// What it reports to have used.
    pub usage: Usage,
}

impl<T> Answer<T> {
    /// An answer of which nothing else is known.
    pub fn of(content: T) -> Self {
        Answer { content, id: None, model: None, usage: Usage::default() }
    }
}
