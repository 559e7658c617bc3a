//! The module's own thread. Filters have no timer; it wakes what has to be looked after now and then.

use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use crate::abi::Scheduler;

/// How often credentials are looked after and waiting attempts tried again.
const TICK: Duration = Duration::from_millis(100);

/// Configurations, until they are gone.
static CONFIGS: Mutex<Vec<Scheduler>> = Mutex::new(Vec::new());

/// Attempts that wait for a credential, until the next tick.
static WAITING: Mutex<Vec<Scheduler>> = Mutex::new(Vec::new());

/// Wakes a configuration at every tick, and now: its first requests need credentials.
pub(crate) fn add(config: Scheduler) {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let thread = std::thread::Builder::new().name("weir".to_owned());
        if let Err(error) = thread.spawn(run) {
            log::error!("credentials cannot be renewed, there is no thread for it: {error}");
        }
    });
    CONFIGS.lock().unwrap_or_else(PoisonError::into_inner).push(config);
}

/// Wakes an attempt at the next tick.
pub(crate) fn wait(attempt: Scheduler) {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner).push(attempt);
}

fn run() {
    loop {
        CONFIGS.lock().unwrap_or_else(PoisonError::into_inner).retain(|config| config.wake(0));
        let waiting = std::mem::take(&mut *WAITING.lock().unwrap_or_else(PoisonError::into_inner));
        for attempt in waiting {
            attempt.wake(0);
        }
        std::thread::sleep(TICK);
    }
}
