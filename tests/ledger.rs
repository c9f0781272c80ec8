//! Accounts under many workers at once. Each worker is a thread, and before each access to the store
//! chance says whose turn it is: so reads and writes of all interleave in any order, the same one for
//! the same seed. Writes are refused at random besides, workers die with what they hold, clocks step,
//! configurations are reloaded.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "what is unwrapped is made here")]

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Condvar, Mutex, MutexGuard};

use waypost::providers::catalogue::NanoUsd;
use waypost::store::{Millis, Store};
use waypost::tenancy::settings::{Budget, Limits, Rates, Terms};
use waypost::tenancy::{Alert, Charge, Hold, Kind, LEASE, Ledger, News, Subject, What, Zone};

/// 2026-11-21 00:00 UTC.
const T0: Millis = 1_795_219_200_000;
const WORKERS: usize = 4;

const CONCURRENT: u32 = 5;
const PER_SECOND: u64 = 3;
const TOKENS_A_MINUTE: u64 = 40_000;
const AMOUNT: u64 = 3_600_000;

/// What happens in a run.
#[derive(Clone, Copy, Default)]
struct Weather {
    /// Of a thousand writes so many are refused though nobody was quicker.
    refused: u64,
    /// Of a thousand steps of a worker it dies in so many.
    deaths: u64,
    /// Its configuration is reloaded in so many, with another lease.
    reloads: u64,
    /// The clock is set back or ahead in so many, by up to two hours.
    jumps: u64,
}

/// What everybody knows.
#[derive(Default)]
struct World {
    weather: Weather,
    values: BTreeMap<String, (Vec<u8>, u32)>,
    versions: u32,
    now: Millis,
    random: u64,
    alive: BTreeSet<usize>,
    turn: usize,
    conflicts: u64,
    /// Requests that are under way and held by somebody who lives.
    under_way: u32,
    most_under_way: u32,
    /// Money settled, by the name of the subject.
    settled: BTreeMap<String, u64>,
    /// By how much requests cost more, and had more tokens, than was reserved for them.
    over: Charge,
    tokens: u64,
    /// Between which times a request was admitted.
    admitted: Vec<(Millis, Millis)>,
    refusals: BTreeMap<String, u64>,
    /// How often it was told that so many per cent of the tenant's budget are spent.
    told: BTreeMap<u16, u64>,
    unreserved: u64,
    lost: u64,
}

impl World {
    /// splitmix64.
    fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    fn chance(&mut self, of_thousand: u64) -> bool {
        self.random(1_000) < of_thousand
    }
}

struct Stage {
    world: Mutex<World>,
    turned: Condvar,
}

impl Stage {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Gives the turn to anybody, and waits until it comes back.
    fn turn(&self, me: usize) {
        let mut world = self.world();
        self.pass(&mut world);
        while world.turn != me {
            world = self.turned.wait(world).unwrap();
        }
    }

    fn pass(&self, world: &mut World) {
        if world.alive.is_empty() {
            return;
        }
        let at = world.random(world.alive.len() as u64) as usize;
        world.turn = *world.alive.iter().nth(at).unwrap();
        self.turned.notify_all();
    }

    fn leave(&self, me: usize) {
        let mut world = self.world();
        world.alive.remove(&me);
        self.pass(&mut world);
    }
}

/// The store as one worker sees it.
struct View<'a> {
    stage: &'a Stage,
    me: usize,
}

impl Store for View<'_> {
    fn read(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.stage.turn(self.me);
        self.stage.world().values.get(key).cloned()
    }

    fn write(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        self.stage.turn(self.me);
        let mut world = self.stage.world();
        let known = world.values.get(key).map(|(_, version)| *version);
        if known.is_some() && version.is_some() && known != version {
            world.conflicts += 1;
            return false;
        }
        let refused = world.weather.refused;
        if world.chance(refused) {
            return false;
        }
        world.versions += 1;
        let version = world.versions;
        world.values.insert(key.to_owned(), (value.to_vec(), version));
        true
    }
}

fn subjects() -> Vec<Rc<Subject>> {
    let rates = |second, minute| Rates { second, minute, day: None };
    let tenant = Limits {
        requests: rates(Some(PER_SECOND), None),
        tokens: rates(None, Some(TOKENS_A_MINUTE)),
        concurrent: Some(CONCURRENT),
    };
    let budget = Budget { day: Some(NanoUsd(AMOUNT)), ..Budget::default() };
    let of = |kind, name, limits, budget| {
        Subject::new(kind, name, &Rc::new(Terms { limits, budget })).unwrap()
    };
    let wide = Budget { month: Some(NanoUsd(u64::MAX)), ..Budget::default() };
    vec![
        of(Kind::Tenant, "a", tenant, Some(budget)),
        of(Kind::Team, "t", Limits::default(), Some(wide.clone())),
        of(Kind::User, "a\0u", Limits::default(), Some(wide)),
    ]
}

/// A worker: what it does in so many steps.
struct Worker<'a> {
    store: View<'a>,
    ledger: Ledger,
    subjects: Vec<Rc<Subject>>,
    holds: Vec<Hold>,
    long_lease: bool,
}

impl<'a> Worker<'a> {
    fn new(stage: &'a Stage, me: usize) -> Self {
        let ledger = Ledger::new(Zone::UTC, LEASE, None);
        let (store, subjects) = (View { stage, me }, subjects());
        Self { store, ledger, subjects, holds: Vec::new(), long_lease: true }
    }

    fn world(&self) -> MutexGuard<'a, World> {
        self.store.stage.world()
    }

    fn step(&mut self) {
        let (now, deed) = {
            let mut world = self.world();
            world.now += world.random(150);
            let Weather { deaths, reloads, jumps, .. } = world.weather;
            if world.chance(jumps) {
                let hours = world.random(7_200_000);
                let back = world.chance(500);
                world.now =
                    if back { world.now - hours.min(world.now - T0) } else { world.now + hours };
            }
            let deed = if world.chance(deaths) {
                Deed::Die
            } else if world.chance(reloads) {
                Deed::Reload
            } else if world.chance(550) {
                let (tokens, cost) = (world.random(2_000), world.random(60_000));
                Deed::Ask(Charge { requests: 1, tokens, cost: NanoUsd(cost) })
            } else {
                Deed::Settle(world.random(64) as usize)
            };
            (world.now, deed)
        };
        for hold in &mut self.holds {
            self.ledger.renew(hold, &self.store, now);
        }
        match deed {
            Deed::Ask(charge) => self.ask(charge, now),
            Deed::Settle(at) if !self.holds.is_empty() => {
                let hold = self.holds.swap_remove(at % self.holds.len());
                self.settle(hold, now);
            }
            Deed::Settle(_) => {}
            Deed::Die => {
                self.flush(now);
                self.world().under_way -= self.holds.len() as u32;
                self.holds.clear();
                self.renew_ledger();
            }
            // Streams of the old configuration go on under the new one here, with holds of the old.
            Deed::Reload => {
                self.flush(now);
                self.long_lease = !self.long_lease;
                self.renew_ledger();
            }
        }
    }

    fn renew_ledger(&mut self) {
        let counts = self.ledger.counts();
        let mut world = self.world();
        world.unreserved += counts.unreserved;
        world.lost += counts.lost;
        let lease = if self.long_lease { LEASE } else { LEASE / 3 };
        self.ledger = Ledger::new(Zone::UTC, lease, None);
    }

    fn ask(&mut self, charge: Charge, now: Millis) {
        let reserved = self.ledger.reserve(&self.subjects, charge, &self.store, now);
        let mut world = self.world();
        match reserved {
            Ok(hold) => {
                world.under_way += 1;
                world.most_under_way = world.most_under_way.max(world.under_way);
                let after = world.now;
                world.admitted.push((now, after));
                self.holds.push(hold);
            }
            Err(refused) => {
                let what = match refused.what {
                    What::Requests(_) => "requests",
                    What::Tokens(_) => "tokens",
                    What::Concurrent => "concurrent",
                    What::Budget(_) => "budget",
                };
                *world.refusals.entry(what.to_owned()).or_default() += 1;
            }
        }
    }

    fn settle(&mut self, hold: Hold, now: Millis) {
        let estimate = hold.charge();
        let actual = {
            let mut world = self.world();
            world.under_way -= 1;
            // Mostly less than what was reserved, at times more.
            let tokens = estimate.tokens * world.random(130) / 100;
            let cost = NanoUsd(estimate.cost.0 * world.random(130) / 100);
            world.tokens += tokens;
            world.over.tokens += tokens.saturating_sub(estimate.tokens);
            world.over.cost.0 += cost.0.saturating_sub(estimate.cost.0);
            for subject in &self.subjects {
                *world.settled.entry(subject.name.to_string()).or_default() += cost.0;
            }
            Charge { requests: 1, tokens, cost }
        };
        let alerts = self.ledger.settle(hold, actual, &self.store, now);
        self.tell(alerts);
    }

    fn flush(&self, now: Millis) {
        for _ in 0..1_000 {
            self.tell(self.ledger.flush(&self.store, now));
        }
    }

    fn tell(&self, alerts: Vec<Alert>) {
        for Alert { subject, news } in alerts {
            let News::Share { percent, .. } = news else { continue };
            assert_eq!(subject.kind, Kind::Tenant);
            *self.world().told.entry(percent).or_default() += 1;
        }
    }

    fn end(mut self) {
        let now = self.world().now;
        for hold in std::mem::take(&mut self.holds) {
            self.settle(hold, now);
        }
        self.flush(now);
        self.renew_ledger();
        self.store.stage.leave(self.store.me);
    }
}

enum Deed {
    Ask(Charge),
    Settle(usize),
    Die,
    Reload,
}

/// A run, and what is known after it. Checks what holds in any weather.
fn run(seed: u64, steps: usize, weather: Weather) -> World {
    let alive: BTreeSet<usize> = (0..WORKERS).collect();
    let world = World { weather, now: T0, random: seed << 32, alive, ..World::default() };
    let stage = Stage { world: Mutex::new(world), turned: Condvar::new() };
    std::thread::scope(|scope| {
        for me in 0..WORKERS {
            let stage = &stage;
            scope.spawn(move || {
                let mut worker = Worker::new(stage, me);
                stage.turn(me);
                (0..steps).for_each(|_| worker.step());
                worker.end();
            });
        }
    });
    // Everybody is gone: this thread has the only turn.
    stage.world().alive.insert(WORKERS);
    let (store, ledger) =
        (View { stage: &stage, me: WORKERS }, Ledger::new(Zone::UTC, LEASE, None));
    let now = stage.world().now;
    for subject in subjects() {
        let settled = stage.world().settled.get(&*subject.name).copied().unwrap_or_default();
        let account = ledger.account(&subject, &store, now);
        assert_eq!(
            account.day.money, settled,
            "{}: what was settled is what is charged",
            subject.name
        );
        assert_eq!(account.month.money, settled);
        let later = ledger.account(&subject, &store, now + LEASE * 3 / 2);
        assert_eq!((later.in_flight(), later.reserved()), (0, 0), "a reservation leaked");
        if weather.deaths + weather.reloads + weather.jumps == 0 {
            assert_eq!((account.in_flight(), account.reserved()), (0, 0), "at once");
        }
    }
    let world = stage.world.into_inner().unwrap();
    assert_eq!(world.lost, 0);
    let spent = world.settled.get("a").copied().unwrap_or_default();
    let passed = [50, 80, 100].into_iter().filter(|share| AMOUNT / 100 * share <= spent);
    let once = passed.map(|share| (share as u16, 1)).collect();
    assert_eq!(world.told, once, "each share that was passed is told once");
    world
}

impl World {
    /// No limit was exceeded by more than what the documentation says.
    fn keeps_its_limits(&self) {
        let slack = self.unreserved;
        assert!(u64::from(self.most_under_way) <= u64::from(CONCURRENT) + slack);
        // Money: by how much requests cost more than was reserved for them.
        let spent = self.settled.get("a").copied().unwrap_or_default();
        assert!(spent <= AMOUNT + self.over.cost.0 + slack * 60_000, "{spent}");
        // Tokens, since the beginning: the same.
        let elapsed = self.now - T0;
        let most = TOKENS_A_MINUTE + TOKENS_A_MINUTE * elapsed / 60_000;
        assert!(self.tokens <= most + self.over.tokens + slack * 2_000, "{}", self.tokens);
        // Requests, between any two times: those that a full bucket holds and what flows into it.
        for (at, (from, _)) in self.admitted.iter().enumerate() {
            let behind = self.admitted.get(at..).unwrap_or_default();
            let mut from = *from;
            for (count, (asked, until)) in behind.iter().enumerate() {
                // It may have asked before and been written between.
                from = from.min(*asked);
                let length = until - from;
                let most = PER_SECOND + PER_SECOND * length / 1_000 + slack;
                assert!((count as u64) < most + 1, "{} in {length} ms", count + 1);
            }
        }
    }
}

#[test]
fn workers_that_interleave_lose_nothing_and_exceed_nothing() {
    let mut refusals: BTreeMap<String, u64> = BTreeMap::new();
    let mut conflicts = 0;
    for seed in 0..12 {
        let world = run(seed, 400, Weather::default());
        assert_eq!(world.unreserved, 0);
        world.keeps_its_limits();
        conflicts += world.conflicts;
        for (what, count) in world.refusals {
            *refusals.entry(what).or_default() += count;
        }
    }
    // Each limit was met, and workers got in each other's way.
    assert_eq!(refusals.len(), 4, "{refusals:?}");
    assert!(conflicts > 500, "{conflicts}");
}

#[test]
fn writes_that_are_refused_lose_nothing_and_exceed_by_what_was_counted() {
    let mut unreserved = 0;
    for seed in 0..6 {
        let world = run(seed, 300, Weather { refused: 700, ..Weather::default() });
        world.keeps_its_limits();
        unreserved += world.unreserved;
    }
    assert!(unreserved > 0, "nothing was ever given up");
}

#[test]
fn workers_that_die_give_back_what_they_held() {
    for seed in 0..8 {
        let world = run(seed, 150, Weather { deaths: 30, refused: 50, ..Weather::default() });
        world.keeps_its_limits();
    }
}

#[test]
fn clocks_that_jump_and_reloads_lose_no_money_and_hold_no_place_for_ever() {
    for seed in 0..8 {
        let weather = Weather { refused: 50, deaths: 20, reloads: 20, jumps: 10 };
        let world = run(seed, 150, weather);
        assert!(world.now < T0 + 24 * 3_600_000, "one day");
    }
}
