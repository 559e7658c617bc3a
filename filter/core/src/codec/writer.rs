//! Writes JSON: the same bytes as serde_json, which goes over texts byte by byte for what must be escaped. Here it is
//! many bytes at a time, and names of fields are not looked at.

use serde::Serialize;
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::{Error, Result};

use super::vector::{BLOCK, escaped_bytes, plain_words};

/// What serde_json's raw values call themselves, and their only field: their text is written as it is. It has no public
/// name for that.
pub(crate) const VERBATIM: &str = "$serde_json::private::RawValue";

/// Appends `value`, whose maps must have texts for keys.
///
/// # Errors
///
/// Those of its `Serialize`.
pub(crate) fn write(out: &mut Vec<u8>, value: &impl Serialize) -> Result<()> {
    value.serialize(&mut Writer { out, is_verbatim: false })
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    /// A text that comes now is JSON itself.
    is_verbatim: bool,
}

impl<'o> Writer<'o> {
    fn put(&mut self, json: &str) {
        self.out.extend_from_slice(json.as_bytes());
    }

    /// The names of fields and variants stand in this crate, and have nothing to escape.
    fn name(&mut self, name: &'static str) {
        debug_assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')));
        self.put("\"");
        self.put(name);
        self.put("\":");
    }

    /// Most strings have nothing to escape.
    fn string(&mut self, text: &str) {
        self.put("\"");
        if is_plain(text) {
            self.put(text)
        } else {
            self.escaped(text)
        }
        self.put("\"");
    }

    fn escaped(&mut self, text: &str) {
        let (blocks, rest) = text.as_bytes().as_chunks::<BLOCK>();
        for block in blocks {
            self.block(block, BLOCK);
        }
        let mut last = [b' '; BLOCK];
        if let Some(place) = last.get_mut(..rest.len()) {
            place.copy_from_slice(rest);
        }
        self.block(&last, rest.len());
    }

    /// The first `length` bytes of a part of a string; nothing behind them must be escaped.
    #[inline]
    fn block(&mut self, block: &[u8; BLOCK], length: usize) {
        let mut escaped = escaped_bytes(block);
        let mut from = 0;
        while escaped != 0 {
            let at = escaped.trailing_zeros() as usize;
            self.out.extend_from_slice(block.get(from..at).unwrap_or_default());
            self.escape(block.get(at).copied().unwrap_or_default());
            from = at + 1;
            escaped &= escaped - 1;
        }
        self.out.extend_from_slice(block.get(from..length).unwrap_or_default());
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'"' => self.put("\\\""),
            b'\\' => self.put("\\\\"),
            b'\n' => self.put("\\n"),
            b'\r' => self.put("\\r"),
            b'\t' => self.put("\\t"),
            0x08 => self.put("\\b"),
            0x0c => self.put("\\f"),
            control => self.put(&format!("\\u{control:04x}")),
        }
    }

    fn number(&mut self, value: impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut *self.out, &value)
    }

    fn list<'w>(&'w mut self, begin: &str, end: &'static str) -> Parts<'w, 'o> {
        self.put(begin);
        Parts { writer: self, has_any: false, end }
    }

    /// The same below the name of a variant.
    fn variant<'w>(&'w mut self, name: &'static str, begin: &str, end: &'static str) -> Parts<'w, 'o> {
        self.put("{");
        self.name(name);
        self.list(begin, end)
    }
}

/// Whether a string stands as it is between quotes; false as well for some that would.
#[inline]
fn is_plain(text: &str) -> bool {
    let (blocks, rest) = text.as_bytes().as_chunks::<BLOCK>();
    blocks.iter().all(|block| escaped_bytes(block) == 0) && plain_words(rest) == rest.len()
}

macro_rules! numbers {
    ($($method:ident: $type:ty,)*) => {
        $(fn $method(self, value: $type) -> Result<()> {
            self.number(value)
        })*
    };
}

impl<'w, 'o> Serializer for &'w mut Writer<'o> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Parts<'w, 'o>;
    type SerializeTuple = Parts<'w, 'o>;
    type SerializeTupleStruct = Parts<'w, 'o>;
    type SerializeTupleVariant = Parts<'w, 'o>;
    type SerializeMap = Parts<'w, 'o>;
    type SerializeStruct = Parts<'w, 'o>;
    type SerializeStructVariant = Parts<'w, 'o>;

    numbers! {
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_i128: i128,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_u128: u128,
        serialize_f32: f32,
        serialize_f64: f64,
    }

    fn serialize_bool(self, value: bool) -> Result<()> {
        self.put(if value { "true" } else { "false" });
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<()> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<()> {
        if self.is_verbatim {
            self.put(text)
        } else {
            self.string(text)
        }
        Ok(())
    }

    /// A list of numbers.
    fn serialize_bytes(self, bytes: &[u8]) -> Result<()> {
        bytes.serialize(self)
    }

    fn serialize_none(self) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<()> {
        self.put("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<()> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        let variant = self.variant(variant, "", "}");
        value.serialize(&mut *variant.writer)?;
        variant.finish()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'w, 'o>> {
        Ok(self.list("[", "]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'w, 'o>> {
        Ok(self.list("[", "]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts<'w, 'o>> {
        Ok(self.list("[", "]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'w, 'o>> {
        Ok(self.variant(variant, "[", "]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'w, 'o>> {
        Ok(self.list("{", "}"))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Parts<'w, 'o>> {
        self.is_verbatim = name == VERBATIM;
        Ok(if self.is_verbatim { self.list("", "") } else { self.list("{", "}") })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'w, 'o>> {
        Ok(self.variant(variant, "{", "}}"))
    }
}

/// What is inside of a list or an object.
struct Parts<'w, 'o> {
    writer: &'w mut Writer<'o>,
    has_any: bool,
    end: &'static str,
}

impl Parts<'_, '_> {
    fn separate(&mut self) {
        if std::mem::replace(&mut self.has_any, true) {
            self.writer.put(",");
        }
    }

    fn element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<()> {
        self.separate();
        value.serialize(&mut *self.writer)
    }

    fn field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result<()> {
        if !self.writer.is_verbatim {
            self.separate();
            self.writer.name(name);
        }
        value.serialize(&mut *self.writer)
    }

    fn finish(self) -> Result<()> {
        self.writer.is_verbatim = false;
        self.writer.put(self.end);
        Ok(())
    }
}

macro_rules! parts {
    ($($trait:ident: $method:ident($($name:ident: $type:ty)?) as $as:ident,)*) => {
        $(impl $trait for Parts<'_, '_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: ?Sized + Serialize>(&mut self, $($name: $type,)? value: &T) -> Result<()> {
                self.$as($($name,)? value)
            }

            fn end(self) -> Result<()> {
                self.finish()
            }
        })*
    };
}

parts! {
    SerializeSeq: serialize_element() as element,
    SerializeTuple: serialize_element() as element,
    SerializeTupleStruct: serialize_field() as element,
    SerializeTupleVariant: serialize_field() as element,
    SerializeStruct: serialize_field(name: &'static str) as field,
    SerializeStructVariant: serialize_field(name: &'static str) as field,
}

impl SerializeMap for Parts<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<()> {
        self.element(key)?;
        debug_assert!(self.writer.out.ends_with(b"\""), "a key is a text");
        Ok(())
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<()> {
        self.writer.put(":");
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<()> {
        self.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;
    use crate::codec::testing::value;

    fn written(value: &impl Serialize) -> String {
        let mut out = Vec::new();
        write(&mut out, value).unwrap();
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn values_are_written_as_serde_json_writes_them(value in value()) {
            prop_assert_eq!(written(&value), value.to_string());
        }

        #[test]
        fn so_are_texts(text in "[ -~]{0,70}|[a\"\\\\\n\r\t\u{8}\u{c}\u{0}\u{1f}\u{7f}\u{80}é😀]{0,70}") {
            prop_assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
        }
    }

    /// All that serde knows.
    #[derive(Serialize)]
    struct All<'a> {
        signed: (i8, i16, i32, i64, i128),
        unsigned: (u8, u16, u32, u64, u128),
        floats: (f32, f64, f64),
        letters: [char; 2],
        nothing: Option<()>,
        something: Option<bool>,
        unit: Unit,
        newtype: Newtype,
        pair: Pair,
        #[serde(rename = "renamed-field")]
        variants: [Variant; 4],
        map: BTreeMap<&'a str, Vec<u8>>,
        empty: (BTreeMap<&'a str, u8>, [u8; 0], Tagged<'a>),
        #[serde(skip_serializing_if = "Option::is_none")]
        skipped: Option<u8>,
        raw: &'a RawValue,
        owned: Box<RawValue>,
        #[serde(flatten)]
        rest: Tagged<'a>,
    }

    #[derive(Serialize)]
    struct Unit;

    #[derive(Serialize)]
    struct Newtype(String);

    #[derive(Serialize)]
    struct Pair(u8, String);

    #[derive(Serialize)]
    enum Variant {
        Unit,
        Newtype(u8),
        Tuple(u8, u8),
        Struct { a: u8, b: Option<u8> },
    }

    #[derive(Serialize)]
    #[serde(tag = "type", rename_all = "snake_case")]
    enum Tagged<'a> {
        Nothing,
        SomeText { text: &'a str, raw: &'a RawValue },
    }

    /// Raw values, too: that serde_json still calls them [`VERBATIM`].
    #[test]
    fn every_type_is_written_as_serde_json_writes_it() {
        let raw: &RawValue = serde_json::from_str(r#"{"a": 1.50, "b" :"\u0041"}"#).unwrap();
        let all = All {
            signed: (-8, -16, -32, -64, -128),
            unsigned: (8, 16, 32, u64::MAX, u128::MAX),
            floats: (0.1, 1e300, f64::NAN),
            letters: ['a', '"'],
            nothing: None,
            something: Some(true),
            unit: Unit,
            newtype: Newtype("n\n".to_owned()),
            pair: Pair(1, "p".to_owned()),
            variants: [
                Variant::Unit,
                Variant::Newtype(1),
                Variant::Tuple(1, 2),
                Variant::Struct { a: 1, b: None },
            ],
            map: BTreeMap::from([("a\"b", vec![1, 2]), ("c", vec![])]),
            empty: (BTreeMap::new(), [], Tagged::Nothing),
            skipped: None,
            raw,
            owned: raw.to_owned(),
            rest: Tagged::SomeText { text: "t", raw },
        };
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(written(&all), json);
        assert!(
            json.contains(r#""raw":{"a": 1.50, "b" :"\u0041"},"owned":{"a": 1.50, "b" :"\u0041"}"#),
            "{json}"
        );
    }
}
