#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::super::lanes::SILENCE;
use super::super::{Counts, State};
use super::*;
use crate::openai::Class;
use crate::store::memory::Memory;

mod places;

const T0: Millis = 1_800_000_000_000;
const A: Slot = Slot { endpoint: 0, target: 0 };
const A2: Slot = Slot { endpoint: 0, target: 1 };
const B: Slot = Slot { endpoint: 1, target: 2 };

fn watched(cluster: &str, models: &[&str], max_concurrency: Option<u32>) -> Watched {
    Watched {
        provider: "p".to_owned(),
        cluster: cluster.to_owned(),
        models: models.iter().map(|&model| model.to_owned()).collect(),
        breaker: Breaker::default(),
        max_concurrency,
    }
}

/// Two models at `a`, one at `b`.
fn fleet() -> Fleet {
    Fleet::new(vec![watched("a", &["m", "n"], None), watched("b", &["m"], None)])
}

fn capped(most: u32) -> Fleet {
    Fleet::new(vec![watched("a", &["m"], Some(most))])
}

const ANSWERED: Event = Event::Answered { total: 100, stream: false };

const fn failed(class: Class) -> Event {
    Event::Failed { class, retry_after: None }
}

/// An attempt that ends when it began.
fn attempt(fleet: &mut Fleet, slot: Slot, event: Event, store: &dyn Store, now: Millis) {
    let pass = fleet.insist(slot, store, now).unwrap();
    fleet.settle(pass, event, store, now, 400);
}

fn gate(fleet: &mut Fleet, slot: Slot, store: &dyn Store, now: Millis) -> Gate {
    fleet.refresh(store, now);
    fleet.standing(slot, now).gate
}

/// Opens the endpoint of a slot at `now`.
fn break_endpoint(fleet: &mut Fleet, slot: Slot, store: &dyn Store, now: Millis) {
    for _ in 0..5 {
        attempt(fleet, slot, failed(Class::Server), store, now);
    }
}

#[test]
fn nothing_known_is_closed_and_empty() {
    let fleet = fleet();
    assert_eq!(fleet.standing(A, T0), Standing::default());
    assert_eq!(fleet.standing(Slot { endpoint: 9, target: 9 }, T0), Standing::default());
}

#[test]
fn a_failure_is_seen_by_another_worker_at_its_next_decision() {
    let store = Memory::new();
    let (mut one, mut two) = (fleet(), fleet());
    two.refresh(&store, T0);
    attempt(&mut one, A, ANSWERED, &store, T0);
    attempt(&mut one, A, failed(Class::Server), &store, T0);
    two.refresh(&store, T0);
    assert_eq!(two.standing(A, T0).counts, [Counts { requests: 2, failures: 1 }; 3]);
    assert_eq!(two.standing(A2, T0).counts, [Counts::default(); 3]);
    break_endpoint(&mut one, A, &store, T0);
    assert!(matches!(gate(&mut two, A2, &store, T0), Gate::Open(_)));
    assert_eq!(gate(&mut two, B, &store, T0), Gate::Closed);
}

#[test]
fn successes_are_seen_by_another_worker_after_both_have_ticked() {
    let store = Memory::new();
    let (mut one, mut two) = (fleet(), fleet());
    attempt(&mut one, A, ANSWERED, &store, T0);
    assert_eq!(one.standing(A, T0).counts[0].requests, 1);
    one.flush(&store, T0 + 500);
    two.flush(&store, T0 + 900);
    for fleet in [&mut one, &mut two] {
        fleet.flush(&store, T0 + 1_000);
        let standing = fleet.standing(A, T0 + 1_000);
        assert_eq!(standing.counts[0], Counts { requests: 1, failures: 0 });
        assert_eq!((standing.total.samples, standing.first_token.samples), (1, 0));
    }
}

#[test]
fn nothing_moved_costs_one_read() {
    struct Counting(Memory, std::cell::Cell<usize>);
    impl Store for Counting {
        fn read(&self, key: &str) -> Option<(Vec<u8>, u32)> {
            self.1.set(self.1.get() + 1);
            self.0.read(key)
        }
        fn write(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
            self.0.write(key, value, version)
        }
    }
    let store = Counting(Memory::new(), std::cell::Cell::new(0));
    let (mut one, mut two) = (fleet(), fleet());
    attempt(&mut one, A, failed(Class::Server), &store, T0);
    two.refresh(&store, T0);
    let reads = |fleet: &mut Fleet| {
        store.1.set(0);
        fleet.refresh(&store, T0);
        store.1.get()
    };
    assert_eq!(reads(&mut two), 1);
    attempt(&mut one, A, failed(Class::Server), &store, T0);
    assert_eq!(reads(&mut two), 3);
    store.1.set(0);
    let pass = two.admit(B, &store, T0).unwrap();
    two.settle(pass, ANSWERED, &store, T0, 0);
    // Its lane, once.
    assert_eq!(store.1.get(), 1);
}

#[test]
fn the_clients_own_fault_counts_as_answered_without_a_time() {
    let store = Memory::new();
    let mut fleet = fleet();
    for _ in 0..50 {
        for class in [Class::Client, Class::ContentFilter, Class::ContextLength] {
            attempt(&mut fleet, A, failed(class), &store, T0);
        }
    }
    fleet.flush(&store, T0);
    let standing = fleet.standing(A, T0);
    assert_eq!(standing.counts[0], Counts { requests: 150, failures: 0 });
    assert_eq!((standing.gate, standing.total.samples), (Gate::Closed, 0));
    let classes = &fleet.report(&store, T0)[0].targets[0].classes;
    assert_eq!(classes[0], (Class::Client, 50));
}

#[test]
fn an_abandoned_attempt_counts_as_nothing() {
    let store = Memory::new();
    let mut fleet = fleet();
    attempt(&mut fleet, A, Event::Abandoned, &store, T0);
    fleet.flush(&store, T0);
    assert_eq!(fleet.standing(A, T0), Standing::default());
}

#[test]
fn a_models_failure_opens_the_model_and_leaves_the_others() {
    let store = Memory::new();
    let mut fleet = fleet();
    let limited = Event::Failed { class: Class::RateLimit, retry_after: Some(5_000) };
    let pass = fleet.admit(A, &store, T0).unwrap();
    let told = fleet.settle(pass, limited, &store, T0, 0).unwrap();
    assert_eq!((told.level, told.from, told.to), (Level::Target, State::Closed, State::Open));
    assert_eq!((told.reason, told.until), (Some(Class::RateLimit), Some(T0 + 5_000)));
    assert_eq!(gate(&mut fleet, A, &store, T0), Gate::Open(T0 + 5_000));
    assert_eq!(gate(&mut fleet, A2, &store, T0), Gate::Closed);
    assert_eq!(fleet.admit(A, &store, T0).unwrap_err(), Refused::Open);
    assert!(fleet.insist(A, &store, T0).is_ok());
}

#[test]
fn a_dead_credential_opens_the_endpoint_for_all_its_models() {
    let store = Memory::new();
    let mut fleet = fleet();
    let pass = fleet.admit(A, &store, T0).unwrap();
    let told = fleet.settle(pass, failed(Class::Auth), &store, T0, 0).unwrap();
    assert_eq!(told.level, Level::Endpoint);
    assert_eq!(fleet.admit(A2, &store, T0).unwrap_err(), Refused::Open);
}

#[test]
fn one_broken_model_opens_alone_when_the_others_do_well() {
    let store = Memory::new();
    let mut fleet = fleet();
    for _ in 0..20 {
        for _ in 0..4 {
            attempt(&mut fleet, A2, ANSWERED, &store, T0);
        }
        attempt(&mut fleet, A, failed(Class::Server), &store, T0);
    }
    assert!(matches!(gate(&mut fleet, A, &store, T0), Gate::Open(_)));
    assert_eq!(gate(&mut fleet, A2, &store, T0), Gate::Closed);
}

#[test]
fn an_outage_opens_the_endpoint_and_not_its_models_too() {
    let store = Memory::new();
    let mut fleet = fleet();
    for _ in 0..60 {
        attempt(&mut fleet, A, failed(Class::Server), &store, T0);
    }
    let report = fleet.report(&store, T0);
    assert_eq!(report[0].breaker.state, State::Open);
    assert_eq!(report[0].targets[0].breaker.state, State::Closed);
    assert_eq!(report[0].targets[0].counts[0].failures, 60);
}

#[test]
fn successes_of_other_workers_end_a_streak_at_once() {
    let store = Memory::new();
    let (mut one, mut two) = (fleet(), fleet());
    // Few enough that the rate says nothing.
    for _ in 0..6 {
        attempt(&mut one, A, failed(Class::Server), &store, T0);
        attempt(&mut one, A, failed(Class::Server), &store, T0);
        two.refresh(&store, T0);
        attempt(&mut two, A, ANSWERED, &store, T0);
    }
    assert_eq!(gate(&mut one, A, &store, T0), Gate::Closed);
}

#[test]
fn trials_are_exact_over_all_workers_and_close_it() {
    let store = Memory::new();
    let mut workers: Vec<Fleet> = (0..4).map(|_| fleet()).collect();
    break_endpoint(&mut workers[0], A, &store, T0);
    let mut now = T0 + 3_000;
    let mut transitions = Vec::new();
    for allowed in 1..=4 {
        let mut passes = Vec::new();
        for (at, worker) in workers.iter_mut().enumerate() {
            worker.refresh(&store, now);
            for slot in [A, A2, A] {
                match worker.admit(slot, &store, now) {
                    Ok(pass) => passes.push((at, pass)),
                    Err(why) => assert_eq!(why, Refused::Trying),
                }
            }
        }
        assert_eq!(passes.len(), allowed);
        // One succeeds, the others are abandoned.
        for (nth, (at, pass)) in passes.into_iter().enumerate() {
            assert!(pass.trial());
            let event = if nth == 0 { ANSWERED } else { Event::Abandoned };
            transitions.extend(workers[at].settle(pass, event, &store, now, 0));
        }
        now += 10;
    }
    assert!(transitions.is_empty());
    workers[3].refresh(&store, now);
    let pass = workers[3].admit(A, &store, now).unwrap();
    let told = workers[3].settle(pass, ANSWERED, &store, now, 0).unwrap();
    assert_eq!((told.from, told.to), (State::HalfOpen, State::Closed));
    for worker in &mut workers {
        assert_eq!(gate(worker, A, &store, now), Gate::Closed);
    }
    // The first trial made it half-open: told on that worker's tick, and by nobody else.
    let half_open: Vec<Transition> =
        workers.iter_mut().flat_map(|worker| worker.flush(&store, now)).collect();
    assert_eq!(half_open.len(), 1);
    assert_eq!((half_open[0].from, half_open[0].to), (State::Open, State::HalfOpen));
}

#[test]
fn what_failed_before_a_breaker_closed_does_not_keep_it_from_being_asked() {
    let store = Memory::new();
    let mut fleet = fleet();
    break_endpoint(&mut fleet, A, &store, T0);
    // Ready to be tried: a rule that leaves who fails too often must not hold up the trials.
    assert_eq!(gate(&mut fleet, A, &store, T0 + 3_000), Gate::Trial);
    assert_eq!(fleet.standing(A, T0 + 3_000).counts.map(|counts| counts.failures), [0; 3]);
    for _ in 0..5 {
        attempt(&mut fleet, A, ANSWERED, &store, T0 + 3_000);
    }
    assert_eq!(gate(&mut fleet, A, &store, T0 + 3_000), Gate::Closed);
    assert_eq!(fleet.standing(A, T0 + 6_000).counts.map(|counts| counts.failures), [0; 3]);
    // What fails after it counts, and whoever looks at a status page sees all of it.
    attempt(&mut fleet, A, failed(Class::Server), &store, T0 + 10_000);
    assert_eq!(fleet.standing(A, T0 + 10_000).counts[1].failures, 1);
    let report = fleet.report(&store, T0 + 10_000);
    assert_eq!(report[0].targets[0].counts[1].failures, 6);
}

#[test]
fn a_failed_trial_opens_it_again_for_all_workers() {
    let store = Memory::new();
    let (mut one, mut two) = (fleet(), fleet());
    break_endpoint(&mut one, A, &store, T0);
    let now = T0 + 3_000;
    two.refresh(&store, now);
    let pass = two.admit(A, &store, now).unwrap();
    let told = two.settle(pass, failed(Class::Timeout), &store, now, 0).unwrap();
    assert_eq!((told.from, told.to), (State::HalfOpen, State::Open));
    assert!(told.until.unwrap() >= now + 3_200);
    one.refresh(&store, now);
    assert_eq!(one.admit(A2, &store, now).unwrap_err(), Refused::Open);
}

#[test]
fn a_trial_that_finds_no_place_frees_its_permit() {
    let store = Memory::new();
    let mut fleet = capped(1);
    break_endpoint(&mut fleet, A, &store, T0);
    let held = fleet.insist(A, &store, T0 + 1).unwrap();
    let now = T0 + 3_000;
    assert_eq!(fleet.admit(A, &store, now).unwrap_err(), Refused::Saturated);
    fleet.settle(held, Event::Abandoned, &store, now, 0);
    assert!(fleet.admit(A, &store, now).unwrap().trial());
}

#[test]
fn a_model_that_may_not_be_tried_gives_the_endpoints_permit_back() {
    let store = Memory::new();
    let (mut one, mut two) = (fleet(), fleet());
    let limited = Event::Failed { class: Class::RateLimit, retry_after: Some(2_000) };
    attempt(&mut one, A, limited, &store, T0);
    break_endpoint(&mut one, A2, &store, T0);
    let now = T0 + 3_000;
    two.refresh(&store, now);
    one.refresh(&store, now);
    let first = one.admit(A, &store, now).unwrap();
    one.settle(first, Event::Abandoned, &store, now, 0);
    two.refresh(&store, now);
    let entry = &mut two.targets[0].entry;
    // Somebody else tries the model meanwhile, unseen.
    let admitted = |_: &Entry, record: &mut super::super::slot::Record| {
        record.circuit = record.circuit.admit(now).unwrap().0;
        true
    };
    let stale = entry.record.clone();
    entry.change(&store, admitted).unwrap();
    entry.record = stale;
    assert_eq!(two.admit(A, &store, now).unwrap_err(), Refused::Trying);
    assert!(two.admit(A2, &store, now).unwrap().trial());
    assert_eq!(two.standing(A, now).in_flight, 1);
}

#[test]
fn slow_failures_of_an_outage_that_is_over_open_nothing() {
    let store = Memory::new();
    let mut fleet = fleet();
    let slow: Vec<Pass> = (0..50).map(|_| fleet.admit(A, &store, T0).unwrap()).collect();
    break_endpoint(&mut fleet, A, &store, T0);
    let now = T0 + 3_000;
    for _ in 0..5 {
        let pass = fleet.admit(A, &store, now).unwrap();
        fleet.settle(pass, ANSWERED, &store, now, 0);
    }
    assert_eq!(gate(&mut fleet, A, &store, now), Gate::Closed);
    for pass in slow {
        assert_eq!(fleet.settle(pass, failed(Class::Timeout), &store, now + 500, 0), None);
    }
    attempt(&mut fleet, A, failed(Class::Server), &store, now + 2_000);
    assert_eq!(gate(&mut fleet, A, &store, now + 2_000), Gate::Closed);
}

#[test]
fn a_new_configuration_keeps_what_is_known_by_name() {
    let store = Memory::new();
    let mut before = fleet();
    break_endpoint(&mut before, A, &store, T0);
    attempt(&mut before, B, ANSWERED, &store, T0);
    before.flush(&store, T0);
    let mut after = Fleet::new(vec![
        watched("new", &["x"], None),
        watched("b", &["m"], None),
        watched("a", &["n", "m"], None),
    ]);
    let of = |endpoint, target| Slot { endpoint, target };
    assert_eq!(gate(&mut after, of(0, 0), &store, T0), Gate::Closed);
    assert!(matches!(gate(&mut after, of(2, 2), &store, T0), Gate::Open(_)));
    assert_eq!(after.standing(of(1, 1), T0).counts[0].requests, 1);
    assert_eq!(after.report(&store, T0)[2].targets[1].counts[0].failures, 5);
}

#[test]
fn no_two_targets_share_a_record_whatever_their_names() {
    let store = Memory::new();
    let mut fleet = Fleet::new(vec![
        watched("a", &["b/c", "%2Fb/c"], None),
        watched("a/b", &["c"], None),
        watched("a%2Fb", &["c"], None),
        watched("ä/🦀", &["c"], None),
    ]);
    let of = |endpoint, target| Slot { endpoint, target };
    attempt(&mut fleet, of(0, 0), failed(Class::NotFound), &store, T0);
    let gates: Vec<bool> = [of(0, 0), of(0, 1), of(1, 2), of(2, 3), of(3, 4)]
        .map(|slot| gate(&mut fleet, slot, &store, T0) == Gate::Closed)
        .to_vec();
    assert_eq!(gates, [false, true, true, true, true]);
}

#[test]
fn an_overflow_is_seen_though_the_clock_was_set_back() {
    let store = Memory::new();
    let mut fleet = fleet();
    fleet.overflowed(A, &store, T0 + 3_600_000);
    fleet.overflowed(A, &store, T0);
    assert!(fleet.standing(A, T0).saturated);
    assert!(!fleet.standing(A, T0 + OVERFLOW).saturated);
}

#[test]
fn successes_that_wait_are_told_when_another_worker_fails() {
    let store = Memory::new();
    let [mut one, mut other] = [fleet(), fleet()];
    one.refresh(&store, T0);
    attempt(&mut one, A, ANSWERED, &store, T0);
    attempt(&mut other, A, failed(Class::Server), &store, T0);
    assert_eq!(other.standing(A, T0).counts[0], Counts { requests: 1, failures: 1 });
    one.refresh(&store, T0);
    other.flush(&store, T0);
    assert_eq!(other.standing(A, T0).counts[0], Counts { requests: 2, failures: 1 });
}

#[test]
fn a_request_that_is_not_wanted_closes_the_way_to_nobody_while_others_are_answered() {
    for class in [Class::NotFound, Class::Permission] {
        let store = Memory::new();
        let mut fleet = fleet();
        attempt(&mut fleet, A, ANSWERED, &store, T0);
        attempt(&mut fleet, A, failed(class), &store, T0);
        assert_eq!(gate(&mut fleet, A, &store, T0), Gate::Closed);
        for _ in 0..4 {
            attempt(&mut fleet, A, failed(class), &store, T0);
        }
        assert!(matches!(gate(&mut fleet, A, &store, T0), Gate::Open(_)));
        // Where nobody is answered, one is enough.
        attempt(&mut fleet, B, failed(class), &store, T0);
        assert!(matches!(gate(&mut fleet, B, &store, T0), Gate::Open(_)));
    }
}

/// Refuses all writes, and gives garbage for every key.
struct Broken(&'static [u8]);

impl Store for Broken {
    fn read(&self, _: &str) -> Option<(Vec<u8>, u32)> {
        Some((self.0.to_vec(), 7)).filter(|(value, _)| !value.is_empty())
    }

    fn write(&self, _: &str, _: &[u8], _: Option<u32>) -> bool {
        false
    }
}

#[test]
fn a_store_that_is_broken_leaves_every_worker_to_itself() {
    for garbage in [&b""[..], b"garbage", &[1; 257], &[1; 577], &[1; 101]] {
        let store = Broken(garbage);
        let mut fleet = capped(3);
        fleet.refresh(&store, T0);
        for round in 0..200 {
            let passes: Vec<Pass> =
                (0..3).map(|_| fleet.insist(A, &store, T0 + round).unwrap()).collect();
            assert_eq!(fleet.insist(A, &store, T0 + round).unwrap_err(), Refused::Saturated);
            for pass in passes {
                let event = if round % 2 == 0 { ANSWERED } else { failed(Class::Server) };
                assert_eq!(fleet.settle(pass, event, &store, T0 + round, 0), None);
            }
            fleet.overflowed(A, &store, T0 + round);
            fleet.first_token(A, 5);
            assert!(fleet.flush(&store, T0 + round).is_empty());
        }
        // What could not be told is told when the store is well: here for the counts.
        let store = Memory::new();
        fleet.flush(&store, T0 + 300);
        let counts = fleet.report(&store, T0 + 300)[0].targets[0].counts[0];
        assert_eq!(counts, Counts { requests: 600, failures: 300 });
    }
}

#[test]
fn transitions_that_wait_are_bounded() {
    let mut fleet = fleet();
    let (slot, level, reason, until) = (A, Level::Endpoint, None, None);
    let one = Transition { slot, level, from: State::Open, to: State::HalfOpen, reason, until };
    for _ in 0..=MAX_TRANSITIONS {
        fleet.keep(Some(one));
    }
    assert_eq!(fleet.flush(&Memory::new(), T0).len(), MAX_TRANSITIONS);
}

#[test]
fn the_report_says_what_a_status_page_shows() {
    let store = Memory::new();
    let mut fleet = Fleet::new(vec![watched("a", &["m", "n"], Some(9))]);
    let pass = fleet.admit(A, &store, T0).unwrap();
    fleet.first_token(A, 40);
    fleet.settle(pass, Event::Answered { total: 900, stream: true }, &store, T0, 0);
    attempt(&mut fleet, A2, ANSWERED, &store, T0);
    attempt(&mut fleet, A2, failed(Class::Auth), &store, T0);
    let _held = fleet.admit(A, &store, T0).unwrap_err();
    let _held = fleet.insist(A, &store, T0).unwrap();
    fleet.flush(&store, T0);
    let report = &fleet.report(&store, T0)[0];
    assert_eq!((report.provider.as_str(), report.cluster.as_str()), ("p", "a"));
    assert_eq!((report.in_flight, report.max_concurrency), (1, Some(9)));
    assert_eq!(report.breaker.reason, Some(Class::Auth));
    assert_eq!((report.breaker.state, report.breaker.opened), (State::Open, 1));
    assert_eq!(report.counts[0], Counts { requests: 3, failures: 1 });
    let [m, n] = &report.targets[..] else { panic!("two models") };
    assert_eq!((m.model.as_str(), n.model.as_str()), ("m", "n"));
    assert_eq!((m.first_token[0].samples, m.total[0].samples), (1, 0));
    assert_eq!((n.first_token[2].samples, n.total[2].samples), (0, 1));
    assert_eq!(n.classes, [(Class::Auth, 1)]);
    assert_eq!((m.history.len(), m.history[9].samples, n.history[9].samples), (10, 1, 1));
}
