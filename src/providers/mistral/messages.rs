//! Who speaks, in the order that the API demands.
//!
//! After results of tools only the assistant may speak, and after the assistant no instruction may
//! stand, nor at the end. So results come first in what is said between two turns of the assistant;
//! where more was said, a short turn of the assistant's stands between; and an instruction that may
//! not stand where it does is said by the user.

use crate::openai::json::{Append, RawStr, separate, write_str};
use crate::openai::message::{Content, File, Message, Part, Role};
use crate::openai::{Chat, Error};
use crate::providers::Target;
use crate::providers::conversation::{
    Place, is_instruction, old_form, parts_of, results_first, write_image, write_text,
};
use crate::providers::ids::{self, Form, Ids};
use crate::providers::media::{has_scheme, quote};
use crate::providers::warnings::{Warnings, unsupported};

/// Ids of calls: the API refuses all others.
pub(super) const IDS: Form = Form {
    fits: |id| id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
    prefix: "",
    letters: 9,
};

/// What the assistant says between results of tools and what is said next. Nothing is not allowed.
const BETWEEN: &[u8] = br#"{"role":"assistant","content":"OK."}"#;

/// Writes the messages of one request.
pub(super) struct Turns<'c, 'a> {
    chat: &'c Chat<'a>,
    pub(super) target: &'c Target<'c>,
    pub(super) ids: Ids,
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
        out.put(b",\"messages\":[");
        let messages = results_first(&self.chat.messages);
        let mut before = None;
        for (place, (index, message)) in messages.iter().copied().enumerate() {
            let last = place + 1 == messages.len();
            match message.role {
                Role::Function => return Err(old_form(format!("messages[{index}].role"))),
                Role::Assistant => {
                    if !self.write_assistant(index, message, last, out)? {
                        continue;
                    }
                }
                Role::Tool => self.write_result(index, message, out)?,
                Role::User | Role::System | Role::Developer => {
                    let user = last || matches!(before, Some(Role::Tool | Role::Assistant));
                    self.write_said(index, message, before, user, out)?;
                }
            }
            before = Some(message.role);
        }
        if before.is_none() {
            let message = "All messages are empty, which Mistral refuses.";
            return Err(Error::invalid("messages", message));
        }
        out.mark(b']');
        Ok(())
    }

    /// What the user says, or an instruction. `user` says that an instruction may not stand here.
    fn write_said(
        &mut self,
        index: usize,
        message: &Message<'a>,
        before: Option<Role>,
        user: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.warnings.drop_name(message);
        if before == Some(Role::Tool) {
            self.warnings.changed("messages", "one more turn of the assistant after tool results");
            separate(out);
            out.put(BETWEEN);
        }
        let mut role = "user";
        if is_instruction(message.role) {
            if user {
                self.warnings.changed("messages[].role", "user");
            } else {
                role = "system";
            }
        }
        separate(out);
        out.put(format!(r#"{{"role":"{role}","content":"#).as_bytes());
        self.write_content(index, message, out)?;
        out.mark(b'}');
        Ok(())
    }

    fn write_result(
        &mut self,
        index: usize,
        message: &Message<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        separate(out);
        out.put(br#"{"role":"tool","tool_call_id":"#);
        let id = message.tool_call_id.map(RawStr::decode).unwrap_or_default();
        write_str(out, self.ids.fit(&id));
        if let Some(name) = message.name.filter(|name| !name.is_empty()) {
            out.put(b",\"name\":");
            write_str(out, &ids::fit_name(&name.decode()));
        }
        out.put(b",\"content\":");
        self.write_content(index, message, out)?;
        out.mark(b'}');
        Ok(())
    }

    /// A string, or a list of chunks.
    fn write_content(
        &mut self,
        index: usize,
        message: &Message<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match message.content {
            Content::Absent | Content::Null => out.put(b"\"\""),
            Content::Text(text) => out.put(text.as_written().as_bytes()),
            Content::Parts(parts) => {
                let begin = out.len();
                out.mark(b'[');
                for (place, part) in parts_of(index, parts)?.iter().enumerate() {
                    self.write_part(Place { message: index, part: place }, part, out)?;
                }
                if out.len() == begin + 1 {
                    out.truncate(begin);
                    out.put(b"\"\"");
                } else {
                    out.mark(b']');
                }
            }
        }
        Ok(())
    }

    fn write_part(
        &mut self,
        place: Place,
        part: &Part<'a>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match &*part.kind {
            "text" => {
                if let Some(text) = part.text {
                    write_text(text, out);
                }
            }
            "image_url" => {
                let Some(image) = &part.image_url else { return Ok(()) };
                write_image(image, out, &mut self.warnings);
            }
            "input_audio" => {
                let Some(audio) = &part.input_audio else { return Ok(()) };
                separate(out);
                out.put(br#"{"type":"input_audio","input_audio":"#);
                out.put(audio.data.as_written().as_bytes());
                out.mark(b'}');
            }
            "file" => {
                let Some(file) = &part.file else { return Ok(()) };
                return write_file(place, file, out);
            }
            kind => {
                let param = place.param("type");
                let message = format!("'{param}': Mistral takes no '{kind}' parts.");
                let dropped = "messages[].content[]";
                return unsupported(param, dropped, message, self.target, &mut self.warnings);
            }
        }
        Ok(())
    }
}

fn write_file(place: Place, file: &File<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
    let Some(data) = file.file_data else {
        separate(out);
        out.put(br#"{"type":"file","file_id":"#);
        out.put(file.file_id.unwrap_or(RawStr::EMPTY).as_written().as_bytes());
        out.mark(b'}');
        return Ok(());
    };
    let url = data.decode();
    if has_scheme(&url, "data:image/") {
        separate(out);
        out.put(br#"{"type":"image_url","image_url":"#);
        quote(out, &url);
        out.mark(b'}');
        return Ok(());
    }
    let is_url = ["data:", "https://", "http://"].iter().any(|scheme| has_scheme(&url, scheme));
    let name = file.filename.map(RawStr::decode).unwrap_or_default().to_ascii_lowercase();
    // `%PDF-` in base64.
    if !is_url && !url.starts_with("JVBERi") && !name.ends_with(".pdf") {
        let why = "must be a URL, a data: URL, or a PDF in base64";
        return Err(place.error("file.file_data", why));
    }
    separate(out);
    out.put(br#"{"type":"document_url","document_url":"#);
    if is_url {
        quote(out, &url);
    } else {
        write_str(out, &format!("data:application/pdf;base64,{url}"));
    }
    if let Some(name) = file.filename.filter(|name| !name.is_blank()) {
        out.put(b",\"document_name\":");
        out.put(name.as_written().as_bytes());
    }
    out.mark(b'}');
    Ok(())
}
