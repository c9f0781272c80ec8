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
use super::ledger::hash;
use crate::store::{ABSENT, Store};

/// Sets of slots.
pub const SETS: u64 = 4_096;

/// Slots of a set.
pub const WAYS: u8 = 4;

/// Most bytes of the name of a user with its tenant's: longer ones are cut, and those that begin
/// alike share an account.
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

/// Finds the place of a user; nothing when all slots of its set are of users with requests in flight.
/// Reads as many slots as were ever used before its own.
pub fn find(first: &str, name: &str, store: &dyn Store, moment: &Moment) -> Option<Place> {
    let mut best: Option<((bool, u64), Place)> = None;
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
                (true, account.worth(moment))
            }
            _ => (false, 0),
        };
        if best.as_ref().is_none_or(|(known, _)| rank < *known) {
            best = Some((rank, Place { key, account: None, version, evicts: rank.0 }));
        }
    }
    best.map(|(_, place)| place)
}

/// All users who have an account, with their tenants.
pub fn each(store: &dyn Store, mut found: impl FnMut(&str, Account)) {
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
