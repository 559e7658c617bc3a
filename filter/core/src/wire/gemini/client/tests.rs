use serde_json::{Value, json};

use super::grammar::answer_of;
use super::{COUNT, STREAMED, WHOLE};
use crate::chat::{
    Annotation, BlockStart, Choice, Content, Delta, Event, Family, FinishReason, Foreign, Losses, MediaKind,
    Part, Reply, Request, ResponseFormat, Role, Seal, Source, ThinkingMode, TokenLogprob, Tool, ToolChoice,
};
use crate::endpoint::{ClientApi, Endpoint};
use crate::error::{Error, Kind};
use crate::headers::Headers;
use crate::usage::Usage;
use crate::wire::{Asked, ClientCodec as _};

fn asked() -> Asked {
    Asked { request: Request::default().into(), id: "own".to_owned(), model: "m".to_owned(), created: 0 }
}

fn decoded(body: &Value) -> (Request, Vec<String>) {
    let mut losses = Losses::default();
    let request = WHOLE.decode(body.to_string().as_bytes(), &mut losses).unwrap();
    (request, losses.lines())
}

fn refused(body: &Value) -> Error {
    WHOLE.decode(body.to_string().as_bytes(), &mut Losses::default()).unwrap_err()
}

fn seal(by: Family, data: &str) -> Option<Seal> {
    Some(Seal { by, data: data.to_owned() })
}

fn call(id: &str, arguments: &str, seal: Option<Seal>) -> Part {
    let content =
        Content::ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: arguments.to_owned() };
    Part { seal, ..Part::new(content) }
}

#[test]
fn the_path_says_what_is_asked_of_which_model() {
    let glance = |endpoint: Endpoint, path: &str, body: &str| {
        (endpoint.operation().glance)(&Headers::from([(":path", path)]), body.as_bytes())
    };
    let seen = glance(Endpoint::GenerateContent, "/v1beta/models/org%2Fname:v1:generateContent?key=k", "{}")
        .unwrap();
    assert_eq!((seen.model.as_str(), seen.stream, seen.choices), ("org/name:v1", false, 1));
    let body = r#"{"contents": [], "generation_config": {"candidateCount": 2}}"#;
    let seen = glance(Endpoint::StreamGenerateContent, "/v1/models/a:streamGenerateContent", body).unwrap();
    assert_eq!((seen.model.as_str(), seen.stream, seen.choices), ("a", true, 2));
    for (path, body, wrong) in [
        ("/v1beta/models/..:generateContent", "{}", "the model in the path cannot be"),
        ("/v1beta/models/%2e%2E:generateContent", "{}", "the model in the path cannot be"),
        ("/v1beta/models/%ff:generateContent", "{}", "no UTF-8"),
        ("/v1beta/models/a:generateContent", "[]", "object"),
    ] {
        let error = glance(Endpoint::GenerateContent, path, body).unwrap_err();
        assert!(error.contains(wrong), "{path}: {error}");
    }
    assert_eq!(ClientApi::of_path("/v1beta/nothing"), ClientApi::Gemini);
}

#[test]
fn a_request_is_read_in_either_spelling() {
    let camel = json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [
            {"text": "Hi"},
            {"inlineData": {"mimeType": "image/png", "data": "-_8="}},
        ]}],
        "tools": [{"functionDeclarations": [{"name": "f", "description": "d", "parameters": {"type": "OBJECT"}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {
            "temperature": 0.5, "topP": 0.9, "topK": 40.0, "candidateCount": 1, "maxOutputTokens": 100,
            "stopSequences": ["."], "seed": 7, "presencePenalty": 0.1, "frequencyPenalty": 0.2,
            "responseLogprobs": true, "logprobs": 3, "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
            "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 1024},
        },
        "labels": {"team": "a"}, "serviceTier": "standard", "cachedContent": "cachedContents/x",
    });
    let (request, losses) = decoded(&camel);
    assert_eq!(losses, [""; 0]);
    let snake = camel.to_string();
    let snake = [
        ("systemInstruction", "system_instruction"),
        ("inlineData", "inline_data"),
        ("mimeType", "mime_type"),
        ("functionDeclarations", "function_declarations"),
        ("toolConfig", "tool_config"),
        ("functionCallingConfig", "function_calling_config"),
        ("allowedFunctionNames", "allowed_function_names"),
        ("generationConfig", "generation_config"),
        ("maxOutputTokens", "max_output_tokens"),
        ("thinkingConfig", "thinking_config"),
        ("responseSchema", "response_schema"),
        ("topK", "top_k"),
    ]
    .iter()
    .fold(snake, |text, (camel, snake)| text.replace(camel, snake));
    assert_eq!(decoded(&serde_json::from_str(&snake).unwrap()).0, request);
    assert_eq!((request.messages[0].role, request.messages[1].role), (Role::System, Role::User));
    assert_eq!(
        request.messages[1].content[1].content,
        Content::Media {
            kind: MediaKind::Image,
            source: Source::Base64 { media_type: "image/png".to_owned(), data: "+/8=".to_owned() },
            detail: None,
            name: None,
        },
    );
    let [Tool::Function(function)] = request.tools.as_slice() else { panic!("{:?}", request.tools) };
    assert_eq!(function.parameters.as_deref(), Some(r#"{"type":"object"}"#));
    assert_eq!(request.tool_choice, Some(ToolChoice::Tool("f".to_owned())));
    assert_eq!((request.top_k, request.max_tokens, request.seed), (Some(40), Some(100), Some(7)));
    let schema = r#"{"type":"object","properties":{"a":{"type":"string"}}}"#.to_owned();
    assert_eq!(
        request.response_format,
        Some(ResponseFormat::JsonSchema { name: None, schema, strict: None })
    );
    assert_eq!(request.thinking.mode, Some(ThinkingMode::Enabled));
    assert_eq!(request.thinking.budget_tokens, Some(1024));
    assert_eq!(request.service_tier.as_deref(), Some("default"));
    assert!(!request.stream && request.include_usage);
    assert!(STREAMED.decode(br#"{"contents": []}"#, &mut Losses::default()).unwrap().stream);
}

#[test]
fn what_only_gemini_has_is_kept_under_its_name() {
    let (request, losses) = decoded(&json!({
        "contents": [{"parts": [{"text": "Hi", "videoMetadata": {"fps": 1}}]}],
        "safetySettings": [{"category": "c"}],
        "tools": [{"googleSearch": {}}, {"functionDeclarations": [{"name": "f", "behavior": "BLOCKING"}], "urlContext": {}}],
        "toolConfig": {"retrievalConfig": {"languageCode": "de"}, "functionCallingConfig": {"mode": "VALIDATED"}},
        "generationConfig": {"responseModalities": ["TEXT"], "mediaResolution": "X", "responseMimeType": "text/x.enum"},
        "unknown": 1, "model": "models/x",
    }));
    let extra = request.extra.unwrap();
    let names: Vec<_> = extra.members.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "toolConfig.retrievalConfig",
            "generationConfig.mediaResolution",
            "generationConfig.responseMimeType",
            "safetySettings",
            "unknown"
        ]
    );
    assert_eq!(request.messages[0].content[0].extra.as_ref().unwrap().members[0].0, "videoMetadata");
    let paths: Vec<_> = losses.iter().filter_map(|loss| loss.split(": ").next()).collect();
    let mode = "toolConfig.functionCallingConfig.mode";
    assert_eq!(paths, ["tools[0].googleSearch", "tools[1].urlContext", mode]);
    assert_eq!(request.tool_choice, Some(ToolChoice::Auto));
}

#[test]
fn a_turn_in_pieces_is_one_again() {
    let claudes =
        super::signatures::to_client(&Seal { by: Family::Anthropic, data: "s1".to_owned() }).into_owned();
    let model = |parts: Value| json!({"role": "model", "parts": parts});
    let (request, _) = decoded(&json!({"contents": [
        {"role": "user", "parts": [{"text": "Weather?"}]},
        model(json!([{"text": "Let me ", "thought": true}])),
        model(json!([{"text": "think", "thought": true}])),
        model(json!([{"text": "", "thought": true, "thoughtSignature": claudes}])),
        model(json!([{"text": "I "}])),
        model(json!([{"text": "ask."}])),
        model(json!([{"functionCall": {"id": "c1", "name": "f", "args": {"a": 1.50}}, "thoughtSignature": "R29vZ2xl"}])),
        model(json!([{"functionCall": {"name": "f", "args": {}}}])),
        model(json!([{"text": ""}])),
        {"role": "user", "parts": [
            {"functionResponse": {"name": "f", "response": {"result": "sunny"}}},
            {"functionResponse": {"name": "f", "response": {"error": "no"}}},
        ]},
    ]}));
    let [_, turn, results] = request.messages.as_slice() else { panic!("{:?}", request.messages) };
    let said: Vec<_> = turn.content.iter().map(|part| (&part.content, part.seal.clone())).collect();
    assert_eq!(
        said,
        [
            (&Content::Thinking { text: "Let me think".to_owned() }, seal(Family::Anthropic, "s1")),
            (&Content::text("I ask."), None),
            (&call("c1", "{\"a\":1.5}", None).content, seal(Family::Google, "R29vZ2xl")),
            (&call("call_7_0", "{}", None).content, None),
        ]
    );
    let result = |call_id: &str, text: &str, is_error| Content::ToolResult {
        call_id: call_id.to_owned(),
        content: vec![Part::text(text)],
        is_error: Some(is_error),
    };
    let answered: Vec<_> = results.content.iter().map(|part| part.content.clone()).collect();
    assert_eq!(answered, [result("c1", "sunny", false), result("call_7_0", "no", true)]);
}

#[test]
fn what_is_of_an_unknown_kind_does_not_vanish() {
    let (request, losses) = decoded(&json!({"contents": [{"role": "model", "parts": [
        {"text": "a"},
        {"audioTranscription": {"text": "Hi", "at": 1.50}},
        {"inlineDat": {}, "thoughtSignature": "R29vZ2xl"},
        {"text": "", "partMetadata": {"a": 1}},
        {"text": "b"},
        {"text": "c", "partMetadata": {"a": 1}},
    ]}]}));
    assert_eq!(losses, [""; 0]);
    let foreign = |kind: &str, json: &str| {
        let (kind, json) = (kind.to_owned(), json.to_owned());
        Content::Foreign(Foreign { family: Family::Google, kind, json })
    };
    let said: Vec<_> = request.messages[0].content.iter().map(|part| part.content.clone()).collect();
    assert_eq!(
        said,
        [
            Content::text("a"),
            foreign("audioTranscription", r#"{"audioTranscription":{"text":"Hi","at":1.5}}"#),
            foreign("inlineDat", r#"{"inlineDat":{}}"#),
            Content::text(""),
            Content::text("b"),
            Content::text("c"),
        ]
    );
}

#[test]
fn who_asks_for_thoughts_asks_to_think() {
    let thinking = |config: Value| {
        let config = json!({"contents": [], "generationConfig": {"thinkingConfig": config}});
        decoded(&config).0.thinking
    };
    for (config, mode) in [
        (json!({"includeThoughts": true}), Some(ThinkingMode::Adaptive)),
        (json!({"includeThoughts": true, "thinkingLevel": "LOW"}), Some(ThinkingMode::Adaptive)),
        (json!({"includeThoughts": true, "thinkingBudget": 0}), Some(ThinkingMode::Disabled)),
        (json!({"includeThoughts": true, "thinkingBudget": 9}), Some(ThinkingMode::Enabled)),
        (json!({"includeThoughts": false}), None),
        (json!({"thinkingLevel": "LOW"}), None),
    ] {
        assert_eq!(thinking(config.clone()).mode, mode, "{config}");
    }
}

/// A turn in many pieces and many calls: a decoder that looks at all of them again for each is a hundred times slower.
#[test]
fn many_contents_take_linear_time() {
    let model = |part: Value| json!({"role": "model", "parts": [part]});
    let call = |index: u32| model(json!({"functionCall": {"id": format!("c{index}"), "name": "f"}}));
    let result = |index: u32| json!({"functionResponse": {"id": format!("c{index}"), "name": "f"}});
    let mut contents: Vec<Value> = (0..25_000).map(call).collect();
    let results: Vec<Value> = (0..25_000).rev().map(result).collect();
    contents.push(json!({"role": "user", "parts": results}));
    let (request, _) = decoded(&json!({ "contents": contents }));
    let [turn, results] = request.messages.as_slice() else { panic!("{}", request.messages.len()) };
    assert_eq!((turn.content.len(), results.content.len()), (25_000, 25_000));
}

#[test]
fn a_mistake_names_its_field() {
    for (body, status, place) in [
        (json!({}), 400, "contents: field is required"),
        (json!({"contents": [{"role": "x", "parts": []}]}), 422, "contents[0].role"),
        (json!({"contents": [{"parts": [{"text": 1}]}]}), 400, "contents[0].parts[0].text"),
        (
            json!({"contents": [{"parts": [{"functionCall": {}}]}]}),
            400,
            "contents[0].parts[0].functionCall.name",
        ),
        (
            json!({"contents": [], "generationConfig": {"top_k": "x"}}),
            400,
            "generationConfig.topK: expected a whole number",
        ),
        (
            json!({"contents": [], "toolConfig": {"functionCallingConfig": {"mode": "x"}}}),
            422,
            "toolConfig.functionCallingConfig.mode",
        ),
    ] {
        let error = refused(&body);
        assert!(error.status() == status && error.message().contains(place), "{error:?}");
    }
}

#[test]
fn a_count_may_have_a_request_of_its_own() {
    let bare = json!({"contents": [{"parts": [{"text": "Hi"}]}]});
    let nested =
        json!({"generateContentRequest": {"model": "models/x", "contents": [{"parts": [{"text": "Hi"}]}]}});
    let read = |body: &Value| COUNT.decode(body.to_string().as_bytes(), &mut Losses::default()).unwrap();
    assert_eq!(read(&bare), read(&nested));
    let reply = Reply { usage: Usage { input: Some(7), ..Usage::default() }, ..Reply::default() };
    assert_eq!(COUNT.reply(&asked(), &reply, &mut Losses::default()), br#"{"totalTokens":7}"#);
}

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
    let usage = Usage { input: Some(5), output: Some(3), reasoning: Some(1), ..Usage::default() };
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
    let usage = Usage { input: Some(5), output: Some(3), reasoning: Some(1), ..Usage::default() };
    let reply = Reply { model: Some("m2".to_owned()), choices: vec![choice], usage, ..Reply::default() };
    let mut losses = Losses::default();
    let whole: Value = serde_json::from_slice(&WHOLE.reply(&asked(), &reply, &mut losses)).unwrap();
    let marked =
        |data: &str| super::signatures::to_client(&seal(Family::Anthropic, data).unwrap()).into_owned();
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
