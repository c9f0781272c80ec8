//! Who asks, what they may use, what they used and what it cost.
//!
//! ```text
//!  credential ──► Caller ──► may it? ──► reserve ──► … attempts … ──► settle, once
//!                                          │ accounts: one for each tenant, team, tier, user, model, provider
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | [`settings`] | tenants and their terms, as a configuration says them |
//! | [`caller`] | whom a request belongs to |
//! | [`key`] | virtual keys and their hashes |
//! | [`index`] | places by hashes |
//! | [`identity`] | from what a request shows to its caller |

pub mod caller;
pub mod identity;
pub mod index;
pub mod key;
pub mod settings;

pub use caller::{Caller, Proof};
pub use identity::{Key, Named, Source};
pub use settings::{Budget, Exhausted, Limits, May, Rates, Shared, Tenancy, Tenant, Terms};
