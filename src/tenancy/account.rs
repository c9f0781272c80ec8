//! What one subject has used: one value of the store.
//!
//! ```text
//!  account/<kind>/<name>
//!  version u8 │ u64 each: at │ connection │ 9 × bound │ 6 × level │ 4 × (began, in flight, reserved) │ day: ends, spent, flags
//!    │ month: ends, spent, flags │ hour, spent, usual, hours, flags │ until │ name of a user
//! ```
//! The bounds are those of the terms that were asked under on the newest connection: requests of an older
//! configuration, on connections that Envoy drains, are admitted by them too.
//!
//! Reservations belong to generations of time, so that those of a worker that died end: see
//! [`lease`](super::ledger::LEASE).

use super::bound::{BOUNDS, Bounds, Remaining, What};
use super::bucket::{Bucket, Left, Window};
use super::charge::Charge;
use super::hourly::Hourly;
use super::news::{Anomaly, News};
use super::period::{Period, Span};
use super::settings::{Budget, Exhausted, Terms};
use crate::providers::catalogue::NanoUsd;
use crate::store::Millis;
use crate::store::bytes::{Reader, Writer};

const VERSION: u8 = 3;

/// The length of a value, without a user's name.
pub const BYTES: usize = 1 + WORDS * 8;

/// The numbers of an account.
const WORDS: usize = 2 + BOUNDS + 6 + GENERATIONS * 3 + 2 * 3 + 5 + 1;

/// Generations of reservations: two that ended lately, the one of now, and the next, for a worker
/// whose clock is a moment ahead.
const GENERATIONS: usize = 4;

/// How long the longest day is, in milliseconds, …
const LONGEST_DAY: Millis = 25 * 3_600_000;

/// … and the longest month.
const LONGEST_MONTH: Millis = (31 * 24 + 1) * 3_600_000;

/// How far a clock may be behind another before it counts as set back, in milliseconds.
pub const BEHIND: Millis = 5_000;

/// Somebody was refused by the budget, …
const REFUSED: u64 = 1;

/// … or could not even fall to something cheaper.
const STOPPED: u64 = 2;

/// When something happens, in all the units that accounts count in.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Now.
    pub now: Millis,
    /// The day of the time zone.
    pub day: Period,
    /// The month.
    pub month: Period,
    /// How long a generation is, in seconds.
    pub generation: u64,
}

impl Moment {
    /// When the generation of now began, in seconds since 1970.
    pub const fn began(&self) -> u64 {
        self.seconds() / self.generation * self.generation
    }

    const fn hour(&self) -> u64 {
        self.now / 3_600_000
    }

    const fn seconds(&self) -> u64 {
        self.now / 1000
    }

    /// Whether reservations of a generation still count.
    const fn counts(&self, began: u64) -> bool {
        let now = self.began();
        now.saturating_sub(began) <= 2 * self.generation
            && began.saturating_sub(now) <= self.generation
    }
}

/// Reservations of a generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// When the generation began, in seconds since 1970.
    pub began: u64,
    /// Requests.
    pub in_flight: u64,
    /// In nano-dollars.
    pub money: u64,
}

/// Money spent in a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// When the period ends, in the time zone in which it began.
    pub ends: Millis,
    /// In nano-dollars.
    pub money: u64,
    /// What was told.
    pub flags: u64,
}

/// What one subject has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// When the levels were these.
    pub at: Millis,
    /// The number of the connection that the bounds came by; zero when that is not known.
    pub connection: u64,
    /// What may be used.
    pub bounds: Bounds,
    /// Requests by second, minute, day; tokens by the same.
    pub levels: [Bucket; 6],
    /// Reservations, each generation at its place.
    pub reserved: [Reserved; GENERATIONS],
    /// This day.
    pub day: Spent,
    /// This month.
    pub month: Spent,
    /// This hour.
    pub hourly: Hourly,
    /// From then on nothing in here matters.
    pub until: Millis,
}

/// What of an account refuses a charge.
#[derive(Clone, Copy, Debug)]
pub struct Excess {
    /// What is bounded.
    pub what: What,
    /// How many, or nano-dollars.
    pub limit: u64,
    /// How many, or nano-dollars, the charge wants.
    pub wanted: u64,
    /// When it would fit, in milliseconds, if that is known.
    pub wait: Option<Millis>,
    /// Nobody was refused by this budget before in this period.
    pub first: bool,
    /// Of a budget: what is noted of the refusal.
    flag: u64,
    /// Something cheaper may still fit.
    downgrades: bool,
}

impl Excess {
    /// Which of several is told: what cannot be helped by something cheaper, and of those what has to
    /// be waited for longest.
    #[must_use]
    pub fn rank(&self) -> (bool, Millis) {
        let wait = match self.what {
            What::Concurrent => 0,
            _ => self.wait.unwrap_or(Millis::MAX),
        };
        (!self.downgrades, wait)
    }
}

/// Of which of [`Account::levels`] a reservation took, a bit for each.
pub type Taken = u8;

/// The window of each of [`Account::levels`].
const WINDOWS: [Window; 6] = {
    let [a, b, c] = Window::ALL;
    [a, b, c, a, b, c]
};

impl Account {
    /// An account and the name behind it; nothing for bytes of another version or length.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<(Self, &[u8])> {
        let mut reader = Reader(value);
        if reader.u8()? != VERSION {
            return None;
        }
        let mut account = Self::default();
        for word in account.words() {
            *word = reader.u64()?;
        }
        Some((account, reader.0))
    }

    /// As [`Self::decode`] reads it.
    #[must_use]
    pub fn encode(mut self, name: &[u8]) -> Vec<u8> {
        let mut writer = Writer(Vec::with_capacity(BYTES + name.len()));
        writer.u8(VERSION);
        for word in self.words() {
            writer.u64(*word);
        }
        writer.0.extend_from_slice(name);
        writer.0
    }

    /// All numbers, in their order in a value.
    const fn words(&mut self) -> [&mut u64; WORDS] {
        let Self { at, connection, bounds, levels, reserved, day, month, hourly, until } = self;
        let [a, b, c, d, e, f] = levels;
        let [g, h, i, j] = reserved;
        let [k, l, m, n, o, p, q, r, s] = bounds.words();
        [
            at,
            connection,
            k,
            l,
            m,
            n,
            o,
            p,
            q,
            r,
            s,
            &mut a.0,
            &mut b.0,
            &mut c.0,
            &mut d.0,
            &mut e.0,
            &mut f.0,
            &mut g.began,
            &mut g.in_flight,
            &mut g.money,
            &mut h.began,
            &mut h.in_flight,
            &mut h.money,
            &mut i.began,
            &mut i.in_flight,
            &mut i.money,
            &mut j.began,
            &mut j.in_flight,
            &mut j.money,
            &mut day.ends,
            &mut day.money,
            &mut day.flags,
            &mut month.ends,
            &mut month.money,
            &mut month.flags,
            &mut hourly.hour,
            &mut hourly.spent,
            &mut hourly.usual,
            &mut hourly.hours,
            &mut hourly.flags,
            until,
        ]
    }

    /// Brings the account to now: buckets drain by the bounds that are known, whoever comes; reservations and
    /// periods end. With `connection`, which tells the number of the connection, somebody asks under these
    /// terms now: then these are the bounds, unless the known ones came by a newer connection. A configuration
    /// takes new connections only until the next one does, so those of an older one change nothing any more; and
    /// one that is taken up again has new connections too. True when there were others before.
    pub fn advance(
        &mut self,
        terms: &Terms,
        moment: &Moment,
        connection: Option<&dyn Fn() -> Option<u64>>,
    ) -> bool {
        // A clock that is a moment behind another's drains nothing; one that was set back begins anew.
        let elapsed = match moment.now.checked_sub(self.at) {
            None if self.at - moment.now > BEHIND => Some(0),
            elapsed => elapsed,
        };
        let bounds = Bounds::of(terms);
        let known = self.at > 0;
        if !known && connection.is_none() {
            self.bounds = bounds;
        }
        let mut changed = false;
        if let Some(elapsed) = elapsed {
            for (level, limit) in self.levels.iter_mut().zip(self.bounds.rates()) {
                match limit {
                    Some(limit) => level.drain(limit, elapsed),
                    // Nobody would drain it.
                    None => *level = Bucket(0),
                }
            }
            self.at = moment.now;
        }
        if let Some(connection) = connection
            && self.bounds != bounds
        {
            let connection = connection();
            if connection.is_none_or(|connection| connection >= self.connection) {
                changed = known;
                self.bounds = bounds;
                self.connection = connection.unwrap_or(0);
            }
        }
        for cell in &mut self.reserved {
            if !moment.counts(cell.began) {
                *cell = Reserved::default();
            }
        }
        self.day.roll(&moment.day, LONGEST_DAY, moment.now);
        self.month.roll(&moment.month, LONGEST_MONTH, moment.now);
        self.hourly.roll(moment.hour());
        changed
    }

    /// Requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.reserved.iter().fold(0, |sum, cell| sum.saturating_add(cell.in_flight))
    }

    /// Money that requests in flight may cost.
    #[must_use]
    pub fn reserved(&self) -> u64 {
        self.reserved.iter().fold(0, |sum, cell| sum.saturating_add(cell.money))
    }

    /// What refuses a charge; of several, what has to be waited for longest. With `downgraded`, a
    /// budget that falls to cheaper candidates holds up to where it stops.
    pub fn excess(
        &self,
        terms: &Terms,
        charge: Charge,
        downgraded: bool,
        moment: &Moment,
    ) -> Option<Excess> {
        let mut worst: Option<Excess> = None;
        let mut found = |excess: Excess| {
            if worst.is_none_or(|worst| excess.rank() > worst.rank()) {
                worst = Some(excess);
            }
        };
        let limited = |what, limit, wanted, wait| {
            let (first, downgrades) = (false, false);
            Excess { what, limit, wanted, wait, first, flag: 0, downgrades }
        };
        if let Some(most) = self.bounds.concurrent() {
            let wanted = self.in_flight().saturating_add(charge.requests.into());
            if wanted > most {
                found(limited(What::Concurrent, most, wanted, None));
            }
        }
        let limits = self.levels.iter().zip(WINDOWS).zip(self.bounds.rates()).enumerate();
        for (at, ((level, window), limit)) in limits {
            let Some(limit) = limit else { continue };
            let (wanted, what) = if at < Window::ALL.len() {
                (charge.requests.into(), What::Requests(window))
            } else {
                (charge.tokens, What::Tokens(window))
            };
            let wait = level.wait(wanted, limit, window);
            if wait != Some(0) {
                found(limited(what, limit, wanted, wait));
            }
        }
        let on_exhausted = terms.budget.as_ref().map(|budget| budget.on_exhausted);
        let on_exhausted = on_exhausted.unwrap_or_default();
        let periods = [(Span::Day, &self.day), (Span::Month, &self.month)];
        for ((span, spent), amount) in periods.into_iter().zip(self.bounds.amounts()) {
            let Some(limit) = amount else { continue };
            let falls = matches!(on_exhausted, Exhausted::Downgrade { .. });
            let (allowed, flag) = match on_exhausted {
                Exhausted::Downgrade { stop_at } if downgraded => (share(limit, stop_at), STOPPED),
                _ => (limit, REFUSED),
            };
            let used = spent.money.saturating_add(self.reserved());
            let wanted = charge.cost.0;
            if used < allowed && used.saturating_add(wanted) <= allowed {
                continue;
            }
            let ends = spent.ends.saturating_sub(moment.now);
            let wait = (wanted <= allowed && allowed > 0).then_some(ends);
            let first = spent.flags & flag == 0;
            let (what, downgrades) = (What::Budget(span), falls && !downgraded);
            found(Excess { what, limit, wanted, wait, first, flag, downgrades });
        }
        worst
    }

    /// Notes that a budget refused somebody. False when that is known.
    pub const fn refused(&mut self, excess: &Excess) -> bool {
        let spent = match excess.what {
            What::Budget(Span::Day) => &mut self.day,
            What::Budget(Span::Month) => &mut self.month,
            What::Concurrent | What::Requests(_) | What::Tokens(_) => return false,
        };
        let first = spent.flags & excess.flag == 0;
        spent.flags |= excess.flag;
        first
    }

    /// Takes a charge. Gives what it was taken of.
    pub fn reserve(&mut self, charge: Charge, moment: &Moment) -> Taken {
        let limits = self.bounds.rates();
        let taken =
            limits.iter().rev().fold(0, |taken, limit| taken << 1 | u8::from(limit.is_some()));
        self.correct(taken, Charge::default(), charge);
        self.hold(charge, moment);
        taken
    }

    /// Takes a place in the generation of now.
    pub fn hold(&mut self, charge: Charge, moment: &Moment) {
        let began = moment.began();
        let Some(cell) = self.cell(began, moment) else { return };
        // Those of another numbering, before the lease was changed, end with these.
        cell.began = began;
        cell.in_flight = cell.in_flight.saturating_add(charge.requests.into());
        cell.money = cell.money.saturating_add(charge.cost.0);
    }

    /// Gives a place back, if its generation has not ended.
    pub fn release(&mut self, began: u64, charge: Charge, moment: &Moment) {
        let Some(cell) = self.cell(began, moment) else { return };
        if cell.began == began {
            cell.in_flight = cell.in_flight.saturating_sub(charge.requests.into());
            cell.money = cell.money.saturating_sub(charge.cost.0);
        }
    }

    fn cell(&mut self, began: u64, moment: &Moment) -> Option<&mut Reserved> {
        self.reserved.get_mut((began / moment.generation) as usize % GENERATIONS)
    }

    /// Corrects what was taken of some buckets to what is to be taken.
    pub fn correct(&mut self, of: Taken, taken: Charge, actual: Charge) {
        let rates = self.bounds.rates();
        let limits = self.levels.iter_mut().zip(WINDOWS).zip(rates).enumerate();
        for (at, ((level, window), limit)) in limits {
            let (taken, actual) = if at < Window::ALL.len() {
                (taken.requests.into(), actual.requests.into())
            } else {
                (taken.tokens, actual.tokens)
            };
            if limit.is_some() && of >> at & 1 == 1 {
                level.add(actual.saturating_sub(taken), window);
                level.give_back(taken.saturating_sub(actual), window);
            }
        }
    }

    /// Spends money; gives what is to be told of it.
    pub fn spend(
        &mut self,
        budget: Option<&Budget>,
        cost: NanoUsd,
        anomaly: Option<Anomaly>,
        news: &mut Vec<News>,
    ) {
        let periods = [(Span::Day, &mut self.day), (Span::Month, &mut self.month)];
        for (span, spent) in periods {
            let before = spent.money;
            spent.money = before.saturating_add(cost.0);
            let Some(budget) = budget else { continue };
            let amount = if span == Span::Day { budget.day } else { budget.month };
            let Some(amount) = amount else { continue };
            // All workers' writes come one after another, so each share is passed by one of them.
            for percent in &budget.alerts {
                let mark = share(amount.0, *percent);
                if before < mark && mark <= spent.money {
                    let (percent, spent) = (*percent, NanoUsd(spent.money));
                    news.push(News::Share { span, percent, spent, amount });
                }
            }
        }
        self.hourly.spent = self.hourly.spent.saturating_add(cost.0);
        if let Some(anomaly) = anomaly {
            news.extend(self.hourly.unusual(anomaly));
        }
    }

    /// What is left of the limits.
    #[must_use]
    pub fn remaining(&self) -> Remaining {
        let mut least: [Option<(u64, Left)>; 2] = [None; 2];
        let limits = self.levels.iter().zip(WINDOWS).zip(self.bounds.rates()).enumerate();
        for (at, ((level, window), limit)) in limits {
            let Some(limit) = limit else { continue };
            let room = level.room(limit, window);
            let [requests, tokens] = &mut least;
            let least = if at < Window::ALL.len() { requests } else { tokens };
            if least.is_none_or(|(least, _)| room < least) {
                *least = Some((room, level.left(limit, window)));
            }
        }
        let [requests, tokens] = least.map(|least| least.map(|(_, left)| left));
        Remaining { requests, tokens }
    }

    /// Whether anything is reserved.
    #[must_use]
    pub fn holds(&self, moment: &Moment) -> bool {
        let held = |cell: &Reserved| cell.in_flight > 0 || cell.money > 0;
        self.reserved.iter().any(|cell| held(cell) && moment.counts(cell.began))
    }

    /// The money spent in the periods of now, to find who has spent least.
    #[must_use]
    pub fn worth(&self, moment: &Moment) -> u64 {
        self.day.at(moment.now).max(self.month.at(moment.now))
    }

    /// Notes from when on nothing in here matters.
    pub fn expire(&mut self, moment: &Moment) {
        let mut until = moment.now;
        for (level, limit) in self.levels.iter().zip(self.bounds.rates()) {
            if let Some(limit) = limit
                && level.0 > 0
            {
                let wait =
                    level.0.checked_div(limit).map_or(u64::MAX, |wait| wait.saturating_add(1));
                until = until.max(self.at.saturating_add(wait));
            }
        }
        for cell in &self.reserved {
            if cell.in_flight > 0 || cell.money > 0 {
                until = until.max((cell.began + 3 * moment.generation) * 1000);
            }
        }
        for (spent, amount) in [self.day, self.month].into_iter().zip(self.bounds.amounts()) {
            if amount.is_some() && spent.money > 0 {
                until = until.max(spent.ends);
            }
        }
        self.until = until;
    }
}

/// So many per cent of an amount.
fn share(amount: u64, percent: u16) -> u64 {
    let percent = u64::from(percent);
    (amount / 100).saturating_mul(percent).saturating_add(amount % 100 * percent / 100)
}

impl Spent {
    /// Begins anew when the period has ended. A configuration with another time zone goes on with the one that has
    /// begun, or what is spent would be forgotten. One that ends later than any could is of a clock that was ahead.
    fn roll(&mut self, period: &Period, longest: Millis, now: Millis) {
        let longest = longest.max(period.ends.saturating_sub(period.begins)) + BEHIND;
        let left = self.ends.saturating_sub(now);
        if left == 0 || left > longest {
            *self = Self { ends: period.ends, money: 0, flags: 0 };
        }
    }

    /// What is spent in the period of now, in nano-dollars.
    #[must_use]
    pub const fn at(&self, now: Millis) -> u64 {
        if self.ends > now { self.money } else { 0 }
    }
}
