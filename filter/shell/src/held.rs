//! How many bytes the filters of one worker hold: requests until they are whole, answers until they are, unfinished
//! events.
//!
//! Each of these has a limit of its own, but there may be thousands at once.

use std::cell::Cell;

thread_local! {
    static TOTAL: Cell<usize> = const { Cell::new(0) };
}

/// The part of the total that one filter holds. It is given back with it.
#[derive(Debug, Default)]
pub(crate) struct Held(usize);

impl Held {
    /// It is `bytes` now, in place of what it was. False, and nothing, when all together would be more than `limit`.
    pub(crate) fn set(&mut self, bytes: usize, limit: usize) -> bool {
        let others = TOTAL.get().saturating_sub(self.0);
        let fits = bytes <= self.0 || others.saturating_add(bytes) <= limit;
        self.0 = if fits { bytes } else { 0 };
        TOTAL.set(others.saturating_add(self.0));
        fits
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is taken, refused and dropped in whatever order: the total is the sum of what is there, and never over
    /// the limit.
    #[test]
    fn all_that_is_taken_is_given_back() {
        const LIMIT: usize = 1000;
        let mut random: usize = 7;
        let mut next = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut all: Vec<Held> = Vec::new();
        let mut refused = 0;
        for _ in 0..10_000 {
            match next(4) {
                0 => all.push(Held::default()),
                1 if !all.is_empty() => drop(all.swap_remove(next(all.len()))),
                _ if !all.is_empty() => {
                    let index = next(all.len());
                    let bytes = next(400);
                    let fits = all[index].set(bytes, LIMIT);
                    assert_eq!(all[index].0, if fits { bytes } else { 0 });
                    refused += usize::from(!fits);
                }
                _ => {}
            }
            assert_eq!(TOTAL.get(), all.iter().map(|held| held.0).sum::<usize>());
            assert!(TOTAL.get() <= LIMIT);
        }
        assert!(refused > 100, "{refused}");
        all.clear();
        assert_eq!(TOTAL.get(), 0);
    }
}
