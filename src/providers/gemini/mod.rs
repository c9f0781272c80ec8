//! Google Gemini.
//!
//! | file | what it is |
//! |---|---|
//! | `request` | the body, and what becomes of each field at the top |
//! | `surface` | where the API is spoken, and which models it speaks of |
//! | `contents` | the turns of the user: text, media, results of calls |
//! | `model_turn` | the turns of the model: text, calls, signatures of thoughts |
//! | `media` | pictures, sound and documents |
//! | `tools` | functions, search, and the choice among them |
//! | `names` | names of functions that the API refuses |
//! | `schema` | JSON Schemas, as the API takes them |
//! | `thinking` | reasoning effort |
//! | `wire` | answers as they arrive, whole or in pieces |
//! | `logprobs` | token probabilities |
//! | `grounding` | what the answer's text rests on |
//! | `answer` | a whole answer |
//! | `stream` | a streamed answer: its states |
//!
//! Refusals have a shape that [`super::failure`] knows, inside a stream too.
//!
//! # Not supported
//! Spoken answers, custom tools, `functions`. A request with one of these is refused, or loses it
//! where the configuration says so.

use super::warnings::Warnings;
use super::{Answer, Call, Dialect, Headers, Outbound, Settings, Target, Translator, embeddings};
use crate::openai::{Chat, Embeddings, Error};
pub use request::SAFETY_THRESHOLDS;
use surface::Surface;

mod answer;
mod contents;
mod grounding;
mod logprobs;
mod media;
mod model_turn;
mod names;
pub(super) mod request;
mod schema;
mod stream;
pub(super) mod surface;
mod thinking;
mod tools;
mod wire;

/// The dialect, as AI Studio speaks it.
#[derive(Debug)]
pub struct Gemini;

impl Dialect for Gemini {
    fn request(
        &self,
        chat: &Chat<'_>,
        body: &[u8],
        target: &Target<'_>,
    ) -> Result<Outbound, Error> {
        request::write(chat, body.len(), target, Surface::AiStudio)
    }

    fn answer(&self, call: &Call<'_>, _: &Headers<'_>, body: &[u8]) -> Result<Answer, Error> {
        answer::read(call, body)
    }

    fn stream(&self, call: &Call<'_>) -> Box<dyn Translator> {
        stream::translator(call)
    }

    fn embed(
        &self,
        asked: &Embeddings<'_>,
        _: &[u8],
        target: &Target<'_>,
    ) -> Result<Outbound, Error> {
        let mut warnings = Warnings::default();
        let body = embeddings::google::gemini(asked, target, &mut warnings)?;
        let path = Surface::AiStudio.method(target, "batchEmbedContents");
        Ok(embeddings::outbound(path, body, warnings))
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

    fn credential(&self, secret: &str, _: &Settings) -> (&'static str, String) {
        ("x-goog-api-key", secret.to_owned())
    }

    fn models(&self, target: &Target<'_>) -> Option<Outbound> {
        let path = format!("{}/v1beta/models?pageSize=1", target.base.path);
        Some(Outbound::get(path, Vec::new()))
    }
}

#[cfg(test)]
mod tests;
