//! Metrics: what requests add up to, in the names that dashboards of generative AI chart.
//!
//! Names, labels and buckets are those of Envoy AI Gateway, which follow OpenTelemetry's conventions
//! (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/>). Every number comes from the [`Record`] of a
//! request, when that is over. A worker adds to a [`Metrics`] of its own, which nobody else writes; whoever asks gets
//! the sum of all ([`Metrics::merge`]) as text ([`Metrics::to_text`]).

mod gauges;
mod header_labels;
mod histogram;
mod labels;
mod numbers;
mod recent;
mod text;

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use crate::store::{Store, update};
use crate::usage::record::Record;

pub use self::gauges::{Credential, Gauges};
pub use self::header_labels::HeaderLabels;
pub use self::labels::Labels;
use self::numbers::Numbers;
pub use self::recent::Failure;
use self::recent::Recent;

/// The most combinations of labels that one worker tells apart. Clients may choose the names of models: with the rest
/// these are `other`.
const MAX_SERIES: usize = 2000;

/// The key of the number of those that have published.
const PUBLISHERS: &str = "weir.metrics";

type Hasher = BuildHasherDefault<DefaultHasher>;

/// The metrics of one worker, or the sum of several.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    series: Vec<Series>,
    /// By the hash of their labels, or a number behind it where two have the same.
    places: HashMap<u64, usize, Hasher>,
    /// The number under which these are published.
    publisher: Option<u64>,
    recent: Recent,
    /// `recent` has changed since it was last published.
    has_new_failures: bool,
}

/// What all requests with the same labels add up to.
#[derive(Debug, Clone, PartialEq)]
struct Series {
    labels: Labels<'static>,
    numbers: Numbers,
    /// It has changed since it was last published.
    is_new: bool,
}

impl Metrics {
    /// Adds what `record` says. `costs`: what the request costs, by the keys of its route.
    pub fn add(&mut self, record: &Record, costs: &[(String, u64)]) {
        self.has_new_failures |= self.recent.add(record);
        let labels = Labels::of(record);
        let Some(series) = self.series(&labels) else { return };
        series.numbers.add(record);
        for (key, cost) in costs {
            series.numbers.add_cost(key, *cost);
        }
        series.is_new = true;
        for attempt in &record.left {
            if let Some(series) = self.series(&Labels::of_left(record, attempt)) {
                series.numbers.add_left(attempt);
                series.is_new = true;
            }
        }
    }

    /// Adds what `other` has.
    pub fn merge(&mut self, other: &Metrics) {
        for from in &other.series {
            if let Some(to) = self.series(&from.labels) {
                to.numbers.merge(&from.numbers);
                to.is_new = true;
            }
        }
        self.recent.merge(&other.recent);
    }

    /// The latest requests that did not succeed, and attempts after which the next backend was asked; the newest first.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.recent.iter()
    }

    /// The series of `labels`, or, where there are too many, that of all others like them.
    fn series(&mut self, labels: &Labels<'_>) -> Option<&mut Series> {
        let place = match self.place(labels) {
            Ok(place) => place,
            Err(hash) if self.series.len() < MAX_SERIES => self.insert(hash, labels),
            Err(_) => {
                let others = labels.of_others();
                match self.place(&others) {
                    Ok(place) => place,
                    Err(hash) => self.insert(hash, &others),
                }
            }
        };
        self.series.get_mut(place)
    }

    /// Where the series of `labels` is, or under which number it can be inserted.
    fn place(&self, labels: &Labels<'_>) -> Result<usize, u64> {
        let mut hash = Hasher::default().hash_one(labels);
        while let Some(&place) = self.places.get(&hash) {
            if self.series.get(place).is_some_and(|series| series.labels == *labels) {
                return Ok(place);
            }
            hash = hash.wrapping_add(1);
        }
        Err(hash)
    }

    fn insert(&mut self, hash: u64, labels: &Labels<'_>) -> usize {
        let place = self.series.len();
        self.places.insert(hash, place);
        self.series.push(Series { labels: labels.to_owned(), numbers: Numbers::default(), is_new: true });
        place
    }

    /// Writes what has changed since the last time where all workers find it, for workers that share nothing else.
    /// False when it could not be written.
    pub fn publish(&mut self, store: &dyn Store) -> bool {
        // Whatever happens, some series counts it.
        if !self.series.iter().any(|series| series.is_new) {
            return true;
        }
        let Some(publisher) = self.publisher.or_else(|| next_publisher(store)) else { return false };
        self.publisher = Some(publisher);
        let mut written = true;
        for (index, series) in self.series.iter_mut().enumerate().filter(|(_, series)| series.is_new) {
            let bytes = series.encode();
            series.is_new = !store.change(&key(publisher, index), &mut |_| Some(bytes.clone()));
            written &= !series.is_new;
        }
        if self.has_new_failures {
            // Texts and numbers alone: writing them to memory does not fail.
            let bytes = serde_json::to_vec(&self.recent).unwrap_or_default();
            self.has_new_failures = !store.change(&failures_key(publisher), &mut |_| Some(bytes.clone()));
            written &= !self.has_new_failures;
        }
        written
    }

    /// The sum of all that was published.
    #[must_use]
    pub fn published(store: &dyn Store) -> Metrics {
        let mut sum = Metrics::default();
        for publisher in 0..publishers(store.get(PUBLISHERS).as_ref().map(|count| count.value.as_slice())) {
            for index in 0.. {
                let Some(series) = store.get(&key(publisher, index)) else { break };
                let Some((labels, numbers)) = Series::decode(&series.value) else { continue };
                if let Some(to) = sum.series(&labels) {
                    to.numbers.merge(&numbers);
                }
            }
            let failures = store.get(&failures_key(publisher));
            if let Some(recent) = failures.and_then(|failures| serde_json::from_slice(&failures.value).ok()) {
                sum.recent.merge(&recent);
            }
        }
        sum
    }
}

impl Series {
    /// The length of the labels, these, and the numbers.
    fn encode(&self) -> Vec<u8> {
        // Texts alone: writing them to memory does not fail.
        let labels = serde_json::to_vec(&self.labels).unwrap_or_default();
        let mut bytes = u32::try_from(labels.len()).unwrap_or_default().to_le_bytes().to_vec();
        bytes.extend(labels);
        self.numbers.encode(&mut bytes);
        bytes
    }

    /// `None`: another version of the filter wrote it.
    fn decode(bytes: &[u8]) -> Option<(Labels<'static>, Numbers)> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (labels, numbers) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        Some((serde_json::from_slice(labels).ok()?, Numbers::decode(numbers)?))
    }
}

fn key(publisher: u64, index: usize) -> String {
    format!("weir.metrics.{publisher}.{index}")
}

fn failures_key(publisher: u64) -> String {
    format!("weir.metrics.{publisher}.failures")
}

/// How many have published.
fn publishers(count: Option<&[u8]>) -> u64 {
    count.and_then(|count| count.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn next_publisher(store: &dyn Store) -> Option<u64> {
    update(store, PUBLISHERS, |count| {
        let publisher = publishers(count);
        (Some(publisher.saturating_add(1).to_le_bytes().to_vec()), publisher)
    })
}

#[cfg(test)]
mod tests;
