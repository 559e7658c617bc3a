//! What clients of other APIs say, and that nothing is lost on the way there and back.

use serde_json::{Value, json};

use super::CODEC;
use crate::chat::{
    Annotation, BlockStart, CacheControl, Content, Delta, Event, Extra, Family, Function, Losses, MediaKind,
    Message, Part, Request, Role, Seal, Source, Thinking, ThinkingMode, Tool,
};
use crate::config::Schema;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::headers::Headers;
use crate::wire::openai_chat::decode_request;
use crate::wire::{Asked, BackendCodec as _, SchemaName, To};

fn encoded(model: &str, request: &Request) -> Result<(Value, Vec<String>)> {
    let (body, losses) = bytes(model, request)?;
    Ok((serde_json::from_slice(&body).unwrap(), losses))
}

fn bytes(model: &str, request: &Request) -> Result<(Vec<u8>, Vec<String>)> {
    let schema = Schema { name: SchemaName::OpenAI, prefix: None, version: None };
    let headers = Headers::default();
    let endpoint = Endpoint::ChatCompletions;
    let to = To {
        endpoint,
        schema: &schema,
        model,
        stream: false,
        default_max_tokens: 1,
        headers: &headers,
        auth: None,
        cache_marks: false,
    };
    let mut losses = Losses::default();
    let body = CODEC.encode(&to, request, &mut losses)?;
    Ok((body, losses.iter().map(|loss| loss.path.clone()).collect()))
}

fn asking(messages: Vec<Message>) -> Request {
    Request { messages, ..Request::default() }
}

fn user(content: Vec<Part>) -> Message {
    Message::new(Role::User, content)
}

fn media(kind: MediaKind, source: Source, name: Option<&str>) -> Part {
    Part::new(Content::Media { kind, source, detail: None, name: name.map(str::to_owned) })
}

fn png() -> Part {
    let source = Source::Base64 { media_type: "image/png".into(), data: "iVBORw0=".into() };
    media(MediaKind::Image, source, None)
}

fn call(id: &str) -> Part {
    let (id, name, arguments) = (id.to_owned(), "look".to_owned(), "{}".to_owned());
    Part::new(Content::ToolCall { id, name, arguments })
}

fn result(call_id: &str, content: Vec<Part>, is_error: Option<bool>) -> Part {
    Part::new(Content::ToolResult { call_id: call_id.to_owned(), content, is_error })
}

/// A result with a picture would be a message that stands between results.
#[test]
fn pictures_of_results_come_behind_all_results() {
    let request = asking(vec![
        user(vec![Part::text("Hi")]),
        Message::new(Role::Assistant, vec![call("c1"), call("c2")]),
        user(vec![
            result("c1", vec![Part::text("a cat"), png()], None),
            result("c2", vec![png()], None),
            Part::text("go on"),
        ]),
    ]);
    let (body, losses) = encoded("gpt-4o", &request).unwrap();
    let messages = body["messages"].as_array().unwrap();
    let roles: Vec<&str> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "tool", "user"]);
    assert_eq!(messages[2]["content"], "a cat");
    let parts = messages[4]["content"].as_array().unwrap();
    let shown: Vec<&str> = parts
        .iter()
        .map(|part| part["text"].as_str().unwrap_or_else(|| part["type"].as_str().unwrap()))
        .collect();
    assert_eq!(
        shown,
        ["Result of the tool call c1:", "image_url", "Result of the tool call c2:", "image_url", "go on"]
    );
    assert!(losses.is_empty(), "{losses:?}");

    // Results in messages of their own, as chat completions have them, and nothing behind them.
    let request = asking(vec![
        Message::new(Role::Assistant, vec![call("c1"), call("c2")]),
        user(vec![result("c1", vec![png()], None)]),
        user(vec![result("c2", vec![Part::text("b")], None)]),
    ]);
    let (body, _) = encoded("gpt-4o", &request).unwrap();
    let messages = body["messages"].as_array().unwrap();
    let roles: Vec<&str> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["assistant", "tool", "tool", "user"]);
}

#[test]
fn a_result_says_that_the_tool_failed_as_this_api_reads_it() {
    for (text, said) in [
        ("no such city", r#"{"error":"no such city"}"#),
        ("", r#"{"error":true}"#),
        (r#"{"error": "x"}"#, r#"{"error": "x"}"#),
    ] {
        let request = asking(vec![user(vec![result("c", vec![Part::text(text)], Some(true))])]);
        let (body, losses) = encoded("gpt-4o", &request).unwrap();
        assert_eq!(body["messages"][0]["content"], said);
        assert!(losses.is_empty());
        let again = json!({"model": "m", "messages": body["messages"]}).to_string();
        let again = decode_request(again.as_bytes(), &mut Losses::default()).unwrap();
        let Content::ToolResult { is_error, .. } = again.messages[0].content[0].content else { panic!() };
        assert_eq!(is_error, Some(true));
    }
}

#[test]
fn documents_and_sound_go_as_the_server_takes_them() {
    let base64 =
        |media_type: &str| Source::Base64 { media_type: media_type.to_owned(), data: "AA==".to_owned() };
    let sent = |model: &str, part: Part| {
        encoded(model, &asking(vec![user(vec![part])]))
            .map(|(body, _)| body["messages"][0]["content"].clone())
    };
    let text = media(MediaKind::Document, Source::Text("t".to_owned()), Some("Title"));
    assert_eq!(sent("gpt-4o", text).unwrap(), "Title\n\nt");
    let pdf = sent("gpt-4o", media(MediaKind::Document, base64("application/pdf"), None)).unwrap();
    let file = json!({"filename": "document.pdf", "file_data": "data:application/pdf;base64,AA=="});
    assert_eq!(pdf, json!([{"type": "file", "file": file}]));
    let wav = sent("gpt-4o", media(MediaKind::Audio, base64("audio/x-wav"), None)).unwrap();
    assert_eq!(wav[0]["input_audio"], json!({"data": "AA==", "format": "wav"}));
    let flac = || media(MediaKind::Audio, base64("audio/flac"), None);
    assert_eq!(sent("llama", flac()).unwrap()[0]["input_audio"]["format"], "flac");
    assert_eq!(sent("gpt-4o", flac()).unwrap_err().status(), 422);
    let film = || media(MediaKind::Video, Source::url("https://x/a.mp4"), None);
    assert_eq!(sent("qwen-vl", film()).unwrap()[0]["video_url"]["url"], "https://x/a.mp4");
    for refused in [
        film(),
        media(MediaKind::Document, Source::url("https://x/a.pdf"), None),
        media(MediaKind::Image, Source::File { by: Family::Anthropic, id: "f".into() }, None),
        media(MediaKind::Document, Source::File { by: Family::Google, id: "f".into() }, None),
    ] {
        let error = sent("gpt-4o", refused).unwrap_err();
        assert_eq!(error.status(), 422);
    }
}

#[test]
fn how_closely_to_look_is_told_in_the_words_there_are() {
    let looked_at = |part: Part, level: &str| {
        let Content::Media { kind, source, name, .. } = part.content else { panic!("{part:?}") };
        let part = Part::new(Content::Media { kind, source, detail: Some(level.to_owned()), name });
        let (body, losses) = encoded("gpt-5", &asking(vec![user(vec![part])])).unwrap();
        let level = body["messages"][0]["content"][0]["image_url"]["detail"].as_str().map(str::to_owned);
        (level, losses.len())
    };
    for (asked, told, lost) in [
        ("low", "low", 0),
        ("auto", "auto", 0),
        ("high", "high", 0),
        ("original", "high", 1),
        ("medium", "auto", 1),
    ] {
        assert_eq!(looked_at(png(), asked), (Some(told.to_owned()), lost), "{asked}");
    }
    let pdf = Source::Base64 { media_type: "application/pdf".to_owned(), data: "AA==".to_owned() };
    let document = media(MediaKind::Document, pdf, None);
    assert_eq!(looked_at(document.clone(), "high"), (None, 1));
    assert_eq!(looked_at(document, "auto"), (None, 0));
}

/// Writers that have log probabilities beside a text take those that came before it.
#[test]
fn log_probabilities_are_told_before_their_text() {
    let mut reader = CODEC.events(&asked());
    let mut events = Vec::new();
    for text in ["a", "b"] {
        let logprobs = json!({"content": [{"token": text, "logprob": -0.5}]});
        let choice = json!({"index": 0, "delta": {"content": text}, "logprobs": logprobs});
        let chunk = json!({"id": "i", "choices": [choice]}).to_string();
        reader.event(None, chunk.as_bytes(), &mut Losses::default(), &mut events);
    }
    let order: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Event::Logprobs { tokens, .. } => Some(format!("of {}", tokens[0].token)),
            Event::BlockDelta { delta: Delta::Text(text), .. } => Some(text.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["of a", "a", "of b", "b"]);
}

#[test]
fn thoughts_go_to_those_who_read_them_and_seals_to_their_own() {
    let seal = |by| Some(Seal { by, data: "s".to_owned() });
    let conversation = |by| {
        asking(vec![Message::new(
            Role::Assistant,
            vec![
                Part::thinking("I think.", seal(Family::Anthropic)),
                Part { seal: seal(Family::Anthropic), ..Part::new(Content::RedactedThinking) },
                Part::text("Yes"),
                Part { seal: seal(by), ..call("c1") },
            ],
        )])
    };
    let (body, losses) = encoded("deepseek-chat", &conversation(Family::Google)).unwrap();
    assert_eq!(body["messages"][0]["reasoning_content"], "I think.");
    assert_eq!(losses.len(), 3, "{losses:?}");
    let (body, losses) = encoded("gpt-5", &conversation(Family::Google)).unwrap();
    assert!(body["messages"][0].get("reasoning_content").is_none());
    assert_eq!(losses.len(), 3, "{losses:?}");
    let (body, losses) = encoded("gemini-3-pro", &conversation(Family::Google)).unwrap();
    let signature = &body["messages"][0]["tool_calls"][0]["extra_content"]["google"]["thought_signature"];
    assert_eq!((signature, losses.len()), (&json!("s"), 2));
    let (body, _) = encoded("gemini-3-pro", &conversation(Family::Anthropic)).unwrap();
    assert!(body["messages"][0]["tool_calls"][0].get("extra_content").is_none());

    let said = |text: &str| Part::new(Content::Refusal(text.to_owned()));
    let sealed = Part { seal: seal(Family::Google), ..Part::text("t") };
    let declined = asking(vec![Message::new(Role::Assistant, vec![said("a"), sealed, said("b")])]);
    let (body, losses) = encoded("gpt-5", &declined).unwrap();
    assert_eq!((&body["messages"][0]["refusal"], losses.len()), (&json!("ab"), 1));

    let nothing = asking(vec![Message::new(Role::Assistant, vec![Part::thinking("x", None)])]);
    let (body, losses) = encoded("gpt-5", &nothing).unwrap();
    assert_eq!((body["messages"].as_array().map(Vec::len), losses.len()), (Some(0), 1));
}

#[test]
fn how_to_think_is_told_as_far_as_the_server_can_be_told() {
    let sent = |model: &str, mode, budget_tokens| {
        let thinking = Thinking { mode, budget_tokens, ..Thinking::default() };
        let (body, losses) = encoded(model, &Request { thinking, ..Request::default() }).unwrap();
        let member = |name: &str| body.get(name).map_or(String::new(), Value::to_string);
        (member("reasoning_effort") + &member("thinking"), losses.len())
    };
    let (on, off, adaptive) =
        (Some(ThinkingMode::Enabled), Some(ThinkingMode::Disabled), Some(ThinkingMode::Adaptive));
    for (model, mode, budget, said, losses) in [
        ("gpt-5", on, Some(1024), "\"low\"", 1),
        ("gpt-5", on, Some(8000), "\"medium\"", 1),
        ("gpt-5", None, Some(30_000), "\"high\"", 1),
        ("gpt-5", off, None, "\"minimal\"", 1),
        ("gpt-5.1", off, None, "\"none\"", 0),
        ("gpt-5.1", adaptive, None, "", 0),
        ("gpt-4o", off, None, "", 0),
        ("gpt-4o", on, Some(1024), "", 1),
        ("deepseek-chat", on, Some(1024), r#"{"type":"enabled"}"#, 1),
        ("deepseek-chat", off, None, r#"{"type":"disabled"}"#, 0),
        ("claude-x", on, Some(1024), r#"{"type":"enabled","budget_tokens":1024}"#, 0),
        ("llama", off, None, "", 1),
        ("llama", None, None, "", 0),
    ] {
        assert_eq!(sent(model, mode, budget), (said.to_owned(), losses), "{model} {mode:?} {budget:?}");
    }
}

/// What only other families understand is not sent, and said to be left out.
#[test]
fn what_is_of_others_is_a_loss() {
    let extra = |family, name: &str| {
        Some(Box::new(Extra { family, members: vec![(name.to_owned(), "1".to_owned())] }))
    };
    let hosted = |kind: &str| {
        Tool::Hosted(crate::chat::Foreign {
            family: Family::Anthropic,
            kind: kind.to_owned(),
            json: "{}".to_owned(),
        })
    };
    let annotated = Content::Text { text: "t".to_owned(), annotations: vec![Annotation::default()] };
    let request = Request {
        tools: vec![
            hosted("web_search"),
            Tool::Function(Function { name: "f".into(), ..Function::default() }),
        ],
        extra: extra(Family::Anthropic, "store"),
        cache: crate::chat::Cache {
            content: Some("c".into()),
            automatic: Some(CacheControl::default()),
            ..Default::default()
        },
        messages: vec![
            Message::new(Role::Assistant, vec![Part::new(annotated), png()]),
            user(vec![Part { cache_control: Some(CacheControl::default()), ..Part::text("t") }]),
        ],
        ..Request::default()
    };
    let (body, losses) = encoded("gpt-4o", &request).unwrap();
    assert_eq!(body["tools"].as_array().map(Vec::len), Some(1));
    assert!(body.get("store").is_none());
    assert_eq!(losses.len(), 6, "{losses:?}");
}

/// A request without what no server is told: where the client has things, and how texts are cut.
fn bare(mut request: Request) -> Request {
    fn strip(parts: &mut Vec<Part>, between: &str) {
        let mut kept: Vec<Part> = Vec::new();
        for mut part in std::mem::take(parts) {
            part.origin = crate::chat::Origin::default();
            if let Content::ToolResult { content, .. } = &mut part.content {
                strip(content, "\n");
            }
            if let Content::ToolCall { arguments, .. } = &mut part.content
                && arguments.is_empty()
            {
                arguments.push_str("{}");
            }
            match (kept.last_mut().map(|last| &mut last.content), &part.content) {
                (Some(Content::Text { text, .. }), Content::Text { text: more, .. })
                    if part.cache_control.is_none() =>
                {
                    text.push_str(between);
                    text.push_str(more);
                }
                _ => kept.push(part),
            }
        }
        *parts = kept;
    }
    request.model = String::new();
    request.include_usage = request.stream;
    // What holds anyway.
    request.thinking.include_thoughts.take_if(|include| *include);
    // One that says nothing.
    request.messages.retain(|message| !message.content.is_empty() || message.role != Role::Assistant);
    for tool in &mut request.tools {
        if let Tool::Function(function) = tool {
            // A function that stands for another tool is one to its server.
            function.is_custom = false;
        }
    }
    for message in &mut request.messages {
        message.origin = crate::chat::Origin::default();
        strip(&mut message.content, if message.role == Role::Assistant { "" } else { "\n" });
    }
    request
}

/// From this API's words and back nothing is lost, except what is said to be.
#[test]
fn there_and_back_is_the_same() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/openai_chat");
    let mut same = 0;
    for case in weir_test_platform::list(&fixtures).unwrap() {
        if case.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let body = weir_test_platform::read(&case).unwrap();
        let mut decoding = Losses::default();
        let Ok(request) = decode_request(&body, &mut decoding) else { continue };
        for model in [request.model.as_str(), "deepseek-chat", "gpt-4o", "gpt-5.1"] {
            let Ok((sent, losses)) = bytes(model, &request) else { continue };
            let again = decode_request(&sent, &mut decoding).unwrap();
            if losses.is_empty() {
                let mut first = bare(request.clone());
                let again = bare(again);
                // Another server has another word for it.
                if model != request.model {
                    first.thinking = again.thinking.clone();
                }
                for message in first.messages.iter_mut().filter(|message| message.role == Role::Developer) {
                    message.role = if model.starts_with("gpt") { Role::Developer } else { Role::System };
                }
                // Choices among nothing say nothing.
                if first.tools.is_empty() {
                    first.tool_choice = None;
                    first.parallel_tool_calls = None;
                }
                assert_eq!(first, again, "{case:?} {model}");
                same += 1;
            }
        }
    }
    assert!(same > 60, "{same}");
}

pub(super) fn asked() -> Asked {
    let request = Request { include_usage: true, ..Request::default() }.into();
    Asked { request, id: "own".to_owned(), model: "asked".to_owned(), created: 1 }
}

/// Memory stays bounded, however a server mixes its calls.
#[test]
fn calls_that_wait_without_end_end_the_stream() {
    let mut reader = CODEC.events(&asked());
    let mut events = Vec::new();
    let piece = |index: u32, arguments: &str| {
        json!({"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": [
            {"index": index, "id": format!("c{index}"), "function": {"name": "f", "arguments": arguments}}]}}]})
        .to_string()
    };
    let long = "x".repeat(1 << 20);
    for (index, arguments) in [(0, "{"), (1, "{"), (1, &long), (1, &long), (1, &long), (1, &long), (1, &long)]
    {
        reader.event(None, piece(index, arguments).as_bytes(), &mut Losses::default(), &mut events);
    }
    assert!(
        matches!(events.last(), Some(Event::Error(error)) if error.status() == 502),
        "{:?}",
        events.len()
    );
    let mut reader = CODEC.events(&asked());
    let mut events = Vec::new();
    for index in 0..300 {
        reader.event(None, piece(index, "{}").as_bytes(), &mut Losses::default(), &mut events);
    }
    assert!(matches!(events.last(), Some(Event::Error(_))));
}

/// Whole and streamed alike: the other calls are told, and the one that names no tool is lost.
#[test]
fn a_call_that_names_no_tool_is_lost() {
    let call = |index: u32, name: Value| json!({"index": index, "id": format!("c{index}"), "function": {"name": name, "arguments": "{}"}});
    for (calls, left) in
        [(vec![call(0, Value::Null), call(1, json!("f"))], 1), (vec![call(0, Value::Null)], 0)]
    {
        let mut whole_lost = Losses::default();
        let whole = json!({"choices": [{"message": {"tool_calls": calls}}]}).to_string();
        let reply = CODEC.reply(&asked(), whole.as_bytes(), &mut whole_lost).unwrap();
        let (mut lost, mut told) = (Losses::default(), Vec::new());
        let mut reader = CODEC.events(&asked());
        for delta in [json!({"tool_calls": calls}), json!({"content": "x"})] {
            let chunk = json!({"id": "c", "choices": [{"delta": delta}]}).to_string();
            reader.event(None, chunk.as_bytes(), &mut lost, &mut told);
        }
        reader.event(None, b"[DONE]", &mut lost, &mut told);
        assert_eq!(lost.lines(), ["answer.tool_calls[0]: it names no tool"]);
        assert_eq!(lost, whole_lost);
        let is_call =
            |event: &&Event| matches!(event, Event::BlockStart { block: BlockStart::ToolCall { .. }, .. });
        assert_eq!((told.iter().filter(is_call).count(), reply.choices[0].content.len()), (left, left));
        let finish = Event::Finish { choice: 0, reason: reply.choices[0].finish_reason.clone() };
        assert!(told.ends_with(&[finish, Event::End]), "{told:?}");
    }
}

/// What comes of a call's arguments too late is not left out without a word.
#[test]
fn a_call_that_goes_on_behind_a_text_is_an_error() {
    let mut reader = CODEC.events(&asked());
    let mut events = Vec::new();
    let piece = |arguments: &str| json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": arguments}}]});
    for delta in [piece("{\"a\":"), json!({"content": "x"}), piece(" "), piece("1}")] {
        let chunk = json!({"id": "c", "choices": [{"index": 0, "delta": delta}]}).to_string();
        assert!(!matches!(events.last(), Some(Event::Error(_))));
        reader.event(None, chunk.as_bytes(), &mut Losses::default(), &mut events);
    }
    assert!(matches!(events.last(), Some(Event::Error(error)) if error.status() == 502), "{events:?}");
}

/// A name that is too long goes out as another and comes back, whole and streamed.
#[test]
fn a_tool_has_the_clients_name_again() {
    let name = "mcp__".repeat(20);
    let tool = Tool::Function(Function { name: name.clone(), ..Function::default() });
    let (body, _) = encoded("gpt-5", &Request { tools: vec![tool.clone()], ..Request::default() }).unwrap();
    let stand_in = body["tools"][0]["function"]["name"].as_str().unwrap();
    assert_ne!(stand_in, name);
    let call = json!([{"index": 0, "id": "c", "function": {"name": stand_in, "arguments": "{}"}}]);
    let asked = Asked { request: Request { tools: vec![tool], ..Request::default() }.into(), ..asked() };
    let whole = json!({"choices": [{"message": {"tool_calls": call}}]}).to_string();
    let reply = CODEC.reply(&asked, whole.as_bytes(), &mut Losses::default()).unwrap();
    let Content::ToolCall { name: called, .. } = &reply.choices[0].content[0].content else { panic!() };
    assert_eq!(*called, name);
    let mut events = Vec::new();
    let chunk = json!({"choices": [{"delta": {"tool_calls": call}}]}).to_string();
    CODEC.events(&asked).event(None, chunk.as_bytes(), &mut Losses::default(), &mut events);
    assert!(format!("{events:?}").contains(&name));
}
