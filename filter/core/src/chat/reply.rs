//! A model's whole answer.

use super::{BlockStart, Content, Delta, Event, Extra, Part};
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
    /// Members that the neutral form has no word for.
    pub extra: Option<Box<Extra>>,
}

impl Reply {
    /// How many bytes of content all answers have: texts, thoughts and arguments of calls.
    #[must_use]
    pub fn content(&self) -> u64 {
        let parts = self.choices.iter().flat_map(|choice| &choice.content);
        let bytes = parts.map(|part| match &part.content {
            Content::Text { text, .. } | Content::Refusal(text) | Content::Thinking { text } => text.len(),
            Content::ToolCall { arguments, .. } => arguments.len(),
            Content::Media { .. }
            | Content::ToolResult { .. }
            | Content::RedactedThinking
            | Content::Foreign(_) => 0,
        });
        bytes.fold(0, |sum, bytes| sum.saturating_add(bytes as u64))
    }

    /// The same answer as the events of a stream.
    pub(crate) fn events(&self, mut tell: impl FnMut(Event)) {
        let choices = (0_u32..).zip(&self.choices);
        let mut index = 0_u32;
        for (choice, answer) in choices {
            // Before the text that they are of.
            if !answer.logprobs.is_empty() {
                tell(Event::Logprobs { choice, tokens: answer.logprobs.clone() });
            }
            for part in &answer.content {
                let mut deltas = Vec::new();
                let seal = part.seal.clone().map(|seal| Delta::Seal(seal.by, seal.data));
                let block = match &part.content {
                    Content::Text { text, annotations } => {
                        deltas.push(Delta::Text(text.clone()));
                        deltas.extend(annotations.iter().cloned().map(Box::new).map(Delta::Annotation));
                        deltas.extend(seal);
                        BlockStart::Text
                    }
                    Content::Refusal(text) => {
                        deltas.push(Delta::Text(text.clone()));
                        BlockStart::Refusal
                    }
                    Content::Thinking { text } => {
                        deltas.push(Delta::Thinking(text.clone()));
                        deltas.extend(seal);
                        BlockStart::Thinking
                    }
                    Content::RedactedThinking => match part.seal.clone() {
                        Some(seal) => BlockStart::RedactedThinking(seal),
                        None => continue,
                    },
                    Content::ToolCall { id, name, arguments } => {
                        deltas.extend(seal);
                        deltas.push(Delta::Arguments(arguments.clone()));
                        BlockStart::ToolCall { id: id.clone(), name: name.clone() }
                    }
                    Content::Media { kind, source, .. } => {
                        BlockStart::Media { kind: *kind, source: source.clone() }
                    }
                    Content::Foreign(foreign) => BlockStart::Foreign(foreign.clone()),
                    // No model answers with these.
                    Content::ToolResult { .. } => continue,
                };
                tell(Event::BlockStart { index, choice, id: part.id.clone(), block });
                for delta in deltas {
                    tell(Event::BlockDelta { index, delta });
                }
                tell(Event::BlockStop { index });
                index = index.saturating_add(1);
            }
            if let Some(extra) = answer.extra.as_deref() {
                tell(Event::Extra { choice, extra: extra.clone() });
            }
            tell(Event::Finish { choice, reason: answer.finish_reason.clone() });
        }
        tell(Event::End);
    }
}

/// One of the answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// What the model said, in its order: text, thoughts, calls, refusals, what it painted or spoke, and what its
    /// provider did for it.
    pub content: Vec<Part>,
    /// Why the model stopped.
    pub finish_reason: FinishReason,
    /// The log probabilities of the text's tokens, where they were asked for.
    pub logprobs: Vec<TokenLogprob>,
    /// Members that the neutral form has no word for, such as ratings of its safety.
    pub extra: Option<Box<Extra>>,
}

/// How probable a token of the answer was.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenLogprob {
    /// The token as text.
    pub token: String,
    /// The natural logarithm of its probability.
    pub logprob: f64,
    /// The same of the most likely tokens in its place.
    pub top: Vec<(String, f64)>,
}

impl TokenLogprob {
    /// About how many bytes it takes to keep it.
    fn size(&self) -> usize {
        let top = self.top.iter().map(|(text, _)| size_of::<(String, f64)>().saturating_add(text.len()));
        top.fold(size_of::<Self>().saturating_add(self.token.len()), usize::saturating_add)
    }

    /// The same of all these.
    pub(crate) fn sizes(tokens: &[Self]) -> usize {
        tokens.iter().map(Self::size).fold(0, usize::saturating_add)
    }
}

/// Why the model stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FinishReason {
    /// It was done.
    #[default]
    Stop,
    /// It came to one of the request's stop texts; which one, where the provider tells.
    StopSequence(Option<String>),
    /// It came to the most tokens.
    Length,
    /// It came to the end of its context window.
    ContextWindow,
    /// It waits for the results of tools.
    ToolCalls,
    /// It declined, or a filter stepped in.
    ContentFilter,
    /// It paused a long turn; sent back as it is, the answer goes on.
    Pause,
    /// Its call of a tool, or what it said, could not be read by its provider.
    Malformed,
    /// Anything else, in the provider's words.
    Other(String),
}
