//! VirtualServices, and the little of a route that they cannot say.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value, json};
use weir_core::headers::CLUSTER_HEADER;

use super::gateway::Named;
use super::{Gateway, gateway};
use crate::check::retries::repeats_connections_only;
use crate::plan::{
    HeaderMatch, Listener, Match, MatchedRule, PathMatch, Retry, Rule, ValueMatch, VirtualHost,
};
use crate::render::direct::own_headers;
use crate::render::form::Form;
use crate::render::kubernetes::resource;
use crate::render::{listener, proto, ratelimit, routes, traffic};

/// Envoy's longest pause between attempts, as a multiple of the first one, where none is set.
const LONGEST_PAUSE: u32 = 10;

/// One VirtualService for each set of host names.
pub(super) fn virtual_services(gateway: &Gateway<'_>, listener: &Named<'_>) -> Vec<Value> {
    let service = |(name, host): (&String, &VirtualHost)| {
        let spec = json!({
            "hosts": host.domains,
            "exportTo": ["."],
            "gateways": [listener.gateway],
            "http": http_routes(gateway, host),
        });
        resource("networking.istio.io/v1", "VirtualService", &gateway.options.namespace, name, spec)
    };
    listener.virtual_services.iter().zip(&listener.listener.virtual_hosts).map(service).collect()
}

/// A rule's matches that follow each other and go the same way are one route.
fn http_routes(gateway: &Gateway<'_>, host: &VirtualHost) -> Vec<Value> {
    let is_direct = |matched: &MatchedRule| gateway.direct_model(matched).is_some();
    let same = |one: &MatchedRule, other: &MatchedRule| {
        Rc::ptr_eq(&one.rule, &other.rule) && is_direct(one) == is_direct(other)
    };
    host.rules.chunk_by(same).filter_map(|matched| http_route(gateway, matched)).collect()
}

fn http_route(gateway: &Gateway<'_>, matched: &[MatchedRule]) -> Option<Value> {
    let first = matched.first()?;
    let rule = first.rule.as_ref();
    let mut route = Map::new();
    // The name of the route in Envoy, by which the filter knows it.
    route.insert("name".to_owned(), rule.name.clone().into());
    let role = gateway.has_role(first);
    let places = &gateway.places;
    let place =
        rule.cluster.and_then(|cluster| if role { places.with_role(cluster) } else { places.plain(cluster) });
    let direct = gateway.direct_model(first).and(place);
    let mut matches: Vec<Value> = matched.iter().flat_map(|matched| conditions(&matched.matches)).collect();
    for condition in &mut matches {
        if let Some(place) = direct {
            add(condition, "headers", CLUSTER_HEADER, json!({"exact": place.name()}));
        } else if !rule.ai {
            // What goes a direct way has its backend's headers by now, credentials among them. Should no route of its
            // own be there any more, it must not be taken by one that is for something else.
            add(condition, "withoutHeaders", CLUSTER_HEADER, json!({}));
        }
    }
    matches.retain(|condition| condition != &json!({}));
    if !matches.is_empty() {
        route.insert("match".to_owned(), matches.into());
    }
    let Some(place) = place else {
        // Gateway API: a rule without backends that could serve is a 500.
        route.insert("directResponse".to_owned(), json!({"status": 500}));
        return Some(route.into());
    };
    if direct.is_some() {
        let removed = json!({"request": {"remove": own_headers(gateway.plan)}});
        route.insert("headers".to_owned(), removed);
    }
    route.insert("route".to_owned(), json!([{"destination": place.destination()}]));
    if let Some(timeout) = rule.request_timeout {
        route.insert("timeout".to_owned(), proto::duration(timeout).into());
    }
    let retries = retries(rule).unwrap_or_else(|| json!({"attempts": 0}));
    route.insert("retries".to_owned(), retries);
    Some(route.into())
}

/// The conditions of a match; two of them for a prefix of whole segments.
fn conditions(matches: &Match) -> Vec<Value> {
    let mut condition = json!({});
    for header in &matches.headers {
        add(&mut condition, "headers", &header.name, value(header));
    }
    for parameter in &matches.query {
        add(&mut condition, "queryParams", &parameter.name, value(parameter));
    }
    if let (Some(method), Value::Object(fields)) = (&matches.method, &mut condition) {
        fields.insert("method".to_owned(), json!({"exact": method}));
    }
    let paths = match &matches.path {
        None => return vec![condition],
        Some(PathMatch::Exact(path)) => vec![json!({"exact": path})],
        Some(PathMatch::Regex(regex)) => vec![json!({"regex": regex})],
        Some(PathMatch::Prefix(prefix)) => match prefix.trim_end_matches('/') {
            "" => vec![json!({"prefix": "/"})],
            prefix => vec![json!({"exact": prefix}), json!({"prefix": format!("{prefix}/")})],
        },
    };
    let with_path = |path: Value| {
        let mut condition = condition.clone();
        if let Value::Object(fields) = &mut condition {
            fields.insert("uri".to_owned(), path);
        }
        condition
    };
    paths.into_iter().map(with_path).collect()
}

fn value(header: &HeaderMatch) -> Value {
    match &header.value {
        ValueMatch::Exact(value) => json!({"exact": value}),
        ValueMatch::Regex(regex) => json!({"regex": regex}),
    }
}

fn add(condition: &mut Value, list: &str, name: &str, value: Value) {
    let Value::Object(fields) = condition else { return };
    if let Value::Object(list) = fields.entry(list).or_insert_with(|| json!({})) {
        list.insert(name.to_owned(), value);
    }
}

/// `retries` of a VirtualService, where it can say all there is to say.
fn retries(rule: &Rule) -> Option<Value> {
    let retry = rule.retry.as_ref()?;
    if rule.attempt_idle_timeout.is_some() || !has_usual_pauses(retry) || !goes_on_by_itself(retry) {
        return None;
    }
    let mut retries = Map::new();
    retries.insert("attempts".to_owned(), retry.count.into());
    // Of words only: with a status among them it does not go on by itself.
    retries.insert("retryOn".to_owned(), retry.on.join(",").into());
    if let Some(timeout) = rule.attempt_timeout {
        retries.insert("perTryTimeout".to_owned(), proto::duration(timeout).into());
    }
    if let Some(backoff) = retry.backoff {
        retries.insert("backoff".to_owned(), proto::duration(backoff.base).into());
    }
    Some(retries.into())
}

/// Whether the pauses are what Envoy makes of the first one alone. The n-th is shorter than 2^n - 1 times that one.
fn has_usual_pauses(retry: &Retry) -> bool {
    let Some((base, max)) = retry.backoff.and_then(|backoff| Some((backoff.base, backoff.max?))) else {
        return true;
    };
    let longest = 1_u32.checked_shl(retry.count).map_or(u32::MAX, |power| power.saturating_sub(1));
    max == base.saturating_mul(LONGEST_PAUSE)
        || (longest <= LONGEST_PAUSE && base.saturating_mul(longest) <= max)
}

/// Whether attempts go to the next backend without being told to: a VirtualService cannot say after how many of them.
fn goes_on_by_itself(retry: &Retry) -> bool {
    repeats_connections_only(retry)
}

/// What routes have that no VirtualService can say.
pub(super) fn patches(gateway: &Gateway<'_>) -> Vec<Value> {
    let mut rules: BTreeMap<&str, (&Listener, &Rule)> = BTreeMap::new();
    for listener in &gateway.plan.listeners {
        for matched in listener.virtual_hosts.iter().flat_map(|host| &host.rules) {
            rules.entry(&matched.rule.name).or_insert((listener, &matched.rule));
        }
    }
    let patch = |(name, (listener, rule)): (&str, (&Listener, &Rule))| {
        let value = rest(gateway, listener, rule)?;
        let matches =
            json!({"context": "GATEWAY", "routeConfiguration": {"vhost": {"route": {"name": name}}}});
        Some(gateway::patch("HTTP_ROUTE", &matches, "MERGE", &value))
    };
    rules.into_iter().filter_map(patch).collect()
}

fn rest(gateway: &Gateway<'_>, listener: &Listener, rule: &Rule) -> Option<Value> {
    let cluster = gateway.plan.clusters.get(rule.cluster?)?;
    let mut action = Map::new();
    if let Some(policy) = traffic::hash_policy(&cluster.traffic.load_balancer) {
        action.insert("hash_policy".to_owned(), policy);
    }
    if let Some(silence) = routes::allowed_silence(listener, rule) {
        action.insert("idle_timeout".to_owned(), proto::duration(silence).into());
    }
    if retries(rule).is_none()
        && let Some(policy) = routes::retry_policy(rule, cluster)
    {
        action.insert("retry_policy".to_owned(), policy);
    }
    let mut route = Map::new();
    if !action.is_empty() {
        route.insert("route".to_owned(), action.into());
    }
    let options = gateway.options;
    if options.rate_limit_service.is_some()
        && let Some(limits) = ratelimit::per_route(gateway.plan, rule, Form::Wasm)
    {
        let closed = rule.limits_fail_closed || options.rate_limit_fail_closed;
        let filter = if closed { listener::RATE_LIMIT_CLOSED } else { listener::RATE_LIMIT_OPEN };
        route.insert("typed_per_filter_config".to_owned(), json!({filter: limits}));
    }
    (!route.is_empty()).then(|| route.into())
}
