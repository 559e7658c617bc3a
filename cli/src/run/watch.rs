//! When resources changed: looked at twice a second, and taken up once they stay as they are.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(500);

/// A digest that is looked at again and again. Content is compared, so that any way of replacing a file is seen.
pub(super) struct Watch {
    taken: Vec<u8>,
    seen: Vec<u8>,
    next: Instant,
}

impl Watch {
    pub(super) fn new(digest: Vec<u8>) -> Self {
        Watch { seen: digest.clone(), taken: digest, next: Instant::now() + PAUSE }
    }

    /// True once for every change that outlasted a pause: what an editor is still writing is not taken.
    pub(super) fn changed(&mut self, digest: impl FnOnce() -> Vec<u8>) -> bool {
        let now = Instant::now();
        if now < self.next {
            return false;
        }
        self.next = now + PAUSE;
        self.settled(digest())
    }

    /// What was taken last is to be tried again.
    pub(super) fn again(&mut self) {
        self.taken.clear();
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
        watch.again();
        assert!(watch.settled(vec![0]));
        assert!(!watch.settled(vec![0]));
    }
}
