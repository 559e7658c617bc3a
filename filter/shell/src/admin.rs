//! The filter of the admin listener: what the books hold, and metrics behind those of the proxy. For people there is a
//! page that shows all of it.

use std::sync::Arc;

use serde_json::{Value, json};
use weir_core::config::{Config, Route};
use weir_core::edge::Reply;
use weir_core::headers::{HeaderEdits, Headers};
use weir_core::store::Store;
use weir_core::usage::ledger;

use crate::host::{Flow, Host, Map};

/// The proxy's page that Prometheus reads.
const PROMETHEUS: &str = "/stats/prometheus";

/// The page for people. It asks for nothing but what is beside it here.
const PAGE: &str = include_str!("page/index.html");

/// What [`PAGE`] may do.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                           base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What [`PROMETHEUS`] is written in; its other form, protobuf, is not added to.
const TEXT: &str = "text/plain";

/// The filter of one request.
#[derive(Debug)]
pub struct AdminFilter {
    /// `None`: there is none that can be read.
    config: Option<Arc<Config>>,
    /// The answer is to have the metrics behind it.
    adds_metrics: bool,
}

impl AdminFilter {
    /// The filter of a request that has just come.
    #[must_use]
    pub fn new(config: Option<Arc<Config>>) -> AdminFilter {
        AdminFilter { config, adds_metrics: false }
    }

    /// The headers of the request.
    pub fn request_headers(&mut self, host: &impl Host) -> Flow {
        let request = host.headers(Map::Request);
        let (path, _) = request.path_and_query();
        self.adds_metrics = path == PROMETHEUS && request.get(":method") == Some("GET");
        let page = match path {
            "/weir" => return moved("/weir/").into(),
            "/weir/" => Page { kind: HTML, body: PAGE.into() },
            "/weir/usage" => usage(host.store()),
            "/weir/metrics" => metrics(host),
            "/weir/errors" => errors(host),
            "/weir/routes" => self.routes(),
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

    /// The routes as they stand. Nothing of a configuration is secret but the key for names of what backends keep.
    fn routes(&self) -> Page {
        let Some(config) = &self.config else { return Page::json(&json!({"routes": []})) };
        let routes = config.routes.iter().map(|(name, route)| told(config, name, route));
        Page::json(&json!({"routes": routes.collect::<Vec<_>>()}))
    }
}

fn told(config: &Config, name: &str, route: &Route) -> Value {
    let targets = route.targets.iter().map(|target| {
        let (backend, known) = (target.backend.split('@').next(), config.backends.get(&target.backend));
        json!({
            "backend": backend,
            "schema": known.map(|backend| backend.schema.name),
            "hosts": known.map(|backend| &backend.hosts),
            "model": target.model,
        })
    });
    let budgets = route.budgets.iter().filter_map(|index| config.budgets.get(*index));
    json!({
        "name": name,
        "targets": targets.collect::<Vec<_>>(),
        "budgets": budgets.map(|budget| &budget.name).collect::<Vec<_>>(),
        "costs": route.costs.iter().map(|cost| &cost.key).collect::<Vec<_>>(),
    })
}

const HTML: &str = "text/html; charset=utf-8";

/// A page of the gateway's own.
struct Page {
    kind: &'static str,
    body: Vec<u8>,
}

impl Page {
    fn json(value: &Value) -> Page {
        Page { kind: "application/json", body: value.to_string().into_bytes() }
    }
}

fn usage(store: &dyn Store) -> Page {
    // Texts and numbers alone: writing them to memory does not fail.
    let body = serde_json::to_vec(&ledger::list(store)).unwrap_or_default();
    Page { kind: "application/json", body }
}

fn metrics(host: &impl Host) -> Page {
    Page { kind: "text/plain; version=0.0.4; charset=utf-8", body: host.metrics().to_text().into_bytes() }
}

fn errors(host: &impl Host) -> Page {
    let metrics = host.metrics();
    Page::json(&json!({"errors": metrics.failures().collect::<Vec<_>>()}))
}

fn reply(status: u16, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Reply { status, headers: headers.collect(), body }
}

fn moved(to: &str) -> Reply {
    reply(308, &[("location", to)], Vec::new())
}

fn page_for(request: &Headers, path: &str, Page { kind, body }: Page) -> Reply {
    if request.get(":method") != Some("GET") {
        let message = json!({"message": format!("{path} takes GET")}).to_string();
        return reply(405, &[("content-type", "application/json"), ("allow", "GET")], message.into_bytes());
    }
    let mut headers = vec![("content-type", kind), ("cache-control", "no-store")];
    if kind == HTML {
        headers.extend([
            ("content-security-policy", PAGE_POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        ]);
    }
    reply(200, &headers, body)
}
