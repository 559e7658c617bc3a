//! `input_tokens`: how many tokens has this conversation?
//!
//! <https://platform.openai.com/docs/api-reference/responses/input-tokens>. Its requests are those of responses without
//! what an answer depends on, such as `max_output_tokens`.

use serde_json::json;

use super::answer::StreamEncoder;
use super::request::decode_request;
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
        let input_tokens = reply.usage.input().unwrap_or(0);
        to_json(&json!({ "object": "response.input_tokens", "input_tokens": input_tokens }))
    }

    /// It has no streams.
    fn events(&self, asked: &Asked) -> Box<dyn EventWriter> {
        Box::new(StreamEncoder::new(asked))
    }

    fn counts(&self) -> bool {
        true
    }
}
