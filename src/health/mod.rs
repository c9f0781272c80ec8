//! How well providers do: counts and times over sliding windows, and circuit breakers, the same for
//! every worker of an Envoy.
//!
//! What is watched has two levels. An *endpoint* is a cluster: connections, credentials, servers. A
//! *target* is a model at an endpoint: its capacity, its rate limit, its deployment. Each has counts
//! and a breaker of its own; an attempt counts at both, and a failure opens the breaker of the level
//! that it speaks of ([`Scope`]).
//!
//! ```text
//!  attempt ──► Fleet::settle ──► shared record (failures at once, successes on the tick)
//!                                     │ epoch
//!  decision ◄── Fleet::standing ◄── snapshot of this worker, refreshed when the epoch moved
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | [`settings`] | thresholds, as a configuration says them |
//! | [`fleet`] | all endpoints and targets as one worker knows them; takes places, settles attempts |
//! | [`flush`] | the tick: what a worker writes, and what it reads again |
//! | [`entry`] | one record as a worker knows it; all writes go through it |
//! | [`slot`] | a record as all workers share it: a breaker and what it goes by |
//! | [`breaker`] | the circuit breaker |
//! | [`window`] | counts over sliding windows |
//! | [`histogram`] | times over sliding windows, and their percentiles |
//! | [`lanes`] | who is in flight where, by worker |
//! | [`epoch`] | what moved since a worker looked last |
//! | [`transition`] | breakers that change their state |
//! | [`report`] | what a status page shows |
//! | [`probe`] | when an endpoint is asked without being asked for |
//! | [`traffic`] | which rule went where |

pub mod breaker;
mod entry;
mod epoch;
pub mod fleet;
mod flush;
pub mod histogram;
mod lanes;
pub mod probe;
pub mod report;
pub mod settings;
pub mod slot;
pub mod traffic;
pub mod transition;
pub mod window;

use crate::openai::Class;
use crate::store::Millis;

pub use fleet::{Fleet, Pass, Refused};
pub use settings::{Breaker, Settings};
pub use traffic::Traffic;
pub use transition::{Level, State, Transition};

/// A place in the fleet: a model at an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Which endpoint, counted over all providers in the order of the configuration.
    pub endpoint: u16,
    /// Which target, counted over all endpoints in the order of the configuration.
    pub target: u16,
}

impl Slot {
    /// The endpoint without any of its models: for an attempt that asks for none, and so says
    /// nothing of them.
    #[must_use]
    pub const fn without_target(self) -> Self {
        Self { target: u16::MAX, ..self }
    }
}

/// What an endpoint is called, and what it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The provider's name.
    pub provider: String,
    /// The cluster's name: the key of its slots.
    pub cluster: String,
    /// The models' names.
    pub models: Vec<String>,
    /// When its breakers open and close.
    pub breaker: Breaker,
    /// Most attempts at a time over all workers.
    pub max_concurrency: Option<u32>,
}

/// What a failure speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nothing: the request itself was at fault. The provider did answer.
    Request,
    /// The model at this endpoint.
    Target,
    /// The endpoint: all its models.
    Endpoint,
}

impl Scope {
    /// What a failure of this class speaks of.
    #[must_use]
    pub const fn of(class: Class) -> Self {
        match class {
            Class::Client | Class::ContentFilter | Class::ContextLength => Self::Request,
            Class::RateLimit | Class::Overloaded | Class::NotFound | Class::Permission => {
                Self::Target
            }
            Class::Auth | Class::Quota | Class::Server | Class::Timeout => Self::Endpoint,
        }
    }
}

/// What became of an attempt, or became known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first content of a stream came after so many milliseconds. It has not ended.
    FirstToken(u32),
    /// It gave a whole answer after so many milliseconds.
    Answered {
        /// From the attempt's beginning to its end.
        total: u32,
        /// Whether it was a stream.
        stream: bool,
    },
    /// It failed.
    Failed {
        /// In which way.
        class: Class,
        /// When the provider wants to be asked again, in milliseconds.
        retry_after: Option<u32>,
    },
    /// The client left, or nobody knows: says nothing of the provider.
    Abandoned,
}

/// The state of a breaker, as a decision needs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// Closed: asked as usual.
    #[default]
    Closed,
    /// Half-open, and one more request may try now.
    Trial,
    /// Half-open, and as many as may try are trying.
    HalfOpen,
    /// Open until then.
    Open(Millis),
}

/// Counts of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Attempts with an outcome that says something of the provider.
    pub requests: u32,
    /// Those of them that failed by the provider's fault.
    pub failures: u32,
}

impl Counts {
    /// Failures of a thousand requests.
    #[must_use]
    pub const fn per_mille(self) -> u32 {
        if self.requests == 0 {
            return 0;
        }
        (self.failures as u64 * 1000 / self.requests as u64) as u32
    }
}

/// Percentiles of a window, in milliseconds; nothing without a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// How many samples.
    pub samples: u32,
    /// The median.
    pub p50: u32,
    /// 95 of 100 were quicker.
    pub p95: u32,
    /// 99 of 100 were quicker.
    pub p99: u32,
}

/// A sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Ten seconds.
    TenSeconds,
    /// One minute.
    Minute,
    /// Five minutes.
    FiveMinutes,
}

impl Window {
    /// All of them, shortest first.
    pub const ALL: [Self; 3] = [Self::TenSeconds, Self::Minute, Self::FiveMinutes];
}

/// How a target stands, as a decision needs it: of its own breaker and its endpoint's the worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it may be asked.
    pub gate: Gate,
    /// Whether all that may be in flight at its endpoint is, or Envoy said that its pool overflows.
    pub saturated: bool,
    /// Attempts in flight at its endpoint over all workers, as far as this one knows.
    pub in_flight: u32,
    /// Outcomes of the target over [`Window::ALL`].
    pub counts: [Counts; 3],
    /// Times to the first content of streams, over the last five minutes.
    pub first_token: Percentiles,
    /// Times to the end of answers that were not streamed, over the last five minutes.
    pub total: Percentiles,
}
