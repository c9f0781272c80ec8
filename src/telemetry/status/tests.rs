#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Value, json};

use super::*;
use crate::config::Config;
use crate::openai::Class;

const NOW: Millis = 1_800_000_000_000;

fn gateway(providers: &Value, rules: &Value) -> Gateway {
    let value = json!({"role": "gateway", "anonymous": "all", "tenants": {"all": {}}, "providers": providers, "rules": rules});
    match Config::read(&value) {
        Ok(Config::Gateway(gateway)) => *gateway,
        other => panic!("{other:?}"),
    }
}

/// Two providers, the first with two endpoints.
fn small() -> Gateway {
    gateway(
        &json!({
            "claude": {
                "api": "anthropic",
                "endpoints": [{"cluster": "c-eu", "region": "eu"}, {"cluster": "c-us"}],
                "models": {"claude-haiku-4-5": {}, "claude-sonnet-4-5": {}},
            },
            "openai": {"api": "openai", "endpoints": [{"cluster": "o"}], "models": {"gpt-4o": {}}},
        }),
        &json!([{"name": "all", "targets": ["openai/gpt-4o", "claude/claude-sonnet-4-5"]}]),
    )
}

/// What a fleet reports of which nothing is known.
fn quiet(gateway: &Gateway) -> Vec<EndpointReport> {
    let report = |watched: crate::health::Watched| EndpointReport {
        provider: watched.provider,
        cluster: watched.cluster,
        max_concurrency: watched.max_concurrency,
        targets: watched
            .models
            .into_iter()
            .map(|model| TargetReport {
                model,
                breaker: BreakerReport::default(),
                counts: Default::default(),
                classes: Vec::new(),
                first_token: Default::default(),
                total: Default::default(),
                history: vec![Percentiles::default(); 10],
            })
            .collect(),
        breaker: BreakerReport::default(),
        in_flight: 0,
        overflowing: false,
        counts: Default::default(),
    };
    gateway.fleet().into_iter().map(report).collect()
}

/// Traffic that there was none of.
fn idle(gateway: &Gateway) -> Vec<Went> {
    let names = gateway.rules.iter().map(|rule| &*rule.name).chain(["model"]);
    names.map(|name| (name.to_owned(), Vec::new())).collect()
}

fn counts(requests: u32, failures: u32) -> Counts {
    Counts { requests, failures }
}

fn times(samples: u32, p95: u32) -> Percentiles {
    Percentiles { samples, p50: p95 / 2, p95, p99: p95 * 2 }
}

fn read(gateway: &Gateway, fleet: &[EndpointReport], traffic: &[Went]) -> Value {
    serde_json::from_slice(&write(gateway, fleet, traffic, None, NOW)).unwrap()
}

#[test]
fn the_age_of_newer_prices_is_shown() {
    let gateway = small();
    let prices = Some(Prices { number: 3, checked: NOW - 61_500 });
    let json = write(&gateway, &quiet(&gateway), &idle(&gateway), prices, NOW);
    let status: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(status["prices"], json!({"number": 3, "checked": NOW - 61_500, "age_s": 61}));
}

#[test]
fn a_gateway_that_nobody_asked_is_shown_whole() {
    let gateway = small();
    let status = read(&gateway, &quiet(&gateway), &idle(&gateway));
    let no = json!({"requests": 0, "failures": 0, "per_mille": 0});
    let none =
        json!({"requests": 0, "failures": 0, "per_mille": 0, "first_token": null, "total": null});
    let closed = json!({"state": "closed", "until": null, "opened": 0, "reason": null});
    let model = |name: &str| {
        json!({
            "name": name,
            "breaker": closed,
            "last": {"10s": none, "1m": none, "5m": none},
            "errors": {},
            "p95_history": vec![Value::Null; 10],
        })
    };
    let endpoint = |cluster: &str, region: Option<&str>, models: Vec<Value>| {
        json!({
            "cluster": cluster,
            "region": region,
            "breaker": closed,
            "in_flight": 0,
            "max_concurrency": null,
            "overflowing": false,
            "last": {"10s": no, "1m": no, "5m": no},
            "models": models,
        })
    };
    let claude = || vec![model("claude-haiku-4-5"), model("claude-sonnet-4-5")];
    assert_eq!(
        status,
        json!({
            "v": 1,
            "at": NOW,
            "rules": [{
                "name": "all",
                "choose": "failover",
                "targets": [
                    {"provider": "openai", "model": "gpt-4o", "weight": 1},
                    {"provider": "claude", "model": "claude-sonnet-4-5", "weight": 1},
                ],
                "attempts": 0,
                "went": [],
            }],
            "providers": [
                {
                    "name": "claude",
                    "api": "anthropic",
                    "endpoints": [
                        endpoint("c-eu", Some("eu"), claude()),
                        endpoint("c-us", None, claude()),
                    ],
                },
                {
                    "name": "openai",
                    "api": "openai",
                    "endpoints": [endpoint("o", None, vec![model("gpt-4o")])],
                },
            ],
            "prices": null,
            "left_out": {"rules": 0, "endpoints": 0, "models": 0},
        })
    );
}

#[test]
fn an_endpoint_shows_its_breaker_and_what_is_in_flight() {
    let gateway = small();
    let mut fleet = quiet(&gateway);
    fleet[1].breaker = BreakerReport {
        state: State::Open,
        until: Some(NOW + 2000),
        opened: 3,
        reason: Some(Class::RateLimit),
    };
    fleet[1].in_flight = 7;
    fleet[1].max_concurrency = Some(7);
    fleet[1].overflowing = true;
    fleet[1].counts = [counts(3, 1), counts(40, 10), counts(50, 10)];
    let status = read(&gateway, &fleet, &idle(&gateway));
    let shown = &status["providers"][0]["endpoints"][1];
    assert_eq!(
        shown["breaker"],
        json!({"state": "open", "until": NOW + 2000, "opened": 3, "reason": "rate_limit"})
    );
    assert_eq!(shown["in_flight"], 7);
    assert_eq!(shown["max_concurrency"], 7);
    assert_eq!(shown["overflowing"], true);
    assert_eq!(
        shown["last"],
        json!({
            "10s": {"requests": 3, "failures": 1, "per_mille": 333},
            "1m": {"requests": 40, "failures": 10, "per_mille": 250},
            "5m": {"requests": 50, "failures": 10, "per_mille": 200},
        })
    );
    assert_eq!(status["providers"][0]["endpoints"][0]["breaker"]["state"], "closed");
}

#[test]
fn a_model_shows_times_classes_and_history() {
    let gateway = small();
    let mut fleet = quiet(&gateway);
    let target = &mut fleet[2].targets[0];
    target.breaker.state = State::HalfOpen;
    target.counts = [counts(1, 0), counts(2, 0), counts(3, 2)];
    target.first_token = [times(0, 0), times(5, 300), times(9, 400)];
    target.total = [times(1, 1200), times(0, 0), times(4, 1000)];
    target.classes = vec![(Class::Server, 2), (Class::Timeout, 0)];
    target.history = vec![times(0, 0), times(4, 250), times(1, 90)];
    let status = read(&gateway, &fleet, &idle(&gateway));
    let shown = &status["providers"][1]["endpoints"][0]["models"][0];
    assert_eq!(shown["breaker"]["state"], "half_open");
    assert_eq!(shown["last"]["10s"]["first_token"], Value::Null);
    assert_eq!(
        shown["last"]["1m"]["first_token"],
        json!({"samples": 5, "p50": 150, "p95": 300, "p99": 600})
    );
    assert_eq!(shown["last"]["1m"]["total"], Value::Null);
    assert_eq!(
        shown["last"]["5m"]["total"],
        json!({"samples": 4, "p50": 500, "p95": 1000, "p99": 2000})
    );
    assert_eq!(shown["last"]["5m"]["per_mille"], 666);
    assert_eq!(shown["errors"], json!({"server": 2}));
    assert_eq!(shown["p95_history"], json!([null, 250, 90]));
}

#[test]
fn a_rule_shows_whom_it_went_to_and_the_share_of_each() {
    let gateway = small();
    // Of claude's second endpoint the second model, and openai's only one.
    let sonnet = Slot { endpoint: 1, target: 3 };
    let gpt = Slot { endpoint: 2, target: 4 };
    let nobody = Slot { endpoint: 9, target: 9 };
    let traffic = vec![
        ("all".to_owned(), vec![(gpt, 3), (sonnet, 1), (nobody, 0)]),
        ("model".to_owned(), vec![(gpt, 5)]),
    ];
    let status = read(&gateway, &quiet(&gateway), &traffic);
    assert_eq!(status["rules"][0]["attempts"], 4);
    assert_eq!(
        status["rules"][0]["went"],
        json!([
            {"provider": "openai", "cluster": "o", "model": "gpt-4o", "attempts": 3, "per_mille": 750},
            {"provider": "claude", "cluster": "c-us", "model": "claude-sonnet-4-5", "attempts": 1, "per_mille": 250},
        ])
    );
    let by_model = &status["rules"][1];
    assert_eq!((&by_model["name"], &by_model["attempts"]), (&json!("model"), &json!(5)));
    assert_eq!(by_model["choose"], Value::Null);
    assert_eq!(by_model["targets"], json!([]));
}

#[test]
fn names_are_escaped() {
    let name = "a\"b\\c<img src=x onerror=alert(1)>";
    let gateway = gateway(
        &json!({"p": {"api": "openai", "endpoints": [{"cluster": "c"}], "models": {name: {}}}}),
        &json!([]),
    );
    let status = read(&gateway, &quiet(&gateway), &idle(&gateway));
    assert_eq!(status["providers"][0]["endpoints"][0]["models"][0]["name"], name);
}

#[test]
fn a_slot_that_is_none_of_the_configuration_is_passed_over() {
    let gateway = small();
    let went = vec![
        (Slot { endpoint: 2, target: 0 }, 1),
        (Slot { endpoint: 0, target: 4 }, 1),
        (Slot { endpoint: 40, target: 4 }, 2),
    ];
    let traffic = vec![("all".to_owned(), went)];
    let status = read(&gateway, &[], &traffic);
    assert_eq!(status["rules"][0]["went"], json!([]));
    assert_eq!(status["providers"][0]["endpoints"], json!([]));
}

#[test]
fn of_too_many_models_the_quiet_ones_are_left_out() {
    let models = |prefix: &str| -> Value {
        (0..40)
            .map(|at| (format!("{prefix}{at}"), json!({})))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let providers: serde_json::Map<String, Value> = (0..15)
        .map(|at| {
            let endpoints = json!([{"cluster": format!("c{at}")}]);
            (
                format!("p{at}"),
                json!({"api": "openai", "endpoints": endpoints, "models": models("m")}),
            )
        })
        .collect();
    let gateway = gateway(&providers.into(), &json!([]));
    let mut fleet = quiet(&gateway);
    let last = fleet.len() - 1;
    for target in &mut fleet[last].targets {
        target.counts[2] = counts(1, 0);
    }
    fleet[last - 1].targets[39].breaker.state = State::Open;
    let status = read(&gateway, &fleet, &idle(&gateway));
    assert_eq!(status["left_out"], json!({"rules": 0, "endpoints": 0, "models": 600 - MAX_MODELS}));
    let listed: Vec<usize> = status["providers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|provider| provider["endpoints"][0]["models"].as_array().unwrap().len())
        .collect();
    assert_eq!(listed.iter().sum::<usize>(), MAX_MODELS);
    assert_eq!(listed[last], 40);
    let open = status["providers"][last - 1]["endpoints"][0]["models"].as_array().unwrap();
    assert!(open.iter().any(|model| model["breaker"]["state"] == "open"));
}

#[test]
fn of_too_many_endpoints_the_quiet_ones_are_left_out_with_their_models() {
    let providers: serde_json::Map<String, Value> = (0..20)
        .map(|at| {
            let endpoints: Vec<Value> =
                (0..16).map(|end| json!({"cluster": format!("c{at}-{end}")})).collect();
            (
                format!("p{at}"),
                json!({"api": "openai", "endpoints": endpoints, "models": {"m": {}}}),
            )
        })
        .collect();
    let gateway = gateway(&providers.into(), &json!([]));
    let mut fleet = quiet(&gateway);
    fleet[319].in_flight = 1;
    let status = read(&gateway, &fleet, &idle(&gateway));
    let gone = 320 - MAX_ENDPOINTS;
    assert_eq!(status["left_out"], json!({"rules": 0, "endpoints": gone, "models": gone}));
    let last = status["providers"][19]["endpoints"].as_array().unwrap();
    assert_eq!(last.len(), 1);
    assert_eq!(last[0]["in_flight"], 1);
}

#[test]
fn of_too_many_rules_those_without_requests_are_left_out() {
    let rules: Vec<Value> = (0..MAX_RULES + 3)
        .map(|at| {
            let name = format!("r{at}");
            json!({"name": name, "when": {"model": name}, "targets": ["p/m"]})
        })
        .collect();
    let gateway = gateway(
        &json!({"p": {"api": "openai", "endpoints": [{"cluster": "c"}], "models": {"m": {}}}}),
        &rules.into(),
    );
    let mut traffic = idle(&gateway);
    traffic[MAX_RULES + 2].1 = vec![(Slot::default(), 1)];
    let status = read(&gateway, &quiet(&gateway), &traffic);
    let listed = status["rules"].as_array().unwrap();
    assert_eq!(listed.len(), MAX_RULES);
    assert_eq!(listed[MAX_RULES - 1]["name"], format!("r{}", MAX_RULES + 2));
    assert_eq!(status["left_out"]["rules"], 3);
}

#[test]
fn of_those_whom_a_rule_went_to_the_most_asked_are_listed() {
    let models: serde_json::Map<String, Value> =
        (0..MAX_WENT + 8).map(|at| (format!("m{at:02}"), json!({}))).collect();
    let gateway = gateway(
        &json!({"p": {"api": "openai", "endpoints": [{"cluster": "c"}], "models": models}}),
        &json!([]),
    );
    let went = (0..MAX_WENT + 8)
        .rev()
        .map(|at| (Slot { endpoint: 0, target: at as u16 }, at as u32 + 1))
        .collect();
    let status = read(&gateway, &quiet(&gateway), &[("model".to_owned(), went)]);
    let listed = status["rules"][0]["went"].as_array().unwrap();
    assert_eq!(listed.len(), MAX_WENT);
    assert_eq!(listed[0]["attempts"], MAX_WENT + 8);
    assert_eq!(status["rules"][0]["attempts"], (1..=MAX_WENT + 8).sum::<usize>());
}
