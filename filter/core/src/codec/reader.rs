//! Reads a JSON text once, taking some of it and skipping the rest.
//!
//! For what providers send: it finds its way and checks nothing else, so that whatever a server writes for JSON is
//! read, `NaN` and `Infinity` included, which those in Python write. Nothing is allocated.

use std::ops::Range;

use memchr::{memchr, memchr2};

use super::key::unescape_name;
use super::vector::{short_string, simple_prefix};

/// The longest name of a member that is of interest to anyone, in bytes.
const MAX_NAME: usize = 64;

/// Goes over a text from its beginning. Each method that returns `None` has come to where the text is no JSON.
#[derive(Debug)]
pub(crate) struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

/// A string of the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'t> {
    /// What stands between its quotes.
    contents: &'t [u8],
    /// Where that is in the whole text.
    at: usize,
    is_escaped: bool,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// What the next value, or what stands between two, begins with.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at)? {
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    /// True at the end of the text.
    #[cfg(test)]
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Goes over the members of an object. `visit` gets the name of each, escapes resolved, and must read or skip its
    /// value. Any other value is skipped.
    #[inline]
    pub(crate) fn members(&mut self, mut visit: impl FnMut(&mut Self, &[u8]) -> Option<()>) -> Option<()> {
        if self.peek()? != b'{' {
            return self.skip();
        }
        self.at += 1;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let name = self.string()?;
            if self.peek()? != b':' {
                return None;
            }
            self.at += 1;
            // Few names need one.
            let mut buffer;
            let name = if name.is_escaped {
                buffer = [0; MAX_NAME];
                unescape_name(name.contents, &mut buffer)
            } else {
                name.contents
            };
            visit(self, name)?;
            if self.ends(b'}')? {
                return Some(());
            }
        }
    }

    /// Goes over the elements of an array; `visit` must read or skip each. Any other value is skipped.
    #[inline]
    pub(crate) fn elements(&mut self, mut visit: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        if self.peek()? != b'[' {
            return self.skip();
        }
        self.at += 1;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            visit(self)?;
            if self.ends(b']')? {
                return Some(());
            }
        }
    }

    /// A comma goes on, `bracket` ends.
    #[inline]
    fn ends(&mut self, bracket: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => {
                self.peek()?;
                Some(false)
            }
            _ if byte == bracket => Some(true),
            _ => None,
        }
    }

    /// The value, if it is a string; any other is skipped.
    #[inline]
    pub(crate) fn text(&mut self) -> Option<Option<Text<'t>>> {
        if self.peek()? == b'"' {
            return self.string().map(Some);
        }
        self.skip()?;
        Some(None)
    }

    /// The value as it is written; `None` inside where it is `null`.
    pub(crate) fn raw(&mut self) -> Option<Option<&'t [u8]>> {
        self.peek()?;
        let start = self.at;
        self.skip()?;
        let raw = self.text.get(start..self.at)?;
        Some((raw != b"null").then_some(raw))
    }

    /// A whole number; any other value is skipped.
    pub(crate) fn number(&mut self) -> Option<Option<u64>> {
        let raw = self.raw()?;
        Some(raw.and_then(|raw| std::str::from_utf8(raw).ok()?.parse().ok()))
    }

    /// Skips a value. Where it is a string, what stands between its quotes is in the place that is returned, and where
    /// it is a whole number its digits are.
    pub(crate) fn skip_scalar(&mut self) -> Option<Option<Range<usize>>> {
        let first = self.peek()?;
        if first == b'"' {
            return self.string().map(|text| Some(text.place()));
        }
        let start = self.at;
        self.skip()?;
        let is_number = self.text.get(start..self.at)?.iter().all(u8::is_ascii_digit);
        Some(is_number.then_some(start..self.at))
    }

    /// How many bytes the value would have without spaces and escapes.
    pub(crate) fn compact_length(&mut self) -> Option<u64> {
        let mut length = 0;
        self.walk(|bytes| length += bytes)?;
        Some(length)
    }

    /// Goes over a value.
    #[inline]
    pub(crate) fn skip(&mut self) -> Option<()> {
        self.walk(|_| ())
    }

    #[inline]
    fn walk(&mut self, mut count: impl FnMut(u64)) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    let text = self.string()?;
                    count(text.length().saturating_add(2));
                }
                b'{' | b'[' => {
                    self.at += 1;
                    depth += 1;
                    count(1);
                    continue;
                }
                b'}' | b']' => {
                    self.at += 1;
                    depth = depth.checked_sub(1)?;
                    count(1);
                }
                b',' | b':' => {
                    if depth == 0 {
                        return None;
                    }
                    self.at += 1;
                    count(1);
                    continue;
                }
                _ => {
                    let rest = self.text.get(self.at..)?;
                    let length = rest.iter().position(|byte| {
                        matches!(byte, b',' | b'}' | b']' | b':' | b'"' | b' ' | b'\n' | b'\t' | b'\r')
                    });
                    let length = length.unwrap_or(rest.len());
                    self.at += length;
                    count(length as u64);
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    #[inline]
    fn string(&mut self) -> Option<Text<'t>> {
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        let at = self.at;
        let is_escaped = match short_string(self.text.get(at..)?) {
            Some(length) => {
                self.at += length;
                false
            }
            None => self.find_quote()?,
        };
        let contents = self.text.get(at..self.at)?;
        self.at += 1;
        Some(Text { contents, at, is_escaped })
    }

    /// The rest of a string up to its closing quote; whether it has escapes.
    #[inline(never)]
    fn find_quote(&mut self) -> Option<bool> {
        let mut is_escaped = false;
        loop {
            let rest = self.text.get(self.at..)?;
            self.at += simple_prefix(rest, &mut is_escaped);
            match self.text.get(self.at)? {
                b'"' => return Some(is_escaped),
                b'\\' => {
                    is_escaped = true;
                    self.at += 2;
                }
                _ => self.at += memchr2(b'"', b'\\', self.text.get(self.at..)?)?,
            }
        }
    }
}

impl<'t> Text<'t> {
    pub(crate) fn is_empty(self) -> bool {
        self.contents.is_empty()
    }

    /// Where it stands between its quotes.
    pub(crate) fn place(self) -> Range<usize> {
        self.at..self.at.saturating_add(self.contents.len())
    }

    /// The text in UTF-8 if it has at most as many bytes as the buffer, else nothing.
    #[inline]
    pub(crate) fn as_name<'n>(self, buffer: &'n mut [u8; MAX_NAME]) -> &'n [u8]
    where
        't: 'n,
    {
        if self.is_escaped { unescape_name(self.contents, buffer) } else { self.contents }
    }

    /// How many bytes the text has in UTF-8. Half of a surrogate pair counts as the character that stands for it.
    #[inline]
    pub(crate) fn length(self) -> u64 {
        if self.is_escaped { unescaped_length(self.contents) } else { self.contents.len() as u64 }
    }
}

fn unescaped_length(contents: &[u8]) -> u64 {
    let mut length = 0;
    let mut rest = contents;
    while let Some(plain) = memchr(b'\\', rest) {
        length += plain;
        let escape = rest.get(plain + 1..).unwrap_or_default();
        let (bytes, taken) = match escape {
            [b'u', digits @ ..] => match (unit(digits), digits.get(4..)) {
                (0..=0x7f, _) => (1, 5),
                (0x80..=0x7ff, _) => (2, 5),
                (0xd800..=0xdbff, Some([b'\\', b'u', low @ ..]))
                    if (0xdc00..=0xdfff).contains(&unit(low)) =>
                {
                    (4, 11)
                }
                _ => (3, 5),
            },
            _ => (1, 1),
        };
        length += bytes;
        rest = escape.get(taken..).unwrap_or_default();
    }
    (length + rest.len()) as u64
}

/// The number that four hexadecimal digits are.
fn unit(digits: &[u8]) -> u16 {
    let digits = digits.get(..4).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::codec::testing::{value, written};

    /// Reads a value and builds it again.
    fn read(reader: &mut Reader<'_>) -> Option<Value> {
        Some(match reader.peek()? {
            b'{' => {
                let mut object = serde_json::Map::new();
                reader.members(|reader, name| {
                    let name = String::from_utf8(name.to_vec()).ok()?;
                    object.insert(name, read(reader)?);
                    Some(())
                })?;
                object.into()
            }
            b'[' => {
                let mut array = Vec::new();
                reader.elements(|reader| {
                    array.push(read(reader)?);
                    Some(())
                })?;
                array.into()
            }
            _ => serde_json::from_slice(reader.raw()?.unwrap_or(b"null")).ok()?,
        })
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read(value in value(), seed: u64) {
            let text = written(&value, seed);
            let mut reader = Reader::new(text.as_bytes());
            let read = read(&mut reader);
            prop_assert!(reader.is_at_end());
            prop_assert_eq!(read, Some(value.clone()), "{}", text);
            let mut reader = Reader::new(text.as_bytes());
            prop_assert_eq!(reader.skip(), Some(()));
            prop_assert!(reader.is_at_end());
            if let Value::String(said) = &value {
                let mut reader = Reader::new(text.as_bytes());
                prop_assert_eq!(reader.text().unwrap().unwrap().length(), said.len() as u64);
            }
        }

        #[test]
        fn formatting_does_not_change_the_compact_length(value in value(), one: u64, other: u64) {
            let length = |seed| Reader::new(written(&value, seed).as_bytes()).compact_length();
            prop_assert_eq!(length(one), length(other));
        }

        #[test]
        fn nothing_breaks_it(text: Vec<u8>) {
            let _ = Reader::new(&text).skip();
            let _ = Reader::new(&text).compact_length();
            let _ = Reader::new(&text).members(|reader, _| reader.skip());
        }
    }

    #[test]
    fn numbers_that_json_does_not_have_are_skipped() {
        let mut seen = Vec::new();
        let text = br#"{"a": NaN, "b":[Infinity,-Infinity , NaN],"c":3}"#;
        let read = Reader::new(text).members(|reader, name| {
            seen.push((name.to_vec(), reader.number()?));
            Some(())
        });
        assert_eq!(read, Some(()));
        assert_eq!(seen, [(b"a".to_vec(), None), (b"b".to_vec(), None), (b"c".to_vec(), Some(3))]);
    }

    #[test]
    fn what_is_cut_off_or_no_json_is_none() {
        for text in [
            "",
            "{",
            r#"{"a""#,
            r#"{"a":"#,
            r#"{"a":1"#,
            r#"{"a" 1}"#,
            r#"{"a":"\"#,
            "[1",
            "[1 2]",
            "{,}",
            "]",
        ] {
            let mut reader = Reader::new(text.as_bytes());
            let read = match text.as_bytes() {
                [b'[', ..] => reader.elements(Reader::skip),
                _ => reader.members(|reader, _| reader.skip()),
            };
            assert_eq!(read, None, "{text}");
        }
    }

    #[test]
    fn half_a_pair_counts_as_the_replacement_character() {
        for (contents, length) in [
            (r"\ud83d", 3),
            (r"\ud83dx", 4),
            (r"\ud83d\ude00", 4),
            (r"\ude00\ud83d", 6),
            (r"\ud83d\n", 4),
            (r"\u00e9", 2),
        ] {
            assert_eq!(unescaped_length(contents.as_bytes()), length, "{contents}");
        }
    }
}
