//! zstd (RFC 8878), with any number of frames.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use structured_zstd::decoding::errors::FrameDecoderError;
use structured_zstd::decoding::{ContentChecksum, FrameDecoder};

use super::Sink;

/// The largest window of the content coding, in bytes (RFC 9659, 3).
const MAX_WINDOW: u64 = 8 << 20;

/// The most that a block has when decoded, in bytes (RFC 8878, 3.1.1.2.4).
const MAX_BLOCK: usize = 128 << 10;

pub(super) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Undoes zstd. The decoder takes whole steps: a frame's header, a block, a checksum; until one is there it is kept
/// here.
pub(super) struct ZstdDecoder {
    decoder: Box<FrameDecoder>,
    sink: Sink,
    /// Less than one step.
    pending: Vec<u8>,
    at: At,
    /// Where blocks are decoded to.
    block: Vec<u8>,
}

#[derive(Clone, Copy)]
enum At {
    /// Between two frames.
    Start,
    /// Behind a frame's header.
    Frame,
    /// In a skippable frame of which so many bytes are to come.
    Skipped(usize),
}

impl ZstdDecoder {
    pub(super) fn new() -> ZstdDecoder {
        let mut decoder = Box::new(FrameDecoder::new());
        // It is below the most that the decoder knows, so that it takes it.
        let _ = decoder.set_max_window_size(MAX_WINDOW);
        decoder.set_content_checksum(ContentChecksum::Verify);
        ZstdDecoder { decoder, sink: Sink::default(), pending: Vec::new(), at: At::Start, block: Vec::new() }
    }

    pub(super) fn get_mut(&mut self) -> &mut Sink {
        &mut self.sink
    }

    pub(super) fn try_finish(&mut self) -> io::Result<()> {
        match self.at {
            At::Start if self.pending.is_empty() => Ok(()),
            _ => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Takes one step of what is there, and says of how many bytes. 0: a step needs more.
    fn step(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.at {
            At::Start => match start(bytes)? {
                Start::Incomplete => Ok(0),
                Start::Skippable(size) => {
                    self.at = if size == 0 { At::Start } else { At::Skipped(size) };
                    Ok(8)
                }
                Start::Frame(header) => {
                    self.decoder.reset(header).map_err(corrupt)?;
                    self.at = At::Frame;
                    Ok(header.len())
                }
            },
            At::Skipped(left) => {
                let taken = left.min(bytes.len());
                self.at = if taken == left { At::Start } else { At::Skipped(left - taken) };
                Ok(taken)
            }
            At::Frame => self.block(bytes),
        }
    }

    /// Takes a block or a checksum.
    fn block(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.decoder.input_needed(bytes);
        let Some(step) = bytes.get(..needed) else { return Ok(0) };
        self.block.resize(MAX_BLOCK, 0);
        let mut taken = 0;
        loop {
            let rest = step.get(taken..).unwrap_or_default();
            let (read, written) = self.decoder.decode_from_to(rest, &mut self.block).map_err(corrupt)?;
            self.sink.write_all(self.block.get(..written).unwrap_or_default())?;
            taken += read;
            if read == 0 && written == 0 {
                break;
            }
        }
        if self.decoder.is_finished() {
            self.at = At::Start;
        } else if taken == 0 {
            // A header that says more than a block may have.
            return Err(io::Error::new(ErrorKind::InvalidData, "a block is too large"));
        }
        Ok(taken)
    }
}

impl Write for ZstdDecoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = std::mem::take(&mut self.pending);
        all.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(rest) = all.get(at..).filter(|rest| !rest.is_empty()) {
            let before = self.at;
            let taken = self.step(rest)?;
            at += taken;
            // A frame without content is over with its header.
            if taken == 0 && matches!((before, self.at), (At::Start, At::Start) | (At::Frame, At::Frame)) {
                break;
            }
        }
        all.drain(..at);
        self.pending = all;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for ZstdDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ZstdDecoder")
    }
}

enum Start<'a> {
    Incomplete,
    /// A frame of so many bytes that are nothing of the content (RFC 8878, 3.1.2).
    Skippable(usize),
    /// A frame's header.
    Frame(&'a [u8]),
}

/// What a frame begins with (RFC 8878, 3.1.1).
fn start(bytes: &[u8]) -> io::Result<Start<'_>> {
    let Some(magic) = bytes.first_chunk::<4>() else { return Ok(Start::Incomplete) };
    if u32::from_le_bytes(*magic) & 0xffff_fff0 == 0x184d_2a50 {
        let Some(&[.., a, b, c, d]) = bytes.first_chunk::<8>() else { return Ok(Start::Incomplete) };
        let size = usize::try_from(u32::from_le_bytes([a, b, c, d]));
        return Ok(Start::Skippable(size.unwrap_or(usize::MAX)));
    }
    if *magic != MAGIC {
        return Err(io::Error::new(ErrorKind::InvalidData, "it does not begin as zstd does"));
    }
    let Some(descriptor) = bytes.get(4) else { return Ok(Start::Incomplete) };
    let is_single_segment = descriptor & 0x20 != 0;
    let window = usize::from(!is_single_segment);
    let dictionary = match descriptor & 3 {
        3 => 4,
        size => usize::from(size),
    };
    let content_size = match descriptor >> 6 {
        0 => usize::from(is_single_segment),
        exponent => 1 << exponent,
    };
    let header = bytes.get(..5 + window + dictionary + content_size);
    Ok(header.map_or(Start::Incomplete, Start::Frame))
}

fn corrupt(error: FrameDecoderError) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error.to_string())
}
