//! Values of a single process, for tests, the simulation and the command line.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::Store;

/// Behaves as Envoy's shared data does, for workers that take turns in one thread.
#[derive(Debug, Default)]
pub struct Memory {
    values: RefCell<BTreeMap<String, (Vec<u8>, u32)>>,
    versions: Cell<u32>,
}

impl Memory {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for Memory {
    fn read(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.values.borrow().get(key).filter(|(value, _)| !value.is_empty()).cloned()
    }

    fn write(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        let mut values = self.values.borrow_mut();
        let known = values.get(key).map(|(_, version)| *version);
        if known.is_some() && version.is_some() && known != version {
            return false;
        }
        self.versions.set(self.versions.get().wrapping_add(1));
        values.insert(key.to_owned(), (value.to_vec(), self.versions.get()));
        true
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::store::ABSENT;

    #[test]
    fn a_write_of_an_old_version_is_refused() {
        let store = Memory::new();
        assert!(store.write("a", b"1", Some(ABSENT)));
        let (value, version) = store.read("a").unwrap();
        assert_eq!(value, b"1");
        assert!(store.write("a", b"2", Some(version)));
        assert!(!store.write("a", b"3", Some(version)));
        assert!(!store.write("a", b"3", Some(ABSENT)));
        assert!(store.write("a", b"4", None));
        assert_eq!(store.read("a").unwrap().0, b"4");
    }

    #[test]
    fn an_empty_value_counts_as_none() {
        let store = Memory::new();
        store.write("a", b"", None);
        assert!(store.read("a").is_none());
    }
}
