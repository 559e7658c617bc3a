//! br (RFC 7932).

use std::fmt;
use std::io::{self, Write};

use brotli_decompressor::{BrotliDecoderParameter, DecompressorWriter};

use super::Sink;

/// What is decoded is passed on in pieces of so many bytes.
const PIECE: usize = 4 << 10;

/// Undoes br.
pub(super) struct BrotliDecoder(Box<DecompressorWriter<Sink>>);

impl BrotliDecoder {
    pub(super) fn new() -> BrotliDecoder {
        let mut decoder = DecompressorWriter::new(Sink::default(), PIECE);
        // Windows of up to 1 GiB, which are no part of the content coding. It can be set before the first byte only, as
        // here.
        let _ = decoder.set_parameter(BrotliDecoderParameter::BROTLI_DECODER_PARAM_LARGE_WINDOW, 0);
        BrotliDecoder(Box::new(decoder))
    }

    pub(super) fn get_mut(&mut self) -> &mut Sink {
        self.0.get_mut()
    }

    pub(super) fn try_finish(&mut self) -> io::Result<()> {
        // All that there is has been given out already: what it misses is its end.
        self.0.close().map_err(|_| io::ErrorKind::UnexpectedEof.into())
    }
}

impl Write for BrotliDecoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for BrotliDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrotliDecoder")
    }
}
