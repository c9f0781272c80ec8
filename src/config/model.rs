//! The models of a provider, and what a user knows of them.

use super::reader::{Node, Problems, unknown};
use crate::providers::catalogue::{
    Capabilities, Capability, Catalogue, Facts, MAX_USD_PER_MTOK, Price, Rate, Rates,
};
use crate::providers::registry::Api;

/// What every price has.
const REQUIRED_RATES: [&str; 2] = ["input_usd_per_mtok", "output_usd_per_mtok"];

/// A model of a provider.
#[derive(Debug)]
pub struct Model {
    /// Its name at the provider.
    pub name: String,
    /// What is known of it: the catalogue's facts, with what the configuration says instead.
    pub facts: Facts,
}

impl Model {
    /// Which model it is, whoever serves it under whichever name. Vectors of models with the same
    /// one can be compared.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.name
    }
}

/// Reads `models`.
pub(super) fn read(
    node: &Node<'_>,
    api: &Api,
    catalogue: &Catalogue,
    problems: &mut Problems,
) -> Vec<Model> {
    let entries = node.entries(problems);
    if node.value.is_object() && entries.is_empty() {
        problems.add(&node.path, "a provider serves at least one model, such as { gpt-4o: {} }");
    }
    entries
        .into_iter()
        .map(|(name, node)| {
            if name.is_empty() || name.len() > 256 || name.bytes().any(|b| b.is_ascii_control()) {
                problems
                    .add(&node.path, "a model's name is 1 to 256 bytes without control characters");
            }
            let facts = catalogue.find(api.family, name).cloned();
            let mut facts = facts.unwrap_or_else(Facts::unknown);
            read_facts(&node, &mut facts, problems);
            Model { name: name.to_owned(), facts }
        })
        .collect()
}

/// What a user knows better than the catalogue.
fn read_facts(node: &Node<'_>, facts: &mut Facts, problems: &mut Problems) {
    let mut fields = node.fields(problems);
    if let Some(node) = fields.take("context_window") {
        facts.context_window = node.whole(1, 1 << 32, problems).or(facts.context_window);
    }
    if let Some(node) = fields.take("max_output_tokens") {
        facts.max_output = node.whole(1, 1 << 32, problems).or(facts.max_output);
    }
    if let Some(node) = fields.take("capabilities") {
        let known = Capability::ALL.map(Capability::name);
        let mut capabilities = Capabilities::default();
        for node in node.list(problems) {
            let Some(word) = node.text(problems) else { continue };
            match Capability::ALL.into_iter().find(|known| known.name() == word) {
                Some(capability) => capabilities = capabilities.with(capability),
                None => problems.add(&node.path, unknown(word, &known)),
            }
        }
        facts.capabilities = capabilities;
        facts.known = true;
    }
    if let Some(node) = fields.take("price") {
        read_price(&node, facts, problems);
    }
    fields.finish(problems);
}

fn read_price(node: &Node<'_>, facts: &mut Facts, problems: &mut Problems) {
    let mut fields = node.fields(problems);
    let mut said = 0;
    let mut rate = |name, problems: &mut Problems| {
        let node = fields.take(name)?;
        said += usize::from(REQUIRED_RATES.contains(&name));
        Rate::from_usd_per_mtok(node.number(0.0, MAX_USD_PER_MTOK, problems)?)
    };
    let input = rate("input_usd_per_mtok", problems);
    let output = rate("output_usd_per_mtok", problems);
    let cached_input = rate("cached_input_usd_per_mtok", problems);
    let cache_write = rate("cache_write_usd_per_mtok", problems);
    fields.finish(problems);
    match (input, output) {
        (Some(input), Some(output)) => {
            let base = Rates {
                input,
                cached_input,
                cache_write,
                cache_write_1h: None,
                cache_write_12h: None,
                output,
                reasoning: None,
            };
            facts.price = Some(Price { base, tiers: Vec::new() });
        }
        // A rate that is there and wrong has been reported.
        _ if said == REQUIRED_RATES.len() => {}
        _ => problems.add(
            &node.path,
            "a price needs both input_usd_per_mtok and output_usd_per_mtok, in USD per million tokens",
        ),
    }
}
