//! As written; one that fails too often goes behind the others.

use crate::config::rule::Leave;
use crate::health::{Counts, Standing};
use crate::routing::chance::Draw;

/// One of so many requests is still asked where it would be without failures, so that a recovery is
/// seen.
pub const RECHECK_ONE_OF: u64 = 20;

/// Whether this request is one of those.
pub(in crate::routing) const fn rechecks(random: u64) -> bool {
    Draw::Recheck.from(random).is_multiple_of(RECHECK_ONE_OF)
}

/// The counts of the window that `leave` looks at.
pub(in crate::routing) fn counts(leave: &Leave, standing: &Standing) -> Counts {
    standing.counts.get(leave.window as usize).copied().unwrap_or_default()
}

/// Whether it fails too often.
pub(in crate::routing) fn failing(leave: &Leave, standing: &Standing) -> bool {
    let counts = counts(leave, standing);
    counts.requests >= leave.min_requests && counts.per_mille() > leave.error_rate_per_mille
}
