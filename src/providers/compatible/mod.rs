//! Providers that speak like OpenAI but are not: one dialect, and a row of data for each.
//!
//! Requests are changed as little as OpenAI's own, by what the row's [`Quirks`] say. Answers are read
//! with patience for every form in use and written in OpenAI's; what is in it already passes byte for
//! byte.
//!
//! | file | what it is |
//! |---|---|
//! | `rows` | the providers |
//! | `said` | what a message or a delta says, in any of the forms in use |
//! | `calls` | the calls of a streamed choice |
//! | `counts` | tokens, by any of their names |
//! | `answer` | a whole answer |
//! | `stream` | a streamed answer |

use super::openai::quirks::{Quirks, Vectors};
use super::openai::{request, routes};
use super::stream::Sse;
use super::{
    Answer, Call, Chat, Dialect, Embeddings, Error, Headers, Outbound, Target, Translator,
    embeddings, failure,
};
use crate::openai::embeddings::MAX_INPUTS;

mod answer;
mod calls;
mod counts;
mod rows;
mod said;
mod stream;

pub use rows::{DEEPSEEK, GROQ, OLLAMA, OPENROUTER, QWEN, TOGETHER, VLLM, XAI};

/// The dialect of one of these providers.
#[derive(Debug)]
pub struct Compatible(&'static Quirks);

impl Dialect for Compatible {
    fn request(
        &self,
        chat: &Chat<'_>,
        body: &[u8],
        target: &Target<'_>,
    ) -> Result<Outbound, Error> {
        let mut warnings = Vec::new();
        let place = request::Place::of(target);
        let body = request::body(chat, body, target, self.0, place, &mut warnings)?;
        let path = format!("{}/chat/completions", target.base.path);
        let headers = self.0.headers(target.settings);
        Ok(Outbound { method: "POST", path, headers, body, warnings })
    }

    fn answer(&self, call: &Call<'_>, _: &Headers<'_>, body: &[u8]) -> Result<Answer, Error> {
        answer::read(call, body)
    }

    fn error(&self, status: u16, headers: &Headers<'_>, body: &[u8]) -> Error {
        // Groq's flexible tier is out of capacity; elsewhere the status is Cohere's for a key.
        failure::read(if status == 498 { 503 } else { status }, headers, body)
    }

    fn stream(&self, call: &Call<'_>) -> Box<dyn Translator> {
        Box::new(Sse::new(stream::Chunks::new(call, self.0)))
    }

    fn embed(
        &self,
        asked: &Embeddings<'_>,
        body: &[u8],
        target: &Target<'_>,
    ) -> Result<Outbound, Error> {
        for name in self.0.chooses {
            if asked.field(name).is_some_and(|value| routes::chooses(name, value)) {
                return Err(Error::unsupported(*name, routes::message(name, self.0)));
            }
        }
        match self.0.vectors {
            Vectors::None => return Err(embeddings::none(target)),
            Vectors::Any => {}
            Vectors::Texts | Vectors::Numbers => {
                embeddings::texts(asked, MAX_INPUTS, target)?;
            }
        }
        let body = if self.0.vectors == Vectors::Numbers {
            embeddings::openai::body_in_floats(asked, body, target)
        } else {
            embeddings::openai::body(asked, body, target)
        };
        let path = format!("{}/embeddings", target.base.path);
        let headers = self.0.headers(target.settings);
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
        Some(Outbound::get(path, self.0.headers(target.settings)))
    }
}

#[cfg(test)]
mod tests;
