//! The record of one request: the one source of the access log, the ledger and the charges.

use serde::{Serialize, Serializer};

use super::{Counter, Usage};

/// How far the usage of a record can be trusted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageStatus {
    /// The answer was complete and the provider reported its usage.
    Complete,
    /// The client left or the stream broke: what had been reported until then, and for the rest what passed through.
    Partial,
    /// The answer was complete and its provider reported nothing that can be read; counted from what passed through.
    Estimated,
    /// Nothing was used: no backend answered, or with an error.
    #[default]
    None,
}

/// An attempt that another one took the place of, though its backend was at work: it took too long, or its stream broke
/// before the client had anything of it. What that backend reads is paid for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Abandoned {
    /// `namespace/name` of its AIServiceBackend.
    pub backend: String,
    /// The model that this one was asked for.
    pub request_model: String,
    /// Reported, or estimated where nothing was; `None` where the endpoint has no tokens.
    pub input_tokens: Option<u64>,
}

impl Abandoned {
    /// What is charged for it.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage::of([(Counter::Input, self.input_tokens)])
    }
}

/// An attempt after which the next backend was asked: it was answered with an error or with a stream that broke, or
/// took too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// `namespace/name` of its AIServiceBackend.
    pub backend: String,
    /// As in [`Record::provider`].
    pub provider: &'static str,
    /// The model that this one was asked for.
    pub request_model: String,
    /// See [`Abandoned::input_tokens`], where it is one.
    pub input_tokens: Option<u64>,
    /// As in [`Record::error`].
    pub error: Option<String>,
}

/// Everything worth knowing about one request when it is over. Its serialised form is the access log line.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Record {
    /// When the request came, in milliseconds since 1970; shown as RFC 3339.
    #[serde(rename = "time", serialize_with = "rfc3339")]
    pub time_ms: u64,
    /// `x-request-id`.
    pub request_id: String,
    /// Who asked: the values of the route's user headers.
    pub user: String,
    /// The operation: `chat`, `messages`, ...; empty for a path that is no endpoint.
    pub endpoint: &'static str,
    /// The model that the client named.
    pub original_model: String,
    /// The model that the backend was asked for.
    pub request_model: String,
    /// The model that the backend says it used.
    pub response_model: String,
    /// `namespace/name` of the AIServiceBackend that answered, or was tried last, or could not be asked.
    pub backend: String,
    /// Which provider's API that one speaks, by OpenTelemetry's name where it has one: `openai`, `aws.bedrock`, ...;
    /// empty where no backend was chosen.
    pub provider: &'static str,
    /// The rule that took the request.
    pub route: String,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// How often a request was made for a backend. What was refused before that counts nothing.
    pub attempts: u32,
    /// The HTTP status that the client got; 0 when it left before.
    pub status: u16,
    /// What it used, with the total of [`Usage::total_or_sum`].
    #[serde(flatten)]
    pub usage: Usage,
    /// How far the counters can be trusted.
    pub usage_status: UsageStatus,
    /// Attempts whose backends were at work when another one followed.
    pub abandoned: Vec<Abandoned>,
    /// Attempts after which the next backend was asked, those of `abandoned` among them.
    #[serde(skip)]
    pub left: Vec<Left>,
    /// What went wrong, as the client was told; what a provider says may repeat a part of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The labels that its headers have in metrics, with their values.
    #[serde(skip)]
    pub labels: Vec<(String, String)>,
    /// What the backend's API could not express: `field: reason`.
    pub losses: Vec<String>,
    /// From the request to the first byte of content, in milliseconds.
    pub ttft_ms: Option<u64>,
    /// From the request to its end, in milliseconds.
    pub duration_ms: u64,
}

impl Record {
    /// Enters `usage` and how far it can be trusted.
    pub fn set_usage(&mut self, usage: &Usage, status: UsageStatus) {
        self.usage = usage.with_total();
        self.usage_status = status;
    }

    /// The access log line, without its line end.
    #[must_use]
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn rfc3339<S: Serializer>(ms: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    let time = i64::try_from(*ms).ok().and_then(chrono::DateTime::from_timestamp_millis).unwrap_or_default();
    serializer.serialize_str(&time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

#[cfg(test)]
impl Record {
    /// A record of nothing.
    pub(crate) fn for_tests() -> Record {
        Record {
            time_ms: 1_767_225_600_000,
            request_id: "r-1".to_owned(),
            user: String::new(),
            endpoint: "chat",
            original_model: "m".to_owned(),
            request_model: "m".to_owned(),
            response_model: String::new(),
            backend: "default/b".to_owned(),
            provider: "openai",
            route: "default/r/rule/0".to_owned(),
            stream: false,
            attempts: 1,
            status: 200,
            usage: Usage::default(),
            usage_status: UsageStatus::None,
            abandoned: Vec::new(),
            left: Vec::new(),
            error: None,
            labels: Vec::new(),
            losses: Vec::new(),
            ttft_ms: None,
            duration_ms: 0,
        }
    }
}
