//! Gateways of one VM that name the same tenant, team, tier or provider: they share its account.

use super::Findings;
use super::document::At;
use super::setup::{Plugin, Setup};
use crate::config::Gateway;
use crate::tenancy::{Tenant, Terms};

/// Compares the terms of each gateway with those of the ones before it in the file.
pub fn check(setup: &Setup<'_>, findings: &mut Findings) {
    let gateways: Vec<_> = setup.gateways().collect();
    for (at, (plugin, gateway)) in gateways.iter().enumerate() {
        let before = gateways.iter().take(at).filter(|(other, _)| vm(other) == vm(plugin));
        for (other, known) in before {
            compare((other, known), (plugin, gateway), findings);
        }
    }
}

/// Accounts are those of a VM's id.
fn vm<'a>(plugin: &Plugin<'a>) -> Option<&'a str> {
    plugin.at.get("vm_config")?.text("vm_id")
}

fn value(plugin: &Plugin<'_>) -> String {
    let value: Option<At<'_>> = plugin.at.dig(&["configuration", "value"]);
    value.map_or_else(String::new, |at| at.path)
}

fn compare(
    (other, known): (&Plugin<'_>, &Gateway),
    (plugin, gateway): (&Plugin<'_>, &Gateway),
    findings: &mut Findings,
) {
    let (there, here) = (value(other), value(plugin));
    let mut budgets = false;
    let mut one = |kind: &str, name: &str, pairs: &[(&Terms, &Terms)]| {
        // What bounds nothing has no account.
        let bounded = |terms: &Terms| *terms != Terms::default();
        let shared = pairs.iter().filter(|(one, two)| bounded(one) && bounded(two));
        let mut differs = false;
        for (one, two) in shared {
            budgets |= one.budget.is_some() || two.budget.is_some();
            differs |= one != two;
        }
        if differs {
            let place = format!("{kind}s.{name}");
            findings.warn(format!("{here}.{place}"), format!("has other limits or another budget than at {there}.{place}, and both gateways count in one account: the terms of the one that got the newest connection hold for both; say the same in both, or use another name"));
        }
    };
    let (a, b) = (&known.tenancy, &gateway.tenancy);
    for tenant in b.tenants.iter().take(b.listed) {
        if let Some(known) = a.find(&tenant.name).and_then(|at| a.tenants.get(at)) {
            one("tenant", &tenant.name, &pairs(known, tenant));
        }
    }
    for (kind, known, new) in [("team", &a.teams, &b.teams), ("tier", &a.tiers, &b.tiers)] {
        for shared in new {
            if let Some(known) = known.iter().find(|known| known.name == shared.name) {
                one(kind, &shared.name, &[(&known.terms, &shared.terms)]);
            }
        }
    }
    for provider in &gateway.providers {
        if let Some(known) = known.providers.iter().find(|known| known.name == provider.name) {
            one("provider", &provider.name, &[(&known.terms, &provider.terms)]);
        }
    }
    if budgets && a.time_zone != b.time_zone {
        findings.warn(format!("{here}.time_zone"), format!("is another than at {there}, and both gateways count in one account: its days and months are those of the one that was asked first in them; say the same in both"));
    }
}

/// The terms of a tenant by which both gateways count in accounts of one name.
fn pairs<'a>(known: &'a Tenant, new: &'a Tenant) -> Vec<(&'a Terms, &'a Terms)> {
    let models = new.models.iter().filter_map(|(pattern, terms)| {
        let (_, known) = known.models.iter().find(|(known, _)| known == pattern)?;
        Some((known, terms))
    });
    let own = [(&known.terms, &new.terms), (&known.each_user, &new.each_user)];
    own.into_iter().chain(models).collect()
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::{Value, json};

    use crate::cli::check::check;

    fn listener(name: &str, vm: &str, gateway: &Value) -> Value {
        let base = json!({
            "role": "gateway", "anonymous": "search",
            "providers": {"openai": {"api": "openai", "endpoints": [{"cluster": "a"}], "models": {"gpt-4o": {}}}},
        });
        let mut value = base;
        for (key, of) in gateway.as_object().into_iter().flatten() {
            value[key] = of.clone();
        }
        let config = json!({"vm_config": {"vm_id": vm}, "configuration": {"value": value}});
        let wasm = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": config});
        let manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "http_filters": [{"name": "waypost", "typed_config": wasm}],
        });
        json!({"name": name, "filter_chains": [{"filters": [{"typed_config": manager}]}]})
    }

    fn shared(vm: &str, one: &Value, two: &Value) -> Vec<String> {
        let listeners = [listener("one", "waypost", one), listener("two", vm, two)];
        let file = json!({"static_resources": {"listeners": listeners}});
        let report = check("envoy.yaml", &file);
        let mine = report.findings.iter().filter(|of| of.message.contains("count in one account"));
        let short = |path: &str| path.rsplit_once("configuration.value.").unwrap().1.to_owned();
        mine.map(|of| format!("{:?} {}", of.severity, short(&of.path))).collect()
    }

    #[test]
    fn terms_that_differ_are_told_for_each_account_that_two_gateways_share() {
        let of = |requests: u64, usd: u64, zone: &str| {
            json!({
                "time_zone": zone,
                "teams": {"t": {"limits": {"requests_per_day": requests}}, "same": {"limits": {"requests_per_day": 1}}},
                "tenants": {
                    "search": {"limits": {"requests_per_minute": requests}},
                    "models": {"models": {"gpt-*": {"budget": {"usd_per_day": usd}}}},
                    "users": {"each_user": {"limits": {"concurrent": requests}}},
                    "same": {"team": "t", "budget": {"usd_per_day": 1}},
                },
            })
        };
        assert!(shared("waypost", &of(1, 1, "UTC"), &of(1, 1, "UTC")).is_empty());
        assert_eq!(
            shared("waypost", &of(1, 1, "UTC"), &of(2, 2, "+01:00")),
            [
                "Warning tenants.models",
                "Warning tenants.search",
                "Warning tenants.users",
                "Warning teams.t",
                "Warning time_zone",
            ]
        );
        // In another VM, and under other names, accounts are others.
        assert!(shared("another", &of(1, 1, "UTC"), &of(2, 2, "+01:00")).is_empty());
        let other = json!({"tenants": {"search": {}}, "time_zone": "+01:00"});
        let none = json!({"tenants": {"search": {}, "x": {"budget": {"usd_per_day": 1}}}});
        assert!(shared("waypost", &none, &other).is_empty());
        // What bounds nothing has no account.
        let one = json!({"tenants": {"search": {"budget": {"usd_per_day": 1}}}});
        assert!(shared("waypost", &one, &other).is_empty());
    }
}
