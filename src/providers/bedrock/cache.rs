//! Marks for the prompt cache: blocks of their own, behind what they are about.

use super::family::Family;
use crate::openai::json::{Append, separate};
use crate::providers::Target;
use crate::providers::catalogue::Capability;
use crate::providers::claude::marks::{MAX_MARKS, Mark};
use crate::providers::warnings::Warnings;

/// How many more marks a request may have. The first ones count: they stand for the longest-lived
/// part of the prompt.
#[derive(Debug)]
pub(super) struct Points {
    left: u8,
    /// Whether an hour can be asked for.
    hour: bool,
}

impl Points {
    /// None used. A model without a prompt cache refuses a mark.
    pub(super) fn new(target: &Target<'_>, family: Family) -> Self {
        let has_cache = target.facts.capabilities.has(Capability::PromptCaching);
        Self { left: if has_cache { MAX_MARKS } else { 0 }, hour: family != Family::Nova }
    }

    /// Appends a mark, if one is wanted and left.
    pub(super) fn write(&mut self, mark: Option<Mark>, out: &mut Vec<u8>, warnings: &mut Warnings) {
        let Some(mark) = mark else { return };
        let Some(left) = self.left.checked_sub(1) else {
            warnings.dropped("cache_control");
            return;
        };
        self.left = left;
        separate(out);
        out.put(match mark {
            Mark::Hour if self.hour => {
                br#"{"cachePoint":{"type":"default","ttl":"1h"}}"#.as_slice()
            }
            // Five minutes are what the API does by itself, and not every model takes the word.
            Mark::Default | Mark::Minutes5 => br#"{"cachePoint":{"type":"default"}}"#,
            Mark::Hour => {
                warnings.dropped("cache_control.ttl");
                br#"{"cachePoint":{"type":"default"}}"#
            }
        });
    }
}
