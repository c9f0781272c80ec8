//! Who could say that he is somebody else, and keys that do not hold.

use super::Findings;
use super::document::At;
use super::setup::{Manager, Plugin, Setup, is_loopback};
use crate::config::{Config, Gateway};
use crate::tenancy::{Key, Source};

/// A key that stands in every copy of this repository.
const KNOWN: [&str; 2] = ["wp-demo", "wp-bench"];

/// Looks at every listener with a gateway. `now` is in milliseconds since 1970; without it nothing is
/// said of dates.
pub fn check(setup: &Setup<'_>, now: Option<u64>, findings: &mut Findings) {
    for manager in &setup.managers {
        let plugin = manager.gateway.and_then(|at| setup.plugins.get(at));
        let Some((plugin, Some(Config::Gateway(gateway)))) = plugin.map(|at| (at, &at.config))
        else {
            continue;
        };
        let value = plugin.at.dig(&["configuration", "value"]);
        let path = value.map_or_else(String::new, |at| at.path);
        for source in &gateway.tenancy.identity {
            match source {
                Source::Key => {}
                Source::Certificate => check_certificates(manager, findings),
                Source::Claims(named) => {
                    let filter = named.tenant.split('\0').nth(2).unwrap_or_default();
                    if !before(manager, plugin).any(|at| is_filter(&at, filter)) {
                        findings.error(format!("{path}.identity"), format!("takes claims from {filter}, which does not stand before this filter: nobody could be known by them; put it there, by that name"));
                    }
                }
                Source::Headers(named) => {
                    for (what, header) in [
                        ("tenant", Some(&named.tenant)),
                        ("team", named.team.as_ref()),
                        ("tier", named.tier.as_ref()),
                        ("user", named.user.as_ref()),
                        ("application", named.application.as_ref()),
                    ] {
                        let Some(header) = header else { continue };
                        if !before(manager, plugin).any(|at| may_set(&at, header)) {
                            findings.warn(format!("{path}.identity"), format!("takes the {what} from the header {header}, and no filter stands before this one that could set or remove it: unless a proxy before Envoy does, clients are whoever they say; put api_key_auth or ext_authz there"));
                        }
                    }
                }
            }
        }
        check_keys(gateway, &path, is_public(&manager.listener), now, findings);
    }
}

/// The filters before ours.
fn before<'a>(manager: &Manager<'a>, plugin: &Plugin<'_>) -> impl Iterator<Item = At<'a>> {
    let own = plugin.filter.path.clone();
    manager.at.list("http_filters").into_iter().take_while(move |at| at.path != own)
}

fn is_filter(at: &At<'_>, name: &str) -> bool {
    at.text("name") == Some(name)
}

/// Whether a filter may set a request header. Of a key `api_key_auth` forwards one thing, in one header,
/// and what clients write in others it leaves there.
fn may_set(at: &At<'_>, header: &str) -> bool {
    let Some(config) = at.get("typed_config") else { return true };
    match config.text("@type").and_then(|kind| kind.rsplit('.').next()) {
        Some("ApiKeyAuth") => {
            let forwarded = config.dig(&["forwarding"]);
            let name = forwarded.as_ref().and_then(|at| at.text("header"));
            name.is_some_and(|name| name.eq_ignore_ascii_case(header))
        }
        Some("Cors") => false,
        _ => true,
    }
}

/// What Envoy checks a certificate by: without any of it, nothing is known of the client.
const TRUST: [&str; 6] = [
    "trusted_ca",
    "system_root_certs",
    "ca_certificate_provider_instance",
    "custom_validator_config",
    "verify_certificate_spki",
    "verify_certificate_hash",
];

/// A client must show a certificate, and Envoy must look whose it is.
fn check_certificates(manager: &Manager<'_>, findings: &mut Findings) {
    let chains = manager.listener.list("filter_chains").into_iter();
    for chain in chains.chain(manager.listener.get("default_filter_chain")) {
        let context = chain.dig(&["transport_socket", "typed_config"]);
        let common = context.as_ref().and_then(|at| at.get("common_tls_context"));
        let validation = common.as_ref().and_then(|at| {
            let names = [
                "validation_context",
                "combined_validation_context",
                "validation_context_sds_secret_config",
            ];
            names.into_iter().find_map(|name| at.get(name))
        });
        let (Some(context), Some(validation)) = (&context, &validation) else {
            findings.error(chain.path_of("transport_socket"), "asks for no certificate (validation_context), but identity names \"certificate\": nobody could be known by one");
            continue;
        };
        // What comes from elsewhere is not known here.
        let is_here = common.as_ref().is_some_and(|at| at.get("validation_context").is_some());
        let validation =
            validation.get("default_validation_context").unwrap_or_else(|| validation.clone());
        if validation.text("trust_chain_verification") == Some("ACCEPT_UNTRUSTED") {
            findings.error(validation.path_of("trust_chain_verification"), "lets every certificate in, and identity believes what stands in it: anybody could be anybody; remove it");
        } else if is_here && TRUST.iter().all(|name| validation.get(name).is_none()) {
            findings.error(&validation.path, "has no trusted_ca: Envoy tells of no certificate that it did not check, so nobody could be known by one; set trusted_ca to the authority of your clients");
        }
        if !context.flag("require_client_certificate") {
            findings.warn(context.path_of("require_client_certificate"), "is not true, so clients without a certificate come as far as this filter, which knows them by the rest of identity or refuses them; set it if every client has one");
        }
    }
}

/// Whether a listener can be reached from elsewhere.
fn is_public(listener: &At<'_>) -> bool {
    let address = listener.dig(&["address", "socket_address"]);
    address.and_then(|at| at.text("address")).is_some_and(|address| !is_loopback(address))
}

fn check_keys(
    gateway: &Gateway,
    path: &str,
    public: bool,
    now: Option<u64>,
    findings: &mut Findings,
) {
    let tenancy = &gateway.tenancy;
    let name = |key: &Key| tenancy.tenants.get(key.tenant).map_or("", |tenant| &tenant.name);
    for key in &tenancy.keys {
        let path = format!("{path}.tenants.{}.keys", name(key));
        if key.expires.is_some_and(|end| now.is_some_and(|now| now >= end)) && !key.revoked {
            findings.warn(&path, format!("the key \"{}\" has expired; remove it", key.id));
        }
        if public && !key.revoked && KNOWN.iter().any(|known| key.hash.is_of(known)) {
            findings.warn(&path, format!("the key \"{}\" is the one of the examples, which everybody knows, and the listener can be reached from elsewhere; make another with waypost key new", key.id));
        }
    }
}
