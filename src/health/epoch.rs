//! What moved since a worker looked last: one small value that is read for each decision.
//!
//! ```text
//!  health/epoch   version u8 │ 128 × generation u16
//! ```
//! Each record belongs to one of 128 groups, by its key; a generation counts what moved in its group.

use crate::store::bytes::Reader;
use crate::store::{ABSENT, ROUNDS, Store};

const GROUPS: usize = 128;
const BYTES: usize = 1 + GROUPS * 2;
const KEY: &str = "health/epoch";
const VERSION: u8 = 1;

/// The group of a key.
pub fn group(key: &str) -> usize {
    (hash(key) % GROUPS as u64) as usize
}

/// FNV-1a.
pub fn hash(key: &str) -> u64 {
    key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Generations as they were when this worker looked last.
#[derive(Debug)]
pub struct Epoch {
    version: u32,
    generations: [u16; GROUPS],
    /// Groups that this worker could not say to have moved.
    owed: u128,
}

impl Default for Epoch {
    fn default() -> Self {
        Self { version: ABSENT, generations: [0; GROUPS], owed: 0 }
    }
}

impl Epoch {
    /// The groups that moved since the last look, as bits. One read.
    pub fn look(&mut self, store: &dyn Store) -> u128 {
        let Some((value, version)) = store.read(KEY) else { return 0 };
        if version == self.version {
            return 0;
        }
        self.version = version;
        let found = decode(&value);
        let mut moved = 0;
        for (at, (known, found)) in self.generations.iter_mut().zip(found).enumerate() {
            if *known != found {
                *known = found;
                moved |= 1 << at;
            }
        }
        moved
    }

    /// Says to all workers that something moved in these groups.
    pub fn bump(&mut self, groups: u128, store: &dyn Store) {
        self.owed |= groups;
        if self.owed == 0 {
            return;
        }
        for _ in 0..ROUNDS {
            let found = store.read(KEY);
            let version = found.as_ref().map_or(ABSENT, |(_, version)| *version);
            let before = found.map_or([0; GROUPS], |(value, _)| decode(&value));
            let mut after = before;
            let mut value = Vec::with_capacity(BYTES);
            value.push(VERSION);
            for (at, generation) in after.iter_mut().enumerate() {
                if self.owed >> at & 1 == 1 {
                    *generation = generation.wrapping_add(1);
                }
                value.extend_from_slice(&generation.to_le_bytes());
            }
            if !store.write(KEY, &value, Some(version)) {
                continue;
            }
            // What this worker wrote itself it need not read again, unless others moved it too.
            let known = self.generations.iter_mut().zip(before.iter().zip(after));
            for (known, (before, after)) in known {
                if known == before {
                    *known = after;
                }
            }
            self.owed = 0;
            return;
        }
    }
}

/// A value of another version or length says that nothing ever moved.
fn decode(value: &[u8]) -> [u16; GROUPS] {
    let mut generations = [0; GROUPS];
    let mut reader = Reader(value);
    if value.len() == BYTES && reader.u8() == Some(VERSION) {
        for generation in &mut generations {
            *generation = reader.u16().unwrap_or(0);
        }
    }
    generations
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::store::memory::Memory;

    #[test]
    fn others_see_which_groups_moved_and_see_it_once() {
        let store = Memory::new();
        let (mut one, mut two) = (Epoch::default(), Epoch::default());
        one.bump(1 << 3 | 1 << 127, &store);
        assert_eq!(two.look(&store), 1 << 3 | 1 << 127);
        assert_eq!(two.look(&store), 0);
        assert_eq!(one.look(&store), 0);
        two.bump(1 << 3, &store);
        assert_eq!((one.look(&store), two.look(&store)), (1 << 3, 0));
    }

    #[test]
    fn what_moved_by_both_is_read_again_by_both() {
        let store = Memory::new();
        let (mut one, mut two) = (Epoch::default(), Epoch::default());
        two.bump(1, &store);
        one.bump(1, &store);
        assert_eq!((one.look(&store), two.look(&store)), (1, 1));
    }

    #[test]
    fn garbage_is_an_epoch_in_which_nothing_moved() {
        let store = Memory::new();
        let mut epoch = Epoch::default();
        store.write(KEY, b"garbage", None);
        assert_eq!(epoch.look(&store), 0);
        epoch.bump(1 << 5, &store);
        assert_eq!(Epoch::default().look(&store), 1 << 5);
    }
}
