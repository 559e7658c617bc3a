//! Thoughts of others' models in a request that passes as it is.
//!
//! A conversation may have begun at another provider's model. This gateway handed out that model's thoughts with their
//! seals marked, or without any, and Claude takes neither: such a thought goes, or every later request would be a 400.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem;
use serde_json::value::RawValue;

use super::rules::Rule;
use crate::chat::{Family, Losses, Seal};
use crate::codec::json;
use crate::codec::splice::{self, Edit};
use crate::error::Result;
use crate::wire::error::malformed;
use crate::wire::fields::Path;

/// Whether a body may have such thoughts. A text with a quote before what looks like a mark is looked at in vain.
fn may_have_foreign_thoughts(body: &[u8]) -> bool {
    has_empty_signature(body) || MARKS.iter().any(|mark| mark.find(body).is_some())
}

/// How the seals of others begin.
static MARKS: LazyLock<Vec<memmem::Finder<'static>>> = LazyLock::new(|| {
    let others = Family::ALL.iter().filter(|by| **by != Family::Anthropic);
    let mark = |by: &Family| format!("\"{}", Seal { by: *by, data: String::new() }.marked());
    others.map(|by| memmem::Finder::new(&mark(by)).into_owned()).collect()
});

static SIGNATURE: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("\"signature\""));

fn has_empty_signature(body: &[u8]) -> bool {
    SIGNATURE.find_iter(body).any(|start| {
        let rest = body.get(start.saturating_add(SIGNATURE.needle().len())..).unwrap_or_default();
        let rest = rest.trim_ascii_start().strip_prefix(b":").unwrap_or_default();
        rest.trim_ascii_start().starts_with(b"\"\"")
    })
}

/// A body without them, for a server that takes it in another envelope.
///
/// # Errors
///
/// 400 for a body that cannot be edited.
pub(super) fn without_foreign_thoughts<'a>(body: &'a [u8], losses: &mut Losses) -> Result<Cow<'a, [u8]>> {
    let edits = edits_for_foreign_thoughts(body, losses);
    if edits.is_empty() {
        return Ok(Cow::Borrowed(body));
    }
    splice::edit(body, &edits).map(Cow::Owned).map_err(malformed)
}

/// The changes to such a body.
pub(super) fn edits_for_foreign_thoughts(body: &[u8], losses: &mut Losses) -> Vec<Edit<'static>> {
    if !may_have_foreign_thoughts(body) {
        return Vec::new();
    }
    // What is broken or there twice is left to be refused.
    let Ok(scan) = json::scan(body, ["messages", "thinking"]) else { return Vec::new() };
    let [messages, thinking] = scan.members;
    let raw = messages.as_ref().map(|member| member.raw(body)).unwrap_or_default();
    let Ok(messages) = serde_json::from_slice::<Vec<&RawValue>>(raw) else { return Vec::new() };
    let list = Path::Key(&Path::Root, "messages");
    let mut kept: Vec<Cow<'_, RawValue>> = Vec::with_capacity(messages.len());
    let (mut is_changed, mut lost_in_turn) = (false, false);
    for (index, message) in messages.into_iter().enumerate() {
        let path = Path::Index(&list, index);
        match without_thoughts(message, &path, losses) {
            Message::Kept { speaks } => {
                lost_in_turn &= !speaks;
                kept.push(Cow::Borrowed(message));
            }
            Message::Changed(message) => {
                (is_changed, lost_in_turn) = (true, true);
                // Nothing but a thought is no message.
                kept.extend(message.map(Cow::Owned));
            }
        }
    }
    let mut edits = Vec::new();
    if is_changed {
        edits.push(Edit::Set("messages", Cow::Owned(crate::wire::to_json(&kept))));
    }
    let thinking = thinking.as_ref().map(|member| member.raw(body)).unwrap_or_default();
    if lost_in_turn && member(thinking, "type").is_some_and(|kind| kind == "enabled") {
        losses.add("thinking", Rule::TurnWithoutThought);
        edits.push(Edit::Remove("thinking"));
    }
    edits
}

enum Message {
    /// It stays. A word of the user's, beside no results, begins a turn.
    Kept { speaks: bool },
    /// It is another one, or none.
    Changed(Option<Box<RawValue>>),
}

fn without_thoughts(message: &RawValue, path: &Path<'_>, losses: &mut Losses) -> Message {
    let message = message.get().as_bytes();
    let is_user = member(message, "role").is_some_and(|role| role == "user");
    let Some(content) = json::scan(message, ["content"]).ok().and_then(|scan| {
        let [content] = scan.members;
        content
    }) else {
        return Message::Kept { speaks: is_user };
    };
    let Ok(blocks) = serde_json::from_slice::<Vec<&RawValue>>(content.raw(message)) else {
        return Message::Kept { speaks: is_user };
    };
    let has_result = || {
        let mut kinds = blocks.iter().filter_map(|block| member(block.get().as_bytes(), "type"));
        kinds.any(|kind| kind == "tool_result")
    };
    let speaks = is_user && !has_result();
    let list = Path::Key(path, "content");
    let mut kept = Vec::with_capacity(blocks.len());
    for (index, block) in blocks.iter().enumerate() {
        if is_foreign_thought(block.get().as_bytes()) {
            losses.add(Path::Index(&list, index), Rule::Unsigned);
        } else {
            kept.push(*block);
        }
    }
    if kept.len() == blocks.len() {
        return Message::Kept { speaks };
    }
    if kept.is_empty() {
        return Message::Changed(None);
    }
    let edit = Edit::Set("content", Cow::Owned(crate::wire::to_json(&kept)));
    let changed = splice::edit(message, &[edit]).ok();
    Message::Changed(changed.and_then(|changed| serde_json::from_slice(&changed).ok()))
}

fn is_foreign_thought(block: &[u8]) -> bool {
    let is_others =
        |marked: &str| Seal::of_marked(marked.to_owned()).is_some_and(|seal| seal.by != Family::Anthropic);
    match member(block, "type").as_deref() {
        Some("thinking") => {
            member(block, "signature").is_some_and(|signature| signature.is_empty() || is_others(&signature))
        }
        Some("redacted_thinking") => member(block, "data").is_some_and(|data| is_others(&data)),
        _ => false,
    }
}

/// The text that the member `name` is.
fn member<'a>(object: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    let [member] = json::scan(object, [name]).ok()?.members;
    member?.as_str(object)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::codec::splice;

    fn passed(body: &Value) -> (Value, Vec<String>) {
        let body = body.to_string();
        let mut losses = Losses::default();
        let edits = edits_for_foreign_thoughts(body.as_bytes(), &mut losses);
        assert_eq!(edits.is_empty(), losses.is_empty());
        let body = splice::edit(body.as_bytes(), &edits).unwrap();
        (serde_json::from_slice(&body).unwrap(), losses.iter().map(|loss| loss.path.clone()).collect())
    }

    fn thought(signature: &str) -> Value {
        json!({"type": "thinking", "thinking": "t", "signature": signature})
    }

    #[test]
    fn thoughts_of_others_go_and_claudes_stay() {
        let user = json!({"role": "user", "content": "Hi"});
        let text = json!({"type": "text", "text": "\"gemini:"});
        let call = json!({"type": "tool_use", "id": "c", "name": "f", "input": {}});
        let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c"}]});
        let said = |blocks: &[Value]| json!({"role": "assistant", "content": blocks});
        let asked = |messages: &[&Value]| json!({"model": "m", "messages": messages, "thinking": {"type": "enabled", "budget_tokens": 1024}});
        let redacted = json!({"type": "redacted_thinking", "data": "openai:gAA"});

        let own = asked(&[&user, &said(&[thought("EqoB"), call.clone()]), &result]);
        assert!(!may_have_foreign_thoughts(own.to_string().as_bytes()));
        assert_eq!(passed(&own), (own.clone(), vec![]));

        let mixed = asked(&[
            &user,
            &said(&[thought("gemini:AbC="), thought("EqoB"), text.clone()]),
            &user,
            &said(std::slice::from_ref(&redacted)),
            &user,
        ]);
        let kept = asked(&[&user, &said(&[thought("EqoB"), text.clone()]), &user, &user]);
        let lost = ["messages[1].content[0]", "messages[3].content[0]"].map(str::to_owned).to_vec();
        assert_eq!(passed(&mixed), (kept, lost));

        // In the midst of a turn Claude cannot think on.
        for signature in ["", "openai:gAA"] {
            let cut = asked(&[&user, &said(&[thought(signature), call.clone()]), &result]);
            assert!(may_have_foreign_thoughts(cut.to_string().as_bytes()));
            let mut kept = asked(&[&user, &said(std::slice::from_ref(&call)), &result]);
            kept.as_object_mut().unwrap().remove("thinking");
            let lost = ["messages[1].content[0]", "thinking"].map(str::to_owned).to_vec();
            assert_eq!(passed(&cut), (kept, lost));
        }
    }

    #[test]
    fn most_bodies_are_not_even_read() {
        for body in
            [r#"{"messages":[{"content":"a gemini: b"}]}"#, r#"{"signature" : "E"}"#, "", "\"signature\""]
        {
            assert!(!may_have_foreign_thoughts(body.as_bytes()), "{body}");
        }
        for body in [r#"{"signature" : ""}"#, r#"{"data": "nova:x"}"#] {
            assert!(may_have_foreign_thoughts(body.as_bytes()), "{body}");
        }
        for broken in ["", "{", r#"{"messages":3}"#, r#"{"messages":[3,{"content":{}},{"content":[3]}]}"#] {
            assert_eq!(edits_for_foreign_thoughts(broken.as_bytes(), &mut Losses::default()), []);
        }
    }
}
