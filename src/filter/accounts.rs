//! Whom a request is charged to.
//!
//! Subjects are made once for a configuration, those with terms that bound something; a request under no
//! terms asks the host for nothing.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::config::Gateway;
use crate::pattern::Pattern;
use crate::store::{Millis, Store};
use crate::telemetry::metrics::Metric;
use crate::telemetry::metrics::accounts::{self, AMOUNT, SPENT};
use crate::tenancy::{Caller, Kind, Ledger, Shared, Span, Subject, Tenancy, Terms, settings};

/// Everybody with an account in a configuration, but for users.
#[derive(Debug)]
pub struct Accounts {
    /// By place in the configuration.
    tenants: Vec<Tenant>,
    /// In the order of their names, as the configuration has them.
    teams: Vec<Rc<Subject>>,
    /// Likewise.
    tiers: Vec<Rc<Subject>>,
    /// By place in the configuration.
    providers: Vec<Option<Rc<Subject>>>,
    /// Those whose budgets are gauges.
    shown: RefCell<Vec<Shown>>,
    /// Whose turn it is among them.
    next: Cell<usize>,
}

/// An account whose budget is a gauge, and what was set last: of the day, and of the month.
#[derive(Debug)]
struct Shown {
    subject: Rc<Subject>,
    spent: [Option<u64>; 2],
}

/// Most accounts whose budgets are gauges: those of teams, tiers and providers come first.
pub const MAX_SHOWN: usize = 500;

/// Most of them that are looked at on one tick.
const SHOWN_AT_A_TICK: usize = 32;

/// A tenant's own.
#[derive(Debug)]
struct Tenant {
    name: Rc<str>,
    /// The name its accounts are kept under.
    account: Rc<str>,
    own: Option<Rc<Subject>>,
    each_user: Rc<Terms>,
    models: Vec<(Pattern, Rc<Subject>)>,
}

/// The name that the accounts of a tenant are kept under. What a tier's tenants that are not listed may use
/// is counted apart where it is not what others may: a bucket that drains by the limits of either would
/// hold none of them. No name in a configuration has a `+`.
fn account(tenancy: &Tenancy, tenant: &settings::Tenant) -> Rc<str> {
    let others = tenancy.others.and_then(|at| tenancy.tenants.get(at));
    let apart = others.is_some_and(|others| {
        others.name == tenant.name
            && (others.terms != tenant.terms
                || others.each_user != tenant.each_user
                || others.models != tenant.models)
    });
    match &tenant.tier {
        Some(tier) if apart => [&*tenant.name, "+", tier].concat().into(),
        _ => Rc::clone(&tenant.name),
    }
}

impl Accounts {
    /// Those of a configuration.
    #[must_use]
    pub fn new(gateway: &Gateway) -> Self {
        let tenancy = &gateway.tenancy;
        let shared = |kind: Kind, all: &[Shared]| -> Vec<Rc<Subject>> {
            let subject = |one: &Shared| Subject::new(kind, &one.name, &Rc::new(one.terms.clone()));
            all.iter().filter_map(subject).collect()
        };
        let tenants = tenancy.tenants.iter().map(|tenant| {
            let account = account(tenancy, tenant);
            let models = tenant.models.iter().filter_map(|(pattern, terms)| {
                let (of, name) = (&account, pattern.as_str());
                let subject = Subject::within(Kind::Model, of, name, &Rc::new(terms.clone()))?;
                Some((pattern.clone(), subject))
            });
            Tenant {
                name: Rc::clone(&tenant.name),
                own: Subject::new(Kind::Tenant, &account, &Rc::new(tenant.terms.clone())),
                each_user: Rc::new(tenant.each_user.clone()),
                models: models.collect(),
                account,
            }
        });
        let providers = gateway.providers.iter().map(|provider| {
            Subject::new(Kind::Provider, &provider.name, &Rc::new(provider.terms.clone()))
        });
        let mut accounts = Self {
            tenants: tenants.collect(),
            teams: shared(Kind::Team, &tenancy.teams),
            tiers: shared(Kind::Tier, &tenancy.tiers),
            providers: providers.collect(),
            shown: RefCell::default(),
            next: Cell::new(0),
        };
        accounts.shown = RefCell::new(accounts.with_budgets());
        accounts
    }

    fn with_budgets(&self) -> Vec<Shown> {
        let Self { teams, tiers, providers, tenants, .. } = self;
        let shared = teams.iter().chain(tiers).chain(providers.iter().flatten());
        let own = tenants.iter().filter_map(|tenant| tenant.own.as_ref());
        let models = tenants.iter().flat_map(|tenant| &tenant.models).map(|(_, of)| of);
        let all = shared.chain(own).chain(models).filter(|of| of.terms.budget.is_some());
        all.take(MAX_SHOWN)
            .map(|subject| Shown { subject: Rc::clone(subject), spent: [None; 2] })
            .collect()
    }

    /// Those a request for `model` is charged to. All patterns that the model matches count: whoever
    /// writes a wide one beside a narrow one means both. A model asked for as `provider/model` is also
    /// that model.
    ///
    /// Tenants that are not listed are charged to the tenant on whose terms they ask, so that there is
    /// a bounded number of accounts.
    #[must_use]
    pub fn of(&self, caller: &Caller, model: &str) -> Vec<Rc<Subject>> {
        let mut subjects = Vec::new();
        let Some(tenant) = self.tenants.get(caller.terms) else { return subjects };
        subjects.extend(tenant.own.clone());
        let named = |all: &[Rc<Subject>], name: Option<&Rc<str>>| {
            let name = &**name?;
            let at = all.binary_search_by(|subject| (*subject.name).cmp(name)).ok()?;
            all.get(at).cloned()
        };
        subjects.extend(named(&self.teams, caller.team.as_ref()));
        subjects.extend(named(&self.tiers, caller.tier.as_ref()));
        if let Some(user) = &caller.user {
            subjects.extend(Subject::within(Kind::User, &tenant.account, user, &tenant.each_user));
        }
        self.add_models(&mut subjects, caller, model);
        subjects
    }

    /// Adds those of the models of the tenant that a request for `model` is charged to.
    pub fn add_models(&self, subjects: &mut Vec<Rc<Subject>>, caller: &Caller, model: &str) {
        let Some(tenant) = self.tenants.get(caller.terms) else { return };
        let alone = model.split_once('/').map(|(_, alone)| alone);
        for (pattern, subject) in &tenant.models {
            if (pattern.matches(model) || alone.is_some_and(|alone| pattern.matches(alone)))
                && !subjects.iter().any(|known| Rc::ptr_eq(known, subject))
            {
                subjects.push(Rc::clone(subject));
            }
        }
    }

    /// The cap of a provider, by its place in the configuration.
    #[must_use]
    pub fn cap(&self, provider: usize) -> Option<&Rc<Subject>> {
        self.providers.get(provider)?.as_ref()
    }

    /// The account of a name, as [`Subject::name`] has it.
    #[must_use]
    pub fn find(&self, tenancy: &Tenancy, kind: Kind, name: &str) -> Option<Rc<Subject>> {
        let is = |subject: &&Rc<Subject>| *subject.name == *name;
        let (tenant, user) = name.split_once('\0').unwrap_or((name, ""));
        // Behind those that are listed are those with a tier, who may share an account.
        let places = tenancy.find(tenant).into_iter().chain(tenancy.listed..self.tenants.len());
        let mut tenants = places.filter_map(|at| self.tenants.get(at));
        let mut of_tenant = |subject: &dyn Fn(&Tenant) -> Option<Rc<Subject>>| {
            tenants.find_map(|known| if *known.account == *tenant { subject(known) } else { None })
        };
        match kind {
            Kind::Tenant => of_tenant(&|known| known.own.clone().filter(|own| *own.name == *name)),
            Kind::Team => self.teams.iter().find(is).cloned(),
            Kind::Tier => self.tiers.iter().find(is).cloned(),
            Kind::Provider => self.providers.iter().flatten().find(is).cloned(),
            Kind::User if user.is_empty() => None,
            Kind::User => of_tenant(&|known| Subject::within(kind, tenant, user, &known.each_user)),
            Kind::Model => {
                of_tenant(&|known| known.models.iter().map(|(_, model)| model).find(is).cloned())
            }
        }
    }

    /// The name of the tenant on whose terms a request is made.
    #[must_use]
    pub fn tenant(&self, caller: &Caller) -> &str {
        self.tenants.get(caller.terms).map_or("", |tenant| &tenant.name)
    }

    /// The series of all budgets that are gauges.
    pub fn gauges(&self) -> Vec<String> {
        let mut all = Vec::new();
        for Shown { subject, .. } in &*self.shown.borrow() {
            let budget = subject.terms.budget.as_ref();
            let amounts = budget.map_or([None; 2], |budget| [budget.day, budget.month]);
            for (span, _) in [Span::Day, Span::Month]
                .into_iter()
                .zip(amounts)
                .filter(|(_, amount)| amount.is_some())
            {
                let name = accounts::name(subject);
                let labels = [&*name, subject.kind.word(), accounts::budget(span)];
                all.extend([&AMOUNT, &SPENT].map(|metric| metric.named(&labels)));
            }
        }
        all
    }

    /// Sets the gauges of some budgets, and the next time of those behind them: an account is a value that
    /// all workers share, and there may be many. `set` gets values that are not what this worker
    /// set last.
    pub fn show(
        &self,
        ledger: &Ledger,
        store: &dyn Store,
        now: Millis,
        set: &mut dyn FnMut(&Metric, &[&str], u64),
    ) {
        let mut shown = self.shown.borrow_mut();
        let count = shown.len();
        for _ in 0..count.min(SHOWN_AT_A_TICK) {
            let at = self.next.get() % count;
            self.next.set(at + 1);
            let Some(Shown { subject, spent }) = shown.get_mut(at) else { continue };
            let Some(budget) = &subject.terms.budget else { continue };
            let account = ledger.account(subject, store, now);
            let spans = [
                (Span::Day, budget.day, account.day.money),
                (Span::Month, budget.month, account.month.money),
            ];
            for ((span, amount, money), known) in spans.into_iter().zip(spent) {
                let Some(amount) = amount.filter(|_| *known != Some(money)) else { continue };
                let name = accounts::name(subject);
                let labels = [&*name, subject.kind.word(), accounts::budget(span)];
                if known.is_none() {
                    set(&AMOUNT, &labels, amount.0);
                }
                *known = Some(money);
                set(&SPENT, &labels, money);
            }
        }
    }
}
