//! The latest errors, for a person who looks.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::usage::record::{Left, Record};

/// How many are kept.
const KEPT: usize = 50;

/// One request that did not succeed, or one attempt of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When the request came, in milliseconds since 1970.
    pub time_ms: u64,
    /// `x-request-id`
    pub request_id: String,
    /// As in the access log.
    pub user: String,
    /// As in the access log.
    pub endpoint: String,
    /// The model that the client named.
    pub model: String,
    /// `namespace/name` of the AIServiceBackend; empty where none was chosen.
    pub backend: String,
    /// What the client got; 0 where it left before, and `None` where the next backend was asked.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: String,
}

/// The latest of them, the newest last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Recent(VecDeque<Failure>);

impl Recent {
    /// Keeps what went wrong with a request. False: nothing did.
    pub(super) fn add(&mut self, record: &Record) -> bool {
        for Left { backend, error, .. } in &record.left {
            let error = error.clone().unwrap_or_else(|| "no answer in time".to_owned());
            self.push(Failure { backend: backend.clone(), status: None, error, ..Failure::of(record) });
        }
        let has_failed = record.error.is_some() || record.status >= 400;
        if has_failed {
            self.push(Failure::of(record));
        }
        has_failed || !record.left.is_empty()
    }

    fn push(&mut self, failure: Failure) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(failure);
    }

    pub(super) fn merge(&mut self, other: &Recent) {
        self.0.extend(other.0.iter().cloned());
        self.0.make_contiguous().sort_by_key(|failure| failure.time_ms);
        let more = self.0.len().saturating_sub(KEPT);
        self.0.drain(..more);
    }

    /// The newest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Failure> {
        self.0.iter().rev()
    }
}

impl Failure {
    fn of(record: &Record) -> Failure {
        Failure {
            time_ms: record.time_ms,
            request_id: record.request_id.clone(),
            user: record.user.clone(),
            endpoint: record.endpoint.to_owned(),
            model: record.original_model.clone(),
            backend: record.backend.clone(),
            status: Some(record.status),
            error: record.error.clone().unwrap_or_default(),
        }
    }
}
