//! What is told of a request, as it stands in JSON.

use serde::Serialize;
use serde_json::value::RawValue;

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    pub gateways: Vec<Explained>,
}

/// What one gateway makes of the request.
#[derive(Debug, Serialize)]
pub(super) struct Explained {
    /// The name of its listener.
    pub gateway: String,
    /// The request as it was understood; nothing of one that was not.
    pub request: Option<Requested>,
    /// When the status was true, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_at: Option<u64>,
    /// Clusters of which the status says nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_in_status: Vec<String>,
    /// One; several where it depends on what only Envoy can tell.
    pub decisions: Vec<Decided>,
}

/// A request as rules see it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Requested {
    pub operation: &'static str,
    pub model: String,
    pub stream: bool,
    pub estimated_input_tokens: u64,
    /// Those of them that are taken for read from a prompt cache.
    pub cached_input_tokens: u64,
    /// Most tokens of output of an answer, where the request says so.
    pub max_output_tokens: Option<u64>,
    /// How many answers it asks for, if more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answers: Option<u64>,
    pub needs: Vec<&'static str>,
    pub tenant: Option<String>,
}

/// A decision.
#[derive(Debug, Default, Serialize)]
pub(super) struct Decided {
    /// What Envoy must say for it to be so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_if: Option<Assumed>,
    /// The rules that were looked at, in order.
    pub rules: Vec<Looked>,
    /// Those behind the one that takes the request.
    pub not_looked_at: Vec<String>,
    /// The rule that decides; `model` for none.
    pub rule: Option<String>,
    /// Why it is that one.
    pub because: Option<String>,
    /// Its strategy.
    pub choose: Option<&'static str>,
    /// What the strategy does here.
    pub notes: Vec<String>,
    /// What whoever answers must be or have.
    pub requires: Vec<String>,
    /// In the order in which they are asked, or would be most of the time.
    pub candidates: Vec<Candidate>,
    /// Those that are not asked.
    pub left_out: Vec<LeftOut>,
    /// Where a copy goes.
    pub mirror: Option<Mirrored>,
    /// What the client wished for in vain.
    pub ignored: Vec<String>,
    /// What the client gets instead of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Refused>,
}

/// What Envoy says of an expression in this decision.
#[derive(Debug, Serialize)]
pub(super) struct Assumed {
    pub cel: Vec<String>,
    pub is: bool,
}

/// A rule that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Looked {
    pub name: String,
    pub takes: bool,
    /// The first condition that the request does not meet; or all that it meets.
    pub why: Vec<String>,
}

/// Somebody who is asked.
#[derive(Debug, Serialize)]
pub(super) struct Candidate {
    pub provider: String,
    pub model: String,
    pub cluster: String,
    pub region: Option<String>,
    pub estimated_cost_usd: Option<f64>,
    #[serde(skip)]
    pub nano_usd: Option<u64>,
    pub quality: Option<f64>,
    /// Its target's share of the weights of those that are asked, in parts of a thousand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_per_mille: Option<u64>,
    /// How often it is asked first, in parts of a thousand, where chance has a part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_per_mille: Option<u64>,
    /// How it stands, by the status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stands: Option<Stands>,
    /// Why it is asked later than it would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How a candidate stands.
#[derive(Debug, Serialize)]
pub(super) struct Stands {
    pub breaker: String,
    pub requests_1m: u32,
    pub failures_1m: u32,
    /// Of five minutes, in milliseconds: to the first content of a stream, to the end of another
    /// answer.
    pub p95_ms: Option<u32>,
    pub samples: u32,
    pub in_flight: u32,
}

/// Somebody who is not asked.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct LeftOut {
    pub provider: String,
    pub model: String,
    pub cluster: String,
    pub why: &'static str,
    pub reason: String,
}

/// Where a copy goes.
#[derive(Debug, Serialize)]
pub(super) struct Mirrored {
    pub provider: String,
    pub model: String,
    /// The clusters through which it goes; none when nobody there may get it now.
    pub clusters: Vec<String>,
    /// In parts of ten thousand.
    pub share_per_ten_thousand: u16,
}

/// What the client gets instead of an answer.
#[derive(Debug, Serialize)]
pub(super) struct Refused {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<Box<RawValue>>,
}
