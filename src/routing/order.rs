//! Who is asked first, and who after that.
//!
//! ```text
//!  candidates of the plan
//!    │ out: slower than the rule allows · saturated
//!    ▼
//!  targets, by the rule's strategy ──► endpoints of each, by the provider's balance
//!    │
//!    ▼ rank, in the order so far
//!  as ordered  │ of an effort, those that do not reason │ failing too often │ breaker open
//! ```
//!
//! A candidate whose breaker is half-open and that may be tried keeps its place. A rank goes with an
//! endpoint, so a target whose first endpoint is down keeps its place with the next. What a client
//! lists with `models` follows model by model, each ordered by the rule that takes it; but whoever is
//! down is behind all others.

use std::borrow::Cow;

use super::chance::{self, Draw};
use super::decision::{Moment, Plan, Question};
use super::scene::{CLOSED_OFF, Entry, FAILING, ORDERED, Scene, Seat, THOUGHTLESS};
use super::strategy::{self, failover};
use super::{Candidate, Skipped, Why, balance, require};
use crate::config::Gateway;
use crate::config::reader::show;
use crate::config::rule::{Choose, Leave, Rule, TargetId};
use crate::health::Gate;
use crate::openai::{Class, Error};
use crate::providers::catalogue::Capability;

impl Plan {
    /// Orders the candidates by the rule's strategy and by how they do, leaves out those that must not
    /// or cannot be asked now, and decides whether the request is mirrored. Comes last: what else
    /// leaves candidates out stands before it.
    ///
    /// # Errors
    /// A 503 when all are slower than the rule allows, or saturated; and when nobody meets what it
    /// requires otherwise, a 503 for the region and a 400 for the rest.
    pub fn order(
        &mut self,
        gateway: &Gateway,
        question: &Question<'_>,
        moment: &Moment<'_>,
    ) -> Result<(), Error> {
        if self.candidates.is_empty() {
            return Err(require::nobody(gateway, self));
        }
        let scene = Scene::new(gateway, question, moment, self.input);
        let mut seats = self.seats(gateway, &scene)?;
        let mut turns: Vec<(usize, u64)> = Vec::new();
        let mut turn = |provider: usize| {
            let known = turns.iter().find(|known| known.0 == provider);
            known.map(|known| known.1).unwrap_or_else(|| {
                let turn = (moment.turn)(provider);
                turns.push((provider, turn));
                turn
            })
        };
        let mut ordered: Vec<Seat> = Vec::with_capacity(seats.len());
        for (at, group) in self.groups.iter().enumerate() {
            let rule = group.rule(gateway);
            self.rank(at, rule, &mut seats, &scene);
            let mut entries = entries(at, &seats);
            strategy::arrange(rule, &mut entries, &seats, &scene);
            for entry in &entries {
                let begin = ordered.len();
                ordered.extend_from_slice(entry.seats(&seats));
                let provider = entry.target.provider;
                if let Some(here) = ordered.get_mut(begin..)
                    && let Some(known) = gateway.providers.get(provider)
                {
                    let (stream, random) = (question.stream, moment.random);
                    balance::order(known.balance, here, stream, random, || turn(provider));
                }
            }
        }
        let best = ordered.iter().map(|seat| seat.rank).min().unwrap_or_default();
        for (at, seat) in ordered.iter().enumerate().filter(|(_, seat)| seat.rank > best) {
            let behind = || ordered.iter().skip(at).any(|other| other.rank < seat.rank);
            if let Some((why, reason)) = self.demoted(seat, gateway, &scene, behind) {
                self.skipped.push(Skipped::new(seat.candidate, why, &reason));
            }
        }
        chance::sort(&mut ordered, |seat| u64::from(seat.rank));
        self.candidates.clear();
        self.candidates.extend(ordered.iter().map(|seat| seat.candidate));
        self.mirror = self.mirrored(&scene);
        Ok(())
    }

    /// The candidates that may be asked now, by group and place.
    fn seats(&mut self, gateway: &Gateway, scene: &Scene<'_, '_>) -> Result<Vec<Seat>, Error> {
        let Scene { question, moment, .. } = scene;
        let mut seats: Vec<Seat> = Vec::with_capacity(self.candidates.len());
        let mut slow = false;
        for candidate in &self.candidates {
            let Some((group, place, target)) = self.place(*candidate) else { continue };
            let Some(of) = self.groups.get(group) else { continue };
            let standing = candidate.slot(gateway).map(moment.standing).unwrap_or_default();
            let mut rules = require::rules(gateway, self.bound, of);
            let p95 =
                rules.find_map(|rule| require::too_slow(&rule.require, &standing, question.stream));
            if let Some(p95) = p95 {
                slow = true;
                let reason = format!("its p95 of {p95} ms is longer than the rule allows");
                self.skipped.push(Skipped::new(*candidate, Why::Latency, &reason));
            } else if standing.saturated {
                let reason = format!(
                    "{} requests are in flight there, as many as may be",
                    standing.in_flight
                );
                self.skipped.push(Skipped::new(*candidate, Why::Saturated, &reason));
            } else {
                seats.push(Seat {
                    candidate: *candidate,
                    standing,
                    rank: ORDERED,
                    key: 0,
                    group,
                    target,
                    place,
                });
            }
        }
        if seats.is_empty() {
            let saturated = self.skipped.iter().any(|skipped| skipped.why == Why::Saturated);
            return Err(if slow && !saturated {
                require::nobody(gateway, self)
            } else {
                all_saturated()
            });
        }
        chance::sort(&mut seats, |seat| ((seat.group as u64) << 32) | seat.place as u64);
        Ok(seats)
    }

    /// The group, the place in it, and the target that a candidate is of.
    pub(super) fn place(&self, candidate: Candidate) -> Option<(usize, usize, TargetId)> {
        self.groups.iter().enumerate().find_map(|(at, group)| {
            let mut targets = group.targets.iter().enumerate();
            let of = |target: &TargetId| {
                (target.provider, target.model) == (candidate.provider, candidate.model)
            };
            let (place, target) = targets.find(|(_, target)| of(target))?;
            Some((at, place, *target))
        })
    }

    fn rank(&self, group: usize, rule: Option<&Rule>, seats: &mut [Seat], scene: &Scene<'_, '_>) {
        let leave = leave(rule);
        let recheck = failover::rechecks(scene.moment.random);
        for seat in seats.iter_mut().filter(|seat| seat.group == group) {
            let failing =
                || leave.is_some_and(|leave| !recheck && failover::failing(&leave, &seat.standing));
            seat.rank = match seat.standing.gate {
                Gate::Open(_) | Gate::HalfOpen => CLOSED_OFF,
                Gate::Closed | Gate::Trial if failing() => FAILING,
                Gate::Closed | Gate::Trial if self.effort && !reasons(seat.target, scene) => {
                    THOUGHTLESS
                }
                Gate::Closed | Gate::Trial => ORDERED,
            };
        }
    }

    /// Why a seat stands behind others. Of one that does not reason this is said only where it would
    /// have been before one that does, and once.
    fn demoted(
        &self,
        seat: &Seat,
        gateway: &Gateway,
        scene: &Scene<'_, '_>,
        behind: impl Fn() -> bool,
    ) -> Option<(Why, Cow<'static, str>)> {
        match seat.rank {
            CLOSED_OFF => Some(match seat.standing.gate {
                Gate::Open(until) => {
                    let left = until.saturating_sub(scene.moment.now);
                    let left = std::time::Duration::from_millis(left);
                    let reason =
                        format!("asked after the others: its breaker is open for {}", show(left));
                    (Why::Breaker, reason.into())
                }
                _ => {
                    let reason = "asked after the others: its breaker is half-open, and others try";
                    (Why::Breaker, reason.into())
                }
            }),
            FAILING => {
                let leave = leave(self.groups.get(seat.group)?.rule(gateway))?;
                let counts = failover::counts(&leave, &seat.standing);
                let reason = format!(
                    "asked after the others: {} of its last {} requests failed",
                    counts.failures, counts.requests
                );
                Some((Why::Failing, reason.into()))
            }
            THOUGHTLESS => {
                let noted = self.skipped.iter().any(|known| known.candidate == seat.candidate);
                (!noted && behind())
                    .then_some((Why::Capability, "it does not reason: asked last".into()))
            }
            _ => None,
        }
    }

    /// Where a copy of the request goes, if it is one of those that are mirrored: how good, dear or
    /// quick its target is does not matter, since that is what a copy finds out. Never where the
    /// request itself must not go, nor where it goes first, nor where nobody would be asked now.
    fn mirrored(&self, scene: &Scene<'_, '_>) -> Option<Candidate> {
        let gateway = scene.gateway;
        let group = self.groups.first()?;
        let mirror = group.rule(gateway)?.mirror.as_ref()?;
        if !Draw::Mirror.hits(scene.moment.random, mirror.share) {
            return None;
        }
        let may = |candidate: &Candidate| {
            let Some(found) = candidate.resolve(gateway) else { return false };
            let standing = candidate.slot(gateway).map(scene.moment.standing).unwrap_or_default();
            // Whom nothing but copies goes to is tried by one, or nothing would ever close its breaker.
            let up = matches!(standing.gate, Gate::Closed | Gate::Trial) && !standing.saturated;
            let region = found.endpoint.region.as_deref();
            let mut rules = require::rules(gateway, self.bound, group);
            up && rules.all(|rule| rule.require.allows(region))
        };
        let TargetId { provider, model, .. } = mirror.target;
        // A second answer of whoever is asked first is nothing to compare with.
        if self.candidates.first().is_some_and(|it| (it.provider, it.model) == (provider, model)) {
            return None;
        }
        let count = gateway.providers.get(provider)?.endpoints.len();
        let first = Draw::MirrorEndpoint.from(scene.moment.random).checked_rem(count as u64)?;
        (0..count)
            .map(|step| (first as usize + step) % count)
            .map(|endpoint| Candidate { provider, model, endpoint })
            .find(may)
    }
}

/// The targets of a group, as they are written. Seats of a target stand together.
fn entries(group: usize, seats: &[Seat]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::with_capacity(seats.len());
    let mut before = None;
    for (at, seat) in seats.iter().enumerate().filter(|(_, seat)| seat.group == group) {
        match entries.last_mut() {
            Some(entry) if before == Some(seat.place) => entry.end = at + 1,
            _ => entries.push(Entry { target: seat.target, key: 0, first: at, end: at + 1 }),
        }
        before = Some(seat.place);
    }
    entries
}

/// When a target is left for the others. Those of a model without a rule fail over too.
fn leave(rule: Option<&Rule>) -> Option<Leave> {
    match rule.map(|rule| &rule.choose) {
        None => Some(Leave::default()),
        Some(Choose::Failover(leave)) => Some(*leave),
        Some(_) => None,
    }
}

fn reasons(target: TargetId, scene: &Scene<'_, '_>) -> bool {
    scene.model(target).is_none_or(|model| {
        !model.facts.known || model.facts.capabilities.has(Capability::Reasoning)
    })
}

/// The error when nobody has room for a request.
#[must_use]
pub fn all_saturated() -> Error {
    let error = Error::new(
        Class::Overloaded,
        "All candidates for this request have as many requests in flight as they may; try again shortly.",
    )
    .with_code("all_candidates_saturated");
    Error { retry_after_ms: Some(1_000), ..error }
}
