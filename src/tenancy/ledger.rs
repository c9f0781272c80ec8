//! Accounts over all workers: what a request may use is reserved before it is sent, and settled by
//! what it did use.
//!
//! What it costs, in operations of the store (each about 0.15 µs in Envoy):
//!
//! | when | operations for each subject |
//! |---|---|
//! | [`Ledger::reserve`] | a read and a write |
//! | [`Ledger::reserve`], refused | a read; for the first refusal by a budget in a period one more, and a write; for the first under new terms a write |
//! | [`Ledger::settle`], [`Ledger::spend`] | a read and a write |
//! | [`Ledger::renew`] | none; a read and a write once in half a lease |
//! | users | as above, and a read for each other user who has a slot before theirs, 3 at most |
//! | other workers were quicker | a read and a write for each time, [`ROUNDS`] at most |

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::account::{Account, Excess, Moment, Taken};
use super::alert::Alert;
use super::bound::{Remaining, What};
use super::charge::Charge;
use super::exceeded::Exceeded;
use super::hold::{Held, Hold};
use super::hourly::Usual;
use super::news::Anomaly;
use super::period::{self, Period};
use super::settings::{Budget, Exhausted};
use super::subject::{Kind, Subject};
use super::users;
use super::zone::Zone;
use crate::store::{ABSENT, Millis, ROUNDS, Store};

/// How long a reservation lasts if nobody renews it, in milliseconds: at least so long, and at most
/// half as long again. Those of a worker that died are gone then.
pub const LEASE: Millis = 60_000;

/// Most settlements that wait because other workers were quicker. Those beyond are lost, and counted.
pub const MAX_OWED: usize = 1_024;

/// All accounts, as one worker and configuration sees them.
#[derive(Debug)]
pub struct Ledger {
    zone: Zone,
    /// In seconds.
    generation: u64,
    anomaly: Option<Anomaly>,
    /// Those of the last call: they rarely change.
    periods: Cell<(Period, Period)>,
    owed: RefCell<Vec<Owed>>,
    counts: Cell<Counts>,
}

/// What could not be counted, by this worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Reservations that an account does not know of, as other workers were quicker [`ROUNDS`] times
    /// or all slots of a user's set were taken. What they used is charged nevertheless.
    pub unreserved: u64,
    /// Settlements that are lost.
    pub lost: u64,
    /// Users whose account was given to others though it still mattered.
    pub evicted: u64,
}

/// A settlement that could not be written.
#[derive(Debug)]
pub struct Owed {
    held: Held,
    charge: Charge,
    actual: Charge,
}

/// An account as it was read.
struct Found {
    /// Of users, whose slots differ.
    key: Option<String>,
    account: Account,
    version: u32,
    evicts: bool,
    /// There were other bounds before.
    changed: bool,
}

/// What became of a change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Changed {
    /// It is written.
    Written,
    /// It was not wanted.
    Unwanted,
    /// Other workers were quicker, or there is no slot.
    Missed,
}

impl Ledger {
    /// Accounts whose days and months are those of `zone`; `lease` as [`LEASE`] says, in
    /// milliseconds; with `anomaly`, an hour's unusual spend is told.
    #[must_use]
    pub fn new(zone: Zone, lease: Millis, anomaly: Option<Anomaly>) -> Self {
        Self {
            zone,
            generation: (lease / 2 / 1000).clamp(1, 86_400),
            anomaly,
            periods: Cell::default(),
            owed: RefCell::default(),
            counts: Cell::default(),
        }
    }

    /// Reserves a charge for all subjects, or for none. A budget refuses what is dearer than what is
    /// left of it, though something cheaper may still fit.
    ///
    /// # Errors
    /// The limit or budget that it would exceed; of several, the one that has to be waited for
    /// longest, and a budget that falls to cheaper candidates only if it is the only one.
    pub fn reserve(
        &self,
        subjects: &[Rc<Subject>],
        charge: Charge,
        store: &dyn Store,
        now: Millis,
    ) -> Result<Hold, Box<Exceeded>> {
        self.take(subjects, charge, false, store, &self.moment(now))
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
        self.take(subjects, charge, true, store, &self.moment(now))
    }

    fn take(
        &self,
        subjects: &[Rc<Subject>],
        charge: Charge,
        downgraded: bool,
        store: &dyn Store,
        moment: &Moment,
    ) -> Result<Hold, Box<Exceeded>> {
        let mut worst: Option<(&Rc<Subject>, Excess)> = None;
        let mut all = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let found = self.find(subject, store, moment, true);
            if let Some(found) = &found {
                let excess = found.account.excess(&subject.terms, charge, downgraded, moment);
                if let Some(excess) = excess
                    && worst.is_none_or(|(_, worst)| excess.rank() > worst.rank())
                {
                    worst = Some((subject, excess));
                }
            }
            all.push(found);
        }
        let mut remaining = Remaining::default();
        if let Some((subject, mut excess)) = worst {
            for found in &all {
                let left = found.as_ref().map(|found| found.account.remaining());
                remaining = remaining.and(left.unwrap_or_default());
            }
            for (subject, found) in subjects.iter().zip(all) {
                // Or who comes under older terms would be admitted by those.
                if found.as_ref().is_some_and(|found| found.changed) {
                    self.change_found(subject, found, store, moment, true, &mut |_| true);
                }
            }
            excess.first = excess.first && self.refused(subject, excess, store, moment);
            return Err(exceeded(subject, excess, remaining, downgraded));
        }
        let mut held = Vec::with_capacity(subjects.len());
        for (subject, found) in subjects.iter().zip(all) {
            let mut excess = None;
            let mut taken = Taken::default();
            let mut left = Remaining::default();
            let changed = self.change_found(subject, found, store, moment, true, &mut |account| {
                excess = account.excess(&subject.terms, charge, downgraded, moment);
                if excess.is_none() {
                    taken = account.reserve(charge, moment);
                }
                left = account.remaining();
                excess.is_none()
            });
            remaining = remaining.and(left);
            if let Some(mut excess) = excess {
                // Another worker took it since.
                self.give_back(held, charge, store, moment);
                excess.first = false;
                return Err(exceeded(subject, excess, remaining, downgraded));
            }
            let began = (changed == Changed::Written).then(|| moment.began());
            if began.is_none() {
                self.count(|counts| counts.unreserved += 1);
            }
            held.push(Held { subject: Rc::clone(subject), began, taken });
        }
        Ok(Hold { charge, held, remaining })
    }

    /// Gives a reservation back and charges what was used, once: in the periods of now, whenever it
    /// was reserved. What was never sent is settled by [`Charge::default`].
    pub fn settle(&self, hold: Hold, actual: Charge, store: &dyn Store, now: Millis) -> Vec<Alert> {
        let moment = self.moment(now);
        let mut alerts = Vec::new();
        for held in hold.held {
            let owed = Owed { held, charge: hold.charge, actual };
            self.pay(owed, store, &moment, &mut alerts);
        }
        alerts
    }

    /// Charges what was used without a reservation.
    pub fn spend(
        &self,
        subject: &Rc<Subject>,
        actual: Charge,
        store: &dyn Store,
        now: Millis,
    ) -> Vec<Alert> {
        let mut alerts = Vec::new();
        let held = Held { subject: Rc::clone(subject), began: None, taken: 0 };
        let owed = Owed { held, charge: Charge::default(), actual };
        self.pay(owed, store, &self.moment(now), &mut alerts);
        alerts
    }

    /// Renews the lease of a reservation that was made or renewed in an earlier generation: to be
    /// called on each tick for each request that is under way. Else it costs nothing.
    pub fn renew(&self, hold: &mut Hold, store: &dyn Store, now: Millis) {
        let moment = self.moment(now);
        for Held { subject, began, .. } in &mut hold.held {
            let Some(before) = began.filter(|began| *began != moment.began()) else { continue };
            let changed = self.change(subject, store, &moment, &mut |account| {
                account.release(before, hold.charge, &moment);
                account.hold(hold.charge, &moment);
                true
            });
            if changed == Changed::Written {
                *began = Some(moment.began());
            }
        }
    }

    /// Writes what waits, for the tick.
    pub fn flush(&self, store: &dyn Store, now: Millis) -> Vec<Alert> {
        let mut alerts = Vec::new();
        let owed = std::mem::take(&mut *self.owed.borrow_mut());
        for owed in owed {
            self.pay(owed, store, &self.moment(now), &mut alerts);
        }
        alerts
    }

    /// Whether anything waits to be written.
    #[must_use]
    pub fn owes(&self) -> bool {
        !self.owed.borrow().is_empty()
    }

    /// What waits, for another ledger to write: this one will see no tick any more.
    #[must_use]
    pub fn hand_over(&self) -> Vec<Owed> {
        std::mem::take(&mut *self.owed.borrow_mut())
    }

    /// Takes over what waited in another ledger, for the next tick.
    pub fn take_over(&self, owed: Vec<Owed>) {
        owed.into_iter().for_each(|owed| self.wait(owed));
    }

    /// What could not be counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.get()
    }

    /// The same since this was asked last.
    pub fn take_counts(&self) -> Counts {
        self.counts.take()
    }

    /// An account as it is now: one read.
    #[must_use]
    pub fn account(&self, subject: &Subject, store: &dyn Store, now: Millis) -> Account {
        let found = self.find(subject, store, &self.moment(now), false);
        found.map(|found| found.account).unwrap_or_default()
    }

    /// Settles one reservation, or keeps it for the next tick.
    fn pay(&self, owed: Owed, store: &dyn Store, moment: &Moment, alerts: &mut Vec<Alert>) {
        let Owed { held: Held { subject, began, taken }, charge, actual } = &owed;
        let mut news = Vec::new();
        let changed = self.change(subject, store, moment, &mut |account| {
            // Another worker may have been quicker.
            news.clear();
            match began {
                Some(began) => {
                    account.release(*began, *charge, moment);
                    account.correct(*taken, *charge, *actual);
                }
                None => account.correct(Taken::MAX, Charge::default(), *actual),
            }
            let budget = subject.terms.budget.as_ref();
            account.spend(budget, actual.cost, self.anomaly, &mut news);
            true
        });
        if changed == Changed::Written {
            let alert = |news| Alert { subject: Rc::clone(subject), news };
            alerts.extend(news.into_iter().map(alert));
            return;
        }
        self.wait(owed);
    }

    fn wait(&self, owed: Owed) {
        let mut waiting = self.owed.borrow_mut();
        if waiting.len() < MAX_OWED {
            waiting.push(owed);
        } else {
            self.count(|counts| counts.lost += 1);
        }
    }

    /// Sets what was spent in the day and the month of now to that, if it is more; and what is usual in
    /// an hour, if more hours show it.
    pub(super) fn raise(
        &self,
        subject: &Subject,
        (day, month): (u64, u64),
        usual: Usual,
        store: &dyn Store,
        moment: &Moment,
    ) -> bool {
        let changed = self.change(subject, store, moment, &mut |account| {
            account.day.money = account.day.money.max(day);
            account.month.money = account.month.money.max(month);
            if usual.hours > account.hourly.hours {
                (account.hourly.usual, account.hourly.hours) = (usual.spent.0, usual.hours);
            }
            true
        });
        changed == Changed::Written
    }

    fn give_back(&self, held: Vec<Held>, charge: Charge, store: &dyn Store, moment: &Moment) {
        for held in held {
            let owed = Owed { held, charge, actual: Charge::default() };
            self.pay(owed, store, moment, &mut Vec::new());
        }
    }

    /// Notes that a budget refused somebody. True when it is the first in its period.
    fn refused(
        &self,
        subject: &Subject,
        excess: Excess,
        store: &dyn Store,
        moment: &Moment,
    ) -> bool {
        self.change(subject, store, moment, &mut |account| account.refused(&excess))
            == Changed::Written
    }

    /// Changes an account for whom was admitted before, maybe under older terms.
    fn change(
        &self,
        subject: &Subject,
        store: &dyn Store,
        moment: &Moment,
        change: &mut dyn FnMut(&mut Account) -> bool,
    ) -> Changed {
        let found = self.find(subject, store, moment, false);
        self.change_found(subject, found, store, moment, false, change)
    }

    /// Changes an account that was read, if `change` wants that; reads it again when another worker
    /// was quicker.
    fn change_found(
        &self,
        subject: &Subject,
        mut found: Option<Found>,
        store: &dyn Store,
        moment: &Moment,
        asks: bool,
        change: &mut dyn FnMut(&mut Account) -> bool,
    ) -> Changed {
        for _ in 0..ROUNDS {
            let Some(Found { key, mut account, version, evicts, .. }) = found else { break };
            if !change(&mut account) {
                return Changed::Unwanted;
            }
            let name = if key.is_some() { subject.name.as_bytes() } else { &[] };
            if key.is_some() {
                account.expire(moment);
            }
            let written = key.as_deref().unwrap_or(&subject.key);
            if store.write(written, &account.encode(name), Some(version)) {
                if evicts {
                    self.count(|counts| counts.evicted += 1);
                }
                return Changed::Written;
            }
            found = self.find(subject, store, moment, asks);
        }
        Changed::Missed
    }

    /// Reads an account and brings it to now; `asks` when somebody asks now, for [`Account::advance`].
    fn find(
        &self,
        subject: &Subject,
        store: &dyn Store,
        moment: &Moment,
        asks: bool,
    ) -> Option<Found> {
        let mut found = if subject.kind == Kind::User {
            let place = users::find(&subject.key, &subject.name, store, moment)?;
            let account = place.account.unwrap_or_default();
            let (version, evicts) = (place.version, place.evicts);
            Found { key: Some(place.key), account, version, evicts, changed: false }
        } else {
            let found = store.read(&subject.key);
            let version = found.as_ref().map_or(ABSENT, |(_, version)| *version);
            let account = found.and_then(|(value, _)| Some(Account::decode(&value)?.0));
            let account = account.unwrap_or_default();
            Found { key: None, account, version, evicts: false, changed: false }
        };
        // Copies and probes of an older configuration come on new connections, of the gateway's own.
        let is_provider = subject.kind == Kind::Provider;
        let connection = || if is_provider { None } else { store.connection() };
        found.changed = found.account.advance(&subject.terms, moment, asks.then_some(&connection));
        Some(found)
    }

    fn count(&self, count: fn(&mut Counts)) {
        let mut counts = self.counts.get();
        count(&mut counts);
        self.counts.set(counts);
    }

    pub(super) fn moment(&self, now: Millis) -> Moment {
        let (mut day, mut month) = self.periods.get();
        if now < day.begins || now >= day.ends {
            (day, month) = period::of(&self.zone, now);
            self.periods.set((day, month));
        }
        Moment { now, day, month, generation: self.generation }
    }
}

/// The status of a refusal that the asker's own terms say nothing of.
fn of_none(what: What) -> u16 {
    if matches!(what, What::Budget(_)) { Budget::default().status } else { 429 }
}

fn exceeded(
    subject: &Rc<Subject>,
    excess: Excess,
    remaining: Remaining,
    downgraded: bool,
) -> Box<Exceeded> {
    let Excess { what, limit, wanted, wait, first, .. } = excess;
    let budget = subject.terms.budget.as_ref().filter(|_| matches!(what, What::Budget(_)));
    let on_exhausted = budget.filter(|_| !downgraded).map(|budget| budget.on_exhausted);
    Box::new(Exceeded {
        subject: Rc::clone(subject),
        what,
        limit,
        wanted,
        wait,
        remaining,
        on_exhausted: on_exhausted.unwrap_or(Exhausted::Reject),
        status: budget.map_or_else(|| of_none(what), |budget| budget.status),
        first,
    })
}

#[cfg(test)]
mod tests;
