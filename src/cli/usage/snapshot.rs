//! What the accounts of a configuration have spent today and this month, from logs: for an Envoy that
//! was started anew and knows nothing of it.
//!
//! Who is charged is decided by what decides it in Envoy, [`Accounts`]. A request is charged when it
//! ends, as there.

use std::collections::BTreeMap;
use std::fmt;

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
use crate::tenancy::period::{self, Period};
use crate::tenancy::snapshot::{self, Entry};
use crate::tenancy::{Caller, Kind};

/// Most users in a snapshot, those that spent most: an Envoy has places for as many.
pub const MAX_USERS: usize = 16_384;

/// A snapshot, and what became of the lines.
#[derive(Clone, Debug)]
pub struct Taken {
    /// As JSON.
    pub json: Vec<u8>,
    /// What became of the lines.
    pub lines: Lines,
    /// Users that are not in it.
    pub left_out: Option<LeftOut>,
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

/// What the accounts of a gateway have spent in the day and the month of `now`.
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
    let part = || Spent::new(periods, Groups::of_a_part);
    let (spent, lines) = read(logs, Spent::new(periods, Groups::new), part, strict)?;
    if spent.requests.folded().is_some() || spent.providers.folded().is_some() {
        return Err(BadUsage(format!(
            "more than {MAX_GROUPS} different tenants with teams, tiers and models asked in this month: no snapshot can be taken"
        )));
    }
    let folded = spent.users.folded().is_some();
    let (entries, known) = entries(spent, gateway, periods);
    let left_out = match (folded, known) {
        (true, _) => Some(LeftOut::Many),
        (false, 0) => None,
        (false, known) => Some(LeftOut::Known(known)),
    };
    Ok(Taken { json: snapshot::write(&entries), lines, left_out })
}

/// Spend of this month, by whom a request is charged to, as far as its record says it; each with a mark
/// of whether it was today.
struct Spent {
    /// By tenant, team, tier and the model asked for.
    requests: Groups,
    /// By tenant, tier and user.
    users: Groups,
    providers: Groups,
    periods: (Period, Period),
    name: Vec<u8>,
}

impl Spent {
    fn new(periods: (Period, Period), groups: fn() -> Groups) -> Self {
        Self { requests: groups(), users: groups(), providers: groups(), periods, name: Vec::new() }
    }

    fn add(
        groups: &mut Groups,
        name: &mut Vec<u8>,
        today: bool,
        texts: &[Option<Text<'_>>],
        sums: &Sums,
    ) {
        name.clear();
        write_part(Some(if today { b"today" } else { b"" }), name);
        for text in texts {
            write_part(text.map(Text::bytes).as_deref(), name);
        }
        *groups.of(name) += sums;
    }
}

impl Sink for Spent {
    fn take(&mut self, record: &Record<'_>) {
        let ended = record.time.saturating_add(record.latency);
        let (day, month) = self.periods;
        if !(month.begins..month.ends).contains(&ended) {
            return;
        }
        let today = (day.begins..day.ends).contains(&ended);
        let Self { requests, users, providers, name, .. } = self;
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
                Self::add(providers, name, today, &[attempt.provider], &sums);
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
        Self::add(requests, name, today, &[tenant, team, tier, requested], &whole);
        if user.is_some() {
            Self::add(users, name, today, &[tenant, tier, user], &whole);
        }
    }

    fn merge(&mut self, next: Self) {
        self.requests.merge(next.requests);
        self.users.merge(next.users);
        self.providers.merge(next.providers);
    }
}

/// Spend of today and of this month, by account.
type Accounted = BTreeMap<(Kind, String), (u128, u128)>;

/// The rows of a snapshot, and how many users have none.
fn entries(spent: Spent, gateway: &Gateway, periods: (Period, Period)) -> (Vec<Entry>, usize) {
    let accounts = Accounts::new(gateway);
    let mut all = Accounted::new();
    let mut charge = |kind: Kind, name: &str, today: bool, spend: u128| {
        let (day, month) = all.entry((kind, name.to_owned())).or_default();
        *day += if today { spend } else { 0 };
        *month += spend;
    };
    for (name, sums) in spent.requests.into_rows() {
        let [today, tenant, team, tier, requested] = &*names(&name) else { continue };
        let Some(caller) = caller(gateway, tenant, team, tier, None) else { continue };
        for subject in accounts.of(&caller, requested.as_deref().unwrap_or_default()) {
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
        let [today, Some(provider)] = &*names(&name) else { continue };
        let at = gateway.providers.iter().position(|known| *known.name == **provider);
        if let Some(subject) = at.and_then(|at| accounts.cap(at)) {
            charge(Kind::Provider, &subject.name, is_today(today), sums.spend);
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
    let (day, month) = periods;
    let entry = |((kind, name), (today, all)): ((Kind, String), (u128, u128))| Entry {
        kind,
        name,
        day: (day.id, nano(today)),
        month: (month.id, nano(all)),
    };
    (rest.into_iter().map(entry).collect(), left_out)
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
