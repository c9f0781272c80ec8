//! Tools, for providers that know less of them than OpenAI.

use serde_json::value::RawValue;

use super::messages::{is_foreign, note};
use super::quirks::Quirks;
use crate::openai::json::{Append, write_str};
use crate::openai::message::{Items, Tool};
use crate::openai::object::Members;
use crate::openai::place::from_str;
use crate::openai::request::ToolChoice;
use crate::openai::{Chat, Error};
use crate::providers::Target;
use crate::providers::warnings::{Warnings, unsupported};

/// The tools as the provider takes them, or nothing when that is how they stand already. The list
/// may be empty.
///
/// # Errors
/// A 400 that names a tool of a kind that the provider does not have.
pub(super) fn fitted(
    chat: &Chat<'_>,
    target: &Target<'_>,
    quirks: &Quirks,
    warnings: &mut Warnings,
) -> Result<Option<String>, Error> {
    let allowed: Option<Vec<_>> = match &chat.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) if !quirks.tools.allowed => {
            Some(names.iter().map(|name| name.decode()).collect())
        }
        _ => None,
    };
    let is_kept = |tool: &Tool<'_>| match &tool.function {
        Some(function) => {
            allowed.as_ref().is_none_or(|allowed| allowed.contains(&function.name.decode()))
        }
        None => quirks.tools.custom,
    };
    let keeps_marks = quirks.messages.keeps.contains(&"cache_control");
    let changes = |tool: &Tool<'_>| {
        let strict = tool.function.as_ref().is_some_and(|function| function.strict.is_some());
        !is_kept(tool)
            || (tool.cache_control.is_some() && !keeps_marks)
            || (strict && !quirks.tools.strict)
    };
    if !chat.tools.iter().any(changes) {
        return Ok(None);
    }
    let Some(raw) = chat.field("tools") else { return Ok(None) };
    let Ok(list) = from_str::<Items<&RawValue>>(raw.get()) else { return Ok(None) };
    let mut dropped = Vec::new();
    let mut out = vec![b'['];
    for (at, (raw, tool)) in list.0.iter().zip(&chat.tools).enumerate() {
        if tool.function.is_none() && !quirks.tools.custom {
            let message = format!("Custom tools do not exist at {}.", quirks.name);
            let param = format!("tools[{at}].type");
            unsupported(param, "custom tools", message, target, warnings)?;
        }
        if !is_kept(tool) {
            continue;
        }
        if out.len() > 1 {
            out.mark(b',');
        }
        match from_str::<Members<'_>>(raw.get()) {
            Ok(members) if changes(tool) => write(&mut out, &members, quirks, &mut dropped),
            _ => out.put(raw.get().as_bytes()),
        }
    }
    out.mark(b']');
    dropped.into_iter().for_each(|name| warnings.dropped(name));
    Ok(String::from_utf8(out).ok())
}

/// A tool without what the provider does not know.
fn write(out: &mut Vec<u8>, tool: &Members<'_>, quirks: &Quirks, dropped: &mut Vec<&'static str>) {
    out.mark(b'{');
    for (name, value) in &tool.0 {
        if let Some(foreign) = is_foreign(name, quirks) {
            note(dropped, foreign);
            continue;
        }
        if out.last() != Some(&b'{') {
            out.mark(b',');
        }
        write_str(out, name);
        out.mark(b':');
        match from_str::<Members<'_>>(value.get()) {
            Ok(function) if name == "function" && !quirks.tools.strict => {
                write_function(out, &function, dropped);
            }
            _ => out.put(value.get().as_bytes()),
        }
    }
    out.mark(b'}');
}

/// A function without `strict`.
fn write_function(out: &mut Vec<u8>, function: &Members<'_>, dropped: &mut Vec<&'static str>) {
    out.mark(b'{');
    for (name, value) in &function.0 {
        if name == "strict" {
            if value.get() == "true" {
                note(dropped, "strict");
            }
            continue;
        }
        if out.last() != Some(&b'{') {
            out.mark(b',');
        }
        write_str(out, name);
        out.mark(b':');
        out.put(value.get().as_bytes());
    }
    out.mark(b'}');
}
