//! What requests become and answers mean, case by case; whole ones are in `tests/fixtures`.

mod properties;

use serde_json::{Value, json};

use super::rules::Rule;
use super::{SCHEMA, request};
use crate::chat::{Content, Delta, Event, Losses, Part, Request, Tool};
use crate::wire::openai_chat::{CLIENT, decode_request};
use crate::wire::{Asked, BackendCodec as _, ClientCodec as _, anthropic};

fn decoded(body: &Value) -> Request {
    decode_request(body.to_string().as_bytes(), &mut Losses::default()).unwrap()
}

fn encoded(request: &Request) -> (Value, Vec<String>) {
    let mut losses = Losses::default();
    let body = request::encode(&request.model, request, &mut losses).unwrap();
    (serde_json::from_slice(&body).unwrap(), losses.iter().map(|loss| loss.reason.to_string()).collect())
}

fn asked(request: Request) -> Asked {
    Asked { request: Asked::remembered(request), id: "own".to_owned(), model: "asked".to_owned(), created: 1 }
}

fn events(request: Request, chunks: &[Value]) -> Vec<Event> {
    let mut reader = SCHEMA.events(&asked(request));
    let mut events = Vec::new();
    for chunk in chunks {
        reader.event(None, chunk.to_string().as_bytes(), &mut Losses::default(), &mut events);
    }
    reader.finish(&mut events);
    events
}

#[test]
fn each_rule_has_its_case() {
    let call = |id: &str, arguments: &str| {
        json!({"role": "assistant", "tool_calls": [
            {"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}}]})
    };
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "r"});
    let user = json!({"role": "user", "content": "Hi"});
    let function = |members: Value| {
        let mut function = json!({"name": "f", "parameters": {"type": "object"}});
        function.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        json!({"type": "function", "function": function})
    };
    let tools = json!([function(json!({}))]);
    let picture =
        json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}});
    let metadata: serde_json::Map<String, Value> = (0..65).map(|n| (format!("k{n}"), json!("v"))).collect();
    let cases = [
        (Rule::NoMessage, json!({"messages": [{"role": "system", "content": "Say hi."}]})),
        (
            Rule::InstructionsMoved,
            json!({"messages": [user, {"role": "developer", "content": "Be brief."}, user]}),
        ),
        (Rule::CallFirst, json!({"messages": [call("c", "{}"), result("c")]})),
        (
            Rule::ResultMoved,
            json!({"messages": [user, call("c", "{}"), call("d", "{}"), result("c"), result("d")]}),
        ),
        (Rule::ResultMissing, json!({"messages": [user, call("c", "{}"), user]})),
        (Rule::ResultUnasked, json!({"messages": [user, result("c"), user]})),
        (Rule::Arguments, json!({"messages": [user, call("c", "null"), result("c")]})),
        (Rule::HalfCharacter, json!({"messages": [user, call("c", r#"{"a":"\ud800"}"#), result("c")]})),
        (Rule::ToolName, json!({"tools": [function(json!({"name": "a b"}))]})),
        (Rule::SameTool, json!({"tools": [function(json!({})), function(json!({}))]})),
        (Rule::Strict, json!({"tools": [function(json!({"strict": true}))]})),
        (Rule::OneCall, json!({"tools": tools, "parallel_tool_calls": false})),
        (
            Rule::ForeignSeal,
            json!({"messages": [user, {"role": "assistant", "content": "x", "thinking_blocks": [
                {"type": "thinking", "thinking": "t", "signature": "claude:s"}]}, user]}),
        ),
        (Rule::Detail, json!({"messages": [{"role": "user", "content": [picture]}]})),
        (
            Rule::Marks,
            json!({"messages": [{"role": "user", "content": [
                {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}]}),
        ),
        (Rule::JsonAndTools, json!({"tools": tools, "response_format": {"type": "json_object"}})),
        (Rule::Seed, json!({"seed": 1_u64 << 40})),
        (Rule::NoThinking, json!({"model": "gemini-2.0-flash", "reasoning_effort": "low"})),
        (Rule::AlwaysThinks, json!({"model": "gemini-2.5-pro", "reasoning_effort": "none"})),
        (Rule::Budget, json!({"thinking": {"type": "enabled", "budget_tokens": 100_000}})),
        (
            Rule::LevelNotBudget,
            json!({"model": "gemini-3-flash", "thinking": {"type": "enabled", "budget_tokens": 5000}}),
        ),
        (Rule::Level, json!({"model": "gemini-3-flash", "reasoning_effort": "max"})),
        (
            Rule::BudgetCounts,
            json!({"thinking": {"type": "enabled", "budget_tokens": 2000}, "reasoning_effort": "low"}),
        ),
        (Rule::Label, json!({"user": "Ann"})),
        (Rule::LabelText, json!({"metadata": {"n": 1}})),
        (Rule::TooManyLabels, json!({ "metadata": metadata })),
        (
            Rule::SchemaKeyword,
            json!({"model": "gemini-2.0-flash", "tools": [function(json!({"parameters": {"not": {}}}))]}),
        ),
    ];
    for rule in Rule::ALL {
        assert!(rule.source().starts_with("https://"), "{rule:?}");
        assert!(cases.iter().any(|(case, _)| case == rule), "{rule:?}");
    }
    for (rule, mut body) in cases {
        let members = body.as_object_mut().unwrap();
        members.entry("model").or_insert(json!("gemini-2.5-flash"));
        members.entry("messages").or_insert(json!([user]));
        let (sent, losses) = encoded(&decoded(&body));
        assert!(losses.iter().any(|loss| loss == rule.reason()), "{rule:?}: {losses:?} {sent}");
    }
}

#[test]
fn what_says_nothing_and_tools_that_differ_are_refused() {
    let one = json!({"type": "function", "function": {"name": "f"}});
    let other = json!({"type": "function", "function": {"name": "f", "description": "d"}});
    for body in [
        json!({"messages": []}),
        json!({"messages": [{"role": "user", "content": ""}]}),
        json!({"messages": [{"role": "user", "content": "Hi"}], "tools": [one, other]}),
        json!({"messages": [{"role": "user", "content": "Hi"}], "reasoning_effort": "very"}),
    ] {
        let mut body = body;
        body["model"] = json!("gemini-2.5-pro");
        let error = request::encode("gemini-2.5-pro", &decoded(&body), &mut Losses::default()).unwrap_err();
        assert_eq!(error.status(), 422, "{body}");
    }
}

#[test]
fn a_result_may_have_pictures() {
    let picture = Part::new(Content::Media {
        kind: crate::chat::MediaKind::Image,
        source: crate::chat::Source::Base64 { media_type: "image/png".to_owned(), data: "AAAA".to_owned() },
        detail: None,
        name: None,
    });
    let mut request = decoded(&json!({"model": "m", "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "seen"},
        {"role": "user", "content": "And?"}]}));
    let Content::ToolResult { content, .. } = &mut request.messages[2].content[0].content else { panic!() };
    content.push(picture);
    let blob = json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}});
    for (model, parts) in [
        (
            "gemini-3-flash",
            json!([{"functionResponse": {"id": "c", "name": "f", "response": {"output": "seen"}, "parts": [blob]}},
                {"text": "And?"}]),
        ),
        (
            "gemini-2.5-flash",
            json!([{"functionResponse": {"name": "f", "response": {"output": "seen"}}}, blob, {"text": "And?"}]),
        ),
    ] {
        model.clone_into(&mut request.model);
        assert_eq!(encoded(&request).0["contents"][2]["parts"], parts, "{model}");
    }
}

#[test]
fn a_choice_among_some() {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
    let mut request =
        decoded(&json!({"model": "gemini-2.5-pro", "messages": [{"role": "user", "content": "Hi"}],
        "tools": [tool("a"), tool("b"), tool("c")]}));
    let names = || vec!["a".to_owned(), "c".to_owned()];
    request.tool_choice = Some(crate::chat::ToolChoice::Among { names: names(), required: true });
    let (body, _) = encoded(&request);
    assert_eq!(
        body["toolConfig"],
        json!({"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a", "c"]}})
    );
    request.tool_choice = Some(crate::chat::ToolChoice::Among { names: names(), required: false });
    let (body, losses) = encoded(&request);
    assert_eq!(body["toolConfig"], json!({"functionCallingConfig": {"mode": "AUTO"}}));
    assert_eq!(body["tools"][0]["functionDeclarations"], json!([{"name": "a"}, {"name": "c"}]));
    assert!(losses.is_empty());
}

/// What a client of OpenAI's API sends back of an answer, whatever it keeps beside the names of calls.
#[test]
fn signatures_come_back_from_every_client() {
    let answer = json!({"candidates": [{"finishReason": "STOP", "content": {"parts": [
        {"text": "Hm.", "thought": true},
        {"text": "I look.", "thoughtSignature": "QUJD"},
        {"functionCall": {"id": "f1", "name": "a", "args": {"x": 1}}, "thoughtSignature": "+/8="},
        {"functionCall": {"name": "b", "args": {}}}]}}], "responseId": "r-1"});
    let question =
        decoded(&json!({"model": "gemini-3-flash", "messages": [{"role": "user", "content": "Hi"}]}));
    let asked = asked(question);
    let reply = SCHEMA.reply(&asked, answer.to_string().as_bytes(), &mut Losses::default()).unwrap();
    let shown = CLIENT.reply(&asked, &reply, &mut Losses::default());
    let shown: Value = serde_json::from_slice(&shown).unwrap();
    let whole = shown["choices"][0]["message"].clone();
    let mut bare = whole.clone();
    bare.as_object_mut()
        .unwrap()
        .retain(|name, _| ["role", "content", "tool_calls"].contains(&name.as_str()));
    for call in bare["tool_calls"].as_array_mut().unwrap() {
        call.as_object_mut().unwrap().remove("extra_content");
    }
    let mut googles = whole.clone();
    googles["tool_calls"][0]["id"] = json!("f1");
    for (message, with_texts_own) in [(whole, true), (bare, false), (googles, true)] {
        let result = |call: usize| json!({"role": "tool", "tool_call_id": message["tool_calls"][call]["id"], "content": "r"});
        let next = decoded(&json!({"model": "gemini-3-flash", "messages": [
            {"role": "user", "content": "Hi"}, message, result(0), result(1)]}));
        let (body, losses) = encoded(&next);
        let parts = body["contents"][1]["parts"].as_array().unwrap();
        let calls: Vec<&Value> = parts.iter().filter(|part| part.get("functionCall").is_some()).collect();
        assert_eq!(calls[0]["thoughtSignature"], "+/8=", "{parts:?}");
        assert_eq!(calls[0]["functionCall"], json!({"id": "f1", "name": "a", "args": {"x": 1}}));
        assert_eq!(calls[1].get("thoughtSignature"), None, "only the first call of a step has one");
        let of_text = json!({"text": "", "thoughtSignature": "QUJD"});
        assert_eq!(parts.contains(&of_text), with_texts_own, "{parts:?}");
        let results = body["contents"][2]["parts"].as_array().unwrap();
        assert_eq!(results[0]["functionResponse"]["id"], "f1");
        assert_eq!(results[1]["functionResponse"]["id"], calls[1]["functionCall"]["id"]);
        assert!(losses.is_empty(), "{losses:?}");
    }
}

/// Anthropic's clients have no place for a call's signature but its id.
#[test]
fn signatures_come_back_from_anthropics_clients() {
    let answer = json!({"candidates": [{"finishReason": "STOP", "content": {"parts": [
        {"text": "Hm.", "thought": true, "thoughtSignature": "QUJD"},
        {"functionCall": {"id": "f1", "name": "a", "args": {"x": 1}}, "thoughtSignature": "+/8="}]}}]});
    let asked = asked(Request::default());
    let reply = SCHEMA.reply(&asked, answer.to_string().as_bytes(), &mut Losses::default()).unwrap();
    let shown = anthropic::client::encode_reply(&asked, &reply, &mut Losses::default());
    let shown: Value = serde_json::from_slice(&shown).unwrap();
    let result = json!({"type": "tool_result", "tool_use_id": shown["content"][1]["id"], "content": "r"});
    let next = json!({"model": "gemini-3-flash", "max_tokens": 5, "messages": [
        {"role": "user", "content": "Hi"}, {"role": "assistant", "content": shown["content"]},
        {"role": "user", "content": [result]}]});
    let next = anthropic::client::decode_request(next.to_string().as_bytes(), &mut Losses::default());
    let (body, losses) = encoded(&next.unwrap());
    assert_eq!(
        body["contents"][1]["parts"],
        json!([
            {"text": "Hm.", "thought": true, "thoughtSignature": "QUJD"},
            {"functionCall": {"id": "f1", "name": "a", "args": {"x": 1}}, "thoughtSignature": "+/8="}
        ])
    );
    assert_eq!(body["contents"][2]["parts"][0]["functionResponse"]["id"], "f1");
    assert!(losses.is_empty(), "{losses:?}");
}

#[test]
fn a_pattern_is_answered_without_quotes() {
    let body =
        json!({"model": "m", "guided_regex": "[a-z]+", "messages": [{"role": "user", "content": "Hi"}]});
    let chunk = |text: &str| json!({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]});
    let whole = chunk(r#""a\"b""#).to_string();
    let reply = SCHEMA.reply(&asked(decoded(&body)), whole.as_bytes(), &mut Losses::default()).unwrap();
    assert_eq!(reply.choices[0].content[0].content, Content::text("a\"b"));
    let streamed = events(decoded(&body), &[chunk(r#""a\"#), chunk(r#""b""#)]);
    let deltas: Vec<&Event> =
        streamed.iter().filter(|event| matches!(event, Event::BlockDelta { .. })).collect();
    let expected = Event::BlockDelta { index: 0, delta: Delta::Text("a\"b".to_owned()) };
    assert_eq!(deltas, [&expected]);
}

#[test]
fn sources_of_a_stream_are_where_they_were() {
    let mut request = Request::default();
    let kind = "googleSearch".to_owned();
    let hosted = crate::chat::Foreign { family: crate::chat::Family::Google, kind, json: "{}".to_owned() };
    request.tools.push(Tool::Hosted(hosted));
    let text = |text: &str| json!({"candidates": [{"content": {"parts": [{"text": text}]}}]});
    let end = json!({"candidates": [{"finishReason": "STOP", "groundingMetadata": {
        "groundingChunks": [{"web": {"uri": "u"}}],
        "groundingSupports": [{"segment": {"startIndex": 6, "endIndex": 9}, "groundingChunkIndices": [0]}]}}]});
    let said = events(request, &[text("Grü"), text("n wie"), end]);
    let spans = said.iter().filter_map(|event| match event {
        Event::BlockDelta { delta: Delta::Annotation(annotation), .. } => Some(annotation.span),
        _ => None,
    });
    assert_eq!(spans.collect::<Vec<_>>(), [Some((5, 8))]);
}
