//! BackendTrafficPolicy, as far as Weir does what it asks for. The rest of its fields is in [`super::unsupported`].

use std::collections::BTreeMap;

use serde::Deserialize;

use super::envoy::Targets;
use super::gateway::TargetRef;
use super::health::HealthCheck;
use super::limits::RateLimit;
use super::values::GatewayDuration;

/// BackendTrafficPolicy
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendTrafficPolicySpec {
    target_ref: Option<TargetRef>,
    #[serde(default)]
    target_refs: Vec<TargetRef>,
    /// Limits.
    pub rate_limit: Option<RateLimit>,
    /// How failed attempts are repeated.
    pub retry: Option<RetrySpec>,
    /// How long things may take.
    #[serde(default)]
    pub timeout: BackendTimeout,
    /// How requests are spread.
    pub load_balancer: Option<LoadBalancerSpec>,
    /// How it is found out who can serve.
    pub health_check: Option<HealthCheck>,
    /// How much is asked of the backends at a time.
    pub circuit_breaker: Option<CircuitBreakerSpec>,
}

impl BackendTrafficPolicySpec {
    /// What it applies to.
    #[must_use]
    pub fn targets(&self) -> Targets<'_> {
        Targets::new(self.target_ref.as_ref(), &self.target_refs)
    }
}

/// How failed attempts are repeated.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetrySpec {
    /// Attempts after the first; 2 by default.
    pub num_retries: Option<u32>,
    /// Attempts on one priority before the next.
    pub num_attempts_per_priority: Option<u32>,
    /// When to repeat.
    pub retry_on: Option<RetryOn>,
    /// How to repeat.
    #[serde(default)]
    pub per_retry: PerRetry,
}

/// When to repeat.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetryOn {
    /// Envoy's words.
    #[serde(default)]
    pub triggers: Vec<Trigger>,
    /// For the trigger `retriable-status-codes`.
    #[serde(default)]
    pub http_status_codes: Vec<u16>,
}

/// A reason to repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "Envoy's own words")]
pub enum Trigger {
    #[serde(rename = "5xx")]
    Error5xx,
    GatewayError,
    Reset,
    ResetBeforeRequest,
    ConnectFailure,
    #[serde(rename = "retriable-4xx")]
    Retriable4xx,
    RefusedStream,
    RetriableStatusCodes,
    Cancelled,
    DeadlineExceeded,
    Internal,
    ResourceExhausted,
    Unavailable,
}

impl Trigger {
    /// As Envoy writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Trigger::Error5xx => "5xx",
            Trigger::GatewayError => "gateway-error",
            Trigger::Reset => "reset",
            Trigger::ResetBeforeRequest => "reset-before-request",
            Trigger::ConnectFailure => "connect-failure",
            Trigger::Retriable4xx => "retriable-4xx",
            Trigger::RefusedStream => "refused-stream",
            Trigger::RetriableStatusCodes => "retriable-status-codes",
            Trigger::Cancelled => "cancelled",
            Trigger::DeadlineExceeded => "deadline-exceeded",
            Trigger::Internal => "internal",
            Trigger::ResourceExhausted => "resource-exhausted",
            Trigger::Unavailable => "unavailable",
        }
    }
}

/// How to repeat.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PerRetry {
    /// Of one attempt.
    pub timeout: Option<GatewayDuration>,
    /// The pauses.
    pub back_off: Option<BackOff>,
}

/// The pauses between attempts.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackOff {
    /// The first one.
    pub base_interval: Option<GatewayDuration>,
    /// The longest one.
    pub max_interval: Option<GatewayDuration>,
}

/// How long things may take on the way to a backend.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendTimeout {
    /// Of connections.
    #[serde(default)]
    pub tcp: BackendTcpTimeout,
    /// Of requests.
    #[serde(default)]
    pub http: BackendHttpTimeout,
}

/// Of connections.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendTcpTimeout {
    /// Until one is made.
    pub connect_timeout: Option<GatewayDuration>,
}

/// Of requests.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendHttpTimeout {
    /// The whole request.
    pub request_timeout: Option<GatewayDuration>,
}

/// How requests are spread.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadBalancerSpec {
    /// In which way.
    #[serde(rename = "type")]
    pub kind: LoadBalancerKind,
    /// For `ConsistentHash`.
    pub consistent_hash: Option<ConsistentHashSpec>,
    /// How endpoints that are new get going; for `RoundRobin` and `LeastRequest`.
    pub slow_start: Option<SlowStart>,
}

/// A way to spread requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum LoadBalancerKind {
    /// By what a request has.
    ConsistentHash,
    /// To who has least to do.
    LeastRequest,
    /// By lot.
    Random,
    /// In turn.
    RoundRobin,
    /// By what backends report; not supported.
    BackendUtilization,
    /// By code of one's own; not supported.
    DynamicModule,
}

/// What a request is recognised by.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsistentHashSpec {
    /// Which of the following.
    #[serde(rename = "type")]
    pub kind: HashKind,
    /// A header; the older form of `headers`.
    pub header: Option<Named>,
    /// Headers.
    pub headers: Option<Vec<Named>>,
    /// A cookie.
    pub cookie: Option<CookieSpec>,
    /// Query parameters.
    pub query_params: Option<Vec<Named>>,
    /// Places in the table, a prime number; 65537 by default.
    pub table_size: Option<u64>,
}

/// What is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the resource's own words")]
pub enum HashKind {
    SourceIP,
    Header,
    Headers,
    Cookie,
    QueryParams,
}

/// Something by its name.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Named {
    /// Its name.
    pub name: String,
}

/// A cookie.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CookieSpec {
    /// Its name.
    pub name: String,
    /// How long one lasts that Envoy sets for a client that has none; without it, Envoy sets none.
    pub ttl: Option<GatewayDuration>,
    /// Attributes of one that Envoy sets.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// How endpoints that are new get going.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SlowStart {
    /// For how long they get less than their share.
    pub window: GatewayDuration,
}

/// How much is asked of the backends of a rule at a time.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CircuitBreakerSpec {
    /// Connections; 1024 by default, as the next three.
    pub max_connections: Option<u32>,
    /// Requests that wait for a connection.
    pub max_pending_requests: Option<u32>,
    /// Requests.
    pub max_parallel_requests: Option<u32>,
    /// Attempts after the first.
    pub max_parallel_retries: Option<u32>,
    /// Requests in the life of a connection; any number by default.
    pub max_requests_per_connection: Option<u32>,
    /// Of each endpoint.
    pub per_endpoint: Option<PerEndpoint>,
    /// Attempts after the first, by the number of requests.
    pub retry_budget: Option<RetryBudgetSpec>,
}

/// How much is asked of an endpoint at a time.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PerEndpoint {
    /// Connections.
    pub max_connections: Option<u32>,
}

/// Attempts after the first, by the number of requests.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetryBudgetSpec {
    /// The share of the requests that are under way.
    pub percent: Fraction,
    /// As many may always be; 3 by default.
    pub min_retry_concurrency: Option<u32>,
}

/// A fraction of Gateway API.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fraction {
    /// Above.
    pub numerator: u32,
    /// Below; 100 by default.
    pub denominator: Option<u32>,
}
