//! Answers as they arrive, whole or in pieces: borrowed, and read no stricter than needed.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::model_turn::OWN_ID;
use crate::openai::Error;
use crate::openai::Usage;
use crate::openai::chunk::FinishReason;
use crate::openai::fault::Fault;
use crate::openai::json::{RawStr, is_object, string, write_compact};
use crate::openai::message::Items;
use crate::openai::place::{Own, Place, Slot, from_str, members};
use crate::providers::failure::no_answer;
use crate::providers::ids::sign;

/// A `GenerateContentResponse`: an answer, or one piece of it.
#[derive(Debug)]
pub(super) struct Response<'a> {
    pub(super) candidates: Option<Items<Candidate<'a>>>,
    prompt_feedback: Option<&'a RawValue>,
    usage_metadata: Option<&'a RawValue>,
    pub(super) model_version: Option<&'a RawValue>,
    pub(super) response_id: Option<&'a RawValue>,
    pub(super) error: Option<&'a RawValue>,
}

members!(Response<'a> {
    candidates,
    prompt_feedback "promptFeedback",
    usage_metadata "usageMetadata",
    model_version "modelVersion",
    response_id "responseId",
    error,
});

/// One of the answers.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    index: Option<&'a RawValue>,
    content: Option<Content<'a>>,
    finish_reason: Option<&'a RawValue>,
    finish_message: Option<&'a RawValue>,
    pub(super) grounding_metadata: Option<&'a RawValue>,
    pub(super) citation_metadata: Option<&'a RawValue>,
    pub(super) logprobs_result: Option<&'a RawValue>,
}

members!(Candidate<'a> {
    index,
    content,
    finish_reason "finishReason",
    finish_message "finishMessage",
    grounding_metadata "groundingMetadata",
    citation_metadata "citationMetadata",
    logprobs_result "logprobsResult",
});

#[derive(Debug)]
struct Content<'a> {
    parts: Option<Items<Part<'a>>>,
}

members!(Content<'a> { parts });

/// One part of an answer. Kinds that are not known hold what they like.
#[derive(Debug)]
pub(super) struct Part<'a> {
    text: Option<&'a RawValue>,
    thought: Option<&'a RawValue>,
    thought_signature: Option<&'a RawValue>,
    function_call: Option<&'a RawValue>,
    inline_data: Option<&'a RawValue>,
}

members!(Part<'a> {
    text,
    thought,
    thought_signature "thoughtSignature",
    function_call "functionCall",
    inline_data "inlineData",
});

/// What a part says.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    Text(RawStr<'a>),
    Thought(RawStr<'a>),
    Call(Called<'a>),
    /// A picture, as an entry of `images`.
    Image(String),
    /// What the provider's own tools did, and what is yet to come.
    Other,
}

/// A call that the model asks for.
#[derive(Debug)]
pub(super) struct Called<'a> {
    given: Option<RawStr<'a>>,
    pub(super) name: String,
    /// The text of a JSON object, compact.
    pub(super) arguments: String,
    signature: Option<RawStr<'a>>,
}

impl Called<'_> {
    /// The id for the client. `ours` is the id of the request, `choice` and `number` make it one of
    /// its own where the provider gave none. It carries the signature, since plain clients return
    /// nothing else.
    pub(super) fn id(&self, ours: &str, choice: u32, number: usize) -> String {
        let id = match self.given {
            Some(id) => id.decode().into_owned(),
            None => format!("{OWN_ID}{ours}_{choice}_{number}"),
        };
        match self.signature {
            Some(signature) => sign(&id, &signature.decode()),
            None => id,
        }
    }

    /// The signature where Google's own endpoint has it.
    pub(super) fn extra_content(&self) -> Option<String> {
        let signature = self.signature?.as_written();
        Some(format!(r#"{{"google":{{"thought_signature":{signature}}}}}"#))
    }
}

impl<'a> Part<'a> {
    /// What it says.
    ///
    /// # Errors
    /// A call without a name cannot be answered.
    pub(super) fn piece(&self) -> Result<Piece<'a>, Error> {
        if let Some(call) = self.function_call {
            return self.call(call).map(Piece::Call);
        }
        if let Some(text) = string(self.text) {
            let thought = self.thought.is_some_and(|raw| raw.get() == "true");
            return Ok(if thought { Piece::Thought(text) } else { Piece::Text(text) });
        }
        Ok(self.inline_data.and_then(image).map_or(Piece::Other, Piece::Image))
    }

    fn call(&self, raw: &'a RawValue) -> Result<Called<'a>, Error> {
        struct FunctionCall<'a> {
            id: Option<&'a RawValue>,
            name: Option<&'a RawValue>,
            args: Option<&'a RawValue>,
        }
        members!(FunctionCall<'a> { id, name, args });
        let call = is_object(raw).then(|| from_str::<FunctionCall<'a>>(raw.get()));
        let Some(Ok(call)) = call else { return Err(no_answer("a malformed call")) };
        let name = string(call.name).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| no_answer("a call without a name"))?;
        let mut arguments = Vec::new();
        let args = call.args.filter(|raw| is_object(raw));
        write_compact(&mut arguments, args.map_or("{}", RawValue::get));
        Ok(Called {
            given: string(call.id).filter(|id| !id.is_empty()),
            name: name.decode().into_owned(),
            arguments: String::from_utf8(arguments).unwrap_or_else(|_| "{}".to_owned()),
            signature: string(self.thought_signature).filter(|text| !text.is_empty()),
        })
    }
}

/// A picture, as an entry of `images`; other media have no place in an answer.
fn image(raw: &RawValue) -> Option<String> {
    struct Blob<'a> {
        mime_type: Option<&'a RawValue>,
        data: Option<&'a RawValue>,
    }
    members!(Blob<'a> { mime_type "mimeType", data });
    let blob: Blob<'_> = from_str(raw.get()).ok()?;
    let media_type = string(blob.mime_type)?.inner();
    let data = string(blob.data)?.inner();
    let picture = media_type.starts_with("image/") || media_type.starts_with(r"image\/");
    picture.then(|| {
        format!(r#"{{"type":"image_url","image_url":{{"url":"data:{media_type};base64,{data}"}}}}"#)
    })
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was complete.
    Stop,
    /// The limit was reached.
    Length,
    /// A content policy cut it.
    Filtered,
    /// The model could not go on: no answer, where nothing was said.
    Failed,
}

impl End {
    fn of(reason: &str) -> Self {
        match reason {
            "MAX_TOKENS" | "CONTINUATION" => Self::Length,
            "SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION"
            | "IMAGE_OTHER"
            | "NO_IMAGE"
            | "MODEL_ARMOR"
            | "ESCALATION"
            | "PUP_LIMITED_DISABLED"
            | "OTHER" => Self::Filtered,
            "MALFORMED_FUNCTION_CALL"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS"
            | "MISSING_THOUGHT_SIGNATURE"
            | "MALFORMED_RESPONSE"
            | "FINISH_REASON_UNSPECIFIED" => Self::Failed,
            _ => Self::Stop,
        }
    }

    /// OpenAI's word. The API says that it stopped where it calls functions.
    pub(super) const fn finish_reason(self, calls: bool) -> FinishReason {
        match self {
            Self::Length => FinishReason::Length,
            Self::Filtered => FinishReason::ContentFilter,
            Self::Stop | Self::Failed if calls => FinishReason::ToolCalls,
            Self::Stop | Self::Failed => FinishReason::Stop,
        }
    }
}

/// The error for an answer of which the model made nothing.
pub(super) fn failed(reason: &str) -> Error {
    no_answer(&format!("the model ended with {reason} before it said anything"))
}

impl<'a> Candidate<'a> {
    /// Its number among the answers.
    pub(super) fn index(&self) -> Option<u32> {
        self.index.map_or(Some(0), |raw| raw.get().parse().ok())
    }

    /// Its parts.
    pub(super) fn parts(&self) -> &[Part<'a>] {
        let parts = self.content.as_ref().and_then(|content| content.parts.as_ref());
        parts.map_or(&[], |parts| parts.0.as_slice())
    }

    /// Why it ended, if it did: the provider's word, and what that means.
    pub(super) fn end(&self) -> Option<(Cow<'a, str>, End)> {
        let reason = string(self.finish_reason).filter(|reason| !reason.is_empty())?.decode();
        let end = End::of(&reason);
        Some((reason, end))
    }

    /// The provider's explanation of that, as it stands between quotes.
    pub(super) fn explanation(&self) -> Option<&'a str> {
        string(self.finish_message).filter(|text| !text.is_empty()).map(RawStr::inner)
    }
}

impl<'a> Response<'a> {
    /// Why the prompt was blocked, as it stands between quotes; nothing where it was not.
    pub(super) fn blocked(&self) -> Option<Cow<'a, str>> {
        struct Feedback<'a> {
            block_reason: Option<&'a RawValue>,
            block_reason_message: Option<&'a RawValue>,
        }
        members!(Feedback<'a> {
            block_reason "blockReason",
            block_reason_message "blockReasonMessage",
        });
        let raw = self.prompt_feedback.filter(|raw| is_object(raw))?;
        let feedback: Feedback<'a> = from_str(raw.get()).ok()?;
        let reason = string(feedback.block_reason).filter(|reason| !reason.is_empty())?;
        Some(match string(feedback.block_reason_message).filter(|text| !text.is_empty()) {
            Some(message) => Cow::Borrowed(message.inner()),
            None => Cow::Owned(format!("The prompt was blocked: {}.", reason.inner())),
        })
    }

    /// What it used, as far as it is said.
    pub(super) fn usage(&self) -> Option<Usage> {
        let raw = self.usage_metadata.filter(|raw| is_object(raw))?;
        from_str::<WireUsage<'_>>(raw.get()).ok().map(Usage::from)
    }
}

/// Counts. Each may be missing, and stands for zero then.
#[derive(Debug, Default)]
struct WireUsage<'a> {
    prompt_token_count: u64,
    tool_use_prompt_token_count: u64,
    cached_content_token_count: u64,
    candidates_token_count: u64,
    thoughts_token_count: u64,
    total_token_count: u64,
    prompt_tokens_details: Modalities<'a>,
    candidates_tokens_details: Modalities<'a>,
}

members!(WireUsage<'a> {
    prompt_token_count "promptTokenCount" (count),
    tool_use_prompt_token_count "toolUsePromptTokenCount" (count),
    cached_content_token_count "cachedContentTokenCount" (count),
    candidates_token_count "candidatesTokenCount" (count),
    thoughts_token_count "thoughtsTokenCount" (count),
    total_token_count "totalTokenCount" (count),
    prompt_tokens_details "promptTokensDetails",
    candidates_tokens_details "candidatesTokensDetails",
});

/// Counts by kind of media.
#[derive(Debug, Default)]
struct Modalities<'a>(Vec<Modality<'a>>);

#[derive(Debug)]
struct Modality<'a> {
    modality: Option<Cow<'a, str>>,
    token_count: u64,
}

members!(Modality<'a> { modality, token_count "tokenCount" (count) });

impl<'a> Place<'a> for Modalities<'a> {
    fn blank() -> Self {
        Self::default()
    }
    fn slot(&mut self) -> Slot<'_, 'a> {
        Slot::Own(self)
    }
}

impl<'a> Own<'a> for Modalities<'a> {
    fn take(&mut self, raw: &'a RawValue) -> Result<(), Fault> {
        // A strange list must not cost the client its counts.
        self.0 = from_str(raw.get()).unwrap_or_default();
        Ok(())
    }
}

impl Modalities<'_> {
    fn audio(&self) -> u64 {
        let audio = |entry: &&Modality<'_>| entry.modality.as_deref() == Some("AUDIO");
        self.0.iter().filter(audio).map(|entry| entry.token_count).fold(0, u64::saturating_add)
    }
}

impl From<WireUsage<'_>> for Usage {
    fn from(wire: WireUsage<'_>) -> Self {
        let prompt = wire.prompt_token_count.saturating_add(wire.tool_use_prompt_token_count);
        let words = wire.candidates_token_count;
        // Some models count their thoughts among the words already; the total tells.
        let inclusive = prompt.saturating_add(words) == wire.total_token_count;
        let output =
            if inclusive { words } else { words.saturating_add(wire.thoughts_token_count) };
        let cache_read = wire.cached_content_token_count.min(prompt);
        Self {
            uncached_input: prompt - cache_read,
            cache_read,
            output,
            reasoning: wire.thoughts_token_count.min(output),
            input_audio: wire.prompt_tokens_details.audio(),
            output_audio: wire.candidates_tokens_details.audio(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn usage(json: &str) -> Usage {
        from_str::<WireUsage<'_>>(json).unwrap().into()
    }

    #[test]
    fn thoughts_are_counted_once_whether_they_are_among_the_words_or_not() {
        let beside = usage(
            r#"{"promptTokenCount":10,"candidatesTokenCount":5,"thoughtsTokenCount":20,"totalTokenCount":35}"#,
        );
        assert_eq!((beside.prompt(), beside.output, beside.reasoning), (10, 25, 20));
        let among = usage(
            r#"{"promptTokenCount":10,"candidatesTokenCount":25,"thoughtsTokenCount":20,"totalTokenCount":35}"#,
        );
        assert_eq!((among.prompt(), among.output, among.reasoning), (10, 25, 20));
    }

    #[test]
    fn what_search_read_is_input_and_what_was_cached_is_a_part_of_it() {
        let usage = usage(
            r#"{"promptTokenCount":100,"toolUsePromptTokenCount":"40","cachedContentTokenCount":60,"candidatesTokenCount":5,"totalTokenCount":145,"promptTokensDetails":[{"modality":"TEXT","tokenCount":70},{"modality":"AUDIO","tokenCount":30}]}"#,
        );
        assert_eq!((usage.uncached_input, usage.cache_read, usage.prompt()), (80, 60, 140));
        assert_eq!((usage.input_audio, usage.total()), (30, 145));
    }

    #[test]
    fn missing_and_strange_counts_are_zero() {
        assert_eq!(usage("{}"), Usage::default());
        assert_eq!(
            usage(r#"{"promptTokenCount":null,"promptTokensDetails":"x","thoughtsTokenCount":-1}"#),
            Usage::default()
        );
    }

    #[test]
    fn finish_reasons_map_to_the_closed_list() {
        use FinishReason::{ContentFilter, Length, Stop, ToolCalls};
        for (reason, without, with) in [
            ("STOP", Stop, ToolCalls),
            ("MAX_TOKENS", Length, Length),
            ("CONTINUATION", Length, Length),
            ("SAFETY", ContentFilter, ContentFilter),
            ("RECITATION", ContentFilter, ContentFilter),
            ("MODEL_ARMOR", ContentFilter, ContentFilter),
            ("OTHER", ContentFilter, ContentFilter),
            ("MALFORMED_FUNCTION_CALL", Stop, ToolCalls),
            ("SOMETHING_NEW", Stop, ToolCalls),
        ] {
            let end = End::of(reason);
            assert_eq!(end.finish_reason(false), without, "{reason}");
            assert_eq!(end.finish_reason(true), with, "{reason}");
        }
    }
}
