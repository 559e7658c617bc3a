//! What a BackendTrafficPolicy says of balance, health, load and each proxy's own limits: the plan it becomes, and
//! what is wrong with it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod annotations;

use std::collections::HashMap;
use std::time::Duration;

use weir_cli::check::{Compiled, Environment, Source, command, compile};
use weir_cli::plan::{
    ActiveCheck, CircuitBreaker, ConsistentHash, HashOn, HttpProbe, LoadBalancer, LocalLimit, PassiveCheck,
    Plan, Probe, RetryBudget, Rule, Traffic,
};
use weir_cli::resources::Platform;
use weir_core::config::Selector;

const BASE: &str = include_str!("../resources/base.yaml");

/// The base with a policy on its Gateway that says `spec`, in YAML's flow form.
fn compiled(spec: &str) -> Compiled {
    compiled_with(&[], spec)
}

fn compiled_with(edits: &[(&str, &str)], spec: &str) -> Compiled {
    let targets = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]";
    let policy =
        BASE.split("---\n").find(|document| document.contains("kind: BackendTrafficPolicy")).unwrap();
    let (head, _) = policy.split_once("spec:\n").unwrap();
    let mut text = BASE.replace(policy, &format!("{head}spec:\n  {targets}\n  {spec}\n"));
    for (from, to) in edits {
        assert!(text.contains(from), "{from} must stand in the base");
        text = text.replace(from, to);
    }
    compile(&[Source { name: "base.yaml".to_owned(), text }], &Environment::default())
}

fn plan(spec: &str) -> Plan {
    let compiled = compiled(spec);
    assert!(
        compiled.warnings.is_empty() && compiled.errors.is_empty(),
        "{:#?}",
        command::findings(&compiled)
    );
    compiled.plan.unwrap()
}

/// Of the cluster of the first rule.
fn traffic(spec: &str) -> Traffic {
    plan(spec).clusters.remove(0).traffic
}

fn rules(plan: &Plan) -> Vec<&Rule> {
    let hosts = plan.listeners.iter().flat_map(|listener| &listener.virtual_hosts);
    hosts.flat_map(|host| &host.rules).map(|matched| matched.rule.as_ref()).collect()
}

#[test]
fn health_is_what_the_policy_says_and_else_what_envoy_gateway_takes() {
    let given = traffic(
        "healthCheck: {panicThreshold: 30, active: {type: HTTP, timeout: 2s, interval: 5s, initialJitter: 100ms, \
         unhealthyThreshold: 2, healthyThreshold: 4, overrides: {port: 9090}, http: {hostname: health.test, path: \
         /live, method: post, expectedStatuses: [204, 200, 204], retriableStatuses: [503], expectedResponse: {type: \
         Text, text: ok}, requestBody: {type: Binary, binary: aGk=}}}}",
    );
    assert_eq!(given.panic_threshold, 30);
    assert_eq!(
        given.active_check,
        Some(ActiveCheck {
            timeout: Duration::from_secs(2),
            interval: Duration::from_secs(5),
            initial_jitter: Some(Duration::from_millis(100)),
            unhealthy_threshold: 2,
            healthy_threshold: 4,
            port: Some(9090),
            probe: Probe::Http(HttpProbe {
                hostname: Some("health.test".into()),
                path: "/live".into(),
                method: "POST".into(),
                expected_statuses: vec![200, 204],
                retriable_statuses: vec![503],
                expected_body: b"ok".to_vec(),
                body: b"hi".to_vec(),
            }),
        })
    );
    let defaults = traffic("healthCheck: {active: {type: TCP, tcp: {}}, passive: {maxEjectionPercent: 100}}");
    assert_eq!(
        defaults.active_check,
        Some(ActiveCheck {
            timeout: Duration::from_secs(1),
            interval: Duration::from_secs(3),
            initial_jitter: None,
            unhealthy_threshold: 3,
            healthy_threshold: 1,
            port: None,
            probe: Probe::Tcp { send: vec![], receive: vec![] },
        })
    );
    assert_eq!(
        defaults.passive_check,
        Some(PassiveCheck {
            interval: Duration::from_secs(3),
            base_ejection_time: Duration::from_secs(30),
            consecutive_5xx: 5,
            consecutive_gateway_errors: None,
            consecutive_local_origin_failures: None,
            max_ejection_percent: 100,
            failure_percentage_threshold: None,
            always_eject_one: false,
        })
    );
    let passive = traffic(
        "healthCheck: {passive: {splitExternalLocalOriginErrors: true, consecutive5XxErrors: 2, \
         consecutiveGatewayErrors: 1, alwaysEjectOneEndpoint: true, failurePercentageThreshold: 60}}",
    );
    let passive = passive.passive_check.unwrap();
    assert_eq!(passive.consecutive_local_origin_failures, Some(5));
    assert_eq!((passive.consecutive_5xx, passive.consecutive_gateway_errors), (2, Some(1)));
    assert_eq!(passive.failure_percentage_threshold, Some(60));
}

#[test]
fn balance() {
    let cases = [
        (
            "{type: RoundRobin, slowStart: {window: 30s}}",
            LoadBalancer::RoundRobin { slow_start: Some(Duration::from_secs(30)) },
        ),
        ("{type: LeastRequest}", LoadBalancer::LeastRequest { slow_start: None }),
        ("{type: Random}", LoadBalancer::Random),
    ];
    for (given, expected) in cases {
        assert_eq!(traffic(&format!("loadBalancer: {given}")).load_balancer, expected);
    }
    let cookie = HashOn::Cookie {
        name: "seat".into(),
        ttl: Some(Duration::ZERO),
        attributes: [("SameSite".to_owned(), "Strict".to_owned())].into(),
    };
    let hashes = [
        ("{type: SourceIP}", vec![HashOn::SourceIp]),
        ("{type: Header, header: {name: X-Session}}", vec![HashOn::Header("x-session".into())]),
        (
            "{type: Headers, headers: [{name: a}, {name: b}]}",
            vec![HashOn::Header("a".into()), HashOn::Header("b".into())],
        ),
        ("{type: Cookie, cookie: {name: seat, ttl: 0s, attributes: {SameSite: Strict}}}", vec![cookie]),
        ("{type: QueryParams, queryParams: [{name: q}]}", vec![HashOn::QueryParameter("q".into())]),
    ];
    for (given, on) in hashes {
        let spec = format!(
            "loadBalancer: {{type: ConsistentHash, consistentHash: {given}}}\n  healthCheck: {{active: {{type: TCP, \
             tcp: {{}}}}}}"
        );
        let expected = LoadBalancer::ConsistentHash(ConsistentHash { on, table_size: 65_537 });
        assert_eq!(traffic(&spec).load_balancer, expected);
    }
}

#[test]
fn a_circuit_breaker_is_each_rules_own_and_has_envoy_gateways_defaults() {
    let spec = "circuitBreaker: {maxParallelRequests: 7, maxRequestsPerConnection: 9, perEndpoint: {maxConnections: 3}, \
                retryBudget: {percent: {numerator: 1, denominator: 5}}}";
    let plan = plan(spec);
    assert_eq!(
        plan.clusters[0].traffic.circuit_breaker,
        Some(CircuitBreaker {
            max_connections: 1024,
            max_pending_requests: 1024,
            max_requests: 7,
            max_retries: 1024,
            max_requests_per_connection: Some(9),
            max_connections_per_endpoint: Some(3),
            retry_budget: Some(RetryBudget { percent: 20.0, min_concurrency: 3 }),
        })
    );
    let clusters: Vec<usize> = rules(&plan).iter().filter_map(|rule| rule.cluster).collect();
    let mut distinct = clusters.clone();
    distinct.dedup();
    assert_eq!(distinct.len(), clusters.len(), "{clusters:?}");
}

#[test]
fn limits_of_each_proxy() {
    let plan = plan(
        "rateLimit: {local: {rules: [{clientSelectors: [{headers: [{name: X-User-Id, type: Distinct}, {name: x-tier, \
         value: free}]}], limit: {requests: 10, unit: Minute}}, {limit: {requests: 100, unit: Second}}]}}",
    );
    let expected = [
        LocalLimit {
            name: "default/budget/local/0".into(),
            selectors: vec![
                Selector { header: "x-user-id".into(), exact: None },
                Selector { header: "x-tier".into(), exact: Some("free".into()) },
            ],
            limit: 10,
            window: 60,
        },
        LocalLimit { name: "default/budget/local/1".into(), selectors: vec![], limit: 100, window: 1 },
    ];
    for rule in rules(&plan) {
        assert_eq!(rule.local_limits, expected, "{}", rule.name);
        assert!(rule.limits.is_empty());
    }
    assert!(plan.filter.budgets.is_empty());
    assert!(plan.filter.routes.values().all(|route| route.user_headers == ["x-user-id"]));
}

#[test]
fn the_policy_is_kept_as_it_is_written() {
    let plan = plan("timeout: {tcp: {connectTimeout: 3s}}");
    assert!(rules(&plan).iter().all(|rule| rule.policy.as_deref() == Some("default/budget")));
    assert_eq!(plan.traffic_policies["default/budget"]["timeout"]["tcp"]["connectTimeout"], "3s");
}

#[test]
fn a_policy_of_this_kind_gives_a_cluster_a_name_of_its_own() {
    let of =
        |spec: &str| -> Vec<String> { plan(spec).clusters.into_iter().map(|cluster| cluster.name).collect() };
    let without = of("timeout: {}");
    let random = of("loadBalancer: {type: Random}");
    assert!(without.iter().all(|name| !random.contains(name)), "{without:?} {random:?}");
    assert_eq!(random, of("loadBalancer: {type: Random}"));
    // What Weir does anyway asks for no other cluster.
    assert_eq!(without, of("loadBalancer: {type: LeastRequest}"));
}

#[test]
fn a_passive_check_that_can_take_nothing_out_is_told() {
    let spec = "healthCheck: {passive: {}}";
    let addresses = [
        ("fqdn: {hostname: openai.example.com,", "ip: {address: 10.0.0.1,"),
        ("fqdn: {hostname: bedrock-runtime.us-west-2.amazonaws.com,", "ip: {address: 10.0.0.2,"),
    ];
    let told = command::findings(&compiled_with(&addresses, spec)).join("\n");
    assert!(told.contains("spec.healthCheck.passive: never takes an endpoint out: 10 % of "), "{told}");
    // A name may have any number of addresses.
    assert_eq!(command::findings(&compiled(spec)), [""; 0]);
}

/// A name, and what the policy says.
const CASES: &[(&str, &str)] = &[
    ("balancer by load", "loadBalancer: {type: BackendUtilization, backendUtilization: {}}"),
    (
        "balancer of one's own",
        "loadBalancer: {type: DynamicModule, dynamicModule: {name: a, lbPolicyName: b}}",
    ),
    ("no such balancer", "loadBalancer: {type: Rondom}"),
    ("no balancer", "loadBalancer: {slowStart: {window: 3s}}"),
    (
        "override and zones",
        "loadBalancer: {type: Random, endpointOverride: {extractFrom: []}, zoneAware: {preferLocal: {}}}",
    ),
    ("slow start for random", "loadBalancer: {type: Random, slowStart: {window: 3s}}"),
    ("slow start of nothing", "loadBalancer: {type: RoundRobin, slowStart: {window: 0s}}"),
    ("hash without a hash", "loadBalancer: {type: ConsistentHash}"),
    ("hash for random", "loadBalancer: {type: Random, consistentHash: {type: SourceIP}}"),
    ("hash without its field", "loadBalancer: {type: ConsistentHash, consistentHash: {type: Header}}"),
    (
        "hash with another's field",
        "loadBalancer: {type: ConsistentHash, consistentHash: {type: SourceIP, cookie: {name: a}}}",
    ),
    (
        "hash of no header",
        "loadBalancer: {type: ConsistentHash, consistentHash: {type: Headers, headers: []}}",
    ),
    (
        "hash of a bad header",
        "loadBalancer: {type: ConsistentHash, consistentHash: {type: Header, header: {name: a b}}}",
    ),
    (
        "table that is no prime",
        "loadBalancer: {type: ConsistentHash, consistentHash: {type: SourceIP, tableSize: 65536}}",
    ),
    ("hash over priorities", "loadBalancer: {type: ConsistentHash, consistentHash: {type: SourceIP}}"),
    ("check by gRPC", "healthCheck: {active: {type: GRPC, grpc: {service: a}}}"),
    ("check of no kind", "healthCheck: {active: {http: {path: /}}}"),
    ("check without its field", "healthCheck: {active: {type: TCP}}"),
    ("check with another's field", "healthCheck: {active: {type: HTTP, http: {path: /}, tcp: {}}}"),
    ("check log", "healthCheck: {active: {type: TCP, tcp: {}, healthCheckLog: {fileSinks: [{path: /a}]}}}"),
    ("check without a path", "healthCheck: {active: {type: HTTP, http: {}}}"),
    ("check of a bad path", "healthCheck: {active: {type: HTTP, http: {path: health}}}"),
    ("check of a bad host", "healthCheck: {active: {type: HTTP, http: {path: /, hostname: '*.a'}}}"),
    ("check by CONNECT", "healthCheck: {active: {type: HTTP, http: {path: /, method: CONNECT}}}"),
    (
        "check with a body in a GET",
        "healthCheck: {active: {type: HTTP, http: {path: /, requestBody: {type: Text, text: a}}}}",
    ),
    (
        "check of statuses",
        "healthCheck: {active: {type: HTTP, http: {path: /, expectedStatuses: [200, 600]}}}",
    ),
    ("check of no bytes", "healthCheck: {active: {type: TCP, tcp: {send: {type: Text, text: ''}}}}"),
    (
        "check of bad base64",
        "healthCheck: {active: {type: TCP, tcp: {receive: {type: Binary, binary: '?'}}}}",
    ),
    (
        "check of bytes in two ways",
        "healthCheck: {active: {type: TCP, tcp: {receive: {type: Text, text: a, binary: YQ==}}}}",
    ),
    ("check at once", "healthCheck: {active: {type: TCP, tcp: {}, interval: 0s, timeout: 1}}"),
    ("check that never fails", "healthCheck: {active: {type: TCP, tcp: {}, unhealthyThreshold: 0}}"),
    ("check at no port", "healthCheck: {active: {type: TCP, tcp: {}, overrides: {port: 0}}}"),
    ("panic above all", "healthCheck: {panicThreshold: 101}"),
    ("slip in a check", "healthCheck: {active: {type: TCP, tcp: {}, intervall: 3s}}"),
    ("passive check above all", "healthCheck: {passive: {maxEjectionPercent: 200}}"),
    (
        "failures that do not count apart",
        "healthCheck: {passive: {consecutiveLocalOriginFailures: 3, alwaysEjectOneEndpoint: true}}",
    ),
    ("breaker of a negative number", "circuitBreaker: {maxConnections: -1}"),
    ("breaker of a large number", "circuitBreaker: {maxParallelRequests: 4294967296}"),
    ("breaker of another name", "circuitBreaker: {maxRequests: 1}"),
    ("retry budget above all", "circuitBreaker: {retryBudget: {percent: {numerator: 101}}}"),
    ("limits without rules", "rateLimit: {local: {rules: []}}"),
    ("local limits that are not there", "rateLimit: {type: Local}"),
    (
        "two limits for the rest",
        "rateLimit: {local: {rules: [{limit: {requests: 1, unit: Hour}}, {limit: {requests: 2, unit: Hour}}]}}",
    ),
    ("local limit of 0", "rateLimit: {local: {rules: [{limit: {requests: 0, unit: Hour}}]}}"),
    ("local limit beyond", "rateLimit: {local: {rules: [{limit: {requests: 4294967296, unit: Hour}}]}}"),
    (
        "local limit of tokens",
        "rateLimit: {local: {rules: [{limit: {requests: 1, unit: Hour}, cost: {response: {from: Metadata}}}]}}",
    ),
    (
        "local limit for all, or in the shadow",
        "rateLimit: {local: {rules: [{limit: {requests: 1, unit: Hour}, shared: true, shadowMode: true}]}}",
    ),
    (
        "local limit by path and pattern",
        "rateLimit: {local: {rules: [{clientSelectors: [{path: {value: /}, headers: [{name: a, type: \
         RegularExpression, value: b}]}], limit: {requests: 1, unit: Hour}}]}}",
    ),
    (
        "local limit that selects nothing",
        "rateLimit: {local: {rules: [{clientSelectors: [{}], limit: {requests: 1, unit: Hour}}]}}",
    ),
];

#[test]
fn each_mistake_is_told_with_its_place() {
    let mut told = String::new();
    let mut reasons: HashMap<Vec<String>, &str> = HashMap::new();
    for (name, spec) in CASES {
        let found = command::findings(&compiled(spec));
        assert!(!found.is_empty(), "{name}: nothing was found");
        told.push_str(&format!("# {name}\n{}\n\n", found.join("\n")));
        if let Some(other) = reasons.insert(found, name) {
            panic!("{name} fails for the reason of {other}");
        }
    }
    insta::assert_snapshot!(told);
}
