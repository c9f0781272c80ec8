//! The body, its path, and what becomes of each field at the top.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::openai::value::{self, Value};

use super::cache::Points;
use super::effort::{self, Reasoning};
use super::family::Family;
use super::json_answer::{self, JsonAnswer};
use super::tools;
use super::turns::{Turns, member};
use crate::openai::json::{Append, RawStr, write_str};
use crate::openai::request::read;
use crate::openai::{Chat, Error};
use crate::providers::claude::sampling::Sampling;
use crate::providers::warnings::{
    Warnings, max_tokens, refuse_all_but_text, refuse_more_answers, refuse_old_functions,
    refuse_probabilities, unsupported,
};
use crate::providers::{Outbound, Payload, Target};

/// Who speaks, in refusals.
const API: &str = "Bedrock";

const SEARCH: &str = "web_search_options";

/// Most entries of `requestMetadata`.
const MAX_METADATA: usize = 16;

/// Deepest nesting of metadata, which has texts only.
const MAX_METADATA_DEPTH: usize = 8;

/// Longest text of `metadata` that is read, in bytes: more than what fits takes in any writing.
const MAX_METADATA_BYTES: usize = 16 << 10;

/// Longest key and value of `requestMetadata`, in characters.
const MAX_METADATA_LENGTH: usize = 256;

/// The fields that are written, or refused, or mean the same without a word.
const PLACED: &[&str] = &[
    "audio",
    "function_call",
    "functions",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "reasoning_effort",
    "response_format",
    "service_tier",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "web_search_options",
];

/// The request for `target`. `length` is that of the client's body, which the new one resembles.
///
/// # Errors
/// A 400 that names the field which this API or model cannot honour.
pub(super) fn write(
    chat: &Chat<'_>,
    length: usize,
    target: &Target<'_>,
) -> Result<Outbound, Error> {
    let family = Family::of(target.model);
    let mut warnings = Warnings::default();
    refuse_more_answers(chat, API, target, &mut warnings)?;
    refuse_probabilities(chat, API, target, &mut warnings)?;
    refuse_all_but_text(chat, API, target, &mut warnings)?;
    refuse_old_functions(chat, target, &mut warnings)?;
    if chat.field(SEARCH).is_some() {
        let message = format!("'{SEARCH}': {API} does not search the web.");
        unsupported(SEARCH, SEARCH, message, target, &mut warnings)?;
    }
    let max_tokens = max_tokens(chat, target, &mut warnings)?;
    let reasoning = effort::plan(chat, target, family, max_tokens, &mut warnings)?;

    let mut out = Vec::with_capacity(length + length / 8 + 512);
    out.mark(b'{');
    let mut points = Points::new(target, family);
    let told = tools::write(chat, target, family, &mut out, &mut points, &mut warnings)?;
    let mut turns = Turns::new(chat, target, family, points, warnings);
    turns.write(&mut out)?;
    let mut warnings = turns.warnings;
    let sampling = choose(chat, target, family, reasoning, &mut warnings)?;
    let max_tokens = max_tokens.filter(|_| {
        let taken = !reasoning.refuses_max_tokens();
        if !taken {
            warnings.dropped("max_tokens");
        }
        taken
    });
    write_inference(chat, target, max_tokens, &sampling, &mut out, &mut warnings);
    write_output(chat, target, family, reasoning, &mut out, &mut warnings)?;

    member(&mut out, "additionalModelRequestFields");
    let start = out.len();
    out.mark(b'{');
    reasoning.write(&mut out);
    if told.one_call {
        member(&mut out, "tool_choice");
        out.put(br#"{"type":"auto","disable_parallel_tool_use":true}"#);
    }
    write_top_k(&sampling, family, &mut out);
    if out.len() == start + 1 {
        // With the name and its comma: there are messages before it.
        out.truncate(start - r#","additionalModelRequestFields":"#.len());
    } else {
        out.mark(b'}');
    }
    write_service_tier(chat, &mut out, &mut warnings)?;
    write_metadata(chat, &mut out, &mut warnings);
    write_guardrail(target, &mut out);
    out.mark(b'}');
    warnings.dropped_but(chat, PLACED);

    let action = if chat.stream { "converse-stream" } else { "converse" };
    Ok(Outbound {
        method: "POST",
        path: path(target, action),
        headers: vec![("content-type", "application/json".to_owned())],
        body: Payload::Whole(out),
        warnings: warnings.0,
    })
}

/// Where an action of the model is.
pub(super) fn path(target: &Target<'_>, action: &str) -> String {
    format!("{}/model/{}/{action}", target.base.path, encode(target.model))
}

/// A model's id as one segment of a path, its slashes and colons encoded too, as Amazon's own
/// clients do: the signature is over exactly these bytes.
fn encode(model: &str) -> String {
    let mut segment = String::with_capacity(model.len() + 16);
    for byte in model.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            segment.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

/// Most families take no `top_k`.
fn choose<'a>(
    chat: &Chat<'a>,
    target: &Target<'_>,
    family: Family,
    reasoning: Reasoning,
    warnings: &mut Warnings,
) -> Result<Sampling<'a>, Error> {
    let mut sampling = Sampling::choose(chat, target, !reasoning.fixes_sampling(), warnings)?;
    if sampling.top_k.is_some() && !matches!(family, Family::Claude | Family::Nova) {
        warnings.dropped("top_k");
        sampling.top_k = None;
    }
    Ok(sampling)
}

/// Appends members of `additionalModelRequestFields`: the API has no word for it.
fn write_top_k(sampling: &Sampling<'_>, family: Family, out: &mut Vec<u8>) {
    let Some(number) = sampling.top_k else { return };
    if family == Family::Nova {
        member(out, "inferenceConfig");
        let _ = write!(out, r#"{{"topK":{number}}}"#);
    } else {
        member(out, "top_k");
        out.put(number.as_bytes());
    }
}

fn write_inference(
    chat: &Chat<'_>,
    target: &Target<'_>,
    max_tokens: Option<u64>,
    sampling: &Sampling<'_>,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) {
    let mut config = vec![b'{'];
    if let Some(tokens) = max_tokens {
        member(&mut config, "maxTokens");
        let _ = write!(config, "{tokens}");
    }
    for (name, number) in [("temperature", sampling.temperature), ("topP", sampling.top_p)] {
        if let Some(number) = number {
            member(&mut config, name);
            config.put(number.as_bytes());
        }
    }
    // Claude refuses sequences that are only white space, and the API empty ones.
    let usable: Vec<&str> = chat
        .stop
        .iter()
        .filter(|text| !text.is_blank() && target.facts.parameters.stop)
        .map(|text| text.as_written())
        .collect();
    if usable.len() < chat.stop.len() {
        warnings.dropped("stop");
    }
    if !usable.is_empty() {
        member(&mut config, "stopSequences");
        let _ = write!(config, "[{}]", usable.join(","));
    }
    if config.len() > 1 {
        member(out, "inferenceConfig");
        out.append(&mut config);
        out.mark(b'}');
    }
}

fn write_output(
    chat: &Chat<'_>,
    target: &Target<'_>,
    family: Family,
    reasoning: Reasoning,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let mut config = vec![b'{'];
    if json_answer::way(chat, target, family) == JsonAnswer::Format {
        json_answer::write_format(chat, &mut config, warnings)?;
    }
    if let Some(effort) = reasoning.effort() {
        member(&mut config, "effort");
        write_str(&mut config, effort.name());
    }
    if config.len() > 1 {
        member(out, "outputConfig");
        out.append(&mut config);
        out.mark(b'}');
    }
    Ok(())
}

fn write_service_tier(
    chat: &Chat<'_>,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let Some(value) = chat.field("service_tier") else { return Ok(()) };
    let tier = match &*read::<RawStr<'_>>("service_tier", value)?.decode() {
        "auto" | "default" => "default",
        "flex" => "flex",
        "priority" => "priority",
        "reserved" => "reserved",
        _ => {
            warnings.dropped("service_tier");
            return Ok(());
        }
    };
    if tier != "default" {
        warnings.unpriced("service_tier");
    }
    member(out, "serviceTier");
    let _ = write!(out, r#"{{"type":"{tier}"}}"#);
    Ok(())
}

/// What does not fit is left out: it is for the records only.
fn write_metadata(chat: &Chat<'_>, out: &mut Vec<u8>, warnings: &mut Warnings) {
    let Some(value) = chat.field("metadata") else { return };
    let text = Some(value.get()).filter(|text| text.len() <= MAX_METADATA_BYTES);
    let read = text.and_then(|text| value::parse(text.as_bytes(), MAX_METADATA_DEPTH).ok());
    let Some(Value::Object(entries)) = read else {
        warnings.dropped("metadata");
        return;
    };
    let start = out.len();
    member(out, "requestMetadata");
    out.mark(b'{');
    let empty = out.len();
    let mut count = 0;
    for (key, value) in entries.sorted() {
        match value.as_str() {
            Some(value)
                if count < MAX_METADATA && !key.is_empty() && is_plain(key) && is_plain(value) =>
            {
                member(out, key);
                write_str(out, value);
                count += 1;
            }
            _ => warnings.dropped("metadata"),
        }
    }
    if out.len() == empty {
        out.truncate(start);
    } else {
        out.mark(b'}');
    }
}

/// Letters, digits, white space and `:_@$#=/+,-.`, and not too many. White space is only the blank
/// here: the rest would need escapes.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" :_@$#=/+,-.".contains(&byte);
    text.len() <= MAX_METADATA_LENGTH && text.bytes().all(plain)
}

/// Without a version the draft counts, as for a guardrail that was just made.
fn write_guardrail(target: &Target<'_>, out: &mut Vec<u8>) {
    let Some(id) = target.settings.value("guardrail_id") else { return };
    let version = target.settings.value("guardrail_version").unwrap_or("DRAFT");
    member(out, "guardrailConfig");
    out.put(br#"{"guardrailIdentifier":"#);
    write_str(out, id);
    member(out, "guardrailVersion");
    write_str(out, version);
    out.mark(b'}');
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn metadata_that_is_too_long_is_not_even_read() {
        let written = |padding: usize| {
            let padding = " ".repeat(padding);
            let body = format!(r#"{{"messages":[],"metadata":{{"team":"a"{padding}}}}}"#);
            let (mut out, mut warnings) = (b"{".to_vec(), Warnings::default());
            write_metadata(&Chat::parse(body.as_bytes()).unwrap(), &mut out, &mut warnings);
            (String::from_utf8(out).unwrap(), warnings.0.len())
        };
        let fits = MAX_METADATA_BYTES - r#"{"team":"a"}"#.len();
        assert_eq!(written(fits), (r#"{"requestMetadata":{"team":"a"}"#.to_owned(), 0));
        assert_eq!(written(fits + 1), ("{".to_owned(), 1));
    }

    #[test]
    fn a_models_id_is_one_segment_of_the_path() {
        assert_eq!(encode("anthropic.claude-opus-5-5"), "anthropic.claude-opus-5-5");
        assert_eq!(encode("amazon.nova-pro-v1:0"), "amazon.nova-pro-v1%3A0");
        assert_eq!(
            encode("arn:aws:bedrock:us-east-1:1:inference-profile/us.x~_"),
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x~_"
        );
        assert_eq!(encode("é ?#%"), "%C3%A9%20%3F%23%25");
    }
}
