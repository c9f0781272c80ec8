//! Who speaks: instructions, the user's words, results of calls.
//!
//! The API knows a user and a model who take turns. The results of a model turn's calls stand at the
//! start of the very next user turn: one for each call, in the order of the calls, by the name of the
//! function. Instructions have a place of their own, before all turns.

use super::media::{Fetches, Media};
use super::names::Names;
use super::surface::{Generation, Surface};
use crate::openai::json::{RawStr, Texts, is_object, separate, write_str};
use crate::openai::message::{Content, Message, Part, Role};
use crate::openai::place::from_str;
use crate::openai::{Chat, Error};
use crate::providers::Target;
use crate::providers::conversation::{Place, is_instruction, old_form, parts_of};
use crate::providers::media::has_scheme;
use crate::providers::warnings::{Warnings, unsupported};
use serde_json::value::RawValue;

/// Stands where there is no call, or none any more.
const NO_CALL: u32 = u32::MAX;

/// Writes the turns of one request.
pub(super) struct Contents<'c, 'a> {
    pub(super) chat: &'c Chat<'a>,
    pub(super) target: &'c Target<'c>,
    pub(super) surface: Surface,
    pub(super) generation: Generation,
    pub(super) names: Names,
    /// The calls of the last model turn.
    pub(super) calls: Vec<Pending>,
    pub(super) warnings: Warnings,
}

/// A call that waits for its result.
#[derive(Debug)]
pub(super) struct Pending {
    /// Which message made it, and which of its calls it is.
    pub(super) place: (usize, usize),
    /// The client's id.
    pub(super) id: String,
    /// The function's name as it is sent.
    pub(super) name: String,
    /// The id as it is sent, where the provider had given it.
    pub(super) given: Option<String>,
}

impl<'a> Contents<'_, 'a> {
    /// Appends `"contents":[…]` and, where there are any, `,"systemInstruction":{…}`.
    ///
    /// # Errors
    /// A 400 that names what cannot be translated.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let messages: &[Message<'a>] = &self.chat.messages;
        // Instructions alone are no conversation; then they are what the user says.
        let hoist = self.target.facts.parameters.system_messages
            && !messages.iter().all(|message| is_instruction(message.role));
        let hoisted = |message: &Message<'_>| hoist && is_instruction(message.role);
        out.extend_from_slice(b"\"contents\":[");
        let empty = out.len();
        let mut at = 0;
        while let Some(message) = messages.get(at) {
            let model = message.role == Role::Assistant;
            let rest = messages.get(at..).unwrap_or_default();
            let same = |next: &&Message<'_>| (next.role == Role::Assistant) == model;
            // An instruction between two messages of the model ends no turn.
            let length = rest.iter().take_while(|next| hoisted(next) || same(next)).count();
            let run = rest.get(..length).unwrap_or_default();
            let run: Vec<(usize, &Message<'a>)> =
                (at..).zip(run).filter(|(_, message)| !hoisted(message)).collect();
            if run.first().is_some_and(|(_, message)| message.role == Role::Assistant) {
                self.write_model(&run, out)?;
            } else if !run.is_empty() {
                self.write_user(&run, out)?;
            }
            at += length;
        }
        if out.len() == empty {
            let message = format!("All messages are empty, which {} refuses.", self.surface.name());
            return Err(Error::invalid("messages", message));
        }
        out.push(b']');
        if hoist {
            self.write_instructions(messages, out)?;
        }
        Ok(())
    }

    fn write_instructions(
        &mut self,
        messages: &[Message<'a>],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let leading = messages.iter().take_while(|message| is_instruction(message.role)).count();
        let begin = out.len();
        out.extend_from_slice(br#","systemInstruction":{"parts":["#);
        let empty = out.len();
        for (index, message) in messages.iter().enumerate() {
            if !is_instruction(message.role) {
                continue;
            }
            if index >= leading {
                self.warnings.changed("messages[].role", "systemInstruction");
            }
            self.warnings.drop_name(message);
            match message.content {
                Content::Absent | Content::Null => {}
                Content::Text(text) => write_text(text, out),
                Content::Parts(parts) => {
                    for part in parts_of(index, parts)? {
                        part.text.into_iter().for_each(|text| write_text(text, out));
                    }
                }
            }
        }
        if out.len() == empty {
            out.truncate(begin);
        } else {
            out.extend_from_slice(b"]}");
        }
        Ok(())
    }

    /// A run of messages that are not the model's: results first.
    fn write_user(
        &mut self,
        run: &[(usize, &Message<'a>)],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let begin = out.len();
        separate(out);
        out.extend_from_slice(br#"{"role":"user","parts":["#);
        let empty = out.len();
        self.write_results(run, out)?;
        let results = out.len();
        let mut said = Said::default();
        for (index, message) in run {
            self.write_said(*index, message, &mut said, out)?;
        }
        if said.media && !said.text && results == empty {
            // Some models refuse a turn without any text.
            separate(out);
            out.extend_from_slice(br#"{"text":" "}"#);
        }
        if out.len() == empty {
            out.truncate(begin);
        } else {
            out.extend_from_slice(b"]}");
        }
        Ok(())
    }

    /// The results of the last model turn's calls, in the order of the calls.
    fn write_results(
        &mut self,
        run: &[(usize, &Message<'a>)],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let calls = std::mem::take(&mut self.calls);
        // The first open call of each id, and for each call the next of the same id.
        let mut open = Texts::default();
        let mut next = vec![NO_CALL; calls.len()];
        for (at, (call, next)) in calls.iter().zip(&mut next).enumerate().rev() {
            let at = u32::try_from(at).unwrap_or(NO_CALL);
            *next = open.set(&call.id, at).unwrap_or(NO_CALL);
        }
        let mut answers: Vec<Option<(usize, &Message<'a>)>> = vec![None; calls.len()];
        for (index, message) in run.iter().filter(|(_, message)| message.role == Role::Tool) {
            let id = message.tool_call_id.map(RawStr::decode).unwrap_or_default();
            let call = open.number(&id).unwrap_or(NO_CALL) as usize;
            match answers.get_mut(call) {
                Some(answer) => {
                    *answer = Some((*index, message));
                    open.set(&id, next.get(call).copied().unwrap_or(NO_CALL));
                }
                None => {
                    let param = format!("messages[{index}].tool_call_id");
                    let message = format!(
                        "'{param}' names no call of the assistant's message before it that is \
                         still without a result."
                    );
                    return Err(Error::invalid(param, message));
                }
            }
        }
        for (call, answer) in calls.iter().zip(&answers) {
            let Some((index, message)) = answer else {
                let (message, place) = call.place;
                let param = format!("messages[{message}].tool_calls[{place}].id");
                let message = format!("'{param}' is of a call that no tool message answers.");
                return Err(Error::invalid(param, message));
            };
            separate(out);
            out.extend_from_slice(br#"{"functionResponse":{"#);
            if let Some(id) = &call.given {
                out.extend_from_slice(b"\"id\":");
                write_str(out, id);
                out.push(b',');
            }
            out.extend_from_slice(b"\"name\":");
            write_str(out, &call.name);
            out.extend_from_slice(b",\"response\":");
            write_response(*index, message, out)?;
            out.extend_from_slice(b"}}");
        }
        Ok(())
    }

    /// What a message says beside results.
    fn write_said(
        &mut self,
        index: usize,
        message: &Message<'a>,
        said: &mut Said,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if message.role == Role::Function {
            return Err(old_form(format!("messages[{index}].role")));
        }
        self.warnings.drop_name(message);
        let result = message.role == Role::Tool;
        match message.content {
            Content::Absent | Content::Null => {}
            Content::Text(text) => {
                if !result {
                    said.text |= !text.is_empty();
                    write_text(text, out);
                }
            }
            Content::Parts(parts) => {
                for (place, part) in parts_of(index, parts)?.iter().enumerate() {
                    if part.kind == "text" {
                        if let Some(text) = part.text.filter(|_| !result) {
                            said.text |= !text.is_empty();
                            write_text(text, out);
                        }
                        continue;
                    }
                    let place = Place { message: index, part: place };
                    said.media |= self.write_media(place, part, out)?;
                }
            }
        }
        Ok(())
    }

    /// Says whether anything was written.
    fn write_media(
        &mut self,
        place: Place,
        part: &Part<'a>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        let fetches = Fetches { surface: self.surface, generation: self.generation };
        let media = match &*part.kind {
            "image_url" => {
                let Some(image) = &part.image_url else { return Ok(false) };
                Media::from_url(image.url, fetches)
                    .map_err(|why| place.error("image_url.url", why))?
            }
            "input_audio" => {
                let Some(audio) = &part.input_audio else { return Ok(false) };
                let url = has_scheme(&audio.data.decode(), "data:");
                let field = if url { "input_audio.data" } else { "input_audio.format" };
                Media::from_audio(audio).map_err(|why| place.error(field, why))?
            }
            "file" => {
                let Some(file) = &part.file else { return Ok(false) };
                let field =
                    if file.file_data.is_some() { "file.file_data" } else { "file.file_id" };
                Media::from_file(file, fetches).map_err(|why| place.error(field, why))?
            }
            _ => {
                let param = place.param("type");
                let name = self.surface.name();
                let message = format!("'{param}': {name} takes no '{}' parts.", part.kind);
                let dropped = "messages[].content[]";
                unsupported(param, dropped, message, self.target, &mut self.warnings)?;
                return Ok(false);
            }
        };
        separate(out);
        out.push(b'{');
        media.write(out);
        if let Some(level) = self.resolution(part, &media) {
            out.extend_from_slice(
                format!(r#","mediaResolution":{{"level":"MEDIA_RESOLUTION_{level}"}}"#).as_bytes(),
            );
        }
        out.push(b'}');
        Ok(true)
    }

    /// The resolution that `detail` asks for. Models before 3 know none for a single picture.
    fn resolution(&mut self, part: &Part<'_>, media: &Media<'_>) -> Option<&'static str> {
        let detail = part.image_url.as_ref()?.detail?;
        let level = match detail.inner() {
            "low" => "LOW",
            "medium" => "MEDIUM",
            "high" | "original" => "HIGH",
            _ => return None,
        };
        if self.generation < Generation::Third || !media.is_visual() {
            self.warnings.dropped("messages[].content[].image_url.detail");
            return None;
        }
        Some(level)
    }
}

/// What stands in a user turn.
#[derive(Debug, Default)]
struct Said {
    text: bool,
    media: bool,
}

/// Appends a text part; the API refuses an empty one.
pub(super) fn write_text(text: RawStr<'_>, out: &mut Vec<u8>) {
    if !text.is_empty() {
        separate(out);
        out.extend_from_slice(b"{\"text\":");
        out.extend_from_slice(text.as_written().as_bytes());
        out.push(b'}');
    }
}

/// Appends what a call gave, as the object that the API wants.
fn write_response(index: usize, message: &Message<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    let parts = match message.content {
        Content::Parts(parts) => parts_of(index, parts)?,
        Content::Absent | Content::Null | Content::Text(_) => Vec::new(),
    };
    let texts: Vec<RawStr<'_>> = match message.content {
        Content::Text(text) => vec![text],
        _ => parts.iter().filter_map(|part| part.text).collect(),
    };
    if let [text] = texts.as_slice() {
        let decoded = text.decode();
        let object = decoded.trim_ascii();
        if object.starts_with('{') && survives(object) {
            out.extend_from_slice(object.as_bytes());
            return Ok(());
        }
    }
    out.extend_from_slice(b"{\"output\":\"");
    for (at, text) in texts.iter().enumerate() {
        out.extend_from_slice(if at > 0 { b"\\n" } else { b"" });
        out.extend_from_slice(text.inner().as_bytes());
    }
    out.extend_from_slice(b"\"}");
    Ok(())
}

/// Whether a result comes through as an object unchanged: the provider keeps numbers as floating
/// point, and takes `$ref` for the name of a picture.
fn survives(text: &str) -> bool {
    /// What a double holds without loss.
    const MOST_DIGITS: usize = 15;
    let long_number = text
        .as_bytes()
        .chunk_by(|a, b| a.is_ascii_digit() && b.is_ascii_digit())
        .any(|run| run.len() > MOST_DIGITS);
    !long_number && !text.contains("\"$ref\"") && from_str::<&RawValue>(text).is_ok_and(is_object)
}
