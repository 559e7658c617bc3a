//! Content encodings of answers, undone as a stream: gzip with any number of members, and deflate in both of the
//! forms that servers send under this name.

use std::fmt;
use std::io::{self, Write};

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// What one call of [`ContentDecoder::decode`] may add to its output, in bytes, unless set otherwise. Deflate can
/// blow up its input a thousandfold, so without a bound a small chunk could take all memory.
pub const MAX_PER_CALL: usize = 32 << 20;

/// A content encoding that cannot be undone here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported(pub String);

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the content encoding {:?} is not supported: gzip, deflate and identity are", self.0)
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
mod tests {
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;
    use crate::codec::testing::{chunks, cuts, mutate, mutation};

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(data: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn raw(data: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(encoding: &str, chunks: &[&[u8]]) -> Result<Vec<u8>, EncodingError> {
        let mut decoder = ContentDecoder::new(encoding).unwrap().unwrap();
        let mut out = Vec::new();
        for chunk in chunks {
            decoder.decode(chunk, &mut out)?;
        }
        decoder.finish().map(|()| out)
    }

    const TEXT: &[u8] = b"data: the quick brown fox jumps over the lazy dog, the quick brown fox\n\n";

    #[test]
    fn the_header_names_the_decoder() {
        for none in ["", "identity", " Identity ", ","] {
            assert!(ContentDecoder::new(none).unwrap().is_none(), "{none}");
        }
        for some in ["gzip", "GZIP", "x-gzip", " deflate", "identity, gzip"] {
            assert!(ContentDecoder::new(some).unwrap().is_some(), "{some}");
        }
        for other in ["br", "zstd", "gzip, gzip", "gzip, br", "gzip;q=1"] {
            assert_eq!(ContentDecoder::new(other).unwrap_err(), Unsupported(other.to_owned()));
        }
    }

    #[test]
    fn all_forms_are_undone() {
        assert_eq!(decode("gzip", &[&gzip(TEXT)]).unwrap(), TEXT);
        assert_eq!(decode("deflate", &[&zlib(TEXT)]).unwrap(), TEXT);
        assert_eq!(decode("deflate", &[&raw(TEXT)]).unwrap(), TEXT);
        assert_eq!(decode("gzip", &[&gzip(b"")]).unwrap(), b"");
        assert_eq!(decode("deflate", &[&raw(b"")]).unwrap(), b"");
        let members = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
        assert_eq!(decode("gzip", &[&members]).unwrap(), b"one two");
    }

    #[test]
    fn an_empty_body_is_taken_as_it_is() {
        assert_eq!(decode("gzip", &[]).unwrap(), b"");
        assert_eq!(decode("deflate", &[b""]).unwrap(), b"");
    }

    /// Whatever the sender flushed comes out at once, not with the next chunk.
    #[test]
    fn a_stream_is_not_held_up() {
        fn check<E: Write>(encoding: &str, mut encoder: E, written: fn(&mut E) -> &mut Vec<u8>) {
            let mut decoder = ContentDecoder::new(encoding).unwrap().unwrap();
            for round in 0..50 {
                let event = format!("data: {{\"round\": {round}}}\n\n");
                encoder.write_all(event.as_bytes()).unwrap();
                encoder.flush().unwrap();
                let mut out = Vec::new();
                decoder.decode(&std::mem::take(written(&mut encoder)), &mut out).unwrap();
                assert_eq!(String::from_utf8(out).unwrap(), event);
            }
        }
        check("gzip", GzEncoder::new(Vec::new(), Compression::default()), GzEncoder::get_mut);
        check("deflate", ZlibEncoder::new(Vec::new(), Compression::default()), ZlibEncoder::get_mut);
        check("deflate", DeflateEncoder::new(Vec::new(), Compression::default()), DeflateEncoder::get_mut);
    }

    #[test]
    fn a_body_that_ends_too_early_is_an_error() {
        for (encoding, body) in [("gzip", gzip(TEXT)), ("deflate", zlib(TEXT)), ("deflate", raw(TEXT))] {
            for length in 1..body.len() {
                assert!(
                    decode(encoding, &[&body[..length]]).is_err(),
                    "{encoding}: {length} of {}",
                    body.len()
                );
            }
        }
        let half = gzip(TEXT);
        assert_eq!(decode("gzip", &[&half[..half.len() / 2]]), Err(EncodingError::Truncated));
        assert_eq!(decode("deflate", &[b"x"]), Err(EncodingError::Truncated));
        let second_cut = [gzip(TEXT), gzip(TEXT)[..9].to_vec()].concat();
        assert!(decode("gzip", &[&second_cut]).is_err());
    }

    #[test]
    fn corrupt_bodies_are_errors() {
        let mut wrong_sum = gzip(TEXT);
        let at = wrong_sum.len() - 8;
        wrong_sum[at] ^= 1;
        for (encoding, body) in [
            ("gzip", wrong_sum.clone()),
            ("gzip", [wrong_sum, gzip(TEXT)].concat()),
            ("gzip", TEXT.to_vec()),
            ("gzip", [gzip(TEXT), b"more".to_vec()].concat()),
            ("deflate", [zlib(TEXT), b"more".to_vec()].concat()),
            ("deflate", vec![0xff; 20]),
        ] {
            assert!(decode(encoding, &[&body]).is_err(), "{encoding} {body:?}");
        }
    }

    #[test]
    fn an_error_stays() {
        let mut decoder = ContentDecoder::new("gzip").unwrap().unwrap();
        let mut out = Vec::new();
        let error = decoder.decode(TEXT, &mut out).unwrap_err();
        assert_eq!(decoder.decode(&gzip(TEXT), &mut out), Err(error.clone()));
        assert_eq!(decoder.finish(), Err(error));
        assert_eq!(out, b"");
    }

    #[test]
    fn a_bomb_is_refused_in_time() {
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(bomb.len() < 16 << 10);
        let mut decoder = ContentDecoder::new("gzip").unwrap().unwrap().with_max_per_call(1 << 20);
        let mut out = Vec::new();
        let result = decoder.decode(&bomb, &mut out);
        assert_eq!(result, Err(EncodingError::TooLarge { limit: 1 << 20 }));
        assert!(out.len() <= 1 << 20);
        // The bound is for one call: a long stream may be larger.
        let mut decoder = ContentDecoder::new("gzip").unwrap().unwrap().with_max_per_call(1 << 20);
        for chunk in bomb.chunks(512) {
            out.clear();
            decoder.decode(chunk, &mut out).unwrap();
        }
        decoder.finish().unwrap();
    }

    #[test]
    fn output_is_added_to_what_is_there() {
        let mut decoder = ContentDecoder::new("gzip").unwrap().unwrap();
        let mut out = b"before ".to_vec();
        decoder.decode(&gzip(b"after"), &mut out).unwrap();
        assert_eq!(out, b"before after");
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(
            members in proptest::collection::vec("[ab]{0,200}", 1..4),
            form in 0..3_usize,
            mutations in proptest::collection::vec(mutation(b"\x00\x1f\x8b\x08"), 0..2),
            cuts in cuts(),
        ) {
            let text = members.concat();
            let (encoding, body) = match form {
                0 => ("gzip", members.iter().flat_map(|member| gzip(member.as_bytes())).collect()),
                1 => ("deflate", zlib(text.as_bytes())),
                _ => ("deflate", raw(text.as_bytes())),
            };
            let body = mutate(body, &mutations);
            let whole = decode(encoding, &[&body]);
            if mutations.is_empty() {
                prop_assert_eq!(whole.as_deref(), Ok(text.as_bytes()));
            }
            // Where the body is corrupt, the words of the error may depend on where it was noticed.
            let whole = whole.ok();
            prop_assert_eq!(&decode(encoding, &chunks(&body, &cuts)).ok(), &whole);
            let bytes: Vec<&[u8]> = body.chunks(1).collect();
            prop_assert_eq!(&decode(encoding, &bytes).ok(), &whole);
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100), cuts in cuts(), gzip: bool) {
            let _ = decode(if gzip { "gzip" } else { "deflate" }, &chunks(&bytes, &cuts));
        }

        /// Behind a true header, where the parser of the optional header fields is.
        #[test]
        fn never_panics_behind_a_header(flags: u8, bytes in proptest::collection::vec(any::<u8>(), 0..100), cuts in cuts()) {
            let body = [b"\x1f\x8b\x08".as_slice(), &[flags], b"\0\0\0\0\0\x03", &bytes].concat();
            let whole = decode("gzip", &[&body]).ok();
            prop_assert_eq!(decode("gzip", &chunks(&body, &cuts)).ok(), whole);
        }
    }
}
