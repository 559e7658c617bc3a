//! The innermost loop of a scan: how far a string goes on with nothing to look at, many bytes at a time.

use wide::i8x16;

/// Where the compiler may use vector registers; elsewhere they would be slower than words.
pub(crate) const HAS_VECTORS: bool = cfg!(any(
    target_feature = "sse2",
    target_feature = "simd128",
    all(target_feature = "neon", target_arch = "aarch64")
));

/// How many bytes are looked at at a time.
pub(super) const BLOCK: usize = 32;

/// How many bytes at the beginning need no closer look: what [`plain_words`] counts, and escapes of one letter, which
/// set `escaped`.
///
/// This is where the time of a scan goes.
#[inline]
pub(super) fn simple_prefix(bytes: &[u8], escaped: &mut bool) -> usize {
    let mut at = 0;
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>).filter(|_| HAS_VECTORS) {
        let mut special = special_bytes(block);
        while special != 0 {
            let index = special.trailing_zeros() as usize;
            match block.get(index..) {
                Some([b'\\', b'n' | b'"' | b'\\' | b't' | b'/' | b'r' | b'b' | b'f', ..]) => {
                    *escaped = true;
                    special &= !(0b11 << index);
                }
                _ => return at + index,
            }
        }
        at += BLOCK;
    }
    at + plain_words(bytes.get(at..).unwrap_or_default())
}

/// How many bytes of a string come before its closing quote, where that is near and nothing else needs a closer look:
/// names of members, for the most part. `bytes` begin behind the opening quote.
#[inline]
pub(super) fn short_string(bytes: &[u8]) -> Option<usize> {
    let block = bytes.first_chunk::<BLOCK>().filter(|_| HAS_VECTORS)?;
    let length = special_bytes(block).trailing_zeros() as usize;
    (block.get(length) == Some(&b'"')).then_some(length)
}

/// A bit for each byte that is a quote, a backslash or a control character: in a string they are escaped.
#[inline]
pub(super) fn escaped_bytes(block: &[u8; BLOCK]) -> u32 {
    // Of what is not ASCII, the first bit is set.
    special_bytes(block) & !bits(block, |bytes| bytes)
}

/// A bit for each byte that is a quote, a backslash, a control character or not ASCII.
#[inline]
fn special_bytes(block: &[u8; BLOCK]) -> u32 {
    bits(block, |bytes| {
        // Signed, what is not ASCII is below the space too.
        bytes.simd_lt(i8x16::splat(0x20))
            | bytes.simd_eq(i8x16::splat(b'"'.cast_signed()))
            | bytes.simd_eq(i8x16::splat(b'\\'.cast_signed()))
    })
}

/// The first bit of each byte that `of` makes.
#[inline]
fn bits(block: &[u8; BLOCK], of: impl Fn(i8x16) -> i8x16) -> u32 {
    let (halves, _) = block.as_chunks::<16>();
    // Not by `map`, which the compiler does byte by byte in places.
    halves.iter().rev().fold(0, |bits, half| bits << 16 | of(bytemuck::cast(*half)).to_bitmask())
}

/// How many bytes at the beginning are ASCII, no quote, no backslash and no control character. Eight at a time in one
/// 64-bit word, which is as fast in WebAssembly as in native code.
#[inline]
pub(super) fn plain_words(bytes: &[u8]) -> usize {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = EACH << 7;
    const QUOTE: u64 = EACH * b'"' as u64;
    const BACKSLASH: u64 = EACH * b'\\' as u64;
    const SPACE: u64 = EACH * b' ' as u64;

    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The high bit of a byte is set when a subtraction goes below zero, or when it was set before. A borrow may
        // flag the bytes after one that was flagged, never before, so the first flag is right.
        let flags = ((word ^ QUOTE).wrapping_sub(EACH)
            | (word ^ BACKSLASH).wrapping_sub(EACH)
            | word.wrapping_sub(SPACE)
            | word)
            & HIGH;
        if flags != 0 {
            return index * 8 + (flags.trailing_zeros() / 8) as usize;
        }
    }
    let is_plain = |byte: &u8| matches!(byte, 0x20..=0x7f) && !matches!(byte, b'"' | b'\\');
    words.len() * 8 + tail.iter().position(|byte| !is_plain(byte)).unwrap_or(tail.len())
}
