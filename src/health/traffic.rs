//! Which rule went where.
//!
//! ```text
//!  traffic/<rule>   version u8 │ last u64 │ n × (target u64, 10 × count of thirty seconds u32)
//! ```
//! A target is known by a hash of `cluster/model`, so that a new configuration keeps what was counted.

use super::entry;
use super::epoch::hash;
use super::window::{self, Ring};
use super::{Slot, Watched};
use crate::openai::order::ordered;
use crate::store::bytes::{Reader, Writer};
use crate::store::{ABSENT, Millis, ROUNDS, Store};

/// Most targets of a rule that are counted, of those that were asked in the last five minutes.
pub const MAX_TARGETS: usize = 128;

/// Most pairs of rule and target that wait for the next tick.
const MAX_WAITING: usize = 1024;

/// Requests by rule and target, over five minutes and all workers.
#[derive(Debug)]
pub struct Traffic {
    rules: Vec<String>,
    targets: Vec<(u64, Slot)>,
    waiting: Vec<(usize, u16, u32)>,
}

impl Traffic {
    /// Counts for the rules of these names, and the targets that are watched.
    #[must_use]
    pub fn new(rules: Vec<String>, watched: &[Watched]) -> Self {
        let mut targets = Vec::new();
        for (endpoint, one) in watched.iter().enumerate() {
            for model in &one.models {
                let slot = Slot { endpoint: endpoint as u16, target: targets.len() as u16 };
                targets.push((hash(&entry::name(&one.cluster, model)), slot));
            }
        }
        Self { rules, targets, waiting: Vec::new() }
    }

    /// An attempt that the rule at `rule` led to `slot`.
    pub fn count(&mut self, rule: usize, slot: Slot) {
        let target = slot.target;
        let mut known = self.waiting.iter_mut();
        if let Some(known) = known.find(|known| (known.0, known.1) == (rule, target)) {
            known.2 = known.2.saturating_add(1);
        } else if self.waiting.len() < MAX_WAITING {
            self.waiting.push((rule, target, 1));
        }
    }

    /// Tick: writes what is pending. What cannot be written waits for the next one.
    pub fn flush(&mut self, store: &dyn Store, now: Millis) {
        let waiting = std::mem::take(&mut self.waiting);
        let waiting = ordered(waiting, |(rule, target, _)| (*rule, *target));
        for of_rule in waiting.chunk_by(|one, other| one.0 == other.0) {
            let rule = of_rule.first().and_then(|first| self.rules.get(first.0));
            let Some(key) = rule.map(|rule| key(rule)) else { continue };
            let wrote = (0..ROUNDS).any(|_| {
                let found = store.read(&key);
                let version = found.as_ref().map_or(ABSENT, |(_, version)| *version);
                let mut counts = found.and_then(|(value, _)| Counted::decode(&value));
                let counts = counts.get_or_insert_default();
                counts.advance(now);
                for (_, target, count) in of_rule {
                    if let Some((hash, _)) = self.targets.get(usize::from(*target)) {
                        counts.add(*hash, *count);
                    }
                }
                store.write(&key, &counts.encode(), Some(version))
            });
            if !wrote {
                self.waiting.extend(of_rule);
            }
        }
    }

    /// For each rule, by its name, where it went in the last five minutes, most first.
    #[must_use]
    pub fn report(&self, store: &dyn Store, now: Millis) -> Vec<(String, Vec<(Slot, u32)>)> {
        let of = |rule: &String| {
            let counts = store.read(&key(rule)).and_then(|(value, _)| Counted::decode(&value));
            let found: Vec<(Slot, u32)> = counts
                .unwrap_or_default()
                .sums(now)
                .filter_map(|(hash, count)| {
                    let (_, slot) = self.targets.iter().find(|(known, _)| *known == hash)?;
                    Some((*slot, count))
                })
                .collect();
            (rule.clone(), ordered(found, |(slot, count)| (u32::MAX - count, slot.target)))
        };
        self.rules.iter().map(of).collect()
    }
}

/// The value of a rule.
#[derive(Default)]
struct Counted {
    last: Millis,
    targets: Vec<(u64, [u32; TIMES])>,
}

impl Counted {
    fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader(value);
        if reader.u8()? != VERSION {
            return None;
        }
        let last = reader.u64()?;
        if !reader.0.len().is_multiple_of(ENTRY) || reader.0.len() > MAX_TARGETS * ENTRY {
            return None;
        }
        let mut targets = Vec::with_capacity(reader.0.len() / ENTRY);
        while let Some(hash) = reader.u64() {
            let mut counts = [0; TIMES];
            for count in &mut counts {
                *count = reader.u32()?;
            }
            targets.push((hash, counts));
        }
        Some(Self { last, targets })
    }

    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer(Vec::with_capacity(9 + self.targets.len() * ENTRY));
        writer.u8(VERSION);
        writer.u64(self.last);
        for (hash, counts) in &self.targets {
            writer.u64(*hash);
            for count in counts {
                writer.u32(*count);
            }
        }
        writer.0
    }

    /// Moves on to `now`, and forgets targets that were not asked for five minutes.
    fn advance(&mut self, now: Millis) {
        let step = window::advance(&mut self.last, now);
        for (_, counts) in &mut self.targets {
            for stale in RING.stale(step) {
                if let Some(count) = counts.get_mut(stale) {
                    *count = 0;
                }
            }
        }
        self.targets.retain(|(_, counts)| *counts != [0; TIMES]);
    }

    fn add(&mut self, hash: u64, count: u32) {
        let at = match self.targets.iter().position(|(known, _)| *known == hash) {
            Some(at) => at,
            None if self.targets.len() < MAX_TARGETS => {
                self.targets.push((hash, [0; TIMES]));
                self.targets.len() - 1
            }
            None => return,
        };
        let counts = self.targets.get_mut(at).map(|(_, counts)| counts);
        if let Some(known) = counts.and_then(|counts| counts.get_mut(RING.newest(self.last))) {
            *known = known.saturating_add(count);
        }
    }

    fn sums(&self, now: Millis) -> impl Iterator<Item = (u64, u32)> {
        let sum = move |counts: &[u32; TIMES]| {
            let seen = RING.seen(self.last, now, TIMES).flatten();
            seen.filter_map(|at| counts.get(at)).fold(0, |sum: u32, one| sum.saturating_add(*one))
        };
        self.targets.iter().map(move |(hash, counts)| (*hash, sum(counts))).filter(|one| one.1 > 0)
    }
}

const VERSION: u8 = 1;
const TIMES: usize = 10;
const ENTRY: usize = 8 + TIMES * 4;
const RING: Ring = Ring { first: 0, len: TIMES, width: 30_000 };

fn key(rule: &str) -> String {
    ["traffic/", rule].concat()
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::health::Breaker;
    use crate::store::memory::Memory;

    const T0: Millis = 1_800_000_000_000;

    fn watched(cluster: &str, models: &[&str]) -> Watched {
        Watched {
            provider: "p".to_owned(),
            cluster: cluster.to_owned(),
            models: models.iter().map(|&model| model.to_owned()).collect(),
            breaker: Breaker::default(),
            max_concurrency: None,
        }
    }

    fn slot(endpoint: u16, target: u16) -> Slot {
        Slot { endpoint, target }
    }

    fn rules() -> Vec<String> {
        vec!["first".to_owned(), "second".to_owned()]
    }

    #[test]
    fn all_workers_count_together_and_most_comes_first() {
        let store = Memory::new();
        let fleet = [watched("a", &["m", "n"]), watched("b", &["m"])];
        let (mut one, mut two) = (Traffic::new(rules(), &fleet), Traffic::new(rules(), &fleet));
        one.count(0, slot(0, 1));
        one.count(1, slot(0, 0));
        two.count(0, slot(1, 2));
        two.count(0, slot(1, 2));
        one.flush(&store, T0);
        two.flush(&store, T0);
        one.flush(&store, T0);
        let report = one.report(&store, T0 + 1);
        assert_eq!(report[0], ("first".to_owned(), vec![(slot(1, 2), 2), (slot(0, 1), 1)]));
        assert_eq!(report[1], ("second".to_owned(), vec![(slot(0, 0), 1)]));
        assert!(one.report(&store, T0 + 300_000)[0].1.is_empty());
    }

    #[test]
    fn a_new_configuration_finds_targets_by_their_names() {
        let store = Memory::new();
        let mut before = Traffic::new(rules(), &[watched("a", &["m", "n"])]);
        before.count(0, slot(0, 0));
        before.count(0, slot(0, 1));
        before.flush(&store, T0);
        let after = Traffic::new(rules(), &[watched("new", &["m"]), watched("a", &["n"])]);
        assert_eq!(after.report(&store, T0)[0].1, [(slot(1, 1), 1)]);
    }

    #[test]
    fn targets_of_a_rule_are_bounded_and_old_ones_make_room() {
        let store = Memory::new();
        let names: Vec<String> = (0..=MAX_TARGETS).map(|at| format!("m{at}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut traffic = Traffic::new(rules(), &[watched("a", &names)]);
        for target in 0..=MAX_TARGETS as u16 {
            traffic.count(0, slot(0, target));
        }
        traffic.flush(&store, T0);
        assert_eq!(traffic.report(&store, T0)[0].1.len(), MAX_TARGETS);
        traffic.count(0, slot(0, MAX_TARGETS as u16));
        traffic.flush(&store, T0 + 300_000);
        assert_eq!(traffic.report(&store, T0 + 300_000)[0].1.len(), 1);
    }

    #[test]
    fn what_cannot_be_written_waits_and_is_bounded() {
        struct Refuses;
        impl Store for Refuses {
            fn read(&self, _: &str) -> Option<(Vec<u8>, u32)> {
                Some((b"garbage".to_vec(), 7))
            }
            fn write(&self, _: &str, _: &[u8], _: Option<u32>) -> bool {
                false
            }
        }
        let mut traffic = Traffic::new(rules(), &[watched("a", &["m"])]);
        for target in 0..5000 {
            traffic.count(0, slot(0, target));
        }
        traffic.flush(&Refuses, T0);
        assert_eq!(traffic.waiting.len(), MAX_WAITING);
        let store = Memory::new();
        traffic.flush(&store, T0);
        assert_eq!(traffic.report(&store, T0)[0].1, [(slot(0, 0), 1)]);
        assert!(traffic.waiting.is_empty());
    }

    #[test]
    fn garbage_is_no_traffic() {
        let whole = {
            let store = Memory::new();
            let mut traffic = Traffic::new(rules(), &[watched("a", &["m"])]);
            traffic.count(0, slot(0, 0));
            traffic.flush(&store, T0);
            store.read("traffic/first").unwrap().0
        };
        assert!(Counted::decode(&whole).is_some());
        for len in 0..whole.len() {
            let counted = Counted::decode(&whole[..len]);
            assert!(counted.is_none_or(|counted| counted.targets.is_empty()), "{len}");
        }
        let mut other = whole;
        other[0] = 9;
        assert!(Counted::decode(&other).is_none());
    }
}
