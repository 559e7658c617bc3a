//! What the filters of one worker thread share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex, PoisonError};

use weir_core::auth::sigv4::SigningKeys;
use weir_core::config::Config;
use weir_core::exchange::{Exchange, SharedExchange};

use crate::credentials::Credentials;

/// The latest configurations, by the JSON they were read from.
static CONFIGS: Mutex<Vec<(Vec<u8>, Arc<Config>)>> = Mutex::new(Vec::new());

thread_local! {
    static EXCHANGES: RefCell<HashMap<u64, Weak<RefCell<Exchange>>>> = RefCell::new(HashMap::new());
    static NEXT_ID: Cell<u64> = const { Cell::new(1) };
    static CREDENTIALS: RefCell<Credentials> = RefCell::new(Credentials::default());
    static SIGNING_KEYS: RefCell<SigningKeys> = RefCell::new(SigningKeys::default());
}

/// The configuration in `json`. All roles have the same and share it, so it is parsed once; the one before is kept as
/// well, for the time in which some roles have the new one already and some not.
///
/// # Errors
/// What is wrong with the JSON, and where.
pub fn config(json: &[u8]) -> Result<Arc<Config>, serde_json::Error> {
    // A panic while the lock was held cannot have left a list that is half changed.
    let mut configs = CONFIGS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, config)) = configs.iter().find(|(known, _)| known == json) {
        return Ok(Arc::clone(config));
    }
    let config: Arc<Config> = Arc::new(serde_json::from_slice(json)?);
    configs.push((json.to_vec(), Arc::clone(&config)));
    if configs.len() > 2 {
        configs.remove(0);
    }
    Ok(config)
}

/// Registers an exchange, so that the upstream filters of its request find it by the returned number. It is forgotten by
/// [`forget`].
pub(crate) fn register(exchange: &SharedExchange) -> u64 {
    let id = NEXT_ID.get();
    NEXT_ID.set(id.wrapping_add(1));
    EXCHANGES.with_borrow_mut(|exchanges| exchanges.insert(id, Rc::downgrade(exchange)));
    id
}

pub(crate) fn find(id: u64) -> Option<SharedExchange> {
    EXCHANGES.with_borrow(|exchanges| exchanges.get(&id).and_then(Weak::upgrade))
}

pub(crate) fn forget(id: u64) {
    EXCHANGES.with_borrow_mut(|exchanges| exchanges.remove(&id));
}

/// The credentials as this worker knows them.
pub fn with_credentials<T>(work: impl FnOnce(&mut Credentials) -> T) -> T {
    CREDENTIALS.with_borrow_mut(work)
}

pub(crate) fn with_signing_keys<T>(work: impl FnOnce(&mut SigningKeys) -> T) -> T {
    SIGNING_KEYS.with_borrow_mut(work)
}
