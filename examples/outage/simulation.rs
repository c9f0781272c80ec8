//! Two workers, two providers, a thousand requests a second, in virtual time: each decision is made
//! by the code that runs in Envoy.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use waypost::config::Gateway;
use waypost::config::rule::Operation;
use waypost::health::{Event, Fleet, Pass, Slot, Standing};
use waypost::openai::Class;
use waypost::routing::{Moment, Question, plan};
use waypost::store::memory::Memory;

use super::scenario::{Fate, SECONDS, Scenario, steady};

/// Requests a second.
pub const RATE: u64 = 1_000;

/// Workers of the Envoy.
const WORKERS: usize = 2;

/// How often a worker flushes, in milliseconds; as `filter/root.rs` does.
const TICK: u64 = 500;

/// How long an attempt may take, in milliseconds.
pub const ATTEMPT_LIMIT: u64 = 2_000;

/// Milliseconds of a point of the series.
pub const STEP: u64 = 250;

/// What was counted in [`STEP`] milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Point {
    /// Requests that came.
    pub came: u32,
    /// Of those, how many the first provider was asked first.
    pub first: u32,
    /// Attempts that began then and gave nobody an answer.
    pub lost: u32,
    /// The longest that one of them took, in milliseconds.
    pub slowest: u64,
}

/// A run.
pub struct Run {
    /// One point for each [`STEP`].
    pub points: Vec<Point>,
    /// How long each request took, in milliseconds, in the order of their arrival; nothing for
    /// those that nobody answered.
    pub times: Vec<(u64, Option<u64>)>,
}

/// What happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Tick(usize),
    Ended(usize),
    Arrival,
}

/// A request on its way.
struct Request {
    worker: usize,
    came: u64,
    /// Who is asked, the first of them next.
    left: Vec<(usize, Slot)>,
    attempt: Option<Attempt>,
}

/// What a request waits for.
struct Attempt {
    provider: usize,
    began: u64,
    event: Event,
    pass: Option<Pass>,
}

/// Runs a scenario. Without `health` nothing that went before changes a decision: failover alone.
pub fn run(gateway: &Gateway, scenario: Scenario, health: bool, seed: u64) -> Run {
    let store = Memory::default();
    let fleets = (0..WORKERS).map(|_| Fleet::new(gateway.fleet())).collect();
    let points = vec![Point::default(); (SECONDS * 1_000 / STEP) as usize];
    let mut simulation = Simulation {
        gateway,
        scenario,
        health,
        store,
        fleets,
        random: Random(seed),
        queue: BinaryHeap::new(),
        requests: Vec::new(),
        in_flight: [0; 2],
        turn: 0,
        run: Run { points, times: Vec::new() },
    };
    simulation.run();
    simulation.run
}

struct Simulation<'a> {
    gateway: &'a Gateway,
    scenario: Scenario,
    health: bool,
    store: Memory,
    fleets: Vec<Fleet>,
    random: Random,
    queue: BinaryHeap<Reverse<(u64, u64, What)>>,
    requests: Vec<Request>,
    in_flight: [u64; 2],
    turn: u64,
    run: Run,
}

impl Simulation<'_> {
    fn run(&mut self) {
        let end = SECONDS * 1_000;
        for worker in 0..WORKERS {
            self.at(worker as u64 * TICK / 2, What::Tick(worker));
        }
        self.at(0, What::Arrival);
        let mut next = 0.0;
        while let Some(Reverse((now, _, what))) = self.queue.pop() {
            match what {
                What::Tick(worker) => {
                    if let Some(fleet) = self.fleets.get_mut(worker) {
                        fleet.flush(&self.store, EPOCH + now);
                    }
                    if now < end {
                        self.at(now + TICK, What::Tick(worker));
                    }
                }
                What::Ended(request) => self.ended(request, now),
                What::Arrival => {
                    self.arrive(now);
                    // Poisson: the time to the next is exponentially distributed.
                    next += -self.random.unit().ln() * 1_000.0 / RATE as f64;
                    if (next as u64) < end {
                        self.at(next as u64, What::Arrival);
                    }
                }
            }
        }
    }

    fn at(&mut self, time: u64, what: What) {
        self.turn += 1;
        self.queue.push(Reverse((time, self.turn, what)));
    }

    fn point(&mut self, time: u64) -> Option<&mut Point> {
        self.run.points.get_mut((time / STEP) as usize)
    }

    fn arrive(&mut self, now: u64) {
        let worker = (self.random.next() % WORKERS as u64) as usize;
        let random = self.random.next();
        let Some(fleet) = self.fleets.get_mut(worker) else { return };
        let question = Question::new(Operation::Chat, "gpt-4o", false, &|_| None);
        let Ok(mut plan) = plan(self.gateway, &question) else { return };
        fleet.refresh(&self.store, EPOCH + now);
        let seen = |slot| {
            if self.health { fleet.standing(slot, EPOCH + now) } else { Standing::default() }
        };
        let moment = Moment { now: EPOCH + now, random, turn: &|_| 0, standing: &seen };
        if plan.order(self.gateway, &question, &moment).is_err() {
            return;
        }
        let left: Vec<(usize, Slot)> = plan
            .candidates
            .iter()
            .filter_map(|candidate| Some((candidate.provider, candidate.slot(self.gateway)?)))
            .collect();
        let first = left.first().is_some_and(|(provider, _)| *provider == 0);
        if let Some(point) = self.point(now) {
            point.came += 1;
            point.first += u32::from(first);
        }
        let request = self.requests.len();
        self.run.times.push((now, None));
        self.requests.push(Request { worker, came: now, left, attempt: None });
        self.ask(request, now);
    }

    /// Asks the next candidate that may be asked; as `filter/exchange.rs` does, whoever was refused
    /// by its breaker is asked when nobody else is left.
    fn ask(&mut self, at: usize, now: u64) {
        let Some(request) = self.requests.get_mut(at) else { return };
        let Some(fleet) = self.fleets.get_mut(request.worker) else { return };
        let clock = EPOCH + now;
        let mut chosen = None;
        if self.health {
            for insist in [false, true] {
                for (place, (_, slot)) in request.left.iter().enumerate() {
                    let pass = match insist {
                        false => fleet.admit(*slot, &self.store, clock),
                        true => fleet.insist(*slot, &self.store, clock),
                    };
                    if let Ok(pass) = pass {
                        chosen = Some((place, Some(pass)));
                        break;
                    }
                }
                if chosen.is_some() {
                    break;
                }
            }
        } else if !request.left.is_empty() {
            chosen = Some((0, None));
        }
        let Some((place, pass)) = chosen else { return };
        let (provider, _) = request.left.remove(place);
        let spread = self.random.normal();
        let count = self.in_flight.get(provider).copied().unwrap_or_default();
        let fate = match provider {
            0 => self.scenario.fate(now, count, spread),
            _ => steady(spread),
        };
        let failed = |class| Event::Failed { class, retry_after: None };
        let (after, event) = match fate {
            Fate::Answer(after) if after <= ATTEMPT_LIMIT => {
                (after, Event::Answered { total: after as u32, stream: false })
            }
            Fate::Answer(_) | Fate::Silence => (ATTEMPT_LIMIT, failed(Class::Timeout)),
            Fate::Refusal(after) => (after, failed(Class::Overloaded)),
        };
        request.attempt = Some(Attempt { provider, began: now, event, pass });
        if let Some(count) = self.in_flight.get_mut(provider) {
            *count += 1;
        }
        if !matches!(event, Event::Answered { .. })
            && let Some(point) = self.point(now)
        {
            point.lost += 1;
        }
        self.at(now + after, What::Ended(at));
    }

    fn ended(&mut self, at: usize, now: u64) {
        let Some(request) = self.requests.get_mut(at) else { return };
        let Some(attempt) = request.attempt.take() else { return };
        let (came, worker) = (request.came, request.worker);
        if let Some(count) = self.in_flight.get_mut(attempt.provider) {
            *count -= 1;
        }
        let random = self.random.next();
        if let Some(pass) = attempt.pass
            && let Some(fleet) = self.fleets.get_mut(worker)
        {
            fleet.settle(pass, attempt.event, &self.store, EPOCH + now, random);
        }
        debug_assert!(now >= attempt.began, "time goes forward");
        if let Event::Answered { .. } = attempt.event {
            if let Some((_, time)) = self.run.times.get_mut(at) {
                *time = Some(now - came);
            }
            if let Some(point) = self.point(came) {
                point.slowest = point.slowest.max(now - came);
            }
        } else {
            self.ask(at, now);
        }
    }
}

/// When the simulation begins, in milliseconds since 1970: any time will do but zero.
const EPOCH: u64 = 1_700_000_000_000;

/// Draws that are the same in each run: splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Above 0, up to 1.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 1.0) / (1_u64 << 53) as f64
    }

    /// Of the standard normal distribution.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}
