//! What the accounts of a configuration have spent today and this month, from logs: for an Envoy that
//! was started anew and knows nothing of it.
//!
//! Who is charged is decided by what decides it in Envoy, [`Accounts`]. A request is charged when it
//! ends, as there.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use super::cursor::Text;
use super::read::{Lines, Sink, Source, read};
use super::record::{Attempt, Record};
use super::sums::{Groups, MAX_GROUPS, Sums};
use super::tally::{names, unaccounted, write_part};
use crate::cli::{BadUsage, check};
use crate::config::Gateway;
use crate::filter::accounts::Accounts;
use crate::providers::catalogue::NanoUsd;
use crate::store::Millis;
use crate::tenancy::hourly::{Hourly, Usual};
use crate::tenancy::period::{self, Period};
use crate::tenancy::snapshot::{self, Entry};
use crate::tenancy::{Caller, Kind, Subject};

/// Most users in a snapshot, those that spent most: an Envoy has places for as many.
pub const MAX_USERS: usize = 16_384;

/// Hours before that of the snapshot that show what is usual.
pub const HOURS: u64 = 7 * 24;

const HOUR: Millis = 3_600_000;

/// A snapshot, and what became of the lines.
#[derive(Clone, Debug)]
pub struct Taken {
    /// As JSON.
    pub json: Vec<u8>,
    /// What became of the lines.
    pub lines: Lines,
    /// Users that are not in it.
    pub left_out: Option<LeftOut>,
    /// There were too many callers in too many hours to tell what is usual in one: that is not in it.
    pub blind: bool,
}

impl Taken {
    /// For people: what is not in it.
    #[must_use]
    pub fn told(&self) -> String {
        let mut told = self.left_out.map_or_else(String::new, |users| users.to_string());
        if self.blind {
            told.push_str(
                "What is usual in an hour is not in the snapshot: there are too many callers.\n",
            );
        }
        told
    }
}

/// Users for whom there was no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// So many, who spent less than all others.
    Known(usize),
    /// Too many to tell apart.
    Many,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(count) => {
                writeln!(
                    f,
                    "{count} users are not in the snapshot, who spent less than all others."
                )
            }
            Self::Many => writeln!(f, "Not all users are in the snapshot: there are too many."),
        }
    }
}

/// The gateway of an Envoy file, or of several the one in the listener of that name.
///
/// # Errors
/// There is none, or there are several.
pub fn gateway(file: &str, text: &str, wanted: Option<&str>) -> Result<Gateway, BadUsage> {
    let all = check::gateways(file, text)?;
    let names: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
    let mut found = all.into_iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name));
    match (found.next(), found.next()) {
        (Some((_, gateway)), None) => Ok(gateway),
        (Some(_), Some(_)) => Err(BadUsage(format!(
            "{file}: there are several gateways; --gateway names one of {}",
            names.join(", ")
        ))),
        (None, _) if names.is_empty() => Err(BadUsage(format!(
            "{file}: no gateway in it can be understood; `waypost check {file}` says why"
        ))),
        (None, _) => Err(BadUsage(format!("{file}: --gateway names none of {}", names.join(", ")))),
    }
}

/// What the accounts of a gateway have spent in the day and the month of `now`, and what they spend in an
/// hour by the last [`HOURS`].
///
/// # Errors
/// A log cannot be read; or the requests of this month have too many tenants, teams, tiers and models
/// to tell them apart.
pub fn of_logs(
    logs: Vec<Source<'_>>,
    gateway: &Gateway,
    now: Millis,
    strict: bool,
) -> Result<Taken, BadUsage> {
    let periods = period::of(&gateway.tenancy.time_zone, now);
    let part = || Spent::new(periods, now, Groups::of_a_part);
    let (spent, lines) = read(logs, Spent::new(periods, now, Groups::new), part, strict)?;
    if spent.requests.folded().is_some() || spent.providers.folded().is_some() {
        return Err(BadUsage(format!(
            "more than {MAX_GROUPS} different tenants with teams, tiers and models asked in this month: no snapshot can be taken"
        )));
    }
    let folded = spent.users.folded().is_some();
    let blind = spent.hours.folded().is_some();
    let (entries, known) = entries(spent, gateway);
    let left_out = match (folded, known) {
        (true, _) => Some(LeftOut::Many),
        (false, 0) => None,
        (false, known) => Some(LeftOut::Known(known)),
    };
    Ok(Taken { json: snapshot::write(&entries), lines, left_out, blind })
}

/// Spend of this month, by whom a request is charged to, as far as its record says it; each with a mark
/// of whether it was today.
struct Spent {
    /// By tenant, team, tier and the model asked for.
    requests: Groups,
    /// By tenant, tier and user.
    users: Groups,
    providers: Groups,
    /// The first and the last again, by the hour in the place of the mark.
    hours: Groups,
    periods: (Period, Period),
    /// The hour of now, since 1970.
    hour: u64,
    name: Vec<u8>,
}

/// Where a spend belongs.
#[derive(Clone, Copy)]
struct When {
    /// In this month; whether it was today.
    today: Option<bool>,
    /// In an hour that shows what is usual.
    hour: Option<u64>,
}

impl Spent {
    fn new(periods: (Period, Period), now: Millis, groups: fn() -> Groups) -> Self {
        Self {
            requests: groups(),
            users: groups(),
            providers: groups(),
            hours: groups(),
            periods,
            hour: now / HOUR,
            name: Vec::new(),
        }
    }

    fn when(&self, record: &Record<'_>) -> When {
        let ended = record.time.saturating_add(record.latency);
        let (day, month) = self.periods;
        let of_month = (month.begins..month.ends).contains(&ended);
        let hour = ended / HOUR;
        let shows = hour < self.hour && self.hour - hour <= HOURS;
        When {
            today: of_month.then(|| (day.begins..day.ends).contains(&ended)),
            hour: shows.then_some(hour),
        }
    }
}

/// The mark of what was spent today.
const TODAY: &[u8] = b"today";

impl Sink for Spent {
    fn take(&mut self, record: &Record<'_>) {
        let When { today, hour } = self.when(record);
        if today.is_none() && hour.is_none() {
            return;
        }
        let today = today.map(|today| if today { TODAY } else { b"" });
        let hour = hour.map(|hour| hour.to_string());
        let hour = hour.as_ref().map(String::as_bytes);
        let Self { requests, users, providers, hours, name, .. } = self;
        let mut add = |groups: &mut Groups,
                       mark: Option<&[u8]>,
                       texts: &[Option<Text<'_>>],
                       sums: &Sums| {
            if mark.is_some() {
                name.clear();
                write_part(mark, name);
                texts.iter().for_each(|text| write_part(text.map(Text::bytes).as_deref(), name));
                *groups.of(name) += sums;
            }
        };
        let mut whole = Sums::default();
        let chosen = Attempt { provider: record.provider, used: record.used, ..Attempt::default() };
        let attempts = match &*record.attempts {
            [] => std::slice::from_ref(&chosen),
            attempts => attempts,
        };
        for attempt in attempts {
            let mut sums = Sums::default();
            sums.charge(&attempt.used);
            if sums.spend > 0 {
                add(providers, today, &[attempt.provider], &sums);
                add(hours, hour, &[attempt.provider], &sums);
            }
            whole += &sums;
        }
        // Whom the attempts that did not fit into the record asked is not known.
        if let Some(used) = unaccounted(record).filter(|_| !record.attempts.is_empty()) {
            whole.charge(&used);
        }
        if whole.spend == 0 {
            return;
        }
        let Record { tenant, team, tier, user, requested, .. } = *record;
        let asked = [tenant, team, tier, requested];
        add(requests, today, &asked, &whole);
        add(hours, hour, &asked, &whole);
        if user.is_some() {
            add(users, today, &[tenant, tier, user], &whole);
        }
    }

    fn merge(&mut self, next: Self) {
        self.requests.merge(next.requests);
        self.users.merge(next.users);
        self.providers.merge(next.providers);
        self.hours.merge(next.hours);
    }
}

/// Spend of today and of this month, by account.
type Accounted = BTreeMap<(Kind, String), (u128, u128)>;

/// The rows of a snapshot, and how many users have none.
fn entries(spent: Spent, gateway: &Gateway) -> (Vec<Entry>, usize) {
    let accounts = Accounts::new(gateway);
    let mut all = Accounted::new();
    let mut usual = usual(&spent, &accounts, gateway);
    let (day, month) = spent.periods;
    // Who spent nothing in this month may have spent something in the last week.
    for account in usual.keys() {
        all.entry(account.clone()).or_default();
    }
    let mut charge = |kind: Kind, name: &str, today: bool, spend: u128| {
        let (day, month) = all.entry((kind, name.to_owned())).or_default();
        *day += if today { spend } else { 0 };
        *month += spend;
    };
    for (name, sums) in spent.requests.into_rows() {
        let [today, asked @ ..] = &*names(&name) else { continue };
        for subject in subjects(&accounts, gateway, asked) {
            charge(subject.kind, &subject.name, is_today(today), sums.spend);
        }
    }
    for (name, sums) in spent.users.into_rows() {
        let [today, tenant, tier, user] = &*names(&name) else { continue };
        let Some(caller) = caller(gateway, tenant, &None, tier, user.as_deref()) else { continue };
        let subjects = accounts.of(&caller, "");
        for subject in subjects.iter().filter(|subject| subject.kind == Kind::User) {
            charge(Kind::User, &subject.name, is_today(today), sums.spend);
        }
    }
    for (name, sums) in spent.providers.into_rows() {
        let [today, asked @ ..] = &*names(&name) else { continue };
        for subject in subjects(&accounts, gateway, asked) {
            charge(subject.kind, &subject.name, is_today(today), sums.spend);
        }
    }
    let (users, mut rest): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|((kind, _), _)| *kind == Kind::User);
    let mut users = users;
    users.sort_by(|(_, (_, a)), (_, (_, b))| b.cmp(a));
    let left_out = users.len().saturating_sub(MAX_USERS);
    users.truncate(MAX_USERS);
    rest.append(&mut users);
    let nano = |spend: u128| NanoUsd(u64::try_from(spend).unwrap_or(u64::MAX));
    let entry = |(account, (today, all)): ((Kind, String), (u128, u128))| {
        let usual = usual.remove(&account).unwrap_or_default();
        let (kind, name) = account;
        Entry { kind, name, day: (day.id, nano(today)), month: (month.id, nano(all)), usual }
    };
    (rest.into_iter().map(entry).collect(), left_out)
}

/// What accounts usually spend in an hour; nothing where the hours cannot be told apart.
fn usual(spent: &Spent, accounts: &Accounts, gateway: &Gateway) -> BTreeMap<(Kind, String), Usual> {
    let mut all: BTreeMap<(Kind, String), BTreeMap<u64, u64>> = BTreeMap::new();
    if spent.hours.folded().is_some() {
        return BTreeMap::new();
    }
    for (name, sums) in spent.hours.rows() {
        let [Some(hour), asked @ ..] = &*names(name) else { continue };
        let Ok(hour) = hour.parse() else { continue };
        let spend = u64::try_from(sums.spend).unwrap_or(u64::MAX);
        for subject in subjects(accounts, gateway, asked) {
            let hours = all.entry((subject.kind, subject.name.to_string())).or_default();
            let sum = hours.entry(hour).or_default();
            *sum = sum.saturating_add(spend);
        }
    }
    let usual = |hours| Hourly::of(hours, spent.hour);
    all.into_iter().map(|(account, hours)| (account, usual(hours))).collect()
}

/// Who is charged for what was asked: by tenant, team, tier and model, or by provider.
fn subjects(accounts: &Accounts, gateway: &Gateway, asked: &[Option<String>]) -> Vec<Rc<Subject>> {
    match asked {
        [Some(provider)] => {
            let at = gateway.providers.iter().position(|known| *known.name == **provider);
            at.and_then(|at| accounts.cap(at)).cloned().into_iter().collect()
        }
        [tenant, team, tier, requested] => {
            let caller = caller(gateway, tenant, team, tier, None);
            let of = |caller| accounts.of(&caller, requested.as_deref().unwrap_or_default());
            caller.map(of).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

fn is_today(mark: &Option<String>) -> bool {
    mark.as_deref() == Some("today")
}

/// Who asked, under the terms that this configuration has for them; nobody where it has none.
fn caller(
    gateway: &Gateway,
    tenant: &Option<String>,
    team: &Option<String>,
    tier: &Option<String>,
    user: Option<&str>,
) -> Option<Caller> {
    let tenancy = &gateway.tenancy;
    let name = tenant.as_deref()?;
    let of_tier = || {
        let known = tenancy.others_of.iter().find(|(known, _)| Some(&**known) == tier.as_deref());
        known.map(|(_, at)| *at).or(tenancy.others)
    };
    let terms = tenancy.find(name).or_else(of_tier)?;
    Some(Caller {
        team: team.as_deref().map(Into::into),
        tier: tier.as_deref().map(Into::into),
        user: user.map(Into::into),
        ..Caller::anonymous(&name.into(), terms)
    })
}
