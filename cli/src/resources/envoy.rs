//! Kinds of Envoy Gateway, as far as Weir does what they ask for. The rest of their fields is in
//! [`super::unsupported`]. Source: the CRDs of Envoy Gateway v1.9.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::gateway::TargetRef;
use super::values::{Bytes, GatewayDuration};

/// Backend
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendSpec {
    /// `Endpoints`; the other one is not supported.
    #[serde(default, rename = "type")]
    pub kind: BackendKind,
    /// Its addresses.
    #[serde(default)]
    pub endpoints: Vec<BackendEndpoint>,
    /// Whether it only steps in for others, in HTTPRoutes.
    #[serde(default)]
    pub fallback: bool,
}

/// How a Backend names its addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum BackendKind {
    /// By a list.
    #[default]
    Endpoints,
    /// By the host of each request; not supported.
    DynamicResolver,
}

/// An address: one of the two.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendEndpoint {
    /// A host name.
    pub fqdn: Option<FqdnEndpoint>,
    /// An IP address.
    pub ip: Option<IpEndpoint>,
}

/// A host name and port.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FqdnEndpoint {
    /// The name.
    pub hostname: String,
    /// TCP port.
    pub port: u16,
}

/// An IP address and port.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IpEndpoint {
    /// Version 4 or 6.
    pub address: String,
    /// TCP port.
    pub port: u16,
}

/// What a policy applies to: one or several.
#[derive(Debug, Clone)]
pub struct Targets<'a> {
    /// Field and target.
    pub refs: Vec<(String, &'a TargetRef)>,
}

impl<'a> Targets<'a> {
    fn new(one: Option<&'a TargetRef>, many: &'a [TargetRef]) -> Self {
        let one = one.map(|target| ("spec.targetRef".to_owned(), target));
        let many = many.iter().enumerate().map(|(i, target)| (format!("spec.targetRefs[{i}]"), target));
        Targets { refs: one.into_iter().chain(many).collect() }
    }
}

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
}

impl BackendTrafficPolicySpec {
    /// What it applies to.
    #[must_use]
    pub fn targets(&self) -> Targets<'_> {
        Targets::new(self.target_ref.as_ref(), &self.target_refs)
    }
}

/// Limits.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// Says no more than which of the two is there.
    #[serde(rename = "type")]
    _kind: Option<RateLimitKind>,
    /// Limits of all proxies together.
    pub global: Option<GlobalRateLimit>,
}

#[derive(Debug, Clone, Deserialize)]
enum RateLimitKind {
    Global,
    Local,
}

/// Limits of all proxies together.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GlobalRateLimit {
    /// Each a limit of its own.
    pub rules: Vec<RateLimitRule>,
}

/// A limit.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimitRule {
    /// All must hold for the limit to apply.
    #[serde(default)]
    pub client_selectors: Vec<ClientSelector>,
    /// How much.
    pub limit: LimitValue,
    /// What a request costs; 1 by default.
    #[serde(default)]
    pub cost: LimitCost,
    /// One count for all routes.
    #[serde(default)]
    pub shared: bool,
    /// Headers about the limit are always sent.
    #[serde(rename = "xRateLimitHeaders")]
    _x_rate_limit_headers: Option<IgnoredAny>,
}

/// Which requests a limit is for.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientSelector {
    /// All must match.
    #[serde(default)]
    pub headers: Vec<SelectorHeader>,
}

/// A condition on a header.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelectorHeader {
    /// How to compare.
    #[serde(default, rename = "type")]
    pub kind: SelectorKind,
    /// The header.
    pub name: String,
    /// With what; not for `Distinct`.
    pub value: Option<String>,
    /// Turns the condition round; not supported.
    #[serde(default)]
    pub invert: bool,
}

/// How a header is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum SelectorKind {
    /// Equal.
    #[default]
    Exact,
    /// By a pattern; not supported.
    RegularExpression,
    /// Each value has a count of its own.
    Distinct,
}

/// How much is allowed in a window.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitValue {
    /// Requests, or what they cost.
    pub requests: u64,
    /// The window.
    pub unit: LimitUnit,
}

/// The window of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the resource's own words")]
pub enum LimitUnit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl LimitUnit {
    /// In seconds, as the ratelimit service counts them: a month has 30 days, a year 365.
    #[must_use]
    pub fn seconds(self) -> u64 {
        const DAY: u64 = 24 * 60 * 60;
        match self {
            LimitUnit::Second => 1,
            LimitUnit::Minute => 60,
            LimitUnit::Hour => 60 * 60,
            LimitUnit::Day => DAY,
            LimitUnit::Week => 7 * DAY,
            LimitUnit::Month => 30 * DAY,
            LimitUnit::Year => 365 * DAY,
        }
    }
}

/// What a request takes from a limit.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitCost {
    /// Before it is sent.
    pub request: Option<CostSpecifier>,
    /// When its answer is complete.
    pub response: Option<CostSpecifier>,
}

/// A number, or where it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CostSpecifier {
    /// Which of the two.
    pub from: CostFrom,
    /// The number.
    pub number: Option<u64>,
    /// Where it is.
    pub metadata: Option<CostMetadata>,
}

/// Where the number of a cost is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum CostFrom {
    /// In the policy.
    Number,
    /// In what the filter computed.
    Metadata,
}

/// Where a computed cost is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CostMetadata {
    /// `io.envoy.ai_gateway`
    pub namespace: String,
    /// A `metadataKey` of `llmRequestCosts`.
    pub key: String,
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

/// ClientTrafficPolicy
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientTrafficPolicySpec {
    target_ref: Option<TargetRef>,
    #[serde(default)]
    target_refs: Vec<TargetRef>,
    /// Of client connections.
    #[serde(default)]
    pub connection: ClientConnection,
    /// How long things may take.
    #[serde(default)]
    pub timeout: ClientTimeout,
}

impl ClientTrafficPolicySpec {
    /// What it applies to.
    #[must_use]
    pub fn targets(&self) -> Targets<'_> {
        Targets::new(self.target_ref.as_ref(), &self.target_refs)
    }
}

/// Of client connections.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientConnection {
    /// Bytes that are held of one request or answer.
    pub buffer_limit: Option<Bytes>,
}

/// How long things may take on the side of the client.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientTimeout {
    /// Of requests.
    #[serde(default)]
    pub http: ClientHttpTimeout,
}

/// Of requests.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientHttpTimeout {
    /// Until the request is complete.
    pub request_received_timeout: Option<GatewayDuration>,
    /// Of a connection without requests.
    pub idle_timeout: Option<GatewayDuration>,
    /// Of a request or answer without bytes.
    pub stream_idle_timeout: Option<GatewayDuration>,
}
