//! The module's own thread. Filters have no timer; it wakes what has to be looked after now and then.

use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use crate::abi::Scheduler;

/// How often credentials are looked after and waiting attempts tried again.
const TICK: Duration = Duration::from_millis(100);

/// Configurations in the order in which they came. One that another has taken the place of lives on while there are
/// streams that began with it.
static CONFIGS: Mutex<Vec<Scheduler>> = Mutex::new(Vec::new());

/// Attempts that wait for a credential, until the next tick.
static WAITING: Mutex<Vec<Scheduler>> = Mutex::new(Vec::new());

/// Wakes a configuration at every tick for as long as it is the latest.
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
        wake_latest(&mut CONFIGS.lock().unwrap_or_else(PoisonError::into_inner));
        let waiting = std::mem::take(&mut *WAITING.lock().unwrap_or_else(PoisonError::into_inner));
        for attempt in waiting {
            attempt.wake(0);
        }
        std::thread::sleep(TICK);
    }
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
