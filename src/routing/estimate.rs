//! How long a request is and what it will cost, before anybody has counted its tokens.
//!
//! | of | is taken for |
//! |---|---|
//! | text: messages, calls, tools, a schema | one token for [`BYTES_A_TOKEN`] bytes as written |
//! | a picture, a sound, a document | [`ATTACHMENT_TOKENS`] |
//! | output | as much as the request allows; without a limit [`DEFAULT_OUTPUT`] |
//! | several choices (`n`) | as many times the output |
//!
//! This is the middle of what tokenizers give for running text, so that rules and prices see an
//! ordinary request as it is. [`needs`](super::needs) wants the fewest tokens a text can be, and
//! counts [half of it](super::needs::MAX_BYTES_A_TOKEN): there a guess too high refuses a request.
//!
//! # Not supported
//! The lengths of attachments, tokens of reasoning beyond the limit. They cost more at every
//! candidate, so they rarely change who is cheapest.

use serde_json::value::RawValue;

use crate::config::Model;
use crate::config::rule::Operation;
use crate::openai::json::is_null;
use crate::openai::message::{Content, Message};
use crate::openai::{Chat, Usage, embeddings};
use crate::providers::catalogue::{Capability, NanoUsd, TokenSplit};

/// Bytes of text for which one token is taken.
pub const BYTES_A_TOKEN: u64 = 4;

/// Tokens for which a part that is no text is taken: about a picture of 1024 by 1024.
pub const ATTACHMENT_TOKENS: u64 = 1_000;

/// Tokens of output of a request that sets no limit, where the model can give so many.
pub const DEFAULT_OUTPUT: u64 = 1_000;

/// Tokens of input, estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// All of them.
    pub tokens: u64,
    /// Those of them that stand before the last mark for a prompt cache. They are taken for read
    /// from it: whoever marks a prompt sends it more than once.
    pub cached: u64,
}

/// How much output a request allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// Most tokens of a choice, where it says so.
    pub tokens: Option<u64>,
    /// How many choices.
    pub choices: u64,
}

impl Output {
    /// That of a chat.
    #[must_use]
    pub fn of(chat: &Chat<'_>) -> Self {
        Self { tokens: chat.max_tokens, choices: chat.n.unwrap_or(1) }
    }

    /// That of an operation, all choices together.
    #[must_use]
    pub fn all(self, operation: Operation) -> u64 {
        match operation {
            Operation::Chat => self.tokens.unwrap_or(DEFAULT_OUTPUT).saturating_mul(self.choices),
            Operation::Embeddings => 0,
        }
    }
}

/// One choice of any length.
impl Default for Output {
    fn default() -> Self {
        Self { tokens: None, choices: 1 }
    }
}

/// The input of a chat. Linear in its length: it reads parts, which the parser leaves alone.
#[must_use]
pub fn chat(chat: &Chat<'_>) -> Input {
    let mut sum = Sum::default();
    sum.raw(chat.field("tools").or_else(|| chat.field("functions")));
    if chat.tools.iter().any(|tool| tool.cache_control.is_some()) {
        sum.mark();
    }
    chat.messages.iter().for_each(|message| sum.message(message));
    sum.raw(chat.field("response_format"));
    Input { tokens: sum.tokens(), cached: sum.marked }
}

/// The input of a request for vectors.
#[must_use]
pub fn embeddings(input: &embeddings::Input<'_>) -> Input {
    use embeddings::Input as Asked;
    let text = |bytes: usize| bytes as u64 / BYTES_A_TOKEN;
    let tokens = match input {
        Asked::Absent => 0,
        Asked::Text(one) => text(one.inner().len()),
        Asked::Texts(all) => text(all.iter().map(|one| one.inner().len()).sum()),
        Asked::Tokens(count) => *count as u64,
        Asked::TokenLists(counts) => counts.iter().sum::<usize>() as u64,
    };
    Input { tokens, cached: 0 }
}

#[derive(Default)]
struct Sum {
    bytes: u64,
    attachments: u64,
    marked: u64,
}

impl Sum {
    fn tokens(&self) -> u64 {
        self.bytes / BYTES_A_TOKEN + self.attachments * ATTACHMENT_TOKENS
    }

    fn mark(&mut self) {
        self.marked = self.tokens();
    }

    fn raw(&mut self, json: Option<&RawValue>) {
        self.bytes += json.map_or(0, |json| json.get().len() as u64);
    }

    fn message(&mut self, message: &Message<'_>) {
        match message.content {
            Content::Text(text) => self.bytes += text.inner().len() as u64,
            Content::Parts(parts) => {
                for part in crate::openai::message::parts(parts) {
                    match part.text.or(part.refusal) {
                        Some(text) => self.bytes += text.inner().len() as u64,
                        None => self.attachments += 1,
                    }
                    if part.cache_control.or(part.prompt_cache_breakpoint).is_some() {
                        self.mark();
                    }
                }
            }
            Content::Absent | Content::Null => {}
        }
        self.raw(message.tool_calls.or(message.function_call));
        let mut rest = message.rest.iter();
        if rest.any(|(name, value)| name == "cache_control" && !is_null(value)) {
            self.mark();
        }
    }
}

/// What a request will cost at `model`; nothing where it has no price. Marked input costs as read from the
/// cache where the model has one.
#[must_use]
pub fn cost(model: &Model, operation: Operation, input: Input, output: Output) -> Option<NanoUsd> {
    let price = model.price()?;
    let usage = usage(model, input, output.all(operation), output.choices);
    Some(price.cost(&TokenSplit::from(&usage)))
}

/// What a request with so much input and output uses at `model`: marked input is read from the cache
/// where the model has one, and no more comes out than the model can give in so many choices.
#[must_use]
pub fn usage(model: &Model, input: Input, output: u64, choices: u64) -> Usage {
    let facts = &model.facts;
    let caches = facts.capabilities.has(Capability::PromptCaching);
    let cached = if caches { input.cached.min(input.tokens) } else { 0 };
    Usage {
        uncached_input: input.tokens - cached,
        cache_read: cached,
        output: output.min(facts.max_output.unwrap_or(u64::MAX).saturating_mul(choices)),
        ..Usage::default()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn of(body: &str) -> Input {
        chat(&Chat::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn text_is_counted_and_attachments_are_taken_for_a_thousand() {
        let text = "abcd".repeat(100);
        let plain = format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}]}}"#);
        assert_eq!(of(&plain), Input { tokens: 100, cached: 0 });
        let data = "A".repeat(100_000);
        let parts = format!(
            r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"{text}"}},{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}]}}]}}"#
        );
        assert_eq!(of(&parts).tokens, 1_100);
        let tools = format!(
            r#"{{"tools":[{{"type":"function","function":{{"name":"f","description":"{text}"}}}}]}}"#
        );
        assert_eq!(of(&tools).tokens, 100 + 62 / 4);
    }

    #[test]
    fn what_stands_before_the_last_mark_is_cached() {
        let message = |mark: &str| {
            format!(
                r#"{{"role":"user","content":[{{"type":"text","text":"{}"{mark}}}]}}"#,
                "abcd".repeat(10)
            )
        };
        let mark = r#","cache_control":{"type":"ephemeral"}"#;
        let body = format!(
            r#"{{"messages":[{},{},{}]}}"#,
            message(mark),
            message(mark),
            message(r#","cache_control":null"#)
        );
        assert_eq!(of(&body), Input { tokens: 30, cached: 20 });
        let whole = r#"{"messages":[{"role":"user","content":"abcdabcd","cache_control":{"type":"ephemeral"}}]}"#;
        assert_eq!(of(whole), Input { tokens: 2, cached: 2 });
    }

    #[test]
    fn vectors_cost_no_output_and_tokens_are_known() {
        use crate::openai::Embeddings;
        let of = |input: &str| {
            let body = format!(r#"{{"model":"m","input":{input}}}"#);
            embeddings(&Embeddings::parse(body.as_bytes()).unwrap().input).tokens
        };
        assert_eq!(of(r#""abcdefgh""#), 2);
        assert_eq!(of(r#"["abcd","efgh"]"#), 2);
        assert_eq!((of("[1,2,3]"), of("[[1],[2,3]]")), (3, 3));
    }
}
