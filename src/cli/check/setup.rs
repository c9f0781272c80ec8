//! Where everything is: connection managers, waypost filters, clusters.

use std::fmt::Write as _;

use serde_json::Value;

use super::Findings;
use super::document::At;
use crate::config::{Choose, Config, Gateway, ProviderRole};

/// Under `typed_extension_protocol_options`: what belongs to HTTP of a cluster.
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// What a file holds, as far as Waypost has to do with it.
pub struct Setup<'a> {
    /// Every connection manager for HTTP.
    pub managers: Vec<Manager<'a>>,
    /// Every waypost filter, in listeners and in clusters.
    pub plugins: Vec<Plugin<'a>>,
    /// Every cluster in the file.
    pub clusters: Vec<Cluster<'a>>,
    /// Whether more clusters come by xDS.
    pub more_clusters: bool,
    /// Whether more listeners come by xDS.
    pub more_listeners: bool,
}

/// A connection manager.
pub struct Manager<'a> {
    /// Its listener.
    pub listener: At<'a>,
    /// Itself.
    pub at: At<'a>,
    /// Where its gateway filter is in [`Setup::plugins`].
    pub gateway: Option<usize>,
    /// Where its filter is that has role loopback or status.
    pub inner: Option<usize>,
}

impl Manager<'_> {
    /// The name of its listener.
    pub fn name(&self) -> &str {
        self.listener.text("name").unwrap_or("this listener")
    }
}

/// A waypost filter.
pub struct Plugin<'a> {
    /// The filter.
    pub filter: At<'a>,
    /// Its `config`.
    pub at: At<'a>,
    /// What is configured; nothing when that is missing or wrong.
    pub config: Option<Config>,
    /// Its cluster, for one that stands in a cluster.
    pub cluster: Option<&'a str>,
}

impl Plugin<'_> {
    /// The word of its role, as written.
    pub fn role(&self) -> Option<&str> {
        match &self.config {
            Some(Config::Gateway(_)) => Some("gateway"),
            Some(Config::Provider(_)) => Some("provider"),
            Some(Config::Loopback) => Some("loopback"),
            Some(Config::Status) => Some("status"),
            None => self.at.dig(&["configuration", "value"])?.text("role"),
        }
    }

    /// Whether it stands in a listener that is not for clients.
    pub fn is_inner(&self) -> bool {
        matches!(self.role(), Some("loopback" | "status"))
    }
}

/// A cluster.
pub struct Cluster<'a> {
    /// Its name.
    pub name: &'a str,
    /// Itself.
    pub at: At<'a>,
    /// Its `HttpProtocolOptions`.
    pub http: Option<At<'a>>,
}

impl<'a> Setup<'a> {
    /// Looks through a file.
    pub fn find(root: &At<'a>, findings: &mut Findings) -> Self {
        let mut setup = Self {
            managers: Vec::new(),
            plugins: Vec::new(),
            clusters: Vec::new(),
            more_clusters: false,
            more_listeners: false,
        };
        for (name, what) in [("lds_config", "listeners"), ("cds_config", "clusters")] {
            if let Some(at) = root.dig(&["dynamic_resources", name]) {
                findings.note(
                    at.path,
                    format!("{what} that come by xDS are not in this file and were not checked"),
                );
                setup.more_clusters |= what == "clusters";
                setup.more_listeners |= what == "listeners";
            }
        }
        let resources = root.get("static_resources");
        for listener in resources.iter().flat_map(|at| at.list("listeners")) {
            let chains = listener
                .list("filter_chains")
                .into_iter()
                .chain(listener.get("default_filter_chain"));
            for filter in chains.flat_map(|chain| chain.list("filters")) {
                if let Some(at) =
                    filter.get("typed_config").filter(|at| at.is_a("HttpConnectionManager"))
                {
                    setup.add_manager(&listener, at, findings);
                }
            }
        }
        for at in resources.iter().flat_map(|at| at.list("clusters")) {
            setup.add_cluster(at, findings);
        }
        if setup.gateways().next().is_none()
            && root.dig(&["dynamic_resources", "lds_config"]).is_none()
        {
            let wrong =
                setup.plugins.iter().any(|plugin| plugin.cluster.is_none() && !plugin.is_inner());
            if !wrong {
                findings.error("static_resources.listeners", "no listener has a waypost filter with role: gateway, so nothing here is Waypost's; see envoy/envoy.yaml for one that works");
            }
        }
        setup
    }

    /// The gateways that were understood, with their filters.
    pub fn gateways(&self) -> impl Iterator<Item = (&Plugin<'a>, &Gateway)> {
        self.plugins.iter().filter_map(|plugin| match &plugin.config {
            Some(Config::Gateway(gateway)) => Some((plugin, &**gateway)),
            _ => None,
        })
    }

    /// Whether the gateway's own requests come in there.
    pub fn loops(&self, manager: &Manager<'_>) -> bool {
        let plugin = manager.inner.and_then(|index| self.plugins.get(index));
        plugin.and_then(Plugin::role) == Some("loopback")
    }

    /// The cluster of that name.
    pub fn cluster(&self, name: &str) -> Option<&Cluster<'a>> {
        self.clusters.iter().find(|cluster| cluster.name == name)
    }

    /// The provider filters in a cluster that were understood.
    pub fn roles(&self, cluster: &str) -> impl Iterator<Item = (&Plugin<'a>, &ProviderRole)> {
        self.plugins.iter().filter(move |plugin| plugin.cluster == Some(cluster)).filter_map(
            |plugin| match &plugin.config {
                Some(Config::Provider(role)) => Some((plugin, role)),
                _ => None,
            },
        )
    }

    /// Whether a cluster reaches a provider: a gateway says so, or it has a waypost filter.
    pub fn is_provider(&self, cluster: &str) -> bool {
        self.plugins.iter().any(|plugin| plugin.cluster == Some(cluster))
            || self
                .gateways()
                .any(|(_, gateway)| endpoints(gateway).any(|(_, known)| known == cluster))
    }

    fn add_manager(&mut self, listener: &At<'a>, at: At<'a>, findings: &mut Findings) {
        let (mut gateway, mut inner) = (None, None);
        for filter in at.list("http_filters") {
            let Some(plugin) = plugin(filter, None, findings) else { continue };
            match &plugin.config {
                Some(Config::Provider(_)) => findings.error(&plugin.filter.path, "role: provider belongs in a cluster, in the http_filters of its HttpProtocolOptions; a listener has role: gateway"),
                _ if gateway.is_some() || inner.is_some() => findings.error(&plugin.filter.path, "there is a waypost filter above already; one listener has one role"),
                _ if plugin.is_inner() => inner = Some(self.plugins.len()),
                _ => gateway = Some(self.plugins.len()),
            }
            self.plugins.push(plugin);
        }
        self.managers.push(Manager { listener: listener.clone(), at, gateway, inner });
    }

    fn add_cluster(&mut self, at: At<'a>, findings: &mut Findings) {
        let name = at.text("name").unwrap_or_default();
        let path = format!("{}.HttpProtocolOptions", at.path);
        let http = at
            .dig(&["typed_extension_protocol_options", HTTP_OPTIONS])
            .map(|options| options.called(path));
        for filter in http.iter().flat_map(|http| http.list("http_filters")) {
            let Some(plugin) = plugin(filter, Some(name), findings) else { continue };
            if let Some(role @ ("gateway" | "loopback" | "status")) = plugin.role() {
                findings.error(&plugin.filter.path, format!("role: {role} belongs in a listener, before the router; a cluster has role: provider"));
            }
            self.plugins.push(plugin);
        }
        self.clusters.push(Cluster { name, at, http });
    }

    /// What there is, for a reader who wants to see that it was understood.
    pub fn summary(&self) -> String {
        let mut out = String::new();
        for manager in self.managers.iter().filter(|manager| manager.gateway.is_some()) {
            let name = manager.listener.text("name").unwrap_or("(no name)");
            let _ = writeln!(out, "listener  {name:<24} {}", address(&manager.listener));
        }
        for manager in &self.managers {
            let plugin = manager.inner.and_then(|index| self.plugins.get(index));
            if let Some(role) = plugin.and_then(Plugin::role) {
                let _ = writeln!(
                    out,
                    "{role:<9} {:<24} {}",
                    manager.name(),
                    address(&manager.listener)
                );
            }
        }
        for (_, gateway) in self.gateways() {
            for provider in &gateway.providers {
                let clusters: Vec<&str> =
                    provider.endpoints.iter().map(|at| &*at.cluster).collect();
                let models: Vec<&str> = provider.models.iter().map(|model| &*model.name).collect();
                let (clusters, models) = (clusters.join(", "), models.join(", "));
                let _ = writeln!(
                    out,
                    "provider  {:<24} {} at {clusters}: {models}",
                    provider.name, provider.api.name
                );
            }
            for provider in &gateway.providers {
                for cluster in provider.endpoints.iter().filter_map(|at| self.cluster(&at.cluster))
                {
                    let tls = if cluster.at.get("transport_socket").is_some() {
                        "TLS"
                    } else {
                        "plain text"
                    };
                    let _ =
                        writeln!(out, "cluster   {:<24} {} ({tls})", cluster.name, hosts(cluster));
                }
            }
            for rule in &gateway.rules {
                let targets: Vec<String> = rule
                    .targets
                    .iter()
                    .filter_map(|target| {
                        let provider = gateway.providers.get(target.provider)?;
                        Some(format!(
                            "{}/{}",
                            provider.name,
                            provider.models.get(target.model)?.name
                        ))
                    })
                    .collect();
                let targets = match rule.choose {
                    Choose::Static | Choose::Failover(_) => targets.join(" → "),
                    _ => format!("{}: {}", rule.choose.word(), targets.join(", ")),
                };
                let _ = writeln!(out, "rule      {:<24} {targets}", rule.name);
            }
        }
        out
    }
}

/// Every provider of a gateway with each of its clusters.
pub fn endpoints(gateway: &Gateway) -> impl Iterator<Item = (&str, &str)> {
    gateway.providers.iter().flat_map(|provider| {
        provider.endpoints.iter().map(|endpoint| (&*provider.name, &*endpoint.cluster))
    })
}

/// The addresses of a cluster that are asked first.
pub fn first_addresses<'a>(cluster: &At<'a>) -> Vec<&'a str> {
    sockets(cluster, false).iter().filter_map(|at| at.text("address")).collect()
}

/// Whether an address does not leave the machine.
pub fn is_loopback(address: &str) -> bool {
    let parsed = address.parse::<std::net::IpAddr>();
    address == "localhost" || parsed.is_ok_and(|address| address.is_loopback())
}

/// The addresses of a cluster at priority 0, or at all later ones.
pub fn sockets<'a>(cluster: &At<'a>, later: bool) -> Vec<At<'a>> {
    let localities =
        cluster.get("load_assignment").map_or_else(Vec::new, |at| at.list("endpoints"));
    localities
        .iter()
        .filter(|at| (at.number("priority").unwrap_or(0.0) > 0.0) == later)
        .flat_map(|at| at.list("lb_endpoints"))
        .filter_map(|at| at.dig(&["endpoint", "address", "socket_address"]))
        .collect()
}

fn hosts(cluster: &Cluster<'_>) -> String {
    let shown = |at: &At<'_>| Some(format!("{}:{}", at.text("address")?, at.number("port_value")?));
    sockets(&cluster.at, false).iter().filter_map(shown).collect::<Vec<_>>().join(", ")
}

fn address(listener: &At<'_>) -> String {
    if listener.get("internal_listener").is_some() {
        return "internal".to_owned();
    }
    let socket = listener.dig(&["address", "socket_address"]);
    socket
        .and_then(|at| Some(format!("{}:{}", at.text("address")?, at.number("port_value")?)))
        .unwrap_or_default()
}

/// The filter, when it is one of Waypost's: its configuration has a role, or its VM or file is
/// called so.
fn plugin<'a>(
    filter: At<'a>,
    cluster: Option<&'a str>,
    findings: &mut Findings,
) -> Option<Plugin<'a>> {
    let wasm = filter.get("typed_config").filter(|at| at.is_a("wasm.v3.Wasm"))?;
    let at = wasm.get("config")?;
    let configuration = at.get("configuration");
    let value = configuration.as_ref().and_then(|at| at.get("value"));
    let text = value.as_ref().and_then(|at| at.value.as_str());
    let parsed: Option<Value> = text.and_then(|text| serde_json::from_str(text).ok());
    let content = match (&parsed, &value) {
        (Some(parsed), _) => Some(parsed),
        (None, Some(at)) => Some(at.value),
        (None, None) => None,
    };
    let vm = at.get("vm_config");
    let named = |text: Option<&str>| text.is_some_and(|text| text.contains("waypost"));
    let file = vm.as_ref().and_then(|at| at.dig(&["code", "local"]));
    let ours = content.is_some_and(|value| value.get("role").is_some())
        || named(vm.as_ref().and_then(|at| at.text("vm_id")))
        || named(file.as_ref().and_then(|at| at.text("filename")));
    if !ours {
        return None;
    }
    let config = match (content, &value) {
        (Some(content), Some(value)) => match Config::read(content) {
            Ok(config) => Some(config),
            Err(problems) => {
                for problem in problems {
                    let dot = if problem.path.is_empty() || problem.path.starts_with('[') {
                        ""
                    } else {
                        "."
                    };
                    findings.error(format!("{}{dot}{}", value.path, problem.path), problem.message);
                }
                None
            }
        },
        _ => {
            findings.error(at.path_of("configuration"), "is missing; it is a google.protobuf.Struct whose value has role: gateway or role: provider");
            None
        }
    };
    Some(Plugin { filter, at, config, cluster })
}
