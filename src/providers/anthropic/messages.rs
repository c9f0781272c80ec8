//! Who speaks: instructions, the user's words, results of tools.
//!
//! The API knows two speakers who take turns. All that is not the assistant's becomes one user
//! turn, results of tools first, since a call must be answered at the start of the next turn.

use super::json_answer::{self, JsonAnswer};
use super::media::Media;
use super::turns::Turns;
use crate::openai::Error;
use crate::openai::json::separate;
use crate::openai::json::{Append, RawStr, write_str};
use crate::openai::message::{Content, File, Message, Part, Role};
use crate::providers::claude::json_answer::write_instruction;
use crate::providers::claude::marks::{self, Mark};
use crate::providers::conversation::{Place, is_instruction, old_form, parts_of};
use crate::providers::warnings::unsupported;

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
        out.put(b",\"messages\":[");
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
        out.mark(b']');
        Ok(())
    }

    /// One plain text as a string, more as blocks.
    fn write_system(&mut self, run: &[Message<'a>], out: &mut Vec<u8>) -> Result<(), Error> {
        let mut texts = Vec::new();
        for (index, message) in run.iter().enumerate() {
            self.texts(index, message, &mut texts)?;
        }
        let instruction = json_answer::way(self.chat, self.target.facts) == JsonAnswer::Instruction;
        match texts.as_slice() {
            [] if !instruction => {}
            [(text, None)] if !instruction => {
                out.put(b",\"system\":");
                out.put(text.as_written().as_bytes());
            }
            texts => {
                out.put(b",\"system\":[");
                for (text, mark) in texts {
                    self.write_text(text.as_written(), *mark, out);
                }
                if instruction {
                    self.warnings.changed("response_format", "an instruction");
                    separate(out);
                    out.put(br#"{"type":"text","text":"#);
                    write_instruction(self.chat, out);
                    out.mark(b'}');
                }
                out.mark(b']');
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
        self.warnings.drop_name(message);
        match message.content {
            Content::Absent | Content::Null => {}
            Content::Text(text) => {
                if !text.is_blank() {
                    texts.push((text, marks::on_message(message, &mut self.warnings)));
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
            said.iter().for_each(|message| self.warnings.drop_name(message));
            if !text.is_blank() {
                separate(out);
                out.put(br#"{"role":"user","content":"#);
                out.put(text.as_written().as_bytes());
                out.mark(b'}');
            }
        } else {
            separate(out);
            out.put(br#"{"role":"user","content":["#);
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
                out.put(b"]}");
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
        out.put(format!(r#"{{"role":"{role}","content":["#).as_bytes());
        for (text, mark) in texts {
            self.write_text(text.as_written(), mark, out);
        }
        out.put(b"]}");
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
        self.warnings.drop_name(message);
        match message.content {
            Content::Absent | Content::Null => Ok(()),
            Content::Text(text) => {
                let mark = marks::on_message(message, &mut self.warnings);
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
        out.put(br#"{"type":"tool_result","tool_use_id":"#);
        let id = message.tool_call_id.map(RawStr::decode).unwrap_or_default();
        write_str(out, self.ids.fit(&id));
        match message.content {
            Content::Text(text) if !text.is_blank() => {
                out.put(b",\"content\":");
                out.put(text.as_written().as_bytes());
            }
            Content::Absent | Content::Null | Content::Text(_) => {}
            Content::Parts(parts) => {
                let begin = out.len();
                out.put(b",\"content\":[");
                let empty = out.len();
                for (place, part) in parts_of(index, parts)?.iter().enumerate() {
                    self.write_part(Place { message: index, part: place }, part, out)?;
                }
                if out.len() == empty {
                    out.truncate(begin);
                } else {
                    out.mark(b']');
                }
            }
        }
        let mark = marks::on_message(message, &mut self.warnings);
        self.marks.write(out, mark, &mut self.warnings);
        out.mark(b'}');
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
                Media::from_url(image.url)
                    .and_then(|media| media.at(self.host))
                    .map_err(|why| place.error("image_url.url", why))?
            }
            "file" => {
                let Some(file) = &part.file else { return Ok(()) };
                let field =
                    if file.file_data.is_some() { "file.file_data" } else { "file.file_id" };
                Media::from_file(file)
                    .and_then(|media| media.at(self.host))
                    .map_err(|why| place.error(field, why))?
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
        out.mark(b'}');
        Ok(())
    }
}
