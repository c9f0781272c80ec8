//! What a worker gets from outside.

use crate::store::Millis;
use crate::telemetry::metrics::Sink;

/// What a worker gets from outside: what all workers share, the time, chance, and metrics.
pub trait World: Sink {
    /// Milliseconds since 1970.
    fn now(&self) -> Millis;

    /// Any number; another one each time.
    fn random(&self) -> u64;

    /// Adds one to a counter.
    fn count(&self, metric: &str) {
        self.add(metric, 1);
    }

    /// Adds to a counter.
    fn add(&self, metric: &str, by: u64);

    /// A value for a histogram.
    fn observe(&self, metric: &str, value: u64);

    /// Sets a gauge.
    fn gauge(&self, metric: &str, value: u64);
}
