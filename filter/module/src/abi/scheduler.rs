//! Waking a filter or a configuration from another thread.

use std::ffi::c_void;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::ffi;

/// Wakes the filter or the configuration that it was made for, from any thread. Clones wake the same one.
///
/// It may outlive what it wakes: from then on it does nothing. So a thread may keep it for as long as it
/// likes.
#[derive(Clone)]
pub struct Scheduler(Arc<Mutex<Option<Raw>>>);

/// A scheduler of Envoy's.
struct Raw {
    pointer: ffi::Envoy,
    commit: unsafe extern "C" fn(*mut c_void, u64),
    delete: unsafe extern "C" fn(*mut c_void),
}

// SAFETY: Envoy's scheduler is a weak pointer and a reference to the dispatcher of one thread. Committing
// posts to that dispatcher, which takes a lock of its own; deleting gives up the weak pointer, whose count is
// atomic.
unsafe impl Send for Raw {}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: the pointer is what the matching `scheduler_new` returned, and is deleted here only.
        unsafe { (self.delete)(self.pointer) }
    }
}

impl Scheduler {
    /// # Safety
    ///
    /// `filter` must be the filter of the hook that is running.
    pub(super) unsafe fn of_filter(filter: ffi::Envoy) -> Scheduler {
        // SAFETY: as the caller says.
        let pointer = unsafe { ffi::envoy_dynamic_module_callback_http_filter_scheduler_new(filter) };
        let commit = ffi::envoy_dynamic_module_callback_http_filter_scheduler_commit;
        let delete = ffi::envoy_dynamic_module_callback_http_filter_scheduler_delete;
        Scheduler::of(Raw { pointer, commit, delete })
    }

    /// # Safety
    ///
    /// `config` must be the configuration of the hook that is running.
    pub(super) unsafe fn of_config(config: ffi::Envoy) -> Scheduler {
        // SAFETY: as the caller says.
        let pointer = unsafe { ffi::envoy_dynamic_module_callback_http_filter_config_scheduler_new(config) };
        let commit = ffi::envoy_dynamic_module_callback_http_filter_config_scheduler_commit;
        let delete = ffi::envoy_dynamic_module_callback_http_filter_config_scheduler_delete;
        Scheduler::of(Raw { pointer, commit, delete })
    }

    fn of(raw: Raw) -> Scheduler {
        Scheduler(Arc::new(Mutex::new(Some(raw))))
    }

    /// Has `scheduled` called with `event`, on the thread of what it wakes. False if that is gone. It may go
    /// after this returned and before the call, so true is no promise.
    pub fn wake(&self, event: u64) -> bool {
        let raw = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(raw) = raw.as_ref() else { return false };
        // SAFETY: `close` has not run, and cannot while the lock is held, so what it wakes has not been
        // destroyed yet; and Envoy destroys that before the dispatcher that is posted to.
        unsafe { (raw.commit)(raw.pointer, event) };
        true
    }

    /// What it wakes is being destroyed. Envoy's weak pointer alone would not do: the dispatcher is referred
    /// to without one, and is gone when a thread's workers have been stopped.
    pub(super) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scheduler")
    }
}
