//! The models of a provider, and what a user knows of them.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use super::price;
use super::reader::{Fields, Node, Problems, nearest, unknown};
use crate::providers::catalogue::{
    Capabilities, Capability, Catalogue, Effort, Efforts, Facts, Mode, Parameters, Price,
    ThinkingOff,
};
use crate::providers::registry::Api;

/// Most tokens that a window or a limit can have.
const MAX_TOKENS: u64 = 1 << 32;

/// Most numbers that an embedding can have.
const MAX_VECTOR_SIZE: u64 = 1 << 20;

/// Most tasks that a model has scores for.
pub const MAX_TASKS: usize = 64;

/// A model of a provider.
#[derive(Debug)]
pub struct Model {
    /// Its name at the provider.
    pub name: String,
    /// What is known of it: the catalogue's facts, with what the configuration says instead.
    pub facts: Facts,
    /// How good its answers are.
    pub quality: Quality,
    /// What it costs now: as `facts` says, unless a newer price came.
    price: RwLock<Option<Arc<Price>>>,
}

/// How good a model's answers are, 0 to 1000, as somebody measured it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// For tasks without a score of their own.
    pub general: Option<u16>,
    /// By task, which is `task` of the body's `metadata`.
    pub tasks: Vec<(String, u16)>,
}

impl Model {
    /// A model with the price of its facts.
    #[must_use]
    pub fn new(name: &str, facts: Facts, quality: Quality) -> Self {
        let price = RwLock::new(facts.price.clone().map(Arc::new));
        Self { name: name.to_owned(), facts, quality, price }
    }

    /// What it costs now; nothing where nobody knows.
    #[must_use]
    pub fn price(&self) -> Option<Arc<Price>> {
        self.price.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives it another price, or the configuration's again.
    pub fn set_price(&self, price: Option<Price>) {
        let price = price.or_else(|| self.facts.price.clone()).map(Arc::new);
        *self.price.write().unwrap_or_else(PoisonError::into_inner) = price;
    }

    /// Which model it is, whoever serves it under whichever name: the catalogue's name, or its own
    /// where the catalogue does not know it. Vectors of models with the same one can be compared.
    #[must_use]
    pub fn canonical(&self) -> &str {
        if self.facts.name.is_empty() { &self.name } else { self.facts.name }
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
            let known = catalogue.presume(api.family, name).map(Cow::into_owned);
            let mut fields = node.fields(problems);
            let known = known.unwrap_or_else(Facts::unknown);
            let facts = read_facts(&mut fields, api, catalogue, known, problems);
            let quality = fields.take("quality");
            fields.finish(problems);
            let quality =
                quality.map_or_else(Quality::default, |node| read_quality(&node, problems));
            Model::new(name, facts, quality)
        })
        .collect()
}

/// What a user knows better than the catalogue, on top of what that says of the model's name.
fn read_facts(
    fields: &mut Fields<'_>,
    api: &Api,
    catalogue: &Catalogue,
    mut facts: Facts,
    problems: &mut Problems,
) -> Facts {
    if let Some(node) = fields.take("model")
        && let Some(said) = read_model(&node, api, catalogue, problems)
    {
        facts = said;
    }
    if let Some(node) = fields.take("context_window") {
        facts.context_window = node.whole(1, MAX_TOKENS, problems).or(facts.context_window);
    }
    if let Some(node) = fields.take("max_output_tokens") {
        facts.max_output = node.whole(1, MAX_TOKENS, problems).or(facts.max_output);
    }
    if let Some(node) = fields.take("vector_size") {
        let size = node.whole(1, MAX_VECTOR_SIZE, problems);
        facts.vector_size = size.and_then(|size| u32::try_from(size).ok()).or(facts.vector_size);
    }
    if let Some(node) = fields.take("capabilities") {
        facts.capabilities = read_capabilities(&node, problems);
        facts.known = true;
        let embeds = facts.capabilities.has(Capability::Embeddings);
        facts.mode = if embeds { Mode::Embedding } else { Mode::Chat };
    }
    if let Some(node) = fields.take("accepts") {
        read_parameters(&node, &mut facts.parameters, problems);
    }
    if let Some(node) = fields.take("price")
        && let Some(price) = price::read(&node, facts.mode, problems)
    {
        facts.price = Some(price);
    }
    facts
}

/// Reads `quality`: one score, or scores by task.
fn read_quality(node: &Node<'_>, problems: &mut Problems) -> Quality {
    let mut quality = Quality::default();
    if !node.value.is_object() {
        quality.general = read_score(node, problems);
        return quality;
    }
    let entries = node.entries(problems);
    if entries.is_empty() || entries.len() > MAX_TASKS {
        problems.say(
            &node.path,
            format_args!(
                "needs 1 to {MAX_TASKS} scores, such as {{ general: 0.7, classification: 0.95 }}"
            ),
        );
    }
    for (task, node) in entries.into_iter().take(MAX_TASKS) {
        let Some(score) = read_score(&node, problems) else { continue };
        match task {
            "general" => quality.general = Some(score),
            _ => quality.tasks.push((task.to_owned(), score)),
        }
    }
    quality
}

/// Reads a score from 0 to 1, in parts of a thousand.
pub(super) fn read_score(node: &Node<'_>, problems: &mut Problems) -> Option<u16> {
    node.number(0.0, 1.0, problems).map(|score| (score * 1000.0).round() as u16)
}

/// Reads `model`: what a deployment, an ARN or a name of one's own is in the catalogue, as `name` or
/// `family/name`. A bare name is one of the API's own family, or else of the only other that has it.
fn read_model(
    node: &Node<'_>,
    api: &Api,
    catalogue: &Catalogue,
    problems: &mut Problems,
) -> Option<Facts> {
    let text = node.text(problems)?;
    let families: Vec<&str> = catalogue.families().collect();
    let split = text.split_once('/').filter(|(family, _)| families.contains(family));
    let entry = |family: &str, name: &str| catalogue.entry(family, name).map(|(_, facts)| facts);
    let own = entry(api.family, text);
    let told = own.or_else(|| split.and_then(|(family, name)| entry(family, name)));
    let found: Vec<(&str, &Facts)> = match told {
        Some(facts) => vec![("", facts)],
        None => {
            families.iter().filter_map(|family| Some((*family, entry(family, text)?))).collect()
        }
    };
    match found.as_slice() {
        [(_, facts)] => {
            // What it costs to run a model oneself is not in the catalogue.
            let price = facts.price.clone().filter(|_| families.contains(&api.family));
            Some(Facts { price, ..(*facts).clone() })
        }
        [] => {
            // One that the provider only serves.
            if let Some(facts) = catalogue.find(api.family, text) {
                return Some(facts.clone());
            }
            let (of, name, among) = match split {
                Some((family, name)) => (format!(" of {family}"), name, vec![family]),
                None => (String::new(), text, families),
            };
            let known: Vec<&str> =
                among.iter().flat_map(|family| catalogue.models(family)).map(|(n, _)| n).collect();
            let hint = nearest(name, &known);
            problems.say(
                &node.path,
                format_args!("the catalogue has no model \"{name}\"{of}{hint}{SEE_CATALOGUE}"),
            );
            None
        }
        several => {
            let names: Vec<String> =
                several.iter().map(|(family, _)| format!("\"{family}/{text}\"")).collect();
            problems.say(
                &node.path,
                format_args!(
                    "several families have a model \"{text}\": write {}",
                    names.join(" or ")
                ),
            );
            None
        }
    }
}

/// Where to look, and what to do about a model that is not there.
const SEE_CATALOGUE: &str =
    " (`waypost catalog` lists what there is; leave the field out for a model that is not there)";

/// Reads a list of abilities that something asks for, so that one is named at least.
pub(super) fn read_needed(node: &Node<'_>, problems: &mut Problems) -> Capabilities {
    if node.value.as_array().is_some_and(Vec::is_empty) {
        problems.add(&node.path, "the list is empty and says nothing; remove it");
    }
    read_capabilities(node, problems)
}

/// Reads a list of abilities.
fn read_capabilities(node: &Node<'_>, problems: &mut Problems) -> Capabilities {
    let known = Capability::ALL.map(Capability::name);
    let mut capabilities = Capabilities::default();
    for node in node.list(problems) {
        let Some(word) = node.text(problems) else { continue };
        match Capability::ALL.into_iter().find(|known| known.name() == word) {
            Some(capability) => capabilities = capabilities.with(capability),
            None => problems.add(&node.path, unknown(word, &known)),
        }
    }
    capabilities
}

/// Reads `accepts`: which fields of a request the model takes.
fn read_parameters(node: &Node<'_>, parameters: &mut Parameters, problems: &mut Problems) {
    let mut fields = node.fields(problems);
    for (name, place) in [
        ("sampling_params", &mut parameters.sampling_params),
        ("sampling_with_effort_none", &mut parameters.sampling_with_effort_none),
        ("temperature_with_top_p", &mut parameters.temperature_with_top_p),
        ("penalties", &mut parameters.penalties),
        ("stop", &mut parameters.stop),
        ("tool_choice", &mut parameters.tool_choice),
        ("forced_tool_use", &mut parameters.forced_tool_use),
        ("tools_with_effort", &mut parameters.tools_with_effort),
        ("system_messages", &mut parameters.system_messages),
        ("mid_conversation_system", &mut parameters.mid_conversation_system),
        ("assistant_prefill", &mut parameters.assistant_prefill),
        ("adaptive_thinking", &mut parameters.adaptive_thinking),
        ("legacy_thinking", &mut parameters.legacy_thinking),
    ] {
        if let Some(node) = fields.take(name) {
            *place = node.flag(problems).unwrap_or(*place);
        }
    }
    if let Some(node) = fields.take("thinking_off") {
        let words = [
            ("disabled", ThinkingOff::Disabled),
            ("between_tools", ThinkingOff::BetweenTools),
            ("never", ThinkingOff::Never),
        ];
        parameters.thinking_off = node.word(&words, problems).unwrap_or(parameters.thinking_off);
    }
    if let Some(node) = fields.take("efforts") {
        let known = Effort::ALL.map(Effort::name);
        let mut efforts = Vec::new();
        for node in node.list(problems) {
            let Some(word) = node.text(problems) else { continue };
            match Effort::from_name(word) {
                Some(effort) => efforts.push(effort),
                None => problems.add(&node.path, unknown(word, &known)),
            }
        }
        parameters.efforts = Efforts::only(&efforts);
    }
    fields.finish(problems);
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::json;

    use super::*;
    use crate::config::Provider;
    use crate::config::provider::read_alone;
    use crate::providers::registry;

    fn models(api: &str, models: &serde_json::Value) -> Provider {
        let entry = json!({"models": models});
        read_alone(&entry, registry::find(api).unwrap(), &Catalogue::builtin()).unwrap()
    }

    #[test]
    fn a_model_is_the_same_under_whichever_name() {
        let provider = models(
            "openai",
            &json!({
                "gpt-4o-2024-08-06": {},
                "my-deployment": {"model": "gpt-4o"},
                "theirs": {"model": "anthropic/claude-haiku-4-5"},
                "unknown": {},
            }),
        );
        let names: Vec<(&str, &str)> =
            provider.models.iter().map(|model| (&*model.name, model.canonical())).collect();
        let expected = [
            ("gpt-4o-2024-08-06", "gpt-4o"),
            ("my-deployment", "gpt-4o"),
            ("theirs", "claude-haiku-4-5"),
            ("unknown", "unknown"),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn an_arn_can_be_a_claude_that_only_anthropic_lists() {
        let listed = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
        let provider = models("bedrock", &json!({"arn": {"model": listed}, listed: {}}));
        for name in ["arn", listed] {
            let model = provider.model(name).unwrap();
            assert_eq!(model.canonical(), "claude-sonnet-4-5");
            assert!(!model.facts.parameters.temperature_with_top_p && model.facts.price.is_none());
        }
    }

    #[test]
    fn what_is_said_replaces_the_facts_of_the_model_it_is() {
        let provider = models(
            "openai",
            &json!({"mine": {
                "model": "gpt-5", "context_window": 9000, "max_output_tokens": 100,
                "capabilities": ["tools"], "accepts": {"stop": false, "efforts": ["low"]},
                "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2,
                    "tiers": [{"above_input_tokens": 10, "input_usd_per_mtok": 3, "output_usd_per_mtok": 4, "cached_input_usd_per_mtok": 0.5}]},
            }}),
        );
        let facts = &provider.model("mine").unwrap().facts;
        assert_eq!((facts.context_window, facts.max_output), (Some(9000), Some(100)));
        assert_eq!(facts.capabilities.to_string(), "tools");
        assert!(!facts.parameters.stop && facts.parameters.penalties);
        assert_eq!(facts.parameters.efforts.nearest(Effort::High), Effort::Low);
        assert_eq!(facts.parameters.efforts.accepts(Effort::Max), Some(false));
        let price = facts.price.as_ref().unwrap();
        assert!(price.base.cached_input.is_none());
        let tier = price.rates(11);
        assert_eq!(tier.input.usd_per_mtok(), 3.0);
        assert_eq!(tier.cached_input.map(|rate| rate.usd_per_mtok()), Some(0.5));
    }

    #[test]
    fn a_model_that_only_embeds_is_one_for_embeddings() {
        let provider = models(
            "openai",
            &json!({"mine": {"capabilities": ["embeddings"], "vector_size": 768, "price": {"input_usd_per_mtok": 0.1}}}),
        );
        let facts = &provider.model("mine").unwrap().facts;
        assert_eq!((facts.mode, facts.vector_size), (Mode::Embedding, Some(768)));
        assert!(facts.price.is_some());
    }
}
