//! The secrets that an attempt sent, to be blanked where a backend's error repeats them: some servers put the request's
//! headers into what they say.

use std::rc::Rc;

use memchr::memmem;

use crate::auth::{Secret, is_credential_header};
use crate::error::Error;
use crate::headers::HeaderEdits;

/// In the place of a secret. It is as good inside of JSON, HTML and text.
const BLANK: &[u8] = b"***";

/// What is shorter is no secret, but may be a word.
const MIN_LENGTH: usize = 8;

/// Headers of credentials ([`is_credential_header`]) whose values are nothing to hide.
const PUBLIC: &[&str] =
    &["openai-organization", "openai-project", "x-amz-content-sha256", "x-amz-date", "x-goog-user-project"];

/// The secrets of one attempt.
#[derive(Debug, Clone, Default)]
pub(super) struct Secrets(Rc<Vec<Secret>>);

impl Secrets {
    /// Those among the headers of an attempt.
    pub(super) fn of(headers: &HeaderEdits) -> Secrets {
        let secret = |(name, value): (&str, Option<&str>)| {
            let value = value.filter(|_| is_credential_header(name) && !PUBLIC.contains(&name))?;
            let secret = match value.split_once("Signature=") {
                // The rest of it names the access key, which is public.
                Some((_, signature)) if value.starts_with("AWS4-HMAC-SHA256 ") => signature,
                _ if name.ends_with("authorization") => {
                    value.split_once(' ').map_or(value, |(_, credential)| credential)
                }
                _ => value,
            };
            (secret.len() >= MIN_LENGTH).then(|| Secret::new(secret))
        };
        Secrets(Rc::new(headers.iter().filter_map(secret).collect()))
    }

    /// True when there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them is in `text` as it is.
    pub(super) fn are_in(&self, text: &str) -> bool {
        let text = text.as_bytes();
        self.0.iter().any(|secret| memmem::find(text, secret.expose().as_bytes()).is_some())
    }

    /// `text` with every secret in it blanked, also where JSON, HTML or a URL escape its letters; `None` when there is
    /// none.
    pub(super) fn blanked(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut blanked: Option<Vec<u8>> = None;
        // Up to here `text` is in `blanked`, or has no secret.
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            let rest = text.get(at..).unwrap_or_default();
            let length = |secret: &Secret| {
                let first = secret.expose().as_bytes().first();
                // Most bytes begin none.
                let may_begin = first == Some(&byte) || matches!(byte, b'\\' | b'%' | b'&');
                may_begin.then(|| length_of(rest, secret.expose().as_bytes()))?
            };
            match self.0.iter().filter_map(length).max() {
                Some(length) => {
                    blanked.get_or_insert_with(|| text.get(..at).unwrap_or_default().to_vec()).extend(BLANK);
                    at += length;
                }
                None => {
                    if let Some(blanked) = &mut blanked {
                        blanked.push(byte);
                    }
                    at += 1;
                }
            }
        }
        blanked
    }

    /// The same of text.
    pub(super) fn blanked_text(&self, text: &str) -> Option<String> {
        self.blanked(text.as_bytes()).map(|text| String::from_utf8_lossy(&text).into_owned())
    }

    /// The same of what an error says.
    pub(super) fn blanked_error(&self, error: &Error) -> Error {
        error.map_words(|words| self.blanked_text(words))
    }
}

/// How much of `text` it is, if it begins with `secret`.
fn length_of(text: &[u8], secret: &[u8]) -> Option<usize> {
    // A `%` or `&` of the secret's own may look as if an escape began there.
    [true, false].into_iter().find_map(|is_escape| {
        let mut at = 0;
        for &byte in secret {
            let rest = text.get(at..)?;
            let is_plain = !is_escape && matches!(byte, b'%' | b'&') && rest.first() == Some(&byte);
            at += if is_plain { 1 } else { length_of_letter(rest, byte)? };
        }
        Some(at)
    })
}

/// How much of `text` it is, if it begins with `byte`, plain or in some escape.
fn length_of_letter(text: &[u8], byte: u8) -> Option<usize> {
    let number = |digits: &[u8], radix| {
        std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, radix).ok())
    };
    let is_it =
        |digits: Option<&[u8]>, radix| digits.and_then(|digits| number(digits, radix)) == Some(byte.into());
    match text.first()? {
        // JSON, also JSON within JSON: `\u002b`, `\/`, `\\/`.
        b'\\' => {
            let slashes = text.iter().take_while(|byte| **byte == b'\\').count();
            let rest = text.get(slashes..)?;
            if rest.first() == Some(&b'u') && is_it(rest.get(1..5), 16) {
                return Some(slashes + 5);
            }
            if byte == b'\\' {
                return Some(slashes.min(2));
            }
            (rest.first() == Some(&byte) && !byte.is_ascii_alphanumeric()).then_some(slashes + 1)
        }
        b'%' if is_it(text.get(1..3), 16) => Some(3),
        b'&' => {
            let end = text.iter().take(10).position(|byte| *byte == b';');
            let is_named = match end.and_then(|end| text.get(1..end)).unwrap_or_default() {
                b"amp" => byte == b'&',
                b"lt" => byte == b'<',
                b"gt" => byte == b'>',
                b"quot" => byte == b'"',
                b"apos" => byte == b'\'',
                [b'#', b'x' | b'X', digits @ ..] => is_it(Some(digits), 16),
                [b'#', digits @ ..] => is_it(Some(digits), 10),
                _ => false,
            };
            let named = end.filter(|_| is_named).map(|end| end + 1);
            named.or((byte == b'&').then_some(1))
        }
        plain => (*plain == byte).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secrets(headers: &[(&'static str, &'static str)]) -> Secrets {
        let mut edits = HeaderEdits::default();
        for (name, value) in headers {
            edits.set(*name, *value);
        }
        Secrets::of(&edits)
    }

    fn blanked(secrets: &Secrets, text: &str) -> String {
        secrets.blanked_text(text).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn what_an_attempt_shows_is_blanked() {
        let of = |name, value| secrets(&[("x-plain", "not-a-secret"), (name, value)]);
        for (name, value, text, expected) in [
            ("authorization", "Bearer sk-12345", "Bearer sk-12345", "Bearer ***"),
            ("x-api-key", "sk-ant-1", "a sk-ant-1, sk-ant-1\nnot-a-secret", "a ***, ***\nnot-a-secret"),
            ("api-key", "0123456789", "x0123456789y 012345678", "x***y 012345678"),
            ("x-amz-security-token", "IQo/b+c==", "token:IQo/b+c==\n", "token:***\n"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKID/x, SignedHeaders=host, Signature=0123abcd",
                "AKID signed 0123abcd",
                "AKID signed ***",
            ),
        ] {
            assert_eq!(blanked(&of(name, value), text), expected);
        }
        for (name, value, text) in [
            ("authorization", "Bearer short", "short"),
            ("openai-organization", "org-12345678", "org-12345678"),
            ("x-amz-date", "20260101T000000Z", "20260101T000000Z"),
            ("x-api-key", "sk-12345", "sk-1****"),
        ] {
            assert_eq!(of(name, value).blanked_text(text), None, "{name}");
        }
    }

    #[test]
    fn an_escaped_secret_is_one_too() {
        let secrets = secrets(&[("x-api-key", "a/b+c=\"d\\e&f<g")]);
        for text in [
            r#"a/b+c=\"d\\e&f<g"#,
            r#"a\/b+c=\"d\\e&f<g"#,
            r#"a\/b\u002bc\u003D\u0022d\u005ce\u0026f\u003cg"#,
            r#"\u0061/b+c=\\\"d\\e&f<g"#,
            "a%2Fb%2bc%3D%22d%5Ce%26f%3Cg",
            "a/b+c=&quot;d\\e&amp;f&lt;g",
            "a&#47;b&#x2B;c=&#34;d\\e&#38;f&#x3c;g",
        ] {
            assert!(blanked(&secrets, text).contains("***"), "{text}: {}", blanked(&secrets, text));
        }
        assert_eq!(blanked(&secrets, r#"{"k":"a\/b+c=\"d\\e&f<g"}"#), r#"{"k":"***"}"#);
        assert_eq!(secrets.blanked_text(r#"a/b+c=\"d\\e&f\ng"#), None);
    }

    #[test]
    fn a_secret_may_look_like_an_escape() {
        for secret in ["%25A0aa0", "\"%25aaaaa", "&amp;aaaa"] {
            let secrets = secrets(&[("x-api-key", secret)]);
            let json = serde_json::json!({ "k": secret }).to_string();
            assert_eq!(blanked(&secrets, &json), r#"{"k":"***"}"#, "{secret}");
        }
    }

    #[test]
    fn debug_shows_none() {
        assert!(!format!("{:?}", secrets(&[("x-api-key", "sk-123456")])).contains("sk-"));
    }

    proptest! {
        #[test]
        fn json_stays_json(before in "\\PC{0,8}", key in "[!-~]{8,12}", after in "\\PC{0,8}") {
            let mut edits = HeaderEdits::default();
            edits.set("x-api-key", key.clone());
            let secrets = Secrets::of(&edits);
            let json = serde_json::json!({ "a": format!("{before}{key}{after}") }).to_string();
            let json = blanked(&secrets, &json);
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert!(!value["a"].as_str().unwrap().contains(&key) || key.contains('*'));
        }

        #[test]
        fn never_panics(text in proptest::collection::vec(proptest::sample::select(b"\\%&#;xu0269ab".to_vec()), 0..40)) {
            let _ = secrets(&[("x-api-key", "abab%&#;")]).blanked(&text);
        }
    }
}
