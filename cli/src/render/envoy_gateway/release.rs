//! What releases of Envoy Gateway can do.

use std::str::FromStr;

/// A release of Envoy Gateway, by its major and minor version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(u32, u32);

impl Release {
    /// The oldest that takes what is rendered.
    pub const OLDEST: Self = Self(1, 6);

    /// Whether it loads native modules.
    #[must_use]
    pub fn has_modules(self) -> bool {
        self >= Self(1, 8)
    }

    /// What is to be said of it.
    pub(super) fn note(self) -> Option<String> {
        let is_first = self == Self::OLDEST;
        is_first.then(|| {
            "take Envoy Gateway 1.6.4 or later: before, it publishes nothing while one patch finds nothing (a Backend is invalid, the \
             filter cannot be downloaded), and a model whose backends are with and without TLS does not reach the latter"
                .to_owned()
        })
    }

    /// Whether a BackendTrafficPolicy can say how long a request or an answer may be silent. Before, a route without a timeout has none for
    /// silence either, and in 1.6 that goes before the listener's.
    pub(super) fn has_idle_timeout(self) -> bool {
        self >= Self(1, 8)
    }
}

/// The one that everything was tried with.
impl Default for Release {
    fn default() -> Self {
        Self(1, 9)
    }
}

/// `1.6`, or as tags have it, `v1.6.0`.
impl FromStr for Release {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.strip_prefix('v').unwrap_or(text).split('.').map(str::parse);
        let numbers: Result<Vec<u32>, _> = numbers.collect();
        let release = match numbers.as_deref() {
            Ok([major, minor] | [major, minor, _]) => Self(*major, *minor),
            _ => return Err("must be a version, such as 1.9".to_owned()),
        };
        if release < Self::OLDEST {
            return Err(format!("must be {}.{} or later", Self::OLDEST.0, Self::OLDEST.1));
        }
        Ok(release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_a_version() {
        let release = |text: &str| text.parse::<Release>();
        assert_eq!(release("1.6"), Ok(Release::OLDEST));
        assert_eq!(release("v1.9.1"), Ok(Release::default()));
        assert!(release("1.10").unwrap() > Release::default());
        assert_eq!(release("1.5.0"), Err("must be 1.6 or later".to_owned()));
        for text in ["", "1", "latest", "1.6.0-rc.1", "1.6.0.0"] {
            assert_eq!(release(text), Err("must be a version, such as 1.9".to_owned()), "{text}");
        }
    }
}
