//! Whom a request is charged to.
//!
//! Subjects are made once for a configuration, those with terms that bound something; a request under no
//! terms asks the host for nothing.

use std::rc::Rc;

use crate::config::Gateway;
use crate::pattern::Pattern;
use crate::tenancy::{Caller, Kind, Shared, Subject, Terms};

/// Everybody with an account in a configuration, but for users.
#[derive(Debug)]
pub struct Accounts {
    /// By place in the configuration.
    tenants: Vec<Tenant>,
    teams: Vec<Rc<Subject>>,
    tiers: Vec<Rc<Subject>>,
    /// By place in the configuration.
    providers: Vec<Option<Rc<Subject>>>,
}

/// A tenant's own.
#[derive(Debug)]
struct Tenant {
    name: Rc<str>,
    own: Option<Rc<Subject>>,
    each_user: Rc<Terms>,
    models: Vec<(Pattern, Rc<Subject>)>,
}

impl Accounts {
    /// Those of a configuration.
    #[must_use]
    pub fn new(gateway: &Gateway) -> Self {
        let tenancy = &gateway.tenancy;
        let shared = |kind: Kind, all: &[Shared]| -> Vec<Rc<Subject>> {
            let subject =
                |one: &Shared| Subject::new(kind, &one.name, &Rc::new(one.terms.clone()));
            all.iter().filter_map(subject).collect()
        };
        let tenants = tenancy.tenants.iter().map(|tenant| {
            let models = tenant.models.iter().filter_map(|(pattern, terms)| {
                let (of, name) = (&tenant.name, pattern.as_str());
                let subject = Subject::within(Kind::Model, of, name, &Rc::new(terms.clone()))?;
                Some((pattern.clone(), subject))
            });
            Tenant {
                name: Rc::clone(&tenant.name),
                own: Subject::new(Kind::Tenant, &tenant.name, &Rc::new(tenant.terms.clone())),
                each_user: Rc::new(tenant.each_user.clone()),
                models: models.collect(),
            }
        });
        let providers = gateway.providers.iter().map(|provider| {
            Subject::new(Kind::Provider, &provider.name, &Rc::new(provider.terms.clone()))
        });
        Self {
            tenants: tenants.collect(),
            teams: shared(Kind::Team, &tenancy.teams),
            tiers: shared(Kind::Tier, &tenancy.tiers),
            providers: providers.collect(),
        }
    }

    /// Those a request for `model` is charged to. All patterns that the model matches count: whoever
    /// writes a wide one beside a narrow one means both. A model asked for as `provider/model` is also
    /// that model.
    ///
    /// Tenants that are not listed are charged to the tenant on whose terms they ask, so that there is
    /// a bounded number of accounts.
    #[must_use]
    pub fn of(&self, caller: &Caller, user: Option<&str>, model: &str) -> Vec<Rc<Subject>> {
        let mut subjects = Vec::new();
        let Some(tenant) = self.tenants.get(caller.terms) else { return subjects };
        subjects.extend(tenant.own.clone());
        let named = |all: &[Rc<Subject>], name: Option<&Rc<str>>| {
            let name = name?;
            all.iter().find(|subject| subject.name == *name).cloned()
        };
        subjects.extend(named(&self.teams, caller.team.as_ref()));
        subjects.extend(named(&self.tiers, caller.tier.as_ref()));
        if let Some(user) = caller.user.as_deref().or(user) {
            subjects.extend(Subject::within(Kind::User, &tenant.name, user, &tenant.each_user));
        }
        let alone = model.split_once('/').map(|(_, alone)| alone);
        let is = |pattern: &Pattern| {
            pattern.matches(model) || alone.is_some_and(|alone| pattern.matches(alone))
        };
        let models = tenant.models.iter().filter(|(pattern, _)| is(pattern));
        subjects.extend(models.map(|(_, subject)| Rc::clone(subject)));
        subjects
    }

    /// The cap of a provider, by its place in the configuration.
    #[must_use]
    pub fn cap(&self, provider: usize) -> Option<&Rc<Subject>> {
        self.providers.get(provider)?.as_ref()
    }

    /// The name of the tenant on whose terms a request is made.
    #[must_use]
    pub fn tenant(&self, caller: &Caller) -> &str {
        self.tenants.get(caller.terms).map_or("", |tenant| &tenant.name)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Rc<Subject>> {
        let tenants = self.tenants.iter().filter_map(|tenant| tenant.own.as_ref());
        tenants
            .chain(&self.teams)
            .chain(&self.tiers)
            .chain(self.providers.iter().flatten())
            .chain(self.tenants.iter().flat_map(|tenant| tenant.models.iter().map(|(_, own)| own)))
    }
}
