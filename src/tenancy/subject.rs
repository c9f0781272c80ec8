//! Whom an account belongs to.

use std::rc::Rc;

use super::settings::{Limits, Rates, Terms};
use super::users;

/// Of what kind a subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A tenant.
    Tenant,
    /// A team.
    Team,
    /// A tier.
    Tier,
    /// A user of a tenant.
    User,
    /// What a tenant uses of some models.
    Model,
    /// A provider.
    Provider,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Tenant, Self::Team, Self::Tier, Self::User, Self::Model, Self::Provider];

    /// The word for it in keys, messages and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Team => "team",
            Self::Tier => "tier",
            Self::User => "user",
            Self::Model => "model",
            Self::Provider => "provider",
        }
    }
}

/// Somebody with an account: made once for a configuration, but for users, who are made for each
/// request.
#[derive(Debug)]
pub struct Subject {
    /// Of what kind it is.
    pub kind: Kind,
    /// Its name. Users and models: the tenant's name, a NUL, and theirs.
    pub name: Rc<str>,
    /// What it may use.
    pub terms: Rc<Terms>,
    /// The key of its account; of users, of the first slot of their set.
    pub(super) key: String,
}

impl Subject {
    /// A subject, or nothing when its terms bound nothing: then nobody needs to count for it. Tenants
    /// that share the terms of another one share its name here, and so its account.
    #[must_use]
    pub fn new(kind: Kind, name: &str, terms: &Rc<Terms>) -> Option<Rc<Self>> {
        if !bounds(terms) {
            return None;
        }
        let (name, key) = match kind {
            Kind::User => {
                let name = users::name(name);
                (name, users::key(name))
            }
            _ => (name, ["account/", kind.word(), "/", name].concat()),
        };
        Some(Rc::new(Self { kind, name: name.into(), terms: Rc::clone(terms), key }))
    }

    /// What a tenant uses of some models, or one of its users.
    #[must_use]
    pub fn within(kind: Kind, tenant: &str, name: &str, terms: &Rc<Terms>) -> Option<Rc<Self>> {
        if !bounds(terms) {
            return None;
        }
        Self::new(kind, &[tenant, "\0", name].concat(), terms)
    }

    /// The tenant, where the name holds it, and the name itself.
    #[must_use]
    pub fn parts(&self) -> (Option<&str>, &str) {
        match self.name.split_once('\0') {
            Some((tenant, name)) => (Some(tenant), name),
            None => (None, &self.name),
        }
    }
}

/// Whether these terms bound anything.
fn bounds(terms: &Terms) -> bool {
    let Limits { requests, tokens, concurrent } = &terms.limits;
    let rates =
        |rates: &Rates| rates.second.is_some() || rates.minute.is_some() || rates.day.is_some();
    let budget = terms.budget.as_ref();
    rates(requests)
        || rates(tokens)
        || concurrent.is_some()
        || budget.is_some_and(|budget| budget.day.is_some() || budget.month.is_some())
}
