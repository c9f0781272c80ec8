//! Patterns of a configuration: a small language, since regular expressions would take as much room in
//! the module as all of [`pii`](super::pii) many times over.
//!
//! | in a pattern | stands for |
//! |---|---|
//! | `#` | a digit |
//! | `@` | a letter, `a` to `z` in either case |
//! | `?` | a letter or a digit |
//! | `*` | one to 64 letters, digits, hyphens or underscores, as many as there are |
//! | `\` | the next character itself |
//! | any other | itself |
//!
//! What it matches is never a part of a longer word: `EMP-######` is not found in `TEMP-123456`, nor in
//! `EMP-1234567`.

use super::redact::MARGIN;
use super::{begins, byte, goes_on, is_word, run};

/// Longest pattern, in characters.
pub const MAX_SHAPE: usize = 64;

/// Fewest things that a pattern stands for: a shorter one is found everywhere.
const MIN_SHAPE: usize = 3;

/// Most characters that a `*` stands for.
const MAX_MANY: usize = 64;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(Vec<Item>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Digit,
    Letter,
    Either,
    Many,
    Itself(u8),
}

impl Shape {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            items.push(match byte {
                b'#' => Item::Digit,
                b'@' => Item::Letter,
                b'?' => Item::Either,
                b'*' => Item::Many,
                b'\\' => {
                    Item::Itself(bytes.next().ok_or("ends with a \\, behind which nothing stands")?)
                }
                byte => Item::Itself(byte),
            });
        }
        if items.len() < MIN_SHAPE || text.chars().count() > MAX_SHAPE {
            return Err(format!("must stand for {MIN_SHAPE} to {MAX_SHAPE} characters"));
        }
        let most: usize =
            items.iter().map(|item| if *item == Item::Many { MAX_MANY } else { 1 }).sum();
        if most > MARGIN {
            return Err(format!("can stand for more than {MARGIN} characters: take fewer *"));
        }
        if items.iter().all(|item| *item == Item::Many) {
            return Err("would take any word".to_owned());
        }
        let eaten = items.windows(2).any(|pair| match pair {
            [Item::Many, Item::Itself(next)] => is_many(*next),
            [Item::Many, _] => true,
            _ => false,
        });
        if eaten {
            return Err("a * takes all letters, digits, hyphens and underscores, so none of them can follow it".to_owned());
        }
        Ok(Self(items))
    }

    /// Where a match that begins at `at` ends.
    pub(super) fn end(&self, text: &[u8], at: usize) -> Option<usize> {
        let mut end = at;
        for item in &self.0 {
            let here = text.get(end)?;
            let taken = match item {
                Item::Digit => here.is_ascii_digit(),
                Item::Letter => here.is_ascii_alphabetic(),
                Item::Either => here.is_ascii_alphanumeric(),
                Item::Itself(byte) => here == byte,
                Item::Many => {
                    end = run(text, end, MAX_MANY, is_many).checked_sub(1)?.max(end);
                    is_many(*here)
                }
            };
            if !taken {
                return None;
            }
            end += 1;
        }
        let inside = is_word(byte(text, at)) && !begins(text, at)
            || is_word(byte(text, end - 1)) && goes_on(text, end);
        (!inside).then_some(end)
    }
}

const fn is_many(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}
