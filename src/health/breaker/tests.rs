#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const T0: Millis = 1_800_000_000_000;

/// Half the range of the jitter: the plain time.
const NO_JITTER: u64 = 400;

fn settings() -> Breaker {
    Breaker::default()
}

fn failure(class: Class, began: Millis) -> Failure {
    let seen = Counts { requests: 1, failures: 1 };
    Failure { began, class, retry_after: None, rate_only: false, seen }
}

fn fail(circuit: Circuit, now: Millis) -> Circuit {
    circuit.failed(&failure(Class::Server, now), now, NO_JITTER, &settings())
}

fn fail_with(circuit: Circuit, failure: Failure, now: Millis) -> Circuit {
    circuit.failed(&failure, now, NO_JITTER, &settings())
}

fn succeed(circuit: Circuit, began: Millis, now: Millis) -> Circuit {
    circuit.succeeded(began, now, &settings())
}

/// Opened by five failures at T0.
fn open() -> Circuit {
    (0..5).fold(Circuit::default(), |circuit, _| fail(circuit, T0))
}

/// A trial is under way since `now`.
fn half_open(now: Millis) -> (Circuit, Millis) {
    let (circuit, permit) = open().admit(now).unwrap();
    (circuit, permit.unwrap())
}

fn until(circuit: Circuit) -> Millis {
    match circuit {
        Circuit::Open { until, .. } => until,
        other => panic!("{other:?}"),
    }
}

#[test]
fn closed_lets_everyone_pass_without_a_permit() {
    assert_eq!(Circuit::default().gate(T0), Gate::Closed);
    assert_eq!(Circuit::default().admit(T0), Ok((Circuit::default(), None)));
}

#[test]
fn consecutive_failures_open_it_for_two_seconds() {
    let four = (0..4).fold(Circuit::default(), |circuit, _| fail(circuit, T0));
    assert_eq!(four.state(), State::Closed);
    let five = fail(four, T0);
    assert_eq!(five.gate(T0), Gate::Open(T0 + 2_000));
    assert_eq!(five.opening(), (Some(Class::Server), Some(T0 + 2_000)));
    assert_eq!(five.admit(T0 + 1_999), Err(Refused::Open));
}

#[test]
fn a_success_between_failures_begins_the_streak_anew() {
    let mut circuit = Circuit::default();
    for _ in 0..10 {
        for _ in 0..4 {
            circuit = fail(circuit, T0);
        }
        circuit = succeed(circuit, T0, T0);
    }
    assert_eq!(circuit, Circuit::default());
}

#[test]
fn the_error_rate_opens_it_once_there_were_enough_requests() {
    let of = |requests, failures| {
        let seen = Counts { requests, failures };
        fail_with(Circuit::default(), Failure { seen, ..failure(Class::Server, T0) }, T0).state()
    };
    assert_eq!(of(19, 19), State::Closed);
    assert_eq!(of(20, 9), State::Closed);
    assert_eq!(of(20, 10), State::Open);
}

#[test]
fn a_dead_credential_or_deployment_opens_it_at_once() {
    for class in Class::ALL {
        let dead = [Class::Auth, Class::Quota, Class::Permission, Class::NotFound];
        let state = fail_with(Circuit::default(), failure(class, T0), T0).state();
        assert_eq!(state == State::Open, dead.contains(&class), "{class:?}");
    }
}

#[test]
fn retry_after_opens_it_at_once_until_then() {
    let of = |millis| {
        let retry_after = Some(millis);
        fail_with(Circuit::default(), Failure { retry_after, ..failure(Class::RateLimit, T0) }, T0)
    };
    assert_eq!(of(7_000).gate(T0), Gate::Open(T0 + 7_000));
    assert_eq!(of(u32::MAX).gate(T0), Gate::Open(T0 + 15 * 60 * 1000));
    assert_eq!(of(0).state(), State::Closed);
}

#[test]
fn what_counts_for_the_rate_only_opens_by_the_rate_only() {
    let of = |requests, class| {
        let seen = Counts { requests, failures: requests };
        let failure =
            Failure { seen, rate_only: true, retry_after: Some(9_000), ..failure(class, T0) };
        (0..9).fold(Circuit::default(), |circuit, _| fail_with(circuit, failure, T0))
    };
    assert_eq!(of(19, Class::Auth), Circuit::default());
    assert_eq!(of(20, Class::Server).gate(T0), Gate::Open(T0 + 2_000));
}

#[test]
fn while_open_a_success_does_not_close_it() {
    assert_eq!(succeed(open(), T0 - 9_000, T0 + 1), open());
    assert_eq!(succeed(open(), T0 + 1, T0 + 5_000), open());
}

#[test]
fn while_open_a_failure_does_not_extend_it() {
    assert_eq!(fail(open(), T0 + 1_000), open());
    assert_eq!(fail(open(), T0 + 5_000), open());
}

#[test]
fn while_open_retry_after_extends_it_but_not_for_ever() {
    let mut circuit = open();
    let asked = |now| Failure { retry_after: Some(60_000), ..failure(Class::RateLimit, now) };
    circuit = fail_with(circuit, asked(T0), T0 + 500);
    assert_eq!(until(circuit), T0 + 60_500);
    for minute in 1..60 {
        let now = T0 + minute * 60_000;
        circuit = fail_with(circuit, asked(now), now);
    }
    assert_eq!(until(circuit), T0 + MAX_RETRY_AFTER.as_millis() as u64);
}

#[test]
fn when_its_time_is_up_the_first_trial_makes_it_half_open() {
    assert_eq!(open().gate(T0 + 2_000), Gate::Trial);
    let (circuit, permit) = half_open(T0 + 2_000);
    assert_eq!((circuit.state(), permit), (State::HalfOpen, T0 + 2_000));
    assert_eq!(circuit.gate(T0 + 2_000), Gate::HalfOpen);
    assert_eq!(circuit.admit(T0 + 2_000), Err(Refused::Trying));
}

#[test]
fn each_success_lets_one_more_try_at_a_time() {
    let now = T0 + 2_000;
    let (mut circuit, permit) = half_open(now);
    circuit = succeed(circuit.release(permit), permit, now);
    for at_a_time in 2..=4 {
        let mut permits = Vec::new();
        while let Ok((next, permit)) = circuit.admit(now) {
            permits.push(permit.unwrap());
            circuit = next;
        }
        assert_eq!(permits.len(), at_a_time);
        for permit in &permits {
            circuit = circuit.release(*permit);
        }
        circuit = succeed(circuit, permits[0], now);
    }
    assert_eq!(circuit.state(), State::HalfOpen);
}

#[test]
fn trials_at_a_time_are_bounded() {
    let patient = Breaker { close_after: 1_000, ..settings() };
    let (mut circuit, permit) = half_open(T0 + 2_000);
    for _ in 0..100 {
        circuit = circuit.succeeded(permit, T0 + 2_000, &patient);
    }
    circuit = circuit.release(permit);
    let mut trying = 0;
    while let Ok((next, _)) = circuit.admit(T0 + 2_000) {
        circuit = next;
        trying += 1;
    }
    assert_eq!(trying, MAX_TRIALS);
}

#[test]
fn enough_successes_close_it_and_reset_the_backoff() {
    let now = T0 + 2_000;
    let (mut circuit, permit) = half_open(now);
    for _ in 0..4 {
        circuit = succeed(circuit, permit, now);
    }
    assert_eq!(circuit.state(), State::HalfOpen);
    circuit = succeed(circuit, permit, now);
    assert_eq!(circuit, Circuit::Closed { since: now, streak: 0 });
    let again = (0..5).fold(circuit, |circuit, _| fail(circuit, now));
    assert_eq!(until(again), now + 2_000);
}

#[test]
fn a_failed_trial_opens_it_again_for_twice_as_long_up_to_the_cap() {
    let mut circuit = open();
    let mut times = Vec::new();
    for _ in 0..8 {
        let now = until(circuit);
        let (trying, permit) = circuit.admit(now).unwrap();
        // Half of the range of jitter of each length.
        let plain = trying.opened().min(5);
        let length = (2_000_u64 << plain).min(60_000);
        let failure = failure(Class::Server, permit.unwrap());
        circuit = trying.failed(&failure, now, length / 5, &settings());
        times.push(until(circuit) - now);
    }
    assert_eq!(times, [4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000]);
}

#[test]
fn jitter_is_a_fifth_either_way_and_stays_below_the_cap() {
    for random in (0..100_000).step_by(7) {
        let first = wait(0, random, &settings());
        assert!((1_600..=2_400).contains(&first), "{first}");
        let last = wait(u32::MAX, random, &settings());
        assert!((48_000..=60_000).contains(&last), "{last}");
    }
}

#[test]
fn a_trial_that_fails_with_retry_after_waits_for_the_longer_of_the_two() {
    let now = T0 + 2_000;
    let (circuit, permit) = half_open(now);
    let of = |millis| {
        let failure = Failure { retry_after: Some(millis), ..failure(Class::RateLimit, permit) };
        circuit.failed(&failure, now, 800, &settings())
    };
    assert_eq!(until(of(1_000)), now + 4_000);
    assert_eq!(until(of(30_000)), now + 30_000);
}

#[test]
fn an_abandoned_trial_frees_its_permit_and_says_nothing() {
    let (circuit, permit) = half_open(T0 + 2_000);
    let freed = circuit.release(permit);
    assert_eq!(freed.gate(T0 + 2_000), Gate::Trial);
    assert!(matches!(freed, Circuit::HalfOpen { successes: 0, opened: 1, .. }));
}

#[test]
fn a_trial_that_never_tells_frees_its_permit_after_a_minute() {
    let now = T0 + 2_000;
    let (circuit, _) = half_open(now);
    assert_eq!(circuit.gate(now + TRIAL_TIMEOUT - 1), Gate::HalfOpen);
    assert_eq!(circuit.gate(now + TRIAL_TIMEOUT), Gate::Trial);
    assert!(circuit.admit(now + TRIAL_TIMEOUT).is_ok());
}

#[test]
fn a_slow_success_from_before_it_opened_does_not_close_it() {
    let (circuit, _) = half_open(T0 + 2_000);
    let after = (0..20).fold(circuit, |circuit, _| succeed(circuit, T0 - 1, T0 + 2_001));
    assert_eq!(after, circuit);
}

#[test]
fn a_slow_failure_from_before_it_opened_does_not_fail_its_trials() {
    let now = T0 + 2_000;
    let (circuit, _) = half_open(now);
    assert_eq!(fail_with(circuit, failure(Class::Timeout, T0 - 1), now), circuit);
    let asked = Failure { retry_after: Some(9_000), ..failure(Class::RateLimit, T0 - 1) };
    assert_eq!(until(fail_with(circuit, asked, now)), now + 9_000);
}

#[test]
fn slow_failures_from_before_it_closed_do_not_open_it_again() {
    let closed = Circuit::Closed { since: T0, streak: 0 };
    let seen = Counts { requests: 100, failures: 100 };
    for class in [Class::Timeout, Class::Auth] {
        let late = Failure { seen, ..failure(class, T0 - 1) };
        assert_eq!((0..9).fold(closed, |circuit, _| fail_with(circuit, late, T0 + 1)), closed);
    }
}

#[test]
fn a_worker_whose_clock_is_behind_still_has_a_trial_that_counts() {
    let now = T0 + 2_000;
    let (circuit, permit) = half_open(now);
    let circuit = succeed(circuit.release(permit), permit, now);
    let (circuit, permit) = circuit.admit(now - 3).unwrap();
    let after = succeed(circuit.release(permit.unwrap()), permit.unwrap(), now - 2);
    assert!(matches!(after, Circuit::HalfOpen { successes: 2, .. }));
}

#[test]
fn a_clock_that_is_set_back_does_not_hold_it_open() {
    let hour = 3_600_000;
    assert_eq!(open().gate(T0 - hour), Gate::Trial);
    assert_eq!(open().gate(T0 - 1_000), Gate::Open(T0 + 2_000));
    let (circuit, _) = half_open(T0 + 2_000);
    assert_eq!(circuit.gate(T0 - hour), Gate::Trial);
}
