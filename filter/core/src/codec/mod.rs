//! Bytes on the wire, below any API: finding and editing members of a JSON body in place, event streams (SSE and
//! AWS's binary frames), WebSockets, content encodings and multipart forms.
//!
//! Everything here reads what a peer sent, so each decoder is bounded, linear in its input whatever the chunk
//! boundaries, and answers garbage with a typed error that says what is wrong and where.

pub mod encoding;
pub mod event_stream;
pub mod json;
pub mod json_array;
pub(crate) mod key;
pub mod multipart;
pub(crate) mod reader;
pub(crate) mod scanner;
pub mod splice;
pub mod sse;
pub mod text;
pub(crate) mod vector;
pub mod websocket;
pub(crate) mod writer;

#[cfg(test)]
pub(crate) mod testing;
