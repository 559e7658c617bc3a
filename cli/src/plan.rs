//! What the resources mean, checked and joined: the one thing that `check` makes and every renderer reads.
//!
//! A plan has no dangling reference: names were resolved, policies merged, defaults filled in.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use weir_core::config::Config;
use weir_core::headers::MODEL_HEADER;

mod clients;
mod security;
mod traffic;

pub use clients::{
    Certificate, ClientCertificates, ClientHeaders, ForwardedCertificate, HeaderChange, NameCondition,
    ServerTls, TlsParameters,
};
pub use security::{
    ApiKeyAuth, Authentication, Authorization, AuthorizationRule, BasicAuth, Claim, ClaimHeader, Cors,
    ExtAuth, Jwks, Jwt, JwtProvider, KeySource, Security, Service, Token, WithoutToken,
};
pub use traffic::{
    ActiveCheck, CircuitBreaker, ConsistentHash, HashOn, HttpProbe, LoadBalancer, LocalLimit, PassiveCheck,
    Probe, RetryBudget, Traffic,
};

/// A complete, valid configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// HTTP listeners, in the order of the Gateways; never empty.
    pub listeners: Vec<Listener>,
    /// Distinct sets of backends; rules name them by index.
    pub clusters: Vec<Cluster>,
    /// The filter's own configuration. Its `budgets` are filled in for local counting; a renderer for Envoy's global
    /// rate limit clears them and renders [`Rule::limits`] instead.
    pub filter: Config,
    /// Secrets by the name the filter's `credentials` use.
    pub secrets: BTreeMap<String, SecretValue>,
    /// What files hold that credentials are made of besides, by their paths: for a filter that reads no files.
    pub files: BTreeMap<String, SecretValue>,
    /// The container endpoint of AWS credentials, when some credential is to come from there.
    pub aws_container: Option<AwsContainer>,
    /// `spec` of each BackendTrafficPolicy that applies to a rule, as it is written, by `namespace/name`: for platforms
    /// that read such policies themselves.
    pub traffic_policies: BTreeMap<String, serde_json::Value>,
    /// The SecurityPolicies that apply to something; rules and listeners name them by index.
    pub security: Vec<Security>,
}

impl Plan {
    /// Ports with their listeners, in the order of the first of each.
    #[must_use]
    pub fn ports(&self) -> Vec<(u16, Vec<&Listener>)> {
        let mut ports: Vec<(u16, Vec<&Listener>)> = Vec::new();
        for listener in &self.listeners {
            match ports.iter_mut().find(|(port, _)| *port == listener.port) {
                Some((_, listeners)) => listeners.push(listener),
                None => ports.push((listener.port, vec![listener])),
            }
        }
        ports
    }

    /// Whether a load balancer hashes the header `name`, in lower case.
    #[must_use]
    pub fn hashes(&self, name: &str) -> bool {
        self.clusters.iter().any(|cluster| cluster.traffic.load_balancer.hashes(name))
    }
}

/// Where `AWS_CONTAINER_CREDENTIALS_FULL_URI` points: the filter calls it through the cluster
/// [`AwsContainer::CLUSTER`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsContainer {
    /// Host name or IP address, IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// True for `https`.
    pub tls: bool,
    /// Path and query of the request.
    pub path: String,
    /// The `authorization` header of the request.
    pub token: Option<ContainerToken>,
}

/// What proves to the container endpoint who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerToken {
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`: a file whose content rotates.
    File(String),
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`, or what a file held when it was read.
    Value(SecretValue),
}

impl AwsContainer {
    /// The name of the cluster that a renderer makes of it.
    pub const CLUSTER: &str = "weir_aws_container";
}

/// One listener of a Gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// `namespace/gateway/listener`, also the rate limit domain.
    pub name: String,
    /// The port of the manifest. Listeners of one port have TLS, and are told apart by the name a client asks for.
    pub port: u16,
    /// The host names it takes. `None`: all that no other listener of its port takes.
    pub hostname: Option<String>,
    /// TLS with its clients, if any.
    pub tls: Option<ServerTls>,
    /// What becomes of the headers of requests before anything reads them.
    pub headers: ClientHeaders,
    /// Bytes that Envoy may hold of one request or answer.
    pub buffer_limit: u32,
    /// `timeout.http.requestReceivedTimeout` of the ClientTrafficPolicy.
    pub request_received_timeout: Option<Duration>,
    /// `timeout.http.idleTimeout`: how long a connection may be idle.
    pub idle_timeout: Option<Duration>,
    /// `timeout.http.streamIdleTimeout`: how long a request or an answer may be silent.
    pub stream_idle_timeout: Option<Duration>,
    /// The SecurityPolicy of the listener or its Gateway, an index into [`Plan::security`]: for what belongs to no
    /// route.
    pub security: Option<usize>,
    /// Most specific host name first.
    pub virtual_hosts: Vec<VirtualHost>,
}

/// The rules of a set of host names.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualHost {
    /// Host names, `*.` wildcards among them; `*` for routes without any.
    pub domains: Vec<String>,
    /// In Gateway API's order of precedence, which is the order of evaluation.
    pub rules: Vec<MatchedRule>,
}

/// One match of a rule: several matches of one rule are several of these with the same rule.
#[derive(Debug, Clone, PartialEq)]
pub struct MatchedRule {
    /// What a request must have.
    pub matches: Match,
    /// The rule itself, shared by its matches.
    pub rule: std::rc::Rc<Rule>,
}

impl MatchedRule {
    /// Whether it takes paths that the filter passes to a backend as they are.
    #[must_use]
    pub fn passes_through(&self) -> bool {
        self.rule.ai && self.matches.path.is_some()
    }

    /// Whether the rule takes all requests for its model, or all there are.
    #[must_use]
    pub fn takes_all(&self) -> bool {
        let Match { path, method, headers, query } = &self.matches;
        let is_model = |header: &HeaderMatch| {
            header.name == MODEL_HEADER && matches!(header.value, ValueMatch::Exact(_))
        };
        path.is_none() && method.is_none() && query.is_empty() && headers.iter().all(is_model)
    }
}

/// Conditions on a request, all of which must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Match {
    /// On the path; `None` for models, whose paths the filter knows.
    pub path: Option<PathMatch>,
    /// On the method.
    pub method: Option<String>,
    /// On headers; the one on `x-ai-eg-model` first if there is one.
    pub headers: Vec<HeaderMatch>,
    /// On query parameters (plain HTTPRoutes).
    pub query: Vec<HeaderMatch>,
}

/// A condition on the path.
#[derive(Debug, Clone, PartialEq)]
pub enum PathMatch {
    /// The whole path.
    Exact(String),
    /// Whole leading segments.
    Prefix(String),
    /// RE2.
    Regex(String),
}

/// A condition on a header or query parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderMatch {
    /// Lower case for headers.
    pub name: String,
    /// What its value must be.
    pub value: ValueMatch,
}

/// A condition on a value.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueMatch {
    /// Equal.
    Exact(String),
    /// RE2, the whole value.
    Regex(String),
}

/// A rule of an AIGatewayRoute or HTTPRoute.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// `namespace/route/rule/<name, model or index>`: the name of Envoy's route, and the key of the filter's `routes`
    /// for AI rules.
    pub name: String,
    /// The resource it is written in.
    pub origin: Origin,
    /// True for rules of an AIGatewayRoute: their clusters get the backend role.
    pub ai: bool,
    /// Index into [`Plan::clusters`]; `None` when the rule has no backends (500 by Gateway API).
    pub cluster: Option<usize>,
    /// The whole request, streams included. `None`: unbounded.
    pub request_timeout: Option<Duration>,
    /// From the attempt's start to its response headers. `None`: unbounded.
    pub attempt_timeout: Option<Duration>,
    /// `streamIdleTimeout`: silence within an attempt.
    pub attempt_idle_timeout: Option<Duration>,
    /// How failed attempts are repeated. `None`: not at all.
    pub retry: Option<Retry>,
    /// Rules of `rateLimit.global` that apply here.
    pub limits: Vec<Limit>,
    /// The policy's `failClosed`: refuse requests while the ratelimit service is down.
    pub limits_fail_closed: bool,
    /// Rules of `rateLimit.local` that apply here.
    pub local_limits: Vec<LocalLimit>,
    /// The BackendTrafficPolicy that applies, a key of [`Plan::traffic_policies`].
    pub policy: Option<String>,
    /// The SecurityPolicy that applies, an index into [`Plan::security`].
    pub security: Option<usize>,
}

/// Where a rule is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// `namespace/name` of the route.
    pub route: String,
    /// Its place among the rules of that.
    pub rule: usize,
}

/// How failed attempts are repeated, on the next backend where there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Attempts after the first; bounded by the number of backends unless the policy says otherwise.
    pub count: u32,
    /// So many more where connections failed before an answer, and nothing else has.
    pub spare: u32,
    /// Attempts on one priority before the next is tried.
    pub attempts_per_priority: u32,
    /// Envoy's `retry_on` words: `5xx`, `connect-failure`, `reset`, ...
    pub on: Vec<String>,
    /// Statuses that are repeated besides: 429.
    pub status_codes: Vec<u16>,
    /// Wait before the second attempt, doubled each time. `None`: Envoy's default of 25 ms.
    pub backoff: Option<Backoff>,
}

/// The pauses between attempts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The first pause.
    pub base: Duration,
    /// The longest one.
    pub max: Option<Duration>,
}

/// A rule of `rateLimit.global` as the ratelimit service and the local budgets need it.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// Index into `filter.budgets`: name, selectors, limit, window, hits and cost are there.
    pub budget: usize,
}

/// A set of backends that Envoy balances and fails over between.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// A readable name, unique, stable while its members stay the same.
    pub name: String,
    /// In the order of the rule's backendRefs: the position is the target index of the filter's configuration.
    pub members: Vec<Member>,
    /// Whether the backend role stands in its upstream chain.
    pub ai: bool,
    /// `timeout.tcp.connectTimeout`; 10 s when the policy does not say.
    pub connect_timeout: Duration,
    /// What the policy says about balance, health and load.
    pub traffic: Traffic,
}

impl Cluster {
    /// Whether Envoy may choose among hosts: a name may stand for several.
    #[must_use]
    pub fn may_have_several_hosts(&self) -> bool {
        let mut endpoints = self.members.iter().flat_map(|member| &member.endpoints);
        let is_one = |endpoint: &Endpoint| endpoint.host.parse::<IpAddr>().is_ok();
        !endpoints.next().is_some_and(is_one) || endpoints.next().is_some()
    }

    /// Whether some of its backends are tried after others.
    #[must_use]
    pub fn has_priorities(&self) -> bool {
        let mut priorities = self.members.iter().map(|member| member.priority);
        let first = priorities.next();
        priorities.any(|priority| Some(priority) != first)
    }
}

/// One backendRef.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// `namespace/name` of the backend, for stats and logs.
    pub backend: String,
    /// 0 is tried first.
    pub priority: u32,
    /// Share among those of the same priority; 0 takes no traffic.
    pub weight: u32,
    /// Its addresses, never empty.
    pub endpoints: Vec<Endpoint>,
    /// TLS to it, if any.
    pub tls: Option<Tls>,
}

/// One address of a backend.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// How the certificate of a backend is verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    /// SNI, and the name the certificate must carry.
    pub hostname: String,
    /// PEM of the CAs; `None`: the system's.
    pub ca_pem: Option<String>,
}

/// A secret, which no `Debug` output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(pub String);

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretValue(redacted)")
    }
}

/// `:authority` for a host and port, without the port that the scheme stands for.
#[must_use]
pub fn authority(host: &str, port: u16, tls: bool) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let default_port = if tls { 443 } else { 80 };
    if port == default_port { host } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities() {
        assert_eq!(authority("a.com", 443, true), "a.com");
        assert_eq!(authority("a.com", 443, false), "a.com:443");
        assert_eq!(authority("a.com", 80, false), "a.com");
        assert_eq!(authority("fd00::1", 8080, false), "[fd00::1]:8080");
    }
}
