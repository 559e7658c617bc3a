//! What a backend keeps: stored responses, and conversations.
//!
//! The gateway keeps nothing. So the name by which a client knows such a thing says where it is: behind the backend's
//! own name stand the backend and the model by which requests are routed, under a seal that only this gateway can make.
//! A request that refers to it goes to that backend, and to no other.
//!
//! Where there are several backends, the items of a response have such names too, without a model, and what only the
//! backend that made it can read has one before it.

use std::cell::RefCell;
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
pub(crate) const SEALED: &str = "__kept_";

/// How many bytes of the code of 32 are in a seal: no client can guess so many.
const CODE: usize = 16;

/// How many bytes of the digest of its name stand for a backend, which only has to be told from the others here.
const TAG: usize = 4;

/// How long the name of nothing is, which stands before what only one backend can read: [`SEALED`], and in Base64 the
/// tag and the code.
const MARK: usize = SEALED.len() + (TAG + CODE).div_ceil(3) * 4 - 1;

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

    /// The backend that made what `name` is the name of. `None`: this key's seal is not in it.
    pub(crate) fn maker(&self, name: &str) -> Option<Tag> {
        match self.read(name) {
            Read::Kept { backend, .. } => Some(backend),
            Read::Plain | Read::Foreign => None,
        }
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
        let (made, _) = made.split_first_chunk::<CODE>()?;
        // No sooner for a code that is nearly right. Not byte by byte, for the reason in `crate::token`.
        let differing = u128::from_le_bytes(*made) ^ u128::from_le_bytes(*code);
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

/// A text of a client's, parted: the mark of the backend that made it, and what that made. `None`: it has no mark.
pub(crate) fn marked(text: &str) -> Option<(&str, &str)> {
    if text.starts_with(SEALED) { text.split_at_checked(MARK) } else { None }
}

/// The backend's own name for what a client calls `name`; whether the seal is sound does not matter where the name
/// leads nowhere.
pub(crate) fn own(name: &str) -> Option<&str> {
    name.rsplit_once(SEALED).map(|(own, _)| own)
}

/// Which of the items of an answer say whose they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Items {
    /// None of its own: there is no other backend.
    None,
    /// What only their backend can read: it keeps none.
    Sealed,
    /// All of them.
    All,
}

/// How clients get to know what one backend keeps.
#[derive(Debug, Clone)]
pub struct Naming {
    key: Key,
    backend: String,
    model: String,
    items: Items,
    /// The item that was named last, and its name: there are many events of one item.
    last: RefCell<Option<(String, String)>>,
}

impl Naming {
    /// For answers of `backend` (`namespace/name`) to who asked for `model`, sealed with `key`.
    #[must_use]
    pub fn new(key: Key, backend: String, model: String, items: Items) -> Naming {
        Naming { key, backend, model, items, last: RefCell::default() }
    }

    /// The name of what the backend calls `id`.
    #[must_use]
    pub fn name(&self, id: &str) -> String {
        self.key.name(id, &self.backend, &self.model)
    }

    /// Which items are named.
    pub(crate) fn items(&self) -> Items {
        self.items
    }

    /// Whether the item that the backend calls `id` gets a name. One with a seal is another gateway's behind this one:
    /// that only sees its own again where there was one more to take off.
    pub(crate) fn names_item(&self, id: &str) -> bool {
        self.items == Items::All || id.contains(SEALED)
    }

    /// Whether `sealed` gets a mark, if it is what only the backend can read.
    pub(crate) fn marks(&self, sealed: &str) -> bool {
        !sealed.is_empty() && (self.items != Items::None || sealed.starts_with(SEALED))
    }

    /// The name of the item that the backend calls `id`.
    pub(crate) fn item(&self, id: &str) -> String {
        let mut last = self.last.borrow_mut();
        match &*last {
            Some((known, name)) if known == id => name.clone(),
            _ => {
                let name = self.key.name(id, &self.backend, "");
                *last = Some((id.to_owned(), name.clone()));
                name
            }
        }
    }

    /// What only the backend can read, with its mark. That says nothing of what follows it: whether it is its own, the
    /// backend itself can tell.
    pub(crate) fn marked(&self, sealed: &str) -> String {
        format!("{}{sealed}", self.key.name("", &self.backend, ""))
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
    /// In this member of the item of this number.
    Item(usize, &'static str),
}

/// Of what use a request is to a backend that does not have what is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Of none.
    Backend,
    /// It has a thought less.
    Thought,
    /// As of any: it says what it names.
    Nothing,
}

/// What a request names there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where.
    pub place: Place,
    /// In the client's words, or in the backend's once it is [`Kept`].
    pub name: String,
    /// What for.
    pub need: Need,
}

impl Reference {
    /// What the path of a request names.
    #[must_use]
    pub fn of_path(name: &str) -> Reference {
        Reference::to(Place::Path, percent_decode_str(name).decode_utf8_lossy().into_owned())
    }

    /// To what no other backend has.
    #[must_use]
    pub fn to(place: Place, name: String) -> Reference {
        Reference { place, name, need: Need::Backend }
    }

    /// 404 for the path, which then names nothing, and 400 for a member.
    fn error(&self, what: &str) -> Error {
        match self.place {
            Place::Path => {
                Error::new(Kind::UnknownPath, format!("there is no such response here: its name{what}"))
            }
            Place::Member(name) => Error::bad_request_at(name.to_owned(), what),
            Place::Inside(outer, inner) => Error::bad_request_at(format!("{outer}.{inner}"), what),
            Place::Item(index, member) => Error::bad_request_at(format!("input[{index}].{member}"), what),
        }
    }
}

/// What a request has of what backends keep.
#[derive(Debug, Default)]
pub struct Found {
    /// What it refers to.
    pub kept: Option<Kept>,
    /// `namespace/name` of the backend that made the latest of its thoughts.
    pub thinker: Option<String>,
    /// Items in its body have names that are the gateway's.
    pub names_items: bool,
}

impl Found {
    /// Where `references` lead.
    ///
    /// # Errors
    ///
    /// As [`Kept::of`].
    pub fn of(config: &Config, references: Vec<Reference>) -> Result<Found> {
        let names_items = references.iter().any(|reference| matches!(reference.place, Place::Item(..)));
        let mut latest = references.iter().rev().filter(|reference| reference.need == Need::Thought);
        let thinker =
            latest.find_map(|thought| config.backend_of_tag(config.kept_key.as_ref()?.maker(&thought.name)?));
        let thinker = thinker.map(str::to_owned);
        let needed = references.into_iter().filter(|reference| reference.need == Need::Backend).collect();
        Ok(Found { kept: Kept::of(config, needed)?, thinker, names_items })
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
    fn of(config: &Config, references: Vec<Reference>) -> Result<Option<Kept>> {
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
        self.references.iter().filter_map(|Reference { place, name, .. }| match *place {
            // Items are looked at one by one.
            Place::Path | Place::Item(..) => None,
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
    fn what_one_backend_alone_can_read_says_whose_it_is() {
        for model in ["gpt", ""] {
            let naming = Naming::new(key("k"), "default/a".to_owned(), model.to_owned(), Items::All);
            let text = naming.marked("gAAAA__kept_x=");
            let (mark, sealed) = marked(&text).unwrap();
            assert_eq!(sealed, "gAAAA__kept_x=");
            assert_eq!(key("k").maker(mark), Some(tag("default/a")));
            assert_eq!(key("other").maker(mark), None);
        }
        for text in ["", "gAAAA", "__kept_", "gAAAA__kept_", "__kept_AAAAAAAAAAAAAAAAAAAAAAAAAAé"] {
            assert_eq!(marked(text), None, "{text}");
        }
    }

    #[test]
    fn each_item_has_a_name_of_its_own() {
        let naming = Naming::new(key("k"), "default/a".to_owned(), "gpt".to_owned(), Items::All);
        for id in ["msg_1", "msg_1", "rs_1", "msg_1"] {
            let name = naming.item(id);
            assert_eq!((own(&name), key("k").maker(&name)), (Some(id), Some(tag("default/a"))));
        }
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
