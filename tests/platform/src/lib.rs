//! The disk and other programs, for tests that run natively and as wasm32 under Node, where sizes have 32 bits as in
//! the filter.
//!
//! Under Node a crate of tests begins with
//!
//! ```text
//! #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
//! #[macro_use]
//! extern crate weir_test_platform;
//! ```
//!
//! which gives every `#[test]` in it the meaning that `wasm-bindgen-test-runner` knows: what `macro_use` imports comes
//! before the standard prelude. So a test is written once, and no module of tests needs a line of its own.

use std::path::{Path, PathBuf};

#[cfg_attr(all(target_arch = "wasm32", target_os = "unknown"), path = "node.rs")]
#[cfg_attr(not(all(target_arch = "wasm32", target_os = "unknown")), path = "native.rs")]
mod platform;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
pub use wasm_bindgen_test::wasm_bindgen_test as test;

/// The file at `path`; nothing if it cannot be read.
#[must_use]
pub fn read(path: &Path) -> Option<Vec<u8>> {
    platform::read(path.to_str()?)
}

/// What lies in `folder`, by name; nothing if it cannot be read.
#[must_use]
pub fn list(folder: &Path) -> Option<Vec<PathBuf>> {
    let mut names = platform::list(folder.to_str()?)?;
    names.sort();
    Some(names.into_iter().map(|name| folder.join(name)).collect())
}

/// What `program` writes; nothing if it fails.
#[must_use]
pub fn output(program: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    platform::output(program, arguments)
}
