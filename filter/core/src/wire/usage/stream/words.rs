//! The words that matter in the data of one event.
//!
//! Most events hold none of them, and a stream has thousands of events. All words begin with a quote and one of a few
//! letters, so one pass finds the places where one may stand, and only those are looked at.

use std::ops::{BitOr, BitOrAssign};

use wide::i8x16;

use crate::codec::vector::HAS_VECTORS;

/// What the words begin with, behind their quote.
const LETTERS: [u8; 7] = *b"cefmrtu";

/// How many quotes are looked for at a time.
const BLOCK: usize = 16;

/// Which words an event has. All are JSON strings: within a text, their quotes would have backslashes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Words(u16);

impl Words {
    /// `"error"`, unless it is a member that is `null`.
    pub(super) const ERROR: Self = Self(1);
    /// `"error"` as a member that is `null`, which some servers send along with every event.
    pub(super) const NULL_ERROR: Self = Self(1 << 1);
    /// `"model"`
    pub(super) const MODEL: Self = Self(1 << 2);
    /// `"finish_reason"` with a text.
    pub(super) const FINISH_REASON: Self = Self(1 << 3);
    /// `"usage"` with an object.
    pub(super) const USAGE: Self = Self(1 << 4);
    /// `"usage"` with something else that is not `null`.
    pub(super) const ODD_USAGE: Self = Self(1 << 5);
    /// `"response"` with an object.
    pub(super) const RESPONSE: Self = Self(1 << 6);
    /// `"message_stop"`
    pub(super) const MESSAGE_STOP: Self = Self(1 << 7);
    /// `"transcript.text.done"`
    pub(super) const TRANSCRIPT_DONE: Self = Self(1 << 8);
    /// A piece of a chat completion: an answer, thoughts, or the call of a tool.
    pub(super) const CHAT_CONTENT: Self = Self(1 << 9);
    /// A piece of a completion.
    pub(super) const TEXT: Self = Self(1 << 10);
    /// `"type":"content_block_delta"`
    pub(super) const CONTENT_BLOCK_DELTA: Self = Self(1 << 11);

    /// The words in the data of an event.
    pub(super) fn of(data: &[u8]) -> Self {
        let mut words = Self::default();
        let mut at = 0;
        while let Some(block) = block_at(data, at) {
            words |= behind_quotes(data, at, starts(block));
            at += BLOCK;
        }
        match data.len().checked_sub(BLOCK + 1).and_then(|last| Some((last, block_at(data, last)?))) {
            // A word that is seen twice is the same word.
            Some((last, block)) => words | behind_quotes(data, last, starts(block)),
            None => {
                let quotes = data.iter().enumerate().filter(|(_, byte)| **byte == b'"');
                quotes.fold(words, |words, (at, _)| words | word(data.get(at + 1..).unwrap_or_default()))
            }
        }
    }

    /// True when one of `words` is there.
    pub(super) fn has(self, words: Self) -> bool {
        self.0 & words.0 != 0
    }

    /// These words, if `condition` holds.
    #[inline]
    fn only_if(self, condition: bool) -> Self {
        if condition { self } else { Self::default() }
    }
}

impl BitOr for Words {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Words {
    #[inline]
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

/// The words behind the quotes at these places from `at` on.
#[inline]
fn behind_quotes(data: &[u8], at: usize, mut starts: u32) -> Words {
    let mut words = Words::default();
    while starts != 0 {
        let quote = at + starts.trailing_zeros() as usize;
        starts &= starts - 1;
        words |= word(data.get(quote + 1..).unwrap_or_default());
    }
    words
}

/// The word that follows a quote. Its first eight bytes rule out nearly everything.
#[inline]
fn word(word: &[u8]) -> Words {
    let first = first_bytes(word);
    match first {
        CONTENT => Words::CHAT_CONTENT.only_if(is_text(behind(word, "content\""))),
        FINISH_REASON => {
            let after = word.strip_prefix(b"finish_reason\"").unwrap_or_default();
            Words::FINISH_REASON.only_if(value(after).starts_with(b"\""))
        }
        REASONING => {
            let after = behind(word, "reasonin").strip_prefix(b"g").unwrap_or_default();
            let after = after.strip_prefix(b"_content").unwrap_or(after);
            Words::CHAT_CONTENT.only_if(after.strip_prefix(b"\"").is_some_and(is_text))
        }
        RESPONSE => {
            let after = word.strip_prefix(b"response\"").unwrap_or_default();
            Words::RESPONSE.only_if(value(after).starts_with(b"{"))
        }
        TOOL_CALLS => Words::CHAT_CONTENT.only_if(word.starts_with(b"tool_calls\":[{")),
        MESSAGE_STOP => Words::MESSAGE_STOP.only_if(word.starts_with(b"message_stop\"")),
        TRANSCRIPT => Words::TRANSCRIPT_DONE.only_if(word.starts_with(b"transcript.text.done\"")),
        _ => match first & SIX_BYTES {
            ERROR if value(behind(word, "error\"")).starts_with(b"null") => Words::NULL_ERROR,
            ERROR => Words::ERROR,
            USAGE => match value(behind(word, "usage\"")) {
                [b'{', ..] => Words::USAGE,
                [b'n', ..] => Words::default(),
                _ => Words::ODD_USAGE,
            },
            MODEL => Words::MODEL,
            _ => match first & FIVE_BYTES {
                TEXT => Words::TEXT.only_if(is_text(behind(word, "text\""))),
                TYPE => {
                    let value = value(behind(word, "type\""));
                    Words::CONTENT_BLOCK_DELTA.only_if(value.starts_with(b"\"content_block_delta\""))
                }
                _ => Words::default(),
            },
        },
    }
}

const CONTENT: u64 = first_bytes(b"content\"");
const FINISH_REASON: u64 = first_bytes(b"finish_reason\"");
const REASONING: u64 = first_bytes(b"reasoning");
const RESPONSE: u64 = first_bytes(b"response\"");
const TOOL_CALLS: u64 = first_bytes(b"tool_calls\"");
const MESSAGE_STOP: u64 = first_bytes(b"message_stop\"");
const TRANSCRIPT: u64 = first_bytes(b"transcript.text.done\"");

const SIX_BYTES: u64 = u64::MAX >> 16;
const ERROR: u64 = first_bytes(b"error\"");
const USAGE: u64 = first_bytes(b"usage\"");
const MODEL: u64 = first_bytes(b"model\"");

const FIVE_BYTES: u64 = u64::MAX >> 24;
const TEXT: u64 = first_bytes(b"text\"");
const TYPE: u64 = first_bytes(b"type\"");

/// The first eight bytes, the first of them in the lowest place; zeros where there are fewer.
#[inline]
const fn first_bytes(word: &[u8]) -> u64 {
    match word.first_chunk() {
        Some(first) => u64::from_le_bytes(*first),
        None => few_bytes(word),
    }
}

#[cold]
const fn few_bytes(word: &[u8]) -> u64 {
    let mut bytes = 0;
    let mut rest = word;
    while let [before @ .., last] = rest {
        bytes = bytes << 8 | *last as u64;
        rest = before;
    }
    bytes
}

/// What follows a word that is known to begin like this.
#[inline]
fn behind<'w>(word: &'w [u8], beginning: &str) -> &'w [u8] {
    word.get(beginning.len()..).unwrap_or_default()
}

/// What a member's value begins with, given what follows its name; nothing where the word is no member's name.
#[inline]
fn value(after: &[u8]) -> &[u8] {
    if let [b':', value @ ..] = after
        && value.first().is_some_and(u8::is_ascii_graphic)
    {
        return value;
    }
    after.trim_ascii_start().strip_prefix(b":").unwrap_or_default().trim_ascii_start()
}

/// True when the member's value is a text that is not empty.
#[inline]
fn is_text(after: &[u8]) -> bool {
    let value = after.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
    value.starts_with(b"\"") && !value.starts_with(b"\"\"")
}

#[inline]
fn block_at(data: &[u8], at: usize) -> Option<&[u8; BLOCK + 1]> {
    data.get(at..)?.first_chunk()
}

/// A bit for each of the first 16 bytes that is a quote and has one of the letters behind it; without vector registers,
/// any small letter.
#[inline]
fn starts(block: &[u8; BLOCK + 1]) -> u32 {
    let (Some(first), Some(behind)) = (block.first_chunk::<BLOCK>(), block.last_chunk::<BLOCK>()) else {
        return 0;
    };
    if !HAS_VECTORS {
        return starts_in_words(first, behind);
    }
    let [first, behind] = [first, behind].map(|half| i8x16::from(half.map(u8::cast_signed)));
    let is = |bytes: i8x16, byte: u8| bytes.simd_eq(i8x16::splat(byte.cast_signed()));
    let letter = LETTERS.into_iter().fold(i8x16::ZERO, |any, letter| any | is(behind, letter));
    (is(first, b'"') & letter).to_bitmask()
}

fn starts_in_words(first: &[u8; BLOCK], behind: &[u8; BLOCK]) -> u32 {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const LOW: u64 = EACH * 0x7f;

    /// The high bit of each byte that is not zero. Nothing is carried from one byte to the next.
    fn not_zero(word: u64) -> u64 {
        ((word & LOW) + LOW) | word | LOW
    }
    let (first, _) = first.as_chunks::<8>();
    let (behind, _) = behind.as_chunks::<8>();
    first.iter().zip(behind).rev().fold(0, |bits, (first, behind)| {
        let quote = u64::from_le_bytes(*first) ^ (EACH * u64::from(b'"'));
        let letter = (u64::from_le_bytes(*behind) & (EACH * 0xe0)) ^ (EACH * 0x60);
        let found = !(not_zero(quote) | not_zero(letter));
        // Gathers the high bits in the highest byte.
        let gathered = (found >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits << 8 | u32::try_from(gathered).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use memchr::memmem;
    use proptest::prelude::*;

    use super::*;

    /// The same, one search after the other.
    fn reference(data: &[u8]) -> Words {
        // Also where two words share a quote, which a search for the next one behind the last would pass over.
        let after = |word: &str| {
            let places = 0..data.len();
            places.filter_map(|at| data[at..].strip_prefix(word.as_bytes())).collect::<Vec<_>>()
        };
        let has = |word: &str| memmem::find(data, word.as_bytes()).is_some();
        let is_member = |word: &str, begin: &str| {
            after(word).iter().any(|after| {
                let value = after.trim_ascii_start().strip_prefix(b":").unwrap_or_default();
                value.trim_ascii_start().starts_with(begin.as_bytes())
            })
        };
        let is_text = |word: &str| {
            after(word)
                .iter()
                .map(|after| after.trim_ascii_start())
                .any(|value| value.starts_with(b"\"") && !value.starts_with(b"\"\""))
        };
        let but_null = |word: &str| {
            after(word).iter().any(|after| {
                let value = after.trim_ascii_start().strip_prefix(b":").unwrap_or_default();
                !value.trim_ascii_start().starts_with(b"null")
            })
        };
        let content = ["content", "reasoning_content", "reasoning"];
        let pairs = [
            (Words::ERROR, but_null("\"error\"")),
            (Words::NULL_ERROR, is_member("\"error\"", "null")),
            (Words::MODEL, has("\"model\"")),
            (Words::FINISH_REASON, is_member("\"finish_reason\"", "\"")),
            (Words::USAGE, is_member("\"usage\"", "{")),
            (Words::RESPONSE, is_member("\"response\"", "{")),
            (Words::MESSAGE_STOP, has("\"message_stop\"")),
            (Words::TRANSCRIPT_DONE, has("\"transcript.text.done\"")),
            (Words::CHAT_CONTENT, content.iter().any(|name| is_text(&format!("\"{name}\":")))),
            (Words::CHAT_CONTENT, has("\"tool_calls\":[{")),
            (Words::TEXT, is_text("\"text\":")),
            (Words::CONTENT_BLOCK_DELTA, is_member("\"type\"", "\"content_block_delta\"")),
        ];
        pairs
            .into_iter()
            .filter(|(_, is_there)| *is_there)
            .fold(Words::default(), |all, (word, _)| all | word)
    }

    /// Without the one that only says that there is something else.
    fn found(data: &str) -> Words {
        Words(Words::of(data.as_bytes()).0 & !Words::ODD_USAGE.0)
    }

    #[test]
    fn words_are_found_wherever_they_stand() {
        let words = [
            r#""content":"a""#,
            r#""content": "a""#,
            r#""content" :"a""#,
            r#""content":"""#,
            r#""content":null"#,
            r#""reasoning":"a""#,
            r#""reasoning_content":"a""#,
            r#""reasoning_x":"a""#,
            r#""text":"a""#,
            r#""tool_calls":[{"#,
            r#""tool_calls":[]"#,
            r#""error":null"#,
            r#""error":{"#,
            r#""error""#,
            r#""model""#,
            r#""message_stop""#,
            r#""finish_reason" : "stop""#,
            r#""finish_reason":null"#,
            r#""usage":{"#,
            r#""usage" : { "#,
            r#""usage":null"#,
            r#""usage":1"#,
            r#""response":{"#,
            r#""type":"content_block_delta""#,
            r#""type" : "content_block_delta""#,
            r#""type":"ping""#,
            r#""transcript.text.done""#,
            r#"\"usage\":{"#,
            r#":"usage"usage":{"#,
            r#""usage"#,
            r#"""#,
            "",
        ];
        for word in words {
            for before in 0..40 {
                for behind in [0, 1, 5, 20, 40] {
                    let data = [" ".repeat(before), word.to_owned(), ",".repeat(behind)].concat();
                    assert_eq!(found(&data).0, reference(data.as_bytes()).0, "{data:?}");
                }
            }
        }
        assert!(found(r#"{"usage":{}}"#).has(Words::USAGE), "shorter than a block");
        for odd in [r#"{"usage":1}"#, r#"{"usage" : [] }"#] {
            assert!(Words::of(odd.as_bytes()).has(Words::ODD_USAGE), "{odd}");
        }
        assert!(!Words::of(br#"{"usage": null}"#).has(Words::USAGE | Words::ODD_USAGE));
    }

    proptest! {
        #[test]
        fn one_pass_finds_what_many_find(pieces in proptest::collection::vec(
            prop_oneof![
                4 => proptest::sample::select([
                    "\"", ":", " ", "null", "{", "[{", ",", "\\", "a", "\u{e9}", "content", "error", "usage", "model",
                    "finish_reason", "reasoning", "_content", "response", "text", "type", "tool_calls",
                    "message_stop", "content_block_delta", "\"usage\":", "\"content\":\"", "\"error\":",
                ].as_slice()).prop_map(str::to_owned),
                1 => "[ -~]{0,20}",
            ],
            0..24,
        )) {
            let data = pieces.concat();
            prop_assert_eq!(found(&data).0, reference(data.as_bytes()).0, "{:?}", data);
        }

        #[test]
        fn bytes_in_words_are_those_in_vectors(bytes: [u8; 17], quotes: u16) {
            let mut bytes = bytes;
            (0..16).filter(|at| quotes >> at & 1 == 1).for_each(|at| bytes[at] = b'"');
            let found = starts_in_words(bytes.first_chunk().unwrap(), bytes.last_chunk().unwrap());
            let is_letter = |byte: u8| (0x60..0x80).contains(&byte);
            let expected = (0..16).filter(|at| bytes[*at] == b'"' && is_letter(bytes[at + 1]));
            prop_assert_eq!(found, expected.map(|at| 1 << at).sum::<u32>());
        }
    }
}
