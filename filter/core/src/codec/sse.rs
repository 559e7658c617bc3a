//! Server-sent events, after the WHATWG event stream rules: <https://html.spec.whatwg.org/#event-stream-interpretation>.
//!
//! A stream that is passed through must reach the client byte for byte while its events are read, so every event
//! comes with the bytes it was made of: the blocks laid end to end are the stream.

use std::fmt;
use std::ops::Range;

use memchr::{memchr, memchr2};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One block of a stream, up to the empty line that ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SseEvent<'d> {
    /// The `event:` field; `None` where there is none, it is empty, or it is not UTF-8.
    pub event: Option<&'d str>,
    /// The `data:` fields, joined by line feeds. Empty for a block that is no event, such as a comment sent to keep
    /// the connection open.
    pub data: &'d [u8],
    /// The whole block with its line ends, its comments and the empty line: what to forward, or to drop.
    pub raw: &'d [u8],
    /// False for what [`SseDecoder::finish`] finds without an empty line behind it: cut off, or just not ended
    /// properly.
    pub complete: bool,
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SseError {
    /// A block has more bytes than the decoder takes.
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

impl fmt::Display for SseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SseError::TooLarge { limit } => write!(f, "an event of the stream is larger than {limit} bytes"),
        }
    }
}

impl std::error::Error for SseError {}

/// Takes a stream apart, in time linear in its length whatever the chunks are.
///
/// ```
/// # use weir_core::codec::sse::SseDecoder;
/// let mut decoder = SseDecoder::new(1 << 20);
/// decoder.push(b"data: {\"a\"");
/// assert_eq!(decoder.next(), Ok(None));
/// decoder.push(b":1}\n\ndata: [DONE]\n");
/// assert_eq!(decoder.next().unwrap().unwrap().data, br#"{"a":1}"#);
/// assert_eq!(decoder.next(), Ok(None));
/// let rest = decoder.finish().unwrap().unwrap();
/// assert_eq!((rest.data, rest.complete), (b"[DONE]".as_slice(), false));
/// ```
#[derive(Debug)]
pub struct SseDecoder {
    max_event: usize,
    buffer: Vec<u8>,
    /// Where the block begins that comes next.
    block: usize,
    /// Where its current line begins.
    line: usize,
    /// How far line ends were looked for.
    scanned: usize,
    /// The last byte taken was a CR that ends a line; a LF that follows belongs to it.
    after_cr: bool,
    /// The line before ended with a CR and no LF.
    bare_cr: bool,
    at_start: bool,
    /// The bytes of a byte order mark before the first block.
    mark: usize,
    failed: bool,
    /// The data of an event with several data fields.
    joined: Vec<u8>,
}

impl SseDecoder {
    /// A decoder of one stream, with blocks of at most `max_event` bytes.
    #[must_use]
    pub fn new(max_event: usize) -> Self {
        Self {
            max_event,
            buffer: Vec::new(),
            block: 0,
            line: 0,
            scanned: 0,
            after_cr: false,
            bare_cr: false,
            at_start: true,
            mark: 0,
            failed: false,
            joined: Vec::new(),
        }
    }

    /// Takes the bytes that came next. Call [`next`](Self::next) until it has nothing before pushing more: then no
    /// more than a chunk and an event are ever held.
    pub fn push(&mut self, chunk: &[u8]) {
        if self.failed {
            return;
        }
        // What was read is dropped when it is the larger part, so that each byte is moved at most once or twice.
        if self.block > 0 && self.block >= self.buffer.len() / 2 {
            self.buffer.drain(..self.block);
            self.line -= self.block;
            self.scanned -= self.block;
            self.block = 0;
        }
        self.buffer.extend_from_slice(chunk);
    }

    /// The next block that is complete, or `None` until more is pushed.
    ///
    /// A block is complete with its empty line. Where that line ends with a CR and a LF may follow, it is known
    /// with the next byte; but a stream that ends its lines with CR alone is not held up.
    ///
    /// # Errors
    ///
    /// When a block is too large. The stream cannot be read on then, and every later call says so again.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend what it holds")]
    pub fn next(&mut self) -> Result<Option<SseEvent<'_>>, SseError> {
        let end = self.find_end(false)?;
        Ok(end.map(|end| self.take(end, true)))
    }

    /// What is left when the stream has ended and [`next`](Self::next) has nothing more: usually `None`, else the
    /// last block, which is marked as not complete if its empty line never came. Whether that is the end of an
    /// answer or half of an event only the API knows.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn finish(&mut self) -> Result<Option<SseEvent<'_>>, SseError> {
        match self.find_end(true)? {
            Some(end) => Ok(Some(self.take(end, true))),
            None if self.block < self.buffer.len() => Ok(Some(self.take(self.buffer.len(), false))),
            None => Ok(None),
        }
    }

    /// Where the current block ends, its empty line included.
    fn find_end(&mut self, ended: bool) -> Result<Option<usize>, SseError> {
        if self.failed {
            return Err(SseError::TooLarge { limit: self.max_event });
        }
        let end = self.scan(ended);
        if end.unwrap_or(self.scanned) - self.block > self.max_event {
            self.failed = true;
            self.buffer = Vec::new();
            return Err(SseError::TooLarge { limit: self.max_event });
        }
        Ok(end)
    }

    fn scan(&mut self, ended: bool) -> Option<usize> {
        if self.at_start {
            if self.buffer.len() < BYTE_ORDER_MARK.len()
                && BYTE_ORDER_MARK.starts_with(&self.buffer)
                && !ended
            {
                return None;
            }
            self.at_start = false;
            if self.buffer.starts_with(BYTE_ORDER_MARK) {
                self.mark = BYTE_ORDER_MARK.len();
                self.line = self.mark;
                self.scanned = self.mark;
            }
        }
        loop {
            if self.after_cr {
                let next = self.buffer.get(self.scanned)?;
                self.after_cr = false;
                self.bare_cr = *next != b'\n';
                if !self.bare_cr {
                    self.scanned += 1;
                    self.line = self.scanned;
                }
            }
            let rest = self.buffer.get(self.scanned..).unwrap_or_default();
            let Some(length) = memchr2(b'\n', b'\r', rest) else {
                self.scanned = self.buffer.len();
                return None;
            };
            let at = self.scanned + length;
            let empty = at == self.line;
            let bare_cr = std::mem::replace(&mut self.bare_cr, false);
            self.scanned = at + 1;
            if rest.get(length) == Some(&b'\n') {
                self.line = self.scanned;
            } else if !empty || bare_cr {
                // Lines of this stream end with CR alone, so no LF is waited for; should one come all the same,
                // it goes to the next block.
                self.after_cr = true;
                self.line = self.scanned;
            } else {
                match self.buffer.get(self.scanned) {
                    Some(b'\n') => self.scanned += 1,
                    Some(_) => {}
                    None if ended => {}
                    None => {
                        self.scanned = at;
                        return None;
                    }
                }
                self.line = self.scanned;
            }
            if empty {
                return Some(self.scanned);
            }
        }
    }

    /// Parses the block that ends at `end`, and goes behind it.
    fn take(&mut self, end: usize, complete: bool) -> SseEvent<'_> {
        let start = std::mem::replace(&mut self.block, end);
        self.line = end;
        let raw = self.buffer.get(start..end).unwrap_or_default();
        let fields = Fields::of(raw, std::mem::take(&mut self.mark), &mut self.joined);
        let event =
            fields.event.filter(|name| !name.is_empty()).and_then(|name| std::str::from_utf8(name).ok());
        let data = match fields.data {
            Data::None => b"",
            Data::One(range) => raw.get(range).unwrap_or_default(),
            Data::Joined => self.joined.as_slice(),
        };
        SseEvent { event, data, raw, complete }
    }
}

enum Data {
    None,
    /// Where the only data field stands in the block, so that nothing is copied.
    One(Range<usize>),
    /// Several fields, joined in the decoder's own buffer.
    Joined,
}

struct Fields<'b> {
    event: Option<&'b [u8]>,
    data: Data,
}

impl<'b> Fields<'b> {
    fn of(block: &'b [u8], start: usize, joined: &mut Vec<u8>) -> Self {
        let mut fields = Self { event: None, data: Data::None };
        let mut at = start;
        while let Some(rest) = block.get(at..).filter(|rest| !rest.is_empty()) {
            // The LF of a CRLF makes a line of no bytes here, which says nothing.
            let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let line = rest.get(..length).unwrap_or_default();
            let (name, value) = match memchr(b':', line) {
                Some(colon) => {
                    let space = usize::from(line.get(colon + 1) == Some(&b' '));
                    (line.get(..colon).unwrap_or_default(), colon + 1 + space)
                }
                None => (line, line.len()),
            };
            match name {
                b"event" => fields.event = line.get(value..),
                b"data" => match &fields.data {
                    Data::None => fields.data = Data::One(at + value..at + length),
                    Data::One(first) => {
                        joined.clear();
                        joined.extend_from_slice(block.get(first.clone()).unwrap_or_default());
                        push_line(joined, line.get(value..));
                        fields.data = Data::Joined;
                    }
                    Data::Joined => push_line(joined, line.get(value..)),
                },
                _ => {}
            }
            at += length + 1;
        }
        fields
    }
}

fn push_line(joined: &mut Vec<u8>, line: Option<&[u8]>) {
    joined.push(b'\n');
    joined.extend_from_slice(line.unwrap_or_default());
}

/// Writes an event. Data of several lines becomes several `data:` fields, and a name ends at its first line end, so
/// that nothing in them can pass for a field of its own.
pub fn write_event(out: &mut Vec<u8>, event: Option<&str>, data: &[u8]) {
    if let Some(name) = event.and_then(|name| name.split(['\r', '\n']).next()).filter(|name| !name.is_empty())
    {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    let mut rest = data;
    loop {
        let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, tail) = rest.split_at_checked(length).unwrap_or((rest, b""));
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
        rest = match tail.strip_prefix(b"\r\n").or_else(|| tail.get(1..)) {
            Some(rest) => rest,
            None => break,
        };
    }
    out.push(b'\n');
}

#[cfg(test)]
#[path = "sse_tests.rs"]
mod tests;
