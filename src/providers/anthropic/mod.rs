//! Anthropic Messages.
//!
//! | file | what it is |
//! |---|---|
//! | `request` | the body, its headers, and what becomes of each field at the top |
//! | `turns` | what the turns of both speakers are written with |
//! | `messages` | who speaks, instructions, the user's words, results of tools |
//! | `assistant` | the assistant's turns: thinking, text, calls |
//! | `media` | pictures and documents |
//! | `tools` | tools, and the choice among them |
//! | `json_answer` | how a model that is asked for JSON is brought to give it |
//! | `schema` | JSON Schemas, as the API takes them |
//! | `thinking` | reasoning effort |
//! | `cache` | marks for the prompt cache |
//! | `block` | what answers consist of, as it arrives |
//! | `answer` | a whole answer |
//! | `stream` | a streamed answer: its states |
//! | `told` | what a stream has told so far |
//!
//! Refusals have a shape that [`super::failure`] knows, inside a stream too.
//!
//! # Not supported
//! Sound, more than one answer, token probabilities, custom tools, `functions`. A request with one
//! of these is refused, or loses it where the configuration says so.

use super::catalogue::Capability;
use super::{Answer, Call, Dialect, Headers, Outbound, Settings, Target, Translator};
use crate::openai::{Chat, Error};
pub use request::{VERSIONS, VERTEX_VERSIONS};

mod answer;
pub(crate) mod assistant;
mod block;
mod cache;
pub(crate) mod json_answer;
mod media;
mod messages;
pub(crate) mod request;
pub(crate) mod schema;
mod stream;
pub(crate) mod thinking;
pub(crate) mod told;
mod tools;
mod turns;

/// Where the API is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::providers) enum Host {
    /// `api.anthropic.com`.
    Own,
    /// Vertex AI: the model stands in the path and the version in the body, and nothing is fetched.
    Vertex,
}

/// The dialect.
#[derive(Debug)]
pub struct Anthropic;

impl Dialect for Anthropic {
    fn request(
        &self,
        chat: &Chat<'_>,
        body: &[u8],
        target: &Target<'_>,
    ) -> Result<Outbound, Error> {
        request::write(chat, body.len(), target, Host::Own)
    }

    fn answer(&self, call: &Call<'_>, _: &Headers<'_>, body: &[u8]) -> Result<Answer, Error> {
        answer::read(call, body)
    }

    fn stream(&self, call: &Call<'_>) -> Box<dyn Translator> {
        stream::translator(call)
    }

    /// Not `authorization`: where both are given the API reads this one.
    fn credential(&self, secret: &str, _: &Settings) -> (&'static str, String) {
        ("x-api-key", secret.to_owned())
    }

    // By a tool, or by an instruction: see `json_answer`.
    fn emulates(&self, lacking: Capability, _: &Target<'_>) -> bool {
        lacking == Capability::JsonSchema
    }

    fn models(&self, target: &Target<'_>) -> Option<Outbound> {
        let path = format!("{}/v1/models?limit=1", target.base.path);
        let set = target.settings.value("anthropic_version").filter(|set| *set != "auto");
        let version = set.unwrap_or(request::NEW_VERSION).to_owned();
        Some(Outbound::get(path, vec![("anthropic-version", version)]))
    }
}

#[cfg(test)]
mod tests;
