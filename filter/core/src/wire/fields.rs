//! Reading a peer's JSON field by field: a mistake is reported with its path, and what nobody took is a loss.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

use crate::chat::{Content, Extra, Family, Losses, Origin, Request, Tool, Verbatim};
use crate::codec::text::{with_whole_characters, without_mark};
use crate::error::{Error, Kind, Result};
use crate::wire::json::{Json, Member, Shape};
use crate::wire::tree::{MAX_VALUES, NoTree, Written, tree, tree_as_written};

/// A request's body as it can be parsed. What is JSON but no text, half of a surrogate pair, becomes U+FFFD and is a
/// loss.
pub(crate) fn readable<'b>(body: &'b [u8], losses: &mut Losses) -> Cow<'b, [u8]> {
    let body = with_whole_characters(without_mark(body));
    if matches!(body, Cow::Owned(_)) {
        losses.add("body", "an escaped half of a surrogate pair is no character: U+FFFD stands for it");
    }
    body
}

/// The JSON of a request to `path`, in which what `shape` says stays text.
pub(crate) fn parse<'j>(path: &str, shape: &Shape, body: &'j [u8]) -> Result<Json<'j>> {
    parse_with(path, body, |text| tree(text, shape))
}

/// The same, and all members of the body as they are written.
pub(crate) fn parse_as_written<'j>(
    path: &str,
    shape: &Shape,
    body: &'j [u8],
) -> Result<(Json<'j>, Vec<Written<'j>>)> {
    parse_with(path, body, |text| tree_as_written(text, shape))
}

fn parse_with<'j, T>(
    path: &str,
    body: &'j [u8],
    parse: impl FnOnce(&'j str) -> std::result::Result<T, NoTree>,
) -> Result<T> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| NoTree::NotJson);
    text.and_then(parse).map_err(|why| match why {
        NoTree::TooManyValues => {
            Error::new(Kind::TooLarge, format!("the request has more than {MAX_VALUES} JSON values"))
        }
        NoTree::NotJson => {
            // It knows lines and columns.
            let error = serde_json::from_slice::<Value>(body).err();
            let error = error.map_or_else(|| "it is no JSON".to_owned(), |error| error.to_string());
            Error::bad_request(format!("malformed request: failed to parse JSON for {path}: {error}"))
        }
    })
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

    /// 400: the value here is what no backend that this is translated for can make anything of.
    pub(crate) fn refused(&self, what: impl fmt::Display) -> Error {
        Error::bad_request_at(self.to_string(), format_args!(": {what}"))
    }

    fn wrong_type(&self, expected: &str, value: &Json<'_>) -> Error {
        self.malformed(format_args!("expected {expected}, got {}", type_name(value)))
    }

    /// The value here as text.
    pub(crate) fn text<'j>(&self, value: Json<'j>) -> Result<Cow<'j, str>> {
        match value {
            Json::String(text) => Ok(text),
            other => Err(self.wrong_type("a string", &other)),
        }
    }

    /// The value here as text to keep.
    pub(crate) fn string(&self, value: Json<'_>) -> Result<String> {
        self.text(value).map(Cow::into_owned)
    }

    fn members<'j>(&self, value: Json<'j>) -> Result<Vec<Member<'j>>> {
        match value {
            Json::Object(members) => Ok(members),
            other => Err(self.wrong_type("an object", &other)),
        }
    }
}

fn type_name(value: &Json<'_>) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
        Json::Text(text) => match text.get().as_bytes().first() {
            Some(b'"') => "a string",
            Some(b'[') => "a list",
            Some(b'{') => "an object",
            Some(b't' | b'f') => "a boolean",
            _ => "a number",
        },
    }
}

/// An object whose members are taken one by one. `null` counts as absent.
pub(crate) struct Fields<'p> {
    path: &'p Path<'p>,
    members: Vec<Member<'p>>,
}

impl<'p> Fields<'p> {
    /// The object `value` at `path`.
    pub(crate) fn new(path: &'p Path<'p>, value: Json<'p>) -> Result<Self> {
        Ok(Self { path, members: path.members(value)? })
    }

    /// The path of a member.
    pub(crate) fn path<'a>(&'a self, key: &'a str) -> Path<'a> {
        Path::Key(self.path, key)
    }

    /// A member that is there.
    fn member(&mut self, key: &str) -> Option<&mut Json<'p>> {
        let member = self.members.iter_mut().find(|(name, _)| name == key);
        member.map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// Any value.
    pub(crate) fn take(&mut self, key: &str) -> Option<Json<'p>> {
        // The member stays behind as `null`: removing one from the middle takes time in the number of them all.
        self.member(key).map(std::mem::take)
    }

    /// Drops a member that says nothing.
    pub(crate) fn take_if(&mut self, key: &str, condition: impl FnOnce(&Json<'_>) -> bool) {
        if self.member(key).is_some_and(|value| condition(value)) {
            self.take(key);
        }
    }

    /// A text to look at.
    pub(crate) fn text(&mut self, key: &str) -> Result<Option<Cow<'p, str>>> {
        self.take(key).map(|value| self.path(key).text(value)).transpose()
    }

    /// A text to look at that must be there.
    pub(crate) fn required_text(&mut self, key: &str) -> Result<Cow<'p, str>> {
        self.text(key)?.ok_or_else(|| self.missing(key))
    }

    /// A text to keep.
    pub(crate) fn string(&mut self, key: &str) -> Result<Option<String>> {
        Ok(self.text(key)?.map(Cow::into_owned))
    }

    /// A text to keep that must be there.
    pub(crate) fn required_string(&mut self, key: &str) -> Result<String> {
        self.required_text(key).map(Cow::into_owned)
    }

    /// A boolean.
    pub(crate) fn bool(&mut self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "a boolean", |value| match value {
            Json::Bool(value) => Some(*value),
            _ => None,
        })
    }

    /// A number.
    pub(crate) fn f64(&mut self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a number", |value| value.as_number()?.as_f64())
    }

    /// A count.
    pub(crate) fn u64(&mut self, key: &str) -> Result<Option<u64>> {
        self.typed(key, "a whole number of 0 or more", |value| value.as_number()?.as_u64())
    }

    /// A whole number.
    pub(crate) fn i64(&mut self, key: &str) -> Result<Option<i64>> {
        self.typed(key, "a whole number", |value| value.as_number()?.as_i64())
    }

    /// A list; absent is empty.
    pub(crate) fn list(&mut self, key: &str) -> Result<Vec<Json<'p>>> {
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Json::Array(list)) => Ok(list),
            Some(other) => Err(self.path(key).wrong_type("a list", &other)),
        }
    }

    /// A list that must be there.
    pub(crate) fn required_list(&mut self, key: &str) -> Result<Vec<Json<'p>>> {
        if self.member(key).is_none() { Err(self.missing(key)) } else { self.list(key) }
    }

    /// An object that is not looked into.
    pub(crate) fn map(&mut self, key: &str) -> Result<Option<Map<String, Value>>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let members = self.path(key).members(value)?;
        Ok(Some(members.into_iter().map(|(name, value)| (name.into_owned(), value.into())).collect()))
    }

    /// An object that stayed text, see [`Shape::Text`].
    pub(crate) fn object_text(&mut self, key: &str) -> Result<Option<String>> {
        match self.take(key) {
            None => Ok(None),
            Some(Json::Text(text)) if text.get().starts_with('{') => Ok(Some(text.get().to_owned())),
            Some(other) => Err(self.path(key).wrong_type("an object", &other)),
        }
    }

    /// The same to be sent on.
    pub(crate) fn verbatim_object(&mut self, key: &str) -> Result<Option<Verbatim>> {
        Ok(self.object_text(key)?.map(Verbatim::new))
    }

    /// 400: a member that must be there is not.
    pub(crate) fn missing(&self, key: &str) -> Error {
        self.path(key).malformed("field is required")
    }

    /// Records every member that was not taken and says something.
    pub(crate) fn finish(self, losses: &mut Losses) {
        for (key, _) in self.members.iter().filter(|(_, value)| says_something(value)) {
            losses.add(Path::Key(self.path, key), UNKNOWN);
        }
    }

    /// Keeps every member that was not taken and says something: a backend may know it.
    pub(crate) fn extra(self, family: Family) -> Option<Box<Extra>> {
        let members = self.members.into_iter().filter(|(_, value)| says_something(value));
        let members: Vec<_> = members.map(|(key, value)| (key.into_owned(), value.to_string())).collect();
        (!members.is_empty()).then(|| Box::new(Extra { family, members }))
    }

    fn typed<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl Fn(&Json<'_>) -> Option<T>,
    ) -> Result<Option<T>> {
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
fn says_something(value: &Json<'_>) -> bool {
    match value {
        Json::Null => false,
        Json::Array(list) => !list.is_empty(),
        Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) | Json::Text(_) => true,
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

/// Records what a request says in the words of one vendor, in its `extra` for the most part, and its codec does not
/// take.
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

    fn parsed(json: &str) -> Json<'_> {
        parse("/", &Shape::Tree, json.as_bytes()).unwrap()
    }

    #[test]
    fn a_body_of_too_many_values_is_refused() {
        let status =
            |shape, body: String| parse("/", shape, body.as_bytes()).map_err(|error| error.status()).err();
        assert_eq!(status(&Shape::Tree, format!("[{}0]", "0,".repeat(MAX_VALUES - 3))), None);
        assert_eq!(status(&Shape::Tree, format!("[{}0]", "0,".repeat(MAX_VALUES))), Some(413));
        assert_eq!(
            status(&Shape::Tree, format!("{{{}\"\":0}}", "\"\":0,".repeat(MAX_VALUES / 2))),
            Some(413)
        );
        assert_eq!(status(&Shape::Text, format!("[{}0]", "0,".repeat(MAX_VALUES))), Some(413));
        assert_eq!(status(&Shape::Tree, format!("[\"{}\"]", "0,".repeat(MAX_VALUES))), None);
    }

    #[test]
    fn a_byte_order_mark_and_half_characters_are_read() {
        let mut losses = Losses::default();
        let mut read =
            |body: &[u8]| parse("/", &Shape::Tree, &readable(body, &mut losses)).unwrap().to_string();
        assert_eq!(read(b"\xef\xbb\xbf[1]"), "[1]");
        assert_eq!(read(br#"["\ud800", "\ud83d\ude00"]"#), "[\"\u{fffd}\",\"\u{1f600}\"]");
        assert_eq!(losses.count(), 1);
    }

    #[test]
    fn what_is_no_text_is_told_with_its_place() {
        let error = parse("/", &Shape::Tree, b"[\"\xff\"]").unwrap_err();
        assert_eq!(
            error.message(),
            "malformed request: failed to parse JSON for /: invalid unicode code point at line 1 column 3"
        );
    }

    #[test]
    fn a_mistake_is_reported_with_its_path() {
        let messages = Path::Key(&Path::Root, "messages");
        let message = Path::Index(&messages, 2);
        let mut fields = Fields::new(&message, parsed(r#"{"role": 3, "name": null}"#)).unwrap();
        let error = fields.required_string("role").unwrap_err();
        assert_eq!(error.message(), "malformed request: messages[2].role: expected a string, got a number");
        let error = fields.required_string("name").unwrap_err();
        assert_eq!(error.message(), "malformed request: messages[2].name: field is required");
    }

    #[test]
    fn what_nobody_took_is_a_loss_unless_it_says_nothing() {
        let json = r#"{"a": 1, "taken": 2, "b": null, "c": [], "d": {}, "e": false}"#;
        let mut fields = Fields::new(&Path::Root, parsed(json)).unwrap();
        fields.take("taken");
        let mut losses = Losses::default();
        fields.finish(&mut losses);
        let paths: Vec<&str> = losses.iter().map(|loss| loss.path.as_str()).collect();
        assert_eq!(paths, ["a", "d", "e"]);
    }
}
