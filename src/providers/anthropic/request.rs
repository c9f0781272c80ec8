//! The body, its headers, and what becomes of each field at the top.

use std::io::Write as _;

use super::Host;
use super::assistant;
use super::cache::Marks;
use super::json_answer::{self, JsonAnswer};
use super::thinking::{self, Plan, Thinking};
use super::tools;
use super::turns::{IDS, Turns};
use crate::providers::claude::marks;
use crate::providers::claude::sampling::Sampling;
use crate::providers::ids::Ids;

use crate::openai::json::{Append, RawStr, write_str};
use crate::openai::request::{ResponseFormat, read};
use crate::openai::{Chat, Error};
use crate::providers::warnings::{
    self, Warnings, refuse_all_but_text, refuse_more_answers, refuse_old_functions,
    refuse_probabilities,
};
use crate::providers::{Outbound, Payload, Target, Warning};

/// Who speaks, in refusals.
const API: &str = "Anthropic";

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
    refuse_more_answers(chat, API, target, &mut warnings)?;
    refuse_probabilities(chat, API, target, &mut warnings)?;
    refuse_all_but_text(chat, API, target, &mut warnings)?;
    refuse_old_functions(chat, target, &mut warnings)?;
    let max_tokens = max_tokens(chat, target, &mut warnings)?;
    let forced = tools::call_is_forced(chat, target.facts);
    let around = assistant::surroundings(chat, max_tokens, forced);
    let plan = thinking::plan(chat, target.facts, around, &mut warnings)?;
    // The API's newer version has none of it, and thinking fixes it.
    let taken = !plan.thinking.is_some_and(Thinking::is_on)
        && target.settings.value("anthropic_version") != Some(NEW_VERSION);
    let sampling = Sampling::choose(chat, target, taken, &mut warnings)?;
    let version = version(&sampling, target, host);

    let mut out = Vec::with_capacity(length + length / 8 + 512);
    match host {
        Host::Own => {
            out.put(b"{\"model\":");
            write_str(&mut out, target.model);
        }
        Host::Vertex => {
            out.put(b"{\"anthropic_version\":");
            write_str(&mut out, version);
        }
    }
    // Writing to a Vec cannot fail.
    let _ = write!(out, ",\"max_tokens\":{max_tokens}");
    let mut marks = Marks::new();
    if let Some(control) = chat.field("cache_control") {
        let mark = marks::mark(Some(control), None, &mut warnings);
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
    write_sampling(&sampling, &mut out);
    write_stop(chat, &mut out, &mut warnings);
    write_user(chat, &mut out, &mut warnings)?;
    write_service_tier(chat, &mut out, &mut warnings)?;
    if chat.stream {
        out.put(b",\"stream\":true");
    }
    out.mark(b'}');
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

/// The API needs a limit.
fn max_tokens(chat: &Chat<'_>, target: &Target<'_>, warnings: &mut Warnings) -> Result<u64, Error> {
    if let Some(tokens) = warnings::max_tokens(chat, target, warnings)? {
        return Ok(tokens);
    }
    let chosen = target.facts.max_output.unwrap_or(DEFAULT_MAX_TOKENS);
    let to = chosen.to_string();
    warnings.add(Warning::Defaulted { param: "max_tokens".into(), to });
    Ok(chosen)
}

fn write_sampling(sampling: &Sampling<'_>, out: &mut Vec<u8>) {
    for (name, number) in [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("top_k", sampling.top_k),
    ] {
        if let Some(number) = number {
            let _ = write!(out, ",\"{name}\":{number}");
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
        out.put(begin);
        out.put(br#"{"type":"json_schema","schema":"#);
        json_answer::write_format(schema, out, warnings)?;
        out.mark(b'}');
    }
    if plan.effort.is_some() || schema.is_some() {
        out.mark(b'}');
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
        "auto" => out.put(br#","service_tier":"auto""#),
        "default" | "standard_only" => {
            out.put(br#","service_tier":"standard_only""#);
        }
        _ => warnings.dropped("service_tier"),
    }
    Ok(())
}
