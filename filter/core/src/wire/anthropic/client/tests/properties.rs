//! What holds for every conversation.

use proptest::prelude::*;

use super::answers::events_of;
use super::requests::{full, sent};
use super::*;
use crate::usage::Counter;

fn seal() -> impl Strategy<Value = Option<Seal>> {
    let by = prop::sample::select(Family::ALL.to_vec());
    prop::option::of((by, "([A-Za-z0-9+/]{4}){1,3}").prop_map(|(by, data)| Seal { by, data }))
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        ".{0,12}".prop_map(Part::text),
        (".{0,12}", seal()).prop_map(|(text, seal)| Part::thinking(text, seal)),
        seal()
            .prop_filter("it is its seal", Option::is_some)
            .prop_map(|seal| Part { seal, ..Part::new(Content::RedactedThinking) }),
        ("[a-z]{1,8}", "[a-zA-Z0-9_-]{1,12}", prop::option::of(".{0,8}"), seal()).prop_map(
            |(name, id, value, seal)| {
                let arguments = value.map_or_else(|| json!({}), |value| json!({"v": value})).to_string();
                Part { seal, ..Part::new(Content::ToolCall { id, name, arguments }) }
            }
        ),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let index = || 0..4_u32;
    let block = prop_oneof![
        Just(BlockStart::Text),
        Just(BlockStart::Thinking),
        Just(BlockStart::Refusal),
        Just(BlockStart::RedactedThinking(Seal { by: Family::OpenAi, data: "d".to_owned() })),
        "[a-z]{0,3}".prop_map(|id| BlockStart::ToolCall { id, name: "f".to_owned() }),
        Just(BlockStart::Media { kind: MediaKind::Image, source: Source::url("u") }),
        Just(BlockStart::Foreign(Foreign {
            family: Family::Anthropic,
            kind: "k".to_owned(),
            json: r#"{"type":"k"}"#.to_owned(),
        })),
    ];
    let delta = prop_oneof![
        ".{0,4}".prop_map(Delta::Text),
        ".{0,4}".prop_map(Delta::Thinking),
        prop::sample::select(vec!["", " ", "{", "}", "{}", "\"x", "null"])
            .prop_map(|json| Delta::Arguments(json.to_owned())),
        "[a-z]{0,3}".prop_map(|data| Delta::Seal(Family::Google, data)),
        Just(Delta::Annotation(Box::new(Annotation { url: Some("u".to_owned()), ..Annotation::default() }))),
    ];
    prop_oneof![
        1 => Just(Event::Start { id: Some("i".to_owned()), model: None }),
        6 => (index(), 0..2_u32, block)
            .prop_map(|(index, choice, block)| Event::BlockStart { index, choice, id: None, block }),
        12 => (index(), delta).prop_map(|(index, delta)| Event::BlockDelta { index, delta }),
        6 => index().prop_map(|index| Event::BlockStop { index }),
        1 => Just(Event::Usage(Usage::of([(Counter::Input, Some(3))]))),
        1 => Just(Event::Ping),
        1 => Just(Event::ServiceTier("flex".to_owned())),
        1 => Just(Event::Finish { choice: 0, reason: FinishReason::Length }),
        1 => Just(Event::Error(Error::bad_answer("x"))),
    ]
}

proptest! {
    /// Whatever a backend does, the client's stream is one of Anthropic's, and ends.
    #[test]
    fn every_stream_follows_the_grammar(events in prop::collection::vec(event(), 0..40)) {
        let mut events = events;
        events.push(Event::End);
        let _ = streamed(&events);
    }

    /// A stream says what the whole answer says, and a client that sends it back gives back what there was.
    #[test]
    fn streamed_is_whole_and_comes_back(parts in prop::collection::vec(part(), 0..6)) {
        let (whole, _) = told(parts.clone(), FinishReason::Stop);
        let stream = streamed(&events_of(&parts, FinishReason::Stop)).0.unwrap();
        prop_assert_eq!(&stream["content"], &whole["content"]);

        let asked = json!({"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": whole["content"]}]});
        let request = decode_request(asked.to_string().as_bytes(), &mut Losses::default()).unwrap();
        let says_something = |part: &&Part| match &part.content {
            Content::Text { text, .. } | Content::Thinking { text } => !text.is_empty() || part.seal.is_some(),
            _ => true,
        };
        let said = |parts: &[Part]| -> Vec<(Content, Option<Seal>)> {
            parts.iter().filter(says_something).map(|part| (part.content.clone(), part.seal.clone())).collect()
        };
        prop_assert_eq!(said(&request.messages[0].content), said(&parts));
    }

    /// Any value anywhere in a request is taken or refused with a reason, and what is taken can be sent.
    #[test]
    fn a_request_is_understood_or_refused(
        chosen in any::<prop::sample::Index>(),
        value in prop_oneof![
            Just(Value::Null), Just(json!(true)), Just(json!(-1)), Just(json!(0.5)), Just(json!("")), Just(json!("{}")),
            Just(json!([])), Just(json!({})), Just(json!([[]])), Just(json!({"type": "text"})), "\\PC{0,6}".prop_map(Value::from),
        ],
    ) {
        let mut request = full();
        let mut pointers = Vec::new();
        pointers_of(&request, "", &mut pointers);
        let pointer = chosen.get(&pointers);
        *request.pointer_mut(pointer).unwrap() = value;
        match sent(&request) {
            Ok((body, _)) => prop_assert!(body["messages"].is_array()),
            Err(error) => {
                prop_assert!(matches!(error.status(), 400 | 422));
                let field = pointer.split('/').nth(1).unwrap_or_default();
                prop_assert!(error.message().contains(field), "{} does not name {field}", error.message());
            }
        }
    }

    /// Bytes that are nothing at all are refused, not worse.
    #[test]
    fn garbage_never_panics(data in prop::collection::vec(any::<u8>(), 0..40)) {
        prop_assert!(decode_request(&data, &mut Losses::default()).is_err());
    }
}

fn pointers_of(value: &Value, at: &str, out: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(list) => {
            list.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    for (name, value) in children {
        let pointer = format!("{at}/{name}");
        pointers_of(value, &pointer, out);
        out.push(pointer);
    }
}
