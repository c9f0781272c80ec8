//! Tenants and their terms, as a configuration says them.

use std::rc::Rc;

use super::identity::{Key, Source};
use super::index::Index;
use super::zone::Zone;
use crate::pattern::Pattern;
use crate::providers::catalogue::NanoUsd;

/// Everybody who may ask, and on which terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenancy {
    /// How it is known who asks; the first that is there decides.
    pub identity: Vec<Source>,
    /// The tenants: first those that are [`listed`](Self::listed), in the order of their names, then
    /// those of [`others_of`](Self::others_of).
    pub tenants: Vec<Tenant>,
    /// How many tenants the configuration lists.
    pub listed: usize,
    /// Keys.
    pub keys: Vec<Key>,
    /// Places in `keys` by handles.
    pub handles: Index,
    /// URIs of certificates and whose they are, a place in `tenants`.
    pub certificates: Vec<(Pattern, usize)>,
    /// Places in `certificates` of those without a `*`, by their hashes.
    pub exact: Index,
    /// Teams: what all their tenants and users share.
    pub teams: Vec<Shared>,
    /// Tiers: what all in one share.
    pub tiers: Vec<Shared>,
    /// The tenant that a request without any identity belongs to; without one it is refused.
    pub anonymous: Option<usize>,
    /// The tenant on whose terms those ask whom a certificate, a claim or a header names and who are
    /// not in `tenants`; without one they are refused.
    pub others: Option<usize>,
    /// For each tier, on whose terms those of `others` ask whom a claim or a header puts into it.
    pub others_of: Vec<(Rc<str>, usize)>,
    /// The zone whose days and months budgets have.
    pub time_zone: Zone,
}

impl Tenancy {
    /// Whether claims or headers name tenants.
    #[must_use]
    pub fn names_tenants(&self) -> bool {
        self.identity.iter().any(|source| matches!(source, Source::Claims(_) | Source::Headers(_)))
    }

    /// The place of a tenant that is listed.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        let listed = self.tenants.get(..self.listed)?;
        listed.binary_search_by(|tenant| (*tenant.name).cmp(name)).ok()
    }
}

/// What many share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// Its name.
    pub name: Rc<str>,
    /// What all of them together may use.
    pub terms: Terms,
}

/// Somebody with keys and a bill.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenant {
    /// Its name.
    pub name: Rc<str>,
    /// The team it belongs to.
    pub team: Option<Rc<str>>,
    /// The tier it is of.
    pub tier: Option<Rc<str>>,
    /// What it may ask for.
    pub may: May,
    /// What it may use.
    pub terms: Terms,
    /// What each user of it may use.
    pub each_user: Terms,
    /// What it may use of each of these models, by the name asked for.
    pub models: Vec<(Pattern, Terms)>,
}

/// What a tenant may ask for. What is empty or absent bounds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct May {
    /// Models, by the name asked for, or by `provider/model` or the name of whoever answers.
    pub models: Vec<Pattern>,
    /// Rules by their names; `model` is for those that no rule takes.
    pub rules: Vec<Pattern>,
    /// The names of operations.
    pub operations: Vec<Rc<str>>,
    /// Most tokens of output of one request.
    pub max_tokens: Option<u64>,
    /// What of the gateway's `clients_may` it may do; without it, all of that.
    pub pin: Option<bool>,
}

/// What somebody may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Requests, tokens, and requests at a time.
    pub limits: Limits,
    /// Money.
    pub budget: Option<Budget>,
}

/// Limits, over all workers of an Envoy. Each is a token bucket that holds as much as the window
/// allows, and fills up within it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests.
    pub requests: Rates,
    /// Tokens, of input and output together.
    pub tokens: Rates,
    /// Requests at a time.
    pub concurrent: Option<u32>,
}

/// How many in each window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// In a second.
    pub second: Option<u64>,
    /// In a minute.
    pub minute: Option<u64>,
    /// In a day of 24 hours.
    pub day: Option<u64>,
}

/// Most of a limit, so that a bucket's level fits 64 bits.
pub const MAX_LIMIT: u64 = 100_000_000_000;

/// Money that may be spent, by day and month of the configuration's time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// In a day.
    pub day: Option<NanoUsd>,
    /// In a month.
    pub month: Option<NanoUsd>,
    /// What happens when it is used up.
    pub on_exhausted: Exhausted,
    /// The status of a refusal: 402 or 429.
    pub status: u16,
    /// The shares, in per cent, at which somebody is told.
    pub alerts: Vec<u16>,
}

impl Default for Budget {
    fn default() -> Self {
        let alerts = vec![50, 80, 100];
        Self { day: None, month: None, on_exhausted: Exhausted::Reject, status: 402, alerts }
    }
}

/// What happens when a budget is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exhausted {
    /// Requests are refused.
    #[default]
    Reject,
    /// Requests go to candidates that are cheaper than the one they would have gone to, and are
    /// refused where there is none, or when so many per cent of the budget are used up.
    Downgrade {
        /// In per cent of the budget, above 100.
        stop_at: u16,
    },
}
