//! Answers and streams, case by case.

use super::*;
use crate::usage::Counter;

fn call(id: &str, arguments: &str) -> Part {
    Part::new(Content::ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: arguments.to_owned() })
}

/// The events that say the same as a whole answer.
pub(super) fn events_of(content: &[Part], finish_reason: FinishReason) -> Vec<Event> {
    let mut events = vec![Event::Start { id: None, model: None }];
    for (index, part) in (0..).zip(content) {
        let (block, delta) = match &part.content {
            Content::Text { text, .. } => (BlockStart::Text, Some(Delta::Text(text.clone()))),
            Content::Refusal(text) => (BlockStart::Refusal, Some(Delta::Text(text.clone()))),
            Content::Thinking { text } => (BlockStart::Thinking, Some(Delta::Thinking(text.clone()))),
            Content::RedactedThinking => (BlockStart::RedactedThinking(part.seal.clone().unwrap()), None),
            Content::ToolCall { id, name, arguments } => {
                let block = BlockStart::ToolCall { id: id.clone(), name: name.clone() };
                (block, Some(Delta::Arguments(arguments.clone())))
            }
            Content::Foreign(foreign) => (BlockStart::Foreign(foreign.clone()), None),
            Content::Media { kind, source, .. } => {
                (BlockStart::Media { kind: *kind, source: source.clone() }, None)
            }
            Content::ToolResult { .. } => continue,
        };
        let is_whole = matches!(block, BlockStart::RedactedThinking(_));
        events.push(Event::BlockStart { index, choice: 0, id: None, block });
        // Where the provider has the seal of a call before its arguments, that of a thought is behind it.
        let seal = part.seal.clone().filter(|_| !is_whole).map(|seal| Delta::Seal(seal.by, seal.data));
        let mut deltas: Vec<Delta> = delta.into_iter().collect();
        match part.content {
            Content::ToolCall { .. } => deltas.splice(0..0, seal).for_each(drop),
            _ => deltas.extend(seal),
        }
        if let Content::Text { annotations, .. } = &part.content {
            deltas.extend(annotations.iter().cloned().map(Box::new).map(Delta::Annotation));
        }
        events.extend(deltas.into_iter().map(|delta| Event::BlockDelta { index, delta }));
        events.push(Event::BlockStop { index });
    }
    events.extend([Event::Finish { choice: 0, reason: finish_reason }, Event::End]);
    events
}

#[test]
fn answers_are_whole_and_in_anthropics_words_streamed_or_not() {
    let seal = |by, data: &str| Some(Seal { by, data: data.to_owned() });
    let content = || {
        vec![
            Part::thinking("Hm.", seal(Family::Anthropic, "EqoB")),
            Part::thinking("So.", None),
            Part { seal: seal(Family::OpenAi, "gAA"), ..Part::new(Content::RedactedThinking) },
            Part::text(""),
            Part::text("Hello"),
            Part::new(Content::Refusal("No.".to_owned())),
            Part::new(Content::Text {
                text: "It is so.".to_owned(),
                annotations: vec![Annotation { url: Some("https://a".to_owned()), ..Annotation::default() }],
            }),
            Part { seal: seal(Family::Google, "DeF+"), ..call("c1", r#"{"a": 1}"#) },
            call("c:2", ""),
            call("", "{}"),
            Part::new(Content::Foreign(Foreign {
                family: Family::Anthropic,
                kind: "server_tool_use".to_owned(),
                json: r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{"q":1}}"#.to_owned(),
            })),
        ]
    };
    let expected = json!([
        {"type": "thinking", "thinking": "Hm.", "signature": "EqoB"},
        {"type": "thinking", "thinking": "So.", "signature": ""},
        {"type": "redacted_thinking", "data": "openai:gAA"},
        {"type": "text", "text": "Hello"},
        {"type": "text", "text": "No."},
        {"type": "text", "text": "It is so.", "citations": [{"type": "web_search_result_location", "url": "https://a",
            "title": null, "cited_text": "", "encrypted_index": ""}]},
        {"type": "tool_use", "id": "c1__sealed_gemini_DeF-", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "c2_5f5428bd37791546", "name": "f", "input": {}},
        {"type": "tool_use", "id": "toolu_msg_own_9", "name": "f", "input": {}},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": 1}},
    ]);
    let (whole, losses) = told(content(), FinishReason::ToolCalls);
    assert_eq!(losses, [""; 0]);
    assert_eq!(whole["content"], expected);
    for (member, value) in [
        ("id", "msg_own"),
        ("type", "message"),
        ("role", "assistant"),
        ("model", "asked"),
        ("stop_reason", "tool_use"),
    ] {
        assert_eq!(whole[member], value, "{member}");
    }
    assert_eq!(whole["stop_sequence"], Value::Null);
    let zero = json!({"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0});
    assert_eq!(whole["usage"], zero);
    let (stream, losses) = streamed(&events_of(&content(), FinishReason::ToolCalls));
    let (mut stream, mut whole) = (stream.unwrap(), whole);
    assert_eq!(losses, [""; 0]);
    // The number of a nameless call is that of its block.
    for message in [&mut stream, &mut whole] {
        message["content"][8]["id"] = Value::Null;
    }
    assert_eq!(stream, whole);

    // What a client sends back of it is what it was.
    let asked =
        json!({"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": expected}]});
    let request = decode_request(asked.to_string().as_bytes(), &mut Losses::default()).unwrap();
    let seals: Vec<_> = request.messages[0].content.iter().filter_map(|part| part.seal.clone()).collect();
    let before: Vec<_> = content().into_iter().filter_map(|part| part.seal).collect();
    assert_eq!(seals, before);
    let sealed = request.messages[0].content.iter().find(|part| part.seal == seal(Family::Google, "DeF+"));
    assert!(matches!(&sealed.unwrap().content, Content::ToolCall { id, .. } if id == "c1"));
}

#[test]
fn every_reason_to_stop_has_a_word() {
    let text = || vec![Part::text("x")];
    let other = FinishReason::Other("tired".to_owned());
    for (content, reason, word, is_lost) in [
        (text(), FinishReason::Stop, "end_turn", false),
        (text(), FinishReason::ToolCalls, "end_turn", false),
        (vec![call("c", "{}")], FinishReason::Stop, "tool_use", false),
        (vec![call("c", "{}")], FinishReason::ToolCalls, "tool_use", false),
        (vec![call("c", "{}")], FinishReason::Length, "max_tokens", false),
        (text(), FinishReason::StopSequence(Some("END".to_owned())), "stop_sequence", false),
        (text(), FinishReason::Length, "max_tokens", false),
        (text(), FinishReason::ContextWindow, "model_context_window_exceeded", false),
        (text(), FinishReason::ContentFilter, "refusal", false),
        (vec![Part::new(Content::Refusal("No.".to_owned()))], FinishReason::Stop, "refusal", false),
        (text(), FinishReason::Pause, "pause_turn", false),
        (text(), FinishReason::Malformed, "end_turn", true),
        (text(), other, "end_turn", true),
    ] {
        let stream = streamed(&events_of(&content, reason.clone()));
        let whole = told(content, reason.clone());
        for (message, losses) in [whole, (stream.0.unwrap(), stream.1)] {
            assert_eq!(message["stop_reason"], word, "{reason:?}");
            assert_eq!(!losses.is_empty(), is_lost, "{reason:?} {losses:?}");
            let is_sequence = matches!(reason, FinishReason::StopSequence(_));
            assert_eq!(message["stop_sequence"], if is_sequence { json!("END") } else { Value::Null });
        }
    }
}

#[test]
fn usage_has_the_cache_beside_the_input() {
    let usage = Usage::of([
        (Counter::Input, Some(100)),
        (Counter::CachedInput, Some(60)),
        (Counter::CacheCreationInput, Some(30)),
        (Counter::Output, Some(7)),
        (Counter::Reasoning, Some(3)),
        (Counter::Total, Some(107)),
    ]);
    let expected = json!({"input_tokens": 10, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 60,
        "output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3}});
    let reply = Reply { usage, service_tier: Some("priority".to_owned()), ..Reply::default() };
    let whole: Value =
        serde_json::from_slice(&encode_reply(&asked(), &reply, &mut Losses::default())).unwrap();
    let mut with_tier = expected.clone();
    with_tier["service_tier"] = json!("priority");
    assert_eq!(whole["usage"], with_tier);
    // Claude tells its input at the beginning, OpenAI's servers all of it at the end.
    for at in [1, 4] {
        let mut events = events_of(&[Part::text("x")], FinishReason::Stop);
        events.insert(at, Event::Usage(usage));
        assert_eq!(streamed(&events).0.unwrap()["usage"], expected, "{at}");
    }
}

#[test]
fn cache_writes_by_lifetime_and_requests_of_tools_are_told_where_they_have_a_place() {
    let usage = Usage::of([
        (Counter::Input, Some(100)),
        (Counter::CacheCreationInput, Some(30)),
        (Counter::CacheCreation1hInput, Some(30)),
        (Counter::WebSearches, Some(2)),
        (Counter::AudioInput, Some(5)),
    ]);
    let mut expected = json!({"input_tokens": 70, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 0,
        "output_tokens": 0, "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0}});
    let mut events = events_of(&[Part::text("x")], FinishReason::Stop);
    events.insert(4, Event::Usage(usage));
    let at_the_end = streamed(&events).0.unwrap();
    assert_eq!(at_the_end["usage"], expected);
    expected["cache_creation"] = json!({"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 30});
    let reply = Reply { usage, ..Reply::default() };
    let whole: Value =
        serde_json::from_slice(&encode_reply(&asked(), &reply, &mut Losses::default())).unwrap();
    assert_eq!(whole["usage"], expected);
}

#[test]
fn what_anthropic_said_of_an_answer_is_told_and_what_others_said_is_a_loss() {
    let extra = |family, name: &str| Extra {
        family,
        members: vec![(name.to_owned(), r#"{"type":"refusal","category":null}"#.to_owned())],
    };
    let own = extra(Family::Anthropic, "stop_details");
    let other = extra(Family::Google, "safety_ratings");
    let mut events = events_of(&[Part::text("x")], FinishReason::ContentFilter);
    events.insert(4, Event::Extra { choice: 0, extra: own.clone() });
    events.insert(4, Event::Extra { choice: 0, extra: other.clone() });
    let choice = Choice {
        content: vec![Part::text("x")],
        finish_reason: FinishReason::ContentFilter,
        logprobs: vec![TokenLogprob::default()],
        extra: Some(Box::new(other)),
    };
    let reply =
        Reply { choices: vec![choice.clone(), choice], extra: Some(Box::new(own)), ..Reply::default() };
    let mut losses = Losses::default();
    let whole: Value = serde_json::from_slice(&encode_reply(&asked(), &reply, &mut losses)).unwrap();
    let paths: Vec<&str> = losses.iter().map(|loss| loss.path.as_str()).collect();
    assert_eq!(paths, ["answer.choices[1]", "answer.logprobs", "answer.safety_ratings"]);
    let (stream, losses) = streamed(&events);
    assert_eq!(losses, ["answer.safety_ratings: not known to this gateway"]);
    for message in [whole, stream.unwrap()] {
        assert_eq!(message["stop_details"]["type"], "refusal");
    }
}

#[test]
fn what_an_answer_cannot_say_here_is_a_loss() {
    let image = Content::Media {
        kind: MediaKind::Image,
        source: Source::Base64 { media_type: "image/png".to_owned(), data: "AA==".to_owned() },
        detail: None,
        name: None,
    };
    let foreign = Content::Foreign(Foreign {
        family: Family::OpenAi,
        kind: "web_search_call".to_owned(),
        json: "{}".to_owned(),
    });
    let cited = Content::Text {
        text: "x".to_owned(),
        annotations: vec![Annotation { title: Some("t".to_owned()), ..Annotation::default() }],
    };
    // Anthropic's texts have no signatures.
    let seal = Seal { by: Family::Google, data: "AbC=".to_owned() };
    let sealed = Part { seal: Some(seal), ..Part::text("y") };
    let content = [image, foreign, cited]
        .map(Part::new)
        .into_iter()
        .chain([call("c", "no object"), sealed])
        .collect::<Vec<_>>();
    let paths = [
        "answer.content[0]",
        "answer.content[1].web_search_call",
        "answer.content[2].citations",
        "answer.content[3].input",
        "answer.content[4].signature",
    ];
    let stream = streamed(&events_of(&content, FinishReason::Stop));
    for (message, losses) in [told(content, FinishReason::Stop), (stream.0.unwrap(), stream.1)] {
        let lost: Vec<_> = losses.iter().filter_map(|loss| loss.split(": ").next()).collect();
        assert_eq!(lost, paths);
        assert_eq!(message["content"][1]["input"], json!({}));
    }
}

#[test]
fn blocks_that_are_open_at_once_follow_each_other() {
    let start = |index, block| Event::BlockStart { index, choice: 0, id: None, block };
    let delta = |index, delta| Event::BlockDelta { index, delta };
    let tool = |id: &str| BlockStart::ToolCall { id: id.to_owned(), name: "f".to_owned() };
    let text = |text: &str| Delta::Text(text.to_owned());
    let arguments = |piece: &str| Delta::Arguments(piece.to_owned());
    let events = [
        start(0, BlockStart::Text),
        delta(0, text("a")),
        start(1, tool("t1")),
        delta(1, arguments("{\"x\":")),
        start(2, tool("t2")),
        delta(2, arguments("{}")),
        delta(0, text("b")),
        delta(1, arguments("1}")),
        Event::Ping,
        Event::BlockStop { index: 2 },
        Event::BlockStop { index: 1 },
        Event::BlockStop { index: 0 },
        Event::End,
    ];
    let content = streamed(&events).0.unwrap()["content"].take();
    assert_eq!(
        content,
        json!([
            {"type": "text", "text": "a"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1}},
            {"type": "text", "text": "b"},
            {"type": "tool_use", "id": "t2", "name": "f", "input": {}},
        ])
    );
}

#[test]
fn what_waits_is_bounded() {
    let mut writer = StreamEncoder::new(&asked());
    let (mut losses, mut out) = (Losses::default(), Vec::new());
    for index in 0..2 {
        let block = BlockStart::ToolCall { id: format!("t{index}"), name: "f".to_owned() };
        writer.event(&Event::BlockStart { index, choice: 0, id: None, block }, &mut losses, &mut out);
    }
    let piece = Event::BlockDelta { index: 1, delta: Delta::Arguments("{".repeat(1 << 16)) };
    for _ in 0..80 {
        writer.event(&piece, &mut losses, &mut out);
    }
    assert!(writer.is_closed());
    assert_eq!(message_of(&out).unwrap_err()["error"]["type"], "api_error");
    // A long answer with many signatures does not wait for anything.
    let thoughts: Vec<Part> = (0..600)
        .map(|_| Part::thinking("t", Some(Seal { by: Family::Anthropic, data: "s".repeat(10_000) })))
        .collect();
    assert_eq!(
        streamed(&events_of(&thoughts, FinishReason::Stop)).0.unwrap()["content"].as_array().unwrap().len(),
        600
    );
}

#[test]
fn an_error_ends_the_stream_in_anthropics_words() {
    let mut events = events_of(&[Part::text("x")], FinishReason::Stop);
    events.truncate(3);
    events.extend([
        Event::Error(Error::provider(529, Some("overloaded_error".to_owned()), "Overloaded")),
        Event::End,
    ]);
    let error = streamed(&events).0.unwrap_err();
    assert_eq!(error["error"], json!({"type": "overloaded_error", "message": "Overloaded"}));
}
