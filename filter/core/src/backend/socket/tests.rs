use proptest::prelude::*;

use super::*;
use crate::headers::HeaderEdits;

const KEY: [u8; 4] = [1, 2, 3, 4];
const LIMIT: usize = 1000;
const CREATE: &str = r#"{"type":"response.create","model":"asked"}"#;
const RENAMED: &str = r#"{"type":"response.create","model":"sent"}"#;
const OTHER: &str = r#"{"type":"response.create","model":"other"}"#;
const APPEND: &str = r#"{"type":"input_audio_buffer.append","audio":"UklG"}"#;
const DONE: &str = r#"{"type":"response.done","response":{"usage":{"input_tokens":3,"output_tokens":4}}}"#;
/// The backend's credential.
const SECRET: &str = "sk-of-the-backend";

fn socket() -> Socket {
    let models = Models { asked: "asked".to_owned(), sent: "sent".to_owned() };
    Socket::new(Endpoint::Realtime, models)
}

fn frame(opcode: Opcode, mask: Option<[u8; 4]>, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    websocket::write(opcode, mask, payload.as_ref(), &mut out);
    out
}

fn text(payload: &str) -> Vec<u8> {
    frame(Opcode::Text, Some(KEY), payload)
}

/// A client's frame of a message that may go on.
fn frame_of(is_final: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let head = websocket::Head { is_final, opcode, mask: Some(KEY), length: payload.len() as u64 };
    head.write(&mut out);
    unmask(head.mask, 0, payload, &mut out);
    out
}

/// A message in pieces of so many bytes.
fn frames(mask: Option<[u8; 4]>, payload: &str, size: usize) -> Vec<Vec<u8>> {
    let count = payload.len().div_ceil(size);
    let piece = |(index, piece): (usize, &[u8])| {
        let opcode = if index == 0 { Opcode::Text } else { Opcode::Continuation };
        let mut out = Vec::new();
        let head = websocket::Head { is_final: index + 1 == count, opcode, mask, length: piece.len() as u64 };
        head.write(&mut out);
        unmask(mask, 0, piece, &mut out);
        out
    };
    payload.as_bytes().chunks(size).enumerate().map(piece).collect()
}

/// The same with a ping between them.
fn pieces(mask: Option<[u8; 4]>, payload: &str, size: usize) -> Vec<u8> {
    frames(mask, payload, size).join(frame(Opcode::Ping, mask, "?").as_slice())
}

/// What comes out of it in all.
fn passed(chunk: &[u8], step: Chunk) -> Vec<u8> {
    match step {
        Chunk::Pass => chunk.to_vec(),
        Chunk::Replace(out) => out,
        Chunk::Hold | Chunk::Release(..) => panic!("there are no headers to hold"),
    }
}

fn clients(socket: &mut Socket, bytes: &[u8], size: usize) -> Vec<u8> {
    let one = |chunk| passed(chunk, socket.clients(chunk, LIMIT));
    bytes.chunks(size.max(1)).flat_map(one).collect()
}

fn servers(socket: &mut Socket, progress: &mut Progress, bytes: &[u8], size: usize) -> Vec<u8> {
    let mut headers = HeaderEdits::default();
    headers.set("authorization", format!("Bearer {SECRET}"));
    let secrets = Secrets::of(&headers);
    let one = |chunk| passed(chunk, socket.servers(chunk, &secrets, progress, 7));
    bytes.chunks(size.max(1)).flat_map(one).collect()
}

/// The code that `bytes` close with, after `before`.
fn closed(bytes: &[u8], before: &[u8]) -> u16 {
    let mut rest = bytes.strip_prefix(before).unwrap();
    let piece = Frames::default().next(&mut rest).unwrap().unwrap();
    assert_eq!((piece.head.opcode, rest), (Opcode::Close, &b""[..]));
    let mut payload = Vec::new();
    unmask(piece.head.mask, 0, piece.payload, &mut payload);
    std::str::from_utf8(&payload[2..]).unwrap();
    u16::from_be_bytes([payload[0], payload[1]])
}

#[test]
fn what_names_no_other_model_passes_as_it_is() {
    let around = |message: Vec<u8>| {
        let before = [text(APPEND), frame(Opcode::Ping, Some(KEY), "x")].concat();
        let behind = frame(Opcode::Binary, Some(KEY), APPEND);
        [before, message, behind, frame(Opcode::Close, Some(KEY), [3, 232])].concat()
    };
    // In one frame.
    let (bytes, expected) = (around(frames(Some(KEY), APPEND, 7).concat()), around(text(APPEND)));
    for size in [bytes.len(), 1, 2, 3, 5, 64] {
        let mut socket = socket();
        assert_eq!(clients(&mut socket, &bytes, size), expected, "{size}");
        assert_eq!(socket.held_bytes(), 0);
    }
    assert_eq!(socket().clients(&text(APPEND), LIMIT), Chunk::Pass);
}

#[test]
fn a_message_goes_on_once_it_is_whole_and_by_the_backends_name() {
    let bytes = pieces(Some(KEY), CREATE, 10);
    for size in [1, 4, bytes.len()] {
        let mut socket = socket();
        let last = clients(&mut socket, &bytes[..bytes.len() - 1], size);
        assert!(socket.held_bytes() > 0 && !last.is_empty(), "the pings have gone");
        let pings = CREATE.len().div_ceil(10) - 1;
        assert_eq!(last, frame(Opcode::Ping, Some(KEY), "?").repeat(pings));
        assert_eq!(clients(&mut socket, &bytes[bytes.len() - 1..], 1), text(RENAMED));
    }
}

#[test]
fn a_client_that_names_another_model_is_told_and_not_listened_to() {
    let bytes = [text(CREATE), text(OTHER), text(APPEND)].concat();
    for size in [1, 3, bytes.len()] {
        let mut socket = socket();
        let sent = clients(&mut socket, &bytes, size);
        assert_eq!(closed(&sent, &text(RENAMED)), 1008);
        assert_eq!(socket.clients(&text(APPEND), LIMIT), Chunk::Replace(Vec::new()));

        let mut progress = Progress::default();
        let events = [frame(Opcode::Pong, None, ""), frame(Opcode::Close, None, [3, 240])].concat();
        let told = servers(&mut socket, &mut progress, &events, size);
        let event = told.strip_suffix(events.as_slice()).unwrap();
        let mut rest = event;
        let piece = Frames::default().next(&mut rest).unwrap().unwrap();
        assert_eq!((piece.head.opcode, rest), (Opcode::Text, &b""[..]));
        let event: serde_json::Value = serde_json::from_slice(piece.payload).unwrap();
        assert_eq!(event["type"], "error");
        assert!(event["error"]["message"].as_str().unwrap().contains("must be asked"), "{event}");
        assert_eq!(servers(&mut socket, &mut progress, &events, size), events, "once");
    }
}

#[test]
fn what_a_client_may_not_send_closes_its_socket() {
    for (bytes, code) in [
        (frame(Opcode::Text, None, APPEND), 1002),
        (vec![0xc1, 0x80, 1, 2, 3, 4], 1002),
        (frame(Opcode::Text, Some(KEY), vec![b' '; LIMIT + 1]), 1009),
        (pieces(Some(KEY), &" ".repeat(LIMIT + 1), LIMIT), 1009),
        (text("no JSON"), 1008),
        (frame(Opcode::Binary, Some(KEY), OTHER), 1008),
        (pieces(Some(KEY), OTHER, 40), 1008),
        ([vec![0x81, 0xff], i64::MAX.to_be_bytes().to_vec(), KEY.to_vec(), vec![7]].concat(), 1009),
    ] {
        let sent = clients(&mut socket(), &bytes, bytes.len());
        let ping = frame(Opcode::Ping, Some(KEY), "?");
        let before = if sent.starts_with(&ping) { ping } else { Vec::new() };
        assert_eq!(closed(&sent, &before), code, "{bytes:x?}");
    }
}

#[test]
fn what_is_held_of_a_client_has_a_limit() {
    let empty = frame_of(false, Opcode::Continuation, b"");
    let mut bytes = frame_of(false, Opcode::Text, b"{");
    bytes.extend(empty.repeat(LIMIT));
    for size in [1, 7, bytes.len()] {
        let mut socket = socket();
        assert!(clients(&mut socket, &bytes, size).is_empty());
        assert!(socket.held_bytes() <= LIMIT, "{}", socket.held_bytes());
        assert_eq!(clients(&mut socket, &frame_of(true, Opcode::Continuation, b"}"), size), text("{}"));
    }
    let largest = format!("{{{}}}", " ".repeat(LIMIT - 2));
    assert_eq!(clients(&mut socket(), &frames(Some(KEY), &largest, 7).concat(), 9), text(&largest));
}

#[test]
fn nothing_is_said_inside_of_a_clients_control_frame() {
    let ping = frame(Opcode::Ping, Some(KEY), "is anyone there");
    for cut in 1..ping.len() {
        let mut socket = socket();
        assert_eq!(clients(&mut socket, &ping[..cut], cut), b"");
        let rest = [&ping[cut..], &text(OTHER)].concat();
        assert_eq!(closed(&clients(&mut socket, &rest, rest.len()), &ping), 1008);
    }
    let mut socket = socket();
    let step = socket.clients(&[&text(CREATE), &ping[..9]].concat(), LIMIT);
    let Chunk::Replace(out) = socket.end_for_room(step) else { panic!("half a ping was let pass") };
    assert_eq!(closed(&out, &text(RENAMED)), 1013);
}

#[test]
fn a_socket_is_closed_once() {
    let mut refused = socket();
    assert_eq!(closed(&clients(&mut refused, &text(OTHER), 9), b""), 1008);
    let step = refused.clients(&text(APPEND), LIMIT);
    assert_eq!(refused.end_for_room(step), Chunk::Replace(Vec::new()));

    // Nor after the client's own close, which it may not speak behind.
    let close = frame(Opcode::Close, Some(KEY), [3, 232]);
    let mut socket = socket();
    let bytes = [close.clone(), text(OTHER)].concat();
    assert_eq!(clients(&mut socket, &bytes, 3), close);
    assert_eq!(socket.end_for_room(Chunk::Replace(Vec::new())), Chunk::Replace(Vec::new()));
}

#[test]
fn a_message_behind_one_that_was_forgotten_is_read() {
    for (before, between) in [
        (Vec::new(), Vec::new()),
        (frame(Opcode::Pong, None, "x"), Vec::new()),
        (Vec::new(), frame(Opcode::Pong, None, "x")[..1].to_vec()),
    ] {
        let (mut socket, mut progress) = (socket(), Progress::default());
        servers(&mut socket, &mut progress, &[before, between.clone()].concat(), 9);
        // The room was for what the client sends.
        socket.forget_message();
        let rest = if between.is_empty() { Vec::new() } else { frame(Opcode::Pong, None, "x")[1..].to_vec() };
        servers(&mut socket, &mut progress, &[rest, pieces(None, DONE, 10)].concat(), 9);
        assert_eq!((progress.answer, progress.usage.total()), (Answer::Complete, Some(7)));
    }
}

#[test]
fn what_a_server_says_passes_and_is_counted() {
    let events = [
        r#"{"type":"response.created"}"#,
        r#"{"type":"response.output_text.delta","delta":"a"}"#,
        DONE,
        r#"{"type":"response.created"}"#,
        DONE,
    ];
    let bytes: Vec<u8> = events.iter().flat_map(|event| pieces(None, event, 30)).collect();
    for size in 1..40 {
        let (mut socket, mut progress) = (socket(), Progress::default());
        let first = pieces(None, events[0], 30).len();
        assert_eq!(servers(&mut socket, &mut progress, &bytes[..first], size), bytes[..first]);
        assert_eq!((progress.answer, progress.first_content_ms), (Answer::Begun, None));
        assert_eq!(servers(&mut socket, &mut progress, &bytes[first..], size), bytes[first..]);
        assert_eq!((progress.answer, progress.first_content_ms), (Answer::Complete, Some(7)));
        assert_eq!((progress.usage.input(), progress.usage.total()), (Some(6), Some(14)));
        assert_eq!(socket.held_bytes(), 0);
    }
}

#[test]
fn an_error_of_a_server_does_not_show_the_credential() {
    let error =
        |secret: &str| format!(r#"{{"type":"error","error":{{"message":"Bearer {secret} expired"}}}}"#);
    let [shown, blank] = [SECRET, "***"].map(error);
    let blank = format!("{blank:width$}", width = shown.len());
    let done = frame(Opcode::Text, None, DONE);
    let around = |payload: &str| [&done, &frame(Opcode::Text, None, payload), &done[..]].concat();
    let (bytes, expected) = (around(&shown), around(&blank));

    let (mut of_server, mut progress) = (socket(), Progress::default());
    assert_eq!(servers(&mut of_server, &mut progress, &bytes, bytes.len()), expected);
    // In one piece, though its head was not.
    let [first, last] = [&bytes[..=done.len()], &bytes[done.len() + 1..]];
    for (chunk, expected) in [(first, first), (last, &expected[first.len()..])] {
        assert_eq!(servers(&mut of_server, &mut progress, chunk, chunk.len()), expected);
    }
    assert_eq!(progress.usage.total(), Some(4 * 7));

    // With what the gateway has to say itself.
    let mut of_server = socket();
    clients(&mut of_server, &text(OTHER), 100);
    let said = servers(&mut of_server, &mut progress, &bytes, bytes.len());
    assert!(said.len() > expected.len() && said.ends_with(&expected));

    // What else it says is the model's own.
    let delta =
        frame(Opcode::Text, None, format!(r#"{{"type":"response.output_text.delta","delta":"{SECRET}"}}"#));
    assert_eq!(servers(&mut socket(), &mut progress, &delta, delta.len()), delta);
}

#[test]
fn what_cannot_be_read_passes_and_is_not_called_complete() {
    // Too large, forgotten for want of room, or of an extension that nobody agreed on.
    let long = format!(r#"{{"type":"x","y":"{}"}}"#, "z".repeat(MAX_EVENT));
    for (bytes, forgets) in [
        (pieces(None, &long, 1 << 20), false),
        (pieces(None, DONE, 10), true),
        (vec![0xc1, 0x01, 0x00, 0x81], false),
    ] {
        let (mut socket, mut progress) = (socket(), Progress::default());
        let (before, after) = bytes.split_at(3);
        assert_eq!(servers(&mut socket, &mut progress, before, 3), before);
        if forgets {
            socket.forget_message();
        }
        assert_eq!(servers(&mut socket, &mut progress, after, 1 << 16), after);
        assert_eq!(progress.answer, Answer::Begun);
        assert_eq!((progress.usage.total(), progress.usage.input()), (Some(0), None));
        assert!(socket.held_bytes() <= MAX_EVENT);
    }
}

proptest! {
    #[test]
    fn chunks_make_no_difference(
        messages in prop::collection::vec((prop::sample::select(vec![CREATE, APPEND, OTHER, "[]"]), 1_usize..60), 1..5),
        size in 1_usize..100,
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(|(message, size)| pieces(Some(KEY), message, *size)).collect();
        let whole = clients(&mut socket(), &bytes, bytes.len());
        prop_assert_eq!(&clients(&mut socket(), &bytes, size), &whole);
        // What comes out are whole frames, in which no other model is named.
        let (mut frames, mut rest) = (Frames::default(), whole.as_slice());
        while let Some(piece) = frames.next(&mut rest).unwrap() {
            let mut payload = Vec::new();
            unmask(piece.head.mask, piece.at, piece.payload, &mut payload);
            prop_assert!(piece.head.opcode == Opcode::Close || memchr::memmem::find(&payload, b"other").is_none());
        }
        prop_assert!(frames.is_between_frames() && !frames.is_in_message());
    }

    #[test]
    fn garbage_of_a_server_passes(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1_usize..50) {
        let (mut socket, mut progress) = (socket(), Progress::default());
        prop_assert_eq!(servers(&mut socket, &mut progress, &bytes, size), bytes);
    }

    #[test]
    fn garbage_of_a_client_gets_nowhere(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1_usize..50) {
        let sent = clients(&mut socket(), &bytes, size);
        let (mut frames, mut rest) = (Frames::default(), sent.as_slice());
        while let Some(piece) = frames.next(&mut rest).unwrap() {
            prop_assert!(piece.head.mask.is_some());
        }
        prop_assert!(frames.is_between_frames() && !frames.is_in_message());
    }
}
