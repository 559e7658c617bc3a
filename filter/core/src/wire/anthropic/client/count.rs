//! `count_tokens`: how many tokens has this conversation?
//!
//! <https://platform.claude.com/docs/en/api/messages-count-tokens>. Its requests are those of messages without what an
//! answer depends on, such as `max_tokens`.

use serde_json::json;

use super::request::decode_request;
use super::stream::StreamEncoder;
use crate::chat::{Losses, Reply, Request};
use crate::error::Result;
use crate::wire::{Asked, ClientCodec, EventWriter, to_json};

/// The client's side of a translation.
pub(crate) static COUNT: Count = Count;

#[derive(Debug)]
pub(crate) struct Count;

impl ClientCodec for Count {
    fn decode(&self, body: &[u8], losses: &mut Losses) -> Result<Request> {
        decode_request(body, losses)
    }

    fn words(&self) -> &'static [(&'static str, &'static str)] {
        super::CLIENT.words()
    }

    fn reply(&self, _: &Asked, reply: &Reply, _: &mut Losses) -> Vec<u8> {
        to_json(&json!({ "input_tokens": reply.usage.input().unwrap_or(0) }))
    }

    /// It has no streams.
    fn events(&self, asked: &Asked) -> Box<dyn EventWriter> {
        Box::new(StreamEncoder::new(asked))
    }

    fn counts(&self) -> bool {
        true
    }
}
