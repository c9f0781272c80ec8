//! Breakers that change their state, for logs, metrics and the status page.

use super::Slot;
use crate::openai::Class;
use crate::store::Millis;

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
