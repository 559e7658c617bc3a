//! The filter's configuration between an old one and a new one, while the old routes still stand.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use weir_core::config::{Backend, Config, Route};

use super::File;
use super::clusters::HTTP_PROTOCOL_OPTIONS;
use super::form::CONFIGURATION;
use super::secrets::SECRETS_CLUSTER;

/// The new configuration in `new` with what routes of before need of the one in `old`. `None` when that is nothing.
#[must_use]
pub fn between(old: &File, new: &File) -> Option<File> {
    let old: Value = serde_json::from_str(&old.content).ok()?;
    let mut response: Value = serde_json::from_str(&new.content).ok()?;
    let old: Config = serde_json::from_str(own_json(&old)?).ok()?;
    let new: Config = serde_json::from_str(own_json(&response)?).ok()?;
    let both = join(old, new.clone());
    if both == new {
        return None;
    }
    let json = serde_json::to_string(&both).ok()?;
    *pointer(&response).and_then(|pointer| response.pointer_mut(&pointer))? = json.into();
    let version = response.get_mut("version_info")?;
    *version = format!("{}+", version.as_str()?).into();
    Some(File { content: response.to_string(), secret: false })
}

/// The filter's configuration in `running`, and that the proxy is about to stop. `None`: it is no configuration of the
/// filter.
#[must_use]
pub fn stopping(running: &File) -> Option<File> {
    let mut response: Value = serde_json::from_str(&running.content).ok()?;
    let mut config: Config = serde_json::from_str(own_json(&response)?).ok()?;
    config.stopping = true;
    let json = serde_json::to_string(&config).ok()?;
    *pointer(&response).and_then(|pointer| response.pointer_mut(&pointer))? = json.into();
    let version = response.get_mut("version_info")?;
    *version = format!("{} stopping", version.as_str()?).into();
    Some(File { content: response.to_string(), secret: false })
}

fn join(mut old: Config, mut new: Config) -> Config {
    keep_addresses(&mut old, &new);
    // A route of two roles takes what a direct one does, and not the other way round.
    new.direct.retain(|model, way| old.direct.get(model) == Some(way));
    for (name, mut route) in old.routes {
        match new.routes.get_mut(&name) {
            Some(now) if now.targets != route.targets => keep_targets(Arc::make_mut(now), &route),
            Some(_) => {}
            None => {
                // They are places in a list that is another now; what is counted is counted by name.
                Arc::make_mut(&mut route).budgets.clear();
                new.routes.insert(name, route);
            }
        }
    }
    for (name, backend) in old.backends {
        new.backends.entry(name).or_insert(backend);
    }
    for (name, source) in old.credentials {
        new.credentials.entry(name).or_insert(source);
    }
    for (name, file) in old.secret_files {
        new.secret_files.entry(name).or_insert(file);
    }
    new
}

/// Gives old backends whose address is another one now a name of their own: both addresses are known until Envoy has
/// the new one, each with the credential that belongs there.
fn keep_addresses(old: &mut Config, new: &Config) {
    let moved = |name: &str, backend: &Backend| {
        new.backends.get(name).is_some_and(|now| now.address != backend.address)
    };
    let names: BTreeMap<String, String> = old
        .backends
        .iter()
        .filter(|(name, backend)| moved(name, backend))
        .filter_map(|(name, backend)| Some((name.clone(), format!("{name}@{}", backend.address.as_ref()?))))
        .collect();
    for (name, kept) in &names {
        if let Some(backend) = old.backends.remove(name) {
            old.backends.insert(kept.clone(), backend);
        }
    }
    for route in old.routes.values_mut() {
        for target in &mut Arc::make_mut(route).targets {
            if let Some(kept) = names.get(&target.backend) {
                Arc::make_mut(target).backend.clone_from(kept);
            }
        }
    }
}

/// The new cluster of secrets with what the running one adds to calls, too: while the filter goes from one
/// configuration to the next it asks for the secrets of both.
pub fn both_secrets(new: &mut Value, running: &Value) {
    let filters = format!("/typed_extension_protocol_options/{HTTP_PROTOCOL_OPTIONS}/http_filters");
    let is_secrets = |cluster: &Value| cluster.get("name").is_some_and(|name| name == SECRETS_CLUSTER);
    if !is_secrets(new) || !is_secrets(running) {
        return;
    }
    let Some(before) = running.pointer(&filters).and_then(Value::as_array) else { return };
    let Some(now) = new.pointer_mut(&filters).and_then(Value::as_array_mut) else { return };
    let missing: Vec<Value> = before.iter().filter(|filter| !now.contains(filter)).cloned().collect();
    // The last one ends the chain.
    now.splice(0..0, missing);
}

/// Behind the new targets: an endpoint that is in another place is found by the name of its backend.
fn keep_targets(now: &mut Route, old: &Route) {
    for target in &old.targets {
        if now.targets.iter().all(|other| other.backend != target.backend) {
            now.targets.push(target.clone());
        }
    }
}

fn own_json(response: &Value) -> Option<&str> {
    response.pointer(&pointer(response)?)?.as_str()
}

/// Where a response has the filter's own JSON.
fn pointer(response: &Value) -> Option<String> {
    let paths = CONFIGURATION.iter().map(|path| format!("/resources/0/typed_config{path}"));
    paths.into_iter().find(|path| response.pointer(path).is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A file of the form at `path` that holds `config`.
    fn file(path: &str, config: &Value) -> File {
        let mut typed = json!(config.to_string());
        for key in path.rsplit('/').filter(|key| !key.is_empty()) {
            typed = json!({key: typed});
        }
        let content = json!({"version_info": "v", "resources": [{"typed_config": typed}]}).to_string();
        File { content, secret: false }
    }

    fn of(file: &File) -> Config {
        let response: Value = serde_json::from_str(&file.content).unwrap();
        assert_eq!(response["version_info"], "v+");
        serde_json::from_str(own_json(&response).unwrap()).unwrap()
    }

    fn backend(host: &str) -> Value {
        json!({"schema": {"name": "OpenAI"}, "hosts": [host]})
    }

    fn one() -> Value {
        json!({
            "routes": {"r": {"targets": [{"backend": "a"}]}, "gone": {"targets": [{"backend": "b"}], "budgets": [0]}},
            "backends": {"a": backend("a"), "b": backend("b")},
            "direct": {"m": {"route": "r", "target": "0/0/a", "cluster": "a/direct"}},
            "budgets": [{"name": "x", "limit": 1, "window": 1, "request_hits": 1}],
        })
    }

    fn two() -> Value {
        json!({
            "routes": {"r": {"targets": [{"backend": "c"}, {"backend": "a"}]}},
            "backends": {"a": backend("new"), "c": backend("c")},
        })
    }

    #[test]
    fn what_old_routes_name_is_still_known() {
        for path in CONFIGURATION {
            let both = of(&between(&file(path, &one()), &file(path, &two())).unwrap());
            let backends: Vec<_> = both.routes["r"].targets.iter().map(|target| &target.backend).collect();
            assert_eq!(backends, ["c", "a"], "the order is the new one");
            assert_eq!(both.routes["gone"].targets[0].backend, "b");
            assert!(both.routes["gone"].budgets.is_empty());
            assert_eq!(both.backends["a"].hosts, ["new"]);
            assert!(both.backends.contains_key("b"));
        }
    }

    #[test]
    fn both_addresses_of_a_backend_are_known_each_with_its_credential() {
        let config = |address: &str, key: &str| {
            json!({
                "routes": {"r": {"targets": [{"backend": "a"}]}},
                "backends": {"a": {
                    "schema": {"name": "OpenAI"}, "hosts": [address], "address": address,
                    "auth": {"type": "bearer", "credential": key},
                }},
                "direct": {"m": {"route": "r", "target": format!("0/0/a@{address}"), "cluster": format!("a/direct/{address}")}},
                "credentials": {key: {"type": "secret", "name": "default/s", "key": "apiKey"}},
                "secret_files": {key: format!("/secrets/{key}")},
            })
        };
        let path = CONFIGURATION[0];
        let both = of(&between(&file(path, &config("1", "k@1")), &file(path, &config("2", "k@2"))).unwrap());
        let backends: Vec<_> = both.routes["r"].targets.iter().map(|target| &target.backend).collect();
        assert_eq!(backends, ["a", "a@1"]);
        let credential = |name: &str| both.backends[name].auth.as_ref().unwrap().credential();
        assert_eq!((credential("a"), credential("a@1")), ("k@2", "k@1"));
        assert!(["k@1", "k@2"].iter().all(|key| both.credentials.contains_key(*key)));
        assert!(["k@1", "k@2"].iter().all(|key| both.secret_files.contains_key(*key)));
        assert!(both.direct.is_empty(), "neither cluster is sure to be there with what belongs to it");
    }

    #[test]
    fn a_proxy_that_stops_says_so_and_nothing_else_changes() {
        for path in CONFIGURATION {
            let file = stopping(&file(path, &one())).unwrap();
            let response: Value = serde_json::from_str(&file.content).unwrap();
            assert_eq!(response["version_info"], "v stopping");
            let config: Config = serde_json::from_str(own_json(&response).unwrap()).unwrap();
            let before: Config = serde_json::from_value(one()).unwrap();
            assert_eq!(config, Config { stopping: true, ..before });
        }
        assert!(
            stopping(&File { content: json!({"version_info": "v"}).to_string(), secret: false }).is_none()
        );
    }

    #[test]
    fn secrets_of_both_are_added_to_calls() {
        let cluster = |filters: &[&str]| {
            json!({
                "name": SECRETS_CLUSTER,
                "typed_extension_protocol_options": {HTTP_PROTOCOL_OPTIONS: {"http_filters": filters}},
            })
        };
        let mut new = cluster(&["b", "c", "codec"]);
        both_secrets(&mut new, &cluster(&["a", "b", "codec"]));
        assert_eq!(new, cluster(&["a", "b", "c", "codec"]));
    }

    #[test]
    fn a_new_direct_way_needs_the_new_routes() {
        let path = CONFIGURATION[0];
        let both = of(&between(&file(path, &two()), &file(path, &one())).unwrap());
        assert!(both.direct.is_empty());
        let backends: Vec<_> = both.routes["r"].targets.iter().map(|target| &target.backend).collect();
        assert_eq!(backends, ["a", "c"]);
    }

    #[test]
    fn what_is_all_there_is_left_alone() {
        let path = CONFIGURATION[0];
        assert_eq!(between(&file(path, &one()), &file(path, &one())), None);
    }
}
