//! What clients of other APIs say, in Cohere's words.

use serde_json::{Value, json};

use super::SCHEMA;
use crate::chat::{
    self, BlockStart, Content, Event, Family, Losses, MediaKind, Message, Part, Request, Role, Seal, Source,
};
use crate::config;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::headers::Headers;
use crate::wire::openai_chat::decode_request;
use crate::wire::schema::Schema as _;
use crate::wire::{Asked, SchemaName, To};

/// The request of an OpenAI client with these members, and where its losses are and why.
pub(super) fn sent(mut asked: Value) -> Result<(Value, Vec<(String, String)>)> {
    let defaults = [
        ("model", json!("command-a-reasoning-08-2025")),
        ("messages", json!([{"role": "user", "content": "Hi"}])),
    ];
    for (key, value) in defaults {
        asked.as_object_mut().unwrap().entry(key).or_insert(value);
    }
    let mut losses = Losses::default();
    let request = decode_request(asked.to_string().as_bytes(), &mut losses)?;
    assert!(losses.is_empty());
    encoded(&request)
}

fn encoded(request: &Request) -> Result<(Value, Vec<(String, String)>)> {
    let schema = config::Schema { name: SchemaName::Cohere, prefix: None, version: None };
    let to = To {
        endpoint: Endpoint::ChatCompletions,
        schema: &schema,
        model: &request.model,
        stream: false,
        default_max_tokens: 1,
        headers: &Headers::default(),
        auth: None,
        cache_marks: false,
    };
    assert_eq!(SCHEMA.path(&to), "/v2/chat");
    let mut losses = Losses::default();
    let body = SCHEMA.codec().unwrap().encode(&to, request, &mut losses)?;
    let losses = losses.iter().map(|loss| (loss.path.clone(), loss.reason.to_string())).collect();
    Ok((serde_json::from_slice(&body).unwrap(), losses))
}

pub(super) fn asked() -> Asked {
    let request = Request { include_usage: true, ..Request::default() }.into();
    Asked { request, id: "own".to_owned(), model: "asked".to_owned(), created: 1 }
}

#[test]
fn how_to_think_is_told_as_far_as_it_can_be() {
    let (on, off, adaptive) =
        (json!({"type": "enabled"}), json!({"type": "disabled"}), json!({"type": "adaptive"}));
    let budget = |budget: u64| json!({"type": "enabled", "budget_tokens": budget});
    let (old, new) = ("command-a-03-2025", "command-a-reasoning-08-2025");
    for (model, asked, said, losses) in [
        (new, json!({}), Value::Null, 0),
        (new, json!({"thinking": on}), on.clone(), 0),
        (new, json!({"thinking": budget(500)}), json!({"type": "enabled", "token_budget": 500}), 0),
        (new, json!({"thinking": off}), off.clone(), 0),
        (new, json!({"thinking": adaptive}), Value::Null, 0),
        (new, json!({"reasoning_effort": "none"}), off.clone(), 0),
        (new, json!({"reasoning_effort": "low"}), json!({"type": "enabled", "token_budget": 2048}), 1),
        (new, json!({"reasoning_effort": "medium"}), json!({"type": "enabled", "token_budget": 8192}), 1),
        (new, json!({"reasoning_effort": "high"}), Value::Null, 1),
        (new, json!({"thinking": {"type": "enabled", "includeThoughts": false}}), on.clone(), 1),
        (new, json!({"thinking": off, "reasoning_effort": "high"}), off.clone(), 1),
        (old, json!({"thinking": off}), Value::Null, 0),
        (old, json!({"reasoning_effort": "none"}), Value::Null, 0),
        (old, json!({"reasoning_effort": "low"}), Value::Null, 1),
        (old, json!({"thinking": on, "reasoning_effort": "low"}), Value::Null, 2),
    ] {
        let mut asked = asked;
        asked["model"] = json!(model);
        let (body, lost) = sent(asked.clone()).unwrap();
        assert_eq!(body.get("thinking").unwrap_or(&Value::Null), &said, "{asked}");
        assert_eq!(lost.len(), losses, "{asked}: {lost:?}");
    }
}

/// Cohere knows no choice of one tool, and needs none: it gets only what may be called.
#[test]
fn a_choice_of_tools_is_what_tools_there_are() {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
    let function = |name: &str| json!({"type": "function", "function": {"name": name}});
    let among = |mode: &str| json!({"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [function("b"), function("c")]}});
    for (choice, names, word, losses) in [
        (json!("auto"), "a b c", Value::Null, 0),
        (json!("none"), "a b c", json!("NONE"), 0),
        (json!("required"), "a b c", json!("REQUIRED"), 0),
        (function("b"), "b", json!("REQUIRED"), 0),
        (function("z"), "", Value::Null, 1),
        (among("auto"), "b c", Value::Null, 0),
        (among("required"), "b c", json!("REQUIRED"), 0),
    ] {
        let tools = json!([tool("a"), tool("b"), tool("c")]);
        let (body, lost) = sent(json!({"tools": tools, "tool_choice": choice})).unwrap();
        let sent = body["tools"].as_array().into_iter().flatten();
        let sent: Vec<&str> = sent.map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
        assert_eq!((sent.join(" ").as_str(), &body["tool_choice"]), (names, &word), "{choice}");
        assert_eq!(lost.len(), losses, "{choice}: {lost:?}");
    }
}

#[test]
fn strict_tools_are_one_switch() {
    let tool = |strict: bool| {
        json!({"type": "function", "function": {"name": "f", "strict": strict, "parameters":
            {"type": "object", "properties": {"x": {}}, "required": ["x"]}}})
    };
    for (tools, strict, losses) in [
        (json!([tool(true), tool(true)]), json!(true), 0),
        (json!([tool(true), tool(false)]), Value::Null, 1),
        (json!([tool(false)]), Value::Null, 0),
    ] {
        let (body, lost) = sent(json!({"tools": tools})).unwrap();
        assert_eq!((&body["strict_tools"], lost.len()), (&strict, losses), "{tools}: {lost:?}");
        assert!(body["tools"][0]["function"].get("strict").is_none(), "it would be a 422");
    }
}

#[test]
fn members_of_coheres_own_reach_it() {
    let own = json!({"documents": ["a"], "safety_mode": "STRICT", "citation_options": {"mode": "OFF"}, "priority": 3});
    let (body, losses) = sent(own.clone()).unwrap();
    for (name, value) in own.as_object().unwrap() {
        assert_eq!(&body[name], value);
    }
    assert!(losses.is_empty(), "{losses:?}");
    let (body, losses) =
        sent(json!({"documents": ["a"], "response_format": {"type": "json_object"}})).unwrap();
    assert!(body.get("response_format").is_none() && losses.len() == 1, "{losses:?}");
}

#[test]
fn media_go_as_cohere_takes_them() {
    let of = |kind, source, name: Option<&str>| {
        let name = name.map(str::to_owned);
        let part = Part::new(Content::Media { kind, source, detail: None, name });
        let messages = vec![Message::new(Role::User, vec![part])];
        encoded(&Request { messages, ..Request::default() })
            .map(|(body, _)| body["messages"][0]["content"].clone())
    };
    let base64 =
        |media_type: &str, data: &str| Source::Base64 { media_type: media_type.into(), data: data.into() };
    let document = |source, name| of(MediaKind::Document, source, name);
    let picture = of(MediaKind::Image, base64("image/png", "AA=="), None).unwrap();
    assert_eq!(picture, json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]));
    assert_eq!(document(Source::Text("t".into()), Some("Title")).unwrap(), "Title\n\nt");
    assert_eq!(document(base64("text/csv", "YSxi"), None).unwrap(), "a,b");
    for refused in [
        document(base64("application/pdf", "AA=="), None),
        document(base64("text/plain", "!"), None),
        document(base64("text/plain", "/w=="), None),
        document(Source::url("https://x/a.pdf"), None),
        document(Source::File { by: Family::Cohere, id: "f".into() }, None),
        of(MediaKind::Image, Source::File { by: Family::OpenAi, id: "f".into() }, None),
        of(MediaKind::Image, Source::Text("t".into()), None),
        of(MediaKind::Audio, base64("audio/wav", "AA=="), None),
        of(MediaKind::Video, Source::url("https://x/a.mp4"), None),
    ] {
        assert_eq!(refused.unwrap_err().status(), 422);
    }
}

#[test]
fn pictures_of_results_come_behind_all_results() {
    let picture = || {
        let source = Source::url("https://x/a.png");
        Part::new(Content::Media { kind: MediaKind::Image, source, detail: Some("low".into()), name: None })
    };
    let result = |id: &str, content, is_error| {
        Part::new(Content::ToolResult { call_id: id.to_owned(), content, is_error })
    };
    let call = |id: &str| {
        Part::new(Content::ToolCall { id: id.to_owned(), name: "look".to_owned(), arguments: String::new() })
    };
    let messages = vec![
        Message::new(Role::Assistant, vec![call("c1"), call("c2")]),
        Message::new(
            Role::User,
            vec![
                result("c1", vec![Part::text("a cat"), picture()], None),
                result("c2", vec![picture()], None),
                result("c3", vec![Part::text("gone")], Some(true)),
                Part::text("go on"),
            ],
        ),
    ];
    let (body, losses) = encoded(&Request { messages, ..Request::default() }).unwrap();
    assert_eq!(
        body["messages"],
        json!([
            {"role": "assistant", "tool_calls": [
                {"type": "function", "id": "c1", "function": {"name": "look", "arguments": "{}"}},
                {"type": "function", "id": "c2", "function": {"name": "look", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
            {"role": "tool", "tool_call_id": "c2", "content": "The result is in the next message."},
            {"role": "tool", "tool_call_id": "c3", "content": "{\"error\":\"gone\"}"},
            {"role": "user", "content": [
                {"type": "text", "text": "Result of the tool call c1:"},
                {"type": "image_url", "image_url": {"url": "https://x/a.png", "detail": "low"}},
                {"type": "text", "text": "Result of the tool call c2:"},
                {"type": "image_url", "image_url": {"url": "https://x/a.png", "detail": "low"}},
                {"type": "text", "text": "go on"}]},
        ])
    );
    assert!(losses.is_empty(), "{losses:?}");
}

fn result(call_id: &str) -> Message {
    let content = vec![Part::text("r")];
    let result = Content::ToolResult { call_id: call_id.to_owned(), content, is_error: None };
    Message::new(Role::User, vec![Part::new(result)])
}

#[test]
fn results_stand_behind_their_calls() {
    let call = |id: &str| {
        Part::new(Content::ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: String::new() })
    };
    let calls = |ids: &str| Message::new(Role::Assistant, ids.split(' ').map(call).collect());
    let says = || Message::new(Role::User, vec![Part::text("u")]);
    for (messages, roles, losses) in [
        (vec![calls("a b"), result("a"), result("b"), says()], "assistant a b user", 0),
        (vec![calls("a b"), result("b"), result("a")], "assistant a b", 0),
        (vec![calls("a"), result("a"), calls("a"), result("a")], "assistant a assistant a", 0),
        (vec![calls("a"), says(), result("a")], "assistant a user", 1),
        (vec![calls("a"), says(), calls("b"), result("b")], "assistant a user assistant b", 1),
        (vec![calls("a b"), result("b")], "assistant a b", 1),
        (vec![result("z"), says()], "z user", 0),
        (vec![result("a"), calls("a"), says()], "a assistant a user", 1),
    ] {
        let (body, lost) = encoded(&Request { messages, ..Request::default() }).unwrap();
        let sent = body["messages"].as_array().unwrap().iter();
        let of = |message: &Value| {
            let whose = message.get("tool_call_id").unwrap_or(&message["role"]);
            whose.as_str().unwrap().to_owned()
        };
        assert_eq!(sent.map(of).collect::<Vec<_>>().join(" "), roles);
        assert_eq!(lost.len(), losses, "{roles}: {lost:?}");
    }
    let error = encoded(&Request { messages: vec![says(), calls("a")], ..Request::default() }).unwrap_err();
    assert_eq!(error.status(), 422);
}

#[test]
fn thoughts_go_where_the_model_takes_them() {
    let seal = Some(Seal { by: Family::Anthropic, data: "s".to_owned() });
    let call = || {
        Part::new(Content::ToolCall { id: "c".to_owned(), name: "f".to_owned(), arguments: String::new() })
    };
    let history = |model: &str, parts: Vec<Part>| {
        let messages = vec![Message::new(Role::Assistant, parts), result("c")];
        let (body, losses) =
            encoded(&Request { model: model.to_owned(), messages, ..Request::default() }).unwrap();
        let mut sent = body["messages"].as_array().unwrap().iter();
        let mut message = sent.find(|message| message["role"] == "assistant").cloned().unwrap_or_default();
        if let Some(message) = message.as_object_mut() {
            message.remove("role");
            message.remove("tool_calls");
        }
        (message, losses.len())
    };
    let thought = |seal: &Option<Seal>| Part::thinking("Hm.", seal.clone());
    let block = json!({"type": "thinking", "thinking": "Hm."});
    let (old, new) = ("command-a-03-2025", "command-a-reasoning-08-2025");
    for (model, parts, message, losses) in [
        (
            new,
            vec![thought(&None), Part::text("Yes")],
            json!({"content": [block, {"type": "text", "text": "Yes"}]}),
            0,
        ),
        (new, vec![thought(&seal), call()], json!({"content": [block]}), 1),
        (new, vec![thought(&None), Part::text("So:"), call()], json!({"tool_plan": "Hm.\nSo:"}), 1),
        (old, vec![thought(&None), call()], json!({"tool_plan": "Hm."}), 0),
        (old, vec![thought(&None), Part::text("Yes")], json!({"content": "Yes"}), 1),
        (new, vec![thought(&None)], Value::Null, 1),
        (new, vec![Part::new(Content::RedactedThinking), call()], json!({}), 1),
    ] {
        assert_eq!(history(model, parts.clone()), (message, losses), "{model} {parts:?}");
    }
}

/// A plan and thoughts come back as they were said.
#[test]
fn an_answer_goes_back_as_it_came() {
    for model in ["command-a-03-2025", "command-a-reasoning-08-2025"] {
        let thinks = model.contains("reasoning");
        let calls =
            json!([{"type": "function", "id": "c", "function": {"name": "f", "arguments": "{\"x\":1}"}}]);
        let said = if thinks {
            json!({"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm."}], "tool_calls": calls})
        } else {
            json!({"role": "assistant", "tool_plan": "Hm.", "tool_calls": calls})
        };
        let answer = json!({"id": "a", "finish_reason": "TOOL_CALL", "message": said}).to_string();
        let codec = SCHEMA.codec().unwrap();
        let mut losses = Losses::default();
        let reply = codec.reply(&asked(), answer.as_bytes(), &mut losses).unwrap();
        let content = reply.choices.into_iter().next().unwrap().content;
        let messages = vec![Message::new(Role::Assistant, content), result("c")];
        let (body, lost) =
            encoded(&Request { model: model.to_owned(), messages, ..Request::default() }).unwrap();
        assert_eq!(body["messages"][0], said);
        assert!(losses.is_empty() && lost.is_empty());
    }
}

/// Whole and streamed alike: the other calls are told, and the one that names no tool is lost.
#[test]
fn a_call_that_names_no_tool_is_lost() {
    let call = |name: &str| json!({"type": "function", "id": format!("id-{name}"), "function": {"name": name, "arguments": "{}"}});
    for (calls, is_called) in [(vec![call(""), call("f")], true), (vec![call("")], false)] {
        let message = json!({"role": "assistant", "tool_calls": calls});
        let answer = json!({"id": "a", "finish_reason": "TOOL_CALL", "message": message}).to_string();
        let codec = SCHEMA.codec().unwrap();
        let mut whole_lost = Losses::default();
        let reply = codec.reply(&asked(), answer.as_bytes(), &mut whole_lost).unwrap();
        let choice = &reply.choices[0];

        let mut events = vec![json!({"type": "message-start", "id": "a"})];
        for (index, call) in calls.iter().enumerate() {
            let start = json!({"message": {"tool_calls": call}});
            events.push(json!({"type": "tool-call-start", "index": index, "delta": start}));
            let more = json!({"message": {"tool_calls": {"function": {"arguments": " "}}}});
            events.push(json!({"type": "tool-call-delta", "index": index, "delta": more}));
            events.push(json!({"type": "tool-call-end", "index": index}));
        }
        events.push(json!({"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}}));
        let (mut reader, mut lost, mut told) = (codec.events(&asked()), Losses::default(), Vec::new());
        for event in events {
            reader.event(None, event.to_string().as_bytes(), &mut lost, &mut told);
        }
        assert_eq!(lost.lines(), ["answer.tool_calls[0]: it names no tool"]);
        assert_eq!(lost, whole_lost);
        let names = told.iter().filter_map(|event| match event {
            Event::BlockStart { block: BlockStart::ToolCall { name, .. }, .. } => Some(name.as_str()),
            _ => None,
        });
        let names: Vec<_> = names.collect();
        assert_eq!((names.len(), choice.content.len()), (usize::from(is_called), usize::from(is_called)));
        let finish = Event::Finish { choice: 0, reason: choice.finish_reason.clone() };
        assert!(told.ends_with(&[finish, Event::End]), "{told:?}");
    }
}

#[test]
fn sources_of_an_answer_do_not_go_back() {
    let annotation = chat::Annotation { url: Some("https://a".to_owned()), ..chat::Annotation::default() };
    let text = Content::Text { text: "Yes".to_owned(), annotations: vec![annotation] };
    let messages = vec![
        Message::new(Role::User, vec![Part::text("?")]),
        Message::new(Role::Assistant, vec![Part::new(text)]),
        Message::new(Role::User, vec![Part::text("And?")]),
    ];
    let request = Request { model: "command-a-03-2025".to_owned(), messages, ..Request::default() };
    let (body, losses) = encoded(&request).unwrap();
    assert_eq!(body["messages"][1]["content"], "Yes");
    assert_eq!(losses.len(), 1);
    assert_eq!(losses[0].1, "the text goes without its sources");
}

#[test]
fn memory_stays_bounded() {
    let mut reader = SCHEMA.codec().unwrap().events(&asked());
    let mut events = Vec::new();
    for index in 0..100 {
        let call = json!({"id": format!("c{index}"), "function": {"name": "f"}});
        let event =
            json!({"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": call}}});
        reader.event(None, event.to_string().as_bytes(), &mut Losses::default(), &mut events);
    }
    assert!(matches!(events.last(), Some(Event::Error(error)) if error.status() == 502));
    assert!(events.len() < 70);
}
