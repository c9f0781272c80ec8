//! What answers consist of, as it arrives: borrowed, and read no stricter than needed.

use serde_json::value::RawValue;

use crate::openai::Error;
use crate::openai::chunk::FinishReason;
use crate::openai::json::{RawStr, is_object, string};
use crate::openai::message::Bounded;
use crate::openai::place::{Place, from_str, members};
use crate::openai::usage::{Count, Usage};
use crate::providers::claude::citations::Citations;
use crate::providers::failure::no_answer;

/// Reads an object in a field; nothing where there is none, or another thing.
pub(super) fn object<'a, T: Place<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    raw.filter(|raw| is_object(raw)).and_then(|raw| from_str(raw.get()).ok())
}

/// A call, or its beginning in a stream.
#[derive(Debug)]
pub(super) struct ToolUse<'a> {
    id: Option<&'a RawValue>,
    name: Option<&'a RawValue>,
    pub(super) input: Option<&'a RawValue>,
    kind: Option<&'a RawValue>,
}

members!(ToolUse<'a> { id "toolUseId", name, input, kind "type" });

impl ToolUse<'_> {
    /// Whether the provider itself runs the tool, so that the call is of no concern to the client.
    pub(super) fn is_the_providers(&self) -> bool {
        string(self.kind).is_some_and(|kind| kind.inner() == "server_tool_use")
    }

    /// Id and name.
    ///
    /// # Errors
    /// A call without them cannot be answered.
    pub(super) fn call(&self) -> Result<(String, String), Error> {
        let said = |raw| string(raw).filter(|text| !text.is_empty());
        match (said(self.id), said(self.name)) {
            (Some(id), Some(name)) => Ok((id.decode().into_owned(), name.decode().into_owned())),
            _ => Err(no_answer("a tool call without id or name")),
        }
    }
}

/// A citation, of which only one with a URL can be an annotation.
pub(super) fn cite(citations: &mut Citations, raw: &RawValue) {
    struct Citation<'a> {
        title: Option<&'a RawValue>,
        location: Option<&'a RawValue>,
    }
    members!(Citation<'a> { title, location });
    struct Location<'a> {
        web: Option<&'a RawValue>,
    }
    members!(Location<'a> { web });
    struct Web<'a> {
        url: Option<&'a RawValue>,
    }
    members!(Web<'a> { url });
    let Some(citation) = object::<Citation<'_>>(Some(raw)) else { return };
    let web = object::<Location<'_>>(citation.location).and_then(|it| object::<Web<'_>>(it.web));
    if let Some(url) = web.and_then(|web| string(web.url)) {
        citations.add(string(citation.title).unwrap_or(RawStr::EMPTY), url);
    }
}

/// Why an answer ended. `calls` says whether the client gets calls.
pub(super) fn finish_reason(stop_reason: &str, calls: bool) -> FinishReason {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "guardrail_intervened" | "content_filtered" => FinishReason::ContentFilter,
        // `tool_use` without a call for the client is the tool for JSON answers.
        _ if calls => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    }
}

/// Whether the model gave what Bedrock could not read. Without any content that is no answer.
pub(super) fn is_malformed(stop_reason: &str) -> bool {
    matches!(stop_reason, "malformed_model_output" | "malformed_tool_use")
}

/// The error for [`is_malformed`].
pub(super) fn malformed_answer(stop_reason: &str) -> Error {
    no_answer(&format!("the model's output could not be read ({stop_reason})"))
}

/// Most entries of `cacheDetails` that are read: one for each time that a cache keeps things.
const MAX_CACHE_DETAILS: usize = 16;

/// The counts of an answer. `inputTokens` counts neither what was read from the cache nor what was
/// written to it; `cacheDetails` says how long what was written is kept.
pub(super) fn usage(raw: Option<&RawValue>) -> Option<Usage> {
    struct Kept<'a> {
        ttl: Option<&'a RawValue>,
        input_tokens: Count,
    }
    members!(Kept<'a> { ttl, input_tokens "inputTokens" });
    #[derive(Default)]
    struct Wire<'a> {
        cache_details: Option<&'a RawValue>,
        input_tokens: u64,
        output_tokens: u64,
        cache_read_input_tokens: Count,
        cache_write_input_tokens: Count,
        // Older names, which some models still give.
        cache_read_input_token_count: Count,
        cache_write_input_token_count: Count,
    }
    members!(Wire<'a> {
        cache_details "cacheDetails",
        input_tokens "inputTokens" (count),
        output_tokens "outputTokens" (count),
        cache_read_input_tokens "cacheReadInputTokens",
        cache_write_input_tokens "cacheWriteInputTokens",
        cache_read_input_token_count "cacheReadInputTokenCount",
        cache_write_input_token_count "cacheWriteInputTokenCount",
    });
    let wire: Wire<'_> = object(raw)?;
    let cache_write = wire.cache_write_input_tokens.0.max(wire.cache_write_input_token_count.0);
    // A strange list must not cost the client its counts.
    let kept = wire
        .cache_details
        .filter(|_| cache_write > 0)
        .and_then(|raw| from_str::<Bounded<Kept<'_>, MAX_CACHE_DETAILS>>(raw.get()).ok());
    let hour = kept
        .iter()
        .flat_map(|kept| &kept.0)
        .filter(|kept| string(kept.ttl).is_some_and(|ttl| ttl.inner() == "1h"));
    let cache_write_1h = hour.map(|kept| kept.input_tokens.0).fold(0, u64::saturating_add);
    Some(Usage {
        uncached_input: wire.input_tokens,
        cache_read: wire.cache_read_input_tokens.0.max(wire.cache_read_input_token_count.0),
        cache_write,
        cache_write_1h: cache_write_1h.min(cache_write),
        output: wire.output_tokens,
        ..Usage::default()
    })
}
