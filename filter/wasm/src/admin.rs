//! The admin listener: what the ledger holds.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, MapType};
use weir_core::edge::Reply;
use weir_core::usage::ledger;

use crate::host;
use crate::store::SharedData;

pub(crate) struct Admin;

impl Context for Admin {}

impl HttpContext for Admin {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        let headers = host::headers(MapType::HttpRequestHeaders);
        if headers.path_and_query().0 != "/weir/usage" {
            return Action::Continue;
        }
        let (status, body) = if headers.get(":method") == Some("GET") {
            (200, serde_json::to_vec(&ledger::list(&SharedData)).unwrap_or_default())
        } else {
            (405, br#"{"message":"/weir/usage takes GET"}"#.to_vec())
        };
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        host::reply(&Reply { status, headers, body });
        Action::Pause
    }
}
