//! What strategies and balances see: the decision, and the candidates as they stand.

use std::cell::OnceCell;

use super::Candidate;
use super::decision::{Moment, Question};
use super::estimate::Input;
use crate::config::rule::TargetId;
use crate::config::{Gateway, Model};
use crate::health::Standing;

/// What a strategy sees.
pub(super) struct Scene<'s, 'a> {
    pub gateway: &'s Gateway,
    pub question: &'s Question<'a>,
    pub moment: &'s Moment<'s>,
    input: OnceCell<Input>,
}

impl<'s, 'a> Scene<'s, 'a> {
    pub(super) fn new(
        gateway: &'s Gateway,
        question: &'s Question<'a>,
        moment: &'s Moment<'s>,
        known: Option<Input>,
    ) -> Self {
        let input = known.map_or_else(OnceCell::new, OnceCell::from);
        Self { gateway, question, moment, input }
    }

    pub(super) fn model(&self, target: TargetId) -> Option<&'s Model> {
        self.gateway.providers.get(target.provider)?.models.get(target.model)
    }

    pub(super) fn input(&self) -> Input {
        *self.input.get_or_init(|| (self.question.input)())
    }
}

/// A target, with its seats.
pub(super) struct Entry {
    pub target: TargetId,
    pub key: u64,
    pub first: usize,
    pub end: usize,
}

impl Entry {
    pub(super) fn seats<'x>(&self, all: &'x [Seat]) -> &'x [Seat] {
        all.get(self.first..self.end).unwrap_or_default()
    }
}

/// A candidate, as it stands.
#[derive(Clone, Copy)]
pub(super) struct Seat {
    pub candidate: Candidate,
    pub standing: Standing,
    pub rank: u8,
    pub key: u64,
    pub group: usize,
    pub target: TargetId,
    /// Its target's place among those of its group.
    pub place: usize,
}

/// Asked in its turn.
pub(super) const ORDERED: u8 = 0;
/// Does not reason, and an effort is asked for.
pub(super) const THOUGHTLESS: u8 = 1;
/// Fails too often.
pub(super) const FAILING: u8 = 2;
/// Its breaker lets nobody through.
pub(super) const CLOSED_OFF: u8 = 3;

impl Seat {
    /// Whether its breaker lets a request through.
    pub(super) fn admits(&self) -> bool {
        self.rank < CLOSED_OFF
    }
}
