//! Failovers, counted once the attempt that they lead to is made: Envoy may go nowhere, if its own pool
//! of connections to the next cluster is full, and the client may leave before.

use super::Exchange;
use crate::openai::Class;
use crate::routing::Candidate;

/// A failover that is not counted yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Onward {
    from: Candidate,
    to: Candidate,
    reason: Class,
    /// Whether the attempt has begun.
    begun: bool,
}

impl Exchange {
    /// An attempt at `from` failed, and one at `to` is to come.
    pub(super) fn goes_on(&mut self, from: Candidate, to: Candidate, reason: Class) {
        // Envoy may have gone on before this side heard of the end.
        let last = self.attempts.tried().last().map(|last| last.candidate);
        let begun = last.and_then(|last| self.attempts.candidates().get(last)) != Some(&from);
        self.onward.push(Onward { from, to, reason, begun });
    }

    /// The attempt at the candidate at this place begins: those before it were made.
    pub(super) fn went_on(&mut self, candidate: usize) {
        self.count_failovers();
        let Some(to) = self.attempts.candidates().get(candidate).copied() else { return };
        if let Some(last) = self.onward.last_mut() {
            (last.to, last.begun) = (to, true);
        }
    }

    /// Envoy could not go on to `cluster`.
    pub(super) fn went_nowhere(&mut self, cluster: &str) {
        let is_there = |one: &Onward| {
            one.to.resolve(&self.gateway).is_some_and(|found| found.endpoint.cluster == cluster)
        };
        self.onward.retain(|one| one.begun && !is_there(one));
    }

    /// Counts those whose attempts have begun.
    pub(super) fn count_failovers(&mut self) {
        let service = &self.service;
        self.onward.retain(|one| {
            if one.begun {
                service.failed_over(one.from, one.to, one.reason);
            }
            !one.begun
        });
    }
}
