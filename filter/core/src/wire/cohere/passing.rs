//! What other models have left in a chat that passes as it is to Cohere.
//!
//! The conversation may have begun at Claude, which says something before it calls a tool, at a model that thinks where
//! this one does not, or at Gemini, whose calls have their signature in their ids. Cohere would refuse each later
//! request ([`super::rules`]): such messages are written anew, as for the clients of any other API.

use std::borrow::Cow;

use serde::Deserialize;

use super::client::decode_message;
use super::message;
use super::rules::Model;
use crate::chat::{Losses, Origin, Seal};
use crate::codec::json::member;
use crate::codec::splice::{self, Edit};
use crate::endpoint::Endpoint;
use crate::wire::fields::{Path, parse};
use crate::wire::json::Shape;
use crate::wire::openai::chat::unsealed;
use crate::wire::schema::{Mend, To};
use crate::wire::to_json;

/// What is to be done to a chat that passes to the model of `to`.
pub(super) fn mend(to: &To<'_>) -> Option<Mend> {
    let by_model: Mend = if Model::named(to.model).may_think {
        |body, losses| edits(body, true, losses)
    } else {
        |body, losses| edits(body, false, losses)
    };
    (to.endpoint == Endpoint::CohereChat).then_some(by_model)
}

fn edits(body: &[u8], may_think: bool, losses: &mut Losses) -> Vec<Edit<'static>> {
    let Some(messages) = member(body, "messages") else { return Vec::new() };
    let thinks = may_think && !is_off(body);
    let changed = splice::elements(messages.raw(body), |index, raw| message(raw, index, thinks, losses));
    changed.map(|messages| Edit::Set("messages", Cow::Owned(messages))).into_iter().collect()
}

/// The client wants no thoughts.
fn is_off(body: &[u8]) -> bool {
    let Some(thinking) = member(body, "thinking") else { return false };
    member(thinking.raw(body), "type")
        .is_some_and(|kind| kind.as_str(thinking.raw(body)).is_some_and(|kind| kind == "disabled"))
}

/// What tells whether a message is one that Cohere refuses.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    content: Option<Content>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Blocks(Vec<Block>),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Call<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

impl Said<'_> {
    /// Whether it is an assistant's with something that a model which thinks, or does not, is not to be sent.
    fn is_refused(&self, thinks: bool) -> bool {
        let calls = self.tool_calls.as_deref().unwrap_or_default();
        let has = |wanted: &str| match &self.content {
            None => false,
            Some(Content::Text(text)) => wanted == "text" && !text.is_empty(),
            Some(Content::Blocks(blocks)) => blocks.iter().any(|block| block.kind == wanted),
        };
        let is_sealed = calls.iter().any(|call| Seal::of_id(&call.id).1.is_some());
        let is_mixed = !calls.is_empty() && has("text");
        self.role == "assistant" && (is_sealed || is_mixed || !thinks && has("thinking"))
    }
}

/// The message that Cohere takes instead of `raw`. `None`: it takes that, or it is wrong in a way of its own.
fn message(raw: &[u8], index: usize, thinks: bool, losses: &mut Losses) -> Option<Vec<u8>> {
    if let Some(id) = unsealed(raw, "tool_call_id") {
        return splice::edited(raw, &[id]);
    }
    let said: Said<'_> = serde_json::from_slice(raw).ok()?;
    if !said.is_refused(thinks) {
        return None;
    }
    let mut lost = Losses::of_request();
    let list = Path::Key(&Path::Root, "messages");
    let path = Path::Index(&list, index);
    let mut message = decode_message(&path, parse("/v2/chat", &Shape::Tree, raw).ok()?, &mut lost).ok()?;
    if message.extra.is_some() {
        return None;
    }
    message.origin = Origin::new("messages", index);
    let written = to_json(&message::assistant(&message, thinks, &mut lost)?);
    losses.append(lost, |_| None);
    Some(written)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::SchemaName;
    use crate::wire::schema::mended;

    fn passed(model: &str, body: &str) -> (String, Vec<String>) {
        mended(Endpoint::CohereChat, SchemaName::Cohere, model, body)
    }

    /// The assistant's message as it passes.
    fn said(model: &str, message: &Value) -> (Value, Vec<String>) {
        let (body, losses) =
            passed(model, &json!({"messages": [{"role": "user", "content": "u"}, message]}).to_string());
        let body: Value = serde_json::from_str(&body).unwrap();
        (body["messages"][1].clone(), losses)
    }

    const COMMAND: &str = "command-a-03-2025";
    const REASONING: &str = "command-a-reasoning-08-2025";

    fn call(id: &str) -> Value {
        json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}})
    }

    #[test]
    fn what_cohere_takes_passes_to_the_byte() {
        let plan = json!({"role": "assistant", "tool_plan": "p", "tool_calls": [call("c")], "citations": []});
        let thoughts = json!([{"type": "thinking", "thinking": "t"}]);
        let thought = json!({"role": "assistant", "content": thoughts, "tool_calls": [call("c")]});
        for (model, message) in [(COMMAND, &plan), (REASONING, &plan), (REASONING, &thought)] {
            let body = format!(
                r#"{{ "messages": [ {message} , {{"role":"tool","tool_call_id":"c","content":"r"}}], "x":1 }}"#
            );
            assert_eq!(passed(model, &body), (body, vec![]));
        }
        for body in [
            r#"{"messages":3}"#,
            r#"{"messages":[3,{"role":"assistant","content":7,"tool_calls":[{"id":"a__sealed_gemini_QUJD"}]}]}"#,
            r#"{"messages":[{"role":"assistant","content":"x","unknown":1,"tool_calls":[{"id":"c","function":{"name":"f"}}]}]}"#,
        ] {
            assert_eq!(passed(COMMAND, body), (body.to_owned(), vec![]));
        }
    }

    #[test]
    fn what_other_models_said_becomes_what_cohere_takes() {
        let mixed = json!({"role": "assistant", "content": [{"type": "text", "text": "I look."}], "tool_calls": [call("c")]});
        let planned = json!({"role": "assistant", "tool_plan": "I look.", "tool_calls": [call("c")]});
        for model in [COMMAND, REASONING] {
            assert_eq!(said(model, &mixed), (planned.clone(), vec!["messages[1].content[0]".to_owned()]));
        }
        let thought = json!({"type": "thinking", "thinking": "t"});
        let answer = json!({"role": "assistant", "content": [thought, {"type": "text", "text": "x"}]});
        let bare = json!({"role": "assistant", "content": "x"});
        assert_eq!(said(COMMAND, &answer), (bare, vec!["messages[1].content[0]".to_owned()]));
        assert_eq!(said(REASONING, &answer), (answer, vec![]));
    }

    #[test]
    fn thoughts_go_where_the_client_wants_none() {
        let answer = r#"{"role":"assistant","content":[{"type":"thinking","thinking":"t"},{"type":"text","text":"x"}]}"#;
        let body = format!(r#"{{"thinking":{{"type":"disabled"}},"messages":[{answer}]}}"#);
        let (body, losses) = passed(REASONING, &body);
        assert_eq!(
            body,
            r#"{"thinking":{"type":"disabled"},"messages":[{"role":"assistant","content":"x"}]}"#
        );
        assert_eq!(losses, ["messages[0].content[0]"]);
    }

    #[test]
    fn ids_are_those_of_the_calls_again() {
        let sealed = "c__sealed_gemini_QUJD";
        let calls = json!({"role": "assistant", "tool_calls": [call(sealed)]});
        let losses = vec!["messages[1].tool_calls[0].signature".to_owned()];
        assert_eq!(said(COMMAND, &calls), (json!({"role": "assistant", "tool_calls": [call("c")]}), losses));
        let result = json!({"role": "tool", "tool_call_id": sealed, "content": "r"});
        let bare = json!({"role": "tool", "tool_call_id": "c", "content": "r"});
        assert_eq!(said(COMMAND, &result), (bare, vec![]));
    }
}
