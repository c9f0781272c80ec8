//! What is worth telling of an account.

use super::period::Span;
use crate::providers::catalogue::NanoUsd;

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// So many per cent of a budget are spent: told once a period.
    Share {
        /// Of which period.
        span: Span,
        /// In per cent.
        percent: u16,
        /// What is spent in it.
        spent: NanoUsd,
        /// What may be.
        amount: NanoUsd,
    },
    /// The spend of this hour is far above the usual: told once an hour.
    Unusual {
        /// What is spent in it.
        spent: NanoUsd,
        /// What usually is.
        usual: NanoUsd,
    },
}

/// When the spend of an hour is told to be unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// From so many per cent of what is usual.
    pub percent: u32,
    /// But not below this.
    pub at_least: NanoUsd,
}
