#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::json;

use super::progress::EARLY;
use super::*;
use crate::config::Config;
use crate::config::rule::Operation;
use crate::filter::service::tests::{alone, open};

fn gateway() -> Rc<Gateway> {
    let config = Config::read(&json!({
        "role": "gateway",
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
        "role": "gateway",
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
    exchange.usage = answer.usage;
    let warned = |exchange: &Exchange| {
        exchange.signature(&[]).contains(&("x-waypost-warnings", NO_USAGE.to_owned()))
    };
    assert!(!warned(&exchange));
    exchange.attempts.settle(at, Outcome::Answered);
    assert!(warned(&exchange));
    exchange.usage = Some(Usage::default());
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
