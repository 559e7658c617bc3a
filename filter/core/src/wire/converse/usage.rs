//! Converse's counters, which keep cache reads and writes beside the input.

use serde::Deserialize;

use crate::usage::{Counter, Usage};
use crate::wire::usage::Count;

/// `usage` of an answer and of the event `metadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Counters {
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_write_input_tokens: Count,
    /// The writes by how long they are kept.
    cache_details: Option<Vec<CacheDetail>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CacheDetail {
    input_tokens: Count,
}

impl Counters {
    /// In the gateway's own meaning: the input contains what the cache gave and took.
    pub(super) fn usage(&self) -> Usage {
        let read = self.cache_read_input_tokens.get();
        let details = self.cache_details.iter().flatten().filter_map(|detail| detail.input_tokens.get());
        let write = self.cache_write_input_tokens.get().or_else(|| details.reduce(u64::saturating_add));
        let parts = [self.input_tokens.get(), read, write];
        let input = parts.iter().flatten().copied().reduce(u64::saturating_add);
        let output = self.output_tokens.get();
        Usage::of([
            (Counter::Input, input),
            (Counter::CachedInput, read),
            (Counter::CacheCreationInput, write),
            (Counter::Output, output),
            (Counter::Total, input.zip(output).map(|(input, output)| input.saturating_add(output))),
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
