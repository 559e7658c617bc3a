use proptest::prelude::*;

use super::*;
use crate::backend::answer::HeldHeaders;
use crate::codec::testing::{chunks, cuts};
use crate::exchange::Answer;

const CONTENT: &str = r#"{"choices":[{"delta":{"content":"a"}}],"usage":null}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":1}}"#;
const FINISH: &str = r#"{"choices":[{"finish_reason":"stop"}]}"#;
const ROLE: &str = r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#;
const BLOCKS: &[&str] = &[CONTENT, USAGE, FINISH, ROLE, "[DONE]", ":", ""];

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

const LAST: Hold = Hold { is_last: true, ..NOT_LAST };
const NOT_LAST: Hold = Hold { is_last: false, until_ms: 100, is_alive: false, content: None };

fn stream() -> Stream {
    stream_of(NOT_LAST)
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
fn client_gets(mut stream: Stream, chunks: &[&[u8]], progress: &mut Progress) -> (String, usize) {
    let (mut got, mut made) = (Vec::new(), 0);
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
        prop_assert_eq!(&client_gets(stream(), &pieces, &mut progress).0, &expected);
        prop_assert_eq!(progress.seen_output_bytes, blocks.iter().filter(|block| block.is_content).count() as u64);
        let is_usage_told = blocks.iter().any(|block| block.is_hidden);
        prop_assert_eq!(progress.usage.input(), is_usage_told.then_some(1));
    }

    /// The same bytes, and not before there is content.
    #[test]
    fn what_waits_for_content_goes_with_it(blocks in proptest::collection::vec(sent(), 0..12), cuts in cuts()) {
        let whole: String = blocks.iter().map(|block| block.raw.as_str()).collect();
        let pieces = chunks(whole.as_bytes(), &cuts);
        let mut progress = Progress::default();
        let (all, _) = client_gets(stream(), &pieces, &mut progress);
        let is_content = |block: &Sent| ["\"a\"", "stop", "[DONE]"].iter().any(|word| block.raw.contains(word));
        let mut waiting = Progress::default();
        let (got, _) = client_gets(until_content(), &pieces, &mut waiting);
        if blocks.iter().any(is_content) {
            prop_assert_eq!((got, waiting.answer), (all, progress.answer));
            prop_assert!(!waiting.is_held_back);
        } else {
            prop_assert_eq!((got.as_str(), waiting.answer), ("", Answer::None));
            prop_assert_eq!(waiting.is_held_back, blocks.iter().any(|block| block.is_event && !block.is_hidden));
        }
        prop_assert_eq!(waiting.usage, progress.usage);
    }

    #[test]
    fn chunks_of_whole_events_are_not_handed_back(blocks in proptest::collection::vec(sent(), 0..12)) {
        let first = format!("data: {CONTENT}\n\n");
        let blocks: Vec<Sent> = blocks.into_iter().filter(|block| !block.is_hidden).collect();
        let pairs: Vec<String> = blocks.chunks(2).map(|pair| pair.iter().map(|block| block.raw.as_str()).collect()).collect();
        let pieces: Vec<&[u8]> = [&first].into_iter().chain(&pairs).map(|piece| piece.as_bytes()).collect();
        let mut progress = Progress::default();
        prop_assert_eq!(client_gets(stream(), &pieces, &mut progress), (first.clone() + &pairs.concat(), 0));
    }
}

/// Thousands of streams may wait for their next event.
#[test]
fn a_stream_that_waits_is_small() {
    let Mode::Watch(observer) = stream().mode else { panic!("it is not translated") };
    let bytes = size_of::<Stream>() + size_of_val(&*observer);
    assert!(bytes <= 1024, "{bytes} bytes");
}

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
    assert_eq!(stream.held(&mut Progress::default(), 200), HeldHeaders::Over);
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
    assert_eq!(stream.held(&mut Progress::default(), 30), HeldHeaders::Wait(70));
    assert!(matches!(stream.held(&mut Progress::default(), 100), HeldHeaders::Release(_)));
    let mut progress = Progress::default();
    assert_eq!(chunk(&mut stream, COMMENT, &mut progress, 150).unwrap(), Chunk::Pass);
}

#[test]
fn where_another_may_follow_life_is_noted_and_the_headers_stay() {
    let (mut one, mut progress) = (stream(), Progress::default());
    assert_eq!(chunk(&mut one, COMMENT, &mut progress, 7).unwrap(), Chunk::Hold);
    assert!(matches!(one.held(&mut Progress::default(), 99), HeldHeaders::Wait(1)));
    assert!(
        matches!(one.held(&mut Progress::default(), 100), HeldHeaders::Release(_)),
        "before Envoy gives it up"
    );
    let mut silent = stream();
    assert_eq!(silent.held(&mut Progress::default(), 100), HeldHeaders::Over, "it is left for the next");
    assert!(matches!(chunk(&mut silent, COMMENT, &mut progress, 101).unwrap(), Chunk::Release(..)));
}

/// Until 60, unless the backend lives at 100.
fn until_content() -> Stream {
    until_content_or(60)
}

fn until_content_or(until_ms: u64) -> Stream {
    let content = ForContent { quiet_ms: 50, ..ForContent::new(0, until_ms, 0) };
    stream_of(Hold { content: Some(content.into()), ..NOT_LAST })
}

fn event(data: &str) -> String {
    format!("data: {data}\n\n")
}

#[test]
fn what_fails_before_its_content_was_no_answer() {
    for end in [ERROR, b"data: no JSON\n\n"] {
        let (mut one, mut progress) = (until_content(), Progress::default());
        assert_eq!(chunk(&mut one, event(ROLE).as_bytes(), &mut progress, 7).unwrap(), Chunk::Hold);
        assert!(chunk(&mut one, end, &mut progress, 8).is_err());
        assert_eq!((progress.answer, progress.is_held_back), (Answer::None, true));
        assert_eq!(progress.first_content_ms, None);
    }
    let mut one = until_content();
    assert!(one.chunk(event(ROLE).as_bytes(), true, &mut Progress::default(), 7).is_err(), "it ended");

    let (mut one, mut progress) = (until_content(), Progress::default());
    let begin = [event(ROLE), event(CONTENT)].concat();
    let taken = chunk(&mut one, &[begin.as_bytes(), ERROR].concat(), &mut progress, 7).unwrap();
    let Chunk::Release(_, body) = taken else { panic!("{taken:?}") };
    assert_eq!(body, [begin.as_bytes(), ERROR].concat(), "from there on the client has it");
    assert_eq!((progress.answer, progress.first_content_ms), (Answer::Begun, Some(7)));
}

#[test]
fn content_is_waited_for_until_the_client_is_to_hear_something() {
    let (mut one, mut progress) = (until_content(), Progress::default());
    assert_eq!(one.held(&mut progress, 10), HeldHeaders::Wait(50), "there may be an event by then");
    assert_eq!(one.held(&mut progress, 60), HeldHeaders::Wait(40), "there is none");
    chunk(&mut one, event(ROLE).as_bytes(), &mut progress, 7).unwrap();
    assert_eq!(one.held(&mut progress, 10), HeldHeaders::Wait(50));
    assert!(matches!(one.held(&mut progress, 60), HeldHeaders::Release(_)));
    assert_eq!((progress.answer, progress.is_held_back), (Answer::Begun, false));
    let late = chunk(&mut one, ERROR, &mut progress, 90).unwrap();
    assert_eq!(late, Chunk::Replace([event(ROLE).as_bytes(), ERROR].concat()), "it begins with what waited");

    let (mut one, mut progress) = (until_content(), Progress::default());
    let late = chunk(&mut one, event(ROLE).as_bytes(), &mut progress, 61).unwrap();
    assert!(matches!(late, Chunk::Release(..)), "the first event is the first that the client hears");
}

#[test]
fn a_backend_that_lives_is_let_go_before_envoy_gives_it_up() {
    let mut progress = Progress::default();
    let mut lives = until_content_or(u64::MAX);
    for now_ms in [7, 60] {
        assert_eq!(chunk(&mut lives, event(ROLE).as_bytes(), &mut progress, now_ms).unwrap(), Chunk::Hold);
        assert_eq!(lives.held(&mut progress, now_ms), HeldHeaders::Wait(100 - now_ms));
    }
    assert!(matches!(lives.held(&mut progress, 100), HeldHeaders::Release(_)));
    let mut silent = until_content_or(u64::MAX);
    chunk(&mut silent, event(ROLE).as_bytes(), &mut progress, 40).unwrap();
    assert_eq!(silent.held(&mut progress, 100), HeldHeaders::Over, "it is left for the next");
    let late = chunk(&mut silent, b"data: ", &mut progress, 101).unwrap();
    let Chunk::Release(_, body) = late else { panic!("{late:?}") };
    assert_eq!(body, event(ROLE).as_bytes(), "it lives after all");
}

#[test]
fn what_waits_for_content_has_its_limit() {
    let (mut one, mut progress) = (until_content(), Progress::default());
    let role = event(ROLE);
    let fits = MOST_KEPT_BACK / role.len();
    for _ in 0..fits {
        assert_eq!(chunk(&mut one, role.as_bytes(), &mut progress, 7).unwrap(), Chunk::Hold);
    }
    assert_eq!(one.held_bytes(), fits * role.len());
    let Chunk::Release(_, body) = chunk(&mut one, role.as_bytes(), &mut progress, 7).unwrap() else {
        panic!()
    };
    assert_eq!(body, role.repeat(fits + 1).as_bytes());
    assert_eq!((one.held_bytes(), progress.answer), (0, Answer::Begun));
}

#[test]
fn comments_wait_with_the_events_they_stand_between() {
    let (mut one, mut progress) = (until_content(), Progress::default());
    let pieces = [": a\n\n", &event(ROLE), ": b\n\n", &event(CONTENT)].concat();
    let Chunk::Release(_, body) = chunk(&mut one, pieces.as_bytes(), &mut progress, 7).unwrap() else {
        panic!()
    };
    assert_eq!(
        body,
        pieces.strip_prefix(": a\n\n").unwrap().as_bytes(),
        "those before the first say that it lives"
    );
}

#[test]
fn what_is_hidden_keeps_nobody_waiting() {
    let (mut stream, mut progress) = (stream(), Progress::default());
    chunk(&mut stream, format!("data: {CONTENT}\n\n").as_bytes(), &mut progress, 10).unwrap();
    let taken = chunk(&mut stream, format!("data: {USAGE}\n\n").as_bytes(), &mut progress, 20).unwrap();
    assert_eq!(taken, Chunk::Replace(Vec::new()));
    assert_eq!(progress.pulse, Some(Pulse { heard_ms: 20, ..Pulse::new(10) }));
}
