//! A provider's refusal, whatever its shape, in canonical form.
//!
//! | file | what it is |
//! |---|---|
//! | [`body`] | what a refusal's body says, in any of the shapes that providers use |
//! | [`class`] | which kind of failure that is |
//! | [`wait`] | how long to wait before the next try |
//! | `mask` | credentials that a message repeats, taken out of it |
//!
//! A dialect whose refusals have a shape of their own reads them into a [`Said`] and calls
//! [`Said::into_error`].

pub mod body;
pub mod class;
mod mask;
pub mod wait;

use std::borrow::Cow;

use super::Headers;
use crate::openai::{Class, Error};
pub use body::{Said, message};
pub use class::classify;

/// Reads a refusal: `status` is the provider's, `body` may be anything.
#[must_use]
pub fn read(status: u16, headers: &Headers<'_>, body: &[u8]) -> Error {
    let mut said = Said::read(body);
    // Bedrock names the exception only here.
    if let Some(kind) = headers.text("x-amzn-errortype") {
        said.kind = said.kind.or_else(|| Some(class::bare(kind).to_owned()));
    }
    said.retry_after_ms = wait::from_headers(headers).or(said.retry_after_ms);
    let should_retry = match headers.text("x-should-retry") {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => None,
    };
    Error { should_retry, ..said.into_error(status) }
}

/// Reads an error inside a stream or a body that began with status 200. `json` is the object that
/// has the `error`, or the error itself.
#[must_use]
pub fn in_stream(json: &[u8]) -> Error {
    Said::read(json).into_error(200)
}

impl Said {
    /// The canonical error, given the provider's HTTP status. A status below 400 says nothing
    /// about the failure, so the body alone decides then.
    #[must_use]
    pub fn into_error(self, status: u16) -> Error {
        let status = match self.status {
            Some(own) if status < 400 => own,
            _ => status,
        };
        let class = classify(status, &self);
        let message = match &self.message {
            Some(message) => mask::credentials(message),
            None if status < 400 => "the provider sent an error without an explanation".to_owned(),
            None => format!("the provider answered with status {status} and no explanation"),
        };
        let mut error = Error::new(class, message).with_status(client_status(class, status));
        let keeps_code =
            matches!(class, Class::Client | Class::NotFound | Class::Permission | Class::Server);
        if let Some(code) = self.code.filter(|code| keeps_code && is_openai_code(code)) {
            error.code = Some(Cow::Owned(code));
        }
        if matches!(
            class,
            Class::Client | Class::NotFound | Class::ContextLength | Class::ContentFilter
        ) {
            error.param = self.param;
        }
        // Of other failures a wait is mere words: nothing gets better with time.
        let passes = class.retryable() || class == Class::Quota;
        error.retry_after_ms = self.retry_after_ms.filter(|_| passes);
        error
    }
}

/// The client's own mistakes keep the provider's status, which says more than 400; what is between
/// us and the provider gets one that fits.
const fn client_status(class: Class, status: u16) -> u16 {
    match (class, status) {
        (Class::Client, 400..=499) | (Class::Timeout, 408) | (Class::Server, 500) => status,
        _ => class.status(),
    }
}

/// OpenAI's codes are words in snake case. Others, such as `DeploymentNotFound` and `400`, mean
/// nothing to a client that knows OpenAI only.
fn is_openai_code(code: &str) -> bool {
    code.starts_with(|first: char| first.is_ascii_lowercase())
        && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// The error for a provider's answer that is none.
#[must_use]
pub fn no_answer(what: &str) -> Error {
    Error::new(Class::Server, format!("the provider's answer is not one: {what}"))
}

#[cfg(test)]
mod tests;
