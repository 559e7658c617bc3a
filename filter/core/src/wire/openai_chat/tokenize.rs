//! vLLM's `/tokenize`, whose conversations are those of chat completions: how many tokens has this?
//!
//! <https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html#tokenizer-api>

use serde_json::json;

use super::decode::decode_request;
use super::stream::StreamEncoder;
use crate::chat::{Losses, Message, Part, Reply, Request, Role};
use crate::codec::json;
use crate::error::{Error, Result};
use crate::wire::error::malformed;
use crate::wire::fields::{Fields, Path, parse, readable};
use crate::wire::json::Shape;
use crate::wire::{Asked, ClientCodec, EventWriter, to_json};

/// The client's side of a translation.
pub(crate) static TOKENIZE: Tokenize = Tokenize;

#[derive(Debug)]
pub(crate) struct Tokenize;

impl ClientCodec for Tokenize {
    /// A `prompt` is what a user says.
    fn decode(&self, body: &[u8], losses: &mut Losses) -> Result<Request> {
        let [prompt, messages] = json::scan(body, ["prompt", "messages"]).map_err(malformed)?.members;
        let is_said = |member: Option<json::Member>| member.is_some_and(|member| !member.is_null(body));
        match (is_said(prompt), is_said(messages)) {
            (false, true) => decode_request(body, losses),
            (true, false) => decode_prompt(body, losses),
            (true, true) => {
                Err(Error::bad_request("malformed request: prompt and messages cannot be asked together"))
            }
            (false, false) => Err(Error::bad_request("malformed request: prompt: field is required")),
        }
    }

    fn words(&self) -> &'static [(&'static str, &'static str)] {
        super::CLIENT.words()
    }

    /// The tokens themselves and the longest context are known to vLLM only.
    fn reply(&self, _: &Asked, reply: &Reply, _: &mut Losses) -> Vec<u8> {
        let count = reply.usage.input().unwrap_or(0);
        to_json(&json!({ "count": count, "max_model_len": 0, "tokens": [], "token_strs": null }))
    }

    /// It has no streams.
    fn events(&self, asked: &Asked) -> Box<dyn EventWriter> {
        Box::new(StreamEncoder::new(asked))
    }

    fn counts(&self) -> bool {
        true
    }
}

fn decode_prompt(body: &[u8], losses: &mut Losses) -> Result<Request> {
    let body = readable(body, losses);
    let root = Path::Root;
    let mut fields = Fields::new(&root, parse("/tokenize", &Shape::Tree, &body)?)?;
    let model = fields.required_string("model")?;
    let prompt = fields.required_string("prompt")?;
    fields.take_if("add_special_tokens", |value| *value == json!(true));
    fields.take_if("return_token_strs", |value| *value == json!(false));
    fields.finish(losses);
    let messages = vec![Message::new(Role::User, vec![Part::text(prompt)])];
    Ok(Request { model, messages, ..Request::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Content;
    use crate::usage::{Counter, Usage};

    fn decoded(body: &str) -> Result<(Request, Vec<String>)> {
        let mut losses = Losses::default();
        let request = TOKENIZE.decode(body.as_bytes(), &mut losses)?;
        Ok((request, losses.iter().map(|loss| loss.path.clone()).collect()))
    }

    #[test]
    fn a_prompt_is_a_message_and_a_conversation_is_one() {
        let (request, losses) =
            decoded(r#"{"model":"m","prompt":"one two","add_special_tokens":true,"return_token_strs":true}"#)
                .unwrap();
        assert_eq!(request.messages[0].content[0].content, Content::text("one two"));
        assert_eq!(losses, ["return_token_strs"]);
        let (request, _) = decoded(r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#).unwrap();
        assert_eq!(request.messages.len(), 1);
        for (body, words) in [
            (r#"{"model":"m"}"#, "prompt"),
            (r#"{"model":"m","prompt":"x","messages":[]}"#, "together"),
            (r#"{"model":"m","prompt":["x"]}"#, "prompt: expected a string"),
            (r#"{"prompt":"x"}"#, "model"),
        ] {
            let error = decoded(body).unwrap_err();
            assert!(error.status() == 400 && error.message().contains(words), "{}", error.message());
        }
    }

    #[test]
    fn the_answer_has_what_vllm_says_there_is() {
        let asked =
            Asked { request: Request::default().into(), id: String::new(), model: "m".into(), created: 0 };
        let reply = Reply { usage: Usage::of([(Counter::Input, Some(7))]), ..Reply::default() };
        let shown = TOKENIZE.reply(&asked, &reply, &mut Losses::default());
        assert_eq!(shown, br#"{"count":7,"max_model_len":0,"tokens":[],"token_strs":null}"#);
    }
}
