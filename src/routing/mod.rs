//! Who may answer a request, in which order, and who is next when one fails.
//!
//! | file | what it is |
//! |---|---|
//! | [`mod@plan`] | rules to candidates |
//! | [`needs`] | what a request needs, and which candidates have it |
//! | [`mod@comparable`] | of vectors: who may answer in place of whom |
//! | [`attempts`] | what was tried, and what may be tried next |

pub mod attempts;
pub mod comparable;
pub mod needs;
pub mod plan;

pub use attempts::{Attempt, Attempts, Outcome};
pub use comparable::comparable;
pub use needs::{Needs, Skipped, Why};
pub use plan::{Moment, Plan, Question, Wishes, models, plan};

use crate::health::Slot;

/// One way to get an answer: a model of a provider, through one of its endpoints. Places in the
/// configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// In `Gateway::providers`.
    pub provider: usize,
    /// In that provider's `models`.
    pub model: usize,
    /// In that provider's `endpoints`.
    pub endpoint: usize,
}

impl Candidate {
    /// Its place in the fleet; nothing when `gateway` is another configuration.
    #[must_use]
    pub fn slot(self, gateway: &crate::config::Gateway) -> Option<Slot> {
        let first = self.resolve(gateway)?.endpoint.slot;
        let model = u16::try_from(self.model).ok()?;
        Some(Slot { target: first.target.checked_add(model)?, ..first })
    }

    /// The provider, model and endpoint that it means; nothing when `gateway` is another
    /// configuration than the one it came from.
    #[must_use]
    pub fn resolve(self, gateway: &crate::config::Gateway) -> Option<Resolved<'_>> {
        let provider = gateway.providers.get(self.provider)?;
        Some(Resolved {
            provider,
            model: provider.models.get(self.model)?,
            endpoint: provider.endpoints.get(self.endpoint)?,
        })
    }
}

/// A candidate's parts.
#[derive(Clone, Copy, Debug)]
pub struct Resolved<'a> {
    /// Whom to ask.
    pub provider: &'a crate::config::Provider,
    /// For which model.
    pub model: &'a crate::config::Model,
    /// Through which cluster.
    pub endpoint: &'a crate::config::Endpoint,
}
