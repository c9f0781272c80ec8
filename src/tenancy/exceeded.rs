//! Which limit refuses a request, and when it would not.

use std::rc::Rc;

use super::bucket::{Left, Window};
use super::period::Span;
use super::settings::Exhausted;
use super::subject::Subject;
use crate::store::Millis;

/// What is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Requests in a window.
    Requests(Window),
    /// Tokens in a window.
    Tokens(Window),
    /// Requests at a time.
    Concurrent,
    /// Money in a period.
    Budget(Span),
}

/// What is left of the tightest limits of all subjects: those with the fewest remaining.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remaining {
    /// Of requests; nothing where none is bounded.
    pub requests: Option<Left>,
    /// Of tokens.
    pub tokens: Option<Left>,
}

impl Remaining {
    /// The tighter of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let tighter = |one: Option<Left>, other: Option<Left>| match (one, other) {
            (Some(one), Some(other)) if other.remaining < one.remaining => Some(other),
            (one, other) => one.or(other),
        };
        Self {
            requests: tighter(self.requests, other.requests),
            tokens: tighter(self.tokens, other.tokens),
        }
    }
}

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
