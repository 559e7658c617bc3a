//! Each rule of the table.

use serde_json::{Value, json};

use super::super::tests::sent;
use super::*;

/// What a client asks, where its loss is, and what is sent at a pointer instead.
struct Case {
    asked: Value,
    path: &'static str,
    pointer: &'static str,
    sent: Value,
}

/// The case of a rule: one without does not compile.
fn case(rule: Rule) -> Case {
    let hi = || json!({"role": "user", "content": "Hi"});
    let history = |messages: &[Value]| json!({"messages": messages});
    let call = json!([{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let called = |more: Value| {
        let mut message = json!({"role": "assistant", "tool_calls": call});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        message
    };
    let result = |content: &str| json!({"role": "tool", "tool_call_id": "c", "content": content});
    let tool = |function: Value| json!({"type": "function", "function": function});
    let tools = json!([tool(json!({"name": "f"}))]);
    let optional = json!({"type": "object", "properties": {"x": {"type": "string"}}});
    let (asked, path, pointer, sent) = match rule {
        Rule::TextAndCalls => (
            history(&[hi(), called(json!({"content": "I look."})), result("r")]),
            "messages[1].content",
            "/messages/1/tool_plan",
            json!("I look."),
        ),
        Rule::EmptyMessage => (
            history(&[hi(), json!({"role": "assistant", "content": ""}), hi()]),
            "messages[1]",
            "/messages/1/role",
            json!("user"),
        ),
        Rule::EmptyResult => (
            history(&[hi(), called(json!({})), result("")]),
            "messages[2].content",
            "/messages/2/content",
            json!("{}"),
        ),
        Rule::ResultMissing => (
            history(&[hi(), called(json!({})), hi()]),
            "messages[1].tool_calls[0]",
            "/messages/2/content",
            json!("{\"error\":\"no result\"}"),
        ),
        Rule::ResultMoved => (
            history(&[hi(), called(json!({})), hi(), result("r")]),
            "messages[3]",
            "/messages/2/content",
            json!("r"),
        ),
        Rule::Thought => (
            json!({"model": "command-a-03-2025", "messages": [
                hi(), {"role": "assistant", "content": "Yes", "reasoning_content": "Hm."}, hi()]}),
            "messages[1].reasoning_content",
            "/messages/1/content",
            json!("Yes"),
        ),
        Rule::NoThinking => (
            json!({"model": "command-r7b-12-2024", "thinking": {"type": "enabled", "budget_tokens": 1024}}),
            "thinking",
            "/thinking",
            Value::Null,
        ),
        Rule::ToolChoice => (
            json!({"model": "command-r-plus-08-2024", "tools": tools, "tool_choice": "required"}),
            "tool_choice",
            "/tool_choice",
            Value::Null,
        ),
        Rule::StrictTools => (
            json!({"tools": [tool(json!({"name": "f", "strict": true, "parameters": optional}))]}),
            "tools[0].strict",
            "/strict_tools",
            Value::Null,
        ),
        Rule::FormatAndTools => (
            json!({"tools": tools, "response_format": {"type": "json_object"}}),
            "response_format",
            "/response_format",
            Value::Null,
        ),
        Rule::Detail => (
            history(&[json!({"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "https://x/a.png", "detail": "original"}}]})]),
            "messages[0].content[0].detail",
            "/messages/0/content/0/image_url",
            json!({"url": "https://x/a.png"}),
        ),
        Rule::Temperature => (json!({"temperature": 1.5}), "temperature", "/temperature", json!(1.0)),
        Rule::TopK => (json!({"top_k": 501}), "top_k", "/k", json!(500)),
        Rule::Penalty => {
            (json!({"presence_penalty": -1}), "presence_penalty", "/presence_penalty", Value::Null)
        }
        Rule::TwoPenalties => (
            json!({"presence_penalty": 0.5, "frequency_penalty": 0.25}),
            "presence_penalty",
            "/presence_penalty",
            Value::Null,
        ),
        Rule::Stops => (
            json!({"stop": ["1", "2", "3", "4", "5", "6"]}),
            "stop[5]",
            "/stop_sequences",
            json!(["1", "2", "3", "4", "5"]),
        ),
    };
    Case { asked, path, pointer, sent }
}

#[test]
fn each_rule_has_its_source_and_its_case() {
    for rule in Rule::ALL {
        assert!(rule.source().starts_with("https://"), "{rule:?}");
        let Case { asked, path, pointer, sent: expected } = case(*rule);
        let (body, losses) = sent(asked).unwrap();
        assert_eq!(body.pointer(pointer).unwrap_or(&Value::Null), &expected, "{rule:?}: {body}");
        let expected = vec![(path.to_owned(), rule.reason().to_owned())];
        assert_eq!(losses, expected, "{rule:?}");
    }
}

#[test]
fn a_model_is_known_by_its_name() {
    for (name, may_think, can_be_forced) in [
        ("command-a-reasoning-08-2025", true, true),
        ("command-a-03-2025", false, true),
        ("cohere/Command-A-Vision-07-2025", false, true),
        ("command-r7b-12-2024", false, true),
        ("command-r-plus", false, false),
        ("command-r", false, false),
        ("command-r-08-2024", false, false),
        ("our-own", true, true),
        ("", true, true),
    ] {
        assert_eq!(Model::named(name), Model { may_think, can_be_forced }, "{name}");
    }
}
