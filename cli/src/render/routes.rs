//! RDS: which cluster a request goes to, by its model above all.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use weir_core::headers::{CLUSTER_HEADER, MODEL_HEADER};

use super::direct::{self, Direct};
use super::host_names::HostNames;
use super::security::{self, Security};
use super::{Options, kept, listener, proto, ratelimit, sockets, traffic};
use crate::plan::{
    Cluster, HeaderMatch, Listener, Match, MatchedRule, PathMatch, Plan, Retry, Rule, ValueMatch, VirtualHost,
};

/// Once a stream has begun the filter ends one that is silent, with an error that the client can read. Envoy, which
/// does it without a word, comes after it.
const AFTER_THE_FILTER: Duration = Duration::from_millis(500);

const ROUTE: &str = "envoy.config.route.v3.Route";

pub(super) fn route_configuration(
    plan: &Plan,
    direct: &Direct<'_>,
    listener: &Listener,
    options: &Options,
) -> Value {
    let security = Security::of(plan, listener);
    // What Envoy says about the client is for the gateway's own use.
    let mut removed = vec!["x-envoy-external-address", "x-envoy-internal"];
    removed.extend(security.is_some().then_some(security::POLICY_HEADER));
    let context = Context { plan, direct, listener, security, options };
    let names = HostNames::of(plan, listener);
    let own = listener.virtual_hosts.iter().enumerate().filter_map(|(index, host)| {
        let domains = names.own(&host.domains);
        let name = format!("{}/{index}", listener.name);
        (!domains.is_empty()).then(|| context.virtual_host(&name, &domains, host))
    });
    let hosts: Vec<Value> = own.chain(names.misdirected()).collect();
    proto::any(
        "envoy.config.route.v3.RouteConfiguration",
        json!({
            "name": listener.name,
            "virtual_hosts": hosts,
            // Gateway API: "the port is ignored" when a host name is compared with the Host header.
            "ignore_port_in_host_matching": true,
            "request_headers_to_remove": removed,
        }),
    )
}

struct Context<'a> {
    plan: &'a Plan,
    direct: &'a Direct<'a>,
    listener: &'a Listener,
    security: Option<Security<'a>>,
    options: &'a Options,
}

impl Context<'_> {
    /// Rules for a model by name become a map, so that ten thousand models cost what ten do; without any, a list will
    /// do.
    fn virtual_host(&self, name: &str, domains: &[&String], host: &VirtualHost) -> Value {
        let cors = self.security.as_ref().and_then(|_| security::of_host(self.plan, self.listener, host));
        let (of_filters, rest) = cors.unzip();
        let mut fields = json!({"name": name, "domains": domains});
        let (key, value) = if host.rules.iter().any(|rule| model(&rule.matches).is_some()) {
            ("matcher", self.matcher(&host.rules, rest))
        } else {
            ("routes", self.list(host.rules.iter()).into_iter().chain(rest).collect())
        };
        if let Value::Object(fields) = &mut fields {
            fields.insert(key.to_owned(), value);
            if let Some(of_filters) = of_filters {
                fields.insert("typed_per_filter_config".to_owned(), of_filters.into());
            }
        }
        fields
    }

    /// `last` takes what no rule does.
    fn matcher(&self, rules: &[MatchedRule], last: Option<Value>) -> Value {
        let map: Map<String, Value> = by_model(rules)
            .into_iter()
            .map(|(model, rules)| (model.to_owned(), action(self.list(rules.into_iter()))))
            .collect();
        let any_model = rules.iter().filter(|rule| model(&rule.matches).is_none());
        let mut matcher = json!({
            "matcher_tree": {
                "input": {
                    "name": "model",
                    "typed_config": proto::any(
                        "envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
                        json!({"header_name": MODEL_HEADER}),
                    ),
                },
                "exact_match_map": {"map": map},
            },
        });
        let rest: Vec<Value> = self.list(any_model).into_iter().chain(last).collect();
        if !rest.is_empty()
            && let Value::Object(fields) = &mut matcher
        {
            fields.insert("on_no_match".to_owned(), action(rest));
        }
        matcher
    }

    fn list<'r>(&self, rules: impl Iterator<Item = &'r MatchedRule>) -> Vec<Value> {
        let of = |rule| {
            let others = self.direct_route(rule).into_iter().chain(self.routes_elsewhere(rule));
            others.chain([self.route(rule, false)]).collect::<Vec<_>>()
        };
        rules.flat_map(of).collect()
    }

    /// The rule's route for what goes a direct way: the filter has made it the backend's request, and names the
    /// cluster.
    fn direct_route(&self, matched: &MatchedRule) -> Option<Value> {
        let model = model(&matched.matches).filter(|_| !matched.passes_through());
        model.filter(|model| self.direct.has(model))?;
        let mut route = self.route(matched, true);
        let action = route.get_mut("route")?.as_object_mut()?;
        action.remove("cluster");
        action.insert("cluster_header".to_owned(), CLUSTER_HEADER.into());
        add_header_condition(route.get_mut("match")?, json!({"name": CLUSTER_HEADER, "present_match": true}));
        let removed = json!(direct::own_headers(self.plan));
        route.as_object_mut()?.insert("request_headers_to_remove".to_owned(), removed);
        Some(route)
    }

    /// The rule's routes to other clusters than its own: for WebSockets, and to one of its backends each.
    fn routes_elsewhere(&self, matched: &MatchedRule) -> Vec<Value> {
        let cluster = matched.rule.cluster.and_then(|index| self.plan.clusters.get(index));
        let of_sockets = cluster.filter(|_| !matched.passes_through());
        let of_sockets = of_sockets.and_then(|cluster| sockets::way(self.plan, cluster));
        let of_sockets = of_sockets.and_then(|(name, condition)| {
            let mut route = self.route(matched, false);
            route.get_mut("route")?.as_object_mut()?.insert("cluster".to_owned(), name.into());
            Some((route, condition))
        });
        let kept = cluster.map_or_else(Vec::new, |cluster| kept::ways(self.plan, self.options, cluster));
        let of_kept = kept.into_iter().map(|way| {
            let mut rule = matched.rule.as_ref().clone();
            if let Some(retry) = rule.retry.as_mut().filter(|_| way.goes_on) {
                retry.attempts_per_priority = 1;
            }
            (self.route_to(&matched.matches, &rule, Some(&way.cluster), false), way.condition)
        });
        let route = |(mut route, condition): (Value, Value)| {
            add_header_condition(route.get_mut("match")?, condition);
            Some(route)
        };
        of_sockets.into_iter().chain(of_kept).filter_map(route).collect()
    }

    fn route(&self, matched: &MatchedRule, is_direct: bool) -> Value {
        let rule = matched.rule.as_ref();
        let cluster = rule.cluster.and_then(|index| self.plan.clusters.get(index));
        self.route_to(&matched.matches, rule, cluster, is_direct)
    }

    fn route_to(&self, matches: &Match, rule: &Rule, cluster: Option<&Cluster>, is_direct: bool) -> Value {
        let mut route = Map::new();
        route.insert("name".to_owned(), rule.name.clone().into());
        let mut matches = conditions(matches);
        if !rule.ai {
            // What goes a direct way has its backend's headers by now, credentials among them. Should no rule for its
            // model be there any more, it must not be taken by one that is for something else.
            let made = json!({"name": CLUSTER_HEADER, "present_match": true, "invert_match": true});
            add_header_condition(&mut matches, made);
        }
        route.insert("match".to_owned(), matches);
        let mut of_filters = self.security.as_ref().map_or_else(Map::new, |security| security.of_route(rule));
        let Some(cluster) = cluster else {
            // Gateway API: a rule without backends that could serve is a 500.
            route.insert("direct_response".to_owned(), json!({"status": 500}));
            if !of_filters.is_empty() {
                route.insert("typed_per_filter_config".to_owned(), of_filters.into());
            }
            return Value::Object(route);
        };

        let answer_timeout = direct::answer_timeout(rule).filter(|_| is_direct);
        let mut action = json!({
            "cluster": cluster.name,
            // A timeout of the whole request cuts streams, so there is none unless it was asked for, or the filter
            // takes it from streams.
            "timeout": proto::duration(answer_timeout.or(rule.request_timeout).unwrap_or_default()),
        });
        if let Value::Object(action) = &mut action {
            if let Some(silence) = allowed_silence(self.listener, rule) {
                action.insert("idle_timeout".to_owned(), proto::duration(silence).into());
            }
            // The backend role refuses to ask the only backend again after a timeout, which Envoy takes for a reset.
            let rule = match answer_timeout {
                Some(_) => &Rule { attempt_timeout: None, ..with_resets(rule) },
                None if rule.ai && !is_direct => &with_resets(rule),
                None => rule,
            };
            if let Some(policy) = retry_policy(rule, cluster) {
                action.insert("retry_policy".to_owned(), policy);
            }
            if let Some(policy) = traffic::hash_policy(&cluster.traffic.load_balancer) {
                action.insert("hash_policy".to_owned(), policy);
            }
        }
        route.insert("route".to_owned(), action);
        if self.options.rate_limit_service.is_some()
            && let Some(limits) = ratelimit::per_route(self.plan, rule, self.options.filter.form)
        {
            let closed = rule.limits_fail_closed || self.options.rate_limit_fail_closed;
            let filter = if closed { listener::RATE_LIMIT_CLOSED } else { listener::RATE_LIMIT_OPEN };
            of_filters.insert(filter.to_owned(), limits);
        }
        if !of_filters.is_empty() {
            route.insert("typed_per_filter_config".to_owned(), of_filters.into());
        }
        Value::Object(route)
    }
}

fn action(mut routes: Vec<Value>) -> Value {
    let (name, config) = if routes.len() == 1 {
        ("route", routes.pop().map(|route| proto::any(ROUTE, route)))
    } else {
        ("routes", Some(proto::any("envoy.config.route.v3.RouteList", json!({"routes": routes}))))
    };
    json!({"action": {"name": name, "typed_config": config}})
}

/// The listener's idle timeout also runs while an answer is waited for. Where the rule allows an attempt more time than
/// that, the route must, too.
pub(super) fn allowed_silence(listener: &Listener, rule: &Rule) -> Option<Duration> {
    let listener = listener.stream_idle_timeout.unwrap_or(listener::DEFAULT_STREAM_IDLE_TIMEOUT);
    if listener.is_zero() {
        return None;
    }
    let longest = rule.attempt_timeout.max(rule.attempt_idle_timeout).max(rule.request_timeout)?;
    (longest > listener).then_some(longest)
}

/// The rules that may apply to each model named by a rule, in their order. A rule for any model is among them unless a
/// rule before it takes all requests for that model, or it takes paths that are for no model.
pub(super) fn by_model(rules: &[MatchedRule]) -> BTreeMap<&str, Vec<&MatchedRule>> {
    let mut lists: BTreeMap<&str, Vec<(usize, &MatchedRule)>> = BTreeMap::new();
    let mut any_model = Vec::new();
    for (position, rule) in rules.iter().enumerate() {
        match model(&rule.matches) {
            Some(name) => lists.entry(name).or_default().push((position, rule)),
            None if rule.passes_through() => {}
            None => any_model.push((position, rule)),
        }
    }
    let complete = |(name, mut list): (_, Vec<(usize, _)>)| {
        list.extend(&any_model);
        list.sort_by_key(|(position, _)| *position);
        if let Some(last) = list.iter().position(|(_, rule)| rule.takes_all()) {
            list.truncate(last + 1);
        }
        (name, list.into_iter().map(|(_, rule)| rule).collect())
    };
    lists.into_iter().map(complete).collect()
}

/// The model that a match names exactly.
pub(super) fn model(matches: &Match) -> Option<&str> {
    matches.headers.iter().find_map(|header| match &header.value {
        ValueMatch::Exact(model) if header.name == MODEL_HEADER => Some(model.as_str()),
        _ => None,
    })
}

fn conditions(matches: &Match) -> Value {
    let mut conditions = Map::new();
    let (key, path) = match &matches.path {
        None => ("prefix", "/".into()),
        Some(PathMatch::Exact(path)) => ("path", path.clone().into()),
        Some(PathMatch::Prefix(prefix)) => match prefix.trim_end_matches('/') {
            "" => ("prefix", "/".into()),
            prefix => ("path_separated_prefix", prefix.into()),
        },
        Some(PathMatch::Regex(regex)) => ("safe_regex", json!({"regex": regex})),
    };
    conditions.insert(key.to_owned(), path);

    let method =
        matches.method.iter().map(|method| json!({"name": ":method", "string_match": {"exact": method}}));
    let headers: Vec<Value> = matches.headers.iter().map(condition).chain(method).collect();
    if !headers.is_empty() {
        conditions.insert("headers".to_owned(), headers.into());
    }
    if !matches.query.is_empty() {
        let query: Vec<Value> = matches.query.iter().map(condition).collect();
        conditions.insert("query_parameters".to_owned(), query.into());
    }
    Value::Object(conditions)
}

fn add_header_condition(conditions: &mut Value, condition: Value) {
    let Value::Object(conditions) = conditions else { return };
    if let Value::Array(headers) = conditions.entry("headers").or_insert_with(|| json!([])) {
        headers.push(condition);
    }
}

fn condition(header: &HeaderMatch) -> Value {
    let value = match &header.value {
        ValueMatch::Exact(value) => json!({"exact": value}),
        ValueMatch::Regex(regex) => json!({"safe_regex": {"regex": regex}}),
    };
    json!({"name": header.name, "string_match": value})
}

/// The retry policy, which is also where Envoy keeps the limits of a single attempt.
pub(super) fn retry_policy(rule: &Rule, cluster: &Cluster) -> Option<Value> {
    let mut policy = Map::new();
    if let Some(timeout) = rule.attempt_timeout {
        policy.insert("per_try_timeout".to_owned(), proto::duration(timeout).into());
    }
    if let Some(mut timeout) = rule.attempt_idle_timeout {
        if rule.ai {
            timeout += AFTER_THE_FILTER;
        }
        policy.insert("per_try_idle_timeout".to_owned(), proto::duration(timeout).into());
    }
    if let Some(retry) = &rule.retry {
        policy.extend(retries(retry, cluster));
    } else if !policy.is_empty() {
        policy.insert("num_retries".to_owned(), 0.into());
    }
    (!policy.is_empty()).then_some(Value::Object(policy))
}

/// The rule with every reset repeated, where those before the request was sent are.
fn with_resets(rule: &Rule) -> Rule {
    let mut rule = rule.clone();
    if let Some(retry) = &mut rule.retry
        && retry.on.iter().any(|word| word == "reset-before-request")
    {
        retry.on.push("reset".to_owned());
    }
    rule
}

fn retries(retry: &Retry, cluster: &Cluster) -> Map<String, Value> {
    let mut on = retry.on.clone();
    let mut policy = Map::new();
    if !retry.status_codes.is_empty() {
        if !on.iter().any(|word| word == "retriable-status-codes") {
            on.push("retriable-status-codes".to_owned());
        }
        policy.insert("retriable_status_codes".to_owned(), json!(retry.status_codes));
    }
    policy.insert("retry_on".to_owned(), on.join(",").into());
    policy.insert("num_retries".to_owned(), retry.count.saturating_add(retry.spare).into());
    // Another host of the priority first, and the next priority when this one had its attempts: priorities alone would
    // pass over healthy backends of the same priority. Envoy makes both for each request, so only where there is a
    // choice.
    if cluster.may_have_several_hosts() {
        let hosts = proto::extension(
            "envoy.retry_host_predicates.previous_hosts",
            "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            json!({}),
        );
        policy.insert("retry_host_predicate".to_owned(), json!([hosts]));
        policy.insert("host_selection_retry_max_attempts".to_owned(), 5.into());
    }
    if cluster.has_priorities() {
        let priority = proto::extension(
            "envoy.retry_priorities.previous_priorities",
            "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
            json!({"update_frequency": retry.attempts_per_priority.max(1)}),
        );
        policy.insert("retry_priority".to_owned(), priority);
    }
    if let Some(backoff) = retry.backoff {
        let mut pauses = json!({"base_interval": proto::duration(backoff.base)});
        if let (Some(max), Value::Object(pauses)) = (backoff.max, &mut pauses) {
            pauses.insert("max_interval".to_owned(), proto::duration(max).into());
        }
        policy.insert("retry_back_off".to_owned(), pauses);
    }
    policy
}
