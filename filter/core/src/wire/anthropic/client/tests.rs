//! Requests there and back, answers and streams: case by case, and what holds for all.

mod answers;
mod properties;
mod requests;

use serde_json::{Value, json};

use super::grammar::message_of;
use super::{StreamEncoder, decode_request, encode_reply};
use crate::chat::{
    Annotation, BlockStart, Choice, Content, Delta, Event, Extra, Family, FinishReason, Foreign, Losses,
    MediaKind, Part, Reply, Request, Seal, Source, TokenLogprob, Tool,
};
use crate::config::Schema;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::headers::Headers;
use crate::usage::Usage;
use crate::wire::{Asked, ClientApi, EventWriter as _, SchemaName, To, Translated, translate};

fn asked() -> Asked {
    let request = Request::default().into();
    Asked { request, id: "msg_own".to_owned(), model: "asked".to_owned(), created: 1 }
}

fn told(content: Vec<Part>, finish_reason: FinishReason) -> (Value, Vec<String>) {
    let choice = Choice { content, finish_reason, logprobs: Vec::new(), extra: None };
    let mut losses = Losses::default();
    let body = encode_reply(&asked(), &Reply { choices: vec![choice], ..Reply::default() }, &mut losses);
    (serde_json::from_slice(&body).unwrap(), losses.lines())
}

fn streamed(events: &[Event]) -> (std::result::Result<Value, Value>, Vec<String>) {
    let mut writer = StreamEncoder::new(&asked());
    let mut losses = Losses::default();
    let mut out = Vec::new();
    for event in events {
        writer.event(event, &mut losses, &mut out);
    }
    assert!(writer.is_closed());
    (message_of(&out), losses.lines())
}

#[test]
fn messages_are_at_either_path_and_count_tokens_is_for_those_who_can() {
    for path in ["/anthropic/v1/messages", "/v1/messages", "/v1/messages?beta=true"] {
        assert_eq!(Endpoint::of_path(path), Some(Endpoint::Messages), "{path}");
        assert_eq!(ClientApi::of_path(path), ClientApi::Anthropic, "{path}");
    }
    assert_eq!(Endpoint::of_path("/v1/messages/count_tokens"), Some(Endpoint::CountTokens));
    for schema in SchemaName::ALL {
        let reached = crate::wire::reach(Endpoint::CountTokens, *schema);
        assert!(reached.is_ok() || reached.unwrap_err().status() == 422, "{schema:?}");
    }
}
