//! What must hold for every answer, not only for the ones that fixtures show.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::SCHEMA;
use super::super::client::grammar::answer_of;
use super::super::client::{STREAMED, WHOLE};
use super::{asked, events};
use crate::chat::{BlockStart, Content, Delta, Event, FinishReason, Losses, Part, Reply, Request, Seal};
use crate::usage::Usage;
use crate::wire::anthropic::client;
use crate::wire::{BackendCodec as _, ClientCodec as _, EventWriter as _};

/// A part of an answer, in the pieces that it is streamed in.
#[derive(Debug, Clone)]
enum Said {
    Text(Vec<String>, Option<String>),
    Thought(Vec<String>),
    Call(Option<String>, Option<String>),
}

fn said() -> impl Strategy<Value = Said> {
    let pieces = || prop::collection::vec(".{1,6}", 1..4);
    let seal = || prop::option::of("[a-zA-Z0-9+/]{4}");
    prop_oneof![
        (pieces(), seal()).prop_map(|(pieces, seal)| Said::Text(pieces, seal)),
        pieces().prop_map(Said::Thought),
        (prop::option::of("[a-z]{1,6}"), seal()).prop_map(|(id, seal)| Said::Call(id, seal)),
    ]
}

/// The parts of a whole answer, and of the chunks of a stream that says the same.
fn parts(all: &[Said]) -> (Vec<Value>, Vec<Value>) {
    let (mut whole, mut streamed) = (Vec::new(), Vec::new());
    for said in all {
        match said {
            Said::Text(pieces, seal) => {
                let mut part = json!({ "text": pieces.concat() });
                let mut chunks: Vec<Value> = pieces.iter().map(|text| json!({ "text": text })).collect();
                if let Some(seal) = seal {
                    part["thoughtSignature"] = json!(seal);
                    chunks.last_mut().unwrap()["thoughtSignature"] = json!(seal);
                }
                whole.push(part);
                streamed.extend(chunks);
            }
            Said::Thought(pieces) => {
                whole.push(json!({"text": pieces.concat(), "thought": true}));
                streamed.extend(pieces.iter().map(|text| json!({"text": text, "thought": true})));
            }
            Said::Call(id, seal) => {
                let mut part = json!({"functionCall": {"name": "f", "args": {"a": 1}}});
                if let Some(id) = id {
                    part["functionCall"]["id"] = json!(id);
                }
                if let Some(seal) = seal {
                    part["thoughtSignature"] = json!(seal);
                }
                whole.push(part.clone());
                streamed.push(part);
            }
        }
    }
    (whole, streamed)
}

/// The parts that a stream told, with texts of one kind that follow each other as one.
fn told(events: &[Event]) -> (Vec<Part>, FinishReason, Usage) {
    let mut parts: Vec<(u32, Part)> = Vec::new();
    let (mut reason, mut usage) = (FinishReason::Stop, Usage::default());
    for event in events {
        match event {
            Event::BlockStart { index, block, .. } => {
                let content = match block {
                    BlockStart::Text => Content::text(""),
                    BlockStart::Thinking => Content::Thinking { text: String::new() },
                    BlockStart::ToolCall { id, name } => {
                        Content::ToolCall { id: id.clone(), name: name.clone(), arguments: String::new() }
                    }
                    other => panic!("{other:?}"),
                };
                parts.push((*index, Part::new(content)));
            }
            Event::BlockDelta { index, delta } => {
                let (_, part) = parts.iter_mut().find(|(part, _)| part == index).unwrap();
                match (delta, &mut part.content) {
                    (Delta::Text(more), Content::Text { text, .. })
                    | (Delta::Thinking(more), Content::Thinking { text })
                    | (Delta::Arguments(more), Content::ToolCall { arguments: text, .. }) => {
                        text.push_str(more)
                    }
                    (Delta::Seal(by, data), _) => part.seal = Some(Seal { by: *by, data: data.clone() }),
                    other => panic!("{other:?}"),
                }
            }
            Event::Finish { reason: told, .. } => reason = told.clone(),
            Event::Usage(told) => usage.merge(*told),
            _ => {}
        }
    }
    (joined(parts.into_iter().map(|(_, part)| part).collect()), reason, usage)
}

/// A stream does not tell where a part ends that has no signature.
fn joined(parts: Vec<Part>) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::new();
    for part in parts {
        if let Some(last) = joined.last_mut().filter(|last| last.seal.is_none()) {
            match (&mut last.content, &part.content) {
                (Content::Text { text, .. }, Content::Text { text: more, .. })
                | (Content::Thinking { text }, Content::Thinking { text: more }) => {
                    text.push_str(more);
                    last.seal = part.seal;
                    continue;
                }
                _ => {}
            }
        }
        joined.push(part);
    }
    joined
}

fn whole(parts: &[Value]) -> Reply {
    let answer = json!({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}, "responseId": "r"});
    SCHEMA.reply(&asked(Request::default()), answer.to_string().as_bytes(), &mut Losses::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_says_what_the_whole_answer_does(all in prop::collection::vec(said(), 0..6), size in 1..4_usize) {
        let (parts, streamed) = parts(&all);
        let mut chunks: Vec<Value> = streamed
            .chunks(size)
            .map(|parts| json!({"candidates": [{"content": {"parts": parts}}], "responseId": "r",
                "usageMetadata": {"promptTokenCount": 3}}))
            .collect();
        chunks.push(json!({"candidates": [{"finishReason": "STOP"}], "responseId": "r",
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}}));
        let events = events(Request::default(), &chunks);
        prop_assert_eq!(events.last(), Some(&Event::End));
        let (told, reason, usage) = told(&events);
        let reply = whole(&parts);
        let choice = reply.choices.into_iter().next().unwrap();
        prop_assert_eq!(told, joined(choice.content));
        prop_assert_eq!(reason, choice.finish_reason);
        prop_assert_eq!(usage, reply.usage);
    }

    /// The same for Anthropic's clients, but for the texts of one kind that follow each other, which a stream does not
    /// part.
    #[test]
    fn anthropics_clients_get_streamed_what_they_get_whole(all in prop::collection::vec(said(), 0..6)) {
        let (parts, streamed) = parts(&all);
        let mut chunks: Vec<Value> = streamed
            .iter()
            .map(|part| json!({"candidates": [{"content": {"parts": [part]}}], "responseId": "r"}))
            .collect();
        chunks.push(json!({"candidates": [{"finishReason": "STOP"}], "responseId": "r",
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}}));
        let asked = asked(Request::default());
        let mut writer = client::StreamEncoder::new(&asked);
        let mut out = Vec::new();
        for event in events(Request::default(), &chunks) {
            writer.event(&event, &mut Losses::default(), &mut out);
        }
        let mut reply = whole(&parts);
        for choice in &mut reply.choices {
            choice.content = joined(std::mem::take(&mut choice.content));
        }
        let shown = client::encode_reply(&asked, &reply, &mut Losses::default());
        let shown: Value = serde_json::from_slice(&shown).unwrap();
        prop_assert_eq!(client::message_of(&out).unwrap(), shown);
    }

    /// And for Gemini's own. What they send back is read as it was.
    #[test]
    fn geminis_clients_get_streamed_what_they_get_whole(all in prop::collection::vec(said(), 0..6)) {
        let (parts, streamed) = parts(&all);
        let mut chunks: Vec<Value> = streamed
            .iter()
            .map(|part| json!({"candidates": [{"content": {"parts": [part]}}], "responseId": "r"}))
            .collect();
        chunks.push(json!({"candidates": [{"finishReason": "STOP"}], "responseId": "r",
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}}));
        let asked = asked(Request::default());
        let (mut writer, mut losses) = (STREAMED.events(&asked), Losses::default());
        let mut out = Vec::new();
        for event in events(Request::default(), &chunks) {
            writer.event(&event, &mut losses, &mut out);
        }
        let mut shown = b"data: ".to_vec();
        let reply = whole(&parts);
        shown.extend(WHOLE.reply(&asked, &reply, &mut losses));
        shown.extend(b"\n\n");
        let told = answer_of(&out).unwrap();
        prop_assert_eq!(&told, &answer_of(&shown).unwrap());

        let history = json!({"contents": [told["candidates"][0]["content"]]}).to_string();
        let request = WHOLE.decode(history.as_bytes(), &mut losses).unwrap();
        prop_assert!(losses.is_empty(), "{:?}", losses);
        let back: Vec<_> = request.messages.iter().flat_map(|message| &message.content).collect();
        let said = joined(reply.choices.into_iter().next().unwrap().content);
        prop_assert_eq!(back.len(), said.len());
        for (back, said) in back.iter().zip(&said) {
            prop_assert_eq!(&back.seal, &said.seal);
            let is_call = matches!(said.content, Content::ToolCall { .. });
            prop_assert!(is_call || back.content == said.content, "{:?} {:?}", back, said);
        }
    }

    /// A stream that is cut anywhere before its last piece is an error, and each ends once.
    #[test]
    fn a_stream_that_is_cut_is_an_error(all in prop::collection::vec(said(), 1..6)) {
        let (_, streamed) = parts(&all);
        let chunks: Vec<Value> =
            streamed.iter().map(|part| json!({"candidates": [{"content": {"parts": [part]}}]})).collect();
        for end in 0..=chunks.len() {
            let events = events(Request::default(), &chunks[..end]);
            let errors = events.iter().filter(|event| matches!(event, Event::Error(_))).count();
            prop_assert_eq!(errors, 1);
            prop_assert!(matches!(events.last(), Some(Event::Error(_))));
        }
    }

    /// Whatever the backend sends, the stream ends once and in order, and nothing panics.
    #[test]
    fn nothing_that_comes_breaks_the_reader(chunks in prop::collection::vec(any_answer(), 0..5)) {
        let events = events(Request::default(), &chunks);
        let ends = events.iter().filter(|event| matches!(event, Event::End | Event::Error(_))).count();
        prop_assert_eq!(ends, 1);
        let mut open = std::collections::HashSet::new();
        for event in &events {
            match event {
                Event::BlockStart { index, .. } => prop_assert!(open.insert(*index)),
                Event::BlockDelta { index, .. } => prop_assert!(open.contains(index)),
                Event::BlockStop { index } => prop_assert!(open.remove(index)),
                _ => {}
            }
        }
        for chunk in &chunks {
            let _ = SCHEMA.reply(&asked(Request::default()), chunk.to_string().as_bytes(), &mut Losses::default());
        }
    }
}

/// Answers with members of the right names and of any type.
fn any_answer() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zA-Z]{0,6}".prop_map(Value::from),
        Just(json!("STOP")),
        Just(json!([])),
        Just(json!({})),
    ];
    let name = prop::sample::select(vec![
        "candidates",
        "content",
        "parts",
        "text",
        "thought",
        "thoughtSignature",
        "functionCall",
        "name",
        "args",
        "index",
        "finishReason",
        "usageMetadata",
        "promptTokenCount",
        "promptFeedback",
        "blockReason",
        "groundingMetadata",
        "groundingSupports",
        "segment",
        "startIndex",
        "responseId",
        "logprobsResult",
        "error",
    ]);
    let value = scalar.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..5).prop_map(|members| {
                Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    });
    let part = value.clone();
    prop_oneof![
        value,
        part.prop_map(|part| json!({"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]})),
    ]
}
