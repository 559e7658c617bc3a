//! Multipart forms (RFC 7578), which the audio endpoints take: where the parts stand, so that `model` can be read
//! and replaced while the file between the boundaries is not touched.
//!
//! Servers read forms in many ways. What two of them could take for different forms is refused here, so that the
//! form a policy was applied to is the form the backend sees. `tests/forms` compares this reader with some of them.

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
    /// Its content type, if it says one.
    pub content_type: Option<String>,
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
    /// The first of these names, which servers may take for the second.
    Lookalike(String, String),
    /// A field that is read here is not plain text to every server.
    NotText {
        /// The field's name.
        name: String,
        /// Why.
        problem: &'static str,
    },
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
            MultipartError::Lookalike(name, other) => {
                write!(f, "the form has the field {name:?}, which some servers take for {other:?}")
            }
            MultipartError::NotText { name, problem } => {
                write!(f, "the field {name:?} of the form {problem}")
            }
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
    /// [`MultipartError::Duplicate`] when there are several, since servers differ in which one they take, and
    /// [`MultipartError::Lookalike`] for one that only some take for this: names have no case in ASP.NET, and `name[]`
    /// is `name` in PHP and with multer.
    pub fn single(&self, name: &str) -> Result<Option<&Part>, MultipartError> {
        for part in &self.parts {
            let stem = part.name.split('[').next().unwrap_or_default();
            if part.name != name && stem.eq_ignore_ascii_case(name) {
                return Err(MultipartError::Lookalike(part.name.clone(), name.to_owned()));
            }
        }
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

    /// The value of the one part with this name, as text.
    ///
    /// # Errors
    ///
    /// As [`single`](Self::single), and [`MultipartError::NotText`] for what a server may take for a file, or decode
    /// otherwise: Node's busboy does as a part's charset says, and a file to it is also a part without a file name
    /// whose type is `application/octet-stream`.
    pub fn text(&self, name: &str) -> Result<Option<&'b str>, MultipartError> {
        let Some(part) = self.single(name)? else { return Ok(None) };
        let not_text = |problem| MultipartError::NotText { name: name.to_owned(), problem };
        if part.filename.is_some() {
            return Err(not_text("is a file"));
        }
        let value = self.body.get(part.value.clone()).unwrap_or_default();
        if let Some(content_type) = &part.content_type {
            let (kind, parameters) =
                parameters(content_type).map_err(|_| not_text("has a content type that cannot be read"))?;
            if !kind.eq_ignore_ascii_case("text/plain") {
                return Err(not_text("has another content type than text/plain"));
            }
            let charset = parameters.iter().find(|(key, _)| key == "charset");
            let is_plain = |charset: &str| {
                is_utf8(charset)
                    || value.is_ascii()
                        && ["us-ascii", "iso-8859-1"].iter().any(|other| charset.eq_ignore_ascii_case(other))
            };
            if charset.is_some_and(|(_, charset)| !is_plain(charset)) {
                return Err(not_text("is in another charset than UTF-8"));
            }
        }
        std::str::from_utf8(value).map(Some).map_err(|_| not_text("is not UTF-8"))
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
    if let Some(more) = delimiters.next()? {
        return Err(malformed(more.range.start, "the form goes on after its closing boundary"));
    }
    // By this field HTML lets a form name the charset of the others.
    if form.text("_charset_")?.is_some_and(|charset| !is_utf8(charset)) {
        return Err(MultipartError::NotText { name: "_charset_".to_owned(), problem: "is not utf-8" });
    }
    Ok(form)
}

fn is_utf8(charset: &str) -> bool {
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
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
            // RFC 2046 lets spaces follow, which busboy does not: to it the part behind them is none.
            let rest = rest.strip_prefix(b"--").unwrap_or(rest);
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
    let (disposition, content_type) = part_headers(headers).map_err(|problem| malformed(at, problem))?;
    // To busboy this is none.
    if disposition.ends_with(';') {
        return Err(malformed(at, "the content-disposition of a part ends with a semicolon"));
    }
    let (kind, parameters) = parameters(disposition).map_err(|problem| malformed(at, problem))?;
    if !kind.eq_ignore_ascii_case("form-data") {
        return Err(malformed(at, "the content-disposition of a part is not form-data"));
    }
    let (mut name, mut filename) = (None, None);
    for (key, value) in parameters {
        match key.as_str() {
            "name" => name = Some(value),
            "filename" => filename = Some(value),
            _ => {}
        }
    }
    let name = name.ok_or(malformed(at, "a part has no name"))?;
    // No server makes anything else of these: some undo percent-encoding, encoded words or escapes, or leave spaces
    // out.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]:/".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_plain) {
        return Err(malformed(
            at,
            "the name of a part has other characters than letters, digits and _-.[]:/",
        ));
    }
    Ok(Part {
        name,
        filename,
        content_type: content_type.map(str::to_owned),
        value: at + length + 4..at + part.len(),
    })
}

/// The content-disposition and the content-type that the headers of a part say.
fn part_headers(headers: &str) -> Result<(&str, Option<&str>), &'static str> {
    let mut names: Vec<&str> = Vec::new();
    let (mut disposition, mut content_type) = (None, None);
    for line in headers.split("\r\n").filter(|line| !line.is_empty()) {
        if line.starts_with([' ', '\t']) || line.contains(['\r', '\n']) {
            return Err("a header of a part is folded or has a stray line end");
        }
        let (name, value) = line.split_once(':').ok_or("a header of a part has no colon")?;
        if !is_token(name) || value.chars().any(|letter| letter.is_control() && letter != '\t') {
            return Err("a header of a part has characters that none may have");
        }
        if names.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            return Err(match () {
                () if name.eq_ignore_ascii_case("content-disposition") => {
                    "a part has two content-disposition headers"
                }
                () => "a part has a header twice",
            });
        }
        names.push(name);
        let value = value.trim_matches([' ', '\t']);
        if name.eq_ignore_ascii_case("content-disposition") {
            disposition = Some(value);
        } else if name.eq_ignore_ascii_case("content-type") {
            // Nested forms were a way to send several files once. RFC 7578 ended that; some readers look into them
            // still.
            if value.get(..10).is_some_and(|kind| kind.eq_ignore_ascii_case("multipart/")) {
                return Err("a part is a form itself");
            }
            content_type = Some(value);
        } else if name.eq_ignore_ascii_case("content-transfer-encoding")
            && !["7bit", "8bit", "binary"].iter().any(|plain| value.eq_ignore_ascii_case(plain))
        {
            return Err("a part has a content-transfer-encoding");
        }
    }
    Ok((disposition.ok_or("a part has no content-disposition header")?, content_type))
}

/// The boundary of a content type (RFC 2046, 5.1.1).
fn boundary(content_type: &str) -> Result<String, MultipartError> {
    let (kind, parameters) = parameters(content_type).map_err(MultipartError::ContentType)?;
    if !kind.eq_ignore_ascii_case("multipart/form-data") {
        return Err(MultipartError::ContentType("it is not multipart/form-data"));
    }
    if !content_type.bytes().all(|byte| byte == b'\t' || (b' '..0x7f).contains(&byte)) {
        return Err(MultipartError::ContentType("it has other characters than those of ASCII"));
    }
    let (mut boundary, mut charset) = (None, None);
    for (key, value) in parameters {
        match key.as_str() {
            "boundary" => boundary = Some(value),
            "charset" => charset = Some(value),
            _ => {}
        }
    }
    // Starlette decodes all fields by it.
    if charset.is_some_and(|charset| !is_utf8(&charset)) {
        return Err(MultipartError::ContentType("its charset is not utf-8"));
    }
    let boundary = boundary.ok_or(MultipartError::ContentType("it has no boundary"))?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    if boundary.is_empty() || boundary.len() > 70 || boundary.ends_with(' ') || !boundary.bytes().all(allowed)
    {
        return Err(MultipartError::ContentType("its boundary is not one to 70 of the allowed characters"));
    }
    Ok(boundary)
}

/// A `token` of RFC 9110, 5.6.2.
fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

type Parameters = Vec<(String, String)>;

/// A header value of the form `kind; key=value; key="quoted \"value\""`, keys in lower case.
fn parameters(header: &str) -> Result<(&str, Parameters), &'static str> {
    let (kind, mut rest) = header.split_once(';').unwrap_or((header, ""));
    let mut found: Parameters = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            return Ok((kind.trim_matches([' ', '\t']), found));
        }
        let (key, after) = rest.split_once('=').ok_or("a parameter has no value")?;
        if !is_token(key) {
            return Err("the name of a parameter has characters that none may have");
        }
        // `boundary*=`, `boundary*0=`, `name*=`: the extended forms of RFC 2231 and 8187, which RFC 7578 forbids. Some
        // servers read them, some do not.
        if key.contains('*') {
            return Err("a parameter has a * in its name, an extended form that not all servers read");
        }
        let key = key.to_ascii_lowercase();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let (value, after) = after.split_at(after.find(';').unwrap_or(after.len()));
                let value = value.trim_end_matches([' ', '\t']);
                if !is_token(value) {
                    return Err("a value that must be quoted is not");
                }
                (value.to_owned(), after)
            }
        };
        if found.iter().any(|(other, _)| *other == key) {
            return Err("a parameter appears twice");
        }
        found.push((key, value));
        rest = after.trim_start_matches([' ', '\t']);
        match rest.strip_prefix(';') {
            Some(more) => rest = more,
            None if rest.is_empty() => {}
            None => return Err("something follows a quoted value"),
        }
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
            // Python takes the second backslash for one that belongs to the quote.
            '\\' if letters.as_str().starts_with("\\\"") => {
                return Err("a quoted value has two backslashes before a quote");
            }
            '\\' if letters.as_str().starts_with(['"', '\\']) => value.extend(letters.next()),
            _ => value.push(letter),
        }
    }
    Err("a quoted value does not end")
}

#[cfg(test)]
#[path = "multipart_tests.rs"]
mod tests;
