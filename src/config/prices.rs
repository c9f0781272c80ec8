//! `prices`: where newer prices come from while the gateway runs.

use std::time::Duration;

use super::alerts::{check_cluster, header_value};
use super::provider::Provider;
use super::push;
use super::reader::{Node, Problems};
use crate::tenancy::key::Hash;

/// Where newer prices come from.
#[derive(Debug, Default)]
pub struct Prices {
    /// An address that is asked for them again and again.
    pub url: Option<Url>,
    /// Whoever shows this key may send them to the status listener.
    pub push: Option<Hash>,
}

/// An address that is reached through a cluster of Envoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Envoy's cluster, which also says whether by TLS.
    pub cluster: String,
    /// The `host` header.
    pub authority: String,
    /// With query, if any.
    pub path: String,
    /// How often.
    pub every: Duration,
}

/// Reads `prices`.
pub(super) fn read(
    node: &Node<'_>,
    providers: &[Provider],
    loopback: Option<&str>,
    problems: &mut Problems,
) -> Prices {
    let mut prices = Prices::default();
    let mut fields = node.fields(problems);
    if let Some(node) = fields.take("url") {
        prices.url = read_url(&node, providers, loopback, problems);
    }
    if let Some(node) = fields.take("push") {
        prices.push = push::read(&node, problems);
    }
    if node.is_empty_object() {
        problems.add(&node.path, "needs a url, a push key, or both");
    }
    fields.finish(problems);
    prices
}

fn read_url(
    node: &Node<'_>,
    providers: &[Provider],
    loopback: Option<&str>,
    problems: &mut Problems,
) -> Option<Url> {
    /// How often where nothing is said.
    const EVERY: Duration = Duration::from_secs(600);
    let mut fields = node.fields(problems);
    let cluster = fields.need("cluster", problems).and_then(|node| {
        let cluster = node.text(problems)?;
        check_cluster(&node, cluster, "prices", providers, loopback, problems);
        Some(cluster.to_owned())
    });
    let authority = fields.need("authority", problems);
    let authority = authority.and_then(|node| header_value(&node, problems).map(str::to_owned));
    let path = fields.need("path", problems).and_then(|node| {
        let path = header_value(&node, problems)?;
        if !path.starts_with('/') {
            problems.add(&node.path, "must begin with \"/\"");
        }
        Some(path.to_owned())
    });
    let every = fields.take("every").map_or(Some(EVERY), |node| {
        node.duration(Duration::from_secs(1), Duration::from_secs(24 * 3600), problems)
    });
    fields.finish(problems);
    Some(Url { cluster: cluster?, authority: authority?, path: path?, every: every? })
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use serde_json::{Value, json};

    use super::*;
    use crate::config::Config;

    fn prices(prices: &Value) -> Result<Prices, Vec<String>> {
        let config = Config::read(&json!({
            "role": "gateway",
            "anonymous": "all",
            "tenants": {"all": {}},
            "providers": {
                "openai": {"api": "openai", "endpoints": [{"cluster": "a"}], "models": {"gpt-4o": {}}},
            },
            "prices": prices,
        }));
        match config {
            Ok(Config::Gateway(gateway)) => Ok(gateway.prices),
            Ok(other) => panic!("{other:?}"),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn where_prices_come_from_is_checked() {
        let url = json!({"url": {"cluster": "prices", "authority": "p", "path": "/"}});
        assert_eq!(prices(&url).unwrap().url.unwrap().every, Duration::from_secs(600));
        for (wrong, problem) in [
            (json!({}), "prices: needs a url, a push key, or both"),
            (
                json!({"url": {"cluster": "a", "authority": "p", "path": "/"}}),
                "prices.url.cluster: the cluster \"a\" is one in which this module runs; prices need one of their own",
            ),
            (
                json!({"url": {"cluster": "c", "authority": "p p", "path": "/"}}),
                "prices.url.authority: must be visible ASCII without blanks",
            ),
            (
                json!({"url": {"cluster": "c", "authority": "p", "path": "x"}}),
                "prices.url.path: must begin with \"/\"",
            ),
            (
                json!({"url": {"cluster": "c", "authority": "p", "path": "/", "every": "500ms"}}),
                "prices.url.every: must be a time from 1s to 1440m, such as \"30s\" or \"500ms\", but is \"500ms\"",
            ),
            (
                json!({"push": {"key": "wp-secret"}}),
                "prices.push.key: must be the hash of a key, \"wp1.…\", as `waypost key hash` writes it",
            ),
        ] {
            assert_eq!(prices(&wrong).unwrap_err(), [problem], "{wrong}");
        }
    }
}
