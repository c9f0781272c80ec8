//! Looks for what should not be in a text, and takes it out.
//!
//! ```text
//!  text ──► Finder ──► spans ──► redact ──► text with [email] in the place of an address
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `fold` | characters that look like others |
//! | [`kind`] | what is looked for, by names |
//! | [`pii`] | addresses, numbers and keys, each by its own rules |
//! | [`shape`] | patterns of a configuration |
//! | [`redact`] | a text without what was found |
//!
//! All of it is linear in the text, whatever that is: each look forward or back has a bound, and a search
//! without one ends the text or goes on behind what it found.

mod fold;
pub mod kind;
pub mod pii;
pub mod redact;
pub mod shape;

use fold::Folded;

pub use kind::Kind;
pub use redact::redact;
pub use shape::Shape;

/// A place in a text, and what was found there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// Where it begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What it is: a kind's word or a shape's name.
    pub name: &'a str,
}

/// Looks for some kinds and shapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finder {
    /// What is looked for, in any order.
    pub kinds: Vec<Kind>,
    /// Patterns of the configuration, with their names. They come before kinds.
    pub shapes: Vec<(String, Shape)>,
}

impl Finder {
    /// One that looks for all kinds.
    #[must_use]
    pub fn everything() -> Self {
        Self { kinds: Kind::ALL.to_vec(), shapes: Vec::new() }
    }

    /// Everything that is found, from the beginning on. Nothing overlaps.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Span<'_>> {
        let Some(folded) = Folded::new(text) else { return self.find_in(text) };
        let mut found = self.find_in(&folded.text);
        for span in &mut found {
            (span.start, span.end) = (folded.place(span.start), folded.place(span.end));
        }
        found
    }

    fn find_in(&self, text: &str) -> Vec<Span<'_>> {
        let bytes = text.as_bytes();
        let mut found: Vec<Span<'_>> = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let Some(mut span) = self.found_at(bytes, at) else {
                at += 1;
                continue;
            };
            // An address is known by its @, and begins before it.
            while found.pop_if(|last| last.start >= span.start).is_some() {}
            span.start = found.last().map_or(span.start, |last| span.start.max(last.end));
            at = span.end.max(at + 1);
            if text.is_char_boundary(span.start) && text.is_char_boundary(span.end) {
                found.push(span);
            }
        }
        found
    }

    fn found_at(&self, text: &[u8], at: usize) -> Option<Span<'_>> {
        for (name, shape) in &self.shapes {
            if let Some(end) = shape.end(text, at) {
                return Some(Span { start: at, end, name });
            }
        }
        let (kind, start, end) = pii::found_at(text, at, &self.kinds)?;
        Some(Span { start, end, name: kind.word() })
    }
}

/// The byte at a place; a space beyond either end.
fn byte(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(b' ')
}

/// The byte before a place.
fn before(text: &[u8], at: usize) -> u8 {
    at.checked_sub(1).map_or(b' ', |at| byte(text, at))
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether a word may begin here. What stands behind `\n`, `\r` or `\t` in JSON that is a text itself
/// begins one too.
fn begins(text: &[u8], at: usize) -> bool {
    let last = before(text, at);
    !is_word(last)
        || (matches!(last, b'n' | b'r' | b't')
            && at.checked_sub(2).is_some_and(|at| byte(text, at) == b'\\'))
}

/// The end of a run of bytes from `at` on, at most `most` of them.
fn run(text: &[u8], at: usize, most: usize, of: fn(u8) -> bool) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take(most).take_while(|byte| of(**byte)).count()
}

#[cfg(test)]
mod tests;
