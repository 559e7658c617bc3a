//! What clients of Responses' streams rely on, as a test sees it: which event may follow which, and the answer that
//! they make.

use serde_json::{Value, json};

/// Reads a whole stream, and gives the response that it ends with, which must be the one that its events make; or the
/// error it ended with.
///
/// # Panics
///
/// Where the stream is not one of Responses'.
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
pub(crate) fn response_of(stream: &[u8]) -> Result<Value, Value> {
    let stream = std::str::from_utf8(stream).unwrap();
    assert!(stream.ends_with("\n\n"), "the last event is not complete: {stream:?}");
    let blocks = stream.trim_end_matches('\n').split("\n\n").filter(|block| !block.starts_with(':'));
    let mut events = (0_u64..).zip(blocks.map(|block| {
        let (name, data) = block.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["type"], name.strip_prefix("event: ").unwrap(), "the name and the type differ");
        data
    }));
    let mut begun = Value::Null;
    for kind in ["response.created", "response.in_progress"] {
        let (number, event) = events.next().unwrap();
        assert_eq!((&event["type"], &event["sequence_number"]), (&json!(kind), &json!(number)));
        begun = event["response"].clone();
        is_response(&begun);
        assert_eq!((&begun["status"], &begun["output"]), (&json!("in_progress"), &json!([])));
        assert_eq!(begun["usage"], Value::Null);
    }
    let mut items: Vec<Item> = Vec::new();
    while let Some((number, event)) = events.next() {
        assert_eq!(event["sequence_number"], number, "events are numbered one by one");
        let kind = event["type"].as_str().unwrap();
        match kind {
            "error" => {
                assert!(event["code"].is_string() && event["param"].is_null());
                assert_eq!(event["message"], event["error"]["message"]);
                assert!(event["error"]["type"].is_string());
                let (number, failed) = events.next().unwrap();
                assert_eq!(failed["type"], "response.failed");
                assert_eq!(failed["sequence_number"], number);
                let response = &failed["response"];
                is_response(response);
                assert_eq!((&response["status"], &response["id"]), (&json!("failed"), &begun["id"]));
                assert_eq!(response["error"]["message"], event["message"]);
                assert!(events.next().is_none(), "something follows the end");
                return Err(event);
            }
            "response.completed" | "response.incomplete" => {
                assert!(events.next().is_none(), "something follows the end");
                let response = event["response"].clone();
                is_response(&response);
                assert_eq!(kind.strip_prefix("response.").unwrap(), response["status"]);
                assert_eq!(response["incomplete_details"].is_object(), kind == "response.incomplete");
                for member in ["id", "created_at", "model", "tools", "instructions"] {
                    assert_eq!(response[member], begun[member], "{member}");
                }
                assert!(response["usage"]["input_tokens_details"]["cached_tokens"].is_u64());
                let made: Vec<Value> = items
                    .into_iter()
                    .map(|item| item.done.unwrap_or_else(|| panic!("an item has no end")))
                    .collect();
                assert_eq!(response["output"], json!(made));
                return Ok(response);
            }
            "response.output_item.added" => {
                assert_eq!(event["output_index"], items.len(), "items are numbered one by one");
                let item = event["item"].clone();
                let id = item["id"].as_str().unwrap();
                assert!(id.len() <= 64 && items.iter().all(|other| other.made["id"] != id), "{id}");
                assert!(items.iter().all(|other| other.done.is_some() || other.made["type"] != "message"));
                items.push(Item { made: item, is_growing: false, done: None });
            }
            "response.output_item.done" => {
                let item = &mut items[usize::try_from(event["output_index"].as_u64().unwrap()).unwrap()];
                item.end(event["item"].clone());
            }
            _ => {
                let item = &mut items[usize::try_from(event["output_index"].as_u64().unwrap()).unwrap()];
                assert_eq!(item.made["id"], event["item_id"], "the id is of another item");
                assert!(item.done.is_none(), "{kind} behind the end of its item");
                item.grow(kind, &event);
            }
        }
    }
    panic!("the stream has no end: {stream}")
}

fn is_response(response: &Value) {
    assert_eq!((&response["object"], &response["store"]), (&json!("response"), &json!(false)));
    assert!(response["id"].as_str().is_some_and(|id| id.starts_with("resp_")));
    assert!(response["model"].is_string() && response["created_at"].is_u64());
    assert!(response["tools"].is_array() && response["parallel_tool_calls"].is_boolean());
    assert!(response["text"].is_object() && response["metadata"].is_object());
}

/// An item as its events make it.
struct Item {
    made: Value,
    /// A part of it is not complete.
    is_growing: bool,
    done: Option<Value>,
}

#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
impl Item {
    fn grow(&mut self, kind: &str, event: &Value) {
        let is = self.made["type"].as_str().unwrap();
        let (of, list, index) = match kind {
            "response.function_call_arguments.delta" | "response.function_call_arguments.done" => {
                return self.given("function_call", "arguments", kind, event);
            }
            "response.custom_tool_call_input.delta" | "response.custom_tool_call_input.done" => {
                return self.given("custom_tool_call", "input", kind, event);
            }
            _ if kind.starts_with("response.reasoning_summary_") => ("reasoning", "summary", "summary_index"),
            _ => ("message", "content", "content_index"),
        };
        assert_eq!(is, of, "{kind}");
        let parts = self.made[list].as_array_mut().unwrap();
        let is_added =
            matches!(kind, "response.content_part.added" | "response.reasoning_summary_part.added");
        assert_eq!(is_added, !self.is_growing, "{kind} where no part is open, or one is");
        if is_added {
            assert_eq!(event[index], parts.len(), "parts are numbered one by one");
            parts.push(event["part"].clone());
            self.is_growing = true;
            return;
        }
        assert_eq!(event[index], parts.len() - 1, "{kind} of another part");
        let part = parts.last_mut().unwrap();
        match kind {
            "response.output_text.delta" => {
                append(part, "output_text", "text", event);
                let told = part["logprobs"].as_array_mut().unwrap();
                told.extend(event["logprobs"].as_array().unwrap().iter().cloned());
            }
            "response.refusal.delta" => append(part, "refusal", "refusal", event),
            "response.reasoning_summary_text.delta" => append(part, "summary_text", "text", event),
            "response.output_text.done" | "response.reasoning_summary_text.done" => {
                assert_eq!(part["text"], event["text"]);
                if let Some(logprobs) = event.get("logprobs") {
                    let told = part["logprobs"].as_array().unwrap();
                    assert!(
                        logprobs.as_array().unwrap().starts_with(told),
                        "tokens that were not told again"
                    );
                    part["logprobs"] = logprobs.clone();
                }
            }
            "response.refusal.done" => assert_eq!(part["refusal"], event["refusal"]),
            "response.output_text.annotation.added" => {
                let annotations = part["annotations"].as_array_mut().unwrap();
                assert_eq!(event["annotation_index"], annotations.len());
                annotations.push(event["annotation"].clone());
            }
            "response.content_part.done" | "response.reasoning_summary_part.done" => {
                assert_eq!(*part, event["part"]);
                self.is_growing = false;
            }
            other => panic!("an event {other}"),
        }
    }

    /// What a tool is given.
    fn given(&mut self, of: &str, member: &str, kind: &str, event: &Value) {
        if kind.ends_with(".delta") {
            append(&mut self.made, of, member, event);
        } else {
            assert_eq!((&self.made["type"], &self.made[member]), (&json!(of), &event[member]));
        }
    }

    fn end(&mut self, whole: Value) {
        assert!(self.done.is_none() && !self.is_growing, "an item ends twice, or within a part");
        let mut made = self.made.clone();
        // What is told at the end only.
        for member in ["status", "encrypted_content"] {
            if let Some(value) = whole.get(member) {
                made[member] = value.clone();
            }
        }
        assert_eq!(made, whole, "the events and the item differ");
        assert!(whole["status"] != "in_progress");
        self.done = Some(whole);
    }
}

#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
fn append(to: &mut Value, of: &str, member: &str, event: &Value) {
    assert_eq!(to["type"], of, "{} of another kind", event["type"]);
    to[member] = json!(format!("{}{}", to[member].as_str().unwrap(), event["delta"].as_str().unwrap()));
}
