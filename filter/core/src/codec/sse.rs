//! Server-sent events, after the WHATWG event stream rules:
//! <https://html.spec.whatwg.org/#event-stream-interpretation>.
//!
//! A stream that is passed through must reach the client byte for byte while its events are read, so every event
//! comes with the bytes it was made of: the blocks laid end to end are the stream.

use std::fmt;
use std::ops::Range;

use memchr::memchr2;

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
/// A block that lies within one chunk is read where it stands; only one that is cut by the end of a chunk is copied.
///
/// ```
/// # use weir_core::codec::sse::SseDecoder;
/// let mut decoder = SseDecoder::new(1 << 20);
/// let mut chunk: &[u8] = b"data: {\"a\"";
/// assert_eq!(decoder.next(&mut chunk), Ok(None));
/// let mut chunk: &[u8] = b":1}\n\ndata: [DONE]\n";
/// assert_eq!(decoder.next(&mut chunk).unwrap().unwrap().data, br#"{"a":1}"#);
/// assert_eq!(decoder.next(&mut chunk), Ok(None));
/// let rest = decoder.finish().unwrap().unwrap();
/// assert_eq!((rest.data, rest.complete), (b"[DONE]".as_slice(), false));
/// ```
#[derive(Debug)]
pub struct SseDecoder {
    max_event: usize,
    /// The beginning of a block whose end is still to come, or all of one that was cut and has been handed out.
    kept: Vec<u8>,
    is_handed_out: bool,
    block: Block,
    failed: bool,
    /// The data of an event with several data fields.
    joined: Vec<u8>,
}

impl SseDecoder {
    /// So many bytes are held in memory.
    #[must_use]
    pub fn held(&self) -> usize {
        self.kept.capacity().saturating_add(self.joined.capacity())
    }

    /// A decoder of one stream, with blocks of at most `max_event` bytes.
    #[must_use]
    pub fn new(max_event: usize) -> Self {
        Self {
            max_event,
            kept: Vec::new(),
            is_handed_out: false,
            block: Block { at_start: true, ..Block::default() },
            failed: false,
            joined: Vec::new(),
        }
    }

    /// The next block that is complete, taken off the beginning of `chunk`. `None` when there is none: then all of the
    /// chunk was taken, and what is the beginning of a block is kept for the next chunk.
    ///
    /// A block is complete with its empty line. Where that line ends with a CR and a LF may follow, it is known
    /// with the next byte; but a stream that ends its lines with CR alone is not held up.
    ///
    /// # Errors
    ///
    /// When a block is too large. The stream cannot be read on then, and every later call says so again.
    pub fn next<'d, 'c: 'd>(&'d mut self, chunk: &mut &'c [u8]) -> Result<Option<SseEvent<'d>>, SseError> {
        self.drop_handed_out();
        if self.kept.is_empty() {
            let whole = *chunk;
            *chunk = b"";
            let end = self.block.scan(whole, &mut self.joined, false);
            if let Some(end) = self.within_limit(end)? {
                let (raw, rest) = whole.split_at_checked(end).unwrap_or((whole, b""));
                *chunk = rest;
                return Ok(Some(self.block.take(raw, &self.joined, true)));
            }
            // Not the old buffer: most streams wait with nothing kept, and should take no memory for it.
            self.kept = whole.to_vec();
            if self.kept.is_empty() {
                self.joined = Vec::new();
            }
            return Ok(None);
        }
        // No more is copied than the rest of the block that was cut.
        while !chunk.is_empty() {
            let lines = *chunk;
            let before = self.kept.len();
            let length = memchr2(b'\n', b'\r', lines).map_or(lines.len(), |at| at + 1);
            let (line, rest) = lines.split_at_checked(length).unwrap_or((lines, b""));
            self.kept.extend_from_slice(line);
            *chunk = rest;
            let end = self.block.scan(&self.kept, &mut self.joined, false);
            if let Some(end) = self.within_limit(end)? {
                // Where the line told only that the block had ended with a CR, it belongs to the next one.
                *chunk = lines.get(end.saturating_sub(before)..).unwrap_or_default();
                self.kept.truncate(end);
                self.is_handed_out = true;
                return Ok(Some(self.block.take(&self.kept, &self.joined, true)));
            }
        }
        Ok(None)
    }

    /// What is left when the stream has ended and [`next`](Self::next) has nothing more: usually `None`, else the
    /// last block, which is marked as not complete if its empty line never came. Whether that is the end of an
    /// answer or half of an event only the API knows.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn finish(&mut self) -> Result<Option<SseEvent<'_>>, SseError> {
        self.drop_handed_out();
        let end = self.block.scan(&self.kept, &mut self.joined, true);
        let complete = self.within_limit(end)?.is_some();
        if self.kept.is_empty() {
            return Ok(None);
        }
        self.is_handed_out = true;
        if !complete {
            self.block.field(&self.kept, self.kept.len(), &mut self.joined);
        }
        Ok(Some(self.block.take(&self.kept, &self.joined, complete)))
    }

    fn drop_handed_out(&mut self) {
        if std::mem::take(&mut self.is_handed_out) {
            self.kept.clear();
        }
    }

    /// Where the current block ends, if that is known and it is not too large.
    fn within_limit(&mut self, end: Option<usize>) -> Result<Option<usize>, SseError> {
        if self.failed || end.unwrap_or(self.block.scanned) > self.max_event {
            self.failed = true;
            self.kept = Vec::new();
            self.joined = Vec::new();
            return Err(SseError::TooLarge { limit: self.max_event });
        }
        Ok(end)
    }
}

/// How far a block was read. Positions are in bytes from its beginning.
#[derive(Debug, Default)]
struct Block {
    /// Where its current line begins.
    line: usize,
    /// How far line ends were looked for.
    scanned: usize,
    /// The last byte taken was a CR that ends a line; a LF that follows belongs to it.
    after_cr: bool,
    /// The line before ended with a CR and no LF.
    bare_cr: bool,
    /// Nothing of the stream was read.
    at_start: bool,
    event: Option<Range<usize>>,
    data: Data,
}

#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    /// Where the only data field stands in the block, so that nothing is copied.
    One(Range<usize>),
    /// Several fields, joined in the decoder's own buffer.
    Joined,
}

impl Block {
    /// Reads on in `bytes`, which begin where the block begins, and finds its end, the empty line included.
    fn scan(&mut self, bytes: &[u8], joined: &mut Vec<u8>, ended: bool) -> Option<usize> {
        if self.at_start {
            if bytes.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(bytes) && !ended {
                return None;
            }
            self.at_start = false;
            if bytes.starts_with(BYTE_ORDER_MARK) {
                self.line = BYTE_ORDER_MARK.len();
                self.scanned = self.line;
            }
        }
        loop {
            if self.after_cr {
                let next = bytes.get(self.scanned)?;
                self.after_cr = false;
                self.bare_cr = *next != b'\n';
                if !self.bare_cr {
                    self.scanned += 1;
                    self.line = self.scanned;
                }
            }
            let rest = bytes.get(self.scanned..).unwrap_or_default();
            let length = match rest {
                // Usually the line behind the data is the empty one.
                [b'\n', ..] => Some(0),
                _ => memchr2(b'\n', b'\r', rest),
            };
            let Some(length) = length else {
                self.scanned = bytes.len();
                return None;
            };
            let at = self.scanned + length;
            let empty = at == self.line;
            if !empty {
                self.field(bytes, at, joined);
            }
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
                match bytes.get(self.scanned) {
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

    /// Reads the current line, which ends at `end`.
    fn field(&mut self, bytes: &[u8], end: usize, joined: &mut Vec<u8>) {
        let line = bytes.get(self.line..end).unwrap_or_default();
        let value_of = |name: &[u8]| match line.strip_prefix(name)? {
            [] => Some(end),
            [b':', value @ ..] => Some(end - value.strip_prefix(b" ").unwrap_or(value).len()),
            _ => None,
        };
        if let Some(value) = value_of(b"data") {
            match &self.data {
                Data::None => self.data = Data::One(value..end),
                Data::One(first) => {
                    joined.clear();
                    joined.extend_from_slice(bytes.get(first.clone()).unwrap_or_default());
                    push_line(joined, bytes.get(value..end));
                    self.data = Data::Joined;
                }
                Data::Joined => push_line(joined, bytes.get(value..end)),
            }
        } else if let Some(value) = value_of(b"event") {
            self.event = Some(value..end);
        }
    }

    /// The block, all of which was read; the next one begins behind it.
    fn take<'d>(&mut self, raw: &'d [u8], joined: &'d [u8], complete: bool) -> SseEvent<'d> {
        self.line = 0;
        self.scanned = 0;
        let name = self.event.take().and_then(|name| raw.get(name)).filter(|name| !name.is_empty());
        let data = match std::mem::take(&mut self.data) {
            Data::None => b"",
            Data::One(range) => raw.get(range).unwrap_or_default(),
            Data::Joined => joined,
        };
        SseEvent { event: name.and_then(|name| std::str::from_utf8(name).ok()), data, raw, complete }
    }
}

fn push_line(joined: &mut Vec<u8>, line: Option<&[u8]>) {
    joined.push(b'\n');
    joined.extend_from_slice(line.unwrap_or_default());
}

/// Whether a block has a comment: a line that begins with a colon.
#[must_use]
pub fn has_comment(block: &[u8]) -> bool {
    comments(block).next().is_some()
}

/// Writes the comments of a block, as a block of their own.
pub fn write_comments(out: &mut Vec<u8>, block: &[u8]) {
    for line in comments(block) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

fn comments(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let block = block.strip_prefix(BYTE_ORDER_MARK).unwrap_or(block);
    block.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| line.starts_with(b":"))
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
