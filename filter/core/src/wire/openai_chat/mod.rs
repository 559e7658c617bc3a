//! OpenAI's chat completions as a client API: requests are decoded, answers encoded.
//!
//! <https://platform.openai.com/docs/api-reference/chat>, plus the extensions in common use with gateways:
//! `cache_control`, `thinking`, `reasoning_content` and `thinking_blocks`.

mod completions;
mod content;
mod decode;
mod encode;
mod message;
mod stream;
#[cfg(test)]
mod tests;
mod thoughts;
mod tokenize;
mod types;

use crate::chat::{Losses, Reply, Request, Tool};
use crate::error::Result;
use crate::wire::prompt::Prompt;
use crate::wire::translate::reworded;
use crate::wire::{Asked, ClientCodec, EventWriter};

pub(crate) use completions::COMPLETIONS;
pub(in crate::wire) use content::{cache_control, decode_audio, decode_image, file_of, first_of, picture_at};
pub use decode::decode_request;
pub(in crate::wire) use decode::{FUNCTION, decode_function, googles_tool};
pub use encode::encode_reply;
pub(in crate::wire) use message::{decode_tool_call, saying_error, says_error};
pub use stream::StreamEncoder;
pub(crate) use tokenize::TOKENIZE;
pub(in crate::wire) use types::{Citation, TokenLogprob, is_usual_tier, lose_extra, lose_tier};

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
            ("thinking.include_thoughts", "thinking.includeThoughts"),
            ("tools[].", "tools[].function."),
            (".arguments", ".function.arguments"),
        ]
    }

    /// What is said of a function that stands for a custom tool is said of that.
    fn place(&self, request: &Request, path: &str) -> Option<String> {
        let place = reworded(path, self.words())?;
        let index = path.strip_prefix("tools[").and_then(|rest| rest.split_once(']'));
        let tool = index.and_then(|(index, _)| request.tools.get(index.parse::<usize>().ok()?));
        match tool {
            Some(Tool::Function(function)) if function.is_custom => {
                Some(place.replacen(".function.", ".custom.", 1))
            }
            _ => Some(place),
        }
    }

    fn prompt(&self) -> Option<Prompt> {
        Some(Prompt { constant: &["tools", "functions"], turns: "messages" })
    }

    fn reply(&self, asked: &Asked, reply: &Reply, losses: &mut Losses) -> Vec<u8> {
        encode_reply(asked, reply, losses)
    }

    fn events(&self, asked: &Asked) -> Box<dyn EventWriter> {
        Box::new(StreamEncoder::new(asked))
    }
}
