//! Marks for the prompt cache, in OpenAI's words or Anthropic's own.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::openai::message::Message;
use crate::providers::warnings::Warnings;

/// Most marks the API takes in one request.
pub(crate) const MAX_MARKS: u8 = 4;

/// How long the prompt so far is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// As long as the API does by itself: five minutes.
    Default,
    /// Five minutes.
    Minutes5,
    /// An hour, which costs more to write.
    Hour,
}

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
        out.extend_from_slice(match mark {
            Mark::Default => br#","cache_control":{"type":"ephemeral"}"#.as_slice(),
            Mark::Minutes5 => br#","cache_control":{"type":"ephemeral","ttl":"5m"}"#,
            Mark::Hour => br#","cache_control":{"type":"ephemeral","ttl":"1h"}"#,
        });
    }
}

/// The mark that `cache_control` or OpenAI's `prompt_cache_breakpoint` asks for. Thirty minutes
/// become an hour, the shortest time that is not shorter than asked; so do twelve hours, the
/// longest there is.
pub(crate) fn mark(
    cache_control: Option<&RawValue>,
    breakpoint: Option<&RawValue>,
    warnings: &mut Warnings,
) -> Option<Mark> {
    #[derive(Deserialize)]
    struct Wanted<'a> {
        ttl: Option<&'a str>,
    }
    let raw = cache_control.or(breakpoint)?;
    let Ok(wanted) = serde_json::from_str::<Wanted<'_>>(raw.get()) else {
        warnings.dropped("cache_control");
        return None;
    };
    Some(match wanted.ttl {
        None => Mark::Default,
        Some("5m") => Mark::Minutes5,
        Some("1h") => Mark::Hour,
        Some("30m" | "12h") => {
            warnings.changed("prompt_cache_breakpoint.ttl", "1h");
            Mark::Hour
        }
        Some(_) => {
            warnings.dropped("cache_control.ttl");
            Mark::Default
        }
    })
}

/// The mark on a whole message, which many clients send with a plain string.
pub(crate) fn on_message(message: &Message<'_>, warnings: &mut Warnings) -> Option<Mark> {
    let (_, raw) = message.rest.iter().find(|(name, _)| name == "cache_control")?;
    mark(crate::openai::message::present(raw), None, warnings)
}
