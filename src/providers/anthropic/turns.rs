//! What the turns of both speakers are written with.

use super::cache::{self, Mark, Marks};
use super::tools::separate;
use super::warnings::Warnings;
use crate::openai::message::{Message, Part};
use crate::openai::{Chat, Error};
use crate::providers::Target;

/// Writes the turns of one request.
pub(super) struct Turns<'c, 'a> {
    pub(super) chat: &'c Chat<'a>,
    pub(super) target: &'c Target<'c>,
    pub(super) marks: Marks,
    pub(super) warnings: Warnings,
}

impl Turns<'_, '_> {
    /// Appends a text block. `written` is a JSON string.
    pub(super) fn write_text(&mut self, written: &str, mark: Option<Mark>, out: &mut Vec<u8>) {
        separate(out);
        out.extend_from_slice(br#"{"type":"text","text":"#);
        out.extend_from_slice(written.as_bytes());
        self.marks.write(out, mark, &mut self.warnings);
        out.push(b'}');
    }

    /// A speaker's name has no place in the API.
    pub(super) fn drop_name(&mut self, message: &Message<'_>) {
        if message.name.is_some() {
            self.warnings.dropped("messages[].name");
        }
    }

    /// The mark on a part.
    pub(super) fn mark_of(&mut self, part: &Part<'_>) -> Option<Mark> {
        cache::mark(part.cache_control, part.prompt_cache_breakpoint, &mut self.warnings)
    }
}

/// The error with its place inside the message put behind the message's own.
pub(super) fn within(index: usize, error: Error) -> Error {
    let field = error.param.as_deref().unwrap_or_default();
    let param = format!("messages[{index}].{field}");
    let message = error.message.replace(&format!("'{field}'"), &format!("'{param}'"));
    Error { message, ..error }.with_param(param)
}

/// The refusal of a field that `tools` has replaced.
pub(super) fn old_form(param: String) -> Error {
    let message =
        format!("'{param}': the older form of function calls is not translated; use 'tools'.");
    Error::unsupported(param, message)
}
