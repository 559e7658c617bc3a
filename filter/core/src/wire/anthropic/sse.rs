//! What an event of Anthropic's is.

use std::borrow::Cow;

use serde::Deserialize;

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

    #[test]
    fn only_a_word_is_a_type() {
        assert_eq!(event_type(br#"{"type":"message_stop"}"#).as_deref(), Some("message_stop"));
        assert_eq!(event_type(b"{\"type\":\n\"ping\"}").as_deref(), Some("ping"));
        assert_eq!(event_type(br#"{"type":"a\n\ndata: b"}"#), None);
        assert_eq!(event_type(b"x"), None);
    }
}
