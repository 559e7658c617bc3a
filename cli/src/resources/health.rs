//! `healthCheck` of a BackendTrafficPolicy.

use serde::Deserialize;

use super::values::GatewayDuration;

/// How it is found out who can serve.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheck {
    /// By asking.
    pub active: Option<ActiveHealthCheck>,
    /// By what becomes of requests.
    pub passive: Option<PassiveHealthCheck>,
    /// In percent: with fewer endpoints that can serve, all are asked.
    pub panic_threshold: Option<u32>,
}

/// Questions to each endpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ActiveHealthCheck {
    /// For an answer; 1s by default.
    pub timeout: Option<GatewayDuration>,
    /// From one question to the next; 3s by default.
    pub interval: Option<GatewayDuration>,
    /// The first question comes up to so much later.
    pub initial_jitter: Option<GatewayDuration>,
    /// Failures until an endpoint is left out; 3 by default.
    pub unhealthy_threshold: Option<u32>,
    /// Successes until it is taken in again; 1 by default.
    pub healthy_threshold: Option<u32>,
    /// What kind of question.
    #[serde(rename = "type")]
    pub kind: CheckKind,
    /// A request.
    pub http: Option<HttpCheck>,
    /// A connection.
    pub tcp: Option<TcpCheck>,
    /// What is asked elsewhere.
    pub overrides: Option<CheckOverrides>,
}

/// A kind of question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CheckKind {
    /// A request.
    Http,
    /// A connection.
    Tcp,
    /// A call; not supported.
    Grpc,
}

/// A request.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpCheck {
    /// The host header; by default the backend's own host name.
    pub hostname: Option<String>,
    /// The path.
    pub path: String,
    /// The method; GET by default.
    pub method: Option<String>,
    /// Answers that are good; 200 by default.
    #[serde(default)]
    pub expected_statuses: Vec<u16>,
    /// Answers that are bad only when they come as often as the threshold says.
    #[serde(default)]
    pub retriable_statuses: Vec<u16>,
    /// What a good answer holds.
    pub expected_response: Option<Payload>,
    /// What is sent.
    pub request_body: Option<Payload>,
}

/// A connection.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpCheck {
    /// What is sent.
    pub send: Option<Payload>,
    /// What must come.
    pub receive: Option<Payload>,
}

/// Bytes, in one of two ways.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Payload {
    /// In which.
    #[serde(rename = "type")]
    pub kind: PayloadKind,
    /// As they are.
    pub text: Option<String>,
    /// In base64.
    pub binary: Option<String>,
}

/// A way to write bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the resource's own words")]
pub enum PayloadKind {
    Text,
    Binary,
}

/// What is asked elsewhere.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckOverrides {
    /// The port.
    pub port: Option<u16>,
}

/// Watching what becomes of requests.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PassiveHealthCheck {
    /// Whether failures to reach an endpoint count apart from what it answers.
    #[serde(default)]
    pub split_external_local_origin_errors: bool,
    /// From one look to the next; 3s by default.
    pub interval: Option<GatewayDuration>,
    /// Failures to reach it in a row, when they count apart; 5 by default.
    pub consecutive_local_origin_failures: Option<u32>,
    /// Answers 502, 503 and 504 in a row.
    pub consecutive_gateway_errors: Option<u32>,
    /// Answers 5xx in a row; 5 by default.
    #[serde(rename = "consecutive5XxErrors")]
    pub consecutive_5xx_errors: Option<u32>,
    /// How long an endpoint is left out the first time; 30s by default.
    pub base_ejection_time: Option<GatewayDuration>,
    /// In percent: as many endpoints are left out at most; 10 by default.
    pub max_ejection_percent: Option<u32>,
    /// In percent: as many requests may fail.
    pub failure_percentage_threshold: Option<u32>,
    /// One endpoint is left out whatever `maxEjectionPercent` says.
    #[serde(default)]
    pub always_eject_one_endpoint: bool,
}
