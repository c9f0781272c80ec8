//! One record as a worker knows it: what it read last, and what it has not told yet.

use super::breaker::Circuit;
use super::epoch;
use super::settings::Breaker;
use super::slot::{Outcome, Record};
use super::window::BEHIND;
use super::{Counts, State};
use crate::openai::Class;
use crate::store::{ABSENT, Millis, ROUNDS, Store};

/// Most outcomes that wait for a store that refuses all writes. Of those beyond, only the count is
/// kept: breakers do not hear of them.
pub const MAX_WAITING: usize = 32;

/// What a model at a cluster is called in keys: `cluster/model`. Both may hold slashes, so those of
/// the cluster are written otherwise, and no two targets have the same name.
pub fn name(cluster: &str, model: &str) -> String {
    [&cluster.replace('%', "%25").replace('/', "%2F"), "/", model].concat()
}

/// One record as a worker knows it.
#[derive(Debug)]
pub struct Entry {
    key: String,
    /// In which of the epoch's groups it is.
    pub group: usize,
    /// The version that `record` was read at; [`ABSENT`] when that is not known.
    version: u32,
    /// What was read or written last.
    pub record: Record,
    answered: Counts,
    classes: [u16; Class::ALL.len()],
    told: Vec<Outcome>,
    overflowed: Millis,
}

/// What a write did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Other workers should read it before their next decision.
    pub moved: bool,
    /// The state that the breaker left for another.
    pub left: Option<State>,
}

impl Entry {
    /// Nothing is known.
    pub fn new(key: String) -> Self {
        Self {
            group: epoch::group(&key),
            key,
            version: ABSENT,
            record: Record::default(),
            answered: Counts::default(),
            classes: [0; Class::ALL.len()],
            told: Vec::new(),
            overflowed: 0,
        }
    }

    /// Keeps an answered attempt for the next write.
    pub fn answer(&mut self, class: Option<Class>) {
        self.answered.requests = self.answered.requests.saturating_add(1);
        if let Some(count) = class.and_then(|class| self.classes.get_mut(class as usize)) {
            *count = count.saturating_add(1);
        }
    }

    /// Keeps an outcome that breakers must hear of for the next write.
    pub fn tell(&mut self, outcome: Outcome) {
        if self.told.len() < MAX_WAITING {
            self.told.push(outcome);
            return;
        }
        let counts = outcome.verdict.counts();
        self.answered.requests = self.answered.requests.saturating_add(counts.requests);
        self.answered.failures = self.answered.failures.saturating_add(counts.failures);
    }

    /// Keeps that Envoy's pool overflowed for the next write.
    pub const fn overflow(&mut self, now: Millis) {
        self.overflowed = now;
    }

    /// What is not written yet.
    pub fn waiting(&self) -> Counts {
        let mut waiting = self.answered;
        for outcome in &self.told {
            let counts = outcome.verdict.counts();
            waiting.requests = waiting.requests.saturating_add(counts.requests);
            waiting.failures = waiting.failures.saturating_add(counts.failures);
        }
        waiting
    }

    /// Whether attempts are not written yet.
    pub fn waits(&self) -> bool {
        self.answered != Counts::default() || !self.told.is_empty()
    }

    /// Whether a success matters to other workers at once.
    pub const fn troubled(&self) -> bool {
        !matches!(self.record.circuit, Circuit::Closed { streak: 0, .. })
    }

    /// Reads what others wrote.
    pub fn reread(&mut self, store: &dyn Store) {
        let Some((value, version)) = store.read(&self.key) else { return };
        if version != self.version {
            self.version = version;
            self.record = Record::decode(&value).unwrap_or_default();
        }
    }

    /// The record as it is in the store now.
    pub fn fresh(&self, store: &dyn Store) -> Record {
        store.read(&self.key).and_then(|(value, _)| Record::decode(&value)).unwrap_or_default()
    }

    /// Writes what waits. When other workers are quicker [`ROUNDS`] times, it goes on waiting.
    pub fn publish(
        &mut self,
        store: &dyn Store,
        now: Millis,
        random: u64,
        settings: &Breaker,
    ) -> Published {
        let nothing = self.answered == Counts::default()
            && self.told.is_empty()
            && self.overflowed == 0
            && self.classes == [0; Class::ALL.len()];
        if nothing {
            return Published::default();
        }
        let changed = self.change(store, |entry, record| {
            if entry.answered != Counts::default() {
                record.answered(entry.answered, now);
            }
            for (class, count) in entry.classes.iter().enumerate().filter(|(_, count)| **count > 0)
            {
                record.windows.add_class(class, *count, now);
            }
            for outcome in &entry.told {
                record.tell(outcome, now, random, settings);
            }
            if entry.overflowed != 0 {
                // One further away is of a clock that was set back.
                let near = now.abs_diff(record.overflowed) < BEHIND;
                let known = if near { record.overflowed } else { 0 };
                record.overflowed = known.max(entry.overflowed);
            }
            true
        });
        let Some(before) = changed else { return Published::default() };
        let moved = !self.told.is_empty() || self.overflowed != 0;
        self.answered = Counts::default();
        self.classes = [0; Class::ALL.len()];
        self.told.clear();
        self.overflowed = 0;
        let left = (before.circuit.state() != self.record.circuit.state())
            .then_some(before.circuit.state());
        Published { moved, left }
    }

    /// Changes the record in the store; gives the one before. Nothing when `change` is against it,
    /// or others were quicker too often: the record is then as it was read last.
    pub fn change(
        &mut self,
        store: &dyn Store,
        mut change: impl FnMut(&Self, &mut Record) -> bool,
    ) -> Option<Record> {
        for _ in 0..ROUNDS {
            let found = store.read(&self.key);
            let version = found.as_ref().map_or(ABSENT, |(_, version)| *version);
            let before = found.and_then(|(value, _)| Record::decode(&value)).unwrap_or_default();
            let mut record = before.clone();
            if !change(self, &mut record) {
                self.record = before;
                self.version = version;
                return None;
            }
            if store.write(&self.key, &record.encode(), Some(version)) {
                self.record = record;
                self.version = ABSENT;
                return Some(before);
            }
        }
        None
    }
}
