use proptest::prelude::*;
use serde_json::{Value, json};

use super::CLIENT;
use super::grammar::answer_of;
use crate::chat::{
    Annotation, BlockStart, Choice, Content, Delta, Event, Family, FinishReason, Foreign, Losses, MediaKind,
    Part, Reply, Request, ResponseFormat, Role, Seal, Source, ThinkingMode, TokenLogprob, Tool, ToolChoice,
    Verbatim,
};
use crate::endpoint::{ClientApi, Endpoint};
use crate::error::{Error, Kind};
use crate::usage::{Counter, Usage};
use crate::wire::cohere::SCHEMA;
use crate::wire::schema::Schema as _;
use crate::wire::{Asked, ClientCodec as _};

fn asked() -> Asked {
    Asked { request: Request::default().into(), id: "own".to_owned(), model: "m".to_owned(), created: 0 }
}

/// The request with these members, and where its losses are.
fn decoded(mut body: Value) -> (Request, Vec<String>) {
    for (name, value) in [("model", json!("m")), ("messages", json!([{"role": "user", "content": "Hi"}]))] {
        body.as_object_mut().unwrap().entry(name).or_insert(value);
    }
    let mut losses = Losses::default();
    let request = CLIENT.decode(body.to_string().as_bytes(), &mut losses).unwrap();
    (request, losses.iter().map(|loss| loss.path.clone()).collect())
}

fn call(id: &str, arguments: &str, seal: Option<Seal>) -> Part {
    let content =
        Content::ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: arguments.to_owned() };
    Part { seal, ..Part::new(content) }
}

fn seal(by: Family, data: &str) -> Option<Seal> {
    Some(Seal { by, data: data.to_owned() })
}

fn reply(content: Vec<Part>, finish_reason: FinishReason) -> Reply {
    let choice = Choice { content, finish_reason, logprobs: Vec::new(), extra: None };
    let usage = Usage::of([(Counter::Input, Some(7)), (Counter::Output, Some(3))]);
    Reply { choices: vec![choice], usage, ..Reply::default() }
}

/// The answer as a client gets it whole, and what is lost of it.
fn whole(reply: &Reply) -> (Value, Vec<String>) {
    let mut losses = Losses::default();
    let told = CLIENT.reply(&asked(), reply, &mut losses);
    (serde_json::from_slice(&told).unwrap(), losses.lines())
}

/// The same from a stream.
fn streamed(reply: &Reply) -> (Value, Vec<String>) {
    let (mut losses, mut out) = (Losses::default(), Vec::new());
    let mut writer = CLIENT.events(&asked());
    reply.events(|event| writer.event(&event, &mut losses, &mut out));
    assert!(writer.is_closed());
    (answer_of(&out).unwrap(), losses.lines())
}

#[test]
fn its_paths_are_coheres() {
    for path in ["/cohere/v2/chat?x=1", "/v2/chat"] {
        assert_eq!(Endpoint::of_path(path), Some(Endpoint::CohereChat));
        assert_eq!(ClientApi::of_path(path), ClientApi::Cohere);
    }
    assert_eq!(ClientApi::of_path("/v2/embed"), ClientApi::Cohere);
    assert_eq!(ClientApi::of_path("/v2beta"), ClientApi::OpenAi);
}

#[test]
fn a_request_is_read() {
    let (request, losses) = decoded(json!({
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "Look."},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}]},
            {"role": "assistant", "tool_plan": "I look.", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": [
                {"type": "document", "document": {"id": "1", "data": {"degrees": 20}}},
                {"type": "text", "text": "now"}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "t"}, {"type": "text", "text": "20"}]},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
        "strict_tools": true, "tool_choice": "REQUIRED",
        "response_format": {"type": "json_object", "json_schema": {"type": "object"}},
        "thinking": {"type": "enabled", "token_budget": 100},
        "max_tokens": 9, "stop_sequences": ["a"], "temperature": 0.5, "p": 0.9, "k": 0, "seed": -1,
        "frequency_penalty": 0.1, "presence_penalty": 0.2, "logprobs": true, "stream": true, "priority": 0,
    }));
    assert_eq!(losses, [""; 0]);
    assert_eq!(request.extra, None);
    let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::User, Role::Assistant]);
    let origins = |index: usize| {
        let parts = &request.messages.get(index).unwrap().content;
        parts.iter().map(|part| part.origin.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(origins(2), ["tool_plan", "tool_calls[0]"]);
    assert_eq!(origins(4), ["content[0]", "content[1]"]);
    let Content::ToolResult { call_id, content, is_error } = &request.messages[3].content[0].content else {
        panic!()
    };
    assert_eq!((call_id.as_str(), *is_error), ("c1", None));
    let texts: Vec<&Content> = content.iter().map(|part| &part.content).collect();
    assert_eq!(texts, [&Content::text(r#"{"degrees":20}"#), &Content::text("now")]);
    let [Tool::Function(function)] = request.tools.as_slice() else { panic!() };
    let parameters = function.parameters.as_ref().map(Verbatim::get);
    assert_eq!((function.strict, parameters), (Some(true), Some(r#"{"type":"object"}"#)));
    assert_eq!(request.tool_choice, Some(ToolChoice::Required));
    let schema = r#"{"type":"object"}"#.to_owned();
    assert_eq!(
        request.response_format,
        Some(ResponseFormat::JsonSchema { name: None, schema, strict: None })
    );
    assert_eq!(
        (request.thinking.mode, request.thinking.budget_tokens),
        (Some(ThinkingMode::Enabled), Some(100))
    );
    assert_eq!(
        (request.max_tokens, request.top_p, request.top_k, request.seed),
        (Some(9), Some(0.9), None, Some(-1))
    );
    assert_eq!((request.stop.as_slice(), request.logprobs), (&["a".to_owned()][..], true));
    assert!(request.stream && request.include_usage);
}

#[test]
fn documents_are_shown_before_what_is_said() {
    let (request, losses) = decoded(json!({
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "Hi"}],
        "documents": [
            "one",
            {"id": "2", "data": {"title": "T", "snippet": "two"}},
            {"data": {"text": "three", "author": "A"}},
            {"data": "four"},
        ],
        "safety_mode": "STRICT", "citation_options": {"mode": "FAST"}, "priority": 3,
    }));
    assert_eq!(losses, ["documents"]);
    let shown = &request.messages[1];
    assert_eq!((shown.role, shown.origin.to_string().as_str()), (Role::User, "documents"));
    let documents = shown.content.iter().map(|part| match &part.content {
        Content::Media { kind: MediaKind::Document, source: Source::Text(text), name, .. } => {
            (part.origin.to_string(), name.clone(), text.as_str())
        }
        other => panic!("{other:?}"),
    });
    let expected = [
        ("[0]".to_owned(), None, "one"),
        ("[1]".to_owned(), Some("T".to_owned()), "two"),
        ("[2]".to_owned(), None, r#"{"text":"three","author":"A"}"#),
        ("[3]".to_owned(), None, "four"),
    ];
    assert_eq!(documents.collect::<Vec<_>>(), expected);
    let extra = request.extra.unwrap();
    let names: Vec<&str> = extra.members.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((extra.family, names), (Family::Cohere, vec!["safety_mode", "citation_options", "priority"]));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let user = json!({"role": "user", "content": "Hi"});
    for (status, words, body) in [
        (400, "model: field is required", json!({"messages": [user]})),
        (400, "messages: field is required", json!({"model": "m"})),
        (422, "messages[0].role", json!({"model": "m", "messages": [{"role": "x", "content": "y"}]})),
        (400, "messages[0].content", json!({"model": "m", "messages": [{"role": "user"}]})),
        (400, "messages[0].content", json!({"model": "m", "messages": [{"role": "user", "content": 7}]})),
        (
            422,
            "messages[0].content[0].type",
            json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "thinking", "thinking": "t"}]}]}),
        ),
        (422, "tool_choice", json!({"model": "m", "messages": [user], "tool_choice": "AUTO"})),
        (422, "tools[0].type", json!({"model": "m", "messages": [user], "tools": [{"type": "x"}]})),
        (422, "thinking.type", json!({"model": "m", "messages": [user], "thinking": {"type": "x"}})),
        (
            422,
            "response_format.type",
            json!({"model": "m", "messages": [user], "response_format": {"type": "x"}}),
        ),
        (400, "documents[0].data", json!({"model": "m", "messages": [user], "documents": [{"data": null}]})),
    ] {
        let error = CLIENT.decode(body.to_string().as_bytes(), &mut Losses::default()).unwrap_err();
        assert!(error.status() == status && error.message().contains(words), "{body}: {}", error.message());
    }
}

#[test]
fn an_answer_is_told_whole_and_streamed() {
    let annotation = Annotation {
        span: Some((0, 2)),
        url: Some("https://a".to_owned()),
        title: Some("T".to_owned()),
        cited_text: Some("source".to_owned()),
        raw: None,
    };
    let cited = Content::Text { text: "über".to_owned(), annotations: vec![annotation] };
    let reply = reply(
        vec![
            Part::thinking("I ", None),
            Part::thinking("think.", None),
            Part::text("é "),
            Part::new(cited),
            Part::text(""),
            call("c1", "{\"a\":1}", None),
            call("c2", "", None),
        ],
        FinishReason::ToolCalls,
    );
    let source = json!({"type": "document", "id": "https://a",
        "document": {"url": "https://a", "title": "T", "text": "source"}});
    let expected = json!({
        "id": "own", "finish_reason": "TOOL_CALL",
        "message": {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "I think."}, {"type": "text", "text": "é über"}],
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
                {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ],
            "citations": [{"start": 2, "end": 4, "text": "üb", "sources": [source], "content_index": 1, "type": "TEXT_CONTENT"}],
        },
        "usage": {
            "billed_units": {"input_tokens": 7, "output_tokens": 3},
            "tokens": {"input_tokens": 7, "output_tokens": 3},
        },
    });
    assert_eq!(whole(&reply), (expected.clone(), vec![]));
    assert_eq!(streamed(&reply).1, [""; 0]);
    let mut told = streamed(&reply).0;
    told["usage"] = expected["usage"].clone();
    assert_eq!(told, expected);
}

#[test]
fn an_answer_that_says_nothing_has_a_text() {
    let reply = reply(vec![Part::text(""), Part::thinking("", None)], FinishReason::Length);
    let content = json!([{"type": "text", "text": ""}]);
    assert_eq!(whole(&reply).0["message"]["content"], content);
    assert_eq!(streamed(&reply).0["message"]["content"], content);
    assert_eq!(whole(&reply).0["finish_reason"], "MAX_TOKENS");
}

#[test]
fn what_cohere_has_no_word_for_is_lost_whole_and_streamed() {
    let image =
        Content::Media { kind: MediaKind::Image, source: Source::url("https://a"), detail: None, name: None };
    let search = Foreign { family: Family::Anthropic, kind: "search".to_owned(), json: "{}".to_owned() };
    let bare = Annotation { span: Some((0, 1)), ..Annotation::default() };
    let uncited = Content::Text { text: "x".to_owned(), annotations: vec![bare] };
    let parts = vec![
        Part::thinking("t", seal(Family::Anthropic, "s")),
        Part { seal: seal(Family::Anthropic, "d"), ..Part::new(Content::RedactedThinking) },
        Part::new(image),
        Part::new(Content::Foreign(search)),
        Part::new(uncited),
        Part { seal: seal(Family::Google, "QQ=="), ..Part::text("y") },
        Part::new(Content::Refusal("no".to_owned())),
        call("c1", "{}", seal(Family::Google, "not base 64")),
    ];
    let mut reply = reply(parts, FinishReason::ContentFilter);
    let expected = [
        "answer.content[0].signature: Cohere's blocks have no signatures",
        "answer.content[1]: Cohere has no thoughts that only their provider can read",
        "answer.content[2]: Cohere's models answer with text only",
        "answer.content[3].search: blocks of this type are not known to Cohere's clients",
        "answer.content[4].citations: the text comes without this source",
        "answer.content[5].signature: Cohere's blocks have no signatures",
        "answer.content[7].signature: Cohere's blocks have no signatures",
        "answer.stop_reason.content_filter: the client is told ERROR",
    ];
    let content = json!([{"type": "thinking", "thinking": "t"}, {"type": "text", "text": "xyno"}]);
    for (told, losses) in [whole(&reply), streamed(&reply)] {
        assert_eq!(losses, expected);
        assert_eq!((&told["message"]["content"], &told["finish_reason"]), (&content, &json!("ERROR")));
    }
    reply.choices.push(reply.choices[0].clone());
    reply.service_tier = Some("flex".to_owned());
    let losses = whole(&reply).1;
    assert_eq!(
        losses[..2],
        ["answer.service_tier: this API does not tell", "answer.choices[1]: Cohere's clients get one answer"]
    );
}

#[test]
fn a_calls_signature_is_in_its_id_and_comes_back() {
    let sealed = seal(Family::Google, "QUJD");
    let (told, losses) = whole(&reply(vec![call("c1", "{}", sealed.clone())], FinishReason::ToolCalls));
    assert_eq!(losses, [""; 0]);
    let (request, _) = decoded(json!({"messages": [
        {"role": "user", "content": "Hi"},
        told["message"],
        {"role": "tool", "tool_call_id": told["message"]["tool_calls"][0]["id"], "content": "r"},
    ]}));
    assert_eq!(request.messages[1].content[0].seal, sealed);
    let Content::ToolResult { call_id, .. } = &request.messages[2].content[0].content else { panic!() };
    assert_eq!(call_id, "c1");
}

#[test]
fn probabilities_come_with_their_text() {
    let token = |token: &str, logprob| TokenLogprob { token: token.to_owned(), logprob, top: Vec::new() };
    let mut reply = reply(vec![Part::text("Hi")], FinishReason::Stop);
    reply.choices[0].logprobs = vec![token("H", -0.5), token("i", -1.0)];
    let piece = |text: &str, logprob: f64| json!({"text": text, "token_ids": [], "logprobs": [logprob]});
    assert_eq!(whole(&reply).0["logprobs"], json!([piece("H", -0.5), piece("i", -1.0)]));

    let (mut writer, mut out) = (CLIENT.events(&asked()), Vec::new());
    let text = |text: &str| Event::BlockDelta { index: 0, delta: Delta::Text(text.to_owned()) };
    for event in [
        Event::BlockStart { index: 0, choice: 0, id: None, block: BlockStart::Text },
        text("H"),
        Event::Logprobs { choice: 0, tokens: vec![token("H", -0.5)] },
        text("i"),
        Event::Logprobs { choice: 0, tokens: vec![token("i", -1.0)] },
        Event::BlockStop { index: 0 },
        Event::End,
    ] {
        writer.event(&event, &mut Losses::default(), &mut out);
    }
    let answer = answer_of(&out).unwrap();
    assert_eq!(
        (&answer["message"]["content"][0]["text"], &answer["logprobs"]),
        (&json!("Hi"), &json!([-0.5, -1.0]))
    );
}

#[test]
fn an_error_ends_a_stream_as_coheres_do() {
    for begins in [false, true] {
        let (mut writer, mut out) = (CLIENT.events(&asked()), Vec::new());
        if begins {
            writer.event(&Event::Start { id: None, model: None }, &mut Losses::default(), &mut out);
        }
        let error = Error::new(Kind::RateLimited, "slow down".to_owned());
        writer.event(&Event::Error(error), &mut Losses::default(), &mut out);
        assert!(writer.is_closed());
        let end = answer_of(&out).unwrap_err();
        assert_eq!(end["delta"], json!({"finish_reason": "ERROR", "error": "slow down"}));
        let read = crate::wire::cohere::error_of_event(end.to_string().as_bytes());
        assert_eq!(read.unwrap().message(), "slow down");
    }
}

/// The parts of an answer as Cohere's codec reads them: thoughts before texts before calls.
fn parts() -> impl Strategy<Value = Vec<Part>> {
    let calls = prop::collection::vec(("[a-z]{1,8}", ".{0,12}"), 0..4).prop_map(|calls| {
        let call = |(index, (_, value)): (usize, (String, String))| {
            call(&format!("c{index}"), &json!({ "k\"": value }).to_string(), None)
        };
        calls.into_iter().enumerate().map(call).collect::<Vec<_>>()
    });
    let texts = prop::collection::vec((any::<bool>(), ".{0,8}"), 0..5).prop_map(|texts| {
        let part = |(thinks, text): (bool, String)| {
            if thinks { Part::thinking(text, None) } else { Part::text(text) }
        };
        texts.into_iter().map(part).collect::<Vec<_>>()
    });
    (texts, calls).prop_map(|(texts, calls)| texts.into_iter().chain(calls).collect())
}

proptest! {
    /// A stream says what a whole answer says, and Cohere's own codec reads both as what they were made of.
    #[test]
    fn what_is_written_is_read_again(parts in parts()) {
        let has_calls = parts.iter().any(|part| matches!(part.content, Content::ToolCall { .. }));
        let reason = if has_calls { FinishReason::ToolCalls } else { FinishReason::Stop };
        let reply = reply(parts, reason.clone());
        let (told, losses) = whole(&reply);
        prop_assert!(losses.is_empty());
        let (mut from_stream, _) = streamed(&reply);
        from_stream["usage"] = told["usage"].clone();
        prop_assert_eq!(&from_stream, &told);

        let codec = SCHEMA.codec().unwrap();
        let read = codec.reply(&asked(), told.to_string().as_bytes(), &mut Losses::default()).unwrap();
        let said = |reply: &Reply, is_thought: bool| reply.choices[0].content.iter().fold(String::new(), |all, part| match &part.content {
            Content::Text { text, .. } if !is_thought => all + text,
            Content::Thinking { text } if is_thought => all + text,
            _ => all,
        });
        prop_assert_eq!(said(&read, true), said(&reply, true));
        prop_assert_eq!(said(&read, false), said(&reply, false));
        let calls = |reply: &Reply| reply.choices[0].content.iter().filter(|part| matches!(part.content, Content::ToolCall { .. })).cloned().collect::<Vec<_>>();
        prop_assert_eq!(calls(&read), calls(&reply));
        prop_assert_eq!(&read.choices[0].finish_reason, &reason);
        prop_assert_eq!((read.usage.input(), read.usage.output()), (Some(7), Some(3)));
    }
}
