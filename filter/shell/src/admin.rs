//! The filter of the admin listener: what the books hold, and metrics behind those of the proxy.

use weir_core::edge::Reply;
use weir_core::headers::{HeaderEdits, Headers};
use weir_core::store::Store;
use weir_core::usage::ledger;

use crate::host::{Flow, Host, Map};

/// The proxy's page that Prometheus reads.
const PROMETHEUS: &str = "/stats/prometheus";

/// What [`PROMETHEUS`] is written in; its other form, protobuf, is not added to.
const TEXT: &str = "text/plain";

/// The filter of one request.
#[derive(Debug, Default)]
pub struct AdminFilter {
    /// The answer is to have the metrics behind it.
    adds_metrics: bool,
}

impl AdminFilter {
    /// The headers of the request.
    pub fn request_headers(&mut self, host: &impl Host) -> Flow {
        let request = host.headers(Map::Request);
        let (path, _) = request.path_and_query();
        self.adds_metrics = path == PROMETHEUS && request.get(":method") == Some("GET");
        let page = match path {
            "/weir/usage" => usage(host.store()),
            "/weir/metrics" => metrics(host),
            _ => return Flow::Continue,
        };
        page_for(&request, path, page).into()
    }

    /// The headers of the answer.
    pub fn response_headers(&mut self, host: &mut impl Host) -> Flow {
        let headers = host.headers(Map::Response);
        let is_text = headers.get("content-type").is_some_and(|kind| kind.starts_with(TEXT));
        self.adds_metrics &= is_text && headers.get("content-encoding").is_none() && host.status() == 200;
        if self.adds_metrics {
            let mut edits = HeaderEdits::default();
            edits.remove("content-length");
            host.edit(Map::Response, &edits);
        }
        Flow::Continue
    }

    /// A piece of the answer. The last one gets the metrics behind it.
    pub fn response_body(&mut self, host: &mut impl Host, end: bool) -> Flow {
        if end && std::mem::take(&mut self.adds_metrics) {
            let mut body = host.look_at_body(Map::Response, <[u8]>::to_vec);
            body.extend(host.metrics().to_text().into_bytes());
            host.replace_body(Map::Response, body);
        }
        Flow::Continue
    }
}

/// A page: its content type and its body.
type Page = (&'static str, Vec<u8>);

fn usage(store: &dyn Store) -> Page {
    ("application/json", serde_json::to_vec(&ledger::list(store)).unwrap_or_default())
}

fn metrics(host: &impl Host) -> Page {
    ("text/plain; version=0.0.4; charset=utf-8", host.metrics().to_text().into_bytes())
}

fn page_for(request: &Headers, path: &str, (kind, body): Page) -> Reply {
    let reply = |status, kind: &str, body| {
        let headers = vec![("content-type".to_owned(), kind.to_owned())];
        Reply { status, headers, body }
    };
    if request.get(":method") == Some("GET") {
        return reply(200, kind, body);
    }
    let message = serde_json::json!({"message": format!("{path} takes GET")});
    reply(405, "application/json", message.to_string().into_bytes())
}
