//! The filter of the admin listener: what the books hold, who may see it, and metrics behind those of the proxy. For
//! people there is a page that shows all of it.

use std::sync::Arc;

use serde_json::{Value, json};
use weir_core::config::{Config, Route};
use weir_core::edge::Reply;
use weir_core::headers::{HeaderEdits, Headers};
use weir_core::store::Store;
use weir_core::token::{self, Token};
use weir_core::usage::ledger;

use crate::gauges;
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

/// What anybody gets: what probes ask, who have no token, and the page, which has nothing in it and asks for one.
const OPEN: [&str; 3] = ["/ready", "/weir", "/weir/"];

/// What is the same for all requests of the admin listener.
#[derive(Debug)]
pub struct Admin {
    access: Access,
    /// `None`: there is none that can be read.
    config: Option<Arc<Config>>,
}

#[derive(Debug)]
enum Access {
    /// Whoever reaches it may ask.
    Open,
    /// Whoever brings the token.
    Guarded(Token),
    /// Nobody: it is not known who may.
    Closed,
}

impl Admin {
    /// Reads who may ask in the `json` of the filter's configuration. `config` is what is at work, which may be an
    /// earlier one.
    #[must_use]
    pub fn new(json: &[u8], config: Option<Arc<Config>>) -> Admin {
        let access = match token::in_config(json) {
            Ok(None) => Access::Open,
            Ok(Some(token)) => Access::Guarded(token),
            Err(_) => Access::Closed,
        };
        Admin { access, config }
    }

    /// The answer to who may not ask.
    fn refusal(&self, request: &Headers) -> Option<Reply> {
        let message = match (&self.access, request.get("authorization")) {
            (Access::Open, _) => return None,
            (Access::Guarded(token), Some(authorization)) if token.is_in(authorization) => return None,
            (Access::Closed, _) => "the configuration of the gateway cannot be read; its log says why",
            (Access::Guarded(_), None) => {
                "send `authorization: Bearer TOKEN` with the token of --admin-token-file"
            }
            (Access::Guarded(_), Some(_)) => {
                "the token in `authorization: Bearer TOKEN` is not that of --admin-token-file"
            }
        };
        let headers = [("content-type", "application/json"), ("www-authenticate", "Bearer")];
        Some(reply(401, &headers, json!({"message": message}).to_string().into_bytes()))
    }
}

/// The filter of one request.
#[derive(Debug)]
pub struct AdminFilter {
    admin: Arc<Admin>,
    /// The answer is to have the metrics behind it.
    adds_metrics: bool,
}

impl AdminFilter {
    /// The filter of a request that has just come.
    #[must_use]
    pub fn new(admin: Arc<Admin>) -> AdminFilter {
        AdminFilter { admin, adds_metrics: false }
    }

    /// The headers of the request.
    pub fn request_headers(&mut self, host: &impl Host) -> Flow {
        let request = host.headers(Map::Request);
        let (path, _) = request.path_and_query();
        if !OPEN.contains(&path)
            && let Some(refusal) = self.admin.refusal(&request)
        {
            return refusal.into();
        }
        self.adds_metrics = path == PROMETHEUS && request.get(":method") == Some("GET");
        let page = match path {
            "/weir" => return moved("/weir/").into(),
            "/weir/" => Page { kind: HTML, body: PAGE.into() },
            "/weir/usage" => usage(host.store()),
            "/weir/metrics" => Page { kind: METRICS, body: metrics(host) },
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
            body.extend(metrics(host));
            host.replace_body(Map::Response, body);
        }
        Flow::Continue
    }

    /// The routes as they stand. Nothing of a configuration is secret but the key for names of what backends keep.
    fn routes(&self) -> Page {
        let Some(config) = &self.admin.config else { return Page::json(&json!({"routes": []})) };
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

/// What Prometheus reads.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

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

fn metrics(host: &impl Host) -> Vec<u8> {
    let gauges = gauges::gauges(host.store(), host.now_ms() / 1000);
    (host.metrics().to_text() + &gauges.to_text()).into_bytes()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(config: &[u8], path: &str, authorization: Option<&str>) -> bool {
        let pairs = [(":method", "GET"), (":path", path)].into_iter();
        let request: Headers = pairs.chain(authorization.map(|value| ("authorization", value))).collect();
        let path = request.path_and_query().0;
        !OPEN.contains(&path) && Admin::new(config, None).refusal(&request).is_some()
    }

    #[test]
    fn only_probes_need_no_token_where_there_is_one() {
        let config = |admin_token| serde_json::to_vec(&Config { admin_token, ..Config::default() }).unwrap();
        let open = config(None);
        let guarded = config(Some(Token::of("t0ken")));
        for (config, path, authorization, refused) in [
            (&open[..], "/weir/usage", None, false),
            (&open, "/stats", None, false),
            (&guarded, "/ready", None, false),
            (&guarded, "/ready?x", None, false),
            (&guarded, "/weir/", None, false),
            (&guarded, "/ready/x", None, true),
            (&guarded, "/weir/usage", None, true),
            (&guarded, "/weir/errors", None, true),
            (&guarded, "/weir/usage?x=/ready", None, true),
            (&guarded, "/stats", Some("Bearer other"), true),
            (&guarded, "/stats", Some("Bearer t0ken"), false),
            (&guarded, "/weir/usage", Some("Bearer t0ken"), false),
            (b"no JSON", "/weir/usage", Some("Bearer t0ken"), true),
            (br#"{"admin_token": "t0ken"}"#, "/stats", Some("Bearer t0ken"), true),
        ] {
            assert_eq!(is_refused(config, path, authorization), refused, "{path} {authorization:?}");
        }
    }
}
