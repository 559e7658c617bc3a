//! The private listener that hands secrets in.
//!
//! A wasm filter cannot read files. Envoy can: on the way to this listener, which is a Unix socket in a directory that
//! only the proxy may enter, it adds a header per secret from the files it watches. The answer gives them back, and that
//! is how the caller, a filter of this VM, gets them.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, MapType};
use weir_core::auth::SECRET_HEADER_PREFIX;
use weir_core::edge::Reply;

use crate::host;

pub(crate) struct Secrets;

impl Context for Secrets {}

impl HttpContext for Secrets {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let headers = host::headers(MapType::HttpRequestHeaders)
            .iter()
            .filter(|(name, _)| name.starts_with(SECRET_HEADER_PREFIX))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        host::reply(&Reply { status: 200, headers, body: Vec::new() });
        Action::Pause
    }
}
