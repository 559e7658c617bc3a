//! Anthropic's messages: their endpoints, and the schemas of those who serve them, by which requests are encoded and
//! answers decoded.
//!
//! <https://docs.anthropic.com/en/api/messages>. The same conversation goes to Anthropic itself and, in another
//! [`Envelope`], to Claude on AWS Bedrock and on Vertex AI.

mod api;
pub mod beta;
pub(super) mod calls;
mod citations;
pub mod client;
pub(super) mod clouds;
pub(super) mod encode;
mod instructions;
pub(super) mod message;
pub(super) mod models;
mod passing;
pub(super) mod picture;
mod places;
pub(super) mod reply;
pub(super) mod rules;
pub(super) mod sampling;
pub(super) mod schema;
mod sse;
mod stream;
pub(super) mod thinking;
pub(super) mod tools;
pub(super) mod turns;
pub(super) mod types;
pub(crate) mod usage;
mod vertex;

pub use super::names::StandIns;
pub(crate) use api::{API, COUNT_TOKENS, MESSAGES, MODELS};
pub use clouds::edits_for_bedrock;
pub use encode::encode_request;
pub(crate) use places::{INVOKE_MODEL, SCHEMA};
pub use reply::decode_reply;
pub use stream::StreamDecoder;
pub(crate) use vertex::VERTEX;

use serde_json::value::RawValue;

use super::converse;
use crate::chat::{Family, Part, Seal};

/// The most tokens of an answer when the client does not say. Anthropic has no default of its own: without
/// `max_tokens` a request is a 400.
pub const DEFAULT_MAX_TOKENS: u64 = 4096;

/// The value of the header `anthropic-version` at Anthropic itself.
pub const API_VERSION: &str = "2023-06-01";

/// The value of `anthropic_version` in bodies for AWS Bedrock.
pub const BEDROCK_VERSION: &str = "bedrock-2023-05-31";

/// The value of `anthropic_version` in bodies for Vertex AI.
pub const VERTEX_VERSION: &str = "vertex-2023-10-16";

/// What a request needs besides the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params<'a> {
    /// Where the conversation goes.
    pub envelope: Envelope<'a>,
    /// The model that is asked, after any override.
    pub model: &'a str,
    /// The most tokens of the answer when the client does not say, see [`DEFAULT_MAX_TOKENS`].
    pub default_max_tokens: u64,
}

/// What differs between the places that serve Claude.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Envelope<'a> {
    /// Anthropic itself: `model` and `stream` are in the body, the version is in a header.
    Native,
    /// AWS Bedrock's InvokeModel: `model` and whether to stream are in the path, the version is in the body.
    Bedrock {
        /// `anthropic_version`, by default [`BEDROCK_VERSION`].
        version: &'a str,
    },
    /// Vertex AI: `model` is in the path, and the version is in the body.
    Vertex {
        /// `anthropic_version`, by default [`VERTEX_VERSION`].
        version: &'a str,
    },
    /// AWS Bedrock's Converse: the same conversation in words of its own, which are those of `wire/converse`. It serves
    /// models of others as well.
    Converse {
        /// Whose seals the model takes.
        seals: Family,
        /// What such a seal begins with, where a family has seals of more than one kind.
        seal_prefix: &'a str,
    },
}

impl Envelope<'_> {
    /// The longest name of a tool, in characters: [`rules::Rule::ToolName`], and `ToolName` of Bedrock's service model.
    pub(super) fn longest_tool_name(self) -> usize {
        if matches!(self, Self::Converse { .. }) { 64 } else { 128 }
    }

    /// The longest id of a call, in characters: `ToolUseId` of Bedrock's service model.
    fn longest_call_id(self) -> usize {
        if matches!(self, Self::Converse { .. }) { 64 } else { usize::MAX }
    }

    /// Whether there is Claude at the other end, or may be.
    pub(super) fn is_of_claude(self) -> bool {
        match self {
            Self::Native | Self::Bedrock { .. } | Self::Vertex { .. } => true,
            Self::Converse { seals, .. } => seals == Family::Anthropic,
        }
    }

    /// Whether it has a word for a citation of Anthropic's.
    fn takes_citation(self, citation: &RawValue) -> bool {
        match self {
            Self::Native | Self::Bedrock { .. } | Self::Vertex { .. } => true,
            Self::Converse { .. } => self.is_of_claude() && converse::citation(citation).is_some(),
        }
    }

    /// What the model itself sealed. Anybody else's seal is a 400 there.
    fn own_seal(self, part: &Part) -> Option<&str> {
        let (seals, prefix) = match self {
            Self::Converse { seals, seal_prefix } => (seals, seal_prefix),
            Self::Native | Self::Bedrock { .. } | Self::Vertex { .. } => (Family::Anthropic, ""),
        };
        let Seal { by, data } = part.seal.as_ref()?;
        data.strip_prefix(prefix).filter(|data| *by == seals && !data.is_empty())
    }
}
