//! Whom a request is charged to, and its attempts: settled once, when it is logged.

use super::Exchange;
use crate::config::rule::Operation;
use crate::filter::asked::Asked;
use crate::filter::limited;
use crate::filter::tab::Tab;
use crate::providers::catalogue::NanoUsd;
use crate::routing::estimate::{self, Input};
use crate::routing::{Attempt, Spent};
use crate::tenancy::Charge;

impl Exchange {
    /// Charges it to what was reserved.
    pub fn charge_to(&mut self, tab: Option<Tab>) {
        self.tab = tab;
    }

    /// The headers that say what is left of limits.
    pub(super) fn limits(&self) -> Vec<(&'static str, String)> {
        self.tab.as_ref().map(|tab| limited::headers(&tab.remaining())).unwrap_or_default()
    }

    /// Reserves what an attempt at the candidate at `at` may cost of its provider's cap. False when the
    /// cap is used up.
    pub(super) fn cap(&self, at: usize) -> Result<Option<Tab>, ()> {
        let Some(candidate) = self.attempts.candidates().get(at) else { return Ok(None) };
        // Nearly nobody has one, and an estimate reads the whole request. A list of models costs nothing.
        let bounded = self.service.accounts.cap(candidate.provider).is_some();
        if !bounded || matches!(self.parsed, Asked::Models) {
            return Ok(None);
        }
        let cost = self.estimated_cost(at).unwrap_or_default();
        Tab::of_cap(&self.service, candidate.provider, cost).map_err(|_| ())
    }

    /// What the request is taken to cost at the candidate at `at`.
    fn estimated_cost(&self, at: usize) -> Option<NanoUsd> {
        let input = Input { cached: 0, ..self.estimated_input()? };
        let operation = match &self.parsed {
            Asked::Chat(_) => Operation::Chat,
            Asked::Embeddings(_) | Asked::Models => Operation::Embeddings,
        };
        estimate::cost(self.candidate(at)?.model, operation, input, self.wanted())
    }

    /// Keeps what it has reserved for longer, as it is under way: see [`Tab::renew`].
    pub fn renew(&mut self) {
        self.tab.iter_mut().for_each(Tab::renew);
        self.caps.iter_mut().for_each(|(_, cap)| cap.renew());
    }

    /// Charges what was used to whoever it was reserved of, and to the caps of the providers. An attempt
    /// that Envoy began by itself has nothing reserved, and is charged all the same.
    pub(super) fn settle_accounts(&mut self) {
        if let Some(tab) = self.tab.take() {
            let total = self.total();
            let (tokens, cost) = (total.usage.total(), total.priced);
            // Whoever left before anybody was asked used nothing.
            let requests = u32::from(!self.attempts.tried().is_empty());
            tab.settle(Charge { requests, tokens, cost });
        }
        let mut caps = std::mem::take(&mut self.caps);
        for (at, attempt) in self.attempts.tried().iter().enumerate() {
            let candidate = self.attempts.candidates().get(attempt.candidate);
            let cap = candidate.and_then(|it| self.service.accounts.cap(it.provider));
            let Some(cap) = cap else { continue };
            let actual = spent(attempt);
            match caps.iter().position(|(of, _)| *of == at) {
                Some(place) => caps.swap_remove(place).1.settle(actual),
                None if actual.cost.0 > 0 => self.service.books().spend(cap, actual),
                None => {}
            }
        }
    }
}

fn spent(attempt: &Attempt) -> Charge {
    let Spent { usage, cost, .. } = attempt.spent.unwrap_or_default();
    Charge { requests: 1, tokens: usage.total(), cost: cost.unwrap_or_default() }
}
