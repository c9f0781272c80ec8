//! What a status page shows of the fleet.

use super::breaker::Circuit;
use super::fleet::{Fleet, Target, overflowing};
use super::histogram::{Kind, Latencies};
use super::lanes::{InFlight, Lanes};
use super::{Counts, Percentiles, State, Window};
use crate::openai::Class;
use crate::store::{Millis, Store};

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

impl Fleet {
    /// Everything a status page shows, read fresh from the store.
    #[must_use]
    pub fn report(&self, store: &dyn Store, now: Millis) -> Vec<EndpointReport> {
        let lanes = Lanes::read(store).0;
        let mut reports = Vec::with_capacity(self.watched.len());
        for (watched, endpoint) in self.watched.iter().zip(&self.endpoints) {
            let record = endpoint.entry.fresh(store);
            let targets = self.targets.iter().skip(usize::from(endpoint.first_target));
            reports.push(EndpointReport {
                provider: watched.provider.clone(),
                cluster: watched.cluster.clone(),
                breaker: BreakerReport::of(&record.circuit),
                in_flight: InFlight::read(store, &endpoint.in_key).0.total(&lanes, now),
                max_concurrency: watched.max_concurrency,
                overflowing: overflowing(record.overflowed, now),
                counts: Window::ALL.map(|window| record.windows.counts(window, now)),
                targets: watched
                    .models
                    .iter()
                    .zip(targets)
                    .map(|(model, target)| TargetReport::read(model, target, store, now))
                    .collect(),
            });
        }
        reports
    }
}

impl TargetReport {
    fn read(model: &str, target: &Target, store: &dyn Store, now: Millis) -> Self {
        let record = target.entry.fresh(store);
        let times = store.read(&target.times_key);
        let times = times.and_then(|(value, _)| Latencies::decode(value)).unwrap_or_default();
        let percentiles = |kind| Window::ALL.map(|window| times.percentiles(kind, window, now));
        Self {
            model: model.to_owned(),
            breaker: BreakerReport::of(&record.circuit),
            counts: Window::ALL.map(|window| record.windows.counts(window, now)),
            classes: record.windows.classes(now),
            first_token: percentiles(Kind::FirstToken),
            total: percentiles(Kind::Total),
            history: times.history(now),
        }
    }
}

impl BreakerReport {
    fn of(circuit: &Circuit) -> Self {
        let (reason, until) = circuit.opening();
        Self { state: circuit.state(), until, opened: circuit.opened(), reason }
    }
}
