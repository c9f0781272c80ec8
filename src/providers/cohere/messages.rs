//! Who speaks: instructions, the user, the assistant, results of tools.
//!
//! Instructions stand first, in one message; later ones are said by the user. A call must be
//! answered before anything else is said, so results come first between two turns of the assistant.
//! No message may be empty.

use std::borrow::Cow;

use super::names;
use crate::openai::json::{Append, RawStr, separate, write_str};
use crate::openai::message::{Content, Items, Message, Part, Role};
use crate::openai::place::members;
use crate::openai::request::read;
use crate::openai::{Chat, Error};
use crate::providers::Target;
use crate::providers::catalogue::Capability;
use crate::providers::conversation::{
    Place, calls_of, check_answer, is_instruction, no_prefill, old_form, parts_of, results_first,
    within, write_calls, write_image, write_text,
};
use crate::providers::ids::{self, Form, Ids};
use crate::providers::warnings::{Warnings, unsupported};

/// Ids of calls. The API names no form; its own are a function's name and some letters. An id that
/// carries another provider's signature is longer than any of them.
const IDS: Form =
    Form { fits: |id| id.len() <= 128 && ids::is_plain(id), prefix: "waypost_", letters: 10 };

/// Writes the messages of one request.
pub(super) struct Turns<'c, 'a> {
    chat: &'c Chat<'a>,
    target: &'c Target<'c>,
    ids: Ids,
    pub(super) warnings: Warnings,
}

impl<'c, 'a> Turns<'c, 'a> {
    pub(super) fn new(chat: &'c Chat<'a>, target: &'c Target<'c>, warnings: Warnings) -> Self {
        Self { chat, target, ids: Ids::new(&IDS), warnings }
    }

    /// Appends `,"messages":[…]`.
    ///
    /// # Errors
    /// A 400 that names what cannot be translated.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let messages: &[Message<'a>] = &self.chat.messages;
        out.put(b",\"messages\":[");
        let empty = out.len();
        let leading = messages.iter().take_while(|message| is_instruction(message.role)).count();
        // Instructions alone are no conversation; then they are what the user says.
        let leading = if leading == messages.len() { 0 } else { leading };
        self.write_system(messages.get(..leading).unwrap_or_default(), out)?;
        let rest = results_first(messages.get(leading..).unwrap_or_default());
        let last = rest.len().saturating_sub(1);
        for (place, (index, message)) in rest.into_iter().enumerate() {
            let index = index + leading;
            let before = out.len();
            match message.role {
                Role::Function => return Err(old_form(format!("messages[{index}].role"))),
                Role::Assistant => self.write_assistant(index, message, place == last, out)?,
                Role::Tool => self.write_result(index, message, out)?,
                Role::User | Role::System | Role::Developer => {
                    self.write_user(index, message, out)?;
                    if out.len() == before && place == last {
                        let param = format!("messages[{index}].content");
                        let message = format!("'{param}' is empty, which Cohere refuses.");
                        return Err(Error::invalid(param, message));
                    }
                }
            }
        }
        if out.len() == empty {
            let message = "All messages are empty, which Cohere refuses.";
            return Err(Error::invalid("messages", message));
        }
        out.mark(b']');
        Ok(())
    }

    fn write_system(&mut self, run: &[Message<'a>], out: &mut Vec<u8>) -> Result<(), Error> {
        let mut texts = Vec::new();
        for (index, message) in run.iter().enumerate() {
            self.warnings.drop_name(message);
            match message.content {
                Content::Absent | Content::Null => {}
                Content::Text(text) => texts.push(text),
                Content::Parts(parts) => {
                    texts.extend(parts_of(index, parts)?.iter().filter_map(|part| part.text));
                }
            }
        }
        texts.retain(|text| !text.is_blank());
        match texts.as_slice() {
            [] => {}
            [text] => {
                out.put(br#"{"role":"system","content":"#);
                out.put(text.as_written().as_bytes());
                out.mark(b'}');
            }
            texts => {
                out.put(br#"{"role":"system","content":["#);
                texts.iter().for_each(|text| write_text(*text, out));
                out.put(b"]}");
            }
        }
        Ok(())
    }

    /// What the user says, or a later instruction.
    fn write_user(
        &mut self,
        index: usize,
        message: &Message<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.warnings.drop_name(message);
        if is_instruction(message.role) {
            self.warnings.changed("messages[].role", "user");
        }
        let begin = out.len();
        separate(out);
        out.put(br#"{"role":"user","content":"#);
        if self.write_content(index, message, out)? {
            out.mark(b'}');
        } else {
            out.truncate(begin);
        }
        Ok(())
    }

    fn write_result(
        &mut self,
        index: usize,
        message: &Message<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.warnings.drop_name(message);
        separate(out);
        out.put(br#"{"role":"tool","tool_call_id":"#);
        let id = message.tool_call_id.map(RawStr::decode).unwrap_or_default();
        write_str(out, self.ids.fit(&id));
        out.put(b",\"content\":");
        if !self.write_content(index, message, out)? {
            // A result is a text or a JSON object; this one says nothing.
            out.put(b"\"{}\"");
        }
        out.mark(b'}');
        Ok(())
    }

    /// A string or a list of parts. Says whether there was anything to write.
    fn write_content(
        &mut self,
        index: usize,
        message: &Message<'a>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        match message.content {
            Content::Absent | Content::Null => Ok(false),
            Content::Text(text) => {
                if text.is_blank() {
                    return Ok(false);
                }
                out.put(text.as_written().as_bytes());
                Ok(true)
            }
            Content::Parts(parts) => {
                let begin = out.len();
                out.mark(b'[');
                for (place, part) in parts_of(index, parts)?.iter().enumerate() {
                    let pictures = message.role == Role::User;
                    self.write_part(Place { message: index, part: place }, part, pictures, out)?;
                }
                if out.len() == begin + 1 {
                    out.truncate(begin);
                    return Ok(false);
                }
                out.mark(b']');
                Ok(true)
            }
        }
    }

    fn write_part(
        &mut self,
        place: Place,
        part: &Part<'a>,
        pictures: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match (&*part.kind, &part.image_url) {
            ("text", _) => {
                if let Some(text) = part.text.filter(|text| !text.is_blank()) {
                    write_text(text, out);
                }
                Ok(())
            }
            ("image_url", Some(image)) if pictures => {
                write_image(image, out, &mut self.warnings);
                Ok(())
            }
            (kind, _) => {
                let param = place.param("type");
                let whose = if pictures { "from the user" } else { "in a tool's result" };
                let message = format!("'{param}': Cohere takes no '{kind}' parts {whose}.");
                let dropped = "messages[].content[]";
                unsupported(param, dropped, message, self.target, &mut self.warnings)
            }
        }
    }

    /// Thoughts go back as thinking to a model that reasons; to others as the plan of the calls that
    /// followed them.
    fn write_assistant(
        &mut self,
        index: usize,
        message: &Message<'a>,
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let sound = "Cohere knows no sound";
        check_answer(index, message, sound, self.target, &mut self.warnings)?;
        let texts = own_texts(index, message)?;
        let calls = calls_of(index, message)?;
        if texts.is_empty() && calls.is_empty() {
            return Ok(());
        }
        if last && !self.target.facts.parameters.assistant_prefill {
            return Err(no_prefill(index, self.target));
        }
        let facts = self.target.facts;
        let reasons = facts.known && facts.capabilities.has(Capability::Reasoning);
        let thought = message.reasoning_content.filter(|text| !text.is_blank());
        let thinking = thought.filter(|_| reasons);
        let plan = thought.filter(|_| !reasons && !calls.is_empty());
        if thought.is_some() && thinking.is_none() && plan.is_none() {
            self.warnings.dropped("messages[].reasoning_content");
        }
        if message.thinking_blocks.is_some() && thought.is_none() {
            self.warnings.dropped("messages[].thinking_blocks");
        }
        separate(out);
        out.put(b"{\"role\":\"assistant\"");
        match (texts.as_slice(), thinking) {
            ([], None) => {}
            ([text], None) => {
                out.put(b",\"content\":");
                out.put(text.as_written().as_bytes());
            }
            (texts, thinking) => {
                out.put(b",\"content\":[");
                if let Some(thinking) = thinking {
                    out.put(br#"{"type":"thinking","thinking":"#);
                    out.put(thinking.as_written().as_bytes());
                    out.mark(b'}');
                }
                texts.iter().for_each(|text| write_text(*text, out));
                out.mark(b']');
            }
        }
        if let Some(plan) = plan {
            out.put(b",\"tool_plan\":");
            out.put(plan.as_written().as_bytes());
        }
        write_calls(index, &calls, "Cohere", &mut self.ids, names::fit, out)?;
        out.mark(b'}');
        Ok(())
    }
}

/// What the assistant said, a refusal too.
fn own_texts<'a>(index: usize, message: &Message<'a>) -> Result<Vec<RawStr<'a>>, Error> {
    struct OwnPart<'a> {
        kind: Cow<'a, str>,
        text: Option<RawStr<'a>>,
        refusal: Option<RawStr<'a>>,
    }
    members!(OwnPart<'a> { kind "type" (required), text, refusal });
    let mut texts = Vec::new();
    match message.content {
        Content::Absent | Content::Null => {}
        Content::Text(text) => texts.push(text),
        Content::Parts(parts) => {
            let parts: Items<OwnPart<'a>> = read("content", parts).map_err(|e| within(index, e))?;
            let said = parts.0.iter().filter(|part| matches!(&*part.kind, "text" | "refusal"));
            texts.extend(said.filter_map(|part| part.text.or(part.refusal)));
        }
    }
    texts.extend(message.refusal);
    texts.retain(|text| !text.is_blank());
    Ok(texts)
}
