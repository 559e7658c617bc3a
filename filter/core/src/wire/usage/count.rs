//! A counter in a provider's JSON.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A number of tokens. Anything that is not one counts as not reported, so that an odd counter never costs the others.
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

impl Default for Count {
    fn default() -> Count {
        Count::NONE
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_u64<E>(self, count: u64) -> Result<Count, E> {
        Ok(Count(count))
    }

    /// Some servers write `12.0`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a whole number in range"
    )]
    fn visit_f64<E>(self, count: f64) -> Result<Count, E> {
        /// Below it every whole number has an exact `f64`.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let is_count = count.fract() == 0.0 && (0.0..EXACT).contains(&count);
        Ok(if is_count { Count(count as u64) } else { Count::NONE })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Count, E> {
        Ok(Count::NONE)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
        Ok(Count::NONE)
    }

    fn visit_str<E>(self, _: &str) -> Result<Count, E> {
        Ok(Count::NONE)
    }

    fn visit_unit<E>(self) -> Result<Count, E> {
        Ok(Count::NONE)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Count, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Count::NONE)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Count::NONE)
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
