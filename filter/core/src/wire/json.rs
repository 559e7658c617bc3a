//! A request's JSON as a tree. Names and texts without escapes stay in the body, and what is only sent on stays text: a
//! tree holds numbers as 64 bits and would lose digits of a schema's bounds.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

use super::raw::{Raw, compact_text};

/// A JSON value.
#[derive(Debug, Default)]
pub(crate) enum Json<'j> {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'j, str>),
    Array(Vec<Json<'j>>),
    Object(Vec<Member<'j>>),
    /// What stayed text, see [`Shape::Text`].
    Text(Raw<'j>),
}

/// A member of an object; in each of them names differ.
pub(crate) type Member<'j> = (Cow<'j, str>, Json<'j>);

impl Json<'_> {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Json::Null)
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_number(&self) -> Option<&Number> {
        match self {
            Json::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The member `name` of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Json::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }
}

impl fmt::Display for Json<'_> {
    /// Without space between its tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(value) => serializer.serialize_bool(*value),
            Json::Number(number) => number.serialize(serializer),
            Json::String(text) => serializer.serialize_str(text),
            Json::Array(list) => serializer.collect_seq(list),
            Json::Object(members) => serializer.collect_map(members.iter().map(|(key, value)| (key, value))),
            Json::Text(text) => Raw::new(&compact_text(text.get())).serialize(serializer),
        }
    }
}

impl PartialEq<Value> for Json<'_> {
    fn eq(&self, value: &Value) -> bool {
        match (self, value) {
            (Json::Null, Value::Null) => true,
            (Json::Bool(own), Value::Bool(other)) => own == other,
            (Json::Number(own), Value::Number(other)) => own == other,
            (Json::String(own), Value::String(other)) => own == other,
            (Json::Array(own), Value::Array(other)) => own == other,
            (Json::Object(own), Value::Object(other)) => {
                let is_same =
                    |(name, value): &Member<'_>| other.get(&**name).is_some_and(|other| value == other);
                own.len() == other.len() && own.iter().all(is_same)
            }
            (Json::Text(own), other) => {
                serde_json::from_str::<Value>(own.get()).is_ok_and(|own| own == *other)
            }
            _ => false,
        }
    }
}

impl From<Json<'_>> for Value {
    fn from(json: Json<'_>) -> Self {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(value),
            Json::Number(number) => Value::Number(number),
            Json::String(text) => Value::String(text.into_owned()),
            Json::Array(list) => list.into_iter().map(Value::from).collect(),
            Json::Object(members) => {
                members.into_iter().map(|(key, value)| (key.into_owned(), Value::from(value))).collect()
            }
            Json::Text(text) => serde_json::from_str(text.get()).unwrap_or_default(),
        }
    }
}

/// Which values of a document stay text, but for `null`.
pub(crate) enum Shape {
    /// Nothing in here.
    Tree,
    /// This value.
    Text,
    /// What is in these members.
    Members(&'static [(&'static str, Shape)]),
    /// What is in each element.
    Elements(&'static Shape),
}
