//! Goes over JSON and checks every byte: exactly the documents that serde_json's `IgnoredAny` takes, if they are UTF-8
//! and nested no deeper than [`MAX_DEPTH`].

use memchr::memchr2;

use super::json::{MAX_DEPTH, ScanError};
use super::key::Key;
use super::vector::{short_string, simple_prefix};

pub(crate) const COMMA_OR_BRACE: &str = "a comma or } is expected";
pub(crate) const COMMA_OR_BRACKET: &str = "a comma or ] is expected";

#[derive(Debug)]
pub(crate) struct Scanner<'b> {
    body: &'b [u8],
    /// Where it is.
    pub(crate) at: usize,
    /// How many bytes between the tokens it has skipped.
    pub(crate) spaces: usize,
    takes_nan: bool,
}

impl<'b> Scanner<'b> {
    /// Begins at `at`. `takes_nan`: `NaN`, `Infinity` and `-Infinity` are numbers.
    pub(crate) fn new(body: &'b [u8], at: usize, takes_nan: bool) -> Self {
        Self { body, at, spaces: 0, takes_nan }
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    pub(crate) fn syntax(&self, problem: &'static str) -> ScanError {
        let problem = if self.at >= self.body.len() && self.at > 0 { "it ends too early" } else { problem };
        ScanError::Syntax { at: self.at, problem }
    }

    /// Goes to the next byte that is no whitespace, and returns it.
    #[inline]
    pub(crate) fn skip_whitespace(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\n' | b'\t' | b'\r') => {
                    self.at += 1;
                    self.spaces += 1;
                }
                other => return other,
            }
        }
    }

    /// A key and its colon; returns where the key begins.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<(usize, Key<'b>), ScanError> {
        if self.peek() != Some(b'"') {
            return Err(self.syntax("a key in double quotes is expected"));
        }
        let start = self.at;
        let key = self.string()?;
        if self.skip_whitespace() != Some(b':') {
            return Err(self.syntax("a colon is expected after a key"));
        }
        self.at += 1;
        Ok((start, key))
    }

    /// A value that stands in `outside` objects and arrays, with all that is inside it. No recursion: one bit per
    /// level says whether it is an object or an array.
    pub(crate) fn value(&mut self, outside: u32) -> Result<(), ScanError> {
        let mut objects: u128 = 0;
        let mut depth = outside;
        loop {
            match self.skip_whitespace() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(bracket @ (b'{' | b'[')) => {
                    if depth >= MAX_DEPTH {
                        return Err(ScanError::TooDeep { at: self.at });
                    }
                    self.at += 1;
                    let object = bracket == b'{';
                    if self.skip_whitespace() == Some(if object { b'}' } else { b']' }) {
                        self.at += 1;
                    } else {
                        depth += 1;
                        objects = objects << 1 | u128::from(object);
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                Some(b'N') if self.takes_nan => self.word(b"NaN")?,
                Some(b'I') if self.takes_nan => self.word(b"Infinity")?,
                _ => return Err(self.syntax("a value is expected")),
            }
            // A value is complete; so may be what stands around it.
            loop {
                if depth == outside {
                    return Ok(());
                }
                let object = objects & 1 == 1;
                match self.skip_whitespace() {
                    Some(b',') => {
                        self.at += 1;
                        if object {
                            self.skip_whitespace();
                            self.key()?;
                        }
                        break;
                    }
                    Some(b'}') if object => {}
                    Some(b']') if !object => {}
                    _ => return Err(self.syntax(if object { COMMA_OR_BRACE } else { COMMA_OR_BRACKET })),
                }
                self.at += 1;
                depth -= 1;
                objects >>= 1;
            }
        }
    }

    /// A string, from its opening quote to behind the closing one.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Key<'b>, ScanError> {
        self.at += 1;
        let start = self.at;
        let plain = match short_string(self.body.get(start..).unwrap_or_default()) {
            Some(length) => {
                self.at += length;
                true
            }
            None => self.find_quote()?,
        };
        let contents = self.body.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok(Key::new(contents, plain))
    }

    /// The rest of a string up to its closing quote; whether it is ASCII without escapes.
    #[inline(never)]
    fn find_quote(&mut self) -> Result<bool, ScanError> {
        let mut plain = true;
        loop {
            let rest = self.body.get(self.at..).unwrap_or_default();
            let mut escaped = false;
            self.at += simple_prefix(rest, &mut escaped);
            plain &= !escaped;
            match self.peek() {
                Some(b'"') => return Ok(plain),
                Some(b'\\') => self.escape()?,
                Some(0x80..) => self.non_ascii()?,
                _ => return Err(self.syntax("a control character in a string must be escaped")),
            }
            plain = false;
        }
    }

    /// An escape, from its backslash on. Halves of surrogate pairs are let through, as serde_json does when it
    /// ignores a value.
    fn escape(&mut self) -> Result<(), ScanError> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|digit| digit.is_ascii_hexdigit()) {
                        return Err(self.syntax("\\u needs four hexadecimal digits"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.syntax("no such escape")),
        }
        Ok(())
    }

    /// The rest of a string up to the next quote or escape, known to hold more than ASCII.
    fn non_ascii(&mut self) -> Result<(), ScanError> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let length = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        let text = rest.get(..length).unwrap_or_default();
        if let Err(error) = simdutf8::compat::from_utf8(text) {
            return Err(ScanError::NotUtf8 { at: self.at + error.valid_up_to() });
        }
        // Without a way out of the loop, the compiler makes vector code of it.
        let control = text.iter().fold(false, |any, byte| any | (*byte < 0x20));
        if control {
            self.at += text.iter().position(|byte| *byte < 0x20).unwrap_or_default();
            return Err(self.syntax("a control character in a string must be escaped"));
        }
        self.at += length;
        Ok(())
    }

    pub(crate) fn number(&mut self) -> Result<(), ScanError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
            if self.takes_nan && self.peek() == Some(b'I') {
                return self.word(b"Infinity");
            }
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.syntax("a number must not begin with 0"));
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), ScanError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.syntax("a digit is expected"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    pub(crate) fn word(&mut self, word: &'static [u8]) -> Result<(), ScanError> {
        for byte in word {
            if self.peek() != Some(*byte) {
                return Err(self.syntax("a value is expected"));
            }
            self.at += 1;
        }
        Ok(())
    }
}
