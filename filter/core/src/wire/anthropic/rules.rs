//! What Claude is known to refuse of what other APIs allow, in one table: each rule with its source and, in the
//! tests, its case.
//!
//! Such a request would come back as a 400 that names something its client never sent. What has to be changed or left
//! out is a loss, for the reason of its rule.

use std::borrow::Cow;

use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest as _, Sha256};

use crate::codec::text::with_whole_characters;

/// One thing that Claude refuses.
pub(super) struct Rule {
    /// The reason of the loss.
    pub(super) reason: &'static str,
    /// Where it is documented, or who met the refusal where it is not.
    #[cfg_attr(not(test), allow(dead_code, reason = "it is for readers, and a test wants it to be there"))]
    pub(super) source: &'static str,
}

const MESSAGES: &str = "https://platform.claude.com/docs/en/api/messages";
const MIGRATION: &str = "https://platform.claude.com/docs/en/about-claude/models/migration-guide";
const THINKING: &str = "https://platform.claude.com/docs/en/build-with-claude/extended-thinking";

pub(super) const BLANK_TEXT: Rule = Rule {
    reason: "Anthropic takes no text of white space only",
    source: "https://github.com/home-assistant/core/issues/175637",
};
pub(super) const NO_MESSAGE: Rule = Rule {
    reason: "Anthropic takes no system prompt alone: it is sent as the user's message",
    source: MESSAGES,
};
pub(super) const ASSISTANT_FIRST: Rule = Rule {
    reason: "Anthropic wants a user's message first: one was put before it",
    source: "https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html",
};
pub(super) const ASSISTANT_LAST: Rule = Rule {
    reason: "this model continues no assistant message: a user's message was put behind it",
    source: "https://platform.claude.com/docs/en/about-claude/models/whats-new-claude-4-6#prefill-removal",
};
pub(super) const ENDS_IN_SPACE: Rule = Rule {
    reason: "Anthropic takes no white space at the end of a last assistant message",
    source: "https://platform.claude.com/docs/en/build-with-claude/prompt-engineering/prefill-claudes-response",
};
pub(super) const ARGUMENTS: Rule = Rule {
    reason: "Anthropic takes arguments that are a JSON object only: they are text inside of one",
    source: MESSAGES,
};
pub(super) const HALF_CHARACTER: Rule = Rule {
    reason: "an escaped half of a surrogate pair is no character: U+FFFD stands for it",
    source: "https://github.com/anthropics/claude-code/issues/3277",
};
pub(super) const STOP: Rule = Rule {
    reason: "Anthropic takes no stop sequence of white space only",
    source: "https://github.com/BerriAI/litellm/issues/3286",
};
pub(super) const USER_IDENTIFIES: Rule = Rule {
    reason: "Anthropic takes no e-mail address or phone number: its digest is sent",
    source: MESSAGES,
};
pub(super) const USER_TOO_LONG: Rule =
    Rule { reason: "Anthropic takes no more than 256 characters: its digest is sent", source: MESSAGES };
pub(super) const NO_SAMPLING: Rule =
    Rule { reason: "this model takes no sampling parameters", source: MIGRATION };
pub(super) const ONE_SAMPLING: Rule =
    Rule { reason: "this model takes temperature or top_p, not both", source: MIGRATION };
pub(super) const SAMPLING_AND_THOUGHTS: Rule =
    Rule { reason: "Anthropic takes no such sampling while the model thinks", source: THINKING };
pub(super) const SCHEMA_UNION: Rule = Rule {
    reason: "Anthropic takes no oneOf, anyOf or allOf at the top of a tool's schema: their properties were joined",
    source: "https://platform.claude.com/docs/en/managed-agents/self-hosted-sandboxes",
};
pub(super) const SCHEMA_TYPE: Rule =
    Rule { reason: "Anthropic takes only schemas of objects for a tool", source: MESSAGES };

/// `metadata.user_id`, in characters.
const MAX_USER: usize = 256;

/// True for a text that counts as none.
pub(super) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// A call id that Claude takes, `^[a-zA-Z0-9_-]+$` (<https://platform.claude.com/docs/en/api/messages>), and each once
/// (<https://github.com/anomalyco/opencode/issues/1150>), which is seen to where all are known: the id itself, or what is allowed of it and its digest. The same id
/// always becomes the same, with no state to keep, and two ids never become one.
///
/// There is no way back, and none is needed: answers carry Claude's own ids, and ids of other providers come in
/// a conversation's past only.
pub(super) fn call_id(id: &str) -> Cow<'_, str> {
    let is_allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    if !id.is_empty() && id.chars().all(is_allowed) {
        return Cow::Borrowed(id);
    }
    let kept: String = id.chars().filter(|char| is_allowed(*char)).take(32).collect();
    let digest = digest(id);
    Cow::Owned(format!("{kept}_{}", digest.get(..16).unwrap_or(&digest)))
}

/// Arguments as an object, with the rule for which they are not what was there. Models leave them empty for tools that
/// take none; text that is no object, such as one that the limit of tokens cut, becomes `{"arguments": TEXT}`.
pub(super) fn arguments(text: &str) -> (Cow<'_, RawValue>, Option<&'static Rule>) {
    let trimmed = match text.trim() {
        "" => "{}",
        trimmed => trimmed,
    };
    if trimmed.starts_with('{')
        && let Ok(object) = serde_json::from_str::<&RawValue>(trimmed)
    {
        return match with_whole_characters(trimmed.as_bytes()) {
            Cow::Borrowed(_) => (Cow::Borrowed(object), None),
            Cow::Owned(whole) => (held(&whole, object), Some(&HALF_CHARACTER)),
        };
    }
    // It cannot fail: the key is text, and so is the value.
    let object = to_raw_value(&serde_json::json!({ "arguments": text }));
    (object.map_or(Cow::Borrowed(RawValue::NULL), Cow::Owned), Some(&ARGUMENTS))
}

/// `json`, or `otherwise` if it should not be JSON.
fn held<'a>(json: &[u8], otherwise: &'a RawValue) -> Cow<'a, RawValue> {
    serde_json::from_slice::<Box<RawValue>>(json).map_or(Cow::Borrowed(otherwise), Cow::Owned)
}

/// What `metadata.user_id` may be for this user, with the rule if it is not the user itself. A digest still tells users
/// apart, which is what the provider's abuse detection needs.
pub(super) fn user(user: &str) -> (Cow<'_, str>, Option<&'static Rule>) {
    let rule = if user.chars().nth(MAX_USER).is_some() {
        &USER_TOO_LONG
    } else if user.split(|char: char| char.is_whitespace() || "<>(),;:\"".contains(char)).any(is_email)
        || is_phone(user)
    {
        &USER_IDENTIFIES
    } else {
        return (Cow::Borrowed(user), None);
    };
    (Cow::Owned(digest(user)), Some(rule))
}

fn is_email(word: &str) -> bool {
    word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
}

/// Digits as people write them to be called. A bare number is more likely the key of a database.
fn is_phone(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let is_written = |char: char| char.is_ascii_digit() || matches!(char, '+' | '-' | '.' | ' ' | '(' | ')');
    (7..=15).contains(&digits)
        && text.chars().all(is_written)
        && (text.trim_start().starts_with('+') || text.contains([' ', '(', '-', '.']))
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
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
        let params = Params {
            envelope: Envelope::Native,
            model: &request.model,
            default_max_tokens: DEFAULT_MAX_TOKENS,
        };
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

    /// Each rule: what a client asks, where its loss is, and what is sent at a pointer instead.
    #[test]
    fn every_rule_has_a_source_and_what_breaks_it_is_sent_in_another_form() {
        let digest_of = |text: &str| json!(digest(text));
        let long = "u".repeat(257);
        let cases: &[(&Rule, Value, &str, &str, Value)] = &[
            (
                &BLANK_TEXT,
                json!({"messages": [text("user", "Hi"), text("assistant", "\n\n"), text("user", "Go")]}),
                "messages[1].content",
                "/messages/1/content/0/text",
                json!("Go"),
            ),
            (
                &NO_MESSAGE,
                json!({"messages": [text("system", "Say hi."), text("developer", "In French.")]}),
                "messages",
                "/messages",
                json!([{"role": "user", "content": [
                    {"type": "text", "text": "Say hi."}, {"type": "text", "text": "In French."}]}]),
            ),
            (
                &ASSISTANT_FIRST,
                json!({"messages": [text("assistant", "Hello!"), text("user", "Hi")]}),
                "messages[0]",
                "/messages/0/role",
                json!("user"),
            ),
            (
                &ASSISTANT_LAST,
                json!({"model": "claude-opus-4-6", "messages": [text("user", "Hi"), text("assistant", "Well")]}),
                "messages[1]",
                "/messages/2/role",
                json!("user"),
            ),
            (
                &ENDS_IN_SPACE,
                json!({"messages": [text("user", "Hi"), text("assistant", "Well, \n")]}),
                "messages[1]",
                "/messages/1/content/0/text",
                json!("Well,"),
            ),
            (
                &ARGUMENTS,
                json!({"messages": [text("user", "Hi"), call("c", "{\"path\": \"a"), result("c")]}),
                "messages[1].tool_calls[0].arguments",
                "/messages/1/content/0/input",
                json!({"arguments": "{\"path\": \"a"}),
            ),
            (
                &HALF_CHARACTER,
                json!({"messages": [text("user", "Hi"), call("c", r#"{"a": "\ud800"}"#), result("c")]}),
                "messages[1].tool_calls[0].arguments",
                "/messages/1/content/0/input/a",
                json!("\u{fffd}"),
            ),
            (
                &SCHEMA_UNION,
                json!({"tools": [{"type": "function", "function": {"name": "f", "parameters":
                    {"type": "object", "anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}}}]}),
                "tools[0].parameters",
                "/tools/0/input_schema",
                json!({"type": "object", "properties": {"a": {}, "b": {}}}),
            ),
            (
                &SCHEMA_TYPE,
                json!({"tools": [{"type": "function", "function": {"name": "f", "parameters":
                    {"type": ["object", "null"]}}}]}),
                "tools[0].parameters.type",
                "/tools/0/input_schema",
                json!({"type": "object"}),
            ),
            (&STOP, json!({"stop": ["\n", "END"]}), "stop[0]", "/stop_sequences", json!(["END"])),
            (
                &USER_IDENTIFIES,
                json!({"user": "ann@example.com"}),
                "user",
                "/metadata/user_id",
                digest_of("ann@example.com"),
            ),
            (&USER_TOO_LONG, json!({"user": long}), "user", "/metadata/user_id", digest_of(&long)),
            (
                &NO_SAMPLING,
                json!({"model": "claude-opus-4-7", "temperature": 0.2}),
                "temperature",
                "/temperature",
                Value::Null,
            ),
            (&ONE_SAMPLING, json!({"temperature": 0.2, "top_p": 0.9}), "top_p", "/temperature", json!(0.2)),
            (
                &SAMPLING_AND_THOUGHTS,
                json!({"thinking": {"type": "enabled", "budget_tokens": 1024}, "temperature": 0.2}),
                "temperature",
                "/temperature",
                Value::Null,
            ),
        ];
        for (rule, body, path, pointer, expected) in cases {
            assert!(rule.source.starts_with("https://"), "{}", rule.reason);
            let (sent, losses) = encoded(body.clone());
            let loss = ((*path).to_owned(), rule.reason.to_owned());
            assert!(losses.contains(&loss), "{}: {losses:?}", rule.reason);
            assert_eq!(sent.pointer(pointer).unwrap_or(&Value::Null), expected, "{}: {sent}", rule.reason);
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
            messages
                .filter_map(|message| Some(message["content"][0].get(key)?.as_str()?.to_owned()))
                .collect()
        };
        let (calls, results) = (of("id"), of("tool_use_id"));
        assert_eq!(calls, results);
        assert_eq!(calls.iter().collect::<std::collections::HashSet<_>>().len(), 5);
        assert_eq!(calls[2], "call_0");
        for id in &calls {
            assert!(
                !id.is_empty() && id.chars().all(|char| char.is_ascii_alphanumeric() || "_-".contains(char))
            );
        }
        // A conversation that goes on keeps the ids it had.
        let (shorter, _) = encoded(json!({"messages": messages.as_array().unwrap()[..9]}));
        assert_eq!(shorter["messages"].as_array().unwrap()[..], sent["messages"].as_array().unwrap()[..9]);
    }

    #[test]
    fn parallel_calls_of_one_id_are_told_apart() {
        let call = |id: &str| json!({"id": id, "function": {"name": "f", "arguments": "{}"}});
        let (sent, _) = encoded(json!({"messages": [text("user", "Hi"),
            {"role": "assistant", "tool_calls": [call("x"), call("x")]}, result("x"), result("x")]}));
        let [calls, results] = [1, 2].map(|index| sent["messages"][index]["content"].clone());
        assert_ne!(calls[0]["id"], calls[1]["id"]);
        assert_eq!(calls[0]["id"], results[0]["tool_use_id"]);
        assert_eq!(calls[1]["id"], results[1]["tool_use_id"]);
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
        for user in [
            "u-1",
            "1234567890",
            "ann@laptop",
            "0b5c1f3e-8a1f-4f4e-9d55-0a86a3c1b0f1",
            "a".repeat(256).as_str(),
        ] {
            assert_eq!(super::user(user).0, user);
            assert!(super::user(user).1.is_none());
        }
        assert_eq!(encoded(json!({"user": ""})).0["metadata"], Value::Null);
    }
}
