#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::cell::Cell;

use serde_json::json;

use super::*;
use crate::config::Config;
use crate::config::rule::Operation;
use crate::filter::accounts::Accounts;
use crate::filter::exchange::Exchange;
use crate::filter::service::tests::{Simulated, Told, open};
use crate::openai::{Class, Error, Usage};
use crate::pattern::Pattern;
use crate::providers::Headers;
use crate::routing::Why;
use crate::store::Millis;
use crate::store::memory::Memory;
use crate::tenancy::account::Account;
use crate::tenancy::identity::{Header, Shown};
use crate::tenancy::{Budget, Kind, Limits, Rates, Shared, Tenant, Terms, users};

/// A million tokens in cost a dollar at `dear` and ten cents at `cheap`; tokens out cost ten times as
/// much. `free` has no price.
fn gateway(terms: Terms, cap: Option<Budget>) -> Gateway {
    let price =
        |usd: f64| json!({"price": {"input_usd_per_mtok": usd, "output_usd_per_mtok": 10.0 * usd}});
    let config = Config::read(&json!({
        "role": "gateway", "anonymous": "t", "tenants": {"t": {}},
        "providers": {
            "cheap": {"api": "openai", "endpoints": [{"cluster": "cheap"}], "models": {"m": price(0.1)}},
            "dear": {"api": "openai", "endpoints": [{"cluster": "dear"}], "models": {"m": price(1.0)}},
            "free": {"api": "openai", "endpoints": [{"cluster": "free"}], "models": {"m": {}}},
            "odd": {"api": "anthropic", "endpoints": [{"cluster": "odd"}], "models": {"m": {}}},
        },
        "rules": [
            {"name": "odd", "when": {"model": "odd"}, "targets": ["odd/m"]},
            {"name": "free", "when": {"model": "free"}, "targets": ["free/m", "cheap/m"]},
            {"name": "all", "targets": ["dear/m", "free/m", "cheap/m"]},
        ],
    }));
    let mut gateway = match config {
        Ok(Config::Gateway(gateway)) => *gateway,
        other => panic!("{other:?}"),
    };
    let tenant = Tenant { name: "t".into(), terms, ..Tenant::default() };
    gateway.tenancy.tenants = vec![tenant];
    gateway.providers[1].terms.budget = cap;
    gateway
}

struct World {
    memory: Rc<Memory>,
    now: Rc<Cell<Millis>>,
    told: Told,
    service: Rc<Service>,
}

/// 100 tokens of input, by estimate.
fn body(model: &str, fields: &str) -> String {
    let text = "abcd".repeat(100);
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"{text}"}}]{fields}}}"#)
}

impl World {
    fn new(gateway: Gateway) -> Self {
        let (memory, now, told) = (Rc::default(), Rc::new(Cell::new(1_000_000)), Told::default());
        let world = Simulated {
            memory: Rc::clone(&memory),
            now: Rc::clone(&now),
            series: Rc::clone(&told),
            ..Simulated::default()
        };
        let service = Rc::new(Service::new(Rc::new(gateway), Box::new(world)));
        Self { memory, now, told, service }
    }

    fn open(&self, model: &str, fields: &str) -> Result<Exchange, Refusal> {
        open(&self.service, Operation::Chat, &Headers::default(), &body(model, fields))
    }

    fn account(&self, key: &str) -> Account {
        let found = crate::store::Store::read(&*self.memory, key);
        found.and_then(|(value, _)| Some(Account::decode(&value)?.0)).unwrap_or_default()
    }

    fn tenant(&self) -> Account {
        self.account("account/tenant/t")
    }

    fn told(&self, start: &str) -> usize {
        self.told.borrow().iter().filter(|(name, _)| name.starts_with(start)).count()
    }
}

fn limits(requests: u64, tokens: u64, concurrent: u32) -> Terms {
    let rates = |limit| Rates { day: Some(limit), ..Rates::default() };
    let limits =
        Limits { requests: rates(requests), tokens: rates(tokens), concurrent: Some(concurrent) };
    Terms { limits, ..Terms::default() }
}

fn budget(nano: u64, on_exhausted: Exhausted) -> Budget {
    Budget { day: Some(NanoUsd(nano)), on_exhausted, ..Budget::default() }
}

fn money(nano: u64, on_exhausted: Exhausted) -> Terms {
    Terms { budget: Some(budget(nano, on_exhausted)), ..Terms::default() }
}

fn left(headers: &[(&'static str, String)], name: &str) -> Option<String> {
    headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
}

fn answer(exchange: &mut Exchange, input: u64, output: u64) {
    let (at, _) = exchange.begin(0).unwrap();
    exchange.told(Some(Usage { uncached_input: input, output, ..Usage::default() }), 0);
    exchange.answered(at, 1);
}

#[test]
fn what_was_reserved_is_corrected_by_what_was_used() {
    let world = World::new(gateway(limits(10, 2_000, 5), None));
    let mut exchange = world.open("m", r#","max_tokens":900"#).unwrap();
    assert_eq!(world.tenant().in_flight(), 1);
    let told = exchange.signature(&[]);
    assert_eq!(left(&told, "x-ratelimit-remaining-tokens").unwrap(), "1000");
    assert_eq!(left(&told, "x-ratelimit-remaining-requests").unwrap(), "9");
    answer(&mut exchange, 120, 80);
    exchange.close();
    exchange.close();
    drop(exchange);
    assert_eq!(world.tenant().in_flight(), 0);
    let told = world.open("m", r#","max_tokens":1"#).unwrap().signature(&[]);
    assert_eq!(left(&told, "x-ratelimit-remaining-tokens").unwrap(), "1699");
    assert_eq!(left(&told, "x-ratelimit-remaining-requests").unwrap(), "8");
}

#[test]
fn each_of_several_choices_is_reserved() {
    let mut terms = limits(10, 20_000, 5);
    terms.budget = Some(budget(1_000_000_000, Exhausted::Reject));
    let world = World::new(gateway(terms, Some(budget(1_000_000_000, Exhausted::Reject))));
    let four = world.open("m", r#","max_tokens":100,"n":4"#).unwrap();
    let told = four.signature(&[]);
    assert_eq!(left(&told, "x-ratelimit-remaining-tokens").unwrap(), "19500");
    let cost = 100 * 1_000 + 4 * 100 * 10_000;
    assert_eq!(world.tenant().reserved(), cost);
    assert_eq!(world.account("account/provider/dear").reserved(), cost);
    drop(four);
    let unbounded = world.open("m", r#","n":3"#).unwrap();
    assert_eq!(world.tenant().reserved(), 100 * 1_000 + 3 * 1_000 * 10_000);
    drop(unbounded);
}

#[test]
fn an_exchange_that_is_dropped_gives_everything_back() {
    let world = World::new(gateway(limits(1, 2_000, 1), None));
    for _ in 0..3 {
        drop(world.open("m", "").unwrap());
    }
    assert_eq!(world.tenant().in_flight(), 0);
}

#[test]
fn what_nobody_can_serve_gives_everything_back_and_is_told_what_is_left() {
    let world = World::new(gateway(limits(1, 20_000, 1), None));
    for _ in 0..3 {
        let refusal = world.open("odd", r#","n":2"#).unwrap_err();
        assert_eq!(refusal.error.status, 400);
        assert_eq!(left(&refusal.limits, "x-ratelimit-limit-requests").unwrap(), "1");
    }
    assert!(world.open("m", "").is_ok());
}

#[test]
fn a_refusal_says_which_limit_it_was() {
    let world = World::new(gateway(limits(1, 20_000, 5), None));
    let _first = world.open("m", "").unwrap();
    let refusal = world.open("m", "").unwrap_err();
    assert_eq!((refusal.error.status, refusal.limit), (429, Some("requests_per_day")));
    assert_eq!((&*refusal.rule, refusal.error.class), ("all", Class::RateLimit));
    assert_eq!(left(&refusal.limits, "x-ratelimit-remaining-requests").unwrap(), "0");
    assert_eq!(world.told("waypost_limited;tenant=t;kind=tenant;limit=requests_per_day"), 1);
}

#[test]
fn without_terms_the_store_is_not_asked() {
    let world = World::new(gateway(Terms::default(), None));
    let mut exchange = world.open("m", "").unwrap();
    answer(&mut exchange, 1, 1);
    exchange.close();
    assert!(crate::store::Store::read(&*world.memory, "account/tenant/t").is_none());
    assert!(left(&exchange.signature(&[]), "x-ratelimit-limit-requests").is_none());
}

#[test]
fn money_is_reserved_at_the_first_candidate_and_spent_at_those_that_were_asked() {
    let world = World::new(gateway(money(1_000_000_000, Exhausted::Reject), None));
    let mut exchange = world.open("m", r#","max_tokens":100"#).unwrap();
    // A thousand nano-dollars a token in, ten thousand a token out.
    assert_eq!(world.tenant().reserved(), 100 * 1_000 + 100 * 10_000);
    let (at, candidate) = exchange.begin(0).unwrap();
    exchange.sent();
    let down = Error::new(Class::Timeout, "no answer within 1s");
    exchange.failed(at, None, &down, 1);
    assert!(exchange.move_on(candidate, &down).is_some());
    answer(&mut exchange, 50, 5);
    exchange.close();
    let account = world.tenant();
    assert_eq!((account.reserved(), account.in_flight()), (0, 0));
    let spent: u64 =
        exchange.attempts.tried().iter().filter_map(|at| at.spent?.cost).map(|it| it.0).sum();
    assert_eq!(account.day.money, spent);
}

#[test]
fn a_used_up_budget_leaves_what_is_cheaper() {
    let downgrade = Exhausted::Downgrade { stop_at: 150 };
    let world = World::new(gateway(money(2_000_000, downgrade), None));
    let ask = || world.open("m", r#","max_tokens":100"#);
    let mut first = ask().unwrap();
    assert_eq!(&*first.next().unwrap().endpoint.cluster, "dear");
    answer(&mut first, 100, 100);
    first.close();
    let second = ask().unwrap();
    assert_eq!(&*second.next().unwrap().endpoint.cluster, "cheap");
    let skipped: Vec<_> = second.attempts.skipped().map(|skipped| skipped.why).collect();
    assert_eq!(skipped, [Why::Budget, Why::Budget]);
    let warnings = left(&second.signature(&[]), "x-waypost-warnings");
    assert_eq!(warnings.as_deref(), Some("budget: downgraded"));
    let counted = "waypost_budget_exceeded;tenant=t;kind=tenant;limit=usd_per_day;outcome=";
    assert_eq!(world.told(&[counted, "downgraded"].concat()), 1);
    // Nobody is known to be cheaper than one without a price: it is not charged, so it passes.
    assert!(world.open("free", "").is_ok());
    let mut held = vec![first, second];
    let refusal = loop {
        match ask() {
            Ok(exchange) => held.push(exchange),
            Err(refusal) => break refusal,
        }
        assert!(held.len() < 100);
    };
    assert_eq!((refusal.error.status, refusal.limit), (402, Some("usd_per_day")));
    assert_eq!(refusal.error.code.as_deref(), Some("budget_exceeded"));
    assert!(world.tenant().reserved() + world.tenant().day.money <= 3_000_000);
    assert_eq!(world.told(&[counted, "refused"].concat()), 1);
    assert_eq!(
        world.told("waypost_alerts;name=t;kind=tenant;limit=usd_per_day;alert=exhausted"),
        1
    );
}

#[test]
fn a_provider_whose_budget_is_used_up_is_passed_over() {
    let cap = budget(1_500_000, Exhausted::Reject);
    let world = World::new(gateway(Terms::default(), Some(cap)));
    let mut first = world.open("m", r#","max_tokens":100"#).unwrap();
    assert_eq!(world.account("account/provider/dear").reserved(), 1_100_000);
    let second = world.open("m", r#","max_tokens":100"#).unwrap();
    assert_eq!(&*second.next().unwrap().endpoint.cluster, "free");
    let skipped: Vec<_> = second.attempts.skipped().map(|skipped| skipped.why).collect();
    assert_eq!(skipped, [Why::Budget]);
    drop(second);
    answer(&mut first, 10, 1);
    first.close();
    let account = world.account("account/provider/dear");
    assert_eq!((account.reserved(), account.day.money), (0, 20_000));
    assert_eq!(world.account("account/provider/free"), Account::default());
}

#[test]
fn an_attempt_that_fails_gives_back_what_it_held_of_a_cap() {
    let cap = budget(1_500_000, Exhausted::Reject);
    let world = World::new(gateway(Terms::default(), Some(cap)));
    let mut exchange = world.open("m", r#","max_tokens":100"#).unwrap();
    let (at, _) = exchange.begin(0).unwrap();
    exchange.failed(at, Some(503), &Error::new(Class::Server, "down"), 1);
    exchange.close();
    let account = world.account("account/provider/dear");
    assert_eq!((account.reserved(), account.day.money), (0, 0));
    world.now.set(world.now.get() + 1);
}

#[test]
fn everybody_with_terms_is_charged() {
    let one = limits(100, 1_000_000, 100);
    let mut gateway = gateway(one.clone(), None);
    let shared = |name: &str| Shared { name: name.into(), terms: one.clone() };
    gateway.tenancy.teams = vec![shared("other"), shared("team")];
    gateway.tenancy.tiers = vec![shared("gold")];
    let tenant = &mut gateway.tenancy.tenants[0];
    tenant.each_user = one.clone();
    let pattern = |text: &str| Pattern::new(text);
    tenant.models = vec![(pattern("m"), one.clone()), (pattern("x*"), one.clone())];
    let accounts = Accounts::new(&gateway);
    let caller = Caller {
        team: Some("team".into()),
        tier: Some("silver".into()),
        ..Caller::anonymous(&"t".into(), 0)
    };
    let names = |user: Option<&str>, model: &str| -> Vec<String> {
        let caller = Caller { user: user.map(Into::into), ..caller.clone() };
        let subjects = accounts.of(&caller, model);
        subjects.iter().map(|of| format!("{} {}", of.kind.word(), of.name)).collect()
    };
    assert_eq!(names(None, "y"), ["tenant t", "team team"]);
    assert_eq!(
        names(Some("ann"), "openai/m"),
        ["tenant t", "team team", "user t\0ann", "model t\0m"]
    );
    let known = Caller { user: Some("ben".into()), tier: Some("gold".into()), ..caller.clone() };
    let subjects = accounts.of(&known, "xm");
    let names: Vec<_> = subjects.iter().map(|of| &*of.name).collect();
    assert_eq!(names, ["t", "team", "gold", "t\0ben", "t\0x*"]);
}

#[test]
fn what_an_account_was_not_told_is_counted_on_the_tick() {
    let world = World::new(gateway(Terms::default(), None));
    let terms = Rc::new(money(1_000, Exhausted::Reject));
    let set = users::key("t\0u0");
    let names = (0..).map(|at| format!("u{at}"));
    let of_set = names.filter(|name| users::key(&format!("t\0{name}")) == set);
    let users: Vec<_> = of_set
        .take(usize::from(users::WAYS) + 1)
        .filter_map(|name| Subject::within(Kind::User, "t", &name, &terms))
        .collect();
    let (ledger, store) = (&world.service.ledger, world.service.store());
    let charge = Charge { requests: 1, tokens: 0, cost: NanoUsd(1) };
    let reserve =
        |user| ledger.reserve(std::slice::from_ref(user), charge, store, world.now.get()).unwrap();
    let holds: Vec<Hold> = users.iter().map(reserve).collect();
    let tick = || {
        world.service.books().tick(world.now.get());
        let missed = |outcome| world.told(&["waypost_accounts_missed;outcome=", outcome].concat());
        [missed("unreserved"), missed("evicted"), missed("lost")]
    };
    assert_eq!(tick(), [1, 0, 0]);
    for hold in holds {
        world.service.books().settle(hold, charge);
    }
    assert_eq!(tick(), [1, 1, 0]);
    assert_eq!(tick(), [1, 1, 0]);
}

#[test]
fn strangers_of_a_tier_with_limits_of_its_own_do_not_empty_the_buckets_of_the_others() {
    let limits = |field: &str, limit: u64| json!({"limits": {field: limit}});
    let config = Config::read(&json!({
        "role": "gateway",
        "identity": [{"headers": {"tenant": "x-tenant", "tier": "x-tier", "user": "x-user"}}],
        "others": "shared",
        "tenants": {"shared": {
            "limits": {"requests_per_day": 1}, "each_user": limits("requests_per_day", 9), "models": {"*": limits("requests_per_day", 9)},
        }},
        "tiers": {
            "gold": {"each_tenant": limits("requests_per_second", 50)},
            "plain": {"each_tenant": {"may": {"operations": ["chat"]}}},
        },
        "providers": {"p": {"api": "openai", "endpoints": [{"cluster": "p"}], "models": {"m": {}}}},
    }));
    let Ok(Config::Gateway(gateway)) = config else { panic!("{config:?}") };
    let world = World::new(*gateway);
    let tenancy = &world.service.gateway.tenancy;
    let ask = |tier: &'static str| {
        let shown = Shows(vec![("x-tenant", "new"), ("x-tier", tier), ("x-user", "ann")]);
        let caller = tenancy.identify(&shown, 0).unwrap();
        let subjects = world.service.accounts.of(&caller, "m");
        world.service.ledger.reserve(
            &subjects,
            Charge { requests: 1, ..Charge::default() },
            world.service.store(),
            world.now.get(),
        )
    };
    for tier in ["silver", "gold", "gold"] {
        assert!(ask(tier).is_ok(), "{tier}");
    }
    // Who is not gold has no more for it, whether or not of a tier that says nothing of limits.
    for tier in ["silver", "plain"] {
        assert_eq!(ask(tier).unwrap_err().limit, 1, "{tier}");
    }
    let find = |kind, name: &str| {
        let found = world.service.accounts.find(tenancy, kind, name)?;
        Some((found.name.to_string(), found.terms.limits.requests.day))
    };
    for (kind, own) in [(Kind::Tenant, ""), (Kind::User, "\0ann"), (Kind::Model, "\0*")] {
        for account in ["shared", "shared+gold"] {
            let name = [account, own].concat();
            assert_eq!(find(kind, &name).unwrap().0, name);
        }
        assert_eq!(find(kind, &["shared+plain", own].concat()), None);
    }
    assert_eq!(find(Kind::Tenant, "shared").unwrap().1, Some(1));
    assert_eq!(find(Kind::Tenant, "shared+gold").unwrap().1, None);
}

#[test]
fn a_wish_does_not_lead_around_what_a_tenant_may_use_of_a_model() {
    let one = |field: &str, limit: u64| json!({"limits": {field: limit}});
    let price = json!({"price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}});
    let config = Config::read(&json!({
        "role": "gateway", "anonymous": "t", "clients_may": ["rule", "target", "models"],
        "tenants": {"t": {"models": {"o3*": one("requests_per_day", 1), "small": one("requests_per_day", 100)}}},
        "providers": {"p": {"api": "openai", "endpoints": [{"cluster": "p"}], "models": {
            "o3": price, "small": {"price": price["price"], "context_window": 20},
        }}},
        "rules": [{"name": "thinks", "when": {"model": "best"}, "targets": ["p/o3"]}],
    }));
    let Ok(Config::Gateway(gateway)) = config else { panic!("{config:?}") };
    let world = World::new(*gateway);
    let ask = |header: Option<(&'static str, &'static str)>, model: &str, fields: &str| {
        let headers: Headers<'_> = header.into_iter().collect();
        let asked = open(&world.service, Operation::Chat, &headers, &body(model, fields));
        asked
            .map(|exchange| exchange.next().unwrap().model.name.clone())
            .map_err(|no| (no.error.status, no.limit))
    };
    let target = Some(("x-waypost-target", "p/o3"));
    // Held by somebody else.
    let _held = world.open("o3", "").unwrap();
    let over = Err((429, Some("requests_per_day")));
    assert_eq!(ask(None, "o3", ""), over);
    assert_eq!(ask(target, "small", ""), over);
    assert_eq!(ask(Some(("x-waypost-rule", "thinks")), "small", ""), over);
    // The request is too long for the first of these.
    assert_eq!(ask(None, "small", r#","models":["o3"]"#), over);
    // A rule that the model itself leads to has the name of that model.
    assert_eq!(ask(None, "best", ""), Ok("o3".to_owned()));
}

/// A request that shows these headers.
struct Shows(Vec<(&'static str, &'static str)>);

impl Shown for Shows {
    fn header(&self, name: &str) -> Header<'_> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map_or(Header::Absent, |(_, value)| Header::One(value))
    }

    fn property(&self, _: &str) -> Option<Vec<u8>> {
        None
    }
}
