//! What was tried for a request, and what may be tried next.

use std::rc::Rc;

use super::{Candidate, Skipped};
use crate::config::Gateway;
use crate::openai::{Class, Error, Usage};
use crate::providers::catalogue::NanoUsd;

/// One try at one candidate.
///
/// ```text
///  Pending ──► Answered            a whole answer, or a whole stream
///     │  └───► Flowing ──► Answered
///     │           └──────► Failed  the stream broke after content had gone to the client
///     └──────► Failed              nothing had gone to the client
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which candidate, as a place in the plan.
    pub candidate: usize,
    /// The provider's own id of its answer, for its support.
    pub provider_request_id: Option<String>,
    /// How many parameters were dropped, changed or defaulted for it.
    pub warnings: usize,
    /// When it began, in nanoseconds of a clock that never goes back.
    pub began: u64,
    /// The name of the credential that it was asked with, which is no secret.
    pub key: Option<Rc<str>>,
    /// How long it waited for a connection, in nanoseconds.
    pub connect: Option<u64>,
    /// How long the provider says that it took, in milliseconds.
    pub told_millis: Option<u64>,
    /// When the first content of a stream came, by the same clock.
    pub first_content: Option<u64>,
    /// When it ended, by the same clock.
    pub ended: Option<u64>,
    /// How it went.
    pub outcome: Outcome,
    /// What it used. Nothing until that is known, and where nothing was.
    pub spent: Option<Spent>,
}

/// What an attempt used, and what that costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// The tokens.
    pub usage: Usage,
    /// What they cost; nothing where the model has no price.
    pub cost: Option<NanoUsd>,
    /// Whether nobody counted the tokens, so that they are a guess.
    pub estimated: bool,
}

/// What all attempts of a request used and cost. Counts are sums over the attempts that used anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// The tokens.
    pub usage: Usage,
    /// What they cost, without those of attempts at models that have no price.
    pub priced: NanoUsd,
    /// Whether tokens went to a model that has no price, so that nobody knows the whole cost.
    pub unpriced: bool,
    /// Whether any of it is a guess.
    pub estimated: bool,
}

impl Total {
    /// What the request cost; nothing where nobody knows that. It is never zero because a price is
    /// missing.
    #[must_use]
    pub fn cost(&self) -> Option<NanoUsd> {
        (!self.unpriced).then_some(self.priced)
    }
}

/// How an attempt went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has no verdict yet.
    Pending,
    /// Content has gone to the client, and more may come.
    Flowing,
    /// It gave the client a whole answer.
    Answered,
    /// It failed: the provider's status where it gave one, and why.
    Failed {
        /// The provider's own status.
        status: Option<u16>,
        /// What kind of failure.
        class: Class,
        /// For the people who run this.
        reason: String,
    },
}

/// The tries of one request.
#[derive(Debug)]
pub struct Attempts {
    candidates: Vec<Candidate>,
    next: Option<usize>,
    tried: Vec<Attempt>,
    skipped: Vec<Skipped>,
}

impl Attempts {
    /// Nothing tried; the first candidate is next.
    #[must_use]
    pub const fn new(candidates: Vec<Candidate>) -> Self {
        Self { candidates, next: Some(0), tried: Vec::new(), skipped: Vec::new() }
    }

    /// Notes why a candidate is not asked, once for each. Whether it is news.
    pub fn skip(&mut self, skipped: Skipped) -> bool {
        let new = self.skipped.iter().all(|known| known.candidate != skipped.candidate);
        if new {
            self.skipped.push(skipped);
        }
        new
    }

    /// Who was not asked, and why.
    pub fn skipped(&self) -> impl Iterator<Item = &Skipped> {
        let tried = |candidate| {
            let tried = self.tried.iter().filter_map(|tried| self.candidates.get(tried.candidate));
            tried.into_iter().any(|known| *known == candidate)
        };
        self.skipped.iter().filter(move |skipped| !tried(skipped.candidate))
    }

    /// Notes by which id the provider knows its answer.
    pub fn identify(&mut self, attempt: usize, id: String) {
        if let Some(tried) = self.tried.get_mut(attempt) {
            tried.provider_request_id = Some(id);
        }
    }

    /// Notes the name of the credential that an attempt was made with.
    pub fn sign(&mut self, attempt: usize, key: Rc<str>) {
        if let Some(tried) = self.tried.get_mut(attempt) {
            tried.key = Some(key);
        }
    }

    /// Notes how long an attempt waited for a connection, in nanoseconds.
    pub fn connected(&mut self, attempt: usize, after: u64) {
        if let Some(tried) = self.tried.get_mut(attempt) {
            tried.connect = Some(after);
        }
    }

    /// Notes how long the provider says that it took, in milliseconds.
    pub fn told(&mut self, attempt: usize, millis: u64) {
        if let Some(tried) = self.tried.get_mut(attempt) {
            tried.told_millis = Some(millis);
        }
    }

    /// All candidates in order.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// What was tried so far.
    #[must_use]
    pub fn tried(&self) -> &[Attempt] {
        &self.tried
    }

    /// The candidate that the next attempt will ask.
    #[must_use]
    pub fn next(&self) -> Option<(usize, Candidate)> {
        let next = self.next?;
        Some((next, *self.candidates.get(next)?))
    }

    /// Decides that the next attempt will ask the candidate at `next`, or that there will be none.
    pub fn set_next(&mut self, next: Option<usize>) {
        self.next = next;
    }

    /// Begins an attempt at the next candidate and moves on to the one behind it. Gives the
    /// attempt's and the candidate's places; nothing when there is no candidate left.
    pub fn begin(&mut self, now: u64) -> Option<(usize, usize)> {
        let candidate = self.next.filter(|next| *next < self.candidates.len())?;
        self.tried.push(Attempt {
            candidate,
            provider_request_id: None,
            warnings: 0,
            began: now,
            key: None,
            connect: None,
            told_millis: None,
            first_content: None,
            ended: None,
            outcome: Outcome::Pending,
            spent: None,
        });
        self.next = Some(candidate + 1).filter(|next| *next < self.candidates.len());
        Some((self.tried.len() - 1, candidate))
    }

    /// Notes what an attempt used, once: what was noted stands.
    pub fn spend(&mut self, attempt: usize, spent: Spent) {
        if let Some(tried) = self.tried.get_mut(attempt) {
            tried.spent = tried.spent.or(Some(spent));
        }
    }

    /// What all attempts used so far.
    #[must_use]
    pub fn total(&self) -> Total {
        let mut total = Total::default();
        for spent in self.tried.iter().filter_map(|tried| tried.spent.as_ref()) {
            total.usage += spent.usage;
            total.estimated |= spent.estimated;
            match spent.cost {
                Some(cost) => total.priced.0 = total.priced.0.saturating_add(cost.0),
                None => total.unpriced |= spent.usage.total() > 0,
            }
        }
        total
    }

    /// Notes how many parameters an attempt's request had to do without, or has otherwise.
    pub fn warn(&mut self, attempt: usize, warnings: usize) {
        if let Some(tried) = self.tried.get_mut(attempt) {
            tried.warnings = warnings;
        }
    }

    /// Notes how an attempt went. A verdict stands: only `Pending` and `Flowing` change.
    pub fn settle(&mut self, attempt: usize, outcome: Outcome) {
        if let Some(tried) = self.tried.get_mut(attempt)
            && matches!(tried.outcome, Outcome::Pending | Outcome::Flowing)
        {
            tried.outcome = outcome;
        }
    }

    /// The first content of a stream came: it flows.
    pub fn flow(&mut self, attempt: usize, now: u64) {
        self.settle(attempt, Outcome::Flowing);
        if let Some(tried) = self.tried.get_mut(attempt) {
            tried.first_content = tried.first_content.or(Some(now));
        }
    }

    /// Notes how an attempt ended. A verdict stands.
    pub fn end(&mut self, attempt: usize, outcome: Outcome, now: u64) {
        self.settle(attempt, outcome);
        if let Some(tried) = self.tried.get_mut(attempt) {
            tried.ended = tried.ended.or(Some(now));
        }
    }

    /// How an attempt went.
    #[must_use]
    pub fn outcome(&self, attempt: usize) -> Option<&Outcome> {
        self.tried.get(attempt).map(|tried| &tried.outcome)
    }

    /// The candidates that may answer after the one at `failed` failed with `error`, in order: those
    /// behind it, then those before it that were passed over and never tried.
    pub fn after<'a>(
        &'a self,
        failed: usize,
        error: &'a Error,
        gateway: &'a Gateway,
    ) -> impl Iterator<Item = usize> + 'a {
        let before = self.candidates.get(failed).copied();
        let window = |candidate: Candidate| {
            candidate.resolve(gateway).and_then(|found| found.model.facts.context_window)
        };
        let candidates = if error.failover() { &self.candidates[..] } else { &[] };
        let all = || candidates.iter().enumerate();
        all()
            .skip(failed + 1)
            .chain(all().take(failed))
            .filter(|(at, _)| self.tried.iter().all(|tried| tried.candidate != *at))
            .filter(move |(_, candidate)| {
                let Some(before) = before else { return true };
                // The provider does not want this request again, through whichever door.
                let same = (before.provider, before.model) == (candidate.provider, candidate.model);
                if same && error.should_retry == Some(false) {
                    return false;
                }
                match error.class {
                    // A smaller or equal window would refuse it too. An unknown one may take it.
                    Class::ContextLength => match (window(before), window(**candidate)) {
                        (Some(refused), Some(offered)) => offered > refused,
                        _ => before != **candidate,
                    },
                    // The same cluster has the same credential.
                    Class::Auth | Class::Quota => {
                        (before.provider, before.endpoint)
                            != (candidate.provider, candidate.endpoint)
                    }
                    _ => true,
                }
            })
            .map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::json;

    use super::*;
    use crate::config::Config;

    fn gateway() -> Gateway {
        let config = Config::read(&json!({
            "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
            "providers": {
                "a": {"api": "openai", "endpoints": [{"cluster": "a1"}, {"cluster": "a2"}], "models": {"small": {"context_window": 1000}, "large": {"context_window": 9000}, "new": {}}},
            },
        }));
        match config {
            Ok(Config::Gateway(gateway)) => *gateway,
            other => panic!("{other:?}"),
        }
    }

    /// Candidates by model and endpoint; models stand in the order of their names.
    fn attempts() -> Attempts {
        const LARGE: usize = 0;
        const NEW: usize = 1;
        const SMALL: usize = 2;
        let of = |model, endpoint| Candidate { provider: 0, model, endpoint };
        Attempts::new(vec![of(SMALL, 0), of(SMALL, 1), of(LARGE, 0), of(NEW, 0)])
    }

    fn after(class: Class) -> Vec<usize> {
        attempts().after(0, &Error::new(class, ""), &gateway()).collect()
    }

    #[test]
    fn an_outage_moves_on_in_order() {
        assert_eq!(after(Class::Server), [1, 2, 3]);
        assert_eq!(after(Class::RateLimit), [1, 2, 3]);
    }

    #[test]
    fn the_clients_own_fault_ends_it() {
        assert!(after(Class::Client).is_empty() && after(Class::ContentFilter).is_empty());
    }

    #[test]
    fn a_request_too_long_moves_to_a_larger_or_unknown_window() {
        assert_eq!(after(Class::ContextLength), [2, 3]);
    }

    #[test]
    fn a_provider_that_does_not_want_it_again_is_not_asked_again() {
        let gateway = gateway();
        let again = |class, should_retry| -> Vec<usize> {
            let error = Error { should_retry: Some(should_retry), ..Error::new(class, "") };
            attempts().after(0, &error, &gateway).collect()
        };
        assert_eq!(again(Class::Server, false), [2, 3]);
        assert_eq!(again(Class::Server, true), [1, 2, 3]);
        assert_eq!(again(Class::Client, true), [1, 2, 3]);
    }

    #[test]
    fn a_refused_credential_is_not_tried_again_through_the_same_cluster() {
        assert_eq!(after(Class::Auth), [1]);
        assert_eq!(after(Class::Quota), [1]);
    }

    #[test]
    fn attempts_go_down_the_list_and_end() {
        let mut attempts = attempts();
        assert_eq!(attempts.begin(5), Some((0, 0)));
        attempts.set_next(Some(3));
        assert_eq!(attempts.begin(6), Some((1, 3)));
        assert_eq!(attempts.begin(7), None);
        assert_eq!(attempts.tried().len(), 2);
    }

    #[test]
    fn a_total_is_the_sum_of_all_attempts_and_unknown_where_one_has_no_price() {
        let mut attempts = attempts();
        let spent = |tokens, cost, estimated| Spent {
            usage: Usage { uncached_input: tokens, output: 1, ..Usage::default() },
            cost: Option::map(cost, NanoUsd),
            estimated,
        };
        assert_eq!(attempts.total().cost(), Some(NanoUsd(0)));
        attempts.begin(0);
        attempts.begin(0);
        attempts.begin(0);
        attempts.spend(0, spent(10, Some(7), true));
        attempts.spend(1, spent(20, Some(0), false));
        attempts.spend(1, spent(99, Some(99), false));
        let total = attempts.total();
        assert_eq!((total.usage.prompt(), total.usage.output), (30, 2));
        assert_eq!((total.cost(), total.estimated), (Some(NanoUsd(7)), true));
        attempts.spend(2, spent(5, None, false));
        let total = attempts.total();
        assert_eq!((total.cost(), total.priced, total.unpriced), (None, NanoUsd(7), true));
    }

    #[test]
    fn a_verdict_stands() {
        let mut attempts = attempts();
        attempts.begin(0);
        attempts.settle(0, Outcome::Answered);
        attempts.settle(0, Outcome::Pending);
        assert_eq!(attempts.outcome(0), Some(&Outcome::Answered));
    }
}
