//! The cold path: why a body is not a request, and which field is to blame.
//!
//! Parsing keeps no path, since nearly every request is fine. One that is not is read again here,
//! slowly, and the answer names the place.

use std::fmt;

use super::blame;
use super::error::{Class, Error};

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

/// The error for a body that did not parse. At least the fields `model` and `needed` belong there.
#[cold]
#[inline(never)]
#[must_use]
pub fn explain(text: &str, needed: &str, error: &serde_json::Error) -> Error {
    if text.trim_ascii().is_empty() {
        return Error::new(
            Class::Client,
            format!(
                "The request body is empty; a JSON object with `model` and `{needed}` is needed."
            ),
        );
    }
    if !error.is_data() {
        // serde_json ends its sentence with line and column.
        return Error::new(Class::Client, format!("The request body is not valid JSON: {error}."));
    }
    let (said, path) = blame::read(text, error);
    wrong_type(&path, &said)
}

/// The error for a field at `path` whose text did not parse.
#[cold]
#[inline(never)]
#[must_use]
pub fn explain_field(path: &str, text: &str, error: &serde_json::Error) -> Error {
    let (said, below) = blame::read(text, error);
    wrong_type(&join(path, &below), &said)
}

/// A path and a place below it.
fn join(path: &str, below: &str) -> String {
    match below.bytes().next() {
        None => path.to_owned(),
        Some(b'[') => format!("{path}{below}"),
        Some(_) => format!("{path}.{below}"),
    }
}

fn wrong_type(path: &str, said: &str) -> Error {
    let word = said.strip_prefix("unknown variant ").map(|rest| format!("unknown word {rest}"));
    let said = word.as_deref().unwrap_or(said);
    let mismatch = Mismatch::read(said);
    let top = path.is_empty();
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
        let message = match &mismatch {
            Some(mismatch) => format!("The request is invalid: {mismatch}."),
            None => format!("The request is invalid: {said}."),
        };
        return Error { param, ..Error::new(Class::Client, message) };
    }
    match mismatch {
        Some(mismatch) if mismatch.wrong_type => {
            Error::invalid(path, format!("Invalid type for '{path}': {mismatch}."))
                .with_code("invalid_type")
        }
        Some(mismatch) => Error::invalid(path, format!("Invalid value for '{path}': {mismatch}."))
            .with_code("invalid_value"),
        None => Error::invalid(path, format!("Invalid value for '{path}': {said}."))
            .with_code("invalid_value"),
    }
}

/// What was wanted and what was there, in the words of JSON. The parser's own are Rust's: it says
/// "expected struct Options" and "sequence".
struct Mismatch<'a> {
    wanted: &'a str,
    found: &'a str,
    /// Not only the value is wrong.
    wrong_type: bool,
}

impl<'a> Mismatch<'a> {
    /// Reads what the parser says. A text that it quotes may hold anything, so the last `expected`
    /// is its own.
    fn read(said: &'a str) -> Option<Self> {
        let (found, wanted) = said.rsplit_once(", expected ")?;
        let wanted = match wanted {
            "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
            "f32" | "f64" => "a number",
            "a map" => "an object",
            "a sequence" => "a list",
            _ if wanted.starts_with("struct ") => "an object",
            _ => wanted,
        };
        if let Some(found) = found.strip_prefix("invalid type: ") {
            return Some(Self { wanted, found: plain(found), wrong_type: true });
        }
        if let Some(found) = found.strip_prefix("invalid value: ") {
            return Some(Self { wanted, found: plain(found), wrong_type: false });
        }
        // A list of the wrong length where the fields of an object would do.
        let length = found.starts_with("invalid length ");
        length.then_some(Self { wanted, found: "a list", wrong_type: true })
    }
}

impl fmt::Display for Mismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, but got {} instead", self.wanted, self.found)
    }
}

/// What was found. Of a text only that it is one: it may be long.
fn plain(found: &str) -> &str {
    let (kind, quoted) = found.split_once('`').unwrap_or((found, ""));
    match kind.trim_end() {
        "map" => "an object",
        "sequence" => "a list",
        "boolean" => "a boolean",
        "integer" | "floating point" => quoted.trim_end_matches('`'),
        _ if found.starts_with("string ") => "a string",
        _ => found,
    }
}
