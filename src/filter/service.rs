//! A configuration, and what this worker knows of its providers.
//!
//! An exchange keeps the service it came under: places of a fleet mean nothing in that of another
//! configuration.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::{Rc, Weak};

use super::accounts::Accounts;
use super::books::{self, Books};
use super::world::World;
use crate::config::Gateway;
use crate::health::{Event, Fleet, Pass, Refused, Slot, Standing, Traffic, Transition};
use crate::openai::{Class, Error};
use crate::routing::decision::BY_MODEL;
use crate::routing::{Candidate, Moment, Plan, Question, Skipped};
use crate::store::{Millis, Store};
use crate::telemetry::metrics::{self, Meter};
use crate::tenancy::Ledger;

/// A configuration, and what this worker knows of its providers.
pub struct Service {
    /// What users wrote.
    pub gateway: Rc<Gateway>,
    pub(super) world: Box<dyn World>,
    /// Who has an account.
    pub(super) accounts: Accounts,
    /// What they may use, and have used.
    pub(super) ledger: Ledger,
    /// Names of series, and what they may be.
    pub(super) meter: RefCell<Meter>,
    fleet: RefCell<Fleet>,
    traffic: RefCell<Traffic>,
    /// How many turns each provider has had: see [`Moment::turn`].
    turns: RefCell<HashMap<usize, u64>>,
    /// Whether a request came. Envoy also runs the module in its main thread, with a tick and
    /// without requests: that one has nothing to tell and must not seem to be a worker.
    used: Cell<bool>,
    /// Gauges as this worker set them last, in the order in which [`Self::show`] comes by.
    gauges: RefCell<Vec<u64>>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
}

impl Service {
    /// Nothing is known of the providers yet.
    #[must_use]
    pub fn new(gateway: Rc<Gateway>, world: Box<dyn World>) -> Self {
        GATEWAYS.with_borrow_mut(|all| {
            all.retain(|known| known.strong_count() > 0);
            all.push(Rc::downgrade(&gateway));
        });
        let watched = gateway.fleet();
        let rules = gateway.rules.iter().map(|rule| &*rule.name).chain([BY_MODEL]);
        let traffic = Traffic::new(rules.map(str::to_owned).collect(), &watched);
        let meter = RefCell::new(Meter::new(&gateway, BY_MODEL));
        Self {
            accounts: Accounts::new(&gateway),
            ledger: books::ledger(&gateway),
            gateway,
            world,
            meter,
            fleet: RefCell::new(Fleet::new(watched)),
            traffic: RefCell::new(traffic),
            turns: RefCell::default(),
            used: Cell::new(false),
            gauges: RefCell::default(),
        }
    }

    /// What all workers share.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.world
    }

    /// The accounts, for who charges them.
    pub(super) fn books(&self) -> Books<'_> {
        Books {
            gateway: &self.gateway,
            accounts: &self.accounts,
            ledger: &self.ledger,
            meter: &self.meter,
            world: &*self.world,
        }
    }

    /// The fleet and the traffic, for who shows them.
    pub fn seen<T>(&self, see: impl FnOnce(&Fleet, &Traffic, Millis) -> T) -> T {
        see(&self.fleet.borrow(), &self.traffic.borrow(), self.world.now())
    }

    /// Orders the candidates by how they do now.
    ///
    /// # Errors
    /// As [`Plan::order`].
    pub fn order(&self, plan: &mut Plan, question: &Question<'_>) -> Result<(), Error> {
        self.used.set(true);
        let now = self.world.now();
        let mut fleet = self.fleet.borrow_mut();
        fleet.refresh(&*self.world, now);
        let fleet = &*fleet;
        let turn = |provider: usize| {
            let mut turns = self.turns.borrow_mut();
            // Workers must not go round in step.
            let turn = turns.entry(provider).or_insert_with(|| self.world.random() >> 1);
            *turn += 1;
            *turn - 1
        };
        let standing = |slot: Slot| fleet.standing(slot, now);
        let random = self.world.random();
        plan.order(
            &self.gateway,
            question,
            &Moment { now, random, standing: &standing, turn: &turn },
        )
    }

    /// How a candidate stands, by what this worker knows.
    #[must_use]
    pub fn standing(&self, slot: Slot) -> Standing {
        self.fleet.borrow().standing(slot, self.world.now())
    }

    /// Takes a place for an attempt. `insist` when nobody is left whose breaker is closed.
    ///
    /// # Errors
    /// Why there is none.
    pub fn admit(self: &Rc<Self>, slot: Slot, insist: bool) -> Result<Place, Refused> {
        // Probes come this way only, and there may be no other requests.
        self.used.set(true);
        let now = self.world.now();
        let mut fleet = self.fleet.borrow_mut();
        let pass = match insist {
            true => fleet.insist(slot, &*self.world, now),
            false => fleet.admit(slot, &*self.world, now),
        }?;
        Ok(Place { service: Rc::clone(self), pass: Some(pass) })
    }

    fn settle(&self, pass: Pass, event: Event) {
        let (now, random) = (self.world.now(), self.world.random());
        let told = self.fleet.borrow_mut().settle(pass, event, &*self.world, now, random);
        told.iter().for_each(|told| self.tell(told));
    }

    /// A stream's first content came after so many milliseconds.
    pub fn first_token(&self, slot: Slot, millis: u32) {
        self.fleet.borrow_mut().first_token(slot, millis);
    }

    /// Envoy's own pool overflowed.
    pub fn overflowed(&self, slot: Slot) {
        self.fleet.borrow_mut().overflowed(slot, &*self.world, self.world.now());
    }

    /// An attempt begins that the rule at `rule` led to `slot`; without a rule by the model's name.
    pub fn led(&self, rule: Option<usize>, slot: Slot) {
        let rule = rule.unwrap_or(self.gateway.rules.len());
        self.traffic.borrow_mut().count(rule, slot);
    }

    /// An attempt failed, and another comes after it.
    pub fn failed_over(&self, from: Candidate, to: Candidate, reason: Class) {
        if let (Some(from), Some(to)) = (from.resolve(&self.gateway), to.resolve(&self.gateway)) {
            self.world.count(&metrics::failover(&from, &to, reason));
        }
    }

    /// What became of the copy of a request.
    pub fn mirrored(&self, to: Candidate, outcome: &str) {
        if let Some(found) = to.resolve(&self.gateway) {
            self.world.count(&metrics::mirror(&found, outcome));
        }
    }

    /// A candidate was not asked, or not in its turn.
    pub fn passed_over(&self, skipped: &Skipped) {
        if let Some(found) = skipped.candidate.resolve(&self.gateway) {
            self.world.count(&metrics::skipped(&found, skipped.why));
        }
    }

    /// Twice a second: writes what is pending, reads what others wrote, sets the gauges.
    pub fn tick(&self) {
        if books::are_left() {
            self.used.set(true);
        }
        if !self.used.get() {
            return;
        }
        let now = self.world.now();
        let told = self.fleet.borrow_mut().flush(&*self.world, now);
        told.iter().for_each(|told| self.tell(told));
        self.traffic.borrow_mut().flush(&*self.world, now);
        self.fleet.borrow_mut().refresh(&*self.world, now);
        self.show(now);
        self.books().tick(now);
    }

    /// Sets the gauges that are not what this worker set last. All workers set them to what all
    /// share, so that it does not matter who is last.
    fn show(&self, now: Millis) {
        /// What no gauge is set to.
        const UNSET: u64 = u64::MAX;
        let fleet = self.fleet.borrow();
        let mut gauges = self.gauges.borrow_mut();
        let mut place = 0;
        let mut gauge = |value: u64, name: &dyn Fn() -> String| {
            if gauges.len() <= place {
                gauges.push(UNSET);
            }
            if let Some(known) = gauges.get_mut(place).filter(|known| **known != value) {
                *known = value;
                self.world.gauge(&name(), value);
            }
            place += 1;
        };
        let mut slot = Slot::default();
        for endpoint in fleet.watched() {
            let in_flight = fleet.standing(slot, now).in_flight;
            gauge(in_flight.into(), &|| metrics::in_flight(endpoint));
            for model in &endpoint.models {
                let state = metrics::state(fleet.standing(slot, now).gate);
                gauge(state, &|| metrics::breaker_state(endpoint, model));
                slot.target = slot.target.saturating_add(1);
            }
            slot.endpoint = slot.endpoint.saturating_add(1);
        }
    }

    /// A breaker changed, by what this worker did.
    fn tell(&self, told: &Transition) {
        let fleet = self.fleet.borrow();
        let Some(endpoint) = fleet.watched().get(usize::from(told.slot.endpoint)) else { return };
        let before = fleet.watched().iter().take(usize::from(told.slot.endpoint));
        let first = before.map(|endpoint| endpoint.models.len()).sum::<usize>();
        let first = Slot { target: first.try_into().unwrap_or(u16::MAX), ..told.slot };
        self.world.count(&metrics::transition(told, endpoint, first));
        drop(fleet);
        self.show(self.world.now());
    }
}

thread_local! {
    /// The configurations of this worker.
    static GATEWAYS: RefCell<Vec<Weak<Gateway>>> = const { RefCell::new(Vec::new()) };
}

/// Gauges of a configuration, in order: those that are always there, and those of which there may be too many.
fn gauges(gateway: &Gateway) -> [Vec<String>; 2] {
    let mut always = Vec::new();
    for endpoint in gateway.fleet() {
        always.push(metrics::in_flight(&endpoint));
        always.extend(endpoint.models.iter().map(|model| metrics::breaker_state(&endpoint, model)));
    }
    let mut some = Meter::tenants(gateway);
    some.append(&mut Accounts::new(gateway).gauges());
    let mut all = [always, some];
    all.iter_mut().for_each(|names| names.sort_unstable());
    all
}

/// What only this configuration showed is over: a breaker that stays open, or a budget that stays used
/// up, would be told of for as long as Envoy lives.
impl Drop for Service {
    fn drop(&mut self) {
        self.books().close();
        if !self.used.get() {
            return;
        }
        let mut over = gauges(&self.gateway);
        // Nobody is left when the thread itself ends.
        let others = GATEWAYS
            .try_with(|all| all.borrow().iter().filter_map(Weak::upgrade).collect::<Vec<_>>())
            .unwrap_or_default();
        for other in others.iter().filter(|other| !Rc::ptr_eq(other, &self.gateway)) {
            for (names, shown) in over.iter_mut().zip(gauges(other)) {
                names.retain(|name| shown.binary_search(name).is_err());
            }
        }
        let [always, some] = over;
        always.iter().for_each(|name| self.world.gauge(name, 0));
        some.iter().for_each(|name| Meter::retire(name, &*self.world));
    }
}

/// A place that an attempt holds at an endpoint. However its holder ends, it is given back once:
/// with what became of the attempt, or as one of which nothing is known when it is dropped.
#[derive(Debug)]
#[must_use = "a place that is dropped is given back"]
pub struct Place {
    service: Rc<Service>,
    pass: Option<Pass>,
}

impl Place {
    /// Where it is.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        self.pass.as_ref().map(|pass| pass.slot)
    }

    /// Gives it back with what became of the attempt.
    pub fn settle(mut self, event: Event) {
        if let Some(pass) = self.pass.take() {
            self.service.settle(pass, event);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.service.settle(pass, Event::Abandoned);
        }
    }
}

#[cfg(test)]
mod gauges_of_the_past {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::tests::{Simulated, open};
    use super::*;
    use crate::config::Config;
    use crate::config::rule::Operation;
    use crate::providers::Headers;
    use crate::store::memory::Memory;

    fn worker(memory: &Rc<Memory>, tenants: &Value, cluster: &str) -> (Rc<Service>, tests::Told) {
        let config = Config::read(&json!({
            "role": "gateway", "tenants": tenants, "anonymous": "search",
            "providers": {"openai": {"api": "openai", "endpoints": [{"cluster": cluster}], "models": {"gpt-4o": {}}}},
        }));
        let Ok(Config::Gateway(gateway)) = config else { panic!("{config:?}") };
        let world = Simulated { memory: Rc::clone(memory), ..Simulated::default() };
        // Both worlds have one log: names of series are its own gauges here.
        let told = Rc::clone(&world.metrics);
        let service = Service::new(
            Rc::from(gateway),
            Box::new(Simulated { series: Rc::clone(&told), ..world }),
        );
        (Rc::new(service), told)
    }

    fn asked(service: &Rc<Service>, told: &tests::Told) -> BTreeMap<String, u64> {
        let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]}"#;
        let caller = crate::tenancy::Caller::anonymous(&"search".into(), 0);
        let mut exchange = open(service, Operation::Chat, &Headers::default(), body).unwrap();
        exchange.origin.caller = Rc::new(caller);
        service.count_request(&exchange, 1);
        drop(exchange);
        service.tick();
        news(told)
    }

    fn news(told: &tests::Told) -> BTreeMap<String, u64> {
        let told = std::mem::take(&mut *told.borrow_mut());
        told.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    const INFO: &str = "waypost_tenant_info;tenant=search;team=";
    const LIMIT: &str = "waypost_budget_limit_nano_usd;name=search;kind=tenant;limit=usd_per_";
    const SPENT: &str = "waypost_budget_spent_nano_usd;name=search;kind=tenant;limit=usd_per_";

    #[test]
    fn what_only_an_old_configuration_showed_is_set_to_nothing_when_it_goes() {
        let memory = Rc::default();
        let budget = json!({"usd_per_day": 1, "usd_per_month": 2});
        let before = json!({"search": {"team": "old", "budget": budget}});
        let (old, told) = worker(&memory, &before, "eu");
        let shown = asked(&old, &told);
        assert_eq!(shown.get(&format!("{LIMIT}day")), Some(&1_000_000_000), "{shown:#?}");
        assert_eq!(shown.get(&format!("{INFO}old")), Some(&1), "{shown:#?}");
        let after = json!({"search": {"team": "new", "budget": {"usd_per_month": 2}}});
        let (new, of_new) = worker(&memory, &after, "us");
        assert_eq!(asked(&new, &of_new).get(&format!("{INFO}new")), Some(&1));
        drop(old);
        let over = [
            &format!("{LIMIT}day"),
            &format!("{SPENT}day"),
            "waypost_breaker_state;provider=openai;cluster=eu;model=gpt-4o",
            "waypost_in_flight;provider=openai;cluster=eu",
            &format!("{INFO}old"),
        ];
        let over = over.into_iter().map(|name| (name.to_owned(), 0));
        assert_eq!(news(&told), over.collect());
        // A worker that no request came to has shown nothing.
        let (unused, told) = worker(&memory, &before, "eu");
        drop(unused);
        assert_eq!(news(&told), BTreeMap::new());
        // What was never a series does not become one.
        let (third, told) = worker(&Rc::default(), &before, "eu");
        third.used.set(true);
        drop(third);
        assert!(news(&told).keys().all(|name| name.contains(";cluster=eu")));
    }
}

#[cfg(test)]
pub mod tests {
    //! A world for tests.

    use super::*;
    use crate::config::rule::{Expression, Operation};
    use crate::filter::exchange::{Exchange, Origin};
    use crate::filter::intake::{self, Incoming};
    use crate::filter::refusal::Refusal;
    use crate::providers::Headers;
    use crate::store::memory::Memory;
    use crate::telemetry::metrics::{Kind, Sink};
    use crate::tenancy::Caller;

    /// Counters (without a value) and gauges, in the order of their changes.
    pub type Told = Rc<RefCell<Vec<(String, Option<u64>)>>>;

    /// One whose clock and chance are set by hand.
    #[derive(Default)]
    pub struct Simulated {
        /// What workers share.
        pub memory: Rc<Memory>,
        /// The time.
        pub now: Rc<Cell<Millis>>,
        /// Chance.
        pub random: Rc<Cell<u64>>,
        /// What it was told.
        pub metrics: Told,
        /// What series were told, in the order of their changes.
        pub series: Told,
        /// Whether another worker is always quicker.
        pub jammed: Rc<Cell<bool>>,
        /// Names of series, by their ids.
        pub names: RefCell<Vec<String>>,
    }

    impl Store for Simulated {
        fn read(&self, key: &str) -> Option<(Vec<u8>, u32)> {
            self.memory.read(key)
        }

        fn write(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
            !self.jammed.get() && self.memory.write(key, value, version)
        }
    }

    impl Sink for Simulated {
        fn define(&self, _: Kind, name: &str) -> Option<u32> {
            let mut names = self.names.borrow_mut();
            let at = names.iter().position(|known| known == name).unwrap_or_else(|| {
                names.push(name.to_owned());
                names.len() - 1
            });
            Some(at as u32)
        }

        fn increase(&self, id: u32, by: u64) {
            self.record(id, by);
        }

        fn record(&self, id: u32, value: u64) {
            let name = self.names.borrow()[id as usize].clone();
            self.series.borrow_mut().push((name, Some(value)));
        }
    }

    impl World for Simulated {
        fn now(&self) -> Millis {
            self.now.get()
        }

        fn random(&self) -> u64 {
            self.random.get()
        }

        fn count(&self, metric: &str) {
            self.metrics.borrow_mut().push((metric.to_owned(), None));
        }

        fn add(&self, metric: &str, by: u64) {
            self.metrics.borrow_mut().push((metric.to_owned(), Some(by)));
        }

        fn observe(&self, metric: &str, value: u64) {
            self.metrics.borrow_mut().push((metric.to_owned(), Some(value)));
        }

        fn gauge(&self, metric: &str, value: u64) {
            self.metrics.borrow_mut().push((metric.to_owned(), Some(value)));
        }
    }

    /// An anonymous client.
    pub fn origin() -> Origin {
        let caller = Rc::new(Caller::anonymous(&"".into(), 0));
        Origin { request_id: "id".to_owned(), caller, created: 7, arrived: 0 }
    }

    /// Opens a request under a service, as one that brings no expressions along.
    ///
    /// # Errors
    /// As [`intake::open`](crate::filter::intake::open).
    pub fn open(
        service: &Rc<Service>,
        operation: Operation,
        headers: &Headers<'_>,
        body: &str,
    ) -> Result<Exchange, Refusal> {
        let (body, origin) = (body.as_bytes().to_vec(), origin());
        let cel: &dyn Fn(&Expression) -> bool = &|_| false;
        intake::open(service, Incoming { operation, headers, body, origin, cel })
    }

    /// A service in a world of its own.
    #[must_use]
    pub fn alone(gateway: Rc<Gateway>) -> Rc<Service> {
        Rc::new(Service::new(gateway, Box::new(Simulated::default())))
    }
}
