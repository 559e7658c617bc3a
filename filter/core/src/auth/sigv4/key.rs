//! What is signed with what: the time, the scope, the string to sign, the derived key and the signature.

use std::fmt;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::CanonicalRequest;
use crate::auth::{AwsCredentials, Secret};

/// The last second that AWS's form of a time can express: 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

/// How many derived keys are kept: two days of a handful of credentials and regions.
const KEPT_KEYS: usize = 16;

/// A time as AWS writes it: `20150830T123600Z`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmzDate(String);

impl AmzDate {
    /// The form of a time in seconds of Unix time. A time after the year 9999 is taken for its last second.
    #[must_use]
    pub fn from_unix(seconds: u64) -> Self {
        let seconds = i64::try_from(seconds.min(LAST_SECOND)).unwrap_or_default();
        let time = DateTime::<Utc>::from_timestamp(seconds, 0).unwrap_or_default();
        Self(time.format("%Y%m%dT%H%M%SZ").to_string())
    }

    /// `20150830T123600Z`, the value of `x-amz-date`.
    #[must_use]
    pub fn date_time(&self) -> &str {
        &self.0
    }

    /// `20150830`, the day a key is derived for.
    #[must_use]
    pub fn date(&self) -> &str {
        self.0.get(..8).unwrap_or_default()
    }
}

/// What a signature is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    /// When.
    pub date: &'a AmzDate,
    /// Where, such as `us-east-1`.
    pub region: &'a str,
    /// For what, such as `bedrock`.
    pub service: &'a str,
}

/// The credential scope: `20150830/us-east-1/bedrock/aws4_request`.
impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/aws4_request", self.date.date(), self.region, self.service)
    }
}

/// The string to sign. It holds hashes only, no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringToSign(String);

impl StringToSign {
    /// The string to sign of a canonical request.
    #[must_use]
    pub fn new(scope: &Scope<'_>, canonical: &CanonicalRequest) -> Self {
        Self(format!(
            "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
            scope.date.date_time(),
            hex::encode(Sha256::digest(canonical.as_str()))
        ))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A signature; `Display` writes it in hexadecimal. `Debug` does not, since it is worth the request it signs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 32]);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(..)")
    }
}

/// The key that signs: derived from the secret access key for one day, region and service.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// Derives the key of a scope.
    #[must_use]
    pub fn derive(secret_access_key: &Secret, scope: &Scope<'_>) -> Self {
        let mut secret = Vec::with_capacity(64);
        secret.extend_from_slice(b"AWS4");
        secret.extend_from_slice(secret_access_key.expose().as_bytes());
        let date = keyed(&secret).chain_update(scope.date.date()).finalize().into_bytes();
        let region = keyed(&date).chain_update(scope.region).finalize().into_bytes();
        let service = keyed(&region).chain_update(scope.service).finalize().into_bytes();
        let signing = keyed(&service).chain_update(b"aws4_request").finalize().into_bytes();
        Self(keyed(&signing))
    }

    /// Signs.
    #[must_use]
    pub fn sign(&self, string_to_sign: &StringToSign) -> Signature {
        Signature(self.0.clone().chain_update(string_to_sign.as_str()).finalize().into_bytes().into())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// An HMAC with a key of any length. A key longer than a block stands for its hash (RFC 2104 section 2); doing
/// that here leaves the constructor that cannot fail.
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    let hash;
    let key = if key.len() > block.len() {
        hash = Sha256::digest(key);
        hash.as_slice()
    } else {
        key
    };
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    Hmac::new(&block)
}

/// The keys derived last. Deriving one takes longer than signing with it, and it is good for a day.
#[derive(Debug, Default)]
pub struct SigningKeys {
    kept: Vec<KeptKey>,
    /// Where the next key goes once all places are taken: over the oldest.
    next: usize,
}

struct KeptKey {
    secret_access_key: Secret,
    date: String,
    region: String,
    service: String,
    key: SigningKey,
}

impl SigningKeys {
    /// The key of `credentials` for `scope`: one kept from before, or derived now.
    pub fn get(&mut self, credentials: &AwsCredentials, scope: &Scope<'_>) -> SigningKey {
        let secret_access_key = &credentials.secret_access_key;
        let kept = self.kept.iter().find(|kept| {
            kept.date == scope.date.date()
                && kept.region == scope.region
                && kept.service == scope.service
                && kept.secret_access_key == *secret_access_key
        });
        if let Some(kept) = kept {
            return kept.key.clone();
        }
        let key = SigningKey::derive(secret_access_key, scope);
        let new = KeptKey {
            secret_access_key: secret_access_key.clone(),
            date: scope.date.date().to_owned(),
            region: scope.region.to_owned(),
            service: scope.service.to_owned(),
            key: key.clone(),
        };
        match self.kept.get_mut(self.next) {
            Some(oldest) => *oldest = new,
            None => self.kept.push(new),
        }
        self.next = (self.next + 1) % KEPT_KEYS;
        key
    }
}

impl fmt::Debug for KeptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeptKey({}/{}/{})", self.date, self.region, self.service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::sigv4::{PathNormalization, Request};

    #[test]
    fn times_have_aws_form_whatever_the_clock_says() {
        for (seconds, form) in [
            (0, "19700101T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (1_440_979_199, "20150830T235959Z"),
            (1_440_979_200, "20150831T000000Z"),
            (LAST_SECOND, "99991231T235959Z"),
            (LAST_SECOND + 1, "99991231T235959Z"),
            (u64::MAX, "99991231T235959Z"),
        ] {
            let date = AmzDate::from_unix(seconds);
            assert_eq!(date.date_time(), form);
            assert_eq!(Some(date.date()), form.get(..8));
        }
    }

    /// RFC 4231, test cases 1 (short key) and 6 (a key longer than a block).
    #[test]
    fn hmac_takes_keys_of_any_length() {
        let mac =
            |key: &[u8], data: &[u8]| hex::encode(keyed(key).chain_update(data).finalize().into_bytes());
        assert_eq!(
            mac(&[0x0b; 20], b"Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            mac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    fn credentials(secret: &str) -> AwsCredentials {
        AwsCredentials {
            access_key_id: "AKID".to_owned(),
            secret_access_key: Secret::new(secret),
            session_token: None,
        }
    }

    fn signature(key: &SigningKey, scope: &Scope<'_>) -> Signature {
        let request = Request { method: "GET", path: "/", query: "", headers: &[], body: b"" };
        key.sign(&StringToSign::new(scope, &CanonicalRequest::new(&request, PathNormalization::AsSent)))
    }

    #[test]
    fn a_kept_key_serves_its_own_secret_day_region_and_service_only() {
        let (day, next_day) = (AmzDate::from_unix(1_440_979_199), AmzDate::from_unix(1_440_979_200));
        let scope = |date, region, service| Scope { date, region, service };
        let mut keys = SigningKeys::default();
        let mut seen = Vec::new();
        // Twice: derived the first time, kept the second.
        for _ in 0..2 {
            for (secret, scope) in [
                ("a", scope(&day, "us-east-1", "bedrock")),
                ("b", scope(&day, "us-east-1", "bedrock")),
                ("a", scope(&next_day, "us-east-1", "bedrock")),
                ("a", scope(&day, "us-west-2", "bedrock")),
                ("a", scope(&day, "us-east-1", "sts")),
            ] {
                let credentials = credentials(secret);
                let got = signature(&keys.get(&credentials, &scope), &scope);
                let fresh = SigningKey::derive(&credentials.secret_access_key, &scope);
                assert_eq!(got, signature(&fresh, &scope));
                seen.push(got.to_string());
            }
        }
        assert_eq!(keys.kept.len(), 5);
        assert_eq!(seen[..5], seen[5..]);
        seen.truncate(5);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 5);
    }

    #[test]
    fn the_number_of_kept_keys_is_bounded_and_the_oldest_goes_first() {
        let date = AmzDate::from_unix(0);
        let mut keys = SigningKeys::default();
        for index in 0..=KEPT_KEYS {
            keys.get(&credentials(&index.to_string()), &Scope { date: &date, region: "r", service: "s" });
        }
        assert_eq!(keys.kept.len(), KEPT_KEYS);
        assert_eq!(keys.kept[0].secret_access_key, Secret::new(KEPT_KEYS.to_string()));
        assert_eq!(keys.kept[1].secret_access_key, Secret::new("1"));
    }

    #[test]
    fn debug_shows_no_secret() {
        let date = AmzDate::from_unix(0);
        let scope = Scope { date: &date, region: "r", service: "s" };
        let mut keys = SigningKeys::default();
        let key = keys.get(&credentials("the-secret"), &scope);
        let signature = signature(&key, &scope);
        let shown = format!("{key:?} {keys:?} {signature:?}");
        assert!(!shown.contains("the-secret") && !shown.contains(&signature.to_string()), "{shown}");
    }
}
