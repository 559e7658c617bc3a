//! The ledger: what each user used of each model at each backend, in data that all workers share.
//!
//! Shared data can neither be listed nor deleted, so the ledger is a fixed number of shards, each a bounded map that is
//! replaced whole by compare and swap. A full shard moves its least recently used entry into a total of what it
//! evicted: single users may be forgotten, tokens never are.

mod shard;

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytemuck::{Pod, Zeroable, must_cast_mut, must_cast_ref};
use serde::Serialize;

use self::shard::Shard;
use super::Counter;
use super::record::{Abandoned, Record, UsageStatus};
use crate::store::{Store, update};

/// How many shards there are. A listing reads them all.
pub const SHARDS: u64 = 1024;

/// The longest user, model or backend name that is kept, in characters; clients may choose two of them.
const MAX_NAME: usize = 200;

/// Whose usage it is, of what.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Key<'a> {
    /// The values of the user headers; empty when the request had none.
    pub user: Cow<'a, str>,
    /// The model that the backend was asked for: what prices are for.
    pub model: Cow<'a, str>,
    /// The backend that answered.
    pub backend: Cow<'a, str>,
}

/// Sums over requests; tokens, except where the name says otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Zeroable, Pod)]
#[repr(C)]
pub struct Totals {
    /// Requests that used something. One that two backends were at work on counts at each.
    pub requests: u64,
    /// Those of `requests` whose usage is partial or estimated.
    pub uncertain_requests: u64,
    /// See [`Counter::Input`].
    pub input_tokens: u64,
    /// See [`Counter::CachedInput`].
    pub cached_input_tokens: u64,
    /// See [`Counter::CacheCreationInput`].
    pub cache_creation_input_tokens: u64,
    /// See [`Counter::Output`].
    pub output_tokens: u64,
    /// See [`Counter::Reasoning`].
    pub reasoning_tokens: u64,
    /// See [`super::Usage::total_or_sum`].
    pub total_tokens: u64,
}

/// [`Totals`], one after the other.
type Numbers = [u64; size_of::<Totals>() / size_of::<u64>()];

impl Totals {
    fn of(record: &Record) -> Totals {
        let count = |counter| record.usage.get(counter).unwrap_or(0);
        Totals {
            requests: 1,
            uncertain_requests: u64::from(record.usage_status != UsageStatus::Complete),
            input_tokens: count(Counter::Input),
            cached_input_tokens: count(Counter::CachedInput),
            cache_creation_input_tokens: count(Counter::CacheCreationInput),
            output_tokens: count(Counter::Output),
            reasoning_tokens: count(Counter::Reasoning),
            total_tokens: count(Counter::Total),
        }
    }

    fn of_abandoned(attempt: &Abandoned) -> Option<Totals> {
        let input_tokens = attempt.input_tokens?;
        Some(Totals {
            requests: 1,
            uncertain_requests: 1,
            input_tokens,
            total_tokens: input_tokens,
            ..Totals::default()
        })
    }

    /// Adds `other`; sums stop at the largest number instead of wrapping.
    pub fn add(&mut self, other: &Totals) {
        let sums: &mut Numbers = must_cast_mut(self);
        let more: &Numbers = must_cast_ref(other);
        for (sum, more) in sums.iter_mut().zip(more) {
            *sum = sum.saturating_add(*more);
        }
    }
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Whose usage, of what.
    #[serde(flatten)]
    pub key: Key<'static>,
    /// The sums.
    #[serde(flatten)]
    pub totals: Totals,
}

/// Everything the ledger holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// A line for each user, model and backend, sorted.
    pub records: Vec<Line>,
    /// The sums of lines that were evicted to make room.
    pub evicted: Totals,
    /// The sums of everything, evicted lines included.
    pub total: Totals,
}

fn shard_key(index: u64) -> String {
    format!("weir.ledger.{index}")
}

fn clip(name: &str) -> Cow<'_, str> {
    let end = name.char_indices().nth(MAX_NAME).map_or(name.len(), |(end, _)| end);
    name.get(..end).unwrap_or_default().into()
}

impl Key<'_> {
    fn names(&self) -> [&[u8]; 3] {
        [&self.user, &self.model, &self.backend].map(|name| name.as_bytes())
    }

    fn into_owned(self) -> Key<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Key { user: owned(self.user), model: owned(self.model), backend: owned(self.backend) }
    }
}

/// Enters what `record` says was used, at each backend that was at work. False when shared data could not be written:
/// the caller logs that.
pub fn enter(store: &dyn Store, record: &Record, now_seconds: u64) -> bool {
    let key = |model, backend| Key { user: clip(&record.user), model: clip(model), backend: clip(backend) };
    let mut written = true;
    for attempt in &record.abandoned {
        if let Some(totals) = Totals::of_abandoned(attempt) {
            written &= add(store, &key(&attempt.request_model, &attempt.backend), &totals, now_seconds);
        }
    }
    if record.usage_status != UsageStatus::None {
        let totals = Totals::of(record);
        written &= add(store, &key(&record.request_model, &record.backend), &totals, now_seconds);
    }
    written
}

fn add(store: &dyn Store, key: &Key<'_>, totals: &Totals, now_seconds: u64) -> bool {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    update(store, &shard_key(hasher.finish() % SHARDS), |bytes| {
        let mut shard = Shard::of(bytes);
        shard.add(key, totals, now_seconds);
        (Some(shard.into_bytes()), ())
    })
    .is_some()
}

/// Reads all shards.
#[must_use]
pub fn list(store: &dyn Store) -> Listing {
    let mut listing = Listing::default();
    for index in 0..SHARDS {
        let Some(now) = store.get(&shard_key(index)) else { continue };
        let shard = Shard::of(Some(&now.value));
        listing.evicted.add(&shard.evicted());
        listing.total.add(&shard.evicted());
        for (key, totals) in shard.lines() {
            listing.total.add(&totals);
            listing.records.push(Line { key: key.into_owned(), totals });
        }
    }
    listing.records.sort_by(|a, b| {
        (&a.key.user, &a.key.model, &a.key.backend).cmp(&(&b.key.user, &b.key.model, &b.key.backend))
    });
    listing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Memory;
    use crate::usage::Usage;

    fn record(user: &str, input: u64, status: UsageStatus) -> Record {
        let mut record = Record::for_tests();
        record.user = user.to_owned();
        record.set_usage(&Usage::of([(Counter::Input, Some(input)), (Counter::Output, Some(1))]), status);
        record
    }

    #[test]
    fn usage_adds_up_per_user_model_and_backend() {
        let store = Memory::default();
        assert!(enter(&store, &record("ann", 10, UsageStatus::Complete), 1));
        assert!(enter(&store, &record("bob", 5, UsageStatus::Complete), 2));
        assert!(enter(&store, &record("ann", 7, UsageStatus::Partial), 3));
        assert!(enter(&store, &record("eve", 7, UsageStatus::None), 3));
        let listing = list(&store);
        let lines: Vec<_> = listing
            .records
            .iter()
            .map(|line| {
                (
                    line.key.user.as_ref(),
                    line.totals.requests,
                    line.totals.input_tokens,
                    line.totals.total_tokens,
                )
            })
            .collect();
        assert_eq!(lines, [("ann", 2, 17, 19), ("bob", 1, 5, 6)]);
        assert_eq!(listing.total.uncertain_requests, 1);
    }

    #[test]
    fn long_names_are_clipped_and_a_foreign_shard_starts_anew() {
        let store = Memory::default();
        for index in 0..SHARDS {
            crate::store::Store::swap(&store, &shard_key(index), b"\xff\xff\xff\xff", None).unwrap();
        }
        assert!(enter(&store, &record(&"ä".repeat(1000), 1, UsageStatus::Complete), 1));
        assert_eq!(list(&store).records[0].key.user.chars().count(), MAX_NAME);
    }
}
