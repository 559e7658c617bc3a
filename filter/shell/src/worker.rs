//! What the filters of one worker thread share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use weir_core::auth::sigv4::SigningKeys;
use weir_core::config::Config;
use weir_core::exchange::{Exchange, SharedExchange};
use weir_core::store::Store;

use crate::credentials::Credentials;

/// The latest configurations, by the JSON they were read from.
static CONFIGS: Mutex<Vec<(Vec<u8>, Arc<Config>)>> = Mutex::new(Vec::new());

/// What the latest configuration says of it: [`Config::stopping`].
static STOPPING: AtomicBool = AtomicBool::new(false);

thread_local! {
    static EXCHANGES: RefCell<HashMap<u64, Weak<RefCell<Exchange>>>> = RefCell::new(HashMap::new());
    static NEXT_ID: Cell<u64> = const { Cell::new(1) };
    static CREDENTIALS: RefCell<Credentials> = RefCell::new(Credentials::default());
    static SIGNING_KEYS: RefCell<SigningKeys> = RefCell::new(SigningKeys::default());
}

/// So many of them are kept: the latest and the one before, each in two ways of writing.
const KEPT: usize = 4;

/// The JSON of the last configuration that was right, in the data that all workers share: where workers have a VM each,
/// Envoy tries a configuration in a new one.
const LAST_GOOD: &str = "weir.config";

/// The configuration to work with, given the `json` of a new one. Where that is wrong it is the last that was right;
/// `None` if there was none, and requests are to be refused.
///
/// Envoy is not told of the mistake: it would refuse the whole listener, and one that has just started would listen
/// nowhere.
pub fn config(json: &[u8], store: &dyn Store) -> Option<Arc<Config>> {
    let error = match parsed(json) {
        Ok(config) => {
            let is_known = |known: Option<&[u8]>| known == Some(json);
            store.change(LAST_GOOD, &mut |known| (!is_known(known)).then(|| json.to_vec()));
            STOPPING.store(config.stopping, Ordering::Relaxed);
            return Some(config);
        }
        Err(error) => error,
    };
    let last = last_good(store);
    let consequence =
        if last.is_some() { "the one before stays at work" } else { "every request is answered with 503" };
    log::error!("the configuration cannot be read: {error}; {consequence}");
    last
}

/// The last configuration that was right.
pub(crate) fn last_good(store: &dyn Store) -> Option<Arc<Config>> {
    store.get(LAST_GOOD).and_then(|last| parsed(&last.value).ok())
}

/// Whether the proxy is about to stop, so that no stream should wait for its backend any more.
#[must_use]
pub fn is_stopping() -> bool {
    STOPPING.load(Ordering::Relaxed)
}

/// The configuration in `json`. All roles have the same and share it, so it is parsed once; the one before is kept as
/// well, for the time in which some roles have the new one already and some not.
fn parsed(json: &[u8]) -> Result<Arc<Config>, serde_json::Error> {
    // A panic while the lock was held cannot have left a list that is half changed.
    let mut configs = CONFIGS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, config)) = configs.iter().find(|(known, _)| known == json) {
        return Ok(Arc::clone(config));
    }
    let config: Config = serde_json::from_slice(json)?;
    // A platform may write the same in another order for one of the roles.
    let known = configs.iter().find(|(_, known)| **known == config).map(|(_, known)| Arc::clone(known));
    let config = known.unwrap_or_else(|| Arc::new(config));
    configs.push((json.to_vec(), Arc::clone(&config)));
    if configs.len() > KEPT {
        configs.remove(0);
    }
    Ok(config)
}

/// Registers an exchange, so that the upstream filters of its request find it by the returned number. It is forgotten
/// by [`forget`].
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    #[test]
    fn a_wrong_configuration_leaves_the_last_good_one_at_work() {
        let store = Memory::default();
        assert!(config(b"{", &store).is_none(), "there was none");
        assert!(config(br#"{"body_limit": 7}"#, &store).is_some());
        for wrong in [&b"{"[..], b"", br#"{"body_limit": "much"}"#, br#"{"no_such_field": 1}"#] {
            assert_eq!(config(wrong, &store).map(|config| config.body_limit), Some(7));
        }
        assert_eq!(config(br#"{"body_limit": 8}"#, &store).map(|config| config.body_limit), Some(8));
        assert_eq!(config(b"{", &store).map(|config| config.body_limit), Some(8));
    }

    #[test]
    fn what_says_the_same_is_the_same() {
        let store = Memory::default();
        let one = config(br#"{"body_limit": 11, "plain_routes": true}"#, &store).unwrap();
        let other = config(br#"{"plain_routes":true,"body_limit":11}"#, &store).unwrap();
        assert!(Arc::ptr_eq(&one, &other));
    }

    /// Another worker, which has just been started.
    #[test]
    fn the_last_good_one_is_that_of_all_workers() {
        let store = Memory::default();
        config(br#"{"body_limit": 9}"#, &store);
        std::thread::scope(|scope| {
            CONFIGS.lock().unwrap().clear();
            let other = Memory(std::cell::RefCell::new(store.0.borrow().clone()));
            let found = scope.spawn(move || config(b"{", &other).map(|config| config.body_limit));
            assert_eq!(found.join().unwrap(), Some(9));
        });
    }
}
