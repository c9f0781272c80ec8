//! A streamed answer.
//!
//! ```text
//!           first chunk                 [DONE], or the end after every finish
//!  Waiting ─────────────► Answering ─────────────────────────────────────────► Ended
//!                          │      ▲                                  usage, [DONE]
//!                          └──────┘
//!                      deltas of choices
//!
//!  each choice:   first delta            deltas            finish reason
//!        (none) ─────────────► Open ◄─────────────► Open ─────────────────► Finished
//!               role chunk           text, calls          notes, finish chunk
//! ```
//!
//! An error ends the stream in each state. A call comes whole, mostly together with the finish
//! reason; one that comes in pieces is put together by its id or its index. Signatures of thinking
//! and sources come to the client in one delta each before the finish chunk.

use serde_json::value::RawValue;

use super::Call;
use super::content::{
    MAX_CHOICES, MAX_CHUNKS, Message, Notes, Piece, ToolCall, finish_reason, logprobs, made_id,
    pieces, usage,
};
use crate::openai::chunk::ChunkWriter;
use crate::openai::json::{RawStr, string};
use crate::openai::message::Bounded;
use crate::openai::place::{from_str, members};
use crate::openai::{Error, Usage};
use crate::providers::failure::no_answer;
use crate::providers::stream::{Events, Head, Sse, cut_short};
use crate::providers::{Progress, Translator, completion_id, failure};
use crate::wire::sse::Event;

/// The translator of one stream.
pub(super) fn translator(call: &Call<'_>) -> Box<dyn Translator> {
    let wanted = call.chat.n.unwrap_or(1).clamp(1, MAX_CHOICES as u64);
    Box::new(Sse::new(Answer {
        state: State::Waiting(Head::of(call)),
        wanted: usize::try_from(wanted).unwrap_or(1),
        choices: Vec::new(),
        progress: Progress::Preamble,
        usage: None,
    }))
}

/// A stream in translation.
#[derive(Debug)]
struct Answer {
    state: State,
    /// How many choices were asked for.
    wanted: usize,
    /// At most [`MAX_CHOICES`].
    choices: Vec<(u32, Choice)>,
    progress: Progress,
    usage: Option<Usage>,
}

/// See the picture above.
#[derive(Debug)]
enum State {
    Waiting(Head),
    Answering { writer: ChunkWriter, id: String },
    Ended,
}

/// See the picture above.
#[derive(Debug)]
enum Choice {
    Open { calls: Vec<Begun>, notes: Box<Notes> },
    Finished,
}

/// A call that the client got the beginning of. There are at most [`MAX_CHUNKS`] of a choice.
#[derive(Debug)]
struct Begun {
    id: Option<String>,
    index: Option<u64>,
    /// Whether there were arguments.
    told: bool,
}

struct Wire<'a> {
    object: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    created: Option<&'a RawValue>,
    model: Option<&'a RawValue>,
    choices: Option<Bounded<WireChoice<'a>, MAX_CHOICES>>,
    usage: Option<&'a RawValue>,
}

members!(Wire<'a> { object, error, id, created, model, choices, usage });

struct WireChoice<'a> {
    index: Option<u32>,
    delta: Option<Message<'a>>,
    finish_reason: Option<&'a RawValue>,
    logprobs: Option<&'a RawValue>,
}

members!(WireChoice<'a> { index, delta, finish_reason, logprobs });

impl Events for Answer {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let data = event.data.trim_ascii();
        if data.is_empty() || matches!(self.state, State::Ended) {
            return Ok(());
        }
        if data.starts_with(b"[DONE]") {
            return self.end(1, out);
        }
        if event.name == b"error" {
            return Err(failure::in_stream(data));
        }
        // Checked once here, or each value that is kept raw would be checked again.
        let text = std::str::from_utf8(data).map_err(|_| malformed())?;
        let wire: Wire<'_> = from_str(text).map_err(|_| malformed())?;
        let says_error = string(wire.object).is_some_and(|object| object.inner() == "error");
        let Some(choices) = wire.choices.as_ref().filter(|_| !says_error && wire.error.is_none())
        else {
            return Err(failure::in_stream(data));
        };
        self.start(&wire);
        if let Some(counted) = usage(wire.usage) {
            self.usage = Some(counted);
        }
        for choice in &choices.0 {
            self.choice(choice, out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if matches!(self.state, State::Ended) {
            return Ok(());
        }
        // Some close without the last event. What was asked for has come.
        self.end(self.wanted, out)
    }

    fn progress(&self) -> Progress {
        self.progress
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }
}

impl Answer {
    fn start(&mut self, wire: &Wire<'_>) {
        let State::Waiting(head) = &self.state else { return };
        let id = completion_id(string(wire.id), &head.id);
        let created = wire.created.and_then(|raw| raw.get().parse().ok());
        let writer = head.writer(&id, created, string(wire.model));
        self.state = State::Answering { writer, id };
    }

    fn choice(&mut self, wire: &WireChoice<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let State::Answering { writer, id } = &self.state else { return Ok(()) };
        let index = wire.index.unwrap_or(0);
        if !self.choices.iter().any(|(known, _)| *known == index) {
            if self.choices.len() >= MAX_CHOICES {
                return Err(no_answer("it has too many choices"));
            }
            writer.role(out, index);
            let notes = Box::new(Notes::new());
            self.choices.push((index, Choice::Open { calls: Vec::new(), notes }));
        }
        let choice = self.choices.iter_mut().find(|(known, _)| *known == index);
        // What follows a finish is no part of the answer.
        let Some((_, choice @ Choice::Open { .. })) = choice else { return Ok(()) };
        let Choice::Open { calls, notes } = choice else { return Ok(()) };
        let mut told = Told { writer, out, choice: index, id, content: false };
        let mut probable = logprobs(wire.logprobs);
        if let Some(delta) = &wire.delta {
            for piece in pieces(delta.content) {
                notes.take(piece);
                told.piece(piece, &mut probable);
            }
            for call in delta.tool_calls.iter().flat_map(|list| &list.0) {
                told.call(call, calls)?;
            }
        }
        if let Some(probable) = probable {
            told.writer.content_with_logprobs(told.out, index, RawStr::EMPTY, &probable);
        }
        let mut content = told.content;
        if let Some(reason) = string(wire.finish_reason).filter(|reason| !reason.is_empty()) {
            let reason = finish_reason(&reason.decode(), !calls.is_empty())?;
            for (number, call) in (0..).zip(&*calls) {
                if !call.told {
                    writer.tool_arguments(out, index, number, RawStr::NO_ARGUMENTS);
                }
            }
            for (name, list) in
                [("annotations", notes.annotations()), ("thinking_blocks", notes.thinking_blocks())]
            {
                if let Some(json) = list {
                    writer.members(out, index, format!(r#""{name}":{json}"#).as_bytes());
                }
            }
            writer.finish(out, index, reason);
            *choice = Choice::Finished;
            content = true;
        }
        if content {
            self.progress = self.progress.max(Progress::Content);
        }
        Ok(())
    }

    /// The end, if at least so many choices have come, and all of them are finished.
    fn end(&mut self, least: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        let finished = |(_, choice): &(u32, Choice)| matches!(choice, Choice::Finished);
        if self.choices.len() < least || !self.choices.iter().all(finished) {
            return Err(cut_short());
        }
        if let State::Answering { writer, .. } = &self.state {
            writer.usage(out, &self.usage.unwrap_or_default());
            writer.done(out);
        }
        self.state = State::Ended;
        self.progress = Progress::Ended;
        Ok(())
    }
}

/// Tells the client what a delta of one choice says.
struct Told<'t> {
    writer: &'t ChunkWriter,
    out: &'t mut Vec<u8>,
    choice: u32,
    /// The answer's.
    id: &'t str,
    /// Whether the client got anything.
    content: bool,
}

impl Told<'_> {
    fn piece(&mut self, piece: Piece<'_>, probable: &mut Option<String>) {
        match piece {
            Piece::Text(text) => {
                match probable.take() {
                    Some(probable) => {
                        self.writer.content_with_logprobs(self.out, self.choice, text, &probable);
                    }
                    None => self.writer.content(self.out, self.choice, text),
                }
                self.content = true;
            }
            Piece::Thought(text) => {
                self.writer.reasoning(self.out, self.choice, text);
                self.content = true;
            }
            Piece::Signature(_) | Piece::Source { .. } => {}
        }
    }

    /// A call, or a further piece of one.
    fn call(&mut self, call: &ToolCall<'_>, calls: &mut Vec<Begun>) -> Result<(), Error> {
        let id = call.id().map(RawStr::decode);
        let same = |begun: &Begun| match (&id, call.index(), call.name()) {
            (Some(id), _, _) => begun.id.as_deref() == Some(&**id),
            // Where nobody says more, another name is another call.
            (None, _, Some(_)) => false,
            (None, Some(index), None) => begun.index == Some(index),
            (None, None, None) => true,
        };
        let number = match (calls.iter().rposition(same), call.name()) {
            (Some(number), _) => number,
            (None, None) => return Err(no_answer("a tool call without a name")),
            (None, Some(_)) if calls.len() >= MAX_CHUNKS => {
                return Err(no_answer("it has too many tool calls"));
            }
            (None, Some(name)) => {
                let number = calls.len();
                let place = u32::try_from(number).unwrap_or(u32::MAX);
                let given = match &id {
                    Some(id) => id.clone().into_owned(),
                    None => made_id(self.id, self.choice, place),
                };
                self.writer.tool_start(self.out, self.choice, place, &given, &name.decode());
                self.content = true;
                let id = id.as_deref().map(str::to_owned);
                calls.push(Begun { id, index: call.index(), told: false });
                number
            }
        };
        let arguments = format!("\"{}\"", call.arguments());
        if let (Some(begun), Ok(json), true) =
            (calls.get_mut(number), from_str::<RawStr<'_>>(&arguments), arguments.len() > 2)
        {
            begun.told = true;
            let place = u32::try_from(number).unwrap_or(u32::MAX);
            self.writer.tool_arguments(self.out, self.choice, place, json);
        }
        Ok(())
    }
}

fn malformed() -> Error {
    no_answer("a stream event is not a chunk of an answer")
}
