//! Thresholds, as a configuration says them.

use std::time::Duration;

/// When a breaker opens, and how it closes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Opens when so many of a thousand requests of the last ten seconds failed, …
    pub error_rate_per_mille: u32,
    /// … once there were so many requests in them.
    pub min_requests: u32,
    /// Opens after so many failures one after the other.
    pub consecutive_failures: u32,
    /// How long it stays open the first time. Doubles each time it opens without having closed.
    pub open_for: Duration,
    /// The longest that it stays open. A provider's own `Retry-After` may be longer, up to
    /// [`MAX_RETRY_AFTER`].
    pub max_open: Duration,
    /// Successes one after the other that close it when it is half-open.
    pub close_after: u32,
}

/// The longest `Retry-After` that is honoured.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

impl Default for Breaker {
    fn default() -> Self {
        Self {
            error_rate_per_mille: 500,
            min_requests: 20,
            consecutive_failures: 5,
            open_for: Duration::from_secs(2),
            max_open: Duration::from_secs(60),
            close_after: 5,
        }
    }
}

/// `health` at the top of a configuration; a provider may say it again for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// When breakers open and close.
    pub breaker: Breaker,
}
