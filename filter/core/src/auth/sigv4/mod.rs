//! AWS Signature Version 4, for requests signed by headers.
//!
//! The three values of the algorithm are values here too, each of which can be printed and compared:
//! [`CanonicalRequest`], [`StringToSign`] and [`Signature`]. [`sign`] puts them together for one request to a
//! backend. Time and credentials are arguments; keys derived from them are kept in [`SigningKeys`].
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

mod canonical;
pub(crate) mod clock;
mod key;
mod region;

use std::fmt;

pub use canonical::{CanonicalRequest, PathNormalization, Request};
pub use key::{AmzDate, Scope, Signature, SigningKey, SigningKeys, StringToSign};
pub use region::{region_of_host, service_of_host};

use super::{AwsCredentials, Secret};

/// One request to sign, as it will be on the wire, with who signs it, for where and when.
#[derive(Clone, Copy)]
pub struct Signing<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The value of `:path`: the path as it is sent, percent-encoded, with its query string if there is one.
    pub target: &'a str,
    /// The host the backend will see. It is the configured one, since what a proxy filter finds in `:authority`
    /// is not what is sent.
    pub host: &'a str,
    /// The other headers of the request, names in any case. Those worth signing are picked from it.
    pub headers: &'a [(&'a str, &'a str)],
    /// The final body.
    pub body: &'a [u8],
    /// Who signs.
    pub credentials: &'a AwsCredentials,
    /// The AWS region, such as `us-east-1`.
    pub region: &'a str,
    /// The name AWS signs the service under: `bedrock` for the Bedrock runtime, see [`service_of_host`].
    pub service: &'a str,
    /// Now, in seconds of Unix time. AWS takes a signature for five minutes.
    pub now: u64,
}

/// Headers and body are left out: the client's own credential may be among them.
impl fmt::Debug for Signing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("host", &self.host)
            .field("credentials", &self.credentials)
            .field("region", &self.region)
            .field("service", &self.service)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// The headers that make a request a signed one. Each replaces what the request had under its name.
///
/// `x-amz-content-sha256` is not among them: only S3 asks for it, the hash of the body is in the signature
/// without it, and a header less is one less that can disagree with the body.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedHeaders {
    /// The value of `authorization`.
    pub authorization: Secret,
    /// The value of `x-amz-date`.
    pub x_amz_date: AmzDate,
    /// The value of `x-amz-security-token`, for temporary credentials. Where there is none the header must be
    /// absent.
    pub x_amz_security_token: Option<Secret>,
}

impl SignedHeaders {
    /// The headers to set, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [("authorization", self.authorization.expose()), ("x-amz-date", self.x_amz_date.date_time())]
            .into_iter()
            .chain(self.x_amz_security_token.iter().map(|token| ("x-amz-security-token", token.expose())))
    }
}

impl fmt::Debug for SignedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedHeaders")
            .field("authorization", &self.authorization)
            .field("x_amz_date", &self.x_amz_date)
            .field("x_amz_security_token", &self.x_amz_security_token)
            .finish()
    }
}

/// Signs a request. The signature covers the method, the path and query, the body, and the headers `host`,
/// `content-type` and `x-amz-*`: what AWS asks for, and nothing that a proxy on the way may change, such as
/// `content-length`, `user-agent` or the trace headers.
#[must_use]
pub fn sign(signing: &Signing<'_>, keys: &mut SigningKeys) -> SignedHeaders {
    let date = AmzDate::from_unix(signing.now);
    let token = signing.credentials.session_token.as_ref();

    let mut headers = Vec::with_capacity(8);
    headers.push(("host", signing.host));
    headers.push(("x-amz-date", date.date_time()));
    if let Some(token) = token {
        headers.push(("x-amz-security-token", token.expose()));
    }
    headers.extend(signing.headers.iter().copied().filter(|(name, _)| is_signed(name)));

    let (path, query) = signing.target.split_once('?').unwrap_or((signing.target, ""));
    let canonical = CanonicalRequest::new(
        &Request { method: signing.method, path, query, headers: &headers, body: signing.body },
        PathNormalization::Normalize,
    );
    let scope = Scope { date: &date, region: signing.region, service: signing.service };
    let string_to_sign = StringToSign::new(&scope, &canonical);
    let signature = keys.get(signing.credentials, &scope).sign(&string_to_sign);
    SignedHeaders {
        authorization: authorization(&signing.credentials.access_key_id, &scope, &canonical, signature),
        x_amz_date: date,
        x_amz_security_token: token.cloned(),
    }
}

/// The value of the `authorization` header.
#[must_use]
pub fn authorization(
    access_key_id: &str,
    scope: &Scope<'_>,
    canonical: &CanonicalRequest,
    signature: Signature,
) -> Secret {
    Secret::new(format!(
        "AWS4-HMAC-SHA256 Credential={access_key_id}/{scope}, SignedHeaders={}, Signature={signature}",
        canonical.signed_headers(),
    ))
}

/// Whether a header of the request takes part in the signature. Those that [`sign`] sets itself do not, or a
/// leftover of an earlier attempt would be signed beside the new one.
fn is_signed(name: &str) -> bool {
    const OWN: [&str; 3] = ["x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];
    name.eq_ignore_ascii_case("content-type")
        || (name.get(..6).is_some_and(|prefix| prefix.eq_ignore_ascii_case("x-amz-"))
            && !OWN.iter().any(|own| name.eq_ignore_ascii_case(own)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> AwsCredentials {
        AwsCredentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: None,
        }
    }

    fn signing<'a>(credentials: &'a AwsCredentials, headers: &'a [(&'a str, &'a str)]) -> Signing<'a> {
        Signing {
            method: "POST",
            target: "/model/anthropic.claude-3-haiku-20240307-v1:0/invoke",
            host: "bedrock-runtime.us-west-2.amazonaws.com",
            headers,
            body: b"{}",
            credentials,
            region: "us-west-2",
            service: "bedrock",
            now: 1_440_938_160,
        }
    }

    fn signed_names(headers: &SignedHeaders) -> String {
        let value = headers.authorization.expose();
        let (_, rest) = value.split_once("SignedHeaders=").unwrap();
        rest.split_once(',').unwrap().0.to_owned()
    }

    #[test]
    fn only_headers_that_nobody_alters_are_signed() {
        let credentials = credentials();
        let headers = [
            ("Content-Type", "application/json"),
            ("content-length", "2"),
            ("user-agent", "x"),
            ("accept", "*/*"),
            ("x-amzn-trace-id", "1"),
            ("x-forwarded-for", "1"),
            ("authorization", "Bearer client"),
            ("X-Amz-Target", "t"),
        ];
        let signed = sign(&signing(&credentials, &headers), &mut SigningKeys::default());
        assert_eq!(signed_names(&signed), "content-type;host;x-amz-date;x-amz-target");
    }

    #[test]
    fn leftovers_of_an_earlier_attempt_change_nothing() {
        let credentials = credentials();
        let clean = sign(&signing(&credentials, &[]), &mut SigningKeys::default());
        let leftovers = [
            ("x-amz-date", "20150101T000000Z"),
            ("X-Amz-Security-Token", "old"),
            ("x-amz-content-sha256", "00"),
            ("authorization", "AWS4-HMAC-SHA256 old"),
            ("host", "other"),
        ];
        assert_eq!(clean, sign(&signing(&credentials, &leftovers), &mut SigningKeys::default()));
    }

    #[test]
    fn the_token_of_temporary_credentials_is_sent_and_signed() {
        let mut credentials = credentials();
        let without = sign(&signing(&credentials, &[]), &mut SigningKeys::default());
        assert_eq!(without.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["authorization", "x-amz-date"]);
        credentials.session_token = Some(Secret::new("the-token"));
        let with = sign(&signing(&credentials, &[]), &mut SigningKeys::default());
        assert_eq!(with.iter().nth(2), Some(("x-amz-security-token", "the-token")));
        assert_eq!(signed_names(&with), "host;x-amz-date;x-amz-security-token");
        assert_ne!(with.authorization, without.authorization);
    }

    #[test]
    fn host_path_query_body_and_type_are_all_covered() {
        let credentials = credentials();
        let sign = |signing: &Signing<'_>| sign(signing, &mut SigningKeys::default()).authorization;
        let base = signing(&credentials, &[]);
        let first = sign(&base);
        for other in [
            Signing { method: "PUT", ..base },
            Signing { target: "/model/other/invoke", ..base },
            Signing { target: "/model/anthropic.claude-3-haiku-20240307-v1:0/invoke?a=b", ..base },
            Signing { host: "other", ..base },
            Signing { body: b"{ }", ..base },
            Signing { headers: &[("content-type", "application/json")], ..base },
            Signing { region: "us-east-1", ..base },
            Signing { service: "bedrock-mantle", ..base },
            Signing { now: base.now + 1, ..base },
        ] {
            assert_ne!(first, sign(&other), "{other:?}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let mut credentials = credentials();
        credentials.session_token = Some(Secret::new("the-token"));
        let headers = [("authorization", "client-secret")];
        let signing = Signing { body: b"#####", ..signing(&credentials, &headers) };
        let signed = sign(&signing, &mut SigningKeys::default());
        let (_, signature) = signed.authorization.expose().split_once("Signature=").unwrap();
        let shown = format!("{signing:?} {signed:?}");
        for secret in ["wJalr", "the-token", "client-secret", "35, 35", signature] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
