//! Bodies as servers send them, whole, cut and spoilt.

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

fn br(data: &[u8]) -> Vec<u8> {
    let mut encoder = ::brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
    encoder.write_all(data).unwrap();
    encoder.into_inner()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
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
    for some in ["gzip", "GZIP", "x-gzip", " deflate", "identity, gzip", "br", "ZSTD"] {
        assert!(ContentDecoder::new(some).unwrap().is_some(), "{some}");
    }
    for other in ["compress", "dcb", "gzip, gzip", "gzip, br", "gzip;q=1"] {
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
    for (encoding, encode) in [("br", br as fn(&[u8]) -> Vec<u8>), ("zstd", zstd)] {
        assert_eq!(decode(encoding, &[&encode(TEXT)]).unwrap(), TEXT, "{encoding}");
        assert_eq!(decode(encoding, &[&encode(b"")]).unwrap(), b"", "{encoding}");
    }
    let members = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
    assert_eq!(decode("gzip", &[&members]).unwrap(), b"one two");
    let skipped =
        |bytes: &[u8]| [b"\x5a\x2a\x4d\x18", &(bytes.len() as u32).to_le_bytes()[..], bytes].concat();
    let frames = [zstd(b"one "), skipped(b""), zstd(b""), skipped(b"nothing"), zstd(b"two")].concat();
    assert_eq!(decode("zstd", &[&frames]).unwrap(), b"one two");
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

/// What the libraries of the formats' authors make of four events, each flushed, and of their end: brotli 1.2.0 at
/// quality 5, zstd 1.5.7 at level 3 with a checksum.
const FLUSHED: [(&str, [&str; 5]); 2] = [
    (
        "br",
        [
            "0b250000040a37f51875790db41ae73ac64ec12107acdf228ed20028c060630ccf71344e442ab238f0e91a5c2b105b34c500d15e17e43949d7e91a29a7\
             9bf618e68de92c5694d927ef433e55fa8d3100",
            "5002004022a69e1026b03a6400",
            "5002004042a6847822002603",
            "5002004062a6847822002603",
            "03",
        ],
    ),
    (
        "zstd",
        [
            "28b52ffd0458580200646174613a207b22726f756e64223a20302c202274657874223a202274686520717569636b2062726f776e20666f78206a756d70\
             73206f76657220746865206c617a7920646f67227d0a0a",
            "5400000831020087531c240001",
            "540000106432020007a774e00a",
            "540000106433020007a774e00a",
            "01000036d776f5",
        ],
    ),
];

#[test]
fn what_others_flush_comes_out_at_once() {
    for (encoding, pieces) in FLUSHED {
        let mut decoder = ContentDecoder::new(encoding).unwrap().unwrap();
        for (round, piece) in pieces.iter().enumerate() {
            let mut out = Vec::new();
            decoder.decode(&hex::decode(piece).unwrap(), &mut out).unwrap();
            let event = format!(
                "data: {{\"round\": {round}, \"text\": \"the quick brown fox jumps over the lazy dog\"}}\n\n"
            );
            assert_eq!(
                String::from_utf8(out).unwrap(),
                if round < 4 { event } else { String::new() },
                "{encoding}"
            );
        }
        decoder.finish().unwrap();
        let whole = hex::decode(pieces.concat()).unwrap();
        for length in 1..whole.len() {
            assert_eq!(
                decode(encoding, &[&whole[..length]]),
                Err(EncodingError::Truncated),
                "{encoding}: {length}"
            );
        }
        assert!(decode(encoding, &[&whole, b"more"]).is_err(), "{encoding}");
    }
    let mut wrong_sum = hex::decode(FLUSHED[1].1.concat()).unwrap();
    *wrong_sum.last_mut().unwrap() ^= 1;
    assert!(matches!(decode("zstd", &[&wrong_sum]), Err(EncodingError::Corrupt(_))));
}

#[test]
fn a_window_that_takes_all_memory_is_refused() {
    // 16 MiB, one more than the content coding has: an exponent of 14 over 1 KiB.
    let frame = |exponent: u8| [&zstd::MAGIC[..], &[0, exponent << 3], &[1, 0, 0]].concat();
    assert_eq!(decode("zstd", &[&frame(13)]).unwrap(), b"");
    assert!(matches!(decode("zstd", &[&frame(14)]), Err(EncodingError::Corrupt(_))));
}

#[test]
fn a_body_that_ends_too_early_is_an_error() {
    for (encoding, body) in [("gzip", gzip(TEXT)), ("deflate", zlib(TEXT)), ("deflate", raw(TEXT))] {
        for length in 1..body.len() {
            assert!(decode(encoding, &[&body[..length]]).is_err(), "{encoding}: {length} of {}", body.len());
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
    for (encoding, bomb) in [
        ("gzip", gzip(&vec![0; 10 << 20])),
        ("br", br(&vec![0; 10 << 20])),
        ("zstd", zstd(&vec![0; 10 << 20])),
    ] {
        assert!(bomb.len() < 16 << 10, "{encoding}");
        let mut decoder = ContentDecoder::new(encoding).unwrap().unwrap().with_max_per_call(1 << 20);
        let mut out = Vec::new();
        assert_eq!(
            decoder.decode(&bomb, &mut out),
            Err(EncodingError::TooLarge { limit: 1 << 20 }),
            "{encoding}"
        );
        assert!(out.len() <= 1 << 20);
    }
    let bomb = gzip(&vec![0; 10 << 20]);
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
        form in 0..5_usize,
        mutations in proptest::collection::vec(mutation(b"\x00\x1f\x8b\x08\x28\xb5"), 0..2),
        cuts in cuts(),
    ) {
        let text = members.concat();
        let (encoding, body) = match form {
            0 => ("gzip", members.iter().flat_map(|member| gzip(member.as_bytes())).collect()),
            1 => ("deflate", zlib(text.as_bytes())),
            2 => ("deflate", raw(text.as_bytes())),
            3 => ("br", br(text.as_bytes())),
            _ => ("zstd", members.iter().flat_map(|member| zstd(member.as_bytes())).collect()),
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
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100), cuts in cuts(), form in 0..4_usize) {
        let encoding = ["gzip", "deflate", "br", "zstd"][form];
        let _ = decode(encoding, &chunks(&bytes, &cuts));
    }

    /// Behind the magic number, where headers and blocks are.
    #[test]
    fn never_panics_behind_a_magic_number(bytes in proptest::collection::vec(any::<u8>(), 0..300), cuts in cuts()) {
        let body = [&zstd::MAGIC[..], &bytes].concat();
        let whole = decode("zstd", &[&body]).ok();
        prop_assert_eq!(decode("zstd", &chunks(&body, &cuts)).ok(), whole);
    }

    /// Behind a true header, where the parser of the optional header fields is.
    #[test]
    fn never_panics_behind_a_header(flags: u8, bytes in proptest::collection::vec(any::<u8>(), 0..100), cuts in cuts()) {
        let body = [b"\x1f\x8b\x08".as_slice(), &[flags], b"\0\0\0\0\0\x03", &bytes].concat();
        let whole = decode("gzip", &[&body]).ok();
        prop_assert_eq!(decode("gzip", &chunks(&body, &cuts)).ok(), whole);
    }
}
