//! Header names and the two things the roles do with headers: look at a snapshot, and say what to change.

use std::borrow::Cow;

/// A header's name or value: most are known when this is built.
pub type Text = Cow<'static, str>;

/// The model of the request, which routes match on. Only the gateway may set it.
pub const MODEL_HEADER: &str = "x-ai-eg-model";

/// The cluster of a request that goes to [`crate::config::Config::direct`]: its route takes it from here.
pub const CLUSTER_HEADER: &str = "x-weir-cluster";

/// The beginning of the request's prompt as a key, where a load balancer asks for it ([`crate::wire::prompt`]).
pub const PREFIX_KEY_HEADER: &str = "x-weir-prefix-key";

/// The one backend of several that a request goes to, since that keeps what it refers to.
pub const BACKEND_HEADER: &str = "x-weir-backend";

/// The one backend of several that a request goes to first, since no other can read what is in it.
pub const FIRST_BACKEND_HEADER: &str = "x-weir-first-backend";

/// The user of the request, where no limit tells users apart by other headers.
pub const USER_HEADER: &str = "x-user-id";

/// The list of Claude's beta features that a request asks for.
pub const BETA_HEADER: &str = "anthropic-beta";

/// With `true` a request is refused for what it would lose on its way to the backend.
pub const STRICT_HEADER: &str = "x-weir-strict";

/// With it Envoy repeats no request, whatever the answer's status:
/// <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#x-envoy-ratelimited>
pub const NO_RETRY_HEADER: &str = "x-envoy-ratelimited";

/// With `true` the answer says in [`LOSSES_HEADER`] what was lost.
pub const REPORT_LOSSES_HEADER: &str = "x-weir-report-losses";

/// Of an answer: what did not reach the backend, or the client.
pub const LOSSES_HEADER: &str = "x-weir-losses";

/// Headers that mean something to the gateway and nothing to a backend: what a client sends under these prefixes
/// never leaves it, and but for [`STRICT_HEADER`] and [`REPORT_LOSSES_HEADER`] does not steer it.
const INTERNAL_PREFIXES: [&str; 3] = ["x-ai-eg-", "x-aigw-", "x-weir-"];

/// With what all of [`INTERNAL_PREFIXES`] begin.
pub(crate) const EXTENSION_PREFIX: &str = "x-";

/// True for a header that only the gateway may set.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    name.starts_with(EXTENSION_PREFIX) && INTERNAL_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether `text` may be the name of a header (RFC 9110, 5.6.2).
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_of_token = |char: char| char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char);
    !text.is_empty() && text.chars().all(is_of_token)
}

/// Names in lower case. Others are told apart by their first byte, last byte and length, nearly always without
/// comparing them: the roles ask of each header of each request.
pub(crate) struct Names {
    names: &'static [&'static str],
    /// By the lower bits of a first byte, in any case: a bit for each name that begins with it.
    begins: [u64; 32],
    /// By the lower bits of a last byte, in any case: a bit for each name that ends with it.
    ends: [u64; 32],
}

impl Names {
    #[allow(clippy::indexing_slicing, reason = "only while this is compiled")]
    pub(crate) const fn new(names: &'static [&'static str]) -> Self {
        assert!(names.len() <= 64, "a name has no bit");
        let (mut begins, mut ends) = ([0; 32], [0; 32]);
        let mut at = 0;
        while at < names.len() {
            let name = names[at].as_bytes();
            begins[(name[0] % 32) as usize] |= 1 << at;
            ends[(name[name.len() - 1] % 32) as usize] |= 1 << at;
            at += 1;
        }
        Names { names, begins, ends }
    }

    /// Whether `name`, in any case, is one of them.
    #[inline]
    pub(crate) fn has(&self, name: &str) -> bool {
        let (Some(first), Some(last)) = (name.as_bytes().first(), name.as_bytes().last()) else {
            return false;
        };
        let of = |marks: &[u64; 32], byte: u8| marks.get(usize::from(byte % 32)).copied().unwrap_or_default();
        let mut alike = of(&self.begins, *first) & of(&self.ends, *last);
        while alike != 0 {
            let known = self.names.get(alike.trailing_zeros() as usize);
            if known.is_some_and(|known| known.eq_ignore_ascii_case(name)) {
                return true;
            }
            alike &= alike - 1;
        }
        false
    }
}

/// The names and values of most requests and answers take less.
const TYPICAL_BYTES: usize = 1 << 10;

/// A snapshot of a header map, in its order. Names are lower case, as HTTP/2 and Envoy have them.
///
/// All names and values lie in one string: a request has some twenty headers, and a snapshot is taken of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    text: String,
    /// Where in `text` each header's name ends, and where its value does.
    ends: Vec<(usize, usize)>,
}

impl Headers {
    /// A snapshot of names and values some of which are not UTF-8.
    fn repaired(bytes: &[u8], ends: &[(usize, usize)]) -> Headers {
        let mut headers = Headers::default();
        let mut start = 0;
        let part = |range| String::from_utf8_lossy(bytes.get(range).unwrap_or_default());
        for &(name_end, end) in ends {
            headers.text.push_str(&part(start..name_end));
            let repaired_end = headers.text.len();
            headers.text.push_str(&part(name_end..end));
            headers.ends.push((repaired_end, headers.text.len()));
            start = end;
        }
        headers
    }

    /// The first value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        // Compared as bytes: only what is found need be text.
        let text = self.text.as_bytes();
        let mut start = 0;
        for &(name_end, end) in &self.ends {
            if text.get(start..name_end) == Some(name.as_bytes()) {
                return self.text.get(name_end..end);
            }
            start = end;
        }
        None
    }

    /// Every value of `name`, in their order: a list may come in several headers.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        // As in `get`.
        let text = self.text.as_bytes();
        let mut start = 0;
        self.ends.iter().filter_map(move |&(name_end, end)| {
            let is_it = text.get(start..name_end) == Some(name.as_bytes());
            start = end;
            if is_it { self.text.get(name_end..end) } else { None }
        })
    }

    /// Names that begin with `prefix`, and their values.
    pub fn beginning_with(&self, prefix: &'static str) -> impl Iterator<Item = (&str, &str)> {
        // As in `get`.
        let text = self.text.as_bytes();
        let mut start = 0;
        self.ends.iter().filter_map(move |&(name_end, end)| {
            let name = start..name_end;
            start = end;
            if !text.get(name.clone())?.starts_with(prefix.as_bytes()) {
                return None;
            }
            Some((self.text.get(name)?, self.text.get(name_end..end)?))
        })
    }

    /// Every value of `name` as one, which means the same (RFC 9110, 5.3); `None` when there is none.
    #[must_use]
    pub fn joined(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self.all(name).collect();
        // Cookies are the exception (RFC 6265, 5.4).
        let separator = if name == "cookie" { "; " } else { ", " };
        (!values.is_empty()).then(|| values.join(separator))
    }

    /// Sets `name`, in the place of every value that it has.
    pub fn set(&mut self, name: &str, value: &str) {
        let others = self.iter().filter(|(key, _)| *key != name);
        *self = others.chain([(name, value)]).collect();
    }

    /// Puts `value` in the place of every value of `name`.
    pub fn replace(&mut self, name: &str, value: &str) {
        let replaced = self.iter().map(|(key, old)| (key, if key == name { value } else { old }));
        *self = replaced.collect();
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().map(move |&(name_end, end)| {
            let name = self.text.get(start..name_end).unwrap_or_default();
            start = end;
            (name, self.text.get(name_end..end).unwrap_or_default())
        })
    }

    /// The media type of `content-type`, in lower case and without parameters; empty when there is none.
    #[must_use]
    pub fn media_type(&self) -> String {
        let value = self.get("content-type").unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The `:path` without its query, and the query.
    #[must_use]
    pub fn path_and_query(&self) -> (&str, Option<&str>) {
        let path = self.get(":path").unwrap_or_default();
        let end = memchr::memchr(b'?', path.as_bytes()).unwrap_or(path.len());
        (path.get(..end).unwrap_or_default(), path.get(end.saturating_add(1)..))
    }
}

/// Bytes that are not UTF-8 are replaced.
impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        let headers = headers.into_iter();
        let mut bytes = Vec::with_capacity(TYPICAL_BYTES);
        let mut ends = Vec::with_capacity(headers.size_hint().0);
        for (name, value) in headers {
            bytes.extend_from_slice(name.as_ref());
            let name_end = bytes.len();
            bytes.extend_from_slice(value.as_ref());
            ends.push((name_end, bytes.len()));
        }
        // Nearly always, all of it is text, and so is each part of it.
        match String::from_utf8(bytes) {
            Ok(text)
                if ends
                    .iter()
                    .all(|&(name, value)| text.is_char_boundary(name) && text.is_char_boundary(value)) =>
            {
                Headers { text, ends }
            }
            Ok(text) => Headers::repaired(text.as_bytes(), &ends),
            Err(error) => Headers::repaired(error.as_bytes(), &ends),
        }
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Headers {
    fn from(headers: [(&str, &str); N]) -> Self {
        headers.into_iter().collect()
    }
}

/// What to change in a header map: each name at most once, the last word wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdits(Vec<(Text, Option<Text>)>);

impl HeaderEdits {
    /// Sets `name`, replacing every value it has.
    pub fn set(&mut self, name: impl Into<Text>, value: impl Into<Text>) {
        self.put(name.into(), Some(value.into()));
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: impl Into<Text>) {
        self.put(name.into(), None);
    }

    /// Sets or removes.
    pub fn put(&mut self, name: Text, value: Option<Text>) {
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((name, value)),
        }
    }

    /// These and then `later`.
    #[must_use]
    pub fn with(mut self, later: HeaderEdits) -> HeaderEdits {
        for (name, value) in later.0 {
            self.put(name, value);
        }
        self
    }

    /// What an edit makes of `name`: `None` when it is not touched.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_deref())
    }

    /// The changes: `None` removes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_deref()))
    }

    /// True when nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_others_of_their_length_are_not() {
        static NAMES: Names = Names::new(&["x-api-key", "api-key", "dpop"]);
        for name in NAMES.names {
            assert!(NAMES.has(name) && NAMES.has(&name.to_ascii_uppercase()), "{name}");
        }
        for name in ["", "x-api-kex", "8-api-key", "\u{18}-api-key", "dpoq", &"x".repeat(64), "é"] {
            assert!(!NAMES.has(name), "{name}");
        }
    }

    #[test]
    fn the_last_edit_of_a_name_wins() {
        let mut edits = HeaderEdits::default();
        edits.set("a", "1");
        edits.remove("a");
        edits.set("b", "2");
        assert_eq!(edits.iter().collect::<Vec<_>>(), [("a", None), ("b", Some("2"))]);
        let mut later = HeaderEdits::default();
        later.set("a", "3");
        assert_eq!(
            edits.clone().with(later).iter().collect::<Vec<_>>(),
            [("a", Some("3")), ("b", Some("2"))]
        );
        assert_eq!(edits.get("a"), Some(None));
        assert_eq!(edits.get("c"), None);
    }

    #[test]
    fn what_is_no_text_is_replaced_and_nothing_else() {
        let odd = [(&b"a"[..], &b"1\xc3"[..]), (b"\xa9b", b"2"), (b"c", b"\xc3\xa9")];
        let headers: Headers = odd.into_iter().collect();
        let all: Vec<_> = headers.iter().collect();
        assert_eq!(all, [("a", "1\u{fffd}"), ("\u{fffd}b", "2"), ("c", "\u{e9}")]);
        assert_eq!(headers.get("c"), Some("\u{e9}"));
        let headers: Headers = [("a", b"\xff".as_slice()), ("b", b"x")].into_iter().collect();
        assert_eq!((headers.get("a"), headers.get("b")), (Some("\u{fffd}"), Some("x")));
    }

    #[test]
    fn several_values_of_a_name_are_one_list() {
        let headers = Headers::from([("a", "1"), ("cookie", "x=1"), ("a", "2, 3"), ("cookie", "y=2")]);
        assert_eq!(headers.joined("a").as_deref(), Some("1, 2, 3"));
        assert_eq!(headers.joined("cookie").as_deref(), Some("x=1; y=2"));
        assert_eq!(headers.joined("b"), None);
        assert_eq!(headers.all("a").collect::<Vec<_>>(), ["1", "2, 3"]);
    }

    #[test]
    fn a_media_type_has_no_parameters_and_no_case() {
        let headers = Headers::from([("content-type", "Text/Event-Stream; charset=utf-8")]);
        assert_eq!(headers.media_type(), "text/event-stream");
        assert_eq!(Headers::default().media_type(), "");
    }
}
