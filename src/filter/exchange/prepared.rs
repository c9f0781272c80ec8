//! What the next attempt needs, taken ahead.

use crate::filter::service::Place;
use crate::filter::tab::Tab;
use crate::providers::Outbound;

/// What the next attempt needs.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The candidate's place in the plan.
    pub candidate: usize,
    /// The request, translated ahead to know that it can be.
    pub outbound: Option<Outbound>,
    /// The candidate's place at its endpoint, taken ahead too.
    pub place: Option<Place>,
    /// What it holds of its provider's cap.
    pub cap: Option<Tab>,
}
