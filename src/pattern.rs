//! Texts with `*`.

use std::fmt;

/// A text in which each `*` stands for any characters, none included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern as written.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether there is no `*` in it.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` is such a text. Linear in the text for each `*`.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else {
            return self.0 == text;
        };
        let Some(mut text) = text.strip_prefix(first) else {
            return false;
        };
        let mut pieces = rest.split('*').peekable();
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                return text.ends_with(piece);
            }
            let Some((_, after)) = text.split_once(piece) else {
                return false;
            };
            text = after;
        }
        true
    }

    /// Whether every text that `other` matches is matched by this one too. May miss some.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        // A `*` of the other is a character that no `*`-free piece of this one can match.
        self == other || self.0 == "*" || self.matches(&other.0)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, matches) in [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-*", "gpt-4o", true),
            ("gpt-*", "gpt-", true),
            ("gpt-*", "claude", false),
            ("*-mini", "gpt-4o-mini", true),
            ("*4*-mini", "gpt-4o-mini", true),
            ("*mini*mini", "mini", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("**", "x", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), matches, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_wider_pattern_covers_a_narrower_one() {
        assert!(Pattern::new("gpt-*").covers(&Pattern::new("gpt-4*")));
        assert!(!Pattern::new("gpt-4*").covers(&Pattern::new("gpt-*")));
        assert!(Pattern::new("*").covers(&Pattern::new("x")));
    }

    /// All texts of up to `length` of these letters.
    fn texts(letters: &[u8], length: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut start = 0;
        for _ in 0..length {
            let end = all.len();
            for at in start..end {
                all.extend(
                    letters
                        .iter()
                        .map(|&letter| format!("{}{}", all[at], letter as char))
                        .collect::<Vec<_>>(),
                );
            }
            start = end;
        }
        all
    }

    /// The meaning, written without thought for speed.
    fn plainly(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => plainly(rest, text),
            (Some((b'*', rest)), Some((_, after))) => {
                plainly(rest, text) || plainly(pattern, after)
            }
            (Some((one, rest)), Some((other, after))) => one == other && plainly(rest, after),
            _ => false,
        }
    }

    #[test]
    fn every_short_pattern_means_what_it_says_and_covers_only_what_it_matches() {
        let texts_of = texts(b"ab", 5);
        let patterns: Vec<Pattern> =
            texts(b"ab*", 4).iter().map(|text| Pattern::new(text)).collect();
        let matched: Vec<Vec<bool>> = patterns
            .iter()
            .map(|pattern| texts_of.iter().map(|text| pattern.matches(text)).collect())
            .collect();
        for (pattern, matched) in patterns.iter().zip(&matched) {
            for (text, matches) in texts_of.iter().zip(matched) {
                let meant = plainly(pattern.as_str().as_bytes(), text.as_bytes());
                assert_eq!(*matches, meant, "{pattern} on {text}");
            }
        }
        for (wide, all) in patterns.iter().zip(&matched) {
            for (narrow, some) in patterns.iter().zip(&matched) {
                let holds = all.iter().zip(some).all(|(all, some)| *all || !*some);
                assert!(holds || !wide.covers(narrow), "{wide} does not cover {narrow}");
            }
        }
    }
}
