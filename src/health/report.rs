//! What a status page shows of the fleet.

use super::{Counts, Millis, Percentiles, State};
use crate::openai::Class;

/// An endpoint as all workers know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointReport {
    /// The provider's name.
    pub provider: String,
    /// The cluster's name.
    pub cluster: String,
    /// Its breaker.
    pub breaker: BreakerReport,
    /// Attempts in flight over all workers.
    pub in_flight: u32,
    /// Most attempts at a time.
    pub max_concurrency: Option<u32>,
    /// Whether Envoy's own pool overflowed within the last second.
    pub overflowing: bool,
    /// Outcomes over [`super::Window::ALL`]; failures are those that speak of the endpoint.
    pub counts: [Counts; 3],
    /// Its models, in the order of the configuration.
    pub targets: Vec<TargetReport>,
}

/// A model at an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetReport {
    /// The model's name.
    pub model: String,
    /// Its own breaker, whatever its endpoint's.
    pub breaker: BreakerReport,
    /// Outcomes over [`super::Window::ALL`].
    pub counts: [Counts; 3],
    /// Outcomes of five minutes that were errors, by class; those with a count only.
    pub classes: Vec<(Class, u32)>,
    /// Times to the first content of streams over [`super::Window::ALL`].
    pub first_token: [Percentiles; 3],
    /// Times to the end of answers that were not streamed over [`super::Window::ALL`].
    pub total: [Percentiles; 3],
    /// Times of each thirty seconds of five minutes, oldest first: of first content, or of the whole
    /// where no stream was seen.
    pub history: Vec<Percentiles>,
}

/// A breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakerReport {
    /// Its state.
    pub state: State,
    /// How long it is open.
    pub until: Option<Millis>,
    /// How many times it opened without having closed.
    pub opened: u32,
    /// What opened it.
    pub reason: Option<Class>,
}
