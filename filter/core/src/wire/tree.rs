//! Builds the tree of a request's JSON, in one scan that checks all of it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::json::{Json, Member, Shape};
use super::raw::{Raw, after_string, compact_text};
use crate::codec::json::{MAX_DEPTH, ScanError};
use crate::codec::key::{Key, unescaped};
use crate::codec::scanner::Scanner;

/// The most JSON values of a request, names included. A value of one byte takes some sixty once it is parsed, so
/// without this limit a body that passes the limit on bytes could still use up the worker's memory. Long conversations
/// have thousands.
pub(super) const MAX_VALUES: usize = 500_000;

/// Why there is no tree of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoTree {
    /// It has more than [`MAX_VALUES`].
    TooManyValues,
    /// It is not JSON.
    NotJson,
}

impl From<ScanError> for NoTree {
    fn from(_: ScanError) -> Self {
        NoTree::NotJson
    }
}

/// The tree of `text`, which must be what serde_json takes. An escaped half of a surrogate pair is read as U+FFFD.
pub(super) fn tree<'j>(text: &'j str, shape: &Shape) -> Result<Json<'j>, NoTree> {
    Builder::new(text).all(shape)
}

/// A member of the outermost object as it is written.
pub(crate) struct Written<'j> {
    pub(crate) name: Cow<'j, str>,
    json: &'j str,
    /// There is space between the tokens of its value.
    has_space: bool,
}

impl Written<'_> {
    pub(crate) fn is_null(&self) -> bool {
        self.json == "null"
    }

    /// Its value without space between its tokens.
    pub(crate) fn compact(&self) -> String {
        if self.has_space { compact_text(self.json) } else { self.json.to_owned() }
    }
}

/// The tree of `text`, and all members of its outermost object.
pub(super) fn tree_as_written<'j>(
    text: &'j str,
    shape: &Shape,
) -> Result<(Json<'j>, Vec<Written<'j>>), NoTree> {
    let mut written = Vec::new();
    let tree = Builder { written: Some(&mut written), ..Builder::new(text) }.all(shape)?;
    Ok((tree, written))
}

struct Builder<'j, 'w> {
    text: &'j str,
    scanner: Scanner<'j>,
    /// How many values there were, names included.
    count: usize,
    /// Where the members of the outermost object go to, should they be wanted.
    written: Option<&'w mut Vec<Written<'j>>>,
}

impl<'j> Builder<'j, '_> {
    fn new(text: &'j str) -> Self {
        Self { text, scanner: Scanner::new(text.as_bytes(), 0, false), count: 0, written: None }
    }

    fn all(mut self, shape: &Shape) -> Result<Json<'j>, NoTree> {
        let mut value = Json::Null;
        self.value(shape, 0, &mut value)?;
        match self.scanner.skip_whitespace() {
            None => Ok(value),
            Some(_) => Err(NoTree::NotJson),
        }
    }

    /// The next value, which is in `depth` objects and lists. Where another type stands than the shape has, all of it
    /// is tree. It is made in its `place`, which has nothing yet: moves from one to the next take longer than the scan.
    fn value(&mut self, shape: &Shape, depth: u32, place: &mut Json<'j>) -> Result<(), NoTree> {
        let first = self.scanner.skip_whitespace();
        if matches!(shape, Shape::Text) {
            return self.raw(depth, place);
        }
        self.count(1)?;
        match first {
            Some(b'"') => self.string(place)?,
            Some(b'{') => self.object(shape, depth, place)?,
            Some(b'[') => self.array(shape, depth, place)?,
            Some(b't') => {
                self.scanner.word(b"true")?;
                *place = Json::Bool(true);
            }
            Some(b'f') => {
                self.scanner.word(b"false")?;
                *place = Json::Bool(false);
            }
            Some(b'n') => self.scanner.word(b"null")?,
            _ => self.number(place)?,
        }
        Ok(())
    }

    fn object(&mut self, shape: &Shape, depth: u32, place: &mut Json<'j>) -> Result<(), NoTree> {
        let shapes = if let Shape::Members(shapes) = shape { *shapes } else { &[] };
        let mut members = Vec::new();
        let mut is_over = self.begins(b'}', depth)?;
        while !is_over {
            let name = self.name()?;
            let shape = shapes.iter().find(|(known, _)| *known == name);
            let shape = shape.map_or(&Shape::Tree, |(_, shape)| shape);
            self.scanner.skip_whitespace();
            let (start, spaces) = (self.scanner.at, self.scanner.spaces);
            let (name, value) = members.push_mut((name, Json::Null));
            self.value(shape, depth.saturating_add(1), value)?;
            if let Some(written) = self.written.as_mut().filter(|_| depth == 0) {
                let json = self.text.get(start..self.scanner.at).unwrap_or_default();
                written.push(Written { name: name.clone(), json, has_space: self.scanner.spaces > spaces });
            }
            is_over = self.ends(b'}')?;
        }
        *place = Json::Object(without_doubles(members));
        Ok(())
    }

    fn array(&mut self, shape: &Shape, depth: u32, place: &mut Json<'j>) -> Result<(), NoTree> {
        let shape = if let Shape::Elements(shape) = shape { shape } else { &Shape::Tree };
        let mut elements = Vec::new();
        let mut is_over = self.begins(b']', depth)?;
        while !is_over {
            self.value(shape, depth.saturating_add(1), elements.push_mut(Json::Null))?;
            is_over = self.ends(b']')?;
        }
        *place = Json::Array(elements);
        Ok(())
    }

    /// Goes behind an opening bracket; true where the next one closes it, and behind that, too.
    fn begins(&mut self, close: u8, depth: u32) -> Result<bool, NoTree> {
        if depth >= MAX_DEPTH {
            return Err(NoTree::NotJson);
        }
        self.scanner.at += 1;
        let is_empty = self.scanner.skip_whitespace() == Some(close);
        self.scanner.at += usize::from(is_empty);
        Ok(is_empty)
    }

    /// Goes behind what follows an element: a comma, or the bracket that ends them.
    fn ends(&mut self, close: u8) -> Result<bool, NoTree> {
        let found = self.scanner.skip_whitespace();
        let is_over = found == Some(close);
        if !is_over && found != Some(b',') {
            return Err(NoTree::NotJson);
        }
        self.scanner.at += 1;
        Ok(is_over)
    }

    #[inline]
    fn name(&mut self) -> Result<Cow<'j, str>, NoTree> {
        self.count(1)?;
        self.scanner.skip_whitespace();
        let (quote, key) = self.scanner.key()?;
        Ok(self.contents(quote, key))
    }

    fn string(&mut self, place: &mut Json<'j>) -> Result<(), NoTree> {
        let quote = self.scanner.at;
        let string = self.scanner.string()?;
        *place = Json::String(self.contents(quote, string));
        Ok(())
    }

    /// What a string says whose first quote is at `quote`.
    #[inline]
    fn contents(&self, quote: usize, string: Key<'_>) -> Cow<'j, str> {
        let start = quote.saturating_add(1);
        let contents = self.text.get(start..start.saturating_add(string.len())).unwrap_or_default();
        if string.plain { Cow::Borrowed(contents) } else { unescaped(contents) }
    }

    fn number(&mut self, place: &mut Json<'j>) -> Result<(), NoTree> {
        let start = self.scanner.at;
        self.scanner.number()?;
        let number = self.text.get(start..self.scanner.at).unwrap_or_default();
        *place = Json::Number(serde_json::from_str(number).map_err(|_| NoTree::NotJson)?);
        Ok(())
    }

    /// A value that stays text.
    fn raw(&mut self, depth: u32, place: &mut Json<'j>) -> Result<(), NoTree> {
        let start = self.scanner.at;
        self.scanner.value(depth)?;
        let text = self.text.get(start..self.scanner.at).unwrap_or_default();
        self.count(self.values_in(text.as_bytes()))?;
        if text != "null" {
            *place = Json::Text(Raw::new(text));
        }
        Ok(())
    }

    /// How many values `json` has, or none where there cannot be too many: each of them takes a byte.
    fn values_in(&self, json: &[u8]) -> usize {
        if self.text.len() <= MAX_VALUES { 0 } else { count_values(json) }
    }

    fn count(&mut self, values: usize) -> Result<(), NoTree> {
        self.count = self.count.saturating_add(values);
        if self.count > MAX_VALUES { Err(NoTree::TooManyValues) } else { Ok(()) }
    }
}

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::codec::testing::{mutate, mutation, value, written};
    use crate::codec::text::with_whole_characters;

    proptest! {
        /// And reads the same in it.
        #[test]
        fn it_takes_what_serde_json_takes(
            value in value(),
            seed: u64,
            mutations in proptest::collection::vec(mutation(b"{}[]\",:\\ \nu0123456789.-+eEtrufalsn\x7f\x1f"), 0..4),
        ) {
            let text = mutate(written(&value, seed).into_bytes(), &mutations);
            let text = String::from_utf8_lossy(&text);
            let text = with_whole_characters(text.as_bytes());
            let text = std::str::from_utf8(&text).unwrap();
            let (expected, found) = (serde_json::from_str::<Value>(text), tree(text, &Shape::Tree));
            prop_assert_eq!(expected.is_ok(), found.is_ok(), "{}", text);
            if let (Ok(expected), Ok(found)) = (expected, found) {
                prop_assert!(found == expected, "{}", text);
            }
        }
    }

    #[test]
    fn depth_ends_where_serde_json_ends() {
        for depth in [127, 128] {
            let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert_eq!(
                tree(&text, &Shape::Tree).is_ok(),
                serde_json::from_str::<Value>(&text).is_ok(),
                "{depth}"
            );
        }
    }

    #[test]
    fn numbers_are_those_of_serde_json() {
        for number in [
            "0",
            "-0",
            "1",
            "-1",
            "18446744073709551615",
            "18446744073709551616",
            "1.5",
            "1e400",
            "01",
            "1.",
            "-",
        ] {
            let (expected, found) = (serde_json::from_str::<Value>(number), tree(number, &Shape::Tree));
            assert_eq!(expected.ok(), found.ok().map(Value::from), "{number}");
        }
    }

    fn parsed<'j>(shape: &Shape, json: &'j str) -> Json<'j> {
        tree(json, shape).unwrap()
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
    fn members_are_told_as_they_are_written() {
        let json = r#" {"a": {"b":[1.50,"\u0041 x"]}, "\u0063":[ 1 ] ,"a":" ","d" : null} "#;
        let (tree, written) = tree_as_written(json, &Shape::Members(&[("a", Shape::Text)])).unwrap();
        assert_eq!(tree.to_string(), r#"{"a":" ","c":[1],"d":null}"#);
        let written: Vec<_> = written.iter().map(|member| (&*member.name, member.compact())).collect();
        let expected = [("a", r#"{"b":[1.50,"\u0041 x"]}"#), ("c", "[1]"), ("a", r#"" ""#), ("d", "null")];
        assert_eq!(written, expected.map(|(name, json)| (name, json.to_owned())));
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
