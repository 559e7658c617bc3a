//! Compares the keys of an object the way backends do: with escapes resolved, and some of them without case.

use std::borrow::Cow;
use std::str::Chars;

use memchr::memchr;

/// What stands between the quotes of a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'b> {
    contents: &'b [u8],
    /// ASCII without escapes.
    pub(crate) plain: bool,
}

/// Whether a key is a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sameness {
    Different,
    /// Another key, but some backends take it for the name.
    Folded,
    Exact,
}

impl<'b> Key<'b> {
    /// A key whose contents were checked to be those of a JSON string.
    pub(super) fn new(contents: &'b [u8], plain: bool) -> Self {
        Self { contents, plain }
    }

    /// How many bytes its contents have, with escapes as they are.
    pub(crate) fn len(self) -> usize {
        self.contents.len()
    }

    /// Most keys are told from most names by their length.
    #[inline]
    pub(super) fn compare(self, name: &str) -> Sameness {
        if self.plain && self.contents.len() != name.len() {
            return Sameness::Different;
        }
        self.compare_letters(name)
    }

    fn compare_letters(self, name: &str) -> Sameness {
        if self.plain {
            return match self.contents.eq_ignore_ascii_case(name.as_bytes()) {
                true if self.contents == name.as_bytes() => Sameness::Exact,
                true => Sameness::Folded,
                false => Sameness::Different,
            };
        }
        // Letter by letter, since a body may be made of nothing but escaped keys: a copy of each would be slow.
        let mut letters = Letters(std::str::from_utf8(self.contents).unwrap_or_default().chars());
        let mut sameness = Sameness::Exact;
        for expected in name.chars() {
            match letters.next() {
                Some(letter) if letter == expected => {}
                Some(letter) if fold(letter) == fold(expected) => sameness = Sameness::Folded,
                _ => return Sameness::Different,
            }
        }
        if letters.next().is_none() { sameness } else { Sameness::Different }
    }
}

/// The name with its escapes resolved, if it is no longer than the buffer; else none.
pub(super) fn unescape_name<'n>(contents: &[u8], buffer: &'n mut [u8]) -> &'n [u8] {
    let mut length = 0_usize;
    for letter in Letters(std::str::from_utf8(contents).unwrap_or_default().chars()) {
        let end = length.saturating_add(letter.len_utf8());
        let Some(room) = buffer.get_mut(length..end) else { return b"" };
        letter.encode_utf8(room);
        length = end;
    }
    buffer.get(..length).unwrap_or_default()
}

/// What stands between the quotes of a checked string, with its escapes resolved.
pub(crate) fn unescaped(contents: &str) -> Cow<'_, str> {
    let first = memchr(b'\\', contents.as_bytes());
    let mut text = String::with_capacity(if first.is_some() { contents.len() } else { 0 });
    let (mut rest, mut next) = (contents, first);
    while let Some((plain, escape)) = next.and_then(|at| rest.split_at_checked(at)) {
        text.push_str(plain);
        let mut letters = Letters(escape.chars());
        if let Some(letter) = letters.next() {
            text.push(letter);
        }
        rest = letters.0.as_str();
        next = memchr(b'\\', rest.as_bytes());
    }
    if first.is_none() {
        return Cow::Borrowed(contents);
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// Lower case as Go's encoding/json compares keys: ASCII, and the two letters outside it that fold into ASCII.
fn fold(letter: char) -> char {
    match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => letter.to_ascii_lowercase(),
    }
}

/// The letters of a checked string, escapes resolved. Half of a surrogate pair is no letter and is read as U+FFFD.
struct Letters<'k>(Chars<'k>);

impl Iterator for Letters<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let letter = self.0.next()?;
        if letter != '\\' {
            return Some(letter);
        }
        Some(match self.0.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => self.unicode(),
            itself => itself,
        })
    }
}

impl Letters<'_> {
    /// What follows `\u`, and the second half of a surrogate pair with it.
    fn unicode(&mut self) -> char {
        let first = four_digits(&mut self.0);
        let mut ahead = self.0.clone();
        let leads = (0xd800..0xdc00).contains(&first);
        if leads && ahead.next() == Some('\\') && ahead.next() == Some('u') {
            let pair = [first, four_digits(&mut ahead)];
            if let Some(Ok(letter)) = char::decode_utf16(pair).next() {
                self.0 = ahead;
                return letter;
            }
        }
        char::from_u32(first.into()).unwrap_or(char::REPLACEMENT_CHARACTER)
    }
}

fn four_digits(letters: &mut Chars<'_>) -> u16 {
    letters.by_ref().take(4).filter_map(|digit| digit.to_digit(16)).fold(0, |number, digit| {
        // Four digits fill the 16 bits exactly.
        number << 4 | u16::try_from(digit).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compare(contents: &str, name: &str) -> Sameness {
        let plain = contents.is_ascii() && !contents.contains('\\');
        let sameness = Key::new(contents.as_bytes(), plain).compare(name);
        // The way for keys with escapes gives the same for those without.
        assert_eq!(Key::new(contents.as_bytes(), false).compare(name), sameness);
        sameness
    }

    #[test]
    fn keys_are_compared_as_text() {
        for (contents, name) in [
            ("model", "model"),
            ("mod\\u0065l", "model"),
            ("\\u006dodel", "model"),
            ("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\u{8}\u{c}\n\r\t"),
            ("\\ud83d\\ude00x", "😀x"),
            ("", ""),
        ] {
            assert_eq!(compare(contents, name), Sameness::Exact, "{contents}");
        }
        for (contents, name) in [
            ("MODEL", "model"),
            ("mod\\u0045l", "model"),
            ("\u{17f}tream", "stream"),
            ("to\u{212a}en", "token"),
            ("to\\u212Aen", "token"),
            ("a", "A"),
        ] {
            assert_eq!(compare(contents, name), Sameness::Folded, "{contents}");
        }
        for (contents, name) in
            [("model2", "model"), ("mode", "model"), ("", "a"), ("é", "É"), ("\\n", "n"), ("a\\\\nb", "a\nb")]
        {
            assert_eq!(compare(contents, name), Sameness::Different, "{contents}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_no_letter() {
        let letters = |contents: &str| Letters(contents.chars()).collect::<String>();
        assert_eq!(letters("\\ud83dx"), "\u{fffd}x");
        assert_eq!(letters("\\ud83d\\u0061"), "\u{fffd}a");
        assert_eq!(letters("\\ud83d\\n"), "\u{fffd}\n");
        assert_eq!(letters("\\ud83d\\ud83d\\ude00"), "\u{fffd}😀");
        assert_eq!(letters("\\ude00\\ud83d"), "\u{fffd}\u{fffd}");
        assert_eq!(letters("\\u0061\\ude00"), "a\u{fffd}");
    }

    proptest! {
        #[test]
        fn letters_are_what_serde_json_reads(text: String, escaped: u64) {
            let mut contents = String::new();
            for (index, letter) in text.chars().enumerate() {
                if escaped >> (index % 64) & 1 == 1 {
                    let mut units = [0; 2];
                    contents.extend(letter.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
                } else {
                    let quoted = serde_json::to_string(&letter).unwrap();
                    contents.push_str(quoted.trim_start_matches('"').get(..quoted.len() - 2).unwrap_or("\\\""));
                }
            }
            let read: String = serde_json::from_str(&format!("\"{contents}\"")).unwrap();
            prop_assert_eq!(&read, &text);
            prop_assert_eq!(Letters(contents.chars()).collect::<String>(), text);
            prop_assert_eq!(unescaped(&contents), read);
        }
    }
}
