//! The module's own thread. Filters have no timer; it wakes what has to be looked after now and then.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use crate::abi::Scheduler;

/// How often credentials are looked after and waiting attempts tried again.
const TICK: Duration = Duration::from_millis(100);

/// Configurations in the order in which they came. One that another has taken the place of lives on while there are
/// streams that began with it.
static CONFIGS: Mutex<Vec<Scheduler>> = Mutex::new(Vec::new());

/// Attempts that wait for a credential, until the next tick.
static WAITING: Mutex<Vec<Scheduler>> = Mutex::new(Vec::new());

/// Answers to be looked at again, and when.
static BEATS: Mutex<BinaryHeap<Reverse<Due>>> = Mutex::new(BinaryHeap::new());

/// What wakes a filter whose request waits for its credential.
const RETRY: u64 = 0;

/// What wakes a filter whose answer is to be looked at.
pub(crate) const BEAT: u64 = 1;

struct Due {
    at: Instant,
    stream: Scheduler,
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Due) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let thread = std::thread::Builder::new().name("weir".to_owned());
        if let Err(error) = thread.spawn(run) {
            log::error!(
                "credentials cannot be renewed and silence is not noticed, there is no thread for it: {error}"
            );
        }
    });
}

/// Wakes a configuration at every tick for as long as it is the latest.
pub(crate) fn add(config: Scheduler) {
    start();
    CONFIGS.lock().unwrap_or_else(PoisonError::into_inner).push(config);
}

/// Wakes a filter with [`BEAT`] in so many milliseconds, or a tick later.
pub(crate) fn beat(stream: Scheduler, in_ms: u64) {
    start();
    // What is further away than any stream lasts needs no place in the list.
    let Some(at) = Instant::now().checked_add(Duration::from_millis(in_ms)) else { return };
    BEATS.lock().unwrap_or_else(PoisonError::into_inner).push(Reverse(Due { at, stream }));
}

/// Wakes an attempt at the next tick.
pub(crate) fn wait(attempt: Scheduler) {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner).push(attempt);
}

fn run() {
    loop {
        wake_latest(&mut CONFIGS.lock().unwrap_or_else(PoisonError::into_inner));
        let waiting = std::mem::take(&mut *WAITING.lock().unwrap_or_else(PoisonError::into_inner));
        for attempt in waiting {
            attempt.wake(RETRY);
        }
        let due = due(&mut BEATS.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        for stream in due {
            stream.wake(BEAT);
        }
        std::thread::sleep(TICK);
    }
}

/// Takes what is due off the list: all there is, where the proxy is about to stop.
fn due(beats: &mut BinaryHeap<Reverse<Due>>, now: Instant) -> Vec<Scheduler> {
    if weir_shell::is_stopping() {
        return beats.drain().map(|Reverse(due)| due.stream).collect();
    }
    let mut due = Vec::new();
    while let Some(first) = beats.peek()
        && first.0.at <= now
    {
        due.extend(beats.pop().map(|Reverse(first)| first.stream));
    }
    due
}

/// Only the latest looks after credentials: those of an older one are not needed any more, or the latest has them too.
fn wake_latest(configs: &mut Vec<Scheduler>) {
    while let Some(latest) = configs.last() {
        if latest.wake(0) {
            return;
        }
        configs.pop();
    }
}
