//! Marks for the prompt cache, in OpenAI's words or Anthropic's own.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::openai::message::{Message, present};
use crate::openai::place::{from_str, members};
use crate::providers::warnings::Warnings;

/// Most marks that are taken in one request.
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

/// The mark that `cache_control` or OpenAI's `prompt_cache_breakpoint` asks for. Thirty minutes
/// become an hour, the shortest time that is not shorter than asked; so do twelve hours, the
/// longest there is.
pub(crate) fn mark(
    cache_control: Option<&RawValue>,
    breakpoint: Option<&RawValue>,
    warnings: &mut Warnings,
) -> Option<Mark> {
    struct Wanted<'a> {
        ttl: Option<Cow<'a, str>>,
    }
    members!(Wanted<'a> { ttl });
    let raw = cache_control.or(breakpoint)?;
    let Ok(wanted) = from_str::<Wanted<'_>>(raw.get()) else {
        warnings.dropped("cache_control");
        return None;
    };
    Some(match wanted.ttl.as_deref() {
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
    mark(present(raw), None, warnings)
}
