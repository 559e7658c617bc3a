//! What a request used, in tokens, and the books it is entered in.

pub mod cost;
pub mod ledger;
pub mod record;

use serde::{Deserialize, Serialize};

/// Token counters of one request. `None` means that the provider did not report the counter, which is not the same
/// as zero.
///
/// One meaning for every provider: `input` contains the cached tokens (OpenAI's convention; Anthropic and Bedrock
/// report cache reads and writes beside the input, so their decoders add them), and `output` contains the
/// reasoning tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens of the prompt, cache reads and cache writes included.
    pub input: Option<u64>,
    /// Those of `input` that were read from a prompt cache.
    pub cached_input: Option<u64>,
    /// Those of `input` that were written to a prompt cache.
    pub cache_creation_input: Option<u64>,
    /// Tokens of the answer, reasoning included.
    pub output: Option<u64>,
    /// Those of `output` that were spent on reasoning.
    pub reasoning: Option<u64>,
    /// `input + output`, or what the provider calls the total.
    pub total: Option<u64>,
}

impl Usage {
    /// Takes over every counter that `later` reports; providers repeat cumulative counters during a stream, so a 0
    /// after another value means "not said here".
    pub fn merge(&mut self, later: Usage) {
        let pick =
            |now: &mut Option<u64>, new: Option<u64>| *now = new.filter(|new| *new > 0).or(*now).or(new);
        pick(&mut self.input, later.input);
        pick(&mut self.cached_input, later.cached_input);
        pick(&mut self.cache_creation_input, later.cache_creation_input);
        pick(&mut self.output, later.output);
        pick(&mut self.reasoning, later.reasoning);
        pick(&mut self.total, later.total);
    }

    /// True while no counter was reported.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Usage::default()
    }

    /// The total as reported or the sum of input and output, whichever is larger: some servers write a 0 for what they
    /// did not add up. `None` when none of them is known.
    #[must_use]
    pub fn total_or_sum(&self) -> Option<u64> {
        let sum = match (self.input, self.output) {
            (None, None) => None,
            (input, output) => Some(input.unwrap_or(0).saturating_add(output.unwrap_or(0))),
        };
        self.total.max(sum)
    }

    /// Takes a 0 where there must have been something for a counter that is not reported, and finds one that is missing
    /// from the total. `has_output`: there was output.
    #[must_use]
    pub fn deduced(mut self, has_output: bool) -> Usage {
        let is_zero = |counter: Option<u64>| counter.unwrap_or(0) == 0;
        if has_output && is_zero(self.output) {
            self.output = None;
        }
        if is_zero(self.input) && is_zero(self.output) {
            self.input = None;
        }
        if let Some(total) = self.total {
            let rest = |of: Option<u64>| total.checked_sub(of.unwrap_or(0)).filter(|rest| *rest > 0);
            if is_zero(self.input) && self.output.is_some() {
                self.input = rest(self.output).or(self.input);
            } else if self.output.is_none() && self.input.is_some() && has_output {
                self.output = rest(self.input);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: Option<u64>, output: Option<u64>, total: Option<u64>) -> Usage {
        Usage { input, output, total, ..Usage::default() }
    }

    #[test]
    fn the_larger_of_total_and_sum_counts() {
        for (reported, total) in [
            (usage(Some(5), Some(5), Some(0)), Some(10)),
            (usage(Some(5), Some(5), Some(9)), Some(10)),
            (usage(Some(5), Some(5), Some(12)), Some(12)),
            (usage(None, None, Some(7)), Some(7)),
            (usage(None, Some(3), None), Some(3)),
            (usage(Some(u64::MAX), Some(1), None), Some(u64::MAX)),
            (usage(None, None, None), None),
        ] {
            assert_eq!(reported.total_or_sum(), total, "{reported:?}");
        }
    }

    #[test]
    fn a_later_zero_is_no_report() {
        let mut seen = usage(Some(5), Some(6), Some(11));
        seen.merge(usage(Some(0), Some(7), Some(0)));
        assert_eq!(seen, usage(Some(5), Some(7), Some(11)));
        let mut seen = Usage::default();
        seen.merge(usage(Some(0), None, None));
        assert_eq!(seen.input, Some(0));
    }

    #[test]
    fn a_zero_that_cannot_be_is_none_and_the_total_tells_what_is_missing() {
        for (reported, has_output, expected) in [
            (usage(Some(0), Some(0), Some(0)), true, usage(None, None, Some(0))),
            (usage(Some(0), Some(0), Some(0)), false, usage(None, Some(0), Some(0))),
            (usage(Some(5), Some(0), Some(5)), true, usage(Some(5), None, Some(5))),
            (usage(Some(5), Some(0), Some(5)), false, usage(Some(5), Some(0), Some(5))),
            (usage(Some(5), None, Some(12)), true, usage(Some(5), Some(7), Some(12))),
            (usage(None, Some(5), Some(12)), true, usage(Some(7), Some(5), Some(12))),
            (usage(Some(0), Some(5), Some(12)), true, usage(Some(7), Some(5), Some(12))),
            (usage(Some(0), Some(5), Some(5)), true, usage(Some(0), Some(5), Some(5))),
        ] {
            assert_eq!(reported.deduced(has_output), expected, "{reported:?} {has_output}");
        }
    }
}
