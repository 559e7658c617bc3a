//! Anthropic's events as server-sent events, for clients that speak Anthropic's own API to Claude elsewhere.

use std::borrow::Cow;

use serde::Deserialize;

/// Appends an event whose data came without its name, as from AWS Bedrock: `event: <type>` and the data's own bytes.
///
/// Data that is not an event of Anthropic's is written without a name, which Anthropic's SDKs skip.
pub fn write_event(data: &[u8], out: &mut Vec<u8>) {
    if let Some(name) = event_type(data) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    for line in data.split(|byte| matches!(byte, b'\n' | b'\r')) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// The event's `type`, if it is a word: anything else could not be written in one line.
pub(super) fn event_type(data: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct TypeOnly<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
    }
    let TypeOnly { kind } = serde_json::from_slice(data).ok()?;
    let is_word = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_word.then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(data: &str) -> String {
        let mut out = Vec::new();
        write_event(data.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_type_inside_becomes_the_name() {
        assert_eq!(
            written(r#"{"type":"message_stop"}"#),
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
        );
    }

    #[test]
    fn no_data_can_end_its_event_early() {
        assert_eq!(written("{\"type\":\n\"ping\"}"), "event: ping\ndata: {\"type\":\ndata: \"ping\"}\n\n");
        assert_eq!(written(r#"{"type":"a\n\ndata: b"}"#), "data: {\"type\":\"a\\n\\ndata: b\"}\n\n");
        assert_eq!(written("x\r\r\ny"), "data: x\ndata: \ndata: \ndata: y\n\n");
    }
}
