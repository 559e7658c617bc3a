//! Anthropic's messages as a client API: requests are decoded, answers encoded.
//!
//! <https://platform.claude.com/docs/en/api/messages>. Fields and events are those of Anthropic's own SDKs.
//!
//! A signature that a client sends back is Claude's own unless it says whose it is ([`crate::chat::Seal::marked`]), so
//! that Claude's go out as they are, and others with their mark.

mod content;
mod count;
#[cfg(test)]
mod grammar;
mod reply;
mod request;
mod seals;
mod stream;
#[cfg(test)]
mod tests;
mod tools;
mod types;

use crate::chat::{Losses, Reply, Request};
use crate::error::Result;
use crate::wire::prompt::Prompt;
use crate::wire::{Asked, ClientCodec, EventWriter};

pub(in crate::wire) use content::SEARCH_RESULT;
pub(super) use count::COUNT;
#[cfg(test)]
pub(in crate::wire) use grammar::message_of;
pub use reply::encode_reply;
pub use request::decode_request;
pub use stream::StreamEncoder;

/// The client's side of a translation.
pub(crate) static CLIENT: Client = Client;

#[derive(Debug)]
pub(crate) struct Client;

impl ClientCodec for Client {
    fn decode(&self, body: &[u8], losses: &mut Losses) -> Result<Request> {
        decode_request(body, losses)
    }

    fn words(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("stop", "stop_sequences"),
            ("user", "metadata.user_id"),
            ("response_format", "output_config.format"),
            ("reasoning_effort", "output_config.effort"),
            ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
            ("tools[].parameters", "tools[].input_schema"),
            (".arguments", ".input"),
            (".call_id", ".tool_use_id"),
        ]
    }

    fn prompt(&self) -> Option<Prompt> {
        Some(Prompt { constant: &["system", "tools"], turns: "messages" })
    }

    fn reply(&self, asked: &Asked, reply: &Reply, losses: &mut Losses) -> Vec<u8> {
        encode_reply(asked, reply, losses)
    }

    fn events(&self, asked: &Asked) -> Box<dyn EventWriter> {
        Box::new(StreamEncoder::new(asked))
    }
}
