//! The metrics of a process: each worker adds to its own, and whoever asks gets the sum.

use std::cell::OnceCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_core::metrics::Metrics;
use weir_core::store::Store;
use weir_core::usage::record::Record;

type Shared = Arc<Mutex<Metrics>>;

/// Those of all workers, of ended ones too.
static ALL: Mutex<Vec<Shared>> = Mutex::new(Vec::new());

thread_local! {
    static OWN: OnceCell<Shared> = const { OnceCell::new() };
}

/// A panic while a lock was held cannot have left anything that is half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds what a request comes to. Nobody waits for the lock but who reads at that moment.
pub(crate) fn add(record: &Record, costs: &[(String, u64)]) {
    OWN.with(|own| {
        let own = own.get_or_init(|| {
            let own = Shared::default();
            lock(&ALL).push(Arc::clone(&own));
            own
        });
        lock(own).add(record, costs);
    });
}

/// The sum of this process's; for wasm, of this VM's.
#[must_use]
pub fn metrics() -> Metrics {
    let mut sum = Metrics::default();
    lock(&ALL).iter().for_each(|one| sum.merge(&lock(one)));
    sum
}

/// Writes what has changed to `store`, where workers share nothing else, so that [`Metrics::published`] has it.
pub fn publish_metrics(store: &dyn Store) {
    for one in lock(&ALL).iter() {
        if !lock(one).publish(store) {
            log::error!("metrics could not be written; they are tried again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_has_what_ended_workers_added() {
        let record = |backend: &str| Record { backend: backend.to_owned(), ..Record::default() };
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| add(&record("default/ended"), &[]));
            }
        });
        add(&record("default/ended"), &[("cost".to_owned(), 7)]);
        let text = metrics().to_text();
        let count = |name: &str| {
            let is_it = |line: &&str| line.starts_with(name) && line.contains("default/ended");
            text.lines().find(is_it).and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
        };
        assert_eq!(count("weir_requests_total"), Some("4".to_owned()));
        assert_eq!(count("weir_cost_total"), Some("7".to_owned()));
    }
}
