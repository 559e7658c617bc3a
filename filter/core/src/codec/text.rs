//! What some write before or into JSON and some parsers take, others not.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::{memchr, memmem};

/// The byte order mark in UTF-8. "Implementations ... may ignore the presence of a byte order mark" (RFC 8259, 8.1),
/// and parsers disagree whether they do: what is read here may have one, what is rewritten has none.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// `json` without a byte order mark before it.
#[must_use]
pub fn without_mark(json: &[u8]) -> &[u8] {
    json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json)
}

/// How the escapes of surrogates begin. Searchers are prepared once: most requests and arguments of calls are short,
/// and preparing takes longer than searching.
static HALVES: LazyLock<[memmem::Finder<'static>; 2]> =
    LazyLock::new(|| [memmem::Finder::new(br"\ud"), memmem::Finder::new(br"\uD")]);

/// `json` with each half of a surrogate pair that has no other half, such as `\ud800`, replaced by `\ufffd`; borrowed
/// when there is none. Such an escape is JSON (RFC 8259, 8.2), but no text: serde_json and Anthropic refuse it.
#[must_use]
pub fn with_whole_characters(json: &[u8]) -> Cow<'_, [u8]> {
    if HALVES.iter().all(|half| half.find(json).is_none()) {
        return Cow::Borrowed(json);
    }
    let mut out = Cow::Borrowed(json);
    let mut at = 0;
    while let Some(found) = memchr(b'\\', json.get(at..).unwrap_or_default()) {
        let escape = at.saturating_add(found);
        let next = escape.saturating_add(6);
        at = match escaped_unit(json, escape) {
            None => escape.saturating_add(2),
            Some(0xd800..=0xdbff) if matches!(escaped_unit(json, next), Some(0xdc00..=0xdfff)) => {
                next.saturating_add(6)
            }
            Some(0xd800..=0xdfff) => {
                if let Some(half) = out.to_mut().get_mut(escape..next) {
                    half.copy_from_slice(br"\ufffd");
                }
                next
            }
            Some(_) => next,
        };
    }
    out
}

/// The UTF-16 unit of the escape at `at`, if one of the form `\uXXXX` stands there.
fn escaped_unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at.checked_add(6)?)?.strip_prefix(br"\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_without_their_other_half_are_replaced_and_nothing_else_is() {
        let cases = [
            (r#""\ud800""#, r#""\ufffd""#),
            (r#""a\uDFFFb""#, r#""a\ufffdb""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\n\ude00""#, r#""\ufffd\n\ufffd""#),
            (r#""\\ud800""#, r#""\\ud800""#),
            (r#""\\\ud800""#, r#""\\\ufffd""#),
            (r#""\ud8"#, r#""\ud8"#),
            (r#""\ud7ff\ue000""#, r#""\ud7ff\ue000""#),
        ];
        for (json, expected) in cases {
            assert_eq!(String::from_utf8_lossy(&with_whole_characters(json.as_bytes())), expected);
        }
        assert!(matches!(with_whole_characters(br#""\\ud800 \n""#), Cow::Borrowed(_)));
    }
}
