//! The canonical request: the form of a request that both sides hash.

use std::borrow::Cow;
use std::fmt;

use sha2::{Digest, Sha256};

/// A request as it is on the wire. Every header in it is signed.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path as it is sent, percent-encoded; without the query.
    pub path: &'a str,
    /// The query as it is sent, without the `?`; empty when there is none.
    pub query: &'a str,
    /// The headers to sign, names in any case, in the order in which they are sent.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// Header values and body are left out, the session token being one of them.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

/// What becomes of `.`, `..` and empty segments of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathNormalization {
    /// They are taken out, as every service but S3 does before it checks the signature.
    Normalize,
    /// They stay.
    AsSent,
}

/// The canonical request. Its text holds the session token of temporary credentials, so `Debug` shows only which
/// headers are in it.
#[derive(Clone, PartialEq, Eq)]
pub struct CanonicalRequest {
    text: String,
    signed_headers: String,
}

impl CanonicalRequest {
    /// The canonical form of `request`. The path is percent-encoded once more (`:` becomes `%3A`, `%2F` becomes
    /// `%252F`), which is the rule for all services but S3.
    #[must_use]
    pub fn new(request: &Request<'_>, normalization: PathNormalization) -> Self {
        let mut headers: Vec<(Cow<'_, str>, &str)> =
            request.headers.iter().map(|&(name, value)| (lower_case(name), value)).collect();
        // Stable: the values of a name that is there twice keep their order.
        headers.sort_by(|(left, _), (right, _)| left.cmp(right));

        let size = headers.iter().map(|(name, value)| 2 * name.len() + value.len() + 3).sum::<usize>();
        let mut text = String::with_capacity(size + 2 * request.path.len() + 2 * request.query.len() + 96);
        text.push_str(request.method);
        text.push('\n');
        match normalization {
            PathNormalization::Normalize => encode_path(&mut text, &normalize(request.path)),
            PathNormalization::AsSent => encode_path(&mut text, request.path),
        }
        text.push('\n');
        write_query(&mut text, request.query);
        text.push('\n');

        let mut signed_headers = String::with_capacity(size);
        let mut previous = None;
        for (name, value) in &headers {
            if previous == Some(name) {
                text.push(',');
            } else {
                if previous.is_some() {
                    text.push('\n');
                    signed_headers.push(';');
                }
                text.push_str(name);
                text.push(':');
                signed_headers.push_str(name);
                previous = Some(name);
            }
            write_value(&mut text, value);
        }
        text.push_str("\n\n");
        text.push_str(&signed_headers);
        text.push('\n');
        text.push_str(&hex::encode(Sha256::digest(request.body)));
        Self { text, signed_headers }
    }

    /// The text. It holds the session token, if there is one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the signed headers, in lower case, in order, with `;` between them.
    #[must_use]
    pub fn signed_headers(&self) -> &str {
        &self.signed_headers
    }
}

impl fmt::Debug for CanonicalRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CanonicalRequest")
            .field("signed_headers", &self.signed_headers)
            .finish_non_exhaustive()
    }
}

fn lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// Takes `.`, `..` and empty segments out of a path: RFC 3986 section 5.2.4, and several slashes become one.
fn normalize(path: &str) -> Cow<'_, str> {
    let plain = path.starts_with('/')
        && !path.contains("//")
        && !path.split('/').any(|segment| segment == "." || segment == "..");
    if plain {
        return Cow::Borrowed(path);
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let mut normal = String::with_capacity(path.len() + 1);
    for segment in &kept {
        normal.push('/');
        normal.push_str(segment);
    }
    if normal.is_empty() || path.rsplit('/').next().is_some_and(|last| matches!(last, "" | "." | "..")) {
        normal.push('/');
    }
    Cow::Owned(normal)
}

fn encode_path(text: &mut String, path: &str) {
    for byte in path.bytes() {
        if byte == b'/' { text.push('/') } else { push_encoded(text, byte) }
    }
}

/// The parameters, each decoded and encoded anew, sorted by their encoded names, then values.
fn write_query(text: &mut String, query: &str) {
    let mut parameters: Vec<(String, String)> = query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (encode_again(name), encode_again(value))
        })
        .collect();
    parameters.sort();
    for (index, (name, value)) in parameters.iter().enumerate() {
        if index > 0 {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
}

/// A name or value of the query in the one encoding that AWS uses. A `+` is a space, as in an HTML form.
fn encode_again(part: &str) -> String {
    let mut encoded = String::with_capacity(part.len());
    for piece in part.split_inclusive('+') {
        let (piece, plus) = piece.strip_suffix('+').map_or((piece, false), |piece| (piece, true));
        for byte in percent_encoding::percent_decode_str(piece) {
            push_encoded(&mut encoded, byte);
        }
        if plus {
            encoded.push_str("%20");
        }
    }
    encoded
}

fn push_encoded(text: &mut String, byte: u8) {
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
        text.push(char::from(byte));
    } else {
        text.push_str(percent_encoding::percent_encode_byte(byte));
    }
}

/// A header value without the spaces around it, and with one space where there were several.
fn write_value(text: &mut String, value: &str) {
    let value = value.trim_matches([' ', '\t']);
    if !value.contains("  ") {
        text.push_str(value);
        return;
    }
    let mut after_space = false;
    for character in value.chars() {
        if !(after_space && character == ' ') {
            text.push(character);
        }
        after_space = character == ' ';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(path: &str, query: &str, headers: &[(&str, &str)]) -> String {
        let request = Request { method: "POST", path, query, headers, body: b"" };
        CanonicalRequest::new(&request, PathNormalization::Normalize).text
    }

    fn line(text: &str, number: usize) -> &str {
        text.split('\n').nth(number).unwrap()
    }

    #[test]
    fn the_path_is_encoded_once_more() {
        for (sent, signed) in [
            ("", "/"),
            ("model", "/model"),
            (
                "/model/anthropic.claude-3-haiku-20240307-v1:0/invoke",
                "/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke",
            ),
            ("/model/arn%3Aaws%3Abedrock%2Fx/invoke", "/model/arn%253Aaws%253Abedrock%252Fx/invoke"),
            ("/a/./b/../c", "/a/c"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/../../a", "/a"),
            ("/a.b/..c", "/a.b/..c"),
        ] {
            assert_eq!(line(&canonical(sent, "", &[]), 1), signed, "{sent}");
        }
    }

    #[test]
    fn query_parameters_have_one_encoding_and_one_order() {
        for (sent, signed) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1", "a=1&a=2"),
            ("flag", "flag="),
            ("a=b=c", "a=b%3Dc"),
            ("a=%7e%2f~", "a=~%2F~"),
            ("a=x+y%20z", "a=x%20y%20z"),
            ("a=%zz%", "a=%25zz%25"),
            ("a=%ff", "a=%FF"),
            ("&&a=1&", "a=1"),
        ] {
            assert_eq!(line(&canonical("/", sent, &[]), 2), signed, "{sent}");
        }
    }

    #[test]
    fn header_values_are_trimmed_and_joined() {
        let text = canonical("/", "", &[("B", " \t x  y "), ("a", "2"), ("A", "1"), ("c", "")]);
        assert_eq!(
            text.split('\n').skip(3).take(6).collect::<Vec<_>>(),
            ["a:2,1", "b:x y", "c:", "", "a;b;c", &hex::encode(Sha256::digest(b""))]
        );
    }

    #[test]
    fn debug_shows_no_value() {
        let request = Request {
            method: "GET",
            path: "/",
            query: "",
            headers: &[("x-amz-security-token", "the-token")],
            body: b"#####",
        };
        let shown = format!("{request:?}");
        assert!(!shown.contains("the-token") && !shown.contains("35, 35"), "{shown}");
        let canonical = CanonicalRequest::new(&request, PathNormalization::AsSent);
        assert!(canonical.as_str().contains("the-token"));
        assert_eq!(
            format!("{canonical:?}"),
            r#"CanonicalRequest { signed_headers: "x-amz-security-token", .. }"#
        );
    }
}
