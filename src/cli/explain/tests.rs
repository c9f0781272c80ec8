use std::borrow::Cow;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Value, json};

use super::condition::Seen;
use super::*;
use crate::config::Config;
use crate::health::{Gate, Slot};
use crate::routing::Question;

fn gateway() -> Gateway {
    let config = Config::read(&json!({
        "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
        "providers": {
            "a": {"api": "openai", "endpoints": [{"cluster": "a1"}, {"cluster": "a2"}], "max_concurrency": 9, "models": {"one": {}, "two": {}}},
            "b": {"api": "openai", "endpoints": [{"cluster": "b"}], "models": {"two": {}}},
        },
        "rules": [
            {"name": "first", "when": {"model": "o*", "cel": "connection.mtls"}, "targets": ["b/two"]},
            {"name": "second", "when": {"headers": {"x": ["a", "b*"]}, "metadata": {"task": "sums"}, "input_tokens": {"at_most": 9}}, "targets": ["a/two", "b/two"]},
        ],
    }));
    match config {
        Ok(Config::Gateway(gateway)) => *gateway,
        other => panic!("{other:?}"),
    }
}

fn told(body: &Value, status: Option<&Value>, verdict: &Verdict) -> (Value, u8) {
    let inquiry = Inquiry {
        operation: Operation::Chat,
        headers: Vec::new(),
        body: body.to_string().into_bytes(),
        tenant: None,
        now: 0,
    };
    let status = status.map(|status| status.to_string().into_bytes());
    let options = Options { status, json: true, ..Options::default() };
    let cel = |_: &str| verdict.clone();
    let printed = of_gateways(vec![("g".to_owned(), gateway())], &inquiry, &options, &cel).unwrap();
    (serde_json::from_slice(&printed.bytes).unwrap(), printed.exit)
}

fn hello(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hello"}]})
}

#[test]
fn an_expression_that_is_known_is_decided_once() {
    for (verdict, rule) in [(Verdict::Holds, "first"), (Verdict::Not, "model")] {
        let (told, exit) = told(&hello("one"), None, &verdict);
        let decisions = told["gateways"][0]["decisions"].as_array().unwrap();
        assert_eq!((decisions.len(), exit), (1, 0));
        assert_eq!(decisions[0]["rule"], rule);
        assert!(decisions[0].get("only_if").is_none());
    }
}

#[test]
fn an_expression_that_only_envoy_knows_is_decided_both_ways() {
    let (told, _) = told(&hello("one"), None, &Verdict::Unknown("connection".into()));
    let decisions = told["gateways"][0]["decisions"].as_array().unwrap();
    let said: Vec<(&Value, &Value)> =
        decisions.iter().map(|one| (&one["only_if"]["is"], &one["rule"])).collect();
    assert_eq!(said, [(&json!(false), &json!("model")), (&json!(true), &json!("first"))]);
    assert_eq!(decisions[0]["rules"][0]["why"][0], "cel: only Envoy can tell (connection)");
}

#[test]
fn a_body_over_the_limit_is_refused_as_envoy_does() {
    let (told, exit) = told(&hello(&"x".repeat(33 << 20)), None, &Verdict::Not);
    assert_eq!(
        (told["gateways"][0]["decisions"][0]["error"]["status"].as_u64(), exit),
        (Some(413), 1)
    );
}

#[test]
fn conditions_say_what_they_saw_and_what_they_wanted() {
    let gateway = gateway();
    let metadata = |name: &str| (name == "task").then_some(Cow::Borrowed("sums"));
    let cel = |_: &str| Verdict::Not;
    let header = |name: &str| (name == "x").then_some("bee");
    let question =
        Question { metadata: &metadata, ..Question::new(Operation::Chat, "one", false, &header) };
    let seen = Seen { question: &question, cel: &cel };
    let [first, second] = &gateway.rules[..] else { panic!() };
    assert_eq!(seen.unmet(&first.when, "cel"), "cel: false");
    assert_eq!(
        seen.met(&second.when),
        ["headers.x: bee (b*)", "metadata.task: sums", "input_tokens: about 0 (at most 9)"]
    );
    let (header, long) = (|_: &str| None, "x".repeat(100));
    let metadata = |_: &str| Some(Cow::Borrowed(&*long));
    let question =
        Question { metadata: &metadata, ..Question::new(Operation::Chat, "one", false, &header) };
    let seen = Seen { question: &question, ..seen };
    assert_eq!(seen.unmet(&second.when, "headers"), "headers.x: absent, wanted a or b*");
    let said = seen.unmet(&second.when, "metadata");
    assert_eq!(said, format!("metadata.task: {}…, wanted sums", "x".repeat(80)));
}

fn status(endpoint: &Value, model: &Value, in_flight: u32) -> Value {
    json!({"v": 1, "at": 1_000, "left_out": {"endpoints": 0}, "providers": [{"endpoints": [{
        "cluster": "a2", "breaker": endpoint, "in_flight": in_flight, "max_concurrency": 9,
        "overflowing": false, "models": [{"name": "two", "breaker": model, "last": {
            "1m": {"requests": 30, "failures": 3, "first_token": null, "total": null},
            "5m": {"requests": 90, "failures": 3, "first_token": {"samples": 25, "p50": 1, "p95": 2, "p99": 3}, "total": null},
        }}],
    }]}]})
}

#[test]
fn a_status_says_how_a_model_at_an_endpoint_stands() {
    let gateway = gateway();
    // The second endpoint of `a`, and the second model there.
    let slot = Slot { endpoint: 1, target: 3 };
    let of = |state: &str, until: Option<u64>| json!({"state": state, "until": until, "reason": "server"});
    for (endpoint, model, gate) in [
        (of("closed", None), of("closed", None), Gate::Closed),
        (of("closed", None), of("open", Some(5_000)), Gate::Open(5_000)),
        (of("open", Some(9_000)), of("open", Some(5_000)), Gate::Open(9_000)),
        (of("open", Some(900)), of("closed", None), Gate::Trial),
        (of("closed", None), of("half_open", None), Gate::Trial),
    ] {
        let status = status(&endpoint, &model, 2).to_string();
        let status = Status::read(status.as_bytes()).unwrap();
        let standing = status.standing(&gateway, slot);
        assert_eq!((standing.gate, standing.saturated), (gate, false), "{endpoint} {model}");
        assert_eq!((standing.counts[1].failures, standing.first_token.p95), (3, 2));
        assert_eq!(status.standing(&gateway, Slot::default()), Default::default());
        assert_eq!(status.unknown(&gateway), ["a1", "b"]);
    }
    let full = status(&of("closed", None), &of("closed", None), 9).to_string();
    assert!(Status::read(full.as_bytes()).unwrap().standing(&gateway, slot).saturated);
}

#[test]
fn who_is_down_is_asked_last_and_the_shares_say_so() {
    let closed = json!({"state": "closed", "until": null, "reason": null});
    let open = json!({"state": "open", "until": 8_000, "reason": "timeout"});
    let firsts = |status: Option<&Value>| -> Vec<(String, Value)> {
        let (told, _) = told(&hello("two"), status, &Verdict::Not);
        let candidates = told["gateways"][0]["decisions"][0]["candidates"].clone();
        let of = |one: &Value| {
            (one["cluster"].as_str().unwrap().to_owned(), one["first_per_mille"].clone())
        };
        candidates.as_array().unwrap().iter().map(of).collect()
    };
    let half = json!(500);
    assert_eq!(
        firsts(None),
        [("a1".into(), half.clone()), ("a2".into(), half), ("b".into(), json!(0))]
    );
    let down = status(&open, &closed, 0);
    let clusters: Vec<String> = firsts(Some(&down)).into_iter().map(|one| one.0).collect();
    assert_eq!(clusters, ["a1", "b", "a2"]);
}

#[test]
fn who_asks_is_named_or_shown_as_in_envoy_and_a_key_that_does_not_hold_is_refused() {
    use crate::tenancy::key::Hash;

    let hash = |key: &str| Hash::of(key, [1; 16]).to_string();
    let config = json!({
        "role": "gateway",
        "tenants": {
            "a": {"keys": [{"hash": hash("wp-of-a"), "expires": "1970-01-01"}], "may": {"models": "one"}},
            "b": {},
        },
        "providers": {"p": {"api": "openai", "endpoints": [{"cluster": "c"}], "models": {"one": {}, "two": {}}}},
        "rules": [{"name": "of-b", "when": {"tenant": "b"}, "targets": ["p/two"]}],
    });
    let decided = |tenant: Option<&str>, key: Option<&str>, model: &str, now: u64| {
        let Ok(Config::Gateway(gateway)) = Config::read(&config) else { panic!("a gateway") };
        let header = key.map(|key| ("authorization".to_owned(), format!("Bearer {key}")));
        let inquiry = Inquiry {
            operation: Operation::Chat,
            headers: header.into_iter().collect(),
            body: hello(model).to_string().into_bytes(),
            tenant: tenant.map(str::to_owned),
            now,
        };
        let options = Options { json: true, ..Options::default() };
        let gateways = vec![("g".to_owned(), *gateway)];
        let printed = of_gateways(gateways, &inquiry, &options, &|_| Verdict::Not).unwrap();
        let told: Value = serde_json::from_slice(&printed.bytes).unwrap();
        let decision = &told["gateways"][0]["decisions"][0];
        let tenant = told["gateways"][0]["request"]["tenant"].as_str().map(str::to_owned);
        (tenant, decision["rule"].clone(), decision["error"]["body"]["error"]["code"].clone())
    };
    let a = Some("a".to_owned());
    assert_eq!(
        decided(Some("b"), None, "one", 0),
        (Some("b".to_owned()), json!("of-b"), Value::Null)
    );
    assert_eq!(decided(None, Some("wp-of-a"), "one", 7), (a.clone(), json!("model"), Value::Null));
    assert_eq!(decided(None, Some("wp-of-a"), "one", 86_400_000).2, "api_key_expired");
    assert_eq!(decided(None, Some("wp-of-b"), "one", 7).2, "invalid_api_key");
    assert_eq!(decided(Some("none"), None, "one", 7).2, "unknown_tenant");
    assert_eq!(decided(Some("a"), None, "two", 7), (a, Value::Null, json!("model_not_allowed")));
    assert_eq!(decided(None, None, "one", 7), (None, json!("model"), Value::Null));
}
