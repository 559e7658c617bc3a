//! Which rule takes a request: what Envoy finds by the routes that are rendered for it.

use std::collections::BTreeSet;

use regex::Regex;
use weir_core::config::{Budget, Selector};
use weir_core::endpoint::behind;
use weir_core::headers::{Headers, MODEL_HEADER};

use super::Route;
use crate::plan::{HeaderMatch, Listener, LocalLimit, Match, MatchedRule, PathMatch, Plan, ValueMatch};
use crate::resources::diagnostic::hint;

/// The first rule that takes the request, of the first listener that has its host name.
pub(super) fn find<'p>(plan: &'p Plan, headers: &Headers) -> Option<(&'p Listener, &'p MatchedRule)> {
    let host = headers.get(":authority").unwrap_or_default();
    plan.listeners.iter().find_map(|listener| {
        let hosts = listener.virtual_hosts.iter();
        let host = hosts.into_iter().find(|known| known.domains.iter().any(|domain| is_of(domain, host)))?;
        let rule = host.rules.iter().find(|rule| takes(&rule.matches, headers))?;
        Some((listener, rule))
    })
}

/// Whether `host`, whose port does not count, is one of a domain's. Without a host name any listener is asked.
fn is_of(domain: &str, host: &str) -> bool {
    let host = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
    });
    match domain.strip_prefix('*') {
        Some("") => true,
        Some(suffix) => {
            host.len() > suffix.len() && host.to_ascii_lowercase().ends_with(&suffix.to_ascii_lowercase())
        }
        None => host.is_empty() || domain.eq_ignore_ascii_case(host),
    }
}

fn takes(matches: &Match, headers: &Headers) -> bool {
    let (path, query) = headers.path_and_query();
    let takes_path = match &matches.path {
        None => true,
        Some(PathMatch::Exact(exact)) => exact == path,
        Some(PathMatch::Prefix(prefix)) => behind(prefix.trim_end_matches('/'), path).is_some(),
        Some(PathMatch::Regex(regex)) => is_whole(regex, path),
    };
    let takes_method = matches.method.as_deref().is_none_or(|method| headers.get(":method") == Some(method));
    let has_header = |header: &HeaderMatch| {
        // As Envoy joins them, without a blank.
        let values: Vec<&str> = headers.all(&header.name).collect();
        !values.is_empty() && is_value(&header.value, &values.join(","))
    };
    let has_parameter = |parameter: &HeaderMatch| {
        let mut pairs =
            query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.any(|(name, value)| name == parameter.name && is_value(&parameter.value, value))
    };
    takes_path
        && takes_method
        && matches.headers.iter().all(has_header)
        && matches.query.iter().all(has_parameter)
}

fn is_value(wanted: &ValueMatch, value: &str) -> bool {
    match wanted {
        ValueMatch::Exact(exact) => exact == value,
        ValueMatch::Regex(regex) => is_whole(regex, value),
    }
}

/// Whether the whole of `text` matches, as Envoy has it. `check` has seen to it that the expression is one.
fn is_whole(regex: &str, text: &str) -> bool {
    Regex::new(&format!("^(?:{regex})$")).is_ok_and(|regex| regex.is_match(text))
}

/// Why no rule takes it.
pub(super) fn nobody(plan: &Plan, model: &str) -> String {
    let rules =
        plan.listeners.iter().flat_map(|listener| &listener.virtual_hosts).flat_map(|host| &host.rules);
    let models = rules.flat_map(|rule| &rule.matches.headers).filter_map(|header| match &header.value {
        ValueMatch::Exact(model) if header.name == MODEL_HEADER => Some(model.as_str()),
        _ => None,
    });
    let models: BTreeSet<&str> = models.collect();
    if models.contains(model) {
        return format!(
            "no rule takes the request: those for the model {model:?} want more than the model, or another host name"
        );
    }
    format!("no rule takes the model {model:?}: {}", hint(model, models.into_iter()))
}

pub(super) fn told(plan: &Plan, listener: &Listener, matched: &MatchedRule) -> Route {
    let rule = &matched.rule;
    let budgets = rule.limits.iter().filter_map(|limit| plan.filter.budgets.get(limit.budget));
    Route {
        listener: listener.name.clone(),
        name: rule.name.clone(),
        resource: rule.origin.route.clone(),
        rule: rule.origin.rule,
        because: because(&matched.matches),
        limits: budgets.map(budget).chain(rule.local_limits.iter().map(local_limit)).collect(),
    }
}

fn because(matches: &Match) -> Vec<String> {
    let path = matches.path.iter().map(|path| match path {
        PathMatch::Exact(path) => format!("the path is {path}"),
        PathMatch::Prefix(prefix) => format!("the path is {prefix} or below"),
        PathMatch::Regex(regex) => format!("the path matches {regex}"),
    });
    let method = matches.method.iter().map(|method| format!("the method is {method}"));
    let of = |what: &'static str| {
        move |header: &HeaderMatch| match &header.value {
            ValueMatch::Exact(value) => format!("{what}{} is {value}", header.name),
            ValueMatch::Regex(regex) => format!("{what}{} matches {regex}", header.name),
        }
    };
    let mut because: Vec<String> = path
        .chain(method)
        .chain(matches.headers.iter().map(of("")))
        .chain(matches.query.iter().map(of("the parameter ")))
        .collect();
    if because.is_empty() {
        because.push("it takes every request".to_owned());
    }
    because
}

fn budget(budget: &Budget) -> String {
    let unit = budget.response_cost.as_deref().unwrap_or("requests");
    limited(&budget.name, budget.limit, unit, budget.window, &budget.selectors)
}

fn local_limit(limit: &LocalLimit) -> String {
    limited(&limit.name, limit.limit.into(), "requests at this proxy", limit.window, &limit.selectors)
}

fn limited(name: &str, limit: u64, unit: &str, window: u64, selectors: &[Selector]) -> String {
    let selected = selectors.iter().map(|selector| match &selector.exact {
        Some(value) => format!(", where {} is {value}", selector.header),
        None => format!(", by {}", selector.header),
    });
    format!("{name}: {limit} {unit} in {window} s{}", selected.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_as_envoy_does() {
        for (domain, host, is) in [
            ("*", "a.com", true),
            ("a.com", "A.com:8080", true),
            ("a.com", "b.com", false),
            ("*.a.com", "x.a.com", true),
            ("*.a.com", "a.com", false),
            ("a.com", "", true),
            ("[::1]", "[::1]:80", true),
        ] {
            assert_eq!(is_of(domain, host), is, "{domain} {host}");
        }
    }

    #[test]
    fn a_condition_is_on_the_whole_of_a_value() {
        let headers =
            Headers::from([(":method", "POST"), (":path", "/v1/chat?x=1&y"), ("a", "one"), ("a", "two")]);
        let header = |value: ValueMatch| Match {
            headers: vec![HeaderMatch { name: "a".to_owned(), value }],
            ..Match::default()
        };
        let exact = |value: &str| ValueMatch::Exact(value.to_owned());
        let regex = |value: &str| ValueMatch::Regex(value.to_owned());
        let path = |path| Match { path: Some(path), ..Match::default() };
        let query = |name: &str, value| Match {
            query: vec![HeaderMatch { name: name.to_owned(), value }],
            ..Match::default()
        };
        for (matches, is) in [
            (Match::default(), true),
            (header(exact("one,two")), true),
            (header(exact("one")), false),
            (header(regex("one|two")), false),
            (header(regex("one.*")), true),
            (path(PathMatch::Exact("/v1/chat".to_owned())), true),
            (path(PathMatch::Prefix("/v1/".to_owned())), true),
            (path(PathMatch::Prefix("/v1/ch".to_owned())), false),
            (path(PathMatch::Regex("/v1".to_owned())), false),
            (path(PathMatch::Regex("/v[0-9]/.*".to_owned())), true),
            (query("x", exact("1")), true),
            (query("y", exact("")), true),
            (query("z", exact("")), false),
            (Match { method: Some("GET".to_owned()), ..Match::default() }, false),
        ] {
            assert_eq!(takes(&matches, &headers), is, "{matches:?}");
        }
    }
}
