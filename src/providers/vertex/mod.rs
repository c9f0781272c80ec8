//! Google's Vertex AI: models of several publishers, each in the publisher's own API.
//!
//! Google's are spoken to as [`super::gemini`] is, Anthropic's as [`super::anthropic`] is. What is
//! Vertex's own is the address, which names the project and the location, and the credential.
//!
//! # Not supported
//! Other publishers' models, tuned endpoints.

use super::anthropic::{self, Anthropic};
use super::catalogue::Capability;
use super::gemini::Gemini;
use super::gemini::request;
use super::gemini::surface::{Surface, bare, vertex_path};
use super::{Answer, Call, Dialect, Headers, Outbound, Settings, Target, Translator};
use crate::openai::{Chat, Error};

/// The dialect.
#[derive(Debug)]
pub struct Vertex;

/// Values of the setting `publisher`, which says whose the models are, whatever their names.
pub const PUBLISHERS: &[&str] = &["google", "anthropic"];

/// Where the API is: the location is a part of the host's name, apart from `global`.
///
/// # Errors
/// The name of the setting that is missing.
pub fn base_url(settings: &Settings) -> Result<String, &'static str> {
    let location = settings.value("location").ok_or("location")?;
    Ok(match location {
        "global" => "https://aiplatform.googleapis.com".to_owned(),
        "us" | "eu" => format!("https://aiplatform.{location}.rep.googleapis.com"),
        region => format!("https://{region}-aiplatform.googleapis.com"),
    })
}

/// Whose a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Publisher {
    Google,
    Anthropic,
}

/// Whose the model is, and its name without the publisher's. What stands in the name counts most,
/// then the setting. The catalogue does not tell, so the rest follows from how the names begin.
fn publisher<'a>(target: &Target<'a>) -> Result<(Publisher, &'a str), Error> {
    let model = target.model;
    let named = match model.strip_prefix("publishers/") {
        Some(rest) => rest.split_once("/models/"),
        None => model.split_once('/').filter(|(first, _)| *first != "models"),
    };
    let (word, model) = match named {
        Some((word, model)) => (Some(word), model),
        None => (target.settings.value("publisher"), bare(model)),
    };
    match word {
        Some("google") => Ok((Publisher::Google, model)),
        Some("anthropic") => Ok((Publisher::Anthropic, model)),
        Some(_) => {
            let message = format!(
                "The model '{}' is of a publisher that is not served; these are: {}.",
                target.model,
                PUBLISHERS.join(", ")
            );
            Err(Error::invalid("model", message).with_code("model_not_found"))
        }
        None if model.starts_with("claude") => Ok((Publisher::Anthropic, model)),
        None => Ok((Publisher::Google, model)),
    }
}

impl Dialect for Vertex {
    fn request(
        &self,
        chat: &Chat<'_>,
        body: &[u8],
        target: &Target<'_>,
    ) -> Result<Outbound, Error> {
        let (publisher, model) = publisher(target)?;
        let target = &Target { model, ..*target };
        match publisher {
            Publisher::Google => request::write(chat, body.len(), target, Surface::Vertex),
            Publisher::Anthropic => {
                let host = anthropic::request::Host::Vertex;
                let outbound = anthropic::request::write(chat, body.len(), target, host)?;
                let method = if chat.stream { "streamRawPredict" } else { "rawPredict" };
                let path = vertex_path(target, "anthropic", model, method);
                Ok(Outbound { path, ..outbound })
            }
        }
    }

    fn answer(&self, call: &Call<'_>, headers: &Headers<'_>, body: &[u8]) -> Result<Answer, Error> {
        let (dialect, call) = publishers(call);
        dialect.answer(&call, headers, body)
    }

    fn stream(&self, call: &Call<'_>) -> Box<dyn Translator> {
        let (dialect, call) = publishers(call);
        dialect.stream(&call)
    }

    fn emulates(&self, lacking: Capability, target: &Target<'_>) -> bool {
        match publisher(target) {
            Ok((Publisher::Anthropic, _)) => Anthropic.emulates(lacking, target),
            _ => Gemini.emulates(lacking, target),
        }
    }
}

/// The dialect of the publisher, and the call as it knows it.
fn publishers<'a>(call: &Call<'a>) -> (&'static dyn Dialect, Call<'a>) {
    let (publisher, model) =
        publisher(&call.target).unwrap_or((Publisher::Google, call.target.model));
    let call = Call { target: Target { model, ..call.target }, ..*call };
    match publisher {
        Publisher::Google => (&Gemini, call),
        Publisher::Anthropic => (&Anthropic, call),
    }
}

#[cfg(test)]
mod tests;
