//! Limits and budgets.

use super::{read_may, read_models};
use crate::config::reader::{Fields, Node, Problems};
use crate::providers::catalogue::NanoUsd;
use crate::tenancy::settings::MAX_LIMIT;
use crate::tenancy::{Budget, Exhausted, Limits, Rates, Tenant, Terms};

/// The highest budget, in US dollars.
pub const MAX_BUDGET_USD: f64 = 1e9;

/// Most alerts of a budget.
pub const MAX_ALERTS: usize = 8;

/// Up to which per cent of a budget cheaper candidates are asked, unless it says so.
const STOP_AT: u16 = 120;

/// Reads what tenants have that say nothing themselves.
pub(super) fn read_each(node: &Node<'_>, tenant: &mut Tenant, problems: &mut Problems) {
    let mut fields = node.fields(problems);
    take_each(&mut fields, tenant, problems);
    fields.finish(problems);
}

/// Takes what a tenant says of itself; the rest stays as it is.
pub(super) fn take_each(fields: &mut Fields<'_>, tenant: &mut Tenant, problems: &mut Problems) {
    if let Some(node) = fields.take("limits") {
        tenant.terms.limits = read_limits(&node, problems);
    }
    if let Some(node) = fields.take("budget") {
        tenant.terms.budget = Some(read_budget(&node, problems));
    }
    if let Some(node) = fields.take("each_user") {
        tenant.each_user = read(&node, problems);
    }
    if let Some(node) = fields.take("models") {
        tenant.models = read_models(&node, problems);
    }
    if let Some(node) = fields.take("may") {
        tenant.may = read_may(&node, problems);
    }
}

/// Reads an object of `limits` and `budget`.
pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Terms {
    let mut fields = node.fields(problems);
    let terms = take(&mut fields, problems);
    fields.finish(problems);
    terms
}

/// Takes `limits` and `budget` and reads them.
pub(super) fn take(fields: &mut Fields<'_>, problems: &mut Problems) -> Terms {
    let mut terms = Terms::default();
    if let Some(node) = fields.take("limits") {
        terms.limits = read_limits(&node, problems);
    }
    if let Some(node) = fields.take("budget") {
        terms.budget = Some(read_budget(&node, problems));
    }
    terms
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
            problems.say(&node.path, format_args!("a budget has at most {MAX_ALERTS} alerts"));
        }
        budget.alerts.clear();
        for share in nodes.iter().filter_map(|node| percent(node, 1, 1_000, problems)) {
            if let Err(at) = budget.alerts.binary_search(&share) {
                budget.alerts.insert(at, share);
            }
        }
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
        problems.say(
            &node.path,
            format_args!("must be a share from {low}% to {high}%, but is \"{text}\""),
        );
    }
    number
}
