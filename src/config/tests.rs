#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Value, json};

use super::*;
use crate::providers::catalogue::Catalogue;
use crate::providers::{Payload, registry};

#[test]
fn a_small_configuration_is_enough() {
    let config = Config::read(&json!({
        "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
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

/// A configuration with every key of routing.
fn everything() -> Value {
    serde_json::from_str(include_str!("../../tests/check/routing.json")).unwrap()
}

#[test]
fn every_key_of_routing_is_read() {
    use crate::config::health::ProbeAsk;
    use crate::config::provider::Balance;
    use crate::config::rule::{Choose, Leave, MaxPrice, Operation, Sticky};
    use crate::health::Window;
    use crate::providers::catalogue::Rate;

    let gateway = gateway(&everything()).unwrap();
    assert_eq!(gateway.loopback.as_deref(), Some("waypost_loopback"));
    let may = gateway.clients_may;
    assert!(may.rule && !may.target && may.models);

    let [claude, openai] = &gateway.providers[..] else { panic!("two providers") };
    assert_eq!((claude.balance, openai.balance), (Balance::RoundRobin, Balance::Latency));
    assert_eq!((claude.max_concurrency, openai.max_concurrency), (None, Some(200)));
    let breaker = |provider: &Provider| {
        let breaker = provider.breaker;
        let rate = breaker.error_rate_per_mille;
        (rate, breaker.min_requests, breaker.consecutive_failures, breaker.open_for.as_secs())
    };
    assert_eq!((breaker(claude), breaker(openai)), ((400, 10, 5, 3), (5, 10, 3, 3)));
    let probe = |provider: &Provider| {
        let probe = provider.probe.clone().unwrap();
        (probe.every.as_secs(), probe.ask)
    };
    assert_eq!(probe(claude), (30, ProbeAsk::Chat(0)));
    assert_eq!(probe(openai), (10, ProbeAsk::Models));
    let quality = |model: &str| openai.model(model).unwrap().quality.clone();
    assert_eq!((quality("gpt-4o").general, quality("gpt-4o").tasks.len()), (Some(920), 0));
    assert_eq!(quality("gpt-4o-mini").general, Some(700));
    assert_eq!(quality("gpt-4o-mini").tasks, [("classification".to_owned(), 950)]);

    let [all, leaves, quick, best, shares] = &gateway.rules[..] else { panic!("five rules") };
    let when = &all.when;
    assert_eq!((when.operation, when.stream), (Some(Operation::Chat), Some(false)));
    assert_eq!(when.input_tokens, (Some(1000), Some(100_000)));
    assert_eq!(when.capabilities.to_string(), "tools vision");
    let metadata: Vec<(&str, &str)> =
        when.metadata.iter().map(|(name, values)| (&**name, values[0].as_str())).collect();
    assert_eq!(metadata, [("priority", "high*"), ("task", "classification")]);
    let require = &all.require;
    assert_eq!((&require.region[..], require.min_quality), (&["eu".to_owned()][..], Some(800)));
    assert_eq!(require.capabilities.to_string(), "json_schema");
    assert_eq!(require.max_latency.map(|time| time.as_millis()), Some(2000));
    let rate = Rate::from_usd_per_mtok;
    assert_eq!(require.max_price, Some(MaxPrice { input: rate(3.0), output: rate(15.0) }));
    assert_eq!(all.choose, Choose::Cost);
    let mirror = all.mirror.unwrap();
    assert_eq!((mirror.target.provider, mirror.target.model, mirror.share), (0, 0, 250));
    assert_eq!(leaves.mirror, None);

    let leave = Leave { error_rate_per_mille: 200, min_requests: 5, window: Window::FiveMinutes };
    assert_eq!(leaves.choose, Choose::Failover(leave));
    assert_eq!(quick.choose, Choose::Latency { explore: 25 });
    assert_eq!(best.choose, Choose::Quality);
    let sticky = Some(Sticky::Metadata("conversation".to_owned()));
    assert_eq!(shares.choose, Choose::Canary { sticky });
    let weights: Vec<u32> = shares.targets.iter().map(|target| target.weight).collect();
    assert_eq!(weights, [70, 30]);

    let expressions: Vec<(usize, &str)> =
        gateway.expressions().map(|cel| (cel.at, &*cel.text)).collect();
    assert_eq!(
        expressions,
        [(0, "request.headers['x-tier'] == 'gold' && connection.mtls"), (1, "true")]
    );
}

/// Two rules with these conditions; whether the second can ever match.
fn second_can_match(first: &Value, second: &Value) -> bool {
    let read = gateway(&json!({
        "role": "gateway", "identity": [{"headers": {"tenant": "x-tenant"}}], "others": "all", "anonymous": "all", "tenants": {"all": {}},
        "providers": {"openai": {"api": "openai", "endpoints": [{"cluster": "openai"}], "models": {"any": {}}}},
        "rules": [
            {"name": "first", "when": first, "targets": ["openai/any"]},
            {"name": "second", "when": second, "targets": ["openai/any"]},
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
        (json!({"metadata": {"a": ["1", "2"]}}), json!({"metadata": {"a": "2", "b": "3"}}), false),
        (json!({"metadata": {"a": "1"}}), json!({"headers": {"a": "1"}}), true),
        (json!({"operation": "chat"}), json!({"operation": "embeddings"}), true),
        (json!({"operation": "chat"}), json!({}), true),
        (json!({"operation": "chat"}), json!({"stream": true}), false),
        (json!({"operation": "chat"}), json!({"stream": false}), true),
        (json!({"operation": "chat"}), json!({"capabilities": ["vision"]}), false),
        (json!({"capabilities": ["vision"]}), json!({"capabilities": ["vision", "tools"]}), false),
        (json!({"capabilities": ["vision", "tools"]}), json!({"capabilities": ["vision"]}), true),
        (
            json!({"input_tokens": {"at_least": 5}}),
            json!({"input_tokens": {"at_least": 5, "at_most": 9}}),
            false,
        ),
        (json!({"input_tokens": {"at_least": 5}}), json!({"input_tokens": {"at_least": 4}}), true),
        (json!({"input_tokens": {"at_least": 5}}), json!({"input_tokens": {"at_most": 9}}), true),
        (json!({"input_tokens": {"at_most": 9}}), json!({"input_tokens": {"at_most": 9}}), false),
        (json!({"input_tokens": {"at_most": 9}}), json!({"input_tokens": {"at_least": 1}}), true),
        (json!({"input_tokens": {"at_least": 0}}), json!({}), false),
        (json!({"cel": "a"}), json!({"cel": "a", "stream": true}), false),
        (json!({"cel": "a"}), json!({"cel": "b"}), true),
        (json!({"cel": "a"}), json!({}), true),
    ] {
        assert_eq!(second_can_match(&first, &second), can, "{first} above {second}");
    }
}

#[test]
fn a_shorter_total_shortens_what_is_not_said() {
    let read = |timeouts: Value| {
        let gateway = gateway(&json!({
            "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
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
            "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
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
fn decimals_and_large_numbers_arrive_from_yaml_as_texts() {
    let read = |price: Value| {
        gateway(&json!({
            "role": "gateway", "anonymous": "all",
            "tenants": {"all": {"limits": {"tokens_per_day": "10000000000"}}},
            "providers": {"p": {"api": "openai", "endpoints": [{"cluster": "p"}], "models": {"m": {
                "price": {"input_usd_per_mtok": price, "output_usd_per_mtok": "12"},
            }}}},
        }))
    };
    let gateway = read(json!("2.4")).unwrap();
    assert_eq!(gateway.tenancy.tenants[0].terms.limits.tokens.day, Some(10_000_000_000));
    let price = gateway.providers[0].models[0].price().unwrap();
    assert_eq!(price.base.input.pico_usd(), 2_400_000);
    for wrong in ["", ".", "1e3", "-1", "2.4.1", "inf", "NaN", "2,4"] {
        assert!(read(json!(wrong)).is_err(), "{wrong}");
    }
}

/// Every number as Envoy hands it over.
fn doubled(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(doubled).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), doubled(value))).collect()
        }
        other => other.clone(),
    }
}

#[test]
fn routing_reads_the_same_when_all_numbers_are_doubles() {
    let (plain, double) = (gateway(&everything()), gateway(&doubled(&everything())));
    assert_eq!(format!("{:?}", plain.unwrap()), format!("{:?}", double.unwrap()));
}

#[test]
fn shares_are_read_to_the_hundredth_of_a_percent() {
    let explore = |share: Value| {
        let mut whole = everything();
        whole["rules"][2]["explore"] = share;
        gateway(&whole).map(|gateway| match gateway.rules[2].choose {
            rule::Choose::Latency { explore } => explore,
            _ => panic!("a latency rule"),
        })
    };
    for (text, share) in
        [("0%", 0), ("5%", 500), ("0.05%", 5), ("0.5%", 50), ("12.34%", 1234), ("100.0%", 10_000)]
    {
        assert_eq!(explore(json!(text)), Ok(share), "{text}");
    }
    for text in
        ["5", "%", ".5%", "5.%", "-1%", "+1%", "1e1%", "100.01%", "655.36%", "0.005%", "5 %"]
    {
        assert!(explore(json!(text)).is_err(), "{text}");
    }
    for (number, remedy) in [(0.05, "\"5%\""), (5.0, "\"5%\""), (0.125, "\"12.5%\"")] {
        let told = explore(json!(number)).unwrap_err();
        assert!(told[0].contains(remedy), "{told:?}");
    }
}

#[test]
fn more_targets_than_have_a_place_are_refused() {
    let read = |models: usize| {
        let models: serde_json::Map<String, Value> =
            (0..models).map(|at| (format!("m{at}"), json!({}))).collect();
        let endpoints: Vec<Value> =
            (0..16).map(|at| json!({"cluster": format!("c{at}")})).collect();
        gateway(&json!({
            "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
            "providers": {"p": {"api": "openai", "endpoints": endpoints, "models": models}},
        }))
    };
    assert!(read(gateway::MAX_TARGETS / 16).is_ok());
    assert_eq!(
        read(gateway::MAX_TARGETS / 16 + 1).unwrap_err(),
        [
            "providers: 4112 targets (models, counted at each endpoint that has them); at most 4096 are watched"
        ]
    );
}

#[test]
fn scores_for_more_tasks_than_the_limit_are_refused() {
    let read = |tasks: usize| {
        let tasks: serde_json::Map<String, Value> =
            (0..tasks).map(|at| (format!("t{at}"), json!(0.5))).collect();
        let mut whole = everything();
        whole["providers"]["openai"]["models"]["gpt-4o"] = json!({"quality": tasks});
        whole["rules"] = json!([]);
        gateway(&whole)
    };
    assert!(read(model::MAX_TASKS).is_ok());
    assert!(read(model::MAX_TASKS + 1).unwrap_err()[0].contains("needs 1 to 64 scores"));
}

#[test]
fn problems_are_gathered_up_to_a_limit() {
    let rules: Vec<Value> = (0..100).map(|_| json!({})).collect();
    let problems = gateway(&json!({
        "role": "gateway", "anonymous": "all", "tenants": {"all": {}},
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

#[test]
fn whoever_has_a_list_of_models_can_be_probed_with_it() {
    let catalogue = Catalogue::builtin();
    let paths: Vec<(&str, String)> = registry::APIS
        .iter()
        .filter_map(|api| {
            let probed = json!({"models": {"m": {}}, "probe": {}, "endpoint": "e", "region": "r"});
            let mut entry = json!({"models": {"m": {}}});
            for setting in api.settings.iter().filter(|setting| setting.required) {
                entry[setting.name] = json!("x");
            }
            for (name, value) in probed.as_object().unwrap() {
                if *name == "probe" || api.settings.iter().any(|setting| setting.name == *name) {
                    entry[name] = value.clone();
                }
            }
            let taken = provider::read_alone(&entry, api, &catalogue).is_ok();
            entry.as_object_mut().unwrap().remove("probe");
            let provider = provider::read_alone(&entry, api, &catalogue).unwrap();
            let outbound = api.dialect.models(&provider.target(&provider.models[0]));
            assert_eq!(taken, outbound.is_some(), "{}", api.name);
            let outbound = outbound?;
            assert_eq!((outbound.method, outbound.body), ("GET", Payload::Same), "{}", api.name);
            Some((api.name, outbound.path))
        })
        .collect();
    let paths: Vec<(&str, &str)> = paths.iter().map(|(name, path)| (*name, &**path)).collect();
    assert_eq!(
        paths,
        [
            ("openai", "/v1/models"),
            ("azure", "/openai/v1/models"),
            ("anthropic", "/v1/models?limit=1"),
            ("gemini", "/v1beta/models?pageSize=1"),
            ("mistral", "/v1/models"),
            ("cohere", "/v1/models?page_size=1"),
            ("deepseek", "/v1/models"),
            ("groq", "/openai/v1/models"),
            ("qwen", "/compatible-mode/v1/models"),
            ("xai", "/v1/models"),
            ("openrouter", "/api/v1/models"),
            ("together", "/v1/models"),
            ("ollama", "/v1/models"),
            ("vllm", "/v1/models"),
        ]
    );
}
