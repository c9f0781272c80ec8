//! Characters that look like others: values are found however they are typeset.

/// A text with plain characters in the place of those that only look different, and without those that
/// are not seen at all.
pub(super) struct Folded {
    /// The text.
    pub text: String,
    /// A place in it, and the place in the original that it stands for; from there on they go along.
    places: Vec<(usize, usize)>,
}

impl Folded {
    /// Nothing where there is nothing to fold.
    pub fn new(text: &str) -> Option<Self> {
        let first = text.char_indices().find(|(_, c)| fold(*c) != Some(*c))?.0;
        let (before, rest) = text.split_at_checked(first)?;
        let mut folded = Self { text: before.to_owned(), places: Vec::new() };
        folded.text.reserve(rest.len());
        for (at, c) in rest.char_indices() {
            let plain = fold(c);
            folded.text.extend(plain);
            if plain != Some(c) {
                folded.places.push((folded.text.len(), first + at + c.len_utf8()));
            }
        }
        Some(folded)
    }

    /// The place in the original of one in the text.
    pub fn place(&self, at: usize) -> usize {
        let after = self.places.partition_point(|(folded, _)| *folded <= at);
        let last = after.checked_sub(1).and_then(|last| self.places.get(last));
        last.map_or(at, |(folded, original)| original + (at - folded))
    }
}

/// The plain character for one, if it is seen: spaces and hyphens at which no line is broken, as models
/// write them in numbers; wide letters, digits and signs; and nothing for what has no width.
const fn fold(c: char) -> Option<char> {
    match c {
        '\0'..='\u{9f}' => Some(c),
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{3000}' => Some(' '),
        '\u{2010}'..='\u{2012}' | '\u{2212}' => Some('-'),
        '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' => None,
        '＋' => Some('+'),
        '－' => Some('-'),
        '．' => Some('.'),
        '＠' => Some('@'),
        '０'..='９' | 'Ａ'..='Ｚ' | 'ａ'..='ｚ' => match char::from_u32(c as u32 - 0xfee0) {
            Some(plain) => Some(plain),
            None => Some(c),
        },
        _ => Some(c),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn places_lead_back_to_the_characters_they_stand_for() {
        assert!(Folded::new("plain é 例").is_none());
        let text = "é\u{a0}１a\u{200b}b\u{ad}";
        let folded = Folded::new(text).unwrap();
        assert_eq!(folded.text, "é 1ab");
        let places: Vec<usize> = (0..=folded.text.len()).map(|at| folded.place(at)).collect();
        assert_eq!(places, [0, 1, 2, 4, 7, 11, 14]);
        assert_eq!(text.len(), 14);
    }
}
