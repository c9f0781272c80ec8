//! Routes, retries, the matcher.

use super::Findings;
use super::document::At;
use super::setup::{Manager, Setup, endpoints};
use crate::config::reader::nearest;
use crate::config::{Config, Gateway};

/// Filter state in which the module names the cluster of the next attempt.
const CHOSEN: &str = "wasm.waypost_cluster";

/// Response header with which the module marks an answer that is not for the client.
const FAILOVER: &str = "x-waypost-failover";

/// Envoy's buffer for a request's body when no limit is set, in bytes.
const DEFAULT_BUFFER: f64 = (1 << 20) as f64;

/// Looks at every route.
pub fn check(setup: &Setup<'_>, findings: &mut Findings) {
    for manager in &setup.managers {
        let plugin = manager.gateway.and_then(|index| setup.plugins.get(index));
        let gateway = match plugin.map(|plugin| &plugin.config) {
            Some(Some(Config::Gateway(gateway))) => Some(&**gateway),
            _ => None,
        };
        let Some(config) = manager.at.get("route_config") else {
            if manager.gateway.is_some() || setup.loops(manager) {
                findings.note(&manager.at.path, "its routes come by xDS and were not checked");
            }
            continue;
        };
        if loops_as_checked(setup, manager, &config) {
            continue;
        }
        let mut led = false;
        for host in config.list("virtual_hosts") {
            for at in host.list("routes") {
                let Some(action) = at.get("route") else { continue };
                let route = Route {
                    setup,
                    manager,
                    config: &config,
                    host: &host,
                    at: &at,
                    action: &action,
                };
                led |= route.check(gateway, findings);
            }
        }
        if (manager.gateway.is_some() || setup.loops(manager)) && !led {
            findings.error(config.path_of("virtual_hosts"), "no route leads to the providers: one needs inline_cluster_specifier_plugin with the matcher; copy the route of envoy/envoy.yaml");
        }
    }
}

/// Whether it is the way back in and has the routes of a gateway, at which these are looked at.
fn loops_as_checked(setup: &Setup<'_>, manager: &Manager<'_>, config: &At<'_>) -> bool {
    let mut gateways = setup.managers.iter().filter(|other| other.gateway.is_some());
    setup.loops(manager)
        && gateways
            .any(|other| other.at.get("route_config").is_some_and(|at| at.value == config.value))
}

struct Route<'r, 'a> {
    setup: &'r Setup<'a>,
    manager: &'r Manager<'a>,
    config: &'r At<'a>,
    host: &'r At<'a>,
    at: &'r At<'a>,
    action: &'r At<'a>,
}

impl Route<'_, '_> {
    /// Whether it leads to the providers by the matcher.
    fn check(&self, gateway: Option<&Gateway>, findings: &mut Findings) -> bool {
        self.check_direct(findings);
        let Some(matcher) = self.matcher() else { return false };
        if self.setup.loops(self.manager) {
            self.check_disabled(findings);
            for (_, gateway) in self.setup.gateways() {
                self.check_matcher(&matcher, Some(gateway), findings);
            }
            self.check_action(findings);
            return true;
        }
        if self.manager.gateway.is_none() {
            let listener = self.manager.name();
            if self.is_chosen(&matcher)
                || self.targets(&matcher).iter().any(|(_, cluster)| self.setup.is_provider(cluster))
            {
                findings.error(&self.at.path, format!("leads to provider clusters, but {listener} has no waypost filter with role: gateway: nobody would choose one"));
            }
            return true;
        }
        self.check_disabled(findings);
        self.check_matcher(&matcher, gateway, findings);
        self.check_action(findings);
        self.check_retries(findings);
        if let Some(gateway) = gateway {
            self.check_buffer(gateway.limits.body, findings);
        }
        true
    }

    /// Routes that name a provider's cluster themselves go past the gateway.
    fn check_direct(&self, findings: &mut Findings) {
        let weighted =
            self.action.get("weighted_clusters").map_or_else(Vec::new, |at| at.list("clusters"));
        let named = self
            .action
            .get("cluster")
            .into_iter()
            .chain(weighted.iter().filter_map(|at| at.get("name")));
        for at in named {
            if let Some(cluster) =
                at.value.as_str().filter(|cluster| self.setup.is_provider(cluster))
            {
                findings.error(&at.path, format!("leads to the provider cluster \"{cluster}\" past the gateway: its provider filter refuses what no gateway has seen; use the matcher of envoy/envoy.yaml"));
            }
        }
        if self.manager.gateway.is_some()
            && let Some(at) = self.action.get("cluster_header")
        {
            findings.error(&at.path, "lets a header choose the cluster, and Envoy does not choose anew on a retry, so there is no failover; use the matcher of envoy/envoy.yaml");
        }
    }

    /// The matcher, written here or under `cluster_specifier_plugins`.
    fn matcher(&self) -> Option<At<'_>> {
        let extension = match self.action.dig(&["inline_cluster_specifier_plugin", "extension"]) {
            Some(extension) => extension,
            None => {
                let name = self.action.text("cluster_specifier_plugin")?;
                let all = self.config.list("cluster_specifier_plugins");
                let mut extensions = all.iter().filter_map(|at| at.get("extension"));
                extensions.find(|at| at.text("name") == Some(name))?
            }
        };
        let config =
            extension.get("typed_config").filter(|at| at.is_a("MatcherClusterSpecifier"))?;
        config.dig(&["cluster_matcher", "matcher_tree"])
    }

    /// Whether the matcher goes by what the module writes.
    fn is_chosen(&self, matcher: &At<'_>) -> bool {
        let input = matcher.dig(&["input", "typed_config"]);
        input.is_some_and(|at| at.is_a("FilterStateInput") && at.text("key") == Some(CHOSEN))
    }

    /// The entries of the map, and the cluster of each.
    fn targets<'m>(&self, matcher: &At<'m>) -> Vec<(At<'m>, &'m str)> {
        let map = matcher.dig(&["exact_match_map", "map"]);
        let cluster = |at: At<'m>| {
            let action =
                at.dig(&["action", "typed_config"]).filter(|at| at.is_a("ClusterAction"))?;
            action.text("cluster").map(|cluster| (at, cluster))
        };
        map.map_or_else(Vec::new, |map| map.children()).into_iter().filter_map(cluster).collect()
    }

    fn check_disabled(&self, findings: &mut Findings) {
        let index = self.manager.gateway.or(self.manager.inner);
        let Some(plugin) = index.and_then(|index| self.setup.plugins.get(index)) else {
            return;
        };
        let Some(name) = plugin.filter.text("name") else { return };
        for level in [self.config, self.host, self.at] {
            if let Some(at) =
                level.dig(&["typed_per_filter_config", name]).filter(|at| at.flag("disabled"))
            {
                findings.error(
                    at.path,
                    "switches the waypost filter off on the way to the providers; remove it",
                );
            }
        }
    }

    fn check_matcher(&self, matcher: &At<'_>, gateway: Option<&Gateway>, findings: &mut Findings) {
        if !self.is_chosen(matcher) {
            findings.error(matcher.path_of("input"), format!("must be a FilterStateInput with key: {CHOSEN}, where the module writes its choice"));
        }
        let targets = self.targets(matcher);
        let map = format!("{}.exact_match_map.map", matcher.path);
        let keys: Vec<&str> = matcher
            .dig(&["exact_match_map", "map"])
            .map_or_else(Vec::new, |map| map.keys().collect());
        let Some(gateway) = gateway else { return };
        for (provider, cluster) in endpoints(gateway) {
            if !keys.contains(&cluster) {
                findings.error(&map, format!("has no entry \"{cluster}\" for a cluster of provider \"{provider}\"{}; requests to it would be answered 503; add {cluster}: {{ action: … cluster: {cluster} }}", nearest(cluster, &keys).replace("; did you mean", " (is it").replace("?", "?)")));
            }
        }
        for (at, cluster) in &targets {
            let key = keys.iter().find(|key| {
                at.path == format!("{map}.{key}") || at.path == format!("{map}[\"{key}\"]")
            });
            let Some(key) = key else { continue };
            if !endpoints(gateway).any(|(_, known)| known == *key) {
                let known: Vec<&str> = endpoints(gateway).map(|(_, cluster)| cluster).collect();
                findings.warn(
                    &at.path,
                    format!(
                        "no provider has the cluster \"{key}\", so nothing ever leads here{}",
                        nearest(key, &known)
                    ),
                );
            } else if cluster != key {
                findings.error(&at.path, format!("leads to the cluster \"{cluster}\": the module would ask \"{key}\" and another would answer; an entry and its cluster bear the same name"));
            }
        }
    }

    fn check_action(&self, findings: &mut Findings) {
        let path = self.action.path_of("timeout");
        match self.action.time("timeout") {
            Some(time) if time.is_zero() => {}
            Some(_) => findings.error(path, "cuts streams; must be 0s, the module sets a limit for each request (timeouts)"),
            None => findings.error(path, "is missing, and Envoy's 15 s cut every longer stream; must be 0s, the module sets a limit for each request (timeouts)"),
        }
        if self.action.dig(&["max_stream_duration", "max_stream_duration"]).is_some() {
            findings.error(
                self.action.path_of("max_stream_duration"),
                "cuts streams; remove it, the module sets a limit for each request (timeouts)",
            );
        }
        if self.action.get("hedge_policy").is_some() {
            findings.error(
                self.action.path_of("hedge_policy"),
                "a hedged request goes to the same cluster again, and is paid for twice; remove it",
            );
        }
    }

    /// The route's policy, or else that of its virtual host or of all routes.
    fn check_retries(&self, findings: &mut Findings) {
        let levels = [self.action, self.host, self.config];
        let Some(policy) = levels.iter().find_map(|level| level.get("retry_policy")) else {
            findings.error(self.action.path_of("retry_policy"), "is missing: failover is Envoy's retry, so there is none; copy the one of envoy/envoy.yaml");
            return;
        };
        if !policy.flag("refresh_cluster_on_retry") {
            findings.error(
                policy.path_of("refresh_cluster_on_retry"),
                "must be true: otherwise every retry goes back to the cluster that failed",
            );
        }
        let conditions: Vec<&str> =
            policy.text("retry_on").unwrap_or_default().split(',').map(str::trim).collect();
        for (needed, what) in [
            ("connect-failure", "a provider that cannot be reached"),
            ("reset", "a provider that hangs up or is silent"),
            ("retriable-headers", "a provider that answers with an error"),
        ] {
            if !conditions.contains(&needed) {
                findings.error(
                    policy.path_of("retry_on"),
                    format!("lacks \"{needed}\": there is no failover from {what}"),
                );
            }
        }
        for condition in
            ["5xx", "gateway-error", "retriable-4xx", "retriable-status-codes", "envoy-ratelimited"]
        {
            if conditions.contains(&condition) {
                findings.error(policy.path_of("retry_on"), format!("\"{condition}\" asks the next provider again where the module has judged an answer to be final; remove it"));
            }
        }
        let headers = policy.list("retriable_headers");
        let marks = |at: &At<'_>| {
            at.text("name").is_some_and(|name| name.eq_ignore_ascii_case(FAILOVER))
                && !at.flag("invert_match")
        };
        if !headers.iter().any(marks) {
            findings.error(policy.path_of("retriable_headers"), format!("lacks {{ name: {FAILOVER}, present_match: true }}, with which the module asks for the next candidate"));
        }
        if policy.get("per_try_idle_timeout").is_some() {
            findings.error(
                policy.path_of("per_try_idle_timeout"),
                "cuts streams that have begun; remove it, the module watches them (timeouts.idle)",
            );
        }
        if policy.get("retry_back_off").is_none() {
            findings.warn(policy.path_of("retry_back_off"), "is missing, and Envoy waits about 25 ms before each failover; set { base_interval: 0.001s, max_interval: 0.010s }");
        }
    }

    fn check_buffer(&self, body: u64, findings: &mut Findings) {
        let own = [self.at, self.host].iter().find_map(|level| {
            ["request_body_buffer_limit", "per_request_buffer_limit_bytes"]
                .iter()
                .find_map(|name| Some((level.path_of(name), level.number(name)?)))
        });
        let listener = &self.manager.listener;
        let (path, limit, said) = match (own, listener.number("per_connection_buffer_limit_bytes"))
        {
            (Some((path, limit)), _) => (path, limit, "is"),
            (None, Some(limit)) => {
                (listener.path_of("per_connection_buffer_limit_bytes"), limit, "is")
            }
            (None, None) => (
                self.at.path_of("request_body_buffer_limit"),
                DEFAULT_BUFFER,
                "is missing, so it is",
            ),
        };
        if limit < body as f64 {
            findings.error(path, format!("{said} {limit} bytes, less than the module's limits.body ({body}): larger requests would be refused by Envoy or lose their failover; set request_body_buffer_limit: {} on the route", body + (1 << 20)));
        }
    }
}
