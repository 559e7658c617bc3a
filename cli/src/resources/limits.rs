//! `rateLimit` of a BackendTrafficPolicy.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// Limits.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// Says no more than which of the two is there.
    #[serde(rename = "type")]
    pub kind: Option<RateLimitKind>,
    /// Limits of all proxies together.
    pub global: Option<GlobalRateLimit>,
    /// Limits of each proxy.
    pub local: Option<LocalRateLimit>,
}

/// An older way to say which limits there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the resource's own words")]
pub enum RateLimitKind {
    Global,
    Local,
}

/// Limits of each proxy.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalRateLimit {
    /// Each a limit of its own; the one without selectors is for requests that no other selects.
    #[serde(default)]
    pub rules: Vec<RateLimitRule>,
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
