//! Marks for the prompt cache, as members of what they are about.

use crate::openai::json::Append;
use crate::providers::claude::marks::{MAX_MARKS, Mark};
use crate::providers::warnings::Warnings;

/// How many more marks a request may have. The first ones count: they stand for the longest-lived
/// part of the prompt.
#[derive(Debug)]
pub(super) struct Marks {
    left: u8,
}

impl Marks {
    /// None used.
    pub(super) const fn new() -> Self {
        Self { left: MAX_MARKS }
    }

    /// Appends `,"cache_control":…` to an object that has begun, if a mark is wanted and left.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, mark: Option<Mark>, warnings: &mut Warnings) {
        let Some(mark) = mark else { return };
        let Some(left) = self.left.checked_sub(1) else {
            warnings.dropped("cache_control");
            return;
        };
        self.left = left;
        out.put(match mark {
            Mark::Default => br#","cache_control":{"type":"ephemeral"}"#.as_slice(),
            Mark::Minutes5 => br#","cache_control":{"type":"ephemeral","ttl":"5m"}"#,
            Mark::Hour => br#","cache_control":{"type":"ephemeral","ttl":"1h"}"#,
        });
    }
}
