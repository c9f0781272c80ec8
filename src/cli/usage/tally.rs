//! From records to groups: who is charged for what.
//!
//! A request counts once, for the attempt that answered it, or for the last one. Tokens and money
//! count where they were used, attempt by attempt. So every grouping has the same totals.

use std::collections::BTreeMap;

use super::cursor::Text;
use super::record::{Attempt, Record, Used};
use super::sums::{Groups, Sums};
use super::when::{Calendar, Date, Local, hour};
use super::{Dimension, Options};
use crate::providers::catalogue::NanoUsd;
use crate::tenancy::Zone;

/// Longest name of a group, in bytes; what differs only behind that is one group. The gateway takes
/// names of at most 256 bytes.
pub const MAX_NAME: usize = 256;

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
    pub zone_name: String,
    /// What a bar of the chart stands for, if there is one: an hour, a day or a month.
    pub bars: Option<Dimension>,
}

impl Plan {
    pub fn of(options: &Options) -> Self {
        let Options { by, from, to, tenants, zone, zone_name, chart, .. } = options;
        let unit = by.iter().copied().find(|dimension| dimension.is_time());
        Self {
            by: by.clone(),
            from: *from,
            to: *to,
            tenants: tenants.clone(),
            zone: *zone,
            zone_name: zone_name.clone(),
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
    pub span: Option<(u64, u64)>,
    name: Vec<u8>,
    calendar: Calendar,
}

impl Tally {
    /// Of everything.
    pub fn new(plan: &Plan) -> Self {
        Self::with(Groups::new(), plan)
    }

    /// Of a bounded part of the input.
    pub fn of_a_part(plan: &Plan) -> Self {
        Self::with(Groups::of_a_part(), plan)
    }

    fn with(groups: Groups, plan: &Plan) -> Self {
        Self {
            groups,
            total: Sums::default(),
            bars: BTreeMap::new(),
            span: None,
            name: Vec::new(),
            calendar: Calendar::of(plan.zone),
        }
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
        let local = self.calendar.at(record.time);
        if !wanted(record, local, plan) {
            return;
        }
        self.extend(local.seconds, local.seconds);
        let spend_before = self.total.spend;
        let answered = answered(record);
        for (at, attempt) in record.attempts.iter().enumerate() {
            self.count(record, attempt, Some(at) == answered, true, local, plan);
        }
        let rest = unaccounted(record);
        if record.attempts.is_empty() {
            let Record { provider, model, rule, .. } = *record;
            // Where nobody was asked, `model` is the one asked for.
            let model = model.filter(|_| provider.is_some());
            let attempt = Attempt { provider, model, rule, failed: false, used: record.used };
            self.count(record, &attempt, true, provider.is_some(), local, plan);
        } else if let Some(used) = rest {
            let name = Some(Text::plain(LEFT_OUT.as_bytes()));
            let attempt = Attempt { provider: name, model: name, used, ..Attempt::default() };
            self.count(record, &attempt, false, false, local, plan);
        }
        if let Some(unit) = plan.bars {
            self.bar(bar(unit, local, plan), self.total.spend - spend_before);
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

    fn extend(&mut self, first: u64, last: u64) {
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
pub fn unaccounted(record: &Record<'_>) -> Option<Used> {
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
        cost: record.used.cost.map(|_| NanoUsd(cost)),
        estimated: record.used.estimated,
    };
    (used.input > 0 || used.output > 0 || cost > 0).then_some(used)
}

/// Appends the name of what the attempt belongs to.
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
        Dimension::Status => {
            let said = record.status.map(|status| format!("{status:03}"));
            return write_part(said.as_deref().map(str::as_bytes), out);
        }
        Dimension::Day | Dimension::Hour | Dimension::Month => {
            let said = moment(dimension, local, plan);
            return write_part(Some(said.as_bytes()), out);
        }
    };
    write_part(text.map(Text::bytes).as_deref(), out);
}

/// The length of a name that is not there.
const ABSENT: u16 = u16::MAX;

/// Appends one name of several: its length, then its bytes. [`names`] reads them.
pub fn write_part(text: Option<&[u8]>, out: &mut Vec<u8>) {
    let text = text.map(|text| text.get(..=MAX_NAME).unwrap_or(text));
    let length = text.map_or(ABSENT, |text| u16::try_from(text.len()).unwrap_or_default());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.unwrap_or_default());
}

/// The names that [`write_part`] wrote.
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
            let cut = text.len() > MAX_NAME;
            if cut { format!("{}…", said.trim_end_matches('\u{fffd}')) } else { said }
        }));
        name = rest;
    }
    names
}

/// Which hour, day or month it is, as a number that the next one is one more than.
fn bar(unit: Dimension, local: Local, plan: &Plan) -> i64 {
    match unit {
        Dimension::Hour => i64::from(local.day) * 24 + i64::from(hour(&plan.zone, local.seconds)),
        Dimension::Month => local.month.into(),
        _ => local.day.into(),
    }
}

/// What it is called. An hour that the clocks of a zone show twice is told apart by the offset.
fn moment(unit: Dimension, local: Local, plan: &Plan) -> String {
    let said = called(unit, bar(unit, local, plan));
    if unit != Dimension::Hour || plan.zone == Zone::UTC {
        return said;
    }
    let seconds = i64::try_from(local.seconds).unwrap_or(i64::MAX);
    let offset = plan.zone.offset(seconds) / 60;
    let sign = if offset < 0 { '-' } else { '+' };
    let offset = offset.abs();
    format!("{said}{sign}{:02}:{:02}", offset / 60, offset % 60)
}

/// The same without an offset.
pub fn called(unit: Dimension, number: i64) -> String {
    match unit {
        Dimension::Hour => {
            let day = date(number.div_euclid(24));
            format!("{day} {:02}:00", number.rem_euclid(24))
        }
        Dimension::Month => {
            format!("{:04}-{:02}", number.div_euclid(12), number.rem_euclid(12) + 1)
        }
        _ => date(number).to_string(),
    }
}

fn date(days: i64) -> Date {
    Date::of(u32::try_from(days).unwrap_or_default())
}

#[cfg(test)]
mod tests;
