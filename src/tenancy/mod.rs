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
//! | [`name`] | what whoever asks is called: the same in accounts and records |
//! | [`ledger`] | accounts over all workers: reserve, settle |
//! | [`hold`] | reservations |
//! | [`subject`] | whom an account belongs to |
//! | [`charge`] | what a request uses |
//! | [`account`] | what one subject has used: one value of the store |
//! | [`bucket`] | token buckets |
//! | [`bound`] | what is bounded, by how much, and what is left of it |
//! | [`exceeded`] | which limit refuses a request, and when it would not |
//! | [`hourly`] | what it spends in an hour, and what it usually does |
//! | [`news`] | what is worth telling of an account |
//! | [`alert`] | whom it is told of |
//! | [`snapshot`] | what was spent, as JSON, and how another Envoy takes it over |
//! | [`users`] | accounts of users, in a bounded number of slots |
//! | [`calendar`] | dates as numbers of days |
//! | [`period`] | days and months of a time zone |
//! | [`zone`] | time zones |
//! | [`key`] | virtual keys and their hashes |
//! | [`index`] | places by hashes |
//! | [`identity`] | from what a request shows to its caller |
//! | [`permission`] | what a tenant may ask for |

pub mod account;
pub mod alert;
pub mod bound;
pub mod bucket;
pub mod calendar;
pub mod caller;
pub mod charge;
pub mod exceeded;
pub mod hold;
pub mod hourly;
pub mod identity;
pub mod index;
pub mod key;
pub mod ledger;
pub mod name;
pub mod news;
pub mod period;
pub mod permission;
pub mod settings;
pub mod snapshot;
pub mod subject;
pub mod users;
pub mod zone;

pub use alert::Alert;
pub use bound::{Remaining, What};
pub use bucket::{Left, Window};
pub use caller::{Caller, Proof};
pub use charge::Charge;
pub use exceeded::Exceeded;
pub use hold::Hold;
pub use identity::{Key, Named, Source};
pub use ledger::{LEASE, Ledger, Owed};
pub use news::{Anomaly, News};
pub use period::Span;
pub use settings::{Budget, Exhausted, Limits, May, Rates, Shared, Tenancy, Tenant, Terms};
pub use subject::{Kind, Subject};
pub use zone::Zone;
