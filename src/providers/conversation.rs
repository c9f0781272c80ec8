//! Reading a conversation, for dialects that write it anew in another form.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::Target;
use super::ids::Ids;
use super::warnings::{Warnings, unsupported};
use crate::openai::Error;
use crate::openai::json::{Append, RawStr, is_object, separate, write_str};
use crate::openai::message::{ImageUrl, Items, Message, Part, Role, ToolCall};
use crate::openai::place::from_str;
use crate::openai::request::read;

/// Where a part of a message's content stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Which message.
    pub message: usize,
    /// Which of its parts.
    pub part: usize,
}

impl Place {
    /// The name of a field of the part.
    pub(crate) fn param(self, field: &str) -> String {
        format!("messages[{}].content[{}].{field}", self.message, self.part)
    }

    /// A 400 that blames a field of the part. `why` goes on behind the field's name.
    pub(crate) fn error(self, field: &str, why: &str) -> Error {
        let param = self.param(field);
        let message = format!("'{param}' {why}.");
        Error::invalid(param, message)
    }
}

/// Whether the message holds instructions, by either name.
pub(crate) const fn is_instruction(role: Role) -> bool {
    matches!(role, Role::System | Role::Developer)
}

/// The messages with their places, and in each run that is not the assistant's the results of tools
/// first: several APIs want every call answered before anything else is said.
pub(crate) fn results_first<'c, 'a>(messages: &'c [Message<'a>]) -> Vec<(usize, &'c Message<'a>)> {
    let mut ordered = Vec::with_capacity(messages.len());
    let mut held = Vec::new();
    for place in messages.iter().enumerate() {
        match place.1.role {
            Role::Tool => ordered.push(place),
            Role::Assistant => {
                ordered.append(&mut held);
                ordered.push(place);
            }
            _ => held.push(place),
        }
    }
    ordered.append(&mut held);
    ordered
}

/// The parts of the content of the message at `index`.
///
/// # Errors
/// A 400 that names the part that is none.
pub(crate) fn parts_of<'a>(index: usize, parts: &'a RawValue) -> Result<Vec<Part<'a>>, Error> {
    let parts: Items<Part<'a>> = read("content", parts).map_err(|error| within(index, error))?;
    Ok(parts.0)
}

/// The calls that the message at `index` makes; none where it has no such field.
///
/// # Errors
/// A 400 that names the call that is none.
pub(crate) fn calls_of<'a>(
    index: usize,
    message: &Message<'a>,
) -> Result<Vec<ToolCall<'a>>, Error> {
    let Some(calls) = message.tool_calls else { return Ok(Vec::new()) };
    let calls: Items<ToolCall<'a>> =
        read("tool_calls", calls).map_err(|error| within(index, error))?;
    Ok(calls.0)
}

/// Drops or refuses what the assistant's message at `index` holds and no other API takes back: a
/// speaker's name, a call in the older form, a sound. `sound` says why the last is refused.
///
/// # Errors
/// The refusal.
pub(crate) fn check_answer(
    index: usize,
    message: &Message<'_>,
    sound: &str,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    warnings.drop_name(message);
    if message.function_call.is_some() {
        return Err(old_form(format!("messages[{index}].function_call")));
    }
    if message.audio.is_some() {
        let param = format!("messages[{index}].audio");
        let text = format!("'{param}': {sound}.");
        unsupported(param, "messages[].audio", text, target, warnings)?;
    }
    Ok(())
}

/// The refusal of a last message of the assistant's, at `index`, that the model would have to
/// continue.
pub(crate) fn no_prefill(index: usize, target: &Target<'_>) -> Error {
    let message =
        format!("The model '{}' does not continue a last message of the assistant.", target.model);
    Error::unsupported(format!("messages[{index}].role"), message)
}

/// Appends a text part in OpenAI's form, which several APIs have taken over.
pub(crate) fn write_text(text: RawStr<'_>, out: &mut Vec<u8>) {
    separate(out);
    out.put(br#"{"type":"text","text":"#);
    out.put(text.as_written().as_bytes());
    out.mark(b'}');
}

/// Appends a picture's part in the same form. Of the details all take `low` and `high`; another is
/// dropped.
pub(crate) fn write_image(image: &ImageUrl<'_>, out: &mut Vec<u8>, warnings: &mut Warnings) {
    let detail = image.detail.filter(|detail| detail.inner() != "auto");
    let known = detail.filter(|detail| matches!(detail.inner(), "low" | "high"));
    if detail.is_some() && known.is_none() {
        warnings.dropped("messages[].content[].image_url.detail");
    }
    separate(out);
    out.put(br#"{"type":"image_url","image_url":{"url":"#);
    out.put(image.url.as_written().as_bytes());
    if let Some(detail) = known {
        out.put(b",\"detail\":");
        out.put(detail.as_written().as_bytes());
    }
    out.put(b"}}");
}

/// Appends `,"tool_calls":[…]` in the same form, if the message at `index` makes any calls. `api` is
/// the provider's name, and `name` makes one that it takes.
///
/// # Errors
/// As [`called`].
pub(crate) fn write_calls(
    index: usize,
    calls: &[ToolCall<'_>],
    api: &str,
    ids: &mut Ids,
    name: fn(&str) -> Cow<'_, str>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    if calls.is_empty() {
        return Ok(());
    }
    out.put(b",\"tool_calls\":[");
    for (place, call) in calls.iter().enumerate() {
        let Called { name: written, arguments } = called(index, place, call, api)?;
        separate(out);
        out.put(b"{\"id\":");
        write_str(out, ids.fit(&call.id.decode()));
        out.put(br#","type":"function","function":{"name":"#);
        write_str(out, &name(&written));
        out.put(b",\"arguments\":");
        write_str(out, arguments.trim_ascii());
        out.put(b"}}");
    }
    out.mark(b']');
    Ok(())
}

/// A function call as APIs take it whose arguments are an object and not a text.
#[derive(Debug)]
pub(crate) struct Called<'a> {
    /// The function's name.
    pub name: Cow<'a, str>,
    /// The arguments: the text of a JSON object as the model wrote it, `{}` for nothing.
    pub arguments: Cow<'a, str>,
}

/// Name and arguments of the call at `place` of the message at `index`. `api` is the provider's
/// name, for the refusal.
///
/// # Errors
/// A 400: a custom tool's call, or arguments that are no JSON object.
pub(crate) fn called<'a>(
    index: usize,
    place: usize,
    call: &ToolCall<'a>,
    api: &str,
) -> Result<Called<'a>, Error> {
    let Some(function) = &call.function else {
        return Err(no_custom_calls(index, place, api));
    };
    let written = function.arguments.map(RawStr::decode).unwrap_or_default();
    let arguments = if written.trim_ascii().is_empty() {
        Cow::Borrowed("{}")
    } else {
        match from_str::<&RawValue>(&written) {
            Ok(object) if is_object(object) => written,
            _ => {
                let param = format!("messages[{index}].tool_calls[{place}].function.arguments");
                let message = format!("'{param}' must be a JSON object, written as a string.");
                return Err(Error::invalid(param, message));
            }
        }
    };
    Ok(Called { name: function.name.decode(), arguments })
}

/// The error with its place inside the message put behind the message's own.
pub(crate) fn within(index: usize, error: Error) -> Error {
    let field = error.param.as_deref().unwrap_or_default();
    let param = format!("messages[{index}].{field}");
    let message = error.message.replace(&format!("'{field}'"), &format!("'{param}'"));
    Error { message, ..error }.with_param(param)
}

/// The refusal of a custom tool's call, at `place` of the message at `index`. `api` is the
/// provider's name.
pub(crate) fn no_custom_calls(index: usize, place: usize, api: &str) -> Error {
    let param = format!("messages[{index}].tool_calls[{place}].type");
    let message = format!("'{param}': calls of custom tools do not exist at {api}.");
    Error::unsupported(param, message)
}

/// The refusal of a field that `tools` has replaced.
pub(crate) fn old_form(param: String) -> Error {
    let message =
        format!("'{param}': the older form of function calls is not translated; use 'tools'.");
    Error::unsupported(param, message)
}
