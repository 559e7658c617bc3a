//! What both shells of Weir share.
//!
//! `weir-core` decides, a host acts. In between stands what does not depend on the host: in which order its callbacks
//! come, what is held back until when, how the two roles of a request find each other. That is here, once, over the
//! trait [`Host`]; the shells for proxy-wasm and for native modules only translate their host's calls.

mod admin;
mod backend;
mod credentials;
mod edge;
mod gauges;
mod held;
mod host;
#[cfg(test)]
mod memory;
mod metrics;
mod refusal;
mod worker;

pub use admin::{Admin, AdminFilter};
pub use backend::BackendFilter;
pub use credentials::{Credentials, Fetch, Fetched};
pub use edge::EdgeFilter;
pub use host::{Beat, Flow, Host, Map};
pub use metrics::{metrics, publish_metrics};
pub use refusal::refusal;
pub use worker::{config, is_stopping, with_credentials};
