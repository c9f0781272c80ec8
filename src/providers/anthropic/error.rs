//! A refusal.
//!
//! Status and shape are read as for every provider. What only this one says, the `type` of the
//! error and the code in its details, is more exact and wins.

use std::borrow::Cow;

use serde::Deserialize;

use crate::openai::{Class, Error};
use crate::providers::{Headers, failure};

#[derive(Debug, Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    error: Fault<'a>,
}

#[derive(Debug, Deserialize)]
struct Fault<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    details: Option<Details<'a>>,
}

#[derive(Debug, Deserialize)]
struct Details<'a> {
    #[serde(borrow)]
    error_code: Option<Cow<'a, str>>,
}

/// Reads a refusal that came with a status.
pub(super) fn read(status: u16, headers: &Headers<'_>, body: &[u8]) -> Error {
    let base = failure::read(status, headers, body);
    let Ok(Envelope { error: fault }) = serde_json::from_slice::<Envelope<'_>>(body) else {
        return base;
    };
    let code = fault.details.and_then(|details| details.error_code);
    let Some(class) = class(&fault.kind, code.as_deref(), base.class) else { return base };
    if class == base.class {
        return base;
    }
    Error { param: base.param, retry_after_ms: base.retry_after_ms, ..Error::new(class, base.message) }
}

/// Reads an error that came inside an answer with status 200, or as an event of a stream.
pub(super) fn in_answer(body: &[u8]) -> Error {
    let kind = serde_json::from_slice::<Envelope<'_>>(body).map(|envelope| envelope.error.kind);
    read(kind.map_or(500, |kind| status(&kind)), &Headers::default(), body)
}

/// The status that the API gives with this type of error.
fn status(kind: &str) -> u16 {
    match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "conflict_error" => 409,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => 500,
    }
}

/// The class, where type or code say more than the status. `read` is what the rest of the answer
/// says: a message that names the context window or a content filter is more exact than "invalid".
fn class(kind: &str, code: Option<&str>, read: Class) -> Option<Class> {
    match code {
        // No waiting helps against a limit on money; against a ramp it does.
        Some(code) if code.ends_with("spend_limit_reached") => return Some(Class::Quota),
        Some("ramp_limit_exceeded") => return Some(Class::RateLimit),
        _ => {}
    }
    Some(match kind {
        "authentication_error" => Class::Auth,
        "billing_error" => Class::Quota,
        "permission_error" => Class::Permission,
        "not_found_error" => Class::NotFound,
        "rate_limit_error" if read != Class::Quota => Class::RateLimit,
        "timeout_error" => Class::Timeout,
        "overloaded_error" => Class::Overloaded,
        "api_error" => Class::Server,
        "invalid_request_error" | "conflict_error"
            if !matches!(read, Class::ContextLength | Class::ContentFilter) =>
        {
            Class::Client
        }
        _ => return None,
    })
}
