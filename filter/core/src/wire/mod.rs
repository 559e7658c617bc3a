//! The providers' APIs: bytes to the neutral conversation ([`crate::chat`]) and back.
//!
//! A client API is decoded from requests and encoded to answers ([`ClientCodec`]), a backend's [`Schema`] the other way
//! round ([`BackendCodec`]). There is no code per pair of them: what there is of either stands in one of the lists of
//! `lists.rs`, and [`reach`] says how one comes to the other. Framing (server-sent events, AWS event streams) is not
//! done here: readers take the data of whole events, writers of client streams write them.
//!
//! Jobs that are no conversation have two sides as well, in [`job`].
//!
//! What passes through untranslated is only watched, by [`usage`].
//!
//! A conversation that is not streamed goes through four functions:
//!
//! ```
//! use weir_core::chat::Losses;
//! use weir_core::config::Schema;
//! use weir_core::endpoint::Endpoint;
//! use weir_core::headers::Headers;
//! use weir_core::wire::{Asked, SchemaName, To};
//!
//! # fn main() -> weir_core::Result<()> {
//! let endpoint = Endpoint::ChatCompletions;
//! let schema = Schema { name: SchemaName::Anthropic, prefix: None, version: None };
//! let to = To {
//!     endpoint,
//!     schema: &schema,
//!     model: "claude-sonnet-4-5",
//!     stream: false,
//!     default_max_tokens: 4096,
//!     headers: &Headers::default(),
//!     auth: None,
//!     cache_marks: false,
//! };
//! let client = endpoint.operation().conversation().expect("chat completions are translated");
//! let backend = schema.name.schema().codec().expect("so are messages");
//!
//! let mut losses = Losses::default();
//! let asked = br#"{"model": "claude", "messages": [{"role": "user", "content": "Hi"}], "seed": 7}"#;
//! let request = client.decode(asked, &mut losses)?;
//! let sent = backend.encode(&to, &request, &mut losses)?;
//! assert!(sent.starts_with(br#"{"model":"claude-sonnet-4-5","max_tokens":4096,"#));
//! assert_eq!(losses.iter().next().map(|loss| loss.path.as_str()), Some("seed"));
//!
//! let asked = Asked {
//!     request: Asked::remembered(request),
//!     id: "own".into(),
//!     model: "claude-sonnet-4-5".into(),
//!     created: 1_790_000_000,
//! };
//! let answered = br#"{"id": "msg_1", "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn"}"#;
//! let reply = backend.reply(&asked, answered, &mut losses)?;
//! let shown = client.reply(&asked, &reply, &mut losses);
//! assert!(shown.starts_with(br#"{"id":"msg_1","object":"chat.completion","#));
//! # Ok(())
//! # }
//! ```
//!
//! A streamed one takes its answer through an [`EventReader`] and an [`EventWriter`] instead.

#[cfg(test)]
mod accumulate;
pub mod anthropic;
pub mod api;
pub(crate) mod cohere;
pub(crate) mod converse;
mod counting;
pub mod error;
mod fields;
pub(crate) mod gemini;
pub mod glance;
mod invoke;
pub mod job;
mod json;
mod lists;
pub mod marks;
mod names;
pub(crate) mod openai;
pub mod openai_chat;
pub(crate) mod passed;
pub mod prompt;
#[cfg(test)]
mod properties;
mod raw;
mod rule;
pub mod schema;
mod translate;
mod tree;
pub mod usage;

use serde::Serialize;

use crate::codec::writer::write;

pub use api::{Asked, ClientCodec, EventWriter};
pub use error::{ErrorAnswer, decode_error, decode_exception, is_error_of};
pub use lists::{ClientApi, SchemaName};
pub use schema::{BackendCodec, EventReader, Framing, Reach, Schema, To, codecs, path, reach, translation};
pub use translate::{Translated, translate};

/// `value` as JSON.
pub(crate) fn to_json(value: &impl Serialize) -> Vec<u8> {
    // Most of what is written fits, and what does not is not moved often.
    let mut out = Vec::with_capacity(4 << 10);
    write_json(&mut out, value);
    out
}

/// Appends `value` as JSON. It cannot fail: a `Vec` takes every byte, and the wire types have no map whose keys are
/// not text.
fn write_json(out: &mut Vec<u8>, value: &impl Serialize) {
    let written = write(out, value);
    debug_assert!(written.is_ok(), "{written:?}");
}
