//! All endpoints and targets, as one worker knows them.

use super::report::EndpointReport;
use super::{Event, Millis, Slot, Standing, Store, Watched};
use crate::openai::Class;

/// A place that an attempt holds at an endpoint. Give it back with [`Fleet::settle`].
#[derive(Debug)]
#[must_use = "the place is held until it is settled"]
pub struct Pass {
    /// Where.
    pub slot: Slot,
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

/// Which breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// That of the endpoint.
    Endpoint,
    /// That of the model at the endpoint.
    Target,
}

/// The state of a breaker, for people and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Asked as usual.
    #[default]
    Closed,
    /// Not asked unless nobody else is left.
    Open,
    /// A few may try.
    HalfOpen,
}

impl State {
    /// The word for logs, metrics and the status page.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Level {
    /// The word for logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Target => "target",
        }
    }
}

/// A breaker that changed its state, by what this worker saw. Exactly one worker tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Where.
    pub slot: Slot,
    /// Of the endpoint or of the target.
    pub level: Level,
    /// What it was.
    pub from: State,
    /// What it is.
    pub to: State,
    /// Which failure opened it.
    pub reason: Option<Class>,
    /// How long it is open.
    pub until: Option<Millis>,
}

/// All endpoints and targets, as one worker knows them.
#[derive(Debug)]
pub struct Fleet {
    watched: Vec<Watched>,
}

impl Fleet {
    /// Nothing is known of them yet.
    #[must_use]
    pub fn new(watched: Vec<Watched>) -> Self {
        Self { watched }
    }

    /// Reads what other workers found out.
    pub fn refresh(&mut self, store: &dyn Store, now: Millis) {
        let _ = (store, now);
    }

    /// How a target stands. Costs no read.
    #[must_use]
    pub fn standing(&self, slot: Slot, now: Millis) -> Standing {
        let _ = (slot, now);
        Standing::default()
    }

    /// Takes a place for an attempt.
    ///
    /// # Errors
    /// Why the candidate is not asked now.
    pub fn admit(&mut self, slot: Slot, store: &dyn Store, now: Millis) -> Result<Pass, Refused> {
        let _ = (store, now);
        Ok(Pass { slot })
    }

    /// As [`Self::admit`], but no breaker refuses: for the last resort.
    ///
    /// # Errors
    /// Only [`Refused::Saturated`].
    pub fn insist(&mut self, slot: Slot, store: &dyn Store, now: Millis) -> Result<Pass, Refused> {
        let _ = (store, now);
        Ok(Pass { slot })
    }

    /// Gives a place back with what became of the attempt.
    #[expect(clippy::needless_pass_by_value, reason = "a pass is given back")]
    pub fn settle(
        &mut self,
        pass: Pass,
        event: Event,
        store: &dyn Store,
        now: Millis,
        random: u64,
    ) -> Option<Transition> {
        let _ = (pass, event, store, now, random);
        None
    }

    /// A stream's first content came after so many milliseconds. The attempt goes on.
    pub fn first_token(&mut self, slot: Slot, millis: u32) {
        let _ = (slot, millis);
    }

    /// Envoy's own pool overflowed (response flag `UO`).
    pub fn overflowed(&mut self, slot: Slot, store: &dyn Store, now: Millis) {
        let _ = (slot, store, now);
    }

    /// Tick: writes what is pending and rereads what others wrote.
    pub fn flush(&mut self, store: &dyn Store, now: Millis) -> Vec<Transition> {
        let _ = (store, now);
        Vec::new()
    }

    /// What is watched, in the order of [`Slot::endpoint`].
    #[must_use]
    pub fn watched(&self) -> &[Watched] {
        &self.watched
    }

    /// Everything a status page shows, read fresh from the store.
    #[must_use]
    pub fn report(&self, store: &dyn Store, now: Millis) -> Vec<EndpointReport> {
        let _ = (store, now);
        Vec::new()
    }
}
