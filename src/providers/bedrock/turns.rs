//! What the turns of both speakers are written with.

use super::cache::Points;
use super::family::Family;
use super::media::Names;
use crate::openai::Chat;
use crate::openai::json::{Append, separate};
use crate::openai::message::{Message, Part};
use crate::providers::Target;
use crate::providers::claude::marks::{self, Mark};
use crate::providers::ids::{self, Form, Ids};
use crate::providers::warnings::Warnings;

/// Longest id and name, in characters.
const MAX_LENGTH: usize = 64;

/// Ids of calls: letters, digits, `_`, `.`, `:` and `-`.
const IDS: Form = Form {
    fits: |id| {
        let plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-');
        !id.is_empty() && id.len() <= MAX_LENGTH && id.bytes().all(plain)
    },
    prefix: "waypost_",
    letters: 10,
};

/// Names of functions in earlier calls, which may come from a provider that takes others: letters,
/// digits, `_` and `-`. Those of the functions that can be called fit already.
const NAMES: Form = Form {
    fits: |name| name.len() <= MAX_LENGTH && ids::is_plain(name),
    prefix: "waypost_",
    letters: 10,
};

/// Writes the turns of one request.
pub(super) struct Turns<'c, 'a> {
    pub(super) chat: &'c Chat<'a>,
    pub(super) target: &'c Target<'c>,
    pub(super) family: Family,
    pub(super) ids: Ids,
    pub(super) names: Ids,
    pub(super) documents: Names,
    pub(super) points: Points,
    pub(super) warnings: Warnings,
}

impl<'c, 'a> Turns<'c, 'a> {
    /// Nothing written yet.
    pub(super) fn new(
        chat: &'c Chat<'a>,
        target: &'c Target<'c>,
        family: Family,
        points: Points,
        warnings: Warnings,
    ) -> Self {
        let (ids, names) = (Ids::new(&IDS), Ids::new(&NAMES));
        let documents = Names::default();
        Self { chat, target, family, ids, names, documents, points, warnings }
    }

    /// Appends a text block and its mark. `written` is a JSON string.
    pub(super) fn write_text(&mut self, written: &str, mark: Option<Mark>, out: &mut Vec<u8>) {
        separate(out);
        out.put(b"{\"text\":");
        out.put(written.as_bytes());
        out.mark(b'}');
        self.points.write(mark, out, &mut self.warnings);
    }

    /// The mark on a part.
    pub(super) fn mark_of(&mut self, part: &Part<'_>) -> Option<Mark> {
        marks::mark(part.cache_control, part.prompt_cache_breakpoint, &mut self.warnings)
    }

    /// The mark on a whole message.
    pub(super) fn mark_on(&mut self, message: &Message<'_>) -> Option<Mark> {
        marks::on_message(message, &mut self.warnings)
    }
}

/// Begins a member of the object that `out` ends in.
pub(super) fn member(out: &mut Vec<u8>, name: &str) {
    if out.last() != Some(&b'{') {
        out.mark(b',');
    }
    out.mark(b'"');
    out.put(name.as_bytes());
    out.put(b"\":");
}
