//! Token endpoints: what is posted to them, and what they answer.
//! <https://www.rfc-editor.org/rfc/rfc6749>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{SourceError, hidden};
use crate::auth::credentials::{Fresh, Header, HttpAnswer, HttpCall, Io, Lasts};
use crate::auth::{Credential, FetchError, Secret};

/// The largest answer that is read, in bytes. Tokens have some thousands at most.
const MAX_ANSWER: usize = 64 * 1024;

/// What every token is taken for at most, in seconds: a day, as the longest that the providers give.
const LONGEST_LIFE: u64 = 24 * 3600;

/// An access token, and when it expires, in seconds of Unix time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) value: Secret,
    pub(super) expires_at: u64,
}

impl From<Token> for Fresh {
    fn from(token: Token) -> Self {
        Fresh { credential: Credential::ApiKey(token.value), lasts: Lasts::Until(token.expires_at) }
    }
}

/// What `application/x-www-form-urlencoded` leaves as it is.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b' ');

/// A form's fields as a query or a body has them.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    fields.join("&")
}

/// A text as it stands in the query of a URL or, before base64, in Basic authentication (RFC 6749, 2.3.1).
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, FORM).to_string().replace(' ', "+")
}

/// The header that shows a client's secret (RFC 6749, 2.3.1).
pub(super) fn basic(client_id: &str, secret: &Secret) -> Header {
    let pair = format!("{}:{}", encoded(client_id), encoded(secret.expose()));
    ("authorization".into(), format!("Basic {}", STANDARD.encode(pair)))
}

/// `call` with a form as its body, for an answer in JSON.
pub(super) fn post(call: HttpCall, fields: &[(&str, &str)]) -> HttpCall {
    let mut call = call;
    call.headers.push(("content-type".into(), "application/x-www-form-urlencoded".to_owned()));
    call.headers.push(("accept".into(), "application/json".to_owned()));
    call.body = form(fields).into_bytes();
    call
}

/// The answer to a call of `url`; where there is none, the error says whose.
pub(super) async fn ask(call: HttpCall, url: &str, io: &Io) -> Result<HttpAnswer, FetchError> {
    io.http(call).await.map_err(|error| match error {
        FetchError::NoAnswer => SourceError::NoAnswer.of(url).into(),
        other => other,
    })
}

/// The token that a call of `url` gives. What was `sent` as a secret is in no error.
pub(super) async fn fetch(call: HttpCall, url: &str, sent: &[&Secret], io: &Io) -> Result<Token, FetchError> {
    let answer = ask(call, url, io).await?;
    Ok(token(&answer, io.now(), sent).map_err(|error| error.of(url))?)
}

/// The token of an answer that came at `now`. What was `sent` as a secret is in no error.
pub(super) fn token(answer: &HttpAnswer, now: u64, sent: &[&Secret]) -> Result<Token, SourceError> {
    let json = json(answer, sent)?;
    let value = text(&json, "access_token")?;
    if let Some(kind) = json.get("token_type").and_then(Value::as_str)
        && !kind.eq_ignore_ascii_case("bearer")
        // Of a token exchange it may be said that it has no type (RFC 8693, 2.2.1).
        && kind != "N_A"
    {
        return Err(SourceError::BadAnswer("has a token that is no Bearer token"));
    }
    let expires_at = match (seconds(&json, "expires_on"), seconds(&json, "expires_in")) {
        // Managed identities of Azure say when, and what remains may be that of a token they had kept.
        (Some(expires_on), _) => expires_on,
        (None, Some(lifetime)) => now.saturating_add(lifetime),
        (None, None) => return Err(SourceError::MissingMember("expires_in")),
    };
    usable(value, expires_at, now)
}

/// A token that can be sent and has not expired.
pub(super) fn usable(value: &str, expires_at: u64, now: u64) -> Result<Token, SourceError> {
    let value = Secret::new(value);
    if !value.is_header_value() {
        return Err(SourceError::UnusableValue("the access token"));
    }
    if expires_at <= now {
        return Err(SourceError::AlreadyExpired);
    }
    Ok(Token { value, expires_at: expires_at.min(now.saturating_add(LONGEST_LIFE)) })
}

/// The JSON of a good answer.
pub(super) fn json(answer: &HttpAnswer, sent: &[&Secret]) -> Result<Value, SourceError> {
    if answer.body.len() > MAX_ANSWER {
        return Err(SourceError::BadAnswer("is larger than 64 KiB"));
    }
    // serde_json's own errors quote what they find, which may be a secret.
    let json = serde_json::from_slice::<Value>(&answer.body);
    if answer.status != 200 {
        let why = json.map_or_else(|_| of_envoy(&answer.body, sent), |json| reason(&json, sent));
        return Err(SourceError::Refused(answer.status, why));
    }
    json.map_err(|_| SourceError::BadAnswer("is not JSON"))
}

/// The text of a good answer.
pub(super) fn text_of(answer: &HttpAnswer) -> Result<Secret, SourceError> {
    if answer.body.len() > MAX_ANSWER {
        return Err(SourceError::BadAnswer("is larger than 64 KiB"));
    }
    if answer.status != 200 {
        return Err(SourceError::Refused(answer.status, String::new()));
    }
    let text = std::str::from_utf8(&answer.body).map_err(|_| SourceError::NotText)?;
    Ok(Secret::new(text))
}

/// A member of an answer that is a text and not empty.
pub(super) fn text<'j>(json: &'j Value, member: &'static str) -> Result<&'j str, SourceError> {
    let text = json.get(member).and_then(Value::as_str).map(str::trim);
    text.filter(|text| !text.is_empty()).ok_or(SourceError::MissingMember(member))
}

/// A number of seconds, which some write as a text.
fn seconds(json: &Value, member: &str) -> Option<u64> {
    match json.get(member)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// What Envoy says where a server cannot be reached, or is not trusted, and Envoy answers for it.
fn of_envoy(body: &[u8], sent: &[&Secret]) -> String {
    const BEGINNINGS: [&str; 3] =
        ["upstream connect error", "upstream request timeout", "no healthy upstream"];
    let text = str::from_utf8(body).unwrap_or_default();
    let is_envoys = BEGINNINGS.iter().any(|beginning| text.starts_with(beginning));
    if is_envoys { hidden(text, sent) } else { String::new() }
}

/// What an error says of itself: OAuth's (RFC 6749, 5.2), or that of Google's APIs, of which it is one object.
fn reason(json: &Value, sent: &[&Secret]) -> String {
    let get = |json: &Value, member: &str| json.get(member).and_then(Value::as_str).map(str::to_owned);
    let parts = match json.get("error") {
        Some(error @ Value::Object(_)) => [get(error, "status"), get(error, "message")],
        Some(Value::String(error)) => [Some(error.clone()), get(json, "error_description")],
        _ => [get(json, "error_description"), get(json, "message")],
    };
    hidden(&parts.into_iter().flatten().collect::<Vec<_>>().join(": "), sent)
}

#[cfg(test)]
mod tests {
    use super::super::MAX_REASON;
    use super::*;

    const NOW: u64 = 1_440_938_160;

    fn parse(status: u16, body: &str) -> Result<Token, SourceError> {
        let answer = HttpAnswer { status, body: body.as_bytes().to_vec() };
        token(&answer, NOW, &[&Secret::new("hidden-secret"), &Secret::new("")])
    }

    fn good(expires_at: u64) -> Result<Token, SourceError> {
        Ok(Token { value: Secret::new("hidden.t"), expires_at })
    }

    #[test]
    fn forms_are_encoded() {
        assert_eq!(
            form(&[("scope", "https://a.b/.default c"), ("client_secret", "a~b+c/d=é&")]),
            "scope=https%3A%2F%2Fa.b%2F.default+c&client_secret=a~b%2Bc%2Fd%3D%C3%A9%26"
        );
    }

    #[test]
    fn a_token_has_a_value_and_an_end() {
        let with =
            |rest: &str| parse(200, &format!(r#"{{"access_token":"hidden.t","token_type":"Bearer"{rest}}}"#));
        assert_eq!(with(r#","expires_in":3599"#), good(NOW + 3599));
        assert_eq!(with(r#","expires_in":"3599","ext_expires_in":3599"#), good(NOW + 3599));
        assert_eq!(with(r#","expires_in":"1","expires_on":"1440938200""#), good(NOW + 40));
        assert_eq!(with(r#","expires_in":999999999999"#), good(NOW + 24 * 3600));
        for no_end in ["", r#","expires_in":null"#, r#","expires_in":-5"#, r#","expires_in":"soon""#] {
            assert_eq!(with(no_end), Err(SourceError::MissingMember("expires_in")), "{no_end}");
        }
        assert_eq!(with(r#","expires_in":0"#), Err(SourceError::AlreadyExpired));
        assert_eq!(with(r#","expires_on":1440938160"#), Err(SourceError::AlreadyExpired));
    }

    #[test]
    fn errors_say_code_and_description_and_hide_what_was_sent() {
        let refused = |status, why: &str| Err(SourceError::Refused(status, why.to_owned()));
        assert_eq!(
            parse(
                400,
                r#"{"error":"invalid_grant","error_description":"Invalid JWT\r\n Signature: hidden-secret"}"#
            ),
            refused(400, "invalid_grant: Invalid JWT Signature: ***")
        );
        assert_eq!(
            parse(403, r#"{"error":{"code":403,"message":"no permission","status":"PERMISSION_DENIED"}}"#),
            refused(403, "PERMISSION_DENIED: no permission")
        );
        assert_eq!(parse(500, "oops"), refused(500, ""));
        assert_eq!(parse(504, "upstream request timeout"), refused(504, "upstream request timeout"));
        let long = format!(r#"{{"error":"{}"}}"#, "ä".repeat(1000));
        assert_eq!(parse(400, &long), refused(400, &"ä".repeat(MAX_REASON)));
    }

    #[test]
    fn what_cannot_be_read_is_named_and_not_shown() {
        for (body, error) in [
            ("hidden".to_owned(), SourceError::BadAnswer("is not JSON")),
            ("[]".to_owned(), SourceError::MissingMember("access_token")),
            (
                r#"{"access_token":"hidden\r\nx: y","expires_in":5}"#.to_owned(),
                SourceError::UnusableValue("the access token"),
            ),
            (r#"{"access_token":5,"expires_in":5}"#.to_owned(), SourceError::MissingMember("access_token")),
            (
                r#"{"access_token":"hidden","token_type":"mac","expires_in":5}"#.to_owned(),
                SourceError::BadAnswer("has a token that is no Bearer token"),
            ),
            (" ".repeat(MAX_ANSWER + 1), SourceError::BadAnswer("is larger than 64 KiB")),
        ] {
            let got = parse(200, &body).unwrap_err();
            assert_eq!(got, error, "{body}");
            assert!(!format!("{got} {got:?}").contains("hidden"), "{got}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused_and_errors_are_short(
            status in proptest::sample::select(vec![200_u16, 400, 503]),
            member in proptest::sample::select(vec!["access_token", "error", "error_description", "expires_in"]),
            value in "\\PC{0,400}",
            rest in "([ -~]|\\PC){0,40}",
        ) {
            let json = serde_json::json!({"access_token": "t", "expires_in": 60, member: value});
            for body in [format!("{json}{rest}"), rest, json.to_string()] {
                let answer = HttpAnswer { status, body: body.into_bytes() };
                let _ = token(&answer, NOW, &[]).map_err(|error| assert!(error.to_string().len() < 2_000));
            }
        }
    }
}
