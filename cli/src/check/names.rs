//! Host names.

use crate::resources::decode::MISSING;

/// Why a host name of a route or listener is none, if so. A place that was reported as missing is let pass.
#[must_use]
pub fn hostname_mistake(name: &str) -> Option<String> {
    if name == MISSING {
        return None;
    }
    let rest = name.strip_prefix("*.").unwrap_or(name);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    if rest.len() <= 253 && rest.split('.').all(label) {
        return None;
    }
    Some(format!(
        "`{name}` is not a host name: lower case letters, digits and `-`, perhaps with `*.` in front"
    ))
}

/// The host names under which a route is reached at a listener; `*` for all. Empty when they have none in common.
///
/// Gateway API, "Hostname" of the listener: a wildcard covers any number of labels, and where both are wildcards
/// the narrower one counts.
#[must_use]
pub fn common_hostnames(listener: Option<&str>, route: &[String]) -> Vec<String> {
    let listener = listener.filter(|name| *name != MISSING);
    match (listener, route) {
        (None, []) => vec!["*".to_owned()],
        (Some(listener), []) => vec![listener.to_owned()],
        (None, names) => names.to_vec(),
        (Some(listener), names) => names
            .iter()
            .filter_map(|name| {
                if covers(listener, name) {
                    Some(name.clone())
                } else if covers(name, listener) {
                    Some(listener.to_owned())
                } else {
                    None
                }
            })
            .collect(),
    }
}

/// Whether a host name or wildcard takes all that another one takes.
#[must_use]
pub fn covers(wide: &str, narrow: &str) -> bool {
    match wide.strip_prefix('*') {
        Some(suffix) => narrow.ends_with(suffix) && narrow.len() > suffix.len(),
        None => wide == narrow,
    }
}

/// Sorts the most specific host name first: exact ones, then wildcards by their length, then all.
#[must_use]
pub fn specificity(domain: &str) -> (u8, std::cmp::Reverse<usize>) {
    let rank = match domain {
        "*" => 2,
        wildcard if wildcard.starts_with('*') => 1,
        _ => 0,
    };
    (rank, std::cmp::Reverse(domain.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_host_names() {
        let cases: &[(Option<&str>, &[&str], &[&str])] = &[
            (None, &[], &["*"]),
            (None, &["a.com", "*.b.com"], &["a.com", "*.b.com"]),
            (Some("*.a.com"), &[], &["*.a.com"]),
            (Some("*.a.com"), &["x.a.com", "x.y.a.com", "a.com", "b.com"], &["x.a.com", "x.y.a.com"]),
            (Some("x.a.com"), &["*.a.com"], &["x.a.com"]),
            (Some("*.a.com"), &["*.x.a.com"], &["*.x.a.com"]),
            (Some("*.a.com"), &["*.com"], &["*.a.com"]),
            (Some("a.com"), &["b.com"], &[]),
        ];
        for (listener, route, expected) in cases {
            let route: Vec<String> = route.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(common_hostnames(*listener, &route), *expected, "{listener:?} {route:?}");
        }
    }

    #[test]
    fn host_names() {
        for good in ["a", "a.example.com", "*.example.com"] {
            assert_eq!(hostname_mistake(good), None);
        }
        for bad in ["", "*", "A.com", "a..b", "a.*.b", "a_b.com", "http://a", "a:80", "-a.com"] {
            assert!(hostname_mistake(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn the_most_specific_comes_first() {
        let mut names = ["*", "*.com", "a.com", "*.b.com", "x.b.com"];
        names.sort_by_key(|name| specificity(name));
        assert_eq!(names, ["x.b.com", "a.com", "*.b.com", "*.com", "*"]);
    }
}
