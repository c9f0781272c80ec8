//! A streamed answer, passed on event by event.
//!
//! What is canonical already goes out as it came, byte for byte. Once content flows, an ordinary
//! event is not even parsed: a few marks tell whether it is one.
//!
//! ```text
//!            role, metadata          text, calls           [DONE], or the end after every finish
//!  Preamble ─────────────► Preamble ─────────► Content ───────────────────────────► Ended
//! ```

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::answer::MAX_CHOICES;
use super::edit::{Splice, in_order, span, splice};
use super::finish::{Finish, finish, is_empty, is_truthy, read_usage, replacement};
use super::quirks::Quirks;
use crate::openai::chunk::DONE;
use crate::openai::json::RawStr;
use crate::openai::message::{Bounded, present};
use crate::openai::place::{from_slice, from_str, members};
use crate::openai::{Class, Error, Usage};
use crate::providers::stream::{Events, cut_short};
use crate::providers::{Call, Progress, failure};
use crate::wire::sse::Event;
use marks::{Marks, Ordinary, member};

pub(crate) mod marks;

/// The events of one streamed answer.
#[derive(Debug)]
pub struct Chunks {
    progress: Progress,
    /// Whether the client wants to see the usage. The provider is always asked for it.
    include_usage: bool,
    /// How many choices were asked for.
    wanted: u32,
    /// One bit for each choice that has ended.
    finished: u128,
    /// One bit for each choice that made calls.
    called: u128,
    usage: Option<Usage>,
    /// The last usage event, which goes out before the end.
    owed: Vec<u8>,
    /// What stands at the top of the first chunk, for those that come without.
    head: Option<Head>,
    marks: Marks,
}

/// The JSON values at the top of each chunk.
#[derive(Debug)]
struct Head {
    id: String,
    created: String,
    model: String,
}

struct Chunk<'a> {
    error: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    object: Option<&'a RawValue>,
    created: Option<&'a RawValue>,
    model: Option<&'a RawValue>,
    choices: Option<Bounded<Choice<'a>, MAX_CHOICES>>,
    usage: Option<&'a RawValue>,
}

members!(Chunk<'a> { error, id, object, created, model, choices, usage (written) });

struct Choice<'a> {
    index: Option<u32>,
    delta: Option<Delta<'a>>,
    finish_reason: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
}

members!(Choice<'a> { index, delta, finish_reason (written), error });

struct Delta<'a> {
    content: Option<&'a RawValue>,
    refusal: Option<&'a RawValue>,
    reasoning_content: Option<&'a RawValue>,
    reasoning: Option<&'a RawValue>,
    tool_calls: Option<&'a RawValue>,
    function_call: Option<&'a RawValue>,
    audio: Option<&'a RawValue>,
}

members!(Delta<'a> {
    content,
    refusal,
    reasoning_content,
    reasoning,
    tool_calls,
    function_call,
    audio,
});

impl Chunks {
    /// The translator of the answer to `call`.
    #[must_use]
    pub(crate) fn new(call: &Call<'_>, quirks: &'static Quirks) -> Self {
        let wanted = call.chat.n.unwrap_or(1).clamp(1, MAX_CHOICES as u64);
        Self {
            progress: Progress::Preamble,
            include_usage: call.chat.include_usage,
            wanted: u32::try_from(wanted).unwrap_or(1),
            finished: 0,
            called: 0,
            usage: None,
            owed: Vec::new(),
            head: None,
            marks: Marks::new(quirks.marks),
        }
    }

    /// One JSON object in one line.
    fn chunk(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        if !matches!(data, [b'{', .., b'}']) {
            return Err(malformed());
        }
        // Little follows a finish, and that little is looked at.
        if self.progress == Progress::Content && self.finished == 0 {
            let calls_known = self.called.count_ones() >= self.wanted;
            match self.marks.ordinary(data, self.include_usage, calls_known) {
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
        self.parsed(data, out)
    }

    /// An event that may be more than a piece of text.
    fn parsed(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let chunk: Chunk<'_> = from_slice(data).map_err(|_| malformed())?;
        let names_error =
            chunk.object.and_then(RawStr::from_raw).is_some_and(|object| object.inner() == "error");
        if names_error || chunk.error.is_some_and(is_truthy) {
            return Err(failure::in_stream(data));
        }
        let usage = chunk.usage.filter(|usage| present(usage).is_some());
        if let Some(read) = usage.and_then(read_usage) {
            self.usage = Some(read);
        }
        let choices =
            chunk.choices.as_ref().map(|choices| choices.0.as_slice()).unwrap_or_default();
        if let (true, Some(usage)) = (self.include_usage, usage) {
            self.owe(data, &chunk, usage);
        }
        let over = choices.iter().all(|choice| self.finished & bit(choice) != 0);
        let mut splices: Vec<Splice> = Vec::new();
        for choice in choices {
            self.choice(choice, data, &mut splices)?;
        }
        let says_nothing =
            |choice: &Choice<'_>| choice.delta.is_none() && matches!(reason(choice), Finish::Open);
        // No choices at all, or what follows a finish, or an annotation of what was said before,
        // without a delta that clients could read.
        if over || choices.iter().all(says_nothing) {
            return Ok(());
        }
        if chunk.id.is_some_and(|id| id.get() == "\"\"") {
            if !choices.iter().any(begins) {
                return Ok(());
            }
            self.heads(&chunk, data, &mut splices);
        } else if self.head.is_none() {
            self.head = Head::of(&chunk);
        }
        if choices.iter().any(|choice| choice.delta.is_none()) {
            splices.extend(empty_deltas(data));
        }
        match (self.include_usage, chunk.usage) {
            (true, Some(usage)) if present(usage).is_some() => {
                splices.extend(span(data, usage.get()).map(|range| (range, "null".into())));
            }
            (false, Some(usage)) => {
                let cut = span(data, usage.get()).and_then(|value| member(data, &value));
                splices.extend(cut.map(|range| (range, "".into())));
            }
            (_, _) => {}
        }
        if self.progress == Progress::Preamble && choices.iter().any(begins) {
            self.progress = Progress::Content;
        }
        if splices.is_empty() {
            write_event(out, &[data]);
        } else {
            let splices = in_order(splices);
            out.extend_from_slice(b"data: ");
            splice(out, data, &splices);
            out.extend_from_slice(b"\n\n");
        }
        Ok(())
    }

    /// Sees to it that each choice ends once, with a word that OpenAI's clients know.
    fn choice(
        &mut self,
        choice: &Choice<'_>,
        data: &[u8],
        splices: &mut Vec<Splice>,
    ) -> Result<(), Error> {
        if let Some(error) = choice.error.filter(|error| is_truthy(error)) {
            return Err(failure::in_stream(error.get().as_bytes()));
        }
        let calls = choice.delta.as_ref().and_then(|delta| delta.tool_calls);
        if calls.is_some_and(|calls| !is_empty(calls)) {
            self.called |= bit(choice);
        }
        let Some(json) = choice.finish_reason else { return Ok(()) };
        let calls = self.called & bit(choice) != 0;
        let mut word = replacement(json.get(), calls, None)?;
        if finish(json.get(), calls) != Finish::Open {
            if self.finished & bit(choice) != 0 {
                word = Some(Cow::Borrowed("null"));
            }
            self.finished |= bit(choice);
        }
        splices.extend(span(data, json.get()).zip(word));
        Ok(())
    }

    /// Puts the top of the first chunk into one that has an empty id.
    fn heads(&self, chunk: &Chunk<'_>, data: &[u8], splices: &mut Vec<Splice>) {
        let Some(head) = &self.head else { return };
        let object = r#""chat.completion.chunk""#;
        for (json, value) in [
            (chunk.id, &*head.id),
            (chunk.object, object),
            (chunk.created, &*head.created),
            (chunk.model, &*head.model),
        ] {
            let place = json.and_then(|json| span(data, json.get()));
            splices.extend(place.map(|range| (range, Cow::Owned(value.to_owned()))));
        }
    }

    /// Keeps the usage event for the end: only the last one counts.
    fn owe(&mut self, data: &[u8], chunk: &Chunk<'_>, usage: &RawValue) {
        self.owed.clear();
        let has_choices = chunk.choices.as_ref().is_some_and(|choices| !choices.0.is_empty());
        if !has_choices && chunk.choices.is_some() {
            write_event(&mut self.owed, &[data]);
            return;
        }
        let or = |json: Option<&RawValue>, other: &'static str| {
            json.map_or(other, RawValue::get).as_bytes().to_vec()
        };
        write_event(
            &mut self.owed,
            &[
                b"{\"id\":",
                &or(chunk.id, "\"\""),
                b",\"object\":\"chat.completion.chunk\",\"created\":",
                &or(chunk.created, "0"),
                b",\"model\":",
                &or(chunk.model, "\"\""),
                b",\"choices\":[],\"usage\":",
                usage.get().as_bytes(),
                b"}",
            ],
        );
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.owed);
        out.extend_from_slice(DONE);
        self.progress = Progress::Ended;
    }
}

impl Events for Chunks {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let data = event.data.trim_ascii();
        if self.progress == Progress::Ended || data.is_empty() {
            return Ok(());
        }
        if data.starts_with(b"[DONE]") {
            if self.finished == 0 {
                return Err(cut_short());
            }
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
        if self.finished.count_ones() < self.wanted {
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

impl Head {
    fn of(chunk: &Chunk<'_>) -> Option<Self> {
        let own = |json: Option<&RawValue>| json.map(|json| json.get().to_owned());
        Some(Self { id: own(chunk.id)?, created: own(chunk.created)?, model: own(chunk.model)? })
    }
}

/// Whether a choice says something that a client would see.
fn begins(choice: &Choice<'_>) -> bool {
    let Some(delta) = &choice.delta else { return !matches!(reason(choice), Finish::Open) };
    let texts = [delta.content, delta.refusal, delta.reasoning_content, delta.reasoning];
    let others = [delta.tool_calls, delta.function_call, delta.audio];
    texts.into_iter().flatten().any(is_truthy)
        || others.into_iter().flatten().any(|json| !is_empty(json))
        || !matches!(reason(choice), Finish::Open)
}

/// The choice's bit; none where more choices than can be asked for are counted.
fn bit(choice: &Choice<'_>) -> u128 {
    1_u128.checked_shl(choice.index.unwrap_or(0)).unwrap_or(0)
}

fn reason(choice: &Choice<'_>) -> Finish {
    finish(choice.finish_reason.map_or("null", RawValue::get), false)
}

/// An empty delta for each choice that has none.
fn empty_deltas(data: &[u8]) -> Vec<Splice> {
    struct Chunk<'a> {
        choices: Bounded<&'a RawValue, MAX_CHOICES>,
    }
    members!(Chunk<'a> { choices (required) });
    struct Choice<'a> {
        delta: Option<&'a RawValue>,
    }
    members!(Choice<'a> { delta (written) });
    let Ok(chunk) = from_slice::<Chunk<'_>>(data) else { return Vec::new() };
    let splice = |raw: &RawValue| {
        let choice: Choice<'_> = from_str(raw.get()).ok()?;
        match choice.delta {
            Some(null) if present(null).is_none() => Some((span(data, null.get())?, "{}".into())),
            Some(_) => None,
            None => {
                let inside = span(data, raw.get())?.start + 1;
                let member = if is_empty(raw) { r#""delta":{}"# } else { r#""delta":{},"# };
                Some((inside..inside, member.into()))
            }
        }
    };
    chunk.choices.0.into_iter().filter_map(splice).collect()
}

/// The data of an event in one line. A line end within JSON is white space.
///
/// # Errors
/// An error's event, and what is no text: what is passed over is not looked at, and must be text all
/// the same.
pub(crate) fn line_of<'a>(name: &[u8], data: &'a [u8]) -> Result<Cow<'a, [u8]>, Error> {
    if std::str::from_utf8(data).is_err() {
        return Err(malformed());
    }
    if name == b"error" {
        return Err(failure::in_stream(data));
    }
    Ok(match memchr::memchr(b'\n', data) {
        None => Cow::Borrowed(data),
        Some(_) => data.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect(),
    })
}

pub(crate) fn write_event(out: &mut Vec<u8>, pieces: &[&[u8]]) {
    out.extend_from_slice(b"data: ");
    for piece in pieces {
        out.extend_from_slice(piece);
    }
    out.extend_from_slice(b"\n\n");
}

pub(crate) fn malformed() -> Error {
    Error::new(Class::Server, "the provider sent a stream event that is not a chunk of an answer")
}

#[cfg(test)]
mod tests;
