//! `role: gateway`: providers, rules, limits.

use super::provider::{self, Provider};
use super::reader::{Fields, Problems};
use super::rule::{self, Rule, Timeouts};
use crate::providers::Policy;
use crate::providers::catalogue::Catalogue;

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
    /// The header that names the tenant.
    pub tenant_header: Option<String>,
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
    let tenant_header = fields.take("tenant_header").and_then(|node| {
        let name = node.text(problems)?;
        rule::check_header(name, &node.path, problems);
        Some(name.to_owned())
    });
    let mut providers = Vec::new();
    let before = problems.count();
    if let Some(node) = fields.need("providers", problems) {
        let entries = node.entries(problems);
        if node.value.is_object() && (entries.is_empty() || entries.len() > MAX_PROVIDERS) {
            problems.add(&node.path, format!("there must be 1 to {MAX_PROVIDERS} providers"));
        }
        for (name, node) in entries.iter().take(MAX_PROVIDERS) {
            providers.extend(provider::read(name, node, &catalogue, policy, problems));
        }
        check_clusters(&node.path, &providers, problems);
    }
    let whole = problems.count() == before;
    let rules = fields.take("rules");
    fields.finish(problems);
    // With a broken provider every rule that names it would be called broken too.
    let rules = match rules {
        Some(node) if whole => {
            rule::read(&node, &providers, timeouts, tenant_header.is_some(), problems)
        }
        _ => Vec::new(),
    };
    Some(Gateway { providers, rules, timeouts, limits, tenant_header })
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

/// A cluster carries one provider filter, so it can belong to one provider only.
fn check_clusters(path: &str, providers: &[Provider], problems: &mut Problems) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for provider in providers {
        for endpoint in &provider.endpoints {
            match seen.iter().find(|(cluster, _)| *cluster == endpoint.cluster) {
                Some((cluster, owner)) => problems.add(
                    format!("{path}.{}", provider.name),
                    format!("the cluster \"{cluster}\" belongs to \"{owner}\" already; give each provider clusters of its own"),
                ),
                None => seen.push((&endpoint.cluster, &provider.name)),
            }
        }
    }
}
