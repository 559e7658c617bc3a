//! JSON that stays text: nobody here reads it, or only its outermost members.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr2;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::chat::Verbatim;
use crate::codec::text::with_whole_characters;
use crate::codec::writer::VERBATIM;

/// JSON that was read as such, as it was written: a [`RawValue`] that serde_json has not read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// `json` must have been read, or written here.
    pub(crate) fn new(json: &'a str) -> Self {
        Self(json)
    }

    /// The JSON.
    pub(crate) fn get(self) -> &'a str {
        self.0
    }
}

impl<'a> From<&'a Verbatim> for Raw<'a> {
    fn from(json: &'a Verbatim) -> Self {
        Self(json.get())
    }
}

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut verbatim = serializer.serialize_struct(VERBATIM, 1)?;
        verbatim.serialize_field(VERBATIM, self.0)?;
        verbatim.end()
    }
}

/// The members of an object in their order, each value as its own text.
#[derive(Debug, Default)]
pub(crate) struct Members<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The members of `object`; none if it is no object.
    pub(crate) fn of(object: &'a str) -> Self {
        serde_json::from_str(object).unwrap_or_default()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = object.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The name of a member, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Name<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A struct of an object's members that keeps in `rest` those it has no field for, so that they can be told. Of those
/// in the list behind it nobody misses anything. `null` is nothing, as everywhere.
macro_rules! with_rest {
    ($(#[$meta:meta])* struct $struct:ident<$a:lifetime> { $($name:literal => $field:ident: $type:ty,)* } $unsaid:expr) => {
        $(#[$meta])*
        #[derive(Default)]
        pub(super) struct $struct<$a> {
            $(pub(super) $field: Option<$type>,)*
            pub(super) rest: Vec<(String, &$a serde_json::value::RawValue)>,
        }

        impl<'de: $a, $a> serde::Deserialize<'de> for $struct<$a> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                struct Collect<$a>(std::marker::PhantomData<&$a ()>);

                impl<'de: $a, $a> serde::de::Visitor<'de> for Collect<$a> {
                    type Value = $struct<$a>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut object: A) -> std::result::Result<Self::Value, A::Error> {
                        const UNSAID: &[&str] = $unsaid;
                        let mut read = $struct::default();
                        while let Some(crate::wire::raw::Name(name)) = object.next_key()? {
                            match &*name {
                                $($name => read.$field = object.next_value()?,)*
                                unsaid if UNSAID.contains(&unsaid) => {
                                    object.next_value::<serde::de::IgnoredAny>()?;
                                }
                                _ => {
                                    let value: Option<_> = object.next_value()?;
                                    read.rest.extend(value.map(|value| (name.into_owned(), value)));
                                }
                            }
                        }
                        Ok(read)
                    }
                }
                deserializer.deserialize_map(Collect(std::marker::PhantomData))
            }
        }
    };
}
pub(crate) use with_rest;

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// JSON without the space between its tokens; the tokens stay as the provider wrote them.
pub(crate) fn compact(json: &RawValue) -> String {
    compact_text(json.get())
}

/// The same of a text that is known to be JSON.
pub(crate) fn compact_text(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    // Most has no space at all, and is copied in one piece.
    while let Some((tokens, behind)) = rest.split_at_checked(before_space(rest)).filter(|_| !rest.is_empty())
    {
        out.push_str(tokens);
        rest = behind.trim_ascii_start();
    }
    out
}

/// Where the first space between tokens is.
fn before_space(json: &str) -> usize {
    let mut rest = json.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        match byte {
            b'"' => rest = after_string(after),
            b' ' | b'\n' | b'\t' | b'\r' => break,
            _ => rest = after,
        }
    }
    json.len().saturating_sub(rest.len())
}

/// What follows the string whose opening quote was just read.
pub(super) fn after_string(mut rest: &[u8]) -> &[u8] {
    while let Some(found) = memchr2(b'"', b'\\', rest) {
        let (is_end, skip) = match rest.get(found) {
            Some(b'\\') => (false, 2),
            _ => (true, 1),
        };
        rest = rest.get(found.saturating_add(skip)..).unwrap_or_default();
        if is_end {
            return rest;
        }
    }
    &[]
}

/// Why the arguments of a call are not what the client wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    /// They were no object: they are text inside of one.
    NoObject,
    /// An escaped half of a surrogate pair is no character: U+FFFD stands for it.
    HalfCharacter,
}

/// The arguments of a call as an object. Models leave them empty for tools that take none; text that is no object, such
/// as one that the limit of tokens cut, becomes `{"arguments": TEXT}`.
pub(crate) fn arguments(text: &str) -> (Cow<'_, RawValue>, Option<Changed>) {
    let trimmed = match text.trim() {
        "" => "{}",
        trimmed => trimmed,
    };
    if trimmed.starts_with('{')
        && let Ok(object) = serde_json::from_str::<&RawValue>(trimmed)
    {
        return match with_whole_characters(trimmed.as_bytes()) {
            Cow::Borrowed(_) => (Cow::Borrowed(object), None),
            Cow::Owned(whole) => (held(&whole, object), Some(Changed::HalfCharacter)),
        };
    }
    // It cannot fail: the key is text, and so is the value.
    let object = to_raw_value(&serde_json::json!({ "arguments": text }));
    (object.map_or(Cow::Borrowed(RawValue::NULL), Cow::Owned), Some(Changed::NoObject))
}

/// `json`, or `otherwise` if it should not be JSON.
fn held<'a>(json: &[u8], otherwise: &'a RawValue) -> Cow<'a, RawValue> {
    serde_json::from_slice::<Box<RawValue>>(json).map_or(Cow::Borrowed(otherwise), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_keeps_what_is_in_strings() {
        let json = "{ \"a b\" :\n[1.0, \"\\\\\" , \"x \\\" y\", 10000000000000000000000 ] }";
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        assert_eq!(compact(raw), r#"{"a b":[1.0,"\\","x \" y",10000000000000000000000]}"#);
    }

    #[test]
    fn members_keep_every_character() {
        let raw = r#"{"max":18446744073709551616,"min":-0,"big":1e400,"one":1.0,"s":"\u0041"}"#;
        assert_eq!(serde_json::to_string(&Members::of(raw)).unwrap(), raw);
    }
}
