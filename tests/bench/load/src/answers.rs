//! What the models answer, made once.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::Outcome;

/// Tokens of every prompt.
const INPUT: u64 = 300;
/// Tokens of the answer that comes as one document.
const OUTPUT: u64 = 300;
/// Dimensions of an embedding; a number takes about 20 bytes.
const DIMENSIONS: usize = 1536;
const NUMBER_BYTES: usize = 20;

/// A chat completion of 1.8 kB.
pub(crate) fn chat() -> Bytes {
    document(&json!({
        "id": "chatcmpl-bench", "object": "chat.completion", "created": 1_700_000_000, "model": "bench",
        "choices": [{
            "index": 0, "message": {"role": "assistant", "content": "word ".repeat(OUTPUT as usize)},
            "logprobs": null, "finish_reason": "stop",
        }],
        "usage": {"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT},
    }))
}

/// A list of embeddings of at least so many bytes.
pub(crate) fn embeddings(bytes: usize) -> Bytes {
    let vector: Vec<f64> = (0..DIMENSIONS).map(|at| (at as f64 * 0.731).sin() / 40.0).collect();
    let data: Vec<Value> = (0..bytes.div_ceil(DIMENSIONS * NUMBER_BYTES).max(1))
        .map(|index| json!({"object": "embedding", "index": index, "embedding": vector}))
        .collect();
    document(&json!({
        "object": "list", "data": data, "model": "bench",
        "usage": {"prompt_tokens": INPUT, "total_tokens": INPUT},
    }))
}

/// The events of an OpenAI chat stream of `chunks` words: role, words, end, usage, `[DONE]`.
pub(crate) fn chat_stream(chunks: usize) -> Vec<Bytes> {
    let mut events = Vec::with_capacity(chunks.saturating_add(4));
    events.push(chat_chunk(&json!({"role": "assistant", "content": ""}), None));
    events.extend(std::iter::repeat_n(chat_word(), chunks));
    events.push(chat_chunk(&json!({}), Some("stop")));
    let output = chunks as u64;
    events.push(server_sent(&json!({
        "id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "bench",
        "choices": [],
        "usage": {"prompt_tokens": INPUT, "completion_tokens": output, "total_tokens": INPUT + output},
    })));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

/// One chunk with a word.
pub(crate) fn chat_word() -> Bytes {
    chat_chunk(&json!({"content": " word"}), None)
}

/// What stands before the time in the id of a chunk of a paced stream.
pub(crate) const SENT_AT: &str = "chatcmpl-sent-";
/// Digits of that time.
pub(crate) const SENT_AT_DIGITS: usize = 20;

/// A chunk that says when it was sent, so that its reader can tell how long it was under way.
pub(crate) fn timed_chat_word(sent_ns: u64) -> Bytes {
    let id = format!("{SENT_AT}{sent_ns:020}");
    server_sent(&chunk_with_id(&id, &json!({"content": " word"}), None))
}

fn chat_chunk(delta: &Value, finish_reason: Option<&str>) -> Bytes {
    server_sent(&chunk_with_id("chatcmpl-bench", delta, finish_reason))
}

fn chunk_with_id(id: &str, delta: &Value, finish_reason: Option<&str>) -> Value {
    json!({
        "id": id, "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "bench",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}],
    })
}

/// A whole Claude message.
pub(crate) fn message() -> Bytes {
    let mut message = message_head();
    if let Some(fields) = message.as_object_mut() {
        fields
            .insert("content".to_owned(), json!([{"type": "text", "text": "word ".repeat(OUTPUT as usize)}]));
        fields.insert("stop_reason".to_owned(), json!("end_turn"));
        fields.insert("usage".to_owned(), json!({"input_tokens": INPUT, "output_tokens": OUTPUT}));
    }
    document(&message)
}

/// The frames in which Bedrock streams a Claude message of so many words.
///
/// # Errors
/// An event that does not fit into a frame.
pub(crate) fn message_stream(words: usize) -> Outcome<Vec<Bytes>> {
    let word = json!({
        "type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " word"},
    });
    let mut frames = vec![
        frame(&json!({"type": "message_start", "message": message_head()}))?,
        frame(&json!({
            "type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""},
        }))?,
    ];
    frames.extend(std::iter::repeat_n(frame(&word)?, words));
    frames.push(frame(&json!({"type": "content_block_stop", "index": 0}))?);
    frames.push(frame(&json!({
        "type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
        "usage": {"output_tokens": words},
    }))?);
    frames.push(frame(&json!({
        "type": "message_stop",
        "amazon-bedrock-invocationMetrics": {
            "inputTokenCount": INPUT, "outputTokenCount": words, "invocationLatency": 1, "firstByteLatency": 1,
        },
    }))?);
    Ok(frames)
}

fn message_head() -> Value {
    json!({
        "id": "msg_bench", "type": "message", "role": "assistant", "model": "bench", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": INPUT, "output_tokens": 1},
    })
}

/// A frame of InvokeModelWithResponseStream. `p` is padding that Bedrock adds.
fn frame(event: &Value) -> Outcome<Bytes> {
    let payload = json!({"bytes": STANDARD.encode(event.to_string()), "p": "abcdefghijklmnop"});
    let mut message = Message::new(payload.to_string().into_bytes());
    for (name, value) in
        [(":event-type", "chunk"), (":content-type", "application/json"), (":message-type", "event")]
    {
        message = message.add_header(Header::new(name, HeaderValue::String(value.into())));
    }
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes)?;
    Ok(bytes.into())
}

fn server_sent(event: &Value) -> Bytes {
    format!("data: {event}\n\n").into()
}

fn document(value: &Value) -> Bytes {
    value.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_have_the_sizes_that_the_scenarios_name() {
        assert!((1_700..1_900).contains(&chat().len()), "{}", chat().len());
        let megabyte = embeddings(1 << 20).len();
        assert!((1 << 20..1_250_000).contains(&megabyte), "{megabyte}");
        assert_eq!(chat_stream(500).len(), 504);
        assert_eq!(message_stream(500).unwrap().len(), 505);
    }

    #[test]
    fn a_timed_chunk_says_when_it_was_sent() {
        let chunk = String::from_utf8(timed_chat_word(42).to_vec()).unwrap();
        let (_, after) = chunk.split_once(SENT_AT).unwrap();
        let (time, _) = after.split_at(SENT_AT_DIGITS);
        assert_eq!(time.parse::<u64>().unwrap(), 42);
    }
}
