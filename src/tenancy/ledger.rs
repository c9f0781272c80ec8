//! Accounts over all workers: what a request may use is reserved before it is sent, and settled by
//! what it did use.

use std::cell::Cell;
use std::rc::Rc;

use super::account::{Account, Charge, Excess, Moment};
use super::alert::{Alert, Anomaly};
use super::exceeded::{Exceeded, Remaining, What};
use super::period::{self, Period};
use super::settings::Exhausted;
use super::subject::Subject;
use super::zone::Zone;
use crate::store::{ABSENT, Millis, ROUNDS, Store};

/// How long a reservation lasts if nobody renews it, in milliseconds: at least so long, and at most
/// half as long again. Those of a worker that died are gone then.
pub const LEASE: Millis = 60_000;

/// All accounts, as one worker and configuration sees them.
#[derive(Debug)]
pub struct Ledger {
    zone: Zone,
    /// In seconds.
    generation: u32,
    anomaly: Option<Anomaly>,
    periods: Cell<(Period, Period)>,
    missed: Cell<u64>,
}

/// A reservation. Give it back with [`Ledger::settle`].
#[derive(Debug)]
#[must_use = "it is reserved until it is settled or its lease ends"]
pub struct Hold {
    charge: Charge,
    held: Vec<Held>,
    remaining: Remaining,
}

#[derive(Debug)]
struct Held {
    subject: Rc<Subject>,
    /// The generation that it is in; nothing when it could not be written.
    began: Option<u32>,
}

impl Hold {
    /// What was left of all limits when it was made.
    #[must_use]
    pub const fn remaining(&self) -> Remaining {
        self.remaining
    }

    /// What was reserved.
    #[must_use]
    pub const fn charge(&self) -> Charge {
        self.charge
    }

    /// A reservation of nothing, of nobody: for requests that no account is kept for.
    pub const fn nothing() -> Self {
        let remaining = Remaining { requests: None, tokens: None };
        let cost = crate::providers::catalogue::NanoUsd(0);
        Self { charge: Charge { requests: 0, tokens: 0, cost }, held: Vec::new(), remaining }
    }
}

impl Ledger {
    /// Accounts whose days and months are those of `zone`; `lease` as [`LEASE`] says, in
    /// milliseconds; with `anomaly`, an hour's unusual spend is told.
    #[must_use]
    pub fn new(zone: Zone, lease: Millis, anomaly: Option<Anomaly>) -> Self {
        let generation = (lease / 2 / 1000).clamp(1, 86_400) as u32;
        let none = Period { id: 0, begins: 0, ends: 0 };
        Self { zone, generation, anomaly, periods: Cell::new((none, none)), missed: Cell::new(0) }
    }

    /// Reserves a charge for all subjects, or for none.
    ///
    /// # Errors
    /// The limit or budget that it would exceed.
    pub fn reserve(
        &self,
        subjects: &[Rc<Subject>],
        charge: Charge,
        store: &dyn Store,
        now: Millis,
    ) -> Result<Hold, Box<Exceeded>> {
        self.take(subjects, charge, false, store, now)
    }

    /// As [`Self::reserve`], for candidates that are cheaper than the one that a budget refused:
    /// budgets that fall to those hold up to where they stop.
    ///
    /// # Errors
    /// The limit or budget that it would exceed.
    pub fn reserve_downgraded(
        &self,
        subjects: &[Rc<Subject>],
        charge: Charge,
        store: &dyn Store,
        now: Millis,
    ) -> Result<Hold, Box<Exceeded>> {
        self.take(subjects, charge, true, store, now)
    }

    fn take(
        &self,
        subjects: &[Rc<Subject>],
        charge: Charge,
        downgraded: bool,
        store: &dyn Store,
        now: Millis,
    ) -> Result<Hold, Box<Exceeded>> {
        let moment = self.moment(now);
        let mut remaining = Remaining::default();
        let mut held = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let mut excess = None;
            let change = |account: &mut Account| {
                excess = account.excess(&subject.terms, charge, downgraded, &moment);
                if excess.is_none() {
                    account.reserve(&subject.terms, charge, &moment);
                }
                remaining = remaining.and(account.remaining(&subject.terms));
                excess.is_none()
            };
            let written = self.change(subject, store, &moment, change);
            if let Some(excess) = excess {
                let _ =
                    self.settle(Hold { charge, held, remaining }, Charge::default(), store, now);
                return Err(Box::new(exceeded(subject, excess, remaining, downgraded)));
            }
            let began = written.then_some(moment.began());
            held.push(Held { subject: Rc::clone(subject), began });
        }
        Ok(Hold { charge, held, remaining })
    }

    /// Gives a reservation back and charges what was used. What was never sent is settled by
    /// [`Charge::default`].
    pub fn settle(&self, hold: Hold, actual: Charge, store: &dyn Store, now: Millis) -> Vec<Alert> {
        let moment = self.moment(now);
        let (mut alerts, mut news) = (Vec::new(), Vec::new());
        for Held { subject, began } in hold.held {
            let terms = &subject.terms;
            let change = |account: &mut Account| {
                news.clear();
                if let Some(began) = began {
                    account.give_back(terms, hold.charge);
                    account.release(began, hold.charge, moment.generation);
                }
                account.use_up(terms, actual);
                account.spend(terms.budget.as_ref(), actual.cost.0, self.anomaly, &mut news);
                true
            };
            if self.change(&subject, store, &moment, change) {
                let alert = |news| Alert { subject: Rc::clone(&subject), news };
                alerts.extend(news.drain(..).map(alert));
            }
        }
        alerts
    }

    /// Charges what was used without a reservation.
    pub fn spend(
        &self,
        subject: &Rc<Subject>,
        charge: Charge,
        store: &dyn Store,
        now: Millis,
    ) -> Vec<Alert> {
        let held = vec![Held { subject: Rc::clone(subject), began: None }];
        let hold = Hold { charge: Charge::default(), held, remaining: Remaining::default() };
        self.settle(hold, charge, store, now)
    }

    /// Renews the lease of a reservation, if it has not begun in the generation of now: to be called
    /// on each tick for each request that is under way. It costs nothing else.
    pub fn renew(&self, hold: &mut Hold, store: &dyn Store, now: Millis) {
        let moment = self.moment(now);
        for Held { subject, began } in &mut hold.held {
            let Some(before) = began.filter(|began| *began < moment.began()) else { continue };
            let change = |account: &mut Account| {
                account.release(before, hold.charge, moment.generation);
                account.hold(moment.began(), hold.charge, moment.generation);
                true
            };
            if self.change(subject, store, &moment, change) {
                *began = Some(moment.began());
            }
        }
    }

    /// How often other workers were quicker [`ROUNDS`] times, so that an account does not know of a
    /// request.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.get()
    }

    /// Changes an account if `change` wants that. False when it does not, or others were quicker.
    fn change(
        &self,
        subject: &Subject,
        store: &dyn Store,
        moment: &Moment,
        mut change: impl FnMut(&mut Account) -> bool,
    ) -> bool {
        for _ in 0..ROUNDS {
            let found = store.read(&subject.key);
            let version = found.as_ref().map_or(ABSENT, |(_, version)| *version);
            let account = found.and_then(|(value, _)| Some(Account::decode(&value)?.0));
            let mut account = account.unwrap_or_default();
            account.advance(&subject.terms, moment);
            if !change(&mut account) {
                return false;
            }
            if store.write(&subject.key, &account.encode(&[]), Some(version)) {
                return true;
            }
        }
        self.missed.set(self.missed.get().saturating_add(1));
        false
    }

    fn moment(&self, now: Millis) -> Moment {
        let (mut day, mut month) = self.periods.get();
        if now < day.begins || now >= day.ends {
            (day, month) = period::of(&self.zone, now);
            self.periods.set((day, month));
        }
        Moment { now, day, month, generation: self.generation }
    }
}

fn exceeded(
    subject: &Rc<Subject>,
    excess: Excess,
    remaining: Remaining,
    downgraded: bool,
) -> Exceeded {
    let Excess { what, limit, wanted, wait, first } = excess;
    let budget = subject.terms.budget.as_ref().filter(|_| matches!(what, What::Budget(_)));
    Exceeded {
        subject: Rc::clone(subject),
        what,
        limit,
        wanted,
        wait,
        remaining,
        on_exhausted: budget
            .filter(|_| !downgraded)
            .map_or(Exhausted::Reject, |at| at.on_exhausted),
        status: budget.map_or(429, |budget| budget.status),
        first,
    }
}

/// FNV-1a.
pub(super) fn hash(key: &str) -> u64 {
    key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
