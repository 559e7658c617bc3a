use proptest::prelude::*;

use super::*;
use crate::codec::testing::{chunks, cuts};

#[derive(Debug, Clone, PartialEq, Eq)]
struct Owned {
    event: Option<String>,
    data: String,
    raw: String,
    complete: bool,
}

fn owned(event: SseEvent<'_>) -> Owned {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Owned {
        event: event.event.map(str::to_owned),
        data: text(event.data),
        raw: text(event.raw),
        complete: event.complete,
    }
}

fn drain(decoder: &mut SseDecoder, mut chunk: &[u8], events: &mut Vec<Owned>) -> Result<(), SseError> {
    while let Some(event) = decoder.next(&mut chunk)? {
        events.push(owned(event));
    }
    Ok(())
}

fn decode(chunks: &[&[u8]], max_event: usize) -> (Vec<Owned>, Result<(), SseError>) {
    let mut decoder = SseDecoder::new(max_event);
    let mut events = Vec::new();
    for chunk in chunks {
        if let Err(error) = drain(&mut decoder, chunk, &mut events) {
            return (events, Err(error));
        }
    }
    loop {
        match decoder.finish() {
            Ok(Some(event)) => events.push(owned(event)),
            Ok(None) => return (events, Ok(())),
            Err(error) => return (events, Err(error)),
        }
    }
}

fn all(stream: &str) -> Vec<Owned> {
    let (events, result) = decode(&[stream.as_bytes()], usize::MAX);
    result.unwrap();
    events
}

/// Event name and data of what a browser would dispatch.
fn events(stream: &str) -> Vec<(Option<String>, String)> {
    let events = all(stream).into_iter().filter(|event| event.complete && !event.data.is_empty());
    events.map(|event| (event.event, event.data)).collect()
}

fn data(stream: &str) -> Vec<String> {
    events(stream).into_iter().map(|(_, data)| data).collect()
}

#[test]
fn lines_end_in_three_ways() {
    for stream in ["data: a\n\ndata: b\n\n", "data: a\r\n\r\ndata: b\r\n\r\n", "data: a\r\rdata: b\r\r"] {
        assert_eq!(data(stream), ["a", "b"], "{stream:?}");
    }
    assert_eq!(data("data: a\n\r\ndata: b\r\n\rdata: c\r\n\n"), ["a", "b", "c"]);
}

#[test]
fn fields_follow_the_rules() {
    assert_eq!(data("data:a\n\n"), ["a"]);
    assert_eq!(data("data:  a \n\n"), [" a "]);
    assert_eq!(data("data\ndata: a\ndata:\n\n"), ["\na\n"]);
    assert_eq!(data("data: a:b\n\n"), ["a:b"]);
    assert_eq!(data("data: a\ndata: b\ndata: c\n\ndata: d\ndata: e\n\n"), ["a\nb\nc", "d\ne"]);
    assert_eq!(data(": note\nid: 1\nretry: 5\nDATA: x\n data: y\ndata : z\ndata: a\n\n"), ["a"]);
    assert_eq!(data("event: only\n\n: ping\n\n\n\ndata\n\n"), Vec::<String>::new());
    let named = events("event: x\nevent:y\ndata: a\n\ndata: b\n\nevent:\ndata: c\n\n");
    assert_eq!(named, [(Some("y".into()), "a".into()), (None, "b".into()), (None, "c".into())]);
}

#[test]
fn a_byte_order_mark_counts_only_at_the_start() {
    assert_eq!(data("\u{feff}data: a\n\n\u{feff}data: b\n\n"), ["a"]);
    assert_eq!(all("\u{feff}\ndata: a\n\n").len(), 2);
    // Cut within the mark.
    let (cut, _) = decode(&[b"\xef", b"\xbb", b"\xbf", b"data: a\n\n"], 100);
    assert_eq!(cut, all("\u{feff}data: a\n\n"));
    assert_eq!(decode(&[b"\xef\xbb"], 100).0.len(), 1);
}

#[test]
fn raw_has_the_block_and_its_terminator() {
    let raw: Vec<String> =
        all(": hi\r\n\r\nid: 1\r\ndata: a\r\n\r\n\n").into_iter().map(|event| event.raw).collect();
    assert_eq!(raw, [": hi\r\n\r\n", "id: 1\r\ndata: a\r\n\r\n", "\n"]);
}

#[test]
fn an_unterminated_block_is_marked() {
    let rest = |stream| all(stream).pop().unwrap();
    assert_eq!(
        rest("data: a\n\nevent: e\ndata: [DONE]\n"),
        Owned {
            event: Some("e".into()),
            data: "[DONE]".into(),
            raw: "event: e\ndata: [DONE]\n".into(),
            complete: false
        }
    );
    assert!(!rest("data: {\"half").complete);
    assert_eq!(all(""), []);
    assert_eq!(all("data: a\n\n").len(), 1);
}

#[test]
fn what_is_pushed_after_the_end_is_a_new_block() {
    let mut decoder = SseDecoder::new(100);
    assert_eq!(decoder.next(&mut b"id: 1\ndata: half".as_slice()), Ok(None));
    assert_eq!(decoder.finish().unwrap().unwrap().data, b"half");
    assert_eq!(decoder.next(&mut b"data: a\n\n".as_slice()).unwrap().unwrap().data, b"a");
}

#[test]
fn a_last_cr_may_have_a_lf_to_come() {
    let mut decoder = SseDecoder::new(100);
    assert_eq!(decoder.next(&mut b"data: a\r\n\r".as_slice()), Ok(None));
    let mut chunk = b"\ndata: b\r\n\r".as_slice();
    assert_eq!(decoder.next(&mut chunk).unwrap().unwrap().raw, b"data: a\r\n\r\n");
    assert_eq!(decoder.next(&mut chunk), Ok(None));
    let last = decoder.finish().unwrap().unwrap();
    assert_eq!((last.raw, last.complete), (b"data: b\r\n\r".as_slice(), true));
    assert_eq!(decoder.finish(), Ok(None));
}

#[test]
fn a_stream_with_cr_alone_is_not_held_up() {
    let mut decoder = SseDecoder::new(100);
    assert_eq!(decoder.next(&mut b"data: a\r\r".as_slice()).unwrap().unwrap().data, b"a");
    assert_eq!(decoder.next(&mut b"data: b\r\r".as_slice()).unwrap().unwrap().raw, b"data: b\r\r");
    // A stray LF is part of the line end before it, and goes along with the next block.
    let event = decoder.next(&mut b"\ndata: c\r\r".as_slice()).unwrap().unwrap();
    assert_eq!((event.data, event.raw), (b"c".as_slice(), b"\ndata: c\r\r".as_slice()));
}

#[test]
fn a_large_event_is_an_error_that_stays() {
    let error = Err(SseError::TooLarge { limit: 10 });
    assert_eq!(decode(&[b"data: 12\n\n"], 10).1, Ok(()));
    assert_eq!(decode(&[b"data: 123\n\n"], 10).1, error);
    let mut decoder = SseDecoder::new(10);
    assert_eq!(decoder.next(&mut b"data: 12345".as_slice()).map(|_| ()), error);
    assert_eq!(decoder.next(&mut b"\n\ndata: a\n\n".as_slice()).map(|_| ()), error);
    assert_eq!(decoder.finish().map(|_| ()), error);
    assert_eq!(decoder.kept.capacity(), 0);
}

#[test]
fn what_was_read_is_dropped() {
    let mut decoder = SseDecoder::new(1000);
    for _ in 0..1000 {
        drain(&mut decoder, b"data: 0123456789\n\ndata: 01\ndata: 234", &mut Vec::new()).unwrap();
        assert_eq!(decoder.kept.len(), b"data: 01\ndata: 234".len());
        drain(&mut decoder, b"56789\n\n", &mut Vec::new()).unwrap();
        assert_eq!((decoder.kept.capacity(), decoder.joined.capacity()), (0, 0), "while it waits");
    }
}

#[test]
fn a_block_within_a_chunk_is_not_copied() {
    let stream = b"\xef\xbb\xbfdata: a\n\nevent: b\r\ndata: c\r\n\r\n: d\n\n";
    let mut decoder = SseDecoder::new(1000);
    let mut rest = stream.as_slice();
    while !rest.is_empty() {
        let before = rest.as_ptr();
        let raw = decoder.next(&mut rest).unwrap().unwrap().raw.as_ptr_range();
        assert_eq!((raw.start, raw.end), (before, rest.as_ptr()));
    }
}

/// Byte by byte, an event of 4 MB: a decoder that looks at its carry-over again for each chunk would take hours.
#[test]
fn small_chunks_take_linear_time() {
    let mut decoder = SseDecoder::new(usize::MAX);
    assert_eq!(decoder.next(&mut b"data: ".as_slice()), Ok(None));
    for _ in 0..4 << 20 {
        assert_eq!(decoder.next(&mut b"x".as_slice()), Ok(None));
    }
    assert_eq!(decoder.next(&mut b"\n\n".as_slice()).unwrap().unwrap().data.len(), 4 << 20);
}

#[test]
fn written_events_hold_together() {
    let written = |event, data: &str| {
        let mut out = Vec::new();
        write_event(&mut out, event, data.as_bytes());
        String::from_utf8(out).unwrap()
    };
    assert_eq!(written(None, "{}"), "data: {}\n\n");
    assert_eq!(written(Some("message_stop"), "{}"), "event: message_stop\ndata: {}\n\n");
    assert_eq!(written(None, "a\nb\r\nc\rd\n"), "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n");
    assert_eq!(written(Some("a\ndata: x"), "b"), "event: a\ndata: b\n\n");
    assert_eq!(written(None, ""), "data: \n\n");
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = proptest::sample::select(
        [
            "data: a", "data:", "data", "event: e", ": c", "\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n",
            "é", "\u{feff}", "x", " ",
        ]
        .as_slice(),
    );
    let pieces = proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![4 => pieces, 1 => proptest::collection::vec(any::<u8>(), 0..100)]
}

/// The rules of the specification once more, for a whole stream and with no regard to time.
fn reference(stream: &str) -> Vec<(Option<String>, String)> {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream).replace("\r\n", "\n").replace('\r', "\n");
    let (mut dispatched, mut event, mut data) = (Vec::new(), String::new(), String::new());
    let mut lines: Vec<&str> = stream.split('\n').collect();
    lines.pop();
    for line in lines {
        if line.is_empty() {
            let name = std::mem::take(&mut event);
            let mut text = std::mem::take(&mut data);
            // The decoder gives blocks with empty data, too; here they do not count.
            if text.pop().is_some() && !text.is_empty() {
                dispatched.push((Some(name).filter(|name| !name.is_empty()), text));
            }
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => event = value.to_owned(),
            "data" => data.extend([value, "\n"]),
            _ => {}
        }
    }
    dispatched
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn chunks_do_not_matter(stream in stream(), cuts in cuts(), max_event in prop_oneof![Just(usize::MAX), 0..40_usize]) {
        let whole = decode(&[&stream], max_event);
        prop_assert_eq!(&decode(&chunks(&stream, &cuts), max_event), &whole);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(&decode(&bytes, max_event), &whole);
    }

    #[test]
    fn raw_blocks_make_up_the_stream(stream in stream(), cuts in cuts()) {
        let mut decoder = SseDecoder::new(usize::MAX);
        let mut out = Vec::new();
        for mut chunk in chunks(&stream, &cuts) {
            while let Some(event) = decoder.next(&mut chunk).unwrap() {
                out.extend_from_slice(event.raw);
            }
        }
        while let Some(event) = decoder.finish().unwrap() {
            out.extend_from_slice(event.raw);
        }
        prop_assert_eq!(out, stream);
    }

    #[test]
    fn agrees_with_the_specification(stream in stream()) {
        if let Ok(stream) = std::str::from_utf8(&stream) {
            prop_assert_eq!(events(stream), reference(stream));
        }
    }

    #[test]
    fn what_is_written_is_read(event in proptest::option::of("[a-z_.]{1,10}"), data in "[a-z\n: ]{1,30}") {
        let mut out = Vec::new();
        write_event(&mut out, event.as_deref(), data.as_bytes());
        prop_assert_eq!(events(std::str::from_utf8(&out).unwrap()), vec![(event, data)]);
    }
}

#[test]
fn comments_of_a_block_are_a_block() {
    let comments = |block: &[u8]| {
        let mut out = Vec::new();
        write_comments(&mut out, block);
        String::from_utf8(out).unwrap()
    };
    let block = b"\xef\xbb\xbf: one\r\nid: 7\r\n:two\r\ndata: :x\r\n\r\n";
    assert_eq!(comments(block), ": one\n:two\n\n");
    assert!(has_comment(block) && has_comment(b":\n\n"));
    assert!(!has_comment(b"data: a: b\nid: :c\n\n"));
}
