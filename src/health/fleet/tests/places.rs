//! Places in flight, counted over all workers.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

#[test]
fn places_are_never_exceeded_over_all_workers() {
    let store = Memory::new();
    let mut workers: Vec<Fleet> = (0..5).map(|_| capped(7)).collect();
    let mut held: Vec<(usize, Pass)> = Vec::new();
    let mut random = 1_u64;
    for step in 0..3_000_u64 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (at, now) = ((random >> 40) as usize % 5, T0 + step * 20);
        match (random >> 33) % 8 {
            0 => {
                workers[at].flush(&store, now);
            }
            1..=3 if !held.is_empty() => {
                let (at, pass) = held.swap_remove((random >> 50) as usize % held.len());
                workers[at].settle(pass, ANSWERED, &store, now, random);
            }
            _ => match workers[at].admit(A, &store, now) {
                Ok(pass) => held.push((at, pass)),
                Err(why) => assert_eq!((why, held.len()), (Refused::Saturated, 7)),
            },
        }
        // All beat, as they do on their ticks.
        if step % 25 == 0 {
            workers.iter_mut().for_each(|worker| drop(worker.flush(&store, now)));
        }
        assert!(held.len() <= 7);
        assert_eq!(workers[0].report(&store, now)[0].in_flight, held.len() as u32);
    }
}

#[test]
fn a_saturated_endpoint_is_seen_to_be_free_at_the_next_decision() {
    let store = Memory::new();
    let (mut one, mut two) = (capped(1), capped(1));
    let pass = one.admit(A, &store, T0).unwrap();
    assert_eq!(two.admit(A, &store, T0).unwrap_err(), Refused::Saturated);
    assert!(two.standing(A, T0).saturated);
    one.settle(pass, ANSWERED, &store, T0, 0);
    two.refresh(&store, T0);
    assert!(!two.standing(A, T0).saturated);
}

#[test]
fn the_places_of_a_worker_that_died_come_back() {
    let store = Memory::new();
    let (mut dead, mut alive) = (capped(2), capped(2));
    let _lost = [dead.admit(A, &store, T0), dead.admit(A, &store, T0)];
    drop(dead);
    assert_eq!(alive.admit(A, &store, T0 + SILENCE - 1).unwrap_err(), Refused::Saturated);
    let now = T0 + SILENCE;
    alive.flush(&store, now);
    assert_eq!(alive.standing(A, now).in_flight, 0);
    let held = [alive.admit(A, &store, now), alive.admit(A, &store, now)];
    assert!(held.iter().all(Result::is_ok));
    assert_eq!(capped(2).admit(A, &store, now).unwrap_err(), Refused::Saturated);
}

#[test]
fn a_worker_that_lost_its_lane_claims_another_and_tells_its_places_again() {
    let store = Memory::new();
    let (mut slow, mut quick) = (capped(9), capped(9));
    let _held = [slow.admit(A, &store, T0), slow.admit(A, &store, T0)];
    let now = T0 + SILENCE;
    let _other = quick.admit(A, &store, now);
    slow.flush(&store, now + 100);
    quick.flush(&store, now + 100);
    assert_eq!(slow.standing(A, now + 100).in_flight, 3);
    assert_eq!(quick.standing(A, now + 100).in_flight, 3);
}

#[test]
fn without_a_cap_in_flight_is_told_on_the_tick() {
    let store = Memory::new();
    let (mut one, mut two) = (fleet(), fleet());
    let pass = one.admit(A, &store, T0).unwrap();
    assert_eq!(one.standing(A2, T0).in_flight, 1);
    assert_eq!(two.standing(A, T0).in_flight, 0);
    one.flush(&store, T0 + 1);
    two.flush(&store, T0 + 2);
    assert_eq!(two.standing(A, T0 + 2).in_flight, 1);
    one.settle(pass, ANSWERED, &store, T0 + 3, 0);
    one.flush(&store, T0 + 3);
    two.flush(&store, T0 + 3);
    assert_eq!((one.standing(A, T0 + 3).in_flight, two.standing(A, T0 + 3).in_flight), (0, 0));
}

#[test]
fn an_overflow_of_the_pool_saturates_it_everywhere_for_a_second() {
    let store = Memory::new();
    let (mut one, mut two) = (fleet(), fleet());
    two.refresh(&store, T0);
    one.overflowed(A, &store, T0);
    two.refresh(&store, T0);
    assert!(two.standing(A2, T0 + 999).saturated && !two.standing(B, T0).saturated);
    assert!(!two.standing(A, T0 + 1_000).saturated);
    assert!(two.report(&store, T0)[0].overflowing);
}
