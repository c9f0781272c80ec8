//! Tokens, in one split that counts nothing twice.

#[cfg(doc)]
use super::json::count;
use super::place::{Place, Slot, members};

/// What a request used. Every token stands in exactly one of the first four counts; the rest say
/// which of these were special.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input tokens at the full price.
    pub uncached_input: u64,
    /// Input tokens read from the provider's prompt cache.
    pub cache_read: u64,
    /// Input tokens written to the provider's prompt cache.
    pub cache_write: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// The part of `cache_write` that was written to be kept for one hour.
    pub cache_write_1h: u64,
    /// The part of `cache_write` that was written to be kept for twelve hours.
    pub cache_write_12h: u64,
    /// The part of `output` that was reasoning.
    pub reasoning: u64,
    /// The part of the input that was audio.
    pub input_audio: u64,
    /// The part of the output that was audio.
    pub output_audio: u64,
    /// The parts of a prediction that were and were not used, within `output`.
    pub accepted_prediction: u64,
    /// See `accepted_prediction`.
    pub rejected_prediction: u64,
    /// The part of `uncached_input` that the provider does not bill: what it added to the prompt.
    pub unbilled_input: u64,
    /// The part of `output` that the provider does not bill.
    pub unbilled_output: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        for (sum, more) in [
            (&mut self.uncached_input, other.uncached_input),
            (&mut self.cache_read, other.cache_read),
            (&mut self.cache_write, other.cache_write),
            (&mut self.output, other.output),
            (&mut self.cache_write_1h, other.cache_write_1h),
            (&mut self.cache_write_12h, other.cache_write_12h),
            (&mut self.reasoning, other.reasoning),
            (&mut self.input_audio, other.input_audio),
            (&mut self.output_audio, other.output_audio),
            (&mut self.accepted_prediction, other.accepted_prediction),
            (&mut self.rejected_prediction, other.rejected_prediction),
            (&mut self.unbilled_input, other.unbilled_input),
            (&mut self.unbilled_output, other.unbilled_output),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

impl Usage {
    /// OpenAI's `prompt_tokens`.
    #[must_use]
    pub const fn prompt(&self) -> u64 {
        self.uncached_input.saturating_add(self.cache_read).saturating_add(self.cache_write)
    }

    /// OpenAI's `total_tokens`.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.prompt().saturating_add(self.output)
    }

    /// Appends OpenAI's `usage` object.
    pub fn write(&self, out: &mut Vec<u8>) {
        use std::io::Write as _;
        // Writing to a Vec cannot fail.
        let _ = write!(
            out,
            r#"{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{},"cache_write_tokens":{},"audio_tokens":{}}},"completion_tokens_details":{{"reasoning_tokens":{},"audio_tokens":{},"accepted_prediction_tokens":{},"rejected_prediction_tokens":{}}}}}"#,
            self.prompt(),
            self.output,
            self.total(),
            self.cache_read,
            self.cache_write,
            self.input_audio,
            self.reasoning,
            self.output_audio,
            self.accepted_prediction,
            self.rejected_prediction,
        );
    }
}

/// OpenAI's `usage` object as it arrives; absent and null counts are zero.
#[derive(Debug, Default)]
pub struct WireUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

members!(WireUsage {
    prompt_tokens (count),
    completion_tokens (count),
    prompt_tokens_details,
    completion_tokens_details,
});

#[derive(Debug, Default)]
struct PromptDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
    audio_tokens: u64,
}

members!(PromptDetails {
    cached_tokens (count),
    cache_write_tokens (count),
    audio_tokens (count),
});

#[derive(Debug, Default)]
struct CompletionDetails {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
}

members!(CompletionDetails {
    reasoning_tokens (count),
    audio_tokens (count),
    accepted_prediction_tokens (count),
    rejected_prediction_tokens (count),
});

/// A [`count`] whose absence is told from zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count(pub u64);

impl<'a> Place<'a> for Count {
    fn blank() -> Self {
        Self(0)
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Count(&mut self.0)
    }
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        let input = wire.prompt_tokens_details.unwrap_or_default();
        let output = wire.completion_tokens_details.unwrap_or_default();
        let cache_read = input.cached_tokens.min(wire.prompt_tokens);
        let cache_write = input.cache_write_tokens.min(wire.prompt_tokens - cache_read);
        Self {
            uncached_input: wire.prompt_tokens - cache_read - cache_write,
            cache_read,
            cache_write,
            output: wire.completion_tokens,
            reasoning: output.reasoning_tokens.min(wire.completion_tokens),
            input_audio: input.audio_tokens,
            output_audio: output.audio_tokens,
            accepted_prediction: output.accepted_prediction_tokens,
            rejected_prediction: output.rejected_prediction_tokens,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn read(json: &str) -> Usage {
        crate::openai::place::from_str::<WireUsage>(json).unwrap().into()
    }

    #[test]
    fn cached_tokens_are_a_part_of_the_prompt_and_not_added_to_it() {
        let usage = read(
            r#"{"prompt_tokens":100,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":30}}"#,
        );
        assert_eq!((usage.uncached_input, usage.cache_read, usage.cache_write), (10, 60, 30));
        assert_eq!((usage.prompt(), usage.total()), (100, 107));
    }

    #[test]
    fn null_float_negative_and_contradictory_counts_are_survived() {
        let usage = read(
            r#"{"prompt_tokens":10.0,"completion_tokens":-3,"prompt_tokens_details":{"cached_tokens":99},"completion_tokens_details":null}"#,
        );
        assert_eq!((usage.uncached_input, usage.cache_read, usage.output), (0, 10, 0));
        assert_eq!(read(r#"{"prompt_tokens":null}"#), Usage::default());
        assert_eq!(read(r#"{"prompt_tokens":1e300}"#).prompt(), u64::MAX);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let usage = Usage {
            uncached_input: 1,
            cache_read: 2,
            cache_write: 3,
            output: 40,
            reasoning: 5,
            input_audio: 6,
            output_audio: 7,
            accepted_prediction: 8,
            rejected_prediction: 9,
            ..Usage::default()
        };
        let mut out = Vec::new();
        usage.write(&mut out);
        assert_eq!(read(std::str::from_utf8(&out).unwrap()), usage);
    }
}
