//! The providers' APIs: bytes to the neutral conversation ([`crate::chat`]) and back.
//!
//! A client API is decoded from requests and encoded to answers, a backend's schema the other way round. There is no
//! code per pair of them: the functions here dispatch on one side only. Framing (server-sent events, AWS event
//! streams) is not done here: decoders take the data of whole events, encoders of client streams write them.
//!
//! What passes through untranslated is only watched, by [`usage`].
//!
//! A conversation that is not streamed goes through four functions:
//!
//! ```
//! use weir_core::chat::Losses;
//! use weir_core::wire::anthropic::{DEFAULT_MAX_TOKENS, Envelope, Params};
//! use weir_core::wire::{self, AnswerDefaults, BackendFormat, ClientFormat};
//!
//! # fn main() -> weir_core::Result<()> {
//! let client = ClientFormat::OpenAiChat;
//! let backend = BackendFormat::Anthropic(Params {
//!     envelope: Envelope::Native,
//!     model: "claude-sonnet-4-5",
//!     default_max_tokens: DEFAULT_MAX_TOKENS,
//! });
//!
//! let mut losses = Losses::default();
//! let asked = br#"{"model": "claude", "messages": [{"role": "user", "content": "Hi"}], "seed": 7}"#;
//! let request = wire::decode_request(client, asked, &mut losses)?;
//! let sent = wire::encode_request(backend, &request, &mut losses)?;
//! assert!(sent.starts_with(br#"{"model":"claude-sonnet-4-5","max_tokens":4096,"#));
//! assert_eq!(losses.iter().next().map(|loss| loss.path.as_str()), Some("seed"));
//!
//! let answered = br#"{"id": "msg_1", "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn"}"#;
//! let reply = wire::decode_reply(backend, answered)?;
//! let defaults = AnswerDefaults { id: "own".into(), model: "claude-sonnet-4-5".into(), created: 1_790_000_000 };
//! let shown = wire::encode_reply(client, &reply, &defaults);
//! assert!(shown.starts_with(br#"{"id":"msg_1","object":"chat.completion","#));
//! # Ok(())
//! # }
//! ```
//!
//! A streamed one takes its answer through [`StreamDecoder`] and [`StreamEncoder`] instead.

pub mod anthropic;
pub mod error;
mod fields;
pub mod openai_chat;
#[cfg(test)]
mod properties;
mod raw;
pub mod usage;

use serde::Serialize;

use crate::chat::{Event, Losses, Reply, Request, Tool};
use crate::error::Result;

pub use error::{ErrorAnswer, ErrorShape, decode_error, decode_exception, is_error_of};

/// A conversation API that clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFormat {
    /// OpenAI's chat completions.
    OpenAiChat,
}

/// A conversation API that backends speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendFormat<'a> {
    /// Anthropic's messages, at Anthropic or in a cloud.
    Anthropic(anthropic::Params<'a>),
}

impl BackendFormat<'_> {
    /// Whose errors its backend answers with.
    #[must_use]
    pub fn error_shape(self) -> ErrorShape {
        match self {
            Self::Anthropic(params) => match params.envelope {
                anthropic::Envelope::Native => ErrorShape::Anthropic,
                anthropic::Envelope::Bedrock { .. } => ErrorShape::AwsBedrock,
            },
        }
    }
}

/// What an answer is called when its provider does not say, and when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerDefaults {
    /// A name for the answer, unique among the gateway's answers.
    pub id: String,
    /// The model that was asked, after any override.
    pub model: String,
    /// The time of the answer, in seconds since 1970.
    pub created: u64,
}

/// Reads a client's request. What the neutral form cannot hold is recorded in `losses`.
///
/// # Errors
///
/// 400 for a body that is not the API's, 422 for a value that cannot be served; both name the field.
pub fn decode_request(client: ClientFormat, body: &[u8], losses: &mut Losses) -> Result<Request> {
    match client {
        ClientFormat::OpenAiChat => openai_chat::decode_request(body, losses),
    }
}

/// Writes the request for a backend. What its API cannot express is recorded in `losses`.
///
/// # Errors
///
/// 422 for a value the backend is known to reject.
pub fn encode_request(backend: BackendFormat<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
    match backend {
        BackendFormat::Anthropic(params) => anthropic::encode_request(&params, request, losses),
    }
}

/// Reads a backend's whole answer to a request it accepted.
///
/// # Errors
///
/// 502 for a body that is not the API's; the provider's own error if the body is one, whatever its status said.
pub fn decode_reply(backend: BackendFormat<'_>, body: &[u8]) -> Result<Reply> {
    match backend {
        BackendFormat::Anthropic(_) => anthropic::decode_reply(body),
    }
}

/// Gives the calls of a whole answer to a request with these tools the client's names.
pub fn resolve_tools(backend: BackendFormat<'_>, tools: &[Tool], reply: &mut Reply) {
    match backend {
        BackendFormat::Anthropic(_) => anthropic::StandIns::of(tools).resolve_in(reply),
    }
}

/// Writes a whole answer for a client.
#[must_use]
pub fn encode_reply(client: ClientFormat, reply: &Reply, defaults: &AnswerDefaults) -> Vec<u8> {
    match client {
        ClientFormat::OpenAiChat => openai_chat::encode_reply(reply, defaults),
    }
}

/// Reads a backend's stream.
#[derive(Debug)]
pub enum StreamDecoder {
    /// Anthropic's events.
    Anthropic(anthropic::StreamDecoder),
}

impl StreamDecoder {
    /// A decoder for one answer of `backend`.
    #[must_use]
    pub fn new(backend: BackendFormat<'_>) -> Self {
        match backend {
            BackendFormat::Anthropic(_) => Self::Anthropic(anthropic::StreamDecoder::default()),
        }
    }

    /// The same, for an answer to a request with these tools: a call comes with the client's name of its tool.
    #[must_use]
    pub fn with_tools(self, tools: &[Tool]) -> Self {
        match self {
            Self::Anthropic(decoder) => {
                Self::Anthropic(decoder.with_stand_ins(anthropic::StandIns::of(tools)))
            }
        }
    }

    /// Appends what the data of one event says to `out`. A broken event becomes [`Event::Error`].
    pub fn event(&mut self, data: &[u8], out: &mut Vec<Event>) {
        match self {
            Self::Anthropic(decoder) => decoder.event(data, out),
        }
    }

    /// The connection ended: appends [`Event::Error`] if the answer had not.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        match self {
            Self::Anthropic(decoder) => decoder.finish(out),
        }
    }
}

/// Writes a client's stream.
#[derive(Debug)]
pub enum StreamEncoder {
    /// OpenAI's chunks.
    OpenAiChat(openai_chat::StreamEncoder),
}

impl StreamEncoder {
    /// An encoder for one answer to `request`.
    #[must_use]
    pub fn new(client: ClientFormat, request: &Request, defaults: AnswerDefaults) -> Self {
        match client {
            ClientFormat::OpenAiChat => {
                Self::OpenAiChat(openai_chat::StreamEncoder::new(defaults, request.include_usage))
            }
        }
    }

    /// Appends the server-sent events that tell `event` to the client to `out`.
    pub fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match self {
            Self::OpenAiChat(encoder) => encoder.event(event, out),
        }
    }

    /// True after the end of the answer or an error: nothing more will be written.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match self {
            Self::OpenAiChat(encoder) => encoder.is_closed(),
        }
    }
}

/// `value` as JSON.
fn to_json(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write_json(&mut out, value);
    out
}

/// Appends `value` as JSON. It cannot fail: a `Vec` takes every byte, and the wire types have no map whose keys are
/// not text.
fn write_json(out: &mut Vec<u8>, value: &impl Serialize) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "{written:?}");
}
