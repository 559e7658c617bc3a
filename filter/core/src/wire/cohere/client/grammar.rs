//! What clients of Cohere's streams rely on, as a test sees it, and the answer that the events make.

use serde_json::{Value, json};

/// Reads a whole stream, and gives the answer that its events make; or the error it ended with.
///
/// # Panics
///
/// Where the stream is not one of Cohere's.
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
pub(crate) fn answer_of(stream: &[u8]) -> Result<Value, Value> {
    let stream = std::str::from_utf8(stream).unwrap();
    assert!(stream.ends_with("\n\n"), "the last event is not complete: {stream:?}");
    let blocks = stream.trim_end_matches('\n').split("\n\n").filter(|block| !block.starts_with(':'));
    let mut blocks: Vec<&str> = blocks.collect();
    let is_done = blocks.last() == Some(&"data: [DONE]");
    if is_done {
        blocks.pop();
    }
    let mut events = blocks.into_iter().map(|block| {
        let (name, data) = block.split_once('\n').unwrap();
        let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(event["type"], name.strip_prefix("event: ").unwrap(), "the name and the type differ");
        event
    });
    let start = events.next().unwrap();
    assert_eq!(
        (&start["type"], &start["delta"]["message"]["role"]),
        (&json!("message-start"), &json!("assistant"))
    );
    assert!(start["id"].is_string());
    let mut made = Made::default();
    while let Some(event) = events.next() {
        if event["type"] != "message-end" {
            made.grow(&event);
            continue;
        }
        assert!(events.next().is_none(), "something follows the end");
        let delta = &event["delta"];
        if delta["error"].is_string() {
            assert!(!is_done && delta["finish_reason"] == "ERROR");
            return Err(event);
        }
        assert!(is_done, "the end is not said: {stream}");
        assert!(delta["usage"]["tokens"]["input_tokens"].is_u64());
        return Ok(made.answer(&start["id"], delta));
    }
    panic!("the stream has no end: {stream}")
}

/// What the events have made so far.
#[derive(Default)]
struct Made {
    content: Vec<Value>,
    is_growing: bool,
    calls: Vec<Value>,
    open_calls: Vec<usize>,
    citations: Vec<Value>,
    is_citing: bool,
    logprobs: Vec<Value>,
}

#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
impl Made {
    fn grow(&mut self, event: &Value) {
        let index = usize::try_from(event["index"].as_u64().unwrap()).unwrap();
        let message = &event["delta"]["message"];
        let kind = event["type"].as_str().unwrap();
        assert!(!self.is_citing || kind == "citation-end", "{kind} within a citation");
        match kind {
            "content-start" => {
                assert_eq!((index, self.is_growing), (self.content.len(), false), "blocks come one by one");
                self.content.push(message["content"].clone());
                self.is_growing = true;
            }
            "content-delta" => {
                assert_eq!((index + 1, self.is_growing), (self.content.len(), true), "no such block is open");
                let block = self.content.last_mut().unwrap();
                let member = block["type"].as_str().unwrap().to_owned();
                append(&mut block[&member], &message["content"][&member]);
                if let Some(logprobs) = event.get("logprobs") {
                    assert!(logprobs["token_ids"].is_array());
                    let all = logprobs["logprobs"].as_array().unwrap();
                    self.logprobs.extend(all.iter().cloned());
                }
            }
            "content-end" => {
                assert_eq!((index + 1, self.is_growing), (self.content.len(), true), "no such block is open");
                self.is_growing = false;
            }
            "tool-call-start" => {
                let call = &message["tool_calls"];
                assert_eq!((index, self.is_growing), (self.calls.len(), false));
                assert_eq!((&call["type"], &call["function"]["arguments"]), (&json!("function"), &json!("")));
                assert!(call["id"].is_string() && call["function"]["name"].is_string());
                self.calls.push(call.clone());
                self.open_calls.push(index);
            }
            "tool-call-delta" => {
                assert!(self.open_calls.contains(&index), "the call is not open");
                let arguments = &message["tool_calls"]["function"]["arguments"];
                append(&mut self.calls[index]["function"]["arguments"], arguments);
            }
            "tool-call-end" => {
                assert!(self.open_calls.contains(&index), "the call is not open");
                self.open_calls.retain(|open| *open != index);
            }
            "citation-start" => {
                let citation = message["citations"].clone();
                assert_eq!(index, self.citations.len());
                assert_eq!(
                    (citation["content_index"].as_u64(), self.is_growing),
                    (Some(self.content.len() as u64 - 1), true)
                );
                self.citations.push(citation);
                self.is_citing = true;
            }
            "citation-end" => {
                assert_eq!((index + 1, self.is_citing), (self.citations.len(), true));
                self.is_citing = false;
            }
            other => panic!("an event {other}"),
        }
    }

    fn answer(self, id: &Value, end: &Value) -> Value {
        assert!(!self.is_growing && !self.is_citing && self.open_calls.is_empty(), "something has no end");
        let mut message = json!({"role": "assistant"});
        for (name, list) in
            [("content", self.content), ("tool_calls", self.calls), ("citations", self.citations)]
        {
            if !list.is_empty() {
                message[name] = json!(list);
            }
        }
        let (finish_reason, usage) = (&end["finish_reason"], &end["usage"]);
        let mut answer =
            json!({"id": id, "finish_reason": finish_reason, "message": message, "usage": usage});
        if !self.logprobs.is_empty() {
            answer["logprobs"] = json!(self.logprobs);
        }
        answer
    }
}

#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
fn append(to: &mut Value, piece: &Value) {
    *to = json!(format!("{}{}", to.as_str().unwrap(), piece.as_str().unwrap()));
}
