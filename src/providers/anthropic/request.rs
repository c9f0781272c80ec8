//! The body, its headers, and what becomes of each field at the top.

use std::io::Write as _;

use super::Host;
use super::assistant;
use super::cache::{self, Marks};
use super::json_answer::{self, JsonAnswer};
use super::thinking::{self, Plan, Thinking};
use super::tools;
use super::turns::{IDS, Turns};
use crate::providers::ids::Ids;

use crate::openai::json::{Num, RawStr, write_str};
use crate::openai::request::{ResponseFormat, read};
use crate::openai::{Chat, Error};
use crate::providers::warnings::{Warnings, clamp, unsupported};
use crate::providers::{Outbound, Payload, Target, Warning};

/// Values of `anthropic_version`. `auto` takes the newest, and the old one only for a request with
/// sampling parameters to a model that still takes them: the newest has none.
pub const VERSIONS: &[&str] = &["auto", OLD_VERSION, NEW_VERSION];

/// The same at Vertex, whose old version has another name.
pub const VERTEX_VERSIONS: &[&str] = &["auto", OLD_VERTEX_VERSION, NEW_VERSION];

pub(super) const OLD_VERSION: &str = "2023-06-01";
pub(super) const NEW_VERSION: &str = "2026-10-21";
const OLD_VERTEX_VERSION: &str = "vertex-2023-10-16";

/// The longest answer asked of a model of which nothing is known, in tokens. The API needs a
/// number, and this is one that every model takes.
const DEFAULT_MAX_TOKENS: u64 = 4096;

/// Longest `metadata.user_id`, in characters.
const MAX_USER_ID: usize = 512;

/// The fields that are written, or refused, or mean the same without a word.
const PLACED: &[&str] = &[
    "audio",
    "cache_control",
    "function_call",
    "functions",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
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
    "user",
    "web_search_options",
];

/// The request for `target`. `length` is that of the client's body, which the new one resembles.
///
/// # Errors
/// A 400 that names the field which this API or model cannot honour.
pub(in crate::providers) fn write(
    chat: &Chat<'_>,
    length: usize,
    target: &Target<'_>,
    host: Host,
) -> Result<Outbound, Error> {
    let mut warnings = Warnings::default();
    refuse_what_shapes_the_answer(chat, target, &mut warnings)?;
    let max_tokens = max_tokens(chat, target, &mut warnings)?;
    let forced = tools::call_is_forced(chat, target.facts);
    let around = assistant::surroundings(chat, max_tokens, forced);
    let plan = thinking::plan(chat, target.facts, around, &mut warnings)?;
    let thinks = plan.thinking.is_some_and(Thinking::is_on);
    let sampling = Sampling::choose(chat, target, thinks, &mut warnings)?;
    let version = version(&sampling, target, host);

    let mut out = Vec::with_capacity(length + length / 8 + 512);
    match host {
        Host::Own => {
            out.extend_from_slice(b"{\"model\":");
            write_str(&mut out, target.model);
        }
        Host::Vertex => {
            out.extend_from_slice(b"{\"anthropic_version\":");
            write_str(&mut out, version);
        }
    }
    // Writing to a Vec cannot fail.
    let _ = write!(out, ",\"max_tokens\":{max_tokens}");
    let mut marks = Marks::new();
    if let Some(control) = chat.field("cache_control") {
        let mark = cache::mark(Some(control), None, &mut warnings);
        marks.write(&mut out, mark, &mut warnings);
    }
    tools::write(chat, target, &mut out, &mut marks, &mut warnings)?;
    let mut turns = Turns { chat, target, host, ids: Ids::new(&IDS), marks, warnings };
    turns.write(&mut out)?;
    let mut warnings = turns.warnings;
    if let Some(thinking) = plan.thinking {
        thinking.write(&mut out);
    }
    write_output_config(chat, target, plan, &mut out, &mut warnings)?;
    sampling.write(&mut out);
    write_stop(chat, &mut out, &mut warnings);
    write_user(chat, &mut out, &mut warnings)?;
    write_service_tier(chat, &mut out, &mut warnings)?;
    if chat.stream {
        out.extend_from_slice(b",\"stream\":true");
    }
    out.push(b'}');
    // The API refuses a request with a field that it does not know.
    warnings.dropped_but(chat, PLACED);

    let mut headers = vec![("content-type", "application/json".to_owned())];
    if host == Host::Own {
        headers.push(("anthropic-version", version.to_owned()));
    }
    if let Some(beta) = target.settings.value("anthropic_beta") {
        headers.push(("anthropic-beta", beta.to_owned()));
    }
    Ok(Outbound {
        method: "POST",
        path: format!("{}/v1/messages", target.base.path),
        headers,
        body: Payload::Whole(out),
        warnings: warnings.0,
    })
}

fn version(sampling: &Sampling<'_>, target: &Target<'_>, host: Host) -> &'static str {
    let old = match host {
        Host::Own => OLD_VERSION,
        Host::Vertex => OLD_VERTEX_VERSION,
    };
    match target.settings.value("anthropic_version") {
        Some(NEW_VERSION) => NEW_VERSION,
        Some(set) if set == old => old,
        _ if sampling.is_empty() => NEW_VERSION,
        _ => old,
    }
}

fn refuse_what_shapes_the_answer(
    chat: &Chat<'_>,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let mut refuse = |param: &'static str, why: &str| {
        unsupported(param, param, format!("'{param}': {why}."), target, warnings)
    };
    if chat.n.is_some_and(|n| n > 1) {
        refuse("n", "Anthropic gives one answer to a request")?;
    }
    if chat.logprobs {
        refuse("logprobs", "Anthropic gives no token probabilities")?;
    }
    if chat.top_logprobs.is_some_and(|top| top > 0) {
        refuse("top_logprobs", "Anthropic gives no token probabilities")?;
    }
    if let Some(modalities) = chat.field("modalities") {
        let modalities: Vec<RawStr<'_>> = read("modalities", modalities)?;
        if modalities.iter().any(|modality| modality.decode() != "text") {
            refuse("modalities", "Anthropic answers in text only")?;
        }
    }
    for param in ["audio", "functions", "function_call"] {
        if chat.field(param).is_some() {
            let why = match param {
                "audio" => "Anthropic answers in text only",
                "functions" => "the older form of 'tools' is not translated; use 'tools'",
                _ => "the older form of 'tool_choice' is not translated; use 'tool_choice'",
            };
            refuse(param, why)?;
        }
    }
    Ok(())
}

fn max_tokens(chat: &Chat<'_>, target: &Target<'_>, warnings: &mut Warnings) -> Result<u64, Error> {
    let most = target.facts.max_output;
    let Some(wanted) = chat.max_tokens else {
        let chosen = most.unwrap_or(DEFAULT_MAX_TOKENS);
        let to = chosen.to_string();
        warnings.add(Warning::Defaulted { param: "max_tokens".into(), to });
        return Ok(chosen);
    };
    let param = match chat.field("max_completion_tokens") {
        Some(_) => "max_completion_tokens",
        None => "max_tokens",
    };
    match most {
        Some(most) if wanted > most => {
            clamp(param, wanted, most, target, warnings)?;
            Ok(most)
        }
        _ => Ok(wanted),
    }
}

/// What stands in the body about sampling.
#[derive(Debug, Default)]
struct Sampling<'a> {
    temperature: Option<&'a str>,
    top_p: Option<&'a str>,
    top_k: Option<&'a str>,
}

impl<'a> Sampling<'a> {
    /// The API's newer version has none of them, newer models take none of them, some take only
    /// one, and a model that thinks takes none but the defaults.
    fn choose(
        chat: &Chat<'a>,
        target: &Target<'_>,
        thinks: bool,
        warnings: &mut Warnings,
    ) -> Result<Self, Error> {
        let known = &target.facts.parameters;
        let top_k: Option<Num<'a>> =
            chat.field("top_k").map(|value| read("top_k", value)).transpose()?;
        let taken = known.sampling_params
            && !thinks
            && target.settings.value("anthropic_version") != Some(NEW_VERSION);
        if !taken {
            // One is the default of both: to drop it changes nothing.
            for (param, number) in [("temperature", chat.temperature), ("top_p", chat.top_p)] {
                if number.is_some_and(|number| number.value != 1.0) {
                    warnings.dropped(param);
                }
            }
            if top_k.is_some() {
                warnings.dropped("top_k");
            }
            return Ok(Self::default());
        }
        let mut sampling = Self {
            temperature: chat.temperature.map(|number| number.written),
            top_p: chat.top_p.map(|number| number.written),
            top_k: top_k.map(|number| number.written),
        };
        if let Some(number) = chat.temperature.filter(|number| number.value > 1.0) {
            clamp("temperature", number.written, 1, target, warnings)?;
            sampling.temperature = Some("1");
        }
        if sampling.temperature.is_some()
            && sampling.top_p.is_some()
            && !known.temperature_with_top_p
        {
            warnings.dropped("top_p");
            sampling.top_p = None;
        }
        Ok(sampling)
    }

    const fn is_empty(&self) -> bool {
        self.temperature.is_none() && self.top_p.is_none() && self.top_k.is_none()
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (name, number) in
            [("temperature", self.temperature), ("top_p", self.top_p), ("top_k", self.top_k)]
        {
            if let Some(number) = number {
                let _ = write!(out, ",\"{name}\":{number}");
            }
        }
    }
}

fn write_output_config(
    chat: &Chat<'_>,
    target: &Target<'_>,
    plan: Plan,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let schema = match &chat.response_format {
        Some(ResponseFormat::JsonSchema(wanted))
            if json_answer::way(chat, target.facts) == JsonAnswer::Format =>
        {
            wanted.schema
        }
        _ => None,
    };
    if let Some(effort) = plan.effort {
        let _ = write!(out, r#","output_config":{{"effort":"{}""#, effort.name());
    }
    if let Some(schema) = schema {
        let begin: &[u8] = if plan.effort.is_some() {
            b",\"format\":"
        } else {
            b",\"output_config\":{\"format\":"
        };
        out.extend_from_slice(begin);
        out.extend_from_slice(br#"{"type":"json_schema","schema":"#);
        json_answer::write_format(schema, out, warnings)?;
        out.push(b'}');
    }
    if plan.effort.is_some() || schema.is_some() {
        out.push(b'}');
    }
    Ok(())
}

/// The API refuses sequences that are only white space.
fn write_stop(chat: &Chat<'_>, out: &mut Vec<u8>, warnings: &mut Warnings) {
    let usable: Vec<&str> =
        chat.stop.iter().filter(|text| !text.is_blank()).map(|text| text.as_written()).collect();
    if usable.len() < chat.stop.len() {
        warnings.dropped("stop");
    }
    if !usable.is_empty() {
        let _ = write!(out, ",\"stop_sequences\":[{}]", usable.join(","));
    }
}

/// The API refuses what looks like a person's address, and what is long.
fn write_user(chat: &Chat<'_>, out: &mut Vec<u8>, warnings: &mut Warnings) -> Result<(), Error> {
    for param in ["safety_identifier", "user"] {
        let Some(value) = chat.field(param) else { continue };
        let id: RawStr<'_> = read(param, value)?;
        let decoded = id.decode();
        if decoded.is_empty() || decoded.contains('@') || decoded.chars().count() > MAX_USER_ID {
            warnings.dropped(param);
            continue;
        }
        let _ = write!(out, ",\"metadata\":{{\"user_id\":{}}}", id.as_written());
        return Ok(());
    }
    Ok(())
}

fn write_service_tier(
    chat: &Chat<'_>,
    out: &mut Vec<u8>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let Some(value) = chat.field("service_tier") else { return Ok(()) };
    match &*read::<RawStr<'_>>("service_tier", value)?.decode() {
        "auto" => out.extend_from_slice(br#","service_tier":"auto""#),
        "default" | "standard_only" => {
            out.extend_from_slice(br#","service_tier":"standard_only""#);
        }
        _ => warnings.dropped("service_tier"),
    }
    Ok(())
}
