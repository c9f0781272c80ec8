//! An entry of `providers`: which API, where, which models.

use super::reader::{Node, Problems, unknown};
use crate::providers::catalogue::{Capabilities, Capability, Catalogue, Facts, Price, Rate, Rates};
use crate::providers::registry::{self, Api};
use crate::providers::{Base, Policy, Settings, Target};

/// Most endpoints of a provider.
pub const MAX_ENDPOINTS: usize = 16;

/// What every price has.
const REQUIRED_RATES: [&str; 2] = ["input_usd_per_mtok", "output_usd_per_mtok"];

/// A provider that rules can send requests to.
#[derive(Debug)]
pub struct Provider {
    /// Its name in the configuration, in answers and in logs.
    pub name: String,
    /// How it is spoken to.
    pub api: &'static Api,
    /// Host and base path.
    pub base: Base,
    /// The dialect's settings.
    pub settings: Settings,
    /// What happens to parameters it does not take.
    pub policy: Policy,
    /// Where it is.
    pub endpoints: Vec<Endpoint>,
    /// What it serves.
    pub models: Vec<Model>,
}

/// An Envoy cluster that reaches the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The cluster's name.
    pub cluster: String,
    /// Where the provider computes, for rules that ask for it.
    pub region: Option<String>,
}

/// A model of a provider.
#[derive(Debug)]
pub struct Model {
    /// Its name at the provider.
    pub name: String,
    /// What is known of it: the catalogue's facts, with what the configuration says instead.
    pub facts: Facts,
}

impl Provider {
    /// What a dialect needs to know to ask for `model`.
    #[must_use]
    pub fn target<'a>(&'a self, model: &'a Model) -> Target<'a> {
        Target {
            base: &self.base,
            settings: &self.settings,
            model: &model.name,
            facts: &model.facts,
            policy: self.policy,
        }
    }

    /// The model of that name.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == name)
    }
}

/// Reads one entry. `policy` is the configuration's own, which the entry may change.
pub fn read(
    name: &str,
    node: &Node<'_>,
    catalogue: &Catalogue,
    policy: Policy,
    problems: &mut Problems,
) -> Option<Provider> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-' || b == b'.';
    if name.is_empty() || !name.bytes().all(plain) {
        problems.add(&node.path, "a provider's name is letters, digits, '.', '_' and '-'");
    }
    let mut fields = node.fields(problems);
    let names: Vec<&str> = registry::APIS.iter().map(|api| api.name).collect();
    let api = fields.need("api", problems).and_then(|node| {
        let word = node.text(problems)?;
        let api = registry::find(word);
        if api.is_none() {
            problems.add(&node.path, unknown(word, &names));
        }
        api
    });
    let endpoints = fields.need("endpoints", problems);
    let models = fields.need("models", problems);
    let policy = match fields.take("parameters") {
        Some(node) => read_policy(&node, policy, problems),
        None => policy,
    };
    let base_url = fields.take("base_url");
    // Without the API its settings are not known, and each would be called unknown.
    let api = api?;
    let base = base_url.map_or_else(
        || Base::parse(api.base_url),
        |node| {
            let base = Base::parse(node.text(problems)?);
            if base.is_none() {
                problems.add(&node.path, "must be a URL such as \"https://api.example.com/v1\"");
            }
            base
        },
    );
    let mut settings = Settings::default();
    for setting in api.settings {
        if let Some(node) = fields.take(setting.name)
            && let Some(text) = node.text(problems)
        {
            if !setting.values.is_empty() && !setting.values.contains(&text) {
                problems.add(&node.path, unknown(text, setting.values));
            } else if text.bytes().any(|b| b.is_ascii_control()) {
                problems.add(&node.path, "must not hold control characters");
            } else {
                settings.0.push((setting.name, text.to_owned()));
            }
        }
    }
    fields.finish(problems);
    Some(Provider {
        name: name.to_owned(),
        api,
        base: base?,
        settings,
        policy,
        endpoints: read_endpoints(&endpoints?, problems),
        models: read_models(&models?, api, catalogue, problems),
    })
}

/// Reads `parameters`.
pub fn read_policy(node: &Node<'_>, mut policy: Policy, problems: &mut Problems) -> Policy {
    let mut fields = node.fields(problems);
    if let Some(node) = fields.take("unsupported")
        && let Some(drop) = node.word(&[("reject", false), ("drop", true)], problems)
    {
        policy.drop_unsupported = drop;
    }
    if let Some(node) = fields.take("out_of_range")
        && let Some(reject) = node.word(&[("clamp", false), ("reject", true)], problems)
    {
        policy.reject_out_of_range = reject;
    }
    fields.finish(problems);
    policy
}

fn read_endpoints(node: &Node<'_>, problems: &mut Problems) -> Vec<Endpoint> {
    let nodes = node.list(problems);
    if node.value.is_array() && (nodes.is_empty() || nodes.len() > MAX_ENDPOINTS) {
        let message =
            format!("a provider has 1 to {MAX_ENDPOINTS} endpoints, one Envoy cluster each");
        problems.add(&node.path, message);
    }
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for node in nodes.iter().take(MAX_ENDPOINTS) {
        let mut fields = node.fields(problems);
        let cluster = fields.need("cluster", problems).and_then(|node| node.text(problems));
        let region = fields.take("region").and_then(|node| node.text(problems));
        fields.finish(problems);
        let Some(cluster) = cluster else { continue };
        if endpoints.iter().any(|endpoint| endpoint.cluster == cluster) {
            problems.add(&node.path, format!("the cluster \"{cluster}\" is listed twice"));
            continue;
        }
        endpoints.push(Endpoint { cluster: cluster.to_owned(), region: region.map(str::to_owned) });
    }
    endpoints
}

fn read_models(
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
    }
    if let Some(node) = fields.take("price") {
        read_price(&node, facts, problems);
    }
    fields.finish(problems);
}

fn read_price(node: &Node<'_>, facts: &mut Facts, problems: &mut Problems) {
    let mut fields = node.fields(problems);
    let max = crate::providers::catalogue::MAX_USD_PER_MTOK;
    let mut said = 0;
    let mut rate = |name, problems: &mut Problems| {
        let node = fields.take(name)?;
        said += usize::from(REQUIRED_RATES.contains(&name));
        Rate::from_usd_per_mtok(node.number(0.0, max, problems)?)
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
