//! A key of a Secret whose value is what a backend is shown: an API key or a token.

use super::SourceError;
use crate::auth::credentials::{Fresh, Io, Lasts};
use crate::auth::{Credential, FetchError, Secret};

/// Reads the key `key` of the Secret `name`.
pub(super) async fn fetch(name: &str, key: &str, io: &Io) -> Result<Fresh, FetchError> {
    let credential = Credential::ApiKey(parse(&io.secret(name, key).await?)?);
    Ok(Fresh { credential, lasts: Lasts::UntilReplaced })
}

/// The value as a header can have it.
fn parse(value: &Secret) -> Result<Secret, SourceError> {
    let key = Secret::new(value.expose().trim());
    if key.expose().is_empty() {
        Err(SourceError::EmptySecret)
    } else if key.is_header_value() {
        Ok(key)
    } else {
        Err(SourceError::UnusableValue("the secret"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_key_is_trimmed_and_must_fit_a_header() {
        let read = |value: &str| parse(&Secret::new(value));
        assert_eq!(read(" sk-1\n"), Ok(Secret::new("sk-1")));
        assert_eq!(read("\n"), Err(SourceError::EmptySecret));
        for bad in ["sk-1\r\nx-evil: 1", "sk 1", "sk\u{0}", "schlüssel"] {
            let error = read(bad).unwrap_err();
            assert_eq!(error, SourceError::UnusableValue("the secret"));
            assert!(!error.to_string().contains("sk"), "{error}");
        }
    }
}
