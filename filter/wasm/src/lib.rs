//! The proxy-wasm shell: turns host callbacks into those of the filters in `weir-shell`, and what they want into host
//! calls.
//!
//! Which role an instance plays is its `root_id`: `edge` in the listener's chain, `backend` in each cluster's upstream
//! chain, `admin` on the admin listener, `secrets` on the private listener that hands secrets in. All of them share
//! one VM per worker.

#![allow(missing_docs, reason = "the one public item is the entry point that the SDK's macro makes")]

mod beats;
mod credentials;
mod filters;
mod host;
mod root;
mod store;
mod waiting;

use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|id| Box::new(root::Root::new(id)));
}}
