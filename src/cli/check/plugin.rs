//! One waypost filter, and that all of them share one VM.

use serde_json::Value;

use super::Findings;
use super::document::At;
use super::setup::{Plugin, Setup};
use crate::config::Config;

/// Looks at every waypost filter.
pub fn check(setup: &Setup<'_>, findings: &mut Findings) {
    for plugin in &setup.plugins {
        check_one(plugin, findings);
    }
    let gateway = setup.gateways().next().map(|(plugin, _)| plugin);
    if let Some(first) = gateway.or_else(|| setup.plugins.first()) {
        for plugin in setup.plugins.iter().filter(|plugin| plugin.at.path != first.at.path) {
            compare(first, plugin, findings);
        }
    }
}

fn check_one(plugin: &Plugin<'_>, findings: &mut Findings) {
    let at = &plugin.at;
    if plugin.filter.flag("disabled") {
        findings.error(
            plugin.filter.path_of("disabled"),
            "a disabled filter lets requests pass unchecked and untranslated; remove it",
        );
    }
    if !at.flag("allow_on_headers_stop_iteration") {
        findings.error(at.path_of("allow_on_headers_stop_iteration"), "must be true: without it no body comes while headers are held, and every request hangs");
    }
    match at.text("failure_policy") {
        Some("FAIL_RELOAD") => {}
        Some("FAIL_OPEN") => findings.error(at.path_of("failure_policy"), "FAIL_OPEN sends requests on unchecked and untranslated when the module fails; use FAIL_RELOAD"),
        _ => findings.error(at.path_of("failure_policy"), "must be FAIL_RELOAD: a worker whose module failed once answers 503 for ever otherwise"),
    }
    if at.flag("fail_open") {
        findings.error(at.path_of("fail_open"), "sends requests on unchecked and untranslated when the module fails; remove it and use failure_policy: FAIL_RELOAD");
    }
    let Some(vm) = at.get("vm_config") else {
        findings.error(at.path_of("vm_config"), "is missing: it names the module");
        return;
    };
    if let Some(runtime) = vm.text("runtime").filter(|runtime| *runtime != "envoy.wasm.runtime.v8")
    {
        findings.error(
            vm.path_of("runtime"),
            format!("is \"{runtime}\"; Envoy's builds have envoy.wasm.runtime.v8"),
        );
    }
    check_environment(plugin, &vm, findings);
}

/// A credential's variable must reach the module, from Envoy's environment and not from the file.
fn check_environment(plugin: &Plugin<'_>, vm: &At<'_>, findings: &mut Findings) {
    let Some(Config::Provider(role)) = &plugin.config else { return };
    let environment = vm.get("environment_variables");
    let passed = environment.as_ref().map_or_else(Vec::new, |at| at.list("host_env_keys"));
    let written = environment.as_ref().and_then(|at| at.get("key_values"));
    for credential in &role.credentials {
        let name = credential.env.as_str();
        if let Some(at) = written.as_ref().and_then(|at| at.get(name)) {
            findings.warn(at.path, "a key in the file shows in Envoy's config dump and in version control; put it into Envoy's environment and its name into host_env_keys");
        } else if !passed.iter().any(|at| at.value.as_str() == Some(name)) {
            findings.error(
                vm.path_of("environment_variables"),
                format!("{name} is not in host_env_keys, so the module cannot see it and every request to \"{}\" would go without a key", role.provider),
            );
        }
    }
}

/// Another `vm_id`, code or environment is another VM, and the roles would not meet.
fn compare(first: &Plugin<'_>, other: &Plugin<'_>, findings: &mut Findings) {
    let (Some(one), Some(two)) = (first.at.get("vm_config"), other.at.get("vm_config")) else {
        return;
    };
    let mut keys: Vec<&str> = one.keys().chain(two.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let (here, there) = (two.value.get(key), one.value.get(key));
        if here != there {
            findings.error(
                two.path_of(key),
                format!(
                    "is {} here but {} at {}; all waypost filters need the same vm_config, or they do not share one VM and every request fails",
                    show(here),
                    show(there),
                    one.path_of(key)
                ),
            );
        }
    }
}

fn show(value: Option<&Value>) -> String {
    let Some(value) = value else { return "missing".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
