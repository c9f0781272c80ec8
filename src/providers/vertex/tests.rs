#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::providers::catalogue::Facts;
use crate::providers::{Base, Policy};

fn settings(pairs: &[(&'static str, &str)]) -> Settings {
    Settings(pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
}

#[test]
fn the_location_tells_the_host() {
    let host = |location| base_url(&settings(&[("location", location)])).unwrap();
    assert_eq!(host("global"), "https://aiplatform.googleapis.com");
    assert_eq!(host("eu"), "https://aiplatform.eu.rep.googleapis.com");
    assert_eq!(host("europe-west4"), "https://europe-west4-aiplatform.googleapis.com");
    assert_eq!(base_url(&Settings::default()), Err("location"));
}

#[test]
fn the_name_then_the_setting_then_the_start_of_the_name_tell_the_publisher() {
    let base = Base::parse("https://h").unwrap();
    let facts = Facts::unknown();
    let of = |model, pairs: &[(&'static str, &str)]| {
        let settings = settings(pairs);
        let target = Target {
            base: &base,
            settings: &settings,
            model,
            facts: &facts,
            policy: Policy::default(),
        };
        publisher(&target).map(|(publisher, model)| (publisher, model.to_owned()))
    };
    let set = [("publisher", "anthropic")];
    for (model, pairs, expected, name) in [
        ("gemini-3.8-flash", &[][..], Publisher::Google, "gemini-3.8-flash"),
        ("models/gemini-3.8-flash", &[], Publisher::Google, "gemini-3.8-flash"),
        ("claude-sonnet-4-5@20250929", &[], Publisher::Anthropic, "claude-sonnet-4-5@20250929"),
        ("anthropic/x", &[], Publisher::Anthropic, "x"),
        ("publishers/anthropic/models/x", &[], Publisher::Anthropic, "x"),
        ("publishers/google/models/claude", &set, Publisher::Google, "claude"),
        ("mine", &set, Publisher::Anthropic, "mine"),
        ("mine", &[], Publisher::Google, "mine"),
        ("mistral-medium-3", &[], Publisher::Mistral, "mistral-medium-3"),
        ("mistralai/codestral-2", &[], Publisher::Mistral, "codestral-2"),
        ("projects/p/locations/eu/publishers/anthropic/models/x", &[], Publisher::Anthropic, "x"),
    ] {
        assert_eq!(of(model, pairs).unwrap(), (expected, name.to_owned()), "{model}");
    }
    let mut claude = Facts::unknown();
    claude.name = "claude-sonnet-5-5";
    let settings = Settings::default();
    let mine = Target {
        base: &base,
        settings: &settings,
        model: "mine",
        facts: &claude,
        policy: Policy::default(),
    };
    assert_eq!(publisher(&mine).unwrap(), (Publisher::Anthropic, "mine"));
    for model in ["meta/llama", "publishers/x/models/y"] {
        assert_eq!(of(model, &[]).unwrap_err().param.as_deref(), Some("model"), "{model}");
    }
}
