//! Messages as a provider takes them: without members of other providers' clients, with ids that are
//! short enough, and with what else its quirks ask for. A message that is right already stays as it
//! was written.

use memchr::memmem::Finder;
use serde_json::value::RawValue;

use super::edit;
use super::quirks::{OPENAIS_MARK, Quirks};
use crate::openai::json::{RawStr, escape, is_null, write_str};
use crate::openai::message::{Bounded, Content, Items, MAX_MESSAGES, Message, Role};
use crate::openai::object::Members;
use crate::openai::place::{from_slice, from_str};
use crate::openai::{Chat, Error};
use crate::providers::Target;
use crate::providers::conversation::{Place, calls_of, no_custom_calls, old_form, parts_of};
use crate::providers::ids::Ids;
use crate::providers::warnings::{Warnings, unsupported};

/// Members of messages, parts, calls and tools that not every provider knows.
const FOREIGN: [&str; 7] = [
    "cache_control",
    "extra_content",
    OPENAIS_MARK,
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "thinking_blocks",
];

/// Parts of an assistant's content that hold its thoughts.
const THOUGHTS: [&str; 2] = ["thinking", "redacted_thinking"];

/// Stands where a provider wants thoughts back and there are none: another one wrote the turn, or a
/// client that keeps OpenAI's fields alone.
const NO_THOUGHT: &str = r#"" ""#;

/// The messages as the provider takes them, or nothing when that is how they stand already.
/// `thinks` tells that the assistant's turns must have their thoughts.
///
/// # Errors
/// A 400 that names a part which the provider cannot read.
pub(super) fn fitted(
    chat: &Chat<'_>,
    body: &[u8],
    target: &Target<'_>,
    quirks: &'static Quirks,
    thinks: bool,
    warnings: &mut Warnings,
) -> Result<Option<Vec<u8>>, Error> {
    refuse_foreign_turns(chat, target, quirks, warnings)?;
    let readable = is_readable(chat, target, quirks, warnings)?;
    let mut dropped = Vec::new();
    let marks = Marks::new(chat, quirks, thinks, !readable);
    let messages = rewritten(chat, body, &marks, &mut dropped);
    dropped.into_iter().for_each(|name| warnings.dropped(name));
    Ok(messages)
}

fn rewritten(
    chat: &Chat<'_>,
    body: &[u8],
    marks: &Marks,
    dropped: &mut Vec<&'static str>,
) -> Option<Vec<u8>> {
    let Marks { quirks, thinks, unreadable, .. } = *marks;
    let first = chat.messages.iter().position(|message| marks.suspect(message))?;
    let raw = edit::messages(chat, body)?;
    let list: Bounded<&RawValue, MAX_MESSAGES> = from_slice(raw).ok()?;
    let out = Vec::with_capacity(raw.len());
    let ids = marks.long_ids.then(|| Ids::new(quirks.ids));
    let mut cleaner = Cleaner { out, quirks, thinks, unreadable, ids, dropped, changed: false };
    cleaner.out.push(b'[');
    for (at, (raw, message)) in list.0.iter().zip(&chat.messages).enumerate() {
        cleaner.separate(b'[');
        if at >= first && marks.suspect(message) {
            cleaner.message(raw, message)?;
        } else {
            cleaner.out.extend_from_slice(raw.get().as_bytes());
        }
    }
    cleaner.out.push(b']');
    cleaner.changed.then_some(cleaner.out)
}

/// Refuses turns of a conversation that a provider which knows only functions has no form for: calls
/// of custom tools, references to sound, and calls in their older form.
fn refuse_foreign_turns(
    chat: &Chat<'_>,
    target: &Target<'_>,
    quirks: &Quirks,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let refuses = |name: &str| quirks.refuses.contains(&name);
    for (index, message) in chat.messages.iter().enumerate() {
        if refuses("functions") && message.role == Role::Function {
            return Err(old_form(format!("messages[{index}].role")));
        }
        if refuses("functions") && message.function_call.is_some() {
            return Err(old_form(format!("messages[{index}].function_call")));
        }
        if refuses("audio") && message.audio.is_some() {
            let param = format!("messages[{index}].audio");
            let why = format!("'{param}': {} keeps no sound of earlier answers.", quirks.name);
            unsupported(param, "messages[].audio", why, target, warnings)?;
        }
        let may_be_custom = |calls: &RawValue| calls.get().contains("custom");
        if !quirks.tools.custom && message.tool_calls.is_some_and(may_be_custom) {
            let calls = calls_of(index, message)?;
            if let Some(place) = calls.iter().position(|call| call.function.is_none()) {
                return Err(no_custom_calls(index, place, quirks.name));
            }
        }
    }
    Ok(())
}

/// Whether the provider can read every part. Where the policy is to drop what it cannot, that is
/// only told.
fn is_readable(
    chat: &Chat<'_>,
    target: &Target<'_>,
    quirks: &Quirks,
    warnings: &mut Warnings,
) -> Result<bool, Error> {
    let takes = &quirks.messages;
    let mut readable = true;
    if takes.refused_parts.is_empty() && takes.remote_pictures {
        return Ok(readable);
    }
    for (index, message) in chat.messages.iter().enumerate() {
        let Content::Parts(parts) = message.content else { continue };
        for (at, part) in parts_of(index, parts)?.iter().enumerate() {
            let place = Place { message: index, part: at };
            if let Some(kind) = takes.refused_parts.iter().find(|kind| **kind == part.kind) {
                let param = place.param("type");
                let why = format!("'{param}' is \"{kind}\", which {} cannot read.", quirks.name);
                unsupported(param, kind, why, target, warnings)?;
                readable = false;
            }
            let url = part.image_url.as_ref().map(|image| image.url.decode());
            if url.is_some_and(|url| !takes.remote_pictures && !url.starts_with("data:")) {
                let why = format!("must be a data: URL, since {} loads no pictures", quirks.name);
                return Err(place.error("image_url.url", &why));
            }
        }
    }
    Ok(readable)
}

/// The member's name if it is one of another provider that this one does not take.
pub(super) fn is_foreign(name: &str, quirks: &Quirks) -> Option<&'static str> {
    let foreign = FOREIGN.into_iter().find(|foreign| *foreign == name)?;
    (!quirks.messages.keeps.contains(&foreign)).then_some(foreign)
}

/// Remembers a name once.
pub(super) fn note(names: &mut Vec<&'static str>, name: &'static str) {
    if !names.contains(&name) {
        names.push(name);
    }
}

/// What betrays that a message must be read. Inside a string the quotes would be escaped, so only a
/// whole string can look like a member, and that is found out when it is read.
struct Marks {
    cache_control: Option<Finder<'static>>,
    openais_mark: Option<Finder<'static>>,
    /// Arguments that are an empty text.
    blank: Option<Finder<'static>>,
    extra_content: Finder<'static>,
    thinking: Finder<'static>,
    refusal: Option<Finder<'static>>,
    quirks: &'static Quirks,
    thinks: bool,
    /// Whether there are parts that the provider cannot read, which are to be left out.
    unreadable: bool,
    /// Whether an id is too long. Each call has a result, which has the same id.
    long_ids: bool,
}

impl Marks {
    fn new(chat: &Chat<'_>, quirks: &'static Quirks, thinks: bool, unreadable: bool) -> Self {
        let takes = &quirks.messages;
        let keeps_marks = takes.keeps.contains(&"cache_control");
        let ids = chat.messages.iter().filter_map(|message| message.tool_call_id);
        Self {
            cache_control: (!keeps_marks).then(|| Finder::new(b"\"cache_control\"")),
            openais_mark: (!takes.keeps.contains(&OPENAIS_MARK))
                .then(|| Finder::new(b"\"prompt_cache_breakpoint\"")),
            blank: (!takes.blank_arguments).then(|| Finder::new(b"\"\"")),
            extra_content: Finder::new(b"\"extra_content\""),
            thinking: Finder::new(b"thinking\""),
            refusal: (!takes.refusals).then(|| Finder::new(b"\"refusal\"")),
            quirks,
            thinks,
            unreadable,
            // As written it is no shorter than it is.
            long_ids: ids.map(RawStr::inner).any(|id| !(quirks.ids.fits)(id)),
        }
    }

    fn suspect(&self, message: &Message<'_>) -> bool {
        let has = |mark: &Finder<'_>, raw: &RawValue| mark.find(raw.get().as_bytes()).is_some();
        let finds = |mark: &Option<Finder<'_>>, raw: &RawValue| {
            mark.as_ref().is_some_and(|it| has(it, raw))
        };
        let marked =
            |raw: &RawValue| finds(&self.cache_control, raw) || finds(&self.openais_mark, raw);
        let takes = &self.quirks.messages;
        let is_assistant = message.role == Role::Assistant;
        message.reasoning_content.is_some()
            || message.thinking_blocks.is_some()
            || message.rest.iter().any(|(name, _)| is_foreign(name, self.quirks).is_some())
            || (self.long_ids && (message.tool_call_id.is_some() || message.tool_calls.is_some()))
            || (!takes.names && message.name.is_some() && message.role != Role::Function)
            || (message.audio.is_some() && self.quirks.refuses.contains(&"audio"))
            || (!takes.developer && message.role == Role::Developer)
            || (!takes.refusals && message.refusal.is_some())
            || (takes.members.is_some() && (is_assistant || !message.rest.is_empty()))
            || (self.thinks && is_assistant)
            || match message.content {
                Content::Parts(parts) => {
                    takes.joined
                        || self.unreadable
                        || marked(parts)
                        || (is_assistant && has(&self.thinking, parts))
                        || finds(&self.refusal, parts)
                }
                Content::Absent | Content::Null | Content::Text(_) => false,
            }
            || message.tool_calls.is_some_and(|calls| {
                has(&self.extra_content, calls) || marked(calls) || finds(&self.blank, calls)
            })
    }
}

/// Writes messages as a provider takes them, and remembers what was left out.
struct Cleaner<'d> {
    out: Vec<u8>,
    quirks: &'static Quirks,
    thinks: bool,
    unreadable: bool,
    ids: Option<Ids>,
    dropped: &'d mut Vec<&'static str>,
    changed: bool,
}

impl Cleaner<'_> {
    fn message(&mut self, raw: &RawValue, message: &Message<'_>) -> Option<()> {
        let takes = &self.quirks.messages;
        let members: Members<'_> = from_str(raw.get()).ok()?;
        let has_details = members.0.iter().any(|(name, value)| {
            name == "reasoning_details"
                && takes.keeps.contains(&"reasoning_details")
                && !is_null(value)
        });
        let mut thought = has_details;
        let calls = message.tool_calls.is_some();
        let silent = matches!(message.content, Content::Absent | Content::Null);
        let refusal = message.refusal.filter(|_| !takes.refusals && silent && !calls);
        let soundless = self.quirks.refuses.contains(&"audio");
        let mute = soundless && message.audio.is_some() && refusal.is_none() && silent && !calls;
        self.out.push(b'{');
        for (name, value) in &members.0 {
            let is_list = value.get().starts_with('[');
            match &**name {
                "reasoning" | "reasoning_content" => match takes.thoughts {
                    Some(_) if is_null(value) || thought => self.changed = true,
                    Some(own) => {
                        thought = true;
                        self.changed |= own != name;
                        self.raw(own, value.get());
                    }
                    None => self.leave_out(name),
                },
                _ if is_foreign(name, self.quirks).is_some() => self.leave_out(name),
                "role" if message.role == Role::Developer && !takes.developer => {
                    self.changed = true;
                    self.raw(name, r#""system""#);
                }
                // There it is the function that answers.
                "name" if !takes.names && message.role != Role::Function => self.leave_out(name),
                // That it is dropped was told already.
                "audio" if soundless && !is_null(value) => self.changed = true,
                "refusal" if !takes.refusals => self.changed = true,
                "content" if refusal.is_some() || mute => {}
                "content" if is_list => {
                    self.name(name);
                    self.parts(value, message.role)?;
                }
                "tool_calls" if is_list => {
                    self.name(name);
                    self.calls(value)?;
                }
                "tool_call_id" => {
                    self.name(name);
                    self.id(value);
                }
                name if takes.members.is_some_and(|members| {
                    !members.contains(&name) || (is_null(value) && name != "content")
                }) =>
                {
                    self.changed = true;
                    if !is_null(value) && value.get() != "[]" {
                        note(self.dropped, "unknown members of messages");
                    }
                }
                _ => self.raw(name, value.get()),
            }
        }
        if let Some(refusal) = refusal {
            self.raw("content", refusal.as_written());
        }
        let wanted = self.thinks && message.role == Role::Assistant;
        if mute {
            self.raw("content", r#""""#);
        }
        if let (Some(own), true, false) = (takes.thoughts, wanted, thought) {
            self.changed = true;
            self.raw(own, NO_THOUGHT);
        }
        self.out.push(b'}');
        Some(())
    }

    /// Parts; an assistant's thoughts are left out.
    fn parts(&mut self, raw: &RawValue, role: Role) -> Option<()> {
        let takes = &self.quirks.messages;
        let mut parts: Items<Members<'_>> = from_str(raw.get()).ok()?;
        let is_thought = |part: &Members<'_>| {
            role == Role::Assistant && THOUGHTS.contains(&&*part.text("type").unwrap_or_default())
        };
        let count = parts.0.len();
        parts.0.retain(|part| !is_thought(part));
        if parts.0.len() < count {
            self.note("thinking");
        }
        if self.unreadable {
            let count = parts.0.len();
            let refused = &takes.refused_parts;
            parts.0.retain(|part| !refused.contains(&&*part.text("type").unwrap_or_default()));
            self.changed |= parts.0.len() < count;
        }
        if let (true, Some(text)) = (takes.joined, self.joined(&parts.0)) {
            self.changed = true;
            for (name, _) in parts.0.iter().flat_map(|part| &part.0) {
                if is_foreign(name, self.quirks).is_some() {
                    self.leave_out(name);
                }
            }
            write_str(&mut self.out, &text);
            return Some(());
        }
        if parts.0.is_empty() {
            // OpenAI refuses an empty list, but not an empty text.
            self.out.extend_from_slice(b"\"\"");
            return Some(());
        }
        self.out.push(b'[');
        for part in &parts.0 {
            self.separate(b'[');
            match part.text("refusal").filter(|_| !takes.refusals) {
                Some(refusal) => {
                    self.changed = true;
                    let text = format!(r#"{{"type":"text","text":"{}"}}"#, escape(&refusal));
                    self.out.extend_from_slice(text.as_bytes());
                }
                None => self.object(part),
            }
        }
        self.out.push(b']');
        Some(())
    }

    /// The texts in one, a line each, unless there is something else among them.
    fn joined(&self, parts: &[Members<'_>]) -> Option<String> {
        let keeps_marks = self.quirks.messages.keeps.contains(&"cache_control");
        let mut texts = Vec::with_capacity(parts.len());
        for part in parts {
            let marked = part.0.iter().any(|(name, _)| name == "cache_control");
            texts.push(match &*part.text("type")? {
                "text" if !(marked && keeps_marks) => part.text("text")?,
                "refusal" => part.text("refusal")?,
                _ => return None,
            });
        }
        Some(texts.join("\n"))
    }

    /// The calls of a message.
    fn calls(&mut self, raw: &RawValue) -> Option<()> {
        let list: Items<Members<'_>> = from_str(raw.get()).ok()?;
        self.out.push(b'[');
        for object in &list.0 {
            self.separate(b'[');
            self.object(object);
        }
        self.out.push(b']');
        Some(())
    }

    /// A part or a call.
    fn object(&mut self, object: &Members<'_>) {
        self.out.push(b'{');
        for (name, value) in &object.0 {
            if is_foreign(name, self.quirks).is_some() {
                self.leave_out(name);
            } else if name == "id" {
                self.name(name);
                self.id(value);
            } else if name == "function" && !self.quirks.messages.blank_arguments {
                self.name(name);
                self.function(value);
            } else {
                self.raw(name, value.get());
            }
        }
        self.out.push(b'}');
    }

    /// The function of a call, whose arguments are never an empty text.
    fn function(&mut self, raw: &RawValue) {
        let blank = |value: &RawValue| RawStr::from_raw(value).is_some_and(RawStr::is_blank);
        let Ok(members) = from_str::<Members<'_>>(raw.get()) else {
            return self.out.extend_from_slice(raw.get().as_bytes());
        };
        if !members.find("arguments").is_some_and(blank) {
            return self.out.extend_from_slice(raw.get().as_bytes());
        }
        self.changed = true;
        self.out.push(b'{');
        for (name, value) in &members.0 {
            self.raw(name, if name == "arguments" { r#""{}""# } else { value.get() });
        }
        self.out.push(b'}');
    }

    /// The id of a call.
    fn id(&mut self, raw: &RawValue) {
        match (&mut self.ids, RawStr::from_raw(raw)) {
            (Some(ids), Some(id)) => {
                let id = id.decode();
                let fitted = ids.fit(&id);
                self.changed |= *fitted != *id;
                write_str(&mut self.out, fitted);
            }
            _ => self.out.extend_from_slice(raw.get().as_bytes()),
        }
    }

    fn leave_out(&mut self, name: &str) {
        let known = FOREIGN.into_iter().chain(["name"]).find(|known| *known == name);
        self.note(known.unwrap_or("unknown members of messages"));
    }

    fn note(&mut self, name: &'static str) {
        self.changed = true;
        note(self.dropped, name);
    }

    fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.out.extend_from_slice(json.as_bytes());
    }

    fn name(&mut self, name: &str) {
        self.separate(b'{');
        write_str(&mut self.out, name);
        self.out.push(b':');
    }

    /// A comma, except right behind `open`.
    fn separate(&mut self, open: u8) {
        if self.out.last() != Some(&open) {
            self.out.push(b',');
        }
    }
}
