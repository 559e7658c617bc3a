//! Cohere's chat as a client API: requests are decoded, answers encoded.
//!
//! <https://docs.cohere.com/reference/chat>. Fields and events are those of Cohere's own SDKs. Its answers name no
//! model, and its blocks have no place for signatures: that of a call is in the call's id.

mod document;
#[cfg(test)]
pub(super) mod grammar;
mod message;
mod reply;
mod request;
mod stream;
#[cfg(test)]
mod tests;
mod types;

pub(super) use message::decode_message;

use crate::chat::{Losses, Reply, Request};
use crate::error::Result;
use crate::wire::prompt::Prompt;
use crate::wire::{Asked, ClientCodec, EventWriter};

/// The client's side of a translation.
pub(super) static CLIENT: Client = Client;

#[derive(Debug)]
pub(super) struct Client;

impl ClientCodec for Client {
    fn decode(&self, body: &[u8], losses: &mut Losses) -> Result<Request> {
        request::decode(body, losses)
    }

    fn words(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("top_p", "p"),
            ("top_k", "k"),
            ("stop", "stop_sequences"),
            ("thinking.budget_tokens", "thinking.token_budget"),
            ("tools[].strict", "strict_tools"),
            ("tools.strict", "strict_tools"),
            ("tools[].", "tools[].function."),
            (".arguments", ".function.arguments"),
        ]
    }

    fn prompt(&self) -> Option<Prompt> {
        Some(Prompt { constant: &["tools", "documents"], turns: "messages" })
    }

    fn reply(&self, asked: &Asked, reply: &Reply, losses: &mut Losses) -> Vec<u8> {
        reply::encode(asked, reply, losses)
    }

    fn events(&self, asked: &Asked) -> Box<dyn EventWriter> {
        Box::new(stream::Writer::new(asked))
    }
}
