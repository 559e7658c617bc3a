//! The admin listener: what the ledger holds.

use weir_core::edge::Reply;
use weir_core::headers::Headers;
use weir_core::store::Store;
use weir_core::usage::ledger;

/// The answer to a request of the admin listener, unless it is the proxy's to answer.
#[must_use]
pub fn usage_page(request: &Headers, store: &dyn Store) -> Option<Reply> {
    if request.path_and_query().0 != "/weir/usage" {
        return None;
    }
    let (status, body) = if request.get(":method") == Some("GET") {
        (200, serde_json::to_vec(&ledger::list(store)).unwrap_or_default())
    } else {
        (405, br#"{"message":"/weir/usage takes GET"}"#.to_vec())
    };
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Some(Reply { status, headers, body })
}
