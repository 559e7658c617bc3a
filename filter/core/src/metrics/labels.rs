//! What a series tells apart.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::usage::record::{Left, Record, UsageStatus};

/// The longest value of a label, in characters; clients may choose some of them.
const MAX_VALUE: usize = 100;

/// Stands for what is not known: nobody was asked, or nobody said.
pub(super) const UNKNOWN: &str = "unknown";

/// Why there was no success where the next backend was asked.
const LEFT: &str = "failover";

/// Stands for what is too much to be told apart.
const OTHER: &str = "other";

/// The names of the labels that every series has, in their order.
const NAMES: [&str; 7] = [
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_backend",
    "gen_ai_original_model",
    "gen_ai_request_model",
    "gen_ai_response_model",
    "error_type",
];

/// The label of a type of tokens.
pub(super) const TOKEN_TYPE: &str = "gen_ai_token_type";

/// The label of a cost's key.
pub(super) const COST: &str = "cost";

/// The label of a bucket's bound.
pub(super) const BOUND: &str = "le";

/// Whether the label `name` has a meaning already.
pub(super) fn is_own(name: &str) -> bool {
    NAMES.contains(&name) || [TOKEN_TYPE, COST, BOUND].contains(&name)
}

/// The labels of a series.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Labels<'a> {
    /// What was asked for.
    pub operation: Cow<'a, str>,
    /// Who was asked: the API of the backend.
    pub provider: Cow<'a, str>,
    /// `namespace/name` of the AIServiceBackend.
    pub backend: Cow<'a, str>,
    /// The model that the client named.
    pub original_model: Cow<'a, str>,
    /// The model that the backend was asked for.
    pub request_model: Cow<'a, str>,
    /// The model that the backend says it used.
    pub response_model: Cow<'a, str>,
    /// Why there was no success; empty where there was.
    pub error: Cow<'a, str>,
    /// Of request headers that the configuration names.
    #[serde(default)]
    pub of_headers: Cow<'a, [(String, String)]>,
}

impl<'a> Labels<'a> {
    /// Those of one request.
    #[must_use]
    pub fn of(record: &'a Record) -> Labels<'a> {
        Labels {
            operation: known(record.endpoint),
            provider: known(record.provider),
            backend: known(&record.backend),
            original_model: known(&record.original_model),
            request_model: known(&record.request_model),
            response_model: known(&record.response_model),
            error: error(record),
            of_headers: Cow::Borrowed(&record.labels),
        }
    }

    /// Those of an attempt after which another backend was asked.
    #[must_use]
    pub fn of_left(record: &'a Record, attempt: &'a Left) -> Labels<'a> {
        Labels {
            provider: known(attempt.provider),
            backend: known(&attempt.backend),
            request_model: known(&attempt.request_model),
            response_model: UNKNOWN.into(),
            error: LEFT.into(),
            ..Labels::of(record)
        }
    }

    /// The same without what clients may choose.
    pub(super) fn of_others(&self) -> Labels<'a> {
        let other = || Cow::Borrowed(OTHER);
        let of_headers = self.of_headers.iter().map(|(name, _)| (name.clone(), OTHER.to_owned()));
        Labels {
            original_model: other(),
            request_model: other(),
            response_model: other(),
            of_headers: of_headers.collect(),
            ..self.clone()
        }
    }

    /// Each with its name, in their order.
    pub(super) fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        let values: [&str; NAMES.len()] = [
            &self.operation,
            &self.provider,
            &self.backend,
            &self.original_model,
            &self.request_model,
            &self.response_model,
            &self.error,
        ];
        let of_headers = self.of_headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        NAMES.into_iter().zip(values).chain(of_headers)
    }

    pub(super) fn to_owned(&self) -> Labels<'static> {
        let owned = |value: &Cow<'_, str>| Cow::Owned(value.clone().into_owned());
        Labels {
            operation: owned(&self.operation),
            provider: owned(&self.provider),
            backend: owned(&self.backend),
            original_model: owned(&self.original_model),
            request_model: owned(&self.request_model),
            response_model: owned(&self.response_model),
            error: owned(&self.error),
            of_headers: Cow::Owned(self.of_headers.clone().into_owned()),
        }
    }
}

fn known(value: &str) -> Cow<'_, str> {
    if value.is_empty() { UNKNOWN.into() } else { clipped(value).into() }
}

/// Not more of a value than a label has.
pub(super) fn clipped(value: &str) -> &str {
    let end = value.char_indices().nth(MAX_VALUE).map_or(value.len(), |(end, _)| end);
    value.get(..end).unwrap_or_default()
}

/// The status of an error. A client that has left got none; a stream that broke, or whose client left, has one of
/// success and is told by its usage.
fn error(record: &Record) -> Cow<'static, str> {
    /// Those that there are many of, so that most labels need no memory of their own.
    const COMMON: [(u16, &str); 9] = [
        (400, "400"),
        (401, "401"),
        (403, "403"),
        (404, "404"),
        (422, "422"),
        (429, "429"),
        (500, "500"),
        (503, "503"),
        (504, "504"),
    ];
    match record.status {
        0 => "canceled".into(),
        status @ 400.. => match COMMON.iter().find(|(common, _)| *common == status) {
            Some((_, text)) => (*text).into(),
            None => status.to_string().into(),
        },
        _ if record.usage_status == UsageStatus::Partial => "interrupted".into(),
        _ => "".into(),
    }
}
