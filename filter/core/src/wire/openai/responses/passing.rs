//! Items of other models in a conversation that passes as it is to one of OpenAI's own.
//!
//! The conversation may have begun at another provider's model, whose thoughts this gateway handed out as reasoning
//! items, and whose calls may have a seal in their id. OpenAI takes neither, so each later request would be a 400: they
//! go.

use memchr::memmem;
use serde_json::value::RawValue;

use super::ids::TRANSLATED_THOUGHT;
use super::raw_items::{self, Fate, text};
use super::seals::{REDACTED, is_of_others};
use crate::chat::{Family, Losses, Seal};
use crate::codec::splice::{self, Edit};
use crate::endpoint::Endpoint;
use crate::wire::fields::Path;
use crate::wire::openai::chat;
use crate::wire::schema::{Mend, To};

const USELESS: &str = "of use at its own provider only";

/// What is to be done to such a conversation.
pub(in crate::wire) fn mend(to: &To<'_>) -> Option<Mend> {
    let has_items = matches!(to.endpoint, Endpoint::Responses | Endpoint::ResponsesInputTokens);
    (has_items && chat::is_openais_own(to)).then_some(edits_for_mixed)
}

/// Whether a body may have such items. A text with a quote before what looks like a mark is looked at in vain.
fn may_be_mixed(body: &[u8]) -> bool {
    let has = |text: &str| memmem::find(body, text.as_bytes()).is_some();
    let marked = |by: &Family| {
        let mark = Seal { by: *by, data: String::new() }.marked().to_string();
        *by != Family::OpenAi && has(&format!("\"{mark}"))
    };
    has(Seal::IN_ID)
        || has(TRANSLATED_THOUGHT)
        || has(&format!("\"{REDACTED}"))
        || Family::ALL.iter().any(marked)
}

/// The changes to such a body.
fn edits_for_mixed(body: &[u8], losses: &mut Losses) -> Vec<Edit<'static>> {
    if !may_be_mixed(body) {
        return Vec::new();
    }
    raw_items::edit(body, losses, fate).into_iter().collect()
}

fn fate(item: &RawValue, path: &Path<'_>, losses: &mut Losses) -> Fate {
    if is_foreign_thought(item) {
        return Fate::Goes(USELESS);
    }
    unsealed(item, path, losses).map_or(Fate::Stays, Fate::Becomes)
}

fn is_foreign_thought(item: &RawValue) -> bool {
    text(item, "type").is_some_and(|kind| kind == "reasoning")
        && (text(item, "id").is_some_and(|id| id.starts_with(TRANSLATED_THOUGHT))
            || text(item, "encrypted_content").is_some_and(|encrypted| is_of_others(&encrypted)))
}

/// The call, or its output, with the id that it had before its seal was put in. `None`: it has none in it.
fn unsealed(item: &RawValue, path: &Path<'_>, losses: &mut Losses) -> Option<Box<RawValue>> {
    let id = text(item, "call_id")?;
    let (name, seal) = Seal::of_id(&id);
    seal?;
    if text(item, "type").is_some_and(|kind| kind.ends_with("_call")) {
        losses.add(Path::Key(path, "signature"), USELESS);
    }
    let changed = splice::edited(item.get().as_bytes(), &[Edit::set_string("call_id", name)])?;
    serde_json::from_slice(&changed).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::SchemaName;
    use crate::wire::schema::mended;

    fn passed(endpoint: Endpoint, model: &str, body: &str) -> (String, Vec<String>) {
        mended(endpoint, SchemaName::OpenAI, model, body)
    }

    #[test]
    fn thoughts_of_others_and_the_seals_in_ids_go_and_every_other_byte_stays() {
        let own = r#"{"type":"reasoning", "id":"rs_1","summary":[],"encrypted_content":"gAAAA"}"#;
        let body = format!(
            r#"{{"model":"gpt-5", "input":[{{"role":"user", "content":"claude:"}},{own},{},{},{},{},{}],"x" : 1}}"#,
            json!({"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "claude:E"}),
            json!({"type": "reasoning", "id": "rs_translated_m_0", "summary": [{"type": "summary_text", "text": "t"}]}),
            json!({"type": "reasoning", "summary": [], "encrypted_content": "redacted:claude:E"}),
            json!({"type": "function_call", "call_id": "c__sealed_gemini_QUJD", "name": "f", "arguments": "{}"}),
            json!({"type": "function_call_output", "call_id": "c__sealed_gemini_QUJD", "output": "o"}),
        );
        assert!(may_be_mixed(body.as_bytes()));
        let (sent, losses) = passed(Endpoint::Responses, "gpt-5", &body);
        // Those that are counted are the same.
        assert_eq!(passed(Endpoint::ResponsesInputTokens, "gpt-5", &body), (sent.clone(), losses.clone()));
        assert_eq!(losses, ["input[2]", "input[3]", "input[4]", "input[5].signature"]);
        assert!(
            sent.contains(own)
                && sent.contains(r#"{"role":"user", "content":"claude:"}"#)
                && sent.ends_with(r#","x" : 1}"#)
        );
        let sent: Value = serde_json::from_str(&sent).unwrap();
        assert_eq!(sent["input"].as_array().unwrap().len(), 4);
        assert_eq!((&sent["input"][2]["call_id"], &sent["input"][3]["call_id"]), (&json!("c"), &json!("c")));
        // Behind another server may be a gateway such as this one.
        assert_eq!(passed(Endpoint::Responses, "llama", &body), (body, vec![]));
    }

    #[test]
    fn what_has_none_passes_as_it_is() {
        for body in
            [r#"{"input":"claude:"}"#, r#"{"input": [ {"type":"reasoning","id":"rs_1"}, 3, null ]}"#, "{}"]
        {
            assert_eq!(passed(Endpoint::Responses, "gpt-5", body), (body.to_owned(), vec![]));
        }
        assert!(!may_be_mixed(br#"{"input":"hi, claude: hi"}"#));
    }
}
