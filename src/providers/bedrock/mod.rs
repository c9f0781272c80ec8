//! AWS Bedrock: the Converse API, one for all models that Bedrock serves.
//!
//! | file | what it is |
//! |---|---|
//! | `request` | the body, its path, and what becomes of each field at the top |
//! | `family` | whose model it is, as far as that decides the form of a field |
//! | `turns` | what the turns of both speakers are written with |
//! | `messages` | who speaks, instructions, the user's words, results of tools |
//! | `assistant` | the assistant's turns: thinking, text, calls |
//! | `media` | pictures, documents and sound |
//! | `tools` | tools, and the choice among them |
//! | `json_answer` | how a model that is asked for JSON is brought to give it |
//! | `effort` | reasoning effort, in the words of each family |
//! | `cache` | marks for the prompt cache |
//! | `block` | what answers consist of, as it arrives |
//! | `answer` | a whole answer |
//! | `stream` | a streamed answer: its states |
//!
//! Refusals have a shape that [`super::failure`] knows, inside a stream too. Thinking, JSON answers
//! and citations are written in the words of [`super::anthropic`], so that a conversation moves
//! between the two.
//!
//! A request has the header `authorization` with a Bedrock API key, or none: then Envoy's filter
//! `envoy.filters.http.aws_request_signing` signs it behind ours.
//!
//! # Not supported
//! More than one answer, token probabilities, custom tools, `functions`, spoken answers, pictures by
//! URL other than `s3://`. A request with one of these is refused, or loses it where the
//! configuration says so.

use super::catalogue::Capability;
use super::warnings::Warnings;
use super::{Answer, Call, Dialect, Headers, Outbound, Settings, Target, Translator, embeddings};
use crate::openai::{Chat, Embeddings, Error};

mod answer;
mod assistant;
mod block;
mod cache;
mod effort;
mod family;
mod json_answer;
mod media;
mod messages;
mod request;
mod stream;
mod tools;
mod turns;

/// The dialect.
#[derive(Debug)]
pub struct Bedrock;

/// The media type of streamed answers.
pub const AWS_EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// Where the API is: each region has its own address.
///
/// # Errors
/// The name of the setting when it is missing.
pub fn base_url(settings: &Settings) -> Result<String, &'static str> {
    let region = settings.value("region").ok_or("region")?;
    // China is another partition.
    let end = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    Ok(format!("https://bedrock-runtime.{region}.{end}"))
}

impl Dialect for Bedrock {
    fn request(
        &self,
        chat: &Chat<'_>,
        body: &[u8],
        target: &Target<'_>,
    ) -> Result<Outbound, Error> {
        request::write(chat, body.len(), target)
    }

    fn answer(&self, call: &Call<'_>, headers: &Headers<'_>, body: &[u8]) -> Result<Answer, Error> {
        answer::read(call, headers, body)
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
        let body = embeddings::bedrock::body(asked, target, &mut warnings)?;
        Ok(embeddings::outbound(request::path(target, "invoke"), body, warnings))
    }

    fn embedded(
        &self,
        asked: &Embeddings<'_>,
        target: &Target<'_>,
        headers: &Headers<'_>,
        body: &[u8],
    ) -> Result<Answer, Error> {
        embeddings::bedrock::answer(asked, target, headers, body)
    }

    fn stream_type(&self) -> &'static str {
        AWS_EVENT_STREAM
    }

    // By a tool, or by an instruction: see `json_answer`.
    fn emulates(&self, lacking: Capability, _: &Target<'_>) -> bool {
        lacking == Capability::JsonSchema
    }
}

#[cfg(test)]
mod tests;
