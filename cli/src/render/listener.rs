//! The listeners: those of the Gateways, the admin's and the private one for secrets.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use weir_core::edge::{ANSWER_BROKEN, ANSWER_TOO_LARGE, OWN_DETAILS, REFUSALS, Refusal};
use weir_core::endpoint::ClientApi;
use weir_core::error::{Error as ClientError, Kind as ErrorKind};

use super::form::SecretsBy;
use super::security::Security;
use super::{Error, Options, bootstrap, filter, host_names, local_limits, proto, sockets, tls};
use crate::plan::{Listener, Plan};

/// How long Envoy waits for the ratelimit service. A charge that takes longer is lost and a request passes without a
/// look at its budget, so this is far above what a service takes that has thousands of them to answer at once. One that
/// is down is found out sooner: its connections fail.
const RATE_LIMIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Why Envoy gives up an answer that does not go on, as `response.code_details`.
const SILENCE: &[&str] =
    &["stream_idle_timeout", "upstream_per_try_idle_timeout", "upstream_response_timeout"];

/// How long a client may take for its request headers.
pub(super) const HEADERS_TIMEOUT: Duration = Duration::from_secs(60);

/// Envoy's `stream_idle_timeout` where none is set.
pub(crate) const DEFAULT_STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// The two ratelimit filters of a chain. A route speaks to one of them by its name, because whether a request passes
/// while the service is down is a setting of the filter and not of the route.
pub(super) const RATE_LIMIT_OPEN: &str = "envoy.filters.http.ratelimit";
pub(super) const RATE_LIMIT_CLOSED: &str = "weir.ratelimit_fail_closed";

/// What clients of HTTP/1 may do.
pub(super) fn http_1() -> Value {
    json!({
        // nginx speaks it to whatever it stands in front of, unless it is told otherwise or is 1.29.7 or newer. Who
        // sends no Host header gets a host name that no route has.
        "accept_http_10": true,
        "default_host_for_http_10": "http-1-0.invalid",
        // No endpoint changes to any other protocol. A server may ignore the wish (RFC 9110, section 7.8); Envoy would
        // wait for the end of a body that it passes on as another protocol's.
        "ignore_http_11_upgrade": [{"safe_regex": {"regex": sockets::OTHER_PROTOCOLS}}],
    })
}

/// The ports with their listeners; the first may have been given another one.
///
/// # Errors
///
/// Two listeners cannot share their port.
pub(crate) fn ports<'a>(plan: &'a Plan, options: &Options) -> Result<Vec<(u16, Vec<&'a Listener>)>, Error> {
    let mut ports = plan.ports();
    if let (Some((port, _)), Some(wanted)) = (ports.first_mut(), options.port) {
        *port = wanted;
    }
    let mut taken: BTreeMap<u16, &Listener> = BTreeMap::new();
    for (port, listeners) in &ports {
        let mut share = listeners.iter().copied();
        let Some(first) = share.next() else { continue };
        let others = taken.insert(*port, first).filter(|_| *port != 0).into_iter();
        let mixed = share.filter(|other| first.tls.is_none() || other.tls.is_none());
        if let Some(other) = others.chain(mixed).next() {
            let (first, second) = (first.name.clone(), other.name.clone());
            return Err(Error::SamePort { first, second, port: *port });
        }
    }
    Ok(ports)
}

/// One listener for each port, with a filter chain for each listener of the plan.
pub(super) fn listeners(plan: &Plan, options: &Options) -> Result<Vec<Value>, Error> {
    let mut rendered = Vec::new();
    for (port, listeners) in ports(plan, options)? {
        let Some(first) = listeners.first() else { continue };
        let chain = |listener: &&Listener| {
            let mut chain = chain(connection_manager(plan, listener, options));
            if let Value::Object(chain) = &mut chain {
                tls::add_to_chain(chain, listener, options);
            }
            chain
        };
        let mut fields = json!({
            "name": first.name,
            "address": proto::socket(&options.bind.to_string(), port),
            "per_connection_buffer_limit_bytes": listeners.iter().map(|listener| listener.buffer_limit).max(),
            "filter_chains": listeners.iter().map(chain).collect::<Vec<_>>(),
        });
        if let Value::Object(fields) = &mut fields
            && tls::is_chosen_by_name(&listeners)
        {
            fields.insert("listener_filters".to_owned(), json!([tls::inspector()]));
        }
        rendered.push(fields);
    }
    Ok(rendered)
}

/// The listener on the admin port: the filter's own pages, and what is harmless of Envoy's admin.
pub(super) fn admin(options: &Options) -> Value {
    let to_envoy = json!({"cluster": bootstrap::ADMIN_CLUSTER});
    let mut routes: Vec<Value> = ["/ready", "/stats", "/stats/prometheus"]
        .into_iter()
        .map(|path| json!({"match": {"path": path, "headers": [only_get()]}, "route": to_envoy}))
        .collect();
    // The filter answers /weir/usage before the router is asked.
    let body = json!({"error": "no such page"}).to_string();
    routes.push(json!({
        "match": {"prefix": "/"},
        "direct_response": {"status": 404, "body": {"inline_string": body}},
    }));
    let manager = json!({
        "stat_prefix": "weir_admin",
        "http_filters": [filter::discovered(options, "admin"), router()],
        "route_config": {
            "name": "weir_admin",
            "virtual_hosts": [{"name": "weir_admin", "domains": ["*"], "routes": routes}],
        },
    });
    json!({
        "name": "weir_admin",
        "address": proto::socket(&options.admin_bind.to_string(), options.admin_port),
        "filter_chains": [chain(manager)],
        "ignore_global_conn_limit": true,
    })
}

/// The private listener that the filter calls itself through: the cluster in front of it adds the secrets as headers.
/// `None` when secrets do not come that way.
pub(super) fn secrets(options: &Options) -> Option<Value> {
    if options.filter.form.secrets() != SecretsBy::Callout {
        return None;
    }
    let manager = json!({
        "stat_prefix": "weir_secrets",
        "http_filters": [filter::discovered(options, "secrets"), router()],
        "route_config": {
            "name": "weir_secrets",
            "virtual_hosts": [{
                "name": "weir_secrets",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 204}}],
            }],
        },
        // All secrets come in the headers of one request.
        "max_request_headers_kb": 8192,
        "common_http_protocol_options": {"max_headers_count": 20_000},
    });
    Some(json!({
        "name": "weir_secrets",
        "address": proto::pipe(&options.dir.join(super::SECRETS_SOCKET)),
        "filter_chains": [chain(manager)],
        "ignore_global_conn_limit": true,
    }))
}

fn chain(manager: Value) -> Value {
    json!({"filters": [proto::extension(
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        manager,
    )]})
}

fn connection_manager(plan: &Plan, listener: &Listener, options: &Options) -> Value {
    let security = Security::of(plan, listener);
    let mut filters = security.as_ref().map_or_else(Vec::new, |security| security.before(options));
    filters.push(filter::discovered(options, "edge"));
    filters.extend(security.iter().flat_map(|security| security.behind(options)));
    // Limits see the model, which the edge sets, and their 429 passes the edge, which gives it the client's shape.
    filters.push(local_limits::discovered(options));
    if options.rate_limit_service.is_some() {
        filters.push(rate_limit(listener, RATE_LIMIT_OPEN, false));
        filters.push(rate_limit(listener, RATE_LIMIT_CLOSED, true));
    }
    filters.push(router());

    let mut manager = json!({
        "stat_prefix": listener.name,
        "http_filters": filters,
        "rds": {
            "route_config_name": listener.name,
            "config_source": proto::config_source(options, &super::rds_path(&listener.name)),
        },
        "local_reply_config": local_replies(listener.tls.is_some(), security.is_some()),
        // The gateway stands at the edge: nothing a client says about itself is believed, and no address is internal.
        "use_remote_address": true,
        "internal_address_config": {"unix_sockets": false},
        // `%2F` stays as it is: a model's name is one path segment, and unescaping it would make two.
        "normalize_path": true,
        "merge_slashes": false,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        // One server, whichever backend answered.
        "server_name": "weir",
        "server_header_transformation": "OVERWRITE",
        "request_headers_timeout": proto::duration(HEADERS_TIMEOUT),
        "stream_idle_timeout": proto::duration(listener.stream_idle_timeout.unwrap_or(DEFAULT_STREAM_IDLE_TIMEOUT)),
        "http_protocol_options": http_1(),
        "upgrade_configs": sockets::upgrades(),
    });
    if let Value::Object(fields) = &mut manager {
        tls::add_headers(fields, &listener.headers);
        if let Some(timeout) = listener.request_received_timeout {
            fields.insert("request_timeout".to_owned(), proto::duration(timeout).into());
        }
        let mut http = Map::new();
        if let Some(timeout) = listener.idle_timeout {
            http.insert("idle_timeout".to_owned(), proto::duration(timeout).into());
        }
        if security.is_some() {
            // Some servers take `x_client_id` for `x-client-id`, which says who a client is.
            http.insert("headers_with_underscores_action".to_owned(), "DROP_HEADER".into());
        }
        if !http.is_empty() {
            fields.insert("common_http_protocol_options".to_owned(), http.into());
        }
        if options.access_log.is_some() {
            fields.insert("access_log".to_owned(), access_log(options));
        }
    }
    manager
}

pub(super) fn rate_limit(listener: &Listener, name: &str, fail_closed: bool) -> Value {
    proto::extension(
        name,
        "envoy.extensions.filters.http.ratelimit.v3.RateLimit",
        json!({
            "domain": listener.name,
            "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
            "timeout": proto::duration(RATE_LIMIT_TIMEOUT),
            "failure_mode_deny": fail_closed,
            "status_on_error": {"code": "ServiceUnavailable"},
            "rate_limit_service": {
                "transport_api_version": "V3",
                "grpc_service": {"envoy_grpc": {"cluster_name": bootstrap::RATE_LIMIT_CLUSTER}},
            },
        }),
    )
}

/// Envoy's own answers get a body, for some have none and the edge could not shape those: it replaces this one by the
/// client API's own. What the filter itself answered is left as it is: it has no code details (wasm), or `weir`
/// (native).
pub(super) fn local_replies(has_tls: bool, has_security: bool) -> Value {
    let mut mappers = past_filters(
        &format!("response.code_details.startsWith('{ANSWER_BROKEN}')"),
        &ClientError::bad_answer("the backend broke off its answer"),
    );
    mappers.extend(past_filters(
        &format!("response.code_details == '{ANSWER_TOO_LARGE}'"),
        &ClientError::bad_answer("the backend's answer is over the limit of this gateway"),
    ));
    mappers.extend(past_filters(
        &format!("response.code_details in {SILENCE:?}").replace('"', "'"),
        &ClientError::new(ErrorKind::Timeout, "the backend took too long to go on with its answer"),
    ));
    if has_tls {
        mappers.extend(past_filters(host_names::CONDITION, &host_names::error()));
    }
    mappers.extend(overloaded());
    if has_security {
        mappers.extend(REFUSALS.iter().flat_map(refused));
    }
    mappers.push(json!({
        "filter": {"extension_filter": cel(&format!(
            "response.code >= 400 && !(response.code_details in ['', '{OWN_DETAILS}'])"
        ))},
        "body_format_override": {
            "json_format": {"error": {
                "message": "%LOCAL_REPLY_BODY%",
                "type": "%RESPONSE_CODE_DETAILS%",
                "code": "%RESPONSE_CODE%",
            }},
            "content_type": "application/json",
        },
    }));
    json!({"mappers": mappers})
}

/// What Envoy says once an answer has begun, or before it lets a request into its filters, reaches the client past all
/// of them, so it must be in a client's shape here: one mapper for each, told apart by the path.
fn past_filters(expression: &str, error: &ClientError) -> Vec<Value> {
    let mapper = |expression: &str, api| {
        // A percent sign begins a command of the format.
        let text = String::from_utf8_lossy(&error.body(api)).replace('%', "%%");
        let text = text.replace(REASON, "%LOCAL_REPLY_BODY%");
        json!({
            "filter": {"extension_filter": cel(expression)},
            "status_code": error.status(),
            "body_format_override": {"text_format_source": {"inline_string": text}, "content_type": "application/json"},
        })
    };
    // Those with paths of their own first: the last one takes what is left.
    let with_paths = ClientApi::ALL.iter().filter(|api| !api.api().prefixes().is_empty());
    let mut mappers: Vec<Value> = with_paths
        .map(|api| {
            let begins = |prefix: &&str| format!("request.path.startsWith('{prefix}')");
            let has = |mark: &&str| format!("request.path.contains('{mark}')");
            let (prefixes, marks) = (api.api().prefixes(), api.api().marks());
            let paths: Vec<String> = prefixes.iter().map(begins).chain(marks.iter().map(has)).collect();
            mapper(&format!("{expression} && ({})", paths.join(" || ")), *api)
        })
        .collect();
    mappers.push(mapper(expression, ClientApi::default()));
    mappers
}

/// A filter in front of the edge does not let a request in.
fn refused(refusal: &Refusal) -> Vec<Value> {
    let Refusal { status, begins, ends, message, has_reason } = refusal;
    let expression = format!(
        "response.code == {status} && response.code_details.startsWith('{begins}') && \
         response.code_details.endsWith('{ends}')"
    );
    let reason = if *has_reason { format!(": {REASON}") } else { String::new() };
    past_filters(&expression, &ClientError::provider(*status, None, format!("{message}{reason}")))
}

/// Stands for Envoy's own words until the text is made.
const REASON: &str = "{reason}";

/// Envoy has no memory left for a request.
fn overloaded() -> Vec<Value> {
    let error =
        ClientError::new(ErrorKind::Unavailable, "the gateway has no room for more requests; try again");
    let mut mappers = past_filters("response.code_details == 'overload'", &error);
    for fields in mappers.iter_mut().filter_map(Value::as_object_mut) {
        fields.insert("headers_to_add".to_owned(), json!([{"header": {"key": "retry-after", "value": "1"}}]));
    }
    mappers
}

/// The filter writes the line, Envoy the file. A request that the filter never saw has no line.
fn access_log(options: &Options) -> Value {
    let record = options.filter.form.record();
    json!([{
        "name": "envoy.access_loggers.file",
        "filter": {"extension_filter": cel(&format!("'{record}' in filter_state"))},
        "typed_config": proto::any(
            "envoy.extensions.access_loggers.file.v3.FileAccessLog",
            json!({
                "path": options.access_log,
                "log_format": {"text_format_source": {"inline_string": format!("%FILTER_STATE({record}:PLAIN)%\n")}},
            }),
        ),
    }])
}

fn cel(expression: &str) -> Value {
    proto::extension(
        "envoy.access_loggers.extension_filters.cel",
        "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        json!({"expression": expression}),
    )
}

fn router() -> Value {
    proto::extension(
        "envoy.filters.http.router",
        "envoy.extensions.filters.http.router.v3.Router",
        // No `x-envoy-*` towards a backend or a client.
        json!({"suppress_envoy_headers": true}),
    )
}

fn only_get() -> Value {
    json!({"name": ":method", "string_match": {"exact": "GET"}})
}
