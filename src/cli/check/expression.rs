//! Expressions that Envoy evaluates. The module leaves them to Envoy, which says at its start that it
//! cannot parse one, but not why, and says nothing of one that can never be true.

use super::Findings;
use super::setup::Setup;
use crate::cli::cel;

/// Looks at the expression of every rule.
pub fn check(setup: &Setup<'_>, findings: &mut Findings) {
    for (plugin, gateway) in setup.gateways() {
        let rules = plugin.at.dig(&["configuration", "value"]).map(|value| value.list("rules"));
        let rules = rules.unwrap_or_default();
        for (at, rule) in gateway.rules.iter().enumerate() {
            let Some(expression) = &rule.when.cel else { continue };
            let Err(wrong) = cel::check(&expression.text) else { continue };
            let place = rules.get(at).and_then(|rule| rule.dig(&["when", "cel"]));
            // A configuration that is a text has no paths inside.
            let path = place.map_or_else(|| plugin.at.path_of("configuration"), |at| at.path);
            findings.error(path, format!("\"{}\": {wrong}", expression.text));
        }
    }
}
