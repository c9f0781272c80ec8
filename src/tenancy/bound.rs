//! What is bounded, by how much, and what is left of it.

use super::bucket::{Left, Window};
use super::period::Span;
use super::settings::{Limits, Terms};
use crate::providers::catalogue::NanoUsd;

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

/// The numbers of [`Bounds`].
pub const BOUNDS: usize = 9;

/// Limits and amounts, each one more than it is, and zero for none: requests by second, minute, day; tokens
/// by the same; requests at a time; nano-dollars of a day, and of a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds([u64; BOUNDS]);

impl Bounds {
    /// Those of terms.
    #[must_use]
    pub fn of(terms: &Terms) -> Self {
        let Limits { requests, tokens, concurrent } = terms.limits;
        let budget = terms.budget.as_ref();
        let amount = |amount: Option<NanoUsd>| amount.map(|amount| amount.0);
        Self(
            [
                requests.second,
                requests.minute,
                requests.day,
                tokens.second,
                tokens.minute,
                tokens.day,
                concurrent.map(u64::from),
                amount(budget.and_then(|budget| budget.day)),
                amount(budget.and_then(|budget| budget.month)),
            ]
            .map(|bound| bound.map_or(0, |bound| bound.saturating_add(1))),
        )
    }

    /// Requests by second, minute, day; tokens by the same.
    #[must_use]
    pub fn rates(&self) -> [Option<u64>; 6] {
        let [a, b, c, d, e, f, ..] = self.0;
        [a, b, c, d, e, f].map(|bound| bound.checked_sub(1))
    }

    /// Requests at a time.
    #[must_use]
    pub const fn concurrent(&self) -> Option<u64> {
        let [.., concurrent, _, _] = self.0;
        concurrent.checked_sub(1)
    }

    /// Nano-dollars of a day, and of a month.
    #[must_use]
    pub fn amounts(&self) -> [Option<u64>; 2] {
        let [.., day, month] = self.0;
        [day, month].map(|bound| bound.checked_sub(1))
    }

    /// As they are kept.
    pub const fn words(&mut self) -> &mut [u64; BOUNDS] {
        &mut self.0
    }
}
