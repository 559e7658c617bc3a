//! What a BackendTrafficPolicy says about the way to the backends: balance, health, and how much at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_core::config::Selector;

/// How a cluster is used. By default as nothing else says it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traffic {
    /// Who of a backend's endpoints gets a request; with a hash, which backend, too.
    pub load_balancer: LoadBalancer,
    /// Questions to each endpoint.
    pub active_check: Option<ActiveCheck>,
    /// Watching what becomes of requests.
    pub passive_check: Option<PassiveCheck>,
    /// In percent: with fewer healthy endpoints, all are asked. 0: those that are not healthy are never asked.
    pub panic_threshold: u32,
    /// `None`: no bounds of Weir's own.
    pub circuit_breaker: Option<CircuitBreaker>,
}

impl Traffic {
    /// Whether Envoy counts or finds out something for the cluster, which two clusters would do apart.
    #[must_use]
    pub fn has_state(&self) -> bool {
        self.active_check.is_some() || self.passive_check.is_some() || self.circuit_breaker.is_some()
    }
}

/// Who gets a request.
#[derive(Debug, Clone, PartialEq)]
pub enum LoadBalancer {
    /// Who has least to do, of two that are drawn.
    LeastRequest {
        /// For how long an endpoint that is new gets less than its share.
        slow_start: Option<Duration>,
    },
    /// One after the other.
    RoundRobin {
        /// For how long an endpoint that is new gets less than its share.
        slow_start: Option<Duration>,
    },
    /// By lot.
    Random,
    /// Whoever got a request like it before.
    ConsistentHash(ConsistentHash),
}

impl LoadBalancer {
    /// Whether the header `name`, in lower case, is among what makes requests alike.
    #[must_use]
    pub fn hashes(&self, name: &str) -> bool {
        let LoadBalancer::ConsistentHash(ConsistentHash { on, .. }) = self else { return false };
        on.iter().any(|on| matches!(on, HashOn::Header(header) if header == name))
    }
}

impl Default for LoadBalancer {
    fn default() -> Self {
        LoadBalancer::LeastRequest { slow_start: None }
    }
}

/// What makes requests alike.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsistentHash {
    /// All together; never empty.
    pub on: Vec<HashOn>,
    /// Places in Maglev's table, a prime number.
    pub table_size: u64,
}

/// A part of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum HashOn {
    /// The client's address.
    SourceIp,
    /// A header, by its name in lower case.
    Header(String),
    /// A cookie.
    Cookie {
        /// Its name.
        name: String,
        /// How long one lasts that Envoy sets; zero: a session. `None`: it sets none.
        ttl: Option<Duration>,
        /// Attributes of one that Envoy sets.
        attributes: BTreeMap<String, String>,
    },
    /// A query parameter.
    QueryParameter(String),
}

/// Questions to each endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveCheck {
    /// For an answer.
    pub timeout: Duration,
    /// From one question to the next.
    pub interval: Duration,
    /// The first question comes up to so much later.
    pub initial_jitter: Option<Duration>,
    /// Failures until an endpoint is left out.
    pub unhealthy_threshold: u32,
    /// Successes until it is taken in again.
    pub healthy_threshold: u32,
    /// Instead of the port that serves.
    pub port: Option<u16>,
    /// The question.
    pub probe: Probe,
}

/// A question.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// A request.
    Http(HttpProbe),
    /// A connection, with what is sent on it and must come.
    Tcp {
        /// Sent; nothing when empty.
        send: Vec<u8>,
        /// Must come; nothing when empty.
        receive: Vec<u8>,
    },
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpProbe {
    /// The host header. `None`: the host name of each endpoint.
    pub hostname: Option<String>,
    /// The path.
    pub path: String,
    /// The method, in capitals.
    pub method: String,
    /// Good answers, in ascending order; never empty.
    pub expected_statuses: Vec<u16>,
    /// Bad ones that count up to the threshold; all others leave the endpoint out at once.
    pub retriable_statuses: Vec<u16>,
    /// A part of a good answer; anything when empty.
    pub expected_body: Vec<u8>,
    /// The body; none when empty.
    pub body: Vec<u8>,
}

/// Watching what becomes of requests.
#[derive(Debug, Clone, PartialEq)]
pub struct PassiveCheck {
    /// From one look to the next.
    pub interval: Duration,
    /// How long an endpoint is left out the first time.
    pub base_ejection_time: Duration,
    /// Answers 5xx in a row.
    pub consecutive_5xx: u32,
    /// Answers 502, 503 and 504 in a row. `None`: they count as 5xx only.
    pub consecutive_gateway_errors: Option<u32>,
    /// Failures to reach an endpoint in a row. `None`: they count as 5xx.
    pub consecutive_local_origin_failures: Option<u32>,
    /// In percent: as many endpoints are left out at most.
    pub max_ejection_percent: u32,
    /// In percent: as many requests may fail. `None`: any.
    pub failure_percentage_threshold: Option<u32>,
    /// One endpoint is left out whatever the most is.
    pub always_eject_one: bool,
}

/// How much is asked of the backends of one rule at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct CircuitBreaker {
    /// Connections.
    pub max_connections: u32,
    /// Requests that wait for a connection.
    pub max_pending_requests: u32,
    /// Requests.
    pub max_requests: u32,
    /// Attempts after the first; counts where there is no `retry_budget`.
    pub max_retries: u32,
    /// Requests in the life of a connection. `None`: any number.
    pub max_requests_per_connection: Option<u32>,
    /// Connections to each endpoint. `None`: any number.
    pub max_connections_per_endpoint: Option<u32>,
    /// Attempts after the first, by the number of requests.
    pub retry_budget: Option<RetryBudget>,
}

/// Attempts after the first, by the number of requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryBudget {
    /// Of the requests that are under way.
    pub percent: f64,
    /// As many may always be.
    pub min_concurrency: u32,
}

/// A rule of `rateLimit.local`: a token bucket in each proxy, for each rule of each route.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalLimit {
    /// `namespace/policy/local/<index>`
    pub name: String,
    /// All must hold. Without any it is for the requests that no other limit of the rule selects.
    pub selectors: Vec<Selector>,
    /// Requests in a window; never 0.
    pub limit: u32,
    /// Seconds.
    pub window: u64,
}
