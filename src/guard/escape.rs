//! Characters that are written as something else: in the escapes of addresses, of markup and of programs.

/// Most bytes of a number or a name in an escape, zeros before it included.
const MAX_CODE: usize = 12;

/// Most backslashes that count as one: JSON within JSON within a text has more of them.
const MAX_BACKSLASHES: usize = 8;

/// Characters with names in HTML that stand in what is looked for or around it; and `&`, since escapes are
/// escaped too. What has no width is folded away.
const NAMES: [(&[u8], char); 31] = [
    (b"amp", '&'),
    (b"apos", '\''),
    (b"colon", ':'),
    (b"commat", '@'),
    (b"dash", '-'),
    (b"emsp", ' '),
    (b"ensp", ' '),
    (b"equals", '='),
    (b"gt", '>'),
    (b"hyphen", '-'),
    (b"lowbar", '_'),
    (b"lpar", '('),
    (b"lsqb", '['),
    (b"lt", '<'),
    (b"minus", '-'),
    (b"nbsp", ' '),
    (b"ndash", '-'),
    (b"num", '#'),
    (b"percnt", '%'),
    (b"period", '.'),
    (b"plus", '+'),
    (b"quot", '"'),
    (b"rpar", ')'),
    (b"rsqb", ']'),
    (b"shy", '\u{ad}'),
    (b"sol", '/'),
    (b"thinsp", ' '),
    (b"NewLine", '\n'),
    (b"ZeroWidthSpace", '\u{200b}'),
    (b"zwj", '\u{200d}'),
    (b"zwnj", '\u{200c}'),
];

/// The character that an escape at the beginning of `text` stands for, and how many bytes that takes:
/// `%40`, `&#64;`, `&#x40;`, `&commat;`, `\u0040`, `\u{40}`, `\x40`, `\U00000040`.
pub(super) fn escaped(text: &[u8]) -> Option<(char, usize)> {
    match text.first()? {
        b'%' => percent(text),
        b'&' => entity(text),
        b'\\' => backslash(text),
        _ => None,
    }
}

/// A byte in an address, or several that are a character together: RFC 3986, 2.1.
fn percent(text: &[u8]) -> Option<(char, usize)> {
    let mut bytes = [0; 4];
    let mut length = 1;
    let mut at = 0;
    while at < length {
        let here = text.get(at * 3..at * 3 + 3)?.strip_prefix(b"%")?;
        let Some((code, 2)) = number(here, 16, 2) else { return None };
        let byte = u8::try_from(code).ok()?;
        if at == 0 {
            length = match byte {
                ..0x80 => 1,
                0xc2..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf4 => 4,
                _ => return None,
            };
        }
        *bytes.get_mut(at)? = byte;
        at += 1;
    }
    let character = std::str::from_utf8(bytes.get(..length)?).ok()?.chars().next()?;
    Some((character, length * 3))
}

/// A reference to a character in HTML. One by number needs no semicolon.
fn entity(text: &[u8]) -> Option<(char, usize)> {
    let (code, before) = match text.get(1..)? {
        [b'#', b'x' | b'X', code @ ..] => (number(code, 16, MAX_CODE)?, 3),
        [b'#', code @ ..] => (number(code, 10, MAX_CODE)?, 2),
        name => {
            let entry = NAMES.iter().find(|(known, _)| {
                name.strip_prefix(*known).is_some_and(|rest| rest.first() == Some(&b';'))
            });
            return entry.map(|(name, character)| (*character, name.len() + 2));
        }
    };
    let end = before + code.1;
    let end = if text.get(end) == Some(&b';') { end + 1 } else { end };
    Some((char::from_u32(code.0)?, end))
}

/// A character in a text of JSON, of JavaScript, of Python and their like.
fn backslash(text: &[u8]) -> Option<(char, usize)> {
    let slashes = text.iter().take(MAX_BACKSLASHES).take_while(|byte| **byte == b'\\').count();
    let (digits, braced) = match text.get(slashes..)? {
        [b'u' | b'x', b'{', ..] => (MAX_CODE, true),
        [b'u', ..] => (4, false),
        [b'x', ..] => (2, false),
        [b'U', ..] => (8, false),
        _ => return None,
    };
    let from = slashes + 1 + usize::from(braced);
    let (code, length) = number(text.get(from..)?, 16, digits)?;
    let whole = if braced { text.get(from + length) == Some(&b'}') } else { length == digits };
    let character = char::from_u32(code).filter(|_| whole)?;
    Some((character, from + length + usize::from(braced)))
}

/// A number of at most so many digits, and how many it has.
fn number(text: &[u8], radix: u32, most: usize) -> Option<(u32, usize)> {
    let mut value = 0_u64;
    let mut length = 0;
    for byte in text.iter().take(most) {
        let Some(digit) = char::from(*byte).to_digit(radix) else { break };
        value = value * u64::from(radix) + u64::from(digit);
        length += 1;
    }
    if length == 0 { None } else { Some((u32::try_from(value).ok()?, length)) }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn an_escape_is_a_character_and_its_length() {
        for (text, expected) in [
            ("%40x", Some(('@', 3))),
            ("%2e", Some(('.', 3))),
            ("%C3%BC", Some(('ü', 6))),
            ("%EF%BC%A0", Some(('＠', 9))),
            ("%F0%9D%9F%92", Some(('𝟒', 12))),
            ("&#64;", Some(('@', 5))),
            ("&#64 ", Some(('@', 4))),
            ("&#000000000064", Some(('@', 14))),
            ("&#x40;", Some(('@', 6))),
            ("&#X0040;", Some(('@', 8))),
            ("&commat;", Some(('@', 8))),
            (r"\u0040", Some(('@', 6))),
            (r"\\\\u0040", Some(('@', 9))),
            (r"\x40", Some(('@', 4))),
            (r"\u{40}", Some(('@', 6))),
            (r"\x{00000000040}", Some(('@', 15))),
            (r"\U00000040", Some(('@', 10))),
            ("40", None),
            ("", None),
            ("%", None),
            ("%4", None),
            ("%4g", None),
            ("%C3", None),
            ("%C3%", None),
            ("%C3x40", None),
            ("%C3%28", None),
            ("%FF", None),
            ("&", None),
            ("&#", None),
            ("&#;", None),
            ("&#x", None),
            ("&commat", None),
            ("&nobody;", None),
            ("&#x110000;", None),
            ("&#999999999999;", None),
            (r"\", None),
            (r"\u", None),
            (r"\u004", None),
            (r"\u{", None),
            (r"\u{}", None),
            (r"\u{40", None),
            (r"\ud800", None),
            (r"\n", None),
        ] {
            assert_eq!(escaped(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn no_more_of_an_escape_is_read_than_its_bounds() {
        let zeros = |count: usize| format!("&#{}64;", "0".repeat(count - 2));
        assert_eq!(escaped(zeros(MAX_CODE).as_bytes()), Some(('@', MAX_CODE + 3)));
        assert_ne!(escaped(zeros(MAX_CODE + 1).as_bytes()).map(|(found, _)| found), Some('@'));
        let slashes = |count: usize| format!("{}u0040", r"\".repeat(count));
        assert_eq!(escaped(slashes(MAX_BACKSLASHES).as_bytes()), Some(('@', MAX_BACKSLASHES + 5)));
        assert_eq!(escaped(slashes(MAX_BACKSLASHES + 1).as_bytes()), None);
    }
}
