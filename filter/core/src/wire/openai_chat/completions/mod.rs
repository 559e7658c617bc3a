//! OpenAI's older completions as a client API, where the backend only holds conversations: the prompt is what a user
//! says, and what the model answers goes on with it.
//!
//! <https://platform.openai.com/docs/api-reference/completions>. What an answer has beside its text, completions have
//! no place for.

mod answer;
mod stream;
#[cfg(test)]
mod tests;

use serde_json::json;

use super::decode::{decode_sampling, decode_stream};
use crate::chat::{Family, Losses, Message, Origin, Part, Reply, Request, Role};
use crate::error::Result;
use crate::wire::fields::{Fields, Path, parse, readable};
use crate::wire::json::{Json, Shape};
use crate::wire::prompt::Prompt;
use crate::wire::{Asked, ClientCodec, EventWriter};

/// The client's side of a translation.
pub(crate) static COMPLETIONS: Completions = Completions;

#[derive(Debug)]
pub(crate) struct Completions;

impl ClientCodec for Completions {
    fn decode(&self, body: &[u8], losses: &mut Losses) -> Result<Request> {
        decode(body, losses)
    }

    fn words(&self) -> &'static [(&'static str, &'static str)] {
        &[("messages", "prompt"), ("top_logprobs", "logprobs")]
    }

    fn prompt(&self) -> Option<Prompt> {
        Some(Prompt { constant: &[], turns: "prompt" })
    }

    fn reply(&self, asked: &Asked, reply: &Reply, losses: &mut Losses) -> Vec<u8> {
        answer::encode(asked, reply, losses)
    }

    fn events(&self, asked: &Asked) -> Box<dyn EventWriter> {
        Box::new(stream::Writer::new(asked))
    }
}

fn decode(body: &[u8], losses: &mut Losses) -> Result<Request> {
    let body = readable(body, losses);
    let root = Path::Root;
    let mut fields = Fields::new(&root, parse("/v1/completions", &Shape::Tree, &body)?)?;
    let mut request = Request { model: fields.required_string("model")?, ..Request::default() };
    let asked = fields.take("prompt").ok_or_else(|| fields.missing("prompt"))?;
    request.messages.push(prompt(&fields.path("prompt"), asked)?);

    request.max_tokens = fields.u64("max_tokens")?;
    decode_sampling(&mut fields, &mut request)?;
    decode_stream(&mut fields, &mut request, losses)?;
    // 0 is that of the tokens alone.
    let top = fields.u64("logprobs")?;
    request.logprobs = top.is_some();
    request.top_logprobs = top.filter(|top| *top > 0);
    request.user = fields.string("user")?;

    if fields.string("suffix")?.is_some_and(|suffix| !suffix.is_empty()) {
        losses.add(fields.path("suffix"), "the model cannot be told what comes behind its text");
    }
    if fields.bool("echo")? == Some(true) {
        losses.add(fields.path("echo"), "the answer comes without the prompt");
    }
    let answers = request.n.unwrap_or(1);
    if fields.u64("best_of")?.is_some_and(|most| most > answers) {
        losses.add(fields.path("best_of"), "nobody tells which of several answers is the best");
    }
    fields.take_if("use_beam_search", |searches| *searches == json!(false));
    request.extra = fields.extra(Family::OpenAi);
    Ok(request)
}

/// What the user says: one text. An answer has one prompt, and only the model's own server knows its tokens.
fn prompt(path: &Path<'_>, prompt: Json<'_>) -> Result<Message> {
    let (text, index) = match prompt {
        Json::String(text) => (text.into_owned(), None),
        Json::Array(list) if list.iter().any(|one| matches!(one, Json::Number(_) | Json::Array(_))) => {
            return Err(path.unprocessable("the model takes a text, and these are tokens"));
        }
        Json::Array(list) => match <[Json<'_>; 1]>::try_from(list) {
            Ok([text]) => (Path::Index(path, 0).string(text)?, Some(0)),
            Err(list) => {
                let count = list.len();
                let what = format_args!("the model takes one prompt in a request, and these are {count}");
                return Err(path.unprocessable(what));
            }
        },
        _ => return Err(path.malformed("expected a string or a list of one")),
    };
    let part = Part { origin: Origin::default(), ..Part::text(text) };
    let origin = Origin { member: "prompt", index };
    Ok(Message { origin, ..Message::new(Role::User, vec![part]) })
}
