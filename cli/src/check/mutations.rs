//! Header and body changes: those of the route over those of the backend.

use weir_core::config::{BodyMutation, HeaderMutation};

use super::names::is_token;
use crate::resources::ai::{BodyMutationSpec, HeaderMutationSpec};
use crate::resources::decode::MISSING;
use crate::resources::{Report, ResourceId};

/// Of each list, as in the CRDs.
const MOST: usize = 16;

/// What the gateway itself decides: a change would break the request or its routing.
const RESERVED: &[&str] =
    &["host", "content-length", "transfer-encoding", "connection", "x-ai-eg-model", "content-encoding"];

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
    if RESERVED.contains(&name) {
        report.error(id, field, format!("`{name}` belongs to the gateway and cannot be changed"));
    } else if !is_token(name) {
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
