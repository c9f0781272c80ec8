//! `waypost explain`: which rule takes a request, and who is asked in which order, and why.
//!
//! Everything is decided by what decides in Envoy: [`intake::ask`] makes of a body what rules see of
//! it, [`crate::routing`] finds the rule and orders the candidates, the dialects say who can express
//! the request. Where chance has a part, the same decision is made [`DRAWS`] times and counted.
//!
//! | file | what it is |
//! |---|---|
//! | `decision` | one decision, with all that was known |
//! | `condition` | why a rule takes a request, or does not |
//! | `notes` | what a strategy does with a request, and what a rule requires, in words |
//! | `standing` | how candidates stand, by `GET /waypost/status` |
//! | `told` | what is told, as it stands in JSON |
//! | `print` | the same for people |
//!
//! # Not supported
//! What else Envoy does before a request gets so far: TLS, routes, other filters. Requests of which
//! this worker knows already, so `max_concurrency` counts by the status only.

mod condition;
mod decision;
mod notes;
mod print;
mod standing;
mod told;

use super::BadUsage;
#[cfg(not(target_arch = "wasm32"))]
use super::check;
use super::translate::Printed;
use super::verdict::Verdict;
use crate::config::Gateway;
use crate::config::reader::nearest;
use crate::config::rule::Operation;
#[cfg(doc)]
use crate::filter::intake;

use decision::Scene;
use standing::Status;
use told::Told;

/// How often a decision is made to see what chance does. So that turns of up to ten endpoints come
/// out even.
pub const DRAWS: u64 = 10_080;

/// A request, as a client sends it.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// What it asks for.
    pub operation: Operation,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// The tenant that asks, whatever the headers show.
    pub tenant: Option<String>,
    /// When it is asked, in milliseconds since 1970: keys expire.
    pub now: u64,
}

impl Inquiry {
    /// Its path.
    #[must_use]
    pub const fn path(&self) -> &'static str {
        match self.operation {
            Operation::Chat => "/v1/chat/completions",
            Operation::Embeddings => "/v1/embeddings",
        }
    }
}

/// Which gateway, in which state, and how it is printed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only the gateway in the listener of this name.
    pub gateway: Option<String>,
    /// What `GET /waypost/status` said.
    pub status: Option<Vec<u8>>,
    /// As JSON.
    pub json: bool,
}

/// What the gateways of an Envoy file make of a request. `file` is its name, for messages.
///
/// # Errors
/// A file without such a gateway, a body that is no JSON, a status that is none.
#[cfg(not(target_arch = "wasm32"))]
pub fn configured(
    file: &str,
    text: &str,
    inquiry: &Inquiry,
    options: &Options,
) -> Result<Printed, BadUsage> {
    let gateways = check::gateways(file, text)?;
    if gateways.is_empty() {
        return Err(BadUsage(format!(
            "{file}: no gateway in it can be understood; `waypost check {file}` says why"
        )));
    }
    let cel = |text: &str| super::cel::evaluate(text, inquiry.path(), &inquiry.headers);
    of_gateways(gateways, inquiry, options, &cel)
}

/// What these gateways, with their names, make of a request. `cel` says what is known of an
/// expression.
///
/// # Errors
/// As [`configured`].
pub fn of_gateways(
    mut gateways: Vec<(String, Gateway)>,
    inquiry: &Inquiry,
    options: &Options,
    cel: &dyn Fn(&str) -> Verdict,
) -> Result<Printed, BadUsage> {
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&inquiry.body) {
        return Err(BadUsage(format!(
            "the request is not JSON: {error}; give the body that a client sends, such as {{\"model\": \"gpt-4o\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}"
        )));
    }
    if let Some(wanted) = &options.gateway {
        let names: Vec<String> = gateways.iter().map(|(name, _)| name.clone()).collect();
        gateways.retain(|(name, _)| name == wanted);
        if gateways.is_empty() {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            return Err(BadUsage(format!(
                "--gateway: no listener with a gateway is called \"{wanted}\"{} (there are: {})",
                nearest(wanted, &names),
                names.join(", ")
            )));
        }
    }
    let status = options.status.as_deref().map(Status::read).transpose()?;
    if let Some(status) = &status
        && !gateways.iter().any(|(_, gateway)| status.knows_any(gateway))
    {
        return Err(BadUsage(
            "--status: it tells of none of the clusters here, so it is of another configuration"
                .to_owned(),
        ));
    }
    let explained = gateways.into_iter().map(|(name, gateway)| {
        let scene = Scene::new(gateway, inquiry, status.as_ref(), cel);
        scene.explain(name)
    });
    let told = Told { gateways: explained.collect() };
    let failed = told.gateways.iter().flat_map(|one| &one.decisions).any(|one| one.error.is_some());
    let bytes = if options.json { print::json(&told) } else { print::text(&told).into_bytes() };
    Ok(Printed { bytes, exit: u8::from(failed) })
}

#[cfg(test)]
mod tests;
