//! A model's answer as a stream.

use super::FinishReason;
use crate::error::Error;
use crate::usage::Usage;

/// One step of a streamed answer.
///
/// An answer is a sequence of blocks, each with an `index` of its own: started, grown by deltas, stopped. Blocks of
/// different choices may be open at once. `Start` comes first and once; after `End` or `Error`, which may come any time, comes nothing.
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
    /// Nothing yet: keeps the connection alive.
    Ping,
    /// The provider gave up, or broke its own API.
    Error(Error),
    /// The provider said that the answer is complete.
    End,
}

/// What a block will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockStart {
    /// Text.
    Text,
    /// A thought.
    Thinking,
    /// A thought that only its provider can read; it comes whole.
    RedactedThinking {
        /// Its ciphertext.
        data: String,
    },
    /// A call of a tool. Its arguments follow as deltas; none stands for `{}`.
    ToolCall {
        /// The name of this call.
        id: String,
        /// The tool.
        name: String,
    },
    /// The model declines, and says so in text.
    Refusal,
}

/// What a block grows by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// Of a text or a refusal.
    Text(String),
    /// Of a thought.
    Thinking(String),
    /// A thought's signature.
    Signature(String),
    /// Of a call's arguments: a piece of JSON text.
    Arguments(String),
}

impl Delta {
    /// How many bytes of content it has. A signature is none.
    #[must_use]
    pub fn content(&self) -> usize {
        match self {
            Delta::Text(text) | Delta::Thinking(text) | Delta::Arguments(text) => text.len(),
            Delta::Signature(_) => 0,
        }
    }
}
