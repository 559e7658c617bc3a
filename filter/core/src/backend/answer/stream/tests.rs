use proptest::prelude::*;

use super::*;
use crate::codec::testing::{chunks, cuts};

const CONTENT: &str = r#"{"choices":[{"delta":{"content":"a"}}],"usage":null}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":1}}"#;
const FINISH: &str = r#"{"choices":[{"finish_reason":"stop"}]}"#;
const BLOCKS: &[&str] = &[CONTENT, USAGE, FINISH, "[DONE]", ":", ""];

/// A block of a stream, and whether it is for the client.
#[derive(Debug, Clone)]
struct Sent {
    raw: String,
    is_event: bool,
    is_content: bool,
    is_hidden: bool,
}

fn sent() -> impl Strategy<Value = Sent> {
    let line_ends = proptest::sample::select(["\n", "\r\n"].as_slice());
    let extra = proptest::sample::select(["", "id: 1", ": c", "event: e"].as_slice());
    (proptest::sample::select(BLOCKS), line_ends, extra).prop_map(|(data, end, extra)| {
        let is_event = data.starts_with(['{', '[']);
        let line = if is_event { format!("data: {data}{end}") } else { format!(": c{end}") };
        let extra = if extra.is_empty() { String::new() } else { format!("{extra}{end}") };
        let raw = format!("{extra}{line}{end}");
        Sent { raw, is_event, is_content: data == CONTENT, is_hidden: data == USAGE }
    })
}

fn stream() -> Stream {
    stream_of(Hold { is_last: false, until_ms: 100, is_alive: false })
}

fn stream_of(hold: Hold) -> Stream {
    Stream::new(Params {
        endpoint: Endpoint::ChatCompletions,
        api: ClientApi::OpenAi,
        decoder: None,
        secrets: Secrets::default(),
        framing: Framing::Sse,
        translation: None,
        hide_usage: true,
        hold,
        choices: 1,
        retyped: false,
        is_array: false,
        naming: None,
    })
}

/// What the client gets, and how many chunks were handed back to Envoy as something new.
fn client_gets(chunks: &[&[u8]], progress: &mut Progress) -> (String, usize) {
    let (mut stream, mut got, mut made) = (stream(), Vec::new(), 0);
    for chunk in chunks {
        match stream.chunk(chunk, false, progress, 7).unwrap() {
            Chunk::Hold => {}
            Chunk::Pass => got.extend_from_slice(chunk),
            Chunk::Release(_, body) => got.extend(body),
            Chunk::Replace(body) => {
                made += 1;
                got.extend(body);
            }
        }
    }
    (String::from_utf8(got).unwrap(), made)
}

proptest! {
    /// Block by block and with no regard to time: comments before the first event and chunks of nothing but usage go,
    /// all else stays.
    #[test]
    fn the_client_gets_the_blocks_that_are_for_it(
        blocks in proptest::collection::vec(sent(), 0..12),
        mark in any::<bool>(),
        cuts in cuts(),
    ) {
        let mark = if mark { "\u{feff}" } else { "" };
        let mut expected = String::new();
        let mut whole = mark.to_owned();
        for (index, block) in blocks.iter().enumerate() {
            let raw = format!("{}{}", if index == 0 { mark } else { "" }, block.raw);
            if !block.is_hidden && (block.is_event || !expected.is_empty()) {
                expected.push_str(&raw);
            }
            whole.push_str(&block.raw);
        }
        let pieces = chunks(whole.as_bytes(), &cuts);
        let mut progress = Progress::default();
        prop_assert_eq!(&client_gets(&pieces, &mut progress).0, &expected);
        prop_assert_eq!(progress.seen_output_bytes, blocks.iter().filter(|block| block.is_content).count() as u64);
        let is_usage_told = blocks.iter().any(|block| block.is_hidden);
        prop_assert_eq!(progress.usage.input(), is_usage_told.then_some(1));
    }

    #[test]
    fn chunks_of_whole_events_are_not_handed_back(blocks in proptest::collection::vec(sent(), 0..12)) {
        let first = format!("data: {CONTENT}\n\n");
        let blocks: Vec<Sent> = blocks.into_iter().filter(|block| !block.is_hidden).collect();
        let pairs: Vec<String> = blocks.chunks(2).map(|pair| pair.iter().map(|block| block.raw.as_str()).collect()).collect();
        let pieces: Vec<&[u8]> = [&first].into_iter().chain(&pairs).map(|piece| piece.as_bytes()).collect();
        let mut progress = Progress::default();
        prop_assert_eq!(client_gets(&pieces, &mut progress), (first.clone() + &pairs.concat(), 0));
    }
}

/// Thousands of streams may wait for their next event.
#[test]
fn a_stream_that_waits_is_small() {
    let Mode::Watch(observer) = stream().mode else { panic!("it is not translated") };
    let bytes = size_of::<Stream>() + size_of_val(&*observer);
    assert!(bytes <= 1024, "{bytes} bytes");
}

const LAST: Hold = Hold { is_last: true, until_ms: 100, is_alive: false };
const COMMENT: &[u8] = b": thinking\n\n";
const ERROR: &[u8] = b"data: {\"error\":{\"message\":\"slow\",\"type\":\"server_error\"}}\n\n";

fn chunk(stream: &mut Stream, bytes: &[u8], progress: &mut Progress, now_ms: u64) -> Result<Chunk> {
    let taken = stream.chunk(bytes, false, progress, now_ms)?;
    stream.note(&taken, false, progress, now_ms);
    Ok(taken)
}

#[test]
fn a_comment_lets_the_headers_of_the_last_attempt_go() {
    let (mut stream, mut progress) = (stream_of(LAST), Progress::default());
    let Chunk::Release(_, body) = chunk(&mut stream, COMMENT, &mut progress, 7).unwrap() else { panic!() };
    assert_eq!(body, COMMENT);
    assert_eq!(progress.pulse, Some(Pulse::new(7)));
    assert_eq!(progress.answer, Answer::None, "nothing was answered yet");
    assert_eq!(stream.held(200), HeldHeaders::Over);
    assert_eq!(chunk(&mut stream, ERROR, &mut progress, 8).unwrap(), Chunk::Pass, "as the provider says it");
    assert_eq!(progress.answer, Answer::None, "it costs nothing");
    assert!(
        progress.pulse.is_some_and(|pulse| pulse.over_ms == Some(8)),
        "the client waits for nothing more"
    );
}

#[test]
fn an_error_that_comes_with_a_comment_is_told_by_the_status() {
    let mut stream = stream_of(LAST);
    assert!(chunk(&mut stream, &[COMMENT, ERROR].concat(), &mut Progress::default(), 7).is_err());
}

#[test]
fn nothing_lets_the_headers_of_the_last_attempt_go_after_a_while() {
    let mut stream = stream_of(LAST);
    assert_eq!(stream.held(30), HeldHeaders::Wait(70));
    assert!(matches!(stream.held(100), HeldHeaders::Release(_)));
    let mut progress = Progress::default();
    assert_eq!(chunk(&mut stream, COMMENT, &mut progress, 150).unwrap(), Chunk::Pass);
}

#[test]
fn where_another_may_follow_life_is_noted_and_the_headers_stay() {
    let (mut one, mut progress) = (stream(), Progress::default());
    assert_eq!(chunk(&mut one, COMMENT, &mut progress, 7).unwrap(), Chunk::Hold);
    assert!(matches!(one.held(99), HeldHeaders::Wait(1)));
    assert!(matches!(one.held(100), HeldHeaders::Release(_)), "before Envoy gives it up");
    let mut silent = stream();
    assert_eq!(silent.held(100), HeldHeaders::Over, "it is left for the next");
    assert!(matches!(chunk(&mut silent, COMMENT, &mut progress, 101).unwrap(), Chunk::Release(..)));
}

#[test]
fn what_is_hidden_keeps_nobody_waiting() {
    let (mut stream, mut progress) = (stream(), Progress::default());
    chunk(&mut stream, format!("data: {CONTENT}\n\n").as_bytes(), &mut progress, 10).unwrap();
    let taken = chunk(&mut stream, format!("data: {USAGE}\n\n").as_bytes(), &mut progress, 20).unwrap();
    assert_eq!(taken, Chunk::Replace(Vec::new()));
    assert_eq!(progress.pulse, Some(Pulse { heard_ms: 20, ..Pulse::new(10) }));
}
