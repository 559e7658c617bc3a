//! Anthropic's counters, which keep cache reads and writes beside the input.

use serde::Deserialize;

use crate::usage::Usage;
use crate::wire::usage::Count;

/// `usage` of an answer, of `message_start` and of `message_delta`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Counters {
    input_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    output_tokens: Count,
    output_tokens_details: Option<OutputDetails>,
    pub(super) service_tier: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Count,
}

/// The counters of one answer so far.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    input: Option<u64>,
    cache_read: Option<u64>,
    cache_creation: Option<u64>,
    output: Option<u64>,
    thinking: Option<u64>,
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
        raise(&mut self.input, counters.input_tokens);
        raise(&mut self.cache_read, counters.cache_read_input_tokens);
        raise(&mut self.cache_creation, counters.cache_creation_input_tokens);
    }

    /// `message_delta` tells the output so far, and may tell the input again.
    pub(crate) fn delta(&mut self, counters: &Counters) {
        self.start(counters);
        raise(&mut self.output, counters.output_tokens);
        if let Some(details) = &counters.output_tokens_details {
            raise(&mut self.thinking, details.thinking_tokens);
        }
    }

    /// In the gateway's own meaning: the input contains what the cache gave and took.
    pub(crate) fn usage(&self) -> Usage {
        let parts = [self.input, self.cache_read, self.cache_creation];
        let input = parts.iter().flatten().copied().reduce(u64::saturating_add);
        Usage {
            input,
            cached_input: self.cache_read,
            cache_creation_input: self.cache_creation,
            output: self.output,
            reasoning: self.thinking,
            total: input.zip(self.output).map(|(input, output)| input.saturating_add(output)),
        }
    }
}

/// Counters are cumulative, so a 0 after another value means "not said here".
fn raise(total: &mut Option<u64>, count: Count) {
    let count = count.get();
    if count.is_some_and(|count| count > 0) || total.is_none() {
        *total = count;
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
        assert_eq!((at_start.input, at_start.output, at_start.total), (Some(30), None, None));

        totals.delta(&counters(
            r#"{"input_tokens":0,"cache_read_input_tokens":25,"output_tokens":3,"output_tokens_details":{"thinking_tokens":2}}"#,
        ));
        totals.delta(&counters(r#"{"output_tokens":9}"#));
        let usage = totals.usage();
        assert_eq!(usage.input, Some(35));
        assert_eq!(usage.cached_input, Some(25));
        assert_eq!(usage.cache_creation_input, Some(0));
        assert_eq!(usage.output, Some(9));
        assert_eq!(usage.reasoning, Some(2));
        assert_eq!(usage.total, Some(44));
    }

    #[test]
    fn nothing_reported_is_not_zero() {
        assert!(Totals::of_answer(&counters("{}")).usage().is_empty());
    }
}
