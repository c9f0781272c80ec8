//! What other providers' clients put into messages and tools, taken out: OpenAI refuses members
//! that it does not know. A message that has none of it stays as it was written.

use std::borrow::Cow;
use std::fmt;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::edit;
use crate::openai::Chat;
use crate::openai::json::{RawStr, write_str};
use crate::openai::message::{Bounded, Content, Items, Key, MAX_MESSAGES, Message, Role};

/// Members of messages, parts, calls and tools that OpenAI does not know.
const FOREIGN: [&str; 6] = [
    "cache_control",
    "extra_content",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "thinking_blocks",
];

/// Parts of an assistant's content that hold its thoughts.
const THOUGHTS: [&str; 2] = ["thinking", "redacted_thinking"];

/// The messages without foreign members, or nothing when they have none. `dropped` gets each name
/// once.
pub(super) fn clean(
    chat: &Chat<'_>,
    body: &[u8],
    dropped: &mut Vec<&'static str>,
) -> Option<Vec<u8>> {
    let marks = Marks::new();
    let first = chat.messages.iter().position(|message| marks.suspect(message))?;
    let raw = edit::messages(chat, body)?;
    let list: Bounded<&RawValue, MAX_MESSAGES> = serde_json::from_slice(raw).ok()?;
    let out = Vec::with_capacity(raw.len());
    let mut cleaner = Cleaner { out, dropped, changed: false };
    cleaner.out.push(b'[');
    for (at, (raw, message)) in list.0.iter().zip(&chat.messages).enumerate() {
        cleaner.separate(b'[');
        if at >= first && marks.suspect(message) {
            cleaner.message(raw, message.role)?;
        } else {
            cleaner.out.extend_from_slice(raw.get().as_bytes());
        }
    }
    cleaner.out.push(b']');
    cleaner.changed.then_some(cleaner.out)
}

/// The tools without foreign members, or nothing when they have none.
pub(super) fn clean_tools(chat: &Chat<'_>, dropped: &mut Vec<&'static str>) -> Option<String> {
    if chat.tools.iter().all(|tool| tool.cache_control.is_none()) {
        return None;
    }
    let mut cleaner = Cleaner { out: Vec::new(), dropped, changed: false };
    cleaner.list(chat.field("tools")?)?;
    String::from_utf8(cleaner.out).ok()
}

/// What betrays a foreign member inside a value that is not read. Inside a string the quotes would
/// be escaped, so only a whole string can look like one, and that is found out when it is read.
struct Marks {
    cache_control: Finder<'static>,
    extra_content: Finder<'static>,
    thinking: Finder<'static>,
}

impl Marks {
    fn new() -> Self {
        Self {
            cache_control: Finder::new(b"\"cache_control\""),
            extra_content: Finder::new(b"\"extra_content\""),
            thinking: Finder::new(b"thinking\""),
        }
    }

    fn suspect(&self, message: &Message<'_>) -> bool {
        let has = |mark: &Finder<'_>, raw: &RawValue| mark.find(raw.get().as_bytes()).is_some();
        message.reasoning_content.is_some()
            || message.thinking_blocks.is_some()
            || message.rest.iter().any(|(name, _)| FOREIGN.contains(&&**name))
            || match message.content {
                Content::Parts(parts) => {
                    has(&self.cache_control, parts)
                        || (message.role == Role::Assistant && has(&self.thinking, parts))
                }
                Content::Absent | Content::Null | Content::Text(_) => false,
            }
            || message.tool_calls.is_some_and(|calls| {
                has(&self.extra_content, calls) || has(&self.cache_control, calls)
            })
    }
}

/// Writes JSON without foreign members, and remembers which there were.
struct Cleaner<'d> {
    out: Vec<u8>,
    dropped: &'d mut Vec<&'static str>,
    changed: bool,
}

impl Cleaner<'_> {
    fn message(&mut self, raw: &RawValue, role: Role) -> Option<()> {
        let message: Members<'_> = serde_json::from_str(raw.get()).ok()?;
        self.out.push(b'{');
        for (name, value) in self.kept(&message) {
            self.name(&name);
            let is_list = value.get().starts_with('[');
            match &*name {
                "content" if is_list => self.parts(value, role)?,
                "tool_calls" if is_list => self.list(value)?,
                _ => self.out.extend_from_slice(value.get().as_bytes()),
            }
        }
        self.out.push(b'}');
        Some(())
    }

    /// Parts; an assistant's thoughts are left out.
    fn parts(&mut self, raw: &RawValue, role: Role) -> Option<()> {
        let parts: Items<Members<'_>> = serde_json::from_str(raw.get()).ok()?;
        let is_thought = |part: &Members<'_>| {
            let kind = part.0.iter().find(|(name, _)| name == "type");
            let kind = kind.and_then(|(_, kind)| RawStr::from_raw(kind));
            role == Role::Assistant && kind.is_some_and(|kind| THOUGHTS.contains(&&*kind.decode()))
        };
        let start = self.out.len();
        self.out.push(b'[');
        let mut is_empty = true;
        for part in &parts.0 {
            if is_thought(part) {
                self.note("thinking");
                continue;
            }
            is_empty = false;
            self.separate(b'[');
            self.object(part);
        }
        self.out.push(b']');
        if is_empty {
            // OpenAI refuses an empty list, but not an empty text.
            self.out.truncate(start);
            self.out.extend_from_slice(b"\"\"");
        }
        Some(())
    }

    /// A list of objects.
    fn list(&mut self, raw: &RawValue) -> Option<()> {
        let list: Items<Members<'_>> = serde_json::from_str(raw.get()).ok()?;
        self.out.push(b'[');
        for object in &list.0 {
            self.separate(b'[');
            self.object(object);
        }
        self.out.push(b']');
        Some(())
    }

    fn object(&mut self, object: &Members<'_>) {
        self.out.push(b'{');
        for (name, value) in self.kept(object) {
            self.name(&name);
            self.out.extend_from_slice(value.get().as_bytes());
        }
        self.out.push(b'}');
    }

    fn kept<'a>(&mut self, object: &Members<'a>) -> Vec<(Cow<'a, str>, &'a RawValue)> {
        let mut kept = Vec::with_capacity(object.0.len());
        for (name, value) in &object.0 {
            match FOREIGN.iter().find(|foreign| **foreign == *name) {
                Some(foreign) => self.note(foreign),
                None => kept.push((name.clone(), *value)),
            }
        }
        kept
    }

    fn note(&mut self, name: &'static str) {
        self.changed = true;
        if !self.dropped.contains(&name) {
            self.dropped.push(name);
        }
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

/// The members of an object in order.
pub(super) struct Members<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Key(name)) = map.next_key()? {
                    members.push((name, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}
