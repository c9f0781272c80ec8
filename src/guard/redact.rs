//! A text without what was found in it.

use super::Finder;

/// How much more of a text is looked at than is kept, in bytes: longer than all that is found by more than
/// its beginning, so that no half of it is kept at the end.
pub const MARGIN: usize = 512;

/// How much of the end of a text that is cut may be half an escape, in bytes.
const HALF: usize = 24;

/// The beginning of `text` with `[email]` and the like in the place of what is found, at most `most` bytes
/// long; and whether that is all of it. Looks at no more than `most` and [`MARGIN`] bytes.
#[must_use]
pub fn redact(text: &str, finder: &Finder, most: usize) -> (String, bool) {
    let seen = upto(text, most.saturating_add(MARGIN));
    let whole = seen.len() == text.len();
    let seen = if whole { seen } else { without_half(seen) };
    let end = if whole { seen.len() } else { upto(seen, most).len() };
    let mut kept = String::with_capacity(end);
    let mut at = 0;
    for span in finder.find(seen) {
        if span.start >= end {
            break;
        }
        kept.push_str(seen.get(at..span.start).unwrap_or_default());
        kept.push('[');
        kept.push_str(span.name);
        kept.push(']');
        at = span.end;
    }
    kept.push_str(seen.get(at..end).unwrap_or_default());
    let fits = upto(&kept, most).len();
    let whole = whole && fits == kept.len();
    kept.truncate(fits);
    (kept, whole)
}

/// A text that is cut, without an escape that may be cut at its end: a value that goes on to the end is
/// known by that.
fn without_half(text: &str) -> &str {
    let from = text.floor_char_boundary(text.len().saturating_sub(HALF));
    let escape = text.get(from..).and_then(|tail| tail.find(['%', '&', '\\']));
    let kept = escape.and_then(|at| text.get(..from + at));
    kept.map_or(text, |kept| kept.trim_end_matches('\\'))
}

/// The beginning of a text: at most so many bytes, and whole characters.
fn upto(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}
