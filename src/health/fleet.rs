//! All endpoints and targets, as one worker knows them.
//!
//! What it costs, in operations of the store (each about 0.15 µs in Envoy, and a copy of the value):
//!
//! | when | operations |
//! |---|---|
//! | [`Fleet::refresh`], nothing moved | one read of 257 bytes; two more for each endpoint that stood saturated |
//! | [`Fleet::refresh`], something failed somewhere | one more read for each record that moved, 583 bytes |
//! | [`Fleet::standing`] | none, and no allocation |
//! | [`Fleet::admit`] | none; two reads and a write with `max_concurrency`; a read and a write for a trial |
//! | [`Fleet::settle`], success | none; one read if something failed there within ten seconds; a read and a write with `max_concurrency` |
//! | [`Fleet::settle`], failure | three reads and three writes: both records and the epoch |
//! | [`Fleet::flush`] | a read of each record and of each target's times (7 KiB), a write of what changed here |

use super::entry::{self, Entry, Published};
use super::epoch::Epoch;
use super::histogram::{Kind, Samples};
use super::lanes::{InFlight, Lane, Lanes};
use super::slot::{Outcome, Verdict};
use super::transition::{Level, Transition};
use super::{Breaker, Event, Gate, Percentiles, Scope, Slot, Standing, Watched, Window};
use crate::openai::Class;
use crate::store::{ABSENT, Millis, Store};

/// A place that an attempt holds at an endpoint. Give it back with [`Fleet::settle`], or it is lost
/// until the worker ends.
#[derive(Debug)]
#[must_use = "the place is held until it is settled"]
pub struct Pass {
    /// Where.
    pub slot: Slot,
    began: Millis,
    endpoint_permit: Option<Millis>,
    target_permit: Option<Millis>,
}

impl Pass {
    /// Whether the attempt is a trial of a breaker that is half-open.
    #[must_use]
    pub const fn trial(&self) -> bool {
        self.endpoint_permit.is_some() || self.target_permit.is_some()
    }
}

/// Why a candidate is not asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// As many attempts as may be are in flight at its endpoint.
    Saturated,
    /// Its breaker is half-open, and as many as may try are trying.
    Trying,
    /// Its breaker is open.
    Open,
}

/// How long an overflow of Envoy's pool is held to last, in milliseconds.
const OVERFLOW: Millis = 1_000;

/// Overflows of an endpoint that come sooner than this after another are not written, in
/// milliseconds: there may be thousands a second.
const OVERFLOW_AGAIN: Millis = 100;

/// Most transitions that wait for the next tick; those beyond are not told.
const MAX_TRANSITIONS: usize = 256;

/// All endpoints and targets, as one worker knows them.
#[derive(Debug)]
pub struct Fleet {
    pub(super) watched: Vec<Watched>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) targets: Vec<Target>,
    pub(super) epoch: Epoch,
    pub(super) lane: Option<Lane>,
    pub(super) transitions: Vec<Transition>,
    pub(super) random: u64,
    loaded: bool,
}

#[derive(Debug)]
pub(super) struct Endpoint {
    pub entry: Entry,
    /// The key of what is in flight.
    pub in_key: String,
    /// Attempts of this worker in flight, …
    pub mine: u32,
    /// … how many of them the store knows, …
    pub told: u32,
    /// … and how many others had when this worker looked last.
    pub others: u32,
    pub first_target: u16,
}

#[derive(Debug)]
pub(super) struct Target {
    pub entry: Entry,
    pub endpoint: u16,
    /// The key of its times, their version, and when percentiles were taken of them.
    pub times_key: String,
    pub version: u32,
    pub taken: Millis,
    pub first_token: Percentiles,
    pub total: Percentiles,
    pub samples: Samples,
}

impl Fleet {
    /// Nothing is known of them yet.
    #[must_use]
    pub fn new(watched: Vec<Watched>) -> Self {
        let (mut endpoints, mut targets) = (Vec::new(), Vec::new());
        for (at, one) in watched.iter().enumerate() {
            let key = ["health/e/", &one.cluster].concat();
            endpoints.push(Endpoint {
                entry: Entry::new(key),
                in_key: ["health/in/", &one.cluster].concat(),
                mine: 0,
                told: 0,
                others: 0,
                first_target: targets.len() as u16,
            });
            for model in &one.models {
                let name = entry::name(&one.cluster, model);
                targets.push(Target {
                    entry: Entry::new(["health/t/", &name].concat()),
                    endpoint: at as u16,
                    times_key: ["health/l/", &name].concat(),
                    version: ABSENT,
                    taken: 0,
                    first_token: Percentiles::default(),
                    total: Percentiles::default(),
                    samples: Samples::default(),
                });
            }
        }
        Self {
            watched,
            endpoints,
            targets,
            epoch: Epoch::default(),
            lane: None,
            transitions: Vec::new(),
            random: 0,
            loaded: false,
        }
    }

    /// Reads what other workers found out since: failures, breakers, and whether endpoints that
    /// stood saturated still are. Everything, the first time.
    pub fn refresh(&mut self, store: &dyn Store, now: Millis) {
        self.look(store, now);
        let mut lanes = None;
        for (endpoint, watched) in self.endpoints.iter_mut().zip(&self.watched) {
            if watched.max_concurrency.is_some_and(|most| endpoint.in_flight() >= most) {
                let (in_flight, _) = InFlight::read(store, &endpoint.in_key);
                let lanes = lanes.get_or_insert_with(|| Lanes::read(store).0);
                endpoint.look(&in_flight, lanes, now);
            }
        }
    }

    /// Reads the records that moved. Where something failed, successes that this worker has kept for
    /// the tick are told now: else the failures of all workers would be seen beside the successes of
    /// one, and a breaker would open early.
    fn look(&mut self, store: &dyn Store, now: Millis) {
        let moved = self.epoch.look(store);
        let moved = if self.loaded { moved } else { u128::MAX };
        self.loaded = true;
        if moved == 0 {
            return;
        }
        for at in 0..self.endpoints.len() {
            let slot = self.endpoint_slot(at);
            self.catch_up(Level::Endpoint, slot, moved, store, now);
        }
        for at in 0..self.targets.len() {
            let endpoint = self.targets.get(at).map_or(0, |target| target.endpoint);
            let slot = Slot { endpoint, target: at as u16 };
            self.catch_up(Level::Target, slot, moved, store, now);
        }
    }

    fn failed_lately(&self, slot: Slot, now: Millis) -> bool {
        let endpoint = self.endpoints.get(usize::from(slot.endpoint)).map(|at| &at.entry);
        let target = self.targets.get(usize::from(slot.target)).map(|at| &at.entry);
        let failures =
            |entry: &Entry| entry.record.windows.counts(Window::TenSeconds, now).failures;
        endpoint.into_iter().chain(target).any(|entry| failures(entry) > 0)
    }

    fn catch_up(&mut self, level: Level, slot: Slot, moved: u128, store: &dyn Store, now: Millis) {
        let Some((entry, _)) = self.entry(level, slot) else { return };
        if moved >> entry.group & 1 == 0 {
            return;
        }
        let waits = entry.waits();
        if waits {
            let told = self.publish(level, slot, store, now);
            self.keep(told);
        }
        if let Some((entry, _)) = self.entry(level, slot)
            && (!waits || entry.waits())
        {
            entry.reread(store);
        }
    }

    /// How a target stands, as of the last [`Self::refresh`] or [`Self::flush`]. Its counts begin
    /// anew when its breaker or its endpoint's moves: one that has closed has shown that it is well,
    /// and what failed before must not keep it from being asked.
    #[must_use]
    pub fn standing(&self, slot: Slot, now: Millis) -> Standing {
        let Some((endpoint, target, watched)) = self.find(slot) else { return Standing::default() };
        let record = &target.entry.record;
        let since = endpoint.entry.record.circuit.since().max(record.circuit.since());
        let waiting = target.entry.waiting();
        let counts = Window::ALL.map(|window| {
            let mut counts = match since {
                0 => record.windows.counts(window, now),
                since => record.windows.counts_since(window, since, now),
            };
            counts.requests = counts.requests.saturating_add(waiting.requests);
            counts.failures = counts.failures.saturating_add(waiting.failures);
            counts
        });
        let in_flight = endpoint.in_flight();
        Standing {
            gate: worse(endpoint.entry.record.circuit.gate(now), record.circuit.gate(now)),
            saturated: watched.max_concurrency.is_some_and(|most| in_flight >= most)
                || overflowing(endpoint.entry.record.overflowed, now),
            in_flight,
            counts,
            first_token: target.first_token,
            total: target.total,
        }
    }

    /// Takes a place for an attempt. With `max_concurrency` it is exact over all workers, as long as
    /// each beats its lane; the places of a worker that is silent for [`super::lanes::SILENCE`] are
    /// free, and a store that refuses all writes makes every worker count for itself.
    ///
    /// # Errors
    /// Why the candidate is not asked now.
    pub fn admit(&mut self, slot: Slot, store: &dyn Store, now: Millis) -> Result<Pass, Refused> {
        self.take(slot, store, now, false)
    }

    /// As [`Self::admit`], but no breaker refuses: for the last resort.
    ///
    /// # Errors
    /// Only [`Refused::Saturated`].
    pub fn insist(&mut self, slot: Slot, store: &dyn Store, now: Millis) -> Result<Pass, Refused> {
        self.take(slot, store, now, true)
    }

    fn take(
        &mut self,
        slot: Slot,
        store: &dyn Store,
        now: Millis,
        insist: bool,
    ) -> Result<Pass, Refused> {
        let mut pass = Pass { slot, began: now, endpoint_permit: None, target_permit: None };
        let Some(endpoint) = self.endpoints.get(usize::from(slot.endpoint)) else {
            return Ok(pass);
        };
        let target = self.targets.get(usize::from(slot.target));
        let gates = [
            endpoint.entry.record.circuit.gate(now),
            target.map_or(Gate::Closed, |target| target.entry.record.circuit.gate(now)),
        ];
        if !insist {
            match worse(gates[0], gates[1]) {
                Gate::Closed | Gate::Trial => {}
                Gate::HalfOpen => return Err(Refused::Trying),
                Gate::Open(_) => return Err(Refused::Open),
            }
        }
        if !self.reserve(slot, store, now) {
            return Err(Refused::Saturated);
        }
        let [endpoint_gate, target_gate] = gates;
        let mut refused = None;
        if endpoint_gate == Gate::Trial {
            match self.permit(Level::Endpoint, slot, store, now) {
                Ok(permit) => pass.endpoint_permit = permit,
                Err(why) => refused = Some(why),
            }
        }
        if target_gate == Gate::Trial && (refused.is_none() || insist) {
            match self.permit(Level::Target, slot, store, now) {
                Ok(permit) => pass.target_permit = permit,
                Err(why) => refused = Some(why),
            }
        }
        pass.began =
            now.max(pass.endpoint_permit.unwrap_or(0)).max(pass.target_permit.unwrap_or(0));
        match refused.filter(|_| !insist) {
            None => Ok(pass),
            Some(why) => {
                self.settle(pass, Event::Abandoned, store, now, 0);
                Err(why)
            }
        }
    }

    /// Asks a breaker that this worker holds for half-open.
    fn permit(
        &mut self,
        level: Level,
        slot: Slot,
        store: &dyn Store,
        now: Millis,
    ) -> Result<Option<Millis>, Refused> {
        // Others were quicker too often: they are trying.
        let mut answer = Err(Refused::Trying);
        let Some((entry, _)) = self.entry(level, slot) else { return Ok(None) };
        let before = entry.change(store, |_, record| {
            answer = record.circuit.admit(now).map(|(circuit, permit)| {
                record.circuit = circuit;
                permit
            });
            matches!(answer, Ok(Some(_)))
        });
        match before {
            Some(before) => {
                let left = before.circuit.state();
                let left = (left != entry.record.circuit.state()).then_some(left);
                let moved = left.is_some();
                let told = self.published(level, slot, Published { moved, left }, store);
                self.keep(told);
                answer
            }
            // Nothing was written: without an answer of the breaker there is no permit.
            None => match answer {
                Ok(Some(_)) => Err(Refused::Trying),
                other => other,
            },
        }
    }

    /// Gives a place back with what became of the attempt. A failure is written at once, and so is a
    /// success when the breaker is not closed or the last that was known was a failure; others wait
    /// for the tick.
    #[expect(clippy::needless_pass_by_value, reason = "a place can be given back once")]
    pub fn settle(
        &mut self,
        pass: Pass,
        event: Event,
        store: &dyn Store,
        now: Millis,
        random: u64,
    ) -> Option<Transition> {
        let Pass { slot, began, endpoint_permit, target_permit } = pass;
        self.release(slot, store);
        if self.failed_lately(slot, now) {
            // A success that comes after a failure must be told before the next failure.
            self.look(store, now);
        }
        self.random = self.random.rotate_left(5) ^ random.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (mut class, mut retry_after) = (None, None);
        let (above, below) = match event {
            Event::FirstToken(millis) => {
                self.first_token(slot, millis);
                (Verdict::Unknown, Verdict::Unknown)
            }
            Event::Abandoned => (Verdict::Unknown, Verdict::Unknown),
            Event::Answered { total, stream } => {
                if !stream && let Some(target) = self.targets.get_mut(usize::from(slot.target)) {
                    target.samples.add(Kind::Total, total);
                }
                (Verdict::Answered, Verdict::Answered)
            }
            Event::Failed { class: known, retry_after: after } => {
                (class, retry_after) = (Some(known), after);
                let scope = match known {
                    // Nobody is asked for but the endpoint itself: it is that which has no room.
                    Class::Overloaded if slot.target == u16::MAX => Scope::Endpoint,
                    known => Scope::of(known),
                };
                match scope {
                    Scope::Request => (Verdict::Answered, Verdict::Answered),
                    Scope::Target => (Verdict::Answered, Verdict::Failed),
                    Scope::Endpoint => (Verdict::Failed, Verdict::Suspected),
                }
            }
        };
        let (permit, verdict) = (endpoint_permit, above);
        let outcome = Outcome { began, above: 0, permit, verdict, class, retry_after };
        let first = self.tell(Level::Endpoint, slot, outcome, store, now);
        let Some((endpoint, ..)) = self.find(slot) else { return first };
        let circuit = endpoint.entry.record.circuit;
        let since = circuit.since();
        // What is broken for all models is not the model's fault; what is not, is.
        let closed = circuit.gate(now) == Gate::Closed && began >= since;
        let verdict =
            if below == Verdict::Suspected && !closed { Verdict::Elsewhere } else { below };
        let permit = target_permit;
        let outcome = Outcome { began, above: since, permit, verdict, class, retry_after };
        let second = self.tell(Level::Target, slot, outcome, store, now);
        if first.is_some() {
            self.keep(second);
        }
        first.or(second)
    }

    fn tell(
        &mut self,
        level: Level,
        slot: Slot,
        outcome: Outcome,
        store: &dyn Store,
        now: Millis,
    ) -> Option<Transition> {
        let (entry, _) = self.entry(level, slot)?;
        if outcome.permit.is_none() {
            match outcome.verdict {
                Verdict::Unknown => return None,
                Verdict::Answered if !entry.troubled() => {
                    entry.answer(outcome.class);
                    return None;
                }
                _ => {}
            }
        }
        entry.tell(outcome);
        self.publish(level, slot, store, now)
    }

    /// A stream's first content came after so many milliseconds. The attempt goes on.
    pub fn first_token(&mut self, slot: Slot, millis: u32) {
        if let Some(target) = self.targets.get_mut(usize::from(slot.target)) {
            target.samples.add(Kind::FirstToken, millis);
        }
    }

    /// Envoy's own pool overflowed (response flag `UO`): for a second the endpoint counts as
    /// saturated, at all workers.
    pub fn overflowed(&mut self, slot: Slot, store: &dyn Store, now: Millis) {
        let Some((entry, _)) = self.entry(Level::Endpoint, slot) else { return };
        let last = entry.record.overflowed;
        if last != 0 && now.abs_diff(last) < OVERFLOW_AGAIN {
            return;
        }
        entry.overflow(now);
        let told = self.publish(Level::Endpoint, slot, store, now);
        self.keep(told);
    }

    /// What is watched, in the order of [`Slot::endpoint`].
    #[must_use]
    pub fn watched(&self) -> &[Watched] {
        &self.watched
    }

    /// Writes what waits for one record.
    pub(super) fn publish(
        &mut self,
        level: Level,
        slot: Slot,
        store: &dyn Store,
        now: Millis,
    ) -> Option<Transition> {
        let random = self.random;
        let (entry, settings) = self.entry(level, slot)?;
        let published = entry.publish(store, now, random, &settings);
        self.published(level, slot, published, store)
    }

    fn published(
        &mut self,
        level: Level,
        slot: Slot,
        published: Published,
        store: &dyn Store,
    ) -> Option<Transition> {
        let (entry, _) = self.entry(level, slot)?;
        let (group, circuit) = (entry.group, entry.record.circuit);
        if published.moved || published.left.is_some() {
            self.epoch.bump(1 << group, store);
        }
        let (reason, until) = circuit.opening();
        let from = published.left?;
        Some(Transition { slot, level, from, to: circuit.state(), reason, until })
    }

    /// Keeps a transition for the next tick.
    pub(super) fn keep(&mut self, transition: Option<Transition>) {
        if self.transitions.len() < MAX_TRANSITIONS {
            self.transitions.extend(transition);
        }
    }

    fn entry(&mut self, level: Level, slot: Slot) -> Option<(&mut Entry, Breaker)> {
        let at = usize::from(slot.endpoint);
        let settings = self.watched.get(at)?.breaker;
        let entry = match level {
            Level::Endpoint => &mut self.endpoints.get_mut(at)?.entry,
            Level::Target => &mut self.targets.get_mut(usize::from(slot.target))?.entry,
        };
        Some((entry, settings))
    }

    fn find(&self, slot: Slot) -> Option<(&Endpoint, &Target, &Watched)> {
        let at = usize::from(slot.endpoint);
        let target = self.targets.get(usize::from(slot.target))?;
        Some((self.endpoints.get(at)?, target, self.watched.get(at)?))
    }
}

/// Whether an overflow at `at` still lasts.
pub(super) const fn overflowing(at: Millis, now: Millis) -> bool {
    at != 0 && now.abs_diff(at) < OVERFLOW
}

/// The gate that lets fewer through.
pub(crate) fn worse(one: Gate, other: Gate) -> Gate {
    let rank = |gate| match gate {
        Gate::Closed => 0,
        Gate::Trial => 1,
        Gate::HalfOpen => 2,
        Gate::Open(until) => until.max(3),
    };
    if rank(one) >= rank(other) { one } else { other }
}

#[cfg(test)]
mod tests;
