//! Metrics of limits and budgets, as a table. The first label is the one whose words are those of a
//! configuration. Users are in none: there is no bound to their number.

use std::borrow::Cow;

use super::series::{Kind, Metric};
use crate::tenancy::{self, Span, Subject};

/// Requests that a limit refused.
pub static LIMITED: Metric =
    Metric { name: "waypost_limited", kind: Kind::Counter, labels: &["tenant", "kind", "limit"] };

/// Requests that a budget refused, or for which it left only cheaper candidates.
pub static BUDGET_EXCEEDED: Metric = Metric {
    name: "waypost_budget_exceeded",
    kind: Kind::Counter,
    labels: &["tenant", "kind", "limit", "outcome"],
};

/// What was told of accounts.
pub static ALERTS: Metric = Metric {
    name: "waypost_alerts",
    kind: Kind::Counter,
    labels: &["name", "kind", "limit", "alert"],
};

/// What became of alerts for the webhook.
pub static WEBHOOK: Metric =
    Metric { name: "waypost_webhook", kind: Kind::Counter, labels: &["outcome"] };

/// What is spent of a budget in its period, in nano-dollars.
pub static SPENT: Metric = Metric {
    name: "waypost_budget_spent_nano_usd",
    kind: Kind::Gauge,
    labels: &["name", "kind", "limit"],
};

/// The budget, in nano-dollars.
pub static AMOUNT: Metric = Metric {
    name: "waypost_budget_limit_nano_usd",
    kind: Kind::Gauge,
    labels: &["name", "kind", "limit"],
};

/// What accounts could not be told, or were given to others.
pub static MISSED: Metric =
    Metric { name: "waypost_accounts_missed", kind: Kind::Counter, labels: &["outcome"] };

/// All of this table.
pub static ALL: [&Metric; 7] =
    [&LIMITED, &BUDGET_EXCEEDED, &ALERTS, &WEBHOOK, &SPENT, &AMOUNT, &MISSED];

/// The word for a budget, as the configuration has it.
#[must_use]
pub const fn budget(span: Span) -> &'static str {
    match span {
        Span::Day => "usd_per_day",
        Span::Month => "usd_per_month",
    }
}

/// The name of a subject. A user is called as its tenant; what a tenant uses of some models has the names
/// of both.
#[must_use]
pub fn name(subject: &Subject) -> Cow<'_, str> {
    match subject.parts() {
        (Some(tenant), _) if subject.kind == tenancy::Kind::User => tenant.into(),
        (Some(tenant), own) => [tenant, "/", own].concat().into(),
        (None, own) => own.into(),
    }
}
