//! One decision, with all that was known.

use std::cell::RefCell;
use std::rc::Rc;

use super::condition::{self, operation};
use super::notes::{notes, requirements};
use super::standing::Status;
use super::told::{
    Assumed, Candidate, Decided, Explained, LeftOut, Looked, Mirrored, Refused, Requested, Stands,
};
use super::{DRAWS, Inquiry};
use crate::cli::verdict::Verdict;
use crate::config::gateway::ClientsMay;
use crate::config::rule::{Expression, Mirror};
use crate::config::{Choose, Gateway, Rule};
use crate::filter::asked::Asked;
use crate::filter::intake::{self, Keep};
use crate::health::{Slot, Standing, Window};
use crate::openai::{Class, Error};
use crate::providers::Headers;
use crate::routing::{self, Moment, Plan, Question, Skipped, Why, explain};
use crate::tenancy::identity::{Header, MISSING, Shown};
use crate::tenancy::{Caller, May};

/// A gateway, a request, and what is known of the rest.
pub(super) struct Scene<'s> {
    gateway: Gateway,
    /// The mirrors of the rules, as the configuration says. In the gateway itself each gets all
    /// requests, so that every draw tells where a copy goes.
    mirrors: Vec<Option<Mirror>>,
    inquiry: &'s Inquiry,
    status: Option<&'s Status>,
    cel: &'s dyn Fn(&str) -> Verdict,
}

/// What many draws of one decision gave.
struct Drawn {
    /// The candidates by their mean places, and everybody who was left out or moved back.
    plan: Plan,
    /// How often each was the first to be asked.
    firsts: Vec<(routing::Candidate, u64)>,
    /// Where copies went.
    mirrors: Vec<routing::Candidate>,
}

impl<'s> Scene<'s> {
    pub(super) fn new(
        mut gateway: Gateway,
        inquiry: &'s Inquiry,
        status: Option<&'s Status>,
        cel: &'s dyn Fn(&str) -> Verdict,
    ) -> Self {
        let mirrors = gateway.rules.iter().map(|rule| rule.mirror).collect();
        for mirror in gateway.rules.iter_mut().filter_map(|rule| rule.mirror.as_mut()) {
            mirror.share = 10_000;
        }
        Self { gateway, mirrors, inquiry, status, cel }
    }

    /// All that is told of the gateway of that name.
    pub(super) fn explain(&self, name: String) -> Explained {
        let (request, mut first, unknown) = self.decide(None);
        let texts = |wanted: &dyn Fn(usize) -> bool| -> Vec<String> {
            let all = self.gateway.expressions().filter(|one| wanted(one.at));
            all.map(|one| one.text.clone()).collect()
        };
        if !unknown.is_empty() {
            first.only_if = Some(Assumed { cel: texts(&|at| unknown.contains(&at)), is: false });
        }
        let mut decisions = vec![first];
        for assumed in unknown {
            let (_, mut other, _) = self.decide(Some(assumed));
            other.only_if = Some(Assumed { cel: texts(&|at| at == assumed), is: true });
            decisions.push(other);
        }
        Explained {
            gateway: name,
            request,
            status_at: self.status.map(|status| status.at),
            not_in_status: self.status.map_or_else(Vec::new, |all| all.unknown(&self.gateway)),
            decisions,
        }
    }

    /// The decision if Envoy finds true, of the expressions that only it can tell, none but the one
    /// at that place; and the places of those that it was asked.
    fn decide(&self, assumed: Option<usize>) -> (Option<Requested>, Decided, Vec<usize>) {
        let unknown = RefCell::new(Vec::new());
        let cel = |expression: &Expression| match (self.cel)(&expression.text) {
            Verdict::Holds => true,
            Verdict::Not => false,
            Verdict::Unknown(_) => {
                let mut unknown = unknown.borrow_mut();
                if !unknown.contains(&expression.at) {
                    unknown.push(expression.at);
                }
                assumed == Some(expression.at)
            }
        };
        let Inquiry { operation, headers, body, .. } = self.inquiry;
        let pairs = headers.iter().map(|(name, value)| (&**name, &**value));
        let pseudo = [(":method", "POST"), (":path", self.inquiry.path())];
        let headers: Headers<'_> = pseudo.into_iter().chain(pairs).collect();
        let refused = |error: &Error| {
            (None, Decided { error: Some(refused(error)), ..Decided::default() }, Vec::new())
        };
        let most = self.gateway.limits.body;
        if body.len() as u64 > most {
            return refused(&intake::too_large(most));
        }
        let caller = match self.caller(&headers) {
            Ok(caller) => caller,
            Err(error) => return refused(&error),
        };
        let (gateway, caller) = (&self.gateway, caller.as_ref());
        let told =
            intake::ask(gateway, caller, *operation, &headers, body.clone(), &cel, |_, _| Ok(()))
                .and_then(|(asked, ())| {
                    let then = |question: &Question<'_>, keep: Keep<'_>| {
                        Ok((requested(question), self.follow(question, keep, &asked)))
                    };
                    intake::ask(gateway, caller, *operation, &headers, body.clone(), &cel, then)
                });
        match told {
            Ok((_, (request, decided))) => (Some(request), decided, unknown.into_inner()),
            Err(refusal) => refused(&refusal.error),
        }
    }

    /// Who asks: the tenant that is named, else whom the headers show, as in Envoy. A request that
    /// shows nobody is looked at all the same: mostly it is about the rules.
    fn caller(&self, headers: &Headers<'_>) -> Result<Option<Rc<Caller>>, Error> {
        let tenancy = &self.gateway.tenancy;
        if let Some(name) = &self.inquiry.tenant {
            return tenancy.tenant(name).map(|caller| Some(Rc::new(caller)));
        }
        match tenancy.identify(&Headed(headers), self.inquiry.now) {
            Ok(caller) => Ok(Some(Rc::new(caller))),
            Err(error) if error.code.as_deref() == Some(MISSING) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn follow(&self, question: &Question<'_>, keep: Keep<'_>, asked: &Asked) -> Decided {
        let mut told = Decided::default();
        let plan = routing::plan(&self.gateway, question);
        // What nobody serves and no rule names is refused before any rule is looked at.
        let nobodys =
            matches!(&plan, Err(error) if error.class == Class::NotFound && error.status == 404);
        let natural = if nobodys { None } else { self.look(question, &mut told) };
        let mut plan = match plan {
            Ok(plan) => plan,
            Err(error) => {
                told.because = nobodys.then(|| {
                    "no provider serves the model and no rule names it, so no rule is looked at"
                        .to_owned()
                });
                told.error = Some(refused(&error));
                return told;
            }
        };
        let rule = plan.at.and_then(|at| self.gateway.rules.get(at));
        told.rule = Some(plan.rule.clone());
        told.because = Some(self.because(question, &plan, natural));
        told.choose = rule.map(|rule| rule.choose.word());
        told.ignored.clone_from(&plan.warnings);
        let bound = natural.and_then(|at| self.gateway.rules.get(at));
        for one in bound.into_iter().chain(rule.filter(|_| plan.at != natural)) {
            told.requires.extend(requirements(one));
        }
        let drawn = match keep(&mut plan) {
            Ok(()) => self.draw(plan, question, asked),
            Err(error) => Err(Box::new((plan, error))),
        };
        match drawn {
            Ok(drawn) => self.tell(drawn, question, asked, &mut told),
            Err(undecided) => {
                let (plan, error) = *undecided;
                let skipped = plan.skipped.iter();
                told.left_out = skipped.filter_map(|one| self.left_out(one)).collect();
                told.error = Some(refused(&error));
            }
        }
        told
    }

    /// Looks at the rules in order; gives the place of the one that takes the request by itself.
    fn look(&self, question: &Question<'_>, told: &mut Decided) -> Option<usize> {
        let seen = condition::Seen { question, cel: self.cel };
        let mut natural = None;
        for (at, unmet) in explain::rules(&self.gateway, question) {
            let Some(rule) = self.gateway.rules.get(at) else { continue };
            let why = match unmet {
                Some(word) => vec![seen.unmet(&rule.when, word)],
                None => seen.met(&rule.when),
            };
            if unmet.is_none() {
                natural = Some(at);
            }
            told.rules.push(Looked { name: rule.name.clone(), takes: unmet.is_none(), why });
        }
        let rest = self.gateway.rules.iter().skip(told.rules.len());
        told.not_looked_at = rest.map(|rule| rule.name.clone()).collect();
        natural
    }

    fn because(&self, question: &Question<'_>, plan: &Plan, natural: Option<usize>) -> String {
        let pins = question.may(&self.gateway).is_none_or(May::pins);
        let may = if pins { self.gateway.clients_may } else { ClientsMay::default() };
        let wishes = &question.wishes;
        let mut because = match (plan.at, natural) {
            (at, natural) if at != natural => {
                "the client asks for it with x-waypost-rule".to_owned()
            }
            (Some(_), _) => "it is the first that takes the request".to_owned(),
            (None, _) => format!(
                "no rule takes the request, so the providers that list {} answer",
                question.model
            ),
        };
        if let Some(target) = wishes.target.filter(|_| may.target) {
            because.push_str(&format!("; the client pins {target} with x-waypost-target"));
        }
        if may.models && !wishes.models.is_empty() {
            let models = wishes.models.join(", ");
            because.push_str(&format!(
                "; after its targets come those of the models that the request lists: {models}"
            ));
        }
        because
    }

    fn standing(&self, slot: Slot) -> Standing {
        self.status.map(|all| all.standing(&self.gateway, slot)).unwrap_or_default()
    }

    /// Makes the decision [`DRAWS`] times.
    fn draw(
        &self,
        mut plan: Plan,
        question: &Question<'_>,
        asked: &Asked,
    ) -> Result<Drawn, Box<(Plan, Error)>> {
        let mut places: Vec<(routing::Candidate, u64)> = Vec::new();
        let mut firsts: Vec<(routing::Candidate, u64)> = Vec::new();
        let (mut mirrors, mut skipped) = (Vec::new(), Vec::<Skipped>::new());
        let mut silent: Option<Vec<(routing::Candidate, Error)>> = None;
        let standing = |slot: Slot| self.standing(slot);
        for draw in 0..DRAWS {
            let mut one = plan.clone();
            let turn = |_: usize| draw;
            let moment = Moment { now: self.now(), random: draw, standing: &standing, turn: &turn };
            if let Err(error) = one.order(&self.gateway, question, &moment) {
                return Err(Box::new((one, error)));
            }
            let silent = silent.get_or_insert_with(|| self.inexpressible(&one, asked));
            one.candidates.retain(|candidate| silent.iter().all(|(other, _)| other != candidate));
            for (place, candidate) in one.candidates.iter().enumerate() {
                add(&mut places, *candidate, place as u64);
                add(&mut firsts, *candidate, u64::from(place == 0));
            }
            mirrors.extend(one.mirror.filter(|mirror| !mirrors.contains(mirror)));
            for new in one.skipped {
                if skipped.iter().all(|known| known.candidate != new.candidate) {
                    skipped.push(new);
                }
            }
        }
        plan.skipped = skipped;
        let mut refusal = None;
        for (candidate, error) in silent.unwrap_or_default() {
            plan.skipped.push(Skipped::new(candidate, Why::Inexpressible, &error.message));
            refusal = refusal.or(Some(error));
        }
        if let Some(error) = refusal.filter(|_| places.is_empty()) {
            return Err(Box::new((plan, error)));
        }
        places.sort_by_key(|(_, sum)| *sum);
        plan.candidates = places.into_iter().map(|(candidate, _)| candidate).collect();
        Ok(Drawn { plan, firsts, mirrors })
    }

    fn now(&self) -> u64 {
        self.status.map_or(0, |status| status.at)
    }

    /// The candidates whose dialects cannot express the request: they are passed over.
    fn inexpressible(&self, plan: &Plan, asked: &Asked) -> Vec<(routing::Candidate, Error)> {
        let of = |candidate: &routing::Candidate| {
            let found = candidate.resolve(&self.gateway)?;
            let target = found.provider.target(found.model);
            let error = asked.translate(found.provider.api.dialect, &target).err()?;
            Some((*candidate, error))
        };
        plan.candidates.iter().filter_map(of).collect()
    }

    fn tell(&self, drawn: Drawn, question: &Question<'_>, asked: &Asked, told: &mut Decided) {
        let Drawn { plan, firsts, mirrors } = drawn;
        let rule = plan.at.and_then(|at| self.gateway.rules.get(at));
        let chance = firsts.iter().filter(|(_, count)| *count > 0).count() > 1;
        let standing = |slot: Slot| self.standing(slot);
        let moment = Moment { now: self.now(), random: 0, standing: &standing, turn: &|_| 0 };
        let known = explain::candidates(&self.gateway, &plan, question, &moment);
        let known: Vec<_> = known.into_iter().filter(|known| known.place.is_some()).collect();
        let weights = weights(rule, &known);
        for one in &known {
            let Some(found) = one.candidate.resolve(&self.gateway) else { continue };
            let first = firsts.iter().find(|(candidate, _)| *candidate == one.candidate);
            let first = first.map_or(0, |(_, count)| *count);
            let counts = one.standing.counts.get(Window::Minute as usize).copied();
            let counts = counts.unwrap_or_default();
            told.candidates.push(Candidate {
                provider: found.provider.name.clone(),
                model: found.model.name.clone(),
                cluster: found.endpoint.cluster.clone(),
                region: found.endpoint.region.clone(),
                estimated_cost_usd: one.cost.map(|cost| cost.0 as f64 / 1e9),
                nano_usd: one.cost.map(|cost| cost.0),
                quality: one.quality.map(|score| f64::from(score) / 1000.0),
                weight_per_mille: weights
                    .iter()
                    .find(|(provider, model, _)| {
                        (*provider, *model) == (one.candidate.provider, one.candidate.model)
                    })
                    .map(|(_, _, share)| *share),
                first_per_mille: chance.then_some((first * 1000 + DRAWS / 2) / DRAWS),
                stands: self.status.map(|status| Stands {
                    breaker: status.breaker(&self.gateway, one.candidate),
                    requests_1m: counts.requests,
                    failures_1m: counts.failures,
                    p95_ms: (one.latency.samples > 0).then_some(one.latency.p95),
                    samples: one.latency.samples,
                    in_flight: one.standing.in_flight,
                }),
                note: one.skipped.map(|skipped| skipped.reason.clone()),
            });
        }
        let out = plan.skipped.iter().filter(|one| !plan.candidates.contains(&one.candidate));
        told.left_out = out.filter_map(|one| self.left_out(one)).collect();
        told.notes = notes(&self.gateway, self.status.is_some(), rule, question, asked, &plan);
        told.mirror = self.mirrored(&plan, &mirrors);
    }

    fn left_out(&self, skipped: &Skipped) -> Option<LeftOut> {
        let found = skipped.candidate.resolve(&self.gateway)?;
        Some(LeftOut {
            provider: found.provider.name.clone(),
            model: found.model.name.clone(),
            cluster: found.endpoint.cluster.clone(),
            why: skipped.why.word(),
            reason: skipped.reason.clone(),
        })
    }

    fn mirrored(&self, plan: &Plan, copies: &[routing::Candidate]) -> Option<Mirrored> {
        let mirror = self.mirrors.get(plan.at?)?.as_ref()?;
        let (provider, model) = mirror.target.of(&self.gateway.providers)?;
        let clusters = copies.iter().filter_map(|copy| copy.resolve(&self.gateway));
        Some(Mirrored {
            provider: provider.name.clone(),
            model: model.name.clone(),
            clusters: clusters.map(|found| found.endpoint.cluster.clone()).collect(),
            share_per_ten_thousand: mirror.share,
        })
    }
}

/// What the headers of a request show. Of its connection nothing is known here.
struct Headed<'h>(&'h Headers<'h>);

impl Shown for Headed<'_> {
    fn header(&self, name: &str) -> Header<'_> {
        Header::of(self.0, name)
    }

    fn property(&self, _: &str) -> Option<Vec<u8>> {
        None
    }
}

fn add(all: &mut Vec<(routing::Candidate, u64)>, candidate: routing::Candidate, number: u64) {
    match all.iter_mut().find(|(known, _)| *known == candidate) {
        Some((_, sum)) => *sum += number,
        None => all.push((candidate, number)),
    }
}

fn requested(question: &Question<'_>) -> Requested {
    let input = (question.input)();
    Requested {
        operation: operation(question.operation),
        model: question.model.to_owned(),
        stream: question.stream,
        estimated_input_tokens: input.tokens,
        cached_input_tokens: input.cached,
        max_output_tokens: question.output.tokens,
        answers: Some(question.output.choices).filter(|answers| *answers > 1),
        needs: question
            .capabilities
            .iter()
            .map(crate::providers::catalogue::Capability::name)
            .collect(),
        tenant: question.tenant().map(str::to_owned),
    }
}

/// Of each target of a canary rule its share of the weights, in parts of a thousand. Weights are
/// spread over those that are asked in their turn.
fn weights(rule: Option<&Rule>, known: &[explain::Known<'_>]) -> Vec<(usize, usize, u64)> {
    let Some(rule) = rule.filter(|rule| matches!(rule.choose, Choose::Canary { .. })) else {
        return Vec::new();
    };
    let in_turn = |provider: usize, model: usize| {
        known.iter().any(|one| {
            (one.candidate.provider, one.candidate.model) == (provider, model)
                && one.skipped.is_none()
        })
    };
    let some = known.iter().any(|one| one.skipped.is_none());
    let weight = |target: &crate::config::rule::TargetId| {
        let counts = !some || in_turn(target.provider, target.model);
        if counts { u64::from(target.weight) } else { 0 }
    };
    let asked = rule.targets.iter().filter(|target| {
        known.iter().any(|one| {
            (one.candidate.provider, one.candidate.model) == (target.provider, target.model)
        })
    });
    let sum = asked.clone().map(weight).sum::<u64>().max(1);
    asked.map(|target| (target.provider, target.model, weight(target) * 1000 / sum)).collect()
}

fn refused(error: &Error) -> Refused {
    Refused {
        status: error.status,
        headers: error.advice().collect(),
        body: serde_json::from_slice(&error.body()).ok(),
    }
}
