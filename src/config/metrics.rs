//! `metrics`: what their labels say.

use super::reader::{Node, Problems};

/// Most series that may be asked for.
const MAX_SERIES: u64 = 1_000_000;

/// Fewest, so that what is folded is not the rule.
const MIN_SERIES: u64 = 100;

/// What metrics say of tenants, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Whether tenants have series of their own.
    pub tenant: bool,
    /// Most series with a word of the configuration in their labels, over all workers and for as
    /// long as Envoy lives. What comes after goes to series whose labels say `other`.
    pub max_series: u32,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { tenant: true, max_series: 2000 }
    }
}

/// Reads `metrics`.
pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Metrics {
    let mut metrics = Metrics::default();
    let mut fields = node.fields(problems);
    if let Some(node) = fields.take("tenant") {
        metrics.tenant = node.flag(problems).unwrap_or(metrics.tenant);
    }
    if let Some(node) = fields.take("max_series") {
        let most = node.whole(MIN_SERIES, MAX_SERIES, problems);
        metrics.max_series =
            most.and_then(|most| most.try_into().ok()).unwrap_or(metrics.max_series);
    }
    fields.finish(problems);
    metrics
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::{Value, json};

    use super::*;

    fn read_text(value: &Value) -> (Metrics, Vec<String>) {
        let mut problems = Problems::default();
        let metrics = read(&Node::root(&value.into()), &mut problems);
        (metrics, problems.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        assert_eq!(read_text(&json!({})), (Metrics::default(), vec![]));
        let said = json!({"tenant": false, "max_series": 50_000});
        assert_eq!(read_text(&said), (Metrics { tenant: false, max_series: 50_000 }, vec![]));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for said in [
            json!({"max_series": 99}),
            json!({"max_series": 1_000_001}),
            json!({"tenant": 1}),
            json!({"model": true}),
        ] {
            assert_eq!(read_text(&said).1.len(), 1, "{said}");
        }
    }
}
