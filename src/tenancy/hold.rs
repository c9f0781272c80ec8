//! Reservations.

use std::rc::Rc;

use super::account::Taken;
use super::bound::Remaining;
use super::charge::Charge;
use super::subject::Subject;

/// A reservation. Give it back with [`Ledger::settle`](super::Ledger::settle), or it stays until its
/// lease ends.
#[derive(Debug, Default)]
#[must_use = "it is reserved until it is settled or its lease ends"]
pub struct Hold {
    pub(super) charge: Charge,
    pub(super) held: Vec<Held>,
    pub(super) remaining: Remaining,
}

/// The reservation of one subject.
#[derive(Debug)]
pub(super) struct Held {
    pub subject: Rc<Subject>,
    /// The generation that it is in; nothing when it could not be written.
    pub began: Option<u64>,
    /// What it took of.
    pub taken: Taken,
}

impl Hold {
    /// What was left of all limits when it was made.
    #[must_use]
    pub const fn remaining(&self) -> Remaining {
        self.remaining
    }

    /// What was reserved.
    #[must_use]
    pub const fn charge(&self) -> Charge {
        self.charge
    }

    /// A reservation of nothing, of nobody: for requests that no account is kept for.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// For whom.
    pub fn subjects(&self) -> impl Iterator<Item = &Rc<Subject>> {
        self.held.iter().map(|held| &held.subject)
    }
}
