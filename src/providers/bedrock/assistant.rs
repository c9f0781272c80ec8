//! The assistant's turns: thinking, text, calls.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::family::Family;
use super::turns::Turns;
use crate::openai::Error;
use crate::openai::json::separate;
use crate::openai::json::{RawStr, write_str};
use crate::openai::message::{Content, Items, Message, ToolCall};
use crate::openai::request::read;
use crate::providers::anthropic::cache::{self, Mark};
use crate::providers::conversation::{Called, called, calls_of, old_form, within};
use crate::providers::thoughts::is_claudes;
use crate::providers::warnings::unsupported;

impl<'a> Turns<'_, 'a> {
    /// A run of the assistant's messages. `last` says that the model is to go on with it.
    pub(super) fn write_assistant(
        &mut self,
        at: usize,
        run: &[Message<'a>],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if last && !self.target.facts.parameters.assistant_prefill {
            let param = format!("messages[{}].role", at + run.len().saturating_sub(1));
            let message = format!(
                "The model '{}' does not continue a last message of the assistant.",
                self.target.model
            );
            return Err(Error::unsupported(param, message));
        }
        for (index, message) in (at..).zip(run) {
            let last = last && index + 1 == at + run.len();
            self.write_assistant_message(index, message, last, out)?;
        }
        Ok(())
    }

    /// Thinking, then text, then calls.
    fn write_assistant_message(
        &mut self,
        index: usize,
        message: &Message<'a>,
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.drop_name(message);
        if message.function_call.is_some() {
            return Err(old_form(format!("messages[{index}].function_call")));
        }
        if message.audio.is_some() {
            let param = format!("messages[{index}].audio");
            let text = format!("'{param}': Bedrock keeps no sound of earlier answers.");
            unsupported(param, "messages[].audio", text, self.target, &mut self.warnings)?;
        }
        let before = out.len();
        if let Some(blocks) = message.thinking_blocks {
            let path = "thinking_blocks";
            let blocks: Items<OwnPart<'a>> = read(path, blocks).map_err(|e| within(index, e))?;
            for block in &blocks.0 {
                self.write_thought(block, out);
            }
        }
        let given = out.len() > before;
        if message.reasoning_content.is_some() && !given {
            self.warnings.dropped("messages[].reasoning_content");
        }
        let ends = message.tool_calls.is_none() && message.refusal.is_none();
        match message.content {
            Content::Absent | Content::Null => {}
            Content::Text(text) => {
                let mark = self.mark_on(message);
                self.write_own_text(text, mark, last && ends, out);
            }
            Content::Parts(parts) => {
                let parts: Items<OwnPart<'a>> =
                    read("content", parts).map_err(|e| within(index, e))?;
                let count = parts.0.len();
                for (place, part) in parts.0.iter().enumerate() {
                    if part.is_thought() {
                        if !given {
                            self.write_thought(part, out);
                        }
                        continue;
                    }
                    let (control, breakpoint) = (part.cache_control, part.prompt_cache_breakpoint);
                    let mark = cache::mark(control, breakpoint, &mut self.warnings);
                    let last = last && ends && place + 1 == count;
                    if let Some(text) = part.text.or(part.refusal) {
                        self.write_own_text(text, mark, last, out);
                    }
                }
            }
        }
        if let Some(text) = message.refusal {
            self.write_own_text(text, None, last && message.tool_calls.is_none(), out);
        }
        for (place, call) in calls_of(index, message)?.iter().enumerate() {
            self.write_call(index, place, call, out)?;
        }
        Ok(())
    }

    /// Only Claude takes its thoughts back, and only with its signature.
    fn write_thought(&mut self, block: &OwnPart<'_>, out: &mut Vec<u8>) {
        // What an ARN hides may be Claude, and a signature is Claude's alone.
        let takes = matches!(self.family, Family::Claude | Family::Other);
        match (&*block.kind, block.thinking, block.signature, block.data) {
            ("thinking", Some(text), Some(signature), _) if takes && is_claudes(signature) => {
                separate(out);
                out.extend_from_slice(br#"{"reasoningContent":{"reasoningText":{"text":"#);
                out.extend_from_slice(text.as_written().as_bytes());
                out.extend_from_slice(b",\"signature\":");
                out.extend_from_slice(signature.as_written().as_bytes());
                out.extend_from_slice(b"}}}");
            }
            ("redacted_thinking", _, _, Some(data)) if takes && !data.is_empty() => {
                separate(out);
                out.extend_from_slice(br#"{"reasoningContent":{"redactedContent":"#);
                out.extend_from_slice(data.as_written().as_bytes());
                out.extend_from_slice(b"}}");
            }
            _ => self.warnings.dropped("messages[].thinking_blocks"),
        }
    }

    /// Claude refuses white space at the end of what it is to continue.
    fn write_own_text(
        &mut self,
        text: RawStr<'_>,
        mark: Option<Mark>,
        end: bool,
        out: &mut Vec<u8>,
    ) {
        if text.is_blank() {
            return;
        }
        if end {
            let decoded = text.decode();
            let trimmed = decoded.trim_end();
            if trimmed.len() < decoded.len() {
                let mut written = Vec::with_capacity(trimmed.len() + 2);
                write_str(&mut written, trimmed);
                if !trimmed.is_empty() {
                    self.write_text(&String::from_utf8_lossy(&written), mark, out);
                }
                return;
            }
        }
        self.write_text(text.as_written(), mark, out);
    }

    fn write_call(
        &mut self,
        index: usize,
        place: usize,
        call: &ToolCall<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let Called { name, arguments } = called(index, place, call, "Bedrock")?;
        separate(out);
        out.extend_from_slice(br#"{"toolUse":{"toolUseId":"#);
        write_str(out, self.ids.fit(&call.id.decode()));
        out.extend_from_slice(b",\"name\":");
        write_str(out, self.names.fit(&name));
        out.extend_from_slice(b",\"input\":");
        out.extend_from_slice(arguments.trim_ascii().as_bytes());
        out.extend_from_slice(b"}}");
        Ok(())
    }
}

/// A part of an assistant's message, or one of the thinking blocks that the client got.
#[derive(Debug, Deserialize)]
struct OwnPart<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<RawStr<'a>>,
    #[serde(borrow)]
    refusal: Option<RawStr<'a>>,
    #[serde(borrow)]
    thinking: Option<RawStr<'a>>,
    #[serde(borrow)]
    signature: Option<RawStr<'a>>,
    #[serde(borrow)]
    data: Option<RawStr<'a>>,
    #[serde(borrow)]
    prompt_cache_breakpoint: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_control: Option<&'a RawValue>,
}

impl OwnPart<'_> {
    fn is_thought(&self) -> bool {
        matches!(&*self.kind, "thinking" | "redacted_thinking")
    }
}
