//! One attempt's streamed answer: what may still be done with it.
//!
//! ```text
//!             bytes, no content yet
//!               ┌──────┐
//!               ▼      │ content                 terminal event
//!  new ───────► Held ──┴────────► Flowing ───────────────────────► Ended
//!                │                  │
//!                │ error, end,      │ error, end without terminal event
//!                │ too much held    ▼
//!                ▼                Broken   the client has got an error event
//!              Failed   the client has got nothing: another candidate may answer
//! ```

pub mod said;

use said::Said;

use super::{Call, Progress, Translator, answering_model};
use crate::openai::chunk::ChunkWriter;
use crate::openai::json::{Append, RawStr};
use crate::openai::{Class, Error, Usage};
use crate::wire::sse::{Decoder, Event};

/// Most bytes of preamble kept back while nothing but roles and metadata arrives.
pub const MAX_HELD_BYTES: usize = 256 << 10;

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing may go to the client yet.
    Held,
    /// What was held and all that follows goes to the client.
    Flowing,
    /// The answer is complete.
    Ended,
    /// It failed before the client got anything.
    Failed,
    /// It failed after the client got something, and the client was told in the stream.
    Broken,
}

/// A streamed answer in translation.
pub struct Stream {
    translator: Box<dyn Translator>,
    phase: Phase,
    held: Vec<u8>,
    error: Option<Error>,
    said: Said,
}

impl Stream {
    /// A stream of which nothing has arrived.
    #[must_use]
    pub const fn new(translator: Box<dyn Translator>) -> Self {
        let said = Said::NOTHING;
        Self { translator, phase: Phase::Held, held: Vec::new(), error: None, said }
    }

    /// Takes bytes and appends what the client gets for them: nothing while `Held` or `Failed`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Phase {
        self.step(out, |translator, out| translator.push(bytes, out))
    }

    /// The bytes have ended.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Phase {
        self.step(out, |translator, out| {
            translator.finish(out)?;
            match translator.progress() {
                Progress::Ended => Ok(()),
                Progress::Preamble | Progress::Content => Err(cut_short()),
            }
        })
    }

    /// Why it failed or broke.
    #[must_use]
    pub const fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// What was kept back of a stream that failed. It never goes to a client; the command line
    /// shows it.
    #[must_use]
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// What it used so far.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.translator.usage()
    }

    /// How many bytes of text have gone to the client, about.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        self.said.text_bytes()
    }

    /// Where it stands.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    fn step(
        &mut self,
        out: &mut Vec<u8>,
        feed: impl FnOnce(&mut dyn Translator, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Phase {
        let before = out.len();
        match self.phase {
            Phase::Held => {
                let fed = feed(&mut *self.translator, &mut self.held);
                let progress = self.translator.progress();
                match fed {
                    // Content in the same bytes has not gone out either, so nothing is lost.
                    Err(error) => self.fail(error),
                    Ok(()) if progress == Progress::Preamble => {
                        if self.held.len() > MAX_HELD_BYTES {
                            let message =
                                "the provider's stream began with too much that is no content";
                            self.fail(Error::new(Class::Server, message));
                        }
                    }
                    Ok(()) => {
                        out.append(&mut self.held);
                        self.held = Vec::new();
                        self.phase = flowing(progress);
                    }
                }
            }
            Phase::Flowing => match feed(&mut *self.translator, out) {
                Ok(()) => self.phase = flowing(self.translator.progress()),
                Err(error) => self.broken(error, out),
            },
            Phase::Ended | Phase::Failed | Phase::Broken => {}
        }
        self.said.add(out.get(before..).unwrap_or_default());
        self.phase
    }

    fn fail(&mut self, error: Error) {
        self.error = Some(error);
        self.phase = Phase::Failed;
    }

    fn broken(&mut self, error: Error, out: &mut Vec<u8>) {
        out.put(&error.event());
        self.error = Some(error);
        self.phase = Phase::Broken;
    }
}

fn flowing(progress: Progress) -> Phase {
    if progress == Progress::Ended { Phase::Ended } else { Phase::Flowing }
}

/// The error for a stream whose end is missing.
#[must_use]
pub fn cut_short() -> Error {
    Error::new(Class::Server, "the provider's stream ended before the answer was complete")
        .with_code(STREAM_CUT)
}

/// The code of [`cut_short`].
pub const STREAM_CUT: &str = "stream_cut";

/// What a dialect that streams server-sent events must do with each.
pub trait Events {
    /// Takes one event and appends canonical events.
    ///
    /// # Errors
    /// As [`Translator::push`].
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<(), Error>;

    /// See [`Translator::finish`].
    ///
    /// # Errors
    /// As there.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error>;

    /// See [`Translator::progress`].
    fn progress(&self) -> Progress;

    /// See [`Translator::usage`].
    fn usage(&self) -> Option<Usage>;
}

/// The translator of a dialect that streams server-sent events.
#[derive(Debug)]
pub struct Sse<E> {
    decoder: Decoder,
    events: E,
}

impl<E> Sse<E> {
    /// Decodes bytes into events for `events`.
    pub fn new(events: E) -> Self {
        Self { decoder: Decoder::new(), events }
    }
}

impl<E: Events> Translator for Sse<E> {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let Self { decoder, events } = self;
        decoder.push(bytes, &mut |event| events.event(event, out))
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let Self { decoder, events } = self;
        decoder.finish(&mut |event| events.event(event, out))?;
        events.finish(out)
    }

    fn progress(&self) -> Progress {
        self.events.progress()
    }

    fn usage(&self) -> Option<Usage> {
        self.events.usage()
    }
}
/// What stands in every chunk of an answer, unless the provider names it.
#[derive(Debug)]
pub(super) struct Head {
    /// Without the `chatcmpl-` in front.
    pub(super) id: String,
    created: u64,
    model: String,
    include_usage: bool,
}

impl Head {
    /// What is known before the provider says anything.
    pub(super) fn of(call: &Call<'_>) -> Self {
        Self {
            id: call.id.to_owned(),
            created: call.created,
            model: call.target.model.to_owned(),
            include_usage: call.chat.include_usage,
        }
    }

    /// The writer of the chunks, with the time and the model that the provider named.
    pub(super) fn writer(
        &self,
        id: &str,
        created: Option<u64>,
        model: Option<RawStr<'_>>,
    ) -> ChunkWriter {
        let model = answering_model(model, &self.model);
        ChunkWriter::new(id, created.unwrap_or(self.created), &model, self.include_usage)
    }
}
