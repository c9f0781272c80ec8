//! A streamed answer.
//!
//! ```text
//!           message_start          content_block_start
//!  Waiting ───────────────► Between ◄────────────────► In(block)
//!   │  role chunk            │  content_block_stop      │ content_block_delta: a delta
//!   │                        │                          │
//!   │                        └──── message_stop ────────┘
//!   │                                   │ thinking blocks, finish, usage, [DONE]
//!   ▼ anything else but ping            ▼
//!  an error                           Ended
//! ```
//!
//! `message_delta` changes no state: it brings the stop reason and newer counts. `error` ends the
//! stream in each state, `ping` and events of unknown types change nothing in any. Blocks come one
//! after another; a delta for a block that is not the open one is ignored.
//!
//! Thinking goes to the client twice: as `reasoning_content`, piece by piece, and once before the
//! finish chunk, in one delta, as `thinking_blocks`: the same list that a whole answer has. A client
//! that puts it into its next request keeps the thread of thought. Citations come as `annotations`,
//! in one delta too, since their end is known late.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Call;
use super::answer::{id, model};
use super::block::{
    Block, Citations, Thoughts, escape, explanation, finish_reason, no_answer, string, update,
};
use super::tools::{self, JSON_TOOL, JsonAnswer};
use crate::openai::chunk::ChunkWriter;
use crate::openai::json::{RawStr, is_object};
use crate::openai::{Error, Usage};
use crate::providers::stream::{Events, Sse, cut_short};
use crate::providers::{Progress, Translator, failure};
use crate::wire::sse::Event;

/// Most bytes of thinking kept for `thinking_blocks`. Beyond it the client gets the thinking as
/// text alone: a part of the blocks would be refused when it is sent back.
pub(super) const MAX_THINKING_BYTES: usize = 2 << 20;

/// Most bytes of text kept back while a JSON answer by tool may still come. Beyond it the text is
/// the answer.
pub(super) const MAX_TEXT_BYTES: usize = 256 << 10;

/// The one answer of a stream.
const CHOICE: u32 = 0;

/// The translator of one stream.
pub(super) fn translator(call: &Call<'_>) -> Box<dyn Translator> {
    let json = tools::json_answer(call.chat, call.target.facts) == JsonAnswer::Tool;
    Box::new(Sse::new(Answer {
        state: State::Waiting(Head {
            id: call.id.to_owned(),
            created: call.created,
            model: call.target.model.to_owned(),
            include_usage: call.chat.include_usage,
        }),
        progress: Progress::Preamble,
        usage: None,
        told: Told {
            text: if json { Text::Kept(String::new()) } else { Text::Passed },
            calls: 0,
            stop_reason: String::new(),
            refusal: None,
            thoughts: Some(Thoughts::default()),
            citations: Citations::default(),
        },
    }))
}

/// A stream in translation.
#[derive(Debug)]
struct Answer {
    state: State,
    progress: Progress,
    usage: Option<Usage>,
    told: Told,
}

/// See the picture above.
#[derive(Debug)]
enum State {
    Waiting(Head),
    Between(ChunkWriter),
    In(ChunkWriter, Open),
    Ended,
}

/// What stands in every chunk, unless the provider names it.
#[derive(Debug)]
struct Head {
    id: String,
    created: u64,
    model: String,
    include_usage: bool,
}

/// The open block.
#[derive(Debug)]
struct Open {
    index: Option<u64>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text,
    /// Both as they stand between quotes.
    Thinking { text: String, signature: String },
    /// A call: its number among the client's, and what stood in its start until a piece of
    /// arguments came.
    Call { number: u32, whole: Option<String> },
    /// The call of [`JSON_TOOL`].
    Json { whole: Option<String> },
    /// Of no concern to the client.
    Other,
}

/// What was told so far, as far as the end depends on it.
#[derive(Debug)]
struct Told {
    text: Text,
    /// How many calls the client got.
    calls: u32,
    stop_reason: String,
    /// As it stands between quotes.
    refusal: Option<String>,
    /// Nothing once there was too much.
    thoughts: Option<Thoughts>,
    citations: Citations,
}

/// What becomes of text.
#[derive(Debug)]
enum Text {
    /// It goes to the client.
    Passed,
    /// It is the answer only if no JSON answer comes.
    Kept(String),
    /// The JSON answer has come.
    Dropped,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireMessage<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireDelta<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    partial_json: Option<&'a RawValue>,
    #[serde(borrow)]
    citation: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireStop<'a> {
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_details: Option<&'a RawValue>,
}

impl Open {
    /// Whether an event with this index is about the block. One without an index can be about no
    /// other.
    fn is(&self, index: Option<&RawValue>) -> bool {
        index.is_none() || number(index) == self.index
    }
}

impl Events for Answer {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        if event.data.is_empty() || matches!(self.state, State::Ended) {
            return Ok(());
        }
        let wire: Wire<'_> = serde_json::from_slice(event.data).map_err(|_| malformed("event"))?;
        match &*wire.kind {
            "content_block_delta" => self.delta(&wire, out),
            "content_block_start" => self.block(&wire, out),
            "content_block_stop" => {
                if matches!(&self.state, State::In(_, open) if open.is(wire.index)) {
                    self.close(out);
                }
                Ok(())
            }
            "message_start" => self.start(&wire, out),
            "message_delta" => self.stopping(&wire),
            "message_stop" => self.end(out),
            "error" => Err(failure::in_stream(event.data)),
            // `ping`, and what is yet to come: the API promises new types.
            _ => Ok(()),
        }
    }

    fn finish(&mut self, _: &mut Vec<u8>) -> Result<(), Error> {
        if matches!(self.state, State::Ended) { Ok(()) } else { Err(cut_short()) }
    }

    fn progress(&self) -> Progress {
        self.progress
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }
}

impl Answer {
    fn start(&mut self, wire: &Wire<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        // A second start would give the chunks another id.
        let State::Waiting(head) = &self.state else { return Ok(()) };
        let message: WireMessage<'_> = read(wire.message, "message_start")?;
        update(&mut self.usage, message.usage);
        let id = id(message.id, &head.id);
        let model = model(message.model, &head.model);
        let writer = ChunkWriter::new(&id, head.created, &model, head.include_usage);
        writer.role(out, CHOICE);
        self.state = State::Between(writer);
        Ok(())
    }

    fn block(&mut self, wire: &Wire<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        // A block whose end was not told ends here.
        self.close(out);
        let writer = self.writer()?;
        let block: Block<'_> = read(wire.content_block, "content_block_start")?;
        let told = &mut self.told;
        let mut content = false;
        let kind = match &*block.kind {
            "text" => {
                told.citations.begin();
                content = told.text(string(block.text), &writer, out);
                told.citations.cite_all(block.citations);
                Kind::Text
            }
            "thinking" => {
                let mut kind = Kind::Thinking { text: String::new(), signature: String::new() };
                content = told.thinking(&mut kind, string(block.thinking), &writer, out);
                told.signature(&mut kind, string(block.signature));
                kind
            }
            "redacted_thinking" => {
                told.redacted(string(block.data));
                Kind::Other
            }
            "tool_use" => {
                let (id, name) = block.call()?;
                let whole = Some(block.arguments());
                if name == JSON_TOOL && !matches!(told.text, Text::Passed) {
                    if matches!(told.text, Text::Dropped) {
                        // One answer is enough.
                        Kind::Other
                    } else {
                        told.text = Text::Dropped;
                        Kind::Json { whole }
                    }
                } else {
                    let number = told.calls;
                    told.calls = told.calls.checked_add(1).ok_or_else(|| no_answer("it never ends"))?;
                    writer.tool_start(out, CHOICE, number, &id, &name);
                    content = true;
                    Kind::Call { number, whole }
                }
            }
            // What the provider's own tools did, and what is yet to come.
            _ => Kind::Other,
        };
        self.state = State::In(writer, Open { index: number(wire.index), kind });
        self.has_content(content);
        Ok(())
    }

    fn delta(&mut self, wire: &Wire<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let (writer, open) = match &mut self.state {
            State::In(writer, open) => (writer, open),
            State::Waiting(_) => return Err(headless()),
            State::Between(_) | State::Ended => return Ok(()),
        };
        if !open.is(wire.index) {
            return Ok(());
        }
        let delta: WireDelta<'_> = read(wire.delta, "content_block_delta")?;
        let content = match (&*delta.kind, &mut open.kind) {
            ("text_delta", Kind::Text) => self.told.text(string(delta.text), writer, out),
            ("thinking_delta", kind @ Kind::Thinking { .. }) => {
                self.told.thinking(kind, string(delta.thinking), writer, out)
            }
            ("signature_delta", kind @ Kind::Thinking { .. }) => {
                self.told.signature(kind, string(delta.signature));
                false
            }
            ("input_json_delta", Kind::Call { number, whole }) => {
                if let Some(json) = piece(delta.partial_json) {
                    *whole = None;
                    writer.tool_arguments(out, CHOICE, *number, json);
                }
                false
            }
            ("input_json_delta", Kind::Json { whole }) => match piece(delta.partial_json) {
                Some(json) => {
                    *whole = None;
                    // A piece of arguments is a string that holds JSON; so is content.
                    writer.content(out, CHOICE, json);
                    true
                }
                None => false,
            },
            ("citations_delta", Kind::Text) => {
                if let Some(citation) = delta.citation {
                    self.told.citations.cite(citation);
                }
                false
            }
            _ => false,
        };
        self.has_content(content);
        Ok(())
    }

    /// Ends the open block, if there is one.
    fn close(&mut self, out: &mut Vec<u8>) {
        let (writer, open) = match std::mem::replace(&mut self.state, State::Ended) {
            State::In(writer, open) => (writer, open),
            other => {
                self.state = other;
                return;
            }
        };
        match open.kind {
            Kind::Text => self.told.citations.end(),
            Kind::Thinking { text, signature } => {
                if let Some(thoughts) = &mut self.told.thoughts {
                    thoughts.add(&text, &signature);
                }
            }
            // No piece came: the arguments are what stood in the start, mostly `{}`.
            Kind::Call { number, whole: Some(whole) } => {
                let json = format!("\"{}\"", escape(&whole));
                if let Some(json) = written(&json) {
                    writer.tool_arguments(out, CHOICE, number, json);
                }
            }
            Kind::Json { whole: Some(whole) } => {
                let json = format!("\"{}\"", escape(&whole));
                if let Some(json) = written(&json) {
                    writer.content(out, CHOICE, json);
                    self.progress = Progress::Content;
                }
            }
            Kind::Call { whole: None, .. } | Kind::Json { whole: None } | Kind::Other => {}
        }
        self.state = State::Between(writer);
    }

    fn stopping(&mut self, wire: &Wire<'_>) -> Result<(), Error> {
        if matches!(self.state, State::Waiting(_)) {
            return Err(headless());
        }
        update(&mut self.usage, wire.usage);
        let stop: WireStop<'_> = read(wire.delta, "message_delta")?;
        if let Some(reason) = string(stop.stop_reason) {
            self.told.stop_reason = reason.decode().into_owned();
        }
        if let Some(text) = explanation(stop.stop_details) {
            self.told.refusal = Some(text.inner().to_owned());
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.close(out);
        let writer = self.writer()?;
        self.told.end(&writer, out);
        writer.usage(out, &self.usage.unwrap_or_default());
        writer.done(out);
        self.progress = Progress::Ended;
        Ok(())
    }

    /// Takes the writer out of the state between two blocks; `Ended` is left in its place.
    fn writer(&mut self) -> Result<ChunkWriter, Error> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Between(writer) | State::In(writer, _) => Ok(writer),
            State::Waiting(_) | State::Ended => Err(headless()),
        }
    }

    fn has_content(&mut self, content: bool) {
        if content {
            self.progress = self.progress.max(Progress::Content);
        }
    }
}

impl Told {
    /// A piece of text. Says whether the client got it.
    fn text(&mut self, json: Option<RawStr<'_>>, writer: &ChunkWriter, out: &mut Vec<u8>) -> bool {
        let Some(json) = json.filter(|json| !json.is_empty()) else { return false };
        match &mut self.text {
            Text::Passed => {
                self.citations.text(json.inner());
                writer.content(out, CHOICE, json);
                true
            }
            Text::Kept(kept) => {
                self.citations.text(json.inner());
                kept.push_str(json.inner());
                if kept.len() > MAX_TEXT_BYTES {
                    return self.release(writer, out);
                }
                false
            }
            Text::Dropped => false,
        }
    }

    /// Gives the client the text that was kept.
    fn release(&mut self, writer: &ChunkWriter, out: &mut Vec<u8>) -> bool {
        let Text::Kept(kept) = &mut self.text else { return false };
        let json = format!("\"{}\"", std::mem::take(kept));
        self.text = Text::Passed;
        match written(&json).filter(|json| !json.is_empty()) {
            Some(json) => {
                writer.content(out, CHOICE, json);
                true
            }
            None => false,
        }
    }

    fn thinking(
        &mut self,
        kind: &mut Kind,
        json: Option<RawStr<'_>>,
        writer: &ChunkWriter,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(json) = json.filter(|json| !json.is_empty()) else { return false };
        writer.reasoning(out, CHOICE, json);
        if let Kind::Thinking { text, signature } = kind
            && self.has_room(text.len() + signature.len() + json.inner().len())
        {
            text.push_str(json.inner());
        }
        true
    }

    fn signature(&mut self, kind: &mut Kind, json: Option<RawStr<'_>>) {
        if let (Kind::Thinking { text, signature }, Some(json)) = (kind, json)
            && self.has_room(text.len() + signature.len() + json.inner().len())
        {
            signature.push_str(json.inner());
        }
    }

    fn redacted(&mut self, data: Option<RawStr<'_>>) {
        if let Some(data) = data
            && self.has_room(data.inner().len())
            && let Some(thoughts) = &mut self.thoughts
        {
            thoughts.add_redacted(data);
        }
    }

    /// Whether so many bytes of thinking can be kept beside those of the blocks before. Gives all
    /// up when they cannot.
    fn has_room(&mut self, bytes: usize) -> bool {
        let fits = self.thoughts.as_ref().is_some_and(|it| it.len() + bytes <= MAX_THINKING_BYTES);
        if !fits {
            self.thoughts = None;
        }
        fits
    }

    /// All that is owed before the usage.
    fn end(&mut self, writer: &ChunkWriter, out: &mut Vec<u8>) {
        if !matches!(self.text, Text::Dropped) {
            self.release(writer, out);
            let citations = std::mem::take(&mut self.citations);
            list(writer, out, "annotations", citations.list());
        }
        list(writer, out, "thinking_blocks", self.thoughts.take().and_then(Thoughts::list));
        if let Some(text) = self.refusal.take().filter(|_| self.stop_reason == "refusal") {
            writer.members(out, CHOICE, format!(r#""refusal":"{text}""#).as_bytes());
        }
        writer.finish(out, CHOICE, finish_reason(&self.stop_reason, self.calls > 0));
    }
}

fn list(writer: &ChunkWriter, out: &mut Vec<u8>, name: &str, json: Option<String>) {
    if let Some(json) = json {
        writer.members(out, CHOICE, format!(r#""{name}":{json}"#).as_bytes());
    }
}

/// A piece of arguments that says something.
fn piece(raw: Option<&RawValue>) -> Option<RawStr<'_>> {
    string(raw).filter(|json| !json.is_empty())
}

/// A JSON string that was put together here.
fn written(json: &str) -> Option<RawStr<'_>> {
    serde_json::from_str(json).ok()
}

fn number(raw: Option<&RawValue>) -> Option<u64> {
    raw.and_then(|raw| raw.get().parse().ok())
}

fn read<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>, what: &str) -> Result<T, Error> {
    raw.filter(|raw| is_object(raw))
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .ok_or_else(|| malformed(what))
}

fn malformed(what: &str) -> Error {
    no_answer(&format!("a {what} of the stream is malformed"))
}

fn headless() -> Error {
    no_answer("the stream does not begin with message_start")
}
