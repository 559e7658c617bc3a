//! Streams that break, and such as only seem to.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Value, json};
use weir_core::backend::{AnswerHeaders, Attempt, Begin, Chunk, Place};
use weir_core::config::SchemaName::{AWSAnthropic, Anthropic, OpenAI};
use weir_core::exchange::{Answer as AnswerState, Exchange};
use weir_core::headers::Headers;

use super::{CHAT, MESSAGES, STREAM, openai};
use crate::answer::{Answer, CHAT_CHUNKS, MESSAGE_EVENTS, chat_sse, exception, frame, gzip, named_sse};
use crate::gateway::{Gateway, Memory};
use crate::outcome::{Outcome, message_of};

#[test]
fn a_stream_that_finds_no_room_ends_by_status_or_by_event() {
    let config = {
        let mut gateway = openai();
        gateway.config.routes = [("r".to_owned(), Arc::new(gateway.route))].into();
        Arc::new(gateway.config)
    };
    let begin = |path: &str| {
        let exchange = Rc::new(RefCell::new(Exchange::new(Headers::from([(":path", path)]), 0)));
        let place = Place { route: "r", target: "0/0/default/gpt" };
        let Begin::Attempt(attempt) = Attempt::begin(&config, &exchange, place, &Memory::default(), 0) else {
            panic!("refused")
        };
        (attempt, exchange)
    };
    let sse = Answer::sse("").header_map();
    let event = format!("data: {}\n\n", CHAT_CHUNKS[0]);

    let (mut attempt, exchange) = begin(CHAT);
    assert_eq!(attempt.answer_headers(200, &sse, false, 0), AnswerHeaders::Stream);
    let Chunk::Release(_, first) = attempt.answer_chunk(event.as_bytes(), false, 0) else { panic!("held") };
    assert_eq!(first, event.as_bytes());
    let step = attempt.answer_chunk(b"data: {\"half", false, 0);
    assert!(attempt.stream_held() > 0);
    let Chunk::Replace(end) = attempt.end_stream_for_room(step, 1) else { panic!("nothing said") };
    let end = String::from_utf8(end).unwrap();
    assert!(end.starts_with("data: {") && end.contains("service_unavailable_error"), "{end}");
    assert_eq!(attempt.stream_held(), 0);
    let rest = attempt.answer_chunk(format!("an event\"}}\n\n{event}").as_bytes(), true, 0);
    assert_eq!(rest, Chunk::Replace(Vec::new()), "all was said");
    assert_eq!(exchange.borrow().attempt.answer, AnswerState::Begun);

    for opening in ["", "\n", "data: {\"half"] {
        let (mut attempt, _) = begin(CHAT);
        assert_eq!(attempt.answer_headers(200, &sse, false, 0), AnswerHeaders::Stream);
        let step = attempt.answer_chunk(opening.as_bytes(), false, 0);
        let Chunk::Release(headers, _) = attempt.end_stream_for_room(step, 1) else { panic!("held") };
        assert_eq!(headers.get(":status"), Some(Some("503")));
        assert_eq!(headers.get("retry-after"), Some(Some("1")));
    }
    let (mut attempt, _) = begin(CHAT);
    let json = Answer::json(200, "").header_map();
    assert_eq!(attempt.answer_headers(200, &json, false, 0), AnswerHeaders::Whole);
    let whole = attempt.whole_without_room();
    assert_eq!(whole.headers.get(":status"), Some(Some("503")));
    assert_eq!(whole.headers.get("retry-after"), Some(Some("1")));
}

/// What waits for content only need not wait.
#[test]
fn a_stream_that_waits_for_content_goes_where_there_is_no_room_or_no_other_attempt() {
    let config = {
        let mut gateway = openai().backend("spare", OpenAI);
        gateway.route.repeat_until_content = true;
        gateway.config.routes = [("r".to_owned(), Arc::new(gateway.route))].into();
        Arc::new(gateway.config)
    };
    let event = format!("data: {}\n\n", CHAT_CHUNKS[0]);
    let begin = |is_retried: bool| {
        let exchange = Rc::new(RefCell::new(Exchange::new(Headers::from([(":path", CHAT)]), 0)));
        let place = Place { route: "r", target: "0/0/default/gpt" };
        let Begin::Attempt(mut attempt) = Attempt::begin(&config, &exchange, place, &Memory::default(), 0)
        else {
            panic!("refused")
        };
        assert!(attempt.may_await_content());
        if !is_retried {
            attempt.let_go_at_first_event();
        }
        let headers = attempt.answer_headers(200, &Answer::sse("").header_map(), false, 0);
        assert_eq!(headers, AnswerHeaders::Stream);
        let step = attempt.answer_chunk(event.as_bytes(), false, 0);
        (attempt, exchange, step)
    };
    let (_, _, step) = begin(false);
    assert!(matches!(step, Chunk::Release(_, body) if body == event.as_bytes()));

    let (mut attempt, exchange, step) = begin(true);
    assert_eq!((&step, attempt.stream_held()), (&Chunk::Hold, event.len()));
    let Chunk::Release(headers, body) = attempt.end_stream_for_room(step, 7) else { panic!("held") };
    assert_eq!((headers.get(":status"), body.as_slice()), (None, event.as_bytes()));
    assert_eq!(attempt.stream_held(), 0);
    let progress = &exchange.borrow().attempt;
    assert_eq!((progress.answer, progress.is_held_back), (AnswerState::Begun, false));
    assert_eq!(progress.pulse.map(|pulse| pulse.told_ms), Some(7), "it is kept alive from here on");
}

/// What a client that speaks `api` reads at the end of a stream that broke.
fn last_event(outcome: &Outcome) -> String {
    let last = outcome.events().pop().unwrap();
    message_of(&serde_json::from_str(&last).unwrap(), outcome.api)
}

#[test]
fn a_stream_that_breaks_ends_with_an_error_event() {
    let sse = |events: &[&str]| Answer::sse(&named_sse(events));
    let chat = |rest: &str| Answer::sse(&(format!("data: {}\n\n", CHAT_CHUNKS[1]) + rest));
    let start = &MESSAGE_EVENTS[..4];
    let mut bad = frame(MESSAGE_EVENTS[4]);
    *bad.last_mut().unwrap() ^= 1;
    let good = frame(MESSAGE_EVENTS[4]);
    let text = exception("modelStreamErrorException", r#"{"message":"the model broke"}"#);
    for (schema, path, answer, message) in [
        (OpenAI, CHAT, chat(""), "before the answer was complete"),
        (OpenAI, CHAT, chat("data: {\"choices\":[{\"delta\":{\"cont"), "within an event"),
        (OpenAI, CHAT, chat("data: {\"choices\":[{\"delta\":{\"cont\n\n"), "no JSON object"),
        (OpenAI, CHAT, chat("data: Internal Server Error\n\n"), "no JSON object"),
        (
            OpenAI,
            CHAT,
            chat("data: {\"error\":{\"message\":\"gone\",\"type\":\"server_error\"}}\n\n"),
            "gone",
        ),
        (
            OpenAI,
            "/v1/completions",
            Answer::sse("data: {\"choices\":[{\"text\":\"a\"}]}\n\n"),
            "before the answer was complete",
        ),
        (Anthropic, MESSAGES, sse(start), "before the answer was complete"),
        (Anthropic, MESSAGES, sse(start).then("event: message_stop\ndata: {\"type\":"), "within an event"),
        (Anthropic, CHAT, sse(start), "before its answer was complete"),
        (AWSAnthropic, MESSAGES, Answer::frames(start), "before the answer was complete"),
        (AWSAnthropic, MESSAGES, Answer::frames(start).then(&bad), "malformed"),
        (AWSAnthropic, MESSAGES, Answer::frames(start).then(&good[..20]), "within a frame"),
        (AWSAnthropic, MESSAGES, Answer::frames(start).then(&text), "the model broke"),
        (AWSAnthropic, CHAT, Answer::frames(start).then(&text), "the model broke"),
        (AWSAnthropic, CHAT, Answer::frames(start).then(&bad), "malformed"),
        (AWSAnthropic, CHAT, Answer::frames(start).then(&good[..5]), "within a frame"),
    ] {
        let gateway = Gateway::new().backend("b", schema);
        let outcome = gateway.post(path, STREAM).answered_by(answer.then("")).send();
        assert_eq!((outcome.status, outcome.answer), (200, AnswerState::Begun), "{}", outcome.text());
        assert!(last_event(&outcome).contains(message), "{}", outcome.text());
        assert!(!outcome.text().contains("[DONE]"), "{}", outcome.text());
        assert!(outcome.record.usage.output() > Some(0));
    }
}

#[test]
fn a_response_that_breaks_ends_with_an_event_of_its_own() {
    let events = [
        r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","output":[]}}"#,
        r#"{"type":"response.output_text.delta","sequence_number":1,"item_id":"i","delta":"x"}"#,
    ];
    let body = r#"{"model":"m","input":"hi","stream":true}"#;
    for (schema, answer, number) in [
        (OpenAI, Answer::sse(&named_sse(&events)), 2),
        // Created, in progress, a message, its part and its text.
        (Anthropic, Answer::sse(&named_sse(&MESSAGE_EVENTS[..4])), 5),
    ] {
        let outcome =
            Gateway::new().backend("b", schema).post("/v1/responses", body).answered_by(answer).send();
        let mut events = outcome.events().into_iter();
        let told = events.find_map(|event| {
            let event: Value = serde_json::from_str(&event).unwrap();
            (event["type"] == "error").then_some(event)
        });
        let told = told.unwrap_or_else(|| panic!("no error: {}", outcome.text()));
        assert_eq!(told["sequence_number"], json!(number));
        let message = told["message"].as_str().unwrap();
        assert!(message.contains("answer was complete"), "{message}");
        assert_eq!(told["error"]["message"], message, "by which the SDKs raise it");
        assert!(outcome.text().contains("event: error\n"), "{}", outcome.text());
    }
}

#[test]
fn what_follows_a_break_is_not_for_the_client() {
    let mut bad = frame(MESSAGE_EVENTS[4]);
    *bad.last_mut().unwrap() ^= 1;
    let gateway = Gateway::new().backend("b", AWSAnthropic);
    let answer = Answer::frames(&MESSAGE_EVENTS[..4]).then(bad).then(frame(MESSAGE_EVENTS[7])).then("more");
    let outcome = gateway.post(MESSAGES, STREAM).answered_by(answer).send();
    assert_eq!(outcome.events().len(), 5);
    assert!(last_event(&outcome).contains("malformed"));
}

#[test]
fn the_end_of_a_stream_is_told_once() {
    let whole = named_sse(MESSAGE_EVENTS);
    let gateway = Gateway::new().backend("b", AWSAnthropic);
    for rest in [frame("{}")[..7].to_vec(), exception("internalServerException", "{}"), vec![0; 30]] {
        let answer = Answer::frames(MESSAGE_EVENTS).then(rest);
        let outcome = gateway.post(MESSAGES, STREAM).answered_by(answer).send();
        assert_eq!((outcome.text(), outcome.answer), (whole.as_str(), AnswerState::Complete));
    }
    let error = r#"{"type":"error","error":{"type":"api_error","message":"gone"}}"#;
    let events = [&MESSAGE_EVENTS[..4], &[error]].concat();
    let outcome = gateway.post(MESSAGES, STREAM).answered_by(Answer::frames(&events)).send();
    assert_eq!((outcome.text(), outcome.answer), (named_sse(&events).as_str(), AnswerState::Begun));
}

#[test]
fn a_stream_that_says_it_is_done_may_just_end() {
    let gateway = openai();
    let whole = chat_sse(&CHAT_CHUNKS[..4]);
    for cut in ["data: [DONE]\n\n", "\n", "\n\n"] {
        let answer = Answer::sse(whole.strip_suffix(cut).unwrap());
        let outcome = gateway.post(CHAT, STREAM).answered_by(answer.then("")).send();
        assert_eq!((outcome.text(), outcome.answer), (whole.as_str(), AnswerState::Complete));
    }
    let whole = named_sse(MESSAGE_EVENTS);
    let gateway = Gateway::new().backend("b", Anthropic);
    let outcome = gateway.post(MESSAGES, STREAM).answered_by(Answer::sse(whole.trim_end())).send();
    assert_eq!((outcome.text(), outcome.answer), (whole.as_str(), AnswerState::Complete));
}

#[test]
fn a_gzip_stream_that_is_cut_gives_what_came_and_an_error() {
    let gateway = openai();
    let mut body = gzip(chat_sse(&CHAT_CHUNKS[..3]).replace("data: [DONE]\n\n", "").as_bytes());
    body.truncate(body.len() - 4);
    let answer = Answer::new(200, "text/event-stream", body).header("content-encoding", "gzip");
    let outcome = gateway.post(CHAT, STREAM).answered_by(answer).send();
    assert_eq!(outcome.events().len(), 4);
    last_event(&outcome);
    let nothing = Answer::sse("not gzip").header("content-encoding", "gzip");
    assert_eq!(gateway.post(CHAT, STREAM).answered_by(nothing).send().status, 502);
}
