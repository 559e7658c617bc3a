//! What a provider received, for tests to look at.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::object::with;

/// How many requests are kept; older ones are forgotten, so that a load test does not fill the memory.
const KEPT: usize = 2_000;

/// The requests of one port.
#[derive(Debug, Default)]
pub(crate) struct Records(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    list: VecDeque<Record>,
}

#[derive(Debug)]
struct Record {
    id: u64,
    time_ms: i64,
    method: String,
    path: String,
    headers: Map<String, Value>,
    body: Vec<u8>,
    answer: &'static str,
}

impl Records {
    /// Keeps a request and gives the number it goes by and a watch that learns how its answer ends.
    pub(crate) fn add(
        self: &Arc<Self>,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> (u64, Watch) {
        let mut inner = self.lock();
        inner.next += 1;
        let id = inner.next;
        if inner.list.len() >= KEPT {
            inner.list.pop_front();
        }
        inner.list.push_back(Record {
            id,
            time_ms: chrono::Utc::now().timestamp_millis(),
            method: method.to_owned(),
            path: path.to_owned(),
            headers: by_name(headers),
            body: body.to_vec(),
            answer: "open",
        });
        (id, Watch { records: Arc::clone(self), id, ended: Mutex::new(false) })
    }

    /// All requests, oldest first.
    pub(crate) fn list(&self) -> Value {
        self.lock().list.iter().map(Record::show).collect()
    }

    /// Forgets all requests.
    pub(crate) fn clear(&self) {
        self.lock().list.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn show(&self) -> Value {
        let shown = json!({
            "id": self.id,
            "time_ms": self.time_ms,
            "method": self.method,
            "path": self.path,
            "headers": self.headers,
            "answer": self.answer,
        });
        let body = match std::str::from_utf8(&self.body) {
            Ok(text) => json!({"body": text}),
            Err(_) => json!({"body_base64": STANDARD.encode(&self.body)}),
        };
        with(shown, body)
    }
}

/// Values of a header that came several times are joined with a comma.
fn by_name(headers: &HeaderMap) -> Map<String, Value> {
    headers
        .keys()
        .map(|name| {
            let values: Vec<_> =
                headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            (name.to_string(), json!(values.join(", ")))
        })
        .collect()
}

/// Notes how an answer ended: `complete`, `reset` by the script, or `cut` when the client left before its end.
#[derive(Debug)]
pub(crate) struct Watch {
    records: Arc<Records>,
    id: u64,
    ended: Mutex<bool>,
}

impl Watch {
    /// Notes the end; only the first one counts.
    pub(crate) fn end(&self, how: &'static str) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *ended, true) {
            return;
        }
        let mut inner = self.records.lock();
        if let Some(record) = inner.list.iter_mut().rev().find(|record| record.id == self.id) {
            record.answer = how;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end("cut");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_dropped_before_its_end_was_cut() {
        let records = Arc::new(Records::default());
        let (_, first) = records.add("POST", "/a", &HeaderMap::new(), b"x");
        let (_, second) = records.add("POST", "/b", &HeaderMap::new(), &[0xff]);
        first.end("complete");
        drop(first);
        drop(second);
        let list = records.list();
        assert_eq!(list[0]["answer"], "complete");
        assert_eq!(list[0]["body"], "x");
        assert_eq!(list[1]["answer"], "cut");
        assert_eq!(list[1]["body_base64"], "/w==");
    }
}
