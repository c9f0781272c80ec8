//! A streamed answer, event by event.
//!
//! An event that begins and ends like the first one, and holds ordinary text between, goes out as it
//! came. All others are read with patience and written in OpenAI's form.
//!
//! ```text
//!            role, metadata          text, thoughts, calls       [DONE], or the end after every finish
//!  Preamble ─────────────► Preamble ─────────────────────► Content ────────────────────────► Ended
//! ```

use std::fmt::Write as _;

use serde_json::value::RawValue;

use super::answer::{is_text, own_word};
use super::calls::{self, Calls, Piece};
use super::counts;
use super::said::{Said, logprobs};
use crate::openai::chunk::DONE;
use crate::openai::json::{Append, escape, is_null};
use crate::openai::message::Bounded;
use crate::openai::object::Members;
use crate::openai::place::{from_slice, from_str};
use crate::openai::{Error, Usage};
use crate::providers::openai::answer::MAX_CHOICES;
use crate::providers::openai::edit::span;
use crate::providers::openai::finish::{Finish, ended, finish, is_truthy, replacement};
use crate::providers::openai::quirks::Quirks;
use crate::providers::openai::stream::marks::{Marks, Ordinary};
use crate::providers::openai::stream::{line_of, malformed, write_event};
use crate::providers::stream::{Events, cut_short};
use crate::providers::{Call, Progress, failure};
use crate::wire::sse::Event;

/// The events of one streamed answer.
#[derive(Debug)]
pub(super) struct Chunks {
    progress: Progress,
    /// Whether the client wants to see the usage. The provider is always asked for it.
    include_usage: bool,
    /// Whether only one choice was asked for, so that an event tells of no other.
    one: bool,
    /// The request's id, for what comes without.
    id: String,
    created: u64,
    model: String,
    head: Option<Head>,
    choices: Vec<Choice>,
    usage: Option<Usage>,
    /// The last counts, in OpenAI's form.
    counts: Vec<u8>,
    marks: Marks,
}

/// The top of the stream's chunks.
#[derive(Debug)]
struct Head {
    /// `{"id":…,"object":…,"created":…,"model":…`, as it is written.
    written: String,
    /// What stands before the choices of an event that has this top already, and behind them
    /// where a part of the top stands there.
    around: Option<(Vec<u8>, Vec<u8>)>,
}

/// One choice so far.
#[derive(Debug, Default)]
struct Choice {
    index: u32,
    begun: bool,
    finished: bool,
    calls: Calls,
}

impl Chunks {
    pub(super) fn new(call: &Call<'_>, quirks: &'static Quirks) -> Self {
        Self {
            progress: Progress::Preamble,
            include_usage: call.chat.include_usage,
            one: call.chat.n.unwrap_or(1) == 1,
            id: call.id.to_owned(),
            created: call.created,
            model: call.target.model.to_owned(),
            head: None,
            choices: Vec::new(),
            usage: None,
            counts: Vec::new(),
            marks: Marks::new(quirks.marks),
        }
    }

    /// One JSON object in one line.
    fn chunk(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        if !matches!(data, [b'{', .., b'}']) {
            return Err(malformed());
        }
        if self.is_like_the_first(data) {
            match self.marks.ordinary(data, self.include_usage, false) {
                Ordinary::Whole => {
                    write_event(out, &[data]);
                    return Ok(());
                }
                Ordinary::Without(member) => {
                    let before = data.get(..member.start).unwrap_or_default();
                    let after = data.get(member.end..).unwrap_or_default();
                    write_event(out, &[before, after]);
                    return Ok(());
                }
                Ordinary::No => {}
            }
        }
        self.read(data, out)
    }

    /// Whether the event has the stream's own top, and can only go on with the one choice.
    fn is_like_the_first(&self, data: &[u8]) -> bool {
        let around = self.head.as_ref().and_then(|head| head.around.as_ref());
        let (Some((before, after)), [choice]) = (around, &*self.choices) else { return false };
        self.progress == Progress::Content
            && self.one
            && !choice.finished
            && data.len() > before.len() + after.len()
            && data.starts_with(before)
            && data.ends_with(after)
            && memchr::memmem::find(data, b"\"index\"").is_some()
    }

    fn read(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let chunk: Members<'_> = from_slice(data).map_err(|_| malformed())?;
        let find = |name: &str| chunk.find(name).filter(|value| !is_null(value));
        let own: Option<Members<'_>> = find("x_groq").and_then(|own| from_str(own.get()).ok());
        if own.as_ref().and_then(|own| own.find("error")).is_some_and(is_truthy) {
            return Err(failure::in_stream(find("x_groq").map_or(data, |it| it.get().as_bytes())));
        }
        let is_error = find("object").is_some_and(|object| object.get() == "\"error\"");
        let untold = chunk.find("choices").is_none() && find("usage").is_none();
        if is_error
            || find("error").is_some_and(is_truthy)
            || (untold && failure::message(data).is_some())
        {
            return Err(failure::in_stream(data));
        }
        let counted = find("usage").or_else(|| own.as_ref().and_then(|own| own.find("usage")));
        let list: Bounded<&RawValue, MAX_CHOICES> = match find("choices") {
            Some(list) => from_str(list.get()).map_err(|_| malformed())?,
            None => Bounded::default(),
        };
        if self.head.is_none() && !list.0.is_empty() {
            self.head = Some(self.head_of(&chunk, data));
        }
        let mut choices = String::new();
        for (at, raw) in list.0.iter().enumerate() {
            let members: Members<'_> = from_str(raw.get()).map_err(|_| malformed())?;
            self.choice(at, &members, &mut choices)?;
            self.count(members.find("usage"));
        }
        self.count(counted);
        if !choices.is_empty() {
            self.write(&choices, &chunk, out);
        }
        Ok(())
    }

    /// Keeps the counts; only the last ones tell all.
    fn count(&mut self, raw: Option<&RawValue>) {
        if let Some(counts) = raw.and_then(counts::read) {
            self.usage = Some(counts.usage);
            self.counts = counts.json;
        }
    }

    fn head_of(&self, chunk: &Members<'_>, data: &[u8]) -> Head {
        let id = chunk.find("id").filter(|id| is_text(id)).map(RawValue::get);
        let model = chunk.find("model").filter(|model| is_text(model)).map(RawValue::get);
        let created = chunk.find("created").and_then(|it| it.get().parse::<u64>().ok());
        let object = chunk.find("object").map(RawValue::get);
        let written = format!(
            r#"{{"id":{},"object":"chat.completion.chunk","created":{},"model":{}"#,
            id.map_or_else(
                || format!("\"{}\"", escape(&format!("chatcmpl-{}", self.id))),
                str::to_owned
            ),
            created.unwrap_or(self.created),
            model.map_or_else(|| format!("\"{}\"", escape(&self.model)), str::to_owned),
        );
        let complete = id.is_some() && model.is_some() && created.is_some();
        let place = chunk.find("choices").and_then(|list| span(data, list.get()));
        let stands_before = |name: &str, place: usize| {
            let member = chunk.find(name).and_then(|json| span(data, json.get()));
            member.is_some_and(|member| member.end <= place)
        };
        let around = place
            .filter(|_| complete && object == Some("\"chat.completion.chunk\""))
            .and_then(|place| {
                let before = data.get(..place.start)?.to_vec();
                let all = ["id", "object", "created", "model"];
                let behind = if all.iter().all(|name| stands_before(name, place.start)) {
                    &[]
                } else {
                    data.get(place.end..)?
                };
                Some((before, behind.to_vec()))
            });
        Head { written, around }
    }

    /// Reads what a chunk says of one choice, and appends it in OpenAI's form where it says
    /// something.
    fn choice(&mut self, at: usize, members: &Members<'_>, out: &mut String) -> Result<(), Error> {
        let find = |name: &str| members.find(name).filter(|value| !is_null(value));
        if let Some(error) = find("error").filter(|error| is_truthy(error)) {
            return Err(failure::in_stream(error.get().as_bytes()));
        }
        let index = find("index").and_then(|index| index.get().parse::<u32>().ok());
        let index = index.unwrap_or_else(|| u32::try_from(at).unwrap_or_default());
        let said = match find("delta").or_else(|| find("message")) {
            Some(delta) => Said::read(delta).ok_or_else(malformed)?,
            None => Said::default(),
        };
        let reason = members.find("finish_reason").map_or("null", RawValue::get);
        let place = self.choices.iter().position(|choice| choice.index == index);
        let place = match place {
            Some(place) => place,
            None if self.choices.len() < MAX_CHOICES => {
                self.choices.push(Choice { index, ..Choice::default() });
                self.choices.len() - 1
            }
            None => return Err(malformed()),
        };
        let Some(choice) = self.choices.get_mut(place).filter(|choice| !choice.finished) else {
            return Ok(());
        };
        let mut calls = choice.calls.pieces(&said.calls, index, &self.id)?;
        let called = choice.calls.any();
        let word = replacement(reason, called, None)?;
        let ends = finish(reason, called) != Finish::Open;
        if ends {
            choice.finished = true;
            choice.calls.empty_arguments(&mut calls);
        }
        let says = said.says_something();
        if says || ends {
            self.progress = self.progress.max(Progress::Content);
        } else if choice.begun {
            return Ok(());
        }
        let begins = !std::mem::replace(&mut choice.begun, true);
        if !out.is_empty() {
            out.push(',');
        }
        let probable = find("logprobs").map(|raw| {
            let top = find("top_logprobs");
            logprobs(raw, said.content.as_deref(), top).unwrap_or_else(|| raw.get().to_owned())
        });
        let reason = if ends { word.as_deref().unwrap_or(reason) } else { "null" };
        // Writing to a String cannot fail.
        let _ = write!(out, r#"{{"index":{index},"delta":{{"#);
        write_delta(out, &said, &calls, begins);
        let _ = write!(
            out,
            r#"}},"logprobs":{},"finish_reason":{reason}"#,
            probable.as_deref().unwrap_or("null")
        );
        for (name, value) in &members.0 {
            if !OWN_OF_CHOICE.contains(&&**name) && !is_null(value) {
                let _ = write!(out, r#","{}":{}"#, escape(name), value.get());
            }
        }
        out.push('}');
        Ok(())
    }

    /// Writes a chunk with these choices and what else stood in the provider's.
    fn write(&self, choices: &str, chunk: &Members<'_>, out: &mut Vec<u8>) {
        let Some(head) = &self.head else { return };
        let mut text = String::with_capacity(head.written.len() + choices.len() + 64);
        let _ = write!(text, r#"{},"choices":[{choices}]"#, head.written);
        for (name, value) in &chunk.0 {
            if !OWN_OF_CHUNK.contains(&&**name) && !is_null(value) {
                let _ = write!(text, r#","{}":{}"#, escape(name), own_word(name, value));
            }
        }
        text.push_str(if self.include_usage { ",\"usage\":null}" } else { "}" });
        write_event(out, &[text.as_bytes()]);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if let (Some(head), true, false) = (&self.head, self.include_usage, self.counts.is_empty())
        {
            let before = [head.written.as_bytes(), b",\"choices\":[],\"usage\":"];
            let [head, choices] = before;
            write_event(out, &[head, choices, &self.counts, b"}"]);
        }
        out.put(DONE);
        self.progress = Progress::Ended;
    }

    /// Ends the choices of which nobody said why they ended.
    fn end_choices(&mut self, out: &mut Vec<u8>) {
        let mut choices = String::new();
        for choice in self.choices.iter_mut().filter(|choice| !choice.finished) {
            choice.finished = true;
            let mut calls = Vec::new();
            choice.calls.empty_arguments(&mut calls);
            let reason = ended(choice.calls.any()).word();
            if !choices.is_empty() {
                choices.push(',');
            }
            let _ = write!(choices, r#"{{"index":{},"delta":{{"#, choice.index);
            write_delta(&mut choices, &Said::default(), &calls, false);
            let _ = write!(choices, r#"}},"logprobs":null,"finish_reason":"{reason}"}}"#);
        }
        if !choices.is_empty() {
            self.write(&choices, &Members(Vec::new()), out);
        }
    }
}

/// Members of a choice that are written otherwise, or say nothing more.
const OWN_OF_CHOICE: [&str; 9] = [
    "index",
    "delta",
    "message",
    "logprobs",
    "top_logprobs",
    "finish_reason",
    "error",
    "text",
    "usage",
];

/// Members of a chunk that are written otherwise, or say nothing more.
const OWN_OF_CHUNK: [&str; 8] =
    ["id", "object", "created", "model", "choices", "usage", "error", "x_groq"];

/// The members of a delta.
fn write_delta(out: &mut String, said: &Said<'_>, calls: &[Piece], begins: bool) {
    let start = out.len();
    let separate = |out: &mut String| {
        if out.len() > start {
            out.push(',');
        }
    };
    let content = said.content.as_deref();
    if begins {
        let _ = write!(out, r#""role":"assistant","content":"{}""#, content.unwrap_or_default());
    } else if let Some(content) = content.filter(|content| !content.is_empty()) {
        let _ = write!(out, r#""content":"{content}""#);
    }
    for (name, text) in
        [("refusal", said.refusal), ("reasoning_content", said.reasoning.as_deref())]
    {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            separate(out);
            let _ = write!(out, r#""{name}":"{text}""#);
        }
    }
    if !calls.is_empty() {
        separate(out);
        calls::write(out, calls);
    }
    for (name, value) in &said.others {
        separate(out);
        let _ = write!(out, r#""{}":{}"#, escape(name), value.get());
    }
}

impl Events for Chunks {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let data = event.data.trim_ascii();
        if self.progress == Progress::Ended || data.is_empty() {
            return Ok(());
        }
        if data.starts_with(b"[DONE]") {
            if !self.choices.iter().any(|choice| choice.begun) {
                return Err(cut_short());
            }
            self.end_choices(out);
            self.end(out);
            return Ok(());
        }
        self.chunk(&line_of(event.name, data)?, out)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.progress == Progress::Ended {
            return Ok(());
        }
        // Some providers close without the last event. What was asked for has come.
        if self.choices.is_empty() || self.choices.iter().any(|choice| !choice.finished) {
            return Err(cut_short());
        }
        self.end(out);
        Ok(())
    }

    fn progress(&self) -> Progress {
        self.progress
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }
}
