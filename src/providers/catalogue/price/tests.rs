use super::*;
use crate::openai::place;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn price(json: &str) -> Price {
    place::from_str(json).unwrap()
}

fn rate(usd_per_mtok: f64) -> Rate {
    Rate::from_usd_per_mtok(usd_per_mtok).unwrap()
}

#[test]
fn an_invoice_adds_each_kind_of_token_at_its_rate() {
    let sonnet = price(
        r#"{"base":{"input":3,"cached_input":0.3,"cache_write":3.75,"cache_write_1h":6,"output":15}}"#,
    );
    let tokens = TokenSplit {
        uncached_input: 1_000, // 0.003 USD
        cache_read: 20_000,    // 0.006
        cache_write: 4_000,    // 0.015
        cache_write_1h: 500,   // 0.003
        output: 800,           // 0.012
        ..TokenSplit::default()
    };
    assert_eq!(tokens.input(), 25_500);
    assert_eq!(sonnet.cost(&tokens), NanoUsd(39_000_000));
    assert_eq!(sonnet.cost(&tokens).to_string(), "0.039000000");
    assert_eq!(sonnet.cost(&TokenSplit::default()), NanoUsd(0));
}

#[test]
fn a_tier_begins_one_token_above_its_limit_and_holds_for_all_tokens() {
    let gemini = price(
        r#"{"base":{"input":1.25,"cached_input":0.125,"output":10},
            "tiers":[{"above":200000,"rates":{"input":2.5,"cached_input":0.25,"output":15}}]}"#,
    );
    let cost = |uncached_input, cache_read, output| {
        gemini.cost(&TokenSplit { uncached_input, cache_read, output, ..TokenSplit::default() })
    };
    // 0.25 + 0.01 USD, then 0.5000025 + 0.015
    assert_eq!(cost(200_000, 0, 1_000), NanoUsd(260_000_000));
    assert_eq!(cost(200_001, 0, 1_000), NanoUsd(515_002_500));
    // 0.025 USD, then 0.0000025 + 0.05: cached tokens count for the limit
    assert_eq!(cost(0, 200_000, 0), NanoUsd(25_000_000));
    assert_eq!(cost(1, 200_000, 0), NanoUsd(50_002_500));
    // Output does not.
    assert_eq!(cost(1, 0, 200_001), NanoUsd(2_000_011_250));
}

#[test]
fn of_several_tiers_the_highest_that_was_reached_holds() {
    let qwen = price(
        r#"{"base":{"input":1,"output":5},"tiers":[
            {"above":32000,"rates":{"input":1.8,"output":9}},
            {"above":128000,"rates":{"input":3,"output":15}},
            {"above":256000,"rates":{"input":6,"output":60}}]}"#,
    );
    let limits = [
        (0, 1.0),
        (32_000, 1.0),
        (32_001, 1.8),
        (128_000, 1.8),
        (128_001, 3.0),
        (256_000, 3.0),
        (256_001, 6.0),
        (u64::MAX, 6.0),
    ];
    for (input, usd) in limits {
        assert_eq!(qwen.rates(input).input, rate(usd), "{input}");
    }
}

#[test]
fn fractions_of_a_nano_dollar_add_up_and_are_rounded_once() {
    let small = price(r#"{"base":{"input":0.0375,"cached_input":0.00875,"output":0}}"#);
    let cost = |uncached_input, cache_read| {
        small.cost(&TokenSplit { uncached_input, cache_read, ..TokenSplit::default() }).0
    };
    assert_eq!(cost(1, 0), 38); // 37.5
    assert_eq!(cost(2, 0), 75);
    assert_eq!(cost(0, 1), 9); // 8.75
    assert_eq!(cost(1, 1), 46); // 46.25
    assert_eq!(cost(1_000_000, 0), 37_500_000);
}

#[test]
fn a_rate_that_is_left_out_falls_back_to_the_next_plainer_one() {
    let all = TokenSplit {
        uncached_input: 1,
        cache_read: 10,
        cache_write: 100,
        cache_write_1h: 1_000,
        cache_write_12h: 10_000,
        output: 500_000,
        reasoning: 400_000,
        input_audio: 1,
        output_audio: 50_000,
    };
    let plain = price(r#"{"base":{"input":1,"output":2}}"#);
    assert_eq!(plain.cost(&all), NanoUsd(1_000 * (11_111 + 1_000_000)));
    let write = price(r#"{"base":{"input":1,"cache_write":2,"output":2}}"#);
    assert_eq!(write.cost(&all), NanoUsd(1_000 * (11 + 22_200 + 1_000_000)));
    let hours = price(r#"{"base":{"input":1,"cache_write_1h":3,"cache_write_12h":4,"output":2}}"#);
    assert_eq!(hours.cost(&all), NanoUsd(1_000 * (111 + 3_000 + 40_000 + 1_000_000)));
}

#[test]
fn reasoning_is_a_part_of_the_output() {
    let price = price(r#"{"base":{"input":0,"output":2,"reasoning":5}}"#);
    let cost = |output, reasoning| {
        price.cost(&TokenSplit { output, reasoning, ..TokenSplit::default() }).0
    };
    assert_eq!(cost(10, 0), 20_000);
    assert_eq!(cost(10, 4), 32_000);
    assert_eq!(cost(10, 10), 50_000);
    // A provider that reports more reasoning than output is not paid for more than the output.
    assert_eq!(cost(10, 11), 50_000);
}

#[test]
fn sound_has_its_own_rates_where_a_price_names_them() {
    let usage = Usage {
        uncached_input: 100,
        cache_read: 10,
        output: 50,
        reasoning: 20,
        input_audio: 60,
        output_audio: 40,
        ..Usage::default()
    };
    let plain = price(r#"{"base":{"input":1,"output":2}}"#);
    assert_eq!(plain.cost(&(&usage).into()), NanoUsd(110_000 + 100_000));
    let own = price(r#"{"base":{"input":1,"output":2,"input_audio":10,"output_audio":20}}"#);
    // 40 of 110 as plain input, 60 as sound; of the output 20 is reasoning, the other 30 sound.
    assert_eq!(own.cost(&(&usage).into()), NanoUsd(50_000 + 600_000 + 40_000 + 600_000));
}

#[test]
fn what_is_not_billed_costs_nothing_and_parts_are_within_their_wholes() {
    let usage = Usage {
        uncached_input: 100,
        cache_write: 10,
        cache_write_1h: 8,
        cache_write_12h: 5,
        output: 50,
        reasoning: 99,
        unbilled_input: 30,
        unbilled_output: 10,
        ..Usage::default()
    };
    let split = TokenSplit::from(&usage);
    assert_eq!((split.uncached_input, split.output, split.reasoning), (70, 40, 40));
    assert_eq!((split.cache_write, split.cache_write_1h, split.cache_write_12h), (0, 5, 5));
    assert_eq!(split.input(), 80);
    let wild = Usage { unbilled_input: 9, input_audio: 9, unbilled_output: 9, ..Usage::default() };
    assert_eq!(TokenSplit::from(&wild), TokenSplit::default());
}

#[test]
fn a_cost_is_written_exactly_and_without_zeros_at_the_end() {
    for (nano, number) in [
        (0, "0"),
        (1, "0.000000001"),
        (2_500_000, "0.0025"),
        (100_000_000_000, "100"),
        (10_000_000_010, "10.00000001"),
    ] {
        assert_eq!(NanoUsd(nano).number(), number);
    }
}

#[test]
fn a_cost_that_does_not_fit_is_the_most_that_fits() {
    let dear = price(r#"{"base":{"input":100000,"output":100000}}"#);
    let most = TokenSplit {
        uncached_input: u64::MAX,
        cache_read: u64::MAX,
        cache_write: u64::MAX,
        cache_write_1h: u64::MAX,
        cache_write_12h: u64::MAX,
        output: u64::MAX,
        reasoning: u64::MAX,
        input_audio: u64::MAX,
        output_audio: u64::MAX,
    };
    assert_eq!(most.input(), u64::MAX);
    assert_eq!(dear.cost(&most), NanoUsd(u64::MAX));
    assert_eq!(NanoUsd(u64::MAX).to_string(), "18446744073.709551615");
}

#[test]
fn a_price_outside_its_bounds_is_refused() {
    for usd in [-0.01, 100_000.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(Rate::from_usd_per_mtok(usd), None, "{usd}");
    }
    assert_eq!(rate(0.0).pico_usd(), 0);
    assert_eq!(rate(0.02).pico_usd(), 20_000);
    assert_eq!(rate(0.00875).pico_usd(), 8_750);
    assert_eq!(rate(MAX_USD_PER_MTOK).pico_usd(), 100_000_000_000);
    let error = place::from_str::<Rate>("-3").unwrap_err().to_string();
    assert!(error.contains("expected a price in USD per million tokens"), "{error}");
}

#[test]
fn a_price_without_its_rates_is_an_error_and_not_free() {
    for json in ["{}", r#"{"tiers":[]}"#, r#"{"base":{},"tiers":[{"above":1}]}"#] {
        assert!(place::from_str::<Price>(json).is_err(), "{json}");
    }
}
