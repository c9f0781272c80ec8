//! What of an exchange its client is told in headers.

use super::Exchange;
use crate::filter::asked::Asked;
use crate::providers::embeddings::NO_USAGE;
use crate::routing::{Attempt, Outcome};

impl Exchange {
    /// The headers that tell a client who answered.
    #[must_use]
    pub fn signature(&self, warnings: &[String]) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("x-request-id", self.origin.request_id.clone()),
            ("x-waypost-rule", self.rule.clone()),
            ("x-waypost-attempts", self.attempts.tried().len().to_string()),
        ];
        headers.extend(self.limits());
        let last = self.attempts.tried().last().and_then(|last| self.candidate(last.candidate));
        if let Some(found) = last {
            headers.push(("x-waypost-provider", found.provider.name.clone()));
            headers.push(("x-waypost-model", found.model.name.clone()));
        }
        // That of a stream is not known before its end.
        if self.parsed.includes_cost() && !self.flows_now() {
            headers.push((COST_USD, self.cost_number()));
        }
        let unknown = self.lacks_usage().then_some(NO_USAGE);
        let warnings = self.warnings.iter().chain(warnings).map(|text| &**text);
        let warnings: Vec<&str> = warnings.chain(unknown).collect();
        if !warnings.is_empty() {
            headers.push(("x-waypost-warnings", visible(&warnings.join(", "))));
        }
        headers
    }

    fn flows_now(&self) -> bool {
        self.attempts.tried().last().is_some_and(|last| last.outcome == Outcome::Flowing)
    }

    /// Whether vectors came without a count of tokens: the body says 0 then, and that is no count.
    fn lacks_usage(&self) -> bool {
        let uncounted = |last: &Attempt| {
            let estimated = last.spent.as_ref().is_some_and(|spent| spent.estimated);
            last.outcome == Outcome::Answered && estimated
        };
        matches!(self.parsed, Asked::Embeddings(_))
            && self.attempts.tried().last().is_some_and(uncounted)
    }
}

/// The response header with the cost of all attempts in US dollars, or `null`.
const COST_USD: &str = "x-waypost-cost-usd";

/// Longest `x-waypost-warnings`, in bytes.
pub(super) const MAX_WARNINGS_BYTES: usize = 1024;

/// A header's value may hold visible ASCII only; a client's own field names stand in warnings.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .take(MAX_WARNINGS_BYTES)
        .collect()
}
