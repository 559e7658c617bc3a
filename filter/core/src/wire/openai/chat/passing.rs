//! What other models have left in a chat that passes as it is to one of OpenAI's own.
//!
//! The conversation may have begun at Claude, Gemini or Cohere, whose answers this gateway hands out with members of
//! its own, and with the signature of Gemini's calls in their ids and beside them. OpenAI takes no such long ids and no
//! members that it does not know, so each later request would be a 400: they go.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem;

use super::servers::Server;
use crate::chat::{Losses, Seal};
use crate::codec::json::member;
use crate::codec::splice::{self, Edit};
use crate::endpoint::Endpoint;
use crate::wire::fields::Path;
use crate::wire::schema::{Mend, To};

/// Members that this gateway adds to the message of an answer.
const OWN: &[&str] = &["thinking_blocks", "reasoning_content", "safety_ratings", "grounding_metadata"];

const USELESS: &str = "of use at its own provider only";

/// Whether the model is one of OpenAI's own, and no gateway such as this one before others.
pub(in crate::wire) fn is_openais_own(to: &To<'_>) -> bool {
    Server::is_openai(to)
}

/// What is to be done to a chat that passes to such a model.
pub(in crate::wire) fn mend(to: &To<'_>) -> Option<Mend> {
    (to.endpoint == Endpoint::ChatCompletions && is_openais_own(to)).then_some(edits_for_mixed)
}

/// Whether there may be something of that in a body.
fn may_be_mixed(body: &[u8]) -> bool {
    WORDS.iter().any(|word| word.find(body).is_some())
}

/// One of them is in a body in which there is something of that.
static WORDS: LazyLock<Vec<memmem::Finder<'static>>> =
    LazyLock::new(|| [Seal::IN_ID].iter().chain(OWN).map(memmem::Finder::new).collect());

/// The changes to such a body.
fn edits_for_mixed(body: &[u8], losses: &mut Losses) -> Vec<Edit<'static>> {
    if !may_be_mixed(body) {
        return Vec::new();
    }
    let Some(messages) = member(body, "messages") else { return Vec::new() };
    let list = Path::Key(&Path::Root, "messages");
    let changed =
        splice::elements(messages.raw(body), |index, raw| message(raw, &Path::Index(&list, index), losses));
    changed.map(|messages| Edit::Set("messages", Cow::Owned(messages))).into_iter().collect()
}

fn message(raw: &[u8], path: &Path<'_>, losses: &mut Losses) -> Option<Vec<u8>> {
    let mut edits: Vec<Edit<'_>> = unsealed(raw, "tool_call_id").into_iter().collect();
    for name in OWN.iter().filter(|name| member(raw, name).is_some()) {
        losses.add(Path::Key(path, name), USELESS);
        edits.push(Edit::Remove(name));
    }
    if let Some(calls) = member(raw, "tool_calls") {
        let list = Path::Key(path, "tool_calls");
        let calls =
            splice::elements(calls.raw(raw), |index, raw| call(raw, &Path::Index(&list, index), losses));
        edits.extend(calls.map(|calls| Edit::Set("tool_calls", Cow::Owned(calls))));
    }
    splice::edited(raw, &edits)
}

fn call(raw: &[u8], path: &Path<'_>, losses: &mut Losses) -> Option<Vec<u8>> {
    let id = unsealed(raw, "id")?;
    losses.add(Path::Key(path, "signature"), USELESS);
    splice::edited(raw, &[id, Edit::Remove("extra_content")])
}

/// The id that the member `name` is, without the seal that is in it. `None`: there is none.
pub(in crate::wire) fn unsealed(object: &[u8], name: &'static str) -> Option<Edit<'static>> {
    let id = member(object, name)?;
    let id = id.as_str(object)?;
    let (id, seal) = Seal::of_id(&id);
    seal.map(|_| Edit::set_string(name, id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::SchemaName;
    use crate::wire::schema::mended;

    fn passed(model: &str, body: &str) -> (String, Vec<String>) {
        mended(Endpoint::ChatCompletions, SchemaName::OpenAI, model, body)
    }

    const BODY: &str = r#"{"messages":[{"role":"user","content":"a__sealed_gemini_QUJD"}, {"role":"assistant","content":null,"thinking_blocks":[],"tool_calls":[{"id":"f1__sealed_gemini_QUJD","type":"function","extra_content":{"google":{}},"function":{"name":"f", "arguments":"{}"}},{"id":"f2","extra_content":1}]},{"role":"tool","tool_call_id":"f1__sealed_gemini_QUJD","content":"r"}],"n":1}"#;

    #[test]
    fn ids_are_those_of_the_calls_again_and_every_other_byte_stays() {
        let (body, losses) = passed("gpt-5", BODY);
        assert_eq!(
            body,
            r#"{"messages":[{"role":"user","content":"a__sealed_gemini_QUJD"},{"role":"assistant","content":null,"tool_calls":[{"id":"f1","type":"function","function":{"name":"f", "arguments":"{}"}},{"id":"f2","extra_content":1}]},{"role":"tool","tool_call_id":"f1","content":"r"}],"n":1}"#
        );
        assert_eq!(losses, ["messages[1].thinking_blocks", "messages[1].tool_calls[0].signature"]);
    }

    #[test]
    fn members_of_this_gateway_go_without_a_call_too() {
        for name in OWN {
            let said = format!(r#"{{"role":"assistant","content":"Hi","{name}":[]}}"#);
            let body = format!(r#"{{"messages":[{said},{{"role":"user","content":"{name}"}}]}}"#);
            let left = body.replacen(&format!(r#","{name}":[]"#), "", 1);
            assert_eq!(passed("gpt-5", &body), (left, vec![format!("messages[0].{name}")]));
        }
    }

    /// Behind one may be a gateway such as this one.
    #[test]
    fn other_servers_get_what_the_client_sent() {
        for model in ["gemini-3-flash", "llama"] {
            assert_eq!(passed(model, BODY), (BODY.to_owned(), vec![]));
        }
        for body in [r#"{"messages":3}"#, "{}", r#"{"messages":[3,{"tool_calls":[null]}]}"#] {
            assert_eq!(passed("gpt-5", body), (body.to_owned(), vec![]));
        }
    }
}
