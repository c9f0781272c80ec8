//! What whoever answers must be or have.

use std::time::Duration;

use crate::config::model::{read_needed, read_score};
use crate::config::price::read_rate;
use crate::config::reader::{Node, Problems};
use crate::providers::catalogue::{Capabilities, Rate};

/// What whoever answers must be or have. Holds whatever a client asks for, and whoever is down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Require {
    /// The endpoint is in one of these; empty for any.
    pub region: Vec<String>,
    /// The model is known to have all of these.
    pub capabilities: Capabilities,
    /// Most that a token may cost. A model without a price costs too much.
    pub max_price: Option<MaxPrice>,
    /// Longest p95 of the last five minutes: to the first content of a stream, to the end of an
    /// answer that is none. One of whom nothing is known may answer.
    pub max_latency: Option<Duration>,
    /// Least quality, 0 to 1000, for the request's task. A model without a score has none.
    pub min_quality: Option<u16>,
}

/// Most that a request may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaxPrice {
    /// A token of input.
    pub input: Option<Rate>,
    /// A token of output.
    pub output: Option<Rate>,
}

impl Require {
    /// Whether an endpoint of this region may answer.
    #[must_use]
    pub fn allows(&self, region: Option<&str>) -> bool {
        self.region.is_empty()
            || region.is_some_and(|region| self.region.iter().any(|known| known == region))
    }
}

/// Reads `require`.
pub(super) fn read(node: &Node<'_>, problems: &mut Problems) -> Require {
    let mut require = Require::default();
    let mut fields = node.fields(problems);
    if let Some(node) = fields.take("region") {
        require.region = read_regions(&node, problems);
    }
    if let Some(node) = fields.take("capabilities") {
        require.capabilities = read_needed(&node, problems);
    }
    if let Some(node) = fields.take("max_price") {
        require.max_price = Some(read_max_price(&node, problems));
    }
    if let Some(node) = fields.take("max_latency") {
        let (low, high) = (Duration::from_millis(1), Duration::from_secs(3600));
        require.max_latency = node.duration(low, high, problems);
    }
    if let Some(node) = fields.take("min_quality") {
        require.min_quality = read_score(&node, problems);
    }
    fields.finish(problems);
    require
}

fn read_regions(node: &Node<'_>, problems: &mut Problems) -> Vec<String> {
    let nodes = node.one_or_more(problems);
    if nodes.is_empty() {
        problems.add(&node.path, "the list is empty, so nobody could ever answer");
    }
    let mut regions: Vec<String> = Vec::new();
    for node in nodes {
        let Some(region) = node.text(problems) else { continue };
        if regions.iter().any(|known| known == region) {
            problems.say(&node.path, format_args!("the region \"{region}\" is listed twice"));
        } else {
            regions.push(region.to_owned());
        }
    }
    regions
}

fn read_max_price(node: &Node<'_>, problems: &mut Problems) -> MaxPrice {
    let mut fields = node.fields(problems);
    let mut rate = |name| read_rate(&fields.take(name)?, problems);
    let most = MaxPrice { input: rate("input_usd_per_mtok"), output: rate("output_usd_per_mtok") };
    fields.finish(problems);
    if node.is_empty_object() {
        problems.add(&node.path, "needs input_usd_per_mtok, output_usd_per_mtok or both");
    }
    most
}
