//! How much a stream has said: for the bill of one that was cut before anybody counted its tokens.
//!
//! Only the texts count, not the JSON around them, of which there is more. A look at each event would
//! cost as much as passing it on does, and the answer is an estimate anyway: so all of the beginning is
//! looked at, then one piece of many, and the rest is taken to be like those.

use memchr::{memchr, memchr2};

/// How many pieces of a stream are looked at before most are not.
const ALL_OF: u64 = 8;

/// Of how many pieces behind those one is looked at.
const ONE_OF: u64 = 16;

/// Members of messages and deltas that hold what the model said.
const NAMES: [&[u8]; 5] =
    [b"content", b"reasoning_content", b"reasoning", b"refusal", b"arguments"];

/// What has gone to the client so far.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    pieces: u64,
    /// Bytes of text in the pieces that were looked at, and all bytes of those.
    text: u64,
    seen: u64,
    /// Bytes of the others.
    unseen: u64,
}

impl Said {
    /// Nothing.
    pub const NOTHING: Self = Self { pieces: 0, text: 0, seen: 0, unseen: 0 };

    /// Canonical bytes that go to the client.
    pub fn add(&mut self, bytes: &[u8]) {
        let all = bytes.len() as u64;
        if all == 0 {
            return;
        }
        if self.pieces < ALL_OF || self.pieces.is_multiple_of(ONE_OF) {
            self.text = self.text.saturating_add(text_bytes(bytes));
            self.seen = self.seen.saturating_add(all);
        } else {
            self.unseen = self.unseen.saturating_add(all);
        }
        self.pieces = self.pieces.saturating_add(1);
    }

    /// Bytes of text, as written in JSON.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        let guessed =
            u128::from(self.unseen) * u128::from(self.text) / u128::from(self.seen.max(1));
        self.text.saturating_add(u64::try_from(guessed).unwrap_or(u64::MAX))
    }
}

/// Bytes of what the model said, as written, in canonical messages or events. Linear, and no JSON is
/// too broken for it.
#[must_use]
pub fn text_bytes(json: &[u8]) -> u64 {
    let (mut sum, mut says, mut rest) = (0, false, json);
    while let Some((text, behind)) = next_string(rest) {
        let names = behind.trim_ascii_start().first() == Some(&b':');
        if says && !names {
            sum += text.len() as u64;
        }
        says = names && NAMES.contains(&text);
        rest = behind;
    }
    sum
}

/// The next JSON string, without its quotes, and what stands behind it.
fn next_string(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = json.get(memchr(b'"', json)? + 1..)?;
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', inside.get(at..)?)?;
        if inside.get(at) == Some(&b'"') {
            return Some((inside.get(..at)?, inside.get(at + 1..)?));
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn event(delta: &str) -> String {
        format!(
            "data: {{\"id\":\"chatcmpl-1\",\"model\":\"content\",\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"logprobs\":{{\"content\":[{{\"token\":\"abc\"}}]}}}}],\"obfuscation\":\"xxxxxxxx\"}}\n\n"
        )
    }

    #[test]
    fn only_what_the_model_said_counts() {
        for (delta, bytes) in [
            (r#""role":"assistant","content":"""#, 0),
            (r#""content":"hello""#, 5),
            (r#""content" : "a\"b\\""#, 6),
            (r#""content":null,"refusal":"no""#, 2),
            (r#""reasoning_content":"hm""#, 2),
            (
                r#""tool_calls":[{"index":0,"id":"call_1","function":{"name":"f","arguments":"{\"a\":"}}]"#,
                7,
            ),
            (r#""audio":{"data":"AAAA"}"#, 0),
        ] {
            assert_eq!(text_bytes(event(delta).as_bytes()), bytes, "{delta}");
        }
        for broken in ["\"", "\"content", "\"content\":\"a\\", "\"content\":\"", ":::", "\\\"\\"] {
            assert_eq!(text_bytes(broken.as_bytes()), 0, "{broken}");
        }
    }

    #[test]
    fn a_long_stream_is_told_by_samples_of_it() {
        let mut said = Said::NOTHING;
        let mut exact = 0;
        for at in 0..10_000_usize {
            let text = "x".repeat(1 + at % 7);
            exact += text.len() as u64;
            said.add(event(&format!("\"content\":\"{text}\"")).as_bytes());
            said.add(b"");
            if at < ALL_OF as usize {
                assert_eq!(said.text_bytes(), exact);
            }
        }
        let told = said.text_bytes();
        assert!(told.abs_diff(exact) * 50 < exact, "{told} of {exact}");
        assert_eq!(Said { text: 1, seen: 1, unseen: u64::MAX, pieces: 0 }.text_bytes(), u64::MAX);
    }
}
