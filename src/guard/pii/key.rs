//! Keys and tokens.

use memchr::memmem;

use crate::guard::{before, begins, byte, is_word, run};

/// How keys begin, and the fewest characters behind that.
const PREFIXES: &[(&[u8], usize)] = &[
    (b"sk-", 20), // OpenAI, Anthropic, DeepSeek
    (b"sk_live_", 16),
    (b"sk_test_", 16),
    (b"rk_live_", 16), // Stripe
    (b"wp-", 20),      // Waypost
    (b"ghp_", 30),
    (b"gho_", 30),
    (b"ghu_", 30),
    (b"ghs_", 30),
    (b"ghr_", 30), // GitHub
    (b"github_pat_", 30),
    (b"glpat-", 20), // GitLab
    (b"xoxb-", 20),
    (b"xoxp-", 20),
    (b"xoxa-", 20),
    (b"xoxs-", 20), // Slack
    (b"AKIA", 16),
    (b"ASIA", 16), // AWS
    (b"ABSK", 60), // Bedrock
    (b"AIza", 35),
    (b"ya29.", 40), // Google
    (b"hf_", 30),
    (b"gsk_", 30),
    (b"xai-", 30),
    (b"npm_", 30),
    (b"pypi-", 40),
    (b"nvapi-", 40), // Nvidia
    (b"pplx-", 30),  // Perplexity
    (b"r8_", 30),    // Replicate
];

/// Longest key that is looked at, in bytes: beyond it, what follows is taken for text. A token with
/// many claims is longer than any key.
const MAX_KEY: usize = 16 << 10;

fn is_token(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

/// Where a key that begins at `at` ends.
pub fn end(text: &[u8], at: usize) -> Option<usize> {
    if byte(text, at) == b'-' {
        return private(text, at);
    }
    // What looks like the beginning of a key within one is none.
    if is_token(before(text, at)) && !begins(text, at) || before(text, at) == b'-' {
        return None;
    }
    let rest = text.get(at..)?;
    if rest.starts_with(b"eyJ") {
        return token(text, at);
    }
    let (prefix, fewest) = PREFIXES.iter().find(|(prefix, _)| rest.starts_with(prefix))?;
    let from = at + prefix.len();
    let end = run(text, from, MAX_KEY, is_token);
    let key = text.get(from..end)?;
    (key.len() >= *fewest && is_random(prefix, key)).then_some(end)
}

/// Whether it is not made of words. Some are of letters alone: those of Hugging Face all, those of AWS one
/// in thirty.
fn is_random(prefix: &[u8], key: &[u8]) -> bool {
    const FEWEST_LETTERS: usize = 30;
    let has = |of: fn(&u8) -> bool| key.iter().any(of);
    if has(u8::is_ascii_digit) {
        return has(u8::is_ascii_alphabetic);
    }
    match prefix {
        b"AKIA" | b"ASIA" => key.len() == 16 && key.iter().all(u8::is_ascii_uppercase),
        _ => {
            key.len() >= FEWEST_LETTERS
                && key.iter().all(u8::is_ascii_alphabetic)
                && has(u8::is_ascii_uppercase)
                && has(u8::is_ascii_lowercase)
        }
    }
}

/// A JSON Web Token: three parts in base64, of which the first is an object. Of one that ends with the
/// text, where that was cut, the points may be missing.
fn token(text: &[u8], at: usize) -> Option<usize> {
    const FEWEST: usize = 8;
    const FEWEST_OF_CUT: usize = 40;
    let head = run(text, at, MAX_KEY, is_token);
    let body = if head < text.len() { run(text, head + 1, MAX_KEY, is_token) } else { head };
    let points = text.get(head) == Some(&b'.') && text.get(body) == Some(&b'.');
    if body == text.len() && body - at >= FEWEST_OF_CUT {
        return Some(body);
    }
    let whole = points && head - at >= FEWEST && body - head > FEWEST;
    whole.then(|| run(text, body + 1, MAX_KEY, is_token))
}

/// Where a private key in PEM that begins at `at` ends; with the text, where it has no end.
fn private(text: &[u8], at: usize) -> Option<usize> {
    /// Room for the longest of its names, `ENCRYPTED PRIVATE KEY`.
    const NAME: usize = 40;
    let rest = text.get(at..)?.strip_prefix(b"-----BEGIN ")?;
    let name = rest.get(..NAME.min(rest.len()))?;
    let key = memmem::find(name, b"PRIVATE KEY-----")?;
    let from = at + 11 + key;
    let body = text.get(from..)?;
    let Some(end) = memmem::find(body, b"-----END ") else { return Some(text.len()) };
    let line = from + end + 9;
    let name = text.get(line..text.len().min(line + NAME)).unwrap_or_default();
    Some(memmem::find(name, b"-----").map_or(line, |end| line + end + 5))
}
