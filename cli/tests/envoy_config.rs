//! The files of `envoy-config/`, read with the filter's own types: what Envoy names in them, the filter knows, and the
//! other way round.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends with the first thing that is not as it should be"
)]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use weir_cli::resources::yaml;
use weir_core::auth::Source;
use weir_core::config::Config;

const FILES: [&str; 4] = ["gateway-wasm", "gateway-module", "direct-wasm", "direct-module"];

fn read(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../envoy-config/{name}.yaml"));
    let mut documents = yaml::documents(&std::fs::read_to_string(file).unwrap());
    assert_eq!(documents.len(), 1, "{name}");
    documents.remove(0).unwrap()
}

/// Every object below `value` that has `key`, as what stands there.
fn all<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key));
            fields.values().for_each(|value| all(value, key, found));
        }
        Value::Array(items) => items.iter().for_each(|item| all(item, key, found)),
        _ => {}
    }
}

fn found<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    let mut values = Vec::new();
    all(value, key, &mut values);
    values
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no string: {value}"))
}

/// The filter's JSON in all of its roles, as Envoy hands it over.
fn configurations(file: &Value) -> BTreeSet<&str> {
    let filters = found(file, "filter_config").into_iter().chain(found(file, "configuration"));
    filters.map(|filter| text(&filter["value"])).collect()
}

fn config(name: &str, file: &Value) -> Config {
    let texts = configurations(file);
    assert_eq!(texts.len(), 1, "{name}: the roles must have one configuration");
    let json = texts.first().unwrap();
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn cluster<'a>(file: &'a Value, name: &str) -> &'a Value {
    let clusters = file["static_resources"]["clusters"].as_array().unwrap();
    clusters.iter().find(|each| each["name"] == name).unwrap_or_else(|| panic!("no cluster {name}"))
}

/// The endpoints' marks in a cluster.
fn marks(cluster: &Value) -> Vec<&str> {
    found(cluster, "target").into_iter().map(text).collect()
}

/// The roles of the filters in a chain.
fn roles(part: &Value) -> Vec<&str> {
    found(part, "root_id").into_iter().chain(found(part, "filter_name")).map(text).collect()
}

/// `<index of the target>/<index of the host>/<backend>`, which must be that of the route.
fn check_mark(config: &Config, route: &str, mark: &str) {
    let [target, host, backend] = mark.splitn(3, '/').collect::<Vec<_>>()[..] else {
        panic!("{route}: {mark}")
    };
    let target = config.routes[route].targets.get(target.parse::<usize>().unwrap());
    assert_eq!(target.unwrap_or_else(|| panic!("{route}: {mark}")).backend, backend, "{route}: {mark}");
    assert!(config.backends[backend].hosts.len() > host.parse::<usize>().unwrap(), "{route}: {mark}");
}

#[test]
fn the_filter_knows_what_its_configuration_names() {
    for name in FILES {
        let config = config(name, &read(name));
        for (id, route) in &config.routes {
            assert!(!route.targets.is_empty(), "{name}: {id}");
            for target in &route.targets {
                assert!(config.backends.contains_key(&target.backend), "{name}: {id}: {}", target.backend);
            }
            assert!(route.budgets.iter().all(|index| config.budgets.len() > *index), "{name}: {id}");
            let keys: BTreeSet<&str> = route.costs.iter().map(|cost| cost.key.as_str()).collect();
            let charged =
                route.budgets.iter().filter_map(|index| config.budgets[*index].response_cost.as_deref());
            assert!(charged.into_iter().all(|key| keys.contains(key)), "{name}: {id}");
        }
        for (id, backend) in &config.backends {
            let credential = backend.auth.as_ref().map(|auth| auth.credential());
            assert!(credential.is_none_or(|it| config.credentials.contains_key(it)), "{name}: {id}");
        }
        let models: BTreeSet<&str> = config.models.iter().map(|model| model.id.as_str()).collect();
        let routes: BTreeSet<&str> = config.routes.keys().map(String::as_str).collect();
        assert_eq!(models, routes, "{name}: here a model has the name of its route");
    }
}

#[test]
fn every_route_and_endpoint_means_something_to_the_filter() {
    for name in ["gateway-wasm", "gateway-module"] {
        let file = read(name);
        let config = config(name, &file);
        let routes = found(&file, "routes")[0].as_array().unwrap();
        let names: BTreeSet<&str> = routes.iter().map(|route| text(&route["name"])).collect();
        assert_eq!(names, config.routes.keys().map(String::as_str).collect(), "{name}");
        for route in routes {
            let id = text(&route["name"]);
            let cluster = cluster(&file, text(&route["route"]["cluster"]));
            assert_eq!(roles(cluster), ["backend"], "{name}: {id}: the client's own request would go out");
            let (marks, meant) = (marks(cluster), &config.routes[id]);
            assert_eq!(marks.len(), meant.targets.len(), "{name}: {id}: {marks:?}");
            marks.iter().for_each(|mark| check_mark(&config, id, mark));
            let retries = route["route"]["retry_policy"]["num_retries"].as_u64();
            let others = marks.len() as u64 - 1 + u64::from(meant.spare_attempts);
            assert_eq!(
                retries,
                Some(others),
                "{name}: {id}: each other backend once, and for stale connections"
            );
        }
    }
}

#[test]
fn the_ratelimit_filter_charges_what_the_filter_gives() {
    for (name, form) in [
        ("gateway-wasm", "%FILTER_STATE(wasm.{}:PLAIN)%"),
        ("gateway-module", "%DYNAMIC_METADATA(io.envoy.ai_gateway:{})%"),
    ] {
        let file = read(name);
        let config = config(name, &file);
        let limits = found(&file, "rate_limits")[0].as_array().unwrap();
        let charges: Vec<&str> =
            limits.iter().filter_map(|limit| limit["hits_addend"]["format"].as_str()).collect();
        let headers: Vec<&str> = found(&file, "request_headers")
            .into_iter()
            .filter_map(|action| action["header_name"].as_str())
            .collect();
        for route in config.routes.values() {
            let given: Vec<String> = route.costs.iter().map(|cost| form.replace("{}", &cost.key)).collect();
            assert_eq!(charges, given, "{name}");
            assert!(headers.iter().all(|header| route.limit_headers.iter().any(|it| it == header)), "{name}");
            assert!(!headers.is_empty());
        }
    }
}

#[test]
fn a_direct_way_ends_at_a_cluster_without_a_filter() {
    for name in ["direct-wasm", "direct-module"] {
        let file = read(name);
        let config = config(name, &file);
        assert_eq!(config.direct.keys().collect::<Vec<_>>(), config.routes.keys().collect::<Vec<_>>());
        for way in config.direct.values() {
            check_mark(&config, &way.route, &way.target);
            assert!(found(cluster(&file, &way.cluster), "http_filters").is_empty(), "{name}");
        }
        let actions = found(&file, "route");
        assert!(
            actions.iter().all(|action| action["cluster_header"] == "x-weir-cluster"),
            "{name}: {actions:?}"
        );
        assert!(!actions.is_empty());
    }
}

/// The secrets that credentials name come from files (module only) or from variables that the filter may see.
#[test]
fn every_secret_has_a_way_to_the_filter() {
    for name in FILES {
        let file = read(name);
        let config = config(name, &file);
        let has_secret = |source: &Source| !matches!(source, Source::AwsDefault(_));
        let named: BTreeSet<&String> = config
            .credentials
            .iter()
            .filter(|(_, source)| has_secret(source))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(named, config.secret_files.keys().chain(config.secret_env.keys()).collect(), "{name}");
        if name.ends_with("wasm") {
            assert!(config.secret_files.is_empty(), "{name}");
            let shown = found(&file, "host_env_keys");
            let is_shown = |variable: &str| {
                shown.iter().all(|keys| keys.as_array().unwrap().iter().any(|key| key == variable))
            };
            assert!(!shown.is_empty() && config.secret_env.values().all(|it| is_shown(it)), "{name}");
            let asks_aws = config.credentials.values().any(|source| !has_secret(source));
            assert!(
                !asks_aws || is_shown("AWS_ACCESS_KEY_ID") && is_shown("AWS_SECRET_ACCESS_KEY"),
                "{name}"
            );
        }
    }
}
