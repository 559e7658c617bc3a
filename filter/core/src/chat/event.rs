//! A model's answer as a stream.

use super::{Annotation, Extra, Family, FinishReason, Foreign, MediaKind, Seal, Source, TokenLogprob};
use crate::error::Error;
use crate::usage::Usage;

/// One step of a streamed answer.
///
/// An answer is a sequence of blocks, each with an `index` of its own: started, grown by deltas, stopped. Blocks of
/// different choices may be open at once. `Start` comes first and once; after `End` or `Error`, which may come any
/// time, comes nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The answer begins. What the provider does not tell is `None`.
    Start {
        /// The provider's name for this answer.
        id: Option<String>,
        /// The model that answers, in the provider's words.
        model: Option<String>,
    },
    /// A block begins.
    BlockStart {
        /// The block.
        index: u32,
        /// The choice it belongs to: 0, unless the client asked for more than one.
        choice: u32,
        /// The provider's name for it, as [`super::Part::id`].
        id: Option<String>,
        /// What it will be.
        block: BlockStart,
    },
    /// A block grows.
    BlockDelta {
        /// The block, started and not stopped.
        index: u32,
        /// By what.
        delta: Delta,
    },
    /// A block is complete.
    BlockStop {
        /// The block.
        index: u32,
    },
    /// Counters so far. A later one overrides what it reports, see [`Usage::merge`].
    Usage(Usage),
    /// A choice is complete.
    Finish {
        /// The choice.
        choice: u32,
        /// Why the model stopped.
        reason: FinishReason,
    },
    /// The log probabilities of tokens of a choice's text, before the text that they are of.
    Logprobs {
        /// The choice.
        choice: u32,
        /// Its next tokens.
        tokens: Vec<TokenLogprob>,
    },
    /// The capacity that the answer is served from, in OpenAI's words.
    ServiceTier(String),
    /// What the neutral form has no word for, of a choice, such as ratings of its safety.
    Extra {
        /// The choice.
        choice: u32,
        /// It.
        extra: Extra,
    },
    /// Nothing yet: keeps the connection alive.
    Ping,
    /// The provider gave up, or broke its own API.
    Error(Error),
    /// The provider said that the answer is complete.
    End,
}

impl Event {
    /// It comes before the first content, and says none: no text, thought, call, reason for the end, or end.
    #[must_use]
    pub fn is_preamble(&self) -> bool {
        match self {
            Event::Start { .. }
            | Event::BlockStop { .. }
            | Event::Usage(_)
            | Event::Logprobs { .. }
            | Event::ServiceTier(_)
            | Event::Extra { .. }
            | Event::Ping => true,
            Event::BlockStart { block, .. } => match block {
                BlockStart::Text | BlockStart::Thinking | BlockStart::Refusal => true,
                BlockStart::RedactedThinking(_)
                | BlockStart::ToolCall { .. }
                | BlockStart::Media { .. }
                | BlockStart::Foreign(_) => false,
            },
            Event::BlockDelta { delta, .. } => match delta {
                Delta::Text(text) | Delta::Thinking(text) | Delta::Arguments(text) => text.is_empty(),
                Delta::Seal(..) | Delta::Annotation(_) => false,
            },
            Event::Finish { .. } | Event::Error(_) | Event::End => false,
        }
    }
}

/// What a block will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockStart {
    /// Text.
    Text,
    /// A thought.
    Thinking,
    /// A thought that only its provider can read; it comes whole.
    RedactedThinking(Seal),
    /// A call of a tool. Its arguments follow as deltas; none stands for `{}`.
    ToolCall {
        /// The name of this call.
        id: String,
        /// The tool.
        name: String,
    },
    /// The model declines, and says so in text.
    Refusal,
    /// A picture or sound that the model made; it comes whole.
    Media {
        /// Which.
        kind: MediaKind,
        /// Where it is.
        source: Source,
    },
    /// What only its provider understands; it comes whole.
    Foreign(Foreign),
}

/// What a block grows by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// Of a text or a refusal.
    Text(String),
    /// Of a thought.
    Thinking(String),
    /// The next piece of the seal of the thought, the call or the text, and whose it is.
    Seal(Family, String),
    /// Something that is said of the text.
    Annotation(Box<Annotation>),
    /// Of a call's arguments: a piece of JSON text.
    Arguments(String),
}

impl Delta {
    /// How many bytes of content it has. A signature is none.
    #[must_use]
    pub fn content(&self) -> usize {
        match self {
            Delta::Text(text) | Delta::Thinking(text) | Delta::Arguments(text) => text.len(),
            Delta::Seal(..) | Delta::Annotation(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::usage::Counter;

    fn start(block: BlockStart) -> Event {
        Event::BlockStart { index: 0, choice: 0, id: None, block }
    }

    fn grow(delta: Delta) -> Event {
        Event::BlockDelta { index: 0, delta }
    }

    #[test]
    fn what_announces_is_no_content() {
        for event in [
            Event::Start { id: Some("a".to_owned()), model: Some("m".to_owned()) },
            start(BlockStart::Text),
            start(BlockStart::Thinking),
            start(BlockStart::Refusal),
            grow(Delta::Text(String::new())),
            grow(Delta::Arguments(String::new())),
            Event::BlockStop { index: 0 },
            Event::Usage(Usage::of([(Counter::Input, Some(3))])),
            Event::ServiceTier("default".to_owned()),
            Event::Ping,
        ] {
            assert!(event.is_preamble(), "{event:?}");
        }
        for event in [
            start(BlockStart::ToolCall { id: "c".to_owned(), name: "f".to_owned() }),
            grow(Delta::Text("a".to_owned())),
            grow(Delta::Thinking("a".to_owned())),
            grow(Delta::Arguments("{".to_owned())),
            Event::Finish { choice: 1, reason: FinishReason::Stop },
            Event::Error(Error::bad_answer("broken")),
            Event::End,
        ] {
            assert!(!event.is_preamble(), "{event:?}");
        }
    }
}
