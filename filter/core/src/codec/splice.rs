//! Edits top-level members of a JSON body in place.
//!
//! A pass-through changes `model` and little else. What it does not change reaches the backend byte for byte as
//! the client wrote it: number formats, order, whitespace and members nobody here has heard of.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::value::RawValue;

use super::json::{Member, ScanError, walk};
use super::key::Sameness;
use super::text::without_mark;

/// One change to the top level of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit<'a> {
    /// Gives the member of this name this value, which must be JSON (it is not checked here). A member that is not
    /// there is added at the end.
    Set(&'a str, Cow<'a, [u8]>),
    /// Sets the member of the second name within the object that is the member of the first, as in
    /// `stream_options.include_usage`. Where that is absent or null it becomes an object with this one member.
    SetInside(&'a str, &'a str, Cow<'a, [u8]>),
    /// Takes the member out, if it is there.
    Remove(&'a str),
}

impl<'a> Edit<'a> {
    /// Sets a member to a string, quoted and escaped here.
    #[must_use]
    pub fn set_string(name: &'a str, value: &str) -> Self {
        Edit::Set(name, Cow::Owned(quoted(value)))
    }

    fn name(&self) -> &'a str {
        match self {
            Edit::Set(name, _) | Edit::SetInside(name, ..) | Edit::Remove(name) => name,
        }
    }

    /// What the member's value becomes, given where it stands; `None` when it goes.
    fn value<'e>(&'e self, body: &[u8], now: Option<&Member>) -> Result<Option<Cow<'e, [u8]>>, ScanError> {
        let (inner, raw) = match self {
            Edit::Remove(_) => return Ok(None),
            Edit::Set(_, raw) => return Ok(Some(Cow::Borrowed(raw))),
            Edit::SetInside(_, inner, raw) => (inner, raw),
        };
        let value = match now.filter(|member| !member.is_null(body)) {
            Some(member) => edit(member.raw(body), &[Edit::Set(inner, Cow::Borrowed(raw))])
                .map_err(|error| error.shift(member.value.start))?,
            None => [b"{", quoted(inner).as_slice(), b":", raw, b"}"].concat(),
        };
        Ok(Some(Cow::Owned(value)))
    }
}

/// The body after `edits`. Of several edits to one name the last counts.
///
/// `Set` and `SetInside` replace the value where it stands. `Remove` takes out the key, the value and one comma;
/// whitespace stays. Everything else is copied as it is.
///
/// # Errors
///
/// As [`scan`](super::json::scan): also when a member to be edited is there twice, so that an edit cannot be walked
/// round. And [`ScanError::NotAnObject`] when a member is to be set inside of some other value.
pub fn edit(body: &[u8], edits: &[Edit<'_>]) -> Result<Vec<u8>, ScanError> {
    let mut changes = Changes::new(edits);
    let object = walk(body, |visit| {
        let mut edited = None;
        for pending in &mut changes.pending {
            let sameness = visit.key.compare(pending.edit.name());
            if sameness == Sameness::Different {
                continue;
            }
            if std::mem::replace(&mut pending.seen, true) {
                return Err(visit.duplicate(pending.edit.name()));
            }
            if sameness == Sameness::Exact {
                pending.done = true;
                edited = Some(pending.edit);
            }
        }
        changes.member(body, &visit.member, visit.comma_before, edited)
    })?;
    changes.append_missing(body, object.start + 1)?;
    Ok(changes.apply(body))
}

/// The object `body` with `edits`; `None` where there are none, or it cannot be edited.
pub(crate) fn edited(body: &[u8], edits: &[Edit<'_>]) -> Option<Vec<u8>> {
    if edits.is_empty() { None } else { edit(body, edits).ok() }
}

/// The list `raw` with what `change` makes of its elements, which it gets with their index; those that it makes nothing
/// of stay as they are. `None` where all do, or `raw` is no list.
pub(crate) fn elements(
    raw: &[u8],
    mut change: impl FnMut(usize, &[u8]) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    if !raw.starts_with(b"[") {
        return None;
    }
    let elements: Vec<&RawValue> = serde_json::from_slice(raw).ok()?;
    let mut is_changed = false;
    let mut out = Vec::with_capacity(raw.len());
    for (index, raw) in elements.into_iter().enumerate() {
        out.push(if index == 0 { b'[' } else { b',' });
        let raw = raw.get().as_bytes();
        match change(index, raw) {
            Some(new) => {
                is_changed = true;
                out.extend_from_slice(&new);
            }
            None => out.extend_from_slice(raw),
        }
    }
    out.push(b']');
    is_changed.then_some(out)
}

pub(crate) fn quoted(text: &str) -> Vec<u8> {
    // It cannot fail: a text is JSON whatever is in it.
    serde_json::to_vec(text).unwrap_or_default()
}

struct Pending<'e> {
    edit: &'e Edit<'e>,
    /// A key that is the name, or that some backends take for it, came by.
    seen: bool,
    done: bool,
}

/// Collects what to cut out and what to put there while the members go by.
struct Changes<'e> {
    pending: Vec<Pending<'e>>,
    /// In the order of the body, not overlapping.
    cuts: Vec<(Range<usize>, Cow<'e, [u8]>)>,
    any_kept: bool,
    /// The member before was taken out with nothing kept before it, so the comma behind it has to go.
    owes_comma: bool,
    /// Where the last member ends, kept or not.
    end: Option<usize>,
}

impl<'e> Changes<'e> {
    fn new(edits: &'e [Edit<'e>]) -> Self {
        let mut pending: Vec<Pending<'e>> = Vec::with_capacity(edits.len());
        for edit in edits {
            pending.retain(|earlier| earlier.edit.name() != edit.name());
            pending.push(Pending { edit, seen: false, done: false });
        }
        Self { pending, cuts: Vec::new(), any_kept: false, owes_comma: false, end: None }
    }

    fn member(
        &mut self,
        body: &[u8],
        member: &Member,
        comma_before: Option<usize>,
        edit: Option<&'e Edit<'e>>,
    ) -> Result<(), ScanError> {
        let removed = matches!(edit, Some(Edit::Remove(_)));
        // One comma goes with each removed member: the one before it, or the one behind it where nothing before
        // it stays.
        let takes_comma_before = removed && self.any_kept;
        if let Some(comma) = comma_before.filter(|_| self.owes_comma || takes_comma_before) {
            self.cuts.push((comma..comma + 1, Cow::Borrowed(b"")));
        }
        self.owes_comma = removed && !self.any_kept;
        self.any_kept |= !removed;
        self.end = Some(member.entry.end);
        if let Some(edit) = edit {
            self.cuts.push(match edit.value(body, Some(member))? {
                Some(value) => (member.value.clone(), value),
                None => (member.entry.clone(), Cow::Borrowed(b"")),
            });
        }
        Ok(())
    }

    fn append_missing(&mut self, body: &[u8], start_of_members: usize) -> Result<(), ScanError> {
        let mut added = Vec::new();
        for pending in self.pending.iter().filter(|pending| !pending.done) {
            let Some(value) = pending.edit.value(body, None)? else { continue };
            if self.any_kept || !added.is_empty() {
                added.push(b',');
            }
            added.extend(quoted(pending.edit.name()));
            added.push(b':');
            added.extend_from_slice(&value);
        }
        if !added.is_empty() {
            let at = self.end.unwrap_or(start_of_members);
            self.cuts.push((at..at, Cow::Owned(added)));
        }
        Ok(())
    }

    fn apply(self, body: &[u8]) -> Vec<u8> {
        let added: usize = self.cuts.iter().map(|(_, new)| new.len()).sum();
        let mut out = Vec::with_capacity(body.len() + added);
        // Not every parser takes a byte order mark, and a body that is written anew needs none.
        let mut copied = body.len() - without_mark(body).len();
        for (range, new) in &self.cuts {
            out.extend_from_slice(body.get(copied..range.start).unwrap_or_default());
            out.extend_from_slice(new);
            copied = range.end;
        }
        out.extend_from_slice(body.get(copied..).unwrap_or_default());
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;
    use crate::codec::json::tests::{any_json, any_object};

    fn set<'a>(name: &'a str, raw: &'a str) -> Edit<'a> {
        Edit::Set(name, Cow::Borrowed(raw.as_bytes()))
    }

    fn inside<'a>(outer: &'a str, inner: &'a str, raw: &'a str) -> Edit<'a> {
        Edit::SetInside(outer, inner, Cow::Borrowed(raw.as_bytes()))
    }

    fn edited(body: &str, edits: &[Edit<'_>]) -> String {
        String::from_utf8(edit(body.as_bytes(), edits).unwrap()).unwrap()
    }

    #[test]
    fn set_replaces_the_value_and_nothing_else() {
        assert_eq!(edited(r#" {"a": 1.00 ,"b":2}"#, &[set("a", "true")]), r#" {"a": true ,"b":2}"#);
        assert_eq!(edited(r#"{"\u0061":1}"#, &[set("a", "2")]), r#"{"\u0061":2}"#);
        assert_eq!(edited(r#"{"x":{"a":1}, "a" : {}}"#, &[set("a", "2")]), r#"{"x":{"a":1}, "a" : 2}"#);
    }

    #[test]
    fn set_appends_what_is_not_there() {
        assert_eq!(edited("{}", &[set("a", "1")]), r#"{"a":1}"#);
        assert_eq!(edited(" { } ", &[set("a", "1")]), r#" {"a":1 } "#);
        assert_eq!(edited("{\"b\":2\n}", &[set("a", "1"), set("c", "3")]), "{\"b\":2,\"a\":1,\"c\":3\n}");
        assert_eq!(edited("{}", &[set("a\"b", "1")]), r#"{"a\"b":1}"#);
        // A key in another case is another member.
        assert_eq!(edited(r#"{"A":1}"#, &[set("a", "2")]), r#"{"A":1,"a":2}"#);
    }

    #[test]
    fn remove_takes_one_comma() {
        let body = r#"{ "a":1 , "b":2 , "c":3 }"#;
        let remove = Edit::Remove;
        assert_eq!(edited(body, &[remove("a")]), r#"{   "b":2 , "c":3 }"#);
        assert_eq!(edited(body, &[remove("b")]), r#"{ "a":1   , "c":3 }"#);
        assert_eq!(edited(body, &[remove("c")]), r#"{ "a":1 , "b":2   }"#);
        assert_eq!(edited(body, &[remove("x")]), body);
        assert_eq!(edited(r#"{"a":1}"#, &[remove("a")]), "{}");
        let body = r#"{"a":1,"b":2,"c":3}"#;
        assert_eq!(edited(body, &[remove("a"), remove("b")]), r#"{"c":3}"#);
        assert_eq!(edited(body, &[remove("c"), remove("b")]), r#"{"a":1}"#);
        assert_eq!(edited(body, &[remove("a"), remove("c")]), r#"{"b":2}"#);
        assert_eq!(edited(body, &[remove("a"), remove("b"), remove("c")]), "{}");
    }

    #[test]
    fn a_byte_order_mark_does_not_stay() {
        assert_eq!(edited("\u{feff} {\"a\":1}", &[set("a", "2"), set("b", "3")]), r#" {"a":2,"b":3}"#);
        assert_eq!(edited("\u{feff}{}", &[]), "{}");
    }

    #[test]
    fn edits_may_be_mixed() {
        let body = r#"{"a":1,"b":2}"#;
        assert_eq!(edited(body, &[Edit::Remove("b"), set("c", "3")]), r#"{"a":1,"c":3}"#);
        assert_eq!(edited(body, &[Edit::Remove("a"), Edit::Remove("b"), set("c", "3")]), r#"{"c":3}"#);
        assert_eq!(edited(body, &[set("a", "3"), Edit::Remove("a")]), r#"{"b":2}"#);
        assert_eq!(edited(body, &[Edit::Remove("a"), set("a", "3")]), r#"{"a":3,"b":2}"#);
        assert_eq!(edited(body, &[]), body);
        assert_eq!(edited(body, &[Edit::set_string("a", "x\"y")]), r#"{"a":"x\"y","b":2}"#);
    }

    #[test]
    fn a_member_that_is_there_twice_is_refused() {
        let duplicate = |at| Err(ScanError::Duplicate { at, name: "a".into() });
        assert_eq!(edit(br#"{"a":1,"a":2}"#, &[Edit::Remove("a")]), duplicate(7));
        assert_eq!(edit(br#"{"A":1,"a":2}"#, &[set("a", "3")]), duplicate(7));
        assert_eq!(edited(r#"{"b":1,"b":2}"#, &[set("a", "3")]), r#"{"b":1,"b":2,"a":3}"#);
    }

    #[test]
    fn nested_members_are_set_or_created() {
        let nested = |body: &str| {
            edit(body.as_bytes(), &[inside("stream_options", "include_usage", "true")])
                .map(|body| String::from_utf8(body).unwrap())
        };
        let created = r#"{"a":1,"stream_options":{"include_usage":true}}"#;
        assert_eq!(nested(r#"{"a":1}"#).unwrap(), created);
        assert_eq!(nested(r#"{"a":1,"stream_options":null}"#).unwrap(), created);
        assert_eq!(nested(r#"{"a":1,"stream_options":{}}"#).unwrap(), created);
        assert_eq!(nested(r#"{"a":1,"stream_options":{"include_usage":false}}"#).unwrap(), created);
        assert_eq!(
            nested(r#"{"stream_options": {"x": 1} }"#).unwrap(),
            r#"{"stream_options": {"x": 1,"include_usage":true} }"#
        );
        assert_eq!(nested(r#"{"stream_options":1}"#), Err(ScanError::NotAnObject { at: 18 }));
        assert_eq!(
            nested(r#"{"stream_options":{"include_usage":1,"Include_usage":2}}"#),
            Err(ScanError::Duplicate { at: 37, name: "include_usage".into() })
        );
    }

    #[test]
    fn members_are_set_inside_along_with_other_edits() {
        let edits = [set("model", "\"m\""), inside("o", "u", "true")];
        for (body, expected) in [
            (r#"{"model":"x", "o":{"u":false ,"a":1}}"#, r#"{"model":"m", "o":{"u":true ,"a":1}}"#),
            (r#"{"o":{ "a":1},"b":2,"model":"long name"}"#, r#"{"o":{ "a":1,"u":true},"b":2,"model":"m"}"#),
            (r#"{"o":null,"model":"x"}"#, r#"{"o":{"u":true},"model":"m"}"#),
            (r#"{"model":"x"}"#, r#"{"model":"m","o":{"u":true}}"#),
            ("{}", r#"{"model":"m","o":{"u":true}}"#),
        ] {
            assert_eq!(edited(body, &edits), expected);
            let first = edited(body, &edits[..1]);
            assert_eq!(edited(&first, &edits[1..]), expected, "one after the other it is the same");
        }
    }

    /// An object in pieces, with whitespace wherever JSON allows it.
    #[derive(Debug, Clone)]
    struct Spaced {
        members: Vec<[String; 6]>,
        empty: String,
    }

    impl Spaced {
        /// Without the members `removed` and the commas each of them takes along.
        fn text(&self, removed: Option<usize>) -> String {
            let last = self.members.len().saturating_sub(1);
            let comma_of = removed.map(|index| if index == 0 { 0 } else { index - 1 });
            let mut text = String::from("{");
            for (index, [before, key, colon_before, colon_after, value, after]) in
                self.members.iter().enumerate()
            {
                text.push_str(before);
                if removed != Some(index) {
                    text.extend([key, colon_before, ":", colon_after, value]);
                }
                text.push_str(after);
                if index != last && comma_of != Some(index) {
                    text.push(',');
                }
            }
            text + &self.empty + "}"
        }
    }

    fn spaced() -> impl Strategy<Value = Spaced> {
        let space = || "[ \n\t\r]{0,2}";
        let member = (space(), space(), space(), any_json(), space());
        (proptest::collection::vec(member, 0..5), space()).prop_map(|(members, empty)| Spaced {
            members: members
                .into_iter()
                .enumerate()
                .map(|(index, (a, b, c, value, d))| [a, format!("\"k{index}\""), b, c, value.to_string(), d])
                .collect(),
            empty,
        })
    }

    fn any_edit() -> impl Strategy<Value = (String, Option<Value>)> {
        ("[a-d]{1,2}", proptest::option::of(any_json()))
    }

    proptest! {
        #[test]
        fn bytes_that_are_not_edited_stay(spaced in spaced(), pick: proptest::sample::Index) {
            let body = spaced.text(None);
            prop_assert_eq!(&edited(&body, &[]), &body);
            if spaced.members.is_empty() {
                return Ok(());
            }
            let index = pick.index(spaced.members.len());
            let name = format!("k{index}");
            prop_assert_eq!(edited(&body, &[Edit::Remove(&name)]), spaced.text(Some(index)));
            let mut replaced = spaced.clone();
            replaced.members[index][4] = "[0]".into();
            prop_assert_eq!(edited(&body, &[set(&name, "[0]")]), replaced.text(None));
        }

        #[test]
        fn edits_do_what_a_map_does(object in any_object(), edits in proptest::collection::vec(any_edit(), 0..6), pretty: bool) {
            let body = if pretty { serde_json::to_vec_pretty(&object) } else { serde_json::to_vec(&object) }.unwrap();
            // Through text once, since floating point numbers may change by it.
            let mut expected: Map<String, Value> = serde_json::from_slice(&body).unwrap();
            let raws: Vec<(&str, Option<String>)> =
                edits.iter().map(|(name, value)| (name.as_str(), value.as_ref().map(Value::to_string))).collect();
            for (name, raw) in &raws {
                match raw {
                    Some(raw) => { expected.insert((*name).to_owned(), serde_json::from_str(raw).unwrap()); }
                    None => { expected.remove(*name); }
                }
            }
            let edits: Vec<Edit<'_>> = raws.iter().map(|(name, raw)| match raw {
                Some(raw) => set(name, raw),
                None => Edit::Remove(name),
            }).collect();
            match edit(&body, &edits) {
                Ok(out) => {
                    let found: Map<String, Value> = serde_json::from_slice(&out).unwrap();
                    prop_assert_eq!(found, expected, "{}", String::from_utf8_lossy(&out));
                }
                Err(error) => prop_assert!(matches!(error, ScanError::Duplicate { .. }), "{}", error),
            }
        }
    }
}
