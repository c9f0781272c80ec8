//! Rules to candidates.

use super::decision::{BY_MODEL, Group, Plan, Question};
use super::rules::Seen;
use super::wishes::{Granted, MODELS_FIELD, RULE_HEADER, TARGET_HEADER};
use super::{Candidate, Skipped, require};
use crate::config::reader::nearest;
use crate::config::rule::{Choose, MAX_CANDIDATES, Rule, TargetId};
use crate::config::{Gateway, Provider};
use crate::openai::models::Listed;
use crate::openai::{Class, Error};
use crate::tenancy::May;

/// Evaluates the rules in order; the first that matches wins. Without one, the providers that
/// list the model are asked in the order of their names. What the client wishes for comes instead,
/// as far as the configuration allows it, and as far as it meets what that rule requires.
///
/// # Errors
/// A 404 that lists the models there are; a 400 for a wish that nothing answers to; a 403 for what the
/// tenant may not ask for, whether there is such a thing or not. That nobody meets
/// what the rule requires is an error of [`Plan::order`], so that it can be said of which plan.
pub fn plan(gateway: &Gateway, question: &Question<'_>) -> Result<Plan, Error> {
    let mut warnings = Vec::new();
    let may = question.may(gateway);
    let wishes = question.wishes.granted(gateway.clients_may, may, &mut warnings);
    let seen = Seen::new(gateway, question);
    let groups = groups(gateway, question.model, &wishes, &seen, may)?;
    let Groups { at, bound, groups } = groups;
    let rule = at.and_then(|at| gateway.rules.get(at));
    let mut plan = Plan {
        rule: rule.map_or(BY_MODEL, |rule| &rule.name).to_owned(),
        at,
        timeouts: rule.map_or(gateway.timeouts, |rule| rule.timeouts),
        warnings,
        bound,
        free: wishes.leads(),
        groups,
        ..Plan::default()
    };
    plan.gather(gateway, question, &seen);
    plan.input = seen.known_input();
    Ok(plan)
}

struct Groups {
    at: Option<usize>,
    bound: Option<usize>,
    groups: Vec<Group>,
}

/// Where the candidates come from: what the request itself leads to, or what the client wished for
/// instead; then the models that it lists, each as if it had been asked for.
fn groups(
    gateway: &Gateway,
    model: &str,
    wishes: &Granted<'_>,
    seen: &Seen<'_, '_>,
    may: Option<&May>,
) -> Result<Groups, Error> {
    // The name of the model says nothing to whom a wish leads elsewhere.
    let free = wishes.leads();
    let known = free || exists(gateway, model);
    let bound = if known { seen.rule(model) } else { None };
    let at = match wishes.rule {
        Some(name) => {
            may.map_or(Ok(()), |may| may.check_rule(name, RULE_HEADER))?;
            Some(rule_named(gateway, name)?)
        }
        None => bound,
    };
    let first = match wishes.target {
        Some(name) => {
            if let Some(may) = may
                && !name.split_once('/').is_some_and(|(of, model)| may.is_answered_by(of, model))
            {
                return Err(may.no_such_model(TARGET_HEADER));
            }
            let found = target_named(gateway, name, may);
            if let Some(may) = may {
                let rule_of = |at: Option<usize>| at.and_then(|at| gateway.rules.get(at));
                let named = |rule: Option<&Rule>| {
                    may.check_rule(rule.map_or(BY_MODEL, |rule| &rule.name), TARGET_HEADER)
                };
                let lists = |rule: &Rule| {
                    found.as_ref().is_ok_and(|found| rule.targets.iter().any(|one| one.is(*found)))
                };
                named(rule_of(at))?;
                // Beyond what that rule lists, the target is as good as asked for by its name.
                if !rule_of(at).is_some_and(lists) {
                    named(rule_of(seen.rule(name)))?;
                }
            }
            let target = found?;
            let also = model_of(gateway, target).and_then(|model| seen.rule(model));
            Some(Group { rule: at, also, targets: vec![target] })
        }
        None => {
            let first = group(gateway, model, at, seen);
            permitted(gateway, first, !free && asks_for(may, model), may, MODEL_FIELD)?
        }
    };
    let mut groups = vec![first.ok_or_else(|| no_such_model(gateway, may, model))?];
    for (place, model) in wishes.models.iter().enumerate() {
        let rule = if exists(gateway, model) { seen.rule(model) } else { None };
        let param = format!("{MODELS_FIELD}[{place}]");
        let group = group(gateway, model, rule, seen);
        let group = permitted(gateway, group, asks_for(may, model), may, &param)?;
        groups.push(group.ok_or_else(|| {
            no_such_model(gateway, may, model).with_param(param).with_status(400)
        })?);
    }
    Ok(Groups { at, bound, groups })
}

fn asks_for(may: Option<&May>, model: &str) -> bool {
    may.is_none_or(|may| may.asks_for(model))
}

/// Of a group what the tenant may have: all of it when it may ask for the name that led there, else
/// those targets that it may ask for themselves.
fn permitted(
    gateway: &Gateway,
    group: Option<Group>,
    by_name: bool,
    may: Option<&May>,
    param: &str,
) -> Result<Option<Group>, Error> {
    let Some(may) = may else { return Ok(group) };
    let mut group = group;
    if !by_name && let Some(group) = &mut group {
        group.targets.retain(|target| {
            let of = target.of(&gateway.providers);
            of.is_some_and(|(provider, model)| may.is_answered_by(&provider.name, &model.name))
        });
    }
    let Some(group) = group.filter(|group| !group.targets.is_empty()) else {
        return if by_name { Ok(None) } else { Err(may.no_such_model(param)) };
    };
    may.check_rule(group.rule(gateway).map_or(BY_MODEL, |rule| &rule.name), param)?;
    Ok(Some(group))
}

/// The targets of a rule, or without one those of the model itself.
fn group(
    gateway: &Gateway,
    model: &str,
    rule: Option<usize>,
    seen: &Seen<'_, '_>,
) -> Option<Group> {
    let targets = match rule.and_then(|at| gateway.rules.get(at)) {
        Some(rule) => {
            let most = if rule.choose == Choose::Static { 1 } else { rule.targets.len() };
            rule.targets.iter().take(most).copied().collect()
        }
        None => by_name(gateway, model).collect(),
    };
    let targets: Vec<TargetId> = targets;
    let mut names = targets.iter().filter(|_| rule.is_none()).filter_map(|target| {
        // Without its provider's name.
        model_of(gateway, *target).filter(|name| *name != model)
    });
    let also = names.find_map(|name| seen.rule(name));
    (!targets.is_empty()).then_some(Group { rule, also, targets })
}

fn model_of(gateway: &Gateway, target: TargetId) -> Option<&str> {
    Some(&target.of(&gateway.providers)?.1.name)
}

/// Whether a provider serves a model, or a rule speaks of it.
fn exists(gateway: &Gateway, model: &str) -> bool {
    let mut patterns = gateway.rules.iter().flat_map(|rule| &rule.when.models);
    by_name(gateway, model).next().is_some() || patterns.any(|pattern| pattern.matches(model))
}

/// The targets of a model, which may be written `model` or `provider/model`.
fn by_name<'g>(gateway: &'g Gateway, name: &'g str) -> impl Iterator<Item = TargetId> + 'g {
    gateway.providers.iter().enumerate().filter_map(move |(provider, known)| {
        let own = name.strip_prefix(&*known.name).and_then(|rest| rest.strip_prefix('/'));
        let model = known.models.iter().position(|m| m.name == name || own == Some(&*m.name))?;
        Some(TargetId { provider, model, weight: 1 })
    })
}

fn rule_named(gateway: &Gateway, name: &str) -> Result<usize, Error> {
    gateway.rules.iter().position(|rule| rule.name == name).ok_or_else(|| {
        let known: Vec<&str> = gateway.rules.iter().map(|rule| &*rule.name).collect();
        unknown_wish(RULE_HEADER, "rule", name, &known).with_code("unknown_rule")
    })
}

fn target_named(gateway: &Gateway, name: &str, may: Option<&May>) -> Result<TargetId, Error> {
    let (provider, model) = name.split_once('/').unwrap_or_default();
    let at = gateway.providers.iter().position(|known| known.name == provider);
    let models = at.and_then(|at| gateway.providers.get(at)).map_or(&[][..], |found| &found.models);
    match (at, models.iter().position(|known| known.name == model)) {
        (Some(provider), Some(model)) => Ok(TargetId { provider, model, weight: 1 }),
        _ => {
            let all = |known: &Provider| {
                let models = known.models.iter().filter(|model| answers(may, known, &model.name));
                models.map(|model| format!("{}/{}", known.name, model.name)).collect::<Vec<_>>()
            };
            let known: Vec<String> = gateway.providers.iter().flat_map(all).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            Err(unknown_wish(TARGET_HEADER, "target", name, &known).with_code("unknown_target"))
        }
    }
}

fn unknown_wish(header: &str, what: &str, name: &str, known: &[&str]) -> Error {
    let name = shorten(name);
    let hint = nearest(&name, known);
    Error::invalid(header, format!("{header}: there is no {what} '{name}'{hint}"))
}

impl Plan {
    /// Makes each endpoint of each target a candidate that has what the rules require.
    fn gather(&mut self, gateway: &Gateway, question: &Question<'_>, seen: &Seen<'_, '_>) {
        let groups = std::mem::take(&mut self.groups);
        for (at, group) in groups.iter().enumerate() {
            let rules = require::rules(gateway, self.bound, group);
            for (place, target) in group.targets.iter().enumerate() {
                let same = |known: &TargetId| known.is(*target);
                let earlier = groups.iter().take(at).flat_map(|group| &group.targets);
                if earlier.chain(group.targets.iter().take(place)).any(same) {
                    continue;
                }
                for candidate in endpoints(gateway, *target) {
                    let Some(found) = candidate.resolve(gateway) else { continue };
                    let lack = rules.clone().find_map(|rule| {
                        let why = require::lack(&rule.require, &found, seen, question)?;
                        Some((why, &rule.require))
                    });
                    match lack {
                        Some((why, require)) => {
                            let reason = require::reason(why, require, &found);
                            self.skipped.push(Skipped::new(candidate, why, &reason));
                        }
                        None => self.candidates.push(candidate),
                    }
                }
            }
        }
        self.candidates.truncate(MAX_CANDIDATES);
        self.groups = groups;
    }
}

fn endpoints(gateway: &Gateway, target: TargetId) -> impl Iterator<Item = Candidate> + use<> {
    let TargetId { provider, model, .. } = target;
    let count = gateway.providers.get(provider).map_or(0, |provider| provider.endpoints.len());
    (0..count).map(move |endpoint| Candidate { provider, model, endpoint })
}

fn answers(may: Option<&May>, provider: &Provider, model: &str) -> bool {
    may.is_none_or(|may| may.is_answered_by(&provider.name, model))
}

/// Every model that a client can ask for, without doubles: those that rules name, then each
/// provider's.
#[must_use]
pub fn models(gateway: &Gateway, may: Option<&May>) -> Vec<Listed> {
    let mut listed: Vec<Listed> = Vec::new();
    let mut add = |id: &str, owned_by: &str| {
        if !listed.iter().any(|known| known.id == id) {
            listed.push(Listed { id: id.to_owned(), owned_by: owned_by.to_owned() });
        }
    };
    for provider in &gateway.providers {
        for model in provider.models.iter().filter(|model| answers(may, provider, &model.name)) {
            add(&model.name, &provider.name);
        }
    }
    for pattern in gateway.rules.iter().flat_map(|rule| &rule.when.models) {
        if pattern.is_exact() && asks_for(may, pattern.as_str()) {
            add(pattern.as_str(), "waypost");
        }
    }
    listed
}

/// Where a request names its model.
const MODEL_FIELD: &str = "model";

/// Most models that the error names.
const MAX_NAMED: usize = 30;

/// Longest name that an error repeats, in characters; comparing a longer one with those there are
/// would take long, too.
const MAX_SHOWN: usize = 80;

fn shorten(name: &str) -> String {
    name.chars().take(MAX_SHOWN).collect()
}

/// The error for a model that nobody serves.
#[must_use]
pub fn no_such_model(gateway: &Gateway, may: Option<&May>, model: &str) -> Error {
    let all = models(gateway, may);
    let known: Vec<&str> = all.iter().map(|listed| &*listed.id).collect();
    let shown: Vec<&str> = known.iter().copied().take(MAX_NAMED).collect();
    let more = if known.len() > MAX_NAMED { ", …; see /v1/models" } else { "" };
    let model = shorten(model);
    let hint = nearest(&model, &known);
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

    use std::rc::Rc;

    use serde_json::json;

    use super::*;
    use crate::config::Config;
    use crate::config::rule::Operation;
    use crate::tenancy::Caller;

    fn gateway() -> Gateway {
        let config = Config::read(&json!({
            "role": "gateway", "identity": [{"headers": {"tenant": "x-tenant"}}], "others": "all", "anonymous": "all", "tenants": {"all": {}},
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
        let caller = header("x-tenant").map(|name| Rc::new(Caller::anonymous(&name.into(), 0)));
        let question = Question {
            caller: caller.as_ref(),
            ..Question::new(Operation::Chat, model, stream, &header)
        };
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
