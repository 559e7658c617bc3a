//! Anthropic's messages: their endpoints, and the schemas of those who serve them, by which requests are encoded and
//! answers decoded.
//!
//! <https://docs.anthropic.com/en/api/messages>. The same conversation goes to Anthropic itself and, in another
//! [`Envelope`], to Claude on AWS Bedrock and on Vertex AI.

mod api;
pub mod beta;
mod calls;
mod citations;
pub mod client;
mod clouds;
mod encode;
mod message;
mod models;
mod passing;
mod picture;
mod places;
mod reply;
mod rules;
mod sampling;
mod schema;
mod sse;
mod stream;
mod thinking;
mod tools;
mod turns;
mod types;
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
}
