//! Who is in flight where, by worker: each has a lane of its own, so that the places of one that
//! died come back.
//!
//! ```text
//!  health/lanes         version u8 │ next token u32 │ n × (token u32, beat u64)
//!  health/in/<cluster>  version u8 │ n × (token u32, in flight u32)
//! ```
//! A count stands only while its token is that of a living lane at the same place, so a lane that is
//! claimed anew, with another token, has nothing in flight anywhere.

use crate::store::bytes::{Reader, Writer};
use crate::store::{ABSENT, Millis, ROUNDS, Store};

/// Most lanes. Workers beyond share the last one, and their places come back only when all of those
/// have died.
pub const MAX_LANES: usize = 128;

/// A lane that has not been heard of for so long is of a worker that died. In milliseconds.
pub const SILENCE: Millis = 5_000;

/// A lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    at: usize,
    token: u32,
}

/// All lanes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lanes {
    next: u32,
    lanes: Vec<(u32, Millis)>,
}

impl Lanes {
    /// Those that are known to the store.
    pub fn read(store: &dyn Store) -> (Self, u32) {
        store.read(KEY).map_or_else(
            || (Self::default(), ABSENT),
            |(value, version)| (Self::decode(&value).unwrap_or_default(), version),
        )
    }

    /// Says that the worker of `lane` lives, which claims one if it has none or has lost it. Nothing
    /// when the store refuses.
    pub fn beat(store: &dyn Store, lane: Option<Lane>, now: Millis) -> Option<Lane> {
        for _ in 0..ROUNDS {
            let (mut lanes, version) = Self::read(store);
            let lane = lanes.claim(lane, now);
            if store.write(KEY, &lanes.encode(), Some(version)) {
                return Some(lane);
            }
        }
        None
    }

    /// Whether a lane is still its worker's, and alive.
    pub fn holds(&self, lane: Lane, now: Millis) -> bool {
        let known = self.lanes.get(lane.at);
        known.is_some_and(|(token, beat)| *token == lane.token && alive(*beat, now))
    }

    fn claim(&mut self, lane: Option<Lane>, now: Millis) -> Lane {
        if let Some(lane) = lane
            && let Some(known) = self.lanes.get_mut(lane.at)
            && known.0 == lane.token
        {
            known.1 = now;
            return lane;
        }
        let dead = self.lanes.iter().position(|(_, beat)| !alive(*beat, now));
        let at = dead.unwrap_or(self.lanes.len());
        if at >= MAX_LANES {
            let at = MAX_LANES - 1;
            let token = self.lanes.get(at).map_or(0, |(token, _)| *token);
            return Lane { at, token };
        }
        // 0 is the token of nobody.
        self.next = self.next.wrapping_add(1).max(1);
        let claimed = (self.next, now);
        match self.lanes.get_mut(at) {
            Some(known) => *known = claimed,
            None => self.lanes.push(claimed),
        }
        Lane { at, token: self.next }
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader(value);
        if reader.u8()? != VERSION {
            return None;
        }
        let next = reader.u32()?;
        if !reader.0.len().is_multiple_of(12) || reader.0.len() > MAX_LANES * 12 {
            return None;
        }
        let mut lanes = Vec::with_capacity(reader.0.len() / 12);
        while let (Some(token), Some(beat)) = (reader.u32(), reader.u64()) {
            lanes.push((token, beat));
        }
        Some(Self { next, lanes })
    }

    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u8(VERSION);
        writer.u32(self.next);
        for (token, beat) in &self.lanes {
            writer.u32(*token);
            writer.u64(*beat);
        }
        writer.0
    }
}

/// What is in flight at an endpoint, by lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InFlight(Vec<(u32, u32)>);

impl InFlight {
    /// What the store knows under `key`.
    pub fn read(store: &dyn Store, key: &str) -> (Self, u32) {
        store.read(key).map_or_else(
            || (Self::default(), ABSENT),
            |(value, version)| (Self::decode(&value).unwrap_or_default(), version),
        )
    }

    /// Attempts in flight over all living lanes.
    pub fn total(&self, lanes: &Lanes, now: Millis) -> u32 {
        let living = |((token, count), (owner, beat)): (&(u32, u32), &(u32, Millis))| {
            if token == owner && alive(*beat, now) { *count } else { 0 }
        };
        self.0.iter().zip(&lanes.lanes).map(living).fold(0, u32::saturating_add)
    }

    /// Takes `told`, which this worker has said before, for `count`.
    pub fn set(&mut self, lane: Lane, told: u32, count: u32) {
        if self.0.len() <= lane.at {
            self.0.resize(lane.at + 1, (0, 0));
        }
        if let Some(known) = self.0.get_mut(lane.at) {
            // Of another token is of one who is gone; a lane that is shared holds others' places.
            let others = if known.0 == lane.token { known.1.saturating_sub(told) } else { 0 };
            *known = (lane.token, others.saturating_add(count));
        }
    }

    /// Writes it unless another worker was quicker.
    pub fn write(&self, store: &dyn Store, key: &str, version: u32) -> bool {
        let mut writer = Writer(Vec::with_capacity(1 + self.0.len() * 8));
        writer.u8(VERSION);
        for (token, count) in &self.0 {
            writer.u32(*token);
            writer.u32(*count);
        }
        store.write(key, &writer.0, Some(version))
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader(value);
        if reader.u8()? != VERSION
            || !reader.0.len().is_multiple_of(8)
            || reader.0.len() > MAX_LANES * 8
        {
            return None;
        }
        let mut counts = Vec::with_capacity(reader.0.len() / 8);
        while let (Some(token), Some(count)) = (reader.u32(), reader.u32()) {
            counts.push((token, count));
        }
        Some(Self(counts))
    }
}

const KEY: &str = "health/lanes";
const VERSION: u8 = 1;

/// One that was claimed a moment in the future is of a clock that is a little ahead.
const fn alive(beat: Millis, now: Millis) -> bool {
    now.abs_diff(beat) < SILENCE
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::store::memory::Memory;

    const T0: Millis = 1_800_000_000_000;

    fn claim(store: &Memory, now: Millis) -> Lane {
        Lanes::beat(store, None, now).unwrap()
    }

    #[test]
    fn each_worker_has_a_lane_of_its_own() {
        let store = Memory::new();
        let (one, two) = (claim(&store, T0), claim(&store, T0));
        assert_eq!((one.at, two.at), (0, 1));
        assert_ne!(one.token, two.token);
        assert_eq!(Lanes::beat(&store, Some(one), T0 + 1), Some(one));
    }

    #[test]
    fn a_silent_lane_is_claimed_anew_with_nothing_in_flight() {
        let store = Memory::new();
        let dead = claim(&store, T0);
        let mut in_flight = InFlight::default();
        in_flight.set(dead, 0, 7);
        let total = |now| in_flight.total(&Lanes::read(&store).0, now);
        assert_eq!(total(T0 + SILENCE - 1), 7);
        assert_eq!(total(T0 + SILENCE), 0);
        let heir = claim(&store, T0 + SILENCE);
        assert_eq!(heir.at, dead.at);
        assert_eq!(total(T0 + SILENCE), 0);
        assert_ne!(Lanes::beat(&store, Some(dead), T0 + SILENCE), Some(dead));
    }

    #[test]
    fn a_lane_that_was_silent_but_not_taken_counts_again() {
        let store = Memory::new();
        let lane = claim(&store, T0);
        let mut in_flight = InFlight::default();
        in_flight.set(lane, 0, 7);
        assert_eq!(Lanes::beat(&store, Some(lane), T0 + 60_000), Some(lane));
        assert_eq!(in_flight.total(&Lanes::read(&store).0, T0 + 60_000), 7);
    }

    #[test]
    fn lanes_are_bounded_and_those_beyond_share_the_last() {
        let store = Memory::new();
        let lanes: Vec<Lane> = (0..MAX_LANES + 2).map(|_| claim(&store, T0)).collect();
        let mut in_flight = InFlight::default();
        for lane in &lanes {
            in_flight.set(*lane, 0, 2);
        }
        in_flight.set(lanes[MAX_LANES + 1], 2, 1);
        assert_eq!(lanes[MAX_LANES], lanes[MAX_LANES - 1]);
        assert_eq!(in_flight.0.len(), MAX_LANES);
        let all = Lanes::read(&store).0;
        assert_eq!(all.lanes.len(), MAX_LANES);
        assert_eq!(in_flight.total(&all, T0), 2 * (MAX_LANES as u32 + 2) - 1);
    }

    #[test]
    fn lanes_of_another_version_or_length_are_none() {
        let store = Memory::new();
        claim(&store, T0);
        let (lanes, _) = Lanes::read(&store);
        let value = lanes.encode();
        assert_eq!(Lanes::decode(&value), Some(lanes));
        for len in (0..value.len()).filter(|len| *len != 5) {
            assert_eq!(Lanes::decode(&value[..len]), None, "{len}");
        }
        let long = [&value[..5], &[0; 12 * (MAX_LANES + 1)]].concat();
        assert_eq!(Lanes::decode(&long), None);
        assert_eq!(InFlight::decode(&[VERSION, 1, 2, 3]), None);
        assert_eq!(InFlight::decode(&[9, 1, 0, 0, 0, 2, 0, 0, 0]), None);
        assert_eq!(
            InFlight::decode(&[VERSION, 1, 0, 0, 0, 2, 0, 0, 0]),
            Some(InFlight(vec![(1, 2)]))
        );
        let long = [&[VERSION][..], &[0; 8 * (MAX_LANES + 1)]].concat();
        assert_eq!(InFlight::decode(&long), None);
    }
}
