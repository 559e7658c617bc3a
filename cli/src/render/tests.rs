//! What the rendered files say, on a plan that has a little of everything.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use weir_core::config::{Budget, Config, Selector};

use super::*;
use crate::plan::*;

pub(crate) fn options() -> Options {
    Options {
        dir: "/run/weir".into(),
        wasm: "/opt/weir.wasm".into(),
        bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: None,
        admin_port: 9901,
        rate_limit_service: Some(ServiceAddress::Unix("/run/weir/ratelimit.sock".into())),
        rate_limit_fail_closed: false,
        access_log: Some("/var/log/weir.json".into()),
        container_credentials: None,
        system_ca: "/etc/ssl/certs/ca-certificates.crt".into(),
    }
}

fn member(backend: &str, priority: u32, weight: u32, host: &str, port: u16, tls: bool) -> Member {
    Member {
        backend: format!("default/{backend}"),
        priority,
        weight,
        endpoints: vec![Endpoint { host: host.to_owned(), port }],
        tls: tls.then(|| Tls { hostname: host.to_owned(), ca_pem: None }),
    }
}

fn cluster(name: &str, members: Vec<Member>) -> Cluster {
    Cluster { name: name.to_owned(), members, ai: true, connect_timeout: Duration::from_secs(10) }
}

pub(crate) fn rule(name: &str, cluster: usize) -> Rule {
    Rule {
        name: format!("default/{name}"),
        ai: true,
        cluster: Some(cluster),
        request_timeout: None,
        attempt_timeout: Some(Duration::from_secs(60)),
        attempt_idle_timeout: None,
        retry: Some(Retry {
            count: 2,
            attempts_per_priority: 1,
            on: vec!["5xx".into(), "reset".into(), "connect-failure".into()],
            status_codes: vec![429],
            backoff: Some(Backoff { base: Duration::from_millis(25), max: None }),
        }),
        limits: vec![],
        limits_fail_closed: false,
    }
}

fn header(name: &str, value: &str) -> HeaderMatch {
    HeaderMatch { name: name.to_owned(), value: ValueMatch::Exact(value.to_owned()) }
}

fn for_model(model: &str, rule: &Rc<Rule>) -> MatchedRule {
    let headers = vec![header("x-ai-eg-model", model)];
    MatchedRule { matches: Match { headers, ..Match::default() }, rule: Rc::clone(rule) }
}

/// Three models: one with a budget and a second rule for beta users, one with failover, and anything else.
pub(crate) fn plan() -> Plan {
    let mut qwen = rule("route/rule/0", 0);
    qwen.limits = vec![Limit { budget: 0 }, Limit { budget: 1 }];
    let qwen = Rc::new(qwen);
    let mut beta = for_model("qwen3", &Rc::new(rule("route/rule/1", 1)));
    beta.matches.headers.push(header("x-beta", "yes"));
    let mut plain = rule("plain/rule/0", 2);
    plain.ai = false;
    plain.retry = None;
    let plain = MatchedRule {
        matches: Match { path: Some(PathMatch::Prefix("/docs/".into())), ..Match::default() },
        rule: Rc::new(plain),
    };
    let any = MatchedRule { matches: Match::default(), rule: Rc::new(rule("route/rule/3", 0)) };

    let budgets = vec![
        Budget {
            name: "default/policy/rule/0".into(),
            shared: false,
            selectors: vec![
                Selector { header: "x-user-id".into(), exact: None },
                Selector { header: "x-tier".into(), exact: Some("free".into()) },
            ],
            limit: 100,
            window: 3600,
            request_hits: 0,
            response_cost: Some("llm_total_token".into()),
        },
        Budget {
            name: "default/policy/rule/1".into(),
            shared: true,
            selectors: vec![],
            limit: 60,
            window: 60,
            request_hits: 1,
            response_cost: None,
        },
    ];
    Plan {
        listeners: vec![Listener {
            name: "default/ai-gateway/http".into(),
            port: 1975,
            buffer_limit: 32 << 20,
            request_received_timeout: None,
            idle_timeout: None,
            stream_idle_timeout: None,
            virtual_hosts: vec![VirtualHost {
                domains: vec!["*".into()],
                rules: vec![
                    plain,
                    beta,
                    for_model("qwen3", &qwen),
                    for_model("claude", &Rc::new(rule("route/rule/2", 1))),
                    any,
                ],
            }],
        }],
        clusters: vec![
            cluster("qwen3", vec![member("qwen3", 0, 1, "127.0.0.1", 8000, false)]),
            cluster(
                "claude",
                vec![
                    member("bedrock", 1, 3, "bedrock-runtime.us-west-2.amazonaws.com", 443, true),
                    member("idle", 1, 0, "127.0.0.1", 8001, false),
                    member("local", 4, 1, "127.0.0.1", 8002, false),
                ],
            ),
            Cluster {
                ai: false,
                ..cluster("docs", vec![member("docs", 0, 1, "docs.example.com", 443, true)])
            },
        ],
        filter: Config { budgets, ..Config::default() },
        secrets: [("default/key".to_owned(), SecretValue("s3cret".to_owned()))].into(),
    }
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
    assert!(ROLES.iter().all(|role| of(role) == of("edge")));
}

#[test]
fn a_secret_is_in_its_own_file_only() {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode("s3cret");
    let files = envoy(&plan(), &options()).unwrap();
    for (path, file) in files.iter() {
        assert!(!file.content.contains("s3cret"), "{path}");
        assert_eq!(file.content.contains(&encoded), file.secret, "{path}");
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
    assert_eq!(metadata["target"], "2/0");
    assert_eq!(metadata["backend"], "default/local");
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
