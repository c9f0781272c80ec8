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

use serde_json::value::RawValue;

use super::Call;
use super::block::{Block, explanation, update};
use super::json_answer::{self, JsonAnswer};
use super::told::{CHOICE, Thought, Told, written};
use crate::openai::chunk::ChunkWriter;
use crate::openai::json::{RawStr, is_object};
use crate::openai::json::{escape, string};
use crate::openai::place::{Place, from_str, members};
use crate::openai::{Error, Usage};
use crate::providers::claude::json_answer::JSON_TOOL;
use crate::providers::failure::no_answer;
use crate::providers::stream::{Events, Head, Sse, cut_short};
use crate::providers::{Progress, Translator, completion_id, failure};
use crate::wire::sse::Event;

/// The translator of one stream.
pub(super) fn translator(call: &Call<'_>) -> Box<dyn Translator> {
    let json = json_answer::way(call.chat, call.target.facts) == JsonAnswer::Tool;
    Box::new(Sse::new(Answer {
        state: State::Waiting(Head::of(call)),
        progress: Progress::Preamble,
        usage: None,
        json,
        told: Told::new(json),
    }))
}

/// A stream in translation.
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
    Waiting(Head),
    Between(ChunkWriter),
    In(ChunkWriter, Open),
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
    /// A call: its number among the client's, and what stood in its start until a piece of
    /// arguments came.
    Call {
        number: u32,
        whole: Option<String>,
    },
    /// The call of [`JSON_TOOL`].
    Json {
        whole: Option<String>,
    },
    /// Of no concern to the client.
    Other,
}

struct Wire<'a> {
    kind: Cow<'a, str>,
    index: Option<&'a RawValue>,
    message: Option<&'a RawValue>,
    content_block: Option<&'a RawValue>,
    delta: Option<&'a RawValue>,
    usage: Option<&'a RawValue>,
}

members!(Wire<'a> { kind "type" (required), index, message, content_block, delta, usage });

struct WireMessage<'a> {
    id: Option<&'a RawValue>,
    model: Option<&'a RawValue>,
    usage: Option<&'a RawValue>,
}

members!(WireMessage<'a> { id, model, usage });

struct WireDelta<'a> {
    kind: Cow<'a, str>,
    text: Option<&'a RawValue>,
    thinking: Option<&'a RawValue>,
    signature: Option<&'a RawValue>,
    partial_json: Option<&'a RawValue>,
    citation: Option<&'a RawValue>,
}

members!(WireDelta<'a> {
    kind "type" (required),
    text,
    thinking,
    signature,
    partial_json,
    citation,
});

struct WireStop<'a> {
    stop_reason: Option<&'a RawValue>,
    stop_details: Option<&'a RawValue>,
}

members!(WireStop<'a> { stop_reason, stop_details });

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
        // Its `type` stands in the JSON too, but not behind every proxy.
        if event.name == b"error" {
            return Err(failure::in_stream(event.data));
        }
        // Checked once here, or each value that is kept raw would be checked again.
        let text = std::str::from_utf8(event.data).map_err(|_| malformed("event"))?;
        let wire: Wire<'_> = from_str(text).map_err(|_| malformed("event"))?;
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
        let id = completion_id(string(message.id), &head.id);
        let writer = head.writer(&id, None, string(message.model));
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
                let mut thought = Thought::default();
                content = told.thinking(&mut thought, string(block.thinking), &writer, out);
                told.signature(&mut thought, string(block.signature));
                Kind::Thinking(thought)
            }
            "redacted_thinking" => {
                told.redacted(string(block.data));
                Kind::Other
            }
            "tool_use" => {
                let (id, name) = block.call()?;
                let whole = Some(block.arguments());
                if name == JSON_TOOL && self.json {
                    // One answer is enough.
                    if told.drop_text() { Kind::Json { whole } } else { Kind::Other }
                } else {
                    let number = told.calls;
                    told.calls = told.calls.saturating_add(1);
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
            ("thinking_delta", Kind::Thinking(thought)) => {
                self.told.thinking(thought, string(delta.thinking), writer, out)
            }
            ("signature_delta", Kind::Thinking(thought)) => {
                self.told.signature(thought, string(delta.signature));
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
            Kind::Thinking(thought) => self.told.thought(&thought),
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

/// A piece of arguments that says something.
fn piece(raw: Option<&RawValue>) -> Option<RawStr<'_>> {
    string(raw).filter(|json| !json.is_empty())
}

fn number(raw: Option<&RawValue>) -> Option<u64> {
    raw.and_then(|raw| raw.get().parse().ok())
}

fn read<'a, T: Place<'a>>(raw: Option<&'a RawValue>, what: &str) -> Result<T, Error> {
    raw.filter(|raw| is_object(raw))
        .and_then(|raw| from_str(raw.get()).ok())
        .ok_or_else(|| malformed(what))
}

fn malformed(what: &str) -> Error {
    no_answer(&format!("its {what} is malformed"))
}

fn headless() -> Error {
    no_answer("the stream does not begin with message_start")
}
