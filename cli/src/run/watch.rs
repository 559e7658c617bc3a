//! When resources changed: looked at four times a second, and taken up once they stay as they are.

use std::time::{Duration, Instant};

/// A key that is taken away is to be of no use after a second: that is two of these, and what Envoy takes.
const PAUSE: Duration = Duration::from_millis(250);

/// Between attempts to take up what could not be for reasons of its surroundings; doubled from the first to the
/// longest.
const FIRST_REPEAT: Duration = Duration::from_secs(1);
const LONGEST_REPEAT: Duration = Duration::from_secs(30);

/// A digest that is looked at again and again. Content is compared, so that any way of replacing a file is seen.
pub(super) struct Watch {
    taken: Vec<u8>,
    seen: Vec<u8>,
    next: Instant,
    /// When what was taken last is to be tried again, and the pause before that.
    again: Option<(Instant, Duration)>,
}

impl Watch {
    pub(super) fn new(digest: Vec<u8>) -> Self {
        Watch { seen: digest.clone(), taken: digest, next: Instant::now() + PAUSE, again: None }
    }

    /// True once for every change that outlasted a pause: what an editor is still writing is not taken.
    pub(super) fn changed(&mut self, digest: impl FnOnce() -> Vec<u8>) -> bool {
        let now = Instant::now();
        if now < self.next {
            return false;
        }
        self.next = now + PAUSE;
        if self.again.is_some_and(|(at, _)| now >= at) {
            self.taken.clear();
        }
        self.settled(digest())
    }

    /// What was taken last is to be tried again, later and later.
    pub(super) fn again(&mut self) -> Duration {
        let pause = self.again.map_or(FIRST_REPEAT, |(_, pause)| pause.saturating_mul(2).min(LONGEST_REPEAT));
        self.again = Some((Instant::now() + pause, pause));
        pause
    }

    /// What was taken last is in use, or never will be.
    pub(super) fn done(&mut self) {
        self.again = None;
    }

    fn settled(&mut self, now: Vec<u8>) -> bool {
        let stays = now == self.seen;
        self.seen = now;
        if !stays || self.seen == self.taken {
            return false;
        }
        self.taken.clone_from(&self.seen);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_taken_once_when_it_stays() {
        let mut watch = Watch::new(vec![0]);
        let seen: Vec<bool> =
            [0, 1, 2, 2, 2, 3, 2, 2, 0, 0].map(|digest| watch.settled(vec![digest])).to_vec();
        assert_eq!(seen, [false, false, false, true, false, false, false, false, false, true]);
    }

    #[test]
    fn what_failed_is_tried_again_without_a_change() {
        let mut watch = Watch::new(vec![0]);
        let look = |watch: &mut Watch, due: bool| {
            watch.next = Instant::now();
            if let Some((at, _)) = &mut watch.again
                && due
            {
                *at = Instant::now();
            }
            watch.changed(|| vec![1])
        };
        assert_eq!([look(&mut watch, false), look(&mut watch, false)], [false, true]);
        let pauses: Vec<u64> = (0..7).map(|_| watch.again().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        assert!(!look(&mut watch, false), "it is too soon");
        assert!(look(&mut watch, true));
        watch.done();
        assert!(!look(&mut watch, true));
        assert_eq!(watch.again(), FIRST_REPEAT);
    }
}
