//! Multipart forms (RFC 7578), which the audio endpoints take: where the parts stand, so that `model` can be read
//! and replaced while the file between the boundaries is not touched.
//!
//! Servers read forms in many ways. What two of them could take for different forms is refused here, so that the
//! form a policy was applied to is the form the backend sees.

use std::fmt;
use std::ops::Range;

use memchr::memmem;

/// How many parts a form may have.
pub const MAX_PARTS: usize = 128;
/// How long the headers of one part may be, in bytes.
pub const MAX_HEADERS: usize = 16 << 10;

/// One field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The field's name.
    pub name: String,
    /// The name of the file, if it is one.
    pub filename: Option<String>,
    /// Where the value stands in the body.
    pub value: Range<usize>,
}

/// A form: its parts, in the order of the body they stand in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form<'b> {
    body: &'b [u8],
    delimiter: Vec<u8>,
    parts: Vec<Part>,
}

/// Why a form is not taken. Offsets are in bytes from the start of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MultipartError {
    /// The content type is not `multipart/form-data` with a usable boundary.
    ContentType(&'static str),
    /// The body is not built as a form is.
    Malformed {
        /// Where.
        at: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// More than [`MAX_PARTS`] parts.
    TooManyParts,
    /// A field that must be there once at most is there twice.
    Duplicate(String),
    /// A new value contains the boundary of the form.
    Boundary,
}

impl fmt::Display for MultipartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MultipartError::ContentType(problem) => write!(f, "content-type of the form: {problem}"),
            MultipartError::Malformed { at, problem } => write!(f, "malformed form at byte {at}: {problem}"),
            MultipartError::TooManyParts => write!(f, "the form has more than {MAX_PARTS} parts"),
            MultipartError::Duplicate(name) => write!(f, "the form has the field {name:?} twice"),
            MultipartError::Boundary => write!(f, "a new value of the form contains its boundary"),
        }
    }
}

impl std::error::Error for MultipartError {}

impl<'b> Form<'b> {
    /// All parts, in their order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The parts with this name.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(move |part| part.name == name)
    }

    /// The one part with this name.
    ///
    /// # Errors
    ///
    /// [`MultipartError::Duplicate`] when there are several, since servers differ in which one they take.
    pub fn single(&self, name: &str) -> Result<Option<&Part>, MultipartError> {
        let mut named = self.named(name);
        let part = named.next();
        if named.next().is_some() {
            return Err(MultipartError::Duplicate(name.to_owned()));
        }
        Ok(part)
    }

    /// The value of the one part with this name.
    ///
    /// # Errors
    ///
    /// As [`single`](Self::single).
    pub fn value(&self, name: &str) -> Result<Option<&'b [u8]>, MultipartError> {
        Ok(self.single(name)?.map(|part| self.body.get(part.value.clone()).unwrap_or_default()))
    }

    /// The body with another value of `part`, which must be one of this form. All other bytes stay, the boundary
    /// with them.
    ///
    /// # Errors
    ///
    /// [`MultipartError::Boundary`] when the new value contains the boundary.
    pub fn replace(&self, part: &Part, new: &[u8]) -> Result<Vec<u8>, MultipartError> {
        if memmem::find(new, &self.delimiter).is_some() {
            return Err(MultipartError::Boundary);
        }
        let before = self.body.get(..part.value.start).unwrap_or_default();
        let after = self.body.get(part.value.end..).unwrap_or_default();
        Ok([before, new, after].concat())
    }
}

/// Takes a form apart. `content_type` is the value of the request's header, which names the boundary.
///
/// # Errors
///
/// When the content type is another one, the body is not a form, or parts of it are open to interpretation.
pub fn scan<'b>(content_type: &str, body: &'b [u8]) -> Result<Form<'b>, MultipartError> {
    let delimiter = [b"--", boundary(content_type)?.as_bytes()].concat();
    let mut form = Form { body, delimiter, parts: Vec::new() };
    let mut delimiters = Delimiters { body, finder: memmem::Finder::new(&form.delimiter), at: 0 };
    let mut delimiter = delimiters.next()?.ok_or(malformed(0, "the boundary does not appear"))?;
    while !delimiter.last {
        let headers = delimiter.range.end;
        let missing = malformed(body.len(), "the form does not end with its closing boundary");
        let next = delimiters.next()?.ok_or(missing)?;
        let part = body.get(headers..next.range.start).unwrap_or_default();
        if form.parts.len() == MAX_PARTS {
            return Err(MultipartError::TooManyParts);
        }
        form.parts.push(parse_part(part, headers)?);
        delimiter = next;
    }
    match delimiters.next()? {
        Some(more) => Err(malformed(more.range.start, "the form goes on after its closing boundary")),
        None => Ok(form),
    }
}

fn malformed(at: usize, problem: &'static str) -> MultipartError {
    MultipartError::Malformed { at, problem }
}

/// A line with the boundary, and the line end before it, which belongs to it.
struct Delimiter {
    range: Range<usize>,
    last: bool,
}

struct Delimiters<'s> {
    body: &'s [u8],
    finder: memmem::Finder<'s>,
    at: usize,
}

impl Delimiters<'_> {
    /// The next line that is the boundary and has ended. The boundary in the middle of a line is content. Servers
    /// disagree about a line that only begins with it, and about one after a bare CR or LF, so neither is let
    /// through.
    fn next(&mut self) -> Result<Option<Delimiter>, MultipartError> {
        loop {
            let rest = self.body.get(self.at..).unwrap_or_default();
            let Some(found) = self.finder.find(rest).map(|found| self.at + found) else { return Ok(None) };
            let end = found + self.finder.needle().len();
            self.at = end;
            let start = match self.body.get(..found).unwrap_or_default() {
                [] => 0,
                [.., b'\r', b'\n'] => found - 2,
                [.., b'\r' | b'\n'] => {
                    return Err(malformed(found, "a line end before the boundary is not CRLF"));
                }
                _ => continue,
            };
            let rest = self.body.get(end..).unwrap_or_default();
            let last = rest.starts_with(b"--");
            let rest = rest.strip_prefix(b"--").unwrap_or(rest);
            let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            let rest = rest.get(padding..).unwrap_or_default();
            // The line end is not part of it: it may also be the one before the empty line that ends no headers.
            let range = start..self.body.len() - rest.len();
            if rest.starts_with(b"\r\n") || (last && rest.is_empty()) {
                return Ok(Some(Delimiter { range, last }));
            }
            if rest.is_empty() {
                return Ok(None);
            }
            return Err(malformed(found, "a line begins with the boundary and goes on"));
        }
    }
}

/// A part from the line end of its boundary on. `at` is where that is in the body.
fn parse_part(part: &[u8], at: usize) -> Result<Part, MultipartError> {
    let length = memmem::find(part.get(..MAX_HEADERS).unwrap_or(part), b"\r\n\r\n")
        .ok_or(malformed(at, "the headers of a part do not end, or are too long"))?;
    let headers = std::str::from_utf8(part.get(..length).unwrap_or_default())
        .map_err(|_| malformed(at, "the headers of a part are not UTF-8"))?;
    let mut disposition = None;
    for line in headers.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(malformed(at, "a header of a part has no colon"))?;
        if line.contains(['\r', '\n']) || name.contains([' ', '\t']) {
            return Err(malformed(at, "a header of a part is folded or has a stray line end"));
        }
        if name.eq_ignore_ascii_case("content-disposition") {
            if disposition.replace(value).is_some() {
                return Err(malformed(at, "a part has two content-disposition headers"));
            }
        } else if name.eq_ignore_ascii_case("content-transfer-encoding") {
            let value = value.trim();
            if !["7bit", "8bit", "binary"].iter().any(|plain| value.eq_ignore_ascii_case(plain)) {
                return Err(malformed(at, "a part has a content-transfer-encoding"));
            }
        }
    }
    let disposition = disposition.ok_or(malformed(at, "a part has no content-disposition header"))?;
    let (kind, parameters) = parameters(disposition).map_err(|problem| malformed(at, problem))?;
    if !kind.eq_ignore_ascii_case("form-data") {
        return Err(malformed(at, "the content-disposition of a part is not form-data"));
    }
    let (mut name, mut filename) = (None, None);
    for (key, value) in parameters {
        match key.as_str() {
            "name" => name = Some(value),
            "filename" => filename = Some(value),
            // The extended form of RFC 8187, which RFC 7578 forbids: some servers read it, some do not.
            "name*" => return Err(malformed(at, "a part has a name*")),
            _ => {}
        }
    }
    let name = name.ok_or(malformed(at, "a part has no name"))?;
    if name.contains('\\') {
        return Err(malformed(at, "the name of a part has a backslash"));
    }
    Ok(Part { name, filename, value: at + length + 4..at + part.len() })
}

/// The boundary of a content type (RFC 2046, 5.1.1).
fn boundary(content_type: &str) -> Result<String, MultipartError> {
    let (kind, parameters) = parameters(content_type).map_err(MultipartError::ContentType)?;
    if !kind.eq_ignore_ascii_case("multipart/form-data") {
        return Err(MultipartError::ContentType("it is not multipart/form-data"));
    }
    let boundary = parameters.into_iter().find(|(key, _)| key == "boundary").map(|(_, value)| value);
    let boundary = boundary.ok_or(MultipartError::ContentType("it has no boundary"))?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    if boundary.is_empty() || boundary.len() > 70 || boundary.ends_with(' ') || !boundary.bytes().all(allowed)
    {
        return Err(MultipartError::ContentType("its boundary is not one to 70 of the allowed characters"));
    }
    Ok(boundary)
}

type Parameters = Vec<(String, String)>;

/// A header value of the form `kind; key=value; key="quoted \"value\""`, keys in lower case.
fn parameters(header: &str) -> Result<(&str, Parameters), &'static str> {
    let (kind, mut rest) = header.split_once(';').unwrap_or((header, ""));
    let mut found: Parameters = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        if rest.is_empty() {
            return Ok((kind.trim(), found));
        }
        let (key, after) = rest.split_once('=').ok_or("a parameter has no value")?;
        let key = key.trim().to_ascii_lowercase();
        let (value, after) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let (value, after) = after.split_at(after.find(';').unwrap_or(after.len()));
                let value = value.trim();
                if value.contains(['"', '\\', ' ', '\t']) {
                    return Err("a value that must be quoted is not");
                }
                (value.to_owned(), after)
            }
        };
        rest = after.trim_start();
        if !rest.is_empty() && !rest.starts_with(';') {
            return Err("something follows a quoted value");
        }
        if found.iter().any(|(other, _)| *other == key) {
            return Err("a parameter appears twice");
        }
        found.push((key, value));
    }
}

/// A quoted string from behind its opening quote, and what follows it. A backslash counts before a quote and a
/// backslash only: some clients send Windows paths as they are.
fn unquote(quoted: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut letters = quoted.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Ok((value, letters.as_str())),
            '\\' if letters.as_str().starts_with(['"', '\\']) => value.extend(letters.next()),
            _ => value.push(letter),
        }
    }
    Err("a quoted value does not end")
}

#[cfg(test)]
#[path = "multipart_tests.rs"]
mod tests;
