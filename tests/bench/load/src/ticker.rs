//! A schedule of requests that does not wait for answers.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::unix::AsyncFd;
use tokio::sync::Semaphore;

use crate::Outcome;

/// Hands out the moments at which requests are meant to be sent. A slow answer delays none of them: who comes late to
/// take one gets it with the time it was meant for, and measures from there.
pub(crate) struct Ticker {
    start: Instant,
    period: f64,
    due: Semaphore,
    released: Cell<u64>,
    taken: Cell<u64>,
}

impl Ticker {
    /// So many moments per second, from now on.
    pub(crate) fn new(rate: f64) -> Self {
        Self {
            start: Instant::now(),
            period: 1.0 / rate,
            due: Semaphore::new(0),
            released: Cell::default(),
            taken: Cell::default(),
        }
    }

    /// The next moment, once it has come.
    ///
    /// # Errors
    /// None: the semaphore is never closed.
    pub(crate) async fn next(&self) -> Outcome<Instant> {
        self.due.acquire().await?.forget();
        let number = self.taken.get();
        self.taken.set(number.saturating_add(1));
        Ok(self.start + Duration::from_secs_f64(self.period * number as f64))
    }

    /// Releases moments when their time comes, for `time`. Tokio's timers know milliseconds only, in which ten requests
    /// would leave at once, so this has one of its own.
    ///
    /// # Errors
    /// The timer cannot be made.
    pub(crate) async fn run(&self, time: Duration) -> Outcome<()> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
        let into_this = self.start.elapsed().as_secs_f64() % self.period;
        let until_next = TimeSpec::from_duration(Duration::from_secs_f64(self.period - into_this));
        let period = TimeSpec::from_duration(Duration::from_secs_f64(self.period));
        timer.set(Expiration::IntervalDelayed(until_next, period), TimerSetTimeFlags::empty())?;
        // The replacement is an unsafe function; what it asks for holds: the timer is owned, and its descriptor stays
        // the same.
        #[allow(deprecated, reason = "unsafe code is forbidden here")]
        let timer = AsyncFd::new(Timer(timer))?;
        while self.start.elapsed() < time {
            let mut ready = timer.readable().await?;
            let _ = timer.get_ref().0.wait();
            ready.clear_ready();
            self.release(self.start.elapsed());
        }
        Ok(())
    }

    /// How many moments lie in this time.
    pub(crate) fn between(&self, from: Instant, to: Instant) -> u64 {
        let before =
            |time: Instant| (time.duration_since(self.start).as_secs_f64() / self.period).ceil() as u64;
        before(to).saturating_sub(before(from))
    }

    fn release(&self, elapsed: Duration) {
        // The first one comes at once.
        let due = (elapsed.as_secs_f64() / self.period) as u64 + 1;
        let late = due.saturating_sub(self.released.get());
        self.due.add_permits(usize::try_from(late).unwrap_or_default());
        self.released.set(due.max(self.released.get()));
    }
}

struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_moment_that_was_missed_keeps_its_time() {
        let ticker = Ticker::new(1000.0);
        ticker.release(Duration::from_micros(2500));
        for number in 0..3 {
            assert_eq!(ticker.next().await.unwrap(), ticker.start + Duration::from_millis(number));
        }
        assert_eq!(ticker.due.available_permits(), 0);
    }

    #[test]
    fn a_window_holds_the_moments_within_it() {
        let ticker = Ticker::new(1000.0);
        let at = |micros| ticker.start + Duration::from_micros(micros);
        assert_eq!(ticker.between(at(1500), at(4500)), 3);
        assert_eq!(ticker.between(at(0), at(500)), 1);
        assert_eq!(ticker.between(at(100), at(900)), 0);
    }

    #[tokio::test]
    async fn moments_come_at_their_rate() {
        let ticker = Ticker::new(5000.0);
        ticker.run(Duration::from_millis(50)).await.unwrap();
        // However late this machine wakes it.
        let most = ticker.start.elapsed().as_secs_f64() / ticker.period + 1.0;
        let released = ticker.released.get();
        assert!(released >= 250 && released as f64 <= most, "{released} of at most {most}");
    }
}
