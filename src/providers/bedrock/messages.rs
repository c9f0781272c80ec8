//! Who speaks: instructions, the user's words, results of tools.
//!
//! The API knows two speakers who take turns, the user first. All that is not the assistant's
//! becomes one user turn, results of tools first, since a call must be answered at the start of the
//! next turn.

use super::json_answer::{self, JsonAnswer};
use super::media::Media;
use super::turns::{Turns, member};
use crate::openai::Error;
use crate::openai::json::separate;
use crate::openai::json::{Append, RawStr, write_str};
use crate::openai::message::{Content, Message, Part, Role};
use crate::providers::Warning;
use crate::providers::claude::json_answer::write_instruction;
use crate::providers::conversation::{Place, is_instruction, old_form, parts_of};
use crate::providers::warnings::unsupported;

/// What the user says where the assistant spoke first.
const BEGINNING: &[u8] = br#"{"role":"user","content":[{"text":"Begin."}]}"#;

/// What stands beside a document without a word, which the API refuses.
const BESIDE_DOCUMENT: &str = r#""The attached document.""#;

/// The result of a call that gave nothing: the API refuses an empty text.
const NO_RESULT: &str = r#""(no output)""#;

/// Who a turn belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    Assistant,
    User,
}

/// What a user turn holds beside results.
#[derive(Default)]
struct Held {
    texts: bool,
    documents: bool,
}

impl<'a> Turns<'_, 'a> {
    /// Appends `system` and `messages`.
    ///
    /// # Errors
    /// A 400 that names what cannot be translated.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let messages: &[Message<'a>] = &self.chat.messages;
        let leading = messages.iter().take_while(|it| is_instruction(it.role)).count();
        // Instructions alone are no conversation; then they are what the user says. So they are
        // where the model takes none.
        let none = leading == messages.len() || !self.target.facts.parameters.system_messages;
        let leading = if none { 0 } else { leading };
        self.write_system(messages.get(..leading).unwrap_or_default(), out)?;
        member(out, "messages");
        out.mark(b'[');
        let mut before = None;
        let mut at = leading;
        while let Some(message) = messages.get(at) {
            let assistant = message.role == Role::Assistant;
            let rest = messages.get(at..).unwrap_or_default();
            let length =
                rest.iter().take_while(|next| (next.role == Role::Assistant) == assistant).count();
            let run = rest.get(..length).unwrap_or_default();
            self.write_turn(at, run, length == rest.len(), &mut before, out)?;
            at += length;
        }
        if before.is_none() {
            let message = "All messages are empty, which Bedrock refuses.";
            return Err(Error::invalid("messages", message));
        }
        out.mark(b']');
        Ok(())
    }

    /// A run of messages of one speaker. Joined to the turn before where an empty turn between them
    /// was left out. `before` is whose turn that was.
    fn write_turn(
        &mut self,
        at: usize,
        run: &[Message<'a>],
        last: bool,
        before: &mut Option<Speaker>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let assistant = run.first().is_some_and(|message| message.role == Role::Assistant);
        let speaker = if assistant { Speaker::Assistant } else { Speaker::User };
        let begin = out.len();
        let joined = *before == Some(speaker);
        if joined {
            // Without the end of the list and of the turn.
            out.truncate(begin.saturating_sub(2));
        } else {
            if assistant && before.is_none() {
                out.put(BEGINNING);
            }
            separate(out);
            out.put(match speaker {
                Speaker::Assistant => br#"{"role":"assistant","content":["#.as_slice(),
                Speaker::User => br#"{"role":"user","content":["#,
            });
        }
        let empty = out.len();
        if assistant {
            self.write_assistant(at, run, last, out)?;
        } else {
            self.write_user(at, run, out)?;
        }
        if out.len() > empty {
            if assistant && before.is_none() {
                let to = "begin with the user's turn \"Begin.\"".to_owned();
                self.warnings.add(Warning::Changed { param: "messages".into(), to });
            }
            out.put(b"]}");
            *before = Some(speaker);
            return Ok(());
        }
        if joined {
            out.put(b"]}");
        } else {
            out.truncate(begin);
        }
        if last && !assistant {
            let param = format!("messages[{}].content", at + run.len().saturating_sub(1));
            let message = format!("'{param}' is empty, which Bedrock refuses.");
            return Err(Error::invalid(param, message));
        }
        Ok(())
    }

    fn write_system(&mut self, run: &[Message<'a>], out: &mut Vec<u8>) -> Result<(), Error> {
        let begin = out.len();
        member(out, "system");
        out.mark(b'[');
        let empty = out.len();
        for (index, message) in run.iter().enumerate() {
            self.warnings.drop_name(message);
            match message.content {
                Content::Absent | Content::Null => {}
                Content::Text(text) => {
                    if !text.is_blank() {
                        let mark = self.mark_on(message);
                        self.write_text(text.as_written(), mark, out);
                    }
                }
                Content::Parts(parts) => {
                    for part in parts_of(index, parts)? {
                        if let Some(text) = part.text.filter(|text| !text.is_blank()) {
                            let mark = self.mark_of(&part);
                            self.write_text(text.as_written(), mark, out);
                        }
                    }
                }
            }
        }
        if json_answer::way(self.chat, self.target, self.family) == JsonAnswer::Instruction {
            self.warnings.changed("response_format", "an instruction");
            separate(out);
            out.put(b"{\"text\":");
            write_instruction(self.chat, out);
            out.mark(b'}');
        }
        if out.len() == empty {
            out.truncate(begin);
        } else {
            out.mark(b']');
        }
        Ok(())
    }

    /// A run of messages that are not the assistant's.
    fn write_user(
        &mut self,
        at: usize,
        run: &[Message<'a>],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        for (index, message) in (at..).zip(run) {
            if message.role == Role::Tool {
                self.write_result(index, message, out)?;
            }
        }
        let mut held = Held::default();
        for (index, message) in (at..).zip(run) {
            if message.role != Role::Tool {
                self.write_said(index, message, &mut held, out)?;
            }
        }
        if held.documents && !held.texts {
            self.write_text(BESIDE_DOCUMENT, None, out);
        }
        Ok(())
    }

    fn write_said(
        &mut self,
        index: usize,
        message: &Message<'a>,
        held: &mut Held,
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
                if !text.is_blank() {
                    let mark = self.mark_on(message);
                    self.write_text(text.as_written(), mark, out);
                    held.texts = true;
                }
                Ok(())
            }
            Content::Parts(parts) => {
                for (place, part) in parts_of(index, parts)?.iter().enumerate() {
                    let before = out.len();
                    self.write_part(Place { message: index, part: place }, part, held, out)?;
                    let mark = self.mark_of(part).filter(|_| out.len() > before);
                    self.points.write(mark, out, &mut self.warnings);
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
        out.put(br#"{"toolResult":{"toolUseId":"#);
        let id = message.tool_call_id.map(RawStr::decode).unwrap_or_default();
        write_str(out, self.ids.fit(&id));
        out.put(b",\"content\":[");
        let empty = out.len();
        let mut mark = self.mark_on(message);
        match message.content {
            Content::Text(text) if !text.is_blank() => {
                self.write_text(text.as_written(), None, out);
            }
            Content::Absent | Content::Null | Content::Text(_) => {}
            Content::Parts(parts) => {
                for (place, part) in parts_of(index, parts)?.iter().enumerate() {
                    let place = Place { message: index, part: place };
                    self.write_part(place, part, &mut Held::default(), out)?;
                    // A mark has no place within a result, so it stands behind it.
                    mark = self.mark_of(part).or(mark);
                }
            }
        }
        if out.len() == empty {
            self.write_text(NO_RESULT, None, out);
        }
        out.put(b"]}}");
        self.points.write(mark, out, &mut self.warnings);
        Ok(())
    }

    /// A part of a user message or tool result, without its mark.
    fn write_part(
        &mut self,
        place: Place,
        part: &Part<'a>,
        held: &mut Held,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let media = match &*part.kind {
            "text" => {
                if let Some(text) = part.text.filter(|text| !text.is_blank()) {
                    self.write_text(text.as_written(), None, out);
                    held.texts = true;
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
                let field =
                    if file.file_data.is_some() { "file.file_data" } else { "file.file_id" };
                Media::from_file(file).map_err(|why| place.error(field, why))?
            }
            "input_audio" => {
                let Some(audio) = &part.input_audio else { return Ok(()) };
                Media::from_audio(audio).map_err(|why| place.error("input_audio.format", why))?
            }
            _ => {
                let param = place.param("type");
                let message = format!("'{param}': Bedrock takes no '{}' parts.", part.kind);
                let dropped = "messages[].content[]";
                return unsupported(param, dropped, message, self.target, &mut self.warnings);
            }
        };
        held.documents |= media.is_document();
        separate(out);
        let filename = part.file.as_ref().and_then(|file| file.filename);
        media.write(out, filename, &mut self.documents);
        Ok(())
    }
}
