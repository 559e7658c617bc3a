//! Anthropic's counters, which keep cache reads and writes beside the input.

use serde::Deserialize;

use crate::usage::{Counter, Usage};
use crate::wire::usage::{Count, Lenient, Tally, anything, each, object, sum};

/// `usage` of an answer, of `message_start` and of `message_delta`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Counters {
    input_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    #[serde(deserialize_with = "object")]
    cache_creation: CacheCreation,
    output_tokens: Count,
    #[serde(deserialize_with = "object")]
    output_tokens_details: OutputDetails,
    #[serde(deserialize_with = "object")]
    server_tool_use: ServerToolUse,
    #[serde(deserialize_with = "each")]
    iterations: Compactions,
    pub(super) service_tier: Option<String>,
    /// Of an iteration.
    #[serde(rename = "type", deserialize_with = "anything")]
    kind: Kind,
}

/// The writes by how long they are kept.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Count,
    ephemeral_1h_input_tokens: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServerToolUse {
    web_search_requests: Count,
    web_fetch_requests: Count,
    code_execution_requests: Count,
}

/// What making a conversation shorter used, as Anthropic counts it. The other counters do not contain it, as they do
/// all other iterations of the model: `anthropic.types.beta.BetaUsage`.
#[derive(Debug, Clone, Copy, Default)]
struct Compactions(Usage);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    Compaction,
    #[default]
    Other,
}

impl Lenient for Kind {
    fn of_text(kind: &str) -> Self {
        if kind == "compaction" { Kind::Compaction } else { Kind::Other }
    }
}

impl Tally for Compactions {
    type Item = Counters;

    fn add(&mut self, item: Counters) {
        if item.kind == Kind::Compaction {
            self.0.add(&item.before_output());
            self.0.add(&item.of_output());
        }
    }
}

impl Counters {
    fn before_output(&self) -> Usage {
        Usage::of([
            (Counter::Input, self.input_tokens.get()),
            (Counter::CachedInput, self.cache_read_input_tokens.get()),
            (Counter::CacheCreationInput, self.cache_creation_input_tokens.get()),
            (Counter::CacheCreation5mInput, self.cache_creation.ephemeral_5m_input_tokens.get()),
            (Counter::CacheCreation1hInput, self.cache_creation.ephemeral_1h_input_tokens.get()),
            (Counter::WebSearches, self.server_tool_use.web_search_requests.get()),
            (Counter::WebFetches, self.server_tool_use.web_fetch_requests.get()),
            (Counter::CodeExecutions, self.server_tool_use.code_execution_requests.get()),
        ])
    }

    fn of_output(&self) -> Usage {
        Usage::of([
            (Counter::Output, self.output_tokens.get()),
            (Counter::Reasoning, self.output_tokens_details.thinking_tokens.get()),
        ])
    }
}

/// The counters of one answer so far.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// As Anthropic counts: without the cache in the input.
    told: Usage,
    /// Most answers have none.
    compactions: Option<Box<Usage>>,
}

impl Totals {
    /// Of a whole answer.
    pub(crate) fn of_answer(counters: &Counters) -> Self {
        let mut totals = Self::default();
        totals.delta(counters);
        totals
    }

    /// `message_start` tells the input. Its `output_tokens` is a first estimate and does not count.
    pub(crate) fn start(&mut self, counters: &Counters) {
        self.told.merge(counters.before_output());
        if !counters.iterations.0.is_empty() {
            self.compactions.get_or_insert_default().merge(counters.iterations.0);
        }
    }

    /// `message_delta` tells the output so far, and may tell the input again.
    pub(crate) fn delta(&mut self, counters: &Counters) {
        self.start(counters);
        self.told.merge(counters.of_output());
    }

    /// In the gateway's own meaning: the input contains what the cache gave and took.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = self.told;
        if let Some(compactions) = &self.compactions {
            usage.add(compactions);
        }
        let parts = [Counter::Input, Counter::CachedInput, Counter::CacheCreationInput];
        let input = sum(parts.map(|part| usage.get(part)));
        let total = input.zip(usage.output()).map(|(input, output)| input.saturating_add(output));
        usage.with([(Counter::Input, input), (Counter::Total, total)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(json: &str) -> Counters {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn input_contains_the_cache_and_later_values_replace() {
        let mut totals = Totals::default();
        totals.start(&counters(
            r#"{"input_tokens":10,"cache_read_input_tokens":20,"cache_creation_input_tokens":0,"output_tokens":7}"#,
        ));
        let at_start = totals.usage();
        assert_eq!((at_start.input(), at_start.output(), at_start.total()), (Some(30), None, None));

        totals.delta(&counters(
            r#"{"input_tokens":0,"cache_read_input_tokens":25,"output_tokens":3,"output_tokens_details":{"thinking_tokens":2}}"#,
        ));
        totals.delta(&counters(r#"{"output_tokens":9}"#));
        let usage = totals.usage();
        assert_eq!(usage.input(), Some(35));
        assert_eq!(usage.get(Counter::CachedInput), Some(25));
        assert_eq!(usage.get(Counter::CacheCreationInput), Some(0));
        assert_eq!(usage.output(), Some(9));
        assert_eq!(usage.get(Counter::Reasoning), Some(2));
        assert_eq!(usage.total(), Some(44));
    }

    #[test]
    fn what_compaction_used_is_beside_the_other_counters() {
        let json = r#"{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":7,"iterations":[
            {"type":"compaction","input_tokens":100,"cache_creation_input_tokens":30,"output_tokens":20,
             "cache_creation":{"ephemeral_5m_input_tokens":30}},
            {"type":"compaction","input_tokens":200,"output_tokens":1},
            {"type":"message","input_tokens":10,"output_tokens":7}]}"#;
        let mut totals = Totals::default();
        totals.start(&counters(r#"{"input_tokens":10,"cache_read_input_tokens":5}"#));
        totals.delta(&counters(json));
        totals.delta(&counters(json));
        let expected = Usage::of([
            (Counter::Input, Some(345)),
            (Counter::CachedInput, Some(5)),
            (Counter::CacheCreationInput, Some(30)),
            (Counter::CacheCreation5mInput, Some(30)),
            (Counter::Output, Some(28)),
            (Counter::Total, Some(373)),
        ]);
        assert_eq!(totals.usage(), expected);
        assert_eq!(Totals::of_answer(&counters(json)).usage(), expected);
    }

    #[test]
    fn details_in_another_shape_cost_nothing_else() {
        for odd in [
            "null",
            "7",
            "-7",
            "0.5",
            "\"text\"",
            "true",
            "[]",
            "[1]",
            "{}",
            r#"{"a":[]}"#,
            r#"[{"type":1}]"#,
        ] {
            let json = ["cache_creation", "output_tokens_details", "server_tool_use", "iterations"]
                .map(|member| format!(r#""{member}":{odd}"#))
                .join(",");
            let usage = Totals::of_answer(&counters(&format!(r#"{{"input_tokens":10,{json}}}"#))).usage();
            assert_eq!(usage, Usage::of([(Counter::Input, Some(10))]), "{odd}");
        }
    }

    #[test]
    fn nothing_reported_is_not_zero() {
        assert!(Totals::of_answer(&counters("{}")).usage().is_empty());
    }
}
