//! `role: gateway`: providers, rules, limits.

use super::alerts::{self, Alerts};
use super::audit::{self, Audit};
use super::budgets;
use super::health;
use super::metrics::{self, Metrics};
use super::prices::{self, Prices};
use super::provider::{self, Defaults, Endpoint, Provider};
use super::reader::{Fields, Node, Problems};
use super::rule::{self, Around, Expression, Rule, Timeouts};
use super::tenancy;
use crate::health::{Settings, Slot, Watched};
use crate::providers::Policy;
use crate::providers::catalogue::Catalogue;
use crate::tenancy::Tenancy;
use crate::tenancy::key::Hash;

/// Most providers.
pub const MAX_PROVIDERS: usize = 256;

/// The gateway's configuration.
#[derive(Debug)]
pub struct Gateway {
    /// In the order of their names.
    pub providers: Vec<Provider>,
    /// In the order in which they are tried.
    pub rules: Vec<Rule>,
    /// For requests that no rule takes.
    pub timeouts: Timeouts,
    /// Sizes.
    pub limits: Limits,
    /// What a client may ask for beside a model.
    pub clients_may: ClientsMay,
    /// The cluster that leads back to this gateway: for probes and mirrored requests.
    pub loopback: Option<String>,
    /// Who may ask, and on which terms.
    pub tenancy: Tenancy,
    /// Where it is told that money runs out.
    pub alerts: Alerts,
    /// What metrics say of tenants, and how many there may be.
    pub metrics: Metrics,
    /// What records hold of what was asked and answered.
    pub audit: Audit,
    /// Whether Envoy's spans are told what is asked and used.
    pub tracing: bool,
    /// Where newer prices come from.
    pub prices: Prices,
    /// Whoever shows this key may tell the status listener what was spent before.
    pub restore: Option<Hash>,
}

/// What a client may ask for beside a model. All of it is off unless the configuration says so, and
/// none of it goes around what the rule of the request requires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientsMay {
    /// `x-waypost-rule`: another rule's targets.
    pub rule: bool,
    /// `x-waypost-target`: this one, as `provider/model`.
    pub target: bool,
    /// `models` in the body: these in this order, after the model itself.
    pub models: bool,
}

/// Most targets: models, counted at each endpoint that has them.
pub const MAX_TARGETS: usize = 4096;

impl Gateway {
    /// What is to be watched, in the order of [`Slot::endpoint`].
    #[must_use]
    pub fn fleet(&self) -> Vec<Watched> {
        let of = |provider: &Provider| {
            let models: Vec<String> =
                provider.models.iter().map(|model| model.name.clone()).collect();
            let watched = |endpoint: &Endpoint| Watched {
                provider: provider.name.clone(),
                cluster: endpoint.cluster.clone(),
                models: models.clone(),
                breaker: provider.breaker,
                max_concurrency: provider.max_concurrency,
            };
            provider.endpoints.iter().map(watched).collect::<Vec<_>>()
        };
        self.providers.iter().flat_map(of).collect()
    }

    /// The expressions of all rules, in the order of [`Expression::at`].
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.rules.iter().filter_map(|rule| rule.when.cel.as_ref())
    }

    /// Gives each endpoint and each target its place in the fleet.
    fn number(providers: &mut [Provider]) {
        let mut next = Slot::default();
        for provider in providers {
            for endpoint in &mut provider.endpoints {
                endpoint.slot = next;
                next.endpoint = next.endpoint.saturating_add(1);
                let models = u16::try_from(provider.models.len()).unwrap_or(u16::MAX);
                next.target = next.target.saturating_add(models);
            }
        }
    }
}

/// Sizes that a request must not exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest body of one request, in bytes.
    pub body: u64,
    /// All bodies that one worker holds at a time, in bytes. The memory of a worker's module ends
    /// at 1 GiB, and reaching that would cut every stream of the worker.
    pub held: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body: 32 << 20, held: 256 << 20 }
    }
}

/// Reads the fields beside `role`.
pub fn read(mut fields: Fields<'_>, problems: &mut Problems) -> Option<Gateway> {
    let catalogue = Catalogue::builtin();
    let policy = fields.take("parameters").map_or_else(Policy::default, |node| {
        provider::read_policy(&node, Policy::default(), problems)
    });
    let timeouts = fields.take("timeouts").map_or_else(Timeouts::default, |node| {
        rule::read_timeouts(&node, Timeouts::default(), problems)
    });
    let limits = read_limits(&mut fields, problems);
    let tenancy = tenancy::read(&mut fields, problems);
    if let Some(node) = fields.take_former("tenant_header") {
        problems.add(&node.path, "there is no such field any more; write identity: [{ headers: { tenant: NAME } }], and others: TENANT for names that are not in tenants");
    }
    let clients_may = fields
        .take("clients_may")
        .map_or_else(ClientsMay::default, |node| read_clients_may(&node, problems));
    let loopback = fields.take("loopback");
    let alerts = fields.take("alerts");
    let metrics =
        fields.take("metrics").map_or_else(Metrics::default, |node| metrics::read(&node, problems));
    let audit =
        fields.take("audit").map_or_else(Audit::default, |node| audit::read(&node, problems));
    let tracing = fields.take("tracing").and_then(|node| node.flag(problems)).unwrap_or(false);
    let settings =
        fields.take("health").map_or_else(Settings::default, |node| health::read(&node, problems));
    let defaults = Defaults { policy, breaker: settings.breaker };
    let mut providers = Vec::new();
    let before = problems.count();
    if let Some(node) = fields.need("providers", problems) {
        let entries = node.entries(problems);
        if node.value.is_object() && (entries.is_empty() || entries.len() > MAX_PROVIDERS) {
            problems.say(&node.path, format_args!("there must be 1 to {MAX_PROVIDERS} providers"));
        }
        for (name, node) in entries.iter().take(MAX_PROVIDERS) {
            providers.extend(provider::read(name, node, &catalogue, defaults, problems));
        }
        check_clusters(&node.path, &providers, problems);
        check_count(&node.path, &providers, problems);
        for (name, node) in &entries {
            if loopback.is_none() && node.has("probe") {
                problems.say(&format!("{}.probe", node.path), format_args!("needs loopback at the top: the cluster that leads back to this gateway, through which \"{name}\" is asked"));
            }
        }
    }
    let loopback = loopback.and_then(|node| read_loopback(&node, &providers, problems));
    let prices = fields.take("prices").map_or_else(Prices::default, |node| {
        prices::read(&node, &providers, loopback.as_deref(), problems)
    });
    let restore = fields.take("budgets").and_then(|node| budgets::read(&node, problems));
    let alerts = alerts.map_or_else(Alerts::default, |node| {
        alerts::read(&node, &providers, loopback.as_deref(), problems)
    });
    let whole = problems.count() == before;
    let rules = fields.take("rules");
    fields.finish(problems);
    // With a broken provider every rule that names it would be called broken too.
    let rules = match rules {
        Some(node) if whole => {
            let around = Around {
                providers: &providers,
                timeouts,
                by_name: clients_may.rule,
                tenancy: &tenancy,
                loopback: loopback.is_some(),
            };
            rule::read(&node, around, problems)
        }
        _ => Vec::new(),
    };
    if problems.is_empty() {
        rule::check_allowed(&tenancy, &rules, problems);
    }
    Gateway::number(&mut providers);
    Some(Gateway {
        providers,
        rules,
        timeouts,
        limits,
        clients_may,
        loopback,
        tenancy,
        alerts,
        metrics,
        audit,
        tracing,
        prices,
        restore,
    })
}

fn read_limits(fields: &mut Fields<'_>, problems: &mut Problems) -> Limits {
    let mut limits = Limits::default();
    let Some(node) = fields.take("limits") else { return limits };
    let mut fields = node.fields(problems);
    if let Some(node) = fields.take("body") {
        limits.body = node.size(1 << 10, 128 << 20, problems).unwrap_or(limits.body);
    }
    if let Some(node) = fields.take("held") {
        limits.held = node.size(1 << 20, 512 << 20, problems).unwrap_or(limits.held);
    }
    fields.finish(problems);
    if limits.held < limits.body {
        problems.add(
            &node.path,
            "held must not be smaller than body, or the largest body could never pass",
        );
    }
    limits
}

/// Reads `clients_may`.
fn read_clients_may(node: &Node<'_>, problems: &mut Problems) -> ClientsMay {
    let mut may = ClientsMay::default();
    for node in node.list(problems) {
        match node.word(&[("rule", 0), ("target", 1), ("models", 2)], problems) {
            Some(0) => may.rule = true,
            Some(1) => may.target = true,
            Some(_) => may.models = true,
            None => {}
        }
    }
    may
}

/// Reads `loopback`, which must not be where a provider is.
fn read_loopback(
    node: &Node<'_>,
    providers: &[Provider],
    problems: &mut Problems,
) -> Option<String> {
    let cluster = node.text(problems)?;
    let owns = |provider: &&Provider| provider.endpoints.iter().any(|at| at.cluster == cluster);
    if let Some(owner) = providers.iter().find(owns) {
        problems.say(&node.path, format_args!(
            "the cluster \"{cluster}\" belongs to \"{}\"; the way back to this gateway is a cluster of its own",
            owner.name
        ));
    }
    Some(cluster.to_owned())
}

/// Each target has a place in shared data, and its number must fit.
fn check_count(path: &str, providers: &[Provider], problems: &mut Problems) {
    let targets: usize = providers.iter().map(|at| at.models.len() * at.endpoints.len()).sum();
    if targets > MAX_TARGETS {
        problems.say(path, format_args!("{targets} targets (models, counted at each endpoint that has them); at most {MAX_TARGETS} are watched"));
    }
}

/// A cluster carries one provider filter, so it can belong to one provider only.
fn check_clusters(path: &str, providers: &[Provider], problems: &mut Problems) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for provider in providers {
        for endpoint in &provider.endpoints {
            match seen.iter().find(|(cluster, _)| *cluster == endpoint.cluster) {
                Some((cluster, owner)) => problems.say(&format!("{path}.{}", provider.name), format_args!("the cluster \"{cluster}\" belongs to \"{owner}\" already; give each provider clusters of its own")),
                None => seen.push((&endpoint.cluster, &provider.name)),
            }
        }
    }
}
