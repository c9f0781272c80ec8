//! A call that has arrived: as an exchange like that of a client's request, and what became of it.

use std::rc::Rc;

use super::asked::Asked;
use super::call::{Ask, Call};
use super::exchange::{Exchange, Origin};
use super::refusal::Refusal;
use crate::config::rule::Operation;
use crate::health::Scope;
use crate::openai::embeddings::ParsedEmbeddings;
use crate::openai::request::ParsedChat;
use crate::routing::{Needs, Outcome, Plan};

/// The exchange for a call: with its one candidate and no other, and so without failover.
///
/// # Errors
/// The candidate cannot serve it.
pub fn open(call: &Rc<Call>, body: Vec<u8>, origin: Origin) -> Result<Exchange, Refusal> {
    let mut plan = Plan::default();
    plan.rule.clone_from(&call.rule);
    plan.candidates.push(call.candidate);
    plan.timeouts = call.timeouts;
    let parsed = match call.ask {
        Ask::Models => Asked::Models,
        Ask::Body(Operation::Chat) => {
            let parsed = ParsedChat::parse(body)?;
            let chat = parsed.chat();
            let needs = Needs::of(chat, chat.validate()?, parsed.body().len());
            if let Err(error) = plan.keep_able(&needs, &call.service.gateway) {
                return Err(Refusal::of(error, plan));
            }
            Asked::Chat(parsed)
        }
        Ask::Body(Operation::Embeddings) => {
            let parsed = ParsedEmbeddings::parse(body)?;
            parsed.asked().validate()?;
            Asked::Embeddings(parsed)
        }
    };
    let service = Rc::clone(&call.service);
    let mut exchange = Exchange::open(service, parsed, plan, origin)?;
    exchange.call = Some(Rc::clone(call));
    Ok(exchange)
}

/// Whether the candidate gave an answer, to its end.
#[must_use]
pub fn is_answered(exchange: &Exchange) -> bool {
    exchange.attempts.tried().last().is_some_and(|last| last.outcome == Outcome::Answered)
}

/// Whether an endpoint that was asked is up; nothing when it was not asked. What it refuses by the
/// request's fault it does answer.
#[must_use]
pub fn is_up(exchange: &Exchange) -> Option<bool> {
    exchange.attempts.tried().last().map(|last| match &last.outcome {
        Outcome::Answered | Outcome::Flowing => true,
        Outcome::Failed { class, .. } => Scope::of(*class) == Scope::Request,
        Outcome::Pending => false,
    })
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use std::time::Duration;

    use super::*;
    use crate::filter::call::Purpose;
    use crate::filter::call::tests::{CANDIDATE, call, mirror};
    use crate::filter::record;
    use crate::filter::service::tests::origin;
    use crate::health::{Event, Fleet, Slot, State};
    use crate::openai::Class;
    use crate::store::memory::Memory;

    const CHAT: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]"#;

    #[test]
    fn a_mirrored_request_is_for_its_target_only() {
        let call = Rc::new(mirror());
        let mut exchange = open(&call, format!("{CHAT}}}").into_bytes(), origin()).unwrap();
        assert_eq!(exchange.attempts.candidates(), [CANDIDATE]);
        assert_eq!(exchange.outbound(0).unwrap().path, "/v1/messages");
        let (at, candidate) = exchange.attempts.begin(0).unwrap();
        assert_eq!((at, candidate), (0, 0));
        let down = crate::openai::Error::new(Class::Server, "down");
        assert!(exchange.move_on(0, &down).is_none());
        let record: serde_json::Value = serde_json::from_str(&record::of(&exchange, 0, 0)).unwrap();
        assert_eq!(record["purpose"], "mirror");
        assert_eq!(record["mirror_of"], "id-1");
        assert_eq!(record["route"], "r");
        assert_eq!(record["attempts"][0]["model"], "claude-sonnet-4-5");
    }

    #[test]
    fn a_mirrored_request_that_its_target_cannot_serve_is_refused() {
        let call = Rc::new(mirror());
        let body = format!("{CHAT},\"n\":2}}").into_bytes();
        let refusal = open(&call, body, origin()).unwrap_err();
        assert_eq!((refusal.error.status, &*refusal.rule), (400, "r"));
        let said = record::tests::refused(&refusal, &call.service.gateway, Some(&call));
        assert!(said.contains(r#""mirror_of":"id-1""#), "{said}");
    }

    #[test]
    fn a_list_of_models_is_asked_for_without_a_body() {
        let call = Rc::new(call(Ask::Models, Purpose::Probe(Duration::from_secs(30))));
        let mut exchange = open(&call, Vec::new(), origin()).unwrap();
        let outbound = exchange.outbound(0).unwrap();
        assert_eq!((outbound.method, &*outbound.path), ("GET", "/v1/models?limit=1"));
        assert!(outbound.headers.contains(&("anthropic-version", "2026-10-21".to_owned())));
        let record = record::of(&exchange, 0, 0);
        assert!(record.contains(r#""purpose":"probe","route":"r","operation":"models""#));
    }

    #[test]
    fn an_endpoint_is_up_unless_it_failed_by_its_own_fault() {
        let call = Rc::new(call(Ask::Models, Purpose::Probe(Duration::from_secs(30))));
        let mut exchange = open(&call, Vec::new(), origin()).unwrap();
        assert_eq!(is_up(&exchange), None);
        let ends = [
            (Outcome::Answered, true),
            (Outcome::Flowing, true),
            (Outcome::Pending, false),
            (failed(Class::Server), false),
            (failed(Class::RateLimit), false),
            (failed(Class::Client), true),
        ];
        for (outcome, up) in ends {
            let at = exchange.attempts.candidates().len();
            assert_eq!(at, 1);
            exchange = open(&call, Vec::new(), origin()).unwrap();
            exchange.attempts.begin(0).unwrap();
            exchange.attempts.settle(0, outcome.clone());
            assert_eq!(is_up(&exchange), Some(up), "{outcome:?}");
        }
    }

    fn failed(class: Class) -> Outcome {
        Outcome::Failed { status: None, class, reason: String::new() }
    }

    /// Opens an endpoint's breaker and the one of its model; gives the fleet and its store.
    fn down() -> (Fleet, Memory, Slot) {
        let call = call(Ask::Models, Purpose::Probe(Duration::from_secs(30)));
        let slot = CANDIDATE.slot(&call.service.gateway).unwrap();
        let (mut fleet, store) = (Fleet::new(call.service.gateway.fleet()), Memory::default());
        for class in [Class::NotFound, Class::Auth] {
            let pass = fleet.insist(slot, &store, 1_000).unwrap();
            fleet.settle(pass, Event::Failed { class, retry_after: None }, &store, 1_000, 7);
        }
        (fleet, store, slot)
    }

    fn states(fleet: &Fleet, store: &Memory, now: u64) -> (State, State) {
        let report = fleet.report(store, now).swap_remove(1);
        (report.breaker.state, report.targets[0].breaker.state)
    }

    #[test]
    fn a_probe_closes_no_breaker_early_and_is_the_trial_when_its_time_has_come() {
        let (mut fleet, store, slot) = down();
        let probe = slot.without_target();
        assert_eq!(states(&fleet, &store, 1_000), (State::Open, State::Open));
        assert!(fleet.admit(probe, &store, 1_500).is_err());
        let early = fleet.insist(probe, &store, 1_500).unwrap();
        let answered = Event::Answered { total: 1, stream: false };
        fleet.settle(early, answered, &store, 1_500, 7);
        assert_eq!(states(&fleet, &store, 1_500).0, State::Open);
        let half = fleet.admit(probe, &store, 10_000).unwrap();
        fleet.settle(half, answered, &store, 10_000, 7);
        assert_eq!(states(&fleet, &store, 10_000), (State::HalfOpen, State::Open));
        for _ in 1..fleet.watched()[1].breaker.close_after {
            let pass = fleet.admit(probe, &store, 10_000).unwrap();
            fleet.settle(pass, answered, &store, 10_000, 7);
        }
        assert_eq!(states(&fleet, &store, 10_000).0, State::Closed);
    }

    #[test]
    fn an_endpoint_that_is_overloaded_when_it_is_probed_is_left() {
        let call = call(Ask::Models, Purpose::Probe(Duration::from_secs(30)));
        let slot = CANDIDATE.slot(&call.service.gateway).unwrap();
        let (mut fleet, store) = (Fleet::new(call.service.gateway.fleet()), Memory::default());
        for _ in 0..5 {
            assert_eq!(states(&fleet, &store, 1_000).0, State::Closed);
            let pass = fleet.admit(slot.without_target(), &store, 1_000).unwrap();
            let full = Event::Failed { class: Class::Overloaded, retry_after: None };
            fleet.settle(pass, full, &store, 1_000, 7);
        }
        assert_eq!(states(&fleet, &store, 1_000), (State::Open, State::Closed));
        let trial = fleet.admit(slot.without_target(), &store, 10_000).unwrap();
        let full = Event::Failed { class: Class::Overloaded, retry_after: None };
        fleet.settle(trial, full, &store, 10_000, 7);
        assert_eq!(states(&fleet, &store, 10_000).0, State::Open);
    }

    #[test]
    fn a_list_of_models_says_nothing_of_any_model() {
        let call = call(Ask::Models, Purpose::Probe(Duration::from_secs(30)));
        let slot = CANDIDATE.slot(&call.service.gateway).unwrap();
        let (mut fleet, store) = (Fleet::new(call.service.gateway.fleet()), Memory::default());
        for class in [Class::NotFound, Class::RateLimit, Class::Permission] {
            for _ in 0..10 {
                let pass = fleet.admit(slot.without_target(), &store, 1_000).unwrap();
                fleet.settle(pass, Event::Failed { class, retry_after: None }, &store, 1_000, 7);
            }
        }
        assert_eq!(states(&fleet, &store, 1_000), (State::Closed, State::Closed));
        assert_eq!(fleet.standing(slot, 1_000).in_flight, 0);
        let pass = fleet.admit(slot.without_target(), &store, 1_000).unwrap();
        let refused = Event::Failed { class: Class::Auth, retry_after: None };
        let told = fleet.settle(pass, refused, &store, 1_000, 7);
        assert!(told.is_some());
        assert_eq!(states(&fleet, &store, 1_000), (State::Open, State::Closed));
    }
}
