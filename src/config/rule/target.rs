//! Who may answer.

use super::MAX_CANDIDATES;
use crate::config::model::Model;
use crate::config::provider::Provider;
use crate::config::reader::{Node, Problems, nearest};
use crate::providers::catalogue::Capability;

/// The highest weight of a target.
const MAX_WEIGHT: u64 = 1_000_000;

/// A model of a provider, by their places in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetId {
    /// In `Gateway::providers`.
    pub provider: usize,
    /// In that provider's `models`.
    pub model: usize,
    /// Its share in a canary rule, relative to the others'; 1 where none is said.
    pub weight: u32,
}

impl TargetId {
    /// Whether it is the same model of the same provider, whatever its weight.
    #[must_use]
    pub const fn is(self, other: Self) -> bool {
        self.provider == other.provider && self.model == other.model
    }

    /// The provider and the model.
    #[must_use]
    pub fn of(self, providers: &[Provider]) -> Option<(&Provider, &Model)> {
        let provider = providers.get(self.provider)?;
        Some((provider, provider.models.get(self.model)?))
    }
}

/// The targets of a rule, as written.
pub(super) struct Targets<'a> {
    /// The list's path.
    pub path: String,
    /// Those that were understood.
    pub list: Vec<TargetId>,
    /// Where each of them stands.
    pub nodes: Vec<Node<'a>>,
    /// The weights that are said.
    pub weights: Vec<Node<'a>>,
    /// Whether all were understood.
    pub whole: bool,
    /// How many endpoints they have together.
    pub candidates: usize,
}

/// Reads `targets`.
pub(super) fn read<'a>(
    node: &Node<'a>,
    providers: &[Provider],
    problems: &mut Problems,
) -> Targets<'a> {
    let nodes = node.list(problems);
    if nodes.is_empty() && node.value.is_array() {
        problems.add(&node.path, "a rule needs at least one target, such as \"openai/gpt-4o\"");
    }
    let mut targets = Targets {
        path: node.path.clone(),
        list: Vec::new(),
        nodes: Vec::new(),
        weights: Vec::new(),
        whole: false,
        candidates: 0,
    };
    let mut said = 0;
    for node in nodes {
        said += 1;
        let Some((target, named)) = read_one(&node, &mut targets.weights, providers, problems)
        else {
            continue;
        };
        if targets.list.iter().any(|known| known.is(target)) {
            let text = named.value.as_str().unwrap_or_default();
            problems.say(&named.path, format_args!("\"{text}\" stands above already"));
        } else {
            targets.list.push(target);
            targets.nodes.push(named);
        }
    }
    targets.whole = said > 0 && targets.list.len() == said;
    if targets.whole {
        check_vectors(&targets.nodes, &targets.list, providers, problems);
    }
    let endpoints =
        |target: &TargetId| providers.get(target.provider).map_or(0, |at| at.endpoints.len());
    targets.candidates = targets.list.iter().map(endpoints).sum();
    if targets.candidates > MAX_CANDIDATES {
        problems.say(
            &targets.path,
            format_args!(
                "{} candidates (endpoints of all targets); at most {MAX_CANDIDATES} are tried",
                targets.candidates
            ),
        );
    }
    targets
}

/// Reads `provider/model`, or that with a weight; the target, and where its name stands.
fn read_one<'a>(
    node: &Node<'a>,
    weights: &mut Vec<Node<'a>>,
    providers: &[Provider],
    problems: &mut Problems,
) -> Option<(TargetId, Node<'a>)> {
    if !node.value.is_object() {
        return Some((resolve(node, providers, problems)?, node.clone()));
    }
    let mut fields = node.fields(problems);
    let named = fields.need("target", problems);
    let weight = fields.take("weight").and_then(|node| {
        let weight = node.whole(1, MAX_WEIGHT, problems);
        weights.push(node);
        weight
    });
    fields.finish(problems);
    let named = named?;
    let target = resolve(&named, providers, problems)?;
    let weight = weight.and_then(|weight| u32::try_from(weight).ok()).unwrap_or(1);
    Some((TargetId { weight, ..target }, named))
}

/// The target of that name, `provider/model`.
pub(super) fn resolve(
    node: &Node<'_>,
    providers: &[Provider],
    problems: &mut Problems,
) -> Option<TargetId> {
    let text = node.text(problems)?;
    // A model's name may hold slashes, a provider's may not.
    let Some((provider, model)) = text.split_once('/') else {
        problems.say(&node.path, format_args!("\"{text}\" is not of the form \"provider/model\""));
        return None;
    };
    let Some(at) = providers.iter().position(|known| known.name == provider) else {
        let known: Vec<&str> = providers.iter().map(|provider| &*provider.name).collect();
        problems.say(
            &node.path,
            format_args!(
                "there is no provider \"{provider}\"{} (there are: {})",
                nearest(provider, &known),
                known.join(", ")
            ),
        );
        return None;
    };
    let models = providers.get(at).map_or(&[][..], |provider| &provider.models);
    let Some(model_at) = models.iter().position(|known| known.name == model) else {
        let known: Vec<&str> = models.iter().map(|model| &*model.name).collect();
        problems.say(
            &node.path,
            format_args!(
                "\"{provider}\" has no model \"{model}\"{} (it has: {})",
                nearest(model, &known),
                known.join(", ")
            ),
        );
        return None;
    };
    Some(TargetId { provider: at, model: model_at, weight: 1 })
}

/// Reports targets whose vectors cannot stand in for those of the first: they are of another model,
/// so no request for vectors is ever passed on to them.
fn check_vectors(
    nodes: &[Node<'_>],
    targets: &[TargetId],
    providers: &[Provider],
    problems: &mut Problems,
) {
    let model = |target: &TargetId| {
        let model = providers.get(target.provider)?.models.get(target.model)?;
        let embeds = model.facts.known && model.facts.capabilities.has(Capability::Embeddings);
        embeds.then_some(model)
    };
    let mut first = None;
    for (target, node) in targets.iter().zip(nodes) {
        let Some(model) = model(target) else { continue };
        let first = *first.get_or_insert(model);
        if first.canonical() != model.canonical() {
            problems.say(&node.path, format_args!(
                    "never takes over from \"{}\": vectors of different models cannot be compared; give \"{}\" a rule of its own",
                    first.name, model.name
                ));
        }
    }
}
