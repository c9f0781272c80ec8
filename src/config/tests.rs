#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::json;

use super::*;

#[test]
fn a_small_configuration_is_enough() {
    let config = Config::read(&json!({
        "role": "gateway",
        "providers": {"openai": {"api": "openai", "endpoints": [{"cluster": "openai"}], "models": {"gpt-4o": {}}}},
    }))
    .unwrap();
    let Config::Gateway(gateway) = config else { panic!("a gateway") };
    let provider = gateway.providers.first().unwrap();
    assert_eq!(provider.base.authority, "api.openai.com");
    assert_eq!(provider.model("gpt-4o").unwrap().facts.context_window, Some(128_000));
}

#[test]
fn a_key_in_the_place_of_its_name_is_not_repeated() {
    for credentials in [json!(["sk-secret"]), json!([{"env": "sk-secret"}]), json!("sk-secret")] {
        let problems =
            Config::read(&json!({"role": "provider", "provider": "p", "credentials": credentials}))
                .unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(!told.is_empty() && !told.concat().contains("secret"), "{told:?}");
    }
}

fn gateway(value: &Value) -> Result<Gateway, Vec<String>> {
    match Config::read(value) {
        Ok(Config::Gateway(gateway)) => Ok(*gateway),
        Ok(_) => panic!("a gateway"),
        Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
    }
}

/// Two rules with these conditions; whether the second can ever match.
fn second_can_match(first: &Value, second: &Value) -> bool {
    let read = gateway(&json!({
        "role": "gateway",
        "tenant_header": "x-tenant",
        "providers": {"openai": {"api": "openai", "endpoints": [{"cluster": "openai"}], "models": {"gpt-4o": {}}}},
        "rules": [
            {"name": "first", "when": first, "targets": ["openai/gpt-4o"]},
            {"name": "second", "when": second, "targets": ["openai/gpt-4o"]},
        ],
    }));
    match read {
        Ok(_) => true,
        Err(problems) => {
            assert!(problems.concat().contains("can never match"), "{problems:?}");
            false
        }
    }
}

#[test]
fn a_rule_can_match_unless_one_above_takes_all_its_requests() {
    for (first, second, can) in [
        (json!({}), json!({}), false),
        (json!({}), json!({"model": "gpt-*"}), false),
        (json!({"model": "gpt-*"}), json!({}), true),
        (json!({"model": "gpt-*"}), json!({"model": ["gpt-4o", "gpt-5-*"]}), false),
        (json!({"model": "gpt-*"}), json!({"model": ["gpt-4o", "o3"]}), true),
        (json!({"stream": true}), json!({"stream": true, "model": "o3"}), false),
        (json!({"stream": true}), json!({"stream": false}), true),
        (json!({"stream": true}), json!({"model": "o3"}), true),
        (json!({"tenant": "*"}), json!({"tenant": "blue"}), false),
        // A request without the header has no tenant.
        (json!({"tenant": "*"}), json!({}), true),
        (json!({"headers": {"a": "1"}}), json!({"headers": {"a": "1", "b": "2"}}), false),
        (json!({"headers": {"a": "1", "b": "2"}}), json!({"headers": {"a": "1"}}), true),
        (json!({"headers": {"a": ["1", "2"]}}), json!({"headers": {"a": "2"}}), false),
        (json!({"headers": {"a": "1"}}), json!({"headers": {"b": "1"}}), true),
    ] {
        assert_eq!(second_can_match(&first, &second), can, "{first} above {second}");
    }
}

#[test]
fn a_shorter_total_shortens_what_is_not_said() {
    let read = |timeouts: Value| {
        let gateway = gateway(&json!({
            "role": "gateway",
            "providers": {"p": {"api": "openai", "endpoints": [{"cluster": "p"}], "models": {"m": {}}}},
            "timeouts": {"first_token": "20s"},
            "rules": [{"name": "r", "targets": ["p/m"], "timeouts": timeouts}],
        }))?;
        Ok::<_, Vec<String>>(gateway.rules[0].timeouts)
    };
    let times = read(json!({"total": "30s"})).unwrap();
    assert_eq!(
        (times.first_token.as_secs(), times.answer.as_secs(), times.total.as_secs()),
        (20, 30, 30)
    );
    let times = read(json!({"total": "10s"})).unwrap();
    assert_eq!(
        (times.first_token.as_secs(), times.answer.as_secs(), times.idle.as_secs()),
        (10, 10, 60)
    );
    assert_eq!(
        read(json!({"total": "10s", "answer": "11s"})).unwrap_err(),
        ["rules[0].timeouts: answer (11s) is longer than total (10s) and could never be reached"]
    );
}

#[test]
fn numbers_arrive_from_envoy_as_doubles() {
    let read = |limits: Value| {
        gateway(&json!({
            "role": "gateway",
            "providers": {"p": {"api": "openai", "endpoints": [{"cluster": "p"}], "models": {"m": {"context_window": 128000.0}}}},
            "limits": limits,
        }))
    };
    let read_back = read(json!({"body": 1_048_576.0})).unwrap();
    assert_eq!(read_back.limits.body, 1 << 20);
    assert_eq!(read_back.providers[0].models[0].facts.context_window, Some(128_000));
    for wrong in [
        json!(1_048_576.5),
        json!(-1),
        json!("1 MB"),
        json!("MiB"),
        json!("99999999999999999999GiB"),
    ] {
        assert!(read(json!({"body": wrong})).is_err(), "{wrong}");
    }
    assert_eq!(read(json!({"body": "512 KiB"})).unwrap().limits.body, 512 << 10);
}

#[test]
fn problems_are_gathered_up_to_a_limit() {
    let rules: Vec<Value> = (0..100).map(|_| json!({})).collect();
    let problems = gateway(&json!({
        "role": "gateway",
        "providers": {"p": {"api": "openai", "endpoints": [{"cluster": "p"}], "models": {"m": {}}}},
        "rules": rules,
    }))
    .unwrap_err();
    assert_eq!(problems.len(), reader::MAX_PROBLEMS);
}

#[test]
fn a_configuration_over_the_limit_is_not_parsed() {
    let problems = Config::parse(&vec![b' '; MAX_CONFIG_BYTES + 1]).unwrap_err();
    assert_eq!(problems[0].message, "the configuration is larger than 4194304 bytes");
    let problems = Config::parse(&vec![b' '; MAX_CONFIG_BYTES]).unwrap_err();
    assert!(!problems[0].message.contains("larger"), "{problems:?}");
}
