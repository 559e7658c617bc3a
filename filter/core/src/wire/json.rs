//! A request's JSON as a tree. Names and texts without escapes stay in the body, and what is only sent on stays text: a
//! tree holds numbers as 64 bits and would lose digits of a schema's bounds.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fmt;

use memchr::memchr2;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use super::raw::compact;

/// The most JSON values of a request, names included. A value of one byte takes some sixty once it is parsed, so
/// without this limit a body that passes the limit on bytes could still use up the worker's memory. Long conversations
/// have thousands.
pub(super) const MAX_VALUES: usize = 500_000;

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
    Text(&'j RawValue),
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
            Json::Text(text) => {
                RawValue::from_string(compact(text)).map_err(S::Error::custom)?.serialize(serializer)
            }
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

/// Builds a tree. Where another type stands than the shape has, all of it is tree.
pub(super) struct Tree<'s> {
    shape: &'s Shape,
    /// How many values there were, names included.
    count: &'s Cell<usize>,
}

impl<'s> Tree<'s> {
    /// Stops where `count` has become more than [`MAX_VALUES`].
    pub(super) fn new(shape: &'s Shape, count: &'s Cell<usize>) -> Self {
        Self { shape, count }
    }

    fn within(&self, shape: &'s Shape) -> Self {
        Self { shape, count: self.count }
    }

    fn count<E: Error>(&self, values: usize) -> Result<(), E> {
        self.count.set(self.count.get().saturating_add(values));
        if self.count.get() > MAX_VALUES { Err(E::custom("too many values")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        if !matches!(self.shape, Shape::Text) {
            self.count(1)?;
            return deserializer.deserialize_any(self);
        }
        let text = <&RawValue>::deserialize(deserializer)?;
        self.count(count_values(text.get().as_bytes()))?;
        Ok(if text.get() == "null" { Json::Null } else { Json::Text(text) })
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(value)))
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json<'de>, A::Error> {
        let shape = if let Shape::Elements(shape) = self.shape { shape } else { &Shape::Tree };
        let mut elements = Vec::new();
        while let Some(element) = list.next_element_seed(self.within(shape))? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json<'de>, A::Error> {
        let shapes = if let Shape::Members(shapes) = self.shape { *shapes } else { &[] };
        let mut members = Vec::new();
        while let Some(Name(key)) = object.next_key()? {
            self.count(1)?;
            let shape = shapes.iter().find(|(name, _)| *name == key).map_or(&Shape::Tree, |(_, shape)| shape);
            members.push((key, object.next_value_seed(self.within(shape))?));
        }
        Ok(Json::Object(without_doubles(members)))
    }
}

/// The name of a member, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Name<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// The most members that are compared with each other one by one.
const FEW: usize = 16;

/// Of the members of one name the last one counts, at the place of the first, as in most parsers.
fn without_doubles(members: Vec<Member<'_>>) -> Vec<Member<'_>> {
    let names = || members.iter().map(|(name, _)| name);
    let is_unique = if members.len() <= FEW {
        names().enumerate().all(|(at, name)| names().take(at).all(|before| before != name))
    } else {
        let mut seen = HashSet::with_capacity(members.len());
        names().all(|name| seen.insert(name))
    };
    if is_unique {
        return members;
    }
    let mut places = HashMap::new();
    let mut unique: Vec<Member<'_>> = Vec::with_capacity(members.len());
    for (name, value) in members {
        let place = *places.entry(name.clone()).or_insert(unique.len());
        match unique.get_mut(place) {
            Some((_, earlier)) => *earlier = value,
            None => unique.push((name, value)),
        }
    }
    unique
}

/// How many values `json` has at most: each but the first comes after one of `[{,:`, and in a string these do not
/// count.
fn count_values(json: &[u8]) -> usize {
    let mut count: usize = 1;
    let mut rest = json;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'[' | b'{' | b',' | b':' => count = count.saturating_add(1),
            b'"' => rest = after_string(rest),
            _ => {}
        }
    }
    count
}

/// What follows the string whose opening quote was just read.
fn after_string(mut rest: &[u8]) -> &[u8] {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed<'j>(shape: &Shape, json: &'j str) -> Json<'j> {
        let count = Cell::new(0);
        Tree::new(shape, &count).deserialize(&mut serde_json::Deserializer::from_str(json)).unwrap()
    }

    #[test]
    fn values_in_strings_do_not_count() {
        assert_eq!(count_values(br#"{"a,b":[1,2,{"c":"\\"}],"d":"[\",,,"}"#), 10);
        assert_eq!(count_values(b"\"open ,,,\\"), 1);
    }

    #[test]
    fn what_has_no_escapes_stays_in_the_body() {
        let Json::Object(members) = parsed(&Shape::Tree, r#"{"a":"b","\u0063":"\n"}"#) else { panic!() };
        let is_borrowed = |text: &Cow<'_, str>| matches!(text, Cow::Borrowed(_));
        let found: Vec<(bool, bool)> = members
            .iter()
            .map(|(name, value)| {
                (is_borrowed(name), matches!(value, Json::String(text) if is_borrowed(text)))
            })
            .collect();
        assert_eq!(found, [(true, true), (false, false)]);
    }

    #[test]
    fn what_stays_text_keeps_every_character() {
        static SHAPE: Shape = Shape::Members(&[
            ("a", Shape::Elements(&Shape::Members(&[("raw", Shape::Text)]))),
            ("n", Shape::Text),
        ]);
        let json = r#"{"a":[{"raw":{"max":18446744073709551616, "min":-0,"big":1e400,"one":1.0,"s":"\u0041"},"tree":[1,null]}],"n":null,"raw":{"x":1.50}}"#;
        let value = parsed(&SHAPE, json);
        let raw = r#"{"max":18446744073709551616, "min":-0,"big":1e400,"one":1.0,"s":"\u0041"}"#;
        assert_eq!(value.to_string(), json.replace("1.50", "1.5").replace(", ", ","));
        let Some(Json::Array(a)) = value.get("a") else { panic!() };
        assert!(matches!(a[0].get("raw"), Some(Json::Text(text)) if text.get() == raw));
        assert!(a[0].get("tree").is_some_and(|tree| *tree == json!([1, null])));
        assert!(matches!((value.get("n"), value.get("raw")), (Some(Json::Null), Some(Json::Object(_)))));
    }

    #[test]
    fn of_the_members_of_one_name_the_last_one_counts() {
        let many: Vec<String> = (0..FEW).map(|number| format!(r#""{number}":0"#)).collect();
        for rest in [String::new(), format!(",{}", many.join(","))] {
            let json = format!(r#"{{"a":1,"b":2,"\u0061":[3],"a":4,"c":5{rest}}}"#);
            let expected = format!(r#"{{"a":4,"b":2,"c":5{rest}}}"#);
            assert_eq!(parsed(&Shape::Tree, &json).to_string(), expected);
        }
    }
}
