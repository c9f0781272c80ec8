//! `waypost key`: virtual keys and what a configuration holds of them.

use crate::config::Gateway;
use crate::config::tenancy::check_plain;
use crate::store::Millis;
use crate::tenancy::identity::{Header, Shown};
use crate::tenancy::key::{Hash, PREFIX, is_key};
use crate::tenancy::{Key, Proof};

use super::BadUsage;
use super::usage::Date;

/// Characters of a new key after its prefix: 238 bits of chance.
pub const DRAWN: usize = 40;

/// Fewest characters of a key after its prefix that is not weak.
pub const MIN_STRONG: usize = 20;

/// Fewest characters in it that do not follow from the one before: other than the same, the next and
/// the one before.
const MIN_SURPRISES: usize = 14;

/// Fewest different characters in it.
const MIN_DIFFERENT: usize = 8;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A new key, of the bytes that `random` gives.
///
/// # Errors
/// Those of `random`.
pub fn draw<E>(mut random: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<String, E> {
    let mut key = String::from(PREFIX);
    let mut bytes = [0; 64];
    while key.len() < PREFIX.len() + DRAWN {
        random(&mut bytes)?;
        // The bytes above the last multiple of 62 would make some characters likelier than others.
        let fair = bytes.iter().filter(|byte| **byte < 248);
        let drawn = fair.filter_map(|byte| ALPHABET.get(usize::from(byte % 62)));
        let missing = PREFIX.len() + DRAWN - key.len();
        key.extend(drawn.take(missing).map(|character| char::from(*character)));
    }
    Ok(key)
}

/// The key in what was typed or piped in: without the line break.
///
/// # Errors
/// It is no key. The message does not repeat it.
pub fn read(input: &[u8]) -> Result<&str, BadUsage> {
    let line = input.strip_suffix(b"\n").unwrap_or(input);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let key = std::str::from_utf8(line).ok().filter(|text| is_key(text));
    key.ok_or_else(|| {
        BadUsage(
            "the input is no key: one begins with wp- and has 7 to 128 visible ASCII characters"
                .to_owned(),
        )
    })
}

/// Why a key could be guessed, if it looks like it. Nothing here knows words: a sentence passes.
#[must_use]
pub fn weakness(key: &str) -> Option<String> {
    let secret = key.strip_prefix(PREFIX).unwrap_or(key).as_bytes();
    if secret.len() < MIN_STRONG {
        return Some(format!(
            "it has {} characters after {PREFIX}, and {MIN_STRONG} are the fewest that are safe",
            secret.len()
        ));
    }
    let repeats = |period: &usize| {
        secret.iter().zip(secret.iter().skip(*period)).all(|(first, second)| first == second)
    };
    if (1..=secret.len() / 2).any(|period| repeats(&period)) {
        return Some("it repeats itself".to_owned());
    }
    let steps = secret.iter().zip(secret.iter().skip(1));
    let surprises = steps.filter(|(first, second)| first.abs_diff(**second) > 1).count();
    let mut different = secret.to_vec();
    different.sort_unstable();
    different.dedup();
    let plain = surprises < MIN_SURPRISES || different.len() < MIN_DIFFERENT;
    plain.then(|| "its characters follow from each other".to_owned())
}

/// Whether a configuration takes these names: a key that is drawn for an entry that is refused is lost.
///
/// # Errors
/// It does not take one of them.
pub fn check_names(tenant: Option<&str>, name: Option<&str>) -> Result<(), BadUsage> {
    if let Some(tenant) = tenant {
        check_plain(tenant).map_err(|why| BadUsage(format!("--tenant: {why}")))?;
    }
    match name {
        Some("") => Err(BadUsage("--name: must not be empty".to_owned())),
        _ => Ok(()),
    }
}

/// The entry of a key in a configuration, to be pasted.
#[must_use]
pub fn entry(
    hash: &Hash,
    tenant: Option<&str>,
    name: Option<&str>,
    expires: Option<Date>,
) -> String {
    // A JSON string is one in YAML, too.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut out = format!(
        "tenants:\n  {}:\n    keys:\n      - hash: {}\n",
        quoted(tenant.unwrap_or("TENANT")),
        quoted(&hash.to_string()),
    );
    if let Some(name) = name {
        out.push_str(&format!("        name: {}\n", quoted(name)));
    }
    if let Some(date) = expires {
        out.push_str(&format!("        expires: \"{date}\"\n"));
    }
    out
}

/// What a gateway makes of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// For people.
    pub said: String,
    /// Whether a request with it would be let in.
    pub holds: bool,
}

/// Whose key it is at this gateway, and whether it holds.
#[must_use]
pub fn check(key: &str, gateway: &Gateway, now: Millis) -> Verdict {
    let tenancy = &gateway.tenancy;
    let Some(entry) = tenancy.keys.iter().find(|entry| entry.hash.is_of(key)) else {
        return Verdict { said: "no tenant has this key".to_owned(), holds: false };
    };
    let tenant = tenancy.tenants.get(entry.tenant).map_or("", |tenant| &*tenant.name);
    let mut said = format!("the key {} of tenant {tenant}", entry.id);
    if *entry.id != *entry.hash.handle().to_string() {
        said.push_str(&format!(" (handle {})", entry.hash.handle()));
    }
    let verdict = tenancy.identify(&Bearer(format!("Bearer {key}")), now);
    let holds = matches!(&verdict, Ok(caller) if caller.proof == Proof::Key);
    said.push_str(&match verdict {
        _ if holds => until(entry),
        Ok(_) => " is not looked at: `identity` does not name `key` before others".to_owned(),
        Err(error) => {
            format!(" does not hold. Its requests get {}: {}", error.status, error.message)
        }
    });
    Verdict { said, holds }
}

fn until(entry: &Key) -> String {
    match entry.expires {
        Some(end) => format!(" holds until {}", super::usage::utc(end / 1_000)),
        None => " holds, and never expires".to_owned(),
    }
}

struct Bearer(String);

impl Shown for Bearer {
    fn header(&self, name: &str) -> Header<'_> {
        if name == "authorization" { Header::One(&self.0) } else { Header::Absent }
    }

    fn property(&self, _path: &str) -> Option<Vec<u8>> {
        None
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_new_key_is_a_strong_one_of_all_characters() {
        let mut seen = std::collections::BTreeMap::new();
        let mut state = 1_u64;
        for _ in 0..500 {
            let key = draw(|bytes| {
                for byte in bytes {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    *byte = (state >> 33) as u8;
                }
                Ok::<_, ()>(())
            });
            let key = key.unwrap();
            assert!(is_key(&key) && key.len() == PREFIX.len() + DRAWN, "{key}");
            assert_eq!(weakness(&key), None, "{key}");
            for character in key.chars().skip(PREFIX.len()) {
                *seen.entry(character).or_insert(0) += 1;
            }
        }
        assert_eq!(seen.len(), 62);
        // 20,000 characters, some 323 of each: none is far likelier than another.
        assert!(seen.values().all(|count| (220..440).contains(count)), "{seen:?}");
        assert_eq!(draw(|_| Err("no chance")), Err("no chance"));
    }

    #[test]
    fn bytes_that_would_be_unfair_are_not_used() {
        let mut round = 0_u8;
        let key = draw(|bytes| {
            bytes.fill(if round == 0 { 255 } else { 61 });
            round += 1;
            Ok::<_, ()>(())
        });
        assert_eq!(key.unwrap(), format!("wp-{}", "z".repeat(DRAWN)));
        assert_eq!(round, 2);
    }

    #[test]
    fn keys_that_could_be_guessed_are_told() {
        for key in [
            "wp-demo",
            "wp-1234567890123456789",
            "wp-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "wp-abcabcabcabcabcabcabcabcabcabc",
            "wp-abcdefghijklmnopqrstuvwxyz0123456789",
            "wp-zyxwvutsrqponmlkjihgfedcba9876543210",
            "wp-secret-secret-secret-secret-secret",
            "wp-ababacacabacabadabacabababacadab",
        ] {
            assert!(is_key(key) && weakness(key).is_some(), "{key}");
        }
        assert_eq!(weakness("wp-Fx9TqP0rW2bLkD7aZc3V"), None);
    }

    #[test]
    fn a_key_comes_alone_on_its_line() {
        for input in ["wp-demo", "wp-demo\n", "wp-demo\r\n"] {
            assert_eq!(read(input.as_bytes()).unwrap(), "wp-demo");
        }
        for input in
            ["", "\n", "wp-demo\n\n", " wp-demo", "wp-demo wp-demo", "sk-demo123", "wp-\u{e9}toile"]
        {
            let told = read(input.as_bytes()).unwrap_err().0;
            assert!(told.starts_with("the input is no key"), "{told}");
        }
        assert!(read(b"wp-\xff\xff\xff\xff").is_err());
    }

    #[test]
    fn an_entry_is_yaml_whatever_its_names_are() {
        let hash = Hash::of("wp-demo", *b"0123456789abcdef");
        let date = Date::read(b"2027-01-31");
        let text = entry(&hash, Some("a: \"b\""), Some("no"), date);
        let expected = format!(
            "tenants:\n  \"a: \\\"b\\\"\":\n    keys:\n      - hash: \"{hash}\"\n        name: \"no\"\n        expires: \"2027-01-31\"\n"
        );
        assert_eq!(text, expected);
        assert!(entry(&hash, None, None, None).starts_with("tenants:\n  \"TENANT\":\n"));
    }
}
