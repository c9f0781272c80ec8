//! A request that goes nowhere.

use crate::openai::Error;
use crate::routing::{Plan, Skipped};

/// What the client is told, and what the record says of it.
#[derive(Debug)]
pub struct Refusal {
    /// What the client is told.
    pub error: Box<Error>,
    /// The rule that took it; empty when it did not come so far.
    pub rule: String,
    /// Who could not serve it.
    pub skipped: Vec<Skipped>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error: Box::new(error), rule: String::new(), skipped: Vec::new() }
    }
}

impl Refusal {
    /// The refusal of a request for which there was a plan.
    #[must_use]
    pub fn of(error: Error, plan: Plan) -> Self {
        Self { error: Box::new(error), rule: plan.rule, skipped: plan.skipped }
    }
}
