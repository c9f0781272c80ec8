//! What holds of every decision, whatever the strategy, whoever is down, whatever a client wishes.
#![cfg(not(target_arch = "wasm32"))]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what these tests share stands outside of any test function"
)]

use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use waypost::config::provider::Balance;
use waypost::config::rule::{Choose, Leave, Mirror, Operation, Sticky, TargetId};
use waypost::config::{Config, Gateway};
use waypost::health::{Counts, Gate, Percentiles, Slot, Standing};
use waypost::routing::estimate::{Input, Output};
use waypost::routing::{Candidate, Moment, Plan, Question, Why, Wishes, plan};

const PROVIDERS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A model: dollars for a million tokens of input, read from a cache, and output; a window.
type Priced = (f64, f64, f64, u64);

/// Five providers with these regions of their endpoints and one model each, and a rule that takes
/// everything. A second rule is there for those who wish for it.
fn gateway(regions: &[Vec<Option<&str>>], prices: &[Priced]) -> Gateway {
    let mut providers = BTreeMap::new();
    for (at, name) in PROVIDERS.iter().take(regions.len()).enumerate() {
        let endpoints: Vec<Value> = regions[at]
            .iter()
            .enumerate()
            .map(|(place, region)| match region {
                Some(region) => json!({"cluster": format!("{name}{place}"), "region": region}),
                None => json!({"cluster": format!("{name}{place}")}),
            })
            .collect();
        let (input, cached, output, window) = prices[at];
        let model = json!({
            "capabilities": ["tools", "prompt_caching"], "context_window": window,
            "quality": at as f64 / 10.0,
            "price": {"input_usd_per_mtok": input, "cached_input_usd_per_mtok": cached, "output_usd_per_mtok": output},
        });
        let provider =
            json!({"api": "openai", "endpoints": endpoints, "models": {format!("m{name}"): model}});
        providers.insert(name, provider);
    }
    let targets: Vec<String> =
        PROVIDERS.iter().take(regions.len()).map(|name| format!("{name}/m{name}")).collect();
    let mut reversed = targets.clone();
    reversed.reverse();
    let config = json!({
        "role": "gateway", "anonymous": "all", "tenants": {"all": {}}, "clients_may": ["rule", "target", "models"], "providers": providers,
        "rules": [
            {"name": "bound", "when": {"model": "m*"}, "targets": targets},
            {"name": "wished", "when": {"model": "x"}, "targets": reversed},
        ],
    });
    match Config::read(&config) {
        Ok(Config::Gateway(gateway)) => *gateway,
        other => panic!("{other:?}"),
    }
}

const CHEAP: Priced = (1.0, 0.1, 2.0, 1 << 20);

/// Five providers of which each has one endpoint.
fn plain(choose: Choose) -> Gateway {
    let mut gateway = gateway(&vec![vec![None]; 5], &[CHEAP; 5]);
    gateway.rules[0].choose = choose;
    gateway
}

/// What a request is, and what the world is like.
#[derive(Clone, Debug)]
struct Case {
    stream: bool,
    random: u64,
    turn: u64,
    input: Input,
    output: Option<u64>,
    choices: u64,
    user: Option<String>,
    rule: Option<&'static str>,
    target: Option<String>,
    models: Vec<String>,
    standings: Vec<Standing>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            stream: false,
            random: 0,
            turn: 0,
            input: Input { tokens: 1_000, cached: 0 },
            output: None,
            choices: 1,
            user: None,
            rule: None,
            target: None,
            models: Vec::new(),
            standings: Vec::new(),
        }
    }
}

impl Case {
    fn standing(&self, slot: Slot) -> Standing {
        self.standings.get(usize::from(slot.target)).copied().unwrap_or_default()
    }

    fn run(&self, gateway: &Gateway) -> (Plan, bool) {
        let header = |_: &str| None;
        let input = || self.input;
        let question = Question {
            input: &input,
            output: Output { tokens: self.output, choices: self.choices },
            user: self.user.as_deref(),
            wishes: Wishes {
                rule: self.rule,
                target: self.target.as_deref(),
                models: self.models.iter().map(|model| Cow::Borrowed(&**model)).collect(),
            },
            ..Question::new(Operation::Chat, "ma", self.stream, &header)
        };
        let mut plan = plan(gateway, &question).unwrap();
        let standing = |slot| self.standing(slot);
        let moment =
            Moment { now: 0, random: self.random, standing: &standing, turn: &|_| self.turn };
        let ordered = plan.order(gateway, &question, &moment);
        if let Err(error) = &ordered {
            assert!([400, 503].contains(&error.status), "{error:?}");
        }
        (plan, ordered.is_ok())
    }

    /// The providers in the order in which they are first asked.
    fn first(&self, gateway: &Gateway) -> usize {
        self.run(gateway).0.candidates[0].provider
    }
}

fn any_gate() -> impl Strategy<Value = Gate> {
    prop_oneof![
        4 => Just(Gate::Closed), 1 => Just(Gate::Trial), 1 => Just(Gate::HalfOpen),
        2 => Just(Gate::Open(7)),
    ]
}

fn any_standing() -> impl Strategy<Value = Standing> {
    let times = (0u32..60, 0u32..5_000).prop_map(|(samples, p95)| Percentiles {
        samples,
        p50: p95 / 2,
        p95,
        p99: p95 * 2,
    });
    let counts = (0u32..50).prop_flat_map(|requests| {
        (0..=requests).prop_map(move |failures| Counts { requests, failures })
    });
    (any_gate(), prop::bool::weighted(0.2), 0u32..40, counts, times.clone(), times).prop_map(
        |(gate, saturated, in_flight, counts, first_token, total)| Standing {
            gate,
            saturated,
            in_flight,
            counts: [counts; 3],
            first_token,
            total,
        },
    )
}

fn any_choose() -> impl Strategy<Value = Choose> {
    prop_oneof![
        Just(Choose::Failover(Leave::default())),
        Just(Choose::Cost),
        Just(Choose::Quality),
        (0u16..=10_000).prop_map(|explore| Choose::Latency { explore }),
        Just(Choose::Canary { sticky: None }),
        Just(Choose::Canary { sticky: Some(Sticky::User) }),
    ]
}

prop_compose! {
    fn any_case()(
        stream: bool, random: u64, turn: u64,
        tokens in 0u64..200_000, cached in 0u64..200_000, output in prop::option::of(0u64..9_000),
        choices in 1u64..=8,
        user in prop::option::of("[a-z]{0,4}"),
        rule in prop::option::weighted(0.2, Just("wished")),
        target in prop::option::weighted(0.2, select(vec!["a/ma", "c/mc"])),
        models in vec(select(vec!["ma", "mb", "b/mb", "x"]), 0..3),
        standings in vec(any_standing(), 15),
    ) -> Case {
        Case {
            stream, random, turn, input: Input { tokens, cached: cached.min(tokens) }, output, choices, user,
            rule, target: target.map(str::to_owned),
            models: models.into_iter().map(str::to_owned).collect(), standings,
        }
    }
}

prop_compose! {
    fn any_gateway()(
        regions in vec(vec(select(vec![Some("eu"), Some("us"), None]), 1..=3), 3..=5),
        prices in vec((1u32..30, 1u32..30, 1u32..90, select(vec![8_000u64, 128_000, 1 << 20])), 5),
        weights in vec(0u32..100, 5),
        balance in select(vec![Balance::RoundRobin, Balance::LeastRequests, Balance::Latency]),
        choose in any_choose(),
        wished in any_choose(),
        region in prop::bool::ANY,
        max_latency in prop::option::weighted(0.3, 1_000u64..5_000),
        mirror in (0usize..3, 0u16..=10_000),
    ) -> Gateway {
        let prices: Vec<Priced> = prices
            .into_iter()
            .map(|(input, cached, output, window)| {
                (f64::from(input) / 10.0, f64::from(cached.min(input)) / 10.0, f64::from(output) / 10.0, window)
            })
            .collect();
        let mut gateway = gateway(&regions, &prices);
        gateway.providers.iter_mut().for_each(|provider| provider.balance = balance);
        let rule = &mut gateway.rules[0];
        rule.choose = choose;
        rule.targets.iter_mut().zip(weights).for_each(|(target, weight)| target.weight = weight);
        if region {
            rule.require.region.push("eu".to_owned());
        }
        rule.require.max_latency = max_latency.map(std::time::Duration::from_millis);
        let (provider, share) = mirror;
        rule.mirror = Some(Mirror { target: TargetId { provider, model: 0, weight: 1 }, share });
        gateway.rules[1].choose = wished;
        gateway
    }
}

fn all(gateway: &Gateway) -> Vec<Candidate> {
    let of = |provider: usize| {
        let endpoints = 0..gateway.providers[provider].endpoints.len();
        endpoints.map(move |endpoint| Candidate { provider, model: 0, endpoint })
    };
    (0..gateway.providers.len()).flat_map(of).collect()
}

/// Whether the first rule lets this candidate be asked, said once more.
fn allowed(gateway: &Gateway, case: &Case, candidate: Candidate) -> bool {
    let require = &gateway.rules[0].require;
    let found = candidate.resolve(gateway).unwrap();
    let standing = case.standing(candidate.slot(gateway).unwrap());
    let times = if case.stream { standing.first_token } else { standing.total };
    let slow = require
        .max_latency
        .is_some_and(|most| times.samples >= 20 && u128::from(times.p95) > most.as_millis());
    let outside = !require.region.is_empty() && found.endpoint.region.as_deref() != Some("eu");
    !slow && !outside
}

fn rank(gateway: &Gateway, case: &Case, candidate: Candidate) -> bool {
    let gate = case.standing(candidate.slot(gateway).unwrap()).gate;
    matches!(gate, Gate::Open(_) | Gate::HalfOpen)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(250) })]

    #[test]
    fn an_order_is_a_permutation_of_what_is_left(gateway in any_gateway(), case in any_case()) {
        let case = Case { rule: None, target: None, models: Vec::new(), ..case };
        let (plan, ordered) = case.run(&gateway);
        let mut left = all(&gateway);
        left.retain(|one| {
            allowed(&gateway, &case, *one)
                && !case.standing(one.slot(&gateway).unwrap()).saturated
        });
        prop_assert_eq!(ordered, !left.is_empty());
        if ordered {
            let mut asked = plan.candidates.clone();
            asked.sort_by_key(|one| (one.provider, one.endpoint));
            prop_assert_eq!(&asked, &left);
        }
        // Whoever is left out is told of, once.
        for one in all(&gateway) {
            let told = plan.skipped.iter().filter(|skipped| skipped.candidate == one);
            let told: Vec<Why> = told.map(|skipped| skipped.why).collect();
            prop_assert!(told.len() <= 1, "{:?}", told);
            prop_assert!(left.contains(&one) || told.len() == 1, "{:?}", one);
        }
    }

    #[test]
    fn nobody_is_asked_whom_the_rule_forbids_whatever_a_client_wishes(
        gateway in any_gateway(), case in any_case(),
    ) {
        let (plan, ordered) = case.run(&gateway);
        if ordered {
            // A copy may show how slow somebody is, but stays in the region.
            if let Some(one) = &plan.mirror {
                let region = one.resolve(&gateway).unwrap().endpoint.region.as_deref();
                prop_assert!(gateway.rules[0].require.allows(region), "{:?}", one);
                prop_assert_ne!(one.provider, plan.candidates[0].provider);
            }
            for one in &plan.candidates {
                prop_assert!(allowed(&gateway, &case, *one), "{:?}", one);
            }
            for one in plan.candidates.iter().chain(&plan.mirror) {
                prop_assert!(!case.standing(one.slot(&gateway).unwrap()).saturated);
            }
            let mut once = plan.candidates.clone();
            once.sort_by_key(|one| (one.provider, one.endpoint));
            once.dedup();
            prop_assert_eq!(once.len(), plan.candidates.len());
        }
    }

    #[test]
    fn whoever_is_down_is_behind_all_others(gateway in any_gateway(), case in any_case()) {
        let (plan, ordered) = case.run(&gateway);
        if ordered {
            let down = |one: &Candidate| rank(&gateway, &case, *one);
            prop_assert!(plan.candidates.is_sorted_by_key(down));
        }
    }

    #[test]
    fn one_that_may_be_tried_keeps_its_place(gateway in any_gateway(), case in any_case()) {
        let mut closed = case.clone();
        for standing in &mut closed.standings {
            if standing.gate == Gate::Trial {
                standing.gate = Gate::Closed;
            }
        }
        prop_assert_eq!(case.run(&gateway).0.candidates, closed.run(&gateway).0.candidates);
    }

    #[test]
    fn every_worker_decides_the_same(gateway in any_gateway(), case in any_case()) {
        prop_assert_eq!(case.run(&gateway), case.run(&gateway));
    }

    #[test]
    fn who_is_out_leaves_the_others_in_their_order(
        gateway in any_gateway(), case in any_case(), out in 0usize..15,
    ) {
        // Balancing turns and means depend on who is there, and so does what a p95 is made of.
        let mut gateway = gateway;
        gateway.providers.iter_mut().for_each(|provider| provider.endpoints.truncate(1));
        prop_assume!(!matches!(gateway.rules[0].choose, Choose::Latency { .. }));
        let case = Case { rule: None, target: None, models: Vec::new(), ..case };
        let mut other = case.clone();
        other.standings[out].saturated = true;
        let (before, after) = (case.run(&gateway), other.run(&gateway));
        if after.1 {
            let mut left = before.0.candidates;
            left.retain(|one| !other.standing(one.slot(&gateway).unwrap()).saturated);
            prop_assert_eq!(left, after.0.candidates);
        }
    }

    #[test]
    fn the_order_of_cost_is_that_of_the_sums(gateway in any_gateway(), case in any_case()) {
        let mut gateway = gateway;
        gateway.rules[0].choose = Choose::Cost;
        let healthy = Case {
            standings: Vec::new(), rule: None, target: None, models: Vec::new(), ..case
        };
        let (plan, ordered) = healthy.run(&gateway);
        prop_assume!(ordered);
        let sum = |one: &Candidate| {
            let facts = &one.resolve(&gateway).unwrap().model.facts;
            let rates = facts.price.as_ref().unwrap().base;
            let Input { tokens, cached } = healthy.input;
            let output = healthy.output.unwrap_or(1_000) * healthy.choices;
            let pico = (tokens - cached) * rates.input.pico_usd()
                + cached * rates.cached_input.unwrap().pico_usd()
                + output * rates.output.pico_usd();
            (tokens > facts.context_window.unwrap(), (pico + 500) / 1_000, one.provider)
        };
        prop_assert!(plan.candidates.is_sorted_by_key(sum));
    }
}

/// How many of `rounds` decisions ask whom first.
fn firsts(gateway: &Gateway, rounds: u64, case: impl Fn(u64) -> Case) -> [f64; 5] {
    let mut counts = [0.0; 5];
    for round in 0..rounds {
        counts[case(round).first(gateway)] += 1.0;
    }
    counts
}

/// The numbers that decisions draw from, one for each round, always the same.
fn seed(round: u64) -> u64 {
    round.wrapping_mul(0x2545_f491_4f6c_dd1d).rotate_left(17) ^ 0x5bf0_3635
}

/// Chi-square over those that are expected at all; 20 is beyond one in two thousand for 4 degrees
/// of freedom.
fn assert_shares(counts: [f64; 5], weights: [f64; 5]) {
    let (sum, all): (f64, f64) = (counts.iter().sum(), weights.iter().sum());
    let mut chi = 0.0;
    for (count, weight) in counts.iter().zip(weights) {
        let expected = sum * weight / all;
        if expected == 0.0 {
            assert!(*count == 0.0, "{counts:?}");
        } else {
            chi += (count - expected).powi(2) / expected;
        }
    }
    assert!(chi < 20.0, "{chi}: {counts:?} for {weights:?}");
}

fn weighted(sticky: Option<Sticky>, weights: [u32; 5]) -> Gateway {
    let mut gateway = plain(Choose::Canary { sticky });
    for (target, weight) in gateway.rules[0].targets.iter_mut().zip(weights) {
        target.weight = weight;
    }
    gateway
}

const ROUNDS: u64 = 20_000;

#[test]
fn a_canary_gets_its_share_and_what_is_out_is_spread_over_the_rest() {
    let gateway = weighted(None, [70, 20, 5, 5, 0]);
    let case = |round| Case { random: seed(round), ..Case::default() };
    assert_shares(firsts(&gateway, ROUNDS, case), [70.0, 20.0, 5.0, 5.0, 0.0]);
    for change in [
        |standing: &mut Standing| standing.saturated = true,
        |standing: &mut Standing| standing.gate = Gate::Open(9),
    ] {
        let mut standings = vec![Standing::default(); 5];
        change(&mut standings[1]);
        let case = |round| Case { standings: standings.clone(), ..case(round) };
        assert_shares(firsts(&gateway, ROUNDS, case), [70.0, 0.0, 5.0, 5.0, 0.0]);
    }
    // Failover goes by weight too.
    let mut seconds = [0.0; 5];
    for round in 0..ROUNDS {
        let asked = case(round).run(&gateway).0.candidates;
        if asked[0].provider == 0 {
            seconds[asked[1].provider] += 1.0;
        }
    }
    assert_shares(seconds, [0.0, 20.0, 5.0, 5.0, 0.0]);
}

fn user(round: u64) -> Case {
    Case { user: Some(format!("user-{round}")), ..Case::default() }
}

#[test]
fn the_same_user_gets_the_same_and_all_users_together_the_weights() {
    let gateway = weighted(Some(Sticky::User), [70, 30, 0, 0, 0]);
    assert_shares(firsts(&gateway, ROUNDS, user), [70.0, 30.0, 0.0, 0.0, 0.0]);
    for round in 0..200 {
        let other = Case { random: seed(round), turn: round, ..user(round) };
        assert_eq!(user(round).run(&gateway).0.candidates, other.run(&gateway).0.candidates);
    }
    // Whoever has no name gets the weights by chance.
    let nobody = |round| Case { random: seed(round), ..Case::default() };
    assert_shares(firsts(&gateway, ROUNDS, nobody), [70.0, 30.0, 0.0, 0.0, 0.0]);
}

#[test]
fn a_new_target_moves_its_share_of_the_users_and_nobody_else() {
    let before = weighted(Some(Sticky::User), [40, 40, 0, 0, 0]);
    let after = weighted(Some(Sticky::User), [40, 40, 20, 0, 0]);
    let mut moved = [0.0; 5];
    for round in 0..ROUNDS {
        let (old, new) = (user(round).first(&before), user(round).first(&after));
        moved[usize::from(old != new)] += 1.0;
        assert!(old == new || new == 2, "user {round} moved from {old} to {new}");
    }
    assert_shares(moved, [80.0, 20.0, 0.0, 0.0, 0.0]);
}

#[test]
fn a_share_explores_and_all_others_alike() {
    let times = |p95| Percentiles { samples: 100, p50: p95, p95, p99: p95 };
    let standings: Vec<Standing> = [300, 100, 200, 400, 500]
        .map(|p95| Standing { total: times(p95), ..Standing::default() })
        .to_vec();
    let case =
        |round| Case { random: seed(round), standings: standings.clone(), ..Case::default() };
    let gateway = plain(Choose::Latency { explore: 2_000 });
    assert_shares(firsts(&gateway, ROUNDS, case), [5.0, 80.0, 5.0, 5.0, 5.0]);
    let gateway = plain(Choose::Latency { explore: 0 });
    assert_shares(firsts(&gateway, 1_000, case), [0.0, 1.0, 0.0, 0.0, 0.0]);
    let down = |round| {
        let mut case = case(round);
        case.standings[4].gate = Gate::Open(9);
        case
    };
    let gateway = plain(Choose::Latency { explore: 2_000 });
    assert_shares(firsts(&gateway, ROUNDS, down), [20.0, 240.0, 20.0, 20.0, 0.0]);
}

#[test]
fn one_of_twenty_still_goes_where_too_much_fails() {
    let gateway = plain(Choose::Failover(Leave::default()));
    let mut standings = vec![Standing::default(); 5];
    standings[0].counts = [Counts { requests: 100, failures: 6 }; 3];
    let case =
        |round| Case { random: seed(round), standings: standings.clone(), ..Case::default() };
    assert_shares(firsts(&gateway, ROUNDS, case), [1.0, 19.0, 0.0, 0.0, 0.0]);
}

#[test]
fn a_share_is_mirrored() {
    let mut gateway = plain(Choose::Cost);
    let target = TargetId { provider: 3, model: 0, weight: 1 };
    gateway.rules[0].mirror = Some(Mirror { target, share: 500 });
    let mut counts = [0.0; 5];
    for round in 0..ROUNDS {
        let case = Case { random: seed(round), ..Case::default() };
        counts[usize::from(case.run(&gateway).0.mirror.is_some())] += 1.0;
    }
    assert_shares(counts, [95.0, 5.0, 0.0, 0.0, 0.0]);
}

/// How often each endpoint of the first provider is asked first.
fn endpoints(balance: Balance, standings: &[Standing]) -> [f64; 5] {
    let mut gateway = gateway(&[vec![None; 3]], &[CHEAP]);
    gateway.providers[0].balance = balance;
    let mut counts = [0.0; 5];
    for round in 0..ROUNDS {
        let standings = standings.to_vec();
        let case = Case { random: seed(round), turn: round, standings, ..Case::default() };
        counts[case.run(&gateway).0.candidates[0].endpoint] += 1.0;
    }
    counts
}

#[test]
fn endpoints_share_by_turns_or_by_how_quick_they_are() {
    let times = |p50| Percentiles { samples: 100, p50, p95: p50, p99: p50 };
    let stands = |p50| Standing { total: times(p50), ..Standing::default() };
    assert_shares(endpoints(Balance::RoundRobin, &[]), [1.0, 1.0, 1.0, 0.0, 0.0]);
    let down = Standing { gate: Gate::Open(9), ..Standing::default() };
    let up = Standing::default();
    assert_shares(endpoints(Balance::RoundRobin, &[up, down, up]), [1.0, 0.0, 1.0, 0.0, 0.0]);
    let quick = [stands(100), stands(200), stands(400)];
    assert_shares(endpoints(Balance::Latency, &quick), [4.0, 2.0, 1.0, 0.0, 0.0]);
    // Of whom nothing is known, the mean of the others; and nobody starves.
    let new = [stands(100), stands(300), up];
    assert_shares(endpoints(Balance::Latency, &new), [3.0, 1.0, 2.0, 0.0, 0.0]);
    let stuck = [stands(100), stands(100), stands(1_000_000)];
    let share = endpoints(Balance::Latency, &stuck)[2] / ROUNDS as f64;
    assert!((0.02..0.05).contains(&share), "{share}");
}
