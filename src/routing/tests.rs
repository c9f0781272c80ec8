//! Whole decisions: rules, wishes, requirements, strategies and health together.

mod order;

use std::borrow::Cow;
use std::cell::Cell;
use std::rc::Rc;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use serde_json::{Value, json};

use super::estimate::{Input, Output};
use super::*;
use crate::config::rule::Operation;
use crate::config::{Config, Gateway};
use crate::health::{Counts, Gate, Percentiles, Standing};
use crate::openai::Error;
use crate::tenancy::Caller;

/// `a` has two endpoints, one in the EU; `b` and `c` one each.
fn gateway(rules: &Value, more: &Value) -> Gateway {
    let mut config = json!({
        "role": "gateway", "identity": [{"headers": {"tenant": "x-tenant"}}], "others": "all", "anonymous": "all", "tenants": {"all": {}}, "loopback": "back",
        "clients_may": ["rule", "target", "models"],
        "providers": {
            "a": {"api": "openai", "endpoints": [{"cluster": "a-us", "region": "us"}, {"cluster": "a-eu", "region": "eu"}],
                "models": {
                    "one": {"capabilities": ["tools", "prompt_caching"], "quality": {"general": 0.7, "sums": 0.9},
                        "price": {"input_usd_per_mtok": 2.0, "cached_input_usd_per_mtok": 0.2, "output_usd_per_mtok": 8.0}},
                    "unpriced": {},
                }},
            "b": {"api": "openai", "endpoints": [{"cluster": "b-eu", "region": "eu"}], "models": {
                "two": {"capabilities": ["tools", "vision", "reasoning"], "quality": 0.8,
                    "price": {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 20.0}},
            }},
            "c": {"api": "openai", "endpoints": [{"cluster": "c"}], "models": {
                "three": {"capabilities": [], "context_window": 4000,
                    "price": {"input_usd_per_mtok": 0.5, "output_usd_per_mtok": 0.5}},
            }},
        },
        "rules": rules,
    });
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    match Config::read(&config) {
        Ok(Config::Gateway(gateway)) => *gateway,
        other => panic!("{other:?}"),
    }
}

/// The targets of a rule that takes everything.
fn choosing(more: &Value) -> Gateway {
    let mut rule = json!({"name": "r", "targets": ["a/one", "b/two", "c/three"]});
    for (name, value) in more.as_object().unwrap() {
        rule[name] = value.clone();
    }
    gateway(&json!([rule]), &json!({}))
}

/// A request for `one`, with these clusters standing otherwise.
struct Case<'a> {
    model: &'a str,
    stream: bool,
    random: u64,
    input: Input,
    output: Option<u64>,
    choices: u64,
    task: Option<&'a str>,
    user: Option<&'a str>,
    headers: &'a [(&'a str, &'a str)],
    wishes: Wishes<'a>,
    needs: crate::providers::catalogue::Capabilities,
    cel: bool,
    stands: &'a [(&'a str, Standing)],
}

impl Default for Case<'_> {
    fn default() -> Self {
        Self {
            model: "one",
            stream: false,
            random: 0,
            input: Input { tokens: 1_000, cached: 0 },
            output: Some(100),
            choices: 1,
            task: None,
            user: None,
            headers: &[],
            wishes: Wishes::default(),
            needs: "".parse().unwrap(),
            cel: false,
            stands: &[],
        }
    }
}

impl Case<'_> {
    fn run(&self, gateway: &Gateway) -> (Plan, Result<(), Error>) {
        self.ask(gateway).unwrap()
    }

    fn ask(&self, gateway: &Gateway) -> Result<(Plan, Result<(), Error>), Error> {
        let header =
            |name: &str| self.headers.iter().find(|(known, _)| *known == name).map(|known| known.1);
        let metadata = |name: &str| -> Option<Cow<'_, str>> {
            self.task.filter(|_| name == "task").map(Cow::Borrowed)
        };
        let (input, cel) = (|| self.input, |_: &_| self.cel);
        let caller = header("x-tenant").map(|name| Rc::new(Caller::anonymous(&name.into(), 0)));
        let question = Question {
            caller: caller.as_ref(),
            metadata: &metadata,
            user: self.user,
            input: &input,
            output: Output { tokens: self.output, choices: self.choices },
            capabilities: self.needs,
            cel: &cel,
            wishes: self.wishes.clone(),
            ..Question::new(Operation::Chat, self.model, self.stream, &header)
        };
        let mut plan = plan(gateway, &question)?;
        let clusters: Vec<String> =
            gateway.fleet().into_iter().map(|watched| watched.cluster).collect();
        let standing = |slot: Slot| {
            let cluster = &clusters[usize::from(slot.endpoint)];
            let known = self.stands.iter().find(|(name, _)| name == cluster);
            known.map(|known| known.1).unwrap_or_default()
        };
        let moment =
            Moment { now: 1_000, random: self.random, standing: &standing, turn: &|_| self.random };
        let ordered = plan.order(gateway, &question, &moment);
        Ok((plan, ordered))
    }

    /// The clusters in the order in which they are asked.
    fn asks(&self, gateway: &Gateway) -> Vec<String> {
        let (plan, ordered) = self.run(gateway);
        ordered.unwrap();
        plan.candidates.iter().map(|candidate| cluster(*candidate, gateway)).collect()
    }

    fn refused(&self, gateway: &Gateway) -> (u16, String, String) {
        let error = self.run(gateway).1.unwrap_err();
        (error.status, error.code.unwrap_or_default().into_owned(), error.message)
    }
}

fn cluster(candidate: Candidate, gateway: &Gateway) -> String {
    candidate.resolve(gateway).unwrap().endpoint.cluster.clone()
}

fn why(plan: &Plan, gateway: &Gateway) -> Vec<String> {
    let of = |skipped: &Skipped| {
        format!(
            "{} {}: {}",
            cluster(skipped.candidate, gateway),
            skipped.why.word(),
            skipped.reason
        )
    };
    plan.skipped.iter().map(of).collect()
}

fn gate(gate: Gate) -> Standing {
    Standing { gate, ..Standing::default() }
}

const OPEN: Gate = Gate::Open(3_500);

fn slow(p95: u32) -> Standing {
    let times = Percentiles { samples: 20, p50: p95 / 2, p95, p99: p95 };
    Standing { total: times, first_token: times, ..Standing::default() }
}

fn failures(failures: u32, requests: u32) -> Standing {
    let counts = Counts { requests, failures };
    Standing { counts: [Counts::default(), counts, counts], ..Standing::default() }
}

/// A number for which no share and no recheck is drawn.
fn dull() -> u64 {
    (0..).find(|random| !strategy::failover::rechecks(*random)).unwrap()
}

#[test]
fn a_rule_is_for_what_all_its_conditions_say() {
    let when = json!({"when": {
        "operation": "chat", "metadata": {"task": ["sums", "law-*"]}, "capabilities": ["tools"],
        "input_tokens": {"at_least": 500, "at_most": 2000}, "cel": "connection.mtls",
    }});
    let gateway = choosing(&when);
    let case = || Case {
        task: Some("law-eu"),
        needs: "tools vision".parse().unwrap(),
        cel: true,
        ..Case::default()
    };
    let rule = |case: Case<'_>| case.run(&gateway).0.rule;
    assert_eq!(rule(case()), "r");
    assert_eq!(rule(Case { task: Some("other"), ..case() }), "model");
    assert_eq!(rule(Case { task: None, ..case() }), "model");
    assert_eq!(rule(Case { needs: "vision".parse().unwrap(), ..case() }), "model");
    assert_eq!(rule(Case { input: Input { tokens: 499, cached: 0 }, ..case() }), "model");
    assert_eq!(rule(Case { input: Input { tokens: 2001, cached: 0 }, ..case() }), "model");
    assert_eq!(rule(Case { cel: false, ..case() }), "model");
}

#[test]
fn nobody_counts_tokens_or_asks_envoy_unless_a_rule_wants_to_know() {
    let counted = Cell::new(0);
    let count = || {
        counted.set(counted.get() + 1);
        Input::default()
    };
    let cel = |_: &_| panic!("no rule has an expression that its other conditions lead to");
    let ask = |gateway: &Gateway| {
        let header = |_: &str| None;
        let question = Question {
            input: &count,
            cel: &cel,
            ..Question::new(Operation::Chat, "one", false, &header)
        };
        let mut plan = plan(gateway, &question).unwrap();
        let standing = |_| Standing::default();
        let moment = Moment { now: 0, random: 0, standing: &standing, turn: &|_| 0 };
        plan.order(gateway, &question, &moment).unwrap();
    };
    ask(&choosing(&json!({"when": {"model": "two", "cel": "connection.mtls"}})));
    assert_eq!(counted.get(), 0);
    let when = |least: u64| json!({"input_tokens": {"at_least": least}});
    let rules = json!([
        {"name": "q", "when": when(2), "targets": ["a/one"]},
        {"name": "r", "when": when(1), "targets": ["b/two"]},
        {"name": "s", "choose": "cost", "targets": ["a/one", "b/two"]},
    ]);
    // Two rules and the price of it: one estimate.
    ask(&gateway(&rules, &json!({})));
    assert_eq!(counted.get(), 1);
}

#[test]
fn a_request_stays_in_its_region_whatever_the_client_wishes_and_whoever_is_down() {
    let rules = json!([
        {"name": "eu", "when": {"tenant": "acme"}, "require": {"region": ["eu"]}, "targets": ["a/one", "b/two", "c/three"]},
        {"name": "free", "when": {"model": "free"}, "targets": ["c/three", "a/one"]},
    ]);
    let gateway = gateway(&rules, &json!({}));
    let acme: &[(&str, &str)] = &[("x-tenant", "acme")];
    let case = |wishes| Case { headers: acme, wishes, random: dull(), ..Case::default() };
    let wish = Wishes::default;
    assert_eq!(case(wish()).asks(&gateway), ["a-eu", "b-eu"]);
    let down = [("a-eu", gate(OPEN)), ("b-eu", gate(OPEN))];
    assert_eq!(Case { stands: &down, ..case(wish()) }.asks(&gateway), ["a-eu", "b-eu"]);
    assert_eq!(case(Wishes { rule: Some("free"), ..wish() }).asks(&gateway), ["a-eu"]);
    assert_eq!(case(Wishes { target: Some("a/one"), ..wish() }).asks(&gateway), ["a-eu"]);
    let listed = Wishes { models: vec!["three".into(), "free".into()], ..wish() };
    assert_eq!(case(listed).asks(&gateway), ["a-eu", "b-eu"]);
    let (status, code, message) =
        case(Wishes { target: Some("c/three"), ..wish() }).refused(&gateway);
    assert_eq!((status, &*code), (503, "no_candidate_in_region"));
    assert_eq!(
        message,
        "The rule 'eu' keeps this request in eu, and no candidate is there (c/three: its region is not known)."
    );
}

#[test]
fn a_model_named_with_its_provider_stays_where_its_rule_keeps_it() {
    let rules = json!([
        {"name": "eu", "when": {"model": ["one", "three"]}, "require": {"region": "eu"}, "targets": ["a/one", "b/two"]},
        {"name": "other", "when": {"model": "x"}, "targets": ["b/two"]},
    ]);
    let gateway = gateway(&rules, &json!({}));
    let wish = Wishes::default;
    for (model, wishes, clusters) in [
        ("one", wish(), ["a-eu", "b-eu"].as_slice()),
        ("a/one", wish(), &["a-eu"]),
        ("x", Wishes { target: Some("a/one"), ..wish() }, &["a-eu"]),
        ("two", Wishes { models: vec!["a/one".into()], ..wish() }, &["b-eu", "a-eu"]),
        ("a/unpriced", wish(), &["a-us", "a-eu"]),
    ] {
        let case = Case { model, wishes, ..Case::default() };
        assert_eq!(case.asks(&gateway), clusters, "{model}");
    }
    let (status, code, message) = Case { model: "c/three", ..Case::default() }.refused(&gateway);
    assert_eq!((status, &*code), (503, "no_candidate_in_region"));
    assert!(message.starts_with("The rule 'eu' keeps this request in eu"), "{message}");
}

#[test]
fn other_requirements_are_told_with_what_each_candidate_lacks() {
    for (require, clusters, said) in [
        (
            json!({"capabilities": ["vision"]}),
            vec!["b-eu"],
            "a/one: it has no vision; c/three: it has no vision",
        ),
        (
            json!({"max_price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 10}}),
            vec!["c"],
            "a/one: it costs more than the rule allows; b/two: it costs more than the rule allows",
        ),
        (
            json!({"min_quality": 0.75}),
            vec!["b-eu"],
            "a/one: its score is below what the rule requires; c/three: its score is below what the rule requires",
        ),
    ] {
        let gateway = choosing(&json!({"require": require}));
        assert_eq!(Case::default().asks(&gateway), clusters);
        let mut left = vec!["a/one", "b/two", "c/three"];
        left.retain(|target| said.contains(target));
        let require = gateway.rules.into_iter().next().unwrap().require;
        let mut gateway = choosing(&json!({"targets": left}));
        gateway.rules[0].require = require;
        let (status, code, message) = Case::default().refused(&gateway);
        assert_eq!((status, &*code), (400, "no_candidate_meets_rule"));
        assert_eq!(message, format!("No candidate meets what the rule 'r' requires ({said})."));
    }
}

#[test]
fn whoever_is_too_slow_is_left_out_and_if_all_are_it_is_told() {
    let gateway = choosing(&json!({"require": {"max_latency": "2s"}}));
    let (slow, quick) = (slow(2_001), slow(2_000));
    let stands = [("a-us", slow), ("a-eu", slow), ("b-eu", slow), ("c", slow)];
    assert_eq!(Case { stands: &stands[..3], ..Case::default() }.asks(&gateway), ["c"]);
    let mut one = stands;
    one[2].1 = quick;
    assert_eq!(Case { stands: &one, ..Case::default() }.asks(&gateway), ["b-eu"]);
    let (status, code, message) = Case { stands: &stands, ..Case::default() }.refused(&gateway);
    assert_eq!((status, &*code), (503, "no_candidate_meets_rule"));
    assert!(
        message.contains("b/two: its p95 of 2001 ms is longer than the rule allows"),
        "{message}"
    );
}

#[test]
fn a_wish_is_granted_where_the_configuration_says_so() {
    let rules = json!([
        {"name": "r", "when": {"model": "one"}, "targets": ["a/one"]},
        {"name": "other", "when": {"model": "x"}, "targets": ["b/two"], "timeouts": {"idle": "5s"}},
    ]);
    let open = gateway(&rules, &json!({}));
    let shut = gateway(&rules, &json!({"clients_may": []}));
    let wish = Wishes::default;
    for (wishes, clusters, rule) in [
        (Wishes { rule: Some("other"), ..wish() }, vec!["b-eu"], "other"),
        (Wishes { target: Some("c/three"), ..wish() }, vec!["c"], "r"),
        (
            Wishes { models: vec!["three".into(), "b/two".into()], ..wish() },
            vec!["a-us", "a-eu", "c", "b-eu"],
            "r",
        ),
        (
            Wishes { models: vec!["x".into(), "one".into()], ..wish() },
            vec!["a-us", "a-eu", "b-eu"],
            "r",
        ),
    ] {
        let case = Case { wishes, ..Case::default() };
        assert_eq!(
            (case.asks(&open), &*case.run(&open).0.rule),
            (clusters.iter().map(ToString::to_string).collect(), rule)
        );
        assert_eq!(case.asks(&shut), ["a-us", "a-eu"]);
        let warnings = case.run(&shut).0.warnings;
        assert!(
            matches!(&*warnings, [one] if one.contains(" is ignored: clients_may")),
            "{warnings:?}"
        );
    }
}

#[test]
fn a_target_that_is_wished_for_does_not_lead_around_the_rules_that_a_tenant_may_use() {
    let rules = json!([
        {"name": "cheap", "when": {"model": "fast"}, "targets": ["c/three", "a/unpriced"]},
        {"name": "dear", "when": {"model": "one"}, "targets": ["a/one", "c/three"]},
    ]);
    let bound = |rules: Value| json!({"tenants": {"all": {"may": {"rules": rules}}}});
    let ask = |bound: Value, model: &str, target| {
        let wishes = Wishes { target: Some(target), ..Wishes::default() };
        let case = Case { model, wishes, headers: &[("x-tenant", "all")], ..Case::default() };
        case.ask(&gateway(&rules, &bound))
            .map(|(plan, _)| plan.rule)
            .map_err(|error| (error.status, error.code.unwrap_or_default(), error.param))
    };
    let refused = || Err((403, "rule_not_allowed".into(), Some("x-waypost-target".to_owned())));
    let cheap = || bound(json!(["cheap"]));
    assert_eq!(ask(cheap(), "fast", "a/unpriced"), Ok("cheap".to_owned()));
    // Neither by the name of a model whose rule it may use, nor by another's or none's.
    for (model, target) in [
        ("fast", "a/one"),
        ("one", "a/one"),
        ("one", "c/three"),
        ("two", "b/two"),
        ("fast", "no/ne"),
    ] {
        assert_eq!(ask(cheap(), model, target), refused(), "{model} {target}");
    }
    let both = || bound(json!(["cheap", "model"]));
    assert_eq!(ask(both(), "fast", "b/two"), Ok("cheap".to_owned()));
    assert_eq!(ask(both(), "two", "a/one"), Ok("model".to_owned()));
    assert_eq!(ask(both(), "one", "a/one"), refused());
}

#[test]
fn a_wish_that_nothing_answers_to_is_the_clients_mistake() {
    let gateway = choosing(&json!({}));
    let wish = Wishes::default;
    for (wishes, status, param, said) in [
        (Wishes { rule: Some("rr"), ..wish() }, 400, "x-waypost-rule", "there is no rule 'rr'"),
        (
            Wishes { target: Some("a/onee"), ..wish() },
            400,
            "x-waypost-target",
            "did you mean \"a/one\"?",
        ),
        (
            Wishes { target: Some("one"), ..wish() },
            400,
            "x-waypost-target",
            "there is no target 'one'",
        ),
        (
            Wishes { models: vec!["two".into(), "none".into()], ..wish() },
            400,
            "models[1]",
            "The model 'none' does not exist",
        ),
    ] {
        let error = Case { wishes, ..Case::default() }.ask(&gateway).unwrap_err();
        assert_eq!(
            (error.status, error.param.as_deref()),
            (status, Some(param)),
            "{}",
            error.message
        );
        assert!(error.message.contains(said), "{}", error.message);
    }
}

#[test]
fn a_copy_goes_nowhere_where_the_request_must_not() {
    let gateway = choosing(&json!({
        "require": {"region": ["eu"]}, "targets": ["b/two", "a/one"],
        "mirror": {"target": "a/one", "share": "100%"},
    }));
    let mirror = |gateway: &Gateway, random| {
        let case = Case { random, ..Case::default() };
        case.run(gateway).0.mirror.map(|candidate| cluster(candidate, gateway))
    };
    for random in 0..50 {
        assert_eq!(mirror(&gateway, random).as_deref(), Some("a-eu"));
    }
    let stands = [("a-eu", gate(OPEN))];
    let down = Case { stands: &stands, ..Case::default() }.run(&gateway);
    assert_eq!(down.0.mirror, None);
    // Whoever answers is not asked twice.
    let stands = [("b-eu", gate(OPEN))];
    let failed_over = Case { stands: &stands, ..Case::default() }.run(&gateway);
    assert_eq!(cluster(failed_over.0.candidates[0], &gateway), "a-eu");
    assert_eq!(failed_over.0.mirror, None);
    // A copy that the configuration should not have allowed.
    let mut gateway = gateway;
    gateway.rules[0].mirror.as_mut().unwrap().target.provider = 2;
    assert!((0..50).all(|random| mirror(&gateway, random).is_none()));
}

#[test]
fn a_copy_goes_to_a_target_of_which_nothing_is_known_yet() {
    let gateway = choosing(&json!({
        "require": {"min_quality": 0.6, "max_price": {"output_usd_per_mtok": 30}, "max_latency": "1s"},
        "targets": ["a/one", "b/two"], "mirror": {"target": "c/three", "share": "100%"},
    }));
    let stands = [("c", slow(2_000))];
    let plan = Case { stands: &stands, ..Case::default() }.run(&gateway).0;
    assert_eq!(plan.mirror.map(|candidate| cluster(candidate, &gateway)).as_deref(), Some("c"));
}

#[test]
fn what_a_decision_knew_is_told_of_everybody() {
    let gateway = choosing(
        &json!({"require": {"region": ["eu"]}, "choose": "cost", "targets": ["a/one", "b/two"]}),
    );
    let header = |_: &str| None;
    let input = || Input { tokens: 1_000, cached: 500 };
    let question = Question {
        input: &input,
        output: Output { tokens: Some(100), choices: 1 },
        ..Question::new(Operation::Chat, "one", true, &header)
    };
    let standing = |_| slow(70);
    let moment = Moment { now: 0, random: 0, standing: &standing, turn: &|_| 0 };
    let mut plan = plan(&gateway, &question).unwrap();
    plan.order(&gateway, &question, &moment).unwrap();
    let known = explain::candidates(&gateway, &plan, &question, &moment);
    let facts: Vec<_> = known
        .iter()
        .map(|known| {
            let cost = known.cost.unwrap().0;
            (
                cluster(known.candidate, &gateway),
                known.place,
                cost,
                known.quality,
                known.latency.p95,
            )
        })
        .collect();
    // 500 x 2 + 500 x 0.2 + 100 x 8, and 1000 x 1 + 100 x 20, in micro-dollars.
    let expected = [
        ("a-eu".to_owned(), Some(0), 1_900_000, Some(700), 70),
        ("b-eu".to_owned(), Some(1), 3_000_000, Some(800), 70),
        ("a-us".to_owned(), None, 1_900_000, Some(700), 70),
    ];
    assert_eq!(facts, expected);
    assert_eq!(known[2].skipped.unwrap().why, Why::Region);
    assert_eq!(explain::rules(&gateway, &question), [(0, None)]);
}
