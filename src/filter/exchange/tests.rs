#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::cell::Cell;

use serde_json::json;

use super::progress::EARLY;
use super::signature::MAX_WARNINGS_BYTES;
use super::*;
use crate::config::Config;
use crate::config::rule::Operation;
use crate::filter::refusal::Refusal;
use crate::filter::service::tests::{Simulated, Told, alone, open};
use crate::health::Gate;
use crate::openai::Usage;
use crate::providers::embeddings::NO_USAGE;

fn gateway() -> Rc<Gateway> {
    let config = Config::read(&json!({
        "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
        "providers": {
            "a": {"api": "openai", "endpoints": [{"cluster": "a"}], "models": {"gpt-4o": {}}},
            "b": {"api": "anthropic", "endpoints": [{"cluster": "b"}], "models": {"claude-sonnet-4-5": {}}},
            "c": {"api": "openai", "endpoints": [{"cluster": "c"}], "models": {"gpt-4o-mini": {}}},
        },
        "rules": [{"name": "all", "targets": ["b/claude-sonnet-4-5", "a/gpt-4o", "c/gpt-4o-mini"], "timeouts": {"first_token": "2s", "answer": "9s"}}],
    }));
    match config {
        Ok(Config::Gateway(gateway)) => Rc::from(gateway),
        other => panic!("{other:?}"),
    }
}

fn exchange(fields: &str) -> Result<Exchange, Refusal> {
    let body =
        format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"x"}}]{fields}}}"#);
    open(&alone(gateway()), Operation::Chat, &Headers::default(), &body)
}

fn cluster(exchange: &Exchange) -> Option<&str> {
    exchange.next().map(|next| &*next.endpoint.cluster)
}

#[test]
fn the_first_candidate_is_translated_before_anything_is_sent() {
    let mut exchange = exchange("").unwrap();
    assert_eq!(cluster(&exchange), Some("b"));
    let (_, candidate) = exchange.begin(0).unwrap();
    assert_eq!(exchange.outbound(candidate).unwrap().path, "/v1/messages");
    assert_eq!(cluster(&exchange), Some("a"));
}

#[test]
fn a_candidate_that_cannot_express_the_request_is_passed_over() {
    let exchange = exchange(r#","n":2"#).unwrap();
    assert_eq!(cluster(&exchange), Some("a"));
}

fn vectors(model: &str, fields: &str) -> Result<Exchange, Refusal> {
    let config = Config::read(&json!({
        "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
        "providers": {
            "a": {"api": "openai", "endpoints": [{"cluster": "a"}],
                "models": {"text-embedding-3-small": {}, "own": {}}},
            "b": {"api": "openai", "endpoints": [{"cluster": "b"}],
                "models": {"text-embedding-3-small": {}, "other": {}}},
            "c": {"api": "anthropic", "endpoints": [{"cluster": "c"}],
                "models": {"claude-sonnet-4-5": {}}},
        },
        "rules": [
            {"name": "own", "when": {"model": "own"}, "targets": ["a/own", "b/other"]},
            {"name": "none", "when": {"model": "none"}, "targets": ["c/claude-sonnet-4-5"]},
        ],
    }));
    let Ok(Config::Gateway(gateway)) = config else { panic!("{config:?}") };
    let body = format!(r#"{{"model":"{model}","input":"x"{fields}}}"#);
    open(&alone(Rc::from(gateway)), Operation::Embeddings, &Headers::default(), &body)
}

#[test]
fn vectors_fail_over_to_the_same_model_only() {
    let down = Error::new(Class::Server, "down");
    let mut same = vectors("text-embedding-3-small", "").unwrap();
    let (_, candidate) = same.begin(0).unwrap();
    assert_eq!(same.outbound(candidate).unwrap().path, "/v1/embeddings");
    assert_eq!(same.move_on(candidate, &down).map(|next| &*next.endpoint.cluster), Some("b"));

    let mut other = vectors("own", "").unwrap();
    let (at, candidate) = other.begin(0).unwrap();
    assert!(other.move_on(candidate, &down).is_none());
    other
        .attempts
        .settle(at, Outcome::Failed { status: None, class: Class::Server, reason: "down".into() });
    assert_eq!(
        other.exhausted(503).message,
        "No provider could answer (a/own: down; not asked: b/other: vectors of 'other' cannot be compared with those of 'own')."
    );
    assert_eq!(vectors("none", "").unwrap_err().error.param.as_deref(), Some("model"));
}

#[test]
fn vectors_without_a_count_of_tokens_come_with_a_warning() {
    let mut exchange = vectors("own", "").unwrap();
    let (at, candidate) = exchange.begin(0).unwrap();
    let body = br#"{"data":[{"embedding":[1.0]}]}"#;
    let answer = exchange.answer(candidate, &Headers::default(), body).unwrap();
    exchange.told(answer.usage, 0);
    let warned = |exchange: &Exchange| {
        exchange.signature(&[]).contains(&("x-waypost-warnings", NO_USAGE.to_owned()))
    };
    assert!(!warned(&exchange));
    exchange.answered(at, 0);
    assert!(warned(&exchange));
    let mut exchange = vectors("own", "").unwrap();
    let (at, _) = exchange.begin(0).unwrap();
    exchange.told(Some(Usage { uncached_input: 1, ..Usage::default() }), 0);
    exchange.answered(at, 0);
    assert!(!warned(&exchange));
}

#[test]
fn a_failure_moves_on_and_the_last_leaves_nobody() {
    let mut exchange = exchange("").unwrap();
    let down = Error::new(Class::Server, "down");
    for expected in [Some("a"), Some("c"), None] {
        let (_, candidate) = exchange.begin(0).unwrap();
        let next = exchange.move_on(candidate, &down).map(|next| next.endpoint.cluster.clone());
        assert_eq!(next.as_deref(), expected);
    }
    assert!(exchange.begin(0).is_none());
}

#[test]
fn an_attempt_without_a_verdict_is_a_timeout_only_after_its_time() {
    let mut exchange = exchange(r#","stream":true"#).unwrap();
    exchange.begin(1_000).unwrap();
    let early = EARLY.as_nanos() as u64;
    assert_eq!(exchange.lost(0, 2_000_000_999 - early).class, Class::Server);
    let error = exchange.lost(0, 2_000_001_000 - early);
    assert_eq!((error.class, &*error.message), (Class::Timeout, "no answer within 2s"));
}

#[test]
fn the_last_error_names_everyone_who_was_tried() {
    let mut exchange = exchange("").unwrap();
    for reason in ["down", "gone"] {
        let (at, _) = exchange.begin(0).unwrap();
        let outcome = Outcome::Failed { status: None, class: Class::Server, reason: reason.into() };
        exchange.attempts.settle(at, outcome);
    }
    assert_eq!(
        exchange.exhausted(503).message,
        "No provider could answer (b/claude-sonnet-4-5: down; a/gpt-4o: gone)."
    );
    assert_eq!(exchange.exhausted(504).status, 504);
}

#[test]
fn the_gateways_own_credential_is_not_the_clients_fault() {
    let seen = for_client(&Error::new(Class::Auth, "Incorrect API key"), "a");
    assert_eq!((seen.status, &*seen.kind), (502, "server_error"));
    assert!(!seen.message.contains("API key"));
}

#[test]
fn a_warning_with_strange_characters_is_still_a_header() {
    let exchange = exchange("").unwrap();
    let headers = exchange.signature(&["fé\r\nx: y dropped".to_owned()]);
    let warnings = headers.iter().find(|(name, _)| *name == "x-waypost-warnings").unwrap();
    assert_eq!(warnings.1, "f???x: y dropped");
    let long = exchange.signature(&["a".repeat(9 * MAX_WARNINGS_BYTES)]);
    assert!(long.iter().all(|(_, value)| value.len() <= MAX_WARNINGS_BYTES));
}

#[test]
fn a_secret_that_a_provider_repeats_is_hidden_wherever_it_stands() {
    let secrets = ["Zm9vYmFyMTIz".to_owned(), "short".to_owned()];
    let error = Error::invalid("a.Zm9vYmFyMTIz", "You sent Zm9vYmFyMTIz, too short.")
        .with_code("Zm9vYmFyMTIz");
    let seen = without_secrets(&error, &secrets);
    assert_eq!(seen.message, "You sent ***, too short.");
    assert_eq!((seen.param.as_deref(), seen.code.as_deref()), (Some("a.***"), Some("***")));
    assert_eq!((seen.status, seen.class), (error.status, error.class));
}

/// A service of which one endpoint takes two attempts at a time, and all that it shares.
struct Stage {
    service: Rc<Service>,
    now: Rc<Cell<u64>>,
    metrics: Told,
}

impl Stage {
    fn new() -> Self {
        let config = Config::read(&json!({
            "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
            "providers": {
                "a": {"api": "openai", "endpoints": [{"cluster": "a"}], "models": {"gpt-4o": {}},
                    "max_concurrency": 2, "breaker": {"consecutive_failures": 3}},
                "b": {"api": "openai", "endpoints": [{"cluster": "b"}], "models": {"gpt-4o": {}},
                    "max_concurrency": 1},
            },
            "rules": [{"name": "all", "choose": "failover", "targets": ["a/gpt-4o", "b/gpt-4o"]}],
        }));
        let Ok(Config::Gateway(gateway)) = config else { panic!("{config:?}") };
        let world = Simulated::default();
        world.now.set(1_000_000);
        let (now, metrics) = (Rc::clone(&world.now), Rc::clone(&world.metrics));
        let service = Rc::new(Service::new(Rc::from(gateway), Box::new(world)));
        Self { service, now, metrics }
    }

    fn ask(&self) -> Result<Exchange, Refusal> {
        self.now.set(self.now.get() + 1);
        let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]}"#;
        open(&self.service, Operation::Chat, &Headers::default(), body)
    }

    /// Attempts in flight at an endpoint.
    fn held(&self, candidate: usize) -> u32 {
        let provider = &self.service.gateway.providers[candidate];
        self.service.standing(provider.endpoints[0].slot).in_flight
    }

    fn gate(&self, candidate: usize) -> Gate {
        let provider = &self.service.gateway.providers[candidate];
        self.service.standing(provider.endpoints[0].slot).gate
    }
}

fn down() -> Error {
    Error::new(Class::Server, "down")
}

#[test]
fn a_place_is_held_from_the_decision_to_the_verdict_and_given_back_once() {
    let stage = Stage::new();
    let mut exchange = stage.ask().unwrap();
    assert_eq!(stage.held(0), 1);
    let (at, _) = exchange.begin(0).unwrap();
    assert_eq!(stage.held(0), 1);
    exchange.answered(at, 5_000_000);
    assert_eq!(stage.held(0), 0);
    exchange.gone(at, None, 6_000_000);
    exchange.close();
    drop(exchange);
    assert_eq!(stage.held(0), 0);
}

#[test]
fn however_a_request_ends_its_place_is_given_back() {
    type End = fn(Exchange);
    let ends: [(&str, End); 8] = [
        ("the client leaves before the attempt", |mut exchange| exchange.close()),
        ("the module drops it", drop),
        ("the client leaves during the attempt", |mut exchange| {
            let (at, _) = exchange.begin(0).unwrap();
            exchange.close();
            assert_eq!(exchange.gone(at, None, 1), None);
        }),
        ("the provider's request cannot be made", |mut exchange| {
            let (at, _) = exchange.begin(0).unwrap();
            exchange.given_up(at, None, &down(), 1);
        }),
        ("Envoy's pool is full", |mut exchange| {
            let error = exchange.overflowed("a");
            assert_eq!(error.code.as_deref(), Some("all_candidates_saturated"));
        }),
        ("the connection breaks", |mut exchange| {
            let (at, _) = exchange.begin(0).unwrap();
            assert_eq!(exchange.gone(at, None, 2).as_deref(), Some("b"));
        }),
        ("the stream is cut", |mut exchange| {
            let (at, _) = exchange.begin(0).unwrap();
            exchange.flows(at, 1);
            assert_eq!(exchange.gone(at, Some(200), 2), None);
        }),
        ("every candidate fails", |mut exchange| {
            let (at, candidate) = exchange.begin(0).unwrap();
            exchange.failed(at, None, &down(), 1);
            exchange.move_on(candidate, &down()).unwrap();
            let (at, candidate) = exchange.begin(0).unwrap();
            exchange.failed(at, None, &down(), 1);
            assert!(exchange.move_on(candidate, &down()).is_none());
        }),
    ];
    for (name, end) in ends {
        let stage = Stage::new();
        end(stage.ask().unwrap());
        assert_eq!((stage.held(0), stage.held(1)), (0, 0), "{name}");
    }
}

#[test]
fn what_has_no_room_is_passed_over_and_when_nobody_has_the_client_is_told_when_to_come_back() {
    let stage = Stage::new();
    let held: Vec<Exchange> = (0..3).map(|_| stage.ask().unwrap()).collect();
    let clusters: Vec<_> = held.iter().map(|exchange| cluster(exchange).unwrap()).collect();
    assert_eq!(clusters, ["a", "a", "b"]);
    let refusal = stage.ask().unwrap_err();
    assert_eq!(refusal.error.status, 503);
    assert_eq!(refusal.error.code.as_deref(), Some("all_candidates_saturated"));
    assert_eq!(refusal.error.retry_after_ms, Some(1_000));
    let counted = stage.metrics.borrow();
    let skipped = |cluster: &str| {
        let name = format!("waypost_skipped;provider={cluster};cluster={cluster};reason=saturated");
        counted.iter().filter(|(metric, _)| *metric == name).count()
    };
    assert_eq!((skipped("a"), skipped("b")), (2, 1));
    drop(counted);
    drop(held);
    assert_eq!(cluster(&stage.ask().unwrap()), Some("a"));
}

#[test]
fn an_open_breaker_is_passed_over_and_asked_when_nobody_else_is_left() {
    let stage = Stage::new();
    for _ in 0..3 {
        let mut exchange = stage.ask().unwrap();
        assert_eq!(cluster(&exchange), Some("a"));
        let (at, candidate) = exchange.begin(0).unwrap();
        exchange.failed(at, Some(500), &down(), 1);
        assert_eq!(exchange.move_on(candidate, &down()).unwrap().endpoint.cluster, "b");
        exchange.begin(0).unwrap();
        exchange.close();
    }
    assert!(matches!(stage.gate(0), Gate::Open(_)));
    let metrics = stage.metrics.borrow().clone();
    let count = |name: &str| metrics.iter().filter(|(metric, _)| metric == name).count();
    assert_eq!(count("waypost_breaker_transitions;provider=a;cluster=a;to=open"), 1);
    assert_eq!(count("waypost_failovers;from=a;to=b;reason=server"), 3);
    let state = "waypost_breaker_state;provider=a;cluster=a;model=gpt-4o";
    let last = metrics.iter().rfind(|(metric, _)| metric == state);
    assert_eq!(last, Some(&(state.to_owned(), Some(2))));

    let first = stage.ask().unwrap();
    assert_eq!(cluster(&first), Some("b"));
    // The only place at b is taken.
    let second = stage.ask().unwrap();
    assert_eq!(cluster(&second), Some("a"));
}

#[test]
fn clients_that_leave_say_nothing_of_a_provider_and_connections_that_break_do() {
    let stage = Stage::new();
    for _ in 0..30 {
        let mut exchange = stage.ask().unwrap();
        let (at, _) = exchange.begin(0).unwrap();
        exchange.close();
        exchange.gone(at, None, 1);
    }
    assert_eq!(stage.gate(0), Gate::Closed);
    for _ in 0..3 {
        let mut exchange = stage.ask().unwrap();
        let (at, _) = exchange.begin(0).unwrap();
        assert_eq!(exchange.gone(at, None, 1).as_deref(), Some("b"));
        exchange.begin(2).unwrap();
    }
    assert!(matches!(stage.gate(0), Gate::Open(_)));
}

#[test]
fn a_full_pool_of_envoys_is_not_its_providers_fault_whether_the_attempt_had_begun_or_not() {
    for begun in [true, false] {
        let stage = Stage::new();
        for _ in 0..10 {
            let mut exchange = stage.ask().unwrap();
            if begun {
                let (at, _) = exchange.begin(0).unwrap();
                exchange.gone(at, None, 1);
            }
            exchange.overflowed("a");
            exchange.close();
            assert_eq!((stage.held(0), stage.held(1)), (0, 0));
            assert_eq!(cluster(&stage.ask().unwrap()), Some("b"), "it is avoided for a moment");
            stage.now.set(stage.now.get() + 2_000);
        }
        assert_eq!(stage.gate(0), Gate::Closed);
    }
}

#[test]
fn a_failover_counts_once_its_attempt_is_made() {
    type Then = fn(&mut Exchange);
    let thens: [(&str, usize, Then); 5] = [
        ("it is made", 1, |exchange| {
            exchange.begin(0).unwrap();
        }),
        ("it fails too", 1, |exchange| {
            let (at, candidate) = exchange.begin(0).unwrap();
            exchange.failed(at, None, &down(), 1);
            assert!(exchange.move_on(candidate, &down()).is_none());
        }),
        ("the client leaves before", 0, |_| ()),
        ("Envoy's pool is full", 0, |exchange| drop(exchange.overflowed("b"))),
        ("Envoy's pool is full once it has begun", 0, |exchange| {
            let (at, _) = exchange.begin(0).unwrap();
            assert_eq!(exchange.gone(at, None, 2), None);
            exchange.overflowed("b");
        }),
    ];
    for (name, count, then) in thens {
        let stage = Stage::new();
        let mut exchange = stage.ask().unwrap();
        let (at, candidate) = exchange.begin(0).unwrap();
        exchange.failed(at, Some(500), &down(), 1);
        exchange.move_on(candidate, &down()).unwrap();
        then(&mut exchange);
        exchange.close();
        let counted = stage.metrics.borrow();
        let failovers = counted.iter().filter(|(name, _)| name.starts_with("waypost_failovers"));
        assert_eq!(failovers.count(), count, "{name}");
    }
}

#[test]
fn an_attempt_for_which_no_time_was_left_is_not_its_providers_fault() {
    let stage = Stage::new();
    for _ in 0..10 {
        let mut exchange = stage.ask().unwrap();
        let total = exchange.timeouts.total.as_nanos() as u64;
        let (at, candidate) = exchange.begin(0).unwrap();
        exchange.given_up(at, None, &down(), 1);
        exchange.move_on(candidate, &down()).unwrap();
        let (at, _) = exchange.begin(total - 1).unwrap();
        assert_eq!(exchange.gone(at, None, total), None);
        exchange.close();
        let said = exchange.exhausted(504).message;
        assert!(said.contains("b/gpt-4o: the request was not answered within 15m"), "{said}");
    }
    assert_eq!(stage.gate(1), Gate::Closed);
}

#[test]
fn a_stream_that_falls_silent_counts_against_its_provider() {
    let stage = Stage::new();
    for _ in 0..3 {
        let mut exchange = stage.ask().unwrap();
        let (at, _) = exchange.begin(0).unwrap();
        exchange.flows(at, 1);
        exchange.silent(2);
        exchange.close();
        exchange.gone(at, Some(200), 3);
        let expected = matches!(
            exchange.attempts.outcome(at),
            Some(Outcome::Failed { class: Class::Timeout, .. })
        );
        assert!(expected);
    }
    assert!(matches!(stage.gate(0), Gate::Open(_)));
}

#[test]
fn what_a_client_wished_for_in_vain_is_told_it() {
    let stage = Stage::new();
    let body = r#"{"model":"gpt-4o","models":["x"],"messages":[{"role":"user","content":"x"}]}"#;
    let headers: Headers<'_> = [("x-waypost-rule", "other")].into_iter().collect();
    let exchange = open(&stage.service, Operation::Chat, &headers, body).unwrap();
    let told = exchange.signature(&[]);
    let warnings = told.iter().find(|(name, _)| *name == "x-waypost-warnings").unwrap();
    assert!(warnings.1.contains("x-waypost-rule is ignored"), "{warnings:?}");
    assert!(warnings.1.contains("models is ignored"), "{warnings:?}");
}

#[test]
fn whom_a_breaker_passed_over_on_the_way_is_asked_when_the_rest_fails() {
    let mut exchange = exchange("").unwrap();
    let service = Rc::clone(&exchange.service);
    let (first, at) = exchange.begin(0).unwrap();
    // Meanwhile others find the second one down.
    let slot = exchange.attempts.candidates()[1].slot(&service.gateway).unwrap();
    for _ in 0..6 {
        let place = service.admit(slot, true).unwrap();
        place.settle(crate::health::Event::Failed { class: Class::Server, retry_after: None });
    }
    exchange.failed(first, Some(500), &down(), 0);
    assert!(exchange.move_on(at, &down()).is_some());
    let (second, at) = exchange.begin(0).unwrap();
    assert_eq!(at, 2);
    exchange.failed(second, Some(500), &down(), 0);
    assert!(exchange.move_on(at, &down()).is_some(), "the second one was never asked");
}
