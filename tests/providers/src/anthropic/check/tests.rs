//! What is refused, and what is not.

use serde_json::json;

use super::*;
use crate::anthropic::message::signature;

const NATIVE: Rules<'_> = Rules { model: "m", carrier: Carrier::Native, latest: false, count: false };
const BEDROCK: Rules<'_> = Rules { carrier: Carrier::Bedrock, ..NATIVE };
const LATEST: Rules<'_> = Rules { latest: true, ..NATIVE };

#[test]
fn the_body_follows_the_carrier() {
    let native = json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(check(&native, NATIVE), Ok(()));
    assert_eq!(check(&native, BEDROCK).unwrap_err(), "model: Extra inputs are not permitted");
    let bedrock = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1,
                         "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(check(&bedrock, BEDROCK), Ok(()));
}

#[test]
fn the_latest_version_has_no_sampling_parameters() {
    let body = json!({"model": "m", "max_tokens": 1, "temperature": 1.0,
                      "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(check(&body, NATIVE), Ok(()));
    assert!(check(&body, LATEST).is_err());
}

#[test]
fn every_tool_use_has_its_result_in_the_next_message() {
    let check =
        |messages: Value| check(&json!({"model": "m", "max_tokens": 1, "messages": messages}), NATIVE);
    let user = json!({"role": "user", "content": "x"});
    let call =
        json!({"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]});
    let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]});
    assert_eq!(check(json!([user, call, result])), Ok(()));
    assert!(check(json!([user, call, user])).is_err());
    assert!(check(json!([user, result])).is_err());
    assert!(check(json!([user, call])).is_err());
    let twice = json!({"role": "user", "content": [result["content"][0], result["content"][0]]});
    assert!(check(json!([user, call, twice])).unwrap_err().contains("single result"));
    let mut dotted = call.clone();
    dotted["content"][0]["name"] = json!("a.b");
    assert!(check(json!([user, dotted, result])).is_err());
}

#[test]
fn a_thought_comes_back_as_it_was() {
    let check = |content: Value, think: bool| {
        let mut body = json!({"model": "m", "max_tokens": 4000, "messages": [
            {"role": "user", "content": "x"}, {"role": "assistant", "content": content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]});
        if think {
            body["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});
        }
        check(&body, NATIVE)
    };
    let thought = json!({"type": "thinking", "thinking": "a", "signature": signature("a")});
    let emptied = json!({"type": "thinking", "thinking": "", "signature": signature("a")});
    let call = json!({"type": "tool_use", "id": "t", "name": "f", "input": {}});
    assert_eq!(check(json!([thought, call]), true), Ok(()));
    assert_eq!(check(json!([call]), false), Ok(()));
    assert!(check(json!([call]), true).is_err());
    assert!(check(json!([emptied, call]), false).is_err());
    assert!(check(json!([call, thought]), false).is_err());
}

#[test]
fn five_cache_marks_are_too_many() {
    let check = |count: usize| {
        let text = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
        let content = vec![text; count];
        check(
            &json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": content}]}),
            NATIVE,
        )
    };
    assert_eq!(check(4), Ok(()));
    assert!(check(5).is_err());
}

#[test]
fn what_only_some_take_is_refused() {
    let refused = [
        (json!({"stop_sequences": ["\n"]}), NATIVE),
        (json!({"metadata": {"user_id": "ann@example.com"}}), NATIVE),
        (json!({"model": "claude-opus-4-7", "top_k": 1}), NATIVE),
        (json!({"model": "claude-sonnet-4-5", "temperature": 1, "top_p": 1}), NATIVE),
        (json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "\n"}]}]}), NATIVE),
        (
            json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "x "}]}),
            NATIVE,
        ),
        (json!({"system": [{"type": "text", "text": "x", "cache_control": {"scope": "global"}}]}), BEDROCK),
        (
            json!({"tools": [{"name": "f", "input_schema": {"type": "object"}, "eager_input_streaming": true}]}),
            BEDROCK,
        ),
    ];
    for (members, rules) in refused {
        let mut body = json!({"max_tokens": 1, "messages": [{"role": "user", "content": "x"}]});
        if rules.carrier == Carrier::Native {
            body["model"] = json!("m");
        }
        assert_eq!(check(&body, rules), Ok(()));
        for (key, value) in members.as_object().unwrap() {
            body[key] = value.clone();
        }
        let model = body["model"].as_str().unwrap_or_default();
        assert!(check(&body, Rules { model, ..rules }).is_err(), "{body}");
    }
}

#[test]
fn instructions_stand_between_a_user_and_an_answer() {
    let told = |roles: &[&str], model| {
        let messages: Vec<_> = roles.iter().map(|role| json!({"role": role, "content": "x"})).collect();
        check(&json!({"model": model, "max_tokens": 1, "messages": messages}), Rules { model, ..NATIVE })
    };
    for roles in [&["user", "system"][..], &["user", "system", "assistant", "user"]] {
        assert_eq!(told(roles, "claude-opus-4-8"), Ok(()));
        assert_eq!(
            told(roles, "claude-sonnet-5"),
            Err("role 'system' is not supported on this model".to_owned())
        );
    }
    for roles in [
        &["system", "user"][..],
        &["user", "system", "user"],
        &["user", "system", "system"],
        &["user", "assistant", "system"],
    ] {
        assert!(told(roles, "claude-opus-4-8").is_err(), "{roles:?}");
    }
}

/// What is refused for its model, with a word of the real API's message.
#[test]
fn models_differ_in_what_they_take() {
    let tool = |name: &str| json!({"name": name, "input_schema": {"type": "object"}});
    let thinks = |kind: &str| json!({"thinking": {"type": kind}});
    let forced = json!({"tools": [tool("f")], "tool_choice": {"type": "any"}});
    let with_effort = json!({"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}});
    let budget =
        |tokens: u64| json!({"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": tokens}});
    let union = json!({"tools": [{"name": "f", "input_schema": {"type": "object", "anyOf": []}}]});
    for (model, members, refusal) in [
        ("m", json!({"tools": [tool("a.b")]}), "String should match pattern"),
        ("m", json!({"tools": [tool(&"a".repeat(129))]}), "String should match pattern"),
        ("m", json!({"tools": [tool("f"), tool("f")]}), "must be unique"),
        ("m", json!({"tools": [tool("f"), tool("g")]}), ""),
        ("m", union, "at the top level"),
        ("claude-opus-5-5", forced.clone(), "not supported for this model"),
        ("claude-opus-5", forced, ""),
        ("claude-sonnet-4-5", json!({"max_tokens": 64001}), "maximum allowed number of output tokens"),
        ("claude-sonnet-4-6", json!({"max_tokens": 64001}), ""),
        ("m", json!({"max_tokens": 1_000_000}), ""),
        ("claude-haiku-4-5", thinks("adaptive"), "adaptive thinking is not supported"),
        ("claude-sonnet-4-6", thinks("adaptive"), ""),
        ("claude-opus-4-7", budget(1024), "thinking.type.enabled"),
        ("claude-opus-4-6", budget(1024), ""),
        ("claude-opus-4-6", budget(1023), "greater than or equal to 1024"),
        ("claude-opus-4-6", budget(2000), "must be greater than"),
        ("claude-mythos-preview", thinks("disabled"), "thinking.type.disabled"),
        ("claude-sonnet-5-5", thinks("disabled"), "thinking.type.disabled"),
        ("claude-sonnet-5-5", thinks("between_tools"), ""),
        ("claude-opus-5", with_effort, "thinking.type.disabled"),
        ("claude-opus-5", thinks("disabled"), ""),
    ] {
        let mut body = json!({"max_tokens": 1, "messages": [{"role": "user", "content": "x"}]});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        assert_refused(check(&body, Rules { model, ..BEDROCK }), refusal, &body);
        body["model"] = json!(model);
        assert_refused(check(&body, Rules { model, ..NATIVE }), refusal, &body);
    }
}

fn assert_refused(checked: Result<(), String>, refusal: &str, body: &Value) {
    match checked {
        Ok(()) => assert_eq!(refusal, "", "{body}"),
        Err(message) => assert!(!refusal.is_empty() && message.contains(refusal), "{message}: {body}"),
    }
}

#[test]
fn empty_text_is_refused() {
    let body = json!({"model": "m", "max_tokens": 1,
                      "messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]});
    assert!(check(&body, NATIVE).is_err());
}
