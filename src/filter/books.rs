//! Reading and writing what accounts have used: what is counted of it, and whom it is told to.

use std::cell::RefCell;
use std::rc::Rc;

use super::accounts::Accounts;
use super::alerts::{self, News, Notice};
use super::limited;
use super::world::World;
use crate::config::Gateway;
use crate::providers::catalogue::NanoUsd;
use crate::store::Millis;
use crate::telemetry::metrics::accounts::{self, ALERTS, BUDGET_EXCEEDED, LIMITED, MISSED};
use crate::telemetry::metrics::{Meter, Metric, meter};
use crate::tenancy::ledger::Counts;
use crate::tenancy::{
    Alert, Caller, Charge, Exceeded, Hold, LEASE, Ledger, Owed, Span, Subject, What, news,
};

/// What a used-up budget did to a request, as a label: nobody was asked.
pub const REFUSED: &str = "refused";
/// Likewise: only cheaper candidates were kept.
pub const DOWNGRADED: &str = "downgraded";

thread_local! {
    /// What configurations that are gone could not write; as much of each as its ledger keeps.
    static LEFT: RefCell<Vec<Owed>> = const { RefCell::new(Vec::new()) };
}

/// Whether something was left that the next [`Books::tick`] takes over.
#[must_use]
pub fn are_left() -> bool {
    LEFT.with_borrow(|left| !left.is_empty())
}

/// The ledger of a configuration.
#[must_use]
pub fn ledger(gateway: &Gateway) -> Ledger {
    Ledger::new(gateway.tenancy.time_zone, LEASE, gateway.alerts.anomaly)
}

/// The accounts of a configuration, and the world in which they are kept.
pub struct Books<'a> {
    /// What users wrote.
    pub gateway: &'a Gateway,
    /// Who has an account.
    pub accounts: &'a Accounts,
    /// What they have used.
    pub ledger: &'a Ledger,
    /// Names of series.
    pub meter: &'a RefCell<Meter>,
    /// Where all that is kept and counted.
    pub world: &'a dyn World,
}

impl Books<'_> {
    /// Writes what could not be written, tells what is missing nevertheless, and shows what budgets are
    /// spent.
    pub fn tick(&self, now: Millis) {
        self.ledger.take_over(LEFT.take());
        self.flush(now);
        let Counts { unreserved, lost, evicted } = self.ledger.take_counts();
        let missed = [("unreserved", unreserved), ("lost", lost), ("evicted", evicted)];
        for (outcome, count) in missed.into_iter().filter(|(_, count)| *count > 0) {
            meter::put(&MISSED, &[outcome], count, self.world);
        }
        let mut set = |metric: &Metric, values: &[&str], value| self.put(metric, values, value);
        self.accounts.show(self.ledger, self.world, now, &mut set);
    }

    fn flush(&self, now: Millis) {
        let told = self.ledger.flush(self.world, now);
        told.iter().for_each(|alert| self.alert(alert));
    }

    /// The configuration is gone: what still cannot be written is left to another one.
    pub fn close(&self) {
        if self.ledger.owes() {
            self.flush(self.world.now());
            let owed = self.ledger.hand_over();
            // Nobody is left when the thread itself ends.
            let _ = LEFT.try_with(|left| left.borrow_mut().extend(owed));
        }
    }

    fn put(&self, metric: &Metric, values: &[&str], value: u64) {
        self.meter.borrow().put(metric, values, value, self.world);
    }

    /// Charges what was used to what was reserved, and gives back the rest.
    pub fn settle(&self, hold: Hold, actual: Charge) {
        let told = self.ledger.settle(hold, actual, self.world, self.world.now());
        told.iter().for_each(|alert| self.alert(alert));
    }

    /// Charges what was used without a reservation.
    pub fn spend(&self, subject: &Rc<Subject>, actual: Charge) {
        let told = self.ledger.spend(subject, actual, self.world, self.world.now());
        told.iter().for_each(|alert| self.alert(alert));
    }

    /// A request was refused, or made cheaper, by a limit or a budget.
    pub fn exceeded(&self, caller: &Caller, exceeded: &Exceeded, outcome: &str) {
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
    pub fn first(&self, exceeded: &Exceeded, news: News) {
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
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use std::cell::Cell;

    use serde_json::json;

    use super::super::service::{Service, tests::Simulated};
    use super::*;
    use crate::config::Config;
    use crate::store::memory::Memory;
    use crate::tenancy::Kind;

    fn worker(memory: &Rc<Memory>, jammed: &Rc<Cell<bool>>, usd: u64) -> Service {
        let config = Config::read(&json!({
            "role": "gateway", "anonymous": "a", "tenants": {"a": {"budget": {"usd_per_day": usd}}},
            "providers": {"openai": {"api": "openai", "endpoints": [{"cluster": "a"}], "models": {"gpt-4o": {}}}},
        }));
        let Ok(Config::Gateway(gateway)) = config else { panic!("{config:?}") };
        let (memory, jammed) = (Rc::clone(memory), Rc::clone(jammed));
        let world = Simulated { memory, jammed, ..Simulated::default() };
        Service::new(Rc::from(gateway), Box::new(world))
    }

    #[test]
    fn what_an_old_configuration_could_not_write_another_one_does_once() {
        let (memory, jammed) = (Rc::default(), Rc::new(Cell::new(false)));
        let spent = |service: &Service| {
            let books = service.books();
            let a = books.accounts.find(&books.gateway.tenancy, Kind::Tenant, "a").unwrap();
            books.ledger.account(&a, books.world, books.world.now()).day.money
        };
        let charge = Charge { requests: 1, tokens: 7, cost: NanoUsd(5) };
        let (old, new) = (worker(&memory, &jammed, 1), worker(&memory, &jammed, 2));
        let a = old.accounts.find(&old.gateway.tenancy, Kind::Tenant, "a").unwrap();
        let books = old.books();
        let hold = books.ledger.reserve(&[Rc::clone(&a)], charge, books.world, books.world.now());
        jammed.set(true);
        books.settle(hold.unwrap(), charge);
        books.spend(&a, charge);
        assert_eq!(spent(&old), 0);
        drop(old);
        new.tick();
        assert_eq!(spent(&new), 0);
        jammed.set(false);
        for _ in 0..2 {
            new.tick();
            assert_eq!(spent(&new), 10);
        }
        // One that can write by then leaves nothing.
        let third = worker(&memory, &jammed, 3);
        jammed.set(true);
        third.books().spend(&a, charge);
        jammed.set(false);
        drop(third);
        assert!(!are_left());
        assert_eq!(spent(&new), 15);
    }
}
