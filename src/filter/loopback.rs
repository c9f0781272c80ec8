//! Requests of the gateway to itself: probes and mirrored requests.
//!
//! ```text
//!  gateway role, tick ── callout ─► cluster `loopback` ─► internal listener ─► role loopback ─► route ─► provider role
//!          └── Call ──────── kept in this worker, found by its number ───────────────┘
//! ```
//!
//! A callout straight to a provider's cluster would come back into the module while it is still
//! inside the call that sent it, and that is a trap. Through the internal listener it comes back as
//! a request of its own, and translation, credentials and health are those of any other.
//!
//! What is asked of whom does not travel in headers. It stays in the memory of the worker, whose
//! internal listener runs in the same thread; the request names only its number. Whoever else might
//! reach that listener can therefore ask for nothing: numbers are random, and taken once, while they
//! are under way. Neither can a request that outlives its module: the one that takes its place has
//! other numbers.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::asked::Asked;
use super::exchange::Exchange;
use super::refusal::Refusal;
use super::service::Service;
use crate::config::rule::{Operation, Timeouts};
use crate::health::Scope;
use crate::openai::embeddings::ParsedEmbeddings;
use crate::openai::request::ParsedChat;
use crate::routing::{Candidate, Needs, Outcome, Plan};

/// The request header with a call's number.
pub const CALL: &str = "x-waypost-call";

/// Most calls of a worker that are under way at a time, of whatever purpose.
pub const MAX_CALLS: usize = 256;

/// How long a call may take longer than what it asked for, before it counts as lost.
const GRACE: Duration = Duration::from_secs(2);

/// A request of the gateway to itself.
#[derive(Debug)]
pub struct Call {
    /// The configuration it came under, and what is known of its providers.
    pub service: Rc<Service>,
    /// Who is asked, and nobody else.
    pub candidate: Candidate,
    /// What is asked.
    pub ask: Ask,
    /// What for.
    pub purpose: Purpose,
    /// The rule that wanted it; empty without one.
    pub rule: String,
    /// How long to wait.
    pub timeouts: Timeouts,
}

/// What is asked of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Its list of models.
    Models,
    /// What the body says.
    Body(Operation),
}

impl Ask {
    /// As what the gateway role takes it.
    #[must_use]
    pub const fn operation(self) -> Operation {
        match self {
            Self::Models => Operation::Chat,
            Self::Body(operation) => operation,
        }
    }
}

/// What a call is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To know whether calls of this worker arrive at all: nobody is asked.
    Hello,
    /// To know how an endpoint does; it is asked again after so long.
    Probe(Duration),
    /// To compare: a copy of the client's request with this id.
    Mirror(String),
}

impl Purpose {
    /// The word for it in records.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Probe(_) => "probe",
            Self::Mirror(_) => "mirror",
        }
    }
}

impl Call {
    /// The exchange for it: with its one candidate and no other, and so without failover.
    ///
    /// # Errors
    /// The candidate cannot serve it.
    pub fn open(
        self: &Rc<Self>,
        body: Vec<u8>,
        request_id: String,
        created: u64,
    ) -> Result<Exchange, Refusal> {
        let mut plan = Plan::default();
        plan.rule.clone_from(&self.rule);
        plan.candidates.push(self.candidate);
        plan.timeouts = self.timeouts;
        let parsed = match self.ask {
            Ask::Models => Asked::Models,
            Ask::Body(Operation::Chat) => {
                let parsed = ParsedChat::parse(body)?;
                let chat = parsed.chat();
                let needs = Needs::of(chat, chat.validate()?, parsed.body().len());
                if let Err(error) = plan.keep_able(&needs, &self.service.gateway) {
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
        let service = Rc::clone(&self.service);
        let mut exchange = Exchange::open(service, parsed, plan, request_id, created)?;
        exchange.call = Some(Rc::clone(self));
        Ok(exchange)
    }
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

/// A call under way.
#[derive(Debug)]
struct Open {
    number: u64,
    call: Rc<Call>,
    /// When it counts as lost, in nanoseconds of a clock that never goes back.
    until: u64,
    /// Whether it arrived.
    taken: bool,
}

/// Calls of a worker that are under way.
#[derive(Debug, Default)]
pub struct Calls {
    open: Vec<Open>,
    mirrors: usize,
    reached: bool,
}

impl Calls {
    /// Keeps a call under a number that nobody can guess; false when there are [`MAX_CALLS`]. `now`
    /// is in nanoseconds of a clock that never goes back.
    pub fn add(&mut self, call: Call, number: u64, now: u64) -> bool {
        if !self.has_room() || self.open.iter().any(|open| open.number == number) {
            return false;
        }
        self.mirrors += usize::from(is_mirror(&call));
        let limit = call.timeouts.total.saturating_add(GRACE).as_nanos();
        let until = now.saturating_add(u64::try_from(limit).unwrap_or(u64::MAX));
        self.open.push(Open { number, call: Rc::new(call), until, taken: false });
        true
    }

    /// The call of that number, which has arrived: it arrives once.
    pub fn take(&mut self, number: u64) -> Option<Rc<Call>> {
        let mut open = self.open.iter_mut();
        let open = open.find(|open| open.number == number && !open.taken)?;
        open.taken = true;
        self.reached = true;
        Some(Rc::clone(&open.call))
    }

    /// The call of that number is over. Nothing when it counted as lost before.
    pub fn end(&mut self, number: u64) -> Option<Rc<Call>> {
        let at = self.open.iter().position(|open| open.number == number)?;
        let open = self.open.swap_remove(at);
        self.mirrors -= usize::from(is_mirror(&open.call));
        self.reached &= open.taken;
        Some(open.call)
    }

    /// The numbers of those of whom nothing came in their time.
    #[must_use]
    pub fn lost(&self, now: u64) -> Vec<u64> {
        self.open.iter().filter(|open| open.until <= now).map(|open| open.number).collect()
    }

    /// Mirrored requests among them.
    #[must_use]
    pub const fn mirrors(&self) -> usize {
        self.mirrors
    }

    /// Whether there is room for another.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.open.len() < MAX_CALLS
    }

    /// Whether calls arrive, by the last of which something is known. Envoy also runs the module in
    /// its main thread, with a tick but without a listener: there none ever does.
    #[must_use]
    pub const fn reached(&self) -> bool {
        self.reached
    }
}

fn is_mirror(call: &Call) -> bool {
    matches!(call.purpose, Purpose::Mirror(_))
}

thread_local! {
    static CALLS: RefCell<Calls> = RefCell::new(Calls::default());
}

/// The calls of this worker.
pub fn calls<T>(with: impl FnOnce(&mut Calls) -> T) -> T {
    CALLS.with_borrow_mut(with)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::json;

    use super::*;
    use crate::config::Config;
    use crate::filter::record;
    use crate::filter::service::tests::alone;
    use crate::health::memory::Memory;
    use crate::health::{Event, Fleet, Slot, State};
    use crate::openai::Class;

    const CANDIDATE: Candidate = Candidate { provider: 1, model: 0, endpoint: 0 };

    fn call(ask: Ask, purpose: Purpose) -> Call {
        let config = Config::read(&json!({
            "role": "gateway",
            "providers": {
                "a": {"api": "openai", "endpoints": [{"cluster": "a"}], "models": {"gpt-4o": {}}},
                "b": {"api": "anthropic", "endpoints": [{"cluster": "b"}], "models": {"claude-sonnet-4-5": {}}},
            },
        }));
        let Ok(Config::Gateway(gateway)) = config else { panic!("{config:?}") };
        Call {
            service: alone(Rc::from(gateway)),
            candidate: CANDIDATE,
            ask,
            purpose,
            rule: "r".to_owned(),
            timeouts: Timeouts::default(),
        }
    }

    fn mirror() -> Call {
        call(Ask::Body(Operation::Chat), Purpose::Mirror("id-1".to_owned()))
    }

    const CHAT: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]"#;

    #[test]
    fn a_mirrored_request_is_for_its_target_only() {
        let call = Rc::new(mirror());
        let mut exchange = call.open(format!("{CHAT}}}").into_bytes(), "id-2".into(), 7).unwrap();
        assert_eq!(exchange.attempts.candidates(), [CANDIDATE]);
        assert_eq!(exchange.outbound(0).unwrap().path, "/v1/messages");
        let (at, candidate) = exchange.attempts.begin(0).unwrap();
        assert_eq!((at, candidate), (0, 0));
        let down = crate::openai::Error::new(Class::Server, "down");
        assert!(exchange.move_on(0, &down).is_none());
        let record: serde_json::Value = serde_json::from_str(&record::of(&exchange)).unwrap();
        assert_eq!(record["purpose"], "mirror");
        assert_eq!(record["mirror_of"], "id-1");
        assert_eq!(record["rule"], "r");
        assert_eq!(record["attempts"][0]["model"], "claude-sonnet-4-5");
    }

    #[test]
    fn a_mirrored_request_that_its_target_cannot_serve_is_refused() {
        let call = Rc::new(mirror());
        let body = format!("{CHAT},\"n\":2}}").into_bytes();
        let refusal = call.open(body, "id-2".into(), 7).unwrap_err();
        assert_eq!((refusal.error.status, &*refusal.rule), (400, "r"));
        let said = record::refused(&refusal, &call.service.gateway, Some(&call));
        assert!(said.contains(r#""mirror_of":"id-1""#), "{said}");
    }

    #[test]
    fn a_list_of_models_is_asked_for_without_a_body() {
        let call = Rc::new(call(Ask::Models, Purpose::Probe(Duration::from_secs(30))));
        let mut exchange = call.open(Vec::new(), "id".into(), 7).unwrap();
        let outbound = exchange.outbound(0).unwrap();
        assert_eq!((outbound.method, &*outbound.path), ("GET", "/v1/models?limit=1"));
        assert!(outbound.headers.contains(&("anthropic-version", "2026-10-21".to_owned())));
        assert!(
            record::of(&exchange).contains(r#""purpose":"probe","rule":"r","operation":"models""#)
        );
    }

    #[test]
    fn an_endpoint_is_up_unless_it_failed_by_its_own_fault() {
        let call = Rc::new(call(Ask::Models, Purpose::Probe(Duration::from_secs(30))));
        let mut exchange = call.open(Vec::new(), "id".into(), 7).unwrap();
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
            exchange = call.open(Vec::new(), "id".into(), 7).unwrap();
            exchange.attempts.begin(0).unwrap();
            exchange.attempts.settle(0, outcome.clone());
            assert_eq!(is_up(&exchange), Some(up), "{outcome:?}");
        }
    }

    fn failed(class: Class) -> Outcome {
        Outcome::Failed { status: None, class, reason: String::new() }
    }

    #[test]
    fn a_call_arrives_once_and_ends_once() {
        let mut calls = Calls::default();
        assert!(calls.take(1).is_none());
        assert!(calls.add(mirror(), 7, 0) && !calls.add(mirror(), 7, 0));
        assert!(calls.take(8).is_none() && !calls.reached());
        assert!(calls.take(7).is_some() && calls.reached());
        assert!(calls.take(7).is_none());
        assert_eq!(calls.mirrors(), 1);
        assert!(calls.end(7).is_some());
        assert!(calls.end(7).is_none());
        assert_eq!(calls.mirrors(), 0);
    }

    #[test]
    fn no_more_than_so_many_calls_are_under_way() {
        let mut calls = Calls::default();
        for number in 0..MAX_CALLS as u64 {
            assert!(calls.has_room() && calls.add(mirror(), number, 0));
        }
        assert!(!calls.has_room() && !calls.add(mirror(), u64::MAX, 0));
        calls.end(1);
        assert_eq!(calls.mirrors(), MAX_CALLS - 1);
        assert!(calls.add(mirror(), u64::MAX, 0));
    }

    #[test]
    fn what_does_not_arrive_in_its_time_is_lost_and_calls_count_as_not_arriving() {
        let mut calls = Calls::default();
        let (first, second) = (3, 2);
        calls.add(mirror(), first, 0);
        calls.take(first);
        calls.add(mirror(), second, 1);
        let limit = (Timeouts::default().total + GRACE).as_nanos() as u64;
        assert!(calls.lost(limit - 1).is_empty());
        assert_eq!(calls.lost(limit), [first]);
        assert_eq!(calls.lost(limit + 1), [first, second]);
        calls.end(first);
        assert!(calls.reached());
        calls.end(second);
        assert!(!calls.reached());
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
