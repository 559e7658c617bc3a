//! Mistakes in resources.

mod backends;
mod policies;
mod routes;
mod security;

/// A name, replacements in the base, and what is added to it.
pub(crate) type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

pub(crate) fn cases() -> impl Iterator<Item = &'static Case> {
    [routes::CASES, backends::CASES, policies::CASES, security::CASES].into_iter().flatten()
}
