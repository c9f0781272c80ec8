//! What a request holds of the accounts it is charged to.
//!
//! ```text
//!  body complete ─► plan ─► reserve: one request, its tokens and its cost by estimate, of all subjects or of none
//!                             │ refused ──► 429 or 402; or cheaper candidates only, reserved anew
//!                             ▼
//!                            Tab ──► settle, when the request is logged: what all attempts used
//!                             └────► dropped, however that comes: everything is given back
//! ```
//!
//! Reserved is what the candidate that is asked first may cost, without anything read from a cache. A
//! failover to a dearer one and attempts that failed after they used something are charged when the request
//! is settled: so a budget can be exceeded by what requests under way cost more than was reserved for
//! them, and by nothing else.

use std::rc::Rc;

use super::alerts::News;
use super::books::{DOWNGRADED, REFUSED};
use super::limited;
use super::refusal::Refusal;
use super::service::Service;
use crate::config::Gateway;
use crate::providers::catalogue::NanoUsd;
use crate::routing::{Plan, Question};
use crate::tenancy::{Caller, Charge, Exceeded, Exhausted, Hold, Rates, Remaining, Subject};

/// A reservation. However its holder ends, it is settled once: with what was used, or with nothing when
/// it is dropped.
#[derive(Debug)]
#[must_use = "a tab that is dropped gives everything back"]
pub struct Tab {
    service: Rc<Service>,
    hold: Option<Hold>,
}

impl Tab {
    /// Reserves what a request may use of the accounts of its caller; nothing where no terms bound it.
    /// Where a budget is used up that says so, the plan keeps only cheaper candidates.
    ///
    /// # Errors
    /// A limit or a budget refuses it.
    pub fn open(
        service: &Rc<Service>,
        plan: &mut Plan,
        question: &Question<'_>,
        caller: &Caller,
    ) -> Result<Option<Self>, Refusal> {
        let mut subjects = service.accounts.of(caller, question.model);
        if let Some(model) = plan.wished(&service.gateway, question) {
            service.accounts.add_models(&mut subjects, caller, &model);
        }
        if subjects.is_empty() {
            return Ok(None);
        }
        let (gateway, store, now) = (&*service.gateway, service.store(), service.world.now());
        let ledger = &service.ledger;
        // An estimate reads the whole request.
        let counts = subjects.iter().any(|subject| counts(subject));
        let wanted = |plan: &mut Plan| match counts {
            true => charge(plan, gateway, question),
            false => Charge { requests: 1, ..Charge::default() },
        };
        let mut exceeded = match ledger.reserve(&subjects, wanted(plan), store, now) {
            Ok(hold) => return Ok(Some(Self::new(service, hold))),
            Err(exceeded) => exceeded,
        };
        if matches!(exceeded.on_exhausted, Exhausted::Downgrade { .. })
            && plan.keep_cheaper(gateway, question)
        {
            match ledger.reserve_downgraded(&subjects, wanted(plan), store, now) {
                Ok(hold) => {
                    service.books().exceeded(caller, &exceeded, DOWNGRADED);
                    return Ok(Some(Self::new(service, hold)));
                }
                Err(still) => exceeded = still,
            }
        }
        service.books().exceeded(caller, &exceeded, REFUSED);
        let mut refusal = Refusal::of(limited::refusal(&exceeded), std::mem::take(plan));
        refusal.limits = limited::headers(&exceeded.remaining);
        refusal.limit = Some(limited::word(exceeded.what));
        Err(refusal)
    }

    /// Reserves what an attempt may cost of its provider's cap; nothing where there is none.
    ///
    /// # Errors
    /// The cap is used up.
    pub fn of_cap(
        service: &Rc<Service>,
        provider: usize,
        cost: NanoUsd,
    ) -> Result<Option<Self>, Box<Exceeded>> {
        let Some(cap) = service.accounts.cap(provider) else { return Ok(None) };
        let wanted = Charge { cost, ..Charge::default() };
        let (store, now) = (service.store(), service.world.now());
        match service.ledger.reserve(std::slice::from_ref(cap), wanted, store, now) {
            Ok(hold) => Ok(Some(Self::new(service, hold))),
            Err(exceeded) => {
                service.books().first(&exceeded, News::Exhausted);
                Err(exceeded)
            }
        }
    }

    fn new(service: &Rc<Service>, hold: Hold) -> Self {
        Self { service: Rc::clone(service), hold: Some(hold) }
    }

    /// What is left of the tightest limits, this request apart.
    #[must_use]
    pub fn remaining(&self) -> Remaining {
        self.hold.as_ref().map(Hold::remaining).unwrap_or_default()
    }

    /// Keeps it for longer: to be called on each tick while the request is under way. Nearly always it
    /// costs nothing.
    pub fn renew(&mut self) {
        let service = &self.service;
        if let Some(hold) = &mut self.hold {
            service.ledger.renew(hold, service.store(), service.world.now());
        }
    }

    /// Charges what was used, and gives back the rest.
    pub fn settle(mut self, actual: Charge) {
        if let Some(hold) = self.hold.take() {
            self.service.books().settle(hold, actual);
        }
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        if let Some(hold) = self.hold.take() {
            self.service.books().settle(hold, Charge::default());
        }
    }
}

/// Whether tokens or money matter to an account.
fn counts(subject: &Subject) -> bool {
    subject.terms.budget.is_some() || subject.terms.limits.tokens != Rates::default()
}

/// What a request is taken to use at the candidate that is asked first.
fn charge(plan: &mut Plan, gateway: &Gateway, question: &Question<'_>) -> Charge {
    let tokens = plan.tokens(gateway, question);
    let first = plan.candidates.first().copied();
    let cost = first.and_then(|first| plan.cost(first, gateway, question)).unwrap_or_default();
    Charge { requests: 1, tokens, cost }
}

#[cfg(test)]
mod tests;
