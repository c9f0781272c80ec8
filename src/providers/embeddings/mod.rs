//! Vectors: a file for each form in which providers ask for them and answer.
//!
//! | file | whose form it is |
//! |---|---|
//! | [`openai`] | OpenAI's, Azure's, and that of all that speak like them |
//! | [`google`] | Gemini's, and Vertex AI's |
//! | [`mistral`] | Mistral's |
//! | [`cohere`] | Cohere's |
//! | [`bedrock`] | those of the models on Bedrock |
//!
//! Vectors of different models, and of different lengths, cannot be compared. So a length that was
//! asked for is checked in the answer, and nothing is cut, padded or scaled here.

pub mod bedrock;
pub mod cohere;
pub mod google;
pub mod mistral;
pub mod openai;

use std::borrow::Cow;

use super::failure::{self, no_answer};
use super::warnings::Warnings;
use super::{Answer, Error, Outbound, Payload, Target, Usage};
use crate::openai::json::RawStr;
use crate::openai::place::{Place, from_str};
use crate::openai::vectors::Vectors;
use crate::openai::{Embeddings, request};

/// Fields that every form places.
const PLACED: &[&str] = &["model", "input", "dimensions", "encoding_format"];

/// What a client is told where the provider does not say how many tokens it counted.
pub const NO_USAGE: &str = "usage unknown";

/// The error for an API that has no embeddings.
#[must_use]
pub fn none(target: &Target<'_>) -> Error {
    let message = format!("The provider of the model '{}' has no embeddings.", target.model);
    Error::invalid("model", message).with_code("unsupported_operation")
}

/// The canonical answer.
///
/// # Errors
/// Another number of vectors than of inputs, and what [`Vectors`] refuses.
pub(crate) fn answer(asked: &Embeddings<'_>, vectors: &Vectors<'_>) -> Result<Answer, Error> {
    check(asked, vectors)?;
    let body = vectors.write(asked.encoding).map_err(no_answer)?;
    Ok(Answer { body: Payload::Whole(body), usage: usage(vectors.prompt_tokens) })
}

fn check(asked: &Embeddings<'_>, vectors: &Vectors<'_>) -> Result<(), Error> {
    let (wanted, got) = (asked.input.count(), vectors.data.len());
    // On the command line the request may be missing.
    if wanted > 0 && wanted != got {
        return Err(no_answer(&format!("{got} vectors for {wanted} inputs")));
    }
    vectors.dimensions(asked.dimensions).map(drop).map_err(|what| no_answer(&what))
}

fn usage(prompt_tokens: Option<u64>) -> Option<Usage> {
    let uncached_input = prompt_tokens?;
    Some(Usage { uncached_input, ..Usage::default() })
}

/// The texts to embed, for a provider that takes nothing else and at most `most` in one request.
///
/// # Errors
/// A 400 that blames `input`.
pub(crate) fn texts<'t, 'a>(
    asked: &'t Embeddings<'a>,
    most: usize,
    target: &Target<'_>,
) -> Result<&'t [RawStr<'a>], Error> {
    let model = target.model;
    let Some(texts) = asked.input.texts() else {
        let message = format!(
            "The provider of the model '{model}' embeds texts only: it does not take tokens."
        );
        return Err(Error::unsupported("input", message));
    };
    let count = texts.len();
    if count > most {
        let (most, texts) = match most {
            1 => (Cow::Borrowed("one"), "text"),
            _ => (Cow::Owned(most.to_string()), "texts"),
        };
        let message = format!(
            "The provider of the model '{model}' embeds at most {most} {texts} in a request, and 'input' has {count}. This gateway sends one request for each that it gets: send several."
        );
        return Err(Error::unsupported("input", message));
    }
    Ok(texts)
}

/// A request with a body that was written anew.
pub(crate) fn outbound(path: String, body: Vec<u8>, warnings: Warnings) -> Outbound {
    let headers = vec![("content-type", "application/json".to_owned())];
    let body = Payload::Whole(body);
    Outbound { method: "POST", path, headers, body, warnings: warnings.0 }
}

/// A field of the request that must be a text where it is there.
fn text<'a>(asked: &Embeddings<'a>, name: &str) -> Result<Option<RawStr<'a>>, Error> {
    asked.field(name).map(|value| request::read(name, value)).transpose()
}

/// The same for a boolean.
fn truth(asked: &Embeddings<'_>, name: &str) -> Result<Option<bool>, Error> {
    asked.field(name).map(|value| request::read(name, value)).transpose()
}

/// The body of an answer, as an object.
fn read<'a, T: Place<'a>>(body: &'a [u8]) -> Result<T, Error> {
    let text = std::str::from_utf8(body).map_err(|_| no_answer("text that is not UTF-8"))?;
    from_str(text).map_err(|_| unread(body))
}

/// The error for a body without vectors: perhaps it explains itself.
fn unread(body: &[u8]) -> Error {
    if failure::message(body).is_some() {
        return failure::in_stream(body);
    }
    match body.trim_ascii_start().first() {
        None => no_answer("an empty body"),
        Some(b'{' | b'[') => no_answer("JSON without vectors, or broken JSON"),
        _ => no_answer("something that is not JSON"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::catalogue::Facts;
    use crate::providers::{Base, Policy, Settings};

    pub(super) fn with_target<T>(model: &str, then: impl FnOnce(&Target<'_>) -> T) -> T {
        with_settings(model, &[], then)
    }

    pub(super) fn with_settings<T>(
        model: &str,
        settings: &[(&'static str, &str)],
        then: impl FnOnce(&Target<'_>) -> T,
    ) -> T {
        let base = Base::parse("https://x.example/v1").unwrap();
        let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let (settings, facts) = (Settings(settings), Facts::unknown());
        let policy = Policy::default();
        then(&Target { base: &base, settings: &settings, model, facts: &facts, policy })
    }

    /// A request of which the model does not matter.
    pub(super) fn asked(json: &str) -> Embeddings<'_> {
        Embeddings::parse(json.as_bytes()).unwrap()
    }
}
