//! Who is asked first, by strategy, health and balance.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

#[test]
fn the_cheapest_for_this_request_is_first() {
    let gateway = choosing(&json!({"choose": "cost"}));
    let of = |tokens, cached, output| Case {
        input: Input { tokens, cached },
        output: Some(output),
        ..Case::default()
    };
    assert_eq!(of(1_000, 0, 100).asks(&gateway), ["c", "a-us", "a-eu", "b-eu"]);
    assert_eq!(of(3_000, 0, 10).asks(&gateway), ["c", "b-eu", "a-us", "a-eu"]);
    // Ten answers of 10 tokens are as dear as one of 100: now it is the output that counts.
    let ten = Case { choices: 10, ..of(1_000, 0, 10) };
    assert_eq!(ten.asks(&gateway), of(1_000, 0, 100).asks(&gateway));
    assert_ne!(ten.asks(&gateway), of(1_000, 0, 10).asks(&gateway));
    // Read from the cache that only `a` has.
    assert_eq!(of(3_000, 2_900, 10).asks(&gateway), ["a-us", "a-eu", "c", "b-eu"][..].to_vec());
    // What hardly fits into its window is behind what does.
    assert_eq!(of(5_000, 0, 10).asks(&gateway), ["b-eu", "a-us", "a-eu", "c"]);
    let mut unpriced = choosing(&json!({"targets": ["a/unpriced", "b/two", "c/three"]}));
    unpriced.rules[0].choose = crate::config::rule::Choose::Cost;
    assert_eq!(of(1_000, 0, 100).asks(&unpriced), ["c", "b-eu", "a-us", "a-eu"]);
}

#[test]
fn the_best_score_for_the_task_is_first() {
    let gateway = choosing(&json!({"choose": "quality"}));
    assert_eq!(Case::default().asks(&gateway), ["b-eu", "a-us", "a-eu", "c"]);
    let sums = Case { task: Some("sums"), ..Case::default() };
    assert_eq!(sums.asks(&gateway), ["a-us", "a-eu", "b-eu", "c"]);
}

#[test]
fn the_quickest_is_first_and_the_unknown_before_it() {
    let gateway = choosing(&json!({"choose": "latency", "explore": "0%"}));
    let few = Standing { total: Percentiles { samples: 19, p95: 1, ..slow(1).total }, ..slow(1) };
    let busy = Standing { in_flight: 20, ..Standing::default() };
    let order = |stands: &[(&str, Standing)]| Case { stands, ..Case::default() }.asks(&gateway);
    let (a, b) = (("a-us", slow(300)), ("b-eu", slow(200)));
    assert_eq!(order(&[a, ("a-eu", slow(90)), b, ("c", slow(100))]), ["c", "a-us", "a-eu", "b-eu"]);
    assert_eq!(order(&[a, ("a-eu", slow(300)), b, ("c", few)]), ["c", "b-eu", "a-us", "a-eu"]);
    assert_eq!(order(&[a, ("a-eu", slow(300)), b, ("c", busy)]), ["b-eu", "a-us", "a-eu", "c"]);
}

#[test]
fn one_that_fails_too_often_is_asked_after_the_others_but_for_a_few() {
    let gateway = choosing(&json!({"choose": "failover"}));
    let stands = [("a-us", failures(3, 40)), ("a-eu", failures(2, 40)), ("b-eu", failures(9, 19))];
    let case = Case { random: dull() & !1, stands: &stands, ..Case::default() };
    let (plan, ordered) = case.run(&gateway);
    ordered.unwrap();
    // Five of a hundred are not too many, and nineteen requests are too few to tell.
    assert_eq!(case.asks(&gateway), ["a-eu", "b-eu", "c", "a-us"]);
    assert_eq!(
        why(&plan, &gateway),
        ["a-us failing: asked after the others: 3 of its last 40 requests failed"]
    );
    let recheck = (0..).find(|random| strategy::failover::rechecks(*random)).unwrap();
    let seen = Case { random: recheck, ..case }.asks(&gateway);
    assert!(seen[..2].contains(&"a-us".to_owned()), "{seen:?}");
}

#[test]
fn an_open_breaker_moves_an_endpoint_behind_all_others_and_a_trial_stays() {
    let gateway = choosing(&json!({}));
    let order = |stands: &[(&str, Standing)]| {
        let case = Case { random: dull() & !1, stands, ..Case::default() };
        let (plan, _) = case.run(&gateway);
        (case.asks(&gateway), why(&plan, &gateway))
    };
    let (asked, said) = order(&[("a-us", gate(OPEN)), ("b-eu", gate(Gate::HalfOpen))]);
    assert_eq!(asked, ["a-eu", "c", "a-us", "b-eu"]);
    assert_eq!(
        said,
        [
            "a-us breaker: asked after the others: its breaker is open for 2500ms",
            "b-eu breaker: asked after the others: its breaker is half-open, and others try",
        ]
    );
    let (asked, said) = order(&[("a-us", gate(Gate::Trial)), ("a-eu", gate(OPEN))]);
    assert_eq!(asked, ["a-us", "b-eu", "c", "a-eu"]);
    assert_eq!(said.len(), 1);
    // Nobody is behind anybody.
    let open = gate(OPEN);
    let (asked, said) = order(&[("a-us", open), ("a-eu", open), ("b-eu", open), ("c", open)]);
    assert_eq!((asked.len(), said.len()), (4, 0));
}

#[test]
fn the_saturated_are_not_asked_and_if_all_are_the_client_waits_a_second() {
    let gateway = choosing(&json!({}));
    let full = Standing { saturated: true, in_flight: 200, ..Standing::default() };
    let stands = [("a-us", full), ("a-eu", full), ("b-eu", full), ("c", full)];
    assert_eq!(Case { stands: &stands[..3], ..Case::default() }.asks(&gateway), ["c"]);
    let case = Case { stands: &stands, ..Case::default() };
    let (plan, ordered) = case.run(&gateway);
    let error = ordered.unwrap_err();
    assert_eq!((error.status, error.retry_after_ms), (503, Some(1_000)));
    assert_eq!(error.code.as_deref(), Some("all_candidates_saturated"));
    assert_eq!(plan.skipped.len(), 4);
    assert_eq!(plan.skipped[0].reason, "200 requests are in flight there, as many as may be");
}

#[test]
fn endpoints_take_turns_or_the_idlest_is_first() {
    let with = |balance: &str| {
        let mut gateway = choosing(&json!({"targets": ["a/one"], "choose": "failover"}));
        gateway.providers[0].balance = match balance {
            "round_robin" => crate::config::provider::Balance::RoundRobin,
            _ => crate::config::provider::Balance::LeastRequests,
        };
        gateway
    };
    let first = |gateway: &Gateway, random, stands: &[(&str, Standing)]| {
        Case { random, stands, ..Case::default() }.asks(gateway).remove(0)
    };
    let turns: Vec<String> = (0..4).map(|turn| first(&with("round_robin"), turn, &[])).collect();
    assert_eq!(turns, ["a-us", "a-eu", "a-us", "a-eu"]);
    let busy = Standing { in_flight: 3, ..Standing::default() };
    for turn in 0..4 {
        let least = with("least_requests");
        assert_eq!(first(&least, turn, &[("a-us", busy)]), "a-eu");
        assert_eq!(first(&least, turn, &[("a-us", busy), ("a-eu", gate(OPEN))]), "a-us");
    }
}

#[test]
fn those_who_reason_stay_before_those_who_do_not() {
    let gateway = choosing(&json!({"choose": "cost"}));
    let header = |_: &str| None;
    let question = Question::new(Operation::Chat, "one", false, &header);
    let mut plan = plan(&gateway, &question).unwrap();
    let body =
        r#"{"model":"one","messages":[{"role":"user","content":"x"}],"reasoning_effort":"high"}"#;
    let chat = crate::openai::Chat::parse(body.as_bytes()).unwrap();
    let needs = Needs::of(&chat, chat.validate().unwrap(), body.len());
    assert_eq!(needs.capabilities().to_string(), "reasoning");
    plan.keep_able(&needs, &gateway).unwrap();
    let standing = |_| Standing::default();
    let moment = Moment { now: 0, random: 0, standing: &standing, turn: &|_| 0 };
    plan.order(&gateway, &question, &moment).unwrap();
    let asked: Vec<String> = plan.candidates.iter().map(|one| cluster(*one, &gateway)).collect();
    assert_eq!(asked, ["b-eu", "c", "a-us", "a-eu"]);
    assert!(
        why(&plan, &gateway).iter().all(|said| said.ends_with("it does not reason: asked last"))
    );
    assert_eq!(plan.skipped.len(), 3);
}
