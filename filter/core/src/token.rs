//! The token that opens an address to those who have it.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What is known of it: its SHA-256. Who reads it in the configuration does not know the token, which must be random
/// and long for that.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Token([u8; 32]);

impl Token {
    /// The fewest bytes that are not guessed.
    pub const SHORTEST: usize = 16;

    /// That of a text.
    #[must_use]
    pub fn of(text: &str) -> Token {
        Token(Sha256::digest(text).into())
    }

    /// Whether a request brings it, in the value of its `authorization` (RFC 6750, section 2.1).
    #[must_use]
    pub fn is_in(&self, authorization: &str) -> bool {
        let Some((scheme, given)) = authorization.split_once(' ') else { return false };
        let Token(given) = Token::of(given.trim());
        // No sooner for a token whose digest is nearly right. By words: a fold over 16 bytes or more whose result is
        // compared with 0 is compiled wrong for wasm with its vector instructions (Rust 1.95).
        let pairs = words(&self.0).zip(words(&given));
        let differing = pairs.fold(0, |differing, (own, given)| differing | (own ^ given));
        scheme.eq_ignore_ascii_case("bearer") && differing == 0
    }
}

fn words(digest: &[u8; 32]) -> impl Iterator<Item = u64> {
    digest.as_chunks().0.iter().copied().map(u64::from_le_bytes)
}

/// The token in the configuration of the filter, all else of which need not be right for it.
///
/// # Errors
///
/// It is not known whether there is one.
pub fn in_config(config: &[u8]) -> serde_json::Result<Option<Token>> {
    /// See [`crate::config::Config`].
    #[derive(Deserialize)]
    struct Settings {
        #[serde(default)]
        admin_token: Option<Token>,
    }
    serde_json::from_slice(config).map(|Settings { admin_token }| admin_token)
}

impl TryFrom<String> for Token {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Token, Self::Error> {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest)
            .map_err(|_| "a token is 64 hexadecimal digits: its SHA-256")?;
        Ok(Token(digest))
    }
}

impl From<Token> for String {
    fn from(token: Token) -> String {
        hex::encode(token.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_in_bearer_credentials_alone() {
        let token = Token::of("t0ken");
        for (authorization, is) in [
            ("Bearer t0ken", true),
            ("bearer  t0ken", true),
            ("Bearer t0ke", false),
            ("Bearer t0kens", false),
            ("Bearer ", false),
            ("Bearer", false),
            ("t0ken", false),
            ("Basic t0ken", false),
            ("", false),
        ] {
            assert_eq!(token.is_in(authorization), is, "{authorization}");
        }
    }

    #[test]
    fn it_is_written_as_its_digest() {
        let token = Token::of("t0ken");
        let written = serde_json::to_string(&token).unwrap();
        assert_eq!(serde_json::from_str::<Token>(&written).unwrap(), token);
        assert!(!written.contains("t0ken"), "{written}");
        assert_eq!(format!("{token:?}"), "Token(redacted)");
        for wrong in ["\"\"", "\"00\"", "\"t0ken\""] {
            serde_json::from_str::<Token>(wrong).unwrap_err();
        }
    }
}
