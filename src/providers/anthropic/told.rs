//! What a stream has told so far, as far as its end depends on it.

use super::block::finish_reason;
use crate::openai::chunk::{ChunkWriter, FinishReason};
use crate::openai::json::RawStr;
use crate::openai::place::from_str;
use crate::providers::claude::citations::Citations;
use crate::providers::thoughts::Thoughts;

/// Most bytes of thinking kept for `thinking_blocks`. Beyond it the client gets the thinking as
/// text alone: a part of the blocks would be refused when it is sent back.
pub(crate) const MAX_THINKING_BYTES: usize = 2 << 20;

/// Most bytes of text kept back while a JSON answer by tool may still come. Beyond it the text is
/// the answer.
pub(crate) const MAX_TEXT_BYTES: usize = 256 << 10;

/// The one answer of a stream.
pub(crate) const CHOICE: u32 = 0;

/// What was told so far.
#[derive(Debug)]
pub(crate) struct Told {
    text: Text,
    /// How many calls the client got.
    pub(crate) calls: u32,
    /// As the provider has it; empty until it is known.
    pub(crate) stop_reason: String,
    /// The explanation of a refusal, as it stands between quotes.
    pub(crate) refusal: Option<String>,
    /// Nothing once there was too much.
    thoughts: Option<Thoughts>,
    pub(crate) citations: Citations,
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

/// An open block of thinking; both as they stand between quotes.
#[derive(Debug, Default)]
pub(crate) struct Thought {
    text: String,
    signature: String,
}

impl Thought {
    const fn len(&self) -> usize {
        self.text.len() + self.signature.len()
    }
}

impl Told {
    /// Nothing yet. `json` says that a JSON answer by tool may come.
    pub(crate) fn new(json: bool) -> Self {
        Self {
            text: if json { Text::Kept(String::new()) } else { Text::Passed },
            calls: 0,
            stop_reason: String::new(),
            refusal: None,
            thoughts: Some(Thoughts::default()),
            citations: Citations::default(),
        }
    }

    /// A JSON answer takes the place of the text. Says whether it is the first, and no text went
    /// out before it.
    pub(crate) fn drop_text(&mut self) -> bool {
        let first = matches!(self.text, Text::Kept(_));
        if first {
            self.text = Text::Dropped;
        }
        first
    }

    /// A piece of text. Says whether the client got it.
    pub(crate) fn text(
        &mut self,
        json: Option<RawStr<'_>>,
        writer: &ChunkWriter,
        out: &mut Vec<u8>,
    ) -> bool {
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
    pub(crate) fn release(&mut self, writer: &ChunkWriter, out: &mut Vec<u8>) -> bool {
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

    /// A piece of thinking. Says whether the client got it.
    pub(crate) fn thinking(
        &mut self,
        thought: &mut Thought,
        json: Option<RawStr<'_>>,
        writer: &ChunkWriter,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(json) = json.filter(|json| !json.is_empty()) else { return false };
        writer.reasoning(out, CHOICE, json);
        if self.has_room(thought.len() + json.inner().len()) {
            thought.text.push_str(json.inner());
        }
        true
    }

    /// A piece of a signature.
    pub(crate) fn signature(&mut self, thought: &mut Thought, json: Option<RawStr<'_>>) {
        if let Some(json) = json
            && self.has_room(thought.len() + json.inner().len())
        {
            thought.signature.push_str(json.inner());
        }
    }

    /// A block of thinking ends.
    pub(crate) fn thought(&mut self, thought: &Thought) {
        if let Some(thoughts) = &mut self.thoughts {
            thoughts.add(&thought.text, &thought.signature);
        }
    }

    /// A block that only the provider can read.
    pub(crate) fn redacted(&mut self, data: Option<RawStr<'_>>) {
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
    pub(crate) fn end(&mut self, writer: &ChunkWriter, out: &mut Vec<u8>) {
        let reason = finish_reason(&self.stop_reason, self.calls > 0);
        self.end_with(reason, writer, out);
    }

    /// The same for a provider whose stop reasons are others.
    pub(crate) fn end_with(
        &mut self,
        reason: FinishReason,
        writer: &ChunkWriter,
        out: &mut Vec<u8>,
    ) {
        if !matches!(self.text, Text::Dropped) {
            self.release(writer, out);
            let citations = std::mem::take(&mut self.citations);
            list(writer, out, "annotations", citations.list());
        }
        list(writer, out, "thinking_blocks", self.thoughts.take().and_then(Thoughts::list));
        if let Some(text) = self.refusal.take().filter(|_| self.stop_reason == "refusal") {
            writer.members(out, CHOICE, format!(r#""refusal":"{text}""#).as_bytes());
        }
        writer.finish(out, CHOICE, reason);
    }
}

fn list(writer: &ChunkWriter, out: &mut Vec<u8>, name: &str, json: Option<String>) {
    if let Some(json) = json {
        writer.members(out, CHOICE, format!(r#""{name}":{json}"#).as_bytes());
    }
}

/// A JSON string that was put together here.
pub(crate) fn written(json: &str) -> Option<RawStr<'_>> {
    from_str(json).ok()
}
