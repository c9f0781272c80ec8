//! The cold path: why a body is not a request, and which field is to blame.
//!
//! Parsing keeps no path, since nearly every request is fine. One that is not is read again here,
//! slowly, and the answer names the place.

use serde::Deserialize;

use super::error::{Class, Error};
use super::outer::Outer;

/// The error for a body that is not UTF-8 from the byte `at` on.
#[must_use]
pub fn not_utf8(body: &[u8], at: usize) -> Error {
    let before = body.get(..at).unwrap_or_default();
    let line = 1 + memchr::memchr_iter(b'\n', before).count();
    let column = at - memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1) + 1;
    Error::new(
        Class::Client,
        format!("The request body is not UTF-8: bad byte at line {line} column {column}."),
    )
}

/// The error for a body that did not parse as a request.
#[cold]
#[inline(never)]
#[must_use]
pub fn explain(text: &str, error: &serde_json::Error) -> Error {
    if text.trim_ascii().is_empty() {
        return Error::new(
            Class::Client,
            "The request body is empty; a JSON object with `model` and `messages` is needed.",
        );
    }
    if !error.is_data() {
        return Error::new(
            Class::Client,
            format!("The request body is not valid JSON: {}.", place(error)),
        );
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let Err(found) = serde_path_to_error::deserialize::<_, Outer<'_>>(&mut deserializer) else {
        return Error::new(Class::Client, format!("The request is invalid: {}.", place(error)));
    };
    let path = found.path().to_string();
    wrong_type(&path, found.inner())
}

/// The error for a field at `path` whose text is not a `T`.
#[cold]
#[inline(never)]
#[must_use]
pub fn explain_field<'a, T: Deserialize<'a>>(path: &str, text: &'a str) -> Error {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Ok(_) => Error::invalid(path, format!("Invalid value for '{path}'.")),
        Err(found) => wrong_type(&join(path, &found.path().to_string()), found.inner()),
    }
}

/// A path and a place below it.
fn join(path: &str, below: &str) -> String {
    match below.bytes().next() {
        None | Some(b'.') => path.to_owned(),
        Some(b'[') => format!("{path}{below}"),
        Some(_) => format!("{path}.{below}"),
    }
}

fn wrong_type(path: &str, error: &serde_json::Error) -> Error {
    let full = error.to_string();
    let said = full.split(" at line ").next().unwrap_or(&full);
    let top = path.is_empty() || path == ".";
    if let Some(field) = said.strip_prefix("missing field `").and_then(|s| s.strip_suffix('`')) {
        let param = if top { field.to_owned() } else { join(path, field) };
        let message = format!("Missing required parameter: '{param}'.");
        return Error::invalid(param, message).with_code("missing_required_parameter");
    }
    if top {
        let param = said
            .strip_prefix("duplicate field `")
            .and_then(|said| said.strip_suffix('`'))
            .map(str::to_owned);
        let message = format!("The request is invalid: {said}.");
        return Error { param, ..Error::new(Class::Client, message) };
    }
    let message =
        match said.strip_prefix("invalid type: ").and_then(|s| s.split_once(", expected ")) {
            Some((found, wanted)) => {
                format!("Invalid type for '{path}': expected {wanted}, but got {found} instead.")
            }
            None => format!("Invalid value for '{path}': {said}."),
        };
    Error::invalid(path, message).with_code(if said.starts_with("invalid type") {
        "invalid_type"
    } else {
        "invalid_value"
    })
}

fn place(error: &serde_json::Error) -> String {
    // serde_json ends its sentence with the place already.
    error.to_string()
}
