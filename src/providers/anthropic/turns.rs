//! What the turns of both speakers are written with.

use super::Host;
use super::cache::Marks;
use crate::openai::Chat;
use crate::openai::json::{Append, separate};
use crate::openai::message::Part;
use crate::providers::Target;
use crate::providers::claude::marks::{self, Mark};
use crate::providers::ids::{self, Form, Ids};
use crate::providers::warnings::Warnings;

/// The API takes letters, digits, `_` and `-`. It names no length; an id that carries a signature is
/// longer than any of its own.
pub(super) const IDS: Form =
    Form { fits: |id| id.len() <= 128 && ids::is_plain(id), prefix: "waypost_", letters: 10 };

/// Writes the turns of one request.
pub(super) struct Turns<'c, 'a> {
    pub(super) chat: &'c Chat<'a>,
    pub(super) target: &'c Target<'c>,
    pub(super) host: Host,
    pub(super) ids: Ids,
    pub(super) marks: Marks,
    pub(super) warnings: Warnings,
}

impl Turns<'_, '_> {
    /// Appends a text block. `written` is a JSON string.
    pub(super) fn write_text(&mut self, written: &str, mark: Option<Mark>, out: &mut Vec<u8>) {
        separate(out);
        out.put(br#"{"type":"text","text":"#);
        out.put(written.as_bytes());
        self.marks.write(out, mark, &mut self.warnings);
        out.mark(b'}');
    }

    /// The mark on a part.
    pub(super) fn mark_of(&mut self, part: &Part<'_>) -> Option<Mark> {
        marks::mark(part.cache_control, part.prompt_cache_breakpoint, &mut self.warnings)
    }
}
