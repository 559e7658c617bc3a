//! What releases of Envoy Gateway can do.

use std::str::FromStr;

/// A release of Envoy Gateway: its major, minor and, where that is known, patch version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release(u32, u32, Option<u32>);

impl Release {
    /// The oldest that takes what is rendered.
    pub const OLDEST: Self = Self(1, 6, None);

    fn is_from(self, major: u32, minor: u32) -> bool {
        (self.0, self.1) >= (major, minor)
    }

    /// Whether it loads native modules.
    #[must_use]
    pub fn has_modules(self) -> bool {
        self.is_from(1, 8)
    }

    /// What is to be said of it.
    pub(super) fn note(self) -> Option<String> {
        let is_early = !self.is_from(1, 7) && self.2.is_none_or(|patch| patch < 4);
        is_early.then(|| {
            "take Envoy Gateway 1.6.4 or later: before, it publishes nothing while one patch finds nothing (a Backend is invalid, the \
             filter cannot be downloaded), and a model whose backends are with and without TLS does not reach the latter"
                .to_owned()
        })
    }

    /// Whether a BackendTrafficPolicy can say how long a request or an answer may be silent. Before, a route without a
    /// timeout has none for silence either, and in 1.6 that goes before the listener's.
    pub(super) fn has_idle_timeout(self) -> bool {
        self.is_from(1, 8)
    }
}

/// The one that everything was tried with.
impl Default for Release {
    fn default() -> Self {
        Self(1, 9, None)
    }
}

/// `1.6`, or as tags have it, `v1.6.0`.
impl FromStr for Release {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.strip_prefix('v').unwrap_or(text).split('.').map(str::parse);
        let numbers: Result<Vec<u32>, _> = numbers.collect();
        let release = match numbers.as_deref() {
            Ok([major, minor]) => Self(*major, *minor, None),
            Ok([major, minor, patch]) => Self(*major, *minor, Some(*patch)),
            _ => return Err("must be a version, such as 1.9".to_owned()),
        };
        if !release.is_from(Self::OLDEST.0, Self::OLDEST.1) {
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
        assert_eq!(release("1.9"), Ok(Release::default()));
        assert!(release("v1.10.0").unwrap().has_modules() && !release("1.7.3").unwrap().has_modules());
        for (text, is_early) in [("1.6", true), ("1.6.3", true), ("v1.6.4", false), ("1.7.0", false)] {
            assert_eq!(release(text).unwrap().note().is_some(), is_early, "{text}");
        }
        assert_eq!(release("1.5.0"), Err("must be 1.6 or later".to_owned()));
        for text in ["", "1", "latest", "1.6.0-rc.1", "1.6.0.0"] {
            assert_eq!(release(text), Err("must be a version, such as 1.9".to_owned()), "{text}");
        }
    }
}
