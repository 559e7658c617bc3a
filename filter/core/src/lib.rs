//! The AI gateway as a pure library.
//!
//! `weir-core` knows no Envoy, does no I/O, has no clock and never panics: a shell (proxy-wasm, native module)
//! turns host callbacks into events of the two roles, [`edge`] and [`backend`], and carries out the effects they
//! return. See `docs/architecture.md` for the path of a request.

#[cfg(all(test, target_arch = "wasm32", target_os = "unknown"))]
#[macro_use]
extern crate weir_test_platform;

pub mod auth;
pub mod backend;
pub mod cel;
pub mod chat;
pub mod codec;
pub mod config;
pub mod edge;
pub mod endpoint;
pub mod error;
pub mod exchange;
pub mod headers;
pub mod job;
pub mod kept;
pub mod limit;
pub mod metrics;
pub mod pulse;
pub mod store;
pub mod token;
pub mod usage;
pub mod wire;

pub use error::{Error, Result};
