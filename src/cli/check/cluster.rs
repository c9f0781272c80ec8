//! Provider clusters: that they are there, are the right ones, and can fail well.

use std::time::Duration;

use super::Findings;
use super::document::At;
use super::setup::{Cluster, Plugin, Setup, endpoints, first_addresses, is_loopback, sockets};
use super::signing;
use crate::config::reader::{nearest, show};
use crate::config::{Config, ProviderRole};

/// Envoy's limit on connections, requests and pending requests of a cluster when none is set.
const DEFAULT_LIMIT: f64 = 1024.0;

/// A failover should not wait longer than this for a connection.
const SLOW_CONNECT: Duration = Duration::from_secs(5);

/// Looks at every cluster that belongs to a provider.
pub fn check(setup: &Setup<'_>, findings: &mut Findings) {
    for (plugin, gateway) in setup.gateways() {
        for (provider, name) in endpoints(gateway) {
            match setup.cluster(name) {
                Some(cluster) => check_filter(setup, cluster, provider, findings),
                None if setup.more_clusters => {}
                None => {
                    let known: Vec<&str> =
                        setup.clusters.iter().map(|cluster| cluster.name).collect();
                    let path = plugin.at.path_of("configuration");
                    findings.error(
                        format!("{path}.value.providers.{provider}.endpoints"),
                        format!(
                            "there is no cluster \"{name}\"{} (there are: {})",
                            nearest(name, &known),
                            known.join(", ")
                        ),
                    );
                }
            }
        }
    }
    for cluster in &setup.clusters {
        let filters = setup.plugins.iter().filter(|plugin| plugin.cluster == Some(cluster.name));
        for plugin in filters {
            if let Some(Config::Provider(role)) = &plugin.config {
                check_role(setup, cluster, plugin, role, findings);
            }
        }
        if setup.is_provider(cluster.name) {
            check_chain(cluster, findings);
            check_limits(cluster, findings);
            check_hosts(cluster, findings);
            check_transport(setup, cluster, findings);
        }
    }
}

/// A provider's cluster has the provider's filter, once.
fn check_filter(setup: &Setup<'_>, cluster: &Cluster<'_>, provider: &str, findings: &mut Findings) {
    let count = setup.plugins.iter().filter(|plugin| plugin.cluster == Some(cluster.name)).count();
    let path = format!("{}.HttpProtocolOptions.http_filters", cluster.at.path);
    if count == 0 {
        findings.error(path, format!("provider \"{provider}\" uses this cluster, but there is no waypost filter with role: provider in it: requests would go out untranslated and without a key"));
    } else if count > 1 {
        findings.error(
            path,
            "there is more than one waypost filter; a cluster belongs to one provider",
        );
    }
}

/// The filter names the provider whose cluster it stands in.
fn check_role(
    setup: &Setup<'_>,
    cluster: &Cluster<'_>,
    plugin: &Plugin<'_>,
    role: &ProviderRole,
    findings: &mut Findings,
) {
    let all: Vec<(&str, &str)> =
        setup.gateways().flat_map(|(_, gateway)| endpoints(gateway)).collect();
    if all.is_empty() {
        return;
    }
    let path = format!("{}.configuration.value.provider", plugin.at.path);
    let owner = all.iter().find(|(_, name)| *name == cluster.name).map(|(provider, _)| *provider);
    let mut known: Vec<&str> = all.iter().map(|(provider, _)| *provider).collect();
    known.dedup();
    if !known.contains(&&*role.provider) {
        findings.error(
            path,
            format!(
                "there is no provider \"{}\"{} (there are: {})",
                role.provider,
                nearest(&role.provider, &known),
                known.join(", ")
            ),
        );
    } else if !all.contains(&(&role.provider, cluster.name)) {
        let message = match owner {
            Some(owner) => format!(
                "is \"{}\", but the gateway has this cluster under \"{owner}\"; its requests would be translated for the wrong provider",
                role.provider
            ),
            None => format!(
                "is \"{}\", but this cluster is not among its endpoints, so it is never used; add {{ cluster: {} }} there",
                role.provider, cluster.name
            ),
        };
        findings.error(path, message);
    }
    signing::check(setup, cluster, plugin, role, findings);
    if role.credentials.is_empty() && !signing::signs(cluster) {
        let official =
            setup.gateways().flat_map(|(_, gateway)| &gateway.providers).any(|provider| {
                provider.name == role.provider
                    && provider.own_base().as_ref() == Some(&provider.base)
            });
        if official {
            findings.warn(
                plugin.at.path_of("configuration"),
                format!(
                    "has no credentials, so requests to \"{}\" go without a key",
                    role.provider
                ),
            );
        }
    }
}

fn check_chain(cluster: &Cluster<'_>, findings: &mut Findings) {
    let Some(http) = &cluster.http else { return };
    let filters = http.list("http_filters");
    let codec = |at: &At<'_>| {
        at.get("typed_config").is_some_and(|at| at.is_a("upstream_codec.v3.UpstreamCodec"))
    };
    let path = http.path_of("http_filters");
    match filters.iter().position(codec) {
        None if filters.is_empty() => {}
        None => findings
            .error(path, "has no envoy.filters.http.upstream_codec, which must be the last filter"),
        Some(at) if at + 1 < filters.len() => findings.error(
            path,
            "envoy.filters.http.upstream_codec must be the last filter: those after it never run",
        ),
        Some(_) => {}
    }
}

/// An overflow of Envoy's limits is a 503 that is never retried.
fn check_limits(cluster: &Cluster<'_>, findings: &mut Findings) {
    let breakers = cluster.at.get("circuit_breakers");
    let path = cluster.at.path_of("circuit_breakers");
    let thresholds = breakers.as_ref().map_or_else(Vec::new, |at| at.list("thresholds"));
    let usual = thresholds.iter().find(|at| matches!(at.text("priority"), None | Some("DEFAULT")));
    let Some(usual) = usual else {
        findings.error(path, "is missing: Envoy allows 3 retries and 1024 requests at a time, and answers 503 beyond, without failover; set max_connections, max_pending_requests, max_requests and max_retries to 100000");
        return;
    };
    for (name, default) in [
        ("max_connections", DEFAULT_LIMIT),
        ("max_pending_requests", DEFAULT_LIMIT),
        ("max_requests", DEFAULT_LIMIT),
        ("max_retries", 3.0),
    ] {
        if name == "max_retries" && usual.get("retry_budget").is_some() {
            continue;
        }
        let value = usual.number(name).unwrap_or(default);
        if value <= DEFAULT_LIMIT {
            let said = if usual.get(name).is_some() { "is" } else { "is missing, so it is" };
            findings.error(usual.path_of(name), format!("{said} {value}: Envoy answers 503 beyond, without failover; set it to 100000, limits are the module's"));
        }
    }
    if let Some(track) = usual
        .get("retry_budget")
        .and_then(|at| at.number("min_retry_concurrency"))
        .filter(|least| *least < 1000.0)
    {
        findings.error(usual.path_of("retry_budget"), format!("min_retry_concurrency is {track}: a provider that fails would use it up at once, and its requests are lost; set 1000 or more"));
    }
}

fn check_hosts(cluster: &Cluster<'_>, findings: &mut Findings) {
    let at = &cluster.at;
    let kind = at.text("type").unwrap_or("STATIC");
    let path = at.path_of("load_assignment");
    if kind == "LOGICAL_DNS" {
        findings.error(at.path_of("type"), "LOGICAL_DNS takes one address only, so there is no place for the backstop; use STRICT_DNS");
    } else if kind == "EDS" || at.get("load_assignment").is_none() {
        findings.note(&at.path, "its addresses are not in this file; make sure that there is a backstop: an address that refuses at once (127.0.0.1:1) at priority 1");
    } else if sockets(at, true).is_empty() {
        findings.error(path, "has no backstop: when no host can be used (DNS fails, all are ejected), Envoy answers 503 without failover; add { priority: 1, lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 1 } } } }] } to endpoints");
    }
    if let Some(time) = at.time("connect_timeout").filter(|time| *time > SLOW_CONNECT) {
        findings.warn(at.path_of("connect_timeout"), format!("is {}: a provider that cannot be reached holds up its failover for so long; 2s is enough", show(time)));
    }
    match at.get("outlier_detection") {
        None => findings.warn(at.path_of("outlier_detection"), "is missing: an address that cannot be reached is tried again by every request; copy the one of envoy/envoy.yaml"),
        Some(detection) if detection.number("max_ejection_percent").unwrap_or(10.0) > 99.0 => {
            findings.warn(detection.path_of("max_ejection_percent"), "at 100 the backstop is ejected too, and then every other request goes to the dead address again; use 50");
        }
        Some(_) => {}
    }
}

fn check_transport(setup: &Setup<'_>, cluster: &Cluster<'_>, findings: &mut Findings) {
    let at = &cluster.at;
    let socket = at.dig(&["transport_socket", "typed_config"]);
    let tls = socket.as_ref().filter(|at| at.is_a("UpstreamTlsContext"));
    match tls {
        Some(tls) => check_tls(cluster, tls, findings),
        None if socket.as_ref().is_some_and(|at| !at.is_a("RawBuffer")) => {}
        None if at.get("transport_socket_matches").is_some() => {}
        None => {
            let far = first_addresses(at).into_iter().find(|address| !is_loopback(address));
            let key = setup.roles(cluster.name).any(|(_, role)| !role.credentials.is_empty());
            if let Some(address) = far.filter(|_| key) {
                findings.error(at.path_of("transport_socket"), format!("is missing: the key would go to {address} in plain text; add envoy.transport_sockets.tls with sni"));
            }
        }
    }
}

fn check_tls(cluster: &Cluster<'_>, tls: &At<'_>, findings: &mut Findings) {
    let options = cluster.http.as_ref().and_then(|http| http.get("upstream_http_protocol_options"));
    let automatic = |name: &str| options.as_ref().is_some_and(|at| at.flag(name));
    if tls.text("sni").is_none() && !tls.flag("auto_host_sni") {
        let message = if automatic("auto_sni") {
            "is missing, and auto_sni takes the name from the client's Host header, not from the provider's; write the provider's name"
        } else {
            "is missing: the provider cannot tell which of its names is asked for; write the provider's name"
        };
        findings.error(tls.path_of("sni"), message);
    }
    let common = tls.get("common_tls_context");
    let context = common.as_ref().and_then(|common| {
        common
            .get("validation_context")
            .or_else(|| common.dig(&["combined_validation_context", "default_validation_context"]))
    });
    let elsewhere = common.as_ref().is_some_and(|at| {
        at.get("validation_context_sds_secret_config").is_some()
            || at.get("combined_validation_context").is_some()
    });
    let rooted =
        |at: &At<'_>| at.get("trusted_ca").is_some() || at.get("system_root_certs").is_some();
    let path = format!("{}.common_tls_context.validation_context", tls.path);
    if !elsewhere && !context.as_ref().is_some_and(rooted) {
        findings.error(&path, "has no trusted_ca: Envoy would take any certificate, and hand the key to whoever shows one; set trusted_ca: { filename: /etc/ssl/certs/ca-certificates.crt }");
    } else {
        let named = tls.flag("auto_sni_san_validation")
            || automatic("auto_san_validation")
            || context.as_ref().is_some_and(|at| {
                at.get("match_typed_subject_alt_names").is_some()
                    || at.get("match_subject_alt_names").is_some()
            });
        if !named && !elsewhere {
            findings.error(
                tls.path_of("auto_sni_san_validation"),
                "must be true: otherwise a certificate for any other name is taken too",
            );
        }
    }
    if context.as_ref().and_then(|at| at.text("trust_chain_verification"))
        == Some("ACCEPT_UNTRUSTED")
    {
        findings.error(
            path,
            "trust_chain_verification: ACCEPT_UNTRUSTED takes any certificate; remove it",
        );
    }
    if let Some(parameters) = common.as_ref().and_then(|at| at.get("tls_params")) {
        for name in ["tls_minimum_protocol_version", "tls_maximum_protocol_version"] {
            if let Some(version @ ("TLSv1_0" | "TLSv1_1")) = parameters.text(name) {
                findings.error(
                    parameters.path_of(name),
                    format!("is {version}, which is broken; use TLSv1_2"),
                );
            }
        }
    }
}
