//! Conditions of rules, and the order in which they are tried.

use std::cmp::Reverse;

use weir_core::headers::is_name;

use crate::plan::{HeaderMatch, Match, PathMatch, ValueMatch};
use crate::resources::decode::MISSING;
use crate::resources::gateway::{HttpPathMatch, NameMatch, NameMatchType, PathMatchType};
use crate::resources::{Report, ResourceId};

/// The header that carries the model of the body.
pub const MODEL_HEADER: &str = "x-ai-eg-model";

/// The place of a match among those of a virtual host: exact paths, then patterns, then prefixes, longer ones
/// first; a method; more headers, and of as many more exact ones; more query parameters. What is left is decided
/// by the order of the files. Source: Gateway API, "HTTPRouteRule.matches", and Envoy Gateway where that leaves it
/// open.
#[must_use]
pub fn precedence(matches: &Match) -> impl Ord + use<> {
    let (rank, length) = match &matches.path {
        Some(PathMatch::Exact(path)) => (0, path.len()),
        Some(PathMatch::Regex(pattern)) => (1, pattern.len()),
        Some(PathMatch::Prefix(path)) => (2, path.len()),
        // As if it were the prefix `/`.
        None => (2, 1),
    };
    let exact = matches.headers.iter().filter(|header| matches!(header.value, ValueMatch::Exact(_))).count();
    (
        rank,
        Reverse(length),
        matches.method.is_none(),
        Reverse(matches.headers.len()),
        Reverse(exact),
        Reverse(matches.query.len()),
    )
}

/// Conditions on headers, the model's first.
pub fn headers(id: &ResourceId, field: &str, specs: &[NameMatch], report: &mut Report) -> Vec<HeaderMatch> {
    let mut headers: Vec<HeaderMatch> = Vec::new();
    for (i, spec) in specs.iter().enumerate() {
        let place = format!("{field}[{i}]");
        let name = spec.name.to_ascii_lowercase();
        if name == MISSING || spec.value == MISSING {
            continue;
        }
        if !is_name(&name) {
            report.error(id, format!("{place}.name"), format!("`{name}` is not a header name"));
        }
        if headers.iter().any(|known| known.name == name) {
            let message =
                format!("`{name}` stands in this match twice; make two matches of it, or one pattern");
            report.error(id, format!("{place}.name"), message);
        }
        headers.push(HeaderMatch { name, value: value(id, &place, spec, report) });
    }
    headers.sort_by_key(|header| header.name != MODEL_HEADER);
    headers
}

/// Conditions on query parameters.
pub fn query(id: &ResourceId, field: &str, specs: &[NameMatch], report: &mut Report) -> Vec<HeaderMatch> {
    let one = |(i, spec): (usize, &NameMatch)| HeaderMatch {
        name: spec.name.clone(),
        value: value(id, &format!("{field}[{i}]"), spec, report),
    };
    specs.iter().enumerate().map(one).collect()
}

fn value(id: &ResourceId, place: &str, spec: &NameMatch, report: &mut Report) -> ValueMatch {
    match spec.kind {
        NameMatchType::Exact => {
            if spec.value.is_empty() && !report.has_error(id, place) {
                report.error(id, format!("{place}.value"), "is empty; write what it must be");
            }
            ValueMatch::Exact(spec.value.clone())
        }
        NameMatchType::RegularExpression => {
            check_pattern(id, &format!("{place}.value"), &spec.value, report);
            ValueMatch::Regex(spec.value.clone())
        }
    }
}

/// A condition on the path of a plain HTTPRoute.
pub fn path(id: &ResourceId, field: &str, spec: &HttpPathMatch, report: &mut Report) -> PathMatch {
    let place = format!("{field}.value");
    if spec.kind != PathMatchType::RegularExpression && spec.value != MISSING && !spec.value.starts_with('/')
    {
        report.error(id, &place, "must begin with `/`");
    }
    match spec.kind {
        PathMatchType::Exact => PathMatch::Exact(spec.value.clone()),
        PathMatchType::PathPrefix => {
            // `/a/` and `/a` are the same prefix.
            let path = spec.value.trim_end_matches('/');
            PathMatch::Prefix(if path.is_empty() { "/".to_owned() } else { path.to_owned() })
        }
        PathMatchType::RegularExpression => {
            check_pattern(id, &place, &spec.value, report);
            PathMatch::Regex(spec.value.clone())
        }
    }
}

/// Envoy refuses all of a configuration for one bad pattern, so it is tried here. The crate and RE2 share their
/// syntax but for details.
fn check_pattern(id: &ResourceId, field: &str, pattern: &str, report: &mut Report) {
    if let Err(error) = regex::Regex::new(pattern) {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
        report.error(id, field, format!("is not a regular expression of RE2: {reason}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, exact: bool) -> HeaderMatch {
        let value = if exact { ValueMatch::Exact("v".to_owned()) } else { ValueMatch::Regex("v".to_owned()) };
        HeaderMatch { name: name.to_owned(), value }
    }

    #[test]
    fn the_most_specific_match_comes_first() {
        let path = |path| Match { path: Some(path), ..Match::default() };
        let sorted = [
            path(PathMatch::Exact("/a".to_owned())),
            path(PathMatch::Regex("/a+".to_owned())),
            path(PathMatch::Prefix("/a/b".to_owned())),
            path(PathMatch::Prefix("/a".to_owned())),
            Match { method: Some("GET".to_owned()), ..path(PathMatch::Prefix("/".to_owned())) },
            Match { headers: vec![header("a", false), header("b", false)], ..Match::default() },
            Match { headers: vec![header("a", true)], ..Match::default() },
            Match { headers: vec![header("a", false)], ..Match::default() },
            Match { query: vec![header("q", true)], ..Match::default() },
            Match::default(),
        ];
        let mut shuffled = sorted.to_vec();
        shuffled.reverse();
        shuffled.sort_by_key(precedence);
        assert_eq!(shuffled, sorted);
    }
}
