//! What a rule requires of whoever answers. It holds whatever a client asks for and whoever is down.

use super::decision::{BY_MODEL, Group, Plan, Question};
use super::rules::Seen;
use super::strategy::{latency, quality};
use super::{Candidate, Resolved, Skipped, Why};
use crate::config::Gateway;
use crate::config::rule::{MaxPrice, Require, Rule};
use crate::health::Standing;
use crate::openai::{Class, Error};

/// The rules whose requirements hold for the candidates of a group: the one that takes the request
/// by itself, the group's own, and the one that takes its model.
pub(super) fn rules<'g>(
    gateway: &'g Gateway,
    bound: Option<usize>,
    group: &Group,
) -> impl Iterator<Item = &'g Rule> + Clone + use<'g> {
    let own = group.rule.filter(|own| Some(*own) != bound);
    let also = group.also.filter(|also| ![bound, own].contains(&Some(*also)));
    bound.into_iter().chain(own).chain(also).filter_map(|at| gateway.rules.get(at))
}

/// What a candidate lacks of what `require` says, as far as that does not depend on how it does.
pub(super) fn lack(
    require: &Require,
    found: &Resolved<'_>,
    seen: &Seen<'_, '_>,
    question: &Question<'_>,
) -> Option<Why> {
    let region = found.endpoint.region.as_deref();
    if !require.allows(region) {
        return Some(Why::Region);
    }
    let facts = &found.model.facts;
    let mut capabilities = require.capabilities.iter();
    if !capabilities.all(|one| facts.known && facts.capabilities.has(one)) {
        return Some(Why::Capability);
    }
    if let Some(most) = &require.max_price
        && !affordable(most, found, seen)
    {
        return Some(Why::Price);
    }
    let least = require.min_quality?;
    let score = quality::score(&found.model.quality, question);
    score.is_none_or(|score| score < least).then_some(Why::Quality)
}

/// Whether a token costs no more than that, at the rates for the length of this request.
fn affordable(most: &MaxPrice, found: &Resolved<'_>, seen: &Seen<'_, '_>) -> bool {
    let Some(price) = found.model.price() else { return false };
    let rates = match price.tiers.is_empty() {
        true => &price.base,
        false => price.rates(seen.input().tokens),
    };
    most.input.is_none_or(|most| rates.input <= most)
        && most.output.is_none_or(|most| rates.output <= most)
}

/// Why a candidate that lacks something is passed over.
pub(super) fn reason(why: Why, require: &Require, found: &Resolved<'_>) -> String {
    match why {
        Why::Region => match &found.endpoint.region {
            Some(region) => format!("it is in {region}"),
            None => "its region is not known".to_owned(),
        },
        Why::Capability => {
            let facts = &found.model.facts;
            let mut missing = require.capabilities.iter();
            match missing.find(|one| !facts.known || !facts.capabilities.has(*one)) {
                Some(one) if facts.known => format!("it has no {one}"),
                Some(one) => format!("it is not known to have {one}"),
                None => String::new(),
            }
        }
        Why::Price if found.model.price().is_none() => "its price is not known".to_owned(),
        Why::Price => "it costs more than the rule allows".to_owned(),
        Why::Quality => "its score is below what the rule requires".to_owned(),
        _ => String::new(),
    }
}

/// A p95 that is longer than `require` allows, in milliseconds. A few samples are no percentile, so
/// one of whom less is known may answer.
pub(super) fn too_slow(require: &Require, standing: &Standing, stream: bool) -> Option<u32> {
    let most = require.max_latency?.as_millis();
    let known = latency::of(standing, stream);
    (known.samples >= latency::MIN_SAMPLES && u128::from(known.p95) > most).then_some(known.p95)
}

/// The error when nobody meets what the rules require.
pub(super) fn nobody(gateway: &Gateway, plan: &Plan) -> Error {
    let lacking = |why: Why| plan.skipped.iter().any(|skipped| skipped.why == why);
    let only = |why: Why| plan.skipped.iter().all(|skipped| skipped.why == why);
    let mut all = plan.groups.iter().flat_map(|group| rules(gateway, plan.bound, group));
    if only(Why::Region)
        && let Some(rule) = all.find(|rule| !rule.require.region.is_empty())
    {
        return Error::new(
            Class::Overloaded,
            format!(
                "The rule '{}' keeps this request in {}, and no candidate is there ({}).",
                rule.name,
                rule.require.region.join(", "),
                list(gateway, &plan.skipped)
            ),
        )
        .with_code("no_candidate_in_region");
    }
    let also = || plan.groups.iter().find_map(|group| group.also);
    let name = match plan.bound.or(plan.at).or_else(also).and_then(|at| gateway.rules.get(at)) {
        Some(rule) => &rule.name,
        None => BY_MODEL,
    };
    let message = format!(
        "No candidate meets what the rule '{name}' requires ({}).",
        list(gateway, &plan.skipped)
    );
    // How quick somebody is changes; everything else is as it is written.
    let class = if lacking(Why::Latency) { Class::Overloaded } else { Class::Client };
    Error::new(class, message).with_code("no_candidate_meets_rule")
}

fn list(gateway: &Gateway, skipped: &[Skipped]) -> String {
    let mut said: Vec<String> = Vec::new();
    for Skipped { candidate, reason, .. } in skipped {
        let Some(found) = Candidate::resolve(*candidate, gateway) else { continue };
        let line = format!("{}/{}: {reason}", found.provider.name, found.model.name);
        // Endpoints of one provider mostly lack the same.
        if !said.contains(&line) {
            said.push(line);
        }
    }
    said.join("; ")
}
