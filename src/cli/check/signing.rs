//! Requests to AWS that Envoy signs, by its own filter behind ours.

use super::Findings;
use super::document::At;
use super::setup::{Cluster, Plugin, Setup};
use crate::config::ProviderRole;

/// The name that Bedrock's signatures are for; its host has another.
const SERVICE: &str = "bedrock";

/// Whether Envoy signs the requests of this cluster.
pub fn signs(cluster: &Cluster<'_>) -> bool {
    filter(cluster, "aws_request_signing.v3.AwsRequestSigning").is_some()
}

/// Looks at the signing filter of a provider's cluster, if there is one.
pub fn check(
    setup: &Setup<'_>,
    cluster: &Cluster<'_>,
    plugin: &Plugin<'_>,
    role: &ProviderRole,
    findings: &mut Findings,
) {
    let Some((place, signing)) = filter(cluster, "aws_request_signing.v3.AwsRequestSigning") else {
        return;
    };
    if filter(cluster, "wasm.v3.Wasm").is_some_and(|(ours, _)| place < ours) {
        findings.error(
            &signing.path,
            "must stand behind the waypost filter, which changes what is signed",
        );
    }
    if !role.credentials.is_empty() {
        findings.warn(
            plugin.at.path_of("configuration"),
            "has credentials, but aws_request_signing puts its signature in their place; remove one of them",
        );
    }
    let mut providers = setup.gateways().flat_map(|(_, gateway)| &gateway.providers);
    let Some(provider) = providers.find(|provider| provider.name == role.provider) else { return };
    // Behind another address stands something else, which may want other names.
    if provider.api.name != "bedrock" || provider.own_base().as_ref() != Some(&provider.base) {
        return;
    }
    if let Some(service) = signing.text("service_name").filter(|service| *service != SERVICE) {
        findings.error(
            signing.path_of("service_name"),
            format!("is \"{service}\": Bedrock takes signatures for \"{SERVICE}\" only"),
        );
    }
    if let (Some(signed), Some(asked)) = (signing.text("region"), provider.settings.value("region"))
        && signed != asked
    {
        findings.error(
            signing.path_of("region"),
            format!("is \"{signed}\", but requests go to \"{asked}\", which refuses signatures for another region"),
        );
    }
}

/// The first filter whose configuration is of this type: its place, and that configuration.
fn filter<'a>(cluster: &Cluster<'a>, kind: &str) -> Option<(usize, At<'a>)> {
    let filters = cluster.http.as_ref()?.list("http_filters");
    let mut configurations =
        filters.iter().enumerate().filter_map(|(place, at)| Some((place, at.get("typed_config")?)));
    configurations.find(|(_, at)| at.is_a(kind))
}
