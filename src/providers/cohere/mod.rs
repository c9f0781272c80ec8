//! Cohere's chat, version 2.
//!
//! | file | what it is |
//! |---|---|
//! | `request` | the body, and what becomes of each field at the top |
//! | `messages` | who speaks: instructions, the user, the assistant, results of tools |
//! | `names` | names of functions, in letters that the API takes |
//! | `content` | what answers consist of: text, thinking, calls, citations |
//! | `answer` | a whole answer |
//! | `stream` | a streamed answer: its states |
//!
//! Refusals are a `message`, which [`super::failure`] knows.
//!
//! # Not supported
//! More than one answer, alternatives of tokens, answers in sound, searching the web, sound and
//! documents from the user, custom tools, `functions`, a JSON format together with tools. A request
//! with one of these is refused, or loses it where the configuration says so. Of the citations in an
//! answer only those of sources with a URL are passed on.

use super::warnings::Warnings;
use super::{Answer, Call, Dialect, Headers, Outbound, Target, Translator, embeddings};
use crate::openai::{Chat, Embeddings, Error};

mod answer;
mod content;
mod messages;
mod names;
mod request;
mod stream;

/// The dialect.
#[derive(Debug)]
pub struct Cohere;

impl Dialect for Cohere {
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
        let body = embeddings::cohere::body(asked, target, true, &mut warnings)?;
        let path = format!("{}/v2/embed", target.base.path);
        Ok(embeddings::outbound(path, body, warnings))
    }

    fn embedded(
        &self,
        asked: &Embeddings<'_>,
        target: &Target<'_>,
        _: &Headers<'_>,
        body: &[u8],
    ) -> Result<Answer, Error> {
        embeddings::cohere::answer(asked, target, None, body)
    }

    fn models(&self, target: &Target<'_>) -> Option<Outbound> {
        let path = format!("{}/v1/models?page_size=1", target.base.path);
        Some(Outbound::get(path, Vec::new()))
    }
}

#[cfg(test)]
mod tests;
