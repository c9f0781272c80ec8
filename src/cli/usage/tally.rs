//! From records to groups: who is charged for what.
//!
//! A request counts once, for the attempt that answered it, or for the last one. Tokens and money
//! count where they were used, attempt by attempt. So every grouping has the same totals.

use std::collections::BTreeMap;

use super::cursor::Text;
use super::record::{Attempt, Record, Used};
use super::sums::{Groups, Sums};
use super::when::{Date, Local};
use super::{Dimension, Options, Zone};

/// Longest name of a group, in bytes; what differs only beyond that is one group.
pub const MAX_NAME: usize = 200;

/// Most hours, days or months of the chart that are remembered: hours of more than ten years.
pub const MAX_BARS: usize = 100_000;

/// The provider and model of what the attempts in a record do not account for: those that did not fit
/// into it.
pub const LEFT_OUT: &str = "(left out)";

/// Which records count, and how they are grouped.
#[derive(Clone, Debug)]
pub struct Plan {
    pub by: Vec<Dimension>,
    /// First and last day, in the zone.
    pub from: Option<Date>,
    pub to: Option<Date>,
    /// Only these, if there are any.
    pub tenants: Vec<String>,
    pub zone: Zone,
    /// What a bar of the chart stands for, if there is one: an hour, a day or a month.
    pub bars: Option<Dimension>,
}

impl Plan {
    pub fn of(options: &Options) -> Self {
        let Options { by, from, to, tenants, zone, chart, .. } = options;
        let unit = by.iter().copied().find(|dimension| dimension.is_time());
        Self {
            by: by.clone(),
            from: *from,
            to: *to,
            tenants: tenants.clone(),
            zone: *zone,
            bars: chart.then(|| unit.unwrap_or(Dimension::Day)),
        }
    }
}

/// What has been counted.
#[derive(Clone, Debug)]
pub struct Tally {
    pub groups: Groups,
    pub total: Sums,
    /// Spend by hour, day or month.
    pub bars: BTreeMap<i64, u128>,
    /// First and last second of what counts.
    pub span: Option<(i64, i64)>,
    name: Vec<u8>,
}

impl Tally {
    /// Of everything.
    pub fn new() -> Self {
        Self::with(Groups::new())
    }

    /// Of a bounded part of the input.
    pub fn of_a_part() -> Self {
        Self::with(Groups::of_a_part())
    }

    fn with(groups: Groups) -> Self {
        Self { groups, total: Sums::default(), bars: BTreeMap::new(), span: None, name: Vec::new() }
    }

    /// Adds what comes next.
    pub fn merge(&mut self, part: Self) {
        self.groups.merge(part.groups);
        self.total += &part.total;
        for (at, spend) in part.bars {
            self.bar(at, spend);
        }
        if let Some((first, last)) = part.span {
            self.extend(first, last);
        }
    }

    /// Counts a request.
    pub fn add(&mut self, record: &Record<'_>, plan: &Plan) {
        let local = plan.zone.local(record.time);
        if !wanted(record, local, plan) {
            return;
        }
        self.extend(record.time, record.time);
        let spend_before = self.total.spend;
        let answered = answered(record);
        for (at, attempt) in record.attempts.iter().enumerate() {
            self.count(record, attempt, Some(at) == answered, true, local, plan);
        }
        let rest = unaccounted(record);
        if record.attempts.is_empty() {
            let Record { provider, model, rule, .. } = *record;
            let attempt = Attempt { provider, model, rule, failed: false, used: record.used };
            self.count(record, &attempt, true, provider.is_some(), local, plan);
        } else if let Some(used) = rest {
            let name = Some(Text::plain(LEFT_OUT.as_bytes()));
            let attempt = Attempt { provider: name, model: name, used, ..Attempt::default() };
            self.count(record, &attempt, false, false, local, plan);
        }
        if let Some(unit) = plan.bars {
            self.bar(bar(unit, local), self.total.spend - spend_before);
        }
    }

    fn count(
        &mut self,
        record: &Record<'_>,
        attempt: &Attempt<'_>,
        is_request: bool,
        is_attempt: bool,
        local: Local,
        plan: &Plan,
    ) {
        let mut sums = Sums::default();
        sums.charge(&attempt.used);
        if is_request {
            sums.requests = 1;
            sums.failures =
                u64::from(record.status.is_none_or(|status| !(1..400).contains(&status)));
        }
        if is_attempt {
            sums.attempts = 1;
            sums.failed_attempts = u64::from(attempt.failed);
        }
        self.total += &sums;
        let mut name = std::mem::take(&mut self.name);
        name.clear();
        for dimension in &plan.by {
            write_name(*dimension, record, attempt, local, plan, &mut name);
        }
        *self.groups.of(&name) += &sums;
        self.name = name;
    }

    fn bar(&mut self, at: i64, spend: u128) {
        if let Some(sum) = self.bars.get_mut(&at) {
            *sum += spend;
        } else if self.bars.len() < MAX_BARS {
            self.bars.insert(at, spend);
        }
    }

    fn extend(&mut self, first: i64, last: i64) {
        let (before, after) = self.span.unwrap_or((first, last));
        self.span = Some((before.min(first), after.max(last)));
    }
}

fn wanted(record: &Record<'_>, local: Local, plan: &Plan) -> bool {
    let tenant = || {
        let is = |tenant: &String| record.tenant.is_some_and(|text| text.is(tenant));
        plan.tenants.is_empty() || plan.tenants.iter().any(is)
    };
    plan.from.is_none_or(|from| from.days() <= local.day)
        && plan.to.is_none_or(|to| local.day <= to.days())
        && tenant()
}

/// The attempt that a request counts for.
fn answered(record: &Record<'_>) -> Option<usize> {
    let answered = record.attempts.iter().rposition(|attempt| !attempt.failed);
    answered.or_else(|| record.attempts.len().checked_sub(1))
}

/// What the sums of a request hold beyond those of its attempts.
fn unaccounted(record: &Record<'_>) -> Option<Used> {
    let of = |field: fn(&Used) -> u64| {
        let attempts = record.attempts.iter().map(|attempt| u128::from(field(&attempt.used)));
        let rest = u128::from(field(&record.used)).saturating_sub(attempts.sum());
        u64::try_from(rest).unwrap_or(u64::MAX)
    };
    let cost = of(|used| used.cost.map_or(0, |cost| cost.0));
    let used = Used {
        input: of(|used| used.input),
        output: of(|used| used.output),
        cached: of(|used| used.cached),
        cache_write: of(|used| used.cache_write),
        reasoning: of(|used| used.reasoning),
        cost: record.used.cost.map(|_| crate::providers::catalogue::NanoUsd(cost)),
        estimated: record.used.estimated,
    };
    (used.input > 0 || used.output > 0 || cost > 0).then_some(used)
}

/// Appends the name of what the attempt belongs to: its length, then its bytes. Nothing has the
/// length of [`ABSENT`].
fn write_name(
    dimension: Dimension,
    record: &Record<'_>,
    attempt: &Attempt<'_>,
    local: Local,
    plan: &Plan,
    out: &mut Vec<u8>,
) {
    let text = match dimension {
        Dimension::Tenant => record.tenant,
        Dimension::Team => record.team,
        Dimension::User => record.user,
        Dimension::Application => record.application,
        Dimension::Tier => record.tier,
        Dimension::Key => record.key,
        Dimension::Provider => attempt.provider,
        Dimension::Model => attempt.model,
        Dimension::Rule => attempt.rule.or(record.rule),
        Dimension::Status => return write_status(record.status, out),
        Dimension::Day | Dimension::Hour | Dimension::Month => {
            let said = moment(dimension, bar(dimension, local), plan, record.time);
            return write_part(said.as_bytes(), out);
        }
    };
    match text {
        None => out.extend_from_slice(&ABSENT.to_be_bytes()),
        Some(text) => write_part(&text.bytes(), out),
    }
}

/// The length of a name that is not there.
const ABSENT: u16 = u16::MAX;

fn write_status(status: Option<u64>, out: &mut Vec<u8>) {
    match status {
        None => out.extend_from_slice(&ABSENT.to_be_bytes()),
        Some(status) => write_part(format!("{status:03}").as_bytes(), out),
    }
}

fn write_part(text: &[u8], out: &mut Vec<u8>) {
    let text = text.get(..MAX_NAME).unwrap_or(text);
    let length = u16::try_from(text.len()).unwrap_or(ABSENT);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text);
}

/// The names that [`Tally::add`] made one of.
pub fn names(mut name: &[u8]) -> Vec<Option<String>> {
    let mut names = Vec::new();
    while let Some((length, rest)) = name.split_first_chunk::<2>() {
        let length = u16::from_be_bytes(*length);
        let (text, rest) = match length {
            ABSENT => (None, rest),
            _ => match rest.split_at_checked(usize::from(length)) {
                Some((text, rest)) => (Some(text), rest),
                None => (Some(rest), &[][..]),
            },
        };
        names.push(text.map(|text| {
            let said = String::from_utf8_lossy(text).into_owned();
            // A name that was cut may end within a character.
            let cut = text.len() == MAX_NAME;
            if cut { format!("{}…", said.trim_end_matches('\u{fffd}')) } else { said }
        }));
        name = rest;
    }
    names
}

/// Which hour, day or month it is, as a number that the next one is one more than.
pub fn bar(unit: Dimension, local: Local) -> i64 {
    match unit {
        Dimension::Hour => local.day * 24 + i64::from(local.hour),
        Dimension::Month => {
            let Date { year, month, .. } = Date::of_days(local.day);
            year * 12 + i64::from(month) - 1
        }
        _ => local.day,
    }
}

/// What such a number is called. An hour that a zone's clocks show twice is told apart by the offset.
fn moment(unit: Dimension, number: i64, plan: &Plan, seconds: i64) -> String {
    let said = called(unit, number);
    if unit != Dimension::Hour || plan.zone.is_utc() {
        return said;
    }
    let offset = plan.zone.offset(seconds) / 60;
    let sign = if offset < 0 { '-' } else { '+' };
    let offset = offset.abs();
    format!("{said}{sign}{:02}:{:02}", offset / 60, offset % 60)
}

/// The same without an offset.
pub fn called(unit: Dimension, number: i64) -> String {
    match unit {
        Dimension::Hour => {
            let day = Date::of_days(number.div_euclid(24));
            format!("{day} {:02}:00", number.rem_euclid(24))
        }
        Dimension::Month => {
            format!("{:04}-{:02}", number.div_euclid(12), number.rem_euclid(12) + 1)
        }
        _ => Date::of_days(number).to_string(),
    }
}

#[cfg(test)]
mod tests;
