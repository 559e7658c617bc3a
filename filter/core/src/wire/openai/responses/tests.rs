//! Requests, answers and streams, case by case.

mod answers;
mod properties;
mod requests;

use serde_json::{Value, json};

use super::grammar::response_of;
use super::{StreamEncoder, decode_request, encode_reply};
use crate::chat::{Choice, Content, Event, FinishReason, Losses, Part, Reply, Request, Seal};
use crate::wire::{Asked, EventWriter as _};

fn asked() -> Asked {
    let request = Request::default().into();
    Asked { request, id: "chatcmpl-own".to_owned(), model: "asked".to_owned(), created: 1 }
}

fn decoded(request: &Value) -> (Request, Vec<String>) {
    let mut losses = Losses::default();
    let request = decode_request(request.to_string().as_bytes(), &mut losses).unwrap();
    (request, losses.iter().map(|loss| loss.path.clone()).collect())
}

/// A request of these items.
fn with_input(input: Value) -> Value {
    json!({"model": "m", "input": input})
}

fn reply_of(content: Vec<Part>, finish_reason: FinishReason) -> Reply {
    let choice = Choice { content, finish_reason, logprobs: Vec::new(), extra: None };
    Reply { choices: vec![choice], ..Reply::default() }
}

fn whole(asked: &Asked, reply: &Reply) -> (Value, Vec<String>) {
    let mut losses = Losses::default();
    let body = encode_reply(asked, reply, &mut losses);
    (serde_json::from_slice(&body).unwrap(), losses.lines())
}

fn streamed(asked: &Asked, events: &[Event]) -> (Result<Value, Value>, Vec<String>) {
    let mut writer = StreamEncoder::new(asked);
    let (mut losses, mut out) = (Losses::default(), Vec::new());
    for event in events {
        writer.event(event, &mut losses, &mut out);
    }
    assert!(writer.is_closed());
    (response_of(&out), losses.lines())
}

fn events_of(reply: &Reply) -> Vec<Event> {
    let mut events =
        vec![Event::Start { id: reply.id.clone(), model: reply.model.clone() }, Event::Usage(reply.usage)];
    reply.events(|event| events.push(event));
    events
}

/// What an answer is, streamed and not.
fn told(asked: &Asked, reply: &Reply) -> (Value, Vec<String>) {
    let (whole, losses) = whole(asked, reply);
    let (stream, lost) = streamed(asked, &events_of(reply));
    assert_eq!((&stream.unwrap(), &lost), (&whole, &losses));
    (whole, losses)
}

fn call(id: &str, arguments: &str) -> Part {
    Part::new(Content::ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: arguments.to_owned() })
}

fn sealed(by: crate::chat::Family, part: Part) -> Part {
    Part { seal: Some(Seal { by, data: "QUJD".to_owned() }), ..part }
}
