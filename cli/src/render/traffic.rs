//! What a traffic policy says of a cluster, in Envoy's words: balance, health, and how much at a time.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::proto;
use crate::plan::{
    ActiveCheck, CircuitBreaker, Cluster, ConsistentHash, Endpoint, HashOn, HttpProbe, LoadBalancer, Member,
    PassiveCheck, Probe, RetryBudget, authority,
};

/// The fields of a cluster. Backends share by weight and priority whatever the balancer; with a hash they share the
/// hashes.
pub(super) fn fields(cluster: &Cluster) -> Map<String, Value> {
    let traffic = &cluster.traffic;
    let mut fields = load_balancer(&traffic.load_balancer);
    fields.insert(
        "common_lb_config".to_owned(),
        json!({
            "locality_weighted_lb_config": {},
            // Above the default of 50 % unhealthy backends Envoy sends to unhealthy ones too, though a later priority
            // could serve.
            "healthy_panic_threshold": {"value": traffic.panic_threshold},
        }),
    );
    fields.insert("circuit_breakers".to_owned(), circuit_breakers(traffic.circuit_breaker.as_ref()));
    if let Some(check) = &traffic.active_check {
        fields.insert("health_checks".to_owned(), json!([health_check(check, cluster)]));
    }
    if let Some(check) = &traffic.passive_check {
        fields.insert("outlier_detection".to_owned(), outlier_detection(check));
    }
    fields
}

fn load_balancer(balancer: &LoadBalancer) -> Map<String, Value> {
    let (policy, config) = match balancer {
        // Answers take seconds to minutes, so a backend's share of the requests says little about its load.
        LoadBalancer::LeastRequest { slow_start } => {
            ("LEAST_REQUEST", slow_start.map(|window| ("least_request_lb_config", slow(window))))
        }
        LoadBalancer::RoundRobin { slow_start } => {
            ("ROUND_ROBIN", slow_start.map(|window| ("round_robin_lb_config", slow(window))))
        }
        LoadBalancer::Random => ("RANDOM", None),
        LoadBalancer::ConsistentHash(ConsistentHash { table_size, .. }) => {
            ("MAGLEV", Some(("maglev_lb_config", json!({"table_size": table_size}))))
        }
    };
    let mut fields = Map::from_iter([("lb_policy".to_owned(), policy.into())]);
    fields.extend(config.map(|(key, config)| (key.to_owned(), config)));
    fields
}

fn slow(window: Duration) -> Value {
    json!({"slow_start_config": {"slow_start_window": proto::duration(window)}})
}

/// What Envoy hashes of a request; belongs to the route. `None` where nothing is hashed.
pub(super) fn hash_policy(balancer: &LoadBalancer) -> Option<Value> {
    let LoadBalancer::ConsistentHash(ConsistentHash { on, .. }) = balancer else { return None };
    let policy = |on: &HashOn| match on {
        HashOn::SourceIp => json!({"connection_properties": {"source_ip": true}}),
        HashOn::Header(name) => json!({"header": {"header_name": name}}),
        HashOn::QueryParameter(name) => json!({"query_parameter": {"name": name}}),
        HashOn::Cookie { name, ttl, attributes } => {
            let mut cookie = Map::from_iter([("name".to_owned(), name.clone().into())]);
            if let Some(ttl) = ttl {
                cookie.insert("ttl".to_owned(), proto::duration(*ttl).into());
            }
            if !attributes.is_empty() {
                let attribute = |(name, value)| json!({"name": name, "value": value});
                cookie.insert("attributes".to_owned(), attributes.iter().map(attribute).collect());
            }
            json!({"cookie": cookie})
        }
    };
    Some(on.iter().map(policy).collect())
}

/// Envoy's defaults of 1024 connections and requests and 3 retries at a time are for short requests: thousands of
/// streams at once are ordinary here, and a fourth failover must not be refused. Nor must a look at a budget, which
/// lets its request pass when it fails.
pub(super) fn no_bounds() -> Value {
    const MANY: u32 = 1_000_000;
    json!({"thresholds": [{
        "max_connections": MANY,
        "max_pending_requests": MANY,
        "max_requests": MANY,
        "max_retries": MANY,
    }]})
}

fn circuit_breakers(breaker: Option<&CircuitBreaker>) -> Value {
    let Some(breaker) = breaker else { return no_bounds() };
    let mut thresholds = json!({
        "max_connections": breaker.max_connections,
        "max_pending_requests": breaker.max_pending_requests,
        "max_requests": breaker.max_requests,
        "max_retries": breaker.max_retries,
    });
    if let (Some(RetryBudget { percent, min_concurrency }), Value::Object(fields)) =
        (breaker.retry_budget, &mut thresholds)
    {
        let budget = json!({"budget_percent": {"value": percent}, "min_retry_concurrency": min_concurrency});
        fields.insert("retry_budget".to_owned(), budget);
    }
    let mut breakers = json!({"thresholds": [thresholds]});
    if let (Some(connections), Value::Object(fields)) = (breaker.max_connections_per_endpoint, &mut breakers)
    {
        fields.insert("per_host_thresholds".to_owned(), json!([{"max_connections": connections}]));
    }
    breakers
}

/// Envoy asks by itself, past the filters of the cluster: no credential goes with it.
fn health_check(check: &ActiveCheck, cluster: &Cluster) -> Value {
    let mut fields = json!({
        "timeout": proto::duration(check.timeout),
        "interval": proto::duration(check.interval),
        // Before the first request Envoy would ask once in a minute only: a backend that starts late would be found
        // late.
        "no_traffic_interval": proto::duration(check.interval),
        "unhealthy_threshold": check.unhealthy_threshold,
        "healthy_threshold": check.healthy_threshold,
    });
    if let Value::Object(fields) = &mut fields {
        if let Some(jitter) = check.initial_jitter {
            fields.insert("initial_jitter".to_owned(), proto::duration(jitter).into());
        }
        let (key, probe) = match &check.probe {
            Probe::Http(probe) => ("http_health_check", http_health_check(probe)),
            Probe::Tcp { send, receive } => ("tcp_health_check", tcp_health_check(send, receive)),
        };
        fields.insert(key.to_owned(), probe);
        // The check speaks HTTP/1.1, whatever the requests do.
        if matches!(check.probe, Probe::Http(_)) && cluster.members.iter().any(|member| member.tls.is_some())
        {
            fields.insert("tls_options".to_owned(), json!({"alpn_protocols": ["http/1.1"]}));
        }
    }
    fields
}

fn http_health_check(probe: &HttpProbe) -> Value {
    let mut fields = json!({
        "path": probe.path,
        "method": probe.method,
        "expected_statuses": ranges(&probe.expected_statuses),
    });
    if let Value::Object(fields) = &mut fields {
        if let Some(hostname) = &probe.hostname {
            fields.insert("host".to_owned(), hostname.clone().into());
        }
        if !probe.retriable_statuses.is_empty() {
            fields.insert("retriable_statuses".to_owned(), ranges(&probe.retriable_statuses));
        }
        if !probe.expected_body.is_empty() {
            fields.insert("receive".to_owned(), json!([payload(&probe.expected_body)]));
        }
        if !probe.body.is_empty() {
            fields.insert("send".to_owned(), payload(&probe.body));
        }
    }
    fields
}

fn tcp_health_check(send: &[u8], receive: &[u8]) -> Value {
    let mut fields = Map::new();
    if !send.is_empty() {
        fields.insert("send".to_owned(), payload(send));
    }
    if !receive.is_empty() {
        fields.insert("receive".to_owned(), json!([payload(receive)]));
    }
    Value::Object(fields)
}

fn payload(bytes: &[u8]) -> Value {
    json!({"binary": STANDARD.encode(bytes)})
}

/// Half-open; `statuses` ascend.
fn ranges(statuses: &[u16]) -> Value {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for status in statuses {
        match ranges.last_mut() {
            Some((_, end)) if *end == *status => *end = status.saturating_add(1),
            _ => ranges.push((*status, status.saturating_add(1))),
        }
    }
    ranges.into_iter().map(|(start, end)| json!({"start": start, "end": end})).collect()
}

/// What the check of one endpoint has of its own. `None` where there is nothing.
pub(super) fn endpoint_check(cluster: &Cluster, member: &Member, endpoint: &Endpoint) -> Option<Value> {
    let check = cluster.traffic.active_check.as_ref()?;
    let mut fields = Map::new();
    if let Probe::Http(HttpProbe { hostname: None, .. }) = &check.probe {
        let hostname = authority(&endpoint.host, endpoint.port, member.tls.is_some());
        fields.insert("hostname".to_owned(), hostname.into());
    }
    if let Some(port) = check.port {
        fields.insert("port_value".to_owned(), port.into());
    }
    (!fields.is_empty()).then_some(Value::Object(fields))
}

fn outlier_detection(check: &PassiveCheck) -> Value {
    let mut fields = json!({
        "interval": proto::duration(check.interval),
        "base_ejection_time": proto::duration(check.base_ejection_time),
        "consecutive_5xx": check.consecutive_5xx,
        "max_ejection_percent": check.max_ejection_percent,
        "always_eject_one_host": check.always_eject_one,
    });
    if let Value::Object(fields) = &mut fields {
        if let Some(failures) = check.consecutive_local_origin_failures {
            fields.insert("split_external_local_origin_errors".to_owned(), true.into());
            fields.insert("consecutive_local_origin_failure".to_owned(), failures.into());
        }
        // Of these two Envoy only keeps count unless it is told to act.
        if let Some(errors) = check.consecutive_gateway_errors {
            fields.insert("consecutive_gateway_failure".to_owned(), errors.into());
            fields.insert("enforcing_consecutive_gateway_failure".to_owned(), 100.into());
        }
        if let Some(percent) = check.failure_percentage_threshold {
            fields.insert("failure_percentage_threshold".to_owned(), percent.into());
            fields.insert("enforcing_failure_percentage".to_owned(), 100.into());
        }
    }
    fields
}
