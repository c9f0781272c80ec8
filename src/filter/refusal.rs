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
    /// What is left of limits, as headers.
    pub limits: Vec<(&'static str, String)>,
    /// The limit or budget that refused it, by its word in the configuration.
    pub limit: Option<&'static str>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self {
            error: Box::new(error),
            rule: String::new(),
            skipped: Vec::new(),
            limits: Vec::new(),
            limit: None,
        }
    }
}

impl Refusal {
    /// The refusal of a request for which there was a plan.
    #[must_use]
    pub fn of(error: Error, plan: Plan) -> Self {
        Self { rule: plan.rule, skipped: plan.skipped, ..Self::from(error) }
    }
}
