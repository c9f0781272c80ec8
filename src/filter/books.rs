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
    Alert, Caller, Charge, Exceeded, Hold, LEASE, Ledger, Span, Subject, What, news,
};

/// What a used-up budget did to a request, as a label: nobody was asked.
pub const REFUSED: &str = "refused";
/// Likewise: only cheaper candidates were kept.
pub const DOWNGRADED: &str = "downgraded";

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
        let told = self.ledger.flush(self.world, now);
        told.iter().for_each(|alert| self.alert(alert));
        let Counts { unreserved, lost, evicted } = self.ledger.take_counts();
        let missed = [("unreserved", unreserved), ("lost", lost), ("evicted", evicted)];
        for (outcome, count) in missed.into_iter().filter(|(_, count)| *count > 0) {
            meter::put(&MISSED, &[outcome], count, self.world);
        }
        let mut set = |metric: &Metric, values: &[&str], value| self.put(metric, values, value);
        self.accounts.show(self.ledger, self.world, now, &mut set);
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
