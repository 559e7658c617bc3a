//! A model's whole answer.

use super::{Content, Part};
use crate::usage::Usage;

/// A model's whole answer. What the provider left out is `None`; the client's encoder fills it in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    /// The provider's name for this answer.
    pub id: Option<String>,
    /// The model that answered, in the provider's words.
    pub model: Option<String>,
    /// The answers: one, unless the client asked for more.
    pub choices: Vec<Choice>,
    /// What it used.
    pub usage: Usage,
    /// The capacity it was served from, in OpenAI's words.
    pub service_tier: Option<String>,
}

impl Reply {
    /// How many bytes of content all answers have: texts, thoughts and arguments of calls.
    #[must_use]
    pub fn content(&self) -> u64 {
        let parts = self.choices.iter().flat_map(|choice| &choice.content);
        let bytes = parts.map(|part| match &part.content {
            Content::Text(text) | Content::Refusal(text) | Content::Thinking { text, .. } => text.len(),
            Content::ToolCall { arguments, .. } => arguments.len(),
            _ => 0,
        });
        bytes.fold(0, |sum, bytes| sum.saturating_add(bytes as u64))
    }
}

/// One of the answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Text, thoughts, calls and refusals in the model's order; never images, documents or tool results.
    pub content: Vec<Part>,
    /// Why the model stopped.
    pub finish_reason: FinishReason,
}

/// Why the model stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FinishReason {
    /// It was done.
    #[default]
    Stop,
    /// It came to one of the request's stop texts; which one, where the provider tells.
    StopSequence(Option<String>),
    /// It came to the most tokens, or to the end of its context window.
    Length,
    /// It waits for the results of tools.
    ToolCalls,
    /// It declined, or a filter stepped in.
    ContentFilter,
    /// Anything else, in the provider's words.
    Other(String),
}
