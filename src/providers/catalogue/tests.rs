use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn all(catalogue: &Catalogue) -> Vec<(&'static str, &'static str, &Facts)> {
    let families = catalogue.families();
    families
        .flat_map(|family| {
            catalogue.models(family).map(move |(model, facts)| (family, model, facts))
        })
        .collect()
}

#[test]
fn the_data_has_111_models_of_13_families() {
    let catalogue = Catalogue::builtin();
    assert_eq!(all(&catalogue).len(), 111);
    let families: Vec<_> = catalogue.families().map(|f| (f, catalogue.models(f).count())).collect();
    let expected = [
        ("anthropic", 12),
        ("azure", 5),
        ("bedrock", 14),
        ("cohere", 7),
        ("deepseek", 4),
        ("gemini", 12),
        ("groq", 3),
        ("mistral", 10),
        ("openai", 24),
        ("qwen", 7),
        ("together", 6),
        ("vertex", 2),
        ("xai", 5),
    ];
    assert_eq!(families, expected);
    assert_eq!(catalogue.as_of(), "2026-11-21");
}

#[test]
fn each_model_of_the_data_is_sound() {
    let catalogue = Catalogue::builtin();
    for (family, model, facts) in all(&catalogue) {
        let name = format!("{family} {model}");
        let embeds = facts.mode == Mode::Embedding;
        assert_eq!(
            facts.capabilities.has(Capability::Embeddings),
            embeds || !facts.known,
            "{name}"
        );
        assert!(facts.context_window.is_some_and(|tokens| tokens >= 2_048), "{name}");
        assert_eq!(facts.max_output.is_none(), embeds, "{name}");
        assert!(facts.vector_size.is_none() || embeds, "{name}");
        if let Some(day) = facts.deprecated_on {
            assert!(names::is_date(day.as_bytes(), b"YYYY-MM-DD"), "{name}");
        }
        let price = facts.price.as_ref().expect(&name);
        assert!(price.base.output >= price.base.input || embeds, "{name}");
        let mut lower = &price.base;
        let mut above = 0;
        for tier in &price.tiers {
            assert!(tier.above > above, "{name}");
            assert!(tier.rates.input > lower.input && tier.rates.output > lower.output, "{name}");
            assert_eq!(tier.rates.cached_input.is_some(), lower.cached_input.is_some(), "{name}");
            assert_eq!(tier.rates.cache_write.is_some(), lower.cache_write.is_some(), "{name}");
            above = tier.above;
            lower = &tier.rates;
        }
        for rates in std::iter::once(&price.base).chain(price.tiers.iter().map(|tier| &tier.rates))
        {
            assert!(rates.cached_input.is_none_or(|cached| cached <= rates.input), "{name}");
        }
        let parameters = facts.parameters;
        let reasons = facts.capabilities.has(Capability::Reasoning);
        assert!(reasons || parameters.efforts == Efforts::default(), "{name}");
        assert!(reasons || !(parameters.adaptive_thinking || parameters.legacy_thinking), "{name}");
        if parameters.sampling_with_effort_none {
            assert_eq!(parameters.efforts.accepts(Effort::None), Some(true), "{name}");
        }
    }
}

#[test]
fn claude_takes_adaptive_or_legacy_thinking() {
    let catalogue = Catalogue::builtin();
    let claude: Vec<_> =
        all(&catalogue).into_iter().filter(|(_, model, _)| model.contains("claude")).collect();
    assert_eq!(claude.len(), 16);
    for (_, model, facts) in claude {
        let Parameters { adaptive_thinking, legacy_thinking, .. } = facts.parameters;
        assert!(adaptive_thinking || legacy_thinking, "{model}");
    }
}

#[test]
fn the_facts_of_a_model_are_those_of_its_line() {
    let catalogue = Catalogue::builtin();
    let opus = catalogue.find("anthropic", "claude-opus-5-5").unwrap();
    assert_eq!(opus.mode, Mode::Chat);
    assert_eq!(opus.context_window, Some(1_000_000));
    assert_eq!(opus.max_output, Some(128_000));
    assert_eq!(
        opus.capabilities.to_string(),
        "tools vision pdf json_schema reasoning prompt_caching web_search"
    );
    let expected = Parameters {
        sampling_params: false,
        forced_tool_use: false,
        assistant_prefill: false,
        adaptive_thinking: true,
        mid_conversation_system: true,
        thinking_off: ThinkingOff::Never,
        efforts: "-none -minimal low medium high xhigh max".parse().unwrap(),
        ..Parameters::default()
    };
    assert_eq!(opus.parameters, expected);
    let Rates { input, cached_input, cache_write, cache_write_1h, output, .. } =
        opus.price.as_ref().unwrap().base;
    let rates = [Some(input), cached_input, cache_write, cache_write_1h, Some(output)];
    assert_eq!(rates.map(|rate| rate.unwrap().usd_per_mtok()), [4.0, 0.2, 5.0, 8.0, 20.0]);

    let embedding = catalogue.find("openai", "text-embedding-3-large").unwrap();
    assert_eq!((embedding.mode, embedding.vector_size), (Mode::Embedding, Some(3_072)));
    let retired = catalogue.find("openai", "o3").unwrap();
    assert_eq!(retired.deprecated_on, Some("2026-12-11"));
}

#[test]
fn the_cheapest_long_context_tier_is_in_the_data() {
    let catalogue = Catalogue::builtin();
    let haiku = catalogue.find("anthropic", "claude-haiku-5-5").unwrap().price.as_ref().unwrap();
    let cost = |uncached_input| {
        haiku.cost(&TokenSplit { uncached_input, output: 1_000, ..TokenSplit::default() })
    };
    // 0.01 + 0.0005 USD, then 0.0500005 + 0.0025
    assert_eq!(cost(100_000), NanoUsd(10_500_000));
    assert_eq!(cost(100_001), NanoUsd(52_500_500));
}

#[test]
fn only_some_models_refuse_stop_and_penalties() {
    let catalogue = Catalogue::builtin();
    let parameters = |family, model| catalogue.find(family, model).unwrap().parameters;
    for (family, model) in [("openai", "o3"), ("openai", "o4-mini"), ("xai", "grok-4.7")] {
        assert!(!parameters(family, model).stop, "{model}");
    }
    assert!(!parameters("xai", "grok-code-fast-1").penalties);
    for model in ["gpt-4o", "gpt-5", "gpt-6-sol"] {
        assert!(parameters("openai", model).stop && parameters("openai", model).penalties);
    }
}

#[test]
fn sampling_needs_a_gpt_whose_effort_can_be_none() {
    let catalogue = Catalogue::builtin();
    let passes =
        |family, model| catalogue.find(family, model).unwrap().parameters.sampling_with_effort_none;
    assert!(passes("openai", "gpt-5.4") && passes("openai", "gpt-6-sol"));
    assert!(passes("azure", "gpt-5.5"));
    assert!(!passes("openai", "gpt-5") && !passes("openai", "o3"));
    assert!(!passes("openai", "gpt-6.1-sol") && !passes("azure", "gpt-6.1-sol"));
}

#[test]
fn a_dated_snapshot_has_the_facts_of_its_model() {
    let catalogue = Catalogue::builtin();
    for (family, snapshot, model) in [
        ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
        ("openai", "gpt-4o-latest", "gpt-4o"),
        ("openai", "gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("anthropic", "claude-haiku-4-5-latest", "claude-haiku-4-5"),
        ("vertex", "claude-sonnet-5-5", "claude-sonnet-5-5"),
    ] {
        assert_eq!(catalogue.find(family, snapshot), catalogue.find(family, model), "{snapshot}");
        assert!(catalogue.find(family, model).is_some(), "{model}");
    }
}

#[test]
fn what_is_served_elsewhere_has_the_publishers_facts_and_no_price() {
    let catalogue = Catalogue::builtin();
    for (family, name, place, written) in [
        ("anthropic", "claude-opus-4-7", "vertex", "claude-opus-4-7"),
        ("anthropic", "claude-sonnet-4-5", "vertex", "anthropic/claude-sonnet-4-5@20250929"),
        ("anthropic", "claude-opus-4-7", "bedrock", "us.anthropic.claude-opus-4-7"),
        ("anthropic", "claude-sonnet-4-5", "bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("gemini", "gemini-2.5-pro", "vertex", "google/gemini-2.5-pro"),
        ("gemini", "gemini-embedding-2", "vertex", "gemini-embedding-2"),
    ] {
        let published = catalogue.find(family, name).unwrap();
        let served = catalogue.find(place, written).unwrap();
        assert_eq!(
            *served,
            Facts { price: None, deprecated_on: None, ..published.clone() },
            "{written}"
        );
        assert_eq!(catalogue.entry(place, written), None, "{written}");
    }
    // It has a price of its own.
    assert!(catalogue.find("vertex", "gemini-3.8-flash").unwrap().price.is_some());
    assert_eq!(catalogue.find("vertex", "claude-opus-9"), None);
    assert_eq!(catalogue.find("bedrock", "claude-opus-4-7"), None);
    assert_eq!(catalogue.find("anthropic", "gemini-2.5-pro"), None);
}

#[test]
fn an_exact_name_wins_over_a_stripped_one() {
    let catalogue = Catalogue::builtin();
    assert!(catalogue.find("mistral", "mistral-large-latest").is_some());
    assert!(catalogue.find("mistral", "mistral-large").is_none());
    assert!(catalogue.find("cohere", "command-r-08-2024").is_some());
}

#[test]
fn a_providers_own_way_to_write_a_name_finds_the_model() {
    let catalogue = Catalogue::builtin();
    for (family, written, name) in [
        ("gemini", "models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini", "models/gemini-2.5-flash-latest", "gemini-2.5-flash"),
        ("vertex", "publishers/google/models/gemini-3.8-flash", "gemini-3.8-flash"),
        (
            "vertex",
            "projects/p/locations/eu/publishers/google/models/gemini-3.8-flash",
            "gemini-3.8-flash",
        ),
        ("vertex", "publishers/anthropic/models/claude-sonnet-5-5", "claude-sonnet-5-5"),
        ("vertex", "claude-sonnet-5-5@20261001", "claude-sonnet-5-5"),
        ("vertex", "anthropic/claude-sonnet-5-5", "claude-sonnet-5-5"),
        ("vertex", "google/gemini-3.8-flash", "gemini-3.8-flash"),
        ("vertex", "publishers/anthropic/models/claude-sonnet-5-5@default", "claude-sonnet-5-5"),
        ("bedrock", "us.anthropic.claude-opus-5-5", "anthropic.claude-opus-5-5"),
        (
            "bedrock",
            "global.anthropic.claude-haiku-4-5-20251001-v1:0",
            "anthropic.claude-haiku-4-5-20251001-v1:0",
        ),
        (
            "bedrock",
            "us-gov.anthropic.claude-sonnet-5-5-20261001-v1:0",
            "anthropic.claude-sonnet-5-5",
        ),
        ("bedrock", "apac.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        (
            "bedrock",
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0",
        ),
        (
            "bedrock",
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-5-5",
            "anthropic.claude-sonnet-5-5",
        ),
        (
            "bedrock",
            "arn:aws-us-gov:bedrock:us-gov-west-1:1:inference-profile/us-gov.amazon.nova-lite-v1:0",
            "amazon.nova-lite-v1:0",
        ),
        ("groq", "openai/gpt-oss-120b", "openai/gpt-oss-120b"),
        ("together", "zai-org/GLM-5.3", "zai-org/GLM-5.3"),
    ] {
        assert_eq!(catalogue.entry(family, written).map(|(name, _)| name), Some(name), "{written}");
    }
}

#[test]
fn a_claude_elsewhere_is_what_anthropic_says_but_for_its_price() {
    let catalogue = Catalogue::builtin();
    let sonnet = catalogue.find("anthropic", "claude-sonnet-4-5").unwrap();
    assert!(sonnet.price.is_some() && !sonnet.parameters.temperature_with_top_p);
    for (family, model) in [
        ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        (
            "bedrock",
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0",
        ),
        ("vertex", "claude-sonnet-4-5@20250929"),
        ("vertex", "publishers/anthropic/models/claude-sonnet-4-5"),
    ] {
        let facts = catalogue.find(family, model).unwrap();
        assert_eq!(facts.parameters, sonnet.parameters, "{model}");
        assert_eq!((facts.max_output, &facts.price), (sonnet.max_output, &None), "{model}");
    }
    for (family, model) in [
        ("bedrock", "claude-sonnet-4-5"),
        ("bedrock", "anthropic.claude-9"),
        ("openrouter", "anthropic/claude-sonnet-4-5"),
        ("openai", "claude-sonnet-4-5"),
    ] {
        assert_eq!(catalogue.find(family, model), None, "{model}");
    }
    let priced = catalogue.find("bedrock", "us.anthropic.claude-opus-5-5").unwrap();
    assert!(priced.price.is_some());
}

#[test]
fn a_resource_that_does_not_name_its_model_has_no_facts() {
    let catalogue = Catalogue::builtin();
    for (family, written) in [
        ("bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123"),
        ("bedrock", "arn:aws:bedrock:us-east-1:1:provisioned-model/amazon.nova-lite-v1:0"),
        ("bedrock", "arn:aws:s3:us-east-1:1:foundation-model/amazon.nova-lite-v1:0"),
        ("bedrock", "mars.amazon.nova-lite-v1:0"),
        ("bedrock", "us.us.amazon.nova-lite-v1:0"),
        ("bedrock", "amazon.nova-lite-v2:0"),
        ("bedrock", "anthropic.claude-opus-5-5-vx:0"),
        ("bedrock", "models/amazon.nova-lite-v1:0"),
        ("gemini", "tunedModels/gemini-2.5-pro"),
        ("gemini", "my-models/gemini-2.5-pro"),
        ("gemini", "us.gemini-2.5-pro"),
        ("vertex", "claude-sonnet-5-5@new"),
        ("vertex", "projects/p/locations/eu/endpoints/123"),
        ("openai", "models/gpt-4o"),
        ("anthropic", "claude-opus-5-5@20261001"),
    ] {
        assert_eq!(catalogue.entry(family, written), None, "{written}");
    }
}

#[test]
fn what_is_not_published_of_a_model_is_assumed() {
    let catalogue = Catalogue::builtin();
    let facts = catalogue.find("together", "Qwen/Qwen3.8-Flash").unwrap();
    assert!(!facts.known && facts.price.is_some());
    assert_eq!(facts.capabilities, Capabilities::all());
}

#[test]
fn nothing_but_a_trailing_date_is_guessed() {
    let catalogue = Catalogue::builtin();
    for model in [
        "",
        "-latest",
        "-2024-08-06",
        "2024-08-06",
        "gpt-4o-",
        "gpt-4",
        "GPT-4o",
        "gpt-4o-2024-13-06",
        "gpt-4o-2024-08-32",
        "gpt-4o-2024-00-06",
        "gpt-4o-20241306",
        "gpt-4o-2024-08",
        "gpt-4o-0806",
        "gpt-4o-2024-08-06-preview",
        "gpt-4o-2024-08-06-latest",
        "gpt-4o-latest-2024-08-06",
        "gpt-4o-2024_08_06",
        "gpt-4o-２０２４-08-06",
        "gpt-4o\u{e9}2024-08-06",
        "ft:gpt-4o",
        "openai/gpt-4o",
        "gpt-4o ",
    ] {
        assert_eq!(catalogue.find("openai", model), None, "{model}");
    }
    assert_eq!(catalogue.find("anthropic", "gpt-4o"), None);
    assert_eq!(catalogue.find("unknown", "gpt-4o"), None);
    assert_eq!(catalogue.models("unknown").count(), 0);
}

/// The reader passes over members that it does not know: a misspelt rate would be free.
#[test]
fn every_member_in_the_data_is_one_that_is_read() {
    use serde_json::{Map, Value};

    const MODEL: &str = "known mode usd_per_mtok context_window max_output vector_size capabilities parameters deprecated_on";
    const RATES: &str = "input cached_input cache_write cache_write_1h cache_write_12h output reasoning input_audio output_audio";
    const PARAMETERS: &str = "sampling_params sampling_with_effort_none temperature_with_top_p penalties stop tool_choice forced_tool_use tools_with_effort system_messages mid_conversation_system assistant_prefill adaptive_thinking legacy_thinking thinking_off efforts";
    fn check<'v>(value: &'v Value, known: &str) -> &'v Map<String, Value> {
        let object = value.as_object().unwrap();
        for name in object.keys() {
            assert!(known.split(' ').any(|word| word == name), "{name} in {value}");
        }
        object
    }
    fn rates(value: &Value, chat: bool) {
        let rates = check(value, RATES);
        assert!(rates.contains_key("input") && rates.contains_key("output") == chat, "{value}");
    }
    let data: Value = serde_json::from_str(DATA).unwrap();
    let document = check(&data, "as_of notes families");
    for model in document["families"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|family| family.as_object().unwrap().values())
    {
        let model = check(model, MODEL);
        model.get("parameters").map(|parameters| check(parameters, PARAMETERS));
        let Some(price) = model.get("usd_per_mtok") else { continue };
        let price = check(price, "base tiers");
        let chat = model["mode"] == "chat";
        rates(&price["base"], chat);
        for tier in price.get("tiers").into_iter().flat_map(|tiers| tiers.as_array().unwrap()) {
            rates(&check(tier, "above rates")["rates"], chat);
        }
    }
}

#[test]
fn azures_deployments_have_the_facts_of_openais_models_but_not_their_prices() {
    let catalogue = Catalogue::builtin();
    let openais = catalogue.find("openai", "o3").unwrap();
    assert_eq!(catalogue.find("azure", "o3"), None);
    let azures = catalogue.presume("azure", "o3-2025-04-16").unwrap().into_owned();
    assert_eq!(azures, Facts { price: None, ..openais.clone() });
    let own = catalogue.presume("azure", "gpt-4.1").unwrap();
    assert!(own.price.is_some());
    assert_eq!(catalogue.presume("azure", "my-deployment"), None);
    assert_eq!(catalogue.presume("groq", "o3"), None);
}
