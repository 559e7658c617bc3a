//! What a backend is told to answer.

use std::io::Write;

use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weir_core::headers::Headers;

/// A scripted answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) chunks: Vec<Vec<u8>>,
    /// The end comes with the headers: there is no body at all.
    pub(crate) headers_only: bool,
    /// The end comes with the last chunk, not in an empty one of its own.
    pub(crate) end_with_chunk: bool,
    /// The end never comes: the client leaves, or the connection breaks.
    pub(crate) breaks: bool,
}

impl Answer {
    pub(crate) fn new(status: u16, media_type: &str, body: impl AsRef<[u8]>) -> Answer {
        Answer {
            status,
            headers: vec![("content-type".to_owned(), media_type.to_owned())],
            chunks: vec![body.as_ref().to_vec()],
            headers_only: false,
            end_with_chunk: true,
            breaks: false,
        }
    }

    pub(crate) fn json(status: u16, body: &str) -> Answer {
        Answer::new(status, "application/json", body).header("content-length", &body.len().to_string())
    }

    pub(crate) fn sse(body: &str) -> Answer {
        Answer::new(200, "text/event-stream", body)
    }

    /// The events of an InvokeModel stream.
    pub(crate) fn frames(events: &[&str]) -> Answer {
        let body: Vec<u8> = events.iter().flat_map(|event| frame(event)).collect();
        Answer::new(200, "application/vnd.amazon.eventstream", body)
    }

    /// The events of a Converse stream, each with its name before it.
    pub(crate) fn named_frames(events: &[&str]) -> Answer {
        let body: Vec<u8> = events.iter().flat_map(|event| named_frame(event)).collect();
        Answer::new(200, "application/vnd.amazon.eventstream", body)
    }

    pub(crate) fn headers_only(status: u16) -> Answer {
        Answer { headers_only: true, headers: Vec::new(), ..Answer::new(status, "", "") }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// More bytes at the end.
    pub(crate) fn then(mut self, bytes: impl AsRef<[u8]>) -> Answer {
        self.chunks.push(bytes.as_ref().to_vec());
        self
    }

    pub(crate) fn gzipped(mut self) -> Answer {
        self.chunks = vec![gzip(&self.body())];
        self.headers.retain(|(name, _)| name != "content-length");
        self.header("content-encoding", "gzip")
    }

    pub(crate) fn breaks(mut self) -> Answer {
        self.breaks = true;
        self
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    /// The same bytes in other chunks.
    pub(crate) fn in_chunks(mut self, chunks: Vec<Vec<u8>>, end_with_chunk: bool) -> Answer {
        self.chunks = chunks;
        self.end_with_chunk = end_with_chunk;
        self
    }

    pub(crate) fn header_map(&self) -> Headers {
        let status = (":status".to_owned(), self.status.to_string());
        std::iter::once(status).chain(self.headers.iter().cloned()).collect()
    }
}

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// A frame with one event of the model's own.
pub(crate) fn frame(event: &str) -> Vec<u8> {
    let payload = format!(r#"{{"bytes":"{}","p":"abcdef"}}"#, STANDARD.encode(event));
    encode_frame(&[(":event-type", "chunk"), (":message-type", "event")], payload.as_bytes())
}

/// A frame of an event with its name before it.
pub(crate) fn named_frame(event: &str) -> Vec<u8> {
    let (name, payload) = event.split_once(' ').unwrap();
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    encode_frame(&headers, payload.as_bytes())
}

/// A frame that reports an error.
pub(crate) fn exception(name: &str, payload: &str) -> Vec<u8> {
    encode_frame(&[(":exception-type", name), (":message-type", "exception")], payload.as_bytes())
}

fn encode_frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let headers = headers
        .iter()
        .map(|(name, value)| Header::new((*name).to_owned(), HeaderValue::String((*value).to_owned().into())))
        .collect();
    let mut out = Vec::new();
    let message = Message::new_from_parts(headers, payload.to_vec());
    aws_smithy_eventstream::frame::write_message_to(&message, &mut out).unwrap();
    out
}

/// The events of a streamed message, as Anthropic sends them.
pub(crate) const MESSAGE_EVENTS: &[&str] = &[
    r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[],"stop_reason":null,"usage":{"input_tokens":9,"cache_read_input_tokens":20,"output_tokens":1}}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Grüß"}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" Gott"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":5}}"#,
    r#"{"type":"message_stop"}"#,
];

/// The events of a streamed answer, as Gemini sends them.
pub(crate) const GEMINI_EVENTS: &[&str] = &[
    r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Grüß"}]}}],"usageMetadata":{"promptTokenCount":9,"totalTokenCount":9,"trafficType":"ON_DEMAND"},"modelVersion":"gemini-2.5-pro","responseId":"g1"}"#,
    r#"{"candidates":[{"content":{"role":"model","parts":[{"text":" Gott"},{"functionCall":{"name":"f","args":{"a":1.50}}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":5,"thoughtsTokenCount":2,"totalTokenCount":16},"modelVersion":"gemini-2.5-pro","responseId":"g1"}"#,
];

/// The events of a streamed chat, as Cohere sends them.
pub(crate) const COHERE_EVENTS: &[&str] = &[
    r#"{"id":"c-1","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}"#,
    r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":""}}}}"#,
    r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Grüß"}}}}"#,
    r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":" Gott"}}}}"#,
    r#"{"type":"content-end","index":0}"#,
    r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":3,"output_tokens":2},"tokens":{"input_tokens":29.0,"output_tokens":5.0},"cached_tokens":20.0}}}"#,
];

/// The events of a streamed answer, as Converse sends them.
pub(crate) const CONVERSE_EVENTS: &[&str] = &[
    r#"messageStart {"role":"assistant","p":"abcdefgh"}"#,
    r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"Grüß"},"p":"ab"}"#,
    r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"text":" Gott"}}"#,
    r#"contentBlockStop {"contentBlockIndex":0}"#,
    r#"messageStop {"stopReason":"end_turn"}"#,
    r#"metadata {"usage":{"inputTokens":9,"outputTokens":5,"totalTokens":14,"cacheReadInputTokens":20},"metrics":{"latencyMs":3}}"#,
];

/// A whole answer, as Converse sends it.
pub(crate) const CONVERSED: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"Hello"}]}},"stopReason":"max_tokens","usage":{"inputTokens":5,"outputTokens":1,"totalTokens":6,"cacheReadInputTokens":20},"metrics":{"latencyMs":3}}"#;

/// Server-sent events with the name that is in them.
pub(crate) fn named_sse(events: &[&str]) -> String {
    let named = |event: &&str| {
        let value: serde_json::Value = serde_json::from_str(event).unwrap();
        format!("event: {}\ndata: {event}\n\n", value["type"].as_str().unwrap())
    };
    events.iter().map(named).collect()
}

/// Server-sent events without names, and OpenAI's end.
pub(crate) fn chat_sse(chunks: &[&str]) -> String {
    plain_sse(chunks) + "data: [DONE]\n\n"
}

/// Server-sent events without names.
pub(crate) fn plain_sse(chunks: &[&str]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect()
}

/// A streamed chat completion; the last chunk is the usage that the gateway asks for.
pub(crate) const CHAT_CHUNKS: &[&str] = &[
    r#"{"id":"c1","object":"chat.completion.chunk","model":"qwen3-8b","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
    r#"{"id":"c1","object":"chat.completion.chunk","model":"qwen3-8b","choices":[{"index":0,"delta":{"content":"Hé"},"finish_reason":null}]}"#,
    r#"{"id":"c1","object":"chat.completion.chunk","model":"qwen3-8b","choices":[{"index":0,"delta":{"content":"y"},"finish_reason":null}]}"#,
    r#"{"id":"c1","object":"chat.completion.chunk","model":"qwen3-8b","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    r#"{"id":"c1","object":"chat.completion.chunk","model":"qwen3-8b","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":2,"total_tokens":13,"prompt_tokens_details":{"cached_tokens":4}}}"#,
];

/// A whole message, as Anthropic sends it.
pub(crate) const MESSAGE: &str = r#"{"id":"msg_9","type":"message","role":"assistant","model":"claude-x","content":[{"type":"text","text":"Hello"}],"stop_reason":"max_tokens","stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":1,"cache_read_input_tokens":20,"cache_creation_input_tokens":0}}"#;

/// A whole chat completion.
pub(crate) const COMPLETION: &str = r#"{"id":"c1","object":"chat.completion","model":"qwen3-8b","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":2,"total_tokens":13,"completion_tokens_details":{"reasoning_tokens":1}}}"#;

/// Bytes that show themselves as text where a test fails.
#[derive(Clone, PartialEq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}
