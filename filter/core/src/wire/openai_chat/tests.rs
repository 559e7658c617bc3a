//! Custom tools, on their way to a provider that has functions only and back.

use serde_json::{Value, json};

use super::{CLIENT, StreamEncoder, decode_request, encode_reply};
use crate::chat::{
    BlockStart, Choice, Content, Delta, Event, Family, FinishReason, Losses, Part, Reply, Request, Seal,
    ToolChoice,
};
use crate::error::Result;
use crate::wire::{Asked, ClientCodec as _, EventWriter as _};

fn decoded(mut body: Value) -> Result<(Request, Vec<String>)> {
    body["model"] = json!("m");
    body.as_object_mut().unwrap().entry("messages").or_insert(json!([{"role": "user", "content": "Hi"}]));
    let mut losses = Losses::default();
    let request = decode_request(body.to_string().as_bytes(), &mut losses)?;
    Ok((request, losses.lines()))
}

/// The tools `patch`, a custom one, and `look`.
fn tools() -> Value {
    json!([{"type": "custom", "custom": {"name": "patch"}}, {"type": "function", "function": {"name": "look"}}])
}

fn call(id: &str, name: &str, arguments: &str) -> Part {
    let [id, name, arguments] = [id, name, arguments].map(str::to_owned);
    Part::new(Content::ToolCall { id, name, arguments })
}

fn asked() -> Asked {
    let (request, _) = decoded(json!({"tools": tools()})).unwrap();
    Asked { request: Asked::remembered(request), id: "own".into(), model: "m".into(), created: 1 }
}

/// The message of an answer, whole, and as a client puts it together from its chunks.
fn answered(content: Vec<Part>) -> [Value; 2] {
    let asked = asked();
    let choice =
        Choice { content, finish_reason: FinishReason::ToolCalls, logprobs: Vec::new(), extra: None };
    let reply = Reply { choices: vec![choice], ..Reply::default() };
    let mut losses = Losses::default();
    let whole: Value = serde_json::from_slice(&encode_reply(&asked, &reply, &mut losses)).unwrap();

    let (mut encoder, mut out) = (StreamEncoder::new(&asked), Vec::new());
    reply.events(|event: Event| encoder.event(&event, &mut losses, &mut out));
    assert!(encoder.is_closed() && losses.is_empty());
    let mut calls: Vec<Value> = Vec::new();
    for line in String::from_utf8(out).unwrap().lines().filter_map(|line| line.strip_prefix("data: {")) {
        let chunk: Value = serde_json::from_str(&format!("{{{line}")).unwrap();
        for piece in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(piece["index"].as_u64().unwrap()).unwrap();
            if calls.len() == index {
                calls.push(json!({}));
            }
            accumulate(&mut calls[index], piece);
        }
    }
    for call in &mut calls {
        call.as_object_mut().unwrap().remove("index");
    }
    [whole["choices"][0]["message"]["tool_calls"].clone(), json!(calls)]
}

/// As OpenAI's SDK does it: texts grow, but for types.
fn accumulate(whole: &mut Value, piece: &Value) {
    for (name, value) in piece.as_object().unwrap() {
        let known = whole.as_object_mut().unwrap().entry(name).or_insert_with(|| match value {
            Value::Object(_) => json!({}),
            Value::String(_) => json!(""),
            other => other.clone(),
        });
        match value {
            Value::Object(_) => accumulate(known, value),
            Value::String(more) => *known = json!(format!("{}{more}", known.as_str().unwrap())),
            _ => {}
        }
    }
}

#[test]
fn a_custom_tool_is_a_function_with_a_text() {
    let grammar = json!({"syntax": "regex", "definition": "x+", "flags": 1});
    let (request, losses) = decoded(json!({"tools": [
        {"type": "custom", "cache_control": {"type": "ephemeral"}, "custom": {"name": "a", "description": "A",
            "format": {"type": "grammar", "grammar": grammar}}},
        {"type": "custom", "custom": {"name": "b", "format": {"type": "text"}, "hue": 1}, "x": 1}]}))
    .unwrap();
    assert_eq!(
        losses,
        [
            "tools[0].custom.format.grammar.flags: not known to this gateway",
            "tools[0].custom.format: the model is told the grammar and may stray from it",
            "tools[1].x: not known to this gateway",
        ]
    );
    let [a, b] = crate::wire::names::functions(&request.tools).collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(a.description.as_deref(), Some("A\n\nThe input follows this grammar (regex):\nx+"));
    assert!(a.cache_control.is_some() && b.description.is_none() && a.is_custom && b.is_custom);
    assert_eq!(a.parameters, b.parameters);
    assert_eq!(b.extra.as_ref().unwrap().members, [("hue".to_owned(), "1".to_owned())]);
}

#[test]
fn a_choice_names_custom_tools_as_others() {
    let custom = |name: &str| json!({"type": "custom", "custom": {"name": name}});
    let look = json!({"type": "function", "function": {"name": "look"}});
    let among = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [custom("patch"), look]}});
    let names = ["patch", "look"].map(str::to_owned).to_vec();
    for (choice, expected) in [
        (custom("patch"), ToolChoice::Tool("patch".to_owned())),
        (among, ToolChoice::Among { names, required: true }),
    ] {
        let (request, losses) = decoded(json!({"tools": tools(), "tool_choice": choice})).unwrap();
        assert_eq!((request.tool_choice, losses.len()), (Some(expected), 0));
    }
}

#[test]
fn what_is_wrong_with_a_custom_tool_is_told_with_its_place() {
    let history = |call: Value| json!({"messages": [{"role": "assistant", "tool_calls": [call]}]});
    let allowed = |tool: Value| json!({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool]}}});
    let format =
        |format: Value| json!({"tools": [{"type": "custom", "custom": {"name": "a", "format": format}}]});
    for (body, status, words) in [
        (json!({"tools": [{"type": "custom"}]}), 422, "tools[0].custom: field is required"),
        (json!({"tools": [{"type": "custom", "custom": {}}]}), 400, "tools[0].custom.name: field"),
        (format(json!({"type": "grammar"})), 400, "tools[0].custom.format.grammar: field is required"),
        (format(json!({"type": "grammar", "grammar": {"syntax": "lark"}})), 400, "grammar.definition: field"),
        (
            json!({"tool_choice": {"type": "custom", "function": {"name": "a"}}}),
            400,
            "tool_choice.custom: field",
        ),
        (
            allowed(json!({"type": "custom", "custom": {}})),
            400,
            "tool_choice.allowed_tools.tools[0].custom.name:",
        ),
        (
            allowed(json!({"type": "web", "web": {}})),
            422,
            "tool_choice.allowed_tools.tools[0].type: tools of",
        ),
        (history(json!({"id": "c", "type": "custom", "custom": {"name": "a"}})), 400, "custom.input: field"),
        (
            history(json!({"id": "c", "type": "odd", "odd": {}})),
            422,
            "tool_calls[0].type: tool calls of type",
        ),
    ] {
        let error = decoded(body).unwrap_err();
        assert!(error.status() == status && error.message().contains(words), "{}", error.message());
    }
}

#[test]
fn what_a_backend_says_of_a_tool_names_its_member() {
    let (request, _) = decoded(json!({"tools": tools()})).unwrap();
    for (path, expected) in [
        ("tools[0].name", Some("tools[0].custom.name")),
        ("tools[1].parameters.function.x", Some("tools[1].function.parameters.function.x")),
        ("tools[2].name", Some("tools[2].function.name")),
        ("tools[0]", None),
        ("seed", None),
    ] {
        assert_eq!(CLIENT.place(&request, path).as_deref(), expected);
    }
}

#[test]
fn a_call_in_the_history_says_its_text() {
    let (request, losses) = decoded(json!({"messages": [{"role": "assistant", "tool_calls": [
        {"id": "c1", "type": "custom", "index": 0, "custom": {"name": "patch", "input": "a\n\"b\""}}]}]}))
    .unwrap();
    let expected = call("c1", "patch", r#"{"input":"a\n\"b\""}"#).content;
    assert_eq!((&request.messages[0].content[0].content, losses.len()), (&expected, 0));
}

#[test]
fn a_custom_tool_is_given_its_text() {
    let seal = Seal { by: Family::Google, data: "QUJD".to_owned() };
    let [whole, streamed] = answered(vec![
        call("c1", "patch", r#"{"input":"a\nb"}"#),
        call("c2", "look", r#"{"input":"a"}"#),
        Part { seal: Some(seal), ..call("c3", "patch", "no object") },
        call("c4", "patch", ""),
        call("c5", "look", "{}"),
    ]);
    let custom = |id: &str, input: &str| json!({"id": id, "type": "custom", "custom": {"name": "patch", "input": input}});
    let look = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "look", "arguments": arguments}});
    let mut sealed = custom("c3", "no object");
    sealed["extra_content"] = json!({"google": {"thought_signature": "QUJD"}});
    let expected = json!([
        custom("c1", "a\nb"),
        look("c2", r#"{"input":"a"}"#),
        sealed,
        custom("c4", ""),
        look("c5", "{}")
    ]);
    assert_eq!(whole, expected);
    assert_eq!(streamed, expected);
}

/// What is told whole at its end is kept until then, but not without end.
#[test]
fn a_block_that_never_ends_is_given_up() {
    let custom = BlockStart::ToolCall { id: "c".into(), name: "patch".into() };
    let piece = "x".repeat(1 << 20);
    for (block, delta) in [
        (BlockStart::Thinking, Delta::Thinking(piece.clone())),
        (BlockStart::Text, Delta::Seal(Family::Anthropic, piece.clone())),
        (custom, Delta::Arguments(piece)),
    ] {
        let mut writer = StreamEncoder::new(&asked());
        let mut tell = |event: Event| {
            let mut out = Vec::new();
            writer.event(&event, &mut Losses::default(), &mut out);
            String::from_utf8(out).unwrap()
        };
        for index in 0..5 {
            tell(Event::BlockStart { index, choice: 0, id: None, block: block.clone() });
            for _ in 0..3 {
                let delta = delta.clone();
                assert!(!tell(Event::BlockDelta { index, delta }).contains("error"));
            }
            tell(Event::BlockStop { index });
        }
        tell(Event::BlockStart { index: 9, choice: 0, id: None, block });
        let told: Vec<String> =
            (0..6).map(|_| tell(Event::BlockDelta { index: 9, delta: delta.clone() })).collect();
        assert!(told[4].contains("more at once than this gateway holds"), "{:?}", &told[4]);
        assert_eq!(told[5], "", "the stream has ended");
    }
}
