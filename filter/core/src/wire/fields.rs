//! Reading a peer's JSON field by field: a mistake is reported with its path, and what nobody took is a loss.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr2;
use serde::de::DeserializeSeed as _;
use serde_json::{Map, Value};

use crate::chat::{Content, Extra, Family, Losses, Origin, Request, Tool};
use crate::codec::text::{with_whole_characters, without_mark};
use crate::error::{Error, Kind, Result};
use crate::wire::raw::Shape;

/// The most JSON values of a request. A value of one byte takes some eighty once it is parsed, so without this limit
/// a body that passes the limit on bytes could still use up the worker's memory. Long conversations have thousands.
const MAX_VALUES: usize = 500_000;

/// The JSON of a request to `path`, in which what `shape` says stays text. What is JSON but no text, half of a surrogate pair, becomes U+FFFD and is a loss.
pub(crate) fn parse(path: &str, shape: &Shape, body: &[u8], losses: &mut Losses) -> Result<Value> {
    let body = with_whole_characters(without_mark(body));
    if matches!(body, Cow::Owned(_)) {
        losses.add("body", "an escaped half of a surrogate pair is no character: U+FFFD stands for it");
    }
    let body = &*body;
    if count_values(body) > MAX_VALUES {
        let message = format!("the request has more than {MAX_VALUES} JSON values");
        return Err(Error::new(Kind::TooLarge, message));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = shape.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| {
        Error::bad_request(format!("malformed request: failed to parse JSON for {path}: {error}"))
    })
}

/// How many values `json` has at most: each but the first comes after one of `[{,:`, and in a string these do not count.
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

/// Where a value is. Built on the stack on the way down, and turned into text only when something is wrong.
#[derive(Clone, Copy)]
pub(crate) enum Path<'a> {
    /// The body.
    Root,
    /// A member of an object.
    Key(&'a Path<'a>, &'a str),
    /// An element of a list.
    Index(&'a Path<'a>, usize),
    /// Where the client has it.
    At(&'a Path<'a>, Origin),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key(Path::Root, key) => f.write_str(key),
            Path::Key(parent, key) => write!(f, "{parent}.{key}"),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Path::At(Path::Root, origin) => write!(f, "{origin}"),
            // An element of the list that the parent is, or nothing.
            Path::At(parent, origin) if origin.member.is_empty() => write!(f, "{parent}{origin}"),
            Path::At(parent, origin) => write!(f, "{parent}.{origin}"),
        }
    }
}

impl Path<'_> {
    /// 400: the value here has the wrong type.
    pub(crate) fn malformed(&self, what: impl fmt::Display) -> Error {
        match self {
            Path::Root => Error::bad_request(format!("malformed request: {what}")),
            path => Error::bad_request(format!("malformed request: {path}: {what}")),
        }
    }

    /// 422: the value here is understood, but cannot be served.
    pub(crate) fn unprocessable(&self, what: impl fmt::Display) -> Error {
        Error::unprocessable_at(self.to_string(), format_args!(": {what}"))
    }

    fn wrong_type(&self, expected: &str, value: &Value) -> Error {
        self.malformed(format_args!("expected {expected}, got {}", type_name(value)))
    }

    /// The value here as text.
    pub(crate) fn string(&self, value: Value) -> Result<String> {
        match value {
            Value::String(text) => Ok(text),
            other => Err(self.wrong_type("a string", &other)),
        }
    }

    /// The value here as an object that is not looked into.
    pub(crate) fn map(&self, value: Value) -> Result<Map<String, Value>> {
        match value {
            Value::Object(map) => Ok(map),
            other => Err(self.wrong_type("an object", &other)),
        }
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// An object whose members are taken one by one. `null` counts as absent.
pub(crate) struct Fields<'p> {
    path: &'p Path<'p>,
    map: Map<String, Value>,
}

impl<'p> Fields<'p> {
    /// The object `value` at `path`.
    pub(crate) fn new(path: &'p Path<'p>, value: Value) -> Result<Self> {
        Ok(Self { path, map: path.map(value)? })
    }

    /// The path of a member.
    pub(crate) fn path<'a>(&'a self, key: &'a str) -> Path<'a> {
        Path::Key(self.path, key)
    }

    /// Any value.
    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        // The member stays behind as `null`: removing one from the middle takes time in the number of them all.
        self.map.get_mut(key).map(Value::take).filter(|value| !value.is_null())
    }

    /// Drops a member that says nothing.
    pub(crate) fn take_if(&mut self, key: &str, condition: impl FnOnce(&Value) -> bool) {
        if self.map.get(key).is_some_and(condition) {
            self.take(key);
        }
    }

    /// A text.
    pub(crate) fn string(&mut self, key: &str) -> Result<Option<String>> {
        self.take(key).map(|value| self.path(key).string(value)).transpose()
    }

    /// A text that must be there.
    pub(crate) fn required_string(&mut self, key: &str) -> Result<String> {
        self.string(key)?.ok_or_else(|| self.missing(key))
    }

    /// A boolean.
    pub(crate) fn bool(&mut self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "a boolean", Value::as_bool)
    }

    /// A number.
    pub(crate) fn f64(&mut self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a number", Value::as_f64)
    }

    /// A count.
    pub(crate) fn u64(&mut self, key: &str) -> Result<Option<u64>> {
        self.typed(key, "a whole number of 0 or more", Value::as_u64)
    }

    /// A whole number.
    pub(crate) fn i64(&mut self, key: &str) -> Result<Option<i64>> {
        self.typed(key, "a whole number", Value::as_i64)
    }

    /// A list that must be there.
    pub(crate) fn required_list(&mut self, key: &str) -> Result<Vec<Value>> {
        match self.take(key) {
            None => Err(self.missing(key)),
            Some(Value::Array(list)) => Ok(list),
            Some(other) => Err(self.path(key).wrong_type("a list", &other)),
        }
    }

    /// A list; absent is empty.
    pub(crate) fn list(&mut self, key: &str) -> Result<Vec<Value>> {
        if self.map.get(key).is_none_or(Value::is_null) { Ok(Vec::new()) } else { self.required_list(key) }
    }

    /// An object that is not looked into.
    pub(crate) fn map(&mut self, key: &str) -> Result<Option<Map<String, Value>>> {
        self.take(key).map(|value| self.path(key).map(value)).transpose()
    }

    /// An object that stayed text, see [`Shape::Text`].
    pub(crate) fn object_text(&mut self, key: &str) -> Result<Option<String>> {
        match self.string(key)? {
            Some(text) if !text.starts_with('{') => {
                let other = serde_json::from_str(&text).unwrap_or_default();
                Err(self.path(key).wrong_type("an object", &other))
            }
            text => Ok(text),
        }
    }

    /// 400: a member that must be there is not.
    pub(crate) fn missing(&self, key: &str) -> Error {
        self.path(key).malformed("field is required")
    }

    /// Records every member that was not taken and says something.
    pub(crate) fn finish(self, losses: &mut Losses) {
        for (key, _) in self.map.iter().filter(|(_, value)| says_something(value)) {
            losses.add(Path::Key(self.path, key), UNKNOWN);
        }
    }

    /// Keeps every member that was not taken and says something: a backend may know it.
    pub(crate) fn extra(self, family: Family) -> Option<Box<Extra>> {
        let members = self.map.into_iter().filter(|(_, value)| says_something(value));
        let members: Vec<_> = members.map(|(key, value)| (key, value.to_string())).collect();
        (!members.is_empty()).then(|| Box::new(Extra { family, members }))
    }

    fn typed<T>(&mut self, key: &str, expected: &str, read: fn(&Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match read(&value) {
            Some(value) => Ok(Some(value)),
            None => Err(self.path(key).wrong_type(expected, &value)),
        }
    }
}

/// Why a member is not sent on that nobody has a word for.
pub(crate) const UNKNOWN: &str = "not known to this gateway";

/// An object without members may: `"web_search_options": {}` has the web searched.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => true,
    }
}

/// The members in `extra` of a request that a codec takes.
#[derive(Default)]
pub(crate) struct Taken {
    /// All of this family, but for what messages have: nobody has more words for these.
    pub(crate) all_of: Option<Family>,
    /// All of this family that the request itself has.
    pub(crate) request_of: Option<Family>,
    /// In whose words those must be that are named here. `None`: in any.
    pub(crate) family: Option<Family>,
    /// Of the request itself.
    pub(crate) request: &'static [&'static str],
    /// Of its messages.
    pub(crate) message: &'static [&'static str],
    /// Of their parts.
    pub(crate) part: &'static [&'static str],
    /// Of its functions.
    pub(crate) function: &'static [&'static str],
}

/// Records what a request says in the words of one vendor, in its `extra` for the most part, and its codec does not take.
pub(crate) fn lose_extra(request: &Request, taken: &Taken, losses: &mut Losses) {
    let (all_of, family) = (taken.all_of, taken.family);
    let mut lose = |path: &Path<'_>, extra: Option<&Extra>, all_of: Option<Family>, taken: &[&str]| {
        let Some(extra) = extra.filter(|extra| Some(extra.family) != all_of) else { return };
        let is_own = family.is_none_or(|family| extra.family == family);
        let names = extra.members.iter().map(|(name, _)| name.as_str());
        for name in names.filter(|name| !is_own || !taken.contains(name)) {
            losses.add(Path::Key(path, name), UNKNOWN);
        }
    };
    for message in &request.messages {
        let path = Path::At(&Path::Root, message.origin);
        for part in &message.content {
            lose(&Path::At(&path, part.origin), part.extra.as_deref(), all_of, taken.part);
            if let Content::ToolResult { content, .. } = &part.content {
                for inner in content {
                    let path = Path::At(&path, part.origin);
                    lose(&Path::At(&path, inner.origin), inner.extra.as_deref(), all_of, taken.part);
                }
            }
        }
        lose(&path, message.extra.as_deref(), None, taken.message);
    }
    let tools = Path::Key(&Path::Root, "tools");
    for (index, tool) in request.tools.iter().enumerate() {
        if let Tool::Function(function) = tool {
            lose(&Path::Index(&tools, index), function.extra.as_deref(), all_of, taken.function);
        }
    }
    let request_of = all_of.or(taken.request_of);
    lose(&Path::Root, request.extra.as_deref(), request_of, taken.request);
    // Which of Claude's models do is known where it is said to them.
    if request.thinking.between_tools && request_of != Some(Family::Anthropic) {
        losses.add("thinking", NOT_BETWEEN_TOOLS);
    }
}

/// Why a model is asked for less than to think between calls of tools.
pub(crate) const NOT_BETWEEN_TOOLS: &str =
    "this model cannot think between calls of tools only: it was asked not to think";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_strings_do_not_count() {
        assert_eq!(count_values(br#"{"a,b":[1,2,{"c":"\\"}],"d":"[\",,,"}"#), 10);
        assert_eq!(count_values(b"\"open ,,,\\"), 1);
    }

    #[test]
    fn a_body_of_too_many_values_is_refused_before_it_is_parsed() {
        let parse = |path, body| parse(path, &Shape::Tree, body, &mut Losses::default());
        let few = format!("[{}0]", "0,".repeat(MAX_VALUES - 3));
        assert!(parse("/", few.as_bytes()).is_ok());
        let many = format!("[{}0]", "0,".repeat(MAX_VALUES));
        assert_eq!(parse("/", many.as_bytes()).unwrap_err().status(), 413);
        let text = format!("[\"{}\"]", "0,".repeat(MAX_VALUES));
        assert!(parse("/", text.as_bytes()).is_ok());
    }

    #[test]
    fn a_byte_order_mark_and_half_characters_are_read() {
        let mut losses = Losses::default();
        assert_eq!(
            parse("/", &Shape::Tree, b"\xef\xbb\xbf[1]", &mut losses).unwrap(),
            serde_json::json!([1])
        );
        assert!(losses.is_empty());
        let read = parse("/", &Shape::Tree, br#"["\ud800", "\ud83d\ude00"]"#, &mut losses).unwrap();
        assert_eq!(read, serde_json::json!(["\u{fffd}", "\u{1f600}"]));
        assert_eq!(losses.count(), 1);
    }

    #[test]
    fn a_mistake_is_reported_with_its_path() {
        let messages = Path::Key(&Path::Root, "messages");
        let message = Path::Index(&messages, 2);
        let mut fields = Fields::new(&message, serde_json::json!({"role": 3, "name": null})).unwrap();
        let error = fields.required_string("role").unwrap_err();
        assert_eq!(error.message(), "malformed request: messages[2].role: expected a string, got a number");
        let error = fields.required_string("name").unwrap_err();
        assert_eq!(error.message(), "malformed request: messages[2].name: field is required");
    }

    #[test]
    fn what_nobody_took_is_a_loss_unless_it_says_nothing() {
        let json = serde_json::json!({"a": 1, "taken": 2, "b": null, "c": [], "d": {}, "e": false});
        let mut fields = Fields::new(&Path::Root, json).unwrap();
        fields.take("taken");
        let mut losses = Losses::default();
        fields.finish(&mut losses);
        let paths: Vec<&str> = losses.iter().map(|loss| loss.path.as_str()).collect();
        assert_eq!(paths, ["a", "d", "e"]);
    }
}
