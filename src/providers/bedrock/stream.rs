//! A streamed answer.
//!
//! ```text
//!           messageStart            first event of a block
//!  Waiting ─────────────► Between ◄────────────────────────► In(block)
//!   │  role chunk          │        contentBlockStop           │ contentBlockDelta: a delta
//!   │                      │                                   │
//!   │                      └────────── messageStop ────────────┘
//!   │                                     │ thinking blocks, finish
//!   ▼ anything else                       ▼
//!  an error                            Stopped ─────────────────────► Ended
//!                                          metadata, or the end of bytes: usage, [DONE]
//! ```
//!
//! Only calls tell their beginning; text and thinking begin with their first delta. A delta for
//! another block, or of another kind, ends the open one. `metadata` before `messageStop` is kept. An exception ends the
//! stream in each state; events of unknown types change nothing in any. The answer is complete with
//! `messageStop`: a stream that ends there has only not told its usage.
//!
//! Thinking goes to the client twice, as in [`crate::providers::anthropic`].

use serde_json::value::RawValue;

use super::Call;
use super::block::{ToolUse, cite, finish_reason, is_malformed, malformed_answer, object, usage};
use super::family::Family;
use super::json_answer::{self, JsonAnswer};
use crate::openai::chunk::ChunkWriter;
use crate::openai::json::{RawStr, string};
use crate::openai::place::{Place, from_str, members};
use crate::openai::{Error, Usage};
use crate::providers::anthropic::told::{CHOICE, Thought, Told};
use crate::providers::claude::json_answer::JSON_TOOL;
use crate::providers::failure::{Said, class, no_answer};
use crate::providers::stream::cut_short;
use crate::providers::{Progress, Translator};
use crate::wire::aws_event_stream::{Decoder, Message};

/// The translator of one stream.
pub(super) fn translator(call: &Call<'_>) -> Box<dyn Translator> {
    let family = Family::of(call.target.model);
    let json = json_answer::way(call.chat, &call.target, family) == JsonAnswer::Tool;
    let id = format!("chatcmpl-{}", call.id);
    let usage = call.chat.include_usage;
    Box::new(Stream {
        decoder: Decoder::new(),
        answer: Answer {
            state: State::Waiting(ChunkWriter::new(&id, call.created, call.target.model, usage)),
            progress: Progress::Preamble,
            usage: None,
            json,
            told: Told::new(json),
        },
    })
}

/// A stream in translation.
#[derive(Debug)]
struct Stream {
    decoder: Decoder,
    answer: Answer,
}

#[derive(Debug)]
struct Answer {
    state: State,
    progress: Progress,
    usage: Option<Usage>,
    /// Whether [`JSON_TOOL`] was offered.
    json: bool,
    told: Told,
}

/// See the picture above.
#[derive(Debug)]
enum State {
    Waiting(ChunkWriter),
    Between(ChunkWriter),
    In(ChunkWriter, Open),
    Stopped(ChunkWriter),
    Ended,
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
    Thinking(Thought),
    /// A call: its number among the client's, and whether a piece of arguments has come.
    Call {
        number: u32,
        begun: bool,
    },
    /// The call of [`JSON_TOOL`].
    Json {
        begun: bool,
    },
    /// Of no concern to the client.
    Other,
}

struct WireStart<'a> {
    start: Option<&'a RawValue>,
    index: Option<&'a RawValue>,
}

members!(WireStart<'a> { start, index "contentBlockIndex" });

struct WireBegun<'a> {
    tool_use: Option<&'a RawValue>,
}

members!(WireBegun<'a> { tool_use "toolUse" });

struct WireEvent<'a> {
    delta: Option<&'a RawValue>,
    index: Option<&'a RawValue>,
}

members!(WireEvent<'a> { delta, index "contentBlockIndex" });

struct WireDelta<'a> {
    text: Option<&'a RawValue>,
    tool_use: Option<&'a RawValue>,
    reasoning: Option<&'a RawValue>,
    citation: Option<&'a RawValue>,
}

members!(WireDelta<'a> { text, tool_use "toolUse", reasoning "reasoningContent", citation });

struct WireReasoning<'a> {
    text: Option<&'a RawValue>,
    signature: Option<&'a RawValue>,
    redacted: Option<&'a RawValue>,
}

members!(WireReasoning<'a> { text, signature, redacted "redactedContent" });

struct WireStop<'a> {
    stop_reason: Option<&'a RawValue>,
}

members!(WireStop<'a> { stop_reason "stopReason" });

struct WireMetadata<'a> {
    usage: Option<&'a RawValue>,
}

members!(WireMetadata<'a> { usage });

impl Translator for Stream {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let Self { decoder, answer } = self;
        let pushed = decoder.push(bytes, &mut |message| answer.message(message, out));
        // What follows the end is of no concern, broken or not.
        if answer.progress == Progress::Ended { Ok(()) } else { pushed }
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        match self.answer.state {
            State::Ended => Ok(()),
            State::Stopped(_) if self.decoder.finish().is_ok() => self.answer.end(out),
            _ => Err(cut_short()),
        }
    }

    fn progress(&self) -> Progress {
        self.answer.progress
    }

    fn usage(&self) -> Option<Usage> {
        self.answer.usage
    }
}

impl Answer {
    fn message(&mut self, message: Message<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        if matches!(self.state, State::Ended) {
            return Ok(());
        }
        match message.header(":message-type") {
            Some("exception") => {
                let kind = message.header(":exception-type");
                return Err(failure(Said::read(message.payload), kind));
            }
            Some("error") => {
                let mut said = Said::read(message.payload);
                if let Some(text) = message.header(":error-message").filter(|it| !it.is_empty()) {
                    said.message = Some(text.to_owned());
                }
                return Err(failure(said, message.header(":error-code")));
            }
            _ => {}
        }
        let payload = message.payload;
        match message.header(":event-type").unwrap_or_default() {
            "contentBlockDelta" => self.delta(&read(payload)?, out),
            "contentBlockStart" => self.block(&read(payload)?, out),
            "contentBlockStop" => {
                let event: WireEvent<'_> = read(payload)?;
                if matches!(&self.state, State::In(_, open) if open.is(event.index)) {
                    self.close(out);
                }
                Ok(())
            }
            "messageStart" => {
                self.start(out);
                Ok(())
            }
            "messageStop" => self.stop(&read(payload)?, out),
            "metadata" => {
                let metadata: WireMetadata<'_> = read(payload)?;
                if let Some(usage) = usage(metadata.usage) {
                    self.usage = Some(usage);
                }
                if matches!(self.state, State::Stopped(_)) { self.end(out) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Waiting(writer) => {
                writer.role(out, CHOICE);
                self.state = State::Between(writer);
            }
            other => self.state = other,
        }
    }

    fn block(&mut self, event: &WireStart<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        // A block whose end was not told ends here.
        self.close(out);
        let writer = self.writer()?;
        let start = object::<WireBegun<'_>>(event.start);
        let tool = start.and_then(|start| object::<ToolUse<'_>>(start.tool_use));
        let kind = match tool {
            Some(tool) if !tool.is_the_providers() => {
                let (id, name) = tool.call()?;
                if name == JSON_TOOL && self.json {
                    // One answer is enough.
                    if self.told.drop_text() { Kind::Json { begun: false } } else { Kind::Other }
                } else {
                    let number = self.told.calls;
                    self.told.calls = self.told.calls.saturating_add(1);
                    writer.tool_start(out, CHOICE, number, &id, &name);
                    self.progress = Progress::Content;
                    Kind::Call { number, begun: false }
                }
            }
            // What the provider's own tools do, pictures, and what is yet to come.
            _ => Kind::Other,
        };
        self.state = State::In(writer, Open { index: number(event.index), kind });
        Ok(())
    }

    fn delta(&mut self, event: &WireEvent<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let delta: WireDelta<'_> =
            object(event.delta).ok_or_else(|| malformed("contentBlockDelta"))?;
        if !matches!(&self.state, State::In(_, open) if open.is(event.index) && open.takes(&delta))
        {
            self.close(out);
            let writer = self.writer()?;
            let kind = if delta.text.is_some() || delta.citation.is_some() {
                self.told.citations.begin();
                Kind::Text
            } else if delta.reasoning.is_some() {
                Kind::Thinking(Thought::default())
            } else {
                // Arguments of no call.
                Kind::Other
            };
            self.state = State::In(writer, Open { index: number(event.index), kind });
        }
        let State::In(writer, open) = &mut self.state else { return Ok(()) };
        let told = &mut self.told;
        let mut content = false;
        match &mut open.kind {
            Kind::Text => {
                content = told.text(string(delta.text), writer, out);
                if let Some(citation) = delta.citation {
                    cite(&mut told.citations, citation);
                }
            }
            Kind::Thinking(thought) => {
                if let Some(piece) = object::<WireReasoning<'_>>(delta.reasoning) {
                    content = told.thinking(thought, string(piece.text), writer, out);
                    told.signature(thought, string(piece.signature));
                    told.redacted(string(piece.redacted));
                }
            }
            Kind::Call { number, begun } => {
                if let Some(json) = piece(&delta) {
                    *begun = true;
                    writer.tool_arguments(out, CHOICE, *number, json);
                }
            }
            Kind::Json { begun } => {
                if let Some(json) = piece(&delta) {
                    *begun = true;
                    // A piece of arguments is a string that holds JSON; so is content.
                    writer.content(out, CHOICE, json);
                    content = true;
                }
            }
            Kind::Other => {}
        }
        if content {
            self.progress = Progress::Content;
        }
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
            Kind::Thinking(thought) => self.told.thought(&thought),
            // No piece came: a call without arguments.
            Kind::Call { number, begun: false } => {
                writer.tool_arguments(out, CHOICE, number, RawStr::NO_ARGUMENTS);
            }
            Kind::Json { begun: false } => {
                writer.content(out, CHOICE, RawStr::NO_ARGUMENTS);
                self.progress = Progress::Content;
            }
            Kind::Call { begun: true, .. } | Kind::Json { begun: true } | Kind::Other => {}
        }
        self.state = State::Between(writer);
    }

    fn stop(&mut self, event: &WireStop<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        self.close(out);
        let writer = self.writer()?;
        let reason = string(event.stop_reason).map(|reason| reason.decode()).unwrap_or_default();
        if self.progress == Progress::Preamble && is_malformed(&reason) {
            return Err(malformed_answer(&reason));
        }
        self.told.end_with(finish_reason(&reason, self.told.calls > 0), &writer, out);
        self.progress = self.progress.max(Progress::Content);
        self.state = State::Stopped(writer);
        if self.usage.is_some() { self.end(out) } else { Ok(()) }
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let State::Stopped(writer) = std::mem::replace(&mut self.state, State::Ended) else {
            return Err(headless());
        };
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
            State::Stopped(_) => Err(no_answer("the stream goes on behind messageStop")),
        }
    }
}

impl Open {
    /// Whether an event with this index is about the block. One without an index can be about no
    /// other.
    fn is(&self, index: Option<&RawValue>) -> bool {
        index.is_none() || number(index) == self.index
    }

    /// Whether a delta can be about the block. Where text follows thinking under one number, it
    /// begins a block of its own.
    fn takes(&self, delta: &WireDelta<'_>) -> bool {
        match self.kind {
            Kind::Text => delta.reasoning.is_none(),
            Kind::Thinking(_) => delta.text.is_none(),
            Kind::Call { .. } | Kind::Json { .. } | Kind::Other => true,
        }
    }
}

/// The error of an exception, of which `kind` is the name.
fn failure(mut said: Said, kind: Option<&str>) -> Error {
    if let Some(kind) = kind.filter(|kind| !kind.is_empty()) {
        said.kind = Some(class::bare(kind).to_owned());
    }
    said.into_error(200)
}

/// A piece of arguments that says something.
fn piece<'a>(delta: &WireDelta<'a>) -> Option<RawStr<'a>> {
    let tool: ToolUse<'a> = object(delta.tool_use)?;
    string(tool.input).filter(|json| !json.is_empty())
}

fn number(raw: Option<&RawValue>) -> Option<u64> {
    raw.and_then(|raw| raw.get().parse().ok())
}

fn read<'a, T: Place<'a>>(payload: &'a [u8]) -> Result<T, Error> {
    // Checked once here, or each value that is kept raw would be checked again.
    std::str::from_utf8(payload)
        .ok()
        .and_then(|text| from_str(text).ok())
        .ok_or_else(|| malformed("event"))
}

fn malformed(what: &str) -> Error {
    no_answer(&format!("its {what} is malformed"))
}

fn headless() -> Error {
    no_answer("the stream does not begin with messageStart")
}
