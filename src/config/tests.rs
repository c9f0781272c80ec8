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
