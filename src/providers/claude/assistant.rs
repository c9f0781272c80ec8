//! What the assistant said: thoughts, then text. The calls that follow it are each API's own.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::marks::{Mark, mark, on_message};
use crate::openai::Error;
use crate::openai::json::{RawStr, write_str};
use crate::openai::message::{Content, Items, Message};
use crate::openai::place::{from_str, members};
use crate::openai::request::read;
use crate::providers::conversation::within;
use crate::providers::thoughts::is_claudes;
use crate::providers::warnings::Warnings;

/// Writes what was said in the form of one API.
pub(crate) trait Voice {
    /// Where the client is told what was left out.
    fn warnings(&mut self) -> &mut Warnings;

    /// A thought that is [signed](Own::is_signed). Says whether the API takes it.
    fn thought(&mut self, thought: &Own<'_>, out: &mut Vec<u8>) -> bool;

    /// A text, which is never blank. `written` is a JSON string.
    fn text(&mut self, written: &str, mark: Option<Mark>, out: &mut Vec<u8>);
}

/// Appends what the message at `index` says beside its calls. `last` says that the model is to go
/// on with it.
///
/// # Errors
/// A 400 that names the part that is none.
pub(crate) fn write(
    voice: &mut dyn Voice,
    index: usize,
    message: &Message<'_>,
    last: bool,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut given = false;
    if let Some(blocks) = message.thinking_blocks {
        let blocks: Items<Own<'_>> =
            read("thinking_blocks", blocks).map_err(|error| within(index, error))?;
        for block in &blocks.0 {
            given |= write_thought(voice, block, out);
        }
    }
    if message.reasoning_content.is_some() && !given {
        voice.warnings().dropped("messages[].reasoning_content");
    }
    let ends = message.tool_calls.is_none() && message.refusal.is_none();
    match message.content {
        Content::Absent | Content::Null => {}
        Content::Text(text) => {
            let mark = on_message(message, voice.warnings());
            write_text(voice, text, mark, last && ends, out);
        }
        Content::Parts(parts) => {
            let parts: Items<Own<'_>> =
                read("content", parts).map_err(|error| within(index, error))?;
            let count = parts.0.len();
            for (place, part) in parts.0.iter().enumerate() {
                if part.is_thought() {
                    if !given {
                        write_thought(voice, part, out);
                    }
                    continue;
                }
                let mark = mark(part.cache_control, part.prompt_cache_breakpoint, voice.warnings());
                if let Some(text) = part.text.or(part.refusal) {
                    write_text(voice, text, mark, last && ends && place + 1 == count, out);
                }
            }
        }
    }
    if let Some(text) = message.refusal {
        write_text(voice, text, None, last && message.tool_calls.is_none(), out);
    }
    Ok(())
}

/// Says whether it was written.
fn write_thought(voice: &mut dyn Voice, thought: &Own<'_>, out: &mut Vec<u8>) -> bool {
    let written = thought.is_signed() && voice.thought(thought, out);
    if !written {
        voice.warnings().dropped("messages[].thinking_blocks");
    }
    written
}

/// Claude refuses white space at the end of what it is to continue.
fn write_text(
    voice: &mut dyn Voice,
    text: RawStr<'_>,
    mark: Option<Mark>,
    end: bool,
    out: &mut Vec<u8>,
) {
    if text.is_blank() {
        return;
    }
    let decoded = if end { text.decode() } else { Cow::Borrowed("") };
    let trimmed = decoded.trim_end();
    if trimmed.len() == decoded.len() {
        voice.text(text.as_written(), mark, out);
    } else if !trimmed.is_empty() {
        let mut written = Vec::with_capacity(trimmed.len() + 2);
        write_str(&mut written, trimmed);
        voice.text(&String::from_utf8_lossy(&written), mark, out);
    }
}

/// Whether a message has thoughts that Claude would take back.
pub(crate) fn has_thoughts(message: &Message<'_>) -> bool {
    let parts = match message.content {
        Content::Parts(parts) => Some(parts),
        Content::Absent | Content::Null | Content::Text(_) => None,
    };
    [message.thinking_blocks, parts].into_iter().flatten().any(|list| {
        from_str::<Items<Own<'_>>>(list.get()).is_ok_and(|list| list.0.iter().any(Own::is_signed))
    })
}

/// A part of an assistant's message, or one of the thinking blocks that the client got.
#[derive(Debug)]
pub(crate) struct Own<'a> {
    pub(crate) kind: Cow<'a, str>,
    text: Option<RawStr<'a>>,
    refusal: Option<RawStr<'a>>,
    pub(crate) thinking: Option<RawStr<'a>>,
    pub(crate) signature: Option<RawStr<'a>>,
    pub(crate) data: Option<RawStr<'a>>,
    prompt_cache_breakpoint: Option<&'a RawValue>,
    cache_control: Option<&'a RawValue>,
}

members!(Own<'a> {
    kind "type" (required),
    text,
    refusal,
    thinking,
    signature,
    data,
    prompt_cache_breakpoint,
    cache_control,
});

impl Own<'_> {
    fn is_thought(&self) -> bool {
        matches!(&*self.kind, "thinking" | "redacted_thinking")
    }

    /// Whether Claude may take it: it wants its own signature back.
    pub(crate) fn is_signed(&self) -> bool {
        match &*self.kind {
            "thinking" => self.thinking.is_some() && self.signature.is_some_and(is_claudes),
            "redacted_thinking" => self.data.is_some(),
            _ => false,
        }
    }
}
