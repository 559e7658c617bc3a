//! Each rule of the table, and what its helpers make of a value.

use serde_json::{Value, json};

use super::*;
use crate::chat::Losses;
use crate::wire::anthropic::{DEFAULT_MAX_TOKENS, Envelope, Params, encode_request};
use crate::wire::openai_chat::decode_request;

fn encoded(mut body: Value) -> (Value, Vec<(String, String)>) {
    let defaults =
        [("model", json!("claude-sonnet-4-5")), ("messages", json!([{"role": "user", "content": "Hi"}]))];
    for (key, value) in defaults {
        body.as_object_mut().unwrap().entry(key).or_insert(value);
    }
    let mut losses = Losses::default();
    let request = decode_request(body.to_string().as_bytes(), &mut losses).unwrap();
    let params =
        Params { envelope: Envelope::Native, model: &request.model, default_max_tokens: DEFAULT_MAX_TOKENS };
    let body = encode_request(&params, &request, &mut losses).unwrap();
    let losses = losses.iter().map(|loss| (loss.path.clone(), loss.reason.to_string())).collect();
    (serde_json::from_slice(&body).unwrap(), losses)
}

fn text(role: &str, text: &str) -> Value {
    json!({"role": role, "content": text})
}

fn call(id: &str, arguments: &str) -> Value {
    json!({"role": "assistant", "tool_calls": [
        {"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}}]})
}

fn result(id: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": "done"})
}

/// What a client asks, where its loss is, and what is sent at a pointer instead.
struct Case {
    asked: Value,
    path: &'static str,
    pointer: &'static str,
    sent: Value,
}

/// The case of a rule: one without does not compile.
fn case(rule: Rule) -> Case {
    let long = "u".repeat(257);
    let thinks = |kind: &str, budget: Option<u64>| json!({"type": kind, "budget_tokens": budget});
    let tool =
        |parameters: Value| json!({"type": "function", "function": {"name": "f", "parameters": parameters}});
    let named = |name: &str| json!({"type": "function", "function": {"name": name}});
    let history = |messages: &[Value]| json!({"messages": messages});
    let hi = || text("user", "Hi");
    let (asked, path, pointer, sent) = match rule {
        Rule::BlankText => (
            history(&[hi(), text("assistant", "\n\n"), text("user", "Go")]),
            "messages[1].content",
            "/messages/1/content/0/text",
            json!("Go"),
        ),
        Rule::NoMessage => (
            history(&[text("system", "Say hi."), text("developer", "In French.")]),
            "messages",
            "/messages",
            json!([{"role": "user", "content": [
                {"type": "text", "text": "Say hi."}, {"type": "text", "text": "In French."}]}]),
        ),
        Rule::InstructionsMoved => (
            history(&[text("system", "A"), hi(), text("developer", "B"), text("user", "Go")]),
            "messages[2]",
            "/system",
            json!([{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]),
        ),
        Rule::InstructionsPlace => (
            json!({"model": "claude-opus-4-8", "messages": [hi(), text("developer", "B"), text("user", "Go")]}),
            "messages[1]",
            "/system",
            json!([{"type": "text", "text": "B"}]),
        ),
        Rule::AssistantFirst => {
            (history(&[text("assistant", "Hello!"), hi()]), "messages[0]", "/messages/0/role", json!("user"))
        }
        Rule::AssistantLast => (
            json!({"model": "claude-opus-4-6", "messages": [hi(), text("assistant", "Well")]}),
            "messages[1]",
            "/messages/2/role",
            json!("user"),
        ),
        Rule::EndsInSpace => (
            history(&[hi(), text("assistant", "Well, \n")]),
            "messages[1].content",
            "/messages/1/content/0/text",
            json!("Well,"),
        ),
        Rule::Arguments => (
            history(&[hi(), call("c", "{\"path\": \"a"), result("c")]),
            "messages[1].tool_calls[0].arguments",
            "/messages/1/content/0/input",
            json!({"arguments": "{\"path\": \"a"}),
        ),
        Rule::HalfCharacter => (
            history(&[hi(), call("c", r#"{"a": "\ud800"}"#), result("c")]),
            "messages[1].tool_calls[0].arguments",
            "/messages/1/content/0/input/a",
            json!("\u{fffd}"),
        ),
        Rule::ResultMoved => (
            history(&[hi(), call("c", "{}"), text("user", "Wait"), result("c")]),
            "messages[3]",
            "/messages/2/content/0/type",
            json!("tool_result"),
        ),
        Rule::ResultMissing => (
            history(&[hi(), call("c", "{}"), text("user", "Stop")]),
            "messages[1].tool_calls[0]",
            "/messages/2/content/0/is_error",
            json!(true),
        ),
        Rule::ResultUnasked => (
            history(&[hi(), result("c"), text("user", "Go")]),
            "messages[1]",
            "/messages/1/content/0/text",
            json!("Go"),
        ),
        Rule::ToolName => (
            json!({"tools": [named("files.read")]}),
            "tools[0].name",
            "/tools/0/name",
            json!(tool_name("files.read", 128)),
        ),
        Rule::SameTool => (json!({"tools": [named("f"), named("f")]}), "tools[1]", "/tools/1", Value::Null),
        Rule::ForcedCall => (
            json!({"model": "claude-opus-5-5", "tools": [named("f")], "tool_choice": "required"}),
            "tool_choice",
            "/tool_choice/type",
            json!("auto"),
        ),
        Rule::Stop => (json!({"stop": ["\n", "END"]}), "stop[0]", "/stop_sequences", json!(["END"])),
        Rule::UserIdentifies => (
            json!({"user": "ann@example.com"}),
            "user",
            "/metadata/user_id",
            json!(digest("ann@example.com")),
        ),
        Rule::UserTooLong => (json!({"user": long}), "user", "/metadata/user_id", json!(digest(&long))),
        Rule::MaxTokens => (json!({"max_tokens": 100_000}), "max_tokens", "/max_tokens", json!(64_000)),
        Rule::Budget => (
            json!({"thinking": thinks("enabled", Some(8000)), "max_tokens": 4000}),
            "thinking.budget_tokens",
            "/thinking/budget_tokens",
            json!(2000),
        ),
        Rule::NoRoomToThink => (
            json!({"thinking": thinks("enabled", Some(1024)), "max_tokens": 1024}),
            "thinking",
            "/thinking",
            Value::Null,
        ),
        Rule::NoAdaptive => (
            json!({"thinking": thinks("adaptive", None), "max_tokens": 4000}),
            "thinking",
            "/thinking",
            json!({"type": "enabled", "budget_tokens": 2000}),
        ),
        Rule::NoBudget => (
            json!({"model": "claude-opus-4-7", "thinking": thinks("enabled", Some(1024))}),
            "thinking.budget_tokens",
            "/thinking",
            json!({"type": "adaptive"}),
        ),
        Rule::AlwaysThinks => (
            json!({"model": "claude-mythos-preview", "thinking": thinks("disabled", None)}),
            "thinking",
            "/thinking",
            Value::Null,
        ),
        Rule::HighEffortThinks => (
            json!({"model": "claude-opus-5", "reasoning_effort": "xhigh", "thinking": thinks("disabled", None)}),
            "thinking",
            "/thinking",
            Value::Null,
        ),
        Rule::ForcedCallAndBudget => (
            json!({"thinking": thinks("enabled", Some(1024)), "tools": [named("f")], "tool_choice": "required"}),
            "thinking",
            "/thinking",
            Value::Null,
        ),
        Rule::TurnWithoutThought => (
            json!({"thinking": thinks("enabled", Some(1024)), "messages": [hi(), call("c", "{}"), result("c")]}),
            "thinking",
            "/thinking",
            Value::Null,
        ),
        Rule::Unsigned => (
            history(&[
                hi(),
                json!({"role": "assistant", "content": "Well", "reasoning_content": "Hm."}),
                hi(),
            ]),
            "messages[1].reasoning_content",
            "/messages/1/content/0/text",
            json!("Well"),
        ),
        Rule::NoSampling => (
            json!({"model": "claude-opus-4-7", "temperature": 0.2}),
            "temperature",
            "/temperature",
            Value::Null,
        ),
        Rule::OneSampling => (json!({"temperature": 0.2, "top_p": 0.9}), "top_p", "/temperature", json!(0.2)),
        Rule::SamplingAndThoughts => (
            json!({"thinking": thinks("enabled", Some(1024)), "temperature": 0.2}),
            "temperature",
            "/temperature",
            Value::Null,
        ),
        Rule::SchemaUnion => (
            json!({"tools": [tool(json!(
                {"type": "object", "anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}))]}),
            "tools[0].parameters",
            "/tools/0/input_schema",
            json!({"type": "object", "properties": {"a": {}, "b": {}}}),
        ),
        Rule::SchemaType => (
            json!({"tools": [tool(json!({"type": ["object", "null"]}))]}),
            "tools[0].parameters.type",
            "/tools/0/input_schema",
            json!({"type": "object"}),
        ),
    };
    Case { asked, path, pointer, sent }
}

#[test]
fn every_rule_has_a_source_and_what_breaks_it_is_sent_in_another_form() {
    for rule in Rule::ALL {
        let Case { asked, path, pointer, sent: expected } = case(*rule);
        assert!(rule.source().starts_with("https://"), "{rule:?}");
        let (sent, losses) = encoded(asked);
        let loss = (path.to_owned(), rule.reason().to_owned());
        assert!(losses.contains(&loss), "{rule:?}: {losses:?}");
        assert_eq!(sent.pointer(pointer).unwrap_or(&Value::Null), &expected, "{rule:?}: {sent}");
    }
}

#[test]
fn what_is_a_default_anyway_is_left_out_without_a_loss() {
    let cases = [
        ("claude-opus-4-7", json!({"temperature": 1, "top_p": 1.0}), Value::Null, Value::Null),
        ("claude-sonnet-4-5", json!({"temperature": 1, "top_p": 0.9}), Value::Null, json!(0.9)),
        ("claude-haiku-4-5", json!({"temperature": 0.3, "top_p": 1}), json!(0.3), Value::Null),
        ("claude-opus-4-1", json!({"temperature": 1, "top_p": 1}), json!(1.0), Value::Null),
    ];
    for (model, mut body, temperature, top_p) in cases {
        body["model"] = json!(model);
        let (sent, losses) = encoded(body);
        assert_eq!((&sent["temperature"], &sent["top_p"]), (&temperature, &top_p), "{model}");
        assert_eq!(losses, [], "{model}");
    }
    let (sent, losses) = encoded(json!({"model": "claude-3-haiku", "temperature": 0.3, "top_p": 0.9}));
    assert_eq!((&sent["temperature"], &sent["top_p"]), (&json!(0.3), &json!(0.9)));
    assert_eq!(losses, []);
    // Where temperature is taken at all, one over 1 is refused; where not, it goes.
    let (sent, _) = encoded(json!({"model": "claude-opus-4-7", "temperature": 1.5}));
    assert_eq!(sent["temperature"], Value::Null);
}

#[test]
fn arguments_that_are_no_object_are_kept_as_text() {
    for text in ["null", "[]", "{\"path\": \"a", "\"x\"", "1", "{} {}", "call it"] {
        let (input, rule) = arguments(text);
        assert!(rule.is_some());
        assert_eq!(serde_json::from_str::<Value>(input.get()).unwrap(), json!({"arguments": text}));
    }
    for (text, kept) in [("", "{}"), (" \n", "{}"), (" {\"n\": 1.0e400} ", "{\"n\": 1.0e400}")] {
        let (input, rule) = arguments(text);
        assert!(rule.is_none());
        assert_eq!(input.get(), kept);
    }
}

#[test]
fn calls_of_other_providers_keep_their_results() {
    let messages = json!([
        text("user", "Hi"),
        call("call.1:0", "{}"),
        result("call.1:0"),
        call("call_1:0", "{}"),
        result("call_1:0"),
        call("call_0", "{}"),
        result("call_0"),
        call("call_0", "{}"),
        result("call_0"),
        call("", "{}"),
        result("")
    ]);
    let (sent, losses) = encoded(json!({"messages": messages}));
    assert_eq!(losses, []);
    let of = |key: &str| -> Vec<String> {
        let messages = sent["messages"].as_array().unwrap().iter();
        messages.filter_map(|message| Some(message["content"][0].get(key)?.as_str()?.to_owned())).collect()
    };
    let (calls, results) = (of("id"), of("tool_use_id"));
    assert_eq!(calls, results);
    assert_eq!(calls.iter().collect::<std::collections::HashSet<_>>().len(), 5);
    assert_eq!(calls[2], "call_0");
    for id in &calls {
        assert!(!id.is_empty() && id.chars().all(|char| char.is_ascii_alphanumeric() || "_-".contains(char)));
    }
    // A conversation that goes on keeps the ids it had.
    let (shorter, _) = encoded(json!({"messages": messages.as_array().unwrap()[..9]}));
    assert_eq!(shorter["messages"].as_array().unwrap()[..], sent["messages"].as_array().unwrap()[..9]);
}

#[test]
fn a_user_who_says_nothing_does_not_make_the_assistant_go_on_with_its_own_words() {
    let (sent, _) =
        encoded(json!({"messages": [text("user", "Hi"), text("assistant", "Well"), text("user", " ")]}));
    assert_eq!(sent["messages"][2]["role"], "user");
}

#[test]
fn only_what_identifies_a_person_is_hidden() {
    for user in
        ["ann@example.com", "Ann <ann@example.com>", "+49 170 1234567", "(030) 123-4567", "mailto:a@b.co"]
    {
        assert_eq!(super::user(user).0, digest(user), "{user}");
    }
    for user in
        ["u-1", "1234567890", "ann@laptop", "0b5c1f3e-8a1f-4f4e-9d55-0a86a3c1b0f1", "a".repeat(256).as_str()]
    {
        assert_eq!(super::user(user).0, user);
        assert!(super::user(user).1.is_none());
    }
    assert_eq!(encoded(json!({"user": ""})).0["metadata"], Value::Null);
}
