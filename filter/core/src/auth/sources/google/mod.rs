//! Tokens of Google Cloud.

mod federation;
mod file;
mod impersonation;
mod jwt;
mod metadata;
#[cfg(test)]
mod tests;

pub use federation::GoogleFederation;
pub use file::{GoogleFile, GoogleFileNeeds};
pub use metadata::GoogleMetadata;

/// What the tokens are for: everything that the account may do.
/// <https://cloud.google.com/docs/authentication#authorization-gcp>
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
