//! The beginning of a prompt, as a key that all requests of a conversation share.
//!
//! A model server keeps what it made of a prompt's beginning. Of several, the one that served a conversation's last
//! turn answers the next one soonest, so its requests want to be sent to the same one, which Envoy does by a header.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::codec::json::{self, member};

/// Where the beginning of a prompt stands in a request.
#[derive(Debug, Clone, Copy)]
pub struct Prompt {
    /// Members that stay as they are for all of a conversation, three at most: instructions and tools. One may have two
    /// names.
    pub constant: &'static [&'static str],
    /// The member with its turns, the oldest first, or with a text that is the whole prompt.
    pub turns: &'static str,
}

/// How many bytes of a text that is the whole prompt count as its beginning.
const TEXT: usize = 1024;

impl Prompt {
    /// The key: what is constant, and all turns up to the user's first. `None` for a body that has nothing of it.
    ///
    /// It only spreads load: two conversations of one key share a server, and a client that writes the same prompt in
    /// another way gets another one. So it is a hash of the bytes as they are.
    #[must_use]
    pub fn key(&self, body: &[u8]) -> Option<String> {
        // No member has an empty name.
        let constant = |index: usize| self.constant.get(index).copied().unwrap_or_default();
        let names = [self.turns, constant(0), constant(1), constant(2)];
        let members = json::scan(body, names).ok()?.members;
        if members.iter().all(Option::is_none) {
            return None;
        }
        let [turns, constant @ ..] = members.map(|member| member.map_or(&b""[..], |member| member.raw(body)));
        let mut hasher = DefaultHasher::new();
        for constant in constant {
            hasher.write(constant);
            // What ends one member does not begin the next.
            hasher.write_u8(0xff);
        }
        if turns.starts_with(b"[") {
            // It stops at the user's first turn, and takes what follows for a fault.
            let _ = serde_json::Deserializer::from_slice(turns).deserialize_seq(Beginning(&mut hasher));
        } else {
            hasher.write(turns.get(..TEXT).unwrap_or(turns));
        }
        Some(format!("{:016x}", hasher.finish()))
    }
}

/// Reads turns up to the user's first.
struct Beginning<'h>(&'h mut DefaultHasher);

impl<'de> Visitor<'de> for Beginning<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of turns")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut turns: A) -> Result<(), A::Error> {
        while let Some(turn) = turns.next_element::<&RawValue>()? {
            let turn = turn.get().as_bytes();
            self.0.write(turn);
            if member(turn, "role").is_some_and(|role| role.raw(turn) == b"\"user\"") {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::endpoint::Endpoint;

    fn key(endpoint: Endpoint, body: &Value) -> Option<String> {
        endpoint.operation().conversation()?.prompt()?.key(body.to_string().as_bytes())
    }

    fn turn(role: &str, text: &str) -> Value {
        json!({"role": role, "content": text})
    }

    #[test]
    fn a_conversation_keeps_its_key() {
        let (system, question) = (turn("system", "Be brief."), turn("user", "Hi"));
        let first = json!({"model": "m", "messages": [system, question]});
        let next = json!({"messages": [system, question, turn("assistant", "Hello"), turn("user", "Bye")], "top_p": 1});
        let other = json!({"model": "m", "messages": [system, turn("user", "Ho")]});
        let with_tools = json!({"messages": [system, question], "tools": [{"type": "function"}]});
        let keys =
            [&first, &next, &other, &with_tools].map(|body| key(Endpoint::ChatCompletions, body).unwrap());
        assert_eq!(keys[0], keys[1]);
        assert_ne!(keys[0], keys[2]);
        assert_ne!(keys[0], keys[3]);
        assert_eq!(keys[0].len(), 16);
    }

    #[test]
    fn every_api_has_its_own_places() {
        let begins = [
            (Endpoint::ChatCompletions, json!({"tools": [1], "messages": [turn("user", "Hi")]})),
            (Endpoint::Completions, json!({"prompt": "Hi"})),
            (
                Endpoint::CohereChat,
                json!({"tools": [1], "documents": ["d"], "messages": [turn("user", "Hi")]}),
            ),
            (Endpoint::Messages, json!({"system": "s", "tools": [1], "messages": [turn("user", "Hi")]})),
            (Endpoint::Responses, json!({"instructions": "s", "tools": [1], "input": [turn("user", "Hi")]})),
            (Endpoint::Responses, json!({"instructions": "s", "tools": [1], "input": "Hi"})),
            (
                Endpoint::GenerateContent,
                json!({"systemInstruction": "s", "tools": [1], "contents": [turn("user", "Hi")]}),
            ),
            (
                Endpoint::StreamGenerateContent,
                json!({"system_instruction": "s", "tools": [1], "contents": [turn("user", "Hi")]}),
            ),
        ];
        for (endpoint, body) in begins {
            let first = key(endpoint, &body).unwrap();
            for name in body.as_object().unwrap().keys() {
                let mut changed = body.clone();
                changed[name] = json!("other");
                assert_ne!(key(endpoint, &changed).unwrap(), first, "{endpoint:?}: {name}");
            }
            let mut grown = body.clone();
            if let Some(turns) = grown.as_object_mut().unwrap().values_mut().find_map(|turns| {
                turns.as_array_mut().filter(|turns| turns.first().is_some_and(Value::is_object))
            }) {
                turns.push(turn("assistant", "Hello"));
            }
            assert_eq!(key(endpoint, &grown).unwrap(), first, "{endpoint:?}");
        }
    }

    #[test]
    fn what_has_no_prompt_has_no_key() {
        assert_eq!(key(Endpoint::ChatCompletions, &json!({"model": "m"})), None);
        assert_eq!(key(Endpoint::CountTokens, &json!({"messages": [turn("user", "Hi")]})), None);
        assert_eq!(key(Endpoint::Embeddings, &json!({"input": "Hi"})), None);
    }
}
