//! What is counted while a load runs.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use memchr::memmem::Finder;
use serde::Serialize;

use crate::{Outcome, answers, clock};

/// Times longer than this are counted as this.
const LONGEST: Duration = Duration::from_secs(600);

/// Counts and times within the window of a measurement.
pub(crate) struct Tally {
    open: Cell<bool>,
    requests: Cell<u64>,
    lines: Cell<u64>,
    bytes: Cell<u64>,
    errors: Cell<u64>,
    error: RefCell<Option<String>>,
    latency: RefCell<Histogram<u64>>,
    first: RefCell<Histogram<u64>>,
    delay: RefCell<Histogram<u64>>,
    sent_at: Finder<'static>,
}

/// Some quantiles of a time, in microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Quantiles {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

/// The result, on one line of JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Length of the window in seconds.
    pub(crate) seconds: f64,
    requests: u64,
    /// Server-sent events: two line ends each.
    events: u64,
    bytes: u64,
    errors: u64,
    /// The first error.
    error: Option<String>,
    /// CPU of the gateway within the window.
    pub(crate) cpu_ns: u64,
    /// CPU of the load and of the model server within the window.
    pub(crate) load_cpu_ns: u64,
    /// At a fixed rate: requests whose time had come within the window, and that had no answer when the run ended.
    pub(crate) unanswered: u64,
    /// From the moment a request was meant to be sent to the end of its answer.
    latency_us: Option<Quantiles>,
    /// To the first byte of the body.
    first_us: Option<Quantiles>,
    /// From the model server's write of an event to its arrival here, where events tell.
    delay_us: Option<Quantiles>,
}

impl Tally {
    pub(crate) fn new() -> Outcome<Self> {
        let histogram =
            || Histogram::new_with_bounds(1, u64::try_from(LONGEST.as_nanos()).unwrap_or(u64::MAX), 3);
        Ok(Self {
            open: Cell::default(),
            requests: Cell::default(),
            lines: Cell::default(),
            bytes: Cell::default(),
            errors: Cell::default(),
            error: RefCell::default(),
            latency: histogram()?.into(),
            first: histogram()?.into(),
            delay: histogram()?.into(),
            sent_at: Finder::new(answers::SENT_AT),
        })
    }

    /// From now on everything counts.
    pub(crate) fn open(&self) -> Instant {
        let now = Instant::now();
        self.open.set(true);
        now
    }

    /// From now on nothing counts that begins or happens.
    pub(crate) fn close(&self) -> Instant {
        self.open.set(false);
        Instant::now()
    }

    /// Whether what happens now counts.
    pub(crate) fn is_open(&self) -> bool {
        self.open.get()
    }

    /// An answer is complete. `counts`: see [`crate::load`].
    pub(crate) fn answered(&self, counts: bool, latency: Duration, first: Option<Duration>) {
        if counts {
            self.requests.set(self.requests.get().saturating_add(1));
            record(&self.latency, latency);
            if let Some(first) = first {
                record(&self.first, first);
            }
        }
    }

    /// A request failed. Every failure counts, whenever it was: a gateway that fails is not to be measured.
    pub(crate) fn failed(&self, error: String) {
        self.errors.set(self.errors.get().saturating_add(1));
        self.error.borrow_mut().get_or_insert(error);
    }

    /// A piece of a body arrived.
    pub(crate) fn read(&self, piece: &[u8], events: bool) {
        if !self.open.get() {
            return;
        }
        self.bytes.set(self.bytes.get().saturating_add(piece.len() as u64));
        if events {
            let lines = memchr::memchr_iter(b'\n', piece).count() as u64;
            self.lines.set(self.lines.get().saturating_add(lines));
            if let Some(delay) = self.delay_of(piece) {
                record(&self.delay, delay);
            }
        }
    }

    /// How long the first event of a piece was under way.
    fn delay_of(&self, piece: &[u8]) -> Option<Duration> {
        let begin = self.sent_at.find(piece)?.checked_add(answers::SENT_AT.len())?;
        let digits = piece.get(begin..begin.checked_add(answers::SENT_AT_DIGITS)?)?;
        let sent: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some(Duration::from_nanos(clock::monotonic_ns().saturating_sub(sent)))
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.get()
    }

    pub(crate) fn report(&self) -> Report {
        Report {
            seconds: 0.0,
            requests: self.requests.get(),
            events: self.lines.get() / 2,
            bytes: self.bytes.get(),
            errors: self.errors.get(),
            error: self.error.borrow().clone(),
            cpu_ns: 0,
            load_cpu_ns: 0,
            unanswered: 0,
            latency_us: quantiles(&self.latency),
            first_us: quantiles(&self.first),
            delay_us: quantiles(&self.delay),
        }
    }
}

fn record(histogram: &RefCell<Histogram<u64>>, time: Duration) {
    histogram.borrow_mut().saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
}

fn quantiles(histogram: &RefCell<Histogram<u64>>) -> Option<Quantiles> {
    let histogram = histogram.borrow();
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    (!histogram.is_empty()).then(|| Quantiles {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        max: histogram.max() as f64 / 1000.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happens_within_the_window_counts() {
        let tally = Tally::new().unwrap();
        tally.read(b"data: 1\n\n", true);
        tally.open();
        tally.read(b"data: 2\n\ndata: 3\n\n", true);
        tally.close();
        tally.read(b"data: 4\n\n", true);
        let report = tally.report();
        assert_eq!((report.events, report.bytes), (2, 18));
        assert!(report.latency_us.is_none());
    }

    #[test]
    fn an_event_tells_how_long_it_was_under_way() {
        let tally = Tally::new().unwrap();
        tally.open();
        tally.read(&answers::timed_chat_word(clock::monotonic_ns() - 5_000_000), true);
        let delay = tally.report().delay_us.unwrap();
        assert!((4_990.0..2_000_000.0).contains(&delay.p50), "{delay:?}");
    }
}
