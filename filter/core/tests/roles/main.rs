//! Both roles together, as a host runs them: a request goes through the edge role and one or several attempts, what the
//! backends answer comes back, and the books are closed. No proxy is needed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that panics fails"
)]

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
#[macro_use]
extern crate weir_test_platform;

mod answer;
mod anthropic;
mod budgets;
mod chat_to_anthropic;
mod chat_to_converse;
mod chunks;
mod cohere;
mod completions;
mod credentials;
mod direct;
mod errors;
mod exchanges;
mod garbage;
mod gateway;
mod gemini;
mod headers;
mod host;
mod jobs;
mod kept;
mod marks;
mod messages_to_converse;
mod models;
mod openai_in_clouds;
mod outcome;
mod pass_through;
mod passed;
mod prefix;
mod refused;
mod repeated;
mod sockets;
mod until_content;
mod usage;
