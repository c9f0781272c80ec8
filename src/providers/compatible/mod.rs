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
//! | `counts` | tokens, by any of their names |
//! | `answer` | a whole answer |
//! | `stream` | a streamed answer |

use super::openai::quirks::Quirks;
use super::openai::request;
use super::stream::Sse;
use super::{Answer, Call, Chat, Dialect, Error, Headers, Outbound, Target, Translator};

mod answer;
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
        answer::read(call, body, self.0)
    }

    fn stream(&self, call: &Call<'_>) -> Box<dyn Translator> {
        Box::new(Sse::new(stream::Chunks::new(call, self.0)))
    }
}

#[cfg(test)]
mod tests;
