//! Why a candidate was not asked, or not in its turn.

use super::Candidate;
use crate::openai::error::start;

/// Longest reason why a candidate was not asked, in bytes.
pub const MAX_REASON_BYTES: usize = 200;

/// A candidate that was not asked, or not in its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Which.
    pub candidate: Candidate,
    /// Why, in a word.
    pub why: Why,
    /// Why, in at most [`MAX_REASON_BYTES`].
    pub reason: String,
}

impl Skipped {
    /// Notes why.
    #[must_use]
    pub fn new(candidate: Candidate, why: Why, reason: &str) -> Self {
        Self { candidate, why, reason: start(reason, MAX_REASON_BYTES).to_owned() }
    }
}

/// Why a candidate was not asked, or not in its turn: a label of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The request needs what the model does not have, or the rule requires it.
    Capability,
    /// The request does not fit into its window.
    ContextLength,
    /// Its dialect cannot express the request, or its vectors cannot be compared.
    Inexpressible,
    /// The rule requires another region.
    Region,
    /// It costs more than the rule allows.
    Price,
    /// It is slower than the rule allows.
    Latency,
    /// Its score is below what the rule requires.
    Quality,
    /// It fails more often than the rule allows: asked after the others.
    Failing,
    /// Its breaker is open, or half-open with others trying: asked last.
    Breaker,
    /// All that may be in flight there is.
    Saturated,
    /// The money for it is used up: its provider's, or what is left of the client's needs a cheaper one.
    Budget,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Capability,
        Self::ContextLength,
        Self::Inexpressible,
        Self::Region,
        Self::Price,
        Self::Latency,
        Self::Quality,
        Self::Failing,
        Self::Breaker,
        Self::Saturated,
        Self::Budget,
    ];

    /// The word for logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Capability => "capability",
            Self::ContextLength => "context_length",
            Self::Inexpressible => "inexpressible",
            Self::Region => "region",
            Self::Price => "price",
            Self::Latency => "latency",
            Self::Quality => "quality",
            Self::Failing => "failing",
            Self::Breaker => "breaker",
            Self::Saturated => "saturated",
            Self::Budget => "budget",
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_reason_has_a_bound() {
        let candidate = Candidate { provider: 0, model: 0, endpoint: 0 };
        let skipped = Skipped::new(candidate, Why::Capability, &"é".repeat(MAX_REASON_BYTES));
        assert_eq!(skipped.reason.len(), MAX_REASON_BYTES);
        assert_eq!(Skipped::new(candidate, Why::Capability, "short").reason, "short");
    }
}
