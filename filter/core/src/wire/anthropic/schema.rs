//! The schema of a tool's arguments, which Anthropic wants to be an object's; OpenAI lets clients leave that, or all of
//! it, out. Every value of it is written as the client wrote it.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::rules::{Rule, takes_property};
use crate::chat::Losses;
use crate::codec::reader::Reader;
use crate::wire::fields::Path;
use crate::wire::raw::{Members, Raw};

/// `input_schema`.
pub(in crate::wire) enum InputSchema<'a> {
    /// As the client wrote it.
    Same(Seen<'a>),
    /// Its members, where some are not the client's.
    Changed(Vec<(Cow<'a, str>, Cow<'a, RawValue>)>),
}

impl InputSchema<'_> {
    /// The first property at its top that Claude does not take.
    pub(super) fn odd_property(&self) -> Option<String> {
        let properties = match self {
            InputSchema::Same(seen) if !seen.has_odd_property => return None,
            InputSchema::Same(seen) => Members::of(seen.schema.get()).get("properties")?.get(),
            InputSchema::Changed(members) => members.iter().find(|(key, _)| key == "properties")?.1.get(),
        };
        let mut names = Members::of(properties).0.into_iter().map(|(name, _)| name);
        names.find(|name| !takes_property(name)).map(Cow::into_owned)
    }
}

/// What there is to know of a schema, found in one look at it.
pub(in crate::wire) struct Seen<'a> {
    schema: Raw<'a>,
    /// Anthropic takes it as it is: an object's, without a union at its top.
    is_plain: bool,
    has_odd_property: bool,
}

impl<'a> Seen<'a> {
    fn of(schema: Raw<'a>) -> Self {
        let (mut is_object, mut has_union, mut has_odd_property) = (None, false, false);
        let read = Reader::new(schema.get().as_bytes()).members(|reader, name| match name {
            b"type" => {
                is_object = is_object.or(Some(reader.raw()? == Some(br#""object""#)));
                Some(())
            }
            b"properties" => reader.members(|reader, name| {
                has_odd_property |= !std::str::from_utf8(name).is_ok_and(takes_property);
                reader.skip()
            }),
            name => {
                has_union |= UNIONS.iter().any(|union| union.as_bytes() == name);
                reader.skip()
            }
        });
        let is_plain = read.is_some() && is_object == Some(true) && !has_union;
        Self { schema, is_plain, has_odd_property }
    }
}

impl Serialize for InputSchema<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            InputSchema::Same(seen) => seen.schema.serialize(serializer),
            InputSchema::Changed(members) => {
                serializer.collect_map(members.iter().map(|(key, value)| (key, value)))
            }
        }
    }
}

const UNIONS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// The schema for a tool's `parameters` at `path`. Unions at its top become one object with the properties of all, so
/// that the model still knows of each; which go together it is not told any more.
pub(in crate::wire) fn input_schema<'a>(
    path: &Path<'_>,
    parameters: Option<Raw<'a>>,
    losses: &mut Losses,
) -> InputSchema<'a> {
    if let Some(seen) = parameters.map(Seen::of).filter(|seen| seen.is_plain) {
        return InputSchema::Same(seen);
    }
    let members = Members::of(parameters.map_or(r#"{"properties":{}}"#, Raw::get));
    let mut out = Vec::with_capacity(members.0.len().saturating_add(1));
    let kind = members.get("type");
    let is_object = kind.is_some_and(|kind| kind.get() == r#""object""#);
    if !is_object {
        out.push((Cow::Borrowed("type"), owned("object")));
        if kind.is_some() {
            losses.add(Path::Key(path, "type"), Rule::SchemaType);
        }
    }
    let joined = Joined::of(&members);
    if joined.is_some() {
        losses.add(path, Rule::SchemaUnion);
    }
    for (key, value) in members.0 {
        let is_replaced = match &*key {
            "type" => !is_object,
            "properties" | "required" => joined.is_some(),
            key => UNIONS.contains(&key),
        };
        if !is_replaced {
            out.push((key, Cow::Borrowed(value)));
        }
    }
    if let Some(joined) = joined {
        out.push((Cow::Borrowed("properties"), owned(&joined.properties)));
        if !joined.required.is_empty() {
            out.push((Cow::Borrowed("required"), owned(&joined.required)));
        }
    }
    InputSchema::Changed(out)
}

fn owned<'a>(value: impl Serialize) -> Cow<'a, RawValue> {
    // It cannot fail: there are no maps but of text.
    to_raw_value(&value).map_or(Cow::Borrowed(RawValue::NULL), Cow::Owned)
}

/// What the object and the branches of its unions have.
#[derive(Default)]
struct Joined<'a> {
    properties: Members<'a>,
    required: Vec<String>,
}

impl<'a> Joined<'a> {
    /// `None` where there is no union.
    fn of(schema: &Members<'a>) -> Option<Self> {
        let unions: Vec<_> = UNIONS.into_iter().filter_map(|name| Some((name, schema.get(name)?))).collect();
        if unions.is_empty() {
            return None;
        }
        let mut joined = Joined::default();
        joined.add(schema, true);
        for (name, branches) in unions {
            let branches: Vec<&'a RawValue> = serde_json::from_str(branches.get()).unwrap_or_default();
            for branch in branches {
                joined.add(&Members::of(branch.get()), name == "allOf");
            }
        }
        Some(joined)
    }

    fn add(&mut self, schema: &Members<'a>, is_required: bool) {
        let properties = schema.get("properties").map(|raw| Members::of(raw.get())).unwrap_or_default();
        for (name, property) in properties.0 {
            if self.properties.get(&name).is_none() {
                self.properties.0.push((name, property));
            }
        }
        let required = schema.get("required").filter(|_| is_required);
        let required: Option<Vec<String>> = required.and_then(|raw| serde_json::from_str(raw.get()).ok());
        for name in required.unwrap_or_default() {
            if !self.required.contains(&name) {
                self.required.push(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(parameters: Option<&str>) -> (String, usize) {
        let mut losses = Losses::default();
        let parameters = parameters.map(Raw::new);
        let schema = input_schema(&Path::Root, parameters, &mut losses);
        (serde_json::to_string(&schema).unwrap(), losses.count())
    }

    #[test]
    fn every_digit_and_the_order_stay() {
        let schema = r#"{"type":"object","properties":{"n":{"maximum":18446744073709551616,"minimum":-0,"multipleOf":1.0}},"$defs":{}}"#;
        assert_eq!(sent(Some(schema)), (schema.to_owned(), 0));
        assert_eq!(sent(Some("{}")), (r#"{"type":"object"}"#.to_owned(), 0));
        assert_eq!(sent(None), (r#"{"type":"object","properties":{}}"#.to_owned(), 0));
    }

    #[test]
    fn unions_at_the_top_are_joined() {
        let schema = r#"{"type":["object","null"],"properties":{"a":{}},"required":["a"],"oneOf":[{"required":["b"],"properties":{"b":{"minimum":1.50}}},true],"allOf":[{"properties":{"a":1,"c":{}},"required":["c"]}],"title":"t"}"#;
        let joined = r#"{"type":"object","title":"t","properties":{"a":{},"c":{},"b":{"minimum":1.50}},"required":["a","c"]}"#;
        assert_eq!(sent(Some(schema)), (joined.to_owned(), 2));
    }
}
