//! A rule that is said to be out of reach is: whatever it is for, one above takes.
#![cfg(not(target_arch = "wasm32"))]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what these tests share stands outside of any test function"
)]

use std::borrow::Cow;
use std::rc::Rc;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};
use waypost::config::rule::{Expression, Operation};
use waypost::config::{Config, Gateway};
use waypost::providers::catalogue::{Capabilities, Capability};
use waypost::routing::estimate::Input;
use waypost::routing::{Question, plan};
use waypost::tenancy::Caller;

const PATTERNS: [&str; 10] = ["*", "a", "a*", "*b", "a*b", "ab", "a**", "*a*", "b*a", "aab"];
const TEXTS: [&str; 8] = ["a", "b", "ab", "aab", "ba", "abb", "a*", "x"];
const WORDS: [&str; 3] = ["tools", "vision", "reasoning"];

fn patterns() -> impl Strategy<Value = Value> {
    vec(select(&PATTERNS[..]), 1..3).prop_map(|all| json!(all))
}

fn named() -> impl Strategy<Value = Value> {
    btree_map(select(vec!["k", "l"]), patterns(), 0..2).prop_map(|all| json!(all))
}

prop_compose! {
    /// A `when`, mostly of few words, so that one often covers another.
    fn when()(
        model in prop::option::of(patterns()),
        tenant in prop::option::weighted(0.2, patterns()),
        headers in prop::option::weighted(0.2, named()),
        metadata in prop::option::weighted(0.2, named()),
        stream in prop::option::weighted(0.2, any::<bool>()),
        operation in prop::option::weighted(0.3, select(vec!["chat", "embeddings"])),
        capabilities in prop::option::weighted(0.2, subsequence(WORDS.to_vec(), 1..3)),
        at_least in prop::option::weighted(0.2, 0u64..6),
        at_most in prop::option::weighted(0.2, 4u64..9),
        cel in prop::option::weighted(0.1, select(vec!["one", "two", " one"])),
    ) -> Value {
        let mut when = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            when.extend(value.map(|value| (name.to_owned(), value)));
        };
        let tokens: Map<String, Value> = [("at_least", at_least), ("at_most", at_most)]
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), json!(value?))))
            .collect();
        set("model", model);
        set("tenant", tenant);
        set("headers", headers);
        set("metadata", metadata);
        set("stream", stream.map(Value::from));
        set("operation", operation.map(Value::from));
        set("capabilities", capabilities.map(|all| json!(all)));
        set("input_tokens", (!tokens.is_empty()).then_some(Value::Object(tokens)));
        set("cel", cel.map(Value::from));
        Value::Object(when)
    }
}

#[derive(Clone, Debug)]
struct Request {
    operation: Operation,
    model: &'static str,
    stream: bool,
    tenant: Option<&'static str>,
    headers: [Option<&'static str>; 2],
    metadata: [Option<&'static str>; 2],
    capabilities: Capabilities,
    tokens: u64,
    cel: [bool; 2],
}

prop_compose! {
    fn request()(
        vectors in prop::bool::weighted(0.3),
        model in select(&TEXTS[..]),
        stream: bool,
        tenant in prop::option::of(select(&TEXTS[..])),
        headers in [prop::option::of(select(&TEXTS[..])), prop::option::of(select(&TEXTS[..]))],
        metadata in [prop::option::of(select(&TEXTS[..])), prop::option::of(select(&TEXTS[..]))],
        capabilities in subsequence(
            vec![Capability::Tools, Capability::Vision, Capability::Reasoning], 0..=3),
        tokens in 0u64..10,
        cel: [bool; 2],
    ) -> Request {
        // A request for vectors is no stream and needs no abilities.
        Request {
            operation: if vectors { Operation::Embeddings } else { Operation::Chat },
            model, stream: stream && !vectors, tenant, headers, metadata,
            capabilities: capabilities.into_iter().filter(|_| !vectors).collect(), tokens, cel,
        }
    }
}

fn config(whens: &[&Value], by_name: bool) -> Value {
    let rules: Vec<Value> = whens
        .iter()
        .enumerate()
        .map(|(at, when)| json!({"name": format!("r{at}"), "when": when, "targets": ["p/a"]}))
        .collect();
    // Of models that nobody knows, so that nothing else is said of the rules.
    let models = json!({"a": {}, "b": {}, "ab": {}, "aab": {}, "ba": {}, "abb": {}, "x": {}});
    let clients_may: &[&str] = if by_name { &["rule"] } else { &[] };
    json!({
        "role": "gateway", "identity": [{"headers": {"tenant": "x-tenant"}}], "others": "all", "anonymous": "all", "tenants": {"all": {}}, "clients_may": clients_may,
        "providers": {"p": {"api": "openai", "endpoints": [{"cluster": "c"}], "models": models}},
        "rules": rules,
    })
}

fn gateway(whens: &[&Value]) -> Option<Gateway> {
    match Config::read(&config(whens, true)) {
        Ok(Config::Gateway(gateway)) => Some(*gateway),
        Ok(other) => panic!("{other:?}"),
        // A condition that nothing can meet.
        Err(_) => None,
    }
}

fn taken(gateway: &Gateway, request: &Request) -> Option<usize> {
    let pick = |all: &[Option<&'static str>; 2], name: &str| match name {
        "k" => all[0],
        "l" => all[1],
        _ => None,
    };
    let header = |name: &str| pick(&request.headers, name);
    let caller = request.tenant.map(|name| Rc::new(Caller::anonymous(&name.into(), 0)));
    let metadata = |name: &str| pick(&request.metadata, name).map(Cow::Borrowed);
    let input = || Input { tokens: request.tokens, cached: 0 };
    let cel = |cel: &Expression| request.cel[usize::from(cel.text.trim() == "two")];
    let question = Question {
        caller: caller.as_ref(),
        metadata: &metadata,
        input: &input,
        capabilities: request.capabilities,
        cel: &cel,
        ..Question::new(request.operation, request.model, request.stream, &header)
    };
    plan(gateway, &question).ok()?.at
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_said_to_be_out_of_reach_is_taken_above(
        first in when(), second in when(), requests in vec(request(), 30),
    ) {
        let Err(problems) = Config::read(&config(&[&first, &second], false)) else { return Ok(()) };
        prop_assume!(problems.iter().any(|problem| problem.message.contains("can never match")));
        let (Some(alone), Some(both)) = (gateway(&[&second]), gateway(&[&first, &second])) else {
            return Err(TestCaseError::fail(format!("{problems:?}")));
        };
        for request in &requests {
            if taken(&alone, request).is_some() {
                prop_assert_eq!(taken(&both, request), Some(0), "{:?}", request);
            }
        }
    }
}
