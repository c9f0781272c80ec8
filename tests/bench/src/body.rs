//! The requests: always the same bytes, made here.

use serde_json::{Value, json};

/// Sizes a request can have.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Size {
    /// 1 KB in two messages.
    Small,
    /// 100 KB in twenty messages.
    Large,
}

/// A chat completion in OpenAI's form, as an application would send it.
pub fn chat(size: Size, model: &str, stream: bool) -> Vec<u8> {
    let (messages, text) = match size {
        Size::Small => (2, 420),
        Size::Large => (20, 4960),
    };
    let mut prose = Prose { seed: 0x5eed };
    let messages: Vec<Value> = (0..messages)
        .map(|index| {
            let role = match index {
                0 => "system",
                odd if odd % 2 == 1 => "user",
                _ => "assistant",
            };
            json!({"role": role, "content": prose.text(text)})
        })
        .collect();
    let mut chat =
        json!({"model": model, "messages": messages, "max_tokens": 512, "temperature": 0.7});
    if stream {
        chat["stream"] = true.into();
        chat["stream_options"] = json!({"include_usage": true});
    }
    chat.to_string().into_bytes()
}

/// The whole HTTP request.
pub fn request(host: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\n\
         content-type: application/json\r\nuser-agent: waypost-bench\r\n\
         authorization: Bearer wp-bench\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// Words with what JSON has to escape and what UTF-8 needs more than a byte for.
struct Prose {
    seed: u32,
}

const WORDS: &[&str] = &[
    "river",
    "ledger",
    "when",
    "the",
    "of",
    "a",
    "carries",
    "without",
    "signal",
    "window",
    "pass",
    "to",
    "is",
    "are",
    "harbour",
    "number",
    "slowly",
    "under",
    "both",
    "and",
    "café",
    "naïve",
    "\"quoted\"",
    "line\n",
    "tab\t",
    "Größe",
    "東京",
    "path\\to",
    "it's",
    "end.\n",
];

impl Prose {
    fn text(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 16);
        while text.len() < bytes {
            // Numerical Recipes' linear congruential generator.
            self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Every fourth word comes from the whole list, the others from its plain part.
            let plain = if self.seed & 0x300 == 0 { WORDS.len() } else { 20 };
            text.push_str(WORDS[(self.seed >> 16) as usize % plain]);
            text.push(' ');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_sizes_they_are_named_for() {
        let small = chat(Size::Small, "bench-openai", false);
        let large = chat(Size::Large, "bench-openai", false);
        assert!((950..=1100).contains(&small.len()), "{}", small.len());
        assert!((100_000..=105_000).contains(&large.len()), "{}", large.len());
        let value: Value = serde_json::from_slice(&large).unwrap();
        assert_eq!(value["messages"].as_array().unwrap().len(), 20);
    }

    #[test]
    fn a_small_body_holds_escapes_and_more_than_ascii() {
        let text = String::from_utf8(chat(Size::Small, "m", true)).unwrap();
        assert!(text.contains(r"\n") && text.contains("\\\"") && !text.is_ascii());
        assert!(text.contains(r#""stream":true"#));
    }
}
