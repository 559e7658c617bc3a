//! Answers, streamed and not, and errors.

use super::*;
use crate::usage::Counter;

fn content() -> Vec<Part> {
    let foreign =
        Foreign { family: Family::OpenAi, kind: "web_search_call".to_owned(), json: "{}".to_owned() };
    let source = Annotation {
        url: Some("https://a.example".to_owned()),
        title: Some("A".to_owned()),
        span: Some((1, 3)),
        ..Annotation::default()
    };
    let unnamed = Annotation { cited_text: Some("x".to_owned()), ..Annotation::default() };
    let sealed = Seal { by: Family::Google, data: "R29v".to_owned() };
    vec![
        Part::thinking("Hm", seal(Family::Anthropic, "s1")),
        Part { seal: seal(Family::Anthropic, "s2"), ..Part::new(Content::RedactedThinking) },
        Part::new(Content::Text { text: "été".to_owned(), annotations: vec![source, unnamed] }),
        Part::new(Content::Foreign(foreign)),
        call(&sealed.in_id("c1"), "{\"a\":1.5}", None),
        call("", "{\"cut", None),
        Part::new(Content::Media {
            kind: MediaKind::Image,
            source: Source::Base64 { media_type: "image/png".to_owned(), data: "AA==".to_owned() },
            detail: None,
            name: None,
        }),
    ]
}

/// The events that tell `content`.
fn events_of(content: &[Part], reason: FinishReason) -> Vec<Event> {
    let mut events = vec![Event::Start { id: None, model: Some("m2".to_owned()) }];
    for (index, part) in (0..).zip(content) {
        let delta = |delta| Event::BlockDelta { index, delta };
        let (block, deltas) = match part.content.clone() {
            Content::Text { text, annotations } => {
                let (first, rest) = text.split_at(text.ceil_char_boundary(1));
                let pieces = [first, rest].map(|piece| Delta::Text(piece.to_owned()));
                let annotations = annotations.into_iter().map(|told| Delta::Annotation(Box::new(told)));
                (BlockStart::Text, pieces.into_iter().chain(annotations).collect())
            }
            Content::Thinking { text } => (BlockStart::Thinking, vec![Delta::Thinking(text)]),
            Content::RedactedThinking => (BlockStart::RedactedThinking(part.seal.clone().unwrap()), vec![]),
            Content::ToolCall { id, name, arguments } => {
                (BlockStart::ToolCall { id, name }, vec![Delta::Arguments(arguments)])
            }
            Content::Media { kind, source, .. } => (BlockStart::Media { kind, source }, vec![]),
            Content::Foreign(foreign) => (BlockStart::Foreign(foreign), vec![]),
            other => panic!("{other:?}"),
        };
        let is_whole = matches!(block, BlockStart::RedactedThinking(_));
        events.push(Event::BlockStart { index, choice: 0, id: None, block });
        events.extend(deltas.into_iter().map(delta));
        if let Some(Seal { by, data }) = part.seal.clone().filter(|_| !is_whole) {
            events.push(delta(Delta::Seal(by, data)));
        }
        events.push(Event::BlockStop { index });
    }
    let usage =
        Usage::of([(Counter::Input, Some(5)), (Counter::Output, Some(3)), (Counter::Reasoning, Some(1))]);
    events.extend([Event::Usage(usage), Event::Finish { choice: 0, reason }, Event::End]);
    events
}

fn streamed(events: &[Event]) -> (Result<Value, Value>, Vec<String>) {
    let (mut writer, mut losses, mut out) = (STREAMED.events(&asked()), Losses::default(), Vec::new());
    for event in events {
        writer.event(event, &mut losses, &mut out);
    }
    assert!(writer.is_closed());
    (answer_of(&out), losses.lines())
}

#[test]
fn an_answer_is_whole_streamed_or_not() {
    let choice = Choice {
        content: content(),
        finish_reason: FinishReason::ToolCalls,
        logprobs: Vec::new(),
        extra: None,
    };
    let usage =
        Usage::of([(Counter::Input, Some(5)), (Counter::Output, Some(3)), (Counter::Reasoning, Some(1))]);
    let reply = Reply { model: Some("m2".to_owned()), choices: vec![choice], usage, ..Reply::default() };
    let mut losses = Losses::default();
    let whole: Value = serde_json::from_slice(&WHOLE.reply(&asked(), &reply, &mut losses)).unwrap();
    let marked = |data: &str| {
        super::super::signatures::to_client(&seal(Family::Anthropic, data).unwrap()).into_owned()
    };
    let mut expected = json!({
        "candidates": [{
            "content": {"role": "model", "parts": [
                {"text": "Hm", "thought": true, "thoughtSignature": marked("s1")},
                {"thought": true, "thoughtSignature": marked("s2")},
                {"text": "été"},
                {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1.5}}, "thoughtSignature": "R29v"},
                {"functionCall": {"name": "f", "args": {}}},
                {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
            ]},
            "finishReason": "STOP",
            "index": 0,
            "citationMetadata": {"citationSources": [
                {"startIndex": 2, "endIndex": 5, "uri": "https://a.example", "title": "A"},
            ]},
        }],
        "usageMetadata": {
            "promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 8, "thoughtsTokenCount": 1,
        },
        "modelVersion": "m2",
        "responseId": "own",
    });
    assert_eq!(whole, expected);
    let lost = |losses: &[String]| -> Vec<String> {
        losses.iter().filter_map(|loss| Some(loss.split(": ").next()?.to_owned())).collect()
    };
    let paths = [
        "answer.content[2].citations",
        "answer.content[3].web_search_call",
        "answer.content[5].functionCall.args",
    ];
    assert_eq!(lost(&losses.lines()), paths);

    let (told, losses) = streamed(&events_of(&content(), FinishReason::ToolCalls));
    expected["candidates"][0]["citationMetadata"]["citationSources"][0] =
        json!({"uri": "https://a.example", "title": "A"});
    assert_eq!(told.unwrap(), expected);
    let mut losses = lost(&losses);
    losses.sort();
    let streamed_paths = [paths[0], "answer.content[2].citations.startIndex", paths[1], paths[2]];
    assert_eq!(losses, streamed_paths);
}

#[test]
fn an_answer_comes_back_as_it_went() {
    let content: Vec<Part> = content()
        .into_iter()
        .filter(|part| !matches!(part.content, Content::Foreign(_) | Content::Media { .. }))
        .collect();
    let (told, _) = streamed(&events_of(&content, FinishReason::Stop));
    let turn = told.unwrap()["candidates"][0]["content"].take();
    let (request, losses) = decoded(&json!({"contents": [turn]}));
    assert_eq!(losses, [""; 0]);
    let back: Vec<_> = request.messages[0].content.iter().map(|part| (&part.content, &part.seal)).collect();
    assert_eq!(back[0], (&content[0].content, &seal(Family::Anthropic, "s1")));
    assert_eq!(back[1], (&Content::RedactedThinking, &seal(Family::Anthropic, "s2")));
    assert_eq!(back[2], (&Content::text("été"), &None));
    assert_eq!(back[3], (&call("c1", "{\"a\":1.5}", None).content, &seal(Family::Google, "R29v")));
}

#[test]
fn reasons_are_told_in_geminis_words() {
    for (reason, expected) in [
        (FinishReason::Stop, "STOP"),
        (FinishReason::Length, "MAX_TOKENS"),
        (FinishReason::ContextWindow, "MAX_TOKENS"),
        (FinishReason::ContentFilter, "SAFETY"),
        (FinishReason::Malformed, "MALFORMED_FUNCTION_CALL"),
        (FinishReason::Pause, "OTHER"),
        (FinishReason::Other("LANGUAGE".to_owned()), "LANGUAGE"),
        (FinishReason::Other("odd".to_owned()), "OTHER"),
    ] {
        let (told, _) = streamed(&events_of(&[Part::text("x")], reason.clone()));
        assert_eq!(told.unwrap()["candidates"][0]["finishReason"], expected, "{reason:?}");
    }
    let refused = [
        Event::BlockStart { index: 0, choice: 0, id: None, block: BlockStart::Refusal },
        Event::BlockDelta { index: 0, delta: Delta::Text("no".to_owned()) },
        Event::BlockStop { index: 0 },
        Event::End,
    ];
    assert_eq!(streamed(&refused).0.unwrap()["candidates"][0]["finishReason"], "SAFETY");
}

#[test]
fn choices_keep_their_places() {
    let text = |index, choice, text: &str| {
        [
            Event::BlockStart { index, choice, id: None, block: BlockStart::Text },
            Event::BlockDelta { index, delta: Delta::Text(text.to_owned()) },
        ]
    };
    let mut events: Vec<Event> = [text(0, 1, "b"), text(1, 0, "a")].concat();
    events.push(Event::End);
    let told = streamed(&events).0.unwrap();
    assert_eq!(told["candidates"][0]["content"]["parts"], json!([{"text": "a"}]));
    assert_eq!(told["candidates"][1]["content"]["parts"], json!([{"text": "b"}]));
    let far = streamed(&text(0, 64, "x")).0.unwrap_err();
    assert_eq!(far["error"]["status"], "UNAVAILABLE");
}

#[test]
fn what_waits_is_bounded() {
    let (mut writer, mut losses, mut out) = (STREAMED.events(&asked()), Losses::default(), Vec::new());
    let block = BlockStart::ToolCall { id: "t".to_owned(), name: "f".to_owned() };
    writer.event(&Event::BlockStart { index: 0, choice: 0, id: None, block }, &mut losses, &mut out);
    let piece = Event::BlockDelta { index: 0, delta: Delta::Arguments("{".repeat(1 << 16)) };
    for _ in 0..80 {
        writer.event(&piece, &mut losses, &mut out);
    }
    assert!(writer.is_closed());
    assert_eq!(answer_of(&out).unwrap_err()["error"]["code"], 502);
    // Many calls one after the other do not wait for anything.
    let calls: Vec<Part> =
        (0..200).map(|_| call("t", &format!("{{\"a\":\"{}\"}}", "x".repeat(50_000)), None)).collect();
    assert!(streamed(&events_of(&calls, FinishReason::Stop)).0.is_ok());
}

#[test]
fn log_probabilities_do_not_wait_once_they_are_told() {
    let block = Event::BlockStart { index: 0, choice: 0, id: None, block: BlockStart::Text };
    let tokens = vec![TokenLogprob { token: "x".repeat(1 << 16), ..TokenLogprob::default() }];
    let pieces = (0..80).flat_map(|_| {
        let told = Event::Logprobs { choice: 0, tokens: tokens.clone() };
        [told, Event::BlockDelta { index: 0, delta: Delta::Text("x".to_owned()) }]
    });
    let events: Vec<Event> = [block].into_iter().chain(pieces).chain([Event::End]).collect();
    assert!(streamed(&events).0.is_ok());
    let without_text: Vec<Event> =
        (0..80).map(|_| Event::Logprobs { choice: 0, tokens: tokens.clone() }).collect();
    assert_eq!(streamed(&without_text).0.unwrap_err()["error"]["code"], 502);
}

#[test]
fn a_source_that_says_nothing_has_a_size() {
    let block = Event::BlockStart { index: 0, choice: 0, id: None, block: BlockStart::Text };
    let source = || Event::BlockDelta { index: 0, delta: Delta::Annotation(Box::default()) };
    let events: Vec<Event> = [block].into_iter().chain((0..60_000).map(|_| source())).collect();
    assert_eq!(streamed(&events).0.unwrap_err()["error"]["code"], 502);
}

#[test]
fn errors_are_told_in_googles_words() {
    let body = |error: &Error| -> Value { serde_json::from_slice(&error.body(ClientApi::Gemini)).unwrap() };
    let told = body(&Error::provider(429, Some("RESOURCE_EXHAUSTED".to_owned()), "quota"));
    let expected = json!({"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED", "details": []});
    assert_eq!(told["error"], expected);
    let told = body(&Error::provider(529, Some("overloaded_error".to_owned()), "Overloaded"));
    assert_eq!(told["error"]["status"], "UNAVAILABLE");
    assert_eq!(told["error"]["details"][0]["reason"], "overloaded_error");
    for (kind, status) in [
        (Kind::BadRequest, "INVALID_ARGUMENT"),
        (Kind::Unauthenticated, "UNAUTHENTICATED"),
        (Kind::UnknownModel, "NOT_FOUND"),
        (Kind::MethodNotAllowed, "UNIMPLEMENTED"),
        (Kind::TooLarge, "INVALID_ARGUMENT"),
        (Kind::Unprocessable, "INVALID_ARGUMENT"),
        (Kind::Unsupported, "UNIMPLEMENTED"),
        (Kind::RateLimited, "RESOURCE_EXHAUSTED"),
        (Kind::BadAnswer, "UNAVAILABLE"),
        (Kind::Timeout, "DEADLINE_EXCEEDED"),
        (Kind::Internal, "INTERNAL"),
    ] {
        assert_eq!(body(&Error::new(kind, "x"))["error"]["status"], status, "{kind:?}");
    }
    let told = body(&Error::provider(400, None, "prompt is too long: 9 tokens"));
    assert!(
        told["error"]["message"].as_str().unwrap().contains("exceeds the maximum number of tokens allowed")
    );
    let events = [Event::Error(Error::provider(503, None, "away")), Event::End];
    assert_eq!(streamed(&events).0.unwrap_err()["error"]["code"], 503);
}
