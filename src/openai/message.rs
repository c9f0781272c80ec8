//! Messages, their parts, and tools: borrowed from the body, and read no deeper than needed.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::fault::{Fault, misfit};
use super::json::{RawStr, is_null};
use super::place::{Entries, List, Place, Slot, Word, from_str, members};

/// Most messages in a request. A message takes a few hundred bytes of memory however short it is,
/// so the size of the body alone is no bound.
pub const MAX_MESSAGES: usize = 65_536;

/// Most entries of a list inside a message or of the tools.
pub const MAX_ITEMS: usize = 8_192;

/// Most unknown fields of one object that are carried along.
pub const MAX_UNKNOWN_FIELDS: usize = 128;

/// Most unknown fields of all messages together. Each takes several times the memory that it takes
/// in the body.
pub const MAX_UNKNOWN_FIELDS_IN_ALL: usize = 65_536;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The model.
    Assistant,
    /// Instructions, by their newer name.
    Developer,
    /// The result of a call, by its older name.
    Function,
    /// Instructions.
    System,
    /// The result of a tool call.
    Tool,
    /// The person or program that asks.
    User,
}

impl Role {
    /// The word on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Assistant => "assistant",
            Self::Developer => "developer",
            Self::Function => "function",
            Self::System => "system",
            Self::Tool => "tool",
            Self::User => "user",
        }
    }
}

/// In the order in which the client is told them.
const ROLES: [Role; 6] =
    [Role::Developer, Role::System, Role::User, Role::Assistant, Role::Tool, Role::Function];

const ROLE_WORDS: [&str; 6] = {
    let [a, b, c, d, e, f] = ROLES;
    [a.word(), b.word(), c.word(), d.word(), e.word(), f.word()]
};

impl<'a> Place<'a> for Role {
    fn blank() -> Self {
        Self::User
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Word(self)
    }
}

impl Word for Role {
    fn words(&self) -> (&'static str, &'static [&'static str]) {
        ("a role", &ROLE_WORDS)
    }

    fn choose(&mut self, at: usize) {
        *self = ROLES.get(at).copied().unwrap_or(Self::User);
    }
}

/// What a message says.
#[derive(Clone, Copy, Debug, Default)]
pub enum Content<'a> {
    /// No such field.
    #[default]
    Absent,
    /// `null`.
    Null,
    /// One string.
    Text(RawStr<'a>),
    /// A list of parts, not yet read: see [`Part`].
    Parts(&'a RawValue),
}

impl<'a> Content<'a> {
    fn read(raw: &'a RawValue) -> Result<Self, Fault> {
        match raw.get().as_bytes().first() {
            Some(b'"') => RawStr::from_raw(raw).map(Content::Text),
            Some(b'[') => Some(Content::Parts(raw)),
            _ if is_null(raw) => Some(Content::Null),
            _ => None,
        }
        .ok_or_else(|| misfit(raw, "a string or a list of parts"))
    }
}

/// One message of a conversation.
#[derive(Debug)]
pub struct Message<'a> {
    /// Who speaks.
    pub role: Role,
    /// Whether that was said; it is of every message that was read.
    has_role: bool,
    /// What is said.
    pub content: Content<'a>,
    /// The speaker's or, for `function`, the function's name.
    pub name: Option<RawStr<'a>>,
    /// The call that a tool message answers.
    pub tool_call_id: Option<RawStr<'a>>,
    /// The calls an assistant made, not yet read: see [`ToolCall`].
    pub tool_calls: Option<&'a RawValue>,
    /// The older form of a single call.
    pub function_call: Option<&'a RawValue>,
    /// Why the assistant refused.
    pub refusal: Option<RawStr<'a>>,
    /// What the assistant thought, in the form most providers share.
    pub reasoning_content: Option<RawStr<'a>>,
    /// What it thought, with the signatures that some providers want back.
    pub thinking_blocks: Option<&'a RawValue>,
    /// A reference to audio the assistant gave.
    pub audio: Option<&'a RawValue>,
    /// Unknown fields, for providers of the same dialect.
    pub rest: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Place<'a> for Message<'a> {
    fn blank() -> Self {
        Self {
            role: Role::User,
            has_role: false,
            content: Content::Absent,
            name: None,
            tool_call_id: None,
            tool_calls: None,
            function_call: None,
            refusal: None,
            reasoning_content: None,
            thinking_blocks: None,
            audio: None,
            rest: Vec::new(),
        }
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Entries(self)
    }
}

impl<'a> Entries<'a> for Message<'a> {
    fn wanted(&self) -> &'static str {
        "a message object"
    }

    fn place(&mut self, name: &str) -> Result<Option<Slot<'_, 'a>>, Fault> {
        let message = self;
        let (twice, slot) = match name {
            "role" => (std::mem::replace(&mut message.has_role, true), message.role.slot()),
            "name" => (false, message.name.slot()),
            "refusal" => (false, message.refusal.slot()),
            "tool_call_id" => (message.tool_call_id.is_some(), message.tool_call_id.slot()),
            "tool_calls" => (message.tool_calls.is_some(), message.tool_calls.slot()),
            "function_call" => (false, message.function_call.slot()),
            "audio" => (false, message.audio.slot()),
            _ => return Ok(None),
        };
        if twice { Err(Fault::duplicate(name)) } else { Ok(Some(slot)) }
    }

    fn entry(&mut self, name: Cow<'a, str>, value: &'a RawValue) -> Result<(), Fault> {
        let message = self;
        match &*name {
            "content" if !matches!(message.content, Content::Absent) => {
                return Err(Fault::duplicate("content"));
            }
            "content" => message.content = Content::read(value)?,
            "reasoning_content" | "reasoning" | "thinking_blocks" => match present(value) {
                // Some providers refuse even the null, so it is not forgotten.
                None if message.rest.len() < MAX_UNKNOWN_FIELDS => {
                    message.rest.push((name, value));
                }
                None => {}
                Some(raw) if name == "thinking_blocks" => message.thinking_blocks = Some(raw),
                Some(raw) => {
                    let text = RawStr::from_raw(raw).ok_or_else(|| misfit(raw, "a string"))?;
                    message.reasoning_content.get_or_insert(text);
                }
            },
            _ if message.rest.len() >= MAX_UNKNOWN_FIELDS => {
                return Err(Fault::new(format!("more than {MAX_UNKNOWN_FIELDS} unknown fields")));
            }
            _ => message.rest.push((name, value)),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        if self.has_role { Ok(()) } else { Err(Fault::new("missing field `role`".to_owned())) }
    }
}

/// The list of messages, at most [`MAX_MESSAGES`].
#[derive(Debug)]
pub(super) struct Messages<'a> {
    pub entries: Vec<Message<'a>>,
    /// Unknown fields of all of them.
    unknown: usize,
}

impl<'a> Place<'a> for Messages<'a> {
    fn blank() -> Self {
        Self { entries: Vec::new(), unknown: 0 }
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::List(self)
    }
}

impl<'a> List<'a> for Messages<'a> {
    fn next(&mut self) -> Option<Slot<'_, 'a>> {
        self.entries.next()
    }

    fn check(&mut self) -> Result<(), Fault> {
        self.unknown += self.entries.last().map_or(0, |message| message.rest.len());
        if self.entries.len() > MAX_MESSAGES {
            return Err(too_many(MAX_MESSAGES));
        }
        if self.unknown > MAX_UNKNOWN_FIELDS_IN_ALL {
            return Err(Fault::new(format!(
                "more than {MAX_UNKNOWN_FIELDS_IN_ALL} unknown fields in all messages"
            )));
        }
        Ok(())
    }
}

/// `null` counts as absent.
pub(crate) fn present(raw: &RawValue) -> Option<&RawValue> {
    (!is_null(raw)).then_some(raw)
}

/// A list of at most `MAX` entries.
#[derive(Debug)]
pub struct Bounded<T, const MAX: usize>(pub Vec<T>);

impl<T, const MAX: usize> Default for Bounded<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, T: Place<'a>, const MAX: usize> Place<'a> for Bounded<T, MAX> {
    fn blank() -> Self {
        Self::default()
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::List(self)
    }
}

impl<'a, T: Place<'a>, const MAX: usize> List<'a> for Bounded<T, MAX> {
    fn next(&mut self) -> Option<Slot<'_, 'a>> {
        self.0.next()
    }

    fn check(&mut self) -> Result<(), Fault> {
        if self.0.len() > MAX { Err(too_many(MAX)) } else { Ok(()) }
    }
}

#[cold]
fn too_many(most: usize) -> Fault {
    Fault::new(format!("more than {most} entries in a list"))
}

/// A list of parts, tools or calls.
pub type Items<T> = Bounded<T, MAX_ITEMS>;

/// One part of a message's content. `kind` says which of the other fields counts.
#[derive(Debug)]
pub struct Part<'a> {
    /// `text`, `image_url`, `input_audio`, `file`, `refusal`, or a provider's own.
    pub kind: Cow<'a, str>,
    /// Of a `text` part.
    pub text: Option<RawStr<'a>>,
    /// Of an `image_url` part.
    pub image_url: Option<ImageUrl<'a>>,
    /// Of an `input_audio` part.
    pub input_audio: Option<InputAudio<'a>>,
    /// Of a `file` part.
    pub file: Option<File<'a>>,
    /// Of a `refusal` part.
    pub refusal: Option<RawStr<'a>>,
    /// A mark after which the provider may keep the prompt so far.
    pub prompt_cache_breakpoint: Option<&'a RawValue>,
    /// The same in Anthropic's words, which many clients send.
    pub cache_control: Option<&'a RawValue>,
}

members!(Part<'a> {
    kind "type" (required),
    text,
    image_url,
    input_audio,
    file,
    refusal,
    prompt_cache_breakpoint,
    cache_control,
});

/// The parts of a content whose validation has passed; none when it has not.
#[must_use]
pub fn parts(parts: &RawValue) -> Vec<Part<'_>> {
    from_str(parts.get()).map(|Bounded(parts): Items<Part<'_>>| parts).unwrap_or_default()
}

/// A picture by URL or inline as a `data:` URL.
#[derive(Debug)]
pub struct ImageUrl<'a> {
    /// `https://…` or `data:image/png;base64,…`.
    pub url: RawStr<'a>,
    /// `auto`, `low`, `high` or `original`.
    pub detail: Option<RawStr<'a>>,
}

members!(ImageUrl<'a> { url (required), detail });

/// Sound, inline.
#[derive(Debug)]
pub struct InputAudio<'a> {
    /// Base64.
    pub data: RawStr<'a>,
    /// `wav` or `mp3`.
    pub format: RawStr<'a>,
}

members!(InputAudio<'a> { data (required), format (required) });

/// A document, inline or by the provider's id.
#[derive(Debug)]
pub struct File<'a> {
    /// A `data:` URL, or bare base64.
    pub file_data: Option<RawStr<'a>>,
    /// An id from the provider's own file store.
    pub file_id: Option<RawStr<'a>>,
    /// A name for people.
    pub filename: Option<RawStr<'a>>,
}

members!(File<'a> { file_data, file_id, filename });

/// A call that an assistant made.
#[derive(Debug)]
pub struct ToolCall<'a> {
    /// The id that the result will name.
    pub id: RawStr<'a>,
    /// `function` when absent, or `custom`.
    pub kind: Option<Cow<'a, str>>,
    /// Of a `function` call.
    pub function: Option<FunctionCall<'a>>,
    /// Of a `custom` call.
    pub custom: Option<&'a RawValue>,
    /// What a provider wants back with the call.
    pub extra_content: Option<&'a RawValue>,
}

members!(ToolCall<'a> { id (required), kind "type", function, custom, extra_content });

/// Name and arguments of a call.
#[derive(Debug)]
pub struct FunctionCall<'a> {
    /// Which function.
    pub name: RawStr<'a>,
    /// JSON as text, as the model wrote it; may be empty.
    pub arguments: Option<RawStr<'a>>,
}

members!(FunctionCall<'a> { name (required), arguments });

/// A tool that the model may call.
#[derive(Debug)]
pub struct Tool<'a> {
    /// `function` or `custom`.
    pub kind: Cow<'a, str>,
    /// Of a `function` tool.
    pub function: Option<Function<'a>>,
    /// Of a `custom` tool.
    pub custom: Option<&'a RawValue>,
    /// See [`Part::cache_control`].
    pub cache_control: Option<&'a RawValue>,
}

members!(Tool<'a> { kind "type" (required), function, custom, cache_control });

/// A function's declaration.
#[derive(Debug)]
pub struct Function<'a> {
    /// `[A-Za-z0-9_-]`, at most 64.
    pub name: RawStr<'a>,
    /// For the model.
    pub description: Option<RawStr<'a>>,
    /// JSON Schema of its arguments; absent means none.
    pub parameters: Option<&'a RawValue>,
    /// Whether arguments must follow the schema.
    pub strict: Option<bool>,
}

members!(Function<'a> { name (required), description, parameters, strict });
