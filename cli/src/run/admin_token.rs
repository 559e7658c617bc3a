//! The token of the admin address, from its file.

use std::path::Path;

use weir_core::token::Token;

use super::{Failure, Wishes};

/// Reads it. `None`: the address is open to whoever reaches it.
///
/// # Errors
///
/// The file has no token, or there is none where others than this machine reach the address.
pub(super) fn read(wishes: &Wishes) -> Result<Option<Token>, Failure> {
    let failure = |message: String| Err(Failure::Environment(message));
    match &wishes.admin_token_file {
        Some(file) => of_file(file).map(Some).or_else(failure),
        None if wishes.admin_bind.is_loopback() => Ok(None),
        None => failure(format!(
            "--admin-bind {} is no loopback address: others could read usage and statistics there; add \
             --admin-token-file FILE with a token that they must send",
            wishes.admin_bind
        )),
    }
}

fn of_file(file: &Path) -> Result<Token, String> {
    let name = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read the token of the admin address, {name}: {error}"))?;
    let token = text.trim();
    if token.len() < Token::SHORTEST {
        return Err(format!(
            "the token of the admin address in {name} has {} bytes, and needs {}: write random ones, such as \
             `openssl rand -hex 32` prints",
            token.len(),
            Token::SHORTEST
        ));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "the token of the admin address in {name} must be letters, digits and signs of ASCII"
        ));
    }
    Ok(Token::of(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_enough_and_can_be_sent() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            of_file(&file)
        };
        assert_eq!(read("0123456789abcdef\n"), Ok(Token::of("0123456789abcdef")));
        for (text, part) in [
            ("0123456789abcde\n", "has 15 bytes, and needs 16"),
            ("0123456789 abcdef", "signs of ASCII"),
            ("0123456789äbcdef", "signs of ASCII"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(part) && !message.contains("0123"), "{message}");
        }
        std::fs::remove_file(&file).unwrap();
        assert!(of_file(&file).unwrap_err().contains("cannot read"));
    }
}
