//! Credentials that a message repeats, taken out of it. Providers quote the key they refuse, and
//! the client who reads it must not learn ours.

/// Starts of keys that are known as such wherever they stand.
const PREFIXES: &[&str] = &[
    "sk-", "sk_", "pk-", "wp-", "rk-", "gsk_", "xai-", "hf_", "AIza", "AKIA", "ASIA", "ya29.",
    "eyJ", "csk-", "tgp_",
];

/// Words after which a long one is taken for a credential.
const CUES: &[&str] = &[
    "key",
    "keys",
    "token",
    "bearer",
    "secret",
    "credential",
    "credentials",
    "provided",
    "authorization",
];

/// How many words after such a word.
const REACH: usize = 4;

/// Shortest word that is taken for a credential.
const LONG: usize = 12;

/// The message with each credential replaced by `***`.
pub(super) fn credentials(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut since_cue = REACH;
    let mut rest = message;
    while !rest.is_empty() {
        let gap = rest.find(is_part).unwrap_or(rest.len());
        let (between, after) = rest.split_at_checked(gap).unwrap_or((rest, ""));
        out.push_str(between);
        let end = after.find(|c| !is_part(c)).unwrap_or(after.len());
        let (word, after) = after.split_at_checked(end).unwrap_or((after, ""));
        rest = after;
        if word.is_empty() {
            continue;
        }
        if is_credential(word, since_cue < REACH) {
            out.push_str("***");
            // A full stop after a key belongs to the sentence.
            out.push_str(if word.ends_with('.') { "." } else { "" });
        } else {
            out.push_str(word);
        }
        let is_cue = CUES.iter().any(|cue| {
            word.split(['_', '-', '.', '=']).any(|piece| piece.eq_ignore_ascii_case(cue))
        });
        since_cue = if is_cue { 0 } else { since_cue.saturating_add(1) };
    }
    out
}

/// Characters of base64, of URLs' base64, of dotted tokens and of the stars of a half-hidden key.
fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*' | '+' | '/' | '=' | '.' | '•' | '…')
}

fn is_credential(word: &str, after_cue: bool) -> bool {
    // The rest of an address; a key in its query is a word of its own.
    if word.starts_with("//") {
        return false;
    }
    let value = word.rsplit('=').find(|piece| !piece.is_empty()).unwrap_or(word);
    let bare = value.trim_end_matches('.');
    if PREFIXES.iter().any(|prefix| bare.len() > prefix.len() + 2 && bare.starts_with(prefix)) {
        return true;
    }
    let hidden = bare.contains("**") || bare.contains("••");
    let mixed = bare.len() >= LONG
        && bare.bytes().any(|b| b.is_ascii_digit())
        && bare.bytes().any(|b| b.is_ascii_alphabetic());
    hidden || (after_cue && (mixed || bare.len() >= 3 * LONG))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_key_that_a_message_repeats_is_masked() {
        for (message, masked) in [
            (
                "Incorrect API key provided: sk-proj-abc***wxyz. You can find your API key at https://platform.openai.com/account/api-keys.",
                "Incorrect API key provided: ***. You can find your API key at https://platform.openai.com/account/api-keys.",
            ),
            ("Invalid key 'sk-abcdef'", "Invalid key '***'"),
            ("bad wp-0123456789", "bad ***"),
            ("Authorization: Bearer abcdef0123456789abcd", "Authorization: Bearer ***"),
            ("The token 9f8e7d6c5b4a3210ffee is expired", "The token *** is expired"),
            ("key=AIzaSyD-abcdefg refused", "*** refused"),
            ("api_key: abcd****efgh", "api_key: ***"),
            ("eyJhbGciOi.eyJzdWIi.c2ln expired", "*** expired"),
        ] {
            assert_eq!(credentials(message), masked);
        }
    }

    #[test]
    fn ordinary_words_stay() {
        for message in [
            "This model's maximum context length is 128000 tokens, however you requested 130000 tokens.",
            "Unknown parameter: 'messages[0].reasoning_content'.",
            "The model `gpt-4o-2024-08-06` does not exist or you do not have access to it.",
            "prompt is too long: 210000 tokens > 200000 maximum",
            "é … key",
            "",
        ] {
            assert_eq!(credentials(message), message);
        }
    }
}
