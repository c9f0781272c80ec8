//! A streamed answer.
//!
//! ```text
//!            a response                    the bytes end
//!  Waiting ─────────────► Telling ─────────────────────────────► Ended
//!     │                    │   ▲       annotations, a finish chunk for
//!     │ the bytes end      └───┘       each choice, usage, [DONE]
//!     ▼                 a response
//!  an error             role, deltas
//! ```
//!
//! Each event is a whole response that brings what is new: text and thoughts in pieces, calls whole.
//! No event ends the stream, and one that names a finish reason may be followed by others, which
//! bring the counts or nothing at all; so all that ends the answer is written when the bytes end.
//! An answer for which no reason came was cut. Counts are totals, and the last ones hold. An
//! error ends the stream in each state.

use super::Call;
use super::grounding::Grounds;
use super::logprobs;
use super::names::Originals;
use super::wire::{Candidate, End, Piece, Response, failed};
use crate::openai::chunk::{ChunkWriter, FinishReason};
use crate::openai::json::{RawStr, escape, string};
use crate::openai::place::from_str;
use crate::openai::{Error, Usage};
use crate::providers::failure::no_answer;
use crate::providers::stream::{Events, Head, Sse, cut_short};
use crate::providers::{Progress, Translator, completion_id, failure};
use crate::wire::sse::Event;

/// Most answers in one stream: as many as the API gives.
pub(super) const MAX_CHOICES: u32 = 8;

/// The translator of one stream.
pub(super) fn translator(call: &Call<'_>) -> Box<dyn Translator> {
    Box::new(Sse::new(Answer {
        state: State::Waiting(Head::of(call)),
        progress: Progress::Preamble,
        usage: None,
        told: Told {
            id: call.id.to_owned(),
            originals: Originals::of(call.chat),
            choices: Vec::new(),
            blocked: None,
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
    Telling(ChunkWriter),
    Ended,
}

/// What was told so far.
#[derive(Debug)]
struct Told {
    /// The request's own id.
    id: String,
    originals: Originals,
    /// By their index, which is below [`MAX_CHOICES`].
    choices: Vec<Option<Choice>>,
    /// Why the prompt was blocked, as it stands between quotes.
    blocked: Option<String>,
}

/// One of the answers.
#[derive(Debug, Default)]
struct Choice {
    calls: u32,
    /// It has more than thoughts, which alone are no answer.
    says: bool,
    grounds: Grounds,
    /// The provider's word, and what it means.
    end: Option<(String, End)>,
    /// Its explanation, as it stands between quotes.
    explanation: Option<String>,
}

impl Events for Answer {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        // Not the API's own, but some proxies end every stream so.
        if event.data.is_empty() || event.data == b"[DONE]" || matches!(self.state, State::Ended) {
            return Ok(());
        }
        // Checked once here, or each value that is kept raw would be checked again.
        let text = std::str::from_utf8(event.data).map_err(|_| malformed())?;
        // Errors come in a list too.
        if text.trim_start().starts_with('[') || event.name == b"error" {
            return Err(failure::in_stream(event.data));
        }
        let response: Response<'_> = from_str(text).map_err(|_| malformed())?;
        if response.error.is_some() {
            return Err(failure::in_stream(event.data));
        }
        self.usage = response.usage().or(self.usage);
        let writer = match &mut self.state {
            State::Waiting(head) => {
                let id = completion_id(string(response.response_id), &self.told.id);
                let writer = head.writer(&id, None, string(response.model_version));
                self.state = State::Telling(writer);
                match &self.state {
                    State::Telling(writer) => writer,
                    State::Waiting(_) | State::Ended => return Ok(()),
                }
            }
            State::Telling(writer) => writer,
            State::Ended => return Ok(()),
        };
        if let Some(why) = response.blocked() {
            self.told.blocked = Some(why.into_owned());
            self.progress = self.progress.max(Progress::Content);
        }
        for candidate in response.candidates.iter().flat_map(|list| &list.0) {
            if self.told.candidate(candidate, writer, out)? {
                self.progress = self.progress.max(Progress::Content);
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let writer = match std::mem::replace(&mut self.state, State::Ended) {
            State::Telling(writer) => writer,
            State::Waiting(_) => return Err(cut_short()),
            State::Ended => return Ok(()),
        };
        self.told.end(&writer, out)?;
        writer.usage(out, &self.usage.unwrap_or_default());
        writer.done(out);
        self.progress = Progress::Ended;
        Ok(())
    }

    fn progress(&self) -> Progress {
        self.progress
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }
}

impl Told {
    /// What is new of one answer. Says whether the client got, or will get, something for it.
    fn candidate(
        &mut self,
        candidate: &Candidate<'_>,
        writer: &ChunkWriter,
        out: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        let Some(index) = candidate.index().filter(|index| *index < MAX_CHOICES) else {
            return Err(malformed());
        };
        let place = index as usize;
        while self.choices.len() <= place {
            self.choices.push(None);
        }
        let Some(choice) = self.choices.get_mut(place) else { return Err(malformed()) };
        let choice = choice.get_or_insert_with(|| {
            writer.role(out, index);
            Choice::default()
        });
        let mut told = false;
        let mut entries = logprobs::entries(candidate.logprobs_result);
        for part in candidate.parts() {
            match part.piece()? {
                Piece::Text(text) if text.is_empty() => continue,
                Piece::Text(text) => {
                    choice.says = true;
                    choice.grounds.text(text);
                    match entries.take() {
                        Some(entries) => {
                            let logprobs = logprobs::object(&entries);
                            writer.content_with_logprobs(out, index, text, &logprobs);
                        }
                        None => writer.content(out, index, text),
                    }
                }
                Piece::Thought(text) if text.is_empty() => continue,
                Piece::Thought(text) => writer.reasoning(out, index, text),
                Piece::Call(called) => {
                    let number = choice.calls;
                    choice.calls = choice.calls.saturating_add(1);
                    choice.says = true;
                    let id = called.id(&self.id, index, number as usize);
                    let extra = called.extra_content();
                    let name = self.originals.original(called.name);
                    writer.tool_start_with(out, index, number, &id, &name, extra.as_deref());
                    let json = format!("\"{}\"", escape(&called.arguments));
                    if let Ok(json) = from_str::<RawStr<'_>>(&json) {
                        writer.tool_arguments(out, index, number, json);
                    }
                }
                Piece::Image(image) => {
                    choice.says = true;
                    writer.members(out, index, format!("\"images\":[{image}]").as_bytes());
                }
                Piece::Other => continue,
            }
            told = true;
        }
        if let Some(entries) = entries {
            let logprobs = logprobs::object(&entries);
            writer.content_with_logprobs(out, index, RawStr::EMPTY, &logprobs);
        }
        choice.grounds.sources(candidate.grounding_metadata, candidate.citation_metadata);
        if let Some((reason, end)) = candidate.end() {
            told |= end != End::Failed;
            choice.end = Some((reason.into_owned(), end));
            choice.explanation = candidate.explanation().map(str::to_owned);
        }
        Ok(told)
    }

    /// All that is owed before the usage.
    fn end(&mut self, writer: &ChunkWriter, out: &mut Vec<u8>) -> Result<(), Error> {
        if let Some(why) = self.blocked.as_deref().filter(|_| self.choices.is_empty()) {
            writer.role(out, 0);
            writer.members(out, 0, format!("\"refusal\":\"{why}\"").as_bytes());
            writer.finish(out, 0, FinishReason::ContentFilter);
            return Ok(());
        }
        let ended = self.choices.iter().flatten().all(|choice| choice.end.is_some());
        if self.choices.is_empty() || !ended {
            return Err(cut_short());
        }
        let failure =
            |choice: &Choice| choice.end.as_ref().is_none_or(|(_, end)| *end == End::Failed);
        if self.choices.iter().flatten().all(|choice| !choice.says && failure(choice)) {
            let mut ends = self.choices.iter().flatten().filter_map(|choice| choice.end.as_ref());
            return Err(failed(ends.next().map_or("", |(reason, _)| reason)));
        }
        for (index, choice) in (0..).zip(&self.choices) {
            let Some(choice) = choice else { continue };
            if let Some(list) = choice.grounds.annotations() {
                writer.members(out, index, format!("\"annotations\":{list}").as_bytes());
            }
            let end = choice.end.as_ref().map_or(End::Stop, |(_, end)| *end);
            if let Some(why) = choice.explanation.as_ref().filter(|_| end == End::Filtered) {
                writer.members(out, index, format!("\"refusal\":\"{why}\"").as_bytes());
            }
            writer.finish(out, index, end.finish_reason(choice.calls > 0));
        }
        Ok(())
    }
}

fn malformed() -> Error {
    no_answer("an event of it is malformed")
}
