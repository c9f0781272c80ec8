//! A request that goes nowhere.

use super::record::writer::MAX_RECORD_BYTES;
use crate::openai::Error;
use crate::openai::error::start;
use crate::routing::{Plan, Skipped};

/// What the client is told, and what the record says of it.
#[derive(Debug)]
pub struct Refusal {
    /// What the client is told.
    pub error: Box<Error>,
    /// The rule that took it; empty when it did not come so far.
    pub rule: String,
    /// The model asked for; empty when it did not come so far.
    pub model: String,
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
            model: String::new(),
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

    /// The refusal of a request for that model.
    #[must_use]
    pub fn of_model(mut self, model: &str) -> Self {
        start(model, MAX_RECORD_BYTES).clone_into(&mut self.model);
        self
    }
}
