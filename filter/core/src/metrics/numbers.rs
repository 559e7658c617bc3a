//! What the requests of a series add up to.

use super::histogram::{Buckets, DURATION, FIRST_TOKEN, Histogram, PER_TOKEN, TOKENS};
use crate::usage::record::{Left, Record, UsageStatus};
use crate::usage::{Counter, Usage};

/// The most costs that one series keeps; a route has 36 at most.
const MAX_COSTS: usize = 64;

/// The types of tokens that are counted apart, and their counters.
pub(super) const TOKEN_TYPES: [(&str, Counter); 5] = [
    ("input", Counter::Input),
    ("cached_input", Counter::CachedInput),
    ("cache_creation_input", Counter::CacheCreationInput),
    ("output", Counter::Output),
    ("reasoning", Counter::Reasoning),
];

/// The sums over all requests with the same labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Numbers {
    /// Of each of [`TOKEN_TYPES`].
    pub(super) tokens: [Histogram<15>; TOKEN_TYPES.len()],
    /// Of all requests.
    pub(super) duration: Histogram<15>,
    /// Of streams that had content.
    pub(super) first_token: Histogram<22>,
    /// Of streams of more than one token.
    pub(super) per_token: Histogram<14>,
    /// How often requests were made for backends.
    pub(super) attempts: u64,
    /// Attempts after which another backend was asked.
    pub(super) failovers: u64,
    /// Fields that did not reach a backend, or a client.
    pub(super) losses: u64,
    /// Requests whose usage is partial or estimated.
    pub(super) uncertain: u64,
    /// What was charged, by the key of the cost.
    pub(super) costs: Vec<(String, u64)>,
}

impl Numbers {
    pub(super) fn add(&mut self, record: &Record) {
        self.add_usage(&record.usage);
        self.duration.add(&DURATION, micros(record.duration_ms));
        if let Some(first) = record.ttft_ms.filter(|_| record.stream) {
            self.first_token.add(&FIRST_TOKEN, micros(first));
            let further = record.usage.output().and_then(|output| output.checked_sub(1));
            let time = micros(record.duration_ms.saturating_sub(first));
            if let Some(each) = further.and_then(|further| time.checked_div(further)) {
                self.per_token.add(&PER_TOKEN, each);
            }
        }
        let is_uncertain = matches!(record.usage_status, UsageStatus::Partial | UsageStatus::Estimated);
        self.attempts = self.attempts.saturating_add(record.attempts.into());
        self.losses = self.losses.saturating_add(record.losses.len() as u64);
        self.uncertain = self.uncertain.saturating_add(is_uncertain.into());
    }

    /// Adds an attempt after which another backend was asked.
    pub(super) fn add_left(&mut self, attempt: &Left) {
        self.failovers = self.failovers.saturating_add(1);
        self.add_usage(&Usage::of([(Counter::Input, attempt.input_tokens)]));
    }

    fn add_usage(&mut self, usage: &Usage) {
        for (histogram, (_, counter)) in self.tokens.iter_mut().zip(TOKEN_TYPES) {
            if let Some(tokens) = usage.get(counter) {
                histogram.add(&TOKENS, tokens);
            }
        }
    }

    pub(super) fn add_cost(&mut self, key: &str, cost: u64) {
        let has_room = self.costs.len() < MAX_COSTS;
        match self.costs.iter_mut().find(|(known, _)| known == key) {
            Some((_, sum)) => *sum = sum.saturating_add(cost),
            None if has_room => self.costs.push((key.to_owned(), cost)),
            None => {}
        }
    }

    pub(super) fn merge(&mut self, other: &Numbers) {
        let mut other = other.clone();
        for (sum, more) in self.fixed().zip(other.fixed()) {
            *sum = sum.saturating_add(*more);
        }
        for (key, cost) in &other.costs {
            self.add_cost(key, *cost);
        }
    }

    /// All numbers but the costs, in their order.
    fn fixed(&mut self) -> impl Iterator<Item = &mut u64> {
        let tokens = self.tokens.iter_mut().flat_map(Histogram::numbers);
        let times = self.duration.numbers().chain(self.first_token.numbers()).chain(self.per_token.numbers());
        tokens.chain(times).chain([
            &mut self.attempts,
            &mut self.failovers,
            &mut self.losses,
            &mut self.uncertain,
        ])
    }

    /// Appends the costs as JSON behind the other numbers.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        let mut copy = self.clone();
        copy.fixed().for_each(|number| bytes.extend(number.to_le_bytes()));
        // Texts and numbers alone: writing them to memory does not fail.
        bytes.extend(serde_json::to_vec(&self.costs).unwrap_or_default());
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Option<Numbers> {
        let mut numbers = Numbers::default();
        for number in numbers.fixed() {
            let (first, rest) = bytes.split_first_chunk()?;
            *number = u64::from_le_bytes(*first);
            bytes = rest;
        }
        numbers.costs = serde_json::from_slice(bytes).ok()?;
        Some(numbers)
    }

    /// How many requests there were.
    pub(super) fn requests(&self) -> u64 {
        self.duration.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

fn micros(ms: u64) -> u64 {
    ms.saturating_mul(1000)
}

/// The buckets that each histogram has a count for.
const _: () = {
    const fn fits(buckets: &Buckets, counts: usize) -> bool {
        buckets.bounds.len() + 1 == counts
    }
    assert!(fits(&TOKENS, 15) && fits(&DURATION, 15) && fits(&FIRST_TOKEN, 22) && fits(&PER_TOKEN, 14));
};
