//! Who may answer a request, in which order, and who is next when one fails.
//!
//! | file | what it is |
//! |---|---|
//! | [`decision`] | what is known of a request and of the world, and what is decided |
//! | [`mod@plan`] | a request and what it leads to: [`plan()`](plan::plan), then what leaves candidates out, then [`Plan::order`] |
//! | `rules` | which rule takes a request |
//! | [`wishes`] | what a client may choose |
//! | `require` | what a rule requires |
//! | [`estimate`] | tokens and money, before anybody counted |
//! | `cheaper` | what a request that must cost less may still be asked of |
//! | [`needs`] | what a request needs, and which candidates have it |
//! | [`skipped`] | why a candidate was not asked, or not in its turn |
//! | [`mod@comparable`] | of vectors: who may answer in place of whom |
//! | `order` | strategy, balance and health: the order in which candidates are asked |
//! | `scene` | what strategies and balances see |
//! | [`strategy`] | how the targets of a rule are ordered |
//! | `balance` | how the endpoints of a target are ordered |
//! | `chance` | draws from one number |
//! | [`explain`] | what a decision knew of each candidate, for people |
//! | [`attempts`] | what was tried, and what may be tried next |

pub mod attempts;
mod balance;
mod chance;
mod cheaper;
pub mod comparable;
pub mod decision;
pub mod estimate;
pub mod explain;
pub mod needs;
mod order;
pub mod plan;
mod require;
mod rules;
mod scene;
pub mod skipped;
pub mod strategy;
pub mod wishes;

pub use attempts::{Attempt, Attempts, Outcome, Spent, Total};
pub use comparable::comparable;
pub use decision::{Moment, Plan, Question};
pub use needs::Needs;
pub use order::all_saturated;
pub use plan::{models, plan};
pub use skipped::{Skipped, Why};
pub use wishes::Wishes;

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

#[cfg(test)]
mod tests;
