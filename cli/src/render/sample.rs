//! A plan that has a little of everything, for tests here and on the real Envoy.

use std::rc::Rc;
use std::time::Duration;

use weir_core::config::{Backend, Budget, Config, Schema, SchemaName, Selector};

use super::plan::{
    ActiveCheck, AwsContainer, Backoff, Certificate, CircuitBreaker, ClientCertificates, ClientHeaders,
    Cluster, ConsistentHash, ContainerToken, Endpoint, ForwardedCertificate, HashOn, HeaderChange,
    HeaderMatch, HttpProbe, Limit, Listener, LoadBalancer, LocalLimit, Match, MatchedRule, Member,
    NameCondition, Origin, PassiveCheck, PathMatch, Plan, Probe, Retry, RetryBudget, Rule, SecretValue,
    ServerTls, Tls, TlsParameters, Traffic, ValueMatch, VirtualHost,
};

pub(super) fn member(backend: &str, priority: u32, weight: u32, host: &str, port: u16, tls: bool) -> Member {
    Member {
        backend: format!("default/{backend}"),
        priority,
        weight,
        endpoints: vec![Endpoint { host: host.to_owned(), port }],
        tls: tls.then(|| Tls { hostname: host.to_owned(), ca_pem: None }),
    }
}

fn cluster(name: &str, members: Vec<Member>) -> Cluster {
    Cluster {
        name: name.to_owned(),
        members,
        ai: true,
        connect_timeout: Duration::from_secs(10),
        traffic: Traffic::default(),
    }
}

/// What the filter knows of a backend.
pub(super) fn backend(name: &str, schema: SchemaName) -> Backend {
    Backend {
        schema: Schema { name: schema, prefix: None, version: None },
        hosts: vec![name.to_owned()],
        address: None,
        auth: None,
        betas: None,
        credential_override: None,
        cache_marks: false,
    }
}

pub(super) fn rule(name: &str, cluster: usize) -> Rule {
    Rule {
        name: format!("default/{name}"),
        origin: Origin::default(),
        ai: true,
        cluster: Some(cluster),
        request_timeout: None,
        attempt_timeout: Some(Duration::from_secs(60)),
        attempt_idle_timeout: None,
        retry: Some(Retry {
            count: 2,
            spare: 0,
            attempts_per_priority: 1,
            on: vec!["5xx".into(), "reset".into(), "connect-failure".into()],
            status_codes: vec![429],
            backoff: Some(Backoff { base: Duration::from_millis(25), max: None }),
        }),
        limits: vec![],
        limits_fail_closed: false,
        local_limits: vec![],
        policy: None,
        security: None,
    }
}

fn header(name: &str, value: &str) -> HeaderMatch {
    HeaderMatch { name: name.to_owned(), value: ValueMatch::Exact(value.to_owned()) }
}

fn for_model(model: &str, rule: &Rc<Rule>) -> MatchedRule {
    let headers = vec![header("x-ai-eg-model", model)];
    MatchedRule { matches: Match { headers, ..Match::default() }, rule: Rc::clone(rule) }
}

/// A listener of HTTPS with the rules of another one. With a host name it asks for certificates, and says whose they
/// are.
pub(super) fn https(
    name: &str,
    hostname: Option<&str>,
    (chain, key): (&str, &str),
    rules: &Listener,
) -> Listener {
    let certificate = Certificate {
        secret: format!("default/{name}"),
        chain: chain.to_owned(),
        key: SecretValue(key.to_owned()),
    };
    let clients = hostname.map(|_| ClientCertificates {
        policy: "default/clients".to_owned(),
        required: true,
        ca_pem: chain.to_owned(),
        hashes: vec!["00".repeat(32)],
        names: ["exact", "safe_regex"]
            .map(|comparison| NameCondition { kind: "DNS", comparison, value: "a".to_owned() })
            .into(),
        ..ClientCertificates::default()
    });
    let headers = hostname.map(|_| ClientHeaders {
        certificate: Some(ForwardedCertificate { mode: "SANITIZE_SET", details: vec!["subject", "uri"] }),
        changes: vec![
            HeaderChange::Remove("x-tier".to_owned()),
            HeaderChange::Write {
                name: "x-user-id".to_owned(),
                value: "%DOWNSTREAM_PEER_SUBJECT%".to_owned(),
                action: "OVERWRITE_IF_EXISTS_OR_ADD",
            },
        ],
    });
    let domains = vec![hostname.unwrap_or("*").to_owned()];
    let hosts =
        rules.virtual_hosts.iter().map(|host| VirtualHost { domains: domains.clone(), ..host.clone() });
    Listener {
        name: format!("default/ai-gateway/{name}"),
        port: 8443,
        hostname: hostname.map(str::to_owned),
        tls: Some(ServerTls {
            certificates: vec![certificate],
            parameters: TlsParameters::default(),
            clients,
        }),
        headers: headers.unwrap_or_default(),
        virtual_hosts: hosts.collect(),
        ..rules.clone()
    }
}

/// Three models: one with a budget and a second rule for beta users, one with failover, and anything else.
pub(super) fn plan() -> Plan {
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
            hostname: None,
            tls: None,
            headers: ClientHeaders::default(),
            buffer_limit: 32 << 20,
            request_received_timeout: None,
            idle_timeout: None,
            stream_idle_timeout: None,
            security: None,
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
        files: std::collections::BTreeMap::new(),
        aws_container: Some(AwsContainer {
            host: "169.254.170.23".to_owned(),
            port: 80,
            tls: false,
            path: "/v1/credentials".to_owned(),
            token: Some(ContainerToken::File(
                "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token".to_owned(),
            )),
        }),
        traffic_policies: [].into(),
        security: Vec::new(),
    }
}

/// Of a policy that says a lot.
pub(super) fn traffic() -> Traffic {
    Traffic {
        load_balancer: LoadBalancer::ConsistentHash(ConsistentHash {
            on: vec![
                HashOn::Header("x-session".into()),
                HashOn::Cookie {
                    name: "seat".into(),
                    ttl: Some(Duration::from_secs(60)),
                    attributes: [("SameSite".to_owned(), "Strict".to_owned())].into(),
                },
                HashOn::QueryParameter("q".into()),
                HashOn::SourceIp,
            ],
            table_size: 65_537,
        }),
        active_check: Some(ActiveCheck {
            timeout: Duration::from_secs(1),
            interval: Duration::from_secs(3),
            initial_jitter: Some(Duration::from_millis(500)),
            unhealthy_threshold: 3,
            healthy_threshold: 1,
            port: Some(9090),
            probe: Probe::Http(HttpProbe {
                hostname: None,
                path: "/health".into(),
                method: "POST".into(),
                expected_statuses: vec![200, 201, 204],
                retriable_statuses: vec![503],
                expected_body: b"ok".to_vec(),
                body: b"well?".to_vec(),
            }),
        }),
        passive_check: Some(PassiveCheck {
            interval: Duration::from_secs(3),
            base_ejection_time: Duration::from_secs(30),
            consecutive_5xx: 5,
            consecutive_gateway_errors: Some(2),
            consecutive_local_origin_failures: Some(4),
            max_ejection_percent: 50,
            failure_percentage_threshold: Some(85),
            always_eject_one: true,
        }),
        panic_threshold: 50,
        circuit_breaker: Some(CircuitBreaker {
            max_connections: 1024,
            max_pending_requests: 1024,
            max_requests: 7,
            max_retries: 1024,
            max_requests_per_connection: Some(100),
            max_connections_per_endpoint: Some(9),
            retry_budget: Some(RetryBudget { percent: 20.0, min_concurrency: 3 }),
        }),
    }
}

/// Of a policy that says other things, for a cluster with TLS.
pub(super) fn other_traffic() -> Traffic {
    Traffic {
        load_balancer: LoadBalancer::RoundRobin { slow_start: Some(Duration::from_secs(30)) },
        active_check: Some(ActiveCheck {
            timeout: Duration::from_secs(1),
            interval: Duration::from_secs(3),
            initial_jitter: None,
            unhealthy_threshold: 3,
            healthy_threshold: 1,
            port: None,
            probe: Probe::Tcp { send: b"ping".to_vec(), receive: b"pong".to_vec() },
        }),
        ..Traffic::default()
    }
}

/// Each user of the free tier, each team, and everybody else.
pub(super) fn local_limits() -> Vec<LocalLimit> {
    let limit = |index: usize, limit, window, selectors: Vec<Selector>| LocalLimit {
        name: format!("default/policy/local/{index}"),
        selectors,
        limit,
        window,
    };
    let distinct = |header: &str| Selector { header: header.to_owned(), exact: None };
    let free = Selector { header: "x-tier".into(), exact: Some("free".into()) };
    vec![
        limit(0, 10, 60, vec![distinct("x-user-id"), free]),
        limit(1, 100, 3600, vec![distinct("x-team")]),
        limit(2, 5, 1, vec![]),
    ]
}
