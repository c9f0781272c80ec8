//! A plugin's configuration. Data that begins with a zero byte is edits of the roles in the reference
//! configuration and in the tests; any other data is the configuration itself, JSON or `Struct`.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use waypost::config::reader::MAX_PROBLEMS;
use waypost::config::{Config, Problem, structure};
use waypost_fuzz::edit::{self, Base};

/// The roles in envoy/envoy.yaml, and what `waypost check` is tested with.
static BASES: LazyLock<Vec<Base>> = LazyLock::new(|| {
    let whole = include_str!("../../tests/check/config.json");
    let routing = include_str!("../../tests/check/routing.json");
    let mut bases = vec![
        serde_json::from_str(whole).expect("config.json is JSON"),
        serde_json::from_str(routing).expect("routing.json is JSON"),
    ];
    roles(&edit::envoy(), &mut bases);
    assert!(bases.len() >= 5, "a gateway and two providers");
    bases.into_iter().map(Base::new).collect()
});

fn roles(value: &Value, found: &mut Vec<Value>) {
    if value.get("role").is_some() {
        found.push(value.clone());
    }
    match value {
        Value::Object(fields) => fields.values().for_each(|value| roles(value, found)),
        Value::Array(items) => items.iter().for_each(|value| roles(value, found)),
        _ => {}
    }
}

/// What is wrong with a configuration, after a look at the words.
fn problems(read: Result<Config, Vec<Problem>>) -> Vec<Problem> {
    let Err(problems) = read else { return Vec::new() };
    assert!((1..=MAX_PROBLEMS).contains(&problems.len()), "{problems:?}");
    assert!(problems.iter().all(|problem| !problem.message.is_empty()), "{problems:?}");
    problems
}

/// Whether a `Struct` holds each number as it is.
fn exact(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().all(exact),
        Value::Array(items) => items.iter().all(exact),
        Value::Number(number) => {
            number.as_f64().is_some_and(|double| double.abs() < 9e15)
                && !number.to_string().contains(".0")
        }
        _ => true,
    }
}

fn check(value: &Value) {
    let found = problems(Config::read(value));
    let json = serde_json::to_vec(value).expect("a value has a JSON form");
    assert_eq!(problems(Config::parse(&json)), found);
    if let Value::Object(fields) = value
        && !fields.is_empty()
        && exact(value)
    {
        let bytes = edit::structure(fields);
        // Deeper ones are refused in this form.
        if structure::read(&bytes).is_some() && serde_json::from_slice::<Value>(&bytes).is_err() {
            assert_eq!(structure::read(&bytes), Some(value.into()));
            assert_eq!(problems(Config::parse(&bytes)), found);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    match data {
        [0, base, edits @ ..] => {
            let base = &BASES[usize::from(*base) % BASES.len()];
            check(&base.edited(edits));
        }
        _ => {
            problems(Config::parse(data));
            if let Ok(value) = serde_json::from_slice(data) {
                check(&value);
            }
        }
    }
});
