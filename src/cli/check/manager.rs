//! The connection manager around a filter in a listener.

use std::time::Duration;

use super::Findings;
use super::document::At;
use super::setup::{Manager, Setup};
use crate::config::reader::show;
use crate::config::{Config, Gateway, Timeouts};

/// Envoy's `stream_idle_timeout` when none is set.
const DEFAULT_IDLE: Duration = Duration::from_secs(300);

/// Looks at every connection manager that has a waypost filter.
pub fn check(setup: &Setup<'_>, findings: &mut Findings) {
    for manager in &setup.managers {
        let index = manager.gateway.or(manager.inner);
        let Some(plugin) = index.and_then(|index| setup.plugins.get(index)) else {
            continue;
        };
        check_order(manager, &plugin.filter.path, findings);
        if plugin.role() == Some("loopback") {
            for (_, gateway) in setup.gateways() {
                check_times(&manager.at, gateway, findings);
            }
        }
        if manager.gateway.is_none() {
            continue;
        }
        check_replies(manager, findings);
        if !manager.at.flag("use_remote_address") {
            findings.warn(manager.at.path_of("use_remote_address"), "should be true where clients connect: otherwise Envoy takes their word for who they are, and logs that");
        }
        if let Some(Config::Gateway(gateway)) = &plugin.config {
            check_times(&manager.at, gateway, findings);
        }
    }
}

fn check_order(manager: &Manager<'_>, gateway: &str, findings: &mut Findings) {
    let filters = manager.at.list("http_filters");
    let router = |at: &At<'_>| at.get("typed_config").is_some_and(|at| at.is_a("router.v3.Router"));
    let path = manager.at.path_of("http_filters");
    match filters.iter().position(router) {
        None => findings.error(
            path,
            "has no router (envoy.filters.http.router), which must be the last filter",
        ),
        Some(at) => {
            if filters.iter().skip(at).any(|filter| filter.path == gateway) {
                findings.error(gateway, "stands after the router and never runs; put it before the router, which must be the last filter");
            } else if at + 1 < filters.len() {
                findings
                    .error(path, "the router must be the last filter: those after it never run");
            }
        }
    }
}

/// Without it, what Envoy itself refuses comes as plain text, which no client of the API can read.
fn check_replies(manager: &Manager<'_>, findings: &mut Findings) {
    let path = manager.at.path_of("local_reply_config");
    let Some(replies) = manager.at.get("local_reply_config") else {
        findings.error(path, "is missing: Envoy's own errors would be plain text, not the JSON that clients of the API read; copy the one of envoy/envoy.yaml");
        return;
    };
    let mappers = replies.list("mappers");
    if mappers.is_empty() && replies.get("body_format").is_none() {
        findings.error(
            path,
            "has no mappers, so Envoy's own errors are plain text; copy those of envoy/envoy.yaml",
        );
    } else if replies.get("body_format").is_some() {
        findings.error(replies.path_of("body_format"), "rewrites every local reply, the module's own errors among them; use mappers whose filter leaves out details that begin with waypost_");
    }
    for mapper in mappers {
        let expression = mapper.dig(&["filter", "extension_filter", "typed_config"]);
        let expression = expression.as_ref().and_then(|at| at.text("expression"));
        let spares = expression.is_some_and(|text| {
            text.contains("!response.code_details.startsWith('waypost_')")
                || text.contains("response.code_details ==")
                || text.contains("!response.code_details.startsWith(\"waypost_\")")
        });
        if !spares && (mapper.get("body_format_override").is_some() || mapper.get("body").is_some())
        {
            findings.error(mapper.path, "rewrites the module's own errors too; add to its filter: !response.code_details.startsWith('waypost_')");
        }
    }
}

/// Envoy's own limits on time must lie behind the module's, which know what a request may take.
fn check_times(manager: &At<'_>, gateway: &Gateway, findings: &mut Findings) {
    let longest = |pick: fn(&Timeouts) -> Duration| {
        gateway.rules.iter().map(|rule| &rule.timeouts).chain([&gateway.timeouts]).map(pick).max()
    };
    let total = longest(|times| times.total).unwrap_or_default();
    let first_token = longest(|times| times.first_token).unwrap_or_default();
    let answer = longest(|times| times.answer).unwrap_or_default();
    let quiet = first_token.max(answer);
    let mut idle = |at: &At<'_>, name: &str, default: Option<Duration>| {
        let Some(time) = at.time(name).or(default).filter(|time| !time.is_zero()) else { return };
        let set = if at.get(name).is_some() { "is" } else { "is missing, so it is" };
        let path = at.path_of(name);
        if time < quiet {
            let (what, limit) =
                if first_token > time { ("first_token", first_token) } else { ("answer", answer) };
            findings.error(path, format!("{set} {}, shorter than the longest {what} ({}): Envoy would cut a request that the module still waits for; set it to {} or more", show(time), show(limit), show(total)));
        } else if time < total {
            findings.warn(path, format!("{set} {}, shorter than the longest total ({}): a request that fails over may be cut before; set it to {} or more", show(time), show(total), show(total)));
        }
    };
    idle(manager, "stream_idle_timeout", Some(DEFAULT_IDLE));
    for host in manager.get("route_config").map_or_else(Vec::new, |at| at.list("virtual_hosts")) {
        for route in host.list("routes").iter().filter_map(|at| at.get("route")) {
            idle(&route, "idle_timeout", None);
        }
    }
    if let Some(at) = manager.get("common_http_protocol_options")
        && let Some(time) =
            at.time("max_stream_duration").filter(|time| !time.is_zero() && *time < total)
    {
        findings.error(
            at.path_of("max_stream_duration"),
            format!(
                "is {}, shorter than the longest total ({}): answers would be cut; remove it",
                show(time),
                show(total)
            ),
        );
    }
}
