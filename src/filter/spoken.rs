//! What an answer says, gathered on its way to the client.

use crate::config::audit::Audit;
use crate::guard::redact::MARGIN;
use crate::openai::transcript::{Answers, Transcript};
use crate::wire::sse::{Decoder, TooLarge};

/// An answer on its way to the client, as far as its record wants it.
#[derive(Debug)]
pub struct Spoken {
    decoder: Decoder,
    answers: Answers,
}

impl Spoken {
    /// Nothing yet.
    #[must_use]
    pub fn new(audit: &Audit) -> Self {
        Self { decoder: Decoder::new(), answers: Answers::new(audit.max_content + MARGIN) }
    }

    /// A whole canonical answer.
    pub fn answer(&mut self, body: &[u8]) {
        self.answers.add(body);
    }

    /// Bytes of a canonical stream, cut anywhere.
    pub fn events(&mut self, bytes: &[u8]) {
        if self.answers.is_full() {
            return;
        }
        let answers = &mut self.answers;
        let _: Result<(), TooLarge> = self.decoder.push(bytes, &mut |event| {
            answers.add(event.data);
            Ok(())
        });
    }

    /// What each choice says so far.
    pub(super) fn choices(&self) -> impl Iterator<Item = &Transcript> {
        self.answers.choices.iter()
    }
}
