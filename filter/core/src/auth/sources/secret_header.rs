//! How the values of Secrets reach the filter. A wasm filter cannot read files, so the proxy does: on a call to a
//! private listener it adds one header per secret, `x-weir-secret-<name>: BASE64`, from files that it watches.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use sha2::{Digest, Sha256};

use super::SourceError;
use crate::auth::Secret;

/// The beginning of the names of the headers that carry secrets.
pub const SECRET_HEADER_PREFIX: &str = "x-weir-secret-";

/// The largest secret, in bytes. All of them share one header block, which a proxy keeps to 60 KiB by default.
const MAX_SECRET: usize = 32 * 1024;

/// The name of the header that carries the secret of `credential`. It follows from the name alone, so that a proxy and
/// a filter whose configurations differ for a moment never take one secret for another.
#[must_use]
pub fn secret_header(credential: &str) -> String {
    let digest = hex::encode(Sha256::digest(credential));
    format!("{SECRET_HEADER_PREFIX}{}", digest.get(..16).unwrap_or_default())
}

/// Reads the value of a header named [`SECRET_HEADER_PREFIX`] and what follows it.
///
/// # Errors
/// When it is empty, over 32 KiB, no base64 or no UTF-8 text.
pub fn decode_secret_header(value: &str) -> Result<Secret, SourceError> {
    let value = value.trim();
    if value.is_empty() {
        return Err(SourceError::EmptySecret);
    }
    if value.len() > MAX_SECRET.div_ceil(3) * 4 {
        return Err(SourceError::TooLarge(MAX_SECRET));
    }
    let bytes = STANDARD.decode(value).map_err(|_| SourceError::NotBase64)?;
    if bytes.len() > MAX_SECRET {
        return Err(SourceError::TooLarge(MAX_SECRET));
    }
    String::from_utf8(bytes).map(Secret::new).map_err(|_| SourceError::NotText)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_named_after_its_credential() {
        assert_eq!(secret_header("default/key"), "x-weir-secret-e595e16008c12a79");
        assert_ne!(secret_header("default/key"), secret_header("default/key2"));
    }

    #[test]
    fn secrets_come_as_base64() {
        assert_eq!(decode_secret_header("c2stMQ=="), Ok(Secret::new("sk-1")));
        assert_eq!(decode_secret_header(" c2stMQ==\n"), Ok(Secret::new("sk-1")));
        assert_eq!(
            decode_secret_header(&STANDARD.encode("[default]\nä=b\n")),
            Ok(Secret::new("[default]\nä=b\n"))
        );
    }

    #[test]
    fn what_is_no_secret_is_refused_without_showing_it() {
        for (value, error) in [
            ("", SourceError::EmptySecret),
            ("  ", SourceError::EmptySecret),
            ("c2stMQ", SourceError::NotBase64),
            ("sk-proj-plain", SourceError::NotBase64),
            ("c2st\nMQ==", SourceError::NotBase64),
            ("//79", SourceError::NotText),
        ] {
            let got = decode_secret_header(value).unwrap_err();
            assert_eq!(got, error, "{value:?}");
            assert!(!format!("{got} {got:?}").contains("sk-"), "{got}");
        }
    }

    #[test]
    fn the_size_is_bounded_to_the_byte() {
        let largest = "a".repeat(MAX_SECRET);
        assert_eq!(decode_secret_header(&STANDARD.encode(&largest)), Ok(Secret::new(largest)));
        for over in [1, 2, 3, 1000] {
            let value = STANDARD.encode("a".repeat(MAX_SECRET + over));
            assert_eq!(decode_secret_header(&value), Err(SourceError::TooLarge(MAX_SECRET)));
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(text in "([A-Za-z0-9+/=]|\\PC){0,200}") {
            let _ = decode_secret_header(&text);
        }
    }
}
