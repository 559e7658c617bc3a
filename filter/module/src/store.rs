//! The process's memory: one store for all workers.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use weir_core::store::{Change, Conflict, Store, Versioned};

/// How many locks there are: many more than workers, so that two rarely want the same one.
const SHARDS: usize = 256;

type Hasher = BuildHasherDefault<DefaultHasher>;
type Shard = HashMap<String, Versioned, Hasher>;

/// What the workers of the process share.
pub(crate) static STORE: Memory = Memory::new();

/// A store in memory. Each lock is held for as long as it takes to copy or change a value, and only when a request
/// begins or ends. A change happens under the lock: with compare and swap, a worker could lose every race against a
/// faster one.
pub(crate) struct Memory {
    shards: [Mutex<Shard>; SHARDS],
}

impl Memory {
    const fn new() -> Memory {
        Memory { shards: [const { Mutex::new(HashMap::with_hasher(BuildHasherDefault::new())) }; SHARDS] }
    }

    fn shard(&self, key: &str) -> Option<MutexGuard<'_, Shard>> {
        let hash = Hasher::default().hash_one(key);
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        // A panic cannot have left a map that is half changed: a value is replaced as a whole, after it was made.
        self.shards.get(index).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store for Memory {
    fn get(&self, key: &str) -> Option<Versioned> {
        self.shard(key)?.get(key).cloned()
    }

    fn swap(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Conflict> {
        let mut shard = self.shard(key).ok_or(Conflict)?;
        if let Some(present) = shard.get_mut(key) {
            if version != Some(present.version) {
                return Err(Conflict);
            }
            present.value.clear();
            present.value.extend_from_slice(value);
            present.version = present.version.wrapping_add(1);
            return Ok(());
        }
        match (version, shard.entry(key.to_owned())) {
            (None, Entry::Vacant(entry)) => {
                entry.insert(Versioned { value: value.to_vec(), version: 1 });
                Ok(())
            }
            _ => Err(Conflict),
        }
    }

    fn change(&self, key: &str, change: &mut Change<'_>) -> bool {
        let Some(mut shard) = self.shard(key) else { return false };
        match shard.get_mut(key) {
            Some(present) => {
                if let Some(value) = change(Some(&present.value)) {
                    *present = Versioned { value, version: present.version.wrapping_add(1) };
                }
            }
            None => {
                if let Some(value) = change(None) {
                    shard.insert(key.to_owned(), Versioned { value, version: 1 });
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use weir_core::store::update;

    #[test]
    fn a_write_must_name_what_it_replaces() {
        let store = Memory::new();
        assert_eq!(store.swap("k", b"1", Some(1)), Err(Conflict), "there is nothing yet");
        assert_eq!(store.swap("k", b"1", None), Ok(()));
        assert_eq!(store.swap("k", b"2", None), Err(Conflict), "there is something");
        let version = store.get("k").map(|now| now.version);
        assert_eq!(store.swap("k", b"2", version), Ok(()));
        assert_eq!(store.swap("k", b"3", version), Err(Conflict), "another was faster");
        assert_eq!(store.get("k").map(|now| now.value), Some(b"2".to_vec()));
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        static SHARED: Memory = Memory::new();
        let add = || {
            for _ in 0..5_000 {
                let done = update(&SHARED, "n", |now| {
                    let now = now.and_then(|now| now.try_into().ok()).map_or(0, u64::from_le_bytes);
                    (Some((now + 1).to_le_bytes().to_vec()), ())
                });
                assert!(done.is_some());
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(add))));
        let sum = SHARED.get("n").and_then(|now| now.value.try_into().ok()).map(u64::from_le_bytes);
        assert_eq!(sum, Some(20_000));
    }
}
