//! A counter in a provider's JSON.

use serde::de::{Deserialize, Deserializer};

use super::lenient::{Lenient, anything};

/// A number of tokens, or of what else is counted. Anything that is not one counts as not reported, so that an odd
/// counter never costs the others.
///
/// A word, without the padding of an `Option`: for a shape of many of those the compiler moves each byte by itself,
/// which took three times as long as reading the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(u64);

impl Count {
    const NONE: Count = Count(u64::MAX);

    /// The number, where it is one.
    pub(crate) fn get(self) -> Option<u64> {
        (self != Count::NONE).then_some(self.0)
    }
}

/// What is counted in several places, where one of them told.
pub(crate) fn sum<const N: usize>(counts: [Option<u64>; N]) -> Option<u64> {
    counts.into_iter().flatten().reduce(u64::saturating_add)
}

impl Default for Count {
    fn default() -> Count {
        Count::NONE
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        anything(deserializer)
    }
}

impl Lenient for Count {
    fn of_whole_number(count: u64) -> Count {
        Count(count)
    }

    /// Some servers write `12.0`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a whole number in range"
    )]
    fn of_fraction(count: f64) -> Count {
        /// Below it every whole number has an exact `f64`.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let is_count = count.fract() == 0.0 && (0.0..EXACT).contains(&count);
        if is_count { Count(count as u64) } else { Count::NONE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_count_and_nothing_else_breaks() {
        let counts: Vec<Count> =
            serde_json::from_str(r#"[7, 7.0, 7.5, -1, 1e300, "7", null, true, [1], {"a": {}}]"#).unwrap();
        let expected = [Some(7), Some(7), None, None, None, None, None, None, None, None];
        assert_eq!(counts.into_iter().map(Count::get).collect::<Vec<_>>(), expected);
    }
}
