//! Limits and budgets.

use super::{read_may, read_models};
use crate::config::reader::{Fields, Node, Problems};
use crate::pattern::Pattern;
use crate::providers::catalogue::NanoUsd;
use crate::tenancy::settings::MAX_LIMIT;
use crate::tenancy::{Budget, Exhausted, Limits, May, Rates, Tenant, Terms};

/// The highest budget, in US dollars.
pub const MAX_BUDGET_USD: f64 = 1e9;

/// Most alerts of a budget.
pub const MAX_ALERTS: usize = 8;

/// Up to which per cent of a budget cheaper candidates are asked, unless it says so.
const STOP_AT: u16 = 120;

/// What a tenant says of itself; nothing where it says nothing.
#[derive(Default)]
pub(super) struct Own {
    limits: Option<Limits>,
    budget: Option<Budget>,
    each_user: Option<Terms>,
    models: Option<Vec<(Pattern, Terms)>>,
    may: Option<May>,
}

impl Own {
    /// Takes the fields and reads them.
    pub fn take(fields: &mut Fields<'_>, problems: &mut Problems) -> Self {
        Self {
            limits: fields.take("limits").map(|node| read_limits(&node, problems)),
            budget: fields.take("budget").map(|node| read_budget(&node, problems)),
            each_user: fields.take("each_user").and_then(|node| {
                let mut fields = node.fields(problems);
                let terms = take(&mut fields, problems);
                fields.finish(problems);
                terms
            }),
            models: fields.take("models").map(|node| read_models(&node, problems)),
            may: fields.take("may").map(|node| read_may(&node, problems)),
        }
    }

    /// The same, and what `other` says where this says nothing.
    pub fn or(self, other: &Self) -> Self {
        Self {
            limits: self.limits.or(other.limits),
            budget: self.budget.or_else(|| other.budget.clone()),
            each_user: self.each_user.or_else(|| other.each_user.clone()),
            models: self.models.or_else(|| other.models.clone()),
            may: self.may.or_else(|| other.may.clone()),
        }
    }

    /// A tenant to which this applies where it says something.
    pub fn instead_of(&self, tenant: &Tenant) -> Tenant {
        let mut tenant = tenant.clone();
        if let Some(limits) = self.limits {
            tenant.terms.limits = limits;
        }
        if self.budget.is_some() {
            tenant.terms.budget.clone_from(&self.budget);
        }
        if let Some(terms) = &self.each_user {
            tenant.each_user.clone_from(terms);
        }
        if let Some(models) = &self.models {
            tenant.models.clone_from(models);
        }
        if let Some(may) = &self.may {
            tenant.may.clone_from(may);
        }
        tenant
    }
}

/// Takes `limits` and `budget` and reads them; nothing when neither is there.
pub(super) fn take(fields: &mut Fields<'_>, problems: &mut Problems) -> Option<Terms> {
    let limits = fields.take("limits").map(|node| read_limits(&node, problems));
    let budget = fields.take("budget").map(|node| read_budget(&node, problems));
    let some = limits.is_some() || budget.is_some();
    some.then(|| Terms { limits: limits.unwrap_or_default(), budget })
}

fn read_limits(node: &Node<'_>, problems: &mut Problems) -> Limits {
    let mut fields = node.fields(problems);
    let mut count = |name| {
        let node = fields.take(name)?;
        node.whole(1, MAX_LIMIT, problems)
    };
    let requests = Rates {
        second: count("requests_per_second"),
        minute: count("requests_per_minute"),
        day: count("requests_per_day"),
    };
    let tokens = Rates {
        second: count("tokens_per_second"),
        minute: count("tokens_per_minute"),
        day: count("tokens_per_day"),
    };
    let concurrent = fields.take("concurrent").and_then(|node| node.count(problems));
    fields.finish(problems);
    Limits { requests, tokens, concurrent }
}

/// Reads `budget`.
fn read_budget(node: &Node<'_>, problems: &mut Problems) -> Budget {
    let mut fields = node.fields(problems);
    let mut budget = read_amounts(node, &mut fields, problems);
    let downgrades = fields
        .take("on_exhausted")
        .and_then(|node| node.word(&[("reject", false), ("downgrade", true)], problems))
        .unwrap_or(false);
    let stop_at = fields.take("stop_at").and_then(|node| {
        if !downgrades {
            problems.add(&node.path, "is for on_exhausted: downgrade");
        }
        percent(&node, 101, 1_000, problems)
    });
    if downgrades {
        budget.on_exhausted = Exhausted::Downgrade { stop_at: stop_at.unwrap_or(STOP_AT) };
    }
    if let Some(node) = fields.take("status") {
        match node.whole(402, 429, problems) {
            Some(status @ (402 | 429)) => budget.status = status as u16,
            Some(_) => problems.add(&node.path, "must be 402 or 429"),
            None => {}
        }
    }
    fields.finish(problems);
    budget
}

/// Reads the `budget` of a provider: a cap, beyond which it is not asked.
pub fn read_cap(node: &Node<'_>, problems: &mut Problems) -> Budget {
    let mut fields = node.fields(problems);
    let budget = read_amounts(node, &mut fields, problems);
    fields.finish(problems);
    budget
}

fn read_amounts(node: &Node<'_>, fields: &mut Fields<'_>, problems: &mut Problems) -> Budget {
    let mut amount = |name, problems: &mut Problems| {
        let node = fields.take(name)?;
        let usd = node.number(0.000_001, MAX_BUDGET_USD, problems)?;
        Some(NanoUsd((usd * 1e9).round() as u64))
    };
    let (day, month) = (amount("usd_per_day", problems), amount("usd_per_month", problems));
    if day.is_none() && month.is_none() && !node.has("usd_per_day") && !node.has("usd_per_month") {
        problems.add(&node.path, "needs usd_per_day, usd_per_month or both");
    }
    if let (Some(day), Some(month)) = (day, month)
        && day > month
    {
        problems
            .add(&node.path, "usd_per_day is above usd_per_month, so it could never be reached");
    }
    let mut budget = Budget { day, month, ..Budget::default() };
    if let Some(node) = fields.take("alerts") {
        let nodes = node.list(problems);
        if nodes.len() > MAX_ALERTS {
            problems.add(&node.path, format!("a budget has at most {MAX_ALERTS} alerts"));
        }
        budget.alerts = nodes.iter().filter_map(|node| percent(node, 1, 1_000, problems)).collect();
        budget.alerts.sort_unstable();
        budget.alerts.dedup();
    }
    budget
}

/// Whole per cent such as `80%`, between two others.
fn percent(node: &Node<'_>, low: u16, high: u16, problems: &mut Problems) -> Option<u16> {
    let text = node.text(problems)?;
    let number = text.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let number = number.and_then(|digits| digits.parse::<u16>().ok());
    let number = number.filter(|number| (low..=high).contains(number));
    if number.is_none() {
        let message = format!("must be a share from {low}% to {high}%, but is \"{text}\"");
        problems.add(&node.path, message);
    }
    number
}
