//! Why a choice ended, in OpenAI's words, and what else answers and streams are asked alike.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::openai::chunk::FinishReason;
use crate::openai::json::is_object;
use crate::openai::place::from_str;
use crate::openai::usage::WireUsage;
use crate::openai::{Class, Error, Usage};

/// What a provider's finish reason means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// None: the choice goes on, or in a whole answer nobody says why it ended.
    Open,
    /// One of OpenAI's own, as it stands.
    Canonical,
    /// Another word for one of OpenAI's.
    Other(FinishReason),
    /// The provider failed in the middle.
    Failed,
}

/// What stands in place of a finish reason, or nothing where it is canonical. `open` stands where a
/// choice goes on.
///
/// # Errors
/// The provider failed.
pub fn replacement(
    json: &str,
    calls: bool,
    open: Option<FinishReason>,
) -> Result<Option<Cow<'static, str>>, Error> {
    let word = |reason: FinishReason| Some(Cow::Owned(format!("\"{}\"", reason.word())));
    match (finish(json, calls), open) {
        (Finish::Canonical, _) => Ok(None),
        (Finish::Failed, _) => Err(failed()),
        (Finish::Other(reason), _) | (Finish::Open, Some(reason)) => Ok(word(reason)),
        (Finish::Open, None) => Ok((json != "null").then_some(Cow::Borrowed("null"))),
    }
}

/// Reads a finish reason from its JSON. A choice that made calls ends with `tool_calls`, even where
/// the provider calls it `stop`.
#[must_use]
pub fn finish(json: &str, calls: bool) -> Finish {
    match json.trim_matches('"') {
        "null" | "" => Finish::Open,
        "stop" if calls => Finish::Other(FinishReason::ToolCalls),
        "stop" | "length" | "tool_calls" | "content_filter" | "function_call" => Finish::Canonical,
        "model_length" | "max_tokens" => Finish::Other(FinishReason::Length),
        "sensitive" => Finish::Other(FinishReason::ContentFilter),
        "error" | "network_error" | "insufficient_system_resource" => Finish::Failed,
        _ => Finish::Other(ended(calls)),
    }
}

/// The error for an answer that the provider itself calls failed.
#[must_use]
pub fn failed() -> Error {
    Error::new(Class::Server, "the provider failed before its answer was complete")
}

/// Whether it counts as an error to OpenAI's own clients, which test for truth.
#[must_use]
pub fn is_truthy(json: &RawValue) -> bool {
    !is_empty(json) && !matches!(json.get(), "null" | "false" | "0" | "0.0" | "\"\"")
}

/// Whether it is `[]` or `{}`, with any white space.
#[must_use]
pub fn is_empty(json: &RawValue) -> bool {
    let inner = json.get().as_bytes();
    matches!(inner, [b'[' | b'{', inner @ .., _] if inner.trim_ascii().is_empty())
}

/// Counts in whatever form; nothing if it is no object.
#[must_use]
pub fn read_usage(json: &RawValue) -> Option<Usage> {
    is_object(json).then(|| from_str::<WireUsage>(json.get()).ok())?.map(Usage::from)
}

/// Why a choice ended of which the provider only says that it did.
#[must_use]
pub const fn ended(calls: bool) -> FinishReason {
    if calls { FinishReason::ToolCalls } else { FinishReason::Stop }
}
