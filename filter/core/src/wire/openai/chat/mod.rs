//! OpenAI's chat completions as a backend's API: requests are encoded, answers decoded.
//!
//! <https://platform.openai.com/docs/api-reference/chat>, as OpenAI, Azure and Bedrock serve it, and the many
//! servers that are compatible with it. What they add to it, or leave out of it, stands in [`servers`].

mod answer;
mod calls;
mod media;
mod message;
mod passing;
#[cfg(test)]
pub(in crate::wire) mod properties;
mod reply;
mod request;
mod servers;
mod stream;
#[cfg(test)]
mod tests;
mod types;

pub(in crate::wire) use calls::call_id;
pub(in crate::wire) use message::{ELSEWHERE, joined, label};
pub(in crate::wire) use request::{LOW, MEDIUM, raw};
pub(in crate::wire) use types::{Extras, Url};

use crate::chat::{Losses, Reply, Request};
use crate::error::Result;
use crate::wire::marks::Marks;
use crate::wire::{Asked, BackendCodec, EventReader, To};

pub(in crate::wire) use passing::{is_openais_own, mend, unsealed};

/// The backend's side of a translation, for every schema whose servers take chat completions.
pub(crate) static CODEC: Codec = Codec;

#[derive(Debug)]
pub(crate) struct Codec;

impl BackendCodec for Codec {
    fn marks(&self, to: &To<'_>) -> Marks {
        if servers::Server::of(to).family.takes_marks { Marks::ALL } else { Marks::default() }
    }

    fn encode(&self, to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
        request::encode(to, request, losses)
    }

    fn reply(&self, asked: &Asked, body: &[u8], losses: &mut Losses) -> Result<Reply> {
        reply::decode(asked, body, losses)
    }

    fn events(&self, asked: &Asked) -> Box<dyn EventReader> {
        Box::new(stream::Reader::new(asked))
    }
}
