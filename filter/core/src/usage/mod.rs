//! What a request used, in tokens, and the books it is entered in.

pub mod cost;
mod counter;
pub mod ledger;
pub mod record;

use std::fmt;

use serde::{Serialize, Serializer};

pub use counter::Counter;

/// The counters of one request. `None` means that the provider did not report the counter, which is not the same as
/// zero.
///
/// One meaning for every provider: the input contains the cached tokens (OpenAI's convention; Anthropic and Bedrock
/// report cache reads and writes beside the input, so their decoders add them), and the output contains the reasoning
/// tokens.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// A bit for each counter that was reported.
    reported: u32,
    /// 0 where nothing was reported.
    counts: [u64; Counter::ALL.len()],
}

/// How many tokens so many bytes of text may be: four of English or code are about one in every tokenizer in use.
#[must_use]
pub fn estimated(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

impl Usage {
    /// These counters and no others.
    #[must_use]
    pub fn of<const N: usize>(counts: [(Counter, Option<u64>); N]) -> Usage {
        Usage::default().with(counts)
    }

    /// The same with these counters.
    #[must_use]
    pub fn with<const N: usize>(mut self, counts: [(Counter, Option<u64>); N]) -> Usage {
        counts.into_iter().for_each(|(counter, count)| self.set(counter, count));
        self
    }

    /// What was reported of `counter`.
    #[must_use]
    pub fn get(&self, counter: Counter) -> Option<u64> {
        let count = self.counts.get(counter as usize)?;
        (self.reported & bit(counter) != 0).then_some(*count)
    }

    /// Says what was reported of `counter`.
    pub fn set(&mut self, counter: Counter, count: Option<u64>) {
        if let Some(slot) = self.counts.get_mut(counter as usize) {
            *slot = count.unwrap_or(0);
        }
        match count {
            Some(_) => self.reported |= bit(counter),
            None => self.reported &= !bit(counter),
        }
    }

    /// [`Counter::Input`]
    #[must_use]
    pub fn input(&self) -> Option<u64> {
        self.get(Counter::Input)
    }

    /// [`Counter::Output`]
    #[must_use]
    pub fn output(&self) -> Option<u64> {
        self.get(Counter::Output)
    }

    /// [`Counter::Total`]
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.get(Counter::Total)
    }

    /// What was reported.
    pub fn reported(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL.iter().filter_map(|counter| Some((*counter, self.get(*counter)?)))
    }

    /// Takes over every counter that `later` reports; providers repeat cumulative counters during a stream, so a 0
    /// after another value means "not said here".
    pub fn merge(&mut self, later: Usage) {
        for (now, new) in self.counts.iter_mut().zip(later.counts) {
            if new > 0 {
                *now = new;
            }
        }
        self.reported |= later.reported;
    }

    /// Adds what was used beside it; sums stop at the largest number instead of wrapping.
    pub fn add(&mut self, other: &Usage) {
        for (sum, more) in self.counts.iter_mut().zip(other.counts) {
            *sum = sum.saturating_add(more);
        }
        self.reported |= other.reported;
    }

    /// True while no counter was reported.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reported == 0
    }

    /// The total as reported or the sum of input and output, whichever is larger: some servers write a 0 for what they
    /// did not add up. `None` when none of them is known.
    #[must_use]
    pub fn total_or_sum(&self) -> Option<u64> {
        let sum = match (self.input(), self.output()) {
            (None, None) => None,
            (input, output) => Some(input.unwrap_or(0).saturating_add(output.unwrap_or(0))),
        };
        self.total().max(sum)
    }

    /// The same with that as its total.
    #[must_use]
    pub fn with_total(self) -> Usage {
        self.with([(Counter::Total, self.total_or_sum())])
    }

    /// Takes a 0 where there must have been something for a counter that is not reported, and finds one that is missing
    /// from the total. `has_output`: there was output.
    #[must_use]
    pub fn deduced(self, has_output: bool) -> Usage {
        let is_zero = |counter: Option<u64>| counter.unwrap_or(0) == 0;
        let (mut input, mut output) = (self.input(), self.output());
        if has_output && is_zero(output) {
            output = None;
        }
        if is_zero(input) && is_zero(output) {
            input = None;
        }
        if let Some(total) = self.total() {
            let rest = |of: Option<u64>| total.checked_sub(of.unwrap_or(0)).filter(|rest| *rest > 0);
            if is_zero(input) && output.is_some() {
                input = rest(output).or(input);
            } else if output.is_none() && input.is_some() && has_output {
                output = rest(input);
            }
        }
        self.with([(Counter::Input, input), (Counter::Output, output)])
    }
}

const fn bit(counter: Counter) -> u32 {
    1 << counter as u32
}

/// What was reported, by name.
impl fmt::Debug for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.reported().map(|(counter, count)| (counter.name(), count))).finish()
    }
}

/// The members of a record: the basic counters, `null` where they were not reported, and the others that were.
impl Serialize for Usage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let told = Counter::ALL.iter().map(|counter| (*counter, self.get(*counter)));
        serializer.collect_map(
            told.filter(|(counter, count)| counter.is_basic() || count.is_some())
                .map(|(counter, count)| (counter.name(), count)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: Option<u64>, output: Option<u64>, total: Option<u64>) -> Usage {
        Usage::of([(Counter::Input, input), (Counter::Output, output), (Counter::Total, total)])
    }

    #[test]
    fn a_counter_that_is_taken_back_was_not_reported() {
        let mut usage = usage(Some(5), Some(0), None);
        assert_eq!((usage.input(), usage.output(), usage.total()), (Some(5), Some(0), None));
        usage.set(Counter::Input, None);
        assert_eq!(usage, Usage::of([(Counter::Output, Some(0))]));
        usage.set(Counter::Output, None);
        assert!(usage.is_empty());
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
        assert_eq!(seen.input(), Some(0));
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
