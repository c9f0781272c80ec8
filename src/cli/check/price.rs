//! Models without a price.

use super::Findings;
use super::setup::Setup;

/// Notes each model whose requests no account can put a price on.
pub fn check(setup: &Setup<'_>, findings: &mut Findings) {
    for (plugin, gateway) in setup.gateways() {
        for provider in &gateway.providers {
            for model in provider.models.iter().filter(|model| model.facts.price.is_none()) {
                let steps =
                    ["configuration", "value", "providers", &provider.name, "models", &model.name];
                let Some(at) = plugin.at.dig(&steps) else { continue };
                findings.note(at.path, "is unpriced: the catalogue has no price for it, so its requests cost nothing in any account; give it a price, or say with \"model\" what it is");
            }
        }
    }
}
