//! Messages, their parts, and tools: borrowed from the body, and read no deeper than needed.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::blame::misfit;
use super::json::{RawStr, is_null, objects};

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

const ROLES: &[&str] = &["developer", "system", "user", "assistant", "tool", "function"];

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RoleVisitor;
        impl Visitor<'_> for RoleVisitor {
            type Value = Role;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a role")
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<Role, E> {
                Ok(match word {
                    "assistant" => Role::Assistant,
                    "developer" => Role::Developer,
                    "function" => Role::Function,
                    "system" => Role::System,
                    "tool" => Role::Tool,
                    "user" => Role::User,
                    other => return Err(E::unknown_variant(&shorten(other), ROLES)),
                })
            }
        }
        deserializer.deserialize_str(RoleVisitor)
    }
}

/// The start of a text that is quoted back to the client.
pub(crate) fn shorten(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(64) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
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

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
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

impl<'de: 'a, 'a> Deserialize<'de> for Message<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MessageVisitor;
        impl<'de> Visitor<'de> for MessageVisitor {
            type Value = Message<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message<'de>, A::Error> {
                let mut role = None;
                let mut message = Message {
                    role: Role::User,
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
                };
                while let Some(Key(key)) = map.next_key()? {
                    match &*key {
                        "role" if role.is_some() => {
                            return Err(A::Error::duplicate_field("role"));
                        }
                        "role" => role = Some(map.next_value()?),
                        "content" if !matches!(message.content, Content::Absent) => {
                            return Err(A::Error::duplicate_field("content"));
                        }
                        "content" => message.content = map.next_value()?,
                        "name" => message.name = map.next_value()?,
                        "tool_call_id" if message.tool_call_id.is_some() => {
                            return Err(A::Error::duplicate_field("tool_call_id"));
                        }
                        "tool_call_id" => message.tool_call_id = map.next_value()?,
                        "tool_calls" if message.tool_calls.is_some() => {
                            return Err(A::Error::duplicate_field("tool_calls"));
                        }
                        "tool_calls" => message.tool_calls = present(map.next_value()?),
                        "function_call" => message.function_call = present(map.next_value()?),
                        "refusal" => message.refusal = map.next_value()?,
                        "reasoning_content" | "reasoning" | "thinking_blocks" => {
                            let raw: &RawValue = map.next_value()?;
                            match present(raw) {
                                // Some providers refuse even the null, so it is not forgotten.
                                None if message.rest.len() < MAX_UNKNOWN_FIELDS => {
                                    message.rest.push((key, raw));
                                }
                                None => {}
                                Some(raw) if key == "thinking_blocks" => {
                                    message.thinking_blocks = Some(raw);
                                }
                                Some(raw) => {
                                    let text = RawStr::from_raw(raw)
                                        .ok_or_else(|| misfit(raw, "a string"))?;
                                    message.reasoning_content.get_or_insert(text);
                                }
                            }
                        }
                        "audio" => message.audio = present(map.next_value()?),
                        _ if message.rest.len() >= MAX_UNKNOWN_FIELDS => {
                            return Err(A::Error::custom(format_args!(
                                "more than {MAX_UNKNOWN_FIELDS} unknown fields"
                            )));
                        }
                        _ => message.rest.push((key, map.next_value()?)),
                    }
                }
                message.role = role.ok_or_else(|| A::Error::missing_field("role"))?;
                Ok(message)
            }
        }
        deserializer.deserialize_map(MessageVisitor)
    }
}

/// The list of messages, at most [`MAX_MESSAGES`].
#[derive(Debug, Default)]
pub(super) struct Messages<'a>(pub Vec<Message<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Messages<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MessagesVisitor;
        impl<'de> Visitor<'de> for MessagesVisitor {
            type Value = Messages<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Messages<'de>, A::Error> {
                let mut messages = Vec::new();
                let mut unknown = 0;
                while let Some(message) = seq.next_element::<Message<'de>>()? {
                    unknown += message.rest.len();
                    if messages.len() >= MAX_MESSAGES {
                        return Err(A::Error::custom(format_args!(
                            "more than {MAX_MESSAGES} entries in a list"
                        )));
                    }
                    if unknown > MAX_UNKNOWN_FIELDS_IN_ALL {
                        return Err(A::Error::custom(format_args!(
                            "more than {MAX_UNKNOWN_FIELDS_IN_ALL} unknown fields in all messages"
                        )));
                    }
                    messages.push(message);
                }
                Ok(Messages(messages))
            }
        }
        deserializer.deserialize_seq(MessagesVisitor)
    }
}

/// `null` counts as absent.
pub(crate) fn present(raw: &RawValue) -> Option<&RawValue> {
    (!is_null(raw)).then_some(raw)
}

/// The name of a field, borrowed where it was written without escapes.
pub(crate) struct Key<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }
            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// A list of at most `MAX` entries.
#[derive(Debug)]
pub struct Bounded<T, const MAX: usize>(pub Vec<T>);

impl<T, const MAX: usize> Default for Bounded<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T, const MAX: usize>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
            type Value = Bounded<T, MAX>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() >= MAX {
                        return Err(A::Error::custom(format_args!(
                            "more than {MAX} entries in a list"
                        )));
                    }
                    items.push(item);
                }
                Ok(Bounded(items))
            }
        }
        deserializer.deserialize_seq(ListVisitor(std::marker::PhantomData))
    }
}

/// A list of parts, tools or calls.
pub type Items<T> = Bounded<T, MAX_ITEMS>;

/// One part of a message's content. `kind` says which of the other fields counts.
#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
pub struct Part<'a> {
    /// `text`, `image_url`, `input_audio`, `file`, `refusal`, or a provider's own.
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    /// Of a `text` part.
    #[serde(borrow)]
    pub text: Option<RawStr<'a>>,
    /// Of an `image_url` part.
    #[serde(borrow)]
    pub image_url: Option<ImageUrl<'a>>,
    /// Of an `input_audio` part.
    #[serde(borrow)]
    pub input_audio: Option<InputAudio<'a>>,
    /// Of a `file` part.
    #[serde(borrow)]
    pub file: Option<File<'a>>,
    /// Of a `refusal` part.
    #[serde(borrow)]
    pub refusal: Option<RawStr<'a>>,
    /// A mark after which the provider may keep the prompt so far.
    #[serde(borrow)]
    pub prompt_cache_breakpoint: Option<&'a RawValue>,
    /// The same in Anthropic's words, which many clients send.
    #[serde(borrow)]
    pub cache_control: Option<&'a RawValue>,
}

/// The parts of a content whose validation has passed; none when it has not.
#[must_use]
pub fn parts(parts: &RawValue) -> Vec<Part<'_>> {
    serde_json::from_str(parts.get())
        .map(|Bounded(parts): Items<Part<'_>>| parts)
        .unwrap_or_default()
}

/// A picture by URL or inline as a `data:` URL.
#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
pub struct ImageUrl<'a> {
    /// `https://…` or `data:image/png;base64,…`.
    #[serde(borrow)]
    pub url: RawStr<'a>,
    /// `auto`, `low`, `high` or `original`.
    #[serde(borrow)]
    pub detail: Option<RawStr<'a>>,
}

/// Sound, inline.
#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
pub struct InputAudio<'a> {
    /// Base64.
    #[serde(borrow)]
    pub data: RawStr<'a>,
    /// `wav` or `mp3`.
    #[serde(borrow)]
    pub format: RawStr<'a>,
}

/// A document, inline or by the provider's id.
#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
pub struct File<'a> {
    /// A `data:` URL, or bare base64.
    #[serde(borrow)]
    pub file_data: Option<RawStr<'a>>,
    /// An id from the provider's own file store.
    #[serde(borrow)]
    pub file_id: Option<RawStr<'a>>,
    /// A name for people.
    #[serde(borrow)]
    pub filename: Option<RawStr<'a>>,
}

/// A call that an assistant made.
#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
pub struct ToolCall<'a> {
    /// The id that the result will name.
    #[serde(borrow)]
    pub id: RawStr<'a>,
    /// `function` when absent, or `custom`.
    #[serde(rename = "type", borrow)]
    pub kind: Option<Cow<'a, str>>,
    /// Of a `function` call.
    #[serde(borrow)]
    pub function: Option<FunctionCall<'a>>,
    /// Of a `custom` call.
    #[serde(borrow)]
    pub custom: Option<&'a RawValue>,
    /// What a provider wants back with the call.
    #[serde(borrow)]
    pub extra_content: Option<&'a RawValue>,
}

/// Name and arguments of a call.
#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
pub struct FunctionCall<'a> {
    /// Which function.
    #[serde(borrow)]
    pub name: RawStr<'a>,
    /// JSON as text, as the model wrote it; may be empty.
    #[serde(borrow)]
    pub arguments: Option<RawStr<'a>>,
}

/// A tool that the model may call.
#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
pub struct Tool<'a> {
    /// `function` or `custom`.
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    /// Of a `function` tool.
    #[serde(borrow)]
    pub function: Option<Function<'a>>,
    /// Of a `custom` tool.
    #[serde(borrow)]
    pub custom: Option<&'a RawValue>,
    /// See [`Part::cache_control`].
    #[serde(borrow)]
    pub cache_control: Option<&'a RawValue>,
}

/// A function's declaration.
#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
pub struct Function<'a> {
    /// `[A-Za-z0-9_-]`, at most 64.
    #[serde(borrow)]
    pub name: RawStr<'a>,
    /// For the model.
    #[serde(borrow)]
    pub description: Option<RawStr<'a>>,
    /// JSON Schema of its arguments; absent means none.
    #[serde(borrow)]
    pub parameters: Option<&'a RawValue>,
    /// Whether arguments must follow the schema.
    pub strict: Option<bool>,
}

objects!(File, Function, FunctionCall, ImageUrl, InputAudio, Part, Tool, ToolCall);
