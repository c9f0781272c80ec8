//! What several gateways of an Envoy count together: an account has the name of a tenant, a team or a
//! tier, whichever listener a request came by.

use std::collections::BTreeMap;

use super::Findings;
use super::setup::Setup;
use crate::config::{Config, Gateway};
use crate::tenancy::Terms;

/// Compares each listener's gateway with those of the listeners before it.
pub fn check(setup: &Setup<'_>, findings: &mut Findings) {
    let mut before: Vec<(&str, &Gateway)> = Vec::new();
    for manager in &setup.managers {
        let plugin = manager.gateway.and_then(|at| setup.plugins.get(at));
        let Some((plugin, Some(Config::Gateway(gateway)))) = plugin.map(|at| (at, &at.config))
        else {
            continue;
        };
        let value = plugin.at.dig(&["configuration", "value"]);
        let path = value.map_or_else(String::new, |at| at.path);
        for (listener, other) in &before {
            compare(listener, other, gateway, &path, findings);
        }
        before.push((manager.name(), gateway));
    }
}

/// One finding for limits and one for the time zone: where one name is wrong, others are.
fn compare(
    listener: &str,
    other: &Gateway,
    gateway: &Gateway,
    path: &str,
    findings: &mut Findings,
) {
    let (theirs, ours) = (accounts(other), accounts(gateway));
    let both = || ours.iter().filter_map(|(name, terms)| Some((name, *terms, *theirs.get(name)?)));
    if let Some((name, ..)) = both().find(|(_, ours, theirs)| ours.limits != theirs.limits) {
        findings.warn(format!("{path}.{name}"), format!("has other limits than in the listener \"{listener}\", and one account in both: a bucket that drains by the limits of either holds neither; write the same in both, or another name in one"));
    }
    if other.tenancy.time_zone != gateway.tenancy.time_zone
        && let Some((name, ..)) =
            both().find(|(_, ours, theirs)| ours.budget.is_some() && theirs.budget.is_some())
    {
        findings.warn(format!("{path}.time_zone"), format!("is another than in the listener \"{listener}\", and {name} has one account in both: what it spent would be forgotten while one has another day than the other; write the same in both"));
    }
}

/// Those with an account, by where they stand.
fn accounts(gateway: &Gateway) -> BTreeMap<String, &Terms> {
    let tenancy = &gateway.tenancy;
    let mut all = BTreeMap::new();
    for tenant in tenancy.tenants.iter().take(tenancy.listed) {
        let name = format!("tenants.{}", tenant.name);
        for (pattern, terms) in &tenant.models {
            all.insert(format!("{name}.models.{}", pattern.as_str()), terms);
        }
        all.insert(format!("{name}.each_user"), &tenant.each_user);
        all.insert(name, &tenant.terms);
    }
    for (kind, shared) in [("teams", &tenancy.teams), ("tiers", &tenancy.tiers)] {
        all.extend(shared.iter().map(|one| (format!("{kind}.{}", one.name), &one.terms)));
    }
    // Who is bounded by nothing has none.
    all.retain(|_, terms| **terms != Terms::default());
    all
}
