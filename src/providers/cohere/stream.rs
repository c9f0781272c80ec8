//! A streamed answer.
//!
//! ```text
//!           message-start             tool-call-start
//!  Waiting ───────────────► Telling ◄─────────────────► Calling
//!   │  role chunk            │  ▲ │   tool-call-end,       │ tool-call-delta: arguments
//!   │                        │  └─┘   another event        │
//!   │                        │  content-start, content-delta, tool-plan-delta: a delta
//!   │                        │  citation-start: noted
//!   │                        │                             │
//!   │                        └───────── message-end ───────┘
//!   ▼ anything but debug                 │ annotations, finish, usage, [DONE]
//!  an error                              ▼
//!                                      Ended
//! ```
//!
//! A call that ends without arguments gets `{}`. `message-end` brings the finish reason and the
//! counts; one that says ERROR or TIMEOUT is an error. Events of unknown types change nothing.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::Call;
use super::content::{Block, Citations, ToolCall, finish_reason, logprobs, usage};
use crate::openai::chunk::ChunkWriter;
use crate::openai::json::{RawStr, string};
use crate::openai::place::{Place, from_str, members};
use crate::openai::{Error, Usage};
use crate::providers::failure::no_answer;
use crate::providers::stream::{Events, Head, Sse, cut_short};
use crate::providers::{Progress, Translator, completion_id, failure};
use crate::wire::sse::Event;

/// The one answer of a stream.
const CHOICE: u32 = 0;

/// The translator of one stream.
pub(super) fn translator(call: &Call<'_>) -> Box<dyn Translator> {
    Box::new(Sse::new(Answer {
        state: State::Waiting(Head::of(call)),
        calls: 0,
        id: String::new(),
        citations: Citations::default(),
        progress: Progress::Preamble,
        usage: None,
    }))
}

/// A stream in translation.
#[derive(Debug)]
struct Answer {
    state: State,
    /// How many calls the client got.
    calls: u32,
    /// The answer's id.
    id: String,
    citations: Citations,
    progress: Progress,
    usage: Option<Usage>,
}

/// See the picture above.
#[derive(Debug)]
enum State {
    Waiting(Head),
    Telling(ChunkWriter),
    Calling(ChunkWriter, Open),
    Ended,
}

/// The open call.
#[derive(Debug)]
struct Open {
    /// The provider's number for it.
    index: Option<u64>,
    /// The client's.
    number: u32,
    /// Whether there were arguments.
    told: bool,
}

struct Wire<'a> {
    kind: Option<Cow<'a, str>>,
    id: Option<&'a RawValue>,
    index: Option<&'a RawValue>,
    delta: Option<Delta<'a>>,
    logprobs: Option<&'a RawValue>,
}

members!(Wire<'a> { kind "type", id, index, delta, logprobs });

struct Delta<'a> {
    message: Option<Message<'a>>,
    finish_reason: Option<&'a RawValue>,
    usage: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
}

members!(Delta<'a> { message, finish_reason, usage, error });

/// Which of them counts, and whether it is one or a list, depends on the event.
struct Message<'a> {
    content: Option<&'a RawValue>,
    tool_plan: Option<&'a RawValue>,
    tool_calls: Option<&'a RawValue>,
    citations: Option<&'a RawValue>,
}

members!(Message<'a> { content, tool_plan, tool_calls, citations });

impl<'a> Wire<'a> {
    fn message(&self) -> Option<&Message<'a>> {
        self.delta.as_ref()?.message.as_ref()
    }

    fn number(&self) -> Option<u64> {
        self.index.and_then(|raw| raw.get().parse().ok())
    }

    /// A block, or a piece of one.
    fn block(&self) -> Result<Option<Block<'a>>, Error> {
        one(self.message().and_then(|message| message.content))
    }

    /// A call, or a piece of one.
    fn call(&self) -> Result<Option<ToolCall<'a>>, Error> {
        one(self.message().and_then(|message| message.tool_calls))
    }
}

/// An object, or the first of a list: the API has been seen to give either.
fn one<'a, T: Place<'a>>(raw: Option<&'a RawValue>) -> Result<Option<T>, Error> {
    let Some(raw) = raw else { return Ok(None) };
    if raw.get().starts_with('[') {
        let list: Vec<T> = from_str(raw.get()).map_err(|_| malformed())?;
        return Ok(list.into_iter().next());
    }
    from_str(raw.get()).map(Some).map_err(|_| malformed())
}

impl Events for Answer {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let data = event.data.trim_ascii();
        if data.is_empty() || matches!(self.state, State::Ended) {
            return Ok(());
        }
        if data.starts_with(b"[DONE]") {
            return Err(cut_short());
        }
        if event.name == b"error" {
            return Err(failure::in_stream(data));
        }
        // Checked once here, or each value that is kept raw would be checked again.
        let text = std::str::from_utf8(data).map_err(|_| malformed())?;
        let wire: Wire<'_> = match from_str(text) {
            Ok(wire) => wire,
            Err(_) => return Err(malformed()),
        };
        match wire.kind.as_deref() {
            Some("content-delta") => self.content(&wire, out),
            Some("content-start") => self.block(&wire, out),
            Some("tool-plan-delta") => self.plan(&wire, out),
            Some("tool-call-start") => self.begin_call(&wire, out),
            Some("tool-call-delta") => self.continue_call(&wire, out),
            Some("tool-call-end") => {
                self.end_call(out);
                Ok(())
            }
            Some("citation-start") => {
                self.citations.cite(wire.message().and_then(|message| message.citations));
                Ok(())
            }
            Some("message-start") => {
                self.start(&wire, out);
                Ok(())
            }
            Some("message-end") => self.end(&wire, out),
            Some("error") | None => Err(failure::in_stream(data)),
            // `content-end`, `citation-end`, `debug`, and what is yet to come.
            Some(_) => Ok(()),
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
    fn start(&mut self, wire: &Wire<'_>, out: &mut Vec<u8>) {
        // A second start would give the chunks another id.
        let State::Waiting(head) = &self.state else { return };
        let id = completion_id(string(wire.id), &head.id);
        let writer = head.writer(&id, None, None);
        writer.role(out, CHOICE);
        self.id = id;
        self.state = State::Telling(writer);
    }

    fn block(&mut self, wire: &Wire<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        if let Some(index) = wire.number() {
            self.citations.block(index);
        }
        self.content(wire, out)
    }

    fn content(&mut self, wire: &Wire<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let Some(block) = wire.block()? else { return Ok(()) };
        self.end_call(out);
        let writer = self.state.writer()?;
        let content = block.text().is_some() || block.thinking().is_some();
        if let Some(text) = block.thinking() {
            writer.reasoning(out, CHOICE, text);
        }
        if let Some(text) = block.text() {
            self.citations.text(text);
            match logprobs(wire.logprobs) {
                Some(probable) => writer.content_with_logprobs(out, CHOICE, text, &probable),
                None => writer.content(out, CHOICE, text),
            }
        }
        self.has_content(content);
        Ok(())
    }

    fn plan(&mut self, wire: &Wire<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let plan = wire.message().and_then(|message| string(message.tool_plan));
        let Some(plan) = plan.filter(|plan| !plan.is_empty()) else { return Ok(()) };
        self.end_call(out);
        self.state.writer()?.reasoning(out, CHOICE, plan);
        self.has_content(true);
        Ok(())
    }

    fn begin_call(&mut self, wire: &Wire<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        // A call whose end was not told ends here.
        self.end_call(out);
        let call = wire.call()?.ok_or_else(malformed)?;
        let (id, name) = call.begin(&self.id, self.calls)?;
        let writer = match std::mem::replace(&mut self.state, State::Ended) {
            State::Telling(writer) | State::Calling(writer, _) => writer,
            State::Waiting(_) | State::Ended => return Err(headless()),
        };
        let number = self.calls;
        self.calls = self.calls.saturating_add(1);
        writer.tool_start(out, CHOICE, number, &id, &name);
        let told = tell_arguments(&writer, out, number, &call);
        let open = Open { index: wire.number(), number, told };
        self.state = State::Calling(writer, open);
        self.has_content(true);
        Ok(())
    }

    fn continue_call(&mut self, wire: &Wire<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let (writer, open) = match &mut self.state {
            State::Calling(writer, open) => (writer, open),
            State::Waiting(_) => return Err(headless()),
            State::Telling(_) | State::Ended => return Ok(()),
        };
        // One without an index can be about no other call.
        if wire.number().is_some() && wire.number() != open.index {
            return Ok(());
        }
        if let Some(call) = wire.call()? {
            open.told |= tell_arguments(writer, out, open.number, &call);
        }
        Ok(())
    }

    /// Ends the open call, if there is one.
    fn end_call(&mut self, out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Calling(writer, open) => {
                if !open.told {
                    writer.tool_arguments(out, CHOICE, open.number, RawStr::NO_ARGUMENTS);
                }
                self.state = State::Telling(writer);
            }
            other => self.state = other,
        }
    }

    fn end(&mut self, wire: &Wire<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        self.end_call(out);
        let delta = wire.delta.as_ref();
        self.usage = usage(delta.and_then(|delta| delta.usage)).or(self.usage);
        let reason = delta.and_then(|delta| string(delta.finish_reason));
        let explained = delta.and_then(|delta| string(delta.error));
        let word = match (reason, explained) {
            (None, Some(_)) => Cow::Borrowed("ERROR"),
            (reason, _) => reason.map(RawStr::decode).unwrap_or_default(),
        };
        let finish = finish_reason(&word, explained, self.calls > 0)?;
        let writer = self.state.writer()?;
        if let Some(json) = self.citations.list() {
            writer.members(out, CHOICE, format!(r#""annotations":{json}"#).as_bytes());
        }
        writer.finish(out, CHOICE, finish);
        writer.usage(out, &self.usage.unwrap_or_default());
        writer.done(out);
        self.state = State::Ended;
        self.progress = Progress::Ended;
        Ok(())
    }

    fn has_content(&mut self, content: bool) {
        if content {
            self.progress = self.progress.max(Progress::Content);
        }
    }
}

/// Says whether there were any.
fn tell_arguments(
    writer: &ChunkWriter,
    out: &mut Vec<u8>,
    number: u32,
    call: &ToolCall<'_>,
) -> bool {
    let arguments = call.arguments();
    let json = arguments.as_deref().and_then(|written| from_str(written).ok());
    if let Some(json) = json {
        writer.tool_arguments(out, CHOICE, number, json);
    }
    json.is_some()
}

impl State {
    fn writer(&self) -> Result<&ChunkWriter, Error> {
        match self {
            Self::Telling(writer) | Self::Calling(writer, _) => Ok(writer),
            Self::Waiting(_) | Self::Ended => Err(headless()),
        }
    }
}

fn malformed() -> Error {
    no_answer("a stream event has another form")
}

fn headless() -> Error {
    no_answer("the stream does not begin with message-start")
}
