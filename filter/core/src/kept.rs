//! What a backend keeps: stored responses, and conversations.
//!
//! The gateway keeps nothing. So the name by which a client knows such a thing says where it is: behind the backend's
//! own name stand the backend and the model by which requests are routed, under a seal that only this gateway can make.
//! A request that refers to it goes to that backend, and to no other.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::codec::splice::Edit;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::wire::to_json;

/// Stands between the backend's own name and the seal. Clients have such names, so it stays as it is.
const SEALED: &str = "__kept_";

/// How many bytes of the code of 32 are in a seal: no client can guess so many.
const CODE: usize = 16;

/// How many bytes of the digest of its name stand for a backend, which only has to be told from the others here.
const TAG: usize = 4;

/// Stands for a backend in a name.
pub type Tag = [u8; TAG];

/// The tag of the backend `namespace/name`.
#[must_use]
pub fn tag(backend: &str) -> Tag {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(backend));
    [a, b, c, d]
}

/// What the names are sealed with. All proxies that serve the same clients have the same.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key([u8; 32]);

/// What a name says.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    /// It is nobody's but the backend's.
    Plain,
    /// It has a seal that was not made with this key.
    Foreign,
    Kept {
        /// The backend's own name for it.
        id: String,
        backend: Tag,
        model: String,
    },
}

impl Key {
    /// The key that follows from `secret`: who reads it in the configuration does not know the secret.
    #[must_use]
    pub fn derived(secret: &[u8]) -> Key {
        Key(code(secret, &[b"names of what backends keep"]))
    }

    /// The name, for clients, of what `backend` calls `id`. It has no letters but those of the name, `A-Z`, `a-z`,
    /// `0-9`, `-` and `_`.
    #[must_use]
    pub fn name(&self, id: &str, backend: &str, model: &str) -> String {
        let tag = tag(backend);
        let code = self.code(id, tag, model);
        let (code, _) = code.split_at(CODE);
        format!("{id}{SEALED}{}", URL_SAFE_NO_PAD.encode([&tag, code, model.as_bytes()].concat()))
    }

    fn read(&self, name: &str) -> Read {
        let Some((id, seal)) = name.rsplit_once(SEALED) else { return Read::Plain };
        self.opened(id, seal).unwrap_or(Read::Foreign)
    }

    fn opened(&self, id: &str, seal: &str) -> Option<Read> {
        let seal = URL_SAFE_NO_PAD.decode(seal).ok()?;
        let (backend, rest) = seal.split_first_chunk::<TAG>()?;
        let (code, model) = rest.split_first_chunk::<CODE>()?;
        let model = std::str::from_utf8(model).ok()?;
        let made = self.code(id, *backend, model);
        // No sooner for a code that is nearly right.
        let differing = made.iter().zip(code).fold(0, |differing, (made, given)| differing | (made ^ given));
        (differing == 0).then(|| Read::Kept { id: id.to_owned(), backend: *backend, model: model.to_owned() })
    }

    fn code(&self, id: &str, backend: Tag, model: &str) -> [u8; 32] {
        // The lengths say which part is which.
        let length = (id.len() as u64).to_be_bytes();
        code(&self.0, &[&length, id.as_bytes(), &backend, model.as_bytes()])
    }
}

fn code(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // It takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

impl From<Key> for String {
    fn from(key: Key) -> String {
        hex::encode(key.0)
    }
}

impl TryFrom<String> for Key {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Key, String> {
        let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Key).ok_or_else(|| "a key is 64 hexadecimal digits".to_owned())
    }
}

/// How clients get to know what one backend keeps.
#[derive(Debug, Clone)]
pub struct Naming {
    /// What is sealed with.
    pub key: Key,
    /// `namespace/name` of the backend.
    pub backend: String,
    /// The model that the client asked for.
    pub model: String,
}

impl Naming {
    /// The name of what the backend calls `id`.
    #[must_use]
    pub fn name(&self, id: &str) -> String {
        self.key.name(id, &self.backend, &self.model)
    }
}

/// Where a request names something that a backend keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In its path.
    Path,
    /// In this member of its body.
    Member(&'static str),
    /// In the member of the second name, within the object that is the member of the first.
    Inside(&'static str, &'static str),
}

/// What a request names there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where.
    pub place: Place,
    /// In the client's words, or in the backend's once it is [`Kept`].
    pub name: String,
}

impl Reference {
    /// What the path of a request names.
    #[must_use]
    pub fn of_path(name: &str) -> Reference {
        Reference { place: Place::Path, name: percent_decode_str(name).decode_utf8_lossy().into_owned() }
    }

    /// 404 for the path, which then names nothing, and 400 for a member.
    fn error(&self, what: &str) -> Error {
        match self.place {
            Place::Path => {
                Error::new(Kind::UnknownPath, format!("there is no such response here: its name{what}"))
            }
            Place::Member(name) => Error::bad_request_at(name.to_owned(), what),
            Place::Inside(outer, inner) => Error::bad_request_at(format!("{outer}.{inner}"), what),
        }
    }
}

/// What a request refers to, all of it at one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// `namespace/name` of the backend.
    pub backend: String,
    /// The model that the client asked for when it was made.
    pub model: String,
    /// Never empty.
    references: Vec<Reference>,
}

impl Kept {
    /// What `references` refer to. `None`: nothing of which the gateway knows where it is.
    ///
    /// # Errors
    ///
    /// 400, or 404 of a path, where it is nowhere that a request could be sent to.
    pub fn of(config: &Config, references: Vec<Reference>) -> Result<Option<Kept>> {
        let mut kept: Option<Kept> = None;
        for reference in references {
            let read = config.kept_key.as_ref().map_or(Read::Plain, |key| key.read(&reference.name));
            let (id, tag, model) = match read {
                Read::Kept { id, backend, model } => (id, backend, model),
                Read::Plain if reference.place != Place::Path => continue,
                Read::Plain => return Err(reference.error(" does not say which backend has it")),
                Read::Foreign => return Err(reference.error(" is none that this gateway has given")),
            };
            let Some(backend) = config.backend_of_tag(tag) else { return Err(reference.error(GONE)) };
            let known = kept.get_or_insert_with(|| Kept {
                backend: backend.to_owned(),
                model,
                references: Vec::new(),
            });
            if known.backend != backend {
                return Err(reference.error(" is kept by another backend than the rest of the request"));
            }
            known.references.push(Reference { name: id, ..reference });
        }
        Ok(kept)
    }

    /// The error of a request for a model that does not have the backend.
    #[must_use]
    pub fn gone(&self) -> Error {
        let first = self.references.first();
        first.map_or_else(|| Error::bad_request(GONE.trim_start()), |reference| reference.error(GONE))
    }

    /// The name in the request's path, as its backend knows it.
    #[must_use]
    pub fn of_path(&self) -> Option<&str> {
        let reference = self.references.iter().find(|reference| reference.place == Place::Path)?;
        Some(&reference.name)
    }

    /// The changes to a body that has the client's names, to have the backend's.
    pub(crate) fn edits(&self) -> impl Iterator<Item = Edit<'static>> {
        self.references.iter().filter_map(|Reference { place, name }| match *place {
            Place::Path => None,
            Place::Member(member) => Some(Edit::set_string(member, name)),
            Place::Inside(outer, inner) => Some(Edit::SetInside(outer, inner, to_json(name).into())),
        })
    }
}

/// What is wrong with a name whose backend the route of the request does not have.
const GONE: &str = " is kept by a backend that does not serve this model any more";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(secret: &str) -> Key {
        Key::derived(secret.as_bytes())
    }

    #[test]
    fn a_name_says_where_it_is_to_who_has_the_key() {
        let key = key("k");
        for (id, model) in [("resp_1", "gpt-5"), ("", ""), ("a__kept_b", "größe/m:1"), ("resp_-_", "__kept_")]
        {
            let name = key.name(id, "default/a", model);
            let kept = Read::Kept { id: id.to_owned(), backend: tag("default/a"), model: model.to_owned() };
            assert_eq!(key.read(&name), kept);
            let seal = name.strip_prefix(id).unwrap();
            assert!(seal.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{name}");
        }
        assert_eq!(key.name("resp_1", "default/a", "gpt-5").len(), 6 + 7 + 34);
    }

    #[test]
    fn no_other_name_is_taken_for_one() {
        let made = key("k").name("resp_1", "default/a", "gpt-5");
        assert_eq!(key("other").read(&made), Read::Foreign);
        assert_eq!(key("k").read("resp_1"), Read::Plain);
        assert_eq!(key("k").read("resp_1__kept_"), Read::Foreign);
        assert_eq!(key("k").read("resp_1__kept_!"), Read::Foreign);
        assert_eq!(key("k").read(&made.replace("resp_1", "resp_2")), Read::Foreign);
        for at in 0..made.len() {
            let mut changed = made.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            let read = key("k").read(&changed);
            assert!(matches!(read, Read::Foreign | Read::Plain), "{changed}: {read:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_named_is_found_again(id in ".*", backend in ".*", model in ".*", other in ".*") {
            let (key, name) = (key("k"), key("k").name(&id, &backend, &model));
            prop_assert_eq!(key.read(&name), Read::Kept { id, backend: tag(&backend), model });
            let read = key.read(&other);
            prop_assert!(matches!(read, Read::Plain | Read::Foreign), "{:?}", read);
        }
    }

    #[test]
    fn a_key_is_written_and_read_and_never_shown() {
        let key = key("k");
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<Key>(&json).unwrap(), key);
        assert!(serde_json::from_str::<Key>(r#""00""#).is_err());
        assert_eq!(format!("{key:?}"), "Key(redacted)");
    }
}
