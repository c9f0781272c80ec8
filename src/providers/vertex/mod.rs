//! Google's Vertex AI: models of several publishers, each in the publisher's own API.
//!
//! Google's are spoken to as [`super::gemini`] is, Anthropic's as [`super::anthropic`] is, Mistral's
//! as [`super::mistral`] is. What is Vertex's own is the address, which names the project and the
//! location, and the credential.
//!
//! # Not supported
//! Other publishers' models, tuned endpoints.

use super::anthropic::{self, Anthropic};
use super::catalogue::Capability;
use super::gemini::Gemini;
use super::gemini::request;
use super::gemini::surface::{Surface, bare, vertex_path};
use super::mistral::Mistral;
use super::warnings::Warnings;
use super::{Answer, Call, Dialect, Headers, Outbound, Settings, Target, Translator, embeddings};
use crate::openai::{Chat, Embeddings, Error};

/// The dialect.
#[derive(Debug)]
pub struct Vertex;

/// Values of the setting `publisher`, which says whose the models are, whatever their names.
pub const PUBLISHERS: &[&str] = &["google", "anthropic", "mistralai"];

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
    Mistral,
}

/// Whose the model is, and its name without the publisher's. What stands in the name counts most,
/// then the setting. The catalogue does not tell, so the rest follows from how the names begin.
fn publisher<'a>(target: &Target<'a>) -> Result<(Publisher, &'a str), Error> {
    let model = target.model;
    let resource = match model.split_once("/publishers/") {
        Some((project, resource)) if project.starts_with("projects/") => Some(resource),
        _ => model.strip_prefix("publishers/"),
    };
    let named = match resource {
        Some(resource) => resource.split_once("/models/"),
        None => model.split_once('/').filter(|(first, _)| *first != "models"),
    };
    let (word, model) = match named {
        Some((word, model)) => (Some(word), model),
        None => (target.settings.value("publisher"), bare(model)),
    };
    match word {
        Some("google") => Ok((Publisher::Google, model)),
        Some("anthropic") => Ok((Publisher::Anthropic, model)),
        Some("mistralai") => Ok((Publisher::Mistral, model)),
        Some(_) => {
            let message = format!(
                "The model '{}' is of a publisher that is not served; these are: {}.",
                target.model,
                PUBLISHERS.join(", ")
            );
            Err(Error::invalid("model", message).with_code("model_not_found"))
        }
        None => Ok((by_name(target, model), model)),
    }
}

/// A deployment of one's own may have any name; the catalogue's is the model's.
fn by_name(target: &Target<'_>, model: &str) -> Publisher {
    let name = if target.facts.name.is_empty() { model } else { target.facts.name };
    let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    if begins(&["claude"]) {
        Publisher::Anthropic
    } else if begins(&["mistral", "ministral", "codestral"]) {
        Publisher::Mistral
    } else {
        Publisher::Google
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
                let host = anthropic::Host::Vertex;
                let outbound = anthropic::request::write(chat, body.len(), target, host)?;
                Ok(raw(outbound, chat, target, "anthropic"))
            }
            Publisher::Mistral => {
                let outbound = Mistral.request(chat, body, target)?;
                Ok(raw(outbound, chat, target, "mistralai"))
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

    fn embed(
        &self,
        asked: &Embeddings<'_>,
        _: &[u8],
        target: &Target<'_>,
    ) -> Result<Outbound, Error> {
        let (Publisher::Google, model) = publisher(target)? else {
            return Err(embeddings::none(target));
        };
        let target = &Target { model, ..*target };
        let mut warnings = Warnings::default();
        let (method, body) = embeddings::google::vertex(asked, target, &mut warnings)?;
        Ok(embeddings::outbound(Surface::Vertex.method(target, method), body, warnings))
    }

    fn embedded(
        &self,
        asked: &Embeddings<'_>,
        target: &Target<'_>,
        _: &Headers<'_>,
        body: &[u8],
    ) -> Result<Answer, Error> {
        embeddings::google::answer(asked, target, body)
    }

    fn emulates(&self, lacking: Capability, target: &Target<'_>) -> bool {
        match publisher(target) {
            Ok((Publisher::Anthropic, _)) => Anthropic.emulates(lacking, target),
            _ => Gemini.emulates(lacking, target),
        }
    }
}

/// A request in the publisher's own form, to Vertex.
fn raw(outbound: Outbound, chat: &Chat<'_>, target: &Target<'_>, publisher: &str) -> Outbound {
    let method = if chat.stream { "streamRawPredict" } else { "rawPredict" };
    Outbound { path: vertex_path(target, publisher, target.model, method), ..outbound }
}

/// The dialect of the publisher, and the call as it knows it.
fn publishers<'a>(call: &Call<'a>) -> (&'static dyn Dialect, Call<'a>) {
    let (publisher, model) =
        publisher(&call.target).unwrap_or((Publisher::Google, call.target.model));
    let call = Call { target: Target { model, ..call.target }, ..*call };
    match publisher {
        Publisher::Google => (&Gemini, call),
        Publisher::Anthropic => (&Anthropic, call),
        Publisher::Mistral => (&Mistral, call),
    }
}

#[cfg(test)]
mod tests;
