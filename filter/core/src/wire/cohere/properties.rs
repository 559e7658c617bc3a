//! What must hold for every answer, not only for the ones that fixtures show.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::SCHEMA;
use super::tests::asked;
use crate::chat::{Event, Losses};
use crate::usage::{Counter, Usage};
use crate::wire::BackendCodec;
use crate::wire::accumulate::{accumulate, flatten, sse_data};
use crate::wire::openai::chat::properties::{follows_the_grammar, translated};
use crate::wire::openai_chat::encode_reply;
use crate::wire::schema::Schema as _;

fn codec() -> &'static dyn BackendCodec {
    SCHEMA.codec().unwrap()
}

/// One answer in the pieces that it is streamed in.
#[derive(Debug, Clone)]
struct Said {
    thoughts: Vec<String>,
    text: Vec<String>,
    plan: Vec<String>,
    calls: Vec<(String, String)>,
}

fn said() -> impl Strategy<Value = Said> {
    let pieces = || prop::collection::vec(".{0,8}", 0..4);
    let call =
        ("[a-z]{1,8}", ".{0,12}").prop_map(|(name, value)| (name, json!({ "k\"": value }).to_string()));
    let answer = (pieces(), pieces()).prop_map(|(thoughts, text)| Said {
        thoughts,
        text,
        plan: Vec::new(),
        calls: Vec::new(),
    });
    let calls = (pieces(), pieces(), prop::collection::vec(call, 1..4))
        .prop_map(|(thoughts, plan, calls)| Said { thoughts, text: Vec::new(), plan, calls });
    prop_oneof![answer, calls]
}

proptest! {
    /// A stream says what the whole answer says, and what is charged is what was reported.
    #[test]
    fn streamed_is_whole_and_charged_is_reported(
        said in said(),
        size in 1..5_usize,
        (input, cached, output) in (1..999_u64, 0..999_u64, 1..999_u64),
    ) {
        let usage = json!({
            "billed_units": {"input_tokens": 1, "output_tokens": 1},
            "tokens": {"input_tokens": input, "output_tokens": output}, "cached_tokens": cached,
        });
        let reported = Usage::of([(Counter::Input, Some(input)), (Counter::CachedInput, Some(cached)), (Counter::Output, Some(output)), (Counter::Total, Some(input + output))]);
        let call = |index: usize, (name, arguments): &(String, String)| {
            json!({"id": format!("c{index}"), "type": "function", "function": {"name": name, "arguments": arguments}})
        };
        let calls: Vec<Value> = said.calls.iter().enumerate().map(|(index, one)| call(index, one)).collect();
        let finish = if calls.is_empty() { "COMPLETE" } else { "TOOL_CALL" };
        let content = json!([
            {"type": "thinking", "thinking": said.thoughts.concat()}, {"type": "text", "text": said.text.concat()}]);
        let whole = json!({"id": "msg_1", "finish_reason": finish, "usage": usage, "message": {
            "role": "assistant", "content": content, "tool_plan": said.plan.concat(), "tool_calls": calls}}).to_string();

        let mut events = vec![json!({"type": "message-start", "id": "msg_1", "delta": {"message": {
            "role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}}})];
        for (index, (kind, pieces)) in [("thinking", &said.thoughts), ("text", &said.text)].into_iter().enumerate() {
            // Nobody announces what does not come.
            if pieces.concat().is_empty() {
                continue;
            }
            let of = |event: &str, content: Value| json!({"type": event, "index": index, "delta": {"message": {"content": content}}});
            events.push(of("content-start", json!({"type": kind, kind: ""})));
            events.extend(pieces.iter().map(|piece| of("content-delta", json!({kind: piece}))));
            events.push(json!({"type": "content-end", "index": index}));
        }
        let plan = |piece| json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}});
        events.extend(said.plan.iter().map(plan));
        for (index, one) in said.calls.iter().enumerate() {
            let of = |event: &str, call: Value| json!({"type": event, "index": index, "delta": {"message": {"tool_calls": call}}});
            events.push(of("tool-call-start", call(index, &(one.0.clone(), String::new()))));
            let characters: Vec<char> = one.1.chars().collect();
            for piece in characters.chunks(size) {
                let piece: String = piece.iter().collect();
                events.push(of("tool-call-delta", json!({"function": {"arguments": piece}})));
            }
            events.push(json!({"type": "tool-call-end", "index": index}));
        }
        events.push(json!({"type": "message-end", "delta": {"finish_reason": finish, "usage": usage}}));
        let events: Vec<String> = events.iter().map(Value::to_string).collect();

        let reply = codec().reply(&asked(), whole.as_bytes(), &mut Losses::default()).unwrap();
        let completion = encode_reply(&asked(), &reply, &mut Losses::default());
        let (stream, charged, neutral) = translated(codec(), events.iter().map(String::as_str));
        prop_assert!(follows_the_grammar(&neutral), "{neutral:?}");
        prop_assert_eq!(accumulate(&stream), flatten(&completion));
        prop_assert_eq!(reply.usage, reported);
        prop_assert_eq!(charged, reported);
    }

    /// Whatever a server sends, the client's stream ends properly or with an error.
    #[test]
    fn any_events_make_a_proper_stream(
        events in prop::collection::vec(
            prop_oneof![
                6 => prop::sample::select(vec![
                    r#"{"type":"message-start","id":"m","delta":{"message":{"content":[]}}}"#,
                    r#"{"type":"message-start"}"#,
                    r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":"a"}}}}"#,
                    r#"{"type":"content-start","index":1,"delta":{"message":{"content":{"type":"thinking","thinking":""}}}}"#,
                    r#"{"type":"content-start"}"#,
                    r#"{"type":"content-start","delta":{"message":{"content":{"type":"new"}}}}"#,
                    r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"x"}}},"logprobs":{"text":"x","logprobs":[-1]}}"#,
                    r#"{"type":"content-delta","index":1,"delta":{"message":{"content":{"thinking":"y"}}}}"#,
                    r#"{"type":"content-end","index":0}"#,
                    r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"p"}}}"#,
                    r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"a","function":{"name":"f","arguments":""}}}}}"#,
                    r#"{"type":"tool-call-start","index":1,"delta":{"message":{"tool_calls":{"function":{"name":"g","arguments":"{}"}}}}}"#,
                    r#"{"type":"tool-call-end","index":0}"#,
                    r#"{"type":"tool-call-end"}"#,
                    r#"{"type":"citation-start","index":0,"delta":{"message":{"citations":{"start":0,"end":1}}}}"#,
                    r#"{"type":"citation-end"}"#,
                    r#"{"type":"debug","prompt":"x"}"#,
                ]).prop_map(str::to_owned),
                1 => Just(r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"1"}}}}}"#.to_owned()),
                1 => Just(r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#.to_owned()),
                1 => Just(r#"{"message":"m"}"#.to_owned()),
                1 => "\\PC{0,20}",
            ],
            0..30,
        ),
    ) {
        let (stream, _, neutral) = translated(codec(), events.iter().map(String::as_str));
        let is_closed = neutral.iter().rposition(|event| matches!(event, Event::End | Event::Error(_)));
        prop_assert_eq!(is_closed, neutral.len().checked_sub(1));
        let data = sse_data(&stream);
        let (last, _) = data.split_last().unwrap();
        prop_assert!(*last == "[DONE]" || serde_json::from_str::<Value>(last).unwrap()["error"].is_object());
    }

    /// Bytes that are nothing at all are refused, not worse.
    #[test]
    fn garbage_never_panics(data in prop::collection::vec(any::<u8>(), 0..40)) {
        prop_assert!(codec().reply(&asked(), &data, &mut Losses::default()).is_err());
        let mut events = Vec::new();
        codec().events(&asked()).event(None, &data, &mut Losses::default(), &mut events);
        prop_assert!(events.len() <= 1);
    }
}
