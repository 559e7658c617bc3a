//! Converse's counters, which keep cache reads and writes beside the input.

use serde::Deserialize;

use crate::usage::{Counter, Usage};
use crate::wire::usage::{Count, Lenient, Tally, anything, each, sum};

/// `usage` of an answer and of the event `metadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Counters {
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_write_input_tokens: Count,
    #[serde(deserialize_with = "each")]
    cache_details: Writes,
}

/// The writes by how long they are kept.
#[derive(Debug, Default)]
struct Writes {
    all: Option<u64>,
    five_minutes: Option<u64>,
    hour: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CacheDetail {
    #[serde(deserialize_with = "anything")]
    ttl: Ttl,
    input_tokens: Count,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Ttl {
    FiveMinutes,
    Hour,
    #[default]
    Other,
}

impl Lenient for Ttl {
    fn of_text(ttl: &str) -> Self {
        match ttl {
            "5m" => Ttl::FiveMinutes,
            "1h" => Ttl::Hour,
            _ => Ttl::Other,
        }
    }
}

impl Tally for Writes {
    type Item = CacheDetail;

    fn add(&mut self, item: CacheDetail) {
        let tokens = item.input_tokens.get();
        self.all = sum([self.all, tokens]);
        match item.ttl {
            Ttl::FiveMinutes => self.five_minutes = sum([self.five_minutes, tokens]),
            Ttl::Hour => self.hour = sum([self.hour, tokens]),
            Ttl::Other => {}
        }
    }
}

impl Counters {
    /// In the gateway's own meaning: the input contains what the cache gave and took.
    pub(super) fn usage(&self) -> Usage {
        let read = self.cache_read_input_tokens.get();
        let write = self.cache_write_input_tokens.get().or(self.cache_details.all);
        let input = sum([self.input_tokens.get(), read, write]);
        let output = self.output_tokens.get();
        Usage::of([
            (Counter::Input, input),
            (Counter::CachedInput, read),
            (Counter::CacheCreationInput, write),
            (Counter::Output, output),
            (Counter::Total, input.zip(output).map(|(input, output)| input.saturating_add(output))),
            (Counter::CacheCreation5mInput, self.cache_details.five_minutes),
            (Counter::CacheCreation1hInput, self.cache_details.hour),
        ])
    }
}

/// `usage` as Converse wrote it.
pub(in crate::wire) fn read(usage: &[u8]) -> Usage {
    serde_json::from_slice::<Counters>(usage).map(|counters| counters.usage()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_contains_the_cache() {
        let usage = |json: &str| serde_json::from_str::<Counters>(json).unwrap().usage();
        let all = usage(
            r#"{"inputTokens":10,"outputTokens":3,"totalTokens":13,"cacheReadInputTokens":5,"cacheWriteInputTokens":2}"#,
        );
        assert_eq!(
            (all.input(), all.get(Counter::CachedInput), all.get(Counter::CacheCreationInput)),
            (Some(17), Some(5), Some(2))
        );
        assert_eq!((all.output(), all.total()), (Some(3), Some(20)));
        let by_lifetime = usage(
            r#"{"inputTokens":1,"cacheDetails":[{"ttl":"1h","inputTokens":4},{"ttl":"5m","inputTokens":3}]}"#,
        );
        assert_eq!((by_lifetime.input(), by_lifetime.get(Counter::CacheCreationInput)), (Some(8), Some(7)));
        assert!(usage("{}").is_empty() && usage(r#"{"inputTokens":null}"#).is_empty());
    }
}
