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

use super::alerts::{self, News, Notice};
use super::limited;
use super::refusal::Refusal;
use super::service::Service;
use crate::config::Gateway;
use crate::providers::catalogue::NanoUsd;
use crate::routing::{Plan, Question};
use crate::store::Millis;
use crate::telemetry::metrics::Metric;
use crate::telemetry::metrics::accounts::{self, ALERTS, BUDGET_EXCEEDED, LIMITED};
use crate::tenancy::{
    Alert, Caller, Charge, Exceeded, Exhausted, Hold, LEASE, Ledger, Rates, Remaining, Span,
    Subject, What, news,
};

/// A reservation. However its holder ends, it is settled once: with what was used, or with nothing when
/// it is dropped.
#[derive(Debug)]
#[must_use = "a tab that is dropped gives everything back"]
pub struct Tab {
    service: Rc<Service>,
    hold: Option<Hold>,
}

/// What a used-up budget did to a request, as a label.
const REFUSED: &str = "refused";
const DOWNGRADED: &str = "downgraded";

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
        let subjects = service.accounts.of(caller, question.model);
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
                    service.exceeded(caller, &exceeded, DOWNGRADED);
                    return Ok(Some(Self::new(service, hold)));
                }
                Err(still) => exceeded = still,
            }
        }
        service.exceeded(caller, &exceeded, REFUSED);
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
                service.first(&exceeded, News::Exhausted);
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
            self.service.settle_hold(hold, actual);
        }
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        if let Some(hold) = self.hold.take() {
            self.service.settle_hold(hold, Charge::default());
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

/// The ledger of a configuration.
#[must_use]
pub fn ledger(gateway: &Gateway) -> Ledger {
    Ledger::new(gateway.tenancy.time_zone, LEASE, gateway.alerts.anomaly)
}

impl Service {
    /// Writes what could not be written, and shows what budgets are spent.
    pub(super) fn tick_accounts(&self, now: Millis) {
        let told = self.ledger.flush(self.store(), now);
        told.iter().for_each(|alert| self.alert(alert));
        let mut set = |metric: &Metric, values: &[&str], value| self.put(metric, values, value);
        self.accounts.show(&self.ledger, self.store(), now, &mut set);
    }

    fn put(&self, metric: &Metric, values: &[&str], value: u64) {
        self.meter.borrow().put(metric, values, value, &*self.world);
    }

    fn settle_hold(&self, hold: Hold, actual: Charge) {
        let told = self.ledger.settle(hold, actual, self.store(), self.world.now());
        told.iter().for_each(|alert| self.alert(alert));
    }

    /// Charges what was used without a reservation.
    pub(super) fn spend(&self, subject: &Rc<Subject>, actual: Charge) {
        let told = self.ledger.spend(subject, actual, self.store(), self.world.now());
        told.iter().for_each(|alert| self.alert(alert));
    }

    fn exceeded(&self, caller: &Caller, exceeded: &Exceeded, outcome: &str) {
        let tenant = self.accounts.tenant(caller);
        let (kind, limit) = (exceeded.subject.kind.word(), limited::word(exceeded.what));
        match exceeded.what {
            What::Budget(_) => self.put(&BUDGET_EXCEEDED, &[tenant, kind, limit, outcome], 1),
            _ => self.put(&LIMITED, &[tenant, kind, limit], 1),
        }
        let downgraded = outcome == DOWNGRADED;
        self.first(exceeded, if downgraded { News::Downgraded } else { News::Exhausted });
    }

    /// The first refusal by a budget in its period is told: its last share may never be reached.
    fn first(&self, exceeded: &Exceeded, news: News) {
        if let (What::Budget(span), true) = (exceeded.what, exceeded.first) {
            let limit = NanoUsd(exceeded.limit);
            self.tell_alert(&exceeded.subject, Some(span), news, limit, limit);
        }
    }

    fn alert(&self, alert: &Alert) {
        let (span, news, spent, limit) = match alert.news {
            news::News::Share { span, percent, spent, amount } => {
                (Some(span), News::Share(percent), spent, amount)
            }
            news::News::Unusual { spent, usual } => (None, News::Unusual, spent, usual),
        };
        self.tell_alert(&alert.subject, span, news, spent, limit);
    }

    fn tell_alert(
        &self,
        subject: &Subject,
        span: Option<Span>,
        news: News,
        spent: NanoUsd,
        limit: NanoUsd,
    ) {
        let (of, name) = subject.parts();
        let kind = subject.kind.word();
        let notice = Notice {
            kind,
            name: name.to_owned(),
            of: of.map(str::to_owned),
            period: span.map_or("hour", Span::word),
            news,
            spent,
            limit,
            at: self.world.now(),
        };
        let limit = span.map_or("hour", accounts::budget);
        self.put(&ALERTS, &[&accounts::name(subject), kind, limit, news.word()], 1);
        alerts::outbox(|outbox| outbox.put(&notice, self.gateway.alerts.webhook.as_ref()));
    }
}

#[cfg(test)]
mod tests;
