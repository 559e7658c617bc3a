//! What holds for every conversation.

use proptest::prelude::*;

use super::*;
use crate::chat::{Annotation, BlockStart, Delta, Family, Foreign, MediaKind, Source, TokenLogprob};
use crate::error::Error;
use crate::usage::{Counter, Usage};

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
        2 => Just(BlockStart::Text),
        1 => Just(BlockStart::Thinking),
        1 => Just(BlockStart::Refusal),
        1 => Just(BlockStart::RedactedThinking(Seal { by: Family::OpenAi, data: "d".to_owned() })),
        2 => "[a-z]{0,3}".prop_map(|id| BlockStart::ToolCall { id, name: "f".to_owned() }),
        1 => Just(BlockStart::Media { kind: MediaKind::Image, source: Source::url("u") }),
        1 => Just(BlockStart::Foreign(Foreign {
            family: Family::OpenAi,
            kind: "k".to_owned(),
            json: r#"{"type":"k"}"#.to_owned(),
        })),
    ];
    let delta = prop_oneof![
        3 => ".{0,4}".prop_map(Delta::Text),
        2 => ".{0,4}".prop_map(Delta::Thinking),
        2 => prop::sample::select(vec!["", " ", "{", "}", "{}", "\"x", "null"])
            .prop_map(|json| Delta::Arguments(json.to_owned())),
        1 => "[a-z]{0,3}".prop_map(|data| Delta::Seal(Family::Google, data)),
        1 => Just(Delta::Annotation(Box::new(Annotation { url: Some("u".to_owned()), ..Annotation::default() }))),
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
        1 => Just(Event::Logprobs { choice: 0, tokens: vec![TokenLogprob::default()] }),
        1 => Just(Event::Finish { choice: 0, reason: FinishReason::Length }),
        1 => Just(Event::Error(Error::bad_answer("x"))),
    ]
}

/// A request that says everything once.
fn full() -> Value {
    json!({
        "model": "m", "instructions": "I", "max_output_tokens": 5, "temperature": 0.5, "top_p": 0.5, "parallel_tool_calls": true,
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": true},
            {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "regex", "definition": "x"}}, {"type": "web_search"}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        "reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"], "store": false,
        "metadata": {"a": "b"}, "user": "u", "service_tier": "auto", "truncation": "auto", "stream": true, "stream_options": {},
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": "https://a", "detail": "auto"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "JVBERi0="}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "t"}], "encrypted_content": "claude:QUJD"},
            {"type": "message", "role": "assistant", "id": "msg_1", "content": [{"type": "output_text", "text": "o", "annotations": []}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "c", "input": "x"},
            {"type": "function_call_output", "call_id": "c1", "output": "r"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "r"}]},
        ],
    })
}

proptest! {
    /// Whatever a backend does, the client's stream is one of Responses', and ends.
    #[test]
    fn every_stream_follows_the_grammar(events in prop::collection::vec(event(), 0..40)) {
        let mut events = events;
        events.push(Event::End);
        let _ = streamed(&asked(), &events);
    }

    /// A stream says what the whole answer says, and a client that sends it back gives back what there was.
    #[test]
    fn streamed_is_whole_and_comes_back(parts in prop::collection::vec(part(), 0..6)) {
        let (response, _) = told(&asked(), &reply_of(parts.clone(), FinishReason::Stop));
        let (request, _) = decoded(&with_input(response["output"].clone()));
        let says_something = |part: &&Part| match &part.content {
            Content::Text { text, .. } | Content::Thinking { text } => !text.is_empty() || part.seal.is_some(),
            _ => true,
        };
        let said = |parts: &mut dyn Iterator<Item = &Part>| -> Vec<(Content, Option<Seal>)> {
            parts.filter(says_something).map(|part| (part.content.clone(), part.seal.clone())).collect()
        };
        let back = said(&mut request.messages.iter().flat_map(|message| &message.content));
        prop_assert_eq!(back, said(&mut parts.iter()));
    }

    /// Any value anywhere in a request is taken or refused with a reason.
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
        if let Err(error) = decode_request(request.to_string().as_bytes(), &mut Losses::default()) {
            prop_assert!(matches!(error.status(), 400 | 422));
            let field = pointer.split('/').nth(1).unwrap_or_default();
            prop_assert!(error.message().contains(field), "{} does not name {field}", error.message());
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
