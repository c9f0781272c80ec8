//! What a request that must cost less may still be asked of.

use super::decision::{Plan, Question};
use super::estimate::{self, Input};
use super::{Candidate, Skipped, Why};
use crate::config::Gateway;
use crate::providers::catalogue::NanoUsd;

impl Plan {
    /// Tokens of input, by [`estimate`]: asked for once, whoever wants to know first.
    pub fn input(&mut self, question: &Question<'_>) -> Input {
        *self.input.get_or_insert_with(|| (question.input)())
    }

    /// What the request is taken to cost at a candidate, with nothing read from a cache: a reservation
    /// must not rely on that. Nothing where there is no price.
    pub fn cost(
        &mut self,
        candidate: Candidate,
        gateway: &Gateway,
        question: &Question<'_>,
    ) -> Option<NanoUsd> {
        let input = Input { cached: 0, ..self.input(question) };
        let model = candidate.resolve(gateway)?.model;
        estimate::cost(model, question.operation, input, question.output)
    }

    /// The tokens that the request is taken to use at the candidate that is asked first.
    pub fn tokens(&mut self, gateway: &Gateway, question: &Question<'_>) -> u64 {
        let input = self.input(question);
        let first = self.candidates.first().and_then(|first| first.resolve(gateway));
        let choices = question.output.choices;
        let output = question.output.all(question.operation);
        first.map_or(0, |first| estimate::usage(first.model, input, output, choices).total())
    }

    /// Leaves only the candidates that cost less than the one that would be asked first, in their
    /// order, and says so to the client. False, with nothing changed, when there is none, or the first
    /// has no price to compare with. One without a price is not known to be cheaper.
    pub fn keep_cheaper(&mut self, gateway: &Gateway, question: &Question<'_>) -> bool {
        let Some(first) = self.candidates.first().copied() else { return false };
        let Some(limit) = self.cost(first, gateway, question) else { return false };
        let all = std::mem::take(&mut self.candidates);
        let cheaper = |plan: &mut Self, candidate| {
            plan.cost(candidate, gateway, question).is_some_and(|cost| cost < limit)
        };
        let (kept, left): (Vec<_>, Vec<_>) =
            all.iter().copied().partition(|candidate| cheaper(self, *candidate));
        if kept.is_empty() {
            self.candidates = all;
            return false;
        }
        for candidate in left {
            let reason = "a budget is used up: only cheaper ones are asked";
            self.skipped.push(Skipped::new(candidate, Why::Budget, reason));
        }
        self.candidates = kept;
        self.warnings.push("budget: downgraded".to_owned());
        true
    }
}
