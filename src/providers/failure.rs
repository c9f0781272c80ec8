//! A provider's refusal, whatever its shape, in canonical form.

use super::Headers;
use crate::openai::{Class, Error};

/// Reads a refusal.
#[must_use]
pub fn read(_status: u16, _headers: &Headers<'_>, _body: &[u8]) -> Error {
    Error::new(Class::Server, "not yet")
}
