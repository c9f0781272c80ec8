//! A whole answer, checked.

use std::borrow::Cow;
use std::io::Write as _;

use serde_json::value::RawValue;

use super::edit::{Splice, in_order, span, splice};
use super::finish::{ended, is_empty, is_truthy, read_usage, replacement};
use crate::openai::json::write_str;
use crate::openai::message::Bounded;
use crate::openai::place::{from_slice, from_str, members};
use crate::openai::validate::MAX_N;
use crate::openai::{Class, Error};
use crate::providers::{Answer, Call, Payload, failure};

/// Most choices of an answer: as many as can be asked for.
pub const MAX_CHOICES: usize = MAX_N as usize;

struct Completion<'a> {
    error: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    object: Option<&'a RawValue>,
    created: Option<&'a RawValue>,
    model: Option<&'a RawValue>,
    choices: Option<Bounded<Choice<'a>, MAX_CHOICES>>,
    usage: Option<&'a RawValue>,
}

members!(Completion<'a> {
    error,
    id (written),
    object (written),
    created (written),
    model (written),
    choices,
    usage,
});

struct Choice<'a> {
    index: Option<&'a RawValue>,
    message: Option<Said<'a>>,
    finish_reason: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
}

members!(Choice<'a> { index, message, finish_reason (written), error });

struct Said<'a> {
    role: Option<&'a RawValue>,
    content: Option<&'a RawValue>,
    tool_calls: Option<&'a RawValue>,
}

members!(Said<'a> { role, content (written), tool_calls });

/// Reads the body of an answer with a status below 300.
///
/// # Errors
/// A body that is no answer, and an error that came with a good status.
pub fn read(call: &Call<'_>, body: &[u8]) -> Result<Answer, Error> {
    if body.trim_ascii().is_empty() {
        return Err(no_answer("an empty body"));
    }
    // What is passed over is not looked at, and must be text all the same.
    if std::str::from_utf8(body).is_err() {
        return Err(no_answer("text that is not UTF-8"));
    }
    let completion: Completion<'_> = from_slice(body).map_err(|error| unread(body, &error))?;
    if completion.error.is_some_and(is_truthy) {
        return Err(failure::in_stream(body));
    }
    let choices = completion.choices.as_ref().map(|list| list.0.as_slice()).unwrap_or_default();
    if choices.is_empty() {
        // Some tell an error without the envelope, too.
        if failure::message(body).is_some() {
            return Err(failure::in_stream(body));
        }
        return Err(no_answer("an answer without choices"));
    }
    let mut splices = canonical_head(call, body, &completion);
    for choice in choices {
        if let Some(error) = choice.error.filter(|error| is_truthy(error)) {
            return Err(failure::in_stream(error.get().as_bytes()));
        }
        let Some(message) = &choice.message else {
            return Err(no_answer("a choice without a message"));
        };
        let calls = message.tool_calls.is_some_and(|calls| !is_empty(calls));
        let reason = choice.finish_reason.map_or("null", RawValue::get);
        let word = replacement(reason, calls, Some(ended(calls)))?;
        let place = choice.finish_reason.and_then(|json| span(body, json.get()));
        splices.extend(place.zip(word));
    }
    if choices.iter().any(Choice::is_incomplete) {
        splices.extend(canonical_choices(body, choices));
    }
    let usage = completion.usage.and_then(read_usage);
    let payload = if splices.is_empty() {
        Payload::Same
    } else {
        let splices = in_order(splices);
        let mut out = Vec::with_capacity(body.len() + 128);
        splice(&mut out, body, &splices);
        Payload::Whole(out)
    };
    Ok(Answer { body: payload, usage })
}

impl Choice<'_> {
    fn is_incomplete(&self) -> bool {
        self.index.is_none()
            || self.finish_reason.is_none()
            || self
                .message
                .as_ref()
                .is_some_and(|message| message.role.is_none() || message.content.is_none())
    }
}

/// What the choices lack, read once more for where each of them stands.
fn canonical_choices(body: &[u8], choices: &[Choice<'_>]) -> Vec<Splice> {
    struct Completion<'a> {
        choices: Bounded<&'a RawValue, MAX_CHOICES>,
    }
    members!(Completion<'a> { choices (required) });
    struct Places<'a> {
        index: Option<&'a RawValue>,
        message: &'a RawValue,
    }
    members!(Places<'a> { index (written), message (required) });
    struct Role<'a> {
        role: Option<&'a RawValue>,
    }
    members!(Role<'a> { role (written) });
    let mut splices = Vec::new();
    let Ok(completion) = from_slice::<Completion<'_>>(body) else { return splices };
    for (at, (raw, choice)) in completion.choices.0.iter().zip(choices).enumerate() {
        let Ok(places) = from_str::<Places<'_>>(raw.get()) else { continue };
        let mut missing = String::new();
        match (choice.index, places.index.and_then(|null| span(body, null.get()))) {
            (Some(_), _) => {}
            (None, Some(null)) => splices.push((null, Cow::Owned(at.to_string()))),
            (None, None) => missing.push_str(&format!("\"index\":{at},")),
        }
        if choice.finish_reason.is_none() {
            let message = choice.message.as_ref();
            let calls = message.and_then(|message| message.tool_calls);
            let reason = ended(calls.is_some_and(|calls| !is_empty(calls)));
            missing.push_str(&format!("\"finish_reason\":\"{}\",", reason.word()));
        }
        splices.extend(inside(body, raw).map(|brace| (brace..brace, Cow::Owned(missing))));
        // Azure says nothing at all of what it filtered.
        if choice.message.as_ref().is_some_and(|message| message.content.is_none()) {
            // Something always follows, be it the role that is put there below.
            let content = Cow::Borrowed("\"content\":null,");
            splices.extend(inside(body, places.message).map(|brace| (brace..brace, content)));
        }
        if choice.message.as_ref().is_some_and(|message| message.role.is_some()) {
            continue;
        }
        let role = from_str::<Role<'_>>(places.message.get()).ok();
        match role.and_then(|said| said.role).and_then(|null| span(body, null.get())) {
            Some(null) => splices.push((null, Cow::Borrowed("\"assistant\""))),
            None => {
                let comma = if is_empty(places.message) { "" } else { "," };
                let role = Cow::Owned(format!("\"role\":\"assistant\"{comma}"));
                splices.extend(inside(body, places.message).map(|brace| (brace..brace, role)));
            }
        }
    }
    splices
}

/// Behind the brace of an object that stands in `body`.
fn inside(body: &[u8], object: &RawValue) -> Option<usize> {
    Some(span(body, object.get())?.start + 1)
}

/// What an answer lacks at its top: OpenAI's clients rely on all four members and on their types.
fn canonical_head(call: &Call<'_>, body: &[u8], completion: &Completion<'_>) -> Vec<Splice> {
    let mut splices = Vec::new();
    let mut missing = Vec::new();
    let is_fine = |name: &str, json: &RawValue| match name {
        "object" => json.get() == "\"chat.completion\"",
        "created" => json.get().parse::<u64>().is_ok(),
        _ => json.get().starts_with('"') && json.get().len() > 2,
    };
    let members = [
        ("id", completion.id),
        ("object", completion.object),
        ("created", completion.created),
        ("model", completion.model),
    ];
    for (name, json) in members {
        if json.is_some_and(|json| is_fine(name, json)) {
            continue;
        }
        let mut value = Vec::new();
        match name {
            "id" => write_str(&mut value, &format!("chatcmpl-{}", call.id)),
            "object" => write_str(&mut value, "chat.completion"),
            "model" => write_str(&mut value, call.target.model),
            // Writing to a Vec cannot fail.
            _ => drop(write!(value, "{}", call.created)),
        }
        let value = String::from_utf8_lossy(&value).into_owned();
        match json.and_then(|json| span(body, json.get())) {
            Some(range) => splices.push((range, Cow::Owned(value))),
            None => missing.push(format!("\"{name}\":{value},")),
        }
    }
    let brace = body.iter().position(|byte| *byte == b'{');
    if let (false, Some(brace)) = (missing.is_empty(), brace) {
        splices.push((brace + 1..brace + 1, Cow::Owned(missing.concat())));
    }
    splices
}

/// The error for a body that did not parse: perhaps it explains itself in another shape.
pub(crate) fn unread(body: &[u8], error: &serde_json::Error) -> Error {
    match body.trim_ascii_start().first() {
        Some(b'[' | b'"') if error.is_data() => failure::in_stream(body),
        Some(b'{') if error.is_data() => no_answer("JSON that is no chat completion"),
        Some(b'{') => no_answer("broken or cut JSON"),
        _ => no_answer("something that is not JSON"),
    }
}

/// The error for a body that is no answer.
pub(crate) fn no_answer(what: &str) -> Error {
    Error::new(Class::Server, format!("the provider answered with a good status and {what}"))
}

#[cfg(test)]
mod tests;
