//! Which limit refuses a request, and when it would not.

use std::rc::Rc;

use super::bound::{Remaining, What};
use super::settings::Exhausted;
use super::subject::Subject;
use crate::store::Millis;

/// A limit or budget that a request would exceed. Of several, the one that has to be waited for
/// longest.
#[derive(Debug)]
pub struct Exceeded {
    /// Whose it is.
    pub subject: Rc<Subject>,
    /// What is bounded.
    pub what: What,
    /// How many, or nano-dollars.
    pub limit: u64,
    /// How many, or nano-dollars, the request would need.
    pub wanted: u64,
    /// When it would fit, in milliseconds. Nothing when it never will, as it wants more than the limit
    /// itself, and for [`What::Concurrent`], as nobody knows.
    pub wait: Option<Millis>,
    /// What is left of all.
    pub remaining: Remaining,
    /// Of a budget: what is to be done instead. [`Exhausted::Reject`] when it was asked by
    /// [`reserve_downgraded`](super::Ledger::reserve_downgraded).
    pub on_exhausted: Exhausted,
    /// The status that the refusal has: 429, or a budget's own.
    pub status: u16,
    /// Whether nobody was refused by this budget before in this period: this one is to be told.
    pub first: bool,
}
