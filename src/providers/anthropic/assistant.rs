//! The assistant's turns: thinking, text, calls.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::cache::{self, Mark};

use super::thinking::Surroundings;
use super::turns::Turns;
use crate::openai::json::separate;
use crate::openai::json::{RawStr, write_str};
use crate::openai::message::{Content, Items, Message, Role, ToolCall};
use crate::openai::request::read;
use crate::openai::{Chat, Error};
use crate::providers::conversation::{Called, called, calls_of, old_form, within};
use crate::providers::ids;
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
        let begin = out.len();
        separate(out);
        out.extend_from_slice(br#"{"role":"assistant","content":"#);
        if let [message] = run
            && let Content::Text(text) = message.content
            && !last
            && !text.is_blank()
            && is_plain(message)
        {
            self.drop_name(message);
            out.extend_from_slice(text.as_written().as_bytes());
            out.push(b'}');
            return Ok(());
        }
        out.push(b'[');
        let empty = out.len();
        for (index, message) in (at..).zip(run) {
            let last = last && index + 1 == at + run.len();
            self.write_assistant_message(index, message, last, out)?;
        }
        if out.len() == empty {
            out.truncate(begin);
        } else {
            out.extend_from_slice(b"]}");
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
            let text = format!("'{param}': Anthropic knows no sound.");
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
                let mark = cache::on_message(message, &mut self.warnings);
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

    fn write_thought(&mut self, block: &OwnPart<'_>, out: &mut Vec<u8>) {
        if !block.is_signed() {
            self.warnings.dropped("messages[].thinking_blocks");
            return;
        }
        separate(out);
        out.extend_from_slice(b"{\"type\":");
        write_str(out, &block.kind);
        for (name, text) in
            [("thinking", block.thinking), ("signature", block.signature), ("data", block.data)]
        {
            if let Some(text) = text {
                out.extend_from_slice(format!(",\"{name}\":").as_bytes());
                out.extend_from_slice(text.as_written().as_bytes());
            }
        }
        out.push(b'}');
    }

    /// The API refuses white space at the end of what the model is to continue.
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
        if !end {
            self.write_text(text.as_written(), mark, out);
            return;
        }
        let decoded = text.decode();
        let trimmed = decoded.trim_end();
        if trimmed.len() == decoded.len() {
            self.write_text(text.as_written(), mark, out);
        } else if !trimmed.is_empty() {
            let mut written = Vec::with_capacity(trimmed.len() + 2);
            write_str(&mut written, trimmed);
            self.write_text(&String::from_utf8_lossy(&written), mark, out);
        }
    }

    fn write_call(
        &mut self,
        index: usize,
        place: usize,
        call: &ToolCall<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let Called { name, arguments } = called(index, place, call, "Anthropic")?;
        separate(out);
        out.extend_from_slice(br#"{"type":"tool_use","id":"#);
        write_str(out, self.ids.fit(&call.id.decode()));
        out.extend_from_slice(b",\"name\":");
        write_str(out, &ids::fit_name(&name));
        out.extend_from_slice(b",\"input\":");
        out.extend_from_slice(arguments.trim_ascii().as_bytes());
        out.push(b'}');
        Ok(())
    }
}

/// What the conversation says about thinking: see [`Surroundings::thoughtless_call`].
pub(crate) fn surroundings(chat: &Chat<'_>, max_tokens: u64, forced_call: bool) -> Surroundings {
    // Looked at only where it matters: it costs another reading of the message.
    let last = chat.messages.iter().rfind(|message| message.role == Role::Assistant);
    let thoughtless_call = chat.reasoning_effort.is_some()
        && last.is_some_and(|message| message.tool_calls.is_some() && !has_thoughts(message));
    Surroundings { max_tokens, forced_call, thoughtless_call }
}

fn has_thoughts(message: &Message<'_>) -> bool {
    let parts = match message.content {
        Content::Parts(parts) => Some(parts),
        Content::Absent | Content::Null | Content::Text(_) => None,
    };
    [message.thinking_blocks, parts].into_iter().flatten().any(|list| {
        serde_json::from_str::<Items<OwnPart<'_>>>(list.get())
            .is_ok_and(|list| list.0.iter().any(OwnPart::is_signed))
    })
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

    /// Whether the API would take it: it wants its own signature back.
    fn is_signed(&self) -> bool {
        match &*self.kind {
            "thinking" => self.thinking.is_some() && self.signature.is_some_and(is_claudes),
            "redacted_thinking" => self.data.is_some(),
            _ => false,
        }
    }
}

/// Whether a message of the assistant says nothing but its content.
fn is_plain(message: &Message<'_>) -> bool {
    message.tool_calls.is_none()
        && message.function_call.is_none()
        && message.refusal.is_none()
        && message.reasoning_content.is_none()
        && message.thinking_blocks.is_none()
        && message.audio.is_none()
        && message.rest.is_empty()
}
