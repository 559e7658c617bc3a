//! Requests, answers and streams, case by case.

mod answers;

use serde_json::{Value, json};

use super::grammar::answer_of;
use super::{COUNT, STREAMED, WHOLE};
use crate::chat::{
    Annotation, BlockStart, Choice, Content, Delta, Event, Family, FinishReason, Foreign, Losses, MediaKind,
    Part, Reply, Request, ResponseFormat, Role, Seal, Source, ThinkingMode, TokenLogprob, Tool, ToolChoice,
    Verbatim,
};
use crate::endpoint::{ClientApi, Endpoint};
use crate::error::{Error, Kind};
use crate::headers::Headers;
use crate::usage::{Counter, Usage};
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
    assert_eq!(function.parameters.as_ref().map(Verbatim::get), Some(r#"{"type":"object"}"#));
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

/// A turn in many pieces and many calls: a decoder that looks at all of them again for each takes quadratic time.
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
    let reply = Reply { usage: Usage::of([(Counter::Input, Some(7))]), ..Reply::default() };
    assert_eq!(COUNT.reply(&asked(), &reply, &mut Losses::default()), br#"{"totalTokens":7}"#);
}
