//! What an account keeps when another configuration comes, and by whose terms it is used then.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

#[test]
fn a_new_configuration_finds_what_was_used_under_the_old_one() {
    let store = Memory::new();
    let old = limited(Limits { requests: per_minute(10), ..concurrent(5) });
    let before = Ledger::new(Zone::UTC, LEASE, None);
    let holds: Vec<Hold> =
        (0..5).map(|_| before.reserve(&old, charge(0, 0), &store, T0).unwrap()).collect();
    let after = Ledger::new(Zone::UTC, LEASE / 3, None);
    let new = limited(Limits { requests: per_minute(6), ..concurrent(5) });
    assert!(after.reserve(&new, charge(0, 0), &store, T0).is_err());
    holds.into_iter().for_each(|hold| drop(before.settle(hold, charge(0, 0), &store, T0)));
    let hold = after.reserve(&new, charge(0, 0), &store, T0).unwrap();
    assert_eq!(hold.remaining().requests.unwrap().remaining, 0);
    after.settle(hold, charge(0, 0), &store, T0);
    // A limit that there was not before begins empty, and one of a kind that is gone binds nobody.
    let other = limited(tokens(per_minute(10)));
    assert!(after.reserve(&other, charge(10, 0), &store, T0).is_ok());
}

#[test]
fn a_request_of_the_old_configuration_fills_no_bucket_of_the_new_one() {
    for old in [requests(per_minute(60_000)), concurrent(5)] {
        let (store, before, after) = (Memory::new(), ledger(), ledger());
        let old = limited(old);
        let mut stream = before.reserve(&old, charge(4, 0), &store, T0).unwrap();
        let other = before.reserve(&old, charge(4, 0), &store, T0).unwrap();
        let limits = Limits { requests: per_minute(2), tokens: per_minute(10), concurrent: None };
        let new = limited(limits);
        let mut now = T0 + 600_000;
        for _ in 0..2 {
            let hold = after.reserve(&new, charge(5, 0), &store, now).unwrap();
            after.settle(hold, charge(5, 0), &store, now);
        }
        now += 1_000;
        before.renew(&mut stream, &store, now);
        assert_eq!(after.reserve(&new, charge(1, 0), &store, now).unwrap_err().wait, Some(29_000));
        before.settle(other, charge(4, 0), &store, now);
        before.settle(stream, charge(4, 0), &store, now);
        assert_eq!(after.reserve(&new, charge(1, 0), &store, now).unwrap_err().wait, Some(29_000));
        assert!(after.reserve(&new, charge(0, 0), &store, now + 29_000).is_ok());
    }
}

#[test]
fn a_request_of_an_older_time_zone_does_not_begin_the_day_before_anew() {
    let (store, before) = (Memory::new(), ledger());
    let after = Ledger::new(Zone::parse("+14:00").unwrap(), LEASE, None);
    let subjects = budgeted(daily(100));
    let mut stream = before.reserve(&subjects, charge(1, 5), &store, T0).unwrap();
    let now = T0 + HOUR;
    after.spend(&subjects[0], charge(1, 60), &store, now);
    before.renew(&mut stream, &store, now);
    assert_eq!(after.account(&subjects[0], &store, now).day.money, 60);
    before.settle(stream, charge(1, 7), &store, now);
    assert_eq!(after.account(&subjects[0], &store, now).day.money, 67);
    // Nor do those that still come under it, or whoever goes back to it.
    for ledger in [&before, &after, &before] {
        assert!(ledger.reserve(&subjects, charge(1, 34), &store, now).is_err());
        ledger.spend(&subjects[0], charge(1, 1), &store, now);
    }
    assert_eq!(after.account(&subjects[0], &store, now).day.money, 70);
    // The day ends when it did before, and the next one is of the new zone.
    assert_eq!(after.account(&subjects[0], &store, MIDNIGHT - 1).day.money, 70);
    after.spend(&subjects[0], charge(1, 9), &store, MIDNIGHT);
    assert_eq!(after.account(&subjects[0], &store, MIDNIGHT).day.money, 9);
    assert_eq!(after.account(&subjects[0], &store, MIDNIGHT + 10 * HOUR).day.money, 0);
}

#[test]
fn a_day_that_a_clock_far_ahead_began_does_not_last_until_then() {
    let (store, ledger) = (Memory::new(), ledger());
    let subjects = budgeted(daily(100));
    ledger.spend(&subjects[0], charge(1, 60), &store, T0 + 1_000 * HOUR);
    assert_eq!(ledger.account(&subjects[0], &store, T0).day.money, 0);
    // A clock that is set back over midnight goes on with the day that had begun.
    ledger.spend(&subjects[0], charge(1, 60), &store, MIDNIGHT + 1);
    assert_eq!(ledger.account(&subjects[0], &store, MIDNIGHT - HOUR / 2).day.money, 60);
}

/// A store for requests of a connection.
struct On<'a>(&'a Memory, u64);

impl Store for On<'_> {
    fn read(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.0.read(key)
    }
    fn write(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        self.0.write(key, value, version)
    }
    fn connection(&self) -> Option<u64> {
        Some(self.1)
    }
}

#[test]
fn requests_on_connections_of_an_older_configuration_are_admitted_by_the_terms_of_now() {
    let (store, before, after) = (Memory::new(), ledger(), ledger());
    let budget = Budget { status: 429, ..daily(1_000) };
    let all =
        Limits { requests: per_minute(60_000), tokens: per_minute(60_000), concurrent: Some(9) };
    let old = [of(Kind::Tenant, "a", all, Some(budget))];
    let limits = Limits { requests: per_minute(4), ..concurrent(5) };
    let new = [of(Kind::Tenant, "a", limits, Some(daily(100)))];
    let first = before.reserve(&old, charge(9, 10), &On(&store, 7), T0).unwrap();
    let _second = after.reserve(&new, charge(9, 10), &On(&store, 8), T0).unwrap();
    // Neither does the old one fill the bucket up, nor does it ask for what it took before.
    for second in 1..=10 {
        let now = T0 + second * 1_000;
        let refused = before.reserve(&old, charge(9, 81), &On(&store, 7), now).unwrap_err();
        assert_eq!((refused.what, refused.limit), (What::Budget(Span::Day), 100));
        assert_eq!((refused.status, refused.remaining.requests.unwrap().limit), (429, 4));
    }
    let now = T0 + 10_000;
    let _third = before.reserve(&old, charge(9, 0), &On(&store, 7), now).unwrap();
    let _fourth = after.reserve(&new, charge(9, 0), &On(&store, 9), now).unwrap();
    for (ledger, subjects, connection) in [(&before, &old, 7), (&after, &new, 9)] {
        let refused = ledger.reserve(subjects, charge(9, 0), &On(&store, connection), now);
        assert_eq!(refused.unwrap_err().what, What::Requests(Window::Minute));
    }
    before.settle(first, charge(30, 10), &On(&store, 7), now);
    // It need not be one that was admitted who brings the terms.
    let none = [of(Kind::Tenant, "a", requests(per_minute(0)), None)];
    assert!(after.reserve(&none, charge(0, 0), &On(&store, 9), now).is_err());
    assert!(before.reserve(&old, charge(0, 0), &On(&store, 7), now).is_err());
    // Who takes the old one up again opens new connections under it.
    let hold = before.reserve(&old, charge(60_000, 0), &On(&store, 10), now).unwrap();
    assert_eq!(hold.remaining().requests.unwrap().limit, 60_000);
    let hold = after.reserve(&new, charge(0, 0), &On(&store, 9), now).unwrap();
    assert_eq!(hold.remaining().requests.unwrap().limit, 60_000);
}

#[test]
fn a_providers_budget_is_that_of_whoever_asks() {
    let (store, before, after) = (Memory::new(), ledger(), ledger());
    let cap = |nano| [of(Kind::Provider, "p", Limits::default(), Some(daily(nano)))];
    for (ledger, nano, connection) in [(&before, 50, 7), (&after, 90, 3), (&before, 50, 8)] {
        let store = On(&store, connection);
        let refused = ledger.reserve(&cap(nano), charge(0, nano + 1), &store, T0).unwrap_err();
        assert_eq!(refused.limit, nano);
        let hold = ledger.reserve(&cap(nano), charge(0, nano), &store, T0).unwrap();
        ledger.settle(hold, NOTHING, &store, T0);
    }
}

#[test]
fn what_was_never_taken_of_a_limit_is_not_given_back_to_it() {
    let (store, before, after) = (Memory::new(), ledger(), ledger());
    let old = [of(Kind::Tenant, "a", concurrent(5), None)];
    let new = limited(tokens(per_minute(100)));
    let stream = before.reserve(&old, charge(90, 0), &On(&store, 1), T0).unwrap();
    let _other = after.reserve(&new, charge(70, 0), &On(&store, 2), T0).unwrap();
    before.settle(stream, charge(10, 0), &On(&store, 1), T0);
    assert_eq!(after.account(&new[0], &store, T0).remaining().tokens.unwrap().remaining, 30);
    // And one that took of the new limit, though its own terms have none, is corrected.
    let late = before.reserve(&old, charge(20, 0), &On(&store, 1), T0).unwrap();
    before.settle(late, charge(5, 0), &On(&store, 1), T0);
    assert_eq!(after.account(&new[0], &store, T0).remaining().tokens.unwrap().remaining, 25);
}
