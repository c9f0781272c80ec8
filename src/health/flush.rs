//! Places in flight, and the tick: what a worker writes, and what it reads again.

use super::fleet::{Endpoint, Fleet, Target};
use super::histogram::{Kind, Latencies};
use super::lanes::{InFlight, Lanes};
use super::transition::{Level, Transition};
use super::{Slot, Window};
use crate::store::{ABSENT, Millis, ROUNDS, Store};

/// How old percentiles may grow while nobody adds to them, in milliseconds.
const PERCENTILES_LAST: Millis = 15_000;

impl Endpoint {
    /// Attempts in flight, as far as this worker knows.
    pub const fn in_flight(&self) -> u32 {
        self.others.saturating_add(self.mine)
    }

    /// Takes in what is in flight at all workers.
    pub fn look(&mut self, in_flight: &InFlight, lanes: &Lanes, now: Millis) {
        self.others = in_flight.total(lanes, now).saturating_sub(self.told);
    }
}

impl Fleet {
    /// Tick, every half a second: writes what is pending, beats this worker's lane, and reads all
    /// records, times and in-flight counts again, so that what others wrote on their tick is seen
    /// within a second. Gives the transitions that nobody was told of.
    pub fn flush(&mut self, store: &dyn Store, now: Millis) -> Vec<Transition> {
        self.beat(store, now);
        let lanes = Lanes::read(store).0;
        for at in 0..self.endpoints.len() {
            let slot = self.endpoint_slot(at);
            let told = self.publish(Level::Endpoint, slot, store, now);
            self.keep(told);
            self.tell_in_flight(at, store);
            if let Some(endpoint) = self.endpoints.get_mut(at) {
                endpoint.entry.reread(store);
                let (in_flight, _) = InFlight::read(store, &endpoint.in_key);
                endpoint.look(&in_flight, &lanes, now);
            }
        }
        for at in 0..self.targets.len() {
            let Some(target) = self.targets.get_mut(at) else { continue };
            let slot = Slot { endpoint: target.endpoint, target: at as u16 };
            target.flush_times(store, now);
            let told = self.publish(Level::Target, slot, store, now);
            self.keep(told);
            if let Some(target) = self.targets.get_mut(at) {
                target.entry.reread(store);
            }
        }
        self.epoch.bump(0, store);
        std::mem::take(&mut self.transitions)
    }

    /// Takes a place at an endpoint. False when all are taken.
    pub(super) fn reserve(&mut self, slot: Slot, store: &dyn Store, now: Millis) -> bool {
        if self.lane.is_none() {
            self.lane = Lanes::beat(store, None, now);
        }
        let at = usize::from(slot.endpoint);
        let most = self.watched.get(at).and_then(|watched| watched.max_concurrency);
        let lane = self.lane;
        if let (Some(most), Some(mut lane)) = (most, lane) {
            for _ in 0..ROUNDS {
                let Some(endpoint) = self.endpoints.get(at) else { return true };
                // In this order: who has counted has a lane already.
                let (mut in_flight, version) = InFlight::read(store, &endpoint.in_key);
                let (lanes, _) = Lanes::read(store);
                if !lanes.holds(lane, now) {
                    self.beat(store, now);
                    match self.lane {
                        Some(mine) if Lanes::read(store).0.holds(mine, now) => lane = mine,
                        _ => break,
                    }
                    continue;
                }
                let Some(endpoint) = self.endpoints.get_mut(at) else { return true };
                in_flight.set(lane, endpoint.told, endpoint.mine);
                let total = in_flight.total(&lanes, now);
                endpoint.others = total.saturating_sub(endpoint.mine);
                if total >= most {
                    return false;
                }
                let mine = endpoint.mine.saturating_add(1);
                in_flight.set(lane, endpoint.mine, mine);
                if in_flight.write(store, &endpoint.in_key, version) {
                    (endpoint.mine, endpoint.told) = (mine, mine);
                    return true;
                }
            }
        }
        let Some(endpoint) = self.endpoints.get_mut(at) else { return true };
        let free = most.is_none_or(|most| endpoint.in_flight() < most);
        if free {
            endpoint.mine = endpoint.mine.saturating_add(1);
        }
        free
    }

    /// Gives a place back. Others hear of it at once where places are counted.
    pub(super) fn release(&mut self, slot: Slot, store: &dyn Store) {
        let at = usize::from(slot.endpoint);
        let Some(endpoint) = self.endpoints.get_mut(at) else { return };
        endpoint.mine = endpoint.mine.saturating_sub(1);
        if self.watched.get(at).is_some_and(|watched| watched.max_concurrency.is_some()) {
            self.tell_in_flight(at, store);
        }
    }

    /// Says that this worker lives, if it ever took a place.
    fn beat(&mut self, store: &dyn Store, now: Millis) {
        let Some(lane) = self.lane else { return };
        let Some(beaten) = Lanes::beat(store, Some(lane), now) else { return };
        if beaten != lane {
            // It was silent for so long that another has its lane: nothing is known of it there.
            self.lane = Some(beaten);
            for endpoint in &mut self.endpoints {
                endpoint.told = 0;
            }
        }
    }

    /// Writes how many attempts this worker has in flight at an endpoint, if that changed.
    fn tell_in_flight(&mut self, at: usize, store: &dyn Store) {
        let (Some(lane), Some(endpoint)) = (self.lane, self.endpoints.get_mut(at)) else { return };
        if endpoint.told == endpoint.mine {
            return;
        }
        for _ in 0..ROUNDS {
            let (mut in_flight, version) = InFlight::read(store, &endpoint.in_key);
            in_flight.set(lane, endpoint.told, endpoint.mine);
            if in_flight.write(store, &endpoint.in_key, version) {
                endpoint.told = endpoint.mine;
                return;
            }
        }
    }

    /// The place of an endpoint, for what is of all its models.
    pub(super) fn endpoint_slot(&self, at: usize) -> Slot {
        let target = self.endpoints.get(at).map_or(0, |endpoint| endpoint.first_target);
        Slot { endpoint: at as u16, target }
    }
}

impl Target {
    /// Writes the samples that wait, and takes percentiles when there is news.
    fn flush_times(&mut self, store: &dyn Store, now: Millis) {
        for round in 0..ROUNDS {
            let found = store.read(&self.times_key);
            let version = found.as_ref().map_or(ABSENT, |(_, version)| *version);
            let fresh = now.abs_diff(self.taken) < PERCENTILES_LAST;
            if self.samples.is_empty() && (found.is_none() || version == self.version && fresh) {
                return;
            }
            let mut times =
                found.and_then(|(value, _)| Latencies::decode(value)).unwrap_or_default();
            let wrote = !self.samples.is_empty() && {
                times.add(&self.samples, now);
                store.write(&self.times_key, times.bytes(), Some(version))
            };
            if !wrote && !self.samples.is_empty() && round + 1 < ROUNDS {
                continue;
            }
            if wrote {
                self.samples.clear();
            }
            self.version = if wrote { ABSENT } else { version };
            self.taken = now;
            self.first_token = times.percentiles(Kind::FirstToken, Window::FiveMinutes, now);
            self.total = times.percentiles(Kind::Total, Window::FiveMinutes, now);
            return;
        }
    }
}
