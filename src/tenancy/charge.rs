//! What a request uses.

use crate::providers::catalogue::NanoUsd;

/// What a request uses, or may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Requests: 1, or 0 of what was never sent.
    pub requests: u32,
    /// Tokens of input and output.
    pub tokens: u64,
    /// Money.
    pub cost: NanoUsd,
}
