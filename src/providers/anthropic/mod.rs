//! Anthropic Messages.
//!
//! | file | what it is |
//! |---|---|
//! | [`request`] | the body, its headers, and what becomes of each field at the top |
//! | [`messages`] | turns: who speaks, instructions, the user's words, results of tools |
//! | [`assistant`] | the assistant's turns: thinking, text, calls |
//! | [`media`] | pictures and documents |
//! | [`tools`] | tools, the choice among them, and JSON answers by way of a tool |
//! | [`schema`] | JSON Schemas, as the API takes them |
//! | [`thinking`] | reasoning effort |
//! | [`cache`] | marks for the prompt cache |
//! | [`ids`] | ids and names that other providers made |
//! | [`block`] | what answers consist of, as it arrives |
//! | [`answer`] | a whole answer |
//! | [`stream`] | a streamed answer: its states |
//! | [`told`] | what a stream has told so far |
//!
//! Refusals have a shape that [`super::failure`] knows, inside a stream too.
//!
//! # Not supported
//! Sound, more than one answer, token probabilities, custom tools, `functions`. A request with one
//! of these is refused, or loses it where the configuration says so.

use super::{Answer, Call, Dialect, Headers, Outbound, Target, Translator, Warning};
use crate::openai::{Chat, Error};

mod answer;
mod assistant;
mod block;
mod cache;
mod ids;
mod media;
mod messages;
mod request;
mod schema;
mod stream;
mod thinking;
mod told;
mod tools;

/// The dialect.
#[derive(Debug)]
pub struct Anthropic;

/// Values of `anthropic_version`. `auto` takes the newest, and the old one only for a request with
/// sampling parameters to a model that still takes them: the newest has none.
pub const VERSIONS: &[&str] = &["auto", OLD_VERSION, NEW_VERSION];

const OLD_VERSION: &str = "2023-06-01";
const NEW_VERSION: &str = "2026-10-21";

impl Dialect for Anthropic {
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

    /// Not `authorization`: where both are given the API reads this one.
    fn credential(&self, secret: &str) -> (&'static str, String) {
        ("x-api-key", secret.to_owned())
    }
}

/// What the client should know, each thing once however often it happens in a request.
#[derive(Debug, Default)]
struct Warnings(Vec<Warning>);

impl Warnings {
    fn add(&mut self, warning: Warning) {
        if !self.0.contains(&warning) {
            self.0.push(warning);
        }
    }

    fn dropped(&mut self, param: &'static str) {
        self.add(Warning::Dropped(param.into()));
    }

    fn changed(&mut self, param: &'static str, to: impl Into<String>) {
        self.add(Warning::Changed { param: param.into(), to: to.into() });
    }
}

#[cfg(test)]
mod tests;
