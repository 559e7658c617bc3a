//! The filter's configuration between an old one and a new one, while the old routes still stand.

use std::sync::Arc;

use serde_json::Value;
use weir_core::config::{Config, Route};

use super::File;
use super::form::CONFIGURATION;

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

fn join(old: Config, mut new: Config) -> Config {
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
