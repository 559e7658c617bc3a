//! A store in memory, for tests.

use std::cell::RefCell;
use std::collections::HashMap;

use weir_core::store::{Conflict, Store, Versioned};

#[derive(Default)]
pub(crate) struct Memory(pub(crate) RefCell<HashMap<String, Versioned>>);

impl Store for Memory {
    fn get(&self, key: &str) -> Option<Versioned> {
        self.0.borrow().get(key).cloned()
    }

    fn swap(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Conflict> {
        let mut data = self.0.borrow_mut();
        if data.get(key).map(|now| now.version) != version {
            return Err(Conflict);
        }
        let version = version.map_or(1, |version| version + 1);
        data.insert(key.to_owned(), Versioned { value: value.to_vec(), version });
        Ok(())
    }
}
