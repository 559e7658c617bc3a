//! What of an answer is content, and how much.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// How much content a stream has, told from these events.
fn content(endpoint: Endpoint, events: &[impl AsRef<str>]) -> u64 {
    let mut observer = StreamObserver::new(endpoint, 1);
    events.iter().for_each(|event| observer.event(event.as_ref().as_bytes()));
    observer.content()
}

#[test]
fn content_is_counted_in_bytes() {
    use Endpoint::{ChatCompletions as Chat, Completions, Messages, Responses};
    let long = "a".repeat(4_000);
    for (endpoint, event, bytes) in [
        (Chat, format!(r#"{{"choices":[{{"delta":{{"content":"{long}"}}}}]}}"#), 4_000),
        (Messages, format!(r#"{{"type":"content_block_delta","delta":{{"text":"{long}"}}}}"#), 4_000),
        (Completions, format!(r#"{{"choices":[{{"text":"{long}"}}]}}"#), 4_000),
        (Responses, format!(r#"{{"type":"response.output_text.delta","delta":"{long}"}}"#), 4_000),
    ] {
        assert_eq!(content(endpoint, &[event]), bytes, "{endpoint:?}");
    }
    for (endpoint, event, bytes) in [
        (
            Chat,
            r#"{"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{\"a\": 1}"}}]}}]}"#,
            8,
        ),
        (Chat, r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":{"a": "\u00e9"}}}]}}]}"#, 10),
        (Chat, r#"{"choices":[{"delta":{"function_call":{"arguments":"{}"}}}]}"#, 2),
        (Chat, r#"{"choices":[{"delta":{"refusal":"no"}}]}"#, 2),
        (Chat, r#"{"choices":[{"delta":{"content":"ab","reasoning_content":"cde"}}]}"#, 5),
        // One thought under two names.
        (Chat, r#"{"choices":[{"delta":{"reasoning":"cde","reasoning_content":"cde"}}]}"#, 3),
        (
            Chat,
            r#"{"choices":[{"delta":{"reasoning":"cde","reasoning_details":[{"text":"cde","signature":"x"}]}}]}"#,
            3,
        ),
        (
            Chat,
            r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"cde"}]},{"type":"text","text":"f"}]}}]}"#,
            4,
        ),
        (Chat, r#"{"choices":[{"delta":{"audio":{"transcript":"cde","data":"UklGRg=="}}}]}"#, 3),
        (
            Chat,
            r#"{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"bc"}}]}"#,
            3,
        ),
        // All that was said so far beside what is new.
        (Chat, r#"{"choices":[{"delta":{"content":"ab"},"message":{"content":"ab"}}]}"#, 2),
        (Chat, r#"{"choices":[{"message":{"content":"abc"}}]}"#, 3),
        (
            Chat,
            r#"{"choices":[{"logprobs":{"content":[{"token":"abc"}]},"delta":{"role":"assistant","content":null}}],"text":"x"}"#,
            0,
        ),
        (Messages, r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"abc"}}"#, 3),
        (
            Messages,
            r#"{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{\"a"}}"#,
            3,
        ),
        (
            Messages,
            r#"{"type":"content_block_delta","delta":{"type":"signature_delta","signature":"abc"}}"#,
            0,
        ),
        (Messages, r#"{"type":"content_block_start","content_block":{"type":"text","text":"ab"}}"#, 2),
        (Messages, r#"{"type":"content_block_start","content_block":{"type":"tool_use","input":{}}}"#, 0),
        (
            Messages,
            r#"{"type":"content_block_start","content_block":{"type":"tool_use","input":{"a": 1}}}"#,
            7,
        ),
        (Messages, r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#, 0),
        (Responses, r#"{"delta": "{\"a\"", "type": "response.function_call_arguments.delta"}"#, 4),
        (Responses, r#"{"type":"response.reasoning_summary_text.delta","delta":"abc"}"#, 3),
        (Responses, r#"{"type":"response.audio.delta","delta":"UklGRg=="}"#, 0),
        (Responses, r#"{"type":"response.output_text.done","text":"abc"}"#, 0),
        (
            Responses,
            r#"{"type":"response.completed","response":{"output":[{"type":"message","content":[{"type":"output_text","text":"abc"}]},{"type":"function_call","arguments":"{}"},{"type":"reasoning","summary":[{"text":"de"}]}]}}"#,
            7,
        ),
    ] {
        assert_eq!(content(endpoint, &[event]), bytes, "{event}");
    }
    let pieces = [r#"{"type":"response.output_text.delta","delta":"ab"}"#; 3];
    let all = r#"{"type":"response.completed","response":{"output":[{"content":[{"text":"ababab"}]}]}}"#;
    assert_eq!(content(Responses, &[&pieces[..], &[all]].concat()), 6, "the same content twice");
}

#[test]
fn the_content_of_a_whole_answer() {
    use Endpoint::{ChatCompletions as Chat, Completions, Messages, Responses};
    for (endpoint, body, bytes) in [
        (
            Chat,
            r#"{"choices":[{"message":{"content":"ab"}},{"message":{"tool_calls":[{"function":{"arguments":"{}"}}]}}]}"#,
            4,
        ),
        (Completions, r#"{"choices":[{"text":"a\u00e9"},{"text":"\n"}]}"#, 4),
        (
            Messages,
            r#"{"content":[{"type":"thinking","thinking":"ab","signature":"x"},{"type":"text","text":"c"},{"type":"tool_use","input":{"a": 1}}]}"#,
            10,
        ),
        (
            Responses,
            r#"{"output":[{"type":"message","content":[{"type":"output_text","text":"abc","annotations":[]}]}]}"#,
            3,
        ),
    ] {
        assert_eq!(content_of_body(endpoint, body.as_bytes()), bytes, "{body}");
    }
}

proptest! {
    /// However a server writes its JSON.
    #[test]
    fn what_is_said_is_what_is_counted(
        said in proptest::collection::vec((any::<String>(), 0_usize..7, 0_u32..4), 0..6),
        seed: u64,
    ) {
        let chat = |(text, member, index): &(String, usize, u32)| {
            let (member, text) = (*member, text.as_str());
            let delta = match member {
                0 | 1 => json!({"role": "assistant", "content": text}),
                2 => json!({"reasoning_content": text}),
                3 => json!({"reasoning": text, "content": null}),
                4 => json!({"refusal": text}),
                5 => json!({"content": [{"type": "text", "text": text}]}),
                _ => json!({"tool_calls": [{"index": 0, "id": "call", "type": "function", "function": {"name": "f", "arguments": text}}]}),
            };
            json!({"id": "c", "model": "m", "choices": [{"index": index, "delta": delta, "logprobs": null, "finish_reason": null}], "usage": null})
        };
        let messages = |(text, member, index): &(String, usize, u32)| {
            let delta = match member {
                0..3 => json!({"type": "text_delta", "text": text}),
                3 | 4 => json!({"type": "thinking_delta", "thinking": text}),
                _ => json!({"type": "input_json_delta", "partial_json": text}),
            };
            json!({"type": "content_block_delta", "index": index, "delta": delta})
        };
        let responses = |(text, member, index): &(String, usize, u32)| {
            let kind = ["output_text", "refusal", "reasoning_text", "function_call_arguments", "custom_tool_call_input"];
            json!({"type": format!("response.{}.delta", kind[member % kind.len()]), "output_index": index, "delta": text})
        };
        let completions = |(text, _, index): &(String, usize, u32)| {
            json!({"object": "text_completion", "choices": [{"index": index, "text": text, "finish_reason": null}]})
        };
        let bytes = said.iter().map(|(text, ..)| text.len() as u64).sum::<u64>();
        let written = |event: serde_json::Value| written(&event, seed);
        for (endpoint, events) in [
            (Endpoint::ChatCompletions, said.iter().map(chat).map(written).collect::<Vec<_>>()),
            (Endpoint::Messages, said.iter().map(messages).map(written).collect()),
            (Endpoint::Responses, said.iter().map(responses).map(written).collect()),
            (Endpoint::Completions, said.iter().map(completions).map(written).collect()),
        ] {
            prop_assert_eq!(content(endpoint, &events), bytes, "{:?} {:?}", endpoint, events);
        }
    }
}
