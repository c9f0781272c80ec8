//! Accounts of users: as many names as there may be, in a bounded number of slots, as Envoy never
//! frees a key.
//!
//! Each name belongs to one of [`SETS`] sets, and has one of its [`WAYS`] slots. Who comes new gets
//! the first that was never used, else the first in which nothing matters any more, else that of who
//! has spent least, who then begins anew. Where all have requests in flight, the newcomer is not
//! counted.

use super::account::Account;
use super::ledger::hash;
use crate::store::Store;

/// Sets of slots.
pub const SETS: u64 = 4_096;

/// Slots of a set.
pub const WAYS: usize = 4;

/// Most bytes of the name of a user with its tenant's: longer ones are cut, and those that begin
/// alike share an account.
pub const MAX_NAME: usize = 512;

/// The name that an account is kept under.
pub fn name(name: &str) -> &str {
    name.get(..name.floor_char_boundary(MAX_NAME)).unwrap_or(name)
}

/// What the keys of a user's set begin with.
pub fn keys(name: &str) -> String {
    ["account/user/", &(hash(name) % SETS).to_string(), "/"].concat()
}
