//! Names of whoever asks: short enough to stand whole in a record, so that the account of a name and the
//! record of it are the same, whoever reads which.

use std::fmt::Write as _;
use std::rc::Rc;

use sha2::{Digest as _, Sha256};

/// Longest name that is kept as it came, in bytes as a record writes them. What is longer is cut, and then
/// is longer than this: no name passes for another one that was cut.
pub const MAX_WHOLE_BYTES: usize = 222;

/// Longest name that is kept, in bytes as a record writes them.
pub const MAX_KEPT_BYTES: usize = MAX_WHOLE_BYTES + 1 + 2 * DIGEST;

/// How much of the digest of a name is kept, in bytes.
const DIGEST: usize = 16;

/// Most of a name that its digest is made of, in bytes, beside its length: a body may be one name.
pub const MAX_READ_BYTES: usize = 64 << 10;

/// The most bytes that a record writes for one of a name.
const WIDEST: usize = 6;

/// A name as accounts, records, metrics and traces have it: of a longer one the beginning, `~` and 32 hex
/// digits of its SHA-256. Each name is given to this once, where it comes in.
#[must_use]
pub fn kept(name: &str) -> Rc<str> {
    if name.len() <= MAX_WHOLE_BYTES / WIDEST {
        return name.into();
    }
    let mut written = 0;
    let over = name.char_indices().find(|(_, c)| {
        written += width(*c);
        written > MAX_WHOLE_BYTES
    });
    let Some((end, _)) = over else { return name.into() };
    let bytes = name.as_bytes();
    let read = bytes.get(..MAX_READ_BYTES).unwrap_or(bytes);
    let length = (bytes.len() as u64).to_be_bytes();
    let digest = Sha256::new().chain_update(length).chain_update(read).finalize();
    let mut cut = String::with_capacity(MAX_KEPT_BYTES);
    cut.push_str(name.get(..end).unwrap_or_default());
    cut.push('~');
    for byte in digest.iter().take(DIGEST) {
        // Writing to a String cannot fail.
        let _ = write!(cut, "{byte:02x}");
    }
    cut.into()
}

/// How many bytes a record writes for a character: JSON's escapes, and those of whatever ends a line.
const fn width(c: char) -> usize {
    match c {
        '"' | '\\' => 2,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => WIDEST,
        _ => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_name_that_fits_is_kept_as_it_is() {
        for name in ["", "ann", &"x".repeat(MAX_WHOLE_BYTES), &"\"".repeat(MAX_WHOLE_BYTES / 2)] {
            assert_eq!(&*kept(name), name);
        }
    }

    #[test]
    fn of_a_longer_name_the_beginning_and_its_digest_are_kept() {
        let long = "x".repeat(MAX_WHOLE_BYTES + 1);
        // { printf '\0\0\0\0\0\0\0\337'; printf '%0223d' 0 | tr 0 x; } | sha256sum
        let digest = "50c048c2f52df8a4d4fb2a042c85ae93";
        assert_eq!(&*kept(&long), format!("{}~{digest}", "x".repeat(MAX_WHOLE_BYTES)));
        let other = format!("{}y", "x".repeat(MAX_WHOLE_BYTES));
        assert_ne!(kept(&long), kept(&other));
    }

    #[test]
    fn no_name_passes_for_one_that_was_cut() {
        for c in ['x', '"', '\n', 'é', '例', '😀', '\u{2028}'] {
            let cut = kept(&c.to_string().repeat(300));
            let written: usize = cut.chars().map(width).sum();
            assert!((MAX_WHOLE_BYTES + 1..=MAX_KEPT_BYTES).contains(&written), "{c:?} {written}");
            assert_ne!(kept(&cut), cut);
        }
    }

    #[test]
    fn names_are_told_apart_by_their_first_bytes_and_their_length() {
        let [long, shorter] = [0, 1].map(|less| "x".repeat(MAX_READ_BYTES - less));
        let all = [&*shorter, &*long, &format!("{long}y"), &format!("{long}yy")].map(kept);
        assert!(all.iter().enumerate().all(|(at, name)| !all[..at].contains(name)));
        assert_eq!(kept(&format!("{long}y")), kept(&format!("{long}z")));
    }
}
