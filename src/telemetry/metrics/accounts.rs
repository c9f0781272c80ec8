//! Metrics of limits and budgets. Users are in none of them: there is no bound to their number.
//!
//! | name | kind | labels | of |
//! |---|---|---|---|
//! | `waypost_limited` | counter | tenant, kind, limit | requests that a limit refused; `kind` says whose limit it is |
//! | `waypost_budget_exceeded` | counter | tenant, kind, limit, outcome | requests that a budget `refused` or had `downgraded` |
//! | `waypost_alerts` | counter | kind, name, limit, alert | what was told of an account |
//! | `waypost_webhook` | counter | outcome | alerts that were `sent`, tries that `failed`, and alerts that were `dropped` |
//! | `waypost_budget_spent_nano_usd` | gauge | kind, name, limit | what is spent in the period |
//! | `waypost_budget_limit_nano_usd` | gauge | kind, name, limit | what may be |

use super::Name;
use crate::tenancy::{Kind, Span, Subject};

/// The word for a budget, as the configuration has it.
#[must_use]
pub const fn budget(span: Span) -> &'static str {
    match span {
        Span::Day => "usd_per_day",
        Span::Month => "usd_per_month",
    }
}

/// The counter of requests that a limit refused.
#[must_use]
pub fn limited(tenant: &str, kind: Kind, limit: &str) -> String {
    Name::new("limited").with("tenant", tenant).with("kind", kind.word()).with("limit", limit).0
}

/// The counter of requests that a budget refused, or for which it left only cheaper candidates.
#[must_use]
pub fn over_budget(tenant: &str, kind: Kind, limit: &str, outcome: &str) -> String {
    Name::new("budget_exceeded")
        .with("tenant", tenant)
        .with("kind", kind.word())
        .with("limit", limit)
        .with("outcome", outcome)
        .0
}

/// The counter of what was told of an account.
#[must_use]
pub fn alert(subject: &Subject, limit: &str, alert: &str) -> String {
    of(Name::new("alerts"), subject).with("limit", limit).with("alert", alert).0
}

/// The counter of what became of alerts for the webhook.
#[must_use]
pub fn webhook(outcome: &str) -> String {
    Name::new("webhook").with("outcome", outcome).0
}

/// The gauge of what is spent of a budget.
#[must_use]
pub fn spent(subject: &Subject, span: Span) -> String {
    of(Name::new("budget_spent_nano_usd"), subject).with("limit", budget(span)).0
}

/// The gauge of a budget.
#[must_use]
pub fn amount(subject: &Subject, span: Span) -> String {
    of(Name::new("budget_limit_nano_usd"), subject).with("limit", budget(span)).0
}

/// Whose it is. A user is only called one, and what a tenant uses of some models has both names.
fn of(name: Name, subject: &Subject) -> Name {
    let name = name.with("kind", subject.kind.word());
    match subject.parts() {
        (Some(tenant), _) if subject.kind == Kind::User => name.with("name", tenant),
        (Some(tenant), own) => name.with("name", &[tenant, "/", own].concat()),
        (None, own) => name.with("name", own),
    }
}
