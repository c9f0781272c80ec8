//! `alerts`: where it is told that money runs out, and what counts as unusual spending.

use super::provider::Provider;
use super::reader::{Node, Problems};
use crate::providers::catalogue::NanoUsd;
use crate::tenancy::Anomaly;

/// Where alerts go, beside the log and the metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alerts {
    /// Who is sent each of them.
    pub webhook: Option<Webhook>,
    /// When an hour's spending is unusual; never without it.
    pub anomaly: Option<Anomaly>,
}

/// Where alerts are sent: `POST https://{authority}{path}` through a cluster of Envoy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The cluster, which carries no filter of this module.
    pub cluster: String,
    /// The host, for the `host` header.
    pub authority: String,
    /// The path, with a query if there is one.
    pub path: String,
}

/// Most that can be said of money here, in US dollars.
const MAX_USD: f64 = 1_000_000.0;

/// When an hour is unusual, where `anomaly` does not say otherwise.
const USUAL: Anomaly = Anomaly { percent: 300, at_least: NanoUsd(1_000_000_000) };

/// Reads `alerts`. The module sends them itself, so the cluster must not be one in which it runs:
/// neither a provider's nor the way back to this gateway.
pub fn read(
    node: &Node<'_>,
    providers: &[Provider],
    loopback: Option<&str>,
    problems: &mut Problems,
) -> Alerts {
    let mut fields = node.fields(problems);
    let cluster = fields.take("cluster");
    let authority = fields.take("authority");
    let path = fields.take("path");
    let anomaly = fields.take("anomaly").and_then(|node| read_anomaly(&node, problems));
    fields.finish(problems);
    if let (None, Some(lost)) = (&cluster, authority.as_ref().or(path.as_ref())) {
        problems.add(&lost.path, "needs cluster beside it: the one through which alerts are sent");
    }
    let webhook = cluster.and_then(|node| {
        let cluster = node.text(problems)?;
        check_cluster(&node, cluster, "alerts", providers, loopback, problems);
        let authority = authority.and_then(|node| header_value(&node, problems)).unwrap_or(cluster);
        let path = path.and_then(|node| {
            let path = header_value(&node, problems)?;
            if !path.starts_with('/') {
                problems.add(&node.path, "must begin with \"/\"");
            }
            Some(path)
        });
        Some(Webhook {
            cluster: cluster.to_owned(),
            authority: authority.to_owned(),
            path: path.unwrap_or("/").to_owned(),
        })
    });
    Alerts { webhook, anomaly }
}

/// What the module asks itself must not lead back into it. `what` is for the message.
pub(super) fn check_cluster(
    node: &Node<'_>,
    cluster: &str,
    what: &str,
    providers: &[Provider],
    loopback: Option<&str>,
    problems: &mut Problems,
) {
    let mut endpoints = providers.iter().flat_map(|provider| &provider.endpoints);
    if loopback == Some(cluster) || endpoints.any(|endpoint| endpoint.cluster == cluster) {
        problems.say(&node.path, format_args!("the cluster \"{cluster}\" is one in which this module runs; {what} need one of their own"));
    }
}

/// A text that can stand in a header.
pub(super) fn header_value<'a>(node: &Node<'a>, problems: &mut Problems) -> Option<&'a str> {
    let text = node.text(problems)?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        problems.add(&node.path, "must be visible ASCII without blanks");
    }
    Some(text)
}

fn read_anomaly(node: &Node<'_>, problems: &mut Problems) -> Option<Anomaly> {
    let mut fields = node.fields(problems);
    let (factor, least) = (fields.take("factor"), fields.take("at_least_usd"));
    fields.finish(problems);
    let mut anomaly = USUAL;
    if let Some(node) = factor {
        anomaly.percent = (node.number(1.1, 1_000.0, problems)? * 100.0).round() as u32;
    }
    if let Some(node) = least {
        let usd = node.number(0.0, MAX_USD, problems)?;
        anomaly.at_least = NanoUsd((usd * 1e9).round() as u64);
    }
    Some(anomaly)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::{Value, json};

    use super::*;

    fn of(value: &Value) -> Result<Alerts, Vec<String>> {
        let mut problems = Problems::default();
        let alerts = read(&Node::root(&value.into()), &[], Some("back"), &mut problems);
        let problems: Vec<String> = problems.into_vec().iter().map(ToString::to_string).collect();
        if problems.is_empty() { Ok(alerts) } else { Err(problems) }
    }

    #[test]
    fn a_webhook_is_a_cluster_with_a_host_and_a_path() {
        let alerts = of(
            &json!({"cluster": "hooks", "authority": "hooks.example.com", "path": "/a?b", "anomaly": {}}),
        );
        let webhook = Webhook {
            cluster: "hooks".to_owned(),
            authority: "hooks.example.com".to_owned(),
            path: "/a?b".to_owned(),
        };
        let wanted = Alerts { webhook: Some(webhook), anomaly: Some(USUAL) };
        assert_eq!(alerts, Ok(wanted));
        let short = of(&json!({"cluster": "hooks"})).unwrap().webhook.unwrap();
        assert_eq!((&*short.authority, &*short.path), ("hooks", "/"));
    }

    #[test]
    fn unusual_is_said_by_a_factor_and_a_least_amount() {
        let alerts = of(&json!({"anomaly": {"factor": 2.5, "at_least_usd": 0.25}})).unwrap();
        let wanted = Anomaly { percent: 250, at_least: NanoUsd(250_000_000) };
        assert_eq!(alerts, Alerts { webhook: None, anomaly: Some(wanted) });
    }

    #[test]
    fn what_cannot_be_sent_is_told() {
        for (value, path) in [
            (json!({"path": "/x"}), "path: needs cluster"),
            (json!({"cluster": "back"}), "cluster: the cluster \"back\" is one"),
            (json!({"cluster": "hooks", "path": "x"}), "path: must begin"),
            (json!({"cluster": "hooks", "authority": "a b"}), "authority: must be visible"),
            (json!({"anomaly": {"factor": 1}}), "anomaly.factor: must be"),
            (json!({"url": "x"}), "url: there is no such field"),
        ] {
            let problems = of(&value).unwrap_err();
            assert!(problems[0].starts_with(path), "{problems:?}");
        }
    }
}
