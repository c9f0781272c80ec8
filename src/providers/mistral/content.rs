//! What answers consist of, as it arrives: borrowed, and read no stricter than needed.

use serde_json::value::RawValue;

use super::messages::IDS;
use crate::openai::Error;
use crate::openai::chunk::FinishReason;
use crate::openai::json::{RawStr, escape, is_object, string, write_compact};
use crate::openai::place::{from_str, members};
use crate::openai::usage::{Usage, WireUsage};
use crate::openai::validate::MAX_N;
use crate::openai::{Class, message::Bounded};
use crate::providers::citations::{Annotations, characters};
use crate::providers::ids::Ids;
use crate::providers::thoughts::{MISTRAL, Thoughts};

/// Most choices of an answer: as many as can be asked for.
pub(super) const MAX_CHOICES: usize = MAX_N as usize;

/// Most chunks of one message, and most calls.
pub(super) const MAX_CHUNKS: usize = 8192;

/// Most bytes of thinking kept for `thinking_blocks`. Beyond it the client gets the thinking as
/// text alone: a part of the blocks would be refused when it is sent back.
pub(super) const MAX_THINKING_BYTES: usize = 2 << 20;

/// A message, or what a stream adds to one.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) content: Option<&'a RawValue>,
    pub(super) tool_calls: Option<Bounded<ToolCall<'a>, MAX_CHUNKS>>,
}

members!(Message<'a> { content, tool_calls });

/// A tool call, of which all but the name may be missing.
#[derive(Debug)]
pub(super) struct ToolCall<'a> {
    id: Option<&'a RawValue>,
    index: Option<&'a RawValue>,
    function: Option<Function<'a>>,
}

members!(ToolCall<'a> { id, index, function });

#[derive(Debug)]
struct Function<'a> {
    name: Option<&'a RawValue>,
    arguments: Option<&'a RawValue>,
}

members!(Function<'a> { name, arguments });

impl<'a> ToolCall<'a> {
    /// The id; the word `null` is what the provider writes where it has none.
    pub(super) fn id(&self) -> Option<RawStr<'a>> {
        string(self.id).filter(|id| !matches!(id.inner(), "" | "null"))
    }

    /// The place that the provider gave it.
    pub(super) fn index(&self) -> Option<u64> {
        self.index.and_then(|raw| raw.get().parse().ok())
    }

    /// The function's name.
    pub(super) fn name(&self) -> Option<RawStr<'a>> {
        string(self.function.as_ref()?.name).filter(|name| !name.is_empty())
    }

    /// The arguments, or a piece of them, as they stand between quotes: a string as it is, an object
    /// as its compact text; empty where there are none.
    pub(super) fn arguments(&self) -> String {
        let raw = self.function.as_ref().and_then(|function| function.arguments);
        match (string(raw), raw) {
            (Some(text), _) => text.inner().to_owned(),
            (None, Some(object)) if is_object(object) => {
                let mut json = Vec::new();
                write_compact(&mut json, object.get());
                escape(&String::from_utf8_lossy(&json))
            }
            _ => String::new(),
        }
    }
}

/// The id of a call that has none: the same for the same answer, choice and place, in the form that
/// the provider takes back.
pub(super) fn made_id(answer: &str, choice: u32, number: u32) -> String {
    Ids::new(&IDS).fit(&format!("{answer}:{choice}:{number}")).to_owned()
}

/// What a client gets of content.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece<'a> {
    /// What is said.
    Text(RawStr<'a>),
    /// What is thought.
    Thought(RawStr<'a>),
    /// The signature of what was thought.
    Signature(RawStr<'a>),
    /// A source on the web.
    Source {
        /// May be empty.
        title: RawStr<'a>,
        /// Where it is.
        url: RawStr<'a>,
    },
}

/// A chunk of content. Types that are not known hold what they like.
struct Chunk<'a> {
    kind: Option<&'a RawValue>,
    text: Option<&'a RawValue>,
    thinking: Option<&'a RawValue>,
    signature: Option<&'a RawValue>,
    title: Option<&'a RawValue>,
    url: Option<&'a RawValue>,
}

members!(Chunk<'a> { kind "type", text, thinking, signature, title, url });

impl<'a> Chunk<'a> {
    fn list(raw: &'a RawValue) -> Vec<Self> {
        let list: Result<Bounded<Option<Self>, MAX_CHUNKS>, _> = from_str(raw.get());
        list.map(|list| list.0.into_iter().flatten().collect()).unwrap_or_default()
    }

    fn source(&self) -> Option<Piece<'a>> {
        let url = string(self.url).filter(|url| !url.is_empty())?;
        Some(Piece::Source { title: string(self.title).unwrap_or(RawStr::EMPTY), url })
    }
}

/// What is in `content`, a string or a list of chunks.
pub(super) fn pieces(content: Option<&RawValue>) -> Vec<Piece<'_>> {
    let Some(raw) = content else { return Vec::new() };
    if let Some(text) = RawStr::from_raw(raw) {
        return if text.is_empty() { Vec::new() } else { vec![Piece::Text(text)] };
    }
    let mut pieces = Vec::new();
    for chunk in Chunk::list(raw) {
        let kind = string(chunk.kind).map_or("text", |kind| kind.inner());
        match kind {
            "text" => pieces.extend(string(chunk.text).map(Piece::Text)),
            "thinking" => {
                if let Some(text) = string(chunk.thinking) {
                    pieces.push(Piece::Thought(text));
                } else if let Some(list) = chunk.thinking {
                    let texts = Chunk::list(list).into_iter();
                    pieces.extend(texts.filter_map(|it| string(it.text)).map(Piece::Thought));
                }
                pieces.extend(string(chunk.signature).map(Piece::Signature));
            }
            "tool_reference" | "reference" => pieces.extend(chunk.source()),
            // Pictures and documents, which no chat answers with, and what is yet to come.
            _ => {}
        }
    }
    pieces.retain(|piece| match piece {
        Piece::Text(text) | Piece::Thought(text) | Piece::Signature(text) => !text.is_empty(),
        Piece::Source { .. } => true,
    });
    pieces
}

/// What is told once, when the answer is complete.
#[derive(Debug)]
pub(super) struct Notes {
    /// Nothing once there was too much.
    thoughts: Option<Thoughts>,
    /// The open thought and its signature, as they stand between quotes.
    thought: (String, String),
    annotations: Annotations,
    /// Characters of content so far.
    position: usize,
}

impl Notes {
    pub(super) fn new() -> Self {
        Self {
            thoughts: Some(Thoughts::default()),
            thought: (String::new(), String::new()),
            annotations: Annotations::default(),
            position: 0,
        }
    }

    /// Notes a piece.
    pub(super) fn take(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Text(text) => {
                self.close();
                self.position = self.position.saturating_add(characters(text.inner()));
            }
            Piece::Thought(text) => {
                // A signature ends what it signs.
                if !self.thought.1.is_empty() {
                    self.close();
                }
                if self.has_room(text) {
                    self.thought.0.push_str(text.inner());
                }
            }
            Piece::Signature(text) => {
                if self.has_room(text) {
                    self.thought.1.push_str(text.inner());
                }
            }
            Piece::Source { title, url } => {
                self.annotations.add(self.position, self.position, title, url);
            }
        }
    }

    fn close(&mut self) {
        let (text, signature) = std::mem::take(&mut self.thought);
        if let (Some(thoughts), false) = (&mut self.thoughts, signature.is_empty()) {
            thoughts.add(&text, &format!("{MISTRAL}{signature}"));
        }
    }

    /// Whether so many bytes more can be kept. Gives all up when they cannot.
    fn has_room(&mut self, text: RawStr<'_>) -> bool {
        let kept = self.thoughts.as_ref().map(Thoughts::len);
        let open = self.thought.0.len() + self.thought.1.len() + text.inner().len();
        let fits = kept.is_some_and(|kept| kept + open <= MAX_THINKING_BYTES);
        if !fits {
            self.thoughts = None;
            self.thought = (String::new(), String::new());
        }
        fits
    }

    /// The list of thinking blocks, if the provider wants any back.
    pub(super) fn thinking_blocks(&mut self) -> Option<String> {
        self.close();
        self.thoughts.take().and_then(Thoughts::list)
    }

    /// The list of sources, if there are any.
    pub(super) fn annotations(&mut self) -> Option<String> {
        self.annotations.list()
    }
}

/// Why a choice ended. `calls` says whether it made calls.
///
/// # Errors
/// The provider failed in the middle.
pub(super) fn finish_reason(reason: &str, calls: bool) -> Result<FinishReason, Error> {
    Ok(match reason {
        "error" => {
            let message = "the provider failed in the middle of its answer";
            return Err(Error::new(Class::Server, message));
        }
        "length" | "model_length" => FinishReason::Length,
        "content_filter" => FinishReason::ContentFilter,
        _ if calls => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    })
}

/// The provider's probabilities of tokens in OpenAI's form, which has no numbers of tokens.
pub(super) fn logprobs(raw: Option<&RawValue>) -> Option<String> {
    struct Logprobs<'a> {
        content: Option<Bounded<Token<'a>, MAX_TOKENS>>,
    }
    members!(Logprobs<'a> { content });
    struct Token<'a> {
        token: RawStr<'a>,
        logprob: &'a RawValue,
        bytes: Option<&'a RawValue>,
        top_logprobs: Option<Vec<Self>>,
    }
    members!(Token<'a> { token (required), logprob (required), bytes, top_logprobs });
    fn write(token: &Token<'_>, top: bool, out: &mut String) {
        let bytes = token.bytes.map_or("null", RawValue::get);
        let (text, logprob) = (token.token.as_written(), token.logprob.get());
        out.push_str(&format!(r#"{{"token":{text},"logprob":{logprob},"bytes":{bytes}"#));
        if top {
            out.push_str(",\"top_logprobs\":[");
            for (at, token) in token.top_logprobs.iter().flatten().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                write(token, false, out);
            }
            out.push(']');
        }
        out.push('}');
    }
    let raw = raw.filter(|raw| is_object(raw))?;
    let tokens = from_str::<Logprobs<'_>>(raw.get()).ok()?.content?.0;
    if tokens.is_empty() {
        return None;
    }
    let mut out = String::from("{\"content\":[");
    for (at, token) in tokens.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { "," });
        write(token, true, &mut out);
    }
    out.push_str("],\"refusal\":null}");
    Some(out)
}

/// Most tokens whose probabilities are passed on. An answer with more of them comes without.
pub(super) const MAX_TOKENS: usize = 1 << 20;

/// The counts. Cached tokens have been seen under three names.
pub(super) fn usage(raw: Option<&RawValue>) -> Option<Usage> {
    #[derive(Default)]
    struct Cached {
        num_cached_tokens: u64,
        prompt_token_details: Option<Details>,
    }
    members!(Cached { num_cached_tokens (count), prompt_token_details });
    #[derive(Default)]
    struct Details {
        cached_tokens: u64,
    }
    members!(Details { cached_tokens (count) });
    let raw = raw.filter(|raw| is_object(raw))?;
    let mut usage: Usage = from_str::<WireUsage>(raw.get()).ok()?.into();
    let cached: Cached = from_str(raw.get()).unwrap_or_default();
    let details = cached.prompt_token_details.unwrap_or_default();
    if usage.cache_read == 0 {
        let read = cached.num_cached_tokens.max(details.cached_tokens).min(usage.uncached_input);
        usage.cache_read = read;
        usage.uncached_input -= read;
    }
    Some(usage)
}
