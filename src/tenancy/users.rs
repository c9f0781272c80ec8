//! Accounts of users: as many names as there may be, in a bounded number of slots, as Envoy never
//! frees a key.
//!
//! Each name belongs to one of [`SETS`] sets, and has one of its [`WAYS`] slots. Who comes new gets
//! the first slot that was never used, else one in which nothing matters any more, else that of who
//! has spent least and has nothing in flight: that one begins anew when it comes again. Where all
//! have requests in flight, the newcomer is not counted, and only what its tenant may use holds.
//!
//! Who may choose names at will so pushes out only others that have spent as little: what is worth
//! remembering is forgotten last.

use super::account::{Account, Moment};
use crate::store::{ABSENT, Millis, Store};

/// Sets of slots.
pub const SETS: u64 = 4_096;

/// Slots of a set.
pub const WAYS: u8 = 4;

/// Most bytes of the name of a user with its tenant's. No request names a longer one
/// ([`kept`](super::name::kept)); of what a snapshot says the beginning counts.
pub const MAX_NAME: usize = 512;

/// The name that an account is kept under.
pub fn name(name: &str) -> &str {
    name.get(..name.floor_char_boundary(MAX_NAME)).unwrap_or(name)
}

/// The key of the first slot of a user's set.
pub fn key(name: &str) -> String {
    slot((hash(name) % SETS) as u16)
}

fn slot(set: u16) -> String {
    const DIGITS: &[u8] = b"0123456789abcdef";
    let digit = |shift: u16| DIGITS.get(usize::from(set >> shift & 15)).copied().unwrap_or(b'0');
    let mut key = String::from("account/user/");
    key.extend([digit(8), digit(4), digit(0), b'0'].map(char::from));
    key
}

/// The key of a slot of a set, made of that of its first.
fn way(first: &str, way: u8) -> String {
    let mut key = first.to_owned();
    key.pop();
    key.push(char::from(b'0' + way));
    key
}

/// FNV-1a.
pub(super) fn hash(key: &str) -> u64 {
    key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Where a user's account is, or where it may be written.
pub struct Place {
    /// The key.
    pub key: String,
    /// What the user has used; nothing of one who is new.
    pub account: Option<Account>,
    /// The version of the value that is there.
    pub version: u32,
    /// Whether somebody loses an account by it that still matters.
    pub evicts: bool,
}

/// Who goes first: whether the account matters, what was spent, and until when it matters.
type Rank = (bool, u64, Millis);

/// Finds the place of a user; nothing when all slots of its set are of users with requests in flight.
/// Reads as many slots as were ever used before its own.
pub fn find(first: &str, name: &str, store: &dyn Store, moment: &Moment) -> Option<Place> {
    let mut best: Option<(Rank, Place)> = None;
    for at in 0..WAYS {
        let key = way(first, at);
        let Some((value, version)) = store.read(&key) else {
            // Slots are used in their order: nobody is in those behind.
            let free = Place { key, account: None, version: ABSENT, evicts: false };
            return Some(match best {
                Some((_, place)) if !place.evicts => place,
                _ => free,
            });
        };
        let found = Account::decode(&value);
        let rank = match &found {
            Some((account, kept)) if *kept == name.as_bytes() => {
                let account = Some(*account);
                return Some(Place { key, account, version, evicts: false });
            }
            Some((account, _)) if account.until > moment.now => {
                if account.holds(moment) {
                    continue;
                }
                (true, account.worth(moment), account.until)
            }
            _ => (false, 0, 0),
        };
        if best.as_ref().is_none_or(|(known, _)| rank < *known) {
            best = Some((rank, Place { key, account: None, version, evicts: rank.0 }));
        }
    }
    best.map(|(_, place)| place)
}

/// All users who have an account, with their tenants.
pub fn each(store: &dyn Store, found: &mut dyn FnMut(&str, Account)) {
    for set in 0..SETS as u16 {
        let first = slot(set);
        for at in 0..WAYS {
            let Some((value, _)) = store.read(&way(&first, at)) else { break };
            let Some((account, name)) = Account::decode(&value) else { continue };
            if let Ok(name) = std::str::from_utf8(name) {
                found(name, account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::providers::catalogue::NanoUsd;
    use crate::store::memory::Memory;
    use crate::tenancy::settings::{Budget, Limits, Rates, Terms};
    use crate::tenancy::{Charge, Kind, LEASE, Ledger, Subject, Zone};

    const T0: Millis = 1_795_262_400_000;
    const MINUTE: Millis = 60_000;

    /// Names of one set.
    fn neighbours(count: usize) -> Vec<String> {
        let set = key("a\0u0");
        (0..).map(|at| format!("a\0u{at}")).filter(|name| key(name) == set).take(count).collect()
    }

    fn user(name: &str, limits: Limits, budget: Option<u64>) -> [Rc<Subject>; 1] {
        let budget = budget.map(|day| Budget { day: Some(NanoUsd(day)), ..Budget::default() });
        [Subject::new(Kind::User, name, &Rc::new(Terms { limits, budget })).unwrap()]
    }

    fn by_minute(name: &str) -> [Rc<Subject>; 1] {
        let requests = Rates { minute: Some(10), ..Rates::default() };
        user(name, Limits { requests, ..Limits::default() }, None)
    }

    fn by_day(name: &str) -> [Rc<Subject>; 1] {
        user(name, Limits::default(), Some(1_000))
    }

    const fn cost(nano: u64) -> Charge {
        Charge { requests: 1, tokens: 0, cost: NanoUsd(nano) }
    }

    fn ledger() -> Ledger {
        Ledger::new(Zone::UTC, LEASE, None)
    }

    #[test]
    fn users_of_one_set_have_accounts_of_their_own() {
        let (store, ledger) = (Memory::new(), ledger());
        let names = neighbours(WAYS.into());
        for round in 1..=3 {
            for (at, name) in names.iter().enumerate() {
                ledger.spend(&by_day(name)[0], cost(at as u64 + 1), &store, T0);
                let account = ledger.account(&by_day(name)[0], &store, T0);
                assert_eq!(account.day.money, (at as u64 + 1) * round);
            }
        }
        assert_eq!(ledger.counts().evicted, 0);
        let mut found = Vec::new();
        each(&store, &mut |name, account| found.push((name.to_owned(), account.day.money)));
        assert_eq!(found.len(), names.len());
        assert_eq!(found[1], (names[1].clone(), 6));
    }

    #[test]
    fn a_request_of_an_older_configuration_frees_no_slot() {
        let (store, ledger) = (Memory::new(), ledger());
        let names = neighbours(2);
        let limits = Limits { concurrent: Some(5), ..Limits::default() };
        let old = user(&names[0], limits, None);
        let stream = ledger.reserve(&old, cost(0), &store, T0).unwrap();
        for _ in 0..10 {
            let hold = ledger.reserve(&by_minute(&names[0]), cost(0), &store, T0).unwrap();
            ledger.settle(hold, cost(0), &store, T0);
        }
        ledger.settle(stream, cost(0), &store, T0);
        assert!(ledger.reserve(&by_minute(&names[1]), cost(0), &store, T0).is_ok());
        assert!(ledger.reserve(&by_minute(&names[0]), cost(0), &store, T0).is_err());
    }

    #[test]
    fn a_slot_in_which_nothing_matters_any_more_goes_to_another() {
        let (store, ledger) = (Memory::new(), ledger());
        let names = neighbours(5);
        let settle = |name: &str, now| {
            let subjects = by_minute(name);
            let hold = ledger.reserve(&subjects, cost(9), &store, now).unwrap();
            ledger.settle(hold, cost(9), &store, now);
        };
        names[..4].iter().for_each(|name| settle(name, T0));
        // One request of ten a minute is forgotten after six seconds.
        settle(&names[4], T0 + 6_001);
        assert_eq!(ledger.counts().evicted, 0);
        let gone = ledger.account(&by_minute(&names[0])[0], &store, T0 + 6_001);
        assert_eq!(gone.levels, Account::default().levels);
    }

    #[test]
    fn in_a_full_set_who_has_spent_least_begins_anew() {
        let (store, ledger) = (Memory::new(), ledger());
        let names = neighbours(6);
        for (name, nano) in names.iter().zip([50, 40, 7, 60]) {
            ledger.spend(&by_day(name)[0], cost(nano), &store, T0);
        }
        // Names made up to push others out push out only each other.
        for name in &names[4..] {
            ledger.spend(&by_day(name)[0], cost(1), &store, T0);
        }
        assert_eq!(ledger.counts().evicted, 2);
        let spent = |name: &String| ledger.account(&by_day(name)[0], &store, T0).day.money;
        assert_eq!(names.iter().map(spent).collect::<Vec<_>>(), [50, 40, 0, 60, 0, 1]);
    }

    #[test]
    fn nobody_with_a_request_in_flight_is_pushed_out() {
        let (store, ledger) = (Memory::new(), ledger());
        let names = neighbours(5);
        let holds: Vec<_> = names[..4]
            .iter()
            .map(|name| ledger.reserve(&by_day(name), cost(900), &store, T0).unwrap())
            .collect();
        for _ in 0..3 {
            let hold = ledger.reserve(&by_day(&names[4]), cost(900), &store, T0).unwrap();
            ledger.renew(&mut { hold }, &store, T0 + 1);
        }
        assert_eq!(ledger.counts().unreserved, 3);
        for (name, hold) in names.iter().zip(holds) {
            assert_eq!(ledger.account(&by_day(name)[0], &store, T0).in_flight(), 1);
            ledger.settle(hold, cost(1), &store, T0);
        }
        let hold = ledger.reserve(&by_day(&names[4]), cost(900), &store, T0).unwrap();
        ledger.settle(hold, cost(1), &store, T0);
        assert_eq!(ledger.account(&by_day(&names[4])[0], &store, T0).day.money, 1);
    }

    #[test]
    fn slots_are_bounded_however_many_names_there_are() {
        let (store, ledger) = (Memory::new(), ledger());
        for at in 0..20_000 {
            ledger.spend(&by_minute(&format!("a\0{at}"))[0], cost(1), &store, T0 + at * MINUTE);
        }
        let mut slots = 0;
        each(&store, &mut |_, _| slots += 1);
        assert!(slots <= SETS as usize, "{slots}");
        assert_eq!(ledger.counts().evicted, 0);
    }

    #[test]
    fn long_names_are_cut_at_a_character() {
        let long = format!("a\0{}é", "x".repeat(MAX_NAME - 3));
        assert_eq!(name(&long).len(), MAX_NAME - 1);
        let cut = name(&long);
        assert_eq!(name(cut), cut);
        let (one, two) = (by_day(&format!("{long}1")), by_day(&format!("{long}2")));
        assert_eq!(one[0].name, two[0].name);
    }

    #[test]
    fn keys_of_sets_differ() {
        let keys: std::collections::BTreeSet<String> = (0..SETS as u16).map(slot).collect();
        assert_eq!(keys.len(), SETS as usize);
        assert_eq!(way(&slot(0xabc), 3), "account/user/abc3");
    }
}
