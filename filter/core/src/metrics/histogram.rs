//! Histograms with fixed buckets.

/// The buckets of a histogram, and what its values are counted in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buckets {
    /// The largest value of each but the last, which has none.
    pub(super) bounds: &'static [u64],
    /// How many of its values are one of the unit that is shown.
    pub(super) per_unit: u64,
}

impl Buckets {
    /// A value, or a sum of values, as text in the unit that is shown.
    pub(super) fn shown(&self, value: u64) -> String {
        let (whole, rest) = match (value.checked_div(self.per_unit), value.checked_rem(self.per_unit)) {
            (Some(whole), Some(rest)) => (whole, rest),
            _ => (value, 0),
        };
        if rest == 0 {
            return whole.to_string();
        }
        let digits = self.per_unit.ilog10() as usize;
        let rest = format!("{rest:0digits$}");
        format!("{whole}.{}", rest.trim_end_matches('0'))
    }
}

/// Of tokens.
pub(super) static TOKENS: Buckets = Buckets {
    bounds: &[
        1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
        67_108_864,
    ],
    per_unit: 1,
};

/// Of the time that a whole request takes, in microseconds, shown in seconds.
pub(super) static DURATION: Buckets = Buckets {
    bounds: &[
        10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 640_000, 1_280_000, 2_560_000, 5_120_000,
        10_240_000, 20_480_000, 40_960_000, 81_920_000,
    ],
    per_unit: 1_000_000,
};

/// Of the time to the first token, in microseconds, shown in seconds.
pub(super) static FIRST_TOKEN: Buckets = Buckets {
    bounds: &[
        1_000, 5_000, 10_000, 20_000, 40_000, 60_000, 80_000, 100_000, 250_000, 500_000, 750_000, 1_000_000,
        2_500_000, 5_000_000, 7_500_000, 10_000_000, 15_000_000, 20_000_000, 30_000_000, 45_000_000,
        60_000_000,
    ],
    per_unit: 1_000_000,
};

/// Of the time for each further token, in microseconds, shown in seconds.
pub(super) static PER_TOKEN: Buckets = Buckets {
    bounds: &[
        10_000, 25_000, 50_000, 75_000, 100_000, 150_000, 200_000, 300_000, 400_000, 500_000, 750_000,
        1_000_000, 2_500_000,
    ],
    per_unit: 1_000_000,
};

/// How many values fell into each bucket, and their sum. `N` is one more than there are bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Histogram<const N: usize> {
    pub(super) counts: [u64; N],
    pub(super) sum: u64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Histogram { counts: [0; N], sum: 0 }
    }
}

impl<const N: usize> Histogram<N> {
    pub(super) fn add(&mut self, buckets: &Buckets, value: u64) {
        let bucket = buckets.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
        self.sum = self.sum.saturating_add(value);
    }

    /// All numbers, in their order.
    pub(super) fn numbers(&mut self) -> impl Iterator<Item = &mut u64> {
        self.counts.iter_mut().chain(std::iter::once(&mut self.sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_in_their_unit() {
        for (buckets, value, shown) in [
            (&TOKENS, 67_108_864, "67108864"),
            (&DURATION, 10_000, "0.01"),
            (&DURATION, 81_920_000, "81.92"),
            (&DURATION, 2_000_000, "2"),
            (&PER_TOKEN, 1, "0.000001"),
            (&PER_TOKEN, 0, "0"),
        ] {
            assert_eq!(buckets.shown(value), shown);
        }
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut histogram = Histogram::<15>::default();
        for value in [0, 1, 2, 4, 5, 67_108_864, 67_108_865, u64::MAX] {
            histogram.add(&TOKENS, value);
        }
        let mut expected = [0; 15];
        expected[..3].copy_from_slice(&[2, 2, 1]);
        expected[13..].copy_from_slice(&[1, 2]);
        assert_eq!((histogram.counts, histogram.sum), (expected, u64::MAX));
    }
}
