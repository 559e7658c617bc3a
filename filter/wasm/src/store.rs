//! Shared data: one store for all workers of the proxy.

use proxy_wasm::hostcalls;
use weir_core::store::{Conflict, Store, Versioned};

/// A version that no value has: a write that names it succeeds only where there is no value. The host takes 0 for
/// "whatever is there", which would lose the update of a worker that was faster.
const NO_VERSION: u32 = u32::MAX;

/// Shared data, scoped by `vm_id`.
pub(crate) struct SharedData;

impl Store for SharedData {
    fn get(&self, key: &str) -> Option<Versioned> {
        match hostcalls::get_shared_data(key) {
            Ok((Some(value), version)) => Some(Versioned { value, version: version.unwrap_or(0) }),
            _ => None,
        }
    }

    fn swap(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Conflict> {
        hostcalls::set_shared_data(key, Some(value), Some(version.unwrap_or(NO_VERSION)))
            .map_err(|_| Conflict)
    }
}
