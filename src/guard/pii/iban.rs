//! Bank accounts.

use super::{ends, is_glued};
use crate::guard::byte;

/// The length of an account of each country: the registry of ISO 13616.
const LENGTHS: &[u8] = b"AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";

/// Fewest digits of one in small letters, without the check digits: fewer could be words.
const FEWEST_DIGITS: usize = 8;

/// Where an account that begins at `at` ends: its country's length, in either case, with or without
/// single separators, and right by its check digits.
pub fn end(text: &[u8], at: usize) -> Option<usize> {
    if is_glued(text, at) || !byte(text, at + 2).is_ascii_digit() {
        return None;
    }
    let country = text.get(at..at + 2)?;
    let entry = LENGTHS
        .chunks_exact(4)
        .find(|entry| entry.get(..2).is_some_and(|known| known.eq_ignore_ascii_case(country)))?;
    let length = entry.get(2..)?.iter().fold(0, |all, digit| all * 10 + usize::from(digit - b'0'));
    let mut account = Vec::with_capacity(34);
    let (mut end, mut digits, mut small) = (at, 0, false);
    while account.len() < length {
        match byte(text, end) {
            byte if byte.is_ascii_alphanumeric() => {
                digits += usize::from(byte.is_ascii_digit());
                small |= byte.is_ascii_lowercase();
                account.push(byte.to_ascii_uppercase());
            }
            b' ' | b'-' | b'.' | b'+'
                if text.get(end + 1).is_some_and(u8::is_ascii_alphanumeric) => {}
            _ => return None,
        }
        end += 1;
    }
    if small && digits < FEWEST_DIGITS + 2 {
        return None;
    }
    account.rotate_left(4);
    let rest = account.iter().fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    });
    (rest == 1 && ends(text, end)).then_some(end)
}
