//! What is known of an endpoint or a target, as all workers share it.
//!
//! ```text
//!  version u8 │ state u8 │ since u64 │ until u64 │ opened u32 │ streak or successes u32 │ reason u8
//!             │ trials 8 × u64 │ overflowed u64 │ last u64
//!             │ 32 × (requests u32, failures u32) │ 10 × 11 × errors by class u16
//! ```
//! Always [`Record::BYTES`] long, little-endian.

use super::breaker::{Circuit, Failure, MAX_TRIALS};
use super::settings::Breaker;
use super::window::Windows;
use super::{Counts, Window};
use crate::openai::Class;
use crate::store::Millis;
use crate::store::bytes::{Reader, Writer};

/// A breaker and what it goes by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The breaker.
    pub circuit: Circuit,
    /// When Envoy's own pool overflowed last; of an endpoint only.
    pub overflowed: Millis,
    /// Outcomes.
    pub windows: Windows,
}

/// What an outcome says at one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was answered here, whatever went wrong elsewhere.
    Answered,
    /// It failed here.
    Failed,
    /// It failed by what may be broken here alone or above: opens by the rate of failures only.
    Suspected,
    /// It failed by what is broken above: counts, and opens nothing.
    Elsewhere,
    /// Nothing.
    Unknown,
}

impl Verdict {
    /// What it counts for.
    #[must_use]
    pub const fn counts(self) -> Counts {
        match self {
            Self::Unknown => Counts { requests: 0, failures: 0 },
            Self::Answered => Counts { requests: 1, failures: 0 },
            Self::Failed | Self::Suspected | Self::Elsewhere => Counts { requests: 1, failures: 1 },
        }
    }
}

/// The outcome of one attempt at one level.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// When the attempt began.
    pub began: Millis,
    /// Since when the level above is in its state: what came before says nothing of this one.
    pub above: Millis,
    /// The permit of its trial.
    pub permit: Option<Millis>,
    /// What it says.
    pub verdict: Verdict,
    /// Which error it was, if any.
    pub class: Option<Class>,
    /// When the provider wants to be asked again, in milliseconds.
    pub retry_after: Option<u32>,
}

impl Record {
    /// Bytes of a written record.
    pub const BYTES: usize = 1 + 26 + MAX_TRIALS * 8 + 8 + Windows::BYTES;

    /// Reads what [`Self::encode`] wrote. Another version or length is none.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<Self> {
        if value.len() != Self::BYTES {
            return None;
        }
        let mut reader = Reader(value);
        if reader.u8()? != VERSION {
            return None;
        }
        let (state, since, until) = (reader.u8()?, reader.u64()?, reader.u64()?);
        let (opened, count) = (reader.u32()?, reader.u32()?);
        let reason = Class::ALL.get(usize::from(reader.u8()?)).copied();
        let mut trials = [0; MAX_TRIALS];
        for began in &mut trials {
            *began = reader.u64()?;
        }
        let circuit = match state {
            0 => Circuit::Closed { since, streak: count },
            1 => Circuit::Open { since, until, opened, reason: reason? },
            2 => Circuit::HalfOpen { since, opened, reason: reason?, successes: count, trials },
            _ => return None,
        };
        let overflowed = reader.u64()?;
        Some(Self { circuit, overflowed, windows: Windows::read(&mut reader)? })
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer(Vec::with_capacity(Self::BYTES));
        let none = [0; MAX_TRIALS];
        let (state, since, until, opened, count, reason, trials) = match self.circuit {
            Circuit::Closed { since, streak } => (0, since, 0, 0, streak, None, none),
            Circuit::Open { since, until, opened, reason } => {
                (1, since, until, opened, 0, Some(reason), none)
            }
            Circuit::HalfOpen { since, opened, reason, successes, trials } => {
                (2, since, 0, opened, successes, Some(reason), trials)
            }
        };
        writer.u8(VERSION);
        writer.u8(state);
        writer.u64(since);
        writer.u64(until);
        writer.u32(opened);
        writer.u32(count);
        writer.u8(reason.map_or(u8::MAX, |class| class as u8));
        for began in trials {
            writer.u64(began);
        }
        writer.u64(self.overflowed);
        self.windows.write(&mut writer);
        writer.0
    }

    /// Takes in the outcome of an attempt.
    pub fn tell(&mut self, outcome: &Outcome, now: Millis, random: u64, settings: &Breaker) {
        if let Some(permit) = outcome.permit {
            self.circuit = self.circuit.release(permit);
        }
        if let Some(class) = outcome.class {
            self.windows.add_class(class as usize, 1, now);
        }
        let counts = outcome.verdict.counts();
        match outcome.verdict {
            Verdict::Unknown => return,
            Verdict::Answered => {
                self.windows.add(counts, false, now);
                self.circuit = self.circuit.succeeded(outcome.began, now, settings);
                return;
            }
            Verdict::Failed | Verdict::Suspected | Verdict::Elsewhere => {}
        }
        let since = self.circuit.since().max(outcome.above);
        let closed = matches!(self.circuit, Circuit::Closed { .. });
        self.windows.add(counts, closed && outcome.began < since, now);
        let Some(class) = outcome.class else { return };
        if outcome.verdict == Verdict::Elsewhere {
            return;
        }
        let failure = Failure {
            began: outcome.began,
            class,
            retry_after: outcome.retry_after,
            rate_only: outcome.verdict == Verdict::Suspected,
            seen: self.windows.counts_since(Window::TenSeconds, since, now),
        };
        self.circuit = self.circuit.failed(&failure, now, random, settings);
    }

    /// Takes in counts of attempts that ended before now, none of which was a trial.
    pub fn answered(&mut self, counts: Counts, now: Millis) {
        self.windows.add(counts, false, now);
        if counts.requests > counts.failures
            && let Circuit::Closed { streak, .. } = &mut self.circuit
        {
            *streak = 0;
        }
    }
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const T0: Millis = 1_800_000_000_000;

    fn records() -> Vec<Record> {
        let mut windows = Windows::default();
        for second in 0..400 {
            let counts = Counts { requests: second + 1, failures: second };
            windows.add(counts, second % 3 == 0, T0 + u64::from(second) * 1_000);
            windows.add_class(second as usize % 11, 3, T0 + u64::from(second) * 1_000);
        }
        let trials = [T0, 0, 1, 2, 3, u64::MAX, 5, 6];
        let circuits = [
            Circuit::default(),
            Circuit::Closed { since: T0, streak: u32::MAX },
            Circuit::Open { since: 1, until: u64::MAX, opened: 7, reason: Class::Timeout },
            Circuit::HalfOpen { since: 1, opened: 2, reason: Class::Auth, successes: 3, trials },
        ];
        let of = |circuit| Record { circuit, overflowed: T0, windows: windows.clone() };
        circuits.map(of).into_iter().chain([Record::default()]).collect()
    }

    #[test]
    fn a_record_survives_the_way_through_the_store() {
        for record in records() {
            let value = record.encode();
            assert_eq!(value.len(), Record::BYTES);
            assert_eq!(Record::decode(&value), Some(record));
        }
    }

    #[test]
    fn a_record_of_another_length_version_or_state_is_none() {
        for record in records() {
            let value = record.encode();
            for len in 0..value.len() {
                assert_eq!(Record::decode(&value[..len]), None);
            }
            assert_eq!(Record::decode(&[value.clone(), vec![0]].concat()), None);
            for (at, byte) in [(0, VERSION + 1), (1, 3)] {
                let mut other = value.clone();
                other[at] = byte;
                assert_eq!(Record::decode(&other), None);
            }
        }
    }

    #[test]
    fn garbage_of_the_right_length_does_no_harm() {
        let settings = Breaker::default();
        let mut state = 1_u64;
        for round in 0..300_u64 {
            let mut value: Vec<u8> = (0..Record::BYTES)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 56) as u8
                })
                .collect();
            (value[0], value[1], value[26]) = (VERSION, (round % 3) as u8, (round % 11) as u8);
            let mut record = Record::decode(&value).unwrap();
            for now in [0, T0, u64::MAX] {
                let _ = (record.circuit.gate(now), record.circuit.admit(now));
                for verdict in [Verdict::Answered, Verdict::Failed, Verdict::Suspected] {
                    let class = Some(Class::Server);
                    let (began, above, permit, retry_after) = (now, 0, Some(now), Some(u32::MAX));
                    let outcome = Outcome { began, above, permit, verdict, class, retry_after };
                    record.tell(&outcome, now, state, &settings);
                }
                let _ = (record.windows.classes(now), record.windows.counts(Window::Minute, now));
                assert_eq!(Record::decode(&record.encode()).as_ref(), Some(&record));
            }
        }
    }
}
