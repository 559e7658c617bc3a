//! The values that a secret has had, told apart: each is a credential of its own, so that old and new ones stand side
//! by side while Envoy takes over a change, and each goes where it belongs.

use std::fmt;
use std::io::{self, Read};

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use weir_core::kept::Key;

use super::Options;
use crate::plan::{Plan, SecretValue};

/// Random bytes of one run, which are written nowhere: a version shows up in Envoy's config dump, and a guess at the
/// secret must not be verifiable by it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 32]);

impl Salt {
    /// A new one.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn new() -> io::Result<Salt> {
        let mut bytes = [0; 32];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Salt(bytes))
    }
}

impl Salt {
    /// The key of this run that names of what backends keep are sealed with.
    pub(super) fn kept_key(&self) -> Key {
        Key::derived(&self.0)
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(redacted)")
    }
}

/// The names of the credentials whose secrets are in a plan.
#[derive(Debug)]
pub(super) struct Versions(BTreeMap<String, String>);

impl Versions {
    pub(super) fn of(plan: &Plan, options: &Options) -> Versions {
        let named = |(name, SecretValue(value)): (&String, &SecretValue)| {
            let Salt(salt) = options.salt.as_ref()?;
            let mut digest = hex::encode(Sha256::new().chain_update(salt).chain_update(value).finalize());
            digest.truncate(12);
            Some((name.clone(), format!("{name}@{digest}")))
        };
        Versions(plan.secrets.iter().filter_map(named).collect())
    }

    /// The name of a credential, with its version where it has one.
    pub(super) fn named(&self, name: &str) -> String {
        self.0.get(name).map_or(name, String::as_str).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::super::tests::options;
    use super::*;

    #[test]
    fn another_value_is_another_credential_and_no_run_is_like_another() {
        let mut plan = sample::plan();
        let mut names = |salt: u8, value: &str| {
            plan.secrets = [("default/a".to_owned(), SecretValue(value.to_owned()))].into();
            let options = Options { salt: Some(Salt([salt; 32])), ..options() };
            Versions::of(&plan, &options).named("default/a")
        };
        let first = names(1, "key");
        assert!(first.starts_with("default/a@"), "{first}");
        assert_eq!(first, names(1, "key"));
        assert_ne!(first, names(1, "other"));
        assert_ne!(first, names(2, "key"));
        assert_eq!(
            Versions::of(&plan, &options()).named("default/a"),
            "default/a",
            "nothing is replaced there"
        );
        assert!(!format!("{:?}", Salt([7; 32])).contains('7'));
    }
}
