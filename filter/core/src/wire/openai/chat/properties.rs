//! What must hold for every answer, not only for the ones that fixtures show.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::CODEC;
use super::tests::asked;
use crate::chat::{Event, Losses};
use crate::endpoint::Endpoint;
use crate::usage::{Counter, Usage};
use crate::wire::accumulate::{accumulate, flatten, sse_data};
use crate::wire::openai_chat::{StreamEncoder, encode_reply};
use crate::wire::usage::{StreamObserver, observe_body};
use crate::wire::{BackendCodec, EventWriter as _};

/// One answer in the pieces that it is streamed in.
#[derive(Debug, Clone)]
struct Said {
    thoughts: Vec<String>,
    text: Vec<String>,
    calls: Vec<(String, String)>,
}

fn said() -> impl Strategy<Value = Said> {
    let pieces = || prop::collection::vec(".{0,8}", 0..4);
    let call =
        ("[a-z]{1,8}", ".{0,12}").prop_map(|(name, value)| (name, json!({ "k\"": value }).to_string()));
    (pieces(), pieces(), prop::collection::vec(call, 0..4)).prop_map(|(thoughts, text, calls)| Said {
        thoughts,
        text,
        calls,
    })
}

/// The client's stream, the usage that is charged for it, and what it was made from.
pub(in crate::wire) fn translated<'a>(
    codec: &dyn BackendCodec,
    events: impl IntoIterator<Item = &'a str>,
) -> (String, Usage, Vec<Event>) {
    let mut reader = codec.events(&asked());
    let mut writer = StreamEncoder::new(&asked());
    let (mut losses, mut neutral, mut out) = (Losses::default(), Vec::new(), Vec::new());
    for data in events {
        reader.event(None, data.as_bytes(), &mut losses, &mut neutral);
    }
    reader.finish(&mut neutral);
    let mut charged = Usage::default();
    for event in &neutral {
        if let Event::Usage(usage) = event {
            charged.merge(*usage);
        }
        writer.event(event, &mut losses, &mut out);
    }
    assert!(writer.is_closed());
    (String::from_utf8(out).unwrap(), charged, neutral)
}

/// Whatever a server sends: blocks begin, grow and end in this order, one at a time in each choice, and there is
/// one end.
pub(in crate::wire) fn follows_the_grammar(events: &[Event]) -> bool {
    let mut open: Vec<(u32, u32)> = Vec::new();
    let mut next = 0;
    let mut is_over = false;
    for (position, event) in events.iter().enumerate() {
        let fine = !is_over
            && match event {
                Event::Start { .. } => position == 0,
                Event::BlockStart { index, choice, .. } => {
                    let is_alone = open.iter().all(|(_, other)| other != choice);
                    let is_next = *index == next;
                    next += 1;
                    open.push((*index, *choice));
                    is_alone && is_next
                }
                Event::BlockDelta { index, .. } => open.iter().any(|(open, _)| open == index),
                Event::BlockStop { index } => {
                    let before = open.len();
                    open.retain(|(open, _)| open != index);
                    open.len() + 1 == before
                }
                Event::End => {
                    is_over = true;
                    open.is_empty()
                }
                Event::Error(_) => {
                    is_over = true;
                    true
                }
                _ => true,
            };
        if !fine {
            return false;
        }
    }
    is_over
}

proptest! {
    /// A stream says what the whole answer says, in whatever order its calls are mixed, and what is charged is what
    /// was reported.
    #[test]
    fn streamed_is_whole_and_charged_is_reported(
        said in said(),
        mixed in any::<bool>(),
        size in 1..5_usize,
        (input, cached, written, output, reasoning) in (1..999_u64, 0..999_u64, 0..999_u64, 1..999_u64, 0..999_u64),
    ) {
        let usage = json!({
            "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
            "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        });
        let reported = Usage::of([(Counter::Input, Some(input)), (Counter::CachedInput, Some(cached)), (Counter::CacheCreationInput, Some(written)), (Counter::Output, Some(output)), (Counter::Reasoning, Some(reasoning)), (Counter::Total, Some(input + output))]);
        let calls: Vec<Value> = said.calls.iter().enumerate().map(|(index, (name, arguments))| {
            json!({"id": format!("c{index}"), "type": "function", "function": {"name": name, "arguments": arguments}})
        }).collect();
        let finish = if calls.is_empty() { "stop" } else { "tool_calls" };
        let whole = json!({"id": "msg_1", "model": "m", "usage": usage, "choices": [{"index": 0, "finish_reason": finish,
            "message": {"role": "assistant", "content": said.text.concat(), "reasoning_content": said.thoughts.concat(),
                "tool_calls": calls}}]}).to_string();

        let chunk = |delta: Value, finish: Option<&str>| json!({"id": "msg_1", "model": "m", "choices": [
            {"index": 0, "delta": delta, "finish_reason": finish}]}).to_string();
        let mut chunks = vec![chunk(json!({"role": "assistant", "content": ""}), None)];
        chunks.extend(said.thoughts.iter().map(|text| chunk(json!({"reasoning_content": text}), None)));
        chunks.extend(said.text.iter().map(|text| chunk(json!({"content": text}), None)));
        let mut pieces: Vec<(usize, usize, Value)> = Vec::new();
        for (index, (name, arguments)) in said.calls.iter().enumerate() {
            let head = json!({"index": index, "id": format!("c{index}"), "function": {"name": name, "arguments": ""}});
            pieces.push((0, index, head));
            let characters: Vec<char> = arguments.chars().collect();
            for (number, piece) in characters.chunks(size).enumerate() {
                let piece: String = piece.iter().collect();
                pieces.push((number + 1, index, json!({"index": index, "function": {"arguments": piece}})));
            }
        }
        if mixed {
            pieces.sort_by_key(|(number, index, _)| (*number, *index));
        }
        chunks.extend(pieces.into_iter().map(|(_, _, piece)| chunk(json!({"tool_calls": [piece]}), None)));
        chunks.push(chunk(json!({}), Some(finish)));
        chunks.push(json!({"id": "msg_1", "model": "m", "choices": [], "usage": usage}).to_string());
        chunks.push("[DONE]".to_owned());

        let reply = CODEC.reply(&asked(), whole.as_bytes(), &mut Losses::default()).unwrap();
        let completion = encode_reply(&asked(), &reply, &mut Losses::default());
        let (stream, charged, neutral) = translated(&CODEC, chunks.iter().map(String::as_str));
        prop_assert!(follows_the_grammar(&neutral), "{neutral:?}");
        prop_assert_eq!(accumulate(&stream), flatten(&completion));
        prop_assert_eq!(reply.usage, reported);
        prop_assert_eq!(charged, reported);
        // The same as where it passes untranslated.
        prop_assert_eq!(observe_body(Endpoint::ChatCompletions, whole.as_bytes()).unwrap().usage, reported);
        let mut observer = StreamObserver::new(Endpoint::ChatCompletions, 1);
        chunks.iter().for_each(|chunk| observer.event(chunk.as_bytes()));
        prop_assert_eq!(observer.observed().usage, reported);
        let content: usize = neutral.iter().map(|event| match event {
            Event::BlockDelta { delta, .. } => delta.content(),
            _ => 0,
        }).sum();
        prop_assert_eq!(observer.content(), content as u64);
    }

    /// Whatever a server sends, the client's stream ends properly or with an error.
    #[test]
    fn any_chunks_make_a_proper_stream(
        chunks in prop::collection::vec(
            prop_oneof![
                6 => prop::sample::select(vec![
                    r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
                    r#"{"choices":[{"index":0,"delta":{"content":"x"}}]}"#,
                    r#"{"choices":[{"index":1,"delta":{"content":"x"}},{"index":0,"delta":{"reasoning":"y"}}]}"#,
                    r#"{"choices":[{"delta":{"refusal":"x","content":"z"},"finish_reason":""}]}"#,
                    r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}}]}"#,
                    r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}},{"index":0,"function":{"arguments":"{\"x\":"}}]}}]}"#,
                    r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}"#,
                    r#"{"choices":[{"index":1,"delta":{"tool_calls":[{"id":"z","function":{"arguments":{"a":1}}}]}}]}"#,
                    r#"{"choices":[{"index":0,"delta":{"function_call":{"name":"h"}}}]}"#,
                    r#"{"choices":[{"index":0,"delta":{"annotations":[{"type":"url_citation","url_citation":{"url":"u"}}],"images":[{"image_url":{"url":"data:image/png;base64,AA=="}}]}}]}"#,
                    r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
                    r#"{"choices":[{"index":1,"delta":{},"finish_reason":"tool_calls","logprobs":{"content":[{"token":"t","logprob":-1}]}}]}"#,
                    r#"{"choices":[],"usage":{"prompt_tokens":1}}"#,
                    r#"{"choices":[{"index":99999999999,"delta":{"content":"x"}}]}"#,
                    r#"{"choices":null}"#,
                ]).prop_map(str::to_owned),
                1 => Just("[DONE]".to_owned()),
                1 => Just(r#"{"error":{"message":"m"}}"#.to_owned()),
                1 => "\\PC{0,20}",
            ],
            0..30,
        ),
    ) {
        let (stream, _, neutral) = translated(&CODEC, chunks.iter().map(String::as_str));
        prop_assert!(follows_the_grammar(&neutral), "{neutral:?}");
        let data = sse_data(&stream);
        let (last, _) = data.split_last().unwrap();
        prop_assert!(*last == "[DONE]" || serde_json::from_str::<Value>(last).unwrap()["error"].is_object());
    }

    /// Bytes that are nothing at all are refused, not worse.
    #[test]
    fn garbage_never_panics(data in prop::collection::vec(any::<u8>(), 0..40)) {
        prop_assert!(CODEC.reply(&asked(), &data, &mut Losses::default()).is_err());
        let mut events = Vec::new();
        CODEC.events(&asked()).event(None, &data, &mut Losses::default(), &mut events);
        prop_assert!(events.len() <= 1);
    }
}
