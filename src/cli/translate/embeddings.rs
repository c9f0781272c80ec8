//! `waypost translate --operation embeddings`.

use super::{Printed, Provider, Received, answered, sent};
use crate::cli::BadUsage;
use crate::openai::{Embeddings, Error};
use crate::providers::embeddings::NO_USAGE;
use crate::providers::{Headers, Outbound};

/// A client's request for vectors, of which only what the answer depends on need be there.
#[derive(Debug)]
pub struct Asked<'a>(Embeddings<'a>);

impl<'a> Asked<'a> {
    /// Reads the file behind `--request`.
    ///
    /// # Errors
    /// What is no JSON object, or a field of the wrong type.
    pub fn parse(body: &'a [u8]) -> Result<Self, BadUsage> {
        Embeddings::parse(body).map(Self).map_err(|error| BadUsage(error.message))
    }

    /// Of a request nothing is known.
    #[must_use]
    pub fn nothing() -> Self {
        Self(Embeddings::default())
    }
}

/// `translate request`: as [`super::request`], for vectors.
#[must_use]
pub fn request(provider: &Provider, model: Option<&str>, body: &[u8]) -> Printed {
    sent(outbound(provider, model, body), body)
}

fn outbound(provider: &Provider, model: Option<&str>, body: &[u8]) -> Result<Outbound, Error> {
    let asked = Embeddings::parse(body)?;
    asked.validate()?;
    let model = model.unwrap_or(&asked.model);
    let facts = provider.facts(model);
    provider.dialect().embed(&asked, body, &provider.target(model, &facts))
}

/// `translate response`: as [`super::response`], for vectors. That the provider did not count the
/// tokens is printed as a warning.
#[must_use]
pub fn response(provider: &Provider, asked: &Asked<'_>, received: &Received) -> Printed {
    let facts = provider.facts(&asked.0.model);
    let pairs = received.headers.iter().map(|(name, value)| (&**name, &**value));
    let headers: Headers<'_> = pairs.collect();
    let Received { status, body, .. } = received;
    let dialect = provider.dialect();
    let answer = if (200..300).contains(status) {
        let target = provider.target(&asked.0.model, &facts);
        dialect.embedded(&asked.0, &target, &headers, body)
    } else {
        Err(dialect.error(*status, &headers, body))
    };
    let untold = matches!(&answer, Ok(answer) if answer.usage.is_none());
    answered(answer, received, untold.then_some(NO_USAGE))
}
