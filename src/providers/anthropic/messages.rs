//! Turns: who speaks, tool results, thinking.
//!
//! The API knows two speakers who take turns. All that is not the assistant's becomes one user
//! turn, results of tools first, since a call must be answered at the start of the next turn.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::cache::{self, Mark, Marks};
use super::ids;
use super::media::Media;
use super::request::unsupported;
use super::tools::{self, JsonAnswer, separate};
use super::{Warnings, thinking::Surroundings};
use crate::openai::json::{RawStr, is_object, write_str};
use crate::openai::message::{Content, File, Items, Message, Part, Role, ToolCall};
use crate::openai::request::read;
use crate::openai::{Chat, Error};
use crate::providers::Target;

/// Writes the turns of one request.
pub(super) struct Turns<'c, 'a> {
    pub(super) chat: &'c Chat<'a>,
    pub(super) target: &'c Target<'c>,
    pub(super) marks: Marks,
    pub(super) warnings: Warnings,
}

impl<'a> Turns<'_, 'a> {
    /// Appends `,"system":…` and `,"messages":[…]`.
    ///
    /// # Errors
    /// A 400 that names what cannot be translated.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let messages: &[Message<'a>] = &self.chat.messages;
        let instructions = |message: &Message<'_>| is_instruction(message.role);
        let leading = messages.iter().take_while(|message| instructions(message)).count();
        // Instructions alone are no conversation; then they are what the user says.
        let leading = if leading == messages.len() { 0 } else { leading };
        self.write_system(messages.get(..leading).unwrap_or_default(), out)?;
        out.extend_from_slice(b",\"messages\":[");
        let empty = out.len();
        let mut at = leading;
        while let Some(message) = messages.get(at) {
            let assistant = message.role == Role::Assistant;
            let rest = messages.get(at..).unwrap_or_default();
            let length =
                rest.iter().take_while(|next| (next.role == Role::Assistant) == assistant).count();
            let run = rest.get(..length).unwrap_or_default();
            let last = length == rest.len();
            if assistant {
                self.write_assistant(at, run, last, out)?;
            } else {
                self.write_user(at, run, last, out)?;
            }
            at += length;
        }
        if out.len() == empty {
            let message = "All messages are empty, which Anthropic refuses.";
            return Err(Error::invalid("messages", message));
        }
        out.push(b']');
        Ok(())
    }

    /// One plain text as a string, more as blocks.
    fn write_system(&mut self, run: &[Message<'a>], out: &mut Vec<u8>) -> Result<(), Error> {
        let mut texts = Vec::new();
        for (index, message) in run.iter().enumerate() {
            self.texts(index, message, &mut texts)?;
        }
        let instruction =
            tools::json_answer(self.chat, self.target.facts) == JsonAnswer::Instruction;
        match texts.as_slice() {
            [] if !instruction => {}
            [(text, None)] if !instruction => {
                out.extend_from_slice(b",\"system\":");
                out.extend_from_slice(text.as_written().as_bytes());
            }
            texts => {
                out.extend_from_slice(b",\"system\":[");
                for (text, mark) in texts {
                    self.write_text(text.as_written(), *mark, out);
                }
                if instruction {
                    separate(out);
                    out.extend_from_slice(br#"{"type":"text","text":"#);
                    tools::write_instruction(self.chat, out);
                    out.push(b'}');
                }
                out.push(b']');
            }
        }
        Ok(())
    }

    /// The texts of a message that holds nothing else.
    fn texts(
        &mut self,
        index: usize,
        message: &Message<'a>,
        texts: &mut Vec<(RawStr<'a>, Option<Mark>)>,
    ) -> Result<(), Error> {
        if message.name.is_some() {
            self.warnings.dropped("messages[].name");
        }
        match message.content {
            Content::Absent | Content::Null => {}
            Content::Text(text) => {
                if !text.is_blank() {
                    texts.push((text, cache::on_message(message, &mut self.warnings)));
                }
            }
            Content::Parts(parts) => {
                for part in parts_of(index, parts)? {
                    if let Some(text) = part.text.filter(|text| !text.is_blank()) {
                        texts.push((text, self.mark_of(&part)));
                    }
                }
            }
        }
        Ok(())
    }

    /// A run of messages that are not the assistant's.
    fn write_user(
        &mut self,
        at: usize,
        run: &[Message<'a>],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        // The API takes instructions only between a user turn and an assistant turn or the end.
        let after = match self.target.facts.parameters.mid_conversation_system {
            true => run.iter().rev().take_while(|message| is_instruction(message.role)).count(),
            false => 0,
        };
        let (said, after) = run.split_at_checked(run.len() - after).unwrap_or((run, &[]));
        let (said, after) = if said.is_empty() { (run, &[][..]) } else { (said, after) };
        let begin = out.len();
        if let [Message { role: Role::User, content: Content::Text(text), rest, .. }] = said
            && rest.is_empty()
        {
            if said.iter().any(|message| message.name.is_some()) {
                self.warnings.dropped("messages[].name");
            }
            if !text.is_blank() {
                separate(out);
                out.extend_from_slice(br#"{"role":"user","content":"#);
                out.extend_from_slice(text.as_written().as_bytes());
                out.push(b'}');
            }
        } else {
            separate(out);
            out.extend_from_slice(br#"{"role":"user","content":["#);
            let empty = out.len();
            for (index, message) in (at..).zip(said) {
                if message.role == Role::Tool {
                    self.write_result(index, message, out)?;
                }
            }
            for (index, message) in (at..).zip(said) {
                if message.role != Role::Tool {
                    self.write_said(index, message, out)?;
                }
            }
            if out.len() == empty {
                out.truncate(begin);
            } else {
                out.extend_from_slice(b"]}");
            }
        }
        if out.len() == begin && last {
            let param = format!("messages[{}].content", at + said.len().saturating_sub(1));
            let message = format!("'{param}' is empty, which Anthropic refuses.");
            return Err(Error::invalid(param, message));
        }
        let mut texts = Vec::new();
        for (index, message) in (at + said.len()..).zip(after) {
            self.texts(index, message, &mut texts)?;
        }
        if texts.is_empty() {
            return Ok(());
        }
        // Where nothing was said before them, they are what is said.
        let role = if out.len() == begin { "user" } else { "system" };
        separate(out);
        out.extend_from_slice(format!(r#"{{"role":"{role}","content":["#).as_bytes());
        for (text, mark) in texts {
            self.write_text(text.as_written(), mark, out);
        }
        out.extend_from_slice(b"]}");
        Ok(())
    }

    /// A message of the user, or an instruction that has to stand among them.
    fn write_said(
        &mut self,
        index: usize,
        message: &Message<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if message.role == Role::Function {
            return Err(old_form(format!("messages[{index}].role")));
        }
        if is_instruction(message.role) {
            self.warnings.changed("messages[].role", "user");
        }
        if message.name.is_some() {
            self.warnings.dropped("messages[].name");
        }
        match message.content {
            Content::Absent | Content::Null => Ok(()),
            Content::Text(text) => {
                let mark = cache::on_message(message, &mut self.warnings);
                if !text.is_blank() {
                    self.write_text(text.as_written(), mark, out);
                }
                Ok(())
            }
            Content::Parts(parts) => {
                for (place, part) in parts_of(index, parts)?.iter().enumerate() {
                    self.write_part(Place { message: index, part: place }, part, out)?;
                }
                Ok(())
            }
        }
    }

    fn write_result(
        &mut self,
        index: usize,
        message: &Message<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        separate(out);
        out.extend_from_slice(br#"{"type":"tool_result","tool_use_id":"#);
        let id = message.tool_call_id.map(RawStr::decode).unwrap_or_default();
        write_str(out, &ids::fit(&id));
        match message.content {
            Content::Text(text) if !text.is_blank() => {
                out.extend_from_slice(b",\"content\":");
                out.extend_from_slice(text.as_written().as_bytes());
            }
            Content::Absent | Content::Null | Content::Text(_) => {}
            Content::Parts(parts) => {
                let begin = out.len();
                out.extend_from_slice(b",\"content\":[");
                let empty = out.len();
                for (place, part) in parts_of(index, parts)?.iter().enumerate() {
                    self.write_part(Place { message: index, part: place }, part, out)?;
                }
                if out.len() == empty {
                    out.truncate(begin);
                } else {
                    out.push(b']');
                }
            }
        }
        let mark = cache::on_message(message, &mut self.warnings);
        self.marks.write(out, mark, &mut self.warnings);
        out.push(b'}');
        Ok(())
    }

    /// A part of a user message or tool result.
    fn write_part(
        &mut self,
        place: Place,
        part: &Part<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let mark = self.mark_of(part);
        let media = match &*part.kind {
            "text" => {
                if let Some(text) = part.text.filter(|text| !text.is_blank()) {
                    self.write_text(text.as_written(), mark, out);
                }
                return Ok(());
            }
            "image_url" => {
                let Some(image) = &part.image_url else { return Ok(()) };
                if image.detail.is_some_and(|detail| detail.inner() != "auto") {
                    self.warnings.dropped("messages[].content[].image_url.detail");
                }
                Media::from_url(image.url).map_err(|why| place.error("image_url.url", why))?
            }
            "file" => {
                let Some(file) = &part.file else { return Ok(()) };
                let field = if file.file_data.is_some() { "file.file_data" } else { "file.file_id" };
                Media::from_file(file).map_err(|why| place.error(field, why))?
            }
            _ => {
                let param = place.param("type");
                let message = format!("'{param}': Anthropic takes no '{}' parts.", part.kind);
                let dropped = "messages[].content[]";
                return unsupported(param, dropped, message, self.target, &mut self.warnings);
            }
        };
        separate(out);
        media.write(out, part.file.as_ref().and_then(|file: &File<'_>| file.filename));
        self.marks.write(out, mark, &mut self.warnings);
        out.push(b'}');
        Ok(())
    }

    /// A run of the assistant's messages. `last` says that the model is to go on with it.
    fn write_assistant(
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
            if message.name.is_some() {
                self.warnings.dropped("messages[].name");
            }
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
        if message.name.is_some() {
            self.warnings.dropped("messages[].name");
        }
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
        if let Some(calls) = message.tool_calls {
            let calls: Items<ToolCall<'a>> =
                read("tool_calls", calls).map_err(|e| within(index, e))?;
            for (place, call) in calls.0.iter().enumerate() {
                write_call(index, place, call, out)?;
            }
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

    fn write_text(&mut self, written: &str, mark: Option<Mark>, out: &mut Vec<u8>) {
        separate(out);
        out.extend_from_slice(br#"{"type":"text","text":"#);
        out.extend_from_slice(written.as_bytes());
        self.marks.write(out, mark, &mut self.warnings);
        out.push(b'}');
    }

    fn mark_of(&mut self, part: &Part<'_>) -> Option<Mark> {
        cache::mark(part.cache_control, part.prompt_cache_breakpoint, &mut self.warnings)
    }
}

/// What the conversation says about thinking: see [`Surroundings::thoughtless_call`].
pub(super) fn surroundings(chat: &Chat<'_>, max_tokens: u64, forced_call: bool) -> Surroundings {
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

fn write_call(
    index: usize,
    place: usize,
    call: &ToolCall<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let Some(function) = &call.function else {
        let param = format!("messages[{index}].tool_calls[{place}].type");
        let message = format!("'{param}': calls of custom tools do not exist at Anthropic.");
        return Err(Error::unsupported(param, message));
    };
    separate(out);
    out.extend_from_slice(br#"{"type":"tool_use","id":"#);
    write_str(out, &ids::fit(&call.id.decode()));
    out.extend_from_slice(b",\"name\":");
    write_str(out, &ids::fit(&function.name.decode()));
    out.extend_from_slice(b",\"input\":");
    let arguments = function.arguments.map(RawStr::decode).unwrap_or_default();
    let arguments = arguments.trim_ascii();
    if arguments.is_empty() {
        out.extend_from_slice(b"{}");
    } else {
        match serde_json::from_str::<&RawValue>(arguments) {
            Ok(object) if is_object(object) => out.extend_from_slice(object.get().as_bytes()),
            _ => {
                let param = format!("messages[{index}].tool_calls[{place}].function.arguments");
                let message = format!("'{param}' must be a JSON object, written as a string.");
                return Err(Error::invalid(param, message));
            }
        }
    }
    out.push(b'}');
    Ok(())
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
            "thinking" => {
                self.thinking.is_some() && self.signature.is_some_and(|text| !text.is_empty())
            }
            "redacted_thinking" => self.data.is_some(),
            _ => false,
        }
    }
}

/// Where a part stands.
#[derive(Clone, Copy)]
struct Place {
    message: usize,
    part: usize,
}

impl Place {
    fn param(self, field: &str) -> String {
        format!("messages[{}].content[{}].{field}", self.message, self.part)
    }

    fn error(self, field: &str, why: &str) -> Error {
        let param = self.param(field);
        let message = format!("'{param}' {why}.");
        Error::invalid(param, message)
    }
}

const fn is_instruction(role: Role) -> bool {
    matches!(role, Role::System | Role::Developer)
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

fn parts_of<'a>(index: usize, parts: &'a RawValue) -> Result<Vec<Part<'a>>, Error> {
    let parts: Items<Part<'a>> = read("content", parts).map_err(|error| within(index, error))?;
    Ok(parts.0)
}

/// The error with its place inside the message put behind the message's own.
fn within(index: usize, error: Error) -> Error {
    let field = error.param.as_deref().unwrap_or_default();
    let param = format!("messages[{index}].{field}");
    let message = error.message.replace(&format!("'{field}'"), &format!("'{param}'"));
    Error { message, ..error }.with_param(param)
}

fn old_form(param: String) -> Error {
    let message =
        format!("'{param}': the older form of function calls is not translated; use 'tools'.");
    Error::unsupported(param, message)
}
