//! Content encodings of answers, undone as a stream: gzip with any number of members, deflate in both of the forms that
//! servers send under this name, br and zstd. None but gzip is asked for; there are servers that send the others all
//! the same.

mod brotli;
mod zstd;

use std::fmt;
use std::io::{self, Write};

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use brotli::BrotliDecoder;
use zstd::ZstdDecoder;

/// What one call of [`ContentDecoder::decode`] may add to its output, in bytes, unless set otherwise. Deflate can
/// blow up its input a thousandfold, others more, so without a bound a small chunk could take all memory.
pub const MAX_PER_CALL: usize = 32 << 20;

/// A content encoding that cannot be undone here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported(pub String);

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the content encoding {:?} is not supported: gzip, deflate, br, zstd and identity are",
            self.0
        )
    }
}

impl std::error::Error for Unsupported {}

/// Why an encoded body cannot be decoded, or not further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EncodingError {
    /// Not in the encoding it is said to be in, a checksum is wrong, or something follows its end.
    Corrupt(String),
    /// It ended too early.
    Truncated,
    /// One call would have given more than this many bytes.
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

impl fmt::Display for EncodingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodingError::Corrupt(problem) => write!(f, "the compressed body is corrupt: {problem}"),
            EncodingError::Truncated => write!(f, "the compressed body ended too early"),
            EncodingError::TooLarge { limit } => {
                write!(f, "a piece of the compressed body has more than {limit} bytes when decompressed")
            }
        }
    }
}

impl std::error::Error for EncodingError {}

/// Undoes the content encoding of one body, chunk by chunk.
#[derive(Debug)]
pub struct ContentDecoder {
    inflater: Inflater,
    max_per_call: usize,
    /// False until the first byte: an empty body is taken as it is, whatever its header says.
    begun: bool,
    failed: Option<EncodingError>,
}

#[derive(Debug)]
enum Inflater {
    Gzip(MultiGzDecoder<Sink>),
    Zlib(ZlibDecoder<Sink>),
    Deflate(DeflateDecoder<Sink>),
    Brotli(BrotliDecoder),
    Zstd(ZstdDecoder),
    /// `deflate` means zlib (RFC 9110, 8.4.1.2), but some servers send it without the zlib header. The first two
    /// bytes tell; this is the first of them, once it came.
    Undecided(Option<u8>),
}

impl ContentDecoder {
    /// A decoder for the value of a `content-encoding` header; `None` when there is nothing to undo.
    ///
    /// # Errors
    ///
    /// For other encodings, and for several at once.
    pub fn new(content_encoding: &str) -> Result<Option<Self>, Unsupported> {
        let mut codings = content_encoding
            .split(',')
            .map(str::trim)
            .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"));
        let Some(coding) = codings.next() else { return Ok(None) };
        let inflater = match coding.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Inflater::Gzip(MultiGzDecoder::new(Sink::default())),
            "deflate" => Inflater::Undecided(None),
            "br" => Inflater::Brotli(BrotliDecoder::new()),
            "zstd" => Inflater::Zstd(ZstdDecoder::new()),
            _ => return Err(Unsupported(content_encoding.to_owned())),
        };
        if codings.next().is_some() {
            return Err(Unsupported(content_encoding.to_owned()));
        }
        Ok(Some(Self { inflater, max_per_call: MAX_PER_CALL, begun: false, failed: None }))
    }

    /// The same decoder with another bound than [`MAX_PER_CALL`], in bytes.
    #[must_use]
    pub fn with_max_per_call(mut self, limit: usize) -> Self {
        self.max_per_call = limit;
        self
    }

    /// Decodes what came next and adds it to `out`: all of what can be known by now, so a stream is not held up.
    ///
    /// # Errors
    ///
    /// When the body is corrupt, or the chunk gives too much. What was decoded before that is in `out`; every later
    /// call fails in the same way.
    pub fn decode(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), EncodingError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if chunk.is_empty() {
            return Ok(());
        }
        self.begun = true;
        self.inflate(chunk, out).inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// Says whether the body was whole. To be called once, after its last byte.
    ///
    /// # Errors
    ///
    /// When it ended too early, its checksum is wrong, or it failed before.
    pub fn finish(mut self) -> Result<(), EncodingError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if !self.begun {
            return Ok(());
        }
        match &mut self.inflater {
            Inflater::Gzip(decoder) => decoder.try_finish(),
            Inflater::Zlib(decoder) => decoder.try_finish(),
            Inflater::Deflate(decoder) => decoder.try_finish(),
            Inflater::Brotli(decoder) => decoder.try_finish(),
            Inflater::Zstd(decoder) => decoder.try_finish(),
            Inflater::Undecided(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
        .map_err(problem)
    }

    fn inflate(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), EncodingError> {
        let limit = self.max_per_call;
        match &mut self.inflater {
            Inflater::Gzip(decoder) => inflate(decoder, MultiGzDecoder::get_mut, limit, chunk, out),
            Inflater::Zlib(decoder) => inflate(decoder, ZlibDecoder::get_mut, limit, chunk, out),
            Inflater::Deflate(decoder) => inflate(decoder, DeflateDecoder::get_mut, limit, chunk, out),
            Inflater::Brotli(decoder) => inflate(decoder, BrotliDecoder::get_mut, limit, chunk, out),
            Inflater::Zstd(decoder) => inflate(decoder, ZstdDecoder::get_mut, limit, chunk, out),
            Inflater::Undecided(first) => {
                let begin = match (*first, chunk) {
                    (None, &[byte]) => {
                        *first = Some(byte);
                        return Ok(());
                    }
                    (None, &[first, second, ..]) | (Some(first), &[second, ..]) => [first, second],
                    (_, []) => return Ok(()),
                };
                let held = first.take();
                // RFC 1950: method 8, and both bytes as one number are a multiple of 31. A raw stream cannot begin
                // like this, but for a stored block with padding that is not zero.
                self.inflater = if begin[0] & 0x0f == 8 && u16::from_be_bytes(begin) % 31 == 0 {
                    Inflater::Zlib(ZlibDecoder::new(Sink::default()))
                } else {
                    Inflater::Deflate(DeflateDecoder::new(Sink::default()))
                };
                if let Some(held) = held {
                    self.inflate(&[held], out)?;
                }
                self.inflate(chunk, out)
            }
        }
    }
}

fn inflate<D: Write>(
    decoder: &mut D,
    sink: fn(&mut D) -> &mut Sink,
    limit: usize,
    chunk: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), EncodingError> {
    // The decoder owns where it writes to, so the caller's buffer is lent to it for the call.
    *sink(decoder) = Sink { out: std::mem::take(out), room: limit, full: false };
    let result = decoder.write_all(chunk).and_then(|()| decoder.flush());
    let sink = std::mem::take(sink(decoder));
    *out = sink.out;
    result.map_err(|error| if sink.full { EncodingError::TooLarge { limit } } else { problem(error) })
}

fn problem(error: io::Error) -> EncodingError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => EncodingError::Truncated,
        io::ErrorKind::WriteZero => EncodingError::Corrupt("something follows its end".to_owned()),
        _ => EncodingError::Corrupt(error.to_string()),
    }
}

/// Where a decoder writes to, with a bound. Between calls it is empty and has no room.
#[derive(Debug, Default)]
struct Sink {
    out: Vec<u8>,
    room: usize,
    full: bool,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.room.checked_sub(bytes.len()) {
            Some(room) => self.room = room,
            None => {
                self.full = true;
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
