//! What is bounded, and what is left of it.

use super::bucket::{Left, Window};
use super::period::Span;

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
