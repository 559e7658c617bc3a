//! What an event is about, told from its data without building a tree.

use std::sync::LazyLock;

use memchr::memmem::{self, Finder};

use crate::codec::json;
use crate::endpoint::Endpoint;

/// True when an event of `endpoint` carries content, so that waiting for the first token ends with it: roles, pings and
/// usage do not.
pub(super) fn has_content(endpoint: Endpoint, data: &[u8]) -> bool {
    match endpoint {
        Endpoint::Messages => has_type(data, "content_block_delta"),
        Endpoint::ChatCompletions => {
            has_text(data, &CONTENT)
                || has_text(data, &REASONING_CONTENT)
                || has_text(data, &REASONING)
                || TOOL_CALLS.find(data).is_some()
        }
        Endpoint::Completions => has_text(data, &TEXT),
        Endpoint::Responses => memmem::find(data, b".delta\"").is_some(),
        _ => true,
    }
}

/// False for what cannot be an event of any API. Only the ends are looked at: most events pass unread.
pub(super) fn may_be_json(data: &[u8]) -> bool {
    let data = data.trim_ascii();
    data.starts_with(b"{") && data.ends_with(b"}")
}

/// The event's own `type`, which is also its name as a server-sent event.
pub(super) fn name(data: &[u8]) -> Option<String> {
    let [name] = json::scan(data, ["type"]).ok()?.members;
    name?.as_str(data).map(Into::into)
}

/// True when the member `type` of the event has this value, as every producer writes it.
fn has_type(data: &[u8], name: &str) -> bool {
    memmem::find_iter(data, b"\"type\"").any(|at| {
        let rest = data.get(at + b"\"type\"".len()..).unwrap_or_default().trim_ascii_start();
        let value = rest.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
        value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_prefix(name.as_bytes()))
            .is_some_and(|rest| rest.starts_with(b"\""))
    })
}

/// A search that is prepared once: most events are short, and preparing takes longer than searching.
type Search = LazyLock<Finder<'static>>;

static CONTENT: Search = LazyLock::new(|| Finder::new("\"content\":"));
static REASONING_CONTENT: Search = LazyLock::new(|| Finder::new("\"reasoning_content\":"));
static REASONING: Search = LazyLock::new(|| Finder::new("\"reasoning\":"));
static TOOL_CALLS: Search = LazyLock::new(|| Finder::new("\"tool_calls\":[{"));
static TEXT: Search = LazyLock::new(|| Finder::new("\"text\":"));

/// True when the member `key` is a string that is not empty.
fn has_text(data: &[u8], key: &Search) -> bool {
    key.find_iter(data).any(|at| {
        let value = data.get(at + key.needle().len()..).unwrap_or_default().trim_ascii_start();
        value.starts_with(b"\"") && !value.starts_with(b"\"\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_role_is_no_content() {
        let chat = |data: &[u8]| has_content(Endpoint::ChatCompletions, data);
        assert!(!chat(br#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#));
        assert!(!chat(br#"{"choices":[{"delta":{"role":"assistant","content":null}}]}"#));
        assert!(chat(br#"{"choices":[{"delta":{"content": "H"}}]}"#));
        assert!(chat(br#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#));
        assert!(!has_content(Endpoint::Messages, br#"{"type":"ping"}"#));
        assert!(has_content(Endpoint::Messages, br#"{ "type" : "content_block_delta" }"#));
        assert_eq!(name(br#"{"index":0,"type":"ping"}"#).as_deref(), Some("ping"));
    }
}
