//! Header and body changes: those of the route over those of the backend.

use weir_core::config::{BodyMutation, HeaderMutation};
use weir_core::headers::is_name;

use crate::resources::ai::{BodyMutationSpec, HeaderMutationSpec};
use crate::resources::decode::MISSING;
use crate::resources::{Report, ResourceId};

/// Of each list, as in the CRDs.
const MOST: usize = 16;

/// What the gateway or Envoy decides, why it must not be changed, and what to write instead.
const RESERVED: &[(&[&str], &str)] = &[
    (&["host"], "is that of the Backend's endpoint, which is also what is signed; change the Backend"),
    (
        &["content-length", "transfer-encoding", "content-encoding", "expect"],
        "follows from the body; a wrong one would let one request be taken for two",
    ),
    (
        &["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"],
        "is about the connection, which is Envoy's",
    ),
    (&["accept-encoding"], "is chosen so that usage can be read"),
    (&["x-ai-eg-model"], "is what routes match on and goes to no backend; use `modelNameOverride`"),
    (&["x-weir-cluster"], "is what routes may match on and goes to no backend"),
];

/// What to write instead of a change to a pseudo-header (RFC 9113, section 8.3.1).
const PSEUDO: &[(&str, &str)] = &[
    (":path", "it follows from the backend's schema; use `schema.prefix`"),
    (":authority", "it is that of the Backend's endpoint; change the Backend"),
];

/// Checks header changes and puts them into the filter's form.
pub fn headers(
    spec: Option<&HeaderMutationSpec>,
    field: &str,
    id: &ResourceId,
    report: &mut Report,
) -> HeaderMutation {
    let mut mutation = HeaderMutation::default();
    let Some(spec) = spec else { return mutation };
    at_most(spec.set.len(), &format!("{field}.set"), id, report);
    at_most(spec.remove.len(), &format!("{field}.remove"), id, report);
    for (i, header) in spec.set.iter().enumerate() {
        let place = format!("{field}.set[{i}]");
        let name = header.name.to_ascii_lowercase();
        check_name(&name, &format!("{place}.name"), id, report);
        if header.value.chars().any(|c| c.is_control() && c != '\t') && header.value != MISSING {
            report.error(id, format!("{place}.value"), "has a line break or control character; take it out");
        }
        if mutation.set.iter().any(|(set, _)| *set == name) {
            report.error(
                id,
                format!("{place}.name"),
                format!("`{name}` is set twice; remove one of the two"),
            );
        }
        mutation.set.push((name, header.value.clone()));
    }
    for (i, name) in spec.remove.iter().enumerate() {
        let place = format!("{field}.remove[{i}]");
        let name = name.to_ascii_lowercase();
        check_name(&name, &place, id, report);
        if mutation.set.iter().any(|(set, _)| *set == name) {
            report.error(id, place, format!("`{name}` is both set and removed; decide for one"));
        }
        mutation.remove.push(name);
    }
    mutation
}

/// Checks body changes and puts them into the filter's form.
pub fn body(
    spec: Option<&BodyMutationSpec>,
    field: &str,
    id: &ResourceId,
    report: &mut Report,
) -> BodyMutation {
    let mut mutation = BodyMutation::default();
    let Some(spec) = spec else { return mutation };
    at_most(spec.set.len(), &format!("{field}.set"), id, report);
    at_most(spec.remove.len(), &format!("{field}.remove"), id, report);
    for (i, member) in spec.set.iter().enumerate() {
        let place = format!("{field}.set[{i}]");
        if member.path.is_empty() {
            report.error(id, format!("{place}.path"), "is empty; name a top-level field of the body");
        }
        if member.value == MISSING {
            continue;
        }
        match serde_json::from_str(&member.value) {
            Ok(value) => {
                if mutation.set.iter().any(|(set, _)| *set == member.path) {
                    let message = format!("`{}` is set twice; remove one of the two", member.path);
                    report.error(id, format!("{place}.path"), message);
                }
                mutation.set.push((member.path.clone(), value));
            }
            Err(_) => report.error(
                id,
                format!("{place}.value"),
                "is not JSON; a text needs quotes of its own, such as '\"scale\"'",
            ),
        }
    }
    for (i, name) in spec.remove.iter().enumerate() {
        if mutation.set.iter().any(|(set, _)| set == name) {
            let message = format!("`{name}` is both set and removed; decide for one");
            report.error(id, format!("{field}.remove[{i}]"), message);
        }
        mutation.remove.push(name.clone());
    }
    mutation
}

fn at_most(count: usize, field: &str, id: &ResourceId, report: &mut Report) {
    if count > MOST {
        report.error(id, field, format!("has {count} entries; at most {MOST} are allowed"));
    }
}

fn check_name(name: &str, field: &str, id: &ResourceId, report: &mut Report) {
    if name == MISSING {
        return;
    }
    if name.starts_with(':') {
        let known = PSEUDO.iter().find(|(pseudo, _)| *pseudo == name);
        let advice = known.map_or("it is the gateway's", |(_, advice)| advice);
        report.error(id, field, format!("`{name}` cannot be changed: {advice}"));
    } else if let Some((_, why)) = RESERVED.iter().find(|(names, _)| names.contains(&name)) {
        report.error(id, field, format!("`{name}` cannot be changed: it {why}"));
    } else if !is_name(name) {
        report.error(id, field, format!("`{name}` is not a header name"));
    }
}

/// The changes for one backendRef: what the route says about a header or member wins over what the backend says.
#[must_use]
pub fn merge_headers(route: &HeaderMutation, backend: &HeaderMutation) -> HeaderMutation {
    let (set, remove) = merge((&route.set, &route.remove), (&backend.set, &backend.remove));
    HeaderMutation { set, remove }
}

/// See [`merge_headers`].
#[must_use]
pub fn merge_body(route: &BodyMutation, backend: &BodyMutation) -> BodyMutation {
    let (set, remove) = merge((&route.set, &route.remove), (&backend.set, &backend.remove));
    BodyMutation { set, remove }
}

type Changes<'a, T> = (&'a [(String, T)], &'a [String]);

fn merge<T: Clone>(route: Changes<'_, T>, backend: Changes<'_, T>) -> (Vec<(String, T)>, Vec<String>) {
    let decided = |name: &String| route.0.iter().any(|(set, _)| set == name) || route.1.contains(name);
    let mut set = route.0.to_vec();
    set.extend(backend.0.iter().filter(|(name, _)| !decided(name)).cloned());
    let mut remove = route.1.to_vec();
    remove.extend(backend.1.iter().filter(|name| !decided(name)).cloned());
    (set, remove)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::ai::HeaderValue;

    #[test]
    fn what_the_gateway_decides_is_refused_with_a_reason() {
        let id = ResourceId {
            file: "a.yaml".into(),
            kind: "AIServiceBackend".into(),
            namespace: "default".to_owned(),
            name: "a".to_owned(),
        };
        let told = |name: &str| {
            let set = vec![HeaderValue { name: name.to_owned(), value: "x".to_owned() }];
            let mut report = Report::default();
            headers(Some(&HeaderMutationSpec { set, remove: Vec::new() }), "f", &id, &mut report);
            let removed = HeaderMutationSpec { set: Vec::new(), remove: vec![name.to_owned()] };
            headers(Some(&removed), "f", &id, &mut report);
            report.errors.into_iter().map(|error| format!("{}: {}", error.field, error.message)).collect()
        };
        let lines: Vec<Vec<String>> =
            [":path", ":Authority", ":method", "Host", "content-length", "Transfer-Encoding", "upgrade"]
                .into_iter()
                .map(told)
                .collect();
        assert!(lines.iter().all(|lines| lines.len() == 2), "{lines:?}");
        let firsts: Vec<&str> = lines.iter().flat_map(|lines| lines.first()).map(String::as_str).collect();
        insta::assert_snapshot!(firsts.join("\n"), @r"
        f.set[0].name: `:path` cannot be changed: it follows from the backend's schema; use `schema.prefix`
        f.set[0].name: `:authority` cannot be changed: it is that of the Backend's endpoint; change the Backend
        f.set[0].name: `:method` cannot be changed: it is the gateway's
        f.set[0].name: `host` cannot be changed: it is that of the Backend's endpoint, which is also what is signed; change the Backend
        f.set[0].name: `content-length` cannot be changed: it follows from the body; a wrong one would let one request be taken for two
        f.set[0].name: `transfer-encoding` cannot be changed: it follows from the body; a wrong one would let one request be taken for two
        f.set[0].name: `upgrade` cannot be changed: it is about the connection, which is Envoy's
        ");
        assert!(told("x-team").is_empty() && told("authorization").is_empty());
    }

    #[test]
    fn the_route_wins_header_by_header() {
        let of = |set: &[(&str, &str)], remove: &[&str]| HeaderMutation {
            set: set.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            remove: remove.iter().map(|n| (*n).to_owned()).collect(),
        };
        let route = of(&[("a", "route"), ("b", "route")], &["c"]);
        let backend = of(&[("a", "backend"), ("c", "backend"), ("d", "backend")], &["b", "c", "e"]);
        assert_eq!(
            merge_headers(&route, &backend),
            of(&[("a", "route"), ("b", "route"), ("d", "backend")], &["c", "e"])
        );
    }
}
