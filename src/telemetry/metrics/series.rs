//! Metrics of requests and attempts, as a table.
//!
//! Names and labels that begin with `gen_ai` are those of OpenTelemetry's conventions for generative
//! AI, as far as a host without labels, fractions and units has room for them; docs/metrics.md maps
//! one to the other. Histograms hold whole numbers: the name ends with their unit.

use super::name::Name;

/// A kind of metric, as the host counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows.
    Counter = 0,
    /// As it is now.
    Gauge = 1,
    /// How values are spread.
    Histogram = 2,
}

/// Most labels of a metric.
pub const MAX_LABELS: usize = 6;

/// A metric: one series for each combination of its labels' values.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its labels; at most [`MAX_LABELS`].
    pub labels: &'static [&'static str],
}

impl Metric {
    /// The name of a series, by the values of the labels in their order. An empty one is left out.
    #[must_use]
    pub fn named(&self, values: &[&str]) -> String {
        let pairs = self.labels.iter().zip(values).filter(|(_, value)| !value.is_empty());
        pairs.fold(Name::whole(self.name), |name, (label, value)| name.with(label, value)).0
    }
}

/// Requests of clients, by what became of them.
pub static REQUESTS: Metric = Metric {
    name: "waypost_requests",
    kind: Kind::Counter,
    labels: &["tenant", "rule", "operation", "outcome", "status", "error_type"],
};

/// Tokens of all attempts; those that were estimated too.
pub static TOKENS: Metric = Metric {
    name: "waypost_tokens",
    kind: Kind::Counter,
    labels: &["tenant", "provider", "model", "type"],
};

/// What they cost, in nano-dollars.
pub static SPEND: Metric = Metric {
    name: "waypost_spend_nano_usd",
    kind: Kind::Counter,
    labels: &["tenant", "provider", "model"],
};

/// Tokens of models without a price.
pub static UNPRICED: Metric = Metric {
    name: "waypost_unpriced_tokens",
    kind: Kind::Counter,
    labels: &["tenant", "provider", "model"],
};

/// Attempts whose tokens nobody counted.
pub static ESTIMATED: Metric = Metric {
    name: "waypost_estimated_attempts",
    kind: Kind::Counter,
    labels: &["provider", "model"],
};

/// What the gateway itself added to a request, in microseconds.
pub static OVERHEAD: Metric =
    Metric { name: "waypost_overhead_microseconds", kind: Kind::Histogram, labels: &["operation"] };

/// Tokens of an attempt, as its provider counted them.
pub static TOKEN_USAGE: Metric = Metric {
    name: "gen_ai_client_token_usage",
    kind: Kind::Histogram,
    labels: &[
        "gen_ai_operation_name",
        "gen_ai_provider_name",
        "gen_ai_request_model",
        "gen_ai_token_type",
        "provider",
    ],
};

/// How long an attempt took.
pub static OPERATION_DURATION: Metric = Metric {
    name: "gen_ai_client_operation_duration_milliseconds",
    kind: Kind::Histogram,
    labels: &[
        "gen_ai_operation_name",
        "gen_ai_provider_name",
        "gen_ai_request_model",
        "error_type",
        "provider",
        "cluster",
    ],
};

/// How long a client waited for the end of an answer.
pub static REQUEST_DURATION: Metric = Metric {
    name: "gen_ai_server_request_duration_milliseconds",
    kind: Kind::Histogram,
    labels: &[
        "gen_ai_operation_name",
        "gen_ai_provider_name",
        "gen_ai_request_model",
        "gen_ai_response_model",
        "error_type",
        "provider",
    ],
};

const STREAM: &[&str] = &[
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "gen_ai_response_model",
    "provider",
];

/// How long a client waited for the first content of a stream.
pub static TIME_TO_FIRST_TOKEN: Metric = Metric {
    name: "gen_ai_server_time_to_first_token_milliseconds",
    kind: Kind::Histogram,
    labels: STREAM,
};

/// How long each token of a stream took after the first.
pub static TIME_PER_OUTPUT_TOKEN: Metric = Metric {
    name: "gen_ai_server_time_per_output_token_microseconds",
    kind: Kind::Histogram,
    labels: STREAM,
};

/// The team and the tier of a tenant: always 1, for joins.
pub static TENANT_INFO: Metric =
    Metric { name: "waypost_tenant_info", kind: Kind::Gauge, labels: &["tenant", "team", "tier"] };

/// The version of the module: always 1.
pub static INFO: Metric = Metric { name: "waypost_info", kind: Kind::Gauge, labels: &["version"] };

/// When the configuration in force came, in seconds since 1970.
pub static CONFIGURED: Metric =
    Metric { name: "waypost_configured_seconds", kind: Kind::Gauge, labels: &[] };

/// Series with words of the configuration in their labels.
pub static SERIES: Metric = Metric { name: "waypost_series", kind: Kind::Gauge, labels: &[] };

/// How many of them there may be.
pub static SERIES_LIMIT: Metric =
    Metric { name: "waypost_series_limit", kind: Kind::Gauge, labels: &[] };

/// Series that were not made, as there were that many: theirs is counted under `other`.
pub static SERIES_FOLDED: Metric =
    Metric { name: "waypost_series_folded", kind: Kind::Counter, labels: &["metric"] };

/// All of this table.
pub static ALL: [&Metric; 17] = [
    &REQUESTS,
    &TOKENS,
    &SPEND,
    &UNPRICED,
    &ESTIMATED,
    &OVERHEAD,
    &TOKEN_USAGE,
    &OPERATION_DURATION,
    &REQUEST_DURATION,
    &TIME_TO_FIRST_TOKEN,
    &TIME_PER_OUTPUT_TOKEN,
    &TENANT_INFO,
    &INFO,
    &CONFIGURED,
    &SERIES,
    &SERIES_LIMIT,
    &SERIES_FOLDED,
];
