//! Data that all workers share, changed by compare and swap.

/// The value of a key and the number that a later [`Store::swap`] must name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The stored bytes.
    pub value: Vec<u8>,
    /// Changes with every write.
    pub version: u32,
}

/// Another worker wrote the key in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict;

/// What becomes of a value: the present one, if any, to the new one, if any.
pub type Change<'a> = dyn FnMut(Option<&[u8]>) -> Option<Vec<u8>> + 'a;

/// A key-value store that all workers share; where it lies is the shell's to say.
pub trait Store {
    /// The present value of `key`.
    fn get(&self, key: &str) -> Option<Versioned>;

    /// Writes `value` if `key` still has `version`; `None` demands that the key does not exist.
    ///
    /// # Errors
    /// [`Conflict`] when that is no longer so; nothing was written then.
    fn swap(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Conflict>;

    /// Replaces the value of `key` by what `change` makes of it; nothing is written where that is `None`. False when
    /// the key could not be won. `change` may be called several times, but what comes of the last call counts.
    ///
    /// A store that has locks needs no more than one call, and holds one meanwhile: `change` must not use the store.
    fn change(&self, key: &str, change: &mut Change<'_>) -> bool {
        for _ in 0..MAX_TRIES {
            let now = self.get(key);
            let Some(value) = change(now.as_ref().map(|now| now.value.as_slice())) else { return true };
            if self.swap(key, &value, now.map(|now| now.version)).is_ok() {
                return true;
            }
        }
        false
    }
}

/// How often [`Store::change`] tries. Each failure means that another worker succeeded, so even many workers at one key
/// get through long before.
const MAX_TRIES: usize = 1000;

/// Replaces the value of `key` by what `change` makes of it, and returns what `change` returned in the try that
/// counted. `None` when `change` wanted no write (it returned no value) or the key could not be won.
pub fn update<T>(
    store: &dyn Store,
    key: &str,
    mut change: impl FnMut(Option<&[u8]>) -> (Option<Vec<u8>>, T),
) -> Option<T> {
    let mut outcome = None;
    let mut change = |now: Option<&[u8]>| {
        let (value, result) = change(now);
        outcome = Some(result);
        value
    };
    let is_done = store.change(key, &mut change);
    outcome.filter(|_| is_done)
}

#[cfg(test)]
pub(crate) mod memory {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::collections::HashMap;

    /// A store for tests, which can be told to lose the next races.
    #[derive(Default)]
    pub(crate) struct Memory {
        data: RefCell<HashMap<String, Versioned>>,
        pub(crate) conflicts: Cell<u32>,
    }

    impl Store for Memory {
        fn get(&self, key: &str) -> Option<Versioned> {
            self.data.borrow().get(key).cloned()
        }

        fn swap(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Conflict> {
            if let Some(left) = self.conflicts.get().checked_sub(1) {
                self.conflicts.set(left);
                return Err(Conflict);
            }
            let mut data = self.data.borrow_mut();
            let now = data.get(key).map(|now| now.version);
            if now != version {
                return Err(Conflict);
            }
            data.insert(
                key.to_owned(),
                Versioned { value: value.to_vec(), version: now.map_or(1, |version| version + 1) },
            );
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::memory::Memory;
    use super::*;

    fn add(store: &Memory, amount: u8) -> Option<u8> {
        update(store, "n", |now| {
            let sum = now.and_then(|now| now.first().copied()).unwrap_or(0) + amount;
            (Some(vec![sum]), sum)
        })
    }

    #[test]
    fn a_lost_race_is_run_again() {
        let store = Memory::default();
        assert_eq!(add(&store, 2), Some(2));
        store.conflicts.set(3);
        assert_eq!(add(&store, 5), Some(7));
        assert_eq!(store.get("n").map(|now| now.value), Some(vec![7]));
    }

    #[test]
    fn a_key_that_cannot_be_won_is_given_up() {
        let store = Memory::default();
        store.conflicts.set(u32::MAX);
        assert_eq!(add(&store, 2), None);
    }
}
