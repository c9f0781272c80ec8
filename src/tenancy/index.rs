//! Places by hashes: what a configuration lists is found in the same time however long the list is.

/// An open table, at most half full. Whoever asks says which of the places with a hash is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// A hash and the place after the one it leads to; zero for nothing. As many as a power of two.
    slots: Vec<(u32, u32)>,
    used: usize,
}

impl Index {
    /// Adds a place.
    pub fn add(&mut self, hash: u32, place: usize) {
        self.used += 1;
        if self.used * 2 > self.slots.len() {
            let grown = vec![(0, 0); (self.slots.len() * 2).max(16)];
            for (hash, place) in std::mem::replace(&mut self.slots, grown) {
                if place != 0 {
                    self.put(hash, place);
                }
            }
        }
        self.put(hash, u32::try_from(place + 1).unwrap_or(0));
    }

    /// The place with that hash that is meant.
    pub fn find(&self, hash: u32, is_meant: impl Fn(usize) -> bool) -> Option<usize> {
        let mut at = hash as usize;
        loop {
            // Without slots there is nothing to wrap around.
            let (known, place) = *self.slots.get(at & self.slots.len().checked_sub(1)?)?;
            let place = (place as usize).checked_sub(1)?;
            if known == hash && is_meant(place) {
                return Some(place);
            }
            at = at.wrapping_add(1);
        }
    }

    fn put(&mut self, hash: u32, place: u32) {
        let mask = self.slots.len().saturating_sub(1);
        let mut at = hash as usize & mask;
        while let Some(slot) = self.slots.get_mut(at) {
            if slot.1 == 0 {
                *slot = (hash, place);
                return;
            }
            at = (at + 1) & mask;
        }
    }
}

/// A hash of a text, for an [`Index`]: FNV-1a.
#[must_use]
pub fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn everything_that_was_added_is_found_and_nothing_else() {
        let mut index = Index::default();
        assert_eq!(index.find(7, |_| true), None);
        let names: Vec<String> = (0..1000).map(|at| format!("name-{at}")).collect();
        for (at, name) in names.iter().enumerate() {
            index.add(hash(name), at);
        }
        for (at, name) in names.iter().enumerate() {
            assert_eq!(index.find(hash(name), |place| names[place] == *name), Some(at));
        }
        assert_eq!(index.find(hash("name-1000"), |place| names[place] == "name-1000"), None);
    }

    #[test]
    fn places_with_the_same_hash_are_told_apart_by_whoever_asks() {
        let mut index = Index::default();
        for place in 0..100 {
            index.add(u32::MAX, place);
        }
        for place in 0..100 {
            assert_eq!(index.find(u32::MAX, |found| found == place), Some(place));
        }
        assert_eq!(index.find(u32::MAX, |_| false), None);
        assert_eq!(index.find(0, |_| true), None);
    }
}
