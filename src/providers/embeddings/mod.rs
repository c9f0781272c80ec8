//! Vectors: a file for each form in which providers ask for them and answer.
//!
//! | file | whose form it is |
//! |---|---|
//! | [`openai`] | OpenAI's, Azure's, and that of all that speak like them |
//!
//! Vectors of different models, and of different lengths, cannot be compared. So a length that was
//! asked for is checked in the answer, and nothing is cut, padded or scaled here.

pub mod openai;

use std::borrow::Cow;

use super::failure::no_answer;
use super::{Answer, Error, Payload, Target, Usage};
use crate::openai::Embeddings;
use crate::openai::json::RawStr;
use crate::openai::vectors::Vectors;

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
