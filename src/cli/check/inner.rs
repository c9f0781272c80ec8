//! Listeners that are not for clients: the way back in, and the status page.

use std::net::IpAddr;

use super::Findings;
use super::document::At;
use super::setup::{Cluster, Manager, Plugin, Setup, is_loopback};
use crate::config::reader::nearest;

/// What makes internal listeners possible.
const BOOTSTRAP: &str = "bootstrap.internal_listener.v3.InternalListener";

/// Transports of a cluster that leads to one.
const TRANSPORTS: [&str; 2] =
    ["internal_upstream.v3.InternalUpstreamTransport", "raw_buffer.v3.RawBuffer"];

/// Looks at the way from each gateway back in, and at each listener of these roles.
pub fn check(root: &At<'_>, setup: &Setup<'_>, findings: &mut Findings) {
    for (plugin, gateway) in setup.gateways() {
        let Some(name) = gateway.loopback.as_deref() else { continue };
        let path = format!("{}.configuration.value.loopback", plugin.at.path);
        match setup.cluster(name) {
            Some(cluster) => check_way(setup, cluster, findings),
            None if setup.more_clusters => {}
            None => {
                let known: Vec<&str> = setup.clusters.iter().map(|cluster| cluster.name).collect();
                let hint = nearest(name, &known);
                findings.error(path, format!("there is no cluster \"{name}\", so probes and mirrored requests could not be sent{hint} (envoy/envoy.yaml has one to copy: cluster and listener waypost_loopback)"));
            }
        }
    }
    for manager in &setup.managers {
        let plugin = manager.inner.and_then(|index| setup.plugins.get(index));
        match plugin.map(|plugin| (plugin, plugin.role())) {
            Some((plugin, Some("loopback"))) => check_loopback(root, manager, plugin, findings),
            Some((_, Some("status"))) => check_status(manager, findings),
            _ => {}
        }
    }
}

/// The cluster leads to an internal listener that has the filter.
fn check_way(setup: &Setup<'_>, cluster: &Cluster<'_>, findings: &mut Findings) {
    let localities =
        cluster.at.get("load_assignment").map_or_else(Vec::new, |at| at.list("endpoints"));
    let addresses: Vec<At<'_>> = localities
        .iter()
        .flat_map(|at| at.list("lb_endpoints"))
        .filter_map(|at| at.dig(&["endpoint", "address", "envoy_internal_address"]))
        .collect();
    let listener = |name: &str| {
        setup.managers.iter().find(|manager| manager.listener.text("name") == Some(name))
    };
    if addresses.is_empty() {
        findings.error(cluster.at.path_of("load_assignment"), "has no envoy_internal_address, so it does not lead back to this gateway; its endpoint is { address: { envoy_internal_address: { server_listener_name: … } } } with the name of the listener that has role: loopback");
    }
    for at in addresses {
        let Some(name) = at.text("server_listener_name") else { continue };
        let path = at.path_of("server_listener_name");
        match listener(name) {
            Some(manager) if setup.loops(manager) => {}
            Some(_) => findings.error(path, format!("the listener \"{name}\" has no waypost filter with role: loopback, so it would not know what is asked for")),
            None if setup.more_listeners => {}
            None => {
                let known: Vec<&str> = setup
                    .managers
                    .iter()
                    .filter(|manager| setup.loops(manager))
                    .map(Manager::name)
                    .collect();
                let hint = nearest(name, &known);
                findings.error(path, format!("there is no listener \"{name}\", so every probe and mirrored request would fail{hint} (envoy/envoy.yaml has one to copy: waypost_loopback)"));
            }
        }
    }
    // None at all works as well.
    let socket = cluster.at.dig(&["transport_socket", "typed_config"]);
    if socket.is_some_and(|at| TRANSPORTS.iter().all(|known| !at.is_a(known))) {
        findings.error(cluster.at.path_of("transport_socket"), "is not for a listener inside Envoy, which takes plain text; use envoy.transport_sockets.internal_upstream around raw_buffer");
    }
}

fn check_loopback(
    root: &At<'_>,
    manager: &Manager<'_>,
    plugin: &Plugin<'_>,
    findings: &mut Findings,
) {
    if manager.listener.get("internal_listener").is_none() {
        findings.error(&plugin.filter.path, "role: loopback belongs in a listener with internal_listener: {}, which only this Envoy can reach; this one has an address for everybody");
        return;
    }
    let extensions = root.list("bootstrap_extensions");
    let there =
        extensions.iter().any(|at| at.get("typed_config").is_some_and(|at| at.is_a(BOOTSTRAP)));
    if !there {
        findings.error("bootstrap_extensions", "lacks envoy.bootstrap.internal_listener, without which Envoy has no listeners inside itself; copy the entry of envoy/envoy.yaml");
    }
}

/// What providers are there and how they do is nobody else's business.
fn check_status(manager: &Manager<'_>, findings: &mut Findings) {
    let socket = manager.listener.dig(&["address", "socket_address"]);
    let Some((at, address)) = socket.and_then(|at| Some((at.clone(), at.text("address")?))) else {
        return;
    };
    if is_loopback(address) {
        return;
    }
    let path = at.path_of("address");
    match address.parse::<IpAddr>() {
        Ok(known) if is_private(known) => {}
        Ok(known) if known.is_unspecified() => findings.warn(path, format!("the status page listens on {address}: whoever reaches this machine can read which providers, models and rules there are; bind it to 127.0.0.1, or to an address of a private network")),
        _ => findings.error(path, format!("the status page listens on {address}, which is no private address: anybody could read which providers, models and rules there are; bind it to 127.0.0.1, or to an address of a private network")),
    }
}

/// Whether an address cannot be reached from the internet by itself.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let shared = matches!(address.octets(), [100, 64..=127, ..]);
            address.is_private() || address.is_link_local() || shared
        }
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    }
}
