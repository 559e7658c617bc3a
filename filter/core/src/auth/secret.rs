//! A text that must not be shown.

use std::fmt;

/// A secret. `Debug` shows that there is one and nothing of it, not even its length; it is neither `Display` nor
/// serialisable, so that whoever lets it out has to write [`Secret::expose`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Makes a text a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether this can be the value of a header, or a part of one: not empty, and visible ASCII only. Anything
    /// else is a mistake in the secret, and a line break in a header would be worse than that.
    #[must_use]
    pub fn is_header_value(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// Whether it can be a header's whole value as it is: as [`Secret::is_header_value`], with spaces between words.
    #[must_use]
    pub fn is_header_text(&self) -> bool {
        !self.0.is_empty()
            && self.0.trim() == self.0
            && self.0.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?} {:#?}", Secret::new("abc"), Secret::new("")), "Secret(..) Secret(..)");
    }

    #[test]
    fn header_values_are_visible_ascii() {
        assert!(Secret::new("sk-proj_A.b/c+d=~").is_header_value());
        for bad in ["", "a b", "a\r\nx: y", "a\0", "a\t", "ключ", "\u{7f}"] {
            assert!(!Secret::new(bad).is_header_value(), "{bad:?}");
        }
        assert!(Secret::new("Basic dXNlcg==").is_header_text());
        for bad in ["", " a", "a ", "a\r\nx: y", "a\tb", "ключ"] {
            assert!(!Secret::new(bad).is_header_text(), "{bad:?}");
        }
    }
}
