//! Characters that look like others: values are found however they are typeset.

use memchr::memchr3;

use super::escape::escaped;

/// Where the ten digits begin of scripts that write numbers in them, from the Arabic to the Mongolian.
const ZEROS: [u32; 18] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50,
    0xed0, 0xf20, 0x1040, 0x17e0, 0x1810,
];

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
        let first = text.char_indices().find(|(_, c)| *c == POINT || fold(*c) != Some(*c))?.0;
        let (before, rest) = text.split_at_checked(first)?;
        let mut folded = Self { text: before.to_owned(), places: Vec::new() };
        folded.text.reserve(rest.len());
        let mut rest = rest.chars();
        let mut at = first;
        while let Some(c) = rest.next() {
            at += c.len_utf8();
            let plain = if c == POINT { folded.point(rest.clone().next()) } else { fold(c) };
            if plain == Some(c) {
                folded.text.push(c);
            } else {
                folded.push(plain, at);
            }
        }
        Some(folded)
    }

    /// The text with characters in the place of their escapes; nothing where there are none. What is
    /// escaped twice is escaped once then.
    pub fn read(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let mut folded = Self { text: String::new(), places: Vec::new() };
        let (mut done, mut at) = (0, 0);
        while let Some(next) = memchr3(b'%', b'&', b'\\', bytes.get(at..).unwrap_or_default()) {
            at += next;
            let Some((c, length)) = escaped(bytes.get(at..).unwrap_or_default()) else {
                at += 1;
                continue;
            };
            folded.text.push_str(text.get(done..at).unwrap_or_default());
            at += length;
            done = at;
            folded.push(fold(c), done);
        }
        folded.text.push_str(text.get(done..).unwrap_or_default());
        (done > 0).then_some(folded)
    }

    /// What something in the original that ends at `end` stands for.
    fn push(&mut self, plain: Option<char>, end: usize) {
        self.text.extend(plain);
        self.places.push((self.text.len(), end));
    }

    /// The point of ideographs parts domains too: RFC 3490, 3.1. Else it ends a sentence.
    fn point(&self, next: Option<char>) -> Option<char> {
        let before = self.text.bytes().next_back().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let after = next.and_then(fold).is_some_and(|c| c.is_ascii_alphanumeric());
        Some(if before && after { '.' } else { POINT })
    }

    /// The place in the original of one in the text.
    pub fn place(&self, at: usize) -> usize {
        let after = self.places.partition_point(|(folded, _)| *folded <= at);
        let last = after.checked_sub(1).and_then(|last| self.places.get(last));
        last.map_or(at, |(folded, original)| original + (at - folded))
    }
}

const POINT: char = '。';

/// The plain character for one, if it is seen: spaces and hyphens at which no line is broken, as models
/// write them in numbers; wide letters, digits and signs, and those of mathematics; the digits of other
/// scripts; and nothing for what has no width or only says where a text runs.
fn fold(c: char) -> Option<char> {
    let ascii = |code: u32| char::from_u32(code).or(Some(c));
    match c {
        '\0'..='\u{9f}' => Some(c),
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            Some(' ')
        }
        '\u{2010}'..='\u{2013}' | '\u{2212}' | '\u{fe63}' => Some('-'),
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{20e3}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}' => None,
        '\u{660}'..='\u{1819}' => {
            let zero = ZEROS.iter().rev().find(|zero| **zero <= c as u32);
            let digit = zero.map(|zero| c as u32 - zero).filter(|digit| *digit < 10);
            digit.map_or(Some(c), |digit| ascii(u32::from(b'0') + digit))
        }
        '․' | '﹒' | '｡' => Some('.'),
        '﹫' => Some('@'),
        '﹢' => Some('+'),
        '！'..='～' => ascii(c as u32 - 0xfee0),
        '\u{1d400}'..='\u{1d6a3}' => match (c as u32 - 0x1d400) % 52 {
            letter @ 0..26 => ascii(u32::from(b'A') + letter),
            letter => ascii(u32::from(b'a') + letter - 26),
        },
        '\u{1d7ce}'..='\u{1d7ff}' => ascii(u32::from(b'0') + (c as u32 - 0x1d7ce) % 10),
        _ => Some(c),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn places(folded: &Folded) -> Vec<usize> {
        (0..=folded.text.len()).map(|at| folded.place(at)).collect()
    }

    #[test]
    fn places_lead_back_to_the_characters_they_stand_for() {
        assert!(Folded::new("plain é 例").is_none());
        let text = "é\u{a0}１a\u{200b}b\u{ad}";
        let folded = Folded::new(text).unwrap();
        assert_eq!(folded.text, "é 1ab");
        assert_eq!(places(&folded), [0, 1, 2, 4, 7, 11, 14]);
        assert_eq!(text.len(), 14);
    }

    #[test]
    fn escapes_stand_for_characters_and_lead_back_to_themselves() {
        for plain in ["", "100% & more", "\\", "%zz &nobody; \\n"] {
            assert!(Folded::read(plain).is_none(), "{plain}");
        }
        let text = "a%40%b&#x200b;é\\u0041";
        let folded = Folded::read(text).unwrap();
        assert_eq!(folded.text, "a@%béA");
        assert_eq!(places(&folded), [0, 1, 4, 5, 14, 15, 16, 22]);
        assert_eq!(Folded::read("%2540").unwrap().text, "%40");
    }

    #[test]
    fn a_wide_point_is_one_between_labels_and_ends_a_sentence_elsewhere() {
        let text = |text: &str| Folded::new(text).unwrap().text;
        assert_eq!(text("a。b。c１。"), "a.b.c1。");
        assert_eq!(text("例。b。例"), "例。b。例");
    }

    #[test]
    fn digits_of_every_script_are_digits() {
        for zero in ZEROS {
            let all: String = (zero..zero + 10).filter_map(char::from_u32).collect();
            assert!(all.chars().all(char::is_numeric), "{zero:x}");
            assert_eq!(Folded::new(&all).unwrap().text, "0123456789");
            let around = [zero - 1, zero + 10].map(|code| fold(char::from_u32(code).unwrap()));
            assert!(around.iter().flatten().all(|c| !c.is_ascii()), "{zero:x}");
        }
        assert_eq!(Folded::new("𝟘𝟡𝐀𝐳𝒂～！").unwrap().text, "09Aza~!");
    }
}
