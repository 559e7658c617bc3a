//! What clients of Anthropic's streams rely on, as a test sees it: which event may follow which, and the message that
//! they make.

use serde_json::{Map, Value, json};

/// Reads a whole stream, and gives the message that its events make, as Anthropic's SDKs do; or the error it ended
/// with.
///
/// # Panics
///
/// Where the stream is not one of Anthropic's.
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
pub(crate) fn message_of(stream: &[u8]) -> Result<Value, Value> {
    let stream = std::str::from_utf8(stream).unwrap();
    assert!(stream.ends_with("\n\n"), "the last event is not complete: {stream:?}");
    let mut message: Option<Value> = None;
    // The block that is open, with the pieces of its input.
    let mut open: Option<String> = None;
    let mut has_stop = false;
    let mut events = stream.trim_end_matches('\n').split("\n\n").peekable();
    while let Some(event) = events.next() {
        let (name, data) = event.split_once('\n').unwrap();
        let name = name.strip_prefix("event: ").unwrap();
        let mut data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["type"], name, "the name and the type differ");
        match name {
            "message_start" => {
                assert!(message.is_none(), "a second message_start");
                let begun = data["message"].take();
                for (member, expected) in [
                    ("type", json!("message")),
                    ("role", json!("assistant")),
                    ("content", json!([])),
                    ("stop_reason", Value::Null),
                ] {
                    assert_eq!(begun[member], expected, "{member} of message_start");
                }
                assert!(begun["id"].is_string() && begun["model"].is_string());
                assert!(begun["usage"]["input_tokens"].is_u64() && begun["usage"]["output_tokens"].is_u64());
                message = Some(begun);
                continue;
            }
            "error" => {
                assert!(data["error"]["type"].is_string() && data["error"]["message"].is_string());
                assert_eq!(events.next(), None, "something follows the error");
                return Err(data);
            }
            _ => {}
        }
        let message = message.as_mut().unwrap_or_else(|| panic!("{name} before message_start"));
        let content = message["content"].as_array_mut().unwrap();
        match name {
            "ping" => {}
            "content_block_start" => {
                assert!(open.is_none(), "a block begins before the last one has ended");
                assert!(!has_stop, "a block begins behind message_delta");
                assert_eq!(data["index"], content.len(), "blocks are numbered one by one");
                let block = data["content_block"].take();
                let empty = match block["type"].as_str().unwrap() {
                    "text" => json!({"type": "text", "text": ""}),
                    "thinking" => json!({"type": "thinking", "thinking": "", "signature": ""}),
                    "tool_use" => {
                        assert!(!block["id"].as_str().unwrap().is_empty() && block["name"].is_string());
                        json!({"type": "tool_use", "id": block["id"], "name": block["name"], "input": {}})
                    }
                    _ => block.clone(),
                };
                assert_eq!(block, empty, "a block begins with something in it");
                content.push(block);
                open = Some(String::new());
            }
            "content_block_delta" => {
                let input = open.as_mut().unwrap_or_else(|| panic!("a delta of no open block"));
                assert_eq!(data["index"], content.len() - 1, "a delta of another block");
                let block = content.last_mut().unwrap();
                let kind = data["delta"]["type"].as_str().unwrap().to_owned();
                let piece = data["delta"].as_object().unwrap().values().nth(1).unwrap();
                let (of, member) = match kind.as_str() {
                    "text_delta" => ("text", "text"),
                    "thinking_delta" => ("thinking", "thinking"),
                    "signature_delta" => {
                        assert_eq!(block["signature"], "", "SDKs keep the last signature only");
                        ("thinking", "signature")
                    }
                    "input_json_delta" => {
                        assert_eq!(block["type"], "tool_use");
                        input.push_str(piece.as_str().unwrap());
                        continue;
                    }
                    "citations_delta" => {
                        assert_eq!(block["type"], "text");
                        let citations =
                            block.as_object_mut().unwrap().entry("citations").or_insert(json!([]));
                        citations.as_array_mut().unwrap().push(piece.clone());
                        continue;
                    }
                    other => panic!("a delta of type {other}"),
                };
                assert_eq!(block["type"], of, "{kind} of another kind of block");
                block[member] =
                    json!(format!("{}{}", block[member].as_str().unwrap(), piece.as_str().unwrap()));
            }
            "content_block_stop" => {
                let input = open.take().unwrap_or_else(|| panic!("a stop of no open block"));
                assert_eq!(data["index"], content.len() - 1, "a stop of another block");
                let block = content.last_mut().unwrap();
                assert!(block["type"] != "text" || block["text"] != "", "Anthropic has no empty texts");
                if !input.is_empty() {
                    // An answer that was cut leaves what it came to.
                    block["input"] = serde_json::from_str(&input).unwrap_or(json!({}));
                }
            }
            "message_delta" => {
                assert!(open.is_none() && !has_stop, "message_delta in the midst, or twice");
                has_stop = true;
                assert!(data["delta"]["stop_reason"].is_string());
                assert!(data["usage"]["output_tokens"].is_u64());
                let usage: Map<String, Value> = data["usage"].as_object().unwrap().clone();
                message["usage"].as_object_mut().unwrap().extend(usage);
                let delta: Map<String, Value> = data["delta"].as_object().unwrap().clone();
                message.as_object_mut().unwrap().extend(delta);
            }
            "message_stop" => {
                assert!(has_stop, "message_stop without a message_delta");
                assert_eq!(events.next(), None, "something follows message_stop");
                return Ok(message.clone());
            }
            other => panic!("an event {other}"),
        }
    }
    panic!("the stream has no end: {stream}")
}
