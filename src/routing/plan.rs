//! Rules to candidates.

use std::borrow::Cow;

use super::{Candidate, Skipped};
use crate::config::rule::{Choose, Expression, MAX_CANDIDATES, Operation, Timeouts};
use crate::config::{Gateway, Rule, When};
use crate::health::{Millis, Slot, Standing};
use crate::openai::models::Listed;
use crate::openai::{Class, Error};
use crate::providers::catalogue::Capabilities;

/// What rules can see of a request.
pub struct Question<'a> {
    /// What is asked for.
    pub operation: Operation,
    /// The model asked for.
    pub model: &'a str,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// The value of a request header, by its name in lower case.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The text of a member of the body's `metadata`.
    pub metadata: &'a dyn Fn(&str) -> Option<Cow<'a, str>>,
    /// The body's `user`.
    pub user: Option<&'a str>,
    /// Tokens of input, estimated.
    pub input_tokens: u64,
    /// Most tokens of output, where the request says so.
    pub output_tokens: Option<u64>,
    /// What the request needs of a model.
    pub capabilities: Capabilities,
    /// What Envoy says of an expression.
    pub cel: &'a dyn Fn(&Expression) -> bool,
    /// What the client asks for beside a model, as far as it may.
    pub wishes: Wishes<'a>,
}

impl<'a> Question<'a> {
    /// A request of which only this is known.
    #[must_use]
    pub fn new(
        operation: Operation,
        model: &'a str,
        stream: bool,
        header: &'a dyn Fn(&str) -> Option<&'a str>,
    ) -> Self {
        Self {
            operation,
            model,
            stream,
            header,
            metadata: &|_| None,
            user: None,
            input_tokens: 0,
            output_tokens: None,
            capabilities: Capabilities::default(),
            cel: &|_| false,
            wishes: Wishes::default(),
        }
    }
}

/// What a client asks for beside a model; see [`ClientsMay`](crate::config::gateway::ClientsMay).
#[derive(Clone, Debug, Default)]
pub struct Wishes<'a> {
    /// Another rule's targets.
    pub rule: Option<&'a str>,
    /// One target, as `provider/model`.
    pub target: Option<&'a str>,
    /// These models in this order, after the one asked for.
    pub models: Vec<Cow<'a, str>>,
}

/// What a decision needs of the world.
pub struct Moment<'a> {
    /// When it is made.
    pub now: Millis,
    /// Any number; another one for each decision.
    pub random: u64,
    /// How a target stands.
    pub standing: &'a dyn Fn(Slot) -> Standing,
}

/// Who may answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The rule's name; `model` when no rule matched and the model's own providers answer.
    pub rule: String,
    /// In the order in which they are asked; at least one.
    pub candidates: Vec<Candidate>,
    /// Those that were left out, or moved to the end.
    pub skipped: Vec<Skipped>,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// The name of the plan for a request that no rule takes.
pub const BY_MODEL: &str = "model";

/// Evaluates the rules in order; the first that matches wins. Without one, the providers that
/// list the model are asked in the order of their names.
///
/// # Errors
/// A 404 that lists the models there are.
pub fn plan(gateway: &Gateway, question: &Question<'_>) -> Result<Plan, Error> {
    let named = by_name(gateway, question.model);
    let known = !named.is_empty()
        || gateway
            .rules
            .iter()
            .flat_map(|rule| &rule.when.models)
            .any(|pattern| pattern.matches(question.model));
    if known {
        let tenant = gateway.tenant_header.as_deref().and_then(|name| (question.header)(name));
        let matching = gateway.rules.iter().find(|rule| matches(&rule.when, question, tenant));
        if let Some(rule) = matching {
            return Ok(Plan {
                rule: rule.name.clone(),
                candidates: candidates(gateway, rule),
                skipped: Vec::new(),
                timeouts: rule.timeouts,
            });
        }
        if !named.is_empty() {
            let rule = BY_MODEL.to_owned();
            return Ok(Plan {
                rule,
                candidates: named,
                skipped: Vec::new(),
                timeouts: gateway.timeouts,
            });
        }
    }
    Err(no_such_model(gateway, question.model))
}

fn matches(when: &When, question: &Question<'_>, tenant: Option<&str>) -> bool {
    (when.models.is_empty() || when.models.iter().any(|p| p.matches(question.model)))
        && when.stream.is_none_or(|stream| stream == question.stream)
        && (when.tenants.is_empty()
            || tenant.is_some_and(|tenant| when.tenants.iter().any(|p| p.matches(tenant))))
        && when.headers.iter().all(|(name, values)| {
            (question.header)(name)
                .is_some_and(|value| values.iter().any(|pattern| pattern.matches(value)))
        })
}

fn candidates(gateway: &Gateway, rule: &Rule) -> Vec<Candidate> {
    let take = match rule.choose {
        Choose::Static => 1,
        _ => rule.targets.len(),
    };
    rule.targets
        .iter()
        .take(take)
        .flat_map(|target| endpoints(gateway, target.provider, target.model))
        .take(MAX_CANDIDATES)
        .collect()
}

fn endpoints(
    gateway: &Gateway,
    provider: usize,
    model: usize,
) -> impl Iterator<Item = Candidate> + use<> {
    let count = gateway.providers.get(provider).map_or(0, |provider| provider.endpoints.len());
    (0..count).map(move |endpoint| Candidate { provider, model, endpoint })
}

/// The providers of a model, which may be written `model` or `provider/model`.
fn by_name(gateway: &Gateway, name: &str) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (at, provider) in gateway.providers.iter().enumerate() {
        let own = name.strip_prefix(&*provider.name).and_then(|rest| rest.strip_prefix('/'));
        let model = provider.models.iter().position(|m| m.name == name || own == Some(&*m.name));
        if let Some(model) = model {
            found.extend(endpoints(gateway, at, model));
        }
    }
    found.truncate(MAX_CANDIDATES);
    found
}

/// Every model that a client can ask for, without doubles: those that rules name, then each
/// provider's.
#[must_use]
pub fn models(gateway: &Gateway) -> Vec<Listed> {
    let mut listed: Vec<Listed> = Vec::new();
    let mut add = |id: &str, owned_by: &str| {
        if !listed.iter().any(|known| known.id == id) {
            listed.push(Listed { id: id.to_owned(), owned_by: owned_by.to_owned() });
        }
    };
    for provider in &gateway.providers {
        for model in &provider.models {
            add(&model.name, &provider.name);
        }
    }
    for pattern in gateway.rules.iter().flat_map(|rule| &rule.when.models) {
        if pattern.is_exact() {
            add(pattern.as_str(), "waypost");
        }
    }
    listed
}

/// Most models that the error names.
const MAX_NAMED: usize = 30;

/// The error for a model that nobody serves.
#[must_use]
pub fn no_such_model(gateway: &Gateway, model: &str) -> Error {
    let all = models(gateway);
    let known: Vec<&str> = all.iter().map(|listed| &*listed.id).collect();
    let shown: Vec<&str> = known.iter().copied().take(MAX_NAMED).collect();
    let more = if known.len() > MAX_NAMED { ", …; see /v1/models" } else { "" };
    let hint = crate::config::reader::nearest(model, &known);
    let model: String = model.chars().take(80).collect();
    Error::new(
        Class::NotFound,
        format!(
            "The model '{model}' does not exist{hint} Models here: {}{more}.",
            shown.join(", ")
        )
        .replace("exist Models", "exist. Models"),
    )
    .with_param("model")
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::json;

    use super::*;
    use crate::config::Config;

    fn gateway() -> Gateway {
        let config = Config::read(&json!({
            "role": "gateway",
            "tenant_header": "x-tenant",
            "providers": {
                "a": {"api": "openai", "endpoints": [{"cluster": "a1"}, {"cluster": "a2"}], "models": {"gpt-4o": {}, "gpt-4o-mini": {}}},
                "b": {"api": "anthropic", "endpoints": [{"cluster": "b"}], "models": {"claude-sonnet-4-5": {}}},
                "c": {"api": "openai", "endpoints": [{"cluster": "c"}], "models": {"gpt-4o": {}}},
            },
            "rules": [
                {"name": "streams-of-acme", "when": {"tenant": "acme", "stream": true}, "targets": ["c/gpt-4o"]},
                {"name": "header", "when": {"headers": {"x-class": ["phi", "pii-*"]}}, "targets": ["b/claude-sonnet-4-5"]},
                {"name": "alias", "when": {"model": "fast"}, "choose": "failover", "targets": ["b/claude-sonnet-4-5", "a/gpt-4o-mini"]},
                {"name": "claude", "when": {"model": "claude-*"}, "targets": ["b/claude-sonnet-4-5", "a/gpt-4o"], "timeouts": {"idle": "5s"}},
            ],
        }));
        match config {
            Ok(Config::Gateway(gateway)) => *gateway,
            other => panic!("{other:?}"),
        }
    }

    fn ask(
        model: &str,
        stream: bool,
        headers: &[(&str, &str)],
    ) -> Result<(String, Vec<String>), Error> {
        let gateway = gateway();
        let owned: Vec<(String, String)> =
            headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let header = |name: &str| -> Option<&str> {
            owned.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
        };
        let question = Question::new(Operation::Chat, model, stream, &header);
        let plan = plan(&gateway, &question)?;
        let names = plan
            .candidates
            .iter()
            .map(|candidate| {
                let found = candidate.resolve(&gateway).unwrap();
                format!("{}/{}", found.endpoint.cluster, found.model.name)
            })
            .collect();
        Ok((plan.rule, names))
    }

    #[test]
    fn the_first_rule_that_matches_wins() {
        assert_eq!(ask("fast", false, &[]).unwrap().0, "alias");
        assert_eq!(ask("fast", false, &[("x-class", "pii-eu")]).unwrap().0, "header");
        assert_eq!(
            ask("fast", true, &[("x-tenant", "acme"), ("x-class", "phi")]).unwrap().0,
            "streams-of-acme"
        );
        assert_eq!(ask("fast", false, &[("x-tenant", "acme")]).unwrap().0, "alias");
        assert_eq!(ask("fast", false, &[("x-class", "other")]).unwrap().0, "alias");
    }

    #[test]
    fn every_endpoint_of_a_target_is_a_candidate() {
        assert_eq!(
            ask("fast", false, &[]).unwrap().1,
            ["b/claude-sonnet-4-5", "a1/gpt-4o-mini", "a2/gpt-4o-mini"]
        );
    }

    #[test]
    fn without_a_rule_the_models_own_providers_answer() {
        let (rule, candidates) = ask("gpt-4o", false, &[]).unwrap();
        assert_eq!(rule, BY_MODEL);
        assert_eq!(candidates, ["a1/gpt-4o", "a2/gpt-4o", "c/gpt-4o"]);
        assert_eq!(ask("c/gpt-4o", false, &[]).unwrap().1, ["c/gpt-4o"]);
    }

    #[test]
    fn an_unknown_model_is_told_which_there_are() {
        let error = ask("gpt-4oo", false, &[("x-class", "phi")]).unwrap_err();
        assert_eq!((error.status, error.code.as_deref()), (404, Some("model_not_found")));
        assert_eq!(error.param.as_deref(), Some("model"));
        assert_eq!(
            error.message,
            "The model 'gpt-4oo' does not exist; did you mean \"gpt-4o\"? Models here: gpt-4o, gpt-4o-mini, claude-sonnet-4-5, fast."
        );
    }
}
