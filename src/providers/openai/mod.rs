//! OpenAI, and the base for all that speak like it.
//!
//! The canonical API is OpenAI's own, so what can pass stays byte for byte as it was written; see
//! [`edit`] for how little is changed.
//!
//! | file | what it is |
//! |---|---|
//! | `quirks` | how a provider that speaks like OpenAI differs from it, as data |
//! | `request` | what a provider and a model take, and what is dropped or changed for them |
//! | `messages` | messages as a provider takes them |
//! | `tools` | tools, for providers that know less of them |
//! | `routes` | fields by which a client would choose a model, or that cost more than tokens |
//! | [`edit`] | changes to JSON text that leave the rest of it alone |
//! | `finish` | why a choice ended, in OpenAI's words |
//! | [`answer`] | a whole answer, checked |
//! | [`stream`] | a streamed answer, passed on event by event |

use super::stream::Sse;
use super::{
    Answer, Call, Chat, Dialect, Embeddings, Error, Headers, Outbound, Target, Translator,
    embeddings,
};

pub mod answer;
pub mod edit;
pub(crate) mod finish;
pub(crate) mod messages;
pub(crate) mod quirks;
pub(crate) mod request;
pub(crate) mod routes;
pub mod stream;
mod tools;

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub struct OpenAi;

impl Dialect for OpenAi {
    fn request(
        &self,
        chat: &Chat<'_>,
        body: &[u8],
        target: &Target<'_>,
    ) -> Result<Outbound, Error> {
        let headers = quirks::OPENAI.headers(target.settings);
        let mut warnings = Vec::new();
        let place = request::Place::of(target);
        let body = request::body(chat, body, target, &quirks::OPENAI, place, &mut warnings)?;
        let path = format!("{}/chat/completions", target.base.path);
        Ok(Outbound { method: "POST", path, headers, body, warnings })
    }

    fn answer(&self, call: &Call<'_>, _: &Headers<'_>, body: &[u8]) -> Result<Answer, Error> {
        answer::read(call, body)
    }

    fn stream(&self, call: &Call<'_>) -> Box<dyn Translator> {
        Box::new(Sse::new(stream::Chunks::new(call, &quirks::OPENAI)))
    }

    fn embed(
        &self,
        asked: &Embeddings<'_>,
        body: &[u8],
        target: &Target<'_>,
    ) -> Result<Outbound, Error> {
        let path = format!("{}/embeddings", target.base.path);
        let body = embeddings::openai::body(asked, body, target);
        let headers = quirks::OPENAI.headers(target.settings);
        Ok(Outbound { method: "POST", path, headers, body, warnings: Vec::new() })
    }

    fn embedded(
        &self,
        asked: &Embeddings<'_>,
        target: &Target<'_>,
        _: &Headers<'_>,
        body: &[u8],
    ) -> Result<Answer, Error> {
        embeddings::openai::answer(asked, target, body)
    }

    fn models(&self, target: &Target<'_>) -> Option<Outbound> {
        let path = format!("{}/models", target.base.path);
        Some(Outbound::get(path, quirks::OPENAI.headers(target.settings)))
    }
}
