//! Answers that Waypost gives itself, as values: the binding hands them to Envoy.

use crate::openai::{Class, Error};

/// An answer to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// For the access log; begins with `waypost_`, by which `local_reply_config` knows it as ours.
    pub details: &'static str,
    /// When to ask again, as headers.
    pub advice: Vec<(&'static str, String)>,
    /// JSON.
    pub body: Vec<u8>,
}

impl Reply {
    /// An answer with a status of 200.
    #[must_use]
    pub const fn ok(details: &'static str, body: Vec<u8>) -> Self {
        Self { status: 200, details, advice: Vec::new(), body }
    }

    /// The answer for an error.
    #[must_use]
    pub fn error(details: &'static str, error: &Error) -> Self {
        Self { status: error.status, details, advice: error.advice().collect(), body: error.body() }
    }

    /// Its headers, status not included.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("content-type", "application/json".to_owned())];
        headers.extend(self.advice.iter().cloned());
        headers
    }
}

/// The error for an answer that Envoy gave by itself, by its status.
#[must_use]
pub fn local_error(status: u16) -> Error {
    let error = match status {
        404 => {
            Error::new(Class::NotFound, "No such path on this gateway.").with_code("unknown_url")
        }
        408 | 504 => Error::new(Class::Timeout, "The request took too long."),
        413 => Error::new(Class::Client, "The request body is larger than Envoy's buffer limit.")
            .with_code("request_too_large"),
        400..=499 => Error::new(Class::Client, "Envoy refused the request."),
        _ => Error::new(Class::Overloaded, "The gateway could not pass the request on."),
    };
    error.with_status(status)
}
