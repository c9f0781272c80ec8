//! An entry of `providers`: which API, where, and what becomes of parameters.

use super::health::{self, Probe};
use super::model::{self, Model};
use super::reader::{Node, Problem, Problems, unknown};
use super::tenancy;
use crate::health::{Breaker, Slot};
use crate::openai::value::Value;
use crate::providers::catalogue::Catalogue;
use crate::providers::registry::{self, Api};
use crate::providers::{Base, Policy, Settings, Target};
use crate::tenancy::Terms;

/// Most endpoints of a provider.
pub const MAX_ENDPOINTS: usize = 16;

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
    /// In which order its endpoints are asked.
    pub balance: Balance,
    /// Most attempts at a time at each of its endpoints, over all workers.
    pub max_concurrency: Option<u32>,
    /// When its breakers open and close.
    pub breaker: Breaker,
    /// Whether it is asked without being asked for, to know how it does.
    pub probe: Option<Probe>,
    /// Whether it is told to which trace a request belongs.
    pub trace_context: bool,
    /// What it serves.
    pub models: Vec<Model>,
    /// How much may be spent there; then it is not asked.
    pub terms: Terms,
}

/// In which order the endpoints of a provider are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The one with the fewest attempts in flight first.
    LeastRequests,
    /// Each in proportion to how quick it is, 1/p50.
    Latency,
}

const BALANCES: [(&str, Balance); 3] = [
    ("round_robin", Balance::RoundRobin),
    ("least_requests", Balance::LeastRequests),
    ("latency", Balance::Latency),
];

/// An Envoy cluster that reaches the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The cluster's name.
    pub cluster: String,
    /// Where the provider computes, for rules that ask for it.
    pub region: Option<String>,
    /// Its place in the fleet, and the place of its first model there: see [`crate::health::Slot`].
    pub slot: Slot,
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

    /// Where the API is when no `base_url` says otherwise.
    #[must_use]
    pub fn own_base(&self) -> Option<Base> {
        Base::parse(&self.api.base_url.resolve(&self.settings).ok()?)
    }

    /// Whether it has a list of models that can be asked for.
    fn lists_models(&self) -> bool {
        let first = self.models.first();
        first.is_some_and(|model| self.api.dialect.models(&self.target(model)).is_some())
    }

    /// The model of that name.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == name)
    }
}

/// What holds where an entry says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Defaults {
    /// What happens to parameters it does not take.
    pub policy: Policy,
    /// When its breakers open and close.
    pub breaker: Breaker,
}

/// Reads one entry.
pub fn read(
    name: &str,
    node: &Node<'_>,
    catalogue: &Catalogue,
    defaults: Defaults,
    problems: &mut Problems,
) -> Option<Provider> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-' || b == b'.';
    if name.is_empty() || !name.bytes().all(plain) {
        problems.add(&node.path, "a provider's name is letters, digits, '.', '_' and '-'");
    }
    read_entry(name, node, None, catalogue, defaults, problems)
}

/// Reads an entry that stands alone, for a request to `api` that no rule has led there: `api`,
/// `endpoints` and `models` may be missing, and the provider has the API's name.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_alone(
    entry: &serde_json::Value,
    api: &'static Api,
    catalogue: &Catalogue,
) -> Result<Provider, Vec<Problem>> {
    let mut problems = Problems::default();
    let entry = Value::from(entry);
    let node = Node::root(&entry);
    let defaults = Defaults::default();
    match read_entry(api.name, &node, Some(api), catalogue, defaults, &mut problems) {
        Some(provider) if problems.is_empty() => Ok(provider),
        _ => Err(problems.into_vec()),
    }
}

/// `alone` is the API of an entry that stands alone.
fn read_entry(
    name: &str,
    node: &Node<'_>,
    alone: Option<&'static Api>,
    catalogue: &Catalogue,
    defaults: Defaults,
    problems: &mut Problems,
) -> Option<Provider> {
    let mut fields = node.fields(problems);
    let mut field = |name, problems: &mut Problems| match alone {
        Some(_) => fields.take(name),
        None => fields.need(name, problems),
    };
    let api = match field("api", problems) {
        Some(node) => read_api(&node, alone, problems),
        None => alone,
    };
    let endpoints = field("endpoints", problems).map(|node| read_endpoints(&node, problems));
    let models = field("models", problems);
    let policy = match fields.take("parameters") {
        Some(node) => read_policy(&node, defaults.policy, problems),
        None => defaults.policy,
    };
    let balance = fields.take("balance").and_then(|node| node.word(&BALANCES, problems));
    let max_concurrency = fields.take("max_concurrency").and_then(|node| node.count(problems));
    let breaker = match fields.take("breaker") {
        Some(node) => health::read_breaker(&node, defaults.breaker, problems),
        None => defaults.breaker,
    };
    let probe = fields.take("probe");
    let budget = fields.take("budget").map(|node| tenancy::terms::read_cap(&node, problems));
    let trace_context = fields.take("trace_context").and_then(|node| node.flag(problems));
    let base_url = fields.take("base_url");
    // Without the API its settings are not known, and each would be called unknown.
    let api = api?;
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
    for setting in api.settings.iter().filter(|setting| setting.required) {
        if settings.value(setting.name).is_none() {
            if alone.is_some() {
                // On the command line an entry may be missing; the path shows what belongs there.
                settings.0.push((setting.name, setting.name.to_ascii_uppercase()));
            } else if !node.has(setting.name) {
                problems.say(
                    &node.path,
                    format_args!("the API \"{}\" needs \"{}\"", api.name, setting.name),
                );
            }
        }
    }
    let base = match base_url {
        Some(node) => node.text(problems).and_then(|url| {
            let base = Base::parse(url);
            if base.is_none() {
                problems.add(&node.path, "must be a URL such as \"https://api.example.com/v1\"");
            }
            base
        }),
        None => match api.base_url.resolve(&settings) {
            Ok(url) => {
                let base = Base::parse(&url);
                if base.is_none() {
                    problems.say(
                        &node.path,
                        format_args!("the settings give {url:?}, which is no URL"),
                    );
                }
                base
            }
            Err(_) if alone.is_some() => Base::parse("https://localhost"),
            Err(missing) if node.has(missing) => None,
            Err(missing) => {
                problems.say(
                    &node.path,
                    format_args!("the API \"{}\" needs \"{missing}\", or a \"base_url\"", api.name),
                );
                None
            }
        },
    };
    fields.finish(problems);
    let models = models.map(|node| model::read(&node, api, catalogue, problems));
    let may_miss = alone.is_some();
    let mut provider = Provider {
        name: name.to_owned(),
        api,
        base: base?,
        settings,
        policy,
        balance: balance.unwrap_or_default(),
        max_concurrency,
        breaker,
        probe: None,
        terms: Terms { budget, ..Terms::default() },
        trace_context: trace_context.unwrap_or(false),
        endpoints: endpoints.or_else(|| may_miss.then(Vec::new))?,
        models: models.or_else(|| may_miss.then(Vec::new))?,
    };
    provider.probe = probe.and_then(|node| {
        health::read_probe(&node, api, &provider.models, provider.lists_models(), problems)
    });
    Some(provider)
}

fn read_api(
    node: &Node<'_>,
    wanted: Option<&'static Api>,
    problems: &mut Problems,
) -> Option<&'static Api> {
    let word = node.text(problems)?;
    let api = registry::find(word);
    match (api, wanted) {
        (None, _) => problems.add(&node.path, unknown(word, &registry::names())),
        (Some(api), Some(wanted)) if api.name != wanted.name => problems.say(
            &node.path,
            format_args!("is \"{word}\", but the API that is spoken here is \"{}\"", wanted.name),
        ),
        _ => {}
    }
    api
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
        problems.say(
            &node.path,
            format_args!("a provider has 1 to {MAX_ENDPOINTS} endpoints, one Envoy cluster each"),
        );
    }
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for node in nodes.iter().take(MAX_ENDPOINTS) {
        let mut fields = node.fields(problems);
        let cluster = fields.need("cluster", problems).and_then(|node| node.text(problems));
        let region = fields.take("region").and_then(|node| node.text(problems));
        fields.finish(problems);
        let Some(cluster) = cluster else { continue };
        if endpoints.iter().any(|endpoint| endpoint.cluster == cluster) {
            problems.say(&node.path, format_args!("the cluster \"{cluster}\" is listed twice"));
            continue;
        }
        endpoints.push(Endpoint {
            cluster: cluster.to_owned(),
            region: region.map(str::to_owned),
            slot: Slot::default(),
        });
    }
    endpoints
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::json;

    use super::*;
    use crate::providers::catalogue::Capability;

    fn alone(entry: &serde_json::Value) -> Result<Provider, Vec<String>> {
        read_alone(entry, registry::find("anthropic").unwrap(), &Catalogue::builtin())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_empty_entry_alone_means_the_defaults_of_the_api() {
        let provider = alone(&json!({})).unwrap();
        assert_eq!(provider.base.authority, "api.anthropic.com");
        assert_eq!((provider.settings, provider.policy), (Settings::default(), Policy::default()));
        assert_eq!((provider.endpoints, provider.models.len()), (Vec::new(), 0));
    }

    #[test]
    fn an_entry_of_a_configuration_is_one_alone_too() {
        let entry = json!({
            "api": "anthropic", "base_url": "http://127.0.0.1:8080/x/",
            "endpoints": [{"cluster": "c"}], "models": {"m": {"max_output_tokens": 7}},
            "parameters": {"unsupported": "drop", "out_of_range": "reject"},
            "anthropic_version": "2023-06-01",
        });
        let mut problems = Problems::default();
        let catalogue = Catalogue::builtin();
        let written = Value::from(&entry);
        let node = Node::root(&written);
        let listed = read("anthropic", &node, &catalogue, Defaults::default(), &mut problems);
        for provider in [alone(&entry).unwrap(), listed.unwrap()] {
            assert_eq!(
                provider.base,
                Base { authority: "127.0.0.1:8080".into(), path: "/x".into() }
            );
            assert_eq!(provider.settings.value("anthropic_version"), Some("2023-06-01"));
            assert_eq!(
                provider.policy,
                Policy { drop_unsupported: true, reject_out_of_range: true }
            );
            assert_eq!(provider.model("m").unwrap().facts.max_output, Some(7));
            assert_eq!(provider.endpoints.len(), 1);
        }
        assert!(problems.is_empty());
    }

    #[test]
    fn a_model_is_known_by_the_catalogue_or_by_the_capabilities_a_user_gives() {
        let all = Capability::ALL.map(Capability::name);
        let provider = alone(&json!({"models": {
            "mine": {}, "told": {"capabilities": all}, "long": {"context_window": 9},
            "claude-sonnet-4-5": {},
        }}))
        .unwrap();
        let known: Vec<(&str, bool)> =
            provider.models.iter().map(|model| (&*model.name, model.facts.known)).collect();
        let expected =
            [("claude-sonnet-4-5", true), ("long", false), ("mine", false), ("told", true)];
        assert_eq!(known, expected);
    }

    #[test]
    fn everything_wrong_with_an_entry_alone_is_told_at_once() {
        let wrong = json!({
            "api": "openai", "base_url": 7, "endpoints": [], "models": {},
            "parameters": {"unsuported": "drop", "out_of_range": "clmp"}, "credentials": [{"env": "K"}],
            "organization": "o",
        });
        let told = alone(&wrong).unwrap_err();
        for said in [
            "api: is \"openai\", but the API that is spoken here is \"anthropic\"",
            "base_url: must be a text, but is 7",
            "parameters.out_of_range: \"clmp\" is not one of clamp, reject; did you mean \"clamp\"?",
            "parameters.unsuported: there is no such field here; did you mean \"unsupported\"?",
            "credentials: there is no such field here",
            "endpoints: a provider has 1 to 16 endpoints",
            "models: a provider serves at least one model",
        ] {
            assert!(told.iter().any(|line| line.starts_with(said)), "{said}: {told:#?}");
        }
    }

    #[test]
    fn a_word_that_is_none_is_told_with_the_nearest() {
        for (entry, said) in [
            (json!({"api": "antropic"}), "did you mean \"anthropic\"?"),
            (json!({"base_ulr": "https://x"}), "did you mean \"base_url\"?"),
            (json!({"anthropic_versoin": "auto"}), "did you mean \"anthropic_version\"?"),
            (json!({"anthropic_version": "2023-06-02"}), "did you mean \"2023-06-01\"?"),
            (json!({"organization": "o"}), "organization: there is no such field here"),
            (json!({"base_url": "host"}), "base_url: must be a URL"),
            (json!([]), "must be an object, but is []"),
        ] {
            let told = alone(&entry).unwrap_err();
            assert!(told.concat().contains(said), "{entry}: {told:?}");
        }
    }
}
