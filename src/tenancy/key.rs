//! Virtual keys: what a configuration holds of them, and whether a text is one.
//!
//! ```text
//!  wp1 . 0f3a91c2 . 32 hex . 64 hex
//!   │      │         │        └ SHA-256 of the salt's bytes and the key
//!   │      │         └ salt
//!   │      └ handle: the first 8 hex of SHA-256("waypost handle" and the key)
//!   └ version
//! ```
//!
//! The handle finds the entry, so that no more than one is ever compared, and serves as the key's id
//! in records. A key is drawn at random and long, so one round of SHA-256 is enough: there is nothing
//! to guess.

use std::fmt;
use std::hint::black_box;

use sha2::{Digest, Sha256};

/// What every key begins with.
pub const PREFIX: &str = "wp-";

/// Shortest key, in bytes.
pub const MIN_KEY_BYTES: usize = 7;

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 128;

const VERSION: &str = "wp1";
const PURPOSE: &[u8] = b"waypost handle";

/// What a configuration holds of a key, from which the key cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hash {
    handle: Handle,
    salt: [u8; 16],
    digest: [u8; 32],
}

/// The public id of a key. Another key has the same once in four billion times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(u32);

impl Handle {
    /// As a number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The handle of a key.
    #[must_use]
    pub fn of(key: &str) -> Self {
        let digest = Sha256::new().chain_update(PURPOSE).chain_update(key).finalize();
        let first = digest.first_chunk::<4>().copied().unwrap_or_default();
        Self(u32::from_be_bytes(first))
    }
}

/// Eight hex digits.
impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl Hash {
    /// The hash of a key. The salt is drawn at random for each key.
    #[must_use]
    pub fn of(key: &str, salt: [u8; 16]) -> Self {
        Self { handle: Handle::of(key), salt, digest: digest(salt, key) }
    }

    /// Reads `wp1.<handle>.<salt>.<digest>`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        if parts.next() != Some(VERSION) {
            return None;
        }
        let handle = u32::from_be_bytes(hex(parts.next()?)?);
        let (salt, digest) = (hex(parts.next()?)?, hex(parts.next()?)?);
        parts.next().is_none().then_some(Self { handle: Handle(handle), salt, digest })
    }

    /// The id of the key.
    #[must_use]
    pub const fn handle(&self) -> Handle {
        self.handle
    }

    /// Whether it is the hash of `key`. Takes as long for every key of the same length.
    #[must_use]
    pub fn is_of(&self, key: &str) -> bool {
        let given = digest(self.salt, key);
        let differences = given.iter().zip(&self.digest).fold(0, |all, (a, b)| all | (a ^ b));
        black_box(differences) == 0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}.{}.", self.handle)?;
        self.salt.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(".")?;
        self.digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Whether a text has the form of a key.
#[must_use]
pub fn is_key(text: &str) -> bool {
    text.starts_with(PREFIX)
        && (MIN_KEY_BYTES..=MAX_KEY_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic())
}

fn digest(salt: [u8; 16], key: &str) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(key).finalize().into()
}

/// Exactly so many bytes in lower-case hex.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const SALT: [u8; 16] = *b"0123456789abcdef";

    #[test]
    fn a_hash_is_written_and_read_and_is_of_its_key_only() {
        let hash = Hash::of("wp-demo", SALT);
        let text = hash.to_string();
        assert_eq!(Hash::parse(&text).as_ref(), Some(&hash));
        assert!(hash.is_of("wp-demo"));
        for other in ["wp-dem0", "wp-demo ", "wp-demoo", "", "Wp-demo"] {
            assert!(!hash.is_of(other), "{other}");
        }
    }

    #[test]
    fn the_form_is_that_of_any_sha_256() {
        // printf 'waypost handlewp-demo' | sha256sum; printf '0123456789abcdefwp-demo' | sha256sum
        assert_eq!(
            Hash::of("wp-demo", SALT).to_string(),
            "wp1.30fc2a56.30313233343536373839616263646566.d661493026093f1549353d13c860f3b0a1910c12cd2abd6b6b11600338e3f295"
        );
    }

    #[test]
    fn a_text_that_is_no_hash_is_none() {
        let text = Hash::of("wp-demo", SALT).to_string();
        let wrong = [
            text.replace("wp1", "wp2"),
            text.to_uppercase(),
            format!("{text}0"),
            format!("{text}."),
            text.replacen('.', "", 1),
            text.chars().take(text.len() - 2).collect(),
            "wp-demo".to_owned(),
            "wp1...".to_owned(),
            String::new(),
        ];
        for text in wrong {
            assert_eq!(Hash::parse(&text), None, "{text}");
        }
    }

    #[test]
    fn a_key_is_of_visible_characters_and_neither_short_nor_endless() {
        for (text, key) in [
            ("wp-demo", true),
            ("wp-dem", false),
            ("wp-de mo", false),
            ("wp-dém", false),
            ("wq-demo", false),
            ("WP-demo", false),
        ] {
            assert_eq!(is_key(text), key, "{text}");
        }
        let long = |length: usize| format!("wp-{}", "x".repeat(length - 3));
        assert!(is_key(&long(MAX_KEY_BYTES)) && !is_key(&long(MAX_KEY_BYTES + 1)));
    }
}
