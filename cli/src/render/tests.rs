//! What the rendered files say, on a plan that has a little of everything.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::sample::{self, plan, rule};
use super::*;
use crate::check::{Environment, Source, compile};
use crate::plan::{Cluster, Limit, Listener, Match, MatchedRule, Member, PathMatch};

pub(super) fn options() -> Options {
    Options {
        dir: "/run/weir".into(),
        filter: Filter { form: Form::Wasm, file: "/opt/weir.wasm".into() },
        bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: None,
        admin_port: 9901,
        admin_bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
        admin_token: None,
        rate_limit_service: Some(ServiceAddress::Unix("/run/weir/ratelimit.sock".into())),
        rate_limit_fail_closed: false,
        access_log: Some("/var/log/weir.json".into()),
        system_ca: "/etc/ssl/certs/ca-certificates.crt".into(),
        salt: None,
    }
}

fn with_module() -> Options {
    Options { filter: Filter { form: Form::Module, file: "/opt/libweir.so".into() }, ..options() }
}

fn json_of(files: &Files, path: &str) -> Value {
    serde_json::from_str(&files.get(path).unwrap().content).unwrap()
}

fn resources(files: &Files, path: &str) -> Vec<Value> {
    json_of(files, path)["resources"].as_array().unwrap().clone()
}

#[test]
fn a_small_plan() {
    let files = envoy(&plan(), &options()).unwrap();
    for (path, file) in files.iter() {
        insta::assert_snapshot!(path.replace('/', "_"), file.content);
    }
}

#[test]
fn the_native_module_changes_these_files_only() {
    let wasm = envoy(&plan(), &options()).unwrap();
    let module = envoy(&plan(), &with_module()).unwrap();
    for (path, file) in module.iter().filter(|(path, file)| wasm.get(path) != Some(*file)) {
        insta::assert_snapshot!(format!("module_{}", path.replace('/', "_")), file.content);
    }
    let gone: Vec<&str> =
        wasm.iter().map(|(path, _)| path).filter(|path| module.get(path).is_none()).collect();
    assert_eq!(gone, ["sds/e595e16008c12a79.json", "xds/ecds-secrets.json"]);
    assert!(module.iter().all(|(_, file)| !file.content.contains("wasm")));
}

#[test]
fn the_native_module_reads_its_secrets_from_files_of_its_owner() {
    let files = envoy(&plan(), &with_module()).unwrap();
    for role in Form::Module.roles() {
        let filter = resources(&files, &ecds_path(role));
        let config = filter[0]["typed_config"]["filter_config"]["value"].as_str().unwrap();
        let config: Value = serde_json::from_str(config).unwrap();
        let path = config["secret_files"]["default/key"].as_str().unwrap();
        let file = files.get(path.strip_prefix("/run/weir/").unwrap()).unwrap();
        assert_eq!((file.content.as_str(), file.secret), ("s3cret", true));
    }
    let holding: Vec<&str> =
        files.iter().filter(|(_, file)| file.content.contains("s3cret")).map(|(path, _)| path).collect();
    assert_eq!(holding.len(), 1);
}

#[test]
fn without_the_service_the_filter_counts() {
    let options = Options { rate_limit_service: None, ..options() };
    let files = envoy(&plan(), &options).unwrap();
    assert!(files.iter().all(|(path, _)| !path.starts_with(RATELIMIT_ROOT)));
    assert!(files.iter().all(|(_, file)| !file.content.contains("http.ratelimit")));
    let filter = resources(&files, &ecds_path("edge"));
    let config = filter[0]["typed_config"]["config"]["configuration"]["value"].as_str().unwrap();
    assert!(config.contains("default/policy/rule/0"), "{config}");
}

#[test]
fn with_the_service_the_filter_does_not_count() {
    let files = envoy(&plan(), &options()).unwrap();
    let filter = resources(&files, &ecds_path("edge"));
    let config = filter[0]["typed_config"]["config"]["configuration"]["value"].as_str().unwrap();
    assert!(!config.contains("budgets"), "{config}");
}

#[test]
fn all_roles_have_the_same_configuration() {
    let files = envoy(&plan(), &options()).unwrap();
    let of = |role| resources(&files, &ecds_path(role))[0]["typed_config"]["config"]["configuration"].clone();
    assert!(Form::Wasm.roles().iter().all(|role| of(role) == of("edge")));
}

#[test]
fn a_secret_is_in_its_own_file_only() {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode("s3cret");
    let files = envoy(&plan(), &options()).unwrap();
    for (path, file) in files.iter() {
        assert!(!file.content.contains("s3cret"), "{path}");
        assert_eq!(file.content.contains(&encoded), file.secret && !path.contains("aws-container"), "{path}");
        assert_eq!(file.secret, path.starts_with("sds/"), "{path}");
    }
    assert!(!format!("{files:?}").contains(&encoded));
}

#[test]
fn the_same_plan_gives_the_same_files_and_another_one_another_version() {
    let files = envoy(&plan(), &options()).unwrap();
    assert_eq!(files, envoy(&plan(), &options()).unwrap());
    let mut changed = plan();
    changed.clusters[0].connect_timeout = Duration::from_secs(1);
    let changed = envoy(&changed, &options()).unwrap();
    let version = |files: &Files, path| json_of(files, path)["version_info"].clone();
    assert_ne!(version(&files, CDS), version(&changed, CDS));
    assert_eq!(version(&files, &ecds_path("edge")), version(&changed, &ecds_path("edge")));
}

#[test]
fn members_without_weight_are_left_out_and_priorities_have_no_gap() {
    let files = envoy(&plan(), &options()).unwrap();
    let clusters = resources(&files, CDS);
    let endpoints = clusters[1]["load_assignment"]["endpoints"].as_array().unwrap();
    let seen: Vec<_> = endpoints
        .iter()
        .map(|e| (e["locality"]["region"].as_str().unwrap(), e["priority"].as_u64().unwrap()))
        .collect();
    assert_eq!(seen, [("0", 0), ("2", 1)]);
    let metadata = &endpoints[1]["lb_endpoints"][0]["metadata"]["filter_metadata"]["weir"];
    let target = metadata["target"].as_str().unwrap();
    assert!(target.starts_with("2/0/default/local@"), "{target}");
}

#[test]
fn a_models_rules_keep_their_order_and_end_with_the_one_that_takes_all() {
    let files = envoy(&plan(), &options()).unwrap();
    let routes = resources(&files, &rds_path("default/ai-gateway/http"));
    let matcher = &routes[0]["virtual_hosts"][0]["matcher"];
    let names = |action: &Value| -> Vec<String> {
        let config = &action["action"]["typed_config"];
        let list = config["routes"].as_array().cloned().unwrap_or_else(|| vec![config.clone()]);
        list.iter().map(|route| route["name"].as_str().unwrap().to_owned()).collect()
    };
    let map = &matcher["matcher_tree"]["exact_match_map"]["map"];
    assert_eq!(
        names(&map["qwen3"]),
        ["default/plain/rule/0", "default/route/rule/1", "default/route/rule/0"]
    );
    assert_eq!(names(&map["claude"]), ["default/plain/rule/0", "default/route/rule/2"]);
    assert_eq!(names(&matcher["on_no_match"]), ["default/plain/rule/0", "default/route/rule/3"]);
}

#[test]
fn without_models_routes_are_a_list() {
    let mut plan = plan();
    plan.listeners[0].virtual_hosts[0].rules.retain(|rule| rule.matches.headers.is_empty());
    let files = envoy(&plan, &options()).unwrap();
    let routes = resources(&files, &rds_path("default/ai-gateway/http"));
    assert_eq!(routes[0]["virtual_hosts"][0]["routes"].as_array().unwrap().len(), 2);
}

#[test]
fn a_route_waits_as_long_as_its_attempts_may() {
    let mut plan = plan();
    let mut slow = rule("slow/rule/0", 0);
    slow.attempt_timeout = Some(Duration::from_secs(900));
    plan.listeners[0].virtual_hosts[0].rules =
        vec![MatchedRule { matches: Match::default(), rule: Rc::new(slow) }];
    let files = envoy(&plan, &options()).unwrap();
    let routes = resources(&files, &rds_path("default/ai-gateway/http"));
    let action = &routes[0]["virtual_hosts"][0]["routes"][0]["route"];
    assert_eq!(action["idle_timeout"], "900s");
    assert_eq!(action["timeout"], "0s");
}

/// The first cluster is checked by requests, the second by connections; the rule of the first is limited, too.
#[test]
fn what_a_traffic_policy_says() {
    let mut plan = plan();
    plan.clusters.retain(|cluster| cluster.ai);
    plan.clusters[0].traffic = sample::traffic();
    plan.clusters[1].traffic = sample::other_traffic();
    let mut limited = rule("limited/rule/0", 0);
    limited.local_limits = sample::local_limits();
    let other = rule("other/rule/0", 1);
    plan.listeners[0].virtual_hosts[0].rules =
        [limited, other].map(|rule| MatchedRule { matches: Match::default(), rule: Rc::new(rule) }).to_vec();
    let files = envoy(&plan, &Options { rate_limit_service: None, ..options() }).unwrap();
    for path in [CDS, &rds_path("default/ai-gateway/http"), &ecds_path("local-limits")] {
        let name = format!("policy_{}", path.replace('/', "_"));
        insta::assert_snapshot!(name, files.get(path).unwrap().content);
    }
}

#[test]
fn the_routes_of_a_rule_share_its_limits() {
    let mut limited = rule("limited/rule/0", 0);
    limited.local_limits = sample::local_limits();
    let limited = Rc::new(limited);
    let mut plan = plan();
    plan.listeners[0].virtual_hosts[0].rules = ["/a", "/b"]
        .map(|path| MatchedRule {
            matches: Match { path: Some(PathMatch::Prefix(path.into())), ..Match::default() },
            rule: Rc::clone(&limited),
        })
        .to_vec();
    let files = envoy(&plan, &options()).unwrap();
    let limits = resources(&files, &ecds_path("local-limits"));
    let buckets = limits[0]["typed_config"]["descriptors"].as_array().unwrap();
    assert_eq!(buckets.len(), limited.local_limits.len());
    let routes = resources(&files, &rds_path("default/ai-gateway/http"));
    let routes = routes[0]["virtual_hosts"][0]["routes"].as_array().unwrap();
    assert_eq!(routes.len(), 2);
    assert!(routes.iter().all(|route| route["name"] == limited.name));
    assert_eq!(buckets[0]["entries"][3], serde_json::json!({"key": "rule", "value": limited.name}));
}

#[test]
fn a_policy_that_fails_closed_asks_the_filter_that_does() {
    let mut plan = plan();
    let mut strict = rule("strict/rule/0", 0);
    strict.limits = vec![Limit { budget: 0 }];
    strict.limits_fail_closed = true;
    plan.listeners[0].virtual_hosts[0].rules =
        vec![MatchedRule { matches: Match::default(), rule: Rc::new(strict) }];
    let files = envoy(&plan, &options()).unwrap();
    let routes = resources(&files, &rds_path("default/ai-gateway/http"));
    let config = &routes[0]["virtual_hosts"][0]["routes"][0]["typed_per_filter_config"];
    assert!(config["weir.ratelimit_fail_closed"].is_object(), "{config}");
    assert!(config["envoy.filters.http.ratelimit"].is_null(), "{config}");
}

fn with_https() -> Plan {
    let mut plan = plan();
    for (name, hostname) in [("named", Some("*.example.com")), ("any", None)] {
        let listener = sample::https(name, hostname, ("a chain", "a k3y"), &plan.listeners[0]);
        plan.listeners.push(listener);
    }
    plan
}

#[test]
fn listeners_of_https_share_a_port() {
    let files = envoy(&with_https(), &options()).unwrap();
    let listeners = &json_of(&files, BOOTSTRAP)["static_resources"]["listeners"];
    let ports = listeners
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one.pointer("/address/socket_address/port_value").and_then(Value::as_u64));
    assert_eq!(ports.collect::<Vec<_>>(), [1975, 8443, 9901]);
    let mut shared = listeners[1].clone();
    for chain in shared["filter_chains"].as_array_mut().unwrap() {
        let filters = chain["filters"].as_array().unwrap();
        assert_eq!(filters[0]["typed_config"]["rds"]["route_config_name"], chain["name"]);
        let manager = &filters[0]["typed_config"];
        let is_named = chain.get("filter_chain_match").is_some();
        assert_eq!(manager.get("early_header_mutation_extensions").is_some(), is_named);
        if is_named {
            let fields = [
                "forward_client_cert_details",
                "set_current_client_cert_details",
                "early_header_mutation_extensions",
            ];
            insta::assert_json_snapshot!("https_clients", fields.map(|field| &manager[field]));
        }
        chain.as_object_mut().unwrap().remove("filters");
    }
    insta::assert_json_snapshot!("https_listener", shared);
    insta::assert_json_snapshot!(
        "https_certificate",
        resources(&files, &secrets::sds_path("certificate/default/named"))
    );
    let holding = files.iter().filter(|(_, file)| file.content.contains("a k3y"));
    assert!(holding.map(|(path, file)| file.secret && path.starts_with(SDS)).eq([true, true]));
    assert!(!format!("{:?}", with_https()).contains("a k3y"));
    let hosts = |name: &str| resources(&files, &rds_path(name))[0]["virtual_hosts"].clone();
    assert_eq!(hosts("default/ai-gateway/named")[1]["domains"], json!(["*"]));
    insta::assert_json_snapshot!("https_misdirected", hosts("default/ai-gateway/any")[1]);
}

#[test]
fn what_cannot_be_rendered_is_an_error() {
    let mut window = plan();
    window.filter.budgets[0].window = 7;
    let error = envoy(&window, &options()).unwrap_err();
    assert!(matches!(error, Error::Window { seconds: 7, .. }), "{error}");

    let mut limit = plan();
    limit.filter.budgets[0].limit = 1 << 32;
    assert!(matches!(envoy(&limit, &options()).unwrap_err(), Error::LimitTooLarge { .. }));

    let mut port = plan();
    let second = Listener { name: "default/ai-gateway/other".into(), ..port.listeners[0].clone() };
    port.listeners.push(second);
    assert!(matches!(envoy(&port, &options()).unwrap_err(), Error::SamePort { port: 1975, .. }));
}

#[test]
fn a_retry_chooses_another_host_only_where_there_may_be_one() {
    let one = |host: &str, priority| sample::member("b", priority, 1, host, 80, false);
    let of = |members: Vec<Member>| {
        let mut plan = plan();
        let cluster = Cluster { members, ..plan.clusters.swap_remove(0) };
        let policy = routes::retry_policy(&rule("r", 0), &cluster).unwrap();
        (policy.get("retry_host_predicate").is_some(), policy.get("retry_priority").is_some())
    };
    assert_eq!(of(vec![one("10.0.0.1", 0)]), (false, false));
    assert_eq!(of(vec![one("models.internal", 0)]), (true, false), "a name may stand for several");
    assert_eq!(of(vec![one("10.0.0.1", 0), one("10.0.0.2", 0)]), (true, false));
    assert_eq!(of(vec![one("10.0.0.1", 0), one("10.0.0.2", 1)]), (true, true));
}

/// Models of two policies and a plain route of a third: each is asked for behind the edge, and in front of it what the
/// Gateway's policy asks for where a request belongs to no route.
#[test]
fn what_security_policies_say() {
    let text = include_str!("../../tests/resources/security.yaml").to_owned();
    let source = Source { name: "security.yaml".to_owned(), text };
    let plan = compile(&[source], &Environment::default()).plan.unwrap();
    let options = Options { rate_limit_service: None, ..with_module() };
    let files = envoy(&plan, &options).unwrap();
    for (path, file) in files.iter().filter(|(path, _)| path.contains("security-") || path.contains("rds-")) {
        insta::assert_snapshot!(format!("security_{}", path.replace('/', "_")), file.content);
        assert_eq!(file.secret, path.contains("security-"), "{path}");
    }
    let holding: Vec<&str> =
        files.iter().filter(|(_, file)| file.content.contains("hush")).map(|(path, _)| path).collect();
    assert_eq!(holding, ["xds/ecds-security-default_edge_http-api-key.json"]);
    let manager =
        &json_of(&files, BOOTSTRAP)["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0];
    let chain = manager["typed_config"]["http_filters"].as_array().unwrap();
    let names: Vec<&str> = chain.iter().map(|filter| filter["name"].as_str().unwrap()).collect();
    insta::assert_snapshot!("security_chain", names.join("\n"));
}

/// With one policy for all nobody is asked for behind the edge, and a model keeps its direct way.
#[test]
fn one_policy_for_all_is_asked_in_front_of_the_edge() {
    let text = include_str!("../../tests/resources/security.yaml");
    let own = |document: &&str| {
        let is_other = document.contains("kind: SecurityPolicy") && !document.contains("name: all}");
        !is_other && !document.contains("kind: HTTPRoute\n")
    };
    let text = text.split("---\n").filter(own).collect::<Vec<_>>().join("---\n");
    let source = Source { name: "security.yaml".to_owned(), text };
    let plan = compile(&[source], &Environment::default()).plan.unwrap();
    let files = envoy(&plan, &Options { rate_limit_service: None, ..with_module() }).unwrap();
    let keys = resources(&files, "xds/ecds-security-default_edge_http-api-key.json");
    let matcher = &keys[0]["typed_config"]["xds_matcher"];
    let map = matcher["matcher_tree"]["exact_match_map"]["map"].as_object().unwrap();
    let asks = |policy: &str| map[policy].to_string().contains("sk-hush-ann");
    let front = map.keys().find(|name| name.len() > 1 && name.starts_with('-')).unwrap();
    assert!(asks(front) && !asks("default/all api-key"));
    assert!(matcher["on_no_match"].to_string().contains("weir.security.nobody"));
    let routes = resources(&files, &rds_path("default/edge/http"));
    assert!(routes[0].to_string().contains("cluster_header"), "{routes:#?}");
}
