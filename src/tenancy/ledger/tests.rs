mod reload;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::providers::catalogue::NanoUsd;
use crate::store::memory::Memory;
use crate::tenancy::bucket::Window;
use crate::tenancy::news::News;
use crate::tenancy::period::Span;
use crate::tenancy::settings::{Budget, Limits, Rates, Terms};

/// 2026-11-21 12:00 UTC.
const T0: Millis = 1_795_262_400_000;
const HOUR: Millis = 3_600_000;
const MIDNIGHT: Millis = T0 + 12 * HOUR;

fn ledger() -> Ledger {
    Ledger::new(Zone::UTC, LEASE, None)
}

fn of(kind: Kind, name: &str, limits: Limits, budget: Option<Budget>) -> Rc<Subject> {
    Subject::new(kind, name, &Rc::new(Terms { limits, budget })).unwrap()
}

fn limited(limits: Limits) -> [Rc<Subject>; 1] {
    [of(Kind::Tenant, "a", limits, None)]
}

fn requests(rates: Rates) -> Limits {
    Limits { requests: rates, ..Limits::default() }
}

fn tokens(rates: Rates) -> Limits {
    Limits { tokens: rates, ..Limits::default() }
}

fn concurrent(most: u32) -> Limits {
    Limits { concurrent: Some(most), ..Limits::default() }
}

fn per_second(limit: u64) -> Rates {
    Rates { second: Some(limit), ..Rates::default() }
}

fn per_minute(limit: u64) -> Rates {
    Rates { minute: Some(limit), ..Rates::default() }
}

fn daily(nano: u64) -> Budget {
    Budget { day: Some(NanoUsd(nano)), ..Budget::default() }
}

fn budgeted(budget: Budget) -> [Rc<Subject>; 1] {
    [of(Kind::Tenant, "a", Limits::default(), Some(budget))]
}

const fn charge(tokens: u64, nano: u64) -> Charge {
    Charge { requests: 1, tokens, cost: NanoUsd(nano) }
}

const NOTHING: Charge = Charge { requests: 0, tokens: 0, cost: NanoUsd(0) };

/// A store that another worker is always quicker at.
struct Jammed<'a>(&'a Memory);

impl Store for Jammed<'_> {
    fn read(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.0.read(key)
    }
    fn write(&self, _: &str, _: &[u8], _: Option<u32>) -> bool {
        false
    }
}

#[test]
fn terms_that_bound_nothing_have_no_account() {
    let none = Rc::new(Terms { budget: Some(Budget::default()), ..Terms::default() });
    assert!(Subject::new(Kind::Tenant, "a", &none).is_none());
    assert!(Subject::within(Kind::User, "a", "u", &none).is_none());
    let store = Memory::new();
    let hold = ledger().reserve(&[], charge(5, 5), &store, T0).unwrap();
    assert_eq!(hold.remaining(), Remaining::default());
    assert!(ledger().settle(hold, charge(5, 5), &store, T0).is_empty());
}

#[test]
fn a_limit_of_requests_refuses_and_says_when_again() {
    let (store, ledger) = (Memory::new(), ledger());
    let subjects = limited(requests(Rates { minute: Some(60), ..per_second(2) }));
    for remaining in [1, 0] {
        let hold = ledger.reserve(&subjects, charge(0, 0), &store, T0).unwrap();
        let left = hold.remaining().requests.unwrap();
        assert_eq!((left.window, left.limit, left.remaining), (Window::Second, 2, remaining));
        ledger.settle(hold, charge(9, 9), &store, T0 + 10);
    }
    let refused = ledger.reserve(&subjects, charge(0, 0), &store, T0 + 10).unwrap_err();
    assert_eq!(refused.what, What::Requests(Window::Second));
    assert_eq!((refused.limit, refused.wait, refused.status), (2, Some(490), 429));
    assert!(ledger.reserve(&subjects, charge(0, 0), &store, T0 + 499).is_err());
    assert!(ledger.reserve(&subjects, charge(0, 0), &store, T0 + 500).is_ok());
}

#[test]
fn of_several_limits_the_longest_wait_is_told() {
    let (store, ledger) = (Memory::new(), ledger());
    let subjects = limited(requests(Rates { day: Some(1), ..per_second(1) }));
    let _ = ledger.reserve(&subjects, charge(0, 0), &store, T0).unwrap();
    let refused = ledger.reserve(&subjects, charge(0, 0), &store, T0).unwrap_err();
    assert_eq!(refused.what, What::Requests(Window::Day));
    assert_eq!(refused.wait, Some(24 * HOUR));
}

#[test]
fn tokens_are_corrected_by_what_was_used_in_either_direction() {
    let (store, ledger) = (Memory::new(), ledger());
    let subjects = limited(tokens(per_minute(1_000)));
    let left = |now| ledger.account(&subjects[0], &store, now).remaining();
    let hold = ledger.reserve(&subjects, charge(600, 0), &store, T0).unwrap();
    assert_eq!(hold.remaining().tokens.unwrap().remaining, 400);
    let refused = ledger.reserve(&subjects, charge(600, 0), &store, T0).unwrap_err();
    assert_eq!(refused.wait, Some(12_000));
    ledger.settle(hold, charge(100, 0), &store, T0);
    assert_eq!(left(T0).tokens.unwrap().remaining, 900);
    let hold = ledger.reserve(&subjects, charge(900, 0), &store, T0).unwrap();
    ledger.settle(hold, charge(1_900, 0), &store, T0);
    // The debt of 1000 and one more: a minute, and a thousandth of it.
    let refused = ledger.reserve(&subjects, charge(1, 0), &store, T0).unwrap_err();
    assert_eq!(refused.wait, Some(60_060));
}

#[test]
fn what_was_reserved_and_used_a_minute_later_is_not_used_twice() {
    let (store, ledger) = (Memory::new(), ledger());
    let limits = Limits { requests: per_second(1), tokens: per_minute(100), concurrent: None };
    let subjects = limited(limits);
    let hold = ledger.reserve(&subjects, charge(100, 0), &store, T0).unwrap();
    ledger.settle(hold, charge(100, 0), &store, T0 + 60_000);
    assert!(ledger.reserve(&subjects, charge(100, 0), &store, T0 + 60_000).is_ok());
}

#[test]
fn a_request_that_is_larger_than_its_limit_never_fits() {
    let (store, ledger) = (Memory::new(), ledger());
    let subjects = limited(tokens(per_minute(1_000)));
    let refused = ledger.reserve(&subjects, charge(1_001, 0), &store, T0).unwrap_err();
    assert_eq!((refused.wait, refused.limit, refused.wanted), (None, 1_000, 1_001));
    assert!(store.read("account/tenant/a").is_none());
}

#[test]
fn requests_at_a_time_are_counted_over_all_workers_until_they_are_settled() {
    let store = Memory::new();
    let (one, two) = (ledger(), ledger());
    let subjects = limited(concurrent(2));
    let first = one.reserve(&subjects, charge(0, 0), &store, T0).unwrap();
    let _second = two.reserve(&subjects, charge(0, 0), &store, T0).unwrap();
    let refused = one.reserve(&subjects, charge(0, 0), &store, T0).unwrap_err();
    assert_eq!((refused.what, refused.limit, refused.wait), (What::Concurrent, 2, None));
    one.settle(first, NOTHING, &store, T0);
    assert!(two.reserve(&subjects, charge(0, 0), &store, T0).is_ok());
}

#[test]
fn all_subjects_are_reserved_or_none() {
    let (store, ledger) = (Memory::new(), ledger());
    let tenant = of(Kind::Tenant, "a", requests(per_minute(10)), None);
    let team = of(Kind::Team, "t", requests(per_minute(1)), None);
    let subjects = [Rc::clone(&tenant), team];
    let _ = ledger.reserve(&subjects, charge(0, 0), &store, T0).unwrap();
    let refused = ledger.reserve(&subjects, charge(0, 0), &store, T0).unwrap_err();
    assert_eq!((refused.subject.kind, &*refused.subject.name), (Kind::Team, "t"));
    // The tightest of all, as it is.
    assert_eq!(refused.remaining.requests.unwrap().limit, 1);
    let left = ledger.account(&tenant, &store, T0).remaining();
    assert_eq!(left.requests.unwrap().remaining, 9);
}

#[test]
fn a_budget_refuses_what_would_exceed_it_with_what_is_reserved() {
    let (store, ledger) = (Memory::new(), ledger());
    let subjects = budgeted(daily(1_000));
    let first = ledger.reserve(&subjects, charge(1, 600), &store, T0).unwrap();
    let refused = ledger.reserve(&subjects, charge(1, 401), &store, T0).unwrap_err();
    assert_eq!(refused.what, What::Budget(Span::Day));
    assert_eq!((refused.limit, refused.wanted, refused.status), (1_000, 401, 402));
    assert_eq!(refused.wait, Some(12 * HOUR));
    // Though a smaller one fits.
    let second = ledger.reserve(&subjects, charge(1, 400), &store, T0).unwrap();
    ledger.settle(first, charge(1, 100), &store, T0);
    ledger.settle(second, charge(1, 900), &store, T0);
    // Used up: what is thought to cost nothing is refused as well.
    assert!(ledger.reserve(&subjects, charge(1, 0), &store, T0).is_err());
    assert!(ledger.reserve(&subjects, charge(1, 1_000), &store, MIDNIGHT).is_ok());
    let refused = ledger.reserve(&subjects, charge(1, 1_001), &store, MIDNIGHT).unwrap_err();
    assert_eq!(refused.wait, None);
}

#[test]
fn the_first_refusal_of_a_period_is_marked() {
    let store = Memory::new();
    let (one, two) = (ledger(), ledger());
    let subjects = budgeted(daily(100));
    let first = |ledger: &Ledger, now| {
        ledger.reserve(&subjects, charge(1, 101), &store, now).unwrap_err().first
    };
    assert!(first(&one, T0));
    assert!(!first(&two, T0) && !first(&one, T0 + 1));
    assert!(first(&two, MIDNIGHT));
    // Limits are no news.
    let subjects = limited(concurrent(0));
    assert!(!one.reserve(&subjects, charge(1, 1), &store, T0).unwrap_err().first);
}

#[test]
fn a_budget_that_falls_to_something_cheaper_holds_up_to_where_it_stops() {
    let (store, ledger) = (Memory::new(), ledger());
    let on_exhausted = Exhausted::Downgrade { stop_at: 120 };
    let subjects = budgeted(Budget { on_exhausted, ..daily(1_000) });
    ledger.spend(&subjects[0], charge(1, 1_000), &store, T0);
    let refused = ledger.reserve(&subjects, charge(1, 200), &store, T0).unwrap_err();
    assert_eq!((refused.on_exhausted, refused.first), (on_exhausted, true));
    let refused = ledger.reserve_downgraded(&subjects, charge(1, 201), &store, T0).unwrap_err();
    assert_eq!((refused.on_exhausted, refused.first), (Exhausted::Reject, true));
    let hold = ledger.reserve_downgraded(&subjects, charge(1, 200), &store, T0).unwrap();
    ledger.settle(hold, charge(1, 200), &store, T0);
    assert!(ledger.reserve_downgraded(&subjects, charge(1, 1), &store, T0).is_err());
}

#[test]
fn what_nothing_cheaper_helps_is_told_before_what_it_helps() {
    let (store, ledger) = (Memory::new(), ledger());
    let falls = Budget { on_exhausted: Exhausted::Downgrade { stop_at: 200 }, ..daily(10) };
    let subjects = [
        of(Kind::Tenant, "a", Limits::default(), Some(falls)),
        of(Kind::Team, "t", concurrent(0), None),
    ];
    let refused = ledger.reserve(&subjects, charge(1, 11), &store, T0).unwrap_err();
    assert_eq!(refused.subject.kind, Kind::Team);
}

#[test]
fn each_share_of_a_budget_is_told_once_a_period() {
    let store = Memory::new();
    let (one, two) = (ledger(), ledger());
    let subjects = budgeted(Budget { month: Some(NanoUsd(1_000)), ..daily(200) });
    let told = |alerts: Vec<Alert>| -> Vec<(Span, u16)> {
        alerts
            .iter()
            .filter_map(|alert| match alert.news {
                News::Share { span, percent, .. } => Some((span, percent)),
                News::Unusual { .. } => None,
            })
            .collect()
    };
    let spend =
        |ledger: &Ledger, nano, now| told(ledger.spend(&subjects[0], charge(1, nano), &store, now));
    assert_eq!(spend(&one, 99, T0), []);
    assert_eq!(spend(&two, 1, T0), [(Span::Day, 50)]);
    assert_eq!(spend(&one, 0, T0), []);
    assert_eq!(spend(&one, 400, T0), [(Span::Day, 80), (Span::Day, 100), (Span::Month, 50)]);
    assert_eq!(spend(&two, 100, T0), []);
    assert_eq!(spend(&two, 100, MIDNIGHT), [(Span::Day, 50)]);
}

#[test]
fn an_hour_far_above_the_usual_is_told_once() {
    let anomaly = Anomaly { percent: 300, at_least: NanoUsd(500) };
    let (store, ledger) = (Memory::new(), Ledger::new(Zone::UTC, LEASE, Some(anomaly)));
    let subject = of(Kind::Tenant, "a", concurrent(9), None);
    let spend = |nano, now| ledger.spend(&subject, charge(1, nano), &store, now);
    // A first hour is no usual one.
    assert!(spend(100_000, T0 - 100 * HOUR).is_empty());
    for hour in 0..24 {
        for _ in 0..5 {
            assert!(spend(1_000, T0 + hour * HOUR).is_empty(), "{hour}");
        }
    }
    let now = T0 + 24 * HOUR;
    let usual = ledger.account(&subject, &store, now).hourly.usual;
    let alerts = spend(usual * 3, now);
    assert_eq!(alerts.len(), 1);
    let News::Unusual { spent, .. } = alerts[0].news else { panic!("{alerts:?}") };
    assert_eq!(spent, NanoUsd(usual * 3));
    assert!(spend(usual * 3, now + 1).is_empty());
}

#[test]
fn a_morning_after_a_quiet_night_and_weekend_is_not_unusual() {
    let anomaly = Anomaly { percent: 300, at_least: NanoUsd(1) };
    let (store, ledger) = (Memory::new(), Ledger::new(Zone::UTC, LEASE, Some(anomaly)));
    let subject = of(Kind::Tenant, "a", concurrent(9), None);
    // Eight hours a day, five days a week, for three weeks.
    for hour in 0..24 * 21 {
        let busy = hour % 24 < 8 && hour / 24 % 7 < 5;
        if busy {
            let now = T0 + hour * HOUR;
            assert!(ledger.spend(&subject, charge(1, 1_000_000), &store, now).is_empty(), "{hour}");
        }
    }
    // But a night that is five times as dear as a day is.
    let night = T0 + (24 * 18 + 12) * HOUR;
    assert_eq!(ledger.spend(&subject, charge(1, 5_000_000), &store, night).len(), 1);
}

#[test]
fn reservations_of_a_worker_that_died_end_with_their_lease() {
    let (store, ledger) = (Memory::new(), ledger());
    let subjects = [of(Kind::Tenant, "a", concurrent(1), Some(daily(100)))];
    let lost = ledger.reserve(&subjects, charge(1, 100), &store, T0).unwrap();
    drop(lost);
    assert!(ledger.reserve(&subjects, charge(1, 1), &store, T0 + LEASE - 1).is_err());
    let later = T0 + LEASE * 3 / 2;
    let hold = ledger.reserve(&subjects, charge(1, 100), &store, later).unwrap();
    ledger.settle(hold, charge(1, 100), &store, later);
    assert_eq!(ledger.account(&subjects[0], &store, later).day.money, 100);
}

#[test]
fn what_is_renewed_does_not_end_and_is_counted_once() {
    let (store, ledger) = (Memory::new(), ledger());
    let subjects = [of(Kind::Tenant, "a", concurrent(1), Some(daily(100)))];
    let mut hold = ledger.reserve(&subjects, charge(1, 100), &store, T0).unwrap();
    for tick in 0..1_000 {
        let now = T0 + tick * 500;
        ledger.renew(&mut hold, &store, now);
        let account = ledger.account(&subjects[0], &store, now);
        assert_eq!((account.in_flight(), account.reserved()), (1, 100), "{tick}");
    }
    let end = T0 + 500_000;
    ledger.settle(hold, charge(1, 70), &store, end);
    let account = ledger.account(&subjects[0], &store, end);
    assert_eq!((account.in_flight(), account.reserved(), account.day.money), (0, 0, 70));
}

#[test]
fn what_is_settled_after_its_lease_is_charged_and_takes_nobody_elses_place() {
    let (store, ledger) = (Memory::new(), ledger());
    let subjects = [of(Kind::Tenant, "a", concurrent(2), Some(daily(1_000)))];
    let late = ledger.reserve(&subjects, charge(1, 300), &store, T0).unwrap();
    // The generation at the same place in the ring.
    let later = T0 + LEASE * 2;
    let _other = ledger.reserve(&subjects, charge(1, 200), &store, later).unwrap();
    ledger.settle(late, charge(1, 150), &store, later);
    let account = ledger.account(&subjects[0], &store, later);
    assert_eq!((account.in_flight(), account.reserved(), account.day.money), (1, 200, 150));
}

#[test]
fn what_is_reserved_on_one_day_is_charged_on_the_day_it_ends() {
    let (store, ledger) = (Memory::new(), ledger());
    let subjects = budgeted(daily(100));
    let hold = ledger.reserve(&subjects, charge(1, 60), &store, MIDNIGHT - 1).unwrap();
    // It still holds its place in the new day's budget.
    assert!(ledger.reserve(&subjects, charge(1, 41), &store, MIDNIGHT).is_err());
    ledger.settle(hold, charge(1, 60), &store, MIDNIGHT);
    let account = ledger.account(&subjects[0], &store, MIDNIGHT);
    assert_eq!((account.day.money, account.month.money), (60, 60));
}

#[test]
fn a_clock_that_is_set_back_locks_nobody_out_and_loses_no_place() {
    let (store, ledger) = (Memory::new(), ledger());
    let limits = Limits { requests: per_second(1), ..concurrent(2) };
    let subjects = [of(Kind::Tenant, "a", limits, Some(daily(100)))];
    let mut hold = ledger.reserve(&subjects, charge(1, 40), &store, T0).unwrap();
    let back = T0 - HOUR;
    ledger.renew(&mut hold, &store, back);
    let account = ledger.account(&subjects[0], &store, back);
    assert_eq!((account.in_flight(), account.reserved()), (1, 40));
    assert!(ledger.reserve(&subjects, charge(1, 1), &store, back + 500).is_err());
    let other = ledger.reserve(&subjects, charge(1, 1), &store, back + 1_000).unwrap();
    ledger.settle(other, charge(1, 1), &store, back + 1_000);
    ledger.settle(hold, charge(1, 40), &store, back + 1_000);
    let account = ledger.account(&subjects[0], &store, back + 1_000);
    assert_eq!((account.in_flight(), account.reserved(), account.day.money), (0, 0, 41));
}

#[test]
fn a_clock_a_moment_behind_midnight_does_not_begin_the_old_day_anew() {
    let (store, ledger) = (Memory::new(), ledger());
    let subjects = budgeted(daily(100));
    ledger.spend(&subjects[0], charge(1, 30), &store, MIDNIGHT);
    ledger.spend(&subjects[0], charge(1, 30), &store, MIDNIGHT - 2_000);
    ledger.spend(&subjects[0], charge(1, 30), &store, MIDNIGHT + 1);
    assert_eq!(ledger.account(&subjects[0], &store, MIDNIGHT + 1).day.money, 90);
}

#[test]
fn when_others_are_always_quicker_the_request_passes_and_is_charged_later() {
    let (store, ledger) = (Memory::new(), ledger());
    let limits = Limits { requests: per_minute(10), ..concurrent(1) };
    let subjects = [of(Kind::Tenant, "a", limits, Some(daily(100)))];
    let hold = ledger.reserve(&subjects, charge(1, 60), &Jammed(&store), T0).unwrap();
    assert_eq!(ledger.counts(), Counts { unreserved: 1, ..Counts::default() });
    assert!(ledger.settle(hold, charge(1, 55), &Jammed(&store), T0).is_empty());
    assert!(ledger.flush(&Jammed(&store), T0).is_empty());
    let alerts = ledger.flush(&store, T0);
    assert_eq!(alerts.len(), 1, "the half of the budget");
    let account = ledger.account(&subjects[0], &store, T0);
    assert_eq!((account.day.money, account.in_flight()), (55, 0));
    assert_eq!(account.remaining().requests.unwrap().remaining, 9);
    assert!(ledger.flush(&store, T0).is_empty());
    assert_eq!(ledger.account(&subjects[0], &store, T0).day.money, 55);
}

/// A store at which another worker does something before the first write.
struct Before<'a>(&'a Memory, Cell<Option<&'a dyn Fn()>>);

impl Store for Before<'_> {
    fn read(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.0.read(key)
    }
    fn write(&self, key: &str, value: &[u8], version: Option<u32>) -> bool {
        if let Some(before) = self.1.take() {
            before();
        }
        self.0.write(key, value, version)
    }
}

#[test]
fn what_another_worker_takes_meanwhile_is_refused_and_all_is_given_back() {
    let (store, ledger) = (Memory::new(), ledger());
    let tenant = of(Kind::Tenant, "a", requests(per_minute(10)), Some(daily(50)));
    let team = [of(Kind::Team, "t", concurrent(1), None)];
    let other = || drop(ledger.reserve(&team, charge(0, 0), &store, T0).unwrap());
    let subjects = [Rc::clone(&tenant), Rc::clone(&team[0])];
    let between = Before(&store, Cell::new(Some(&other)));
    let refused = ledger.reserve(&subjects, charge(0, 20), &between, T0).unwrap_err();
    assert_eq!(refused.what, What::Concurrent);
    let account = ledger.account(&tenant, &store, T0);
    assert_eq!((account.in_flight(), account.reserved(), account.day.money), (0, 0, 0));
    assert_eq!(account.remaining().requests.unwrap().remaining, 10);
}

#[test]
fn so_many_settlements_wait_and_those_beyond_are_counted() {
    let (store, ledger) = (Memory::new(), ledger());
    let subjects = budgeted(daily(1_000_000));
    for _ in 0..MAX_OWED + 3 {
        ledger.spend(&subjects[0], charge(1, 1), &Jammed(&store), T0);
    }
    assert_eq!(ledger.counts().lost, 3);
    ledger.flush(&store, T0);
    assert_eq!(ledger.account(&subjects[0], &store, T0).day.money, MAX_OWED as u64);
}

#[test]
fn bytes_that_are_no_account_are_one_that_has_used_nothing() {
    let (store, ledger) = (Memory::new(), ledger());
    let subjects = limited(requests(per_minute(1)));
    for garbage in [&b"garbage"[..], &[1; 20], &[3; 300]] {
        store.write("account/tenant/a", garbage, None);
        let hold = ledger.reserve(&subjects, charge(0, 0), &store, T0).unwrap();
        assert_eq!(hold.remaining().requests.unwrap().remaining, 0);
        assert!(ledger.reserve(&subjects, charge(0, 0), &store, T0).is_err());
    }
}

#[test]
fn an_account_is_read_as_it_was_written() {
    let (store, ledger) = (Memory::new(), ledger());
    let limits = Limits { requests: per_minute(10), tokens: per_minute(99), concurrent: Some(7) };
    let subjects = [of(Kind::Tenant, "a", limits, Some(daily(100)))];
    let _hold = ledger.reserve(&subjects, charge(3, 60), &store, T0).unwrap();
    ledger.spend(&subjects[0], charge(2, 7), &store, T0);
    let (value, _) = store.read("account/tenant/a").unwrap();
    assert_eq!(value.len(), super::super::account::BYTES);
    let (account, name) = Account::decode(&value).unwrap();
    assert!(name.is_empty());
    assert_eq!(account.encode(&[]), value);
    assert!(Account::decode(&value[..value.len() - 1]).is_none());
}
