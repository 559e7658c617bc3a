//! `loadBalancer` and `circuitBreaker`: who gets a request, and how much at a time.

use weir_core::headers::{MODEL_HEADER, PREFIX_KEY_HEADER, is_internal, is_name};

use crate::plan::{CircuitBreaker, ConsistentHash, HashOn, LoadBalancer, RetryBudget};
use crate::resources::decode::MISSING;
use crate::resources::traffic::{
    CircuitBreakerSpec, ConsistentHashSpec, HashKind, LoadBalancerKind, LoadBalancerSpec, Named,
    RetryBudgetSpec,
};
use crate::resources::{Report, ResourceId};

/// The default of Envoy Gateway's CRD for each number of a circuit breaker.
const AT_A_TIME: u32 = 1024;
/// The default of Envoy Gateway's CRD.
const TABLE_SIZE: u64 = 65_537;
/// Envoy's largest.
const LARGEST_TABLE: u64 = 5_000_011;
/// Envoy Gateway's default.
const RETRIES_ALWAYS: u32 = 3;

const BALANCER: &str = "spec.loadBalancer";
const HASH: &str = "spec.loadBalancer.consistentHash";

/// Who gets a request.
pub(super) fn load_balancer(id: &ResourceId, spec: &LoadBalancerSpec, report: &mut Report) -> LoadBalancer {
    let is_hash = spec.kind == LoadBalancerKind::ConsistentHash;
    if spec.consistent_hash.is_some() && !is_hash && !report.has_error(id, BALANCER) {
        let message = "belongs to type ConsistentHash; write that, or remove it";
        report.error(id, HASH, message);
    }
    if let Some(slow_start) = &spec.slow_start {
        let takes_it = matches!(spec.kind, LoadBalancerKind::LeastRequest | LoadBalancerKind::RoundRobin);
        let field = format!("{BALANCER}.slowStart");
        if !takes_it && !report.has_error(id, BALANCER) {
            report.error(id, field, "belongs to the types LeastRequest and RoundRobin; remove it");
        } else if slow_start.window.unless_zero().is_none() && !report.has_error(id, &field) {
            report.error(
                id,
                format!("{field}.window"),
                "is 0; write how long it lasts, or remove `slowStart`",
            );
        }
    }
    let slow_start = spec.slow_start.as_ref().and_then(|slow_start| slow_start.window.unless_zero());
    match (spec.kind, &spec.consistent_hash) {
        (LoadBalancerKind::RoundRobin, _) => LoadBalancer::RoundRobin { slow_start },
        (LoadBalancerKind::Random, _) => LoadBalancer::Random,
        (LoadBalancerKind::ConsistentHash, Some(hash)) => {
            LoadBalancer::ConsistentHash(consistent_hash(id, hash, report))
        }
        (LoadBalancerKind::ConsistentHash, None) => {
            if !report.has_error(id, BALANCER) {
                report.error(id, HASH, "is missing; type ConsistentHash needs it");
            }
            LoadBalancer::default()
        }
        // The last two were reported already.
        (
            LoadBalancerKind::LeastRequest
            | LoadBalancerKind::BackendUtilization
            | LoadBalancerKind::DynamicModule,
            _,
        ) => LoadBalancer::LeastRequest { slow_start },
    }
}

fn consistent_hash(id: &ResourceId, spec: &ConsistentHashSpec, report: &mut Report) -> ConsistentHash {
    let fields = [
        (HashKind::Header, "header", spec.header.is_some()),
        (HashKind::Headers, "headers", spec.headers.is_some()),
        (HashKind::Cookie, "cookie", spec.cookie.is_some()),
        (HashKind::QueryParams, "queryParams", spec.query_params.is_some()),
    ];
    for (kind, field, is_there) in fields {
        let place = format!("{HASH}.{field}");
        if is_there && kind != spec.kind && !report.has_error(id, &format!("{HASH}.type")) {
            report.error(id, place, format!("belongs to type {kind:?}; write that, or remove it"));
        } else if !is_there && kind == spec.kind && !report.has_error(id, HASH) {
            report.error(id, place, format!("is missing; type {kind:?} needs it"));
        }
    }
    let on = match spec.kind {
        HashKind::SourceIP => vec![HashOn::SourceIp],
        HashKind::Header => {
            let header = spec.header.as_ref();
            header
                .map(|header| hash_on_header(id, &format!("{HASH}.header"), header, report))
                .into_iter()
                .collect()
        }
        HashKind::Headers => {
            let headers = spec.headers.iter().flatten().enumerate();
            headers
                .map(|(i, header)| hash_on_header(id, &format!("{HASH}.headers[{i}]"), header, report))
                .collect()
        }
        HashKind::Cookie => {
            let cookie = spec.cookie.as_ref();
            if let Some(cookie) = cookie {
                check_token(id, &format!("{HASH}.cookie.name"), &cookie.name, "a cookie's name", report);
            }
            let on = |cookie: &crate::resources::traffic::CookieSpec| HashOn::Cookie {
                name: cookie.name.clone(),
                ttl: cookie.ttl.map(|ttl| ttl.0),
                attributes: cookie.attributes.clone(),
            };
            cookie.map(on).into_iter().collect()
        }
        HashKind::QueryParams => {
            let parameters = spec.query_params.iter().flatten();
            parameters.map(|parameter| HashOn::QueryParameter(parameter.name.clone())).collect()
        }
    };
    if on.is_empty() && !report.has_error(id, HASH) {
        report.error(id, HASH, format!("names nothing to hash for type {:?}; name something", spec.kind));
    }
    let table_size = spec.table_size.unwrap_or(TABLE_SIZE);
    if !(2..=LARGEST_TABLE).contains(&table_size) || !is_prime(table_size) {
        let message =
            format!("{table_size} is not a prime number up to {LARGEST_TABLE}; {TABLE_SIZE} is one");
        report.error(id, format!("{HASH}.tableSize"), message);
    }
    ConsistentHash { on, table_size }
}

/// Headers of the gateway's own that requests have.
const OWN: [&str; 2] = [PREFIX_KEY_HEADER, MODEL_HEADER];

fn hash_on_header(id: &ResourceId, field: &str, header: &Named, report: &mut Report) -> HashOn {
    let name = header.name.to_ascii_lowercase();
    check_token(id, &format!("{field}.name"), &name, "a header name", report);
    if is_internal(&name) && !OWN.contains(&name.as_str()) {
        let message = format!(
            "`{name}` never comes from a client; of the gateway's own headers use {}",
            OWN.join(" or ")
        );
        report.error(id, format!("{field}.name"), message);
    }
    HashOn::Header(name)
}

fn check_token(id: &ResourceId, field: &str, name: &str, what: &str, report: &mut Report) {
    if !is_name(name) && name != MISSING {
        report.error(id, field, format!("`{name}` is not {what}"));
    }
}

fn is_prime(number: u64) -> bool {
    number > 1
        && (2..)
            .take_while(|divisor| divisor * divisor <= number)
            .all(|divisor| !number.is_multiple_of(divisor))
}

/// How much at a time.
pub(super) fn circuit_breaker(
    id: &ResourceId,
    spec: &CircuitBreakerSpec,
    report: &mut Report,
) -> CircuitBreaker {
    let at_a_time = |number: Option<u32>| number.unwrap_or(AT_A_TIME);
    CircuitBreaker {
        max_connections: at_a_time(spec.max_connections),
        max_pending_requests: at_a_time(spec.max_pending_requests),
        max_requests: at_a_time(spec.max_parallel_requests),
        max_retries: at_a_time(spec.max_parallel_retries),
        // Envoy's word for any number is 0, too.
        max_requests_per_connection: spec.max_requests_per_connection.filter(|number| *number > 0),
        max_connections_per_endpoint: spec.per_endpoint.as_ref().map(|each| at_a_time(each.max_connections)),
        retry_budget: spec.retry_budget.as_ref().map(|budget| retry_budget(id, budget, report)),
    }
}

fn retry_budget(id: &ResourceId, spec: &RetryBudgetSpec, report: &mut Report) -> RetryBudget {
    let (numerator, denominator) = (spec.percent.numerator, spec.percent.denominator.unwrap_or(100));
    if numerator > denominator || denominator == 0 {
        let message = format!("{numerator} of {denominator} is not a share; it must be from 0 to 1");
        report.error(id, "spec.circuitBreaker.retryBudget.percent", message);
    }
    RetryBudget {
        percent: 100.0 * f64::from(numerator) / f64::from(denominator.max(1)),
        min_concurrency: spec.min_retry_concurrency.unwrap_or(RETRIES_ALWAYS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes() {
        let primes: Vec<u64> = (0..30).filter(|number| is_prime(*number)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert!(is_prime(TABLE_SIZE) && is_prime(LARGEST_TABLE) && !is_prime(65_536));
    }
}
