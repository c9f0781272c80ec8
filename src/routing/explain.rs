//! What a decision knew of each candidate, for people: `waypost explain` shows it.

use super::decision::{Moment, Plan, Question};
use super::rules::Seen;
use super::strategy::{latency, quality};
use super::{Candidate, Skipped, estimate};
use crate::config::Gateway;
use crate::health::{Percentiles, Standing};
use crate::providers::catalogue::NanoUsd;

/// What is known of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known<'p> {
    /// Which.
    pub candidate: Candidate,
    /// Its place in the order, from 0; nothing when it is not asked.
    pub place: Option<usize>,
    /// What this request will cost there; nothing without a price.
    pub cost: Option<NanoUsd>,
    /// Its score for the request's task, 0 to 1000.
    pub quality: Option<u16>,
    /// Its share in a canary rule, relative to the others'.
    pub weight: u32,
    /// The times that count for this request: to the first content of a stream, to the end of an
    /// answer that is none. Fewer than [`latency::MIN_SAMPLES`] samples order nobody.
    pub latency: Percentiles,
    /// How it stands.
    pub standing: Standing,
    /// Why it is left out, or not in its turn.
    pub skipped: Option<&'p Skipped>,
}

/// The candidates of a plan in their order, then those that are left out.
#[must_use]
pub fn candidates<'p>(
    gateway: &Gateway,
    plan: &'p Plan,
    question: &Question<'_>,
    moment: &Moment<'_>,
) -> Vec<Known<'p>> {
    let input = plan.input.unwrap_or_else(|| (question.input)());
    let known = |candidate: Candidate, place: Option<usize>| {
        let found = candidate.resolve(gateway)?;
        let standing = candidate.slot(gateway).map(moment.standing).unwrap_or_default();
        Some(Known {
            candidate,
            place,
            cost: estimate::cost(found.model, question.operation, input, question.output),
            quality: quality::score(&found.model.quality, question),
            weight: plan.place(candidate).map_or(1, |(_, _, target)| target.weight),
            latency: latency::of(&standing, question.stream),
            standing,
            skipped: plan.skipped.iter().find(|skipped| skipped.candidate == candidate),
        })
    };
    let asked = plan.candidates.iter().enumerate().filter_map(|(at, one)| known(*one, Some(at)));
    let mut all: Vec<Known<'p>> = asked.collect();
    for skipped in &plan.skipped {
        if all.iter().all(|known| known.candidate != skipped.candidate) {
            all.extend(known(skipped.candidate, None));
        }
    }
    all
}

/// The rules down to the first that takes the request, by their places, and the first condition that
/// it does not meet, by its word in the configuration; the one that takes it has none.
#[must_use]
pub fn rules(gateway: &Gateway, question: &Question<'_>) -> Vec<(usize, Option<&'static str>)> {
    let seen = Seen::new(gateway, question);
    let mut looked = Vec::new();
    for (at, rule) in gateway.rules.iter().enumerate() {
        let unmet = seen.unmet(&rule.when, question.model);
        looked.push((at, unmet));
        if unmet.is_none() {
            break;
        }
    }
    looked
}
