//! What answers consist of, as it arrives: borrowed, and read no stricter than needed.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::openai::Error;
use crate::openai::chunk::FinishReason;
use crate::openai::json::{RawStr, is_object, string, write_compact};
use crate::openai::place::{from_str, members};
use crate::openai::usage::{Count, Usage};
use crate::providers::failure::no_answer;

/// One block of an answer's content. Types that are not known hold what they like.
#[derive(Debug)]
pub(super) struct Block<'a> {
    pub(super) kind: Cow<'a, str>,
    pub(super) text: Option<&'a RawValue>,
    pub(super) thinking: Option<&'a RawValue>,
    pub(super) signature: Option<&'a RawValue>,
    pub(super) data: Option<&'a RawValue>,
    pub(super) id: Option<&'a RawValue>,
    pub(super) name: Option<&'a RawValue>,
    pub(super) input: Option<&'a RawValue>,
    pub(super) citations: Option<&'a RawValue>,
}

members!(Block<'a> {
    kind "type" (required),
    text,
    thinking,
    signature,
    data,
    id,
    name,
    input,
    citations,
});

impl Block<'_> {
    /// Id and name of a call.
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

    /// The arguments of a call, as compact JSON.
    pub(super) fn arguments(&self) -> String {
        let mut json = Vec::new();
        write_compact(
            &mut json,
            self.input.filter(|raw| is_object(raw)).map_or("{}", RawValue::get),
        );
        String::from_utf8(json).unwrap_or_else(|_| "{}".to_owned())
    }
}

/// Why an answer ended. `calls` says whether the client gets calls.
pub(super) fn finish_reason(stop_reason: &str, calls: bool) -> FinishReason {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" | "compaction" => FinishReason::Length,
        // The turn is not at its end, and nothing the client could send goes on with it.
        "pause_turn" => FinishReason::Length,
        "refusal" => FinishReason::ContentFilter,
        // `tool_use` without a call for the client is the tool for JSON answers.
        _ if calls => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    }
}

/// Counts that arrive in pieces: what is there replaces what was known, since all are totals.
#[derive(Debug, Default)]
pub(super) struct WireUsage {
    input_tokens: Option<Count>,
    cache_read_input_tokens: Option<Count>,
    cache_creation_input_tokens: Option<Count>,
    cache_creation: Option<Written>,
    output_tokens: Option<Count>,
    output_tokens_details: Option<OutputDetails>,
}

members!(WireUsage {
    input_tokens,
    cache_read_input_tokens,
    cache_creation_input_tokens,
    cache_creation,
    output_tokens,
    output_tokens_details,
});

/// What was written to the cache, by how long it is kept; what is not told is kept for five minutes.
#[derive(Debug, Default)]
struct Written {
    ephemeral_1h_input_tokens: Option<Count>,
}

members!(Written { ephemeral_1h_input_tokens });

#[derive(Debug, Default)]
struct OutputDetails {
    thinking_tokens: Option<Count>,
}

members!(OutputDetails { thinking_tokens });

/// Puts the counts of a `usage` object over those that are known. An unreadable one changes
/// nothing: it must not cost the client its answer.
pub(super) fn update(usage: &mut Option<Usage>, raw: Option<&RawValue>) {
    let Some(raw) = raw.filter(|raw| is_object(raw)) else { return };
    let Ok(wire) = from_str::<WireUsage>(raw.get()) else { return };
    let usage = usage.get_or_insert_default();
    let details = wire.output_tokens_details.unwrap_or_default();
    let written = wire.cache_creation.unwrap_or_default();
    for (known, new) in [
        (&mut usage.uncached_input, wire.input_tokens),
        (&mut usage.cache_read, wire.cache_read_input_tokens),
        (&mut usage.cache_write, wire.cache_creation_input_tokens),
        (&mut usage.cache_write_1h, written.ephemeral_1h_input_tokens),
        (&mut usage.output, wire.output_tokens),
        (&mut usage.reasoning, details.thinking_tokens),
    ] {
        if let Some(Count(new)) = new {
            *known = new;
        }
    }
    usage.reasoning = usage.reasoning.min(usage.output);
    usage.cache_write_1h = usage.cache_write_1h.min(usage.cache_write);
}

/// `stop_details` of a refusal.
#[derive(Debug)]
struct StopDetails<'a> {
    explanation: Option<&'a RawValue>,
}

members!(StopDetails<'a> { explanation });

/// The explanation of a refusal.
pub(super) fn explanation(stop_details: Option<&RawValue>) -> Option<RawStr<'_>> {
    let raw = stop_details.filter(|raw| is_object(raw))?;
    let details: StopDetails<'_> = from_str(raw.get()).ok()?;
    string(details.explanation).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn stop_reasons_map_to_the_closed_list() {
        for (reason, calls, expected) in [
            ("end_turn", false, FinishReason::Stop),
            ("stop_sequence", false, FinishReason::Stop),
            ("end_turn", true, FinishReason::ToolCalls),
            ("tool_use", true, FinishReason::ToolCalls),
            ("tool_use", false, FinishReason::Stop),
            ("max_tokens", true, FinishReason::Length),
            ("model_context_window_exceeded", false, FinishReason::Length),
            ("pause_turn", false, FinishReason::Length),
            ("refusal", false, FinishReason::ContentFilter),
            ("something_new", false, FinishReason::Stop),
            ("", false, FinishReason::Stop),
        ] {
            assert_eq!(finish_reason(reason, calls), expected, "{reason}");
        }
    }

    #[test]
    fn later_counts_replace_earlier_ones_and_null_keeps_them() {
        let raw = |json: &str| serde_json::from_str::<Box<RawValue>>(json).unwrap();
        let mut usage = None;
        update(
            &mut usage,
            Some(&raw(
                r#"{"input_tokens":10,"cache_read_input_tokens":5,"cache_creation_input_tokens":2,"output_tokens":1}"#,
            )),
        );
        update(
            &mut usage,
            Some(&raw(
                r#"{"input_tokens":null,"cache_read_input_tokens":6,"output_tokens":30,"output_tokens_details":{"thinking_tokens":20}}"#,
            )),
        );
        update(&mut usage, Some(&raw(r#""what""#)));
        update(&mut usage, None);
        let usage = usage.unwrap();
        assert_eq!((usage.prompt(), usage.output, usage.reasoning), (18, 30, 20));
        assert_eq!((usage.cache_read, usage.cache_write), (6, 2));
    }
}
