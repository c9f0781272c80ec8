//! Metrics of newer prices.
//!
//! | name | kind | labels | of |
//! |---|---|---|---|
//! | `waypost_prices` | counter | outcome | documents that were `taken`, `refused`, or `unchanged`, and polls that `failed` |

use super::name::Name;

/// The counter of what became of documents and polls.
#[must_use]
pub fn outcome(outcome: &str) -> String {
    Name::new("prices").with("outcome", outcome).0
}
