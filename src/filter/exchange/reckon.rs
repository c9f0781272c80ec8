//! What a request used and cost: summed up once, when it is logged.

use super::Exchange;
use crate::routing::{Outcome, Spent};

impl Exchange {
    /// Notes what each attempt used, where that is not known yet.
    pub(super) fn reckon(&mut self) {
        let Some(usage) = self.usage else { return };
        let answered =
            self.attempts.tried().iter().rposition(|tried| tried.outcome == Outcome::Answered);
        let Some(at) = answered else { return };
        let candidate = self.attempts.tried().get(at).map(|tried| tried.candidate);
        let price =
            candidate.and_then(|candidate| self.candidate(candidate)?.model.facts.price.as_ref());
        let cost = price.map(|price| price.cost(&(&usage).into()));
        self.attempts.spend(at, Spent { usage, cost, estimated: false });
    }
}
