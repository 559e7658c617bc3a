//! Bodies like those that clients and providers send.

/// A prompt of about 1.3 kB, a long one, and one with a document in it.
pub(crate) const SIZES: [usize; 3] = [1_300, 100_000, 1_000_000];

/// What a prompt is about decides how often a scan has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    /// An escape at each end of a paragraph.
    Prose,
    /// A program: an escape every twenty bytes.
    Code,
    /// Two bytes to a letter.
    Greek,
    /// One string without anything to stop at, such as an image in base64.
    Base64,
}

pub(crate) const PROSE: &str = "The committee met on the second day and went through the list once more. Nobody had objected to \
    the dates, but two of the members asked how the figures of the spring were found, and whether the instruments had \
    been read by the same person each time.\\n\\nThey were told: \\\"by three, in turns\\\". The minutes say no more.\\n";
pub(crate) const CODE: &str =
    "    if let Some(found) = map.get(\\\"key\\\") {\\n        out.push(found);\\n    }\\n";
const GREEK: &str = "Η επιτροπή συνεδρίασε τη δεύτερη ημέρα και εξέτασε τον κατάλογο ακόμη μία φορά.\\n";
const BASE64: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg";

/// A chat request of about `size` bytes.
pub(crate) fn chat(size: usize, text: Text) -> Vec<u8> {
    let piece = match text {
        Text::Prose => PROSE,
        Text::Code => CODE,
        Text::Greek => GREEK,
        Text::Base64 => BASE64,
    };
    // Messages of up to 4 kB, as in a long conversation; what is encoded is one.
    let message = if text == Text::Base64 { size } else { 4_000 };
    let mut body = String::from(r#"{"model":"gpt-4.1-mini","messages":["#);
    let mut roles = ["user", "assistant"].iter().cycle();
    body.push_str(r#"{"role":"system","content":"You are a helpful assistant."}"#);
    while body.len() + 200 < size {
        let length = message.min(size - body.len() - 150);
        let content = piece.repeat(length.div_ceil(piece.len()).max(1));
        body.push_str(&format!(r#",{{"role":"{}","content":"{content}"}}"#, roles.next().unwrap()));
    }
    body.push_str(r#"],"temperature":0.7,"max_tokens":512,"stream":false,"user":"ann"}"#);
    body.into_bytes()
}

/// What a chat of two hundred words is answered.
pub(crate) fn completion() -> Vec<u8> {
    let content = PROSE.repeat(3);
    format!(
        r#"{{"id":"chatcmpl-B1","object":"chat.completion","created":1790000000,"model":"gpt-4.1-mini-2025-04-14","choices":[{{"index":0,"message":{{"role":"assistant","content":"{content}","refusal":null,"annotations":[]}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":270,"completion_tokens":210,"total_tokens":480,"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0}}}},"service_tier":"default","system_fingerprint":"fp_1"}}"#
    )
    .into_bytes()
}

/// The same from Anthropic.
pub(crate) fn message() -> Vec<u8> {
    let content = PROSE.repeat(3);
    format!(
        r#"{{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[{{"type":"text","text":"{content}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":270,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":210}}}}"#
    )
    .into_bytes()
}

/// The data of each event of a streamed chat completion: `count` pieces of text, then the finish, usage and `[DONE]`.
pub(crate) fn chat_events(count: usize) -> Vec<String> {
    let chunk = |inside: &str| {
        format!(
            r#"{{"id":"chatcmpl-B1","object":"chat.completion.chunk","created":1790000000,"model":"gpt-4.1-mini-2025-04-14","service_tier":"default","system_fingerprint":"fp_1",{inside}}}"#
        )
    };
    let text = chunk(
        r#""choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null"#,
    );
    let finish =
        chunk(r#""choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null"#);
    let usage =
        chunk(r#""choices":[],"usage":{"prompt_tokens":270,"completion_tokens":2000,"total_tokens":2270}"#);
    let mut events = vec![text; count];
    events.extend([finish, usage, "[DONE]".to_owned()]);
    events
}

/// The events as they are sent, one by one.
pub(crate) fn sse(events: &[String]) -> Vec<Vec<u8>> {
    events.iter().map(|data| format!("data: {data}\n\n").into_bytes()).collect()
}

/// The same bytes in pieces of `size`.
pub(crate) fn pieces(chunks: &[Vec<u8>], size: usize) -> Vec<Vec<u8>> {
    chunks.concat().chunks(size).map(<[u8]>::to_vec).collect()
}
