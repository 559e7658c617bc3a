//! What comes before the first content of a stream that passes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::facts::Facts;
use super::watch::Shape;
use crate::codec::json;

/// Whether an event says nothing yet that a client would show, keep or wait for: roles, pings, an answer or a block
/// that is announced, empty texts, counters. Text, a thought, a call, a reason for the end and the end are not this,
/// nor is what is not known.
///
/// While a stream says no more, another backend can answer in its place.
#[must_use]
pub fn is_preamble(shape: Shape, data: &[u8]) -> bool {
    let facts = Facts::of(shape, data);
    let says_something = facts.content.is_some
        || facts.content.whole > 0
        || facts.choices.finished > 0
        || facts.kind.ends()
        || facts.may_be_error
        || data.trim_ascii() == b"[DONE]";
    if says_something {
        return false;
    }
    match shape {
        Shape::Chat => deltas(data).iter().all(says_nothing),
        Shape::Completions => true,
        Shape::Gemini => parts(data).iter().all(says_nothing),
        Shape::Messages => match text_of(data, "type").as_str() {
            "message_start" | "ping" | "content_block_stop" => true,
            "content_block_delta" => matches!(
                text_of(inner(data, "delta"), "type").as_str(),
                "text_delta" | "thinking_delta" | "input_json_delta" | "signature_delta"
            ),
            "content_block_start" => {
                matches!(text_of(inner(data, "content_block"), "type").as_str(), "text" | "thinking")
            }
            "message_delta" => text_of(inner(data, "delta"), "stop_reason").is_empty(),
            _ => false,
        },
        Shape::Responses => match text_of(data, "type").as_str() {
            "response.created"
            | "response.queued"
            | "response.in_progress"
            | "response.content_part.added"
            | "response.reasoning_summary_part.added" => true,
            "response.output_item.added" => {
                matches!(text_of(inner(data, "item"), "type").as_str(), "message" | "reasoning")
            }
            delta => delta.ends_with(".delta"),
        },
        Shape::Cohere => matches!(
            text_of(data, "type").as_str(),
            "message-start" | "content-start" | "content-delta" | "content-end" | "tool-plan-delta"
        ),
        Shape::Other => false,
    }
}

/// The members of a delta or a part.
type Members<'d> = BTreeMap<Cow<'d, str>, &'d RawValue>;

/// Whether there is nothing but words about it, and members that are empty.
fn says_nothing(members: &Members<'_>) -> bool {
    let is_empty = |json: &str| matches!(json, "null" | "\"\"" | "[]" | "{}");
    members.iter().all(|(name, json)| matches!(&**name, "role" | "thought") || is_empty(json.get()))
}

/// The deltas of a chat's chunk.
fn deltas(data: &[u8]) -> Vec<Members<'_>> {
    #[derive(Deserialize)]
    struct Chunk<'d> {
        #[serde(borrow)]
        choices: Option<Vec<Choice<'d>>>,
    }
    #[derive(Deserialize)]
    struct Choice<'d> {
        #[serde(borrow)]
        delta: Option<Members<'d>>,
    }
    let chunk: Option<Chunk<'_>> = serde_json::from_slice(data).ok();
    let choices = chunk.and_then(|chunk| chunk.choices).unwrap_or_default();
    choices.into_iter().filter_map(|choice| choice.delta).collect()
}

/// The parts of a piece of Gemini's.
fn parts(data: &[u8]) -> Vec<Members<'_>> {
    #[derive(Deserialize)]
    struct Piece<'d> {
        #[serde(borrow)]
        candidates: Option<Vec<Candidate<'d>>>,
    }
    #[derive(Deserialize)]
    struct Candidate<'d> {
        #[serde(borrow)]
        content: Option<Content<'d>>,
    }
    #[derive(Deserialize)]
    struct Content<'d> {
        #[serde(borrow)]
        parts: Option<Vec<Members<'d>>>,
    }
    let piece: Option<Piece<'_>> = serde_json::from_slice(data).ok();
    let candidates = piece.and_then(|piece| piece.candidates).unwrap_or_default();
    let contents = candidates.into_iter().filter_map(|candidate| candidate.content?.parts);
    contents.flatten().collect()
}

/// The text of a member, empty where it has none.
fn text_of(object: &[u8], name: &str) -> String {
    json::member(object, name).and_then(|kind| kind.as_str(object).map(Into::into)).unwrap_or_default()
}

/// A member as it is written.
fn inner<'d>(object: &'d [u8], name: &str) -> &'d [u8] {
    json::member(object, name).map_or(b"", |member| member.raw(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_announces_is_no_content() {
        for (shape, data) in PREAMBLES {
            assert!(is_preamble(*shape, data.as_bytes()), "{data}");
        }
    }

    #[test]
    fn what_says_something_is() {
        for (shape, data) in CONTENTS {
            assert!(!is_preamble(*shape, data.as_bytes()), "{data}");
        }
    }

    const PREAMBLES: &[(Shape, &str)] = &[
        (
            Shape::Chat,
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
        ),
        (
            Shape::Chat,
            r#"{"choices":[{"index":1,"delta":{"role":"assistant","content":null,"refusal":null}}]}"#,
        ),
        (Shape::Chat, r#"{"choices":[{"index":0,"delta":{},"finish_reason":""}]}"#),
        (Shape::Chat, r#"{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#),
        (Shape::Chat, r#"{"choices":[],"usage":{"prompt_tokens":3}}"#),
        (Shape::Chat, r#"{"choices":null}"#),
        (
            Shape::Chat,
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[],"images":[]}}]}"#,
        ),
        (Shape::Completions, r#"{"choices":[{"index":0,"text":"","finish_reason":null}]}"#),
        (
            Shape::Messages,
            r#"{"type":"message_start","message":{"content":[],"stop_reason":null,"usage":{"input_tokens":3}}}"#,
        ),
        (Shape::Messages, r#"{"type":"ping"}"#),
        (
            Shape::Messages,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        ),
        (
            Shape::Messages,
            r#"{"content_block":{"thinking":"","signature":"","type":"thinking"},"index":0,"type":"content_block_start"}"#,
        ),
        (
            Shape::Messages,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}"#,
        ),
        (Shape::Messages, r#"{"type":"content_block_stop","index":0}"#),
        (
            Shape::Messages,
            r#"{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":1}}"#,
        ),
        (
            Shape::Responses,
            r#"{"type":"response.created","response":{"output":[],"instructions":"be brief"}}"#,
        ),
        (Shape::Responses, r#"{"type":"response.queued","response":{"output":[]}}"#),
        (Shape::Responses, r#"{"type":"response.in_progress","response":{"output":[]}}"#),
        (Shape::Responses, r#"{"type":"response.output_item.added","item":{"type":"message","content":[]}}"#),
        (
            Shape::Responses,
            r#"{"type":"response.output_item.added","item":{"type":"reasoning","summary":[]}}"#,
        ),
        (
            Shape::Responses,
            r#"{"type":"response.content_part.added","part":{"type":"output_text","text":""}}"#,
        ),
        (Shape::Responses, r#"{"type":"response.reasoning_summary_part.added","part":{"text":""}}"#),
        (Shape::Responses, r#"{"type":"response.output_text.delta","delta":""}"#),
        (Shape::Cohere, r#"{"type":"message-start","delta":{"message":{"role":"assistant","content":[]}}}"#),
        (
            Shape::Cohere,
            r#"{"type":"content-start","delta":{"message":{"content":{"type":"text","text":""}}}}"#,
        ),
        (Shape::Gemini, r#"{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"}}]}"#),
        (Shape::Gemini, r#"{"candidates":[{"content":{"parts":[{"text":"","thought":true}]}}]}"#),
        (Shape::Gemini, r#"{"usageMetadata":{"promptTokenCount":3},"modelVersion":"m"}"#),
        (Shape::Gemini, r#"{"candidates":[{"finishReason":"FINISH_REASON_UNSPECIFIED"}]}"#),
    ];

    const CONTENTS: &[(Shape, &str)] = &[
        (Shape::Chat, r#"{"choices":[{"delta":{"role":"assistant","content":"a"}}]}"#),
        (Shape::Chat, r#"{"choices":[{"index":0,"delta":{}},{"index":1,"delta":{"content":"a"}}]}"#),
        (Shape::Chat, r#"{"choices":[{"delta":{"reasoning_content":"a"}}]}"#),
        (Shape::Chat, r#"{"choices":[{"delta":{"refusal":"a"}}]}"#),
        (Shape::Chat, r#"{"choices":[{"delta":{"content":"","images":[{"image_url":{"url":"u"}}]}}]}"#),
        (
            Shape::Chat,
            r#"{"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.encrypted","data":"x"}]}}]}"#,
        ),
        (
            Shape::Chat,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]}}]}"#,
        ),
        (Shape::Chat, r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#),
        (Shape::Chat, r#"{"error":{"message":"slow down"}}"#),
        (Shape::Chat, "[DONE]"),
        (Shape::Completions, r#"{"choices":[{"text":"a"}]}"#),
        (Shape::Completions, r#"{"choices":[{"text":"","finish_reason":"length"}]}"#),
        (Shape::Messages, r#"{"type":"message_start","message":{"content":[{"type":"text","text":"a"}]}}"#),
        (Shape::Messages, r#"{"type":"content_block_start","content_block":{"type":"text","text":"a"}}"#),
        (
            Shape::Messages,
            r#"{"type":"content_block_start","content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
        ),
        (
            Shape::Messages,
            r#"{"type":"content_block_start","content_block":{"type":"redacted_thinking","data":"x"}}"#,
        ),
        (
            Shape::Messages,
            r#"{"type":"content_block_start","content_block":{"type":"web_search_tool_result","content":[]}}"#,
        ),
        (Shape::Messages, r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}"#),
        (
            Shape::Messages,
            r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"a"}}"#,
        ),
        (
            Shape::Messages,
            r#"{"type":"content_block_delta","delta":{"type":"signature_delta","signature":"a"}}"#,
        ),
        (
            Shape::Messages,
            r#"{"type":"content_block_delta","delta":{"type":"citations_delta","citation":{"url":"u"}}}"#,
        ),
        (Shape::Messages, r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#),
        (Shape::Messages, r#"{"type":"message_stop"}"#),
        (Shape::Messages, r#"{"type":"error","error":{"type":"overloaded_error"}}"#),
        (Shape::Messages, r#"{"type":"what_is_new"}"#),
        (
            Shape::Responses,
            r#"{"type":"response.created","response":{"output":[{"content":[{"text":"a"}]}]}}"#,
        ),
        (
            Shape::Responses,
            r#"{"type":"response.output_item.added","item":{"type":"function_call","name":"f"}}"#,
        ),
        (Shape::Responses, r#"{"type":"response.output_item.added","item":{"type":"web_search_call"}}"#),
        (
            Shape::Responses,
            r#"{"type":"response.output_item.done","item":{"type":"reasoning","summary":[]}}"#,
        ),
        (Shape::Responses, r#"{"type":"response.output_text.delta","delta":"a"}"#),
        (Shape::Responses, r#"{"type":"response.reasoning_summary_text.delta","delta":"a"}"#),
        (Shape::Responses, r#"{"type":"response.refusal.delta","delta":"a"}"#),
        (Shape::Responses, r#"{"type":"response.web_search_call.in_progress"}"#),
        (Shape::Responses, r#"{"type":"response.completed","response":{"output":[]}}"#),
        (Shape::Responses, r#"{"type":"response.failed","response":{"error":null}}"#),
        (Shape::Cohere, r#"{"type":"content-start","delta":{"message":{"content":{"thinking":"a"}}}}"#),
        (Shape::Cohere, r#"{"type":"content-delta","delta":{"message":{"content":{"text":"a"}}}}"#),
        (Shape::Cohere, r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"a"}}}"#),
        (
            Shape::Cohere,
            r#"{"type":"tool-call-start","delta":{"message":{"tool_calls":{"id":"c","function":{"name":"f"}}}}}"#,
        ),
        (Shape::Cohere, r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#),
        (Shape::Gemini, r#"{"candidates":[{"content":{"parts":[{"text":"a","thought":true}]}}]}"#),
        (Shape::Gemini, r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]}}]}"#),
        (Shape::Gemini, r#"{"candidates":[{"content":{"parts":[{"text":""}]},"finishReason":"STOP"}]}"#),
        (
            Shape::Gemini,
            r#"{"candidates":[{"content":{"parts":[{"codeExecutionResult":{"outcome":"OUTCOME_OK"}}]}}]}"#,
        ),
        (Shape::Gemini, r#"{"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"x"}]}}]}"#),
        (Shape::Gemini, r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#),
        (Shape::Other, r#"{"type":"speech.audio.delta","audio":""}"#),
    ];
}
