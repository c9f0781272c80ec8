//! Mistral's chat.
//!
//! | file | what it is |
//! |---|---|
//! | `request` | the body, and what becomes of each field at the top |
//! | `messages` | who speaks, in the order that the API demands |
//! | `assistant` | the assistant's turns: thinking, text, calls |
//! | `content` | what answers consist of: text, thinking, references, calls |
//! | `answer` | a whole answer |
//! | `stream` | a streamed answer: its states |
//!
//! The API looks like OpenAI's and is not: a field that it does not know is refused, ids of calls
//! have nine letters or digits, roles have an order, and content may be a list of chunks in answers
//! too. So requests and answers are written anew. Refusals have a shape that [`super::failure`]
//! knows, inside a stream too.
//!
//! # Not supported
//! Answers in sound, searching the web, custom tools, `functions`. A request with one of these is
//! refused, or loses it where the configuration says so.

use super::warnings::Warnings;
use super::{Answer, Call, Dialect, Headers, Outbound, Target, Translator, embeddings};
use crate::openai::{Chat, Embeddings, Error};

mod answer;
mod assistant;
mod content;
mod messages;
mod request;
mod stream;

/// The dialect.
#[derive(Debug)]
pub struct Mistral;

impl Dialect for Mistral {
    fn request(
        &self,
        chat: &Chat<'_>,
        body: &[u8],
        target: &Target<'_>,
    ) -> Result<Outbound, Error> {
        request::write(chat, body.len(), target)
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
        let body = embeddings::mistral::body(asked, target, &mut warnings)?;
        let path = format!("{}/embeddings", target.base.path);
        Ok(embeddings::outbound(path, body, warnings))
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
        Some(Outbound::get(path, Vec::new()))
    }
}

#[cfg(test)]
mod tests;
