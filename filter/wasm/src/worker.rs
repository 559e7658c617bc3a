//! What the contexts of one worker share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use weir_core::auth::sigv4::SigningKeys;
use weir_core::config::Config;
use weir_core::exchange::{Exchange, SharedExchange};

use crate::backend::Waiting;
use crate::credentials::Credentials;

thread_local! {
    static CONFIGS: RefCell<Vec<(Vec<u8>, Rc<Config>)>> = const { RefCell::new(Vec::new()) };
    static EXCHANGES: RefCell<HashMap<u64, Weak<RefCell<Exchange>>>> = RefCell::new(HashMap::new());
    static NEXT_ID: Cell<u64> = const { Cell::new(1) };
    static CREDENTIALS: RefCell<Credentials> = RefCell::new(Credentials::default());
    static SIGNING_KEYS: RefCell<SigningKeys> = RefCell::new(SigningKeys::default());
    static WAITING: RefCell<HashMap<u32, Waiting>> = RefCell::new(HashMap::new());
}

/// The configuration in `json`. All roles of a worker have the same and share it, so it is parsed once; the one before
/// is kept as well, for the time in which some roles have the new one already and some not.
pub(crate) fn config(json: Vec<u8>) -> Result<Rc<Config>, serde_json::Error> {
    CONFIGS.with_borrow_mut(|configs| {
        if let Some((_, config)) = configs.iter().find(|(known, _)| *known == json) {
            return Ok(Rc::clone(config));
        }
        let config: Rc<Config> = Rc::new(serde_json::from_slice(&json)?);
        configs.push((json, Rc::clone(&config)));
        if configs.len() > 2 {
            configs.remove(0);
        }
        Ok(config)
    })
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

pub(crate) fn with_credentials<T>(work: impl FnOnce(&mut Credentials) -> T) -> T {
    CREDENTIALS.with_borrow_mut(work)
}

pub(crate) fn with_signing_keys<T>(work: impl FnOnce(&mut SigningKeys) -> T) -> T {
    SIGNING_KEYS.with_borrow_mut(work)
}

/// Keeps an attempt until its credential is there. `id` is its context's.
pub(crate) fn wait(id: u32, waiting: Waiting) {
    WAITING.with_borrow_mut(|all| all.insert(id, waiting));
}

/// Takes an attempt off the list: context ids are used again.
pub(crate) fn stop_waiting(id: u32) -> Option<Waiting> {
    WAITING.with_borrow_mut(|all| all.remove(&id))
}

pub(crate) fn waiting() -> Vec<u32> {
    WAITING.with_borrow(|all| all.keys().copied().collect())
}
