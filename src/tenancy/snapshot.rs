//! What the accounts of an Envoy have spent in the periods of now, as JSON, and how another Envoy
//! takes it over.
//!
//! ```json
//! {"version":1,"accounts":[
//!   {"kind":"tenant","name":"search","day":"2026-11-21","day_nano_usd":1250000000,
//!    "month":"2026-11","month_nano_usd":31750000000},
//!   {"kind":"user","tenant":"search","name":"ada","day":"2026-11-21","day_nano_usd":70000000,
//!    "month":"2026-11","month_nano_usd":70000000}]}
//! ```
//! A row may say more: `"usual_hour_nano_usd":90000000,"usual_hours":31` is what the account usually spends
//! in an hour, and how many hours with a spend show it. Without it no hour is unusual before
//! [`WARM_UP`](super::hourly::WARM_UP) hours with a spend have passed.
//!
//! Money is in nano-dollars, days and months are those of the configuration's time zone. What is not of
//! today or of this month is passed over. Several rows that mean the same account are added up; of
//! that sum and what the account has spent already, the higher holds. So a snapshot may be given
//! twice, and one that holds what this Envoy has spent since its start counts nothing twice. Of what is
//! usual that which more hours show holds.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::rc::Rc;

use super::account::{Account, Moment};
use super::calendar::{civil, days};
use super::hourly::Usual;
use super::ledger::Ledger;
use super::subject::{Kind, Subject};
use super::users::{self, hash};
use crate::openai::fault::Fault;
use crate::openai::json::{separate, write_str};
use crate::openai::place::{List, Place, Slot, from_slice, members};
use crate::providers::catalogue::NanoUsd;
use crate::store::{Millis, Store};

/// Most accounts of a snapshot.
pub const MAX_ACCOUNTS: usize = 65_536;

/// What one account has spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Of what kind its subject is.
    pub kind: Kind,
    /// The subject's name, as [`Subject::name`].
    pub name: String,
    /// The day, as [`Period::id`](super::period::Period::id), and what was spent in it.
    pub day: (u32, NanoUsd),
    /// The month, and what was spent in it.
    pub month: (u32, NanoUsd),
    /// What it usually spends in an hour, where that is known. Not of users.
    pub usual: Usual,
}

impl Entry {
    /// Whether it says anything.
    fn any(&self) -> bool {
        self.day.1.0 > 0 || self.month.1.0 > 0 || self.usual.hours > 0
    }

    fn without_usual(self) -> Self {
        Self { usual: Usual::default(), ..self }
    }
}

/// What became of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Accounts that have spent as much as it says, or more.
    pub accounts: u32,
    /// Rows of subjects that have no account here.
    pub unknown: u32,
    /// Rows that say nothing of today or this month.
    pub past: u32,
    /// Accounts that could not be written.
    pub failed: u32,
}

impl Ledger {
    /// What these subjects and all users have spent in the periods of now. Reads each slot of users
    /// that was ever used.
    #[must_use]
    pub fn snapshot(&self, subjects: &[Rc<Subject>], store: &dyn Store, now: Millis) -> Vec<Entry> {
        let moment = self.moment(now);
        let mut entries = Vec::new();
        for subject in subjects.iter().filter(|subject| subject.kind != Kind::User) {
            let account = self.account(subject, store, now);
            entries.extend(entry(subject.kind, &subject.name, &account, &moment));
        }
        users::each(store, &mut |name, account| {
            let known = entry(Kind::User, name, &account, &moment).map(Entry::without_usual);
            entries.extend(known.filter(Entry::any));
        });
        entries
    }

    /// Takes over what a snapshot says was spent. `find` gives the subject of a row: a kind and a name
    /// as [`Subject::name`]; nothing where the configuration knows none. Nobody is told of a share
    /// that is passed by this.
    pub fn restore(
        &self,
        entries: &[Entry],
        find: &mut dyn FnMut(Kind, &str) -> Option<Rc<Subject>>,
        store: &dyn Store,
        now: Millis,
    ) -> Restored {
        let moment = self.moment(now);
        let mut restored = Restored::default();
        let mut sums = Sums::new(entries.len());
        for entry in entries {
            let of = |(id, spent): (u32, NanoUsd), now| if id == now { spent.0 } else { 0 };
            let (day, month) = (of(entry.day, moment.day.id), of(entry.month, moment.month.id));
            let usual =
                if entry.month.0 == moment.month.id { entry.usual } else { Usual::default() };
            if day == 0 && month == 0 && usual.hours == 0 {
                restored.past += 1;
            } else if let Some(subject) = find(entry.kind, &entry.name) {
                sums.add(subject, day, month, usual);
            } else {
                restored.unknown += 1;
            }
        }
        for Sum { subject, day, month, usual } in &sums.all {
            let written = self.raise(subject, (*day, *month), *usual, store, &moment);
            *if written { &mut restored.accounts } else { &mut restored.failed } += 1;
        }
        restored
    }
}

/// What rows of one account say together.
struct Sum {
    subject: Rc<Subject>,
    day: u64,
    month: u64,
    usual: Usual,
}

/// Sums by account.
struct Sums {
    all: Vec<Sum>,
    /// Places in `all`, counted from 1, by the hash of the name; at least half of them are 0. A map of
    /// the standard library is 5 KB of the module.
    table: Vec<u32>,
}

impl Sums {
    fn new(most: usize) -> Self {
        Self { all: Vec::new(), table: vec![0; (most * 2 + 2).next_power_of_two()] }
    }

    fn add(&mut self, subject: Rc<Subject>, day: u64, month: u64, usual: Usual) {
        let mut at = hash(&subject.name) as usize;
        loop {
            at &= self.table.len() - 1;
            let Some(place) = self.table.get_mut(at) else { return };
            let Some(known) = self.all.get_mut((*place as usize).wrapping_sub(1)) else {
                self.all.push(Sum { subject, day, month, usual });
                *place = self.all.len() as u32;
                return;
            };
            if known.subject.kind == subject.kind && known.subject.name == subject.name {
                known.day = known.day.saturating_add(day);
                known.month = known.month.saturating_add(month);
                known.usual.spent.0 = known.usual.spent.0.saturating_add(usual.spent.0);
                known.usual.hours = known.usual.hours.max(usual.hours);
                return;
            }
            at += 1;
        }
    }
}

fn entry(kind: Kind, name: &str, account: &Account, moment: &Moment) -> Option<Entry> {
    let day = (moment.day.id, NanoUsd(account.day.at(moment.now)));
    let month = (moment.month.id, NanoUsd(account.month.at(moment.now)));
    let entry = Entry { kind, name: name.to_owned(), day, month, usual: account.hourly.usual() };
    entry.any().then_some(entry)
}

/// A snapshot as JSON.
#[must_use]
pub fn write(entries: &[Entry]) -> Vec<u8> {
    let mut out = b"{\"version\":1,\"accounts\":[".to_vec();
    for Entry { kind, name, day, month, usual } in entries {
        separate(&mut out);
        out.extend_from_slice(b"{\"kind\":");
        write_str(&mut out, kind.word());
        let name = match name.split_once('\0') {
            Some((tenant, name)) => {
                out.extend_from_slice(b",\"tenant\":");
                write_str(&mut out, tenant);
                name
            }
            None => name,
        };
        out.extend_from_slice(b",\"name\":");
        write_str(&mut out, name);
        let (year, of_year, of_month) = civil(day.0.into());
        let mut rest = String::new();
        // Writing to a String cannot fail.
        let _ = write!(
            rest,
            ",\"day\":\"{year:04}-{of_year:02}-{of_month:02}\",\"day_nano_usd\":{},\
             \"month\":\"{:04}-{:02}\",\"month_nano_usd\":{}",
            day.1.0,
            month.0 / 12,
            month.0 % 12 + 1,
            month.1.0
        );
        if usual.hours > 0 {
            let Usual { spent, hours } = usual;
            let _ = write!(rest, ",\"usual_hour_nano_usd\":{},\"usual_hours\":{hours}", spent.0);
        }
        rest.push('}');
        out.extend_from_slice(rest.as_bytes());
    }
    out.extend_from_slice(b"]}");
    out
}

/// Reads a snapshot.
///
/// # Errors
/// What does not fit.
pub fn read(json: &[u8]) -> Result<Vec<Entry>, String> {
    let written: Written<'_> = from_slice(json).map_err(|error| error.to_string())?;
    if written.version != 1 {
        return Err(format!("version {} of snapshots is not known", written.version));
    }
    let mut entries = Vec::with_capacity(written.accounts.0.len());
    for row in written.accounts.0 {
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.word() == row.kind) else {
            return Err(format!("no account is of the kind \"{}\"", row.kind));
        };
        let (Some(day), Some(month)) = (date(&row.day), date(&row.month)) else {
            return Err(format!("\"{}\" and \"{}\" are no day and month", row.day, row.month));
        };
        let name = match &row.tenant {
            Some(tenant) => [tenant, "\0", &*row.name].concat(),
            None => row.name.into_owned(),
        };
        let day = (day.0, NanoUsd(row.day_nano_usd));
        let month = (month.1, NanoUsd(row.month_nano_usd));
        let [spent, hours] =
            [row.usual_hour_nano_usd, row.usual_hours].map(Option::unwrap_or_default);
        let usual = Usual { spent: NanoUsd(spent), hours };
        entries.push(Entry { kind, name, day, month, usual });
    }
    Ok(entries)
}

/// A day `2026-11-21` or a month `2026-11`, as days and months are counted.
fn date(text: &str) -> Option<(u32, u32)> {
    let number = |text: &str, length: usize| -> Option<u32> {
        let digits = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse().ok() } else { None }
    };
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-').unwrap_or((rest, "01"));
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    let of_day = days(year.into(), month, day);
    let real = (1..=12).contains(&month) && civil(of_day) == (year.into(), month, day);
    real.then_some((u32::try_from(of_day).ok()?, year * 12 + month - 1))
}

#[derive(Debug)]
struct Written<'a> {
    version: u64,
    accounts: Rows<'a>,
}

members!(Written<'a> { version (required), accounts (required) });

#[derive(Debug)]
struct Row<'a> {
    kind: Cow<'a, str>,
    tenant: Option<Cow<'a, str>>,
    name: Cow<'a, str>,
    day: Cow<'a, str>,
    day_nano_usd: u64,
    month: Cow<'a, str>,
    month_nano_usd: u64,
    usual_hour_nano_usd: Option<u64>,
    usual_hours: Option<u64>,
}

members!(Row<'a> {
    kind (required), tenant, name (required), day (required), day_nano_usd (required),
    month (required), month_nano_usd (required), usual_hour_nano_usd, usual_hours,
});

/// At most [`MAX_ACCOUNTS`] rows.
#[derive(Debug)]
struct Rows<'a>(Vec<Row<'a>>);

impl<'a> Place<'a> for Rows<'a> {
    fn blank() -> Self {
        Self(Vec::new())
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::List(self)
    }
}

impl<'a> List<'a> for Rows<'a> {
    fn next(&mut self) -> Option<Slot<'_, 'a>> {
        self.0.next()
    }
    fn check(&mut self) -> Result<(), Fault> {
        if self.0.len() > MAX_ACCOUNTS {
            return Err(Fault::new(format!("more than {MAX_ACCOUNTS} accounts")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::store::memory::Memory;
    use crate::tenancy::charge::Charge;
    use crate::tenancy::settings::{Budget, Terms};
    use crate::tenancy::{Anomaly, LEASE, News, Zone};

    /// 2026-11-21 12:00 UTC.
    const NOW: Millis = 1_795_262_400_000;
    const DAY: Millis = 86_400_000;

    fn terms() -> Rc<Terms> {
        let budget = Budget { day: Some(NanoUsd(1_000)), ..Budget::default() };
        Rc::new(Terms { budget: Some(budget), ..Terms::default() })
    }

    fn subject(kind: Kind, name: &str) -> Rc<Subject> {
        Subject::new(kind, name, &terms()).unwrap()
    }

    fn ledger() -> Ledger {
        Ledger::new(Zone::UTC, LEASE, None)
    }

    fn cost(nano: u64) -> Charge {
        Charge { requests: 1, tokens: 1, cost: NanoUsd(nano) }
    }

    /// What a tenant and a user have spent, on two days of a month.
    fn spent(store: &Memory) -> (Ledger, [Rc<Subject>; 2]) {
        let ledger = ledger();
        let subjects = [subject(Kind::Tenant, "a"), subject(Kind::User, "a\0u\"")];
        for (subject, nano) in subjects.iter().zip([7, 5]) {
            ledger.spend(subject, cost(nano), store, NOW - DAY);
            ledger.spend(subject, cost(nano * 10), store, NOW);
        }
        (ledger, subjects)
    }

    #[test]
    fn a_snapshot_holds_tenants_and_users_and_is_read_as_it_was_written() {
        let store = Memory::new();
        let (ledger, subjects) = spent(&store);
        let entries = ledger.snapshot(&subjects, &store, NOW);
        let json = write(&entries);
        let wanted = concat!(
            r#"{"version":1,"accounts":[{"kind":"tenant","name":"a","day":"2026-11-21","#,
            r#""day_nano_usd":70,"month":"2026-11","month_nano_usd":77,"#,
            r#""usual_hour_nano_usd":1,"usual_hours":1},"#,
            r#"{"kind":"user","tenant":"a","name":"u\"","day":"2026-11-21","day_nano_usd":50,"#,
            r#""month":"2026-11","month_nano_usd":55}]}"#
        );
        assert_eq!(String::from_utf8(json.clone()).unwrap(), wanted);
        assert_eq!(read(&json).unwrap(), entries);
    }

    #[test]
    fn another_envoy_takes_it_over_and_twice_is_as_once() {
        let (old, new) = (Memory::new(), Memory::new());
        let (ledger, subjects) = spent(&old);
        let entries = ledger.snapshot(&subjects, &old, NOW);
        let mut find = |kind, name: &str| {
            subjects.iter().find(|known| (known.kind, &*known.name) == (kind, name)).cloned()
        };
        // What was spent since its start is in the audit log too, and so in the snapshot.
        ledger.spend(&subjects[0], cost(3), &new, NOW);
        for _ in 0..2 {
            let restored = ledger.restore(&entries, &mut find, &new, NOW);
            assert_eq!(restored, Restored { accounts: 2, ..Restored::default() });
            assert_eq!(ledger.snapshot(&subjects, &new, NOW), entries);
        }
        ledger.spend(&subjects[0], cost(3), &new, NOW);
        ledger.restore(&entries, &mut find, &new, NOW);
        assert_eq!(ledger.account(&subjects[0], &new, NOW).day.money, 73);
    }

    #[test]
    fn what_is_usual_comes_over_and_the_first_unusual_hour_is_told() {
        const HOUR: Millis = 3_600_000;
        let old = Memory::new();
        let tenant = subject(Kind::Tenant, "a");
        for hour in 0..9 {
            ledger().spend(&tenant, cost(400), &old, NOW + hour * HOUR);
        }
        let now = NOW + 9 * HOUR;
        let entries = read(&write(&ledger().snapshot(&[Rc::clone(&tenant)], &old, now))).unwrap();
        assert_eq!((entries[0].usual.hours, entries[0].usual.spent.0 > 300), (9, true));
        let watchful =
            Ledger::new(Zone::UTC, LEASE, Some(Anomaly { percent: 200, at_least: NanoUsd(1) }));
        let told = |store: &Memory| {
            let told = watchful.spend(&tenant, cost(801), store, now);
            told.iter().any(|alert| matches!(alert.news, News::Unusual { .. }))
        };
        let (new, blind) = (Memory::new(), Memory::new());
        for _ in 0..2 {
            let mut find = |_, _: &str| Some(Rc::clone(&tenant));
            assert_eq!(watchful.restore(&entries, &mut find, &new, now).accounts, 1);
        }
        let news = |store| {
            let before = watchful.account(&tenant, store, now).hourly;
            (before.usual, before.hours)
        };
        assert_eq!(news(&new), (entries[0].usual.spent.0, 9));
        assert!(told(&new) && !told(&blind));
        // What more hours show holds.
        let fewer = [Entry { usual: Usual { spent: NanoUsd(1), hours: 8 }, ..entries[0].clone() }];
        watchful.restore(&fewer, &mut |_, _| Some(Rc::clone(&tenant)), &new, now);
        assert_eq!(news(&new), (entries[0].usual.spent.0, 9));
        // Of a month that is over nothing is taken.
        let later = watchful.restore(&entries, &mut |_, _| None, &blind, now + 40 * DAY);
        assert_eq!((later.past, later.unknown), (1, 0));
    }

    #[test]
    fn of_the_past_and_of_strangers_nothing_is_taken() {
        let store = Memory::new();
        let (ledger, subjects) = spent(&store);
        let mut entries = ledger.snapshot(&subjects, &store, NOW);
        entries[1].name = "b\0v".to_owned();
        let mut find = |kind, name: &str| {
            (kind == Kind::Tenant && name == "a").then(|| Rc::clone(&subjects[0]))
        };
        let new = Memory::new();
        let restored = ledger.restore(&entries, &mut find, &new, NOW + 40 * DAY);
        assert_eq!(restored, Restored { past: 2, ..Restored::default() });
        let restored = ledger.restore(&entries, &mut find, &new, NOW + DAY);
        assert_eq!(restored, Restored { accounts: 1, unknown: 1, ..Restored::default() });
        let account = ledger.account(&subjects[0], &new, NOW + DAY);
        assert_eq!((account.day.money, account.month.money), (0, 77));
    }

    #[test]
    fn rows_that_mean_one_account_are_added_up() {
        let store = Memory::new();
        let (ledger, subjects) = spent(&store);
        let entries = ledger.snapshot(&subjects, &store, NOW);
        let new = Memory::new();
        let restored =
            ledger.restore(&entries, &mut |_, _| Some(Rc::clone(&subjects[0])), &new, NOW);
        assert_eq!(restored.accounts, 1);
        let account = ledger.account(&subjects[0], &new, NOW);
        assert_eq!((account.day.money, account.month.money), (120, 132));
    }

    #[test]
    fn what_is_no_snapshot_says_why() {
        let row = |day: &str, month: &str, kind: &str| {
            format!(
                r#"{{"version":1,"accounts":[{{"kind":"{kind}","name":"a","day":"{day}","day_nano_usd":1,"month":"{month}","month_nano_usd":2}}]}}"#
            )
        };
        let said = |json: &str| read(json.as_bytes()).unwrap_err();
        assert!(read(row("2026-11-21", "2026-11", "tenant").as_bytes()).is_ok());
        assert_eq!(said(&row("2026-11-21", "2026-11", "dog")), "no account is of the kind \"dog\"");
        for (day, month) in [
            ("2026-11-31", "2026-11"),
            ("2026-13-01", "2026-11"),
            ("2026-11-21", "2026-00"),
            ("1969-12-31", "1969-12"),
            ("+026-11-21", "2026-11"),
            ("", ""),
            ("2026-1-1", "2026-1"),
        ] {
            assert!(said(&row(day, month, "tenant")).contains("no day and month"), "{day} {month}");
        }
        assert!(said("{}").contains("missing field `version`"));
        assert!(said(r#"{"version":2,"accounts":[]}"#).contains("version 2"));
        assert!(said(r#"{"version":1,"accounts":[{}]}"#).contains("missing field `kind`"));
        assert!(said("\u{0}").contains("expected"));
    }

    #[test]
    fn a_snapshot_has_at_most_so_many_accounts() {
        let row = r#"{"kind":"tenant","name":"a","day":"2026-11-21","day_nano_usd":1,"month":"2026-11","month_nano_usd":2}"#;
        let json = |rows: usize| {
            [r#"{"version":1,"accounts":["#, &vec![row; rows].join(","), "]}"].concat()
        };
        assert_eq!(read(json(MAX_ACCOUNTS).as_bytes()).unwrap().len(), MAX_ACCOUNTS);
        let said = read(json(MAX_ACCOUNTS + 1).as_bytes()).unwrap_err();
        assert!(said.contains("more than 65536 accounts"), "{said}");
    }
}
