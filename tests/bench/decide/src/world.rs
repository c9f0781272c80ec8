//! A gateway with 50 rules, of which the last takes the request, and 20 targets that have been at
//! work for a while.

use serde_json::{Value, json};
use std::cell::Cell;
use std::rc::Rc;
use waypost::config::rule::Operation;
use waypost::config::{Config, Gateway};
use waypost::filter::intake;
use waypost::filter::service::Service;
use waypost::filter::world::World;
use waypost::store::memory::Memory;
use waypost::health::{Event, Slot};
use waypost::store::{Store};
use waypost::openai::Class;
use waypost::providers::Headers;
use waypost::routing;
use waypost::tenancy::Caller;
use waypost::telemetry::metrics::{Kind, Sink};

pub const RULES: usize = 50;
pub const TARGETS: usize = 20;

/// What the last rule chooses by.
pub const STRATEGIES: [&str; 7] =
    ["static", "failover", "cost", "quality", "latency", "canary", "canary, sticky"];

const HEADERS: [(&str, &str); 16] = [
    (":authority", "llm.example.com"),
    (":method", "POST"),
    (":path", "/v1/chat/completions"),
    (":scheme", "https"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate"),
    ("authorization", "Bearer of-the-client"),
    ("content-type", "application/json"),
    ("user-agent", "OpenAI/Python 1.99.0"),
    ("x-forwarded-for", "10.0.0.1"),
    ("x-forwarded-proto", "https"),
    ("x-request-id", "6f1c1d0a-5c4e-4b52-9f1f-6b1b9d7f0d3e"),
    ("x-stainless-lang", "python"),
    ("x-stainless-runtime", "CPython"),
    ("x-tenant", "acme"),
    ("x-tier", "gold"),
];

/// A world in which nothing happens between two decisions.
struct Still {
    memory: Memory,
    now: Cell<u64>,
    random: Cell<u64>,
}

impl Store for Still {
    fn read(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.memory.read(key)
    }

    fn write(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        self.memory.write(key, value, version)
    }
}

impl Sink for Still {
    fn define(&self, _: Kind, _: &str) -> Option<u32> {
        None
    }

    fn increase(&self, _: u32, _: u64) {}

    fn record(&self, _: u32, _: u64) {}
}

impl World for Still {
    fn now(&self) -> u64 {
        self.now.get()
    }

    fn random(&self) -> u64 {
        self.random.set(self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        self.random.get()
    }

    fn add(&self, _: &str, _: u64) {}

    fn observe(&self, _: &str, _: u64) {}

    fn gauge(&self, _: &str, _: u64) {}
}

/// What decides.
pub struct Scene {
    service: Rc<Service>,
    body: Vec<u8>,
}

impl Scene {
    /// `strategy` is a place in [`STRATEGIES`].
    pub fn new(strategy: usize) -> Self {
        let world = Still {
            memory: Memory::new(),
            now: Cell::new(1_800_000_000_000),
            random: Cell::new(1),
        };
        let gateway = Rc::new(gateway(strategy));
        let scene = Self { service: Rc::new(Service::new(gateway, Box::new(world))), body: body() };
        // A service that was never asked has nothing to tell to the others.
        scene.decide(1);
        scene.live();
        scene
    }

    /// Makes so many decisions. Gives the sum of their lengths, so that none can be left out.
    pub fn decide(&self, count: u32) -> u64 {
        let headers: Headers<'_> = HEADERS.into_iter().collect();
        let gateway = &self.service.gateway;
        let then = |question: &routing::Question<'_>, keep: intake::Keep<'_>| {
            let mut sum = 0;
            for _ in 0..count {
                let mut plan = routing::plan(gateway, question)?;
                keep(&mut plan)?;
                self.service.order(&mut plan, question)?;
                assert_eq!(plan.at, Some(RULES - 1));
                sum += plan.candidates.len() as u64;
            }
            Ok(sum)
        };
        let body = self.body.clone();
        let caller = Rc::new(Caller::anonymous(&"acme".into(), 0));
        match intake::ask(gateway, Some(&caller), Operation::Chat, &headers, body, &|_| false, then) {
            Ok((_, sum)) => sum,
            Err(refusal) => panic!("{refusal:?}"),
        }
    }

    /// Each target answers and fails a while, and the tick writes it down.
    fn live(&self) {
        for at in 0..TARGETS as u16 {
            let slot = Slot { endpoint: at / 2, target: at };
            for request in 0..200u32 {
                let Ok(place) = self.service.admit(slot, true) else { continue };
                self.service.first_token(slot, 100 + request % 97 + u32::from(at) * 7);
                let total = 800 + request % 331 + u32::from(at) * 31;
                place.settle(match request % 50 {
                    0 => Event::Failed { class: Class::Server, retry_after: None },
                    1 => Event::Failed { class: Class::RateLimit, retry_after: None },
                    _ => Event::Answered { total, stream: false },
                });
            }
        }
        self.service.tick();
        self.service.tick();
    }
}

fn gateway(strategy: usize) -> Gateway {
    let mut providers = serde_json::Map::new();
    for at in 0..TARGETS / 2 {
        let model = |which: usize| {
            let place = at * 2 + which;
            json!({
                "capabilities": ["tools", "vision", "json_schema", "prompt_caching"],
                "context_window": 128_000, "max_output_tokens": 8_192,
                "quality": {"general": place as f64 / 40.0 + 0.4, "classification": 0.95 - place as f64 / 50.0},
                "price": {"input_usd_per_mtok": (place * 7 % 20) as f64 + 0.5, "output_usd_per_mtok": (place * 3 % 20) as f64 + 1.0},
            })
        };
        providers.insert(
            format!("provider-{at}"),
            json!({
                "api": "openai",
                "endpoints": [{"cluster": format!("cluster-{at}"), "region": if at % 2 == 0 { "eu" } else { "us" }}],
                "models": {format!("model-{at}-a"): model(0), format!("model-{at}-b"): model(1)},
            }),
        );
    }
    let mut rules: Vec<Value> = (0..RULES - 1).map(other_rule).collect();
    rules.push(last_rule(strategy));
    let config = json!({
        "role": "gateway", "identity": [{"headers": {"tenant": "x-tenant"}}], "others": "all", "tenants": {"all": {}},
        "providers": providers, "rules": rules,
    });
    match Config::read(&config) {
        Ok(Config::Gateway(gateway)) => *gateway,
        other => panic!("{other:?}"),
    }
}

/// A rule that does not take the request, each for another reason.
fn other_rule(at: usize) -> Value {
    let when = match at % 7 {
        0 => json!({"headers": {"x-data-class": [format!("class-{at}"), "phi"]}}),
        1 => json!({"metadata": {"task": [format!("task-{at}"), "summary-*"]}}),
        2 => json!({
            "model": "gpt-*", "metadata": {"priority": ["low", format!("of-{at}")]},
            "input_tokens": {"at_least": 100_000},
        }),
        3 => json!({"model": [format!("other-{at}"), format!("*-of-{at}")]}),
        4 => json!({"tenant": [format!("tenant-{at}"), "umbrella-*"]}),
        5 => json!({"headers": {"x-tier": "gold"}, "metadata": {"team": format!("team-{at}")}}),
        _ => json!({"capabilities": ["vision"], "metadata": {"team": format!("team-{at}")}}),
    };
    json!({"name": format!("rule-{at}"), "when": when, "targets": ["provider-0/model-0-a"]})
}

fn last_rule(strategy: usize) -> Value {
    let names = (0..TARGETS).map(|at| {
        format!("provider-{}/model-{}-{}", at / 2, at / 2, if at % 2 == 0 { "a" } else { "b" })
    });
    let mut rule = json!({
        "name": "last",
        "when": {
            "headers": {"x-tier": ["gold", "platinum"]},
            "metadata": {"task": ["classification", "extraction"]},
            "input_tokens": {"at_least": 10, "at_most": 50_000},
        },
        "require": {"region": ["eu", "us"], "capabilities": ["tools"], "max_latency": "30s"},
    });
    let (choose, sticky) = match STRATEGIES[strategy] {
        "canary, sticky" => ("canary", true),
        choose => (choose, false),
    };
    rule["choose"] = choose.into();
    rule["targets"] = match choose {
        "static" => names.take(1).collect(),
        "canary" => {
            names.enumerate().map(|(at, name)| json!({"target": name, "weight": at + 1})).collect()
        }
        _ => names.collect(),
    };
    if sticky {
        rule["sticky"] = "metadata:conversation".into();
    }
    rule
}

/// About one kilobyte, with tools.
fn body() -> Vec<u8> {
    let text = "Which of these categories does the ticket below belong to? Answer with one word. ";
    json!({
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": text.repeat(4)},
            {"role": "user", "content": text.repeat(3)},
        ],
        "max_completion_tokens": 400,
        "metadata": {"task": "classification", "team": "support", "priority": "low", "conversation": "c-1482"},
        "user": "u-77",
        "tools": [{"type": "function", "function": {
            "name": "categories", "description": "All categories", "parameters": {"type": "object", "properties": {}},
        }}],
    })
    .to_string()
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_orders_all_the_targets() {
        for (at, name) in STRATEGIES.iter().enumerate() {
            let scene = Scene::new(at);
            let asked = if *name == "static" { 1 } else { TARGETS as u64 };
            assert_eq!(scene.decide(3), 3 * asked, "{name}");
            let standing = scene.service.standing(Slot { endpoint: 9, target: 19 });
            assert_eq!(standing.counts[2].requests, 200);
            assert!(standing.total.samples > 100, "{standing:?}");
        }
    }
}
