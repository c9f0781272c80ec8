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
//! | [`ledger`] | accounts over all workers: reserve, settle |
//! | [`hold`] | reservations |
//! | [`subject`] | whom an account belongs to |
//! | [`account`] | what one subject has used: one value of the store |
//! | [`bucket`] | token buckets |
//! | [`exceeded`] | which limit refuses a request, and when it would not |
//! | [`alert`] | what somebody is to be told of an account |
//! | [`snapshot`] | what was spent, as JSON, and how another Envoy takes it over |
//! | [`users`] | accounts of users, in a bounded number of slots |
//! | [`period`] | days and months of a time zone |
//! | [`zone`] | time zones |
//! | [`key`] | virtual keys and their hashes |
//! | [`index`] | places by hashes |
//! | [`identity`] | from what a request shows to its caller |
//! | [`permission`] | what a tenant may ask for |

pub mod account;
pub mod alert;
pub mod bucket;
pub mod caller;
pub mod exceeded;
pub mod hold;
pub mod identity;
pub mod index;
pub mod key;
pub mod ledger;
pub mod period;
pub mod permission;
pub mod settings;
pub mod snapshot;
pub mod subject;
pub mod users;
pub mod zone;

pub use account::Charge;
pub use alert::{Alert, Anomaly, News};
pub use bucket::{Left, Window};
pub use caller::{Caller, Proof};
pub use exceeded::{Exceeded, Remaining, What};
pub use hold::Hold;
pub use identity::{Key, Named, Source};
pub use ledger::{LEASE, Ledger};
pub use period::Span;
pub use settings::{Budget, Exhausted, Limits, May, Rates, Shared, Tenancy, Tenant, Terms};
pub use subject::{Kind, Subject};
pub use zone::Zone;
