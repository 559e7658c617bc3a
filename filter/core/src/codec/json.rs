//! Finds members of a JSON object without building a tree.
//!
//! A pass-through must know `model` and `stream` and nothing else of a body, so [`scan`] goes over it once,
//! checks it to the last byte and remembers where the wanted members stand. It takes exactly the documents that
//! serde_json's `IgnoredAny` takes, if they are UTF-8, an object, and nested no deeper than [`MAX_DEPTH`]; and these
//! with a byte order mark before them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use super::key::{Key, Sameness};
use super::scanner::{COMMA_OR_BRACE, Scanner};
use super::text::without_mark;

/// How many objects and arrays may stand inside each other: as many as serde_json takes by default, since a body
/// that passes here may be parsed by it later.
pub const MAX_DEPTH: u32 = 127;

/// Where a member stands in the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// From the key's opening quote to the end of the value.
    pub entry: Range<usize>,
    /// The value alone.
    pub value: Range<usize>,
}

impl Member {
    /// The value as it stands in `body`, which must be the body that was scanned.
    #[must_use]
    pub fn raw<'b>(&self, body: &'b [u8]) -> &'b [u8] {
        body.get(self.value.clone()).unwrap_or_default()
    }

    /// The value, if it is a string that is text: an escaped half of a surrogate pair is valid JSON, but no text.
    #[must_use]
    pub fn as_str<'b>(&self, body: &'b [u8]) -> Option<Cow<'b, str>> {
        let contents = self.raw(body).strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        unescape(contents)
    }

    /// The value, if it is `true` or `false`.
    #[must_use]
    pub fn as_bool(&self, body: &[u8]) -> Option<bool> {
        match self.raw(body) {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// True when the value is `null`.
    #[must_use]
    pub fn is_null(&self, body: &[u8]) -> bool {
        self.raw(body) == b"null"
    }
}

/// What [`scan`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan<const N: usize> {
    /// The members, in the order of the names asked for; `None` where the object has none.
    pub members: [Option<Member>; N],
    /// The object itself, braces included, without the whitespace around it and without a byte order mark.
    pub object: Range<usize>,
}

/// Why a body is not taken. Offsets are in bytes from the start of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanError {
    /// A string holds bytes that are not UTF-8.
    NotUtf8 {
        /// The first bad byte.
        at: usize,
    },
    /// Not JSON.
    Syntax {
        /// Where it stops being JSON.
        at: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// More than [`MAX_DEPTH`] objects and arrays inside each other.
    TooDeep {
        /// The bracket that is one too many.
        at: usize,
    },
    /// Some other JSON value stands where an object must be.
    NotAnObject {
        /// Where the value begins.
        at: usize,
    },
    /// A second key that some backend would take for the same as the first.
    Duplicate {
        /// The second key.
        at: usize,
        /// The name that was asked for.
        name: String,
    },
    /// A key that some backend would take for another one, which is not there.
    Folded {
        /// The key.
        at: usize,
        /// The name that was asked for.
        name: String,
    },
}

impl ScanError {
    /// The same error seen from a body in which the scanned part begins at `offset`.
    pub(crate) fn shift(mut self, offset: usize) -> Self {
        match &mut self {
            ScanError::NotUtf8 { at }
            | ScanError::Syntax { at, .. }
            | ScanError::TooDeep { at }
            | ScanError::NotAnObject { at }
            | ScanError::Duplicate { at, .. }
            | ScanError::Folded { at, .. } => *at = at.saturating_add(offset),
        }
        self
    }
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScanError::NotUtf8 { at } => write!(f, "not valid UTF-8 at byte {at}"),
            ScanError::Syntax { at, problem } => write!(f, "not valid JSON at byte {at}: {problem}"),
            ScanError::TooDeep { at } => {
                write!(f, "JSON nested deeper than {MAX_DEPTH} levels at byte {at}")
            }
            ScanError::NotAnObject { at } => write!(f, "a JSON object is expected at byte {at}"),
            ScanError::Duplicate { at, name } => write!(f, "the member {name:?} appears again at byte {at}"),
            ScanError::Folded { at, name } => {
                write!(f, "the member {name:?} is written in another case at byte {at}")
            }
        }
    }
}

impl std::error::Error for ScanError {}

/// The member `name` of `object`; `None` where it is not there, or what [`scan`] refuses is.
pub(crate) fn member(object: &[u8], name: &str) -> Option<Member> {
    let [member] = scan(object, [name]).ok()?.members;
    member
}

/// Finds the top-level members called `names` and checks the whole body on the way.
///
/// A member is found by its name to the letter, with escapes resolved. Two keys that differ from a name in case
/// only are a [`ScanError::Duplicate`], since backends disagree on which of them counts: a policy that looks at
/// the one could be walked round with the other. A single key in the wrong case is simply not the member. Names
/// should differ by more than case.
///
/// # Errors
///
/// When the body is not exactly one JSON object in UTF-8, is too deep, or has a duplicate of one of `names`.
pub fn scan<const N: usize>(body: &[u8], names: [&str; N]) -> Result<Scan<N>, ScanError> {
    scan_with(body, names, Takes { nan: false, folded: true })
}

/// As [`scan`], where a single key in the wrong case is refused as well: what is not named must not be there under
/// another spelling.
///
/// # Errors
///
/// As [`scan`], and when there is such a key.
pub fn scan_to_the_letter<const N: usize>(body: &[u8], names: [&str; N]) -> Result<Scan<N>, ScanError> {
    scan_with(body, names, Takes { nan: false, folded: false })
}

/// As [`scan`], of what a provider sent to be passed on: it may have `NaN`, `Infinity` and `-Infinity` for numbers,
/// which servers in Python write and clients in Python read.
///
/// # Errors
///
/// As [`scan`].
pub fn scan_answer<const N: usize>(body: &[u8], names: [&str; N]) -> Result<Scan<N>, ScanError> {
    scan_with(body, names, Takes { nan: true, folded: true })
}

/// What else than JSON of exact names is taken.
struct Takes {
    nan: bool,
    /// A single key in the wrong case, as one that was not asked for.
    folded: bool,
}

fn scan_with<const N: usize>(body: &[u8], names: [&str; N], takes: Takes) -> Result<Scan<N>, ScanError> {
    let mut members = [const { None }; N];
    let mut seen = [false; N];
    let object = walk_with(body, takes.nan, |visit| {
        for ((name, member), seen) in names.iter().zip(&mut members).zip(&mut seen) {
            let sameness = visit.key.compare(name);
            if sameness == Sameness::Different {
                continue;
            }
            if std::mem::replace(seen, true) {
                return Err(visit.duplicate(name));
            }
            if sameness == Sameness::Exact {
                *member = Some(visit.member.clone());
            } else if !takes.folded {
                return Err(ScanError::Folded { at: visit.member.entry.start, name: (*name).to_owned() });
            }
        }
        Ok(())
    })?;
    Ok(Scan { members, object })
}

/// A top-level member, as [`walk`] comes by it.
pub(super) struct Visit<'b> {
    pub(super) key: Key<'b>,
    pub(super) member: Member,
    /// The comma between the member before and this one.
    pub(super) comma_before: Option<usize>,
}

impl Visit<'_> {
    /// The error that this key is the second of its name.
    pub(super) fn duplicate(&self, name: &str) -> ScanError {
        ScanError::Duplicate { at: self.member.entry.start, name: name.to_owned() }
    }
}

/// The text of a checked string, given what stands between its quotes.
fn unescape(contents: &[u8]) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'\\', contents).is_none() {
        return std::str::from_utf8(contents).ok().map(Cow::Borrowed);
    }
    let quoted = [b"\"", contents, b"\""].concat();
    serde_json::from_slice(&quoted).ok().map(Cow::Owned)
}

/// Goes over a whole body that must be one object; `visit` sees every top-level member after its value was checked.
pub(super) fn walk<'b>(
    body: &'b [u8],
    visit: impl FnMut(Visit<'b>) -> Result<(), ScanError>,
) -> Result<Range<usize>, ScanError> {
    walk_with(body, false, visit)
}

fn walk_with<'b>(
    body: &'b [u8],
    takes_nan: bool,
    mut visit: impl FnMut(Visit<'b>) -> Result<(), ScanError>,
) -> Result<Range<usize>, ScanError> {
    let mark = body.len().saturating_sub(without_mark(body).len());
    let mut scanner = Scanner::new(body, mark, takes_nan);
    let start = match scanner.skip_whitespace() {
        Some(b'{') => scanner.at,
        Some(b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
            return Err(ScanError::NotAnObject { at: scanner.at });
        }
        Some(_) => return Err(scanner.syntax("a JSON object must begin with {")),
        None => return Err(scanner.syntax("the body is empty")),
    };
    scanner.at += 1;
    let mut comma_before = None;
    if scanner.skip_whitespace() == Some(b'}') {
        scanner.at += 1;
    } else {
        loop {
            let (start, key) = scanner.key()?;
            scanner.skip_whitespace();
            let value_start = scanner.at;
            scanner.value(1)?;
            let member = Member { entry: start..scanner.at, value: value_start..scanner.at };
            visit(Visit { key, member, comma_before })?;
            match scanner.skip_whitespace() {
                Some(b',') => comma_before = Some(scanner.at),
                Some(b'}') => {
                    scanner.at += 1;
                    break;
                }
                _ => return Err(scanner.syntax(COMMA_OR_BRACE)),
            }
            scanner.at += 1;
            scanner.skip_whitespace();
        }
    }
    let object = start..scanner.at;
    match scanner.skip_whitespace() {
        None => Ok(object),
        Some(_) => Err(scanner.syntax("something follows the JSON object")),
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
pub(super) mod tests;
