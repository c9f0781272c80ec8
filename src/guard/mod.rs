//! Looks for what should not be in a text, and takes it out.
//!
//! ```text
//!  text ──► Finder ──► spans ──► redact ──► text with [email] in the place of an address
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `escape` | characters that are written as something else |
//! | `fold` | characters that look like others |
//! | [`kind`] | what is looked for, by names |
//! | [`pii`] | addresses, numbers and keys, each by its own rules |
//! | [`shape`] | patterns of a configuration |
//! | [`redact`] | a text without what was found |
//!
//! All of it is linear in the text, whatever that is: each look forward or back has a bound, and a search
//! without one ends the text or goes on behind what it found.

mod escape;
mod fold;
pub mod kind;
pub mod pii;
pub mod redact;
pub mod shape;

use fold::Folded;

pub use kind::Kind;
pub use redact::redact;
pub use shape::Shape;

/// How often what is escaped may be escaped again: links within links within a page.
pub const MAX_ESCAPES: usize = 4;

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

    /// Everything that is found, from the beginning on. Nothing overlaps. It is looked for in the text as
    /// it stands there, and as it is read: an escape may hide a value, or be a part of one by chance.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Span<'_>> {
        let mut views: Vec<Folded> = Folded::new(text).into_iter().collect();
        let mut found = self.find_through(&views, text);
        for _ in 0..MAX_ESCAPES {
            let Some(read) = Folded::read(last(&views, text)) else { break };
            views.push(read);
            found = union(found, self.find_through(&views, text));
        }
        found
    }

    /// What is found in the last view, by its places in the text.
    fn find_through(&self, views: &[Folded], text: &str) -> Vec<Span<'_>> {
        let mut found = self.find_in(last(views, text));
        for span in &mut found {
            for view in views.iter().rev() {
                (span.start, span.end) = (view.place(span.start), view.place(span.end));
            }
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

/// Most underscores of emphasis: `___so___` in Markdown.
const MAX_EMPHASIS: usize = 3;

/// The last view of a text, else the text itself.
fn last<'a>(views: &'a [Folded], text: &'a str) -> &'a str {
    views.last().map_or(text, |view| &view.text)
}

/// What either found, in order. Where they overlap it is one, called as the longer of the two.
fn union<'a>(one: Vec<Span<'a>>, other: Vec<Span<'a>>) -> Vec<Span<'a>> {
    let mut all: Vec<Span<'a>> = Vec::with_capacity(one.len().max(other.len()));
    let (mut one, mut other) = (one.into_iter().peekable(), other.into_iter().peekable());
    loop {
        let is_other = match (one.peek(), other.peek()) {
            (Some(one), Some(other)) => other.start < one.start,
            (one, _) => one.is_none(),
        };
        let Some(span) = (if is_other { other.next() } else { one.next() }) else { return all };
        match all.last_mut() {
            Some(last) if span.start < last.end => {
                if span.end - span.start > last.end - last.start {
                    last.name = span.name;
                }
                last.end = last.end.max(span.end);
            }
            _ => all.push(span),
        }
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
/// begins one too, and what stands behind the underscores of emphasis.
fn begins(text: &[u8], at: usize) -> bool {
    match before(text, at) {
        b'n' | b'r' | b't' => at.checked_sub(2).is_some_and(|at| byte(text, at) == b'\\'),
        b'_' => (2..=MAX_EMPHASIS + 1)
            .find_map(|back| match at.checked_sub(back).map_or(b' ', |at| byte(text, at)) {
                b'_' => None,
                other => Some(!is_word(other)),
            })
            .unwrap_or(false),
        last => !is_word(last),
    }
}

/// Whether a word goes on here; underscores of emphasis end it.
fn goes_on(text: &[u8], at: usize) -> bool {
    match byte(text, at) {
        b'_' => {
            let end = run(text, at, MAX_EMPHASIS, |byte| byte == b'_');
            is_word(byte(text, end))
        }
        next => is_word(next),
    }
}

/// The end of a run of bytes from `at` on, at most `most` of them.
fn run(text: &[u8], at: usize, most: usize, of: fn(u8) -> bool) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take(most).take_while(|byte| of(**byte)).count()
}

#[cfg(test)]
mod tests;
