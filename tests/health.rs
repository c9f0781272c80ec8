//! Health over random times and events: nothing panics, windows hold what happened in them, and
//! breakers keep to their diagram whatever workers do to each other.
#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::indexing_slicing, reason = "the places come from the strategies of this file")]

use std::time::Duration;

use proptest::prelude::*;
use waypost::health::settings::MAX_RETRY_AFTER;
use waypost::health::window::{BEHIND, Windows};
use waypost::health::{
    Breaker, Counts, Event, Fleet, Gate, Level, Pass, Slot, State, Traffic, Transition, Watched,
    Window,
};
use waypost::openai::Class;
use waypost::store::memory::Memory;
use waypost::store::{Millis, Store};

const T0: Millis = 1_800_000_000_000;
const WORKERS: usize = 3;
const MOST: u32 = 6;

fn watched(cluster: &str, models: &[&str], max_concurrency: Option<u32>) -> Watched {
    Watched {
        provider: "p".to_owned(),
        cluster: cluster.to_owned(),
        models: models.iter().map(|&model| model.to_owned()).collect(),
        breaker: Breaker::default(),
        max_concurrency,
    }
}

fn fleet() -> Fleet {
    Fleet::new(vec![watched("a", &["m", "n"], Some(MOST)), watched("b", &["m"], None)])
}

const SLOTS: [Slot; 3] = [
    Slot { endpoint: 0, target: 0 },
    Slot { endpoint: 0, target: 1 },
    Slot { endpoint: 1, target: 2 },
];

/// What a worker does next.
#[derive(Clone, Debug)]
enum Act {
    Admit(usize),
    Insist(usize),
    Settle(usize, Event),
    FirstToken(usize, u32),
    Overflow(usize),
    Flush,
    Refresh,
}

fn event() -> impl Strategy<Value = Event> {
    let class = (0..Class::ALL.len()).prop_map(|at| Class::ALL[at]);
    let after = prop_oneof![4 => Just(None), 1 => any::<u32>().prop_map(Some)];
    prop_oneof![
        6 => (any::<u32>(), any::<bool>())
            .prop_map(|(total, stream)| Event::Answered { total, stream }),
        4 => (class, after).prop_map(|(class, retry_after)| Event::Failed { class, retry_after }),
        1 => Just(Event::Abandoned),
        1 => any::<u32>().prop_map(Event::FirstToken),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..3_usize).prop_map(Act::Admit),
        1 => (0..3_usize).prop_map(Act::Insist),
        6 => (any::<usize>(), event()).prop_map(|(which, event)| Act::Settle(which, event)),
        1 => (0..3_usize, any::<u32>()).prop_map(|(slot, millis)| Act::FirstToken(slot, millis)),
        1 => (0..3_usize).prop_map(Act::Overflow),
        1 => Just(Act::Flush),
        2 => Just(Act::Refresh),
    ]
}

/// An arrow of the diagram.
fn drawn(told: &Transition) -> bool {
    use State::{Closed, HalfOpen, Open};
    matches!(
        (told.from, told.to),
        (Closed | HalfOpen, Open) | (Open, HalfOpen) | (HalfOpen, Closed)
    )
}

/// Does it with the workers of a fleet; gives the transitions that were told of.
fn play(
    acts: &[(usize, u64, u64, Act)],
    store: &dyn Store,
    mut check: impl FnMut(Millis, usize, &[Fleet]),
) -> Vec<(Millis, Transition)> {
    let mut workers: Vec<Fleet> = (0..WORKERS).map(|_| fleet()).collect();
    let mut held: Vec<(usize, Pass)> = Vec::new();
    let mut told = Vec::new();
    let mut now = T0;
    let mut beaten = T0;
    for (worker, step, random, act) in acts {
        now += step;
        if now - beaten > 1_000 {
            // As the ticks do, so that no lane is silent.
            beaten = now;
            for worker in &mut workers {
                told.extend(worker.flush(store, now).into_iter().map(|one| (now, one)));
            }
        }
        let mine = &mut workers[*worker];
        match act {
            Act::Admit(slot) => {
                held.extend(mine.admit(SLOTS[*slot], store, now).ok().map(|pass| (*worker, pass)))
            }
            Act::Insist(slot) => {
                held.extend(mine.insist(SLOTS[*slot], store, now).ok().map(|pass| (*worker, pass)))
            }
            Act::Settle(which, event) => {
                if !held.is_empty() {
                    let (owner, pass) = held.swap_remove(which % held.len());
                    let one = workers[owner].settle(pass, *event, store, now, *random);
                    told.extend(one.map(|one| (now, one)));
                }
            }
            Act::FirstToken(slot, millis) => mine.first_token(SLOTS[*slot], *millis),
            Act::Overflow(slot) => mine.overflowed(SLOTS[*slot], store, now),
            Act::Flush => told.extend(mine.flush(store, now).into_iter().map(|one| (now, one))),
            Act::Refresh => mine.refresh(store, now),
        }
        check(now, held.iter().filter(|(_, pass)| pass.slot.endpoint == 0).count(), &workers);
    }
    told
}

fn acts() -> impl Strategy<Value = Vec<(usize, u64, u64, Act)>> {
    let step = prop_oneof![8 => 0..50_u64, 2 => 0..900_u64, 1 => 0..90_000_u64];
    prop::collection::vec((0..WORKERS, step, any::<u64>(), act()), 1..250)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn breakers_keep_to_their_diagram_and_places_to_their_cap(acts in acts()) {
        let store = Memory::new();
        let told = play(&acts, &store, |now, held, workers| {
            assert!(held as u32 <= MOST);
            for (slot, worker) in SLOTS.iter().flat_map(|slot| workers.iter().map(move |one| (slot, one))) {
                let standing = worker.standing(*slot, now);
                if let Gate::Open(until) = standing.gate {
                    assert!(until - now <= MAX_RETRY_AFTER.as_millis() as u64);
                }
                for counts in standing.counts {
                    assert!(counts.failures <= counts.requests);
                }
            }
        });
        for (now, one) in told {
            prop_assert!(drawn(&one), "{one:?}");
            if one.to == State::Open {
                let length = one.until.unwrap().saturating_sub(now);
                prop_assert!(length <= MAX_RETRY_AFTER.as_millis() as u64);
            }
        }
    }

    #[test]
    fn each_transition_is_told_once_and_follows_the_one_before(acts in acts()) {
        let store = Memory::new();
        let told = play(&acts, &store, |_, _, _| {});
        // Those of a trial's beginning wait for the tick, so order is that of the arrows.
        for (endpoint, level, target) in [(0, Level::Endpoint, 0), (0, Level::Target, 0), (1, Level::Target, 2)] {
            let of_one = |one: &Transition| {
                one.level == level && one.slot.endpoint == endpoint
                    && (level == Level::Endpoint || one.slot.target == target)
            };
            let mine: Vec<_> = told.iter().filter(|(_, one)| of_one(one)).collect();
            let count = |from, to| {
                mine.iter().filter(|(_, one)| (one.from, one.to) == (from, to)).count() as i64
            };
            // What was entered was left again, but for where it is now.
            let opened = count(State::Closed, State::Open) + count(State::HalfOpen, State::Open);
            let tried = count(State::Open, State::HalfOpen);
            let ended = count(State::HalfOpen, State::Closed) + count(State::HalfOpen, State::Open);
            prop_assert!(opened >= tried - 1 && tried <= opened, "{opened} {tried}");
            prop_assert!(ended <= tried + WORKERS as i64, "{ended} {tried}");
            let closed = count(State::HalfOpen, State::Closed) - count(State::Closed, State::Open);
            prop_assert!((-1..=0).contains(&closed), "{closed}");
        }
    }

    #[test]
    fn a_window_holds_what_happened_in_it(steps in prop::collection::vec((0..40_000_u64, 0..3_u32, 0..BEHIND), 1..200)) {
        let mut windows = Windows::default();
        let (mut now, mut last, mut events) = (T0, 0, Vec::new());
        for (step, failures, behind) in steps {
            now += step;
            // Another worker's clock may be behind: what it says is counted in the newest bucket.
            last = (now - behind).max(last);
            let counts = Counts { requests: failures + 1, failures };
            windows.add(counts, false, now - behind);
            events.push((last, counts));
        }
        for later in [0, 1, 999, 4_000, 9_999, 31_000, 59_999, 200_000, 299_999, 300_000, 9_000_000] {
            let at = last + later;
            for (window, width, len) in [(Window::TenSeconds, 1_000, 10), (Window::Minute, 5_000, 12), (Window::FiveMinutes, 30_000, 10)] {
                let seen = events.iter().filter(|(then, _)| at / width - then / width < len);
                let requests: u32 = seen.clone().map(|(_, counts)| counts.requests).sum();
                let failures: u32 = seen.map(|(_, counts)| counts.failures).sum();
                prop_assert_eq!(windows.counts(window, at), Counts { requests, failures });
            }
        }
    }

    #[test]
    fn windows_take_any_time(times in prop::collection::vec(any::<u64>(), 1..60)) {
        let mut windows = Windows::default();
        for now in times {
            windows.add(Counts { requests: 1, failures: 1 }, false, now);
            windows.add_class(3, 1, now);
            prop_assert!(Window::ALL.iter().all(|window| windows.counts(*window, now).requests >= 1));
            let _ = (windows.counts(Window::Minute, now / 2), windows.classes(now.wrapping_mul(7)));
            let _ = windows.counts_since(Window::TenSeconds, now / 3, now);
        }
    }

    #[test]
    fn all_outcomes_of_all_workers_are_counted(events in prop::collection::vec((0..WORKERS, event()), 1..200)) {
        let store = Memory::new();
        let mut workers: Vec<Fleet> = (0..WORKERS).map(|_| fleet()).collect();
        let (mut requests, mut failures, mut totals) = (0, 0, 0);
        for (at, event) in events {
            let pass = workers[at].insist(SLOTS[2], &store, T0).unwrap();
            workers[at].settle(pass, event, &store, T0, 1);
            match event {
                Event::Answered { stream, .. } => {
                    requests += 1;
                    totals += u32::from(!stream);
                }
                Event::Failed { class, .. } => {
                    requests += 1;
                    let own = matches!(class, Class::Client | Class::ContentFilter | Class::ContextLength);
                    failures += u32::from(!own);
                }
                _ => {}
            }
        }
        for worker in &mut workers {
            worker.flush(&store, T0);
        }
        for worker in &mut workers {
            worker.flush(&store, T0);
            let standing = worker.standing(SLOTS[2], T0);
            // Not of the standing, whose counts begin anew when a breaker moves.
            let counts = worker.report(&store, T0)[1].targets[0].counts;
            prop_assert_eq!(counts, [Counts { requests, failures }; 3]);
            prop_assert_eq!((standing.total.samples, standing.in_flight), (totals, 0));
        }
    }

    /// An outage of any length; afterwards every attempt succeeds. A hundred requests a second.
    #[test]
    fn traffic_returns_within_one_backoff_after_recovery(outage in 1..200_u64, random in any::<u64>()) {
        let store = Memory::new();
        let mut workers: Vec<Fleet> = (0..WORKERS).map(|_| fleet()).collect();
        let breaker = Breaker::default();
        let well = T0 + outage * 1_000;
        let mut waits = well;
        let mut now = T0;
        let mut closed = None;
        while now < well + 62_000 {
            let worker = &mut workers[(now / 10) as usize % WORKERS];
            worker.refresh(&store, now);
            if now >= well && worker.standing(SLOTS[2], now).gate == Gate::Closed {
                closed = Some(now);
                break;
            }
            if let Ok(pass) = worker.admit(SLOTS[2], &store, now) {
                let event = if now < well {
                    Event::Failed { class: Class::Server, retry_after: None }
                } else {
                    Event::Answered { total: 5, stream: false }
                };
                worker.settle(pass, event, &store, now, random.rotate_left((now % 64) as u32));
                // Also of the last failure, that may be the trial right before the end of the outage.
                if now < well && let Gate::Open(until) = worker.standing(SLOTS[2], now).gate {
                    waits = until;
                }
            }
            now += 10;
        }
        let closed = closed.expect("it is closed within one backoff");
        prop_assert!(waits <= well + breaker.max_open.as_millis() as u64);
        let from = waits.max(well);
        prop_assert!(closed <= from + 1_000, "{} ms after {from}", closed - from);
    }

}

proptest! {
    // Each write is tried 16 times.
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn a_store_of_garbage_does_no_harm(acts in acts(), garbage in prop::collection::vec(any::<u8>(), 0..700)) {
        struct Garbage(Vec<u8>);
        impl Store for Garbage {
            fn read(&self, _: &str) -> Option<(Vec<u8>, u32)> {
                Some((self.0.clone(), 1))
            }
            fn write(&self, _: &str, _: &[u8], _: Option<u32>) -> bool {
                false
            }
        }
        for first in [None, Some(1)] {
            let mut garbage = garbage.clone();
            if let (Some(byte), Some(version)) = (garbage.first_mut(), first) {
                *byte = version;
            }
            let store = Garbage(garbage);
            play(&acts, &store, |_, _, _| {});
            let mut traffic = Traffic::new(vec!["r".to_owned()], fleet().watched());
            traffic.count(0, SLOTS[0]);
            traffic.flush(&store, T0);
            let _ = (traffic.report(&store, T0), fleet().report(&store, T0));
            let every = Duration::from_secs(30);
            assert!(!waypost::health::probe::due(&store, "a", T0, every, 1));
            waypost::health::probe::told(&store, "a", false, T0, every, 1);
        }
    }
}
