//! OpenAI's Responses as a client API: requests are decoded, answers encoded.
//!
//! <https://platform.openai.com/docs/api-reference/responses>. Fields and events are those of OpenAI's own SDKs. Where
//! the backend speaks another API there is no state: nothing is kept of an answer, and what refers to something kept is
//! refused.
//!
//! An encrypted thought that a client sends back is OpenAI's own unless it says whose it is
//! ([`crate::chat::Seal::marked`]).

mod answer;
mod content;
mod count;
mod events;
#[cfg(test)]
mod grammar;
mod ids;
mod input;
mod item;
pub(crate) mod kept;
mod output;
mod passing;
mod raw_items;
mod request;
mod seals;
#[cfg(test)]
mod tests;
mod tools;
mod types;

use answer::{StreamEncoder, encode_reply};
pub(crate) use count::COUNT;
pub(super) use events::error_event;
pub(in crate::wire) use passing::mend;
use request::decode_request;

use crate::chat::{Losses, Reply, Request};
use crate::error::Result;
use crate::wire::prompt::Prompt;
use crate::wire::{Asked, ClientCodec, EventWriter};

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
            ("messages", "input"),
            ("max_tokens", "max_output_tokens"),
            ("response_format", "text.format"),
            ("verbosity", "text.verbosity"),
            ("reasoning_effort", "reasoning.effort"),
            ("thinking.display", "reasoning.summary"),
            ("thinking", "reasoning"),
            ("logprobs", "include"),
        ]
    }

    fn prompt(&self) -> Option<Prompt> {
        Some(Prompt { constant: &["instructions", "prompt", "tools"], turns: "input" })
    }

    fn reply(&self, asked: &Asked, reply: &Reply, losses: &mut Losses) -> Vec<u8> {
        encode_reply(asked, reply, losses)
    }

    fn events(&self, asked: &Asked) -> Box<dyn EventWriter> {
        Box::new(StreamEncoder::new(asked))
    }
}
